// Which tables and views the query of a view names. Internal to the layer.
#pragma once

#include <vector>

#include "analyze_names.hpp"

namespace kimberlite::sql {

// The objects that stand where a table may in tokens[range], each once, in the order of the text.
// Errors: `not_found.table` with the nearest name; `sql.unsupported` for system tables and schemas.
[[nodiscard]] Result<std::vector<ObjectId>> objects_of_query(const Names& names, TokenRange range);

// The text of tokens[range] as written, each comment a space.
[[nodiscard]] std::string text_of_query(const Names& names, TokenRange range);

}  // namespace kimberlite::sql
