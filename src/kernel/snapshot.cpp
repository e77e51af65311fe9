// The canonical blob of a tenant, version 1:
//
//   version u16 · zero 6 · tenant u64 · cluster 16 · name · created u64 · access version u32 ·
//   sealed u8 · zero 3 · storage max u64 · next key u64 · data key (id u64 · since u64 · bytes u64
//   · retired u8 · zero 7) · lanes (log id 16 · epoch u32 · zero 4 · last u64 · head) · actor count
//   u32 · actors by id (id 16 · name · method · kind u8) · catalog
#include "kernel/snapshot.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "access.hpp"
#include "base/codec.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::kernel {
namespace {

constexpr std::uint16_t blob_version = 1;

void write_flag(Writer& to, bool flag, std::size_t padding) {
  to.u8(flag ? 1 : 0);
  to.zeros(padding);
}

bool read_flag(Reader& from, std::size_t padding) {
  const std::uint8_t flag = from.u8();
  if (flag > 1) from.fail();
  from.zeros(padding);
  return flag == 1;
}

void write_lane(Writer& to, const LaneState& lane) {
  to.bytes(lane.log_id);
  to.u32(lane.epoch);
  to.zeros(4);
  to.id(lane.last);
  record::encode(to, lane.head);
}

LaneState read_lane(Reader& from) {
  LaneState lane;
  lane.log_id = from.array<16>();
  lane.epoch = from.u32();
  from.zeros(4);
  lane.last = from.id<TimestampUs>();
  lane.head = record::decode_head(from);
  const bool empty = lane.head.position == Position{};
  if (lane.epoch == 0 || empty != (lane.last == TimestampUs{})) from.fail();
  return lane;
}

void write_data_key(Writer& to, const DataKeyUse& use) {
  to.id(use.id);
  to.id(use.since);
  to.u64(use.bytes);
  write_flag(to, use.retired, 7);
}

DataKeyUse read_data_key(Reader& from, KeyId next_key) {
  DataKeyUse use;
  use.id = from.id<KeyId>();
  use.since = from.id<TimestampUs>();
  use.bytes = from.u64();
  use.retired = read_flag(from, 7);
  const bool none = use.id == KeyId{};
  if (none != (next_key == first_data_key)) from.fail();
  if (!none && (use.id < first_data_key || use.id >= next_key)) from.fail();
  if (none && (use.since != TimestampUs{} || use.bytes != 0)) from.fail();
  return use;
}

void write_actors(Writer& to, const std::map<Id128, Actor>& actors) {
  to.u32(static_cast<std::uint32_t>(actors.size()));
  for (const auto& [id, actor] : actors) {
    to.bytes(id);
    to.text(actor.name);
    to.text(actor.method);
    to.u8(std::to_underlying(actor.kind));
  }
}

std::map<Id128, Actor> read_actors(Reader& from) {
  std::map<Id128, Actor> actors;
  std::set<std::pair<std::string, std::string>> names;
  const std::uint32_t count = from.u32();
  for (std::uint32_t i = 0; i < count && !from.failed(); ++i) {
    const Id128 id = from.array<16>();
    Actor actor;
    actor.name = from.text();
    actor.method = from.text();
    actor.kind = static_cast<ActorKind>(from.u8());
    const bool ascending = actors.empty() || std::prev(actors.end())->first < id;
    if (!ascending || !is_actor(id, actor) || !names.emplace(actor.name, actor.method).second) {
      from.fail();
    }
    actors.emplace_hint(actors.end(), id, std::move(actor));
  }
  return actors;
}

Buffer encode_tenant(const State& state, TenantId id, const TenantState& tenant) {
  Writer to;
  to.u16(blob_version);
  to.zeros(6);
  to.id(id);
  to.bytes(state.cluster());
  to.text(tenant.name);
  to.id(tenant.created);
  to.u32(tenant.access_version);
  write_flag(to, tenant.sealed, 3);
  to.u64(tenant.storage_max);
  to.id(tenant.next_key);
  write_data_key(to, tenant.data_key);
  for (const LaneState& lane : tenant.lanes) write_lane(to, lane);
  write_actors(to, tenant.actors);
  tenant.catalog.encode(to);
  return std::move(to).take();
}

Error damaged(TenantId tenant, const Reader& from) {
  return Error{Code::integrity_snapshot, "the state of a tenant is not in its canonical form"}
      .where("tenant {}, before byte {}", tenant.value(), from.at())
      .next("the state can be rebuilt from the logs");
}

// Of tenant 0 there is no name; of others a name that is one.
bool name_fits(TenantId id, std::string_view name) {
  return id == TenantId{} ? name.empty() : is_tenant_name(name);
}

Result<TenantState> decode_tenant(TenantId id, const Id128& cluster, Bytes bytes) {
  Reader from{bytes};
  const std::uint16_t version = from.u16();
  if (!from.failed() && version > blob_version) {
    return Error{Code::unavailable_version, "a snapshot has the format {}", version}.why(
        "this program knows formats up to {}", blob_version);
  }
  from.zeros(6);
  if (version != blob_version || from.id<TenantId>() != id || from.array<16>() != cluster) {
    return damaged(id, from);
  }
  TenantState tenant;
  tenant.name = from.text();
  tenant.created = from.id<TimestampUs>();
  tenant.access_version = from.u32();
  tenant.sealed = read_flag(from, 3);
  tenant.storage_max = from.u64();
  tenant.next_key = from.id<KeyId>();
  tenant.data_key = read_data_key(from, tenant.next_key);
  std::uint64_t bytes_left = std::numeric_limits<std::uint64_t>::max();
  for (LaneState& lane : tenant.lanes) {
    lane = read_lane(from);
    if (lane.head.bytes > bytes_left) from.fail();  // their sum is a u64 (storage_bytes)
    bytes_left -= std::min(bytes_left, lane.head.bytes);
  }
  tenant.actors = read_actors(from);
  if (from.failed() || !name_fits(id, tenant.name) || tenant.access_version == 0) {
    return damaged(id, from);
  }
  Result<catalog::Catalog> catalog = catalog::Catalog::decode(from);
  if (!catalog || !from.finished()) return damaged(id, from);
  // What apply takes for granted: it asserts the one and adds to the other.
  if (catalog->last_change() > tenant.lane(Lane::data).head.position ||
      tenant.data_key.bytes > tenant.storage_bytes()) {
    return damaged(id, from);
  }
  tenant.catalog = *std::move(catalog);
  return tenant;
}

}  // namespace

