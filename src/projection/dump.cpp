// The whole content in canonical text, now or as of any position: what tests and `verify` compare.
#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "crypto/sha256.hpp"
#include "kept_rows.hpp"
#include "record/items.hpp"
#include "sqlite_projection.hpp"

namespace kimberlite::projection {
namespace {

std::string joined(const std::vector<std::string>& parts, std::string_view by) {
  return fmt::format("{}", fmt::join(parts, by));
}

std::string history_key_text(const Layout& layout) {
  std::vector<std::string> key;
  key.reserve(layout.key.size());
  for (const std::size_t i : layout.key) key.push_back(history_column(layout.image[i].id));
  return joined(key, ", ");
}

void put_row(std::string& to, std::span<const ValueView> row) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) to += '|';
    const ValueView& value = row[i];
    to += static_cast<char>('0' + value.index());
    to += ':';
    if (const auto* bytes = std::get_if<Bytes>(&value)) {
      to += to_hex(*bytes);
    } else if (const auto* text = std::get_if<std::string_view>(&value)) {
      to += *text;
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      to += fmt::format("{}", *integer);
    } else if (const auto* real = std::get_if<double>(&value)) {
      to += fmt::format("{:a}", *real);
    }
  }
  to += '\n';
}

}  // namespace

Result<std::string> SqliteProjection::dump(Position position) {
  KIMBERLITE_ASSERT(state_ == State::idle);
  std::string text;
  for (const auto& [id, versions] : catalog_->table_versions()) {
    const catalog::Table* then = catalog_->table_at(id, position);
    if (then == nullptr) continue;
    text += fmt::format("table {} {}\n", id.value(), then->name);
    for (const ColumnLayout& column : layout_of(*catalog_, *then).image) {
      text += fmt::format("column {} {}\n", column.id.value(), column.name);
    }
    KIMBERLITE_TRY(const auto rows, kept_rows(id, position, Kept::rows));
    for (;;) {
      KIMBERLITE_TRY(const bool row, rows->next());
      if (!row) break;
      put_row(text, rows->values());
    }
  }
  return text;
}

Status SqliteProjection::check_indexes() {
  KIMBERLITE_ASSERT(state_ == State::idle);
  KIMBERLITE_TRY(Prepared faults, connection_.prepare("PRAGMA main.integrity_check(1)"));
  KIMBERLITE_TRY(const bool said, faults.step());
  const ValueView fault = said ? faults.column(0) : ValueView{};
  const auto* text = std::get_if<std::string_view>(&fault);
  if (text != nullptr && *text == "ok") return {};
  return Error{Code::integrity_projection, "a table and its indexes do not agree"}.why(
      "{}", text == nullptr ? "SQLite says nothing" : *text);
}

Result<std::vector<Projection::Sum>> SqliteProjection::sums() {
  KIMBERLITE_ASSERT(state_ == State::idle);
  std::vector<std::pair<std::string, std::string>> queries;
  for (const auto& [id, versions] : catalog_->table_versions()) {
    if (const catalog::Table* table = catalog_->table(id)) {
      const Layout layout = layout_of(*catalog_, *table);
      std::vector<std::string> columns;
      std::vector<std::string> key;
      columns.reserve(layout.image.size() + 1);
      key.reserve(layout.key.size() + 1);
      for (const ColumnLayout& column : layout.image) columns.push_back(quoted(column.name));
      for (const std::size_t i : layout.key) key.push_back(columns[i]);
      if (layout.hidden_key) {
        columns.emplace_back("__row");
        key.emplace_back("__row");
      }
      queries.emplace_back(
          layout.name, fmt::format("SELECT __from, {} FROM main.{} ORDER BY {}",
                                   joined(columns, ", "), quoted(layout.name), joined(key, ", ")));
    }
    const Layout first = layout_of(*catalog_, versions.front().object);
    std::vector<std::string> columns;
    for (const catalog::Column& column : catalog_->columns_ever(id)) {
      if (!column.generated) columns.push_back(history_column(column.id));
    }
    queries.emplace_back(history_name(id),
                         fmt::format("SELECT {}, __from, __to, {} FROM main.{} ORDER BY {}, __from",
                                     first.hidden_key ? "__row" : "NULL", joined(columns, ", "),
                                     quoted(history_name(id)),
                                     first.hidden_key ? "__row" : history_key_text(first)));
  }
  for (const char* system : {"__records", "__streams", "__appends", "__schema_changes"}) {
    queries.emplace_back(system, fmt::format("SELECT * FROM main.{} ORDER BY 1, 2", system));
  }
  queries.back().second = "SELECT * FROM main.__schema_changes ORDER BY 1";

  std::vector<Sum> sums;
  for (const auto& [table, query] : queries) {
    KIMBERLITE_TRY(Prepared rows, connection_.prepare(query));
    crypto::Sha256 hash;
    Sum sum{table, 0, {}};
    for (;;) {
      KIMBERLITE_TRY(const bool row, rows.step());
      if (!row) break;
      Writer encoded;
      for (int i = 0; i < rows.columns(); ++i) encode(encoded, rows.column(i));
      hash.update(encoded.buffer());
      ++sum.rows;
    }
    sum.hash = hash.finish();
    sums.push_back(std::move(sum));
  }
  return sums;
}

Result<std::unique_ptr<KeptRows>> SqliteProjection::kept_rows(ObjectId table, Position at,
                                                              Kept kept) {
  KIMBERLITE_ASSERT(state_ == State::idle);
  if (kept == Kept::rows || kept == Kept::versions) {
    return open_kept_rows(connection_, *catalog_, table, at, kept);
  }
  return open_own_rows(connection_, kept);
}

Result<std::optional<RowOrigin>> SqliteProjection::origin_of(ObjectId table, Bytes key,
                                                             Position from) {
  const catalog::Table* known = catalog_->table_in(table, catalog_->version());
  if (known == nullptr) return std::optional<RowOrigin>{};
  KIMBERLITE_TRY(const auto found, origins_.find(layout_of(*catalog_, *known), key, from));
  origins_.forget();
  if (!found || found->change->operation == record::Operation::remove) {
    return std::optional<RowOrigin>{};
  }
  return std::optional{RowOrigin{found->entry->position, found->change->ordinal}};
}

}  // namespace kimberlite::projection
