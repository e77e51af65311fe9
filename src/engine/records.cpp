#include "records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/codec.hpp"
#include "record/body.hpp"

namespace kimberlite::engine {
namespace {

class ReceiptsInHead final : public projection::Receipts {
 public:
  ReceiptsInHead(Prover& prover, TenantId tenant, const log::StoredHead& head)
      : prover_(prover), tenant_(tenant), head_(head) {}
  Result<std::string> of(Position position) override {
    KIMBERLITE_TRY(const record::Receipt receipt,
                   prover_.receipt_in(tenant_, kernel::Lane::data, position, std::nullopt, head_));
    return receipt.to_text();
  }

 private:
  Prover& prover_;
  TenantId tenant_;
  log::StoredHead head_;
};

}  // namespace

Result<projection::OpenedRecord> open_record(const log::RecordView& record, Buffer storage,
                                             TenantId tenant, const keystore::Keystore& keys) {
  projection::OpenedRecord opened;
  opened.entry = record.entry;
  opened.leaf = record::leaf_hash(record::encode(record.entry));
  KIMBERLITE_TRY(const std::vector<record::ItemView> items, record::split_body(record.body));
  // Views point into the buffers' heap memory, which stays where it is when the vector grows.
  opened.storage.reserve(1 + items.size());
  opened.storage.push_back(std::move(storage));
  opened.items.reserve(items.size());
  for (const record::ItemView& item : items) {
    projection::OpenedItem out;
    out.header = item.header;
    const Result<keystore::ItemKeyPtr> key = keys.item_key(tenant, item.header.key);
    if (!key && key.error().code() != Code::erased_item) return key.error();
    out.erased = !key;
    if (key) {
      Buffer& plaintext = opened.storage.emplace_back();
      KIMBERLITE_CHECK((*key)->open(record.entry.log_id, item.header, item.sealed, plaintext));
      KIMBERLITE_TRY(out.plaintext, record::decode_plaintext(item.header, plaintext));
    }
    opened.items.push_back(std::move(out));
  }
  return opened;
}

Result<std::optional<catalog::Change>> change_of_control(Bytes control) {
  KIMBERLITE_TRY(kernel::Control decoded, kernel::decode_control(control));
  if (auto* change = std::get_if<catalog::Change>(&decoded))
    return std::optional{std::move(*change)};
  return std::optional<catalog::Change>{};
}

// `whole`: what stands in the body is what the entry commits to, erased items too.
Result<projection::OpenedRecord> RecordSource::open(Position position, bool whole) {
  Buffer frame;
  const RecordPlace place{tenant_, kernel::Lane::data, position};
  const bool waits = when_damaged_ == WhenDamaged::wait;
  auto known = waits ? core_.read(place, frame)
                     : core_.logs().read(place.tenant, place.lane, position, frame);
  if (!known && !waits) {
    unread_ = position;
    core_.mend(place, known.error());
  }
  KIMBERLITE_TRY(const log::RecordView record, std::move(known));
  if (whole) {
    KIMBERLITE_TRY(const std::vector<record::ItemView> items, record::split_body(record.body));
    const Hash found = record::body_commitment(items);
    if (found != record.entry.body_commitment) {
      return Error{Code::integrity_body, "the bytes of a record are not those that were committed"}
          .where("tenant {}, position {}", tenant_.value(), position.value())
          .why("its entry commits to {}, its items are {}", to_hex(record.entry.body_commitment),
               to_hex(found))
          .next("kimberlite verify says which byte; restore it from a backup");
    }
  }
  return open_record(record, std::move(frame), tenant_, core_.keys());
}

Result<projection::OpenedRecord> RecordSource::read(Position position) {
  return open(position, false);
}

Result<projection::OpenedRecord> RecordSource::read_whole(Position position) {
  return open(position, true);
}

Result<projection::OpenedRecord> RecordSource::read_proved(Position position) {
  KIMBERLITE_TRY(projection::OpenedRecord opened, read_whole(position));
  KIMBERLITE_CHECK(prove(position, opened.leaf));
  return opened;
}

Result<std::unique_ptr<projection::Receipts>> RecordSource::receipts(Position at_least) {
  KIMBERLITE_TRY(const log::StoredHead head,
                 core_.prover().head(tenant_, kernel::Lane::data, at_least));
  return std::make_unique<ReceiptsInHead>(core_.prover(), tenant_, head);
}

Result<std::unique_ptr<projection::LogHeads>> RecordSource::heads() {
  KIMBERLITE_TRY(HeadList list, core_.prover().heads(tenant_, kernel::Lane::data));
  return std::make_unique<HeadList>(std::move(list));
}

Status RecordSource::prove(Position position, const Hash& leaf) {
  return core_.logs().prove(tenant_, kernel::Lane::data, position, leaf);
}

Result<std::optional<catalog::Change>> RecordSource::schema_change(Bytes control) {
  return change_of_control(control);
}

const record::Meta* meta_of(const projection::OpenedRecord& record) {
  for (const projection::OpenedItem& item : record.items) {
    if (item.plaintext.meta) return &*item.plaintext.meta;
  }
  return nullptr;
}

Result<Replayed> replayed(const projection::OpenedRecord& record, projection::LogSource& log) {
  Replayed out;
  const record::Meta* meta = meta_of(record);
  if (meta != nullptr && meta->request_digest) out.digest = *meta->request_digest;
  for (const projection::OpenedItem& item : record.items) {
    out.changes.insert(out.changes.end(), item.plaintext.changes.begin(),
                       item.plaintext.changes.end());
    for (const Bytes control : item.plaintext.controls) {
      KIMBERLITE_TRY(out.ddl, log.schema_change(control));
    }
    if (item.header.kind == record::ItemKind::events) {
      const bool first =
          meta != nullptr && meta->new_stream && item.header.first_sequence == Sequence{0};
      out.streams.push_back({item.header.stream, first ? *meta->new_stream : std::string_view{},
                             item.header.first_sequence, item.header.count});
    }
  }
  std::ranges::sort(out.changes, {}, &record::RowChange::ordinal);
  return out;
}

RecordInfo describe(const projection::OpenedRecord& record, const catalog::Catalog& catalog,
                    projection::LogSource& log) {
  const record::Entry& entry = record.entry;
  RecordInfo info{.position = entry.position,
                  .timestamp = entry.timestamp,
                  .kind = std::string{kernel::kind_name(entry.kind)},
                  .actor = log.actor_name(entry.actor),
                  .session = entry.session,
                  .request_id = entry.request_id,
                  .items = entry.item_count,
                  .leaf = record.leaf,
                  .previous = entry.previous};
  if (const record::Meta* meta = meta_of(record)) {
    info.rows = meta->rows_affected;
    info.reason = meta->reason.value_or("");
    info.statement = meta->statement.value_or("");
    info.correlation = meta->correlation.value_or("");
    if (meta->new_stream) info.objects.emplace_back(*meta->new_stream);
  }
  if (info.correlation.empty() && entry.correlation != Id128{}) {
    info.correlation = to_uuid(entry.correlation);
  }
  std::set<ObjectId> tables;
  for (const projection::OpenedItem& item : record.items) {
    info.erased = info.erased || item.erased;
    for (const record::RowChange& change : item.plaintext.changes) tables.insert(change.table);
    const bool named = !info.objects.empty();
    if (item.header.kind == record::ItemKind::events && !named) {
      info.objects.push_back(fmt::format("stream {}", item.header.stream.value()));
    }
  }
  for (const ObjectId id : tables) {
    const catalog::Table* table = catalog.table_at(id, entry.position);
    if (table == nullptr) continue;
    info.objects.push_back(table->name);
    const std::string_view name = catalog::class_name(table->data_class);
    if (!name.empty() && std::ranges::find(info.classes, name) == info.classes.end())
      info.classes.emplace_back(name);
  }
  return info;
}

Buffer encode_reply(const projection::Evaluated& evaluated) {
  Writer reply;
  reply.u32(static_cast<std::uint32_t>(evaluated.columns.size()));
  for (const projection::ResultColumn& column : evaluated.columns) {
    reply.text(column.name);
    reply.u8(column.type ? static_cast<std::uint8_t>(column.type->kind) : 0);
    reply.u16(column.type ? column.type->precision : 0);
    reply.u16(column.type ? column.type->scale : 0);
  }
  reply.u32(static_cast<std::uint32_t>(evaluated.rows.size()));
  for (const Row& row : evaluated.rows) {
    for (const Value& value : row) encode(reply, view(value));
  }
  return std::move(reply).take();
}

Result<ResultSet> decode_reply(Bytes reply) {
  ResultSet set;
  Reader reader{reply};
  const std::uint32_t columns = reader.u32();
  for (std::uint32_t i = 0; i < columns && !reader.failed(); ++i) {
    ColumnInfo column{std::string{reader.text()}, std::nullopt};
    const std::uint8_t kind = reader.u8();
    const std::uint16_t precision = reader.u16();
    const std::uint16_t scale = reader.u16();
    if (kind != 0)
      column.type = catalog::Type{static_cast<catalog::TypeKind>(kind), precision, scale};
    set.columns.push_back(std::move(column));
  }
  const std::uint32_t rows = reader.u32();
  for (std::uint32_t i = 0; i < rows && !reader.failed(); ++i) {
    Row row;
    for (std::uint32_t c = 0; c < columns; ++c) row.push_back(own(decode_value(reader)));
    set.rows.push_back(std::move(row));
  }
  if (!reader.finished()) {
    return Error{Code::integrity_item, "a record's stored reply does not decode"};
  }
  return set;
}

}  // namespace kimberlite::engine