void encode_all(const State& state, const BlobSink& out) {
  std::uint64_t id = 0;
  for (const Access::Slot& slot : Access::slots(state)) {
    const TenantId tenant{id++};
    out(tenant, encode_tenant(state, tenant, slot.state));
  }
}

void encode_dirty(const State& state, const BlobSink& out) {
  std::uint64_t id = 0;
  for (const Access::Slot& slot : Access::slots(state)) {
    const TenantId tenant{id++};
    if (slot.dirty) out(tenant, encode_tenant(state, tenant, slot.state));
  }
}

void mark_clean(State& state) {
  for (Access::Slot& slot : Access::slots(state)) slot.dirty = false;
}

Result<State> decode(const Id128& cluster, std::span<const Blob> blobs) {
  if (blobs.empty()) {
    return Error{Code::integrity_snapshot, "a snapshot holds no tenant"}.next(
        "the state can be rebuilt from the logs");
  }
  State state = Access::empty(cluster);
  std::set<std::string_view> names;
  for (const Blob& blob : blobs) {
    if (blob.tenant != state.next_tenant()) {
      return Error{Code::integrity_snapshot, "a snapshot's tenants are not in order"}.where(
          "tenant {}, where tenant {} belongs", blob.tenant.value(), state.next_tenant().value());
    }
    KIMBERLITE_TRY(TenantState tenant, decode_tenant(blob.tenant, cluster, blob.bytes));
    Access::Slot& slot = Access::slots(state).emplace_back();
    slot.state = std::move(tenant);
    slot.dirty = false;
    if (!names.insert(slot.state.name).second) {
      return Error{Code::integrity_snapshot, "two tenants have one name"}.where(
          "tenant {}", blob.tenant.value());
    }
  }
  return state;
}

Hash digest(const State& state) {
  crypto::Blake3 hash;
  std::uint64_t id = 0;
  for (const Access::Slot& slot : Access::slots(state)) {
    const TenantId tenant{id++};
    if (!slot.blob) slot.blob = crypto::blake3(encode_tenant(state, tenant, slot.state));
    Writer number;
    number.id(tenant);
    hash.update(number.buffer());
    hash.update(*slot.blob);
  }
  return hash.finish();
}

Hash heads_digest(std::span<const LogHead> heads) {
  crypto::Blake3 hash;
  for (const LogHead& head : heads) {
    if (head.position == Position{}) continue;
    Writer to;
    to.bytes(head.log_id);
    to.id(head.position);
    to.u64(head.bytes);
    to.bytes(head.leaf);
    hash.update(to.buffer());
  }
  return hash.finish();
}

Hash heads_digest(const State& state) {
  std::vector<LogHead> heads;
  heads.reserve(state.tenant_count() * lane_count);
  for (const Access::Slot& slot : Access::slots(state)) {
    for (const LaneState& lane : slot.state.lanes) {
      heads.push_back({lane.log_id, lane.head.position, lane.head.bytes, lane.head.leaf});
    }
  }
  return heads_digest(heads);
}

}  // namespace kimberlite::kernel
