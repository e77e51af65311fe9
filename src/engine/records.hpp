// Reading records back from the log and opening their items: for the projection's replay, for its
// virtual tables, for the outcome of a request that was seen before.
//
// Thread rule: thread-safe; a source that does not wait is its strand's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "core.hpp"
#include "projection/log_source.hpp"
#include "projection/projection.hpp"

namespace kimberlite::engine {

// Whether reading a damaged record of a group waits until it is whole again; on a strand it may
// not.
enum class WhenDamaged : std::uint8_t { fail, wait };

class RecordSource final : public projection::LogSource {
 public:
  using ActorName = std::function<std::string(const Id128&)>;
  RecordSource(Core& core, TenantId tenant, ActorName actor_name, WhenDamaged when_damaged)
      : core_(core),
        tenant_(tenant),
        actor_name_(std::move(actor_name)),
        when_damaged_(when_damaged) {}

  Result<projection::OpenedRecord> read(Position position) override;
  Result<projection::OpenedRecord> read_proved(Position position) override;
  // The same but for the tree: its leaf is proved by who reads the records on from it, which hold
  // it, and then `prove`s the last.
  [[nodiscard]] Result<projection::OpenedRecord> read_whole(Position position);
  // The record that could not be read since this was asked last, of a source that does not wait.
  [[nodiscard]] std::optional<Position> take_unread() { return std::exchange(unread_, {}); }
  // `integrity.inclusion` unless the leaf is in the log's tree.
  [[nodiscard]] Status prove(Position position, const Hash& leaf);
  std::string actor_name(const Id128& actor) override { return actor_name_(actor); }
  std::string_view kind_name(std::uint16_t kind) override { return kernel::kind_name(kind); }
  Result<std::optional<catalog::Change>> schema_change(Bytes control) override;
  Result<std::unique_ptr<projection::Receipts>> receipts(Position at_least) override;
  Result<std::unique_ptr<projection::LogHeads>> heads() override;

 private:
  [[nodiscard]] Result<projection::OpenedRecord> open(Position position, bool whole);

  Core& core_;
  TenantId tenant_;
  ActorName actor_name_;
  WhenDamaged when_damaged_;
  std::optional<Position> unread_;
};

// Opens the items there is a key for. `storage` is what `record` points into.
[[nodiscard]] Result<projection::OpenedRecord> open_record(const log::RecordView& record,
                                                           Buffer storage, TenantId tenant,
                                                           const keystore::Keystore& keys);
// The change of a control payload, if it is one of the schema.
[[nodiscard]] Result<std::optional<catalog::Change>> change_of_control(Bytes control);

// The record's meta, wherever it stands; null if it was erased.
[[nodiscard]] const record::Meta* meta_of(const projection::OpenedRecord& record);

// What the projection applies of a record. Views live as long as the record.
struct Replayed {
  std::optional<catalog::Change> ddl;
  std::vector<record::RowChange> changes;  // by ordinal
  std::vector<projection::StreamAdvance> streams;
  Bytes digest;

  [[nodiscard]] projection::Opened opened() const {
    return {ddl ? &*ddl : nullptr, changes, streams, digest};
  }
};
[[nodiscard]] Result<Replayed> replayed(const projection::OpenedRecord& record,
                                        projection::LogSource& log);

// The record as a trail shows it. Streams are named by their ids where their name is not in the
// record.
[[nodiscard]] RecordInfo describe(const projection::OpenedRecord& record,
                                  const catalog::Catalog& catalog, projection::LogSource& log);

// RETURNING rows as a record keeps them.
[[nodiscard]] Buffer encode_reply(const projection::Evaluated& evaluated);
[[nodiscard]] Result<ResultSet> decode_reply(Bytes reply);

}  // namespace kimberlite::engine
