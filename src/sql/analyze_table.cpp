#include "analyze_table.hpp"

#include <algorithm>
#include <set>

#include "analyze_expression.hpp"
#include "sql/types.hpp"

namespace kimberlite::sql {
namespace {

using catalog::Catalog;
using catalog::Table;
using catalog::TypeKind;

bool is_integer(const catalog::Type& type) {
  return type.kind == TypeKind::smallint || type.kind == TypeKind::integer ||
         type.kind == TypeKind::bigint;
}

// Types whose values can be equal: what a foreign key may link.
bool may_refer(const catalog::Type& child, const catalog::Type& parent) {
  const auto family = [](const catalog::Type& type) {
    switch (type.kind) {
      case TypeKind::smallint:
      case TypeKind::integer:
      case TypeKind::bigint:
        return TypeKind::bigint;
      case TypeKind::real:
      case TypeKind::double_precision:
        return TypeKind::double_precision;
      case TypeKind::text:
      case TypeKind::varchar:
      case TypeKind::character:
        return TypeKind::text;
      default:
        return type.kind;
    }
  };
  return family(child) == family(parent);
}

// The same columns in any order.
bool same_columns(std::vector<ColumnId> a, std::vector<ColumnId> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

bool is_key(const Table& table, const std::vector<ColumnId>& columns) {
  if (!table.primary_key.empty() && same_columns(table.primary_key, columns)) return true;
  return std::ranges::any_of(table.uniques, [&](const catalog::Unique& unique) {
    return same_columns(unique.columns, columns);
  });
}

// The names given to constraints, each once.
class ConstraintNames {
 public:
  explicit ConstraintNames(const Names& names) : names_(names) {}

  Status take(const std::string& name, std::uint32_t offset) {
    if (name.empty()) return {};
    KIMBERLITE_CHECK(names_.check_spelling({.name = name, .offset = offset}, "constraint"));
    if (taken_.insert(name).second) return {};
    return names_.error(Code::constraint_exists, offset,
                        fmt::format("two constraints are called {}", display_name(name)),
                        "take another name");
  }

 private:
  const Names& names_;
  std::set<std::string, catalog::NameLess> taken_;
};

// Builds one table, or the one column that is added to it.
class TableResolver {
 public:
  TableResolver(const Names& names, Table& table)
      : names_(names), table_(table), constraint_names_(names) {}

  Status add_column(const ColumnSpec& spec, ColumnId id);
  // What needs the other columns to be there.
  Status finish_column(const ColumnSpec& spec, catalog::Column& column);
  Status set_primary_key(const KeySpec& spec);
  Status add_unique(const KeySpec& spec);
  Status add_check(const CheckSpec& spec, std::vector<catalog::Check>& to);
  Status add_foreign_key(const ForeignKeySpec& spec, std::vector<catalog::ForeignKey>& to);
  Status check_identity(const std::vector<ColumnSpec>& specs) const;
  Status set_subject(const SubjectSpec& spec);
  bool default_is_constant() const { return default_is_constant_; }

 private:
  Status refuse_generated(const std::vector<ColumnId>& columns, std::uint32_t offset,
                          std::string_view what) const;

  const Names& names_;
  Table& table_;
  ConstraintNames constraint_names_;
  bool default_is_constant_ = true;
};

Status TableResolver::add_column(const ColumnSpec& spec, ColumnId id) {
  KIMBERLITE_CHECK(names_.check_spelling(spec.name, "column"));
  if (Catalog::column(table_, spec.name.name) != nullptr) {
    return names_.error(Code::constraint_exists, spec.name.offset,
                        fmt::format("{} has a column called {} already", display_name(table_.name),
                                    display_name(spec.name.name)),
                        "take another name; names differ by more than case");
  }
  catalog::Column column;
  column.id = id;
  column.name = spec.name.name;
  column.type = spec.type;
  column.not_null = spec.not_null;
  column.identity = spec.identity;
  // Its expression is read when all columns are known; until then it says that there is one.
  if (spec.generated) column.generated.emplace();
  table_.columns.push_back(std::move(column));
  return {};
}

Status TableResolver::finish_column(const ColumnSpec& spec, catalog::Column& column) {
  if (spec.generated && (spec.default_value || spec.identity)) {
    return names_.error(Code::sql_misuse, spec.name.offset,
                        fmt::format("{} is generated and has a DEFAULT", display_name(column.name)),
                        "a column has one or the other");
  }
  if (spec.identity && spec.default_value) {
    return names_.error(Code::sql_misuse, spec.name.offset,
                        fmt::format("{} counts and has a DEFAULT", display_name(column.name)),
                        "a column has one or the other");
  }
  if (spec.generated) {
    KIMBERLITE_TRY(column.generated,
                   store_expression(names_, *spec.generated, table_, ExpressionUse::generated));
  }
  if (spec.default_value) {
    KIMBERLITE_TRY(StoredDefault stored,
                   store_default(names_, *spec.default_value, table_, column));
    column.default_value = std::move(stored.text);
    default_is_constant_ = stored.constant;
  }
  return {};
}

Status TableResolver::refuse_generated(const std::vector<ColumnId>& columns, std::uint32_t offset,
                                       std::string_view what) const {
  for (const ColumnId id : columns) {
    const catalog::Column* column = Catalog::column(table_, id);
    if (!column->generated) continue;
    return names_.error(Code::sql_misuse, offset,
                        fmt::format("the generated column {} may not be part of {}",
                                    display_name(column->name), what),
                        "name columns that are stored");
  }
  return {};
}

Status TableResolver::set_primary_key(const KeySpec& spec) {
  KIMBERLITE_CHECK(constraint_names_.take(spec.name, spec.offset));
  KIMBERLITE_TRY(table_.primary_key, names_.columns(table_, spec.columns));
  KIMBERLITE_CHECK(refuse_generated(table_.primary_key, spec.offset, "a primary key"));
  for (catalog::Column& column : table_.columns) {
    if (std::ranges::find(table_.primary_key, column.id) != table_.primary_key.end()) {
      column.not_null = true;
    }
  }
  return {};
}

Status TableResolver::add_unique(const KeySpec& spec) {
  KIMBERLITE_CHECK(constraint_names_.take(spec.name, spec.offset));
  KIMBERLITE_TRY(auto columns, names_.columns(table_, spec.columns));
  table_.uniques.push_back({.name = spec.name, .columns = std::move(columns)});
  return {};
}

Status TableResolver::add_check(const CheckSpec& spec, std::vector<catalog::Check>& to) {
  const std::uint32_t offset = names_.statement().tokens[spec.expression.first].offset;
  KIMBERLITE_CHECK(constraint_names_.take(spec.name, offset));
  KIMBERLITE_TRY(std::string stored,
                 store_expression(names_, spec.expression, table_, ExpressionUse::check));
  to.push_back({.name = spec.name, .expression = std::move(stored)});
  return {};
}

Status TableResolver::add_foreign_key(const ForeignKeySpec& spec,
                                      std::vector<catalog::ForeignKey>& to) {
  KIMBERLITE_CHECK(constraint_names_.take(spec.name, spec.parent.offset));
  catalog::ForeignKey key;
  key.name = spec.name;
  key.on_delete = spec.on_delete;
  key.on_update = spec.on_update;
  key.deferred = spec.deferred;
  KIMBERLITE_TRY(key.columns, names_.columns(table_, spec.columns));
  KIMBERLITE_CHECK(refuse_generated(key.columns, spec.columns.front().offset, "a foreign key"));
  const Table* parent = &table_;
  if (!same_name(spec.parent.name, table_.name)) {
    KIMBERLITE_TRY(parent, names_.table(spec.parent));
  }
  key.parent = parent->id;
  const std::string parent_name = display_name(parent->name);
  if (spec.parent_columns.empty()) {
    key.parent_columns = parent->primary_key;
    if (key.parent_columns.empty()) {
      return names_.error(Code::sql_misuse, spec.parent.offset,
                          fmt::format("{} has no primary key to refer to", parent_name),
                          "name the columns of a UNIQUE constraint after the table");
    }
  } else {
    KIMBERLITE_TRY(key.parent_columns, names_.columns(*parent, spec.parent_columns));
  }
  if (key.columns.size() != key.parent_columns.size()) {
    return names_.error(
        Code::sql_misuse, spec.parent.offset,
        fmt::format("{} columns refer to {}", key.columns.size(), key.parent_columns.size()),
        "name as many columns on both sides");
  }
  if (!is_key(*parent, key.parent_columns)) {
    return names_.error(Code::sql_misuse, spec.parent.offset,
                        fmt::format("these columns are no key of {}", parent_name),
                        "a foreign key refers to the PRIMARY KEY or to one UNIQUE constraint");
  }
  for (std::size_t i = 0; i < key.columns.size(); ++i) {
    const catalog::Type& child = Catalog::column(table_, key.columns[i])->type;
    const catalog::Type& referred = Catalog::column(*parent, key.parent_columns[i])->type;
    if (may_refer(child, referred)) continue;
    return names_.error(Code::type_mismatch, spec.columns[i].offset,
                        fmt::format("{} cannot refer to {}", type_name(child), type_name(referred)),
                        "give both columns the same type");
  }
  to.push_back(std::move(key));
  return {};
}

// A column that counts is SQLite's AUTOINCREMENT, which only a sole integer key can be.
Status TableResolver::check_identity(const std::vector<ColumnSpec>& specs) const {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!specs[i].identity) continue;
    const catalog::Column& column = table_.columns[i];
    const std::string shown = display_name(column.name);
    if (!is_integer(column.type)) {
      return names_.error(Code::type_mismatch, specs[i].name.offset,
                          fmt::format("{} counts, and is no integer", shown),
                          "SMALLINT, INTEGER or BIGINT");
    }
    if (table_.primary_key.size() != 1 || table_.primary_key.front() != column.id) {
      return names_.error(Code::sql_unsupported, specs[i].name.offset,
                          fmt::format("{} counts, and is not the primary key", shown),
                          fmt::format("add PRIMARY KEY to {}, or leave IDENTITY out", shown));
    }
  }
  return {};
}

Status TableResolver::set_subject(const SubjectSpec& spec) {
  catalog::Subject subject;
  subject.none = spec.none;
  if (!spec.none) {
    subject.type = spec.type;
    KIMBERLITE_TRY(subject.column, names_.column(table_, spec.column));
    KIMBERLITE_CHECK(refuse_generated({subject.column}, spec.column.offset, "a subject"));
  }
  table_.subject = std::move(subject);
  return {};
}

std::string no_key_notice(const Table& table) {
  return fmt::format(
      "{} has no primary key: it cannot have ON CONFLICT or be referred to by a foreign key, and "
      "a retry under a new request id inserts its rows again; its rows are told apart by __row",
      display_name(table.name));
}

}  // namespace

