// `__events` and `__schema_history`: virtual tables over the log. Nothing of them is kept; items
// are opened as rows are read.
//
// Bounds on `position`, an equal `stream` and bounds on `sequence` with it are pushed down, and the
// order of positions either way, so that the newest ten events of a stream read ten records.
// Thread rule: that of the connection.
#pragma once

#include <memory>

#include "catalog/catalog.hpp"
#include "context.hpp"

namespace kimberlite::projection {

// `catalog` is looked at whenever a table is read; all three outlive the connection's statements.
[[nodiscard]] Status register_log_tables(Connection& connection, Context& context,
                                         const std::shared_ptr<const catalog::Catalog>& catalog);

}  // namespace kimberlite::projection
