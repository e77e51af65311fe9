// The whole content in canonical text, now or as of any position: what tests and `verify` compare.
#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "crypto/sha256.hpp"
#include "record/items.hpp"
#include "sqlite_projection.hpp"

namespace kimberlite::projection {
namespace {

std::string joined(const std::vector<std::string>& parts, std::string_view by) {
  return fmt::format("{}", fmt::join(parts, by));
}

struct Branch {
  std::string columns;
  std::string key;
};

// The same columns from the current table and from history.
Branch branch_of(const Layout& layout, bool history) {
  const auto name = [&](const ColumnLayout& column) {
    return quoted(history ? history_column(column.id) : column.name);
  };
  std::vector<std::string> columns;
  std::vector<std::string> key;
  columns.reserve(layout.image.size() + 1);
  key.reserve(layout.key.size() + 1);
  for (std::size_t i = 0; i < layout.image.size(); ++i) {
    columns.push_back(fmt::format("{} AS v{}", name(layout.image[i]), i));
  }
  for (const std::size_t i : layout.key) key.push_back(fmt::format("v{}", i));
  if (layout.hidden_key) {
    columns.emplace_back("__row AS r");
    key.emplace_back("r");
  }
  return {joined(columns, ", "), joined(key, ", ")};
}

// Rows of `table` valid at ?1. `now`: the current rows are the answer, and history is not asked.
// `dropped_after`: the current table has lost columns or is gone, and held nothing then.
std::string rows_query(const Layout& layout, bool now, bool dropped_after) {
  const Branch history = branch_of(layout, true);
  const std::string past = fmt::format("SELECT {} FROM main.{} WHERE __from <= ?1 AND ?1 < __to",
                                       history.columns, quoted(history_name(layout.table)));
  if (dropped_after) return fmt::format("{} ORDER BY {}", past, history.key);
  const Branch current = branch_of(layout, false);
  const std::string present = fmt::format("SELECT {} FROM main.{} WHERE __from <= ?1",
                                          current.columns, quoted(layout.name));
  return fmt::format("{}{} ORDER BY {}", present, now ? "" : " UNION ALL " + past, current.key);
}

std::string history_key_text(const Layout& layout) {
  std::vector<std::string> key;
  key.reserve(layout.key.size());
  for (const std::size_t i : layout.key) key.push_back(history_column(layout.image[i].id));
  return joined(key, ", ");
}

void put_row(std::string& to, Prepared& row) {
  for (int i = 0; i < row.columns(); ++i) {
    if (i > 0) to += '|';
    const ValueView value = row.column(i);
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
    const catalog::Table* today = catalog_->table(id);
    // A column of then that is not there today: its drop has closed all rows of then.
    const bool dropped_after =
        today == nullptr || std::ranges::any_of(then->columns, [&](const catalog::Column& column) {
          return catalog::Catalog::column(*today, column.id) == nullptr;
        });
    Layout layout = layout_of(*catalog_, *then);
    text += fmt::format("table {} {}\n", id.value(), then->name);
    for (ColumnLayout& column : layout.image) {
      text += fmt::format("column {} {}\n", column.id.value(), column.name);
      if (!dropped_after) column.name = catalog::Catalog::column(*today, column.id)->name;
    }
    if (!dropped_after) layout.name = today->name;
    KIMBERLITE_TRY(Prepared rows,
                   connection_.prepare(rows_query(layout, position == applied_, dropped_after)));
    rows.bind(1, position);
    for (;;) {
      KIMBERLITE_TRY(const bool row, rows.step());
      if (!row) break;
      put_row(text, rows);
    }
  }
  return text;
}

Result<std::vector<Projection::Sum>> SqliteProjection::sums() {
  KIMBERLITE_ASSERT(state_ == State::idle);
  std::vector<std::pair<std::string, std::string>> queries;
  for (const auto& [id, versions] : catalog_->table_versions()) {
    if (const catalog::Table* table = catalog_->table(id)) {
      const Layout layout = layout_of(*catalog_, *table);
      const Branch branch = branch_of(layout, false);
      queries.emplace_back(layout.name,
                           fmt::format("SELECT __from, {} FROM main.{} ORDER BY {}", branch.columns,
                                       quoted(layout.name), branch.key));
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

}  // namespace kimberlite::projection
