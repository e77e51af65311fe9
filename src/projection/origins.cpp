#include "origins.hpp"

#include <algorithm>

namespace kimberlite::projection {
namespace {

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Origins::forget() {
  records_.clear();
  kept_bytes_ = 0;
}

Result<std::shared_ptr<const Origins::Record>> Origins::open(Position position) {
  if (const auto kept = records_.find(position); kept != records_.end()) return kept->second;
  if (context_.log == nullptr) {
    return Error{Code::unavailable_closed, "the log cannot be read here"};
  }
  auto record = std::make_shared<Record>();
  KIMBERLITE_TRY(record->opened, context_.log->read_proved(position));
  for (const OpenedItem& item : record->opened.items) {
    record->erased = record->erased || (item.erased && item.header.kind == record::ItemKind::rows);
    for (const RowChange& change : item.plaintext.changes) {
      const RowChange*& last = record->last[{change.table, text_of(change.key.bytes())}];
      if (last == nullptr || last->ordinal < change.ordinal) last = &change;
    }
    for (const Bytes control : item.plaintext.controls) {
      KIMBERLITE_TRY(const auto change, context_.log->schema_change(control));
      if (!change) continue;
      const auto* dropped = std::get_if<catalog::DropColumn>(&*change);
      if (dropped != nullptr) record->columns_dropped.push_back(dropped->table);
    }
  }
  std::size_t size = 0;
  for (const Buffer& buffer : record->opened.storage) size += buffer.size();
  if (kept_bytes_ + size > kept_bytes_max) forget();
  kept_bytes_ += size;
  records_.emplace(position, record);
  return std::shared_ptr<const Record>{std::move(record)};
}

Result<std::optional<Origins::Change>> Origins::find(const Layout& layout, Bytes key,
                                                     Position from) {
  for (Position at = from; at.value() > 0;) {
    Result<std::shared_ptr<const Record>> opened = open(at);
    if (!opened && opened.error().code() == Code::not_found_position) break;
    if (!opened) return opened.error();
    const std::shared_ptr<const Record>& record = *opened;
    if (const auto found = record->last.find({layout.table, text_of(key)});
        found != record->last.end()) {
      return std::optional{Change{found->second, &record->opened.entry, record}};
    }
    if (record->erased) {
      return Error{Code::erased_item, "an item of the record that wrote this row was erased"}
          .where("table {}, position {}", layout.name, at.value())
          .why("what it said can no longer be compared; that it was recorded can still be verified")
          .next("leave the row out, or read it with SELECT alone");
    }
    const auto& dropped = record->columns_dropped;
    if (std::ranges::find(dropped, layout.table) == dropped.end()) break;
    KIMBERLITE_TRY(const std::optional<Position> before, versions_.began(layout, key, at.value()));
    if (!before || *before >= at) break;  // each round goes back
    at = *before;
  }
  return std::optional<Change>{};
}

}  // namespace kimberlite::projection
