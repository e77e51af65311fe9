// Applying a checked change, and the catalog's own bytes.
#include <algorithm>
#include <set>

#include "catalog/catalog.hpp"
#include "codec.hpp"
#include "expression.hpp"

namespace kimberlite::catalog {

// One change that `check` let pass, at one position.
class Mutation {
 public:
  Mutation(Catalog& catalog, Position at) : catalog_(catalog), at_(at) {
    ++catalog_.version_;
    catalog_.last_change_ = at;
  }

  void operator()(const CreateTable& change) { create(catalog_.tables_, change.table); }
  void operator()(const DropTable& change) {
    for (const Index* index : catalog_.indexes_of(change.table)) drop(catalog_.indexes_, index->id);
    drop(catalog_.tables_, change.table);
  }
  void operator()(const RenameTable& change) {
    Table& table = next_version(catalog_.tables_, change.table);
    catalog_.names_.erase(table.name);
    catalog_.names_.emplace(change.name, table.id);
    table.name = change.name;
  }
  void operator()(const AddColumn& change) {
    Table& table = next_version(catalog_.tables_, change.table);
    table.columns.push_back(change.column);
    std::ranges::copy(change.checks, std::back_inserter(table.checks));
    std::ranges::copy(change.foreign_keys, std::back_inserter(table.foreign_keys));
  }
  void operator()(const DropColumn& change) {
    Table& table = next_version(catalog_.tables_, change.table);
    std::erase_if(table.columns, [&](const Column& column) { return column.id == change.column; });
    std::erase_if(table.checks,
                  [&](const Check& check) { return mentions(check.expression, change.column); });
  }
  void operator()(const RenameColumn& change) {
    Table& table = next_version(catalog_.tables_, change.table);
    std::ranges::find(table.columns, change.column, &Column::id)->name = change.name;
  }
  void operator()(const CreateIndex& change) { create(catalog_.indexes_, change.index); }
  void operator()(const DropIndex& change) { drop(catalog_.indexes_, change.index); }
  void operator()(const CreateView& change) { create(catalog_.views_, change.view); }
  void operator()(const DropView& change) { drop(catalog_.views_, change.view); }

 private:
  template <class Object>
  using Versions = std::map<ObjectId, std::vector<Version<Object>>>;

  template <class Object>
  void create(Versions<Object>& all, const Object& object) {
    all[object.id].push_back({object, catalog_.version_, at_, still_valid});
    catalog_.names_.emplace(object.name, object.id);
    ++catalog_.next_object_;
  }
  template <class Object>
  void drop(Versions<Object>& all, ObjectId id) {
    Version<Object>& last = all.at(id).back();
    last.to = at_;
    catalog_.names_.erase(last.object.name);
  }
  // Closes the current version and gives its successor, equal so far.
  Table& next_version(Versions<Table>& all, ObjectId id) {
    std::vector<Version<Table>>& versions = all.at(id);
    versions.back().to = at_;
    Table copy = versions.back().object;
    return versions.emplace_back(std::move(copy), catalog_.version_, at_, still_valid).object;
  }

