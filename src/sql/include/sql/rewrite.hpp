// The one door: a user's SELECT or DML becomes the text SQLite is given.
//
// Every table reference becomes a reference to a CTE that we write, and which holds what the caller
// may see of the table at the time asked for; nothing else of the database can be named.
// Expressions are typed on the way, so that DECIMAL, times, INTERVAL and UUID compare, sort and
// compute by value in whatever form they appear. sql.md, One door, has the reasons.
//
// What the door takes for granted of the database (the projection makes it so):
//
//   main."<table>"      the user's columns by name, then `__from` INTEGER; for a table without a
//                       primary key `__row` INTEGER, its key
//   main."__h_<id>"     history: `c<column id>` for every column the table ever had but generated
//                       ones, `__row` where the table has it, `__from`, `__to`; valid in [from,
//                       to). Same storage classes and collations. A change that drops a column or
//                       table closes all current rows first.
//   main."__<system>"   the tables of system_tables.hpp
//   collations and functions: types.hpp, functions.hpp
//
// (D1) No identifier of the user's starts with `__` or `sqlite_`, but `__row` and the documented
//      system tables; none is qualified by a schema, but by `information_schema`.
//      [kept: scan_names, Parser::source]
// (D2) Every table the output names outside our own CTEs is a CTE of ours, a CTE of the user's
//      whose name no table has, json_each or json_tree; or it is the target of the DML.
//      [kept: Resolver::bind]
// (D3) Every function the output calls is ours or on the allow list.
//      [kept: Typing::close_call]
// (D4) No `?` of the output is numbered beyond `binds`.
//      [kept: Typing::literal, Door::bind_value]
// (D5) A row of a VERIFY SELECT is one row of each of its tables: nothing in it makes one of many,
//      or leaves out which.
//      [kept: Resolver::check_verified, Door::verified]
//
// Thread rule: a pure function. Ownership: the result owns all it holds. Errors: the `sql`, `type`,
// `not_found` and `denied` classes; `where` is line and column in the user's text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/value.hpp"
#include "catalog/catalog.hpp"
#include "sql/token.hpp"

namespace kimberlite::sql {

// What a caller may see of a table: expressions over its columns, by their names, in SQL that is
// ours. Without a policy everything is visible.
class Policy {
 public:
  virtual ~Policy() = default;
  // Stands in the column's place; empty: the column as it is.
  [[nodiscard]] virtual std::string mask(const catalog::Table& table,
                                         const catalog::Column& column) const = 0;
  // Rows for which it is not true do not exist for the caller; empty: all do.
  [[nodiscard]] virtual std::string row_filter(const catalog::Table& table) const = 0;
};

// Whom the door asks about times.
class TimeMap {
 public:
  virtual ~TimeMap() = default;
  // The last record stamped at or before `time`, which is not after now; 0: none.
  [[nodiscard]] virtual Result<Position> position_at(TimestampUs time) const = 0;
};

struct Context {
  const catalog::Catalog* catalog = nullptr;
  Position head;                          // the newest position an answer may be of
  TimestampUs now;                        // the statement's time
  const TimeMap* times = nullptr;         // null: AS OF TIMESTAMP is refused
  std::optional<Position> session_as_of;  // SET AS OF, for every table without its own
  const Policy* policy = nullptr;
  bool verify = false;  // VERIFY SELECT: the rows read are to be held against the log
  // The caller's values, by number from 1: asked only where AS OF, HISTORY or DIFF name one.
  std::span<const ValueView> parameters;
};

enum class StatementClass : std::uint8_t { read, insert, update, remove };

// What to bind to ?1, ?2, …: the caller's value of that number (from 1), or with 0 `value`.
struct Bind {
  std::uint32_t caller = 0;
  Value value;
  bool position = false;  // the value is a position asked for
};

// A rewriting that holds for other positions too: everything that stands as of a position stands as
// of one and the same, which is a caller's parameter or the session's.
struct Moving {
  std::uint32_t caller = 0;  // the parameter's number; 0: `session_as_of`
  Position first;            // the schema is today's from there on
};

struct TableRead {
  ObjectId table;
  Position at;  // catalog::still_valid: now
  friend bool operator==(const TableRead&, const TableRead&) = default;
};

// A column of the answer. `type` is that of the value where the door knows it: print by it.
struct OutputColumn {
  std::string name;
  std::optional<catalog::Type> type;
};

// A table of the outermost FROM of a VERIFY SELECT. Behind the answer's own columns SQLite gives,
// for each of them in this order, what its row was read as: `__from`, `__row` where that is the
// key, then the columns named here. All of them are NULL where an outer join found no row.
struct VerifiedTable {
  ObjectId table;
  std::string called;  // in the text
  bool hidden_key = false;
  std::vector<ColumnId> columns = {};  // all but generated ones, by ascending id
  [[nodiscard]] std::size_t width() const { return 1 + (hidden_key ? 1 : 0) + columns.size(); }
};

struct Rewritten {
  std::string sql;
  StatementClass statement_class = StatementClass::read;
  std::vector<Bind> binds;
  std::uint32_t caller_parameters = 0;  // how many values the caller must give
  std::vector<std::string>
      parameter_names;  // of `:name`, `@name`, by number; empty: by number only
  ObjectId target;      // of a write
  std::vector<TableRead> reads;
  std::vector<std::string_view> system_reads;  // names of system_tables.hpp
  // As many as SQLite will give, but for those of `verified`; empty for a write without RETURNING.
  std::vector<OutputColumn> columns;
  std::vector<VerifiedTable> verified;
  // If all tables were asked as of one and the same position, that one.
  std::optional<Position> as_of;
  // `sql` and `binds` hold for this text under this catalog version, policy and session_as_of,
  // whatever the head, the time and the parameters are: may be cached by text.
  bool cacheable = true;
  // Else, for other positions from `first` to the head, by `move`.
  std::optional<Moving> moving;
  // A time was asked for: what is said of it is so for good only once it is over.
  bool reads_time = false;
};

// Makes a moving rewriting that of the position `to`.
void move(Rewritten& rewritten, Position to);
// What a parameter behind AS OF POSITION means; nothing if it is no position.
[[nodiscard]] std::optional<Position> position_of(const ValueView& parameter);

// `tokens` are one statement's, starting with SELECT, VALUES, WITH, INSERT, REPLACE, UPDATE, DELETE
// or TRUNCATE, without semicolon, EXPLAIN, VERIFY and WITH REASON; an `end` token is allowed last.
// They point into `text`.
[[nodiscard]] Result<Rewritten> rewrite(std::string_view text, std::span<const Token> tokens,
                                        const Context& context);

// An expression of the catalog (DEFAULT, CHECK, generated column; columns written "@<id>") as DDL
// text for SQLite: columns of `table` by name, everything typed and allowed as above, no subquery.
[[nodiscard]] Result<std::string> rewrite_expression(std::string_view expression,
                                                     const catalog::Table& table);

// What may stand after AS OF, TIMESTAMP or POSITION with it, for `SET AS OF …` and VERIFY TABLE.
[[nodiscard]] Result<Position> resolve_as_of(std::string_view text, std::span<const Token> tokens,
                                             const Context& context);

}  // namespace kimberlite::sql
