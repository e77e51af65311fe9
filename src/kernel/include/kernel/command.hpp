// Commands and what `apply` makes of them: the deterministic heart of every replica.
//
// `apply` is pure and total: no I/O, clock, randomness, cipher, unordered iteration or floating
// point; every refusal is a value and changes nothing. Every replica builds the same entry from
// (state, time, command); the proposer ships no position and no hash. What a command did in an
// earlier run is not asked here: request ids are the projection's (`__records`).
//
// Thread rule: the state's owner strand.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "catalog/change.hpp"
#include "kernel/state.hpp"
#include "record/body.hpp"
#include "record/entry.hpp"

namespace kimberlite::kernel {

// Kind numbers of commands and of the entries they become; never reused.
enum class Kind : std::uint16_t {
  write = 1,           // row changes of a statement, list or transaction; perhaps none
  append = 2,          // events
  ddl = 3,             // catalog::Change
  add_actor = 4,       // AddActor
  create_tenant = 5,   // CreateTenant, of tenant 0
  rotate_key = 6,      // RotateKey
  set_quota = 7,       // SetQuota, of tenant 0
  set_sealed = 8,      // SetSealed, of tenant 0
  begin_epoch = 9,     // BeginEpoch, in any lane
  publish_heads = 10,  // PublishHeads, of tenant 0
};
// "write", "append", …; "unknown" for a number that is none.
[[nodiscard]] std::string_view kind_name(std::uint16_t kind);

// ---- What a control item holds, opened by the engine before `apply`. -------------------------

// A new actor of the command's tenant; the only command whose own actor may be the one it brings.
struct AddActor {
  Id128 id{};
  Actor actor;
  friend bool operator==(const AddActor&, const AddActor&) = default;
};
// `tenant` is the next dense id; the log ids are random. Keys 1 and 2
// and the logs' signing keys travel in the sidecar.
struct CreateTenant {
  TenantId tenant;
  std::string name;
  std::array<Id128, lane_count> log_ids{};
  friend bool operator==(const CreateTenant&, const CreateTenant&) = default;
};
enum class KeyScope : std::uint8_t { data = 1, tenant = 2 };
// data: the next record takes a new data key. tenant: the sidecar brings a new tenant key.
struct RotateKey {
  KeyScope scope = KeyScope::data;
  friend bool operator==(const RotateKey&, const RotateKey&) = default;
};
// 0: no limit. Raises the tenant's access version.
struct SetQuota {
  TenantId tenant;
  std::uint64_t storage_max = 0;
  friend bool operator==(const SetQuota&, const SetQuota&) = default;
};
// Raises the tenant's access version.
struct SetSealed {
  TenantId tenant;
  bool sealed = false;
  friend bool operator==(const SetSealed&, const SetSealed&) = default;
};
// Begins the next epoch of the command's lane, after a restore or a loss that was accepted: this
// record is the first that carries `log_id` (its items are sealed under it too), and positions and
// tree go on. Its signing key travels in the sidecar.
struct BeginEpoch {
  Id128 log_id{};
  OpNumber lost_first;  // known to be lost; 0 and 0: none
  OpNumber lost_last;
  Id128 old_log_id{};             // of the epoch that ends
  std::uint64_t old_size = 0;     // the largest tree of it that is known: at least what was kept
  Hash old_root{};                // its root; zeros with size 0
  std::optional<AddActor> actor;  // who begins it, where the tenant does not know him yet
  friend bool operator==(const BeginEpoch&, const BeginEpoch&) = default;
};

// The tree of one log, as it was when this was made.
struct PublishedHead {
  TenantId tenant;
  Lane lane = Lane::data;
  Id128 log_id{};
  std::uint64_t size = 0;
  Hash root{};
  friend bool operator==(const PublishedHead&, const PublishedHead&) = default;
};
// Trees of logs that changed, by ascending (tenant, lane): whoever signs the cluster's log with
// this record in it signs all of them. Never the cluster's own data lane. Of the present epoch,
// with no more records than there are, and with the root there is if it is the log as it stands.
struct PublishHeads {
  std::vector<PublishedHead> heads;
  friend bool operator==(const PublishHeads&, const PublishHeads&) = default;
};
inline constexpr std::size_t published_heads_max = 4096;

using Control = std::variant<catalog::Change, AddActor, CreateTenant, RotateKey, SetQuota,
                             SetSealed, BeginEpoch, PublishHeads>;

// The kind a command with this control has.
[[nodiscard]] Kind kind_of(const Control& control);
// The payload of a control item (record::PlaintextWriter::control). Canonical: `decode_control`
// accepts exactly what `encode_control` gives (`integrity.encoding`).
[[nodiscard]] Buffer encode_control(const Control& control);
[[nodiscard]] Result<Control> decode_control(Bytes payload);

// ---- Commands -------------------------------------------------------------------------------

// Views are valid during `apply` only.
struct Command {
  TenantId tenant;
  Lane lane = Lane::data;
  std::uint16_t kind = 0;
  std::uint32_t flags = 0;           // opaque; copied to the entry
  Position base;                     // its position - 1; data lane only, 0 in others
  std::uint32_t access_version = 0;  // it was evaluated under
  Id128 actor{};
  Id128 session{};
  Id128 request_id{};
  Id128 correlation{};
  std::span<const record::ItemHeader> items;
  std::uint32_t body_size = 0;  // the items with their headers
  Hash body_commitment{};       // hashed by each replica's engine
  std::optional<Control> control;
  Bytes sidecar;  // there exactly if the command brings keys
};

enum class Refusal : std::uint16_t {
  none = 0,
  stale_base,     // the tenant's head is not at `base`: evaluate again
  stale_access,   // access version moved on: evaluate again
  sealed,         // the tenant takes no writes
  held,           // a hold forbids it
  quota,          // storage quota
  not_found,      // no such tenant
  unknown_actor,  // no actor of the tenant
  bad_key,        // an item's key id is not there and not the next one, or the sidecar is missing
  bad_control,    // contradicts the state: a name that is taken, an id that is not the next, …
  malformed,  // kind, lane, control, items and sizes do not fit each other, or time stands still
};
[[nodiscard]] std::string_view refusal_name(Refusal refusal);
// The error a caller sees when the executor gives up on a refused command.
[[nodiscard]] Error error_of(Refusal refusal, TenantId tenant);

// Exactly one of `refusal` != none and `append`.
struct Effects {
  Refusal refusal = Refusal::none;
  std::optional<record::Entry> append;
  Hash leaf{};  // of `append`: the head is state.tenant(t)->lane(l).head
};

// `time` is the command's: the prepare's timestamp plus the command's index in it.
[[nodiscard]] Effects apply(State& state, TimestampUs time, const Command& command);

// Applies a record read from a segment, for a state whose snapshot is lost. Its items, and its
// control item opened. Fails with `integrity.state`, nothing changed, unless `apply` would have
// made exactly this entry here. Logs are replayed in (op, index) order.
[[nodiscard]] Status replay(State& state, TenantId tenant, Lane lane, const record::Entry& entry,
                            std::span<const record::ItemHeader> items,
                            const std::optional<Control>& control);

}  // namespace kimberlite::kernel