  Catalog& catalog_;
  Position at_;
};

Status Catalog::apply(const Change& change, Position at) {
  if (at < last_change_ || at == still_valid) {
    return Error{Code::internal_bug, "a change of the schema at position {} comes after one at {}",
                 at.value(), last_change_.value()};
  }
  KIMBERLITE_CHECK(check(change));
  std::visit(Mutation{*this, at}, change);
  return {};
}

namespace {

template <class Object>
void encode_history(Writer& to, const std::map<ObjectId, std::vector<Version<Object>>>& all) {
  to.u32(static_cast<std::uint32_t>(all.size()));
  for (const auto& [id, versions] : all) {
    to.u32(static_cast<std::uint32_t>(versions.size()));
    for (const Version<Object>& version : versions) {
      to.u32(version.catalog_version);
      to.id(version.from);
      to.id(version.to);
      encode(to, version.object);
    }
  }
}

// What must hold between the versions of one object, and between them and the catalog (C1).
struct Bounds {
  std::uint32_t version;
  Position last_change;
};

template <class Object>
bool ordered(const std::vector<Version<Object>>& versions, const Bounds& bounds) {
  for (std::size_t i = 0; i < versions.size(); ++i) {
    const Version<Object>& version = versions[i];
    const bool last = i + 1 == versions.size();
    if (version.object.id != versions.front().object.id) return false;
    if (version.from > version.to || version.from > bounds.last_change) return false;
    if (version.to != still_valid && version.to > bounds.last_change) return false;
    if (version.catalog_version == 0 || version.catalog_version > bounds.version) return false;
    if (!last && (version.to != versions[i + 1].from ||
                  version.catalog_version >= versions[i + 1].catalog_version)) {
      return false;
    }
  }
  return !versions.empty();
}

template <class Object>
void decode_history(Reader& from, const Bounds& bounds,
                    std::map<ObjectId, std::vector<Version<Object>>>& all) {
  const std::uint32_t objects = from.u32();
  for (std::uint32_t i = 0; i < objects && !from.failed(); ++i) {
    const std::uint32_t count = from.u32();
    if (count > from.left()) from.fail();
    std::vector<Version<Object>> versions;
    for (std::uint32_t j = 0; j < count && !from.failed(); ++j) {
      Version<Object>& version = versions.emplace_back();
      version.catalog_version = from.u32();
      version.from = from.id<Position>();
      version.to = from.id<Position>();
      decode(from, version.object);
    }
    if (from.failed() || !ordered(versions, bounds)) return from.fail();
    const ObjectId id = versions.front().object.id;
    if (!all.empty() && id <= std::prev(all.end())->first) return from.fail();
    all.emplace_hint(all.end(), id, std::move(versions));
  }
}

// Lookups by column id are binary searches.
bool columns_ascend(const std::map<ObjectId, std::vector<Version<Table>>>& tables) {
  return std::ranges::all_of(tables, [](const auto& entry) {
    return std::ranges::all_of(entry.second, [](const Version<Table>& version) {
      return std::ranges::adjacent_find(version.object.columns, std::ranges::greater_equal{},
                                        &Column::id) == version.object.columns.end();
    });
  });
}

// Ids are used once over all kinds of objects (C2), standing names too (C3).
template <class Object>
bool collect(const std::map<ObjectId, std::vector<Version<Object>>>& all, std::uint32_t next_object,
             std::set<ObjectId>& ids, std::map<std::string, ObjectId, NameLess>& names) {
  for (const auto& [id, versions] : all) {
    if (id.value() == 0 || id.value() >= next_object || !ids.insert(id).second) return false;
    if (versions.back().to != still_valid) continue;
    if (!names.emplace(versions.back().object.name, id).second) return false;
  }
  return true;
}

}  // namespace

void Catalog::encode(Writer& to) const {
  to.u32(next_object_);
  to.u32(version_);
  to.id(last_change_);
  encode_history(to, tables_);
  encode_history(to, views_);
  encode_history(to, indexes_);
}

Result<Catalog> Catalog::decode(Reader& from) {
  Catalog catalog;
  catalog.next_object_ = from.u32();
  catalog.version_ = from.u32();
  catalog.last_change_ = from.id<Position>();
  const Bounds bounds{catalog.version_, catalog.last_change_};
  decode_history(from, bounds, catalog.tables_);
  decode_history(from, bounds, catalog.views_);
  decode_history(from, bounds, catalog.indexes_);

  std::set<ObjectId> ids;
  if (from.failed() || catalog.next_object_ == 0 || !columns_ascend(catalog.tables_) ||
      !collect(catalog.tables_, catalog.next_object_, ids, catalog.names_) ||
      !collect(catalog.views_, catalog.next_object_, ids, catalog.names_) ||
      !collect(catalog.indexes_, catalog.next_object_, ids, catalog.names_)) {
    return Error{Code::integrity_encoding, "a catalog is not in its canonical form"}.where(
        "before byte {}", from.at());
  }
  return catalog;
}

}  // namespace kimberlite::catalog
