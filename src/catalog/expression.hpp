// What a stored expression or query text speaks of, without parsing it.
#pragma once

#include <string_view>

#include "base/ids.hpp"

namespace kimberlite::catalog {

// Does an expression name the column, as "@<id>"? Text literals are skipped.
[[nodiscard]] bool mentions(std::string_view expression, ColumnId column);
// Does it name any column but this one?
[[nodiscard]] bool mentions_other(std::string_view expression, ColumnId column);
// Might a query name the column: does `name` stand in it as a word, or a `*`? Errs towards yes.
[[nodiscard]] bool might_name(std::string_view query, std::string_view name);

}  // namespace kimberlite::catalog
