#include "kept_rows.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "schema.hpp"

namespace kimberlite::projection {
namespace {

class SqliteKeptRows final : public KeptRows {
 public:
  SqliteKeptRows(Prepared statement, std::size_t keys, std::vector<std::string> names)
      : statement_(std::move(statement)), keys_(keys), names_(std::move(names)) {}

  Result<bool> next() override {
    if (!statement_) return false;
    KIMBERLITE_TRY(const bool found, statement_.step());
    if (!found) return false;
    row_.clear();
    for (int i = 0; i < statement_.columns(); ++i) row_.push_back(statement_.column(i));
    return true;
  }
  const ValueView& from() const override { return row_[0]; }
  const ValueView& to() const override { return row_[1]; }
  std::span<const ValueView> key() const override { return std::span{row_}.subspan(2, keys_); }
  std::span<const ValueView> values() const override { return std::span{row_}.subspan(2 + keys_); }
  std::string_view column_name(std::size_t value) const override { return names_[value]; }

 private:
  Prepared statement_;  // none: there are no rows
  std::size_t keys_;
  std::vector<std::string> names_;  // of the values
  std::vector<ValueView> row_;
};

// A column where it is to be read from, and what it is called in messages.
struct Read {
  ColumnId id;
  std::string name;
  std::string current;  // its name today
};

struct Reading {
  bool hidden_key = false;
  std::vector<Read> columns;
  std::vector<std::size_t> key;
};

std::string listed(const Reading& reading, bool history) {
  const auto name = [&](const Read& read) {
    return quoted(history ? history_column(read.id) : read.current);
  };
  std::string list;
  int number = 0;
  const auto add = [&](std::string_view what) {
    list += fmt::format(", {} AS v{}", what, number++);
  };
  if (reading.hidden_key) add("__row");
  for (const std::size_t part : reading.key) add(name(reading.columns[part]));
  if (reading.hidden_key) add("__row");
  for (const Read& read : reading.columns) add(name(read));
  return list;
}

// Whatever order a type has, its bytes have one that both sides share.
std::string order(const Reading& reading) {
  std::string list;
  const std::size_t keys = reading.hidden_key ? 1 : reading.key.size();
  for (std::size_t i = 0; i < keys; ++i) list += fmt::format("v{} COLLATE BINARY, ", i);
  return list + "f";
}

Reading reading_of(const Layout& layout) {
  Reading reading{.hidden_key = layout.hidden_key, .columns = {}, .key = layout.key};
  for (const ColumnLayout& column : layout.image) {
    reading.columns.push_back({column.id, column.name, column.name});
  }
  return reading;
}

// With the columns there were by `at`: later ones are no part of what was superseded then.
Reading reading_of_versions(const catalog::Catalog& catalog, ObjectId table, Position at) {
  std::map<ColumnId, const catalog::Column*> columns;
  const catalog::Table* then = nullptr;
  const auto versions = catalog.table_versions().find(table);
  if (versions == catalog.table_versions().end()) return {};
  for (const auto& version : versions->second) {
    if (version.from > at) break;
    then = &version.object;
    for (const catalog::Column& column : then->columns) {
      if (!column.generated) columns[column.id] = &column;
    }
  }
  Reading reading;
  if (then == nullptr) return reading;
  reading.hidden_key = then->primary_key.empty();
  for (const auto& [id, column] : columns) reading.columns.push_back({id, column->name, {}});
  for (const ColumnId id : then->primary_key) {
    const auto found = std::ranges::find(reading.columns, id, &Read::id);
    reading.key.push_back(static_cast<std::size_t>(found - reading.columns.begin()));
  }
  return reading;
}

// Rows of the table valid at ?1. A column of then that is not there today: its drop has closed all
// rows of then.
std::string rows_text(const catalog::Catalog& catalog, ObjectId table, Reading& reading) {
  const catalog::Table* today = catalog.table(table);
  for (Read& read : reading.columns) {
    const auto* column = today == nullptr ? nullptr : catalog::Catalog::column(*today, read.id);
    if (column == nullptr) today = nullptr;
    if (column != nullptr) read.current = column->name;
  }
  std::string past =
      fmt::format("SELECT __from AS f, NULL AS t{} FROM main.{} WHERE __from <= ?1 AND ?1 < __to",
                  listed(reading, true), quoted(history_name(table)));
  if (today == nullptr) return past;
  return fmt::format("SELECT __from AS f, NULL AS t{} FROM main.{} WHERE __from <= ?1 UNION ALL {}",
                     listed(reading, false), quoted(today->name), past);
}

// Of the schema the texts of triggers alone: those are as this program wrote them, while SQLite
// edits the others when a table or column is renamed, each of its versions in its own way.
struct OwnTable {
  Kept kept;
  std::string_view name;
  const char* query;  // from, to, the key, all
  std::size_t keys;
  std::vector<std::string> columns;
};
const OwnTable& own_table(Kept kept) {
  static const std::array<OwnTable, 5> all{
      {{Kept::records,
        "__records",
        "SELECT position, NULL, position, timestamp, kind, actor, request_id, digest FROM "
        "main.__records ORDER BY position",
        1,
        {"timestamp", "kind", "actor", "request_id", "digest"}},
       {Kept::streams,
        "__streams",
        "SELECT NULL, NULL, id, name, next_sequence FROM main.__streams ORDER BY id",
        1,
        {"name", "next_sequence"}},
       {Kept::appends,
        "__appends",
        "SELECT position, NULL, stream, first_sequence FROM main.__appends ORDER BY stream, "
        "first_sequence",
        2,
        {}},
       {Kept::schema_changes,
        "__schema_changes",
        "SELECT position, NULL, position FROM main.__schema_changes ORDER BY position",
        1,
        {}},
       {Kept::schema,
        "sqlite_schema",
        "SELECT NULL, NULL, type, name, tbl_name, CASE type WHEN 'trigger' THEN sql END FROM "
        "main.sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name",
        2,
        {"tbl_name", "sql"}}}};
  return *std::ranges::find(all, kept, &OwnTable::kept);
}

}  // namespace

Result<std::unique_ptr<KeptRows>> open_kept_rows(Connection& connection,
                                                 const catalog::Catalog& catalog, ObjectId table,
                                                 Position at, Kept kept) {
  Reading reading;
  std::string text;
  if (kept == Kept::rows) {
    const catalog::Table* then = catalog.table_at(table, at);
    if (then == nullptr)
      return std::make_unique<SqliteKeptRows>(Prepared{}, 0, std::vector<std::string>{});
    reading = reading_of(layout_of(catalog, *then));
    text = rows_text(catalog, table, reading);
  } else {
    reading = reading_of_versions(catalog, table, at);
    if (reading.columns.empty()) {
      return std::make_unique<SqliteKeptRows>(Prepared{}, 0, std::vector<std::string>{});
    }
    text = fmt::format("SELECT __from AS f, __to AS t{} FROM main.{} WHERE __to <= ?1",
                       listed(reading, true), quoted(history_name(table)));
  }
  KIMBERLITE_TRY(Prepared rows,
                 connection.prepare(fmt::format("{} ORDER BY {}", text, order(reading))));
  rows.bind(1, at);
  std::vector<std::string> names;
  if (reading.hidden_key) names.emplace_back("__row");
  for (Read& read : reading.columns) names.push_back(std::move(read.name));
  const std::size_t keys = reading.hidden_key ? 1 : reading.key.size();
  return std::make_unique<SqliteKeptRows>(std::move(rows), keys, std::move(names));
}

Result<std::unique_ptr<KeptRows>> open_own_rows(Connection& connection, Kept kept) {
  const OwnTable& table = own_table(kept);
  KIMBERLITE_TRY(Prepared rows, connection.prepare(table.query));
  return std::make_unique<SqliteKeptRows>(std::move(rows), table.keys, table.columns);
}

std::string_view own_table_name(Kept kept) { return own_table(kept).name; }

}  // namespace kimberlite::projection
