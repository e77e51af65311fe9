#include "kernel/state.hpp"

#include <algorithm>
#include <utility>

#include "access.hpp"
#include "base/bytes.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::kernel {
namespace {

// A log id of tenant 0: as random as the cluster's id is, and known to whoever has that.
Id128 cluster_log_id(const Id128& cluster, std::size_t lane) {
  constexpr std::string_view domain = "kimberlite log of a cluster";
  const std::array number{static_cast<std::byte>(lane)};
  const Hash hash = crypto::blake3(bytes_of(domain), cluster, number);
  Id128 id{};
  std::copy_n(hash.begin(), id.size(), id.begin());
  return id;
}

}  // namespace

const LaneState& TenantState::lane(Lane which) const { return lanes[std::to_underlying(which)]; }

std::uint64_t TenantState::storage_bytes() const {
  std::uint64_t bytes = 0;  // apply keeps the sum below 2^64
  for (const LaneState& each : lanes) bytes += each.head.bytes;
  return bytes;
}

std::optional<Id128> TenantState::find_actor(std::string_view actor_name,
                                             std::string_view method) const {
  for (const auto& [id, actor] : actors) {
    if (actor.name == actor_name && actor.method == method) return id;
  }
  return std::nullopt;
}

bool needs_new_data_key(const TenantState& tenant, TimestampUs now, const KeyPolicy& policy) {
  const DataKeyUse& use = tenant.data_key;
  if (use.id == KeyId{} || use.retired || use.bytes >= policy.bytes_max) return true;
  // A clock that stands before the key's first record says nothing about its age.
  return now > use.since && now.value() - use.since.value() >= policy.age_max_us;
}

bool is_tenant_name(std::string_view name) {
  constexpr std::size_t size_max = 63;
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > size_max || !plain(name.front())) return false;
  return std::ranges::all_of(name, [&](char c) { return plain(c) || c == '-' || c == '_'; });
}

bool is_label(std::string_view text, std::size_t size_max) {
  return !text.empty() && text.size() <= size_max && is_utf8_text(text);
}

bool is_actor(const Id128& id, const Actor& actor) {
  return !all_zero(id) && is_label(actor.name, actor_name_max) &&
         is_label(actor.method, actor_method_max) && actor.kind >= ActorKind::human &&
         actor.kind <= ActorKind::system;
}

State::State(const Id128& cluster) : cluster_(cluster) {
  TenantState& own = slots_.emplace_back().state;
  for (std::size_t lane = 0; lane < lane_count; ++lane) {
    own.lanes[lane].log_id = cluster_log_id(cluster, lane);
  }
}

const TenantState* State::tenant(TenantId id) const {
  return id.value() < slots_.size() ? &slots_[id.value()].state : nullptr;
}

std::optional<TenantId> State::find_tenant(std::string_view name) const {
  for (std::uint64_t id = 1; id < slots_.size(); ++id) {
    if (slots_[id].state.name == name) return TenantId{id};
  }
  return std::nullopt;
}

}  // namespace kimberlite::kernel
