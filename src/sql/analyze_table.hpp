// Resolving CREATE TABLE and ADD COLUMN. Internal to the layer.
#pragma once

#include "analyze_names.hpp"

namespace kimberlite::sql {

[[nodiscard]] Result<Resolved> resolve_create_table(const Names& names, const CreateTableDdl& ddl);
[[nodiscard]] Result<Resolved> resolve_add_column(const Names& names, const AddColumnDdl& ddl);

}  // namespace kimberlite::sql
