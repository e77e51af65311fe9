#include "analyze_names.hpp"

#include <algorithm>

namespace kimberlite::sql {
namespace {

bool starts_with(std::string_view name, std::string_view prefix) {
  return same_name(name.substr(0, prefix.size()), prefix);
}

}  // namespace

bool is_system_name(std::string_view name) {
  return starts_with(name, "__") || starts_with(name, "sqlite_") ||
         same_name(name, "information_schema");
}

Error Names::error(Code code, std::uint32_t offset, std::string_view what,
                   std::string_view next) const {
  return Error(code, "{}", what).where("{}", where(statement_.text, offset)).next("{}", next);
}

Error Names::placed(const Error& error, std::uint32_t offset) const {
  Error out = error.where().empty()
                  ? Error(Error(error).where("{}", where(statement_.text, offset)))
                  : error;
  if (!error.next().empty()) return out;
  return std::move(out).next("{}", error.code() == Code::constraint_dependency
                                       ? "it stays as long as it is needed there"
                                       : "SHOW TABLES and SHOW COLUMNS FROM t show what is there");
}

Status Names::check_spelling(const Identifier& name, std::string_view what) const {
  if (is_system_name(name.name)) {
    return error(Code::sql_misuse, name.offset,
                 fmt::format("{} is a reserved name", display_name(name.name)),
                 "names that begin with __ or sqlite_, and information_schema, are the system's");
  }
  if (name.name.size() > catalog::Catalog::name_size_max) {
    return error(Code::limit_name, name.offset,
                 fmt::format("the name of this {} has {} bytes", what, name.name.size()),
                 fmt::format("a name has at most {}", catalog::Catalog::name_size_max));
  }
  const bool printable = std::ranges::none_of(
      name.name, [](char c) { return static_cast<unsigned char>(c) < 0x20U || c == '\x7F'; });
  if (printable) return {};
  return error(Code::sql_misuse, name.offset,
               fmt::format("the name of this {} holds a control character", what),
               "a name is one line of text");
}

Status Names::check_new(const Identifier& name, std::string_view what) const {
  KIMBERLITE_CHECK(check_spelling(name, what));
  if (same_name(name.name, "json_each") || same_name(name.name, "json_tree")) {
    return error(Code::sql_misuse, name.offset,
                 fmt::format("{} is a reserved name", display_name(name.name)),
                 "it is a table-valued function");
  }
  std::string_view taken;
  if (catalog_.table(name.name) != nullptr) taken = "a table";
  if (catalog_.view(name.name) != nullptr) taken = "a view";
  if (catalog_.index(name.name) != nullptr) taken = "an index";
  if (taken.empty() && is_stream(name.name)) taken = "a stream";
  if (taken.empty()) return {};
  return error(Code::constraint_exists, name.offset,
               fmt::format("there is {} called {} already", taken, display_name(name.name)),
               "take another name: tables, views, indexes and streams share one namespace");
}

Result<const catalog::Table*> Names::table_if_any(const Identifier& name) const {
  if (const catalog::Table* found = catalog_.table(name.name)) return found;
  const std::string shown = display_name(name.name);
  if (is_system_name(name.name)) {
    return error(Code::sql_read_only, name.offset, fmt::format("{} is a system table", shown),
                 "system tables are read, never changed");
  }
  if (catalog_.view(name.name) != nullptr) {
    return error(Code::sql_misuse, name.offset, fmt::format("{} is a view, not a table", shown),
                 "DROP VIEW and CREATE VIEW change a view");
  }
  if (catalog_.index(name.name) != nullptr) {
    return error(Code::sql_misuse, name.offset, fmt::format("{} is an index, not a table", shown),
                 fmt::format("DROP INDEX {} drops it", shown));
  }
  if (is_stream(name.name)) {
    return error(Code::sql_misuse, name.offset, fmt::format("{} is a stream, not a table", shown),
                 "a stream has events, no columns; they are in __events");
  }
  return static_cast<const catalog::Table*>(nullptr);
}

Result<const catalog::Table*> Names::table(const Identifier& name) const {
  KIMBERLITE_TRY(const catalog::Table* found, table_if_any(name));
  if (found != nullptr) return found;
  const std::string nearest = catalog_.nearest_table(name.name);
  return error(Code::not_found_table, name.offset,
               fmt::format("there is no table {}", display_name(name.name)),
               nearest.empty() ? std::string{"SHOW TABLES lists them"}
                               : fmt::format("did you mean {}?", display_name(nearest)));
}

Result<ColumnId> Names::column(const catalog::Table& table, const Identifier& name) const {
  if (const catalog::Column* found = catalog::Catalog::column(table, name.name)) return found->id;
  const std::string nearest = catalog::Catalog::nearest_column(table, name.name);
  return error(
      Code::not_found_column, name.offset,
      fmt::format("{} has no column {}", display_name(table.name), display_name(name.name)),
      nearest.empty() ? fmt::format("SHOW COLUMNS FROM {} lists them", display_name(table.name))
                      : fmt::format("did you mean {}?", display_name(nearest)));
}

Result<std::vector<ColumnId>> Names::columns(const catalog::Table& table,
                                             const std::vector<Identifier>& names) const {
  std::vector<ColumnId> ids;
  for (const Identifier& name : names) {
    KIMBERLITE_TRY(const ColumnId id, column(table, name));
    if (std::ranges::find(ids, id) != ids.end()) {
      return error(Code::sql_misuse, name.offset,
                   fmt::format("the column {} is named twice", display_name(name.name)),
                   "name it once");
    }
    ids.push_back(id);
  }
  return ids;
}

}  // namespace kimberlite::sql
