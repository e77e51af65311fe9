// The documented system tables and how the door shows them.
//
// `physical` tables (virtual ones among them) are made by the projection under the same name, with
// at least the columns the expressions here name; the others are answered from the catalog, as of
// any position, and need nothing. Source: api.md, System tables. Thread rule: constants.
#pragma once

#include <span>
#include <string_view>

#include "catalog/schema.hpp"

namespace kimberlite::sql {

struct SystemColumn {
  std::string_view name;
  catalog::Type type;
  // Over the physical table's columns; empty: the column of that name.
  std::string_view expression;
};

struct SystemTable {
  std::string_view name;  // "__events", or "information_schema.tables"
  std::span<const SystemColumn> columns;
  bool physical;
  // The column AS OF compares the position with; empty: AS OF is refused for a physical table.
  std::string_view position;
};

[[nodiscard]] std::span<const SystemTable> system_tables();
// Without regard to ASCII case; null if there is none.
[[nodiscard]] const SystemTable* system_table(std::string_view name);

}  // namespace kimberlite::sql
