#include "row_check.hpp"

#include <algorithm>
#include <bit>

#include "added_default.hpp"
#include "base/assert.hpp"

namespace kimberlite::projection {
namespace {

constexpr std::string_view next_step =
    "kimberlite verify --projection looks at all tables; the projection is derived: it can be "
    "deleted and is rebuilt from the log";

std::string column_name(const catalog::Catalog& catalog, ObjectId table, ColumnId id) {
  for (const catalog::Column& column : catalog.columns_ever(table)) {
    if (column.id == id) return column.name;
  }
  return history_column(id);
}

Error unwritten(const Layout& layout, Position claimed) {
  return Error{Code::integrity_projection, "a row of the projection is one that no record wrote"}
      .where("table {}, position {}", layout.name, claimed.value())
      .why("the record the row claims to be from does not say a row of this key")
      .next("{}", next_step);
}

}  // namespace

bool same_value(const ValueView& a, const ValueView& b) {
  if (a.index() != b.index()) return false;
  if (const auto* real = std::get_if<double>(&a)) {
    return std::bit_cast<std::uint64_t>(*real) == std::bit_cast<std::uint64_t>(std::get<double>(b));
  }
  if (const auto* bytes = std::get_if<Bytes>(&a)) return equal(*bytes, std::get<Bytes>(b));
  if (const auto* text = std::get_if<std::string_view>(&a)) {
    return *text == std::get<std::string_view>(b);
  }
  const auto* integer = std::get_if<std::int64_t>(&a);
  return integer == nullptr || *integer == std::get<std::int64_t>(b);
}

Result<const Layout*> RowCheck::layout_in(ObjectId table, std::uint32_t version) {
  const auto [found, fresh] = layouts_.try_emplace({table, version});
  if (!fresh) return &found->second;
  const catalog::Table* then = catalog_->table_in(table, version);
  if (then == nullptr) {
    layouts_.erase(found);
    return Error{Code::integrity_item, "a record changes a table that was not there"};
  }
  found->second = layout_of(*catalog_, *then);
  return &found->second;
}

// A constant, the same in every version of the table that has the column.
Result<const Value*> RowCheck::added(ObjectId table, ColumnId column) {
  const auto [found, fresh] = added_.try_emplace({table, column});
  if (!fresh) return &found->second;
  for (const auto& version : catalog_->table_versions().at(table)) {
    const catalog::Column* definition = catalog::Catalog::column(version.object, column);
    if (definition == nullptr) continue;
    KIMBERLITE_TRY(found->second, added_default(connection_, version.object, *definition));
    break;
  }
  return &found->second;
}

Result<std::optional<Position>> RowCheck::check(
    const std::shared_ptr<const catalog::Catalog>& catalog, const sql::VerifiedTable& table,
    std::span<const ValueView> read) {
  KIMBERLITE_ASSERT(read.size() == table.width());
  if (std::ranges::all_of(read, [](const ValueView& v) { return is_null(v); })) {
    return std::optional<Position>{};  // an outer join found no row
  }
  if (catalog_ != catalog) {
    layouts_.clear();
    added_.clear();
    catalog_ = catalog;
  }
  const auto* from = std::get_if<std::int64_t>(&read[0]);
  const Position claimed{from == nullptr || *from < 0 ? 0 : static_cast<std::uint64_t>(*from)};
  const std::span<const ValueView> values = read.last(table.columns.size());
  KIMBERLITE_TRY(const Layout* now, layout_in(table.table, catalog_->version()));
  key_.clear();
  if (table.hidden_key) key_.push_back(read[1]);
  for (const std::size_t part : now->key) {
    const auto at = std::ranges::find(table.columns, now->image[part].id);
    KIMBERLITE_ASSERT(at != table.columns.end());  // a key column is never dropped
    key_.push_back(values[static_cast<std::size_t>(at - table.columns.begin())]);
  }
  Writer key;
  record::encode_values(key, std::span<const ValueView>{key_});
  KIMBERLITE_TRY(const auto origin, origins_.find(*now, key.buffer(), claimed));
  if (!origin || origin->change->operation == record::Operation::remove) {
    return unwritten(*now, claimed);
  }
  KIMBERLITE_CHECK(compare(table, *now, *origin, values));
  return std::optional{origin->entry->position};
}

Status RowCheck::compare(const sql::VerifiedTable& table, const Layout& now,
                         const Origins::Change& origin, std::span<const ValueView> values) {
  const RowChange& change = *origin.change;
  const std::uint64_t position = origin.entry->position.value();
  KIMBERLITE_TRY(const Layout* then, layout_in(table.table, origin.entry->catalog_version));
  change.image.values(image_);
  if (image_.size() != then->image.size()) {
    return Error{Code::integrity_item, "an image has other columns than its table had"}.where(
        "table {}, position {}, change {}", now.name, position, change.ordinal);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const ColumnId id = table.columns[i];
    const auto at = std::ranges::find(then->image, id, &ColumnLayout::id);
    ValueView expected;
    if (at != then->image.end()) {
      expected = image_[static_cast<std::size_t>(at - then->image.begin())];
    } else {
      KIMBERLITE_TRY(const Value* given, added(table.table, id));
      expected = view(*given);
    }
    if (same_value(expected, values[i])) continue;
    return Error{Code::integrity_projection, "a row is not what the log says it is"}
        .where("table {}, position {}, change {}, column {}", now.name, position, change.ordinal,
               column_name(*catalog_, table.table, id))
        .why("the projection holds another value than the record that wrote the row")
        .next("{}", next_step);
  }
  return {};
}

}  // namespace kimberlite::projection
