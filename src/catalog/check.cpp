// What a change must fit before it is applied. Nothing here changes the catalog.
#include <algorithm>
#include <functional>
#include <set>
#include <span>

#include "catalog/catalog.hpp"
#include "expression.hpp"

namespace kimberlite::catalog {
namespace {

template <class Item, class Value, class Projection = std::identity>
bool contains(const std::vector<Item>& items, const Value& value, Projection projection = {}) {
  return std::ranges::find(items, value, projection) != items.end();
}

Status check_name(std::string_view what, std::string_view name) {
  if (name.empty()) return Error{Code::sql_misuse, "a {} needs a name", what};
  if (name.size() > Catalog::name_size_max) {
    return Error{Code::limit_name, "the name of a {} is {} bytes long", what, name.size()}.why(
        "a name has at most {} bytes", Catalog::name_size_max);
  }
  if (!is_utf8_text(name)) {
    return Error{Code::sql_text, "the name of a {} is not UTF-8 text", what};
  }
  return {};
}

Error wrong_id(std::string_view what, std::uint32_t id, std::uint32_t next) {
  return Error{Code::internal_bug, "a new {} has the id {}, and the next one is {}", what, id,
               next};
}

Error no_table(ObjectId id) {
  return Error{Code::not_found_table, "there is no table with the id {}", id.value()};
}

Error no_column(const Table& table, ColumnId id) {
  return Error{Code::not_found_column, "table {} has no column with the id {}", table.name,
               id.value()};
}

// All of `columns` are in the table, none twice.
Status check_columns(const Table& table, std::span<const ColumnId> columns, std::string_view what) {
  if (columns.empty()) {
    return Error{Code::sql_misuse, "a {} of table {} names no column", what, table.name};
  }
  std::set<ColumnId> seen;
  for (const ColumnId id : columns) {
    if (Catalog::column(table, id) == nullptr) return no_column(table, id);
    if (!seen.insert(id).second) {
      return Error{Code::sql_misuse, "a {} of table {} names column {} twice", what, table.name,
                   Catalog::column(table, id)->name};
    }
  }
  return {};
}

bool same_set(std::vector<ColumnId> a, std::vector<ColumnId> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

bool is_key_of(const Table& parent, const std::vector<ColumnId>& columns) {
  return (!parent.primary_key.empty() && same_set(parent.primary_key, columns)) ||
         std::ranges::any_of(parent.uniques, [&](const Unique& unique) {
           return same_set(unique.columns, columns);
         });
}

// `table` is the one that refers, as it will be.
Status check_foreign_key(const Catalog& catalog, const Table& table, const ForeignKey& key) {
  KIMBERLITE_CHECK(check_columns(table, key.columns, "foreign key"));
  const Table* parent = key.parent == table.id ? &table : catalog.table(key.parent);
  if (parent == nullptr) return no_table(key.parent);
  KIMBERLITE_CHECK(check_columns(*parent, key.parent_columns, "foreign key"));
  if (key.columns.size() != key.parent_columns.size()) {
    return Error{Code::sql_misuse, "a foreign key of table {} has {} columns and refers to {}",
                 table.name, key.columns.size(), key.parent_columns.size()};
  }
  if (!is_key_of(*parent, key.parent_columns)) {
    return Error{Code::sql_misuse, "a foreign key of table {} does not refer to a key of table {}",
                 table.name, parent->name}
        .why("the columns referred to must be the PRIMARY KEY or one UNIQUE constraint");
  }
  return {};
}

Status check_column(const Column& column) {
  KIMBERLITE_CHECK(check_name("column", column.name));
  if (column.type.kind == TypeKind::decimal && column.type.scale > column.type.precision) {
    return Error{Code::sql_misuse, "column {} has more digits after the point than in all",
                 column.name};
  }
  return {};
}

// Columns in order of id, each name once, at most one of them counting.
Status check_column_list(const Table& table) {
  if (table.columns.empty()) {
    return Error{Code::sql_misuse, "table {} has no column", table.name};
  }
  if (table.columns.size() > Catalog::columns_max) {
    return Error{Code::limit_columns, "table {} has {} columns", table.name, table.columns.size()}
        .why("a table has at most {}", Catalog::columns_max);
  }
  std::set<std::string_view, NameLess> names;
  std::uint32_t next = 1;
  for (const Column& column : table.columns) {
    KIMBERLITE_CHECK(check_column(column));
    if (column.id.value() != next) return wrong_id("column", column.id.value(), next);
    ++next;
    if (!names.insert(column.name).second) {
      return Error{Code::constraint_exists, "table {} has two columns called {}", table.name,
                   column.name};
    }
  }
  return {};
}

Status check_new_name(const Catalog& catalog, std::string_view what, std::string_view name) {
  KIMBERLITE_CHECK(check_name(what, name));
  if (catalog.name_taken(name)) {
    return Error{Code::constraint_exists, "there is a table, view or index called {} already",
                 name};
  }
  return {};
}

// The name of a view that uses the object, null if none does.
const View* user_of(const Catalog& catalog, ObjectId object) {
  for (const View* view : catalog.views()) {
    if (contains(view->uses, object)) return view;
  }
  return nullptr;
}

Error needed(std::string_view what, std::string_view name, std::string_view by_what,
             std::string_view by) {
  return Error{Code::constraint_dependency, "{} {} is needed by {} {}", what, name, by_what, by};
}

Status check_not_viewed(const Catalog& catalog, const Table& table) {
  if (const View* view = user_of(catalog, table.id)) {
    return needed("table", table.name, "view", view->name).next("DROP VIEW {} first", view->name);
  }
  return {};
}

Status check_column_not_viewed(const Catalog& catalog, const Table& table, const Column& column) {
  for (const View* view : catalog.views()) {
    if (contains(view->uses, table.id) && might_name(view->select, column.name)) {
      return needed("column", column.name, "view", view->name)
          .next("DROP VIEW {} first", view->name);
    }
  }
  return {};
}

// Parts of the table itself that a column cannot be taken from.
Status check_column_free(const Table& table, const Column& column) {
  const auto in = [&](const std::vector<ColumnId>& columns) {
    return contains(columns, column.id);
  };
  if (in(table.primary_key)) return needed("column", column.name, "the primary key of", table.name);
  for (const Unique& unique : table.uniques) {
    if (in(unique.columns)) {
      return needed("column", column.name, "a UNIQUE constraint of", table.name);
    }
  }
  for (const ForeignKey& key : table.foreign_keys) {
    if (in(key.columns) || (key.parent == table.id && in(key.parent_columns))) {
      return needed("column", column.name, "a foreign key of", table.name);
    }
  }
  for (const Check& check : table.checks) {
    if (mentions(check.expression, column.id) && mentions_other(check.expression, column.id)) {
      return needed("column", column.name, "a CHECK constraint of", table.name);
    }
  }
  for (const Column& other : table.columns) {
    if (other.generated && mentions(*other.generated, column.id)) {
      return needed("column", column.name, "generated column", other.name);
    }
  }
  if (table.subject && !table.subject->none && table.subject->column == column.id) {
    return needed("column", column.name, "the subject of", table.name);
  }
  return {};
}

// Other tables and indexes that a column cannot be taken from.
Status check_column_unreferred(const Catalog& catalog, const Table& table, const Column& column) {
  for (const Table* other : catalog.tables()) {
    for (const ForeignKey& key : other->foreign_keys) {
      if (key.parent == table.id && contains(key.parent_columns, column.id)) {
        return needed("column", column.name, "a foreign key of", other->name);
      }
    }
  }
  for (const Index* index : catalog.indexes_of(table.id)) {
    if (contains(index->columns, column.id, &IndexColumn::column)) {
      return needed("column", column.name, "index", index->name)
          .next("DROP INDEX {} first", index->name);
    }
  }
  return {};
}

class Checker {
 public:
  explicit Checker(const Catalog& catalog) : catalog_(catalog) {}

  Status operator()(const CreateTable& change) const {
    const Table& table = change.table;
    KIMBERLITE_CHECK(check_new_name(catalog_, "table", table.name));
    KIMBERLITE_CHECK(check_next_object("table", table.id));
    KIMBERLITE_CHECK(check_column_list(table));
    if (!table.primary_key.empty()) {
      KIMBERLITE_CHECK(check_columns(table, table.primary_key, "PRIMARY KEY"));
    }
    for (const Unique& unique : table.uniques) {
      KIMBERLITE_CHECK(check_columns(table, unique.columns, "UNIQUE constraint"));
    }
    for (const ForeignKey& key : table.foreign_keys) {
      KIMBERLITE_CHECK(check_foreign_key(catalog_, table, key));
    }
    if (table.subject && !table.subject->none &&
        Catalog::column(table, table.subject->column) == nullptr) {
      return no_column(table, table.subject->column);
    }
    return {};
  }

  Status operator()(const DropTable& change) const {
    const Table* table = catalog_.table(change.table);
    if (table == nullptr) return no_table(change.table);
    for (const Table* other : catalog_.tables()) {
      if (other != table && contains(other->foreign_keys, table->id, &ForeignKey::parent)) {
        return needed("table", table->name, "a foreign key of", other->name)
            .next("DROP TABLE {} first", other->name);
      }
    }
    return check_not_viewed(catalog_, *table);
  }

  Status operator()(const RenameTable& change) const {
    const Table* table = catalog_.table(change.table);
    if (table == nullptr) return no_table(change.table);
    if (same_name(table->name, change.name)) {  // another spelling of its own name is free
      KIMBERLITE_CHECK(check_name("table", change.name));
    } else {
      KIMBERLITE_CHECK(check_new_name(catalog_, "table", change.name));
    }
    return check_not_viewed(catalog_, *table);
  }

  Status operator()(const AddColumn& change) const {
    const Table* table = catalog_.table(change.table);
    if (table == nullptr) return no_table(change.table);
    KIMBERLITE_CHECK(check_column(change.column));
    if (Catalog::column(*table, change.column.name) != nullptr) {
      return Error{Code::constraint_exists, "table {} has a column called {} already", table->name,
                   change.column.name};
    }
    const ColumnId next = catalog_.next_column(table->id);
    if (change.column.id != next) {
      return wrong_id("column", change.column.id.value(), next.value());
    }
    if (next.value() > Catalog::columns_max) {
      return Error{Code::limit_columns, "table {} had {} columns already", table->name,
                   Catalog::columns_max}
          .why("dropped ones count, as their past is kept");
    }
    Table after = *table;
    after.columns.push_back(change.column);
    for (const ForeignKey& key : change.foreign_keys) {
      KIMBERLITE_CHECK(check_foreign_key(catalog_, after, key));
    }
    return {};
  }

  Status operator()(const DropColumn& change) const {
    const Table* table = catalog_.table(change.table);
    if (table == nullptr) return no_table(change.table);
    const Column* column = Catalog::column(*table, change.column);
    if (column == nullptr) return no_column(*table, change.column);
    KIMBERLITE_CHECK(check_column_free(*table, *column));
    KIMBERLITE_CHECK(check_column_unreferred(catalog_, *table, *column));
    KIMBERLITE_CHECK(check_column_not_viewed(catalog_, *table, *column));
    if (table->columns.size() == 1) {
      return Error{Code::constraint_dependency, "column {} is the only one of table {}",
                   column->name, table->name}
          .next("DROP TABLE {}", table->name);
    }
    return {};
  }

  Status operator()(const RenameColumn& change) const {
    const Table* table = catalog_.table(change.table);
    if (table == nullptr) return no_table(change.table);
    const Column* column = Catalog::column(*table, change.column);
    if (column == nullptr) return no_column(*table, change.column);
    KIMBERLITE_CHECK(check_name("column", change.name));
    const Column* other = Catalog::column(*table, change.name);
    if (other != nullptr && other != column) {
      return Error{Code::constraint_exists, "table {} has a column called {} already", table->name,
                   change.name};
    }
    return check_column_not_viewed(catalog_, *table, *column);
  }

  Status operator()(const CreateIndex& change) const {
    const Index& index = change.index;
    KIMBERLITE_CHECK(check_new_name(catalog_, "index", index.name));
    KIMBERLITE_CHECK(check_next_object("index", index.id));
    const Table* table = catalog_.table(index.table);
    if (table == nullptr) return no_table(index.table);
    std::vector<ColumnId> columns;
    columns.reserve(index.columns.size());
    for (const IndexColumn& column : index.columns) columns.push_back(column.column);
    return check_columns(*table, columns, "index");
  }

  Status operator()(const DropIndex& change) const {
    if (catalog_.index(change.index) != nullptr) return {};
    return Error{Code::not_found_object, "there is no index with the id {}", change.index.value()};
  }

  Status operator()(const CreateView& change) const {
    const View& view = change.view;
    KIMBERLITE_CHECK(check_new_name(catalog_, "view", view.name));
    KIMBERLITE_CHECK(check_next_object("view", view.id));
    std::set<std::string_view, NameLess> names;
    for (const std::string& name : view.column_names) {
      KIMBERLITE_CHECK(check_name("column", name));
      if (!names.insert(name).second) {
        return Error{Code::constraint_exists, "view {} has two columns called {}", view.name, name};
      }
    }
    for (const ObjectId id : view.uses) {
      if (catalog_.table(id) == nullptr && catalog_.view(id) == nullptr) return no_table(id);
    }
    return {};
  }

  Status operator()(const DropView& change) const {
    const View* view = catalog_.view(change.view);
    if (view == nullptr) {
      return Error{Code::not_found_object, "there is no view with the id {}", change.view.value()};
    }
    if (const View* user = user_of(catalog_, view->id)) {
      return needed("view", view->name, "view", user->name).next("DROP VIEW {} first", user->name);
    }
    return {};
  }

 private:
  Status check_next_object(std::string_view what, ObjectId id) const {
    if (id == catalog_.next_object()) return {};
    return wrong_id(what, id.value(), catalog_.next_object().value());
  }

  const Catalog& catalog_;
};

}  // namespace

Status Catalog::check(const Change& change) const {
  constexpr std::uint32_t numbers_max = std::numeric_limits<std::uint32_t>::max();
  if (version_ == numbers_max || next_object_ == numbers_max) {
    return Error{Code::limit_command, "this schema has been changed 2^32 times and can be no more"};
  }
  return std::visit(Checker{*this}, change);
}

}  // namespace kimberlite::catalog
