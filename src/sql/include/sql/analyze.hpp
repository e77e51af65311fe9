// From what a DDL statement says to what it changes, and back to text.
//
// `resolve` looks every name up, chooses ids, and checks all that can be known before rows are
// touched: what it returns, the catalog applies. `render` is its inverse: the text parses and
// resolves to the same change.
//
// Expressions are stored with single spaces, keywords in upper case, columns as "@<id>"; DEFAULT
// literals in the canonical form of the column's type. Thread rule: pure functions. Errors: `where`
// is line and column in the user's text; `not_found.*` with the nearest name, `constraint.exists`,
// `constraint.dependency`, `sql.misuse`, `sql.unsupported`, `type.*`, `limit.*`.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.hpp"
#include "sql/statement.hpp"

namespace kimberlite::sql {

struct Resolved {
  // Nothing to do if empty: IF EXISTS of what is not, IF NOT EXISTS of what is.
  std::optional<catalog::Change> change;
  std::vector<std::string> notices;  // sentences for the user
};

// True if there is a stream of that name: tables, views, indexes and streams share one namespace.
using StreamExists = std::function<bool(std::string_view name)>;

// `statement.ddl` is set.
[[nodiscard]] Result<Resolved> resolve(const Statement& statement, const catalog::Catalog& catalog,
                                       const StreamExists& stream_exists);

// The change as SQL, with the names of objects as they are after the record at `at`, which is the
// change's own; `catalog` may have grown since.
[[nodiscard]] std::string render(const catalog::Change& change, const catalog::Catalog& catalog,
                                 Position at);
// CREATE TABLE as it would have to be said for the table as it is; likewise below.
[[nodiscard]] std::string render(const catalog::Table& table, const catalog::Catalog& catalog,
                                 Position at);
[[nodiscard]] std::string render(const catalog::Index& index, const catalog::Catalog& catalog,
                                 Position at);
[[nodiscard]] std::string render(const catalog::View& view);

// A stored expression with the columns' names in place of their ids.
[[nodiscard]] std::string render_expression(std::string_view expression,
                                            const catalog::Table& table);

}  // namespace kimberlite::sql
