#include "sql/analyze.hpp"

#include <algorithm>

#include "analyze_names.hpp"
#include "analyze_table.hpp"
#include "analyze_view.hpp"
#include "base/assert.hpp"

namespace kimberlite::sql {
namespace {

using catalog::Catalog;
using catalog::Table;

class Resolver {
 public:
  explicit Resolver(const Names& names) : names_(names) {}

  Result<Resolved> operator()(const CreateTableDdl& ddl) const {
    return resolve_create_table(names_, ddl);
  }
  Result<Resolved> operator()(const AddColumnDdl& ddl) const {
    return resolve_add_column(names_, ddl);
  }

  Result<Resolved> operator()(const DropTableDdl& ddl) const {
    KIMBERLITE_TRY(const Table* table, find(ddl.name, ddl.if_exists));
    if (table == nullptr) return nothing_there("table", ddl.name);
    return change(catalog::DropTable{table->id});
  }

  Result<Resolved> operator()(const RenameTableDdl& ddl) const {
    KIMBERLITE_TRY(const Table* table, find(ddl.table, ddl.if_exists));
    if (table == nullptr) return nothing_there("table", ddl.table);
    // Another spelling of its own name is free.
    KIMBERLITE_CHECK(same_name(table->name, ddl.name.name)
                         ? names_.check_spelling(ddl.name, "table")
                         : names_.check_new(ddl.name, "table"));
    return change(catalog::RenameTable{table->id, ddl.name.name});
  }

  Result<Resolved> operator()(const DropColumnDdl& ddl) const {
    KIMBERLITE_TRY(const Table* table, find(ddl.table, ddl.if_exists));
    if (table == nullptr) return nothing_there("table", ddl.table);
    if (ddl.column_if_exists && Catalog::column(*table, ddl.column.name) == nullptr) {
      return nothing_there("column", ddl.column);
    }
    KIMBERLITE_TRY(const ColumnId column, names_.column(*table, ddl.column));
    return change(catalog::DropColumn{table->id, column});
  }

  Result<Resolved> operator()(const RenameColumnDdl& ddl) const {
    KIMBERLITE_TRY(const Table* table, find(ddl.table, ddl.if_exists));
    if (table == nullptr) return nothing_there("table", ddl.table);
    KIMBERLITE_TRY(const ColumnId column, names_.column(*table, ddl.column));
    KIMBERLITE_CHECK(names_.check_spelling(ddl.name, "column"));
    return change(catalog::RenameColumn{table->id, column, ddl.name.name});
  }

  Result<Resolved> operator()(const CreateIndexDdl& ddl) const {
    if (ddl.if_not_exists && names_.catalog().index(ddl.name.name) != nullptr) {
      return already_there(ddl.name);
    }
    KIMBERLITE_CHECK(names_.check_new(ddl.name, "index"));
    KIMBERLITE_TRY(const Table* table, names_.table(ddl.table));
    catalog::Index index;
    index.id = names_.catalog().next_object();
    index.name = ddl.name.name;
    index.table = table->id;
    index.unique = ddl.unique;
    std::vector<Identifier> columns;
    columns.reserve(ddl.columns.size());
    for (const IndexColumnSpec& spec : ddl.columns) columns.push_back(spec.column);
    KIMBERLITE_TRY(const std::vector<ColumnId> ids, names_.columns(*table, columns));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      index.columns.push_back({.column = ids[i], .descending = ddl.columns[i].descending});
    }
    return change(catalog::CreateIndex{std::move(index)});
  }

  Result<Resolved> operator()(const DropIndexDdl& ddl) const {
    const catalog::Index* index = names_.catalog().index(ddl.name.name);
    if (index != nullptr) return change(catalog::DropIndex{index->id});
    if (ddl.if_exists) return nothing_there("index", ddl.name);
    return names_.error(Code::not_found_object, ddl.name.offset,
                        fmt::format("there is no index {}", display_name(ddl.name.name)),
                        "SHOW TABLES and .schema list what there is");
  }

  Result<Resolved> operator()(const CreateViewDdl& ddl) const {
    if (ddl.if_not_exists && names_.catalog().view(ddl.name.name) != nullptr) {
      return already_there(ddl.name);
    }
    KIMBERLITE_CHECK(names_.check_new(ddl.name, "view"));
    catalog::View view;
    view.id = names_.catalog().next_object();
    view.name = ddl.name.name;
    for (const Identifier& column : ddl.columns) {
      KIMBERLITE_CHECK(names_.check_spelling(column, "column"));
      view.column_names.push_back(column.name);
    }
    view.select = text_of_query(names_, ddl.select);
    KIMBERLITE_TRY(view.uses, objects_of_query(names_, ddl.select));
    return change(catalog::CreateView{std::move(view)});
  }

  Result<Resolved> operator()(const DropViewDdl& ddl) const {
    const catalog::View* view = names_.catalog().view(ddl.name.name);
    if (view != nullptr) return change(catalog::DropView{view->id});
    const std::string shown = display_name(ddl.name.name);
    if (names_.catalog().table(ddl.name.name) != nullptr) {
      return names_.error(Code::sql_misuse, ddl.name.offset,
                          fmt::format("{} is a table, not a view", shown),
                          fmt::format("DROP TABLE {} drops it", shown));
    }
    if (ddl.if_exists) return nothing_there("view", ddl.name);
    const std::string nearest = names_.catalog().nearest_table(ddl.name.name);
    return names_.error(Code::not_found_object, ddl.name.offset,
                        fmt::format("there is no view {}", shown),
                        nearest.empty() ? std::string{"SHOW TABLES lists them"}
                                        : fmt::format("did you mean {}?", display_name(nearest)));
  }

 private:
  Result<const Table*> find(const Identifier& name, bool if_exists) const {
    return if_exists ? names_.table_if_any(name) : names_.table(name);
  }

  static Result<Resolved> change(catalog::Change change) {
    return Resolved{.change = std::move(change), .notices = {}};
  }

  static Result<Resolved> nothing_there(std::string_view what, const Identifier& name) {
    return Resolved{.change = std::nullopt,
                    .notices = {fmt::format("there is no {} {}: nothing was done", what,
                                            display_name(name.name))}};
  }

  static Result<Resolved> already_there(const Identifier& name) {
    return Resolved{
        .change = std::nullopt,
        .notices = {fmt::format("{} is there already: nothing was done", display_name(name.name))}};
  }

  const Names& names_;
};

// Where an error stands that the catalog found: at the first name of the statement.
std::uint32_t subject_offset(const Ddl& ddl) {
  return std::visit(
      [](const auto& each) {
        if constexpr (requires { each.column.name.offset; })
          return each.column.name.offset;
        else if constexpr (requires { each.column.offset; })
          return each.column.offset;
        else if constexpr (requires { each.table.offset; })
          return each.table.offset;
        else if constexpr (requires { each.name.offset; })
          return each.name.offset;
      },
      ddl);
}

}  // namespace

Result<Resolved> resolve(const Statement& statement, const Catalog& catalog,
                         const StreamExists& stream_exists) {
  KIMBERLITE_ASSERT(statement.ddl.has_value());
  const Names names{statement, catalog, stream_exists};
  KIMBERLITE_TRY(Resolved resolved, std::visit(Resolver{names}, *statement.ddl));
  if (!resolved.change) return resolved;
  if (const Status fits = catalog.check(*resolved.change); !fits) {
    return names.placed(fits.error(), subject_offset(*statement.ddl));
  }
  return resolved;
}

}  // namespace kimberlite::sql
