// The part of the DDL parser that reads columns, constraints and options. Internal to the layer.
#pragma once

#include "sql/ddl.hpp"
#include "statement_cursor.hpp"

namespace kimberlite::sql {

// Reads one column definition; its constraints go where a table's go. Used for CREATE TABLE, and
// for ADD COLUMN, which then refuses what cannot be added.
class TableParser {
 public:
  TableParser(Cursor& cursor, CreateTableDdl& table) : cursor_(cursor), table_(table) {}

  // ( column | constraint, … ) [WITH (…)] to the end of the statement.
  [[nodiscard]] Status parse_body();
  // name type [constraint …]
  [[nodiscard]] Status parse_column();

 private:
  [[nodiscard]] bool at_table_constraint() const;
  [[nodiscard]] Status parse_element();
  [[nodiscard]] Status parse_column_type(ColumnSpec& column);
  [[nodiscard]] Result<bool> parse_column_constraint(ColumnSpec& column);
  [[nodiscard]] Status parse_default(ColumnSpec& column);
  [[nodiscard]] Status parse_generated(ColumnSpec& column);
  [[nodiscard]] Status parse_computed(ColumnSpec& column);
  [[nodiscard]] Status parse_table_constraint();
  [[nodiscard]] Status parse_primary_key(std::string name, std::vector<Identifier> columns,
                                         std::uint32_t offset);
  [[nodiscard]] Status parse_unique(std::string name, std::vector<Identifier> columns,
                                    std::uint32_t offset);
  [[nodiscard]] Status parse_check(std::string name);
  [[nodiscard]] Status parse_references(std::string name, std::vector<Identifier> columns);
  [[nodiscard]] Result<catalog::ForeignKeyAction> parse_action();
  [[nodiscard]] Status parse_deferrable(ForeignKeySpec& key);
  [[nodiscard]] Status refuse_conflict_clause() const;
  [[nodiscard]] Status parse_after_body();
  [[nodiscard]] Status parse_options();
  [[nodiscard]] Status parse_option();
  [[nodiscard]] Status parse_class();
  [[nodiscard]] Status parse_subject();
  [[nodiscard]] Status parse_retention();
  [[nodiscard]] Error refuse_twice(const Token& token, std::string_view what) const;

  Cursor& cursor_;
  CreateTableDdl& table_;
};

// ( name, … )
[[nodiscard]] Result<std::vector<Identifier>> parse_name_list(Cursor& cursor,
                                                              std::string_view what);
// ( … ) with its parentheses balanced: the range between them. `limit.depth` beyond 100 levels.
[[nodiscard]] Result<TokenRange> parse_parenthesised(Cursor& cursor);

}  // namespace kimberlite::sql
