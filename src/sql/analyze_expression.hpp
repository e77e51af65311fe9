// Expressions of DDL on their way into the catalog. Internal to the layer.
#pragma once

#include <optional>
#include <string>

#include "analyze_names.hpp"

namespace kimberlite::sql {

enum class ExpressionUse : std::uint8_t { default_value, check, generated };

// tokens[range] as stored text: columns of `table` by id, single spaces, keywords in upper case.
// Refuses what an expression of this use may not hold: subqueries, parameters, aggregates, columns
// in a DEFAULT, and in the others whatever is not the same each time it is computed.
[[nodiscard]] Result<std::string> store_expression(const Names& names, TokenRange range,
                                                   const catalog::Table& table, ExpressionUse use);

// A DEFAULT of the column: a literal in the canonical form of its type, nothing for NULL, else an
// expression. `constant` says which.
struct StoredDefault {
  std::optional<std::string> text;
  bool constant = true;
};
[[nodiscard]] Result<StoredDefault> store_default(const Names& names, TokenRange range,
                                                  const catalog::Table& table,
                                                  const catalog::Column& column);

}  // namespace kimberlite::sql
