// One statement, read as far as it takes to know what it is and what to do with it.
//
// Queries and DML are classified, not parsed: the door (rewrite.hpp) reads their tokens. DDL,
// transaction words, SET AS OF and SHOW are read whole. A statement that is not in the dialect is
// refused by name, with its position and what to use instead.
//
// Ownership: a Statement points into the text it was parsed from, which outlives it. Thread rule: a
// value. Errors: `sql.text`, `sql.syntax`, `sql.unsupported`, `sql.misuse`, `limit.*`. No
// recursion; every text up to `statement_size_max` is read in linear time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "sql/ddl.hpp"
#include "sql/token.hpp"

namespace kimberlite::sql {

enum class StatementKind : std::uint8_t {
  select,  // SELECT, VALUES, WITH … SELECT; VERIFY before it is `verify`
  insert,  // INSERT, REPLACE; WITH … INSERT
  update,
  remove,  // DELETE
  truncate,
  ddl,          // `ddl` is set
  begin,        // BEGIN, START TRANSACTION
  commit,       // COMMIT, END
  rollback,     // ROLLBACK
  savepoint,    // `name` is set
  release,      // likewise
  rollback_to,  // likewise
  set_as_of,    // SET AS OF …: `tokens` are what follows, for resolve_as_of()
  set_latest,   // SET AS OF LATEST
  show_tables,
  show_columns,  // SHOW COLUMNS FROM t, DESCRIBE t: `name` is set
  verify_table,  // VERIFY TABLE t: `name` is set, `tokens` are what follows AS OF; `end` alone:
                 // none
};

[[nodiscard]] constexpr bool is_dml(StatementKind kind) {
  return kind >= StatementKind::insert && kind <= StatementKind::truncate;
}
[[nodiscard]] constexpr bool is_write(StatementKind kind) {
  return is_dml(kind) || kind == StatementKind::ddl;
}

// How values are given to a statement's parameters: by number from 1.
enum class ParameterStyle : std::uint8_t {
  none,
  question,  // ?       numbered as they stand
  numbered,  // ?1      by their own number
  dollar,    // $1      likewise
  named,     // :name @name $name: the same name is the same parameter, numbered as first seen
};

struct ParameterUse {
  std::uint32_t offset = 0;
  std::uint32_t number = 0;
};

struct Parameters {
  static constexpr std::uint32_t number_max = 32'766;  // SQLite's own bound

  ParameterStyle style = ParameterStyle::none;
  std::uint32_t count = 0;         // the largest number
  std::vector<ParameterUse> uses;  // in the order of the text
  std::vector<std::string> names;  // of `named`: of number i + 1, without its sign
};

// Fails with `sql.misuse` if styles are mixed, a number is 0 or above `number_max`.
[[nodiscard]] Result<Parameters> number_parameters(std::string_view text,
                                                   std::span<const Token> tokens);

// WITH REASON: a text, or the parameter that holds one.
struct Reason {
  std::string text;
  std::uint32_t parameter = 0;  // 0: `text`
  std::uint32_t offset = 0;     // of WITH
};

struct Statement {
  StatementKind kind = StatementKind::select;
  std::string_view text;  // all that was given
  // Without the semicolon, EXPLAIN, VERIFY and WITH REASON; the last is an `end` token.
  std::vector<Token> tokens;
  bool explain = false;   // EXPLAIN of it: never run
  bool verify = false;    // VERIFY of it: a SELECT whose rows are held against the log
  Parameters parameters;  // the reason's included
  std::optional<Reason> reason;
  Identifier name;
  std::optional<Ddl> ddl;
};

[[nodiscard]] Result<Statement> parse(std::string_view text);

// The text with each literal replaced by `?`, comments left out, for trails that must not hold
// values. Fails as `tokenize` does.
[[nodiscard]] Result<std::string> without_literals(std::string_view text);

// AS OF a time stands in it, in whatever form. A view in it may say one too, which is seen only
// when it is rewritten (`Rewritten::reads_time`).
[[nodiscard]] bool says_when(const Statement& statement);

}  // namespace kimberlite::sql
