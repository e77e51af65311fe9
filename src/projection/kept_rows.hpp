// Everything a projection keeps of one table, read in the binary order of its keys.
//
// Thread rule: that of the connection, which outlives the rows.
#pragma once

#include <memory>

#include "catalog/catalog.hpp"
#include "context.hpp"
#include "projection/table_check.hpp"
#include "sqlite.hpp"

namespace kimberlite::projection {

// `rows` or `versions` of a table as of `at`; none where there was no table.
[[nodiscard]] Result<std::unique_ptr<KeptRows>> open_kept_rows(Connection& connection,
                                                               const catalog::Catalog& catalog,
                                                               ObjectId table, Position at,
                                                               Kept kept);
// One of the projection's own tables.
[[nodiscard]] Result<std::unique_ptr<KeptRows>> open_own_rows(Connection& connection, Kept kept);
[[nodiscard]] std::string_view own_table_name(Kept kept);

}  // namespace kimberlite::projection
