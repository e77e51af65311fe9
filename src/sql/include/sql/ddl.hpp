// What a DDL statement says, before any name is looked up: the parser's result.
//
// Column constraints are already where table constraints stand, types are the dialect's, and
// expressions are ranges of the statement's tokens, not read any further (analyze.hpp does).
// Ownership: owns its names; token ranges are meant for the `Statement::tokens` they came with.
// Source: sql.md, Dialect. Thread rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "catalog/schema.hpp"
#include "sql/token.hpp"

namespace kimberlite::sql {

// A name as the user wrote it, quotes taken off, and where.
struct Identifier {
  std::string name;
  std::uint32_t offset = 0;
};

// tokens[first, end) of the statement.
struct TokenRange {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
};

struct CheckSpec {
  std::string name;  // may be empty
  TokenRange expression;
};

struct KeySpec {
  std::string name;  // may be empty
  std::vector<Identifier> columns;
  std::uint32_t offset = 0;
};

struct ForeignKeySpec {
  std::string name;  // may be empty
  std::vector<Identifier> columns;
  Identifier parent;
  std::vector<Identifier> parent_columns;  // empty: the parent's primary key
  catalog::ForeignKeyAction on_delete = catalog::ForeignKeyAction::no_action;
  catalog::ForeignKeyAction on_update = catalog::ForeignKeyAction::no_action;
  bool deferred = false;
};

struct ColumnSpec {
  Identifier name;
  catalog::Type type;
  bool not_null = false;
  bool identity = false;  // SERIAL, GENERATED … AS IDENTITY, AUTOINCREMENT
  bool always = false;    // GENERATED ALWAYS AS IDENTITY
  std::optional<TokenRange> default_value;
  std::optional<TokenRange> generated;
};

struct SubjectSpec {
  bool none = false;
  std::string type;
  Identifier column;
};

struct CreateTableDdl {
  bool if_not_exists = false;
  Identifier name;
  std::vector<ColumnSpec> columns;
  std::optional<KeySpec> primary_key;
  std::vector<KeySpec> uniques;
  std::vector<CheckSpec> checks;
  std::vector<ForeignKeySpec> foreign_keys;
  catalog::DataClass data_class = catalog::DataClass::none;
  std::optional<SubjectSpec> subject;
  std::string retention;
};
struct DropTableDdl {
  bool if_exists = false;
  Identifier name;
};
struct RenameTableDdl {
  bool if_exists = false;
  Identifier table;
  Identifier name;
};
struct AddColumnDdl {
  bool if_exists = false;  // the table
  Identifier table;
  bool if_not_exists = false;  // the column
  ColumnSpec column;
  std::vector<CheckSpec> checks;
  std::vector<ForeignKeySpec> foreign_keys;
};
struct DropColumnDdl {
  bool if_exists = false;  // the table
  Identifier table;
  bool column_if_exists = false;
  Identifier column;
};
struct RenameColumnDdl {
  bool if_exists = false;
  Identifier table;
  Identifier column;
  Identifier name;
};
struct IndexColumnSpec {
  Identifier column;
  bool descending = false;
};
struct CreateIndexDdl {
  bool unique = false;
  bool if_not_exists = false;
  Identifier name;
  Identifier table;
  std::vector<IndexColumnSpec> columns;
};
struct DropIndexDdl {
  bool if_exists = false;
  Identifier name;
};
struct CreateViewDdl {
  bool if_not_exists = false;
  Identifier name;
  std::vector<Identifier> columns;  // may be empty
  TokenRange select;
};
struct DropViewDdl {
  bool if_exists = false;
  Identifier name;
};

using Ddl = std::variant<CreateTableDdl, DropTableDdl, RenameTableDdl, AddColumnDdl, DropColumnDdl,
                         RenameColumnDdl, CreateIndexDdl, DropIndexDdl, CreateViewDdl, DropViewDdl>;

// Reads a statement that starts with CREATE, ALTER or DROP. `tokens` ends with the `end` token and
// holds neither semicolon nor WITH REASON. Errors: `sql.syntax`; `sql.unsupported` names the
// feature, or the type that is none; `type.range` for VARCHAR(0);
// `limit.columns`; `limit.depth`.
[[nodiscard]] Result<Ddl> parse_ddl(std::string_view text, std::span<const Token> tokens);

// The type that `tokens[next, …)` spell, PostgreSQL's names included; `next` moves past it.
[[nodiscard]] Result<catalog::Type> parse_type(std::string_view text, std::span<const Token> tokens,
                                               std::size_t& next);

}  // namespace kimberlite::sql
