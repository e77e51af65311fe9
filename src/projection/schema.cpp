#include "schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <ranges>

#include "base/assert.hpp"
#include "sql/rewrite.hpp"
#include "sql/types.hpp"

namespace kimberlite::projection {
namespace {

constexpr std::string_view type_check_prefix = "__type_";    // table id _ column id
constexpr std::string_view table_check_prefix = "__check_";  // table id

std::string join(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

const catalog::Column& column_of(const catalog::Table& table, ColumnId id) {
  const catalog::Column* column = catalog::Catalog::column(table, id);
  KIMBERLITE_ASSERT(column != nullptr);  // the catalog holds no id that is not there
  return *column;
}

std::string column_names(const catalog::Table& table, const std::vector<ColumnId>& ids) {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (const ColumnId id : ids) names.push_back(quoted(column_of(table, id).name));
  return join(names);
}

// Type and collation: the same for a column and its history, or `AS OF … WHERE z = '5'` would
// compare otherwise.
std::string stored_as(const catalog::Type& type) {
  const std::string_view collation = sql::collation_name(type);
  return collation.empty() ? std::string{sql::storage_class(type)}
                           : fmt::format("{} COLLATE {}", sql::storage_class(type), collation);
}

std::string_view action_text(catalog::ForeignKeyAction action) {
  switch (action) {
    case catalog::ForeignKeyAction::no_action:
      return "NO ACTION";
    case catalog::ForeignKeyAction::restrict:
      return "RESTRICT";
    case catalog::ForeignKeyAction::cascade:
      return "CASCADE";
    case catalog::ForeignKeyAction::set_null:
      return "SET NULL";
    case catalog::ForeignKeyAction::set_default:
      return "SET DEFAULT";
  }
  return "NO ACTION";
}

std::string references(const catalog::Catalog& catalog, const catalog::Table& child,
                       const catalog::ForeignKey& key) {
  const catalog::Table* parent = key.parent == child.id ? &child : catalog.table(key.parent);
  KIMBERLITE_ASSERT(parent != nullptr);  // the catalog drops no table others refer to
  return fmt::format("REFERENCES {}({}) ON DELETE {} ON UPDATE {}{}", quoted(parent->name),
                     column_names(*parent, key.parent_columns), action_text(key.on_delete),
                     action_text(key.on_update),
                     key.deferred ? " DEFERRABLE INITIALLY DEFERRED" : "");
}

std::string named_constraint(std::string_view name) {
  return name.empty() ? std::string{} : fmt::format("CONSTRAINT {} ", quoted(name));
}

// A CHECK always has a name: SQLite puts an unnamed one's expression into the error.
Result<std::string> check_clause(const catalog::Table& table, const catalog::Check& check) {
  KIMBERLITE_TRY(const std::string expression, sql::rewrite_expression(check.expression, table));
  const std::string name =
      check.name.empty() ? fmt::format("{}{}", table_check_prefix, table.id.value()) : check.name;
  return fmt::format("CONSTRAINT {} CHECK ({})", quoted(name), expression);
}

// The column a CHECK names, if it names one alone: it stands with the column, and is dropped with
// it.
std::optional<ColumnId> only_column(std::string_view expression) {
  std::optional<ColumnId> only;
  const Result<std::vector<sql::Token>> tokens = sql::tokenize(expression);
  if (!tokens) return std::nullopt;
  for (const sql::Token& token : *tokens) {
    if (token.kind != sql::TokenKind::quoted_name || !token.text.starts_with("\"@")) continue;
    std::uint32_t id = 0;
    std::from_chars(token.text.data() + 2, token.text.data() + token.text.size(), id);
    if (only && *only != ColumnId{id}) return std::nullopt;
    only = ColumnId{id};
  }
  return only;
}

bool contains(const std::vector<ColumnId>& ids, ColumnId id) {
  return std::ranges::find(ids, id) != ids.end();
}

bool is_rowid_key(const catalog::Table& table, const catalog::Column& column) {
  return table.primary_key.size() == 1 && table.primary_key[0] == column.id &&
         sql::storage_class(column.type) == "INTEGER" && !column.generated;
}

// `default_text`: in the place of the column's own expression.
Result<std::string> column_definition(const catalog::Table& table, const catalog::Column& column,
                                      std::optional<std::string> default_text = std::nullopt) {
  std::string text = fmt::format("{} {}", quoted(column.name), stored_as(column.type));
  if (is_rowid_key(table, column)) {
    text += column.identity ? " PRIMARY KEY AUTOINCREMENT" : " PRIMARY KEY";
  }
  if (column.not_null || contains(table.primary_key, column.id)) text += " NOT NULL";
  if (!default_text && column.default_value) {
    KIMBERLITE_TRY(default_text, sql::rewrite_expression(*column.default_value, table));
  }
  if (default_text && !default_text->empty()) text += fmt::format(" DEFAULT ({})", *default_text);
  if (column.generated) {
    KIMBERLITE_TRY(const std::string expression, sql::rewrite_expression(*column.generated, table));
    text += fmt::format(" GENERATED ALWAYS AS ({}) VIRTUAL", expression);
  }
  const std::string check = sql::check_expression(column.type, quoted(column.name));
  if (!check.empty()) {
    text += fmt::format(" CONSTRAINT {}{}_{} CHECK ({})", type_check_prefix, table.id.value(),
                        column.id.value(), check);
  }
  return text;
}

// The history column's definition; generated columns have none.
std::string history_definition(const catalog::Column& column) {
  return fmt::format("{} {}", quoted(history_column(column.id)), stored_as(column.type));
}

std::string history_insert(const catalog::Table& table, std::string_view row) {
  std::vector<std::string> to;
  std::vector<std::string> from;
  for (const catalog::Column& column : table.columns) {
    if (column.generated) continue;
    to.push_back(quoted(history_column(column.id)));
    from.push_back(fmt::format("{}{}", row, quoted(column.name)));
  }
  if (table.primary_key.empty()) {
    to.emplace_back("__row");
    from.push_back(fmt::format("{}__row", row));
  }
  to.insert(to.end(), {"__from", "__to"});
  from.insert(from.end(), {fmt::format("{}__from", row), "kmb_position()"});
  return fmt::format("INSERT INTO {}({}) {}{}", quoted(history_name(table.id)), join(to),
                     row.empty() ? "SELECT " : "VALUES (", join(from)) +
         (row.empty() ? fmt::format(" FROM {}", quoted(table.name)) : ")");
}

std::string create_history(const catalog::Table& table) {
  std::vector<std::string> parts;
  std::vector<std::string> key;
  if (table.primary_key.empty()) {
    parts.emplace_back("__row INTEGER");
    key.emplace_back("__row");
  }
  parts.insert(parts.end(), {"__from INTEGER", "__to INTEGER"});
  for (const catalog::Column& column : table.columns) {
    if (!column.generated) parts.push_back(history_definition(column));
  }
  for (const ColumnId id : table.primary_key) key.push_back(quoted(history_column(id)));
  key.emplace_back("__from");
  parts.push_back(fmt::format("PRIMARY KEY ({})", join(key)));
  return fmt::format("CREATE TABLE {}({}) STRICT, WITHOUT ROWID", quoted(history_name(table.id)),
                     join(parts));
}

bool may_cascade(const catalog::Table& table) {
  using enum catalog::ForeignKeyAction;
  const auto changes_rows = [](catalog::ForeignKeyAction action) {
    return action == cascade || action == set_null || action == set_default;
  };
  return std::ranges::any_of(table.foreign_keys, [&](const catalog::ForeignKey& key) {
    return changes_rows(key.on_delete) || changes_rows(key.on_update);
  });
}

// A past version is looked up by unique columns as a current row is.
std::string history_unique_index(const catalog::Table& table, std::size_t number,
                                 const catalog::Unique& unique) {
  std::vector<std::string> columns;
  columns.reserve(unique.columns.size());
  for (const ColumnId id : unique.columns) columns.push_back(quoted(history_column(id)));
  return fmt::format("CREATE INDEX {} ON {}({})",
                     quoted(fmt::format("__hu_{}_{}", table.id.value(), number)),
                     quoted(history_name(table.id)), join(columns));
}

Position added_at(const catalog::Catalog& catalog, ObjectId table, ColumnId column) {
  const auto& versions = catalog.table_versions().at(table);
  for (const auto& version : versions) {
    if (catalog::Catalog::column(version.object, column) == nullptr) continue;
    return &version == &versions.front() ? Position{} : version.from;
  }
  return {};
}

// As SQLite has the columns: a rowid key first, generated ones last, then what was added in its
// order. Behind a generated column the preupdate hook of SQLite 3.40.1 gives the key for its
// neighbour, and looks at the neighbour's type to make a double of an integer.
std::vector<const catalog::Column*> physical_order(const catalog::Catalog& catalog,
                                                   const catalog::Table& table) {
  const auto place = [&](const catalog::Column* column) {
    if (is_rowid_key(table, *column)) return 0;
    if (added_at(catalog, table.id, column->id).value() != 0) return 3;
    return column->generated ? 2 : 1;
  };
  std::vector<const catalog::Column*> order;
  order.reserve(table.columns.size());
  for (const catalog::Column& column : table.columns) order.push_back(&column);
  std::ranges::stable_sort(order, {}, place);
  return order;
}

// Behind `__from` and `__to` the history's columns ascend by id, dropped ones among them.
int history_index(const catalog::Catalog& catalog, ObjectId table, ColumnId column) {
  int index = 2;
  for (const catalog::Column& ever : catalog.columns_ever(table)) {
    if (ever.id < column && !ever.generated) ++index;
  }
  return index;
}

}  // namespace

bool Layout::is_key(std::size_t image_index) const {
  return std::ranges::find(key, image_index) != key.end();
}

Layout layout_of(const catalog::Catalog& catalog, const catalog::Table& table) {
  Layout layout;
  layout.table = table.id;
  layout.name = table.name;
  layout.hidden_key = table.primary_key.empty();
  layout.cascades = may_cascade(table);
  // The preupdate hook skips generated columns when it counts (checked on 3.40.1).
  int hook_index = layout.hidden_key ? hook_index_row + 1 : hook_index_from + 1;
  int declared_index = hook_index - 1;
  std::map<ColumnId, int> declared;
  std::map<ColumnId, int> stored;
  for (const catalog::Column* column : physical_order(catalog, table)) {
    declared[column->id] = ++declared_index;
    if (!column->generated) stored[column->id] = hook_index++;
  }
  for (const catalog::Column& column : table.columns) {
    if (column.generated) continue;
    const bool spelled = sql::order_of(column.type) != sql::Order::binary ||
                         column.type.kind == catalog::TypeKind::decimal;
    const bool real = sql::storage_class(column.type) == "REAL";
    layout.image.push_back(
        {column.id, column.name, column.type, stored[column.id], declared[column.id], spelled, real,
         sql::storage_class(column.type) == "INTEGER", added_at(catalog, table.id, column.id)});
    layout.any_spelled = layout.any_spelled || spelled;
    layout.identity = layout.identity || column.identity;
  }
  for (const ColumnId id : table.primary_key) {
    const auto found = std::ranges::find(layout.image, id, &ColumnLayout::id);
    KIMBERLITE_ASSERT(found != layout.image.end());  // a generated column is no key
    layout.key.push_back(static_cast<std::size_t>(found - layout.image.begin()));
    layout.history_key.push_back(history_index(catalog, table.id, id));
  }
  if (layout.hidden_key) layout.history_key.push_back(0);
  return layout;
}

std::string history_name(ObjectId table) { return fmt::format("__h_{}", table.value()); }
std::string history_column(ColumnId column) { return fmt::format("c{}", column.value()); }
std::string index_name(ObjectId index) { return fmt::format("__i_{}", index.value()); }

std::string key_predicate(const Layout& layout, int first, bool history) {
  if (layout.hidden_key) return fmt::format("__row = ?{}", first);
  std::string text;
  for (std::size_t i = 0; i < layout.key.size(); ++i) {
    const ColumnLayout& column = layout.image[layout.key[i]];
    text += fmt::format("{}{} = ?{}", i == 0 ? "" : " AND ",
                        quoted(history ? history_column(column.id) : column.name),
                        first + static_cast<int>(i));
  }
  return text;
}

Result<Script> create_table(const catalog::Catalog& catalog, const catalog::Table& table) {
  std::vector<std::string> parts{"__from INTEGER NOT NULL DEFAULT (kmb_position())"};
  if (table.primary_key.empty()) {
    parts.emplace_back("__row INTEGER NOT NULL PRIMARY KEY DEFAULT (kmb_row())");
  }
  bool rowid_key = false;
  for (const catalog::Column* column : physical_order(catalog, table)) {
    KIMBERLITE_TRY(std::string definition, column_definition(table, *column));
    for (const catalog::Check& check : table.checks) {
      if (only_column(check.expression) != column->id) continue;
      KIMBERLITE_TRY(const std::string clause, check_clause(table, check));
      definition += " " + clause;
    }
    parts.push_back(std::move(definition));
    rowid_key = rowid_key || is_rowid_key(table, *column);
  }
  if (!table.primary_key.empty() && !rowid_key) {
    parts.push_back(fmt::format("PRIMARY KEY ({})", column_names(table, table.primary_key)));
  }
  for (const catalog::Unique& unique : table.uniques) {
    parts.push_back(fmt::format("{}UNIQUE ({})", named_constraint(unique.name),
                                column_names(table, unique.columns)));
  }
  for (const catalog::Check& check : table.checks) {
    if (only_column(check.expression)) continue;
    KIMBERLITE_TRY(std::string clause, check_clause(table, check));
    parts.push_back(std::move(clause));
  }
  for (const catalog::ForeignKey& key : table.foreign_keys) {
    parts.push_back(fmt::format("{}FOREIGN KEY ({}) {}", named_constraint(key.name),
                                column_names(table, key.columns), references(catalog, table, key)));
  }
  Script script{fmt::format("CREATE TABLE {}({}) STRICT{}", quoted(table.name), join(parts),
                            table.primary_key.empty() ? ", WITHOUT ROWID" : ""),
                create_history(table)};
  for (std::size_t i = 0; i < table.uniques.size(); ++i) {
    script.push_back(history_unique_index(table, i, table.uniques[i]));
  }
  std::ranges::move(create_triggers(table), std::back_inserter(script));
  return script;
}

Script drop_table(const catalog::Table& table) {
  Script script{history_insert(table, "")};
  std::ranges::move(drop_triggers(table.id), std::back_inserter(script));
  script.push_back(fmt::format("DROP TABLE {}", quoted(table.name)));
  return script;
}

Script create_triggers(const catalog::Table& table) {
  const std::string name = quoted(table.name);
  const std::uint32_t id = table.id.value();
  const std::string keep = history_insert(table, "OLD.");
  std::vector<std::string> columns;
  for (const catalog::Column& column : table.columns) {
    if (!column.generated) columns.push_back(quoted(column.name));
  }
  // OF the user's columns: raising `__from` alone supersedes nothing.
  Script script{
      fmt::format("CREATE TRIGGER __u_{} AFTER UPDATE OF {} ON {} WHEN OLD.__from < kmb_position() "
                  "BEGIN {}; END",
                  id, join(columns), name, keep),
      fmt::format("CREATE TRIGGER __d_{} AFTER DELETE ON {} WHEN OLD.__from < kmb_position() "
                  "BEGIN {}; END",
                  id, name, keep)};
  if (may_cascade(table)) {
    std::vector<std::string> key;
    for (const ColumnId column : table.primary_key) {
      const std::string column_name = quoted(column_of(table, column).name);
      key.push_back(fmt::format("{} = NEW.{}", column_name, column_name));
    }
    if (key.empty()) key.emplace_back("__row = NEW.__row");
    script.push_back(
        fmt::format("CREATE TRIGGER __c_{} AFTER UPDATE ON {} WHEN NEW.__from <> kmb_position() "
                    "BEGIN UPDATE {} SET __from = kmb_position() WHERE {}; END",
                    id, name, name, fmt::format("{}", fmt::join(key, " AND "))));
  }
  return script;
}

Script drop_triggers(ObjectId table) {
  Script script;
  for (const char kind : {'u', 'd', 'c'}) {
    script.push_back(fmt::format("DROP TRIGGER IF EXISTS __{}_{}", kind, table.value()));
  }
  return script;
}

Script create_index(const catalog::Table& table, const catalog::Index& index) {
  std::vector<std::string> now;
  std::vector<std::string> then;
  bool kept = true;  // generated columns have no history to be looked up in
  for (const catalog::IndexColumn& part : index.columns) {
    const catalog::Column& column = column_of(table, part.column);
    const std::string_view direction = part.descending ? " DESC" : "";
    now.push_back(quoted(column.name).append(direction));
    then.push_back(quoted(history_column(column.id)).append(direction));
    kept = kept && !column.generated;
  }
  Script script{fmt::format("CREATE {}INDEX {} ON {}({})", index.unique ? "UNIQUE " : "",
                            quoted(index_name(index.id)), quoted(table.name), join(now))};
  if (kept) {
    script.push_back(fmt::format("CREATE INDEX __hi_{} ON {}({})", index.id.value(),
                                 quoted(history_name(table.id)), join(then)));
  }
  return script;
}

// The history's index stays: past answers are still asked for.
Script drop_index(ObjectId index) {
  return {fmt::format("DROP INDEX {}", quoted(index_name(index)))};
}

Result<Script> add_column(const catalog::Catalog& catalog, const catalog::Table& table,
                          const catalog::AddColumn& added, const std::string& literal) {
  const catalog::Column& column = added.column;
  KIMBERLITE_TRY(std::string definition, column_definition(table, column, literal));
  for (const catalog::Check& check : added.checks) {
    KIMBERLITE_TRY(const std::string clause, check_clause(table, check));
    definition += " " + clause;
  }
  for (const catalog::ForeignKey& key : added.foreign_keys) {
    definition += " " + references(catalog, table, key);
  }
  Script script = drop_triggers(table.id);
  script.push_back(fmt::format("ALTER TABLE {} ADD COLUMN {}", quoted(table.name), definition));
  if (!column.generated) {
    script.push_back(fmt::format("ALTER TABLE {} ADD COLUMN {}", quoted(history_name(table.id)),
                                 history_definition(column)));
  }
  std::ranges::move(create_triggers(table), std::back_inserter(script));
  return script;
}

namespace {

// SQLite would have to rewrite triggers with names that are on their way out: they are made anew.
Script altered(const catalog::Table& before, const catalog::Table& after, std::string alter) {
  Script script = drop_triggers(before.id);
  script.push_back(fmt::format("ALTER TABLE {} {}", quoted(before.name), alter));
  std::ranges::move(create_triggers(after), std::back_inserter(script));
  return script;
}

}  // namespace

Script rename_table(const catalog::Table& before, const catalog::Table& after) {
  return altered(before, after, fmt::format("RENAME TO {}", quoted(after.name)));
}

Script rename_column(const catalog::Table& before, const catalog::Table& after, ColumnId column) {
  return altered(before, after,
                 fmt::format("RENAME COLUMN {} TO {}", quoted(column_of(before, column).name),
                             quoted(column_of(after, column).name)));
}

Script drop_column(const catalog::Table& before, const catalog::Table& after, ColumnId column) {
  Script script{history_insert(before, ""),
                fmt::format("UPDATE {} SET __from = kmb_position()", quoted(before.name))};
  std::ranges::move(
      altered(before, after, fmt::format("DROP COLUMN {}", quoted(column_of(before, column).name))),
      std::back_inserter(script));
  return script;
}

// Bytes of `__records` and its kin are kept small: a record is one row, an append one more.
Script system_tables() {
  return {
      "CREATE TABLE __projection(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
      ("CREATE TABLE __records(position INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, "
       "kind INTEGER NOT NULL, actor BLOB NOT NULL, request_id BLOB, digest BLOB) STRICT"),
      "CREATE UNIQUE INDEX __records_request ON __records(request_id) WHERE request_id IS NOT NULL",
      "CREATE UNIQUE INDEX __records_time ON __records(timestamp)",
      "CREATE TABLE __schema_changes(position INTEGER PRIMARY KEY) STRICT",
      ("CREATE TABLE __streams(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, "
       "next_sequence INTEGER NOT NULL) STRICT"),
      ("CREATE TABLE __appends(stream INTEGER, first_sequence INTEGER, position INTEGER NOT NULL, "
       "PRIMARY KEY(stream, first_sequence)) STRICT, WITHOUT ROWID"),
  };
}

std::optional<Error> type_error(const catalog::Catalog& catalog, std::string_view message) {
  const std::size_t name = message.find(": __");
  if (name == std::string_view::npos) return std::nullopt;
  message.remove_prefix(name + 2);
  const bool of_table = message.starts_with(table_check_prefix);
  if (!of_table && !message.starts_with(type_check_prefix)) return std::nullopt;
  message.remove_prefix(of_table ? table_check_prefix.size() : type_check_prefix.size());

  std::uint32_t table_id = 0;
  std::uint32_t column_id = 0;
  const char* const begin = message.data();
  const char* const end = begin + message.size();
  const auto [after, failed] = std::from_chars(begin, end, table_id);
  const catalog::Table* table = catalog.table(ObjectId{table_id});
  if (failed != std::errc{} || table == nullptr) return std::nullopt;
  if (of_table) {
    return Error{Code::constraint_check, "a CHECK constraint of table {} is not met", table->name};
  }
  if (after == end) return std::nullopt;
  std::from_chars(after + 1, end, column_id);
  const catalog::Column* column = catalog::Catalog::column(*table, ColumnId{column_id});
  if (column == nullptr) return std::nullopt;
  return Error{Code::type_range, "a value is no {} for column {}.{}", sql::type_name(column->type),
               table->name, column->name};
}

}  // namespace kimberlite::projection
