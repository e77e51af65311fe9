#include "catalog/catalog.hpp"

#include <algorithm>

namespace kimberlite::catalog {
namespace {

template <class Object>
using Versions = std::map<ObjectId, std::vector<Version<Object>>>;

// The object of this id that stands now.
template <class Object>
const Object* current(const Versions<Object>& all, ObjectId id) {
  const auto found = all.find(id);
  if (found == all.end() || found->second.back().to != still_valid) return nullptr;
  return &found->second.back().object;
}

template <class Object>
const Object* at_position(const std::vector<Version<Object>>& versions, Position at) {
  const auto later = std::ranges::upper_bound(versions, at, {}, &Version<Object>::from);
  if (later == versions.begin()) return nullptr;
  const Version<Object>& version = *std::prev(later);
  return at < version.to ? &version.object : nullptr;
}

// Names move between objects, so every object is asked. One object a name at any position.
template <class Object>
const Object* named_at(const Versions<Object>& all, std::string_view name, Position at) {
  for (const auto& [id, versions] : all) {
    const Object* object = at_position(versions, at);
    if (object != nullptr && same_name(object->name, name)) return object;
  }
  return nullptr;
}

template <class Object>
std::vector<const Object*> standing(const Versions<Object>& all) {
  std::vector<const Object*> objects;
  for (const auto& [id, versions] : all) {
    if (versions.back().to == still_valid) objects.push_back(&versions.back().object);
  }
  return objects;
}

}  // namespace

const Table* Catalog::table(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : current(tables_, found->second);
}

const Table* Catalog::table(ObjectId id) const { return current(tables_, id); }

const View* Catalog::view(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : current(views_, found->second);
}

const View* Catalog::view(ObjectId id) const { return current(views_, id); }

const Index* Catalog::index(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : current(indexes_, found->second);
}

const Index* Catalog::index(ObjectId id) const { return current(indexes_, id); }

const Table* Catalog::table_at(std::string_view name, Position at) const {
  return named_at(tables_, name, at);
}

const Table* Catalog::table_at(ObjectId id, Position at) const {
  const auto found = tables_.find(id);
  return found == tables_.end() ? nullptr : at_position(found->second, at);
}

const View* Catalog::view_at(std::string_view name, Position at) const {
  return named_at(views_, name, at);
}

const View* Catalog::view_at(ObjectId id, Position at) const {
  const auto found = views_.find(id);
  return found == views_.end() ? nullptr : at_position(found->second, at);
}

const Index* Catalog::index_at(ObjectId id, Position at) const {
  const auto found = indexes_.find(id);
  return found == indexes_.end() ? nullptr : at_position(found->second, at);
}

const Table* Catalog::table_in(ObjectId id, std::uint32_t catalog_version) const {
  const auto found = tables_.find(id);
  if (found == tables_.end()) return nullptr;
  const auto later = std::ranges::upper_bound(found->second, catalog_version, {},
                                              &Version<Table>::catalog_version);
  return later == found->second.begin() ? nullptr : &std::prev(later)->object;
}

std::vector<const Table*> Catalog::tables() const { return standing(tables_); }
std::vector<const View*> Catalog::views() const { return standing(views_); }
std::vector<const Index*> Catalog::indexes() const { return standing(indexes_); }

std::vector<const Index*> Catalog::indexes_of(ObjectId table) const {
  std::vector<const Index*> all = indexes();
  std::erase_if(all, [&](const Index* index) { return index->table != table; });
  return all;
}

const std::map<ObjectId, std::vector<Version<Table>>>& Catalog::table_versions() const {
  return tables_;
}

std::vector<Column> Catalog::columns_ever(ObjectId table) const {
  const auto found = tables_.find(table);
  if (found == tables_.end()) return {};
  std::map<ColumnId, const Column*> latest;
  for (const Version<Table>& version : found->second) {
    for (const Column& column : version.object.columns) latest[column.id] = &column;
  }
  std::vector<Column> columns;
  columns.reserve(latest.size());
  for (const auto& [id, column] : latest) columns.push_back(*column);
  return columns;
}

const Column* Catalog::column(const Table& table, std::string_view name) {
  const auto found = std::ranges::find_if(
      table.columns, [&](const Column& column) { return same_name(column.name, name); });
  return found == table.columns.end() ? nullptr : &*found;
}

const Column* Catalog::column(const Table& table, ColumnId id) {
  const auto found = std::ranges::lower_bound(table.columns, id, {}, &Column::id);
  return found == table.columns.end() || found->id != id ? nullptr : &*found;
}

ColumnId Catalog::next_column(ObjectId table) const {
  const auto found = tables_.find(table);
  std::uint32_t last = 0;
  if (found != tables_.end()) {
    for (const Version<Table>& version : found->second) {
      if (!version.object.columns.empty()) {
        last = std::max(last, version.object.columns.back().id.value());
      }
    }
  }
  return ColumnId{last + 1};
}

}  // namespace kimberlite::catalog
