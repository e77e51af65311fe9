// All schema objects a tenant ever had, each version with the positions it is valid in.
//
// Names are compared without regard to ASCII case, as SQLite does; tables, views, indexes and
// streams share one namespace (streams grow with data and live in the projection: the executor asks
// there too).
// `version()` counts the changes applied; an entry's `catalog_version` is the one its row images
// were made under. Thread rule: a value; shared only const.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/codec.hpp"
#include "catalog/change.hpp"

namespace kimberlite::catalog {

// One version of an object.
template <class Object>
struct Version {
  Object object;
  std::uint32_t catalog_version = 0;  // the first one it is part of
  Position from;
  Position to = still_valid;
  friend bool operator==(const Version&, const Version&) = default;
};

// Names compare as SQLite's do: bytes, but for ASCII case.
struct NameLess {
  using is_transparent = void;
  [[nodiscard]] bool operator()(std::string_view a, std::string_view b) const;
};
[[nodiscard]] bool same_name(std::string_view a, std::string_view b);

class Catalog {
 public:
  // Refuses, with nothing changed, whatever contradicts the catalog: a name that is taken
  // (`constraint.exists`), an object or column that is not there (`not_found.*`), one that others
  // need (`constraint.dependency`), a definition that cannot be (`sql.misuse`), more columns than
  // `columns_max`, a position before the last change's, and ids that are not the next
  // (`internal.bug`: the executor chose them). Dropping a table drops its indexes; dropping a
  // column drops the checks that name it alone.
  [[nodiscard]] Status apply(const Change& change, Position at);
  // The same checks and no effect.
  [[nodiscard]] Status check(const Change& change) const;

  // As of now; null if there is none of that name or id.
  [[nodiscard]] const Table* table(std::string_view name) const;
  [[nodiscard]] const Table* table(ObjectId id) const;
  [[nodiscard]] const View* view(std::string_view name) const;
  [[nodiscard]] const View* view(ObjectId id) const;
  [[nodiscard]] const Index* index(std::string_view name) const;
  [[nodiscard]] const Index* index(ObjectId id) const;
  // As of a position: the objects after the record at `at` was applied.
  [[nodiscard]] const Table* table_at(std::string_view name, Position at) const;
  [[nodiscard]] const Table* table_at(ObjectId id, Position at) const;
  [[nodiscard]] const View* view_at(std::string_view name, Position at) const;
  [[nodiscard]] const View* view_at(ObjectId id, Position at) const;
  [[nodiscard]] const Index* index_at(ObjectId id, Position at) const;
  // The table as it was when `catalog_version` was current: how row images of that time are read.
  // Of a table dropped by then, as it last was.
  [[nodiscard]] const Table* table_in(ObjectId id, std::uint32_t catalog_version) const;

  // What stands now, by id.
  [[nodiscard]] std::vector<const Table*> tables() const;
  [[nodiscard]] std::vector<const View*> views() const;
  [[nodiscard]] std::vector<const Index*> indexes() const;
  [[nodiscard]] std::vector<const Index*> indexes_of(ObjectId table) const;
  // Every version of every table ever, by id, then by age.
  [[nodiscard]] const std::map<ObjectId, std::vector<Version<Table>>>& table_versions() const;
  // Every column a table ever had, by id: its latest definition. History tables keep them all.
  [[nodiscard]] std::vector<Column> columns_ever(ObjectId table) const;
  // A live column; null if there is none.
  [[nodiscard]] static const Column* column(const Table& table, std::string_view name);
  [[nodiscard]] static const Column* column(const Table& table, ColumnId id);

  [[nodiscard]] ObjectId next_object() const { return ObjectId{next_object_}; }
  [[nodiscard]] ColumnId next_column(ObjectId table) const;  // of a new table: 1
  [[nodiscard]] std::uint32_t version() const { return version_; }
  // Where the schema last changed; 0: never.
  [[nodiscard]] Position last_change() const { return last_change_; }

  // Nearest existing table or view name for "did you mean", empty if none is near.
  [[nodiscard]] std::string nearest_table(std::string_view name) const;
  [[nodiscard]] static std::string nearest_column(const Table& table, std::string_view name);

  // Is there a table, view or index of this name now?
  [[nodiscard]] bool name_taken(std::string_view name) const { return names_.contains(name); }

  // Canonical, the whole history: equal catalogs have equal bytes. `integrity.encoding` for bytes
  // `encode` does not give.
  void encode(Writer& to) const;
  [[nodiscard]] static Result<Catalog> decode(Reader& from);
  friend bool operator==(const Catalog&, const Catalog&) = default;

  static constexpr std::size_t columns_max = 1000;   // a table ever had
  static constexpr std::size_t name_size_max = 255;  // bytes of any name

 private:
  friend class Mutation;

  // (C1) Versions of an object are by age, each begins where the one before ends, and the positions
  //      and catalog versions of all of them are at most last_change_ and version_.
  //                                                          [kept: Mutation; decode checks]
  // (C2) Ids of all three maps are different and below next_object_.     [kept: apply; decode
  // checks] (C3) names_ has exactly the objects whose last version is still valid. [kept: Mutation,
  // decode]
  std::map<ObjectId, std::vector<Version<Table>>> tables_;
  std::map<ObjectId, std::vector<Version<View>>> views_;
  std::map<ObjectId, std::vector<Version<Index>>> indexes_;
  std::uint32_t next_object_ = 1;
  std::uint32_t version_ = 0;
  Position last_change_;
  std::map<std::string, ObjectId, NameLess> names_;
};

}  // namespace kimberlite::catalog