Result<Resolved> resolve_create_table(const Names& names, const CreateTableDdl& ddl) {
  Resolved out;
  const Catalog& catalog = names.catalog();
  if (ddl.if_not_exists && catalog.table(ddl.name.name) != nullptr) {
    out.notices.push_back(
        fmt::format("{} is there already: nothing was done", display_name(ddl.name.name)));
    return out;
  }
  KIMBERLITE_CHECK(names.check_new(ddl.name, "table"));
  Table table;
  table.id = catalog.next_object();
  table.name = ddl.name.name;
  table.data_class = ddl.data_class;
  table.retention = ddl.retention;
  TableResolver resolver{names, table};
  for (const ColumnSpec& spec : ddl.columns) {
    const auto id = static_cast<std::uint32_t>(table.columns.size() + 1);
    KIMBERLITE_CHECK(resolver.add_column(spec, ColumnId{id}));
  }
  if (ddl.primary_key) KIMBERLITE_CHECK(resolver.set_primary_key(*ddl.primary_key));
  for (std::size_t i = 0; i < ddl.columns.size(); ++i) {
    KIMBERLITE_CHECK(resolver.finish_column(ddl.columns[i], table.columns[i]));
  }
  KIMBERLITE_CHECK(resolver.check_identity(ddl.columns));
  for (const KeySpec& spec : ddl.uniques) KIMBERLITE_CHECK(resolver.add_unique(spec));
  for (const CheckSpec& spec : ddl.checks) {
    KIMBERLITE_CHECK(resolver.add_check(spec, table.checks));
  }
  for (const ForeignKeySpec& spec : ddl.foreign_keys) {
    KIMBERLITE_CHECK(resolver.add_foreign_key(spec, table.foreign_keys));
  }
  if (ddl.subject) KIMBERLITE_CHECK(resolver.set_subject(*ddl.subject));
  if (std::ranges::all_of(table.columns, [](const auto& c) { return c.generated.has_value(); })) {
    return names.error(Code::sql_misuse, ddl.name.offset, "all columns are generated",
                       "a table has at least one column that is stored");
  }
  if (table.primary_key.empty()) out.notices.push_back(no_key_notice(table));
  if (ddl.primary_key && !ddl.primary_key->name.empty()) {
    out.notices.push_back("the name of a primary key is not kept");
  }
  for (const ColumnSpec& spec : ddl.columns) {
    if (!spec.always) continue;
    out.notices.push_back(fmt::format("{} takes a value that INSERT gives, as with BY DEFAULT",
                                      display_name(spec.name.name)));
  }
  out.change = catalog::CreateTable{std::move(table)};
  return out;
}

