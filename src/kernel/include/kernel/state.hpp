// The replicated state of a cluster: everything `apply` decides by, and nothing that grows with
// rows, streams, subjects or requests (architecture.md §4).
//
// It depends on the logs' records alone, so a lost snapshot is rebuilt by replaying them
// (`replay`, command.hpp). Only `apply`, `replay` and `decode` change it. Thread rule: a value of
// the owner's strand; not even const access is safe beside another thread, as digests are cached.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "catalog/catalog.hpp"
#include "record/head.hpp"

namespace kimberlite::kernel {

// The logs of a tenant. A read is recorded in `access`, so that it never moves the data's position.
enum class Lane : std::uint16_t { data = 0, access = 1 };
inline constexpr std::size_t lane_count = 2;

// One log: a (tenant, lane) and its current epoch.
struct LaneState {
  Id128 log_id{};  // of the epoch; all records of the epoch carry it
  std::uint32_t epoch =
      1;              // 1 is the log as it was made; a restore or accepted loss begins the next
  TimestampUs last;   // time of the newest record; 0 if there is none
  record::Head head;  // position (= records), bytes of all frames, leaf, frontier
  friend bool operator==(const LaneState&, const LaneState&) = default;
};

enum class ActorKind : std::uint8_t { human = 1, service = 2, system = 3 };

inline constexpr std::size_t actor_name_max = 255;  // bytes, of text; at least 1 of each
inline constexpr std::size_t actor_method_max = 63;

// Who acts, as first seen. A name is unique among the tenant's actors of one method.
struct Actor {
  std::string name;    // "os:ann"
  std::string method;  // how it was known: "local"; later "password", "mtls", …
  ActorKind kind = ActorKind::human;
  friend bool operator==(const Actor&, const Actor&) = default;
};

// The tenant's current data key, by which the executor knows when to take a new one.
struct DataKeyUse {
  KeyId id;                 // 0: none yet
  TimestampUs since;        // time of the record it first stood in
  std::uint64_t bytes = 0;  // sealed under it, tags included
  bool retired = false;     // a rotation was asked for: the next record is to bring a new one
  friend bool operator==(const DataKeyUse&, const DataKeyUse&) = default;
};

inline constexpr KeyId control_key{1};
inline constexpr KeyId pseudonym_key{2};
inline constexpr KeyId first_data_key{3};

struct TenantState {
  std::string name;  // empty for tenant 0, the cluster itself
  TimestampUs created;
  std::array<LaneState, lane_count> lanes;
  catalog::Catalog catalog;
  std::map<Id128, Actor> actors;
  std::uint32_t access_version = 1;  // raised by whatever changes what a command may do
  std::uint64_t storage_max = 0;     // bytes of frames in all lanes; 0: no limit
  bool sealed = false;               // no writes
  KeyId next_key = first_data_key;   // the id the next new key must have
  DataKeyUse data_key;

  [[nodiscard]] const LaneState& lane(Lane which) const;
  // Bytes of frames over all lanes: what the storage quota limits.
  [[nodiscard]] std::uint64_t storage_bytes() const;
  // The actor of this name and method, if there is one.
  [[nodiscard]] std::optional<Id128> find_actor(std::string_view actor_name,
                                                std::string_view method) const;
};

// When the executor takes a new data key: never a matter of `apply`, which only counts.
struct KeyPolicy {
  std::uint64_t bytes_max = 16ULL << 30;
  std::uint64_t age_max_us = 90ULL * 24 * 3600 * 1'000'000;
};
// True if the next sealed item should be under key `tenant.next_key`. `now` is the caller's clock.
[[nodiscard]] bool needs_new_data_key(const TenantState& tenant, TimestampUs now,
                                      const KeyPolicy& policy = {});

// 1 to 63 of a-z, 0-9, '-' and '_', the first a letter or digit.
[[nodiscard]] bool is_tenant_name(std::string_view name);

class State {
 public:
  // The state before the first record: tenant 0 alone, with no actor. Its log ids are cut from the
  // cluster's id, so that a lost snapshot 0 can be made again.
  explicit State(const Id128& cluster);

  [[nodiscard]] const Id128& cluster() const { return cluster_; }
  // Tenants there are, tenant 0 included: ids 0 … tenant_count() - 1.
  [[nodiscard]] std::uint64_t tenant_count() const { return slots_.size(); }
  [[nodiscard]] TenantId next_tenant() const { return TenantId{slots_.size()}; }
  // Null if there is none; valid until the state is assigned to or ends.
  [[nodiscard]] const TenantState* tenant(TenantId id) const;
  [[nodiscard]] std::optional<TenantId> find_tenant(std::string_view name) const;

 private:
  friend struct Access;  // apply and the snapshot codec
  struct Slot {
    TenantState state;
    bool dirty = true;                 // changed since `mark_clean`
    mutable std::optional<Hash> blob;  // digest of the canonical blob; none: changed since
  };
  State() = default;

  Id128 cluster_{};
  std::deque<Slot> slots_;  // by tenant id; a deque, so that pointers stay valid
};

}  // namespace kimberlite::kernel
