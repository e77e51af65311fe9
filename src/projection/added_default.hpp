// What a column added to a table gives the rows that are there already.
//
// Thread rule: that of the connection.
#pragma once

#include "base/value.hpp"
#include "catalog/schema.hpp"
#include "sqlite.hpp"

namespace kimberlite::projection {

// In canonical form; NULL if the column has no default or is generated. `sql.unsupported` if the
// default is no constant.
[[nodiscard]] Result<Value> added_default(Connection& connection, const catalog::Table& table,
                                          const catalog::Column& column);

}  // namespace kimberlite::projection