// What SQLite could not add to rows that are there already is refused before they are asked for.
Result<Resolved> resolve_add_column(const Names& names, const AddColumnDdl& ddl) {
  Resolved out;
  const Table* found = nullptr;
  KIMBERLITE_TRY(found, ddl.if_exists ? names.table_if_any(ddl.table) : names.table(ddl.table));
  if (found == nullptr) {
    out.notices.push_back(
        fmt::format("there is no table {}: nothing was done", display_name(ddl.table.name)));
    return out;
  }
  const ColumnSpec& spec = ddl.column;
  const std::string shown = display_name(spec.name.name);
  if (ddl.if_not_exists && Catalog::column(*found, spec.name.name) != nullptr) {
    out.notices.push_back(fmt::format("{} is there already: nothing was done", shown));
    return out;
  }
  Table table = *found;
  TableResolver resolver{names, table};
  KIMBERLITE_CHECK(resolver.add_column(spec, names.catalog().next_column(table.id)));
  KIMBERLITE_CHECK(resolver.finish_column(spec, table.columns.back()));
  catalog::AddColumn add;
  add.table = table.id;
  add.column = table.columns.back();
  if (!resolver.default_is_constant()) {
    return names.error(Code::sql_unsupported, spec.name.offset,
                       fmt::format("{} would be added with a DEFAULT that is no constant", shown),
                       "add it with a literal, or without a DEFAULT, then UPDATE");
  }
  if (add.column.not_null && !add.column.default_value && !add.column.generated) {
    return names.error(Code::sql_misuse, spec.name.offset,
                       fmt::format("{} would be added NOT NULL and without a DEFAULT", shown),
                       "give a DEFAULT for the rows that are there");
  }
  for (const CheckSpec& check : ddl.checks) {
    KIMBERLITE_CHECK(resolver.add_check(check, add.checks));
  }
  for (const ForeignKeySpec& key : ddl.foreign_keys) {
    if (add.column.default_value) {
      return names.error(Code::sql_unsupported, key.parent.offset,
                         fmt::format("{} would be added with a DEFAULT and REFERENCES", shown),
                         "add it without the DEFAULT, then UPDATE");
    }
    KIMBERLITE_CHECK(resolver.add_foreign_key(key, add.foreign_keys));
  }
  out.change = std::move(add);
  return out;
}

}  // namespace kimberlite::sql
