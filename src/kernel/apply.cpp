// `apply` in two halves: `examine` decides and changes nothing, `commit` changes and cannot fail.
#include <algorithm>
#include <limits>
#include <utility>

#include "access.hpp"
#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/checked.hpp"
#include "kernel/command.hpp"
#include "record/frame.hpp"

namespace kimberlite::kernel {
namespace {

constexpr std::uint64_t number_max = std::numeric_limits<std::uint64_t>::max();

// What `examine` found; with a refusal the rest means nothing.
struct Verdict {
  Refusal refusal = Refusal::none;
  record::Entry entry;
  std::uint64_t new_keys = 0;
};

bool is_client_write(std::uint16_t kind) {
  return kind == std::to_underlying(Kind::write) || kind == std::to_underlying(Kind::append) ||
         kind == std::to_underlying(Kind::ddl);
}

// Kind, lane, tenant and control belong together.
bool well_formed(const Command& command) {
  if (is_client_write(command.kind) && command.tenant == TenantId{}) return false;
  if (command.lane != Lane::data && command.base != Position{}) return false;
  if (command.control) {
    const Kind kind = kind_of(*command.control);
    if (command.kind != std::to_underlying(kind)) return false;
    return command.lane == Lane::data || kind == Kind::begin_epoch;
  }
  return command.lane == Lane::data && (command.kind == std::to_underlying(Kind::write) ||
                                        command.kind == std::to_underlying(Kind::append));
}

// Sizes and key ids of the items; counts the keys that are new.
Refusal check_items(const TenantState& tenant, const Command& command, std::uint64_t& new_keys) {
  if (command.items.empty() || command.items.size() > record::item_count_max) {
    return Refusal::malformed;
  }
  std::uint64_t size = 0;
  std::uint64_t controls = 0;
  std::uint64_t next_key = tenant.next_key.value();
  for (const record::ItemHeader& item : command.items) {
    size += record::item_header_size + std::uint64_t{item.size};
    if (item.kind == record::ItemKind::control) {
      controls += item.count;
      if (item.key != control_key) return Refusal::bad_key;
    } else if (item.key.value() == next_key && next_key < number_max) {
      ++next_key;
    } else if (item.key < first_data_key || item.key.value() >= next_key) {
      return Refusal::bad_key;
    }
  }
  if (size != command.body_size) return Refusal::malformed;
  if (controls != (command.control ? 1U : 0U)) return Refusal::malformed;
  new_keys = next_key - tenant.next_key.value();
  return Refusal::none;
}

bool actor_may_act(const TenantState& tenant, const Command& command) {
  if (tenant.actors.contains(command.actor)) return true;
  if (!command.control) return false;
  const auto* epoch = std::get_if<BeginEpoch>(&*command.control);
  const auto* added =
      epoch != nullptr && epoch->actor ? &*epoch->actor : std::get_if<AddActor>(&*command.control);
  return added != nullptr && added->id == command.actor;
}

// Does a control fit the state? Tenant and cluster are as before the command.
class ControlCheck {
 public:
  ControlCheck(const State& state, const TenantState& tenant, const Command& command)
      : state_(state), tenant_(tenant), command_(command) {}

  bool operator()(const catalog::Change& change) const {
    return tenant_.catalog.check(change).has_value();
  }
  bool operator()(const AddActor& added) const {
    return is_actor(added.id, added.actor) && !tenant_.actors.contains(added.id) &&
           !tenant_.find_actor(added.actor.name, added.actor.method);
  }
  bool operator()(const CreateTenant& created) const {
    return command_.tenant == TenantId{} && created.tenant == state_.next_tenant() &&
           is_tenant_name(created.name) && !state_.find_tenant(created.name) &&
           std::ranges::none_of(created.log_ids, [](const Id128& id) { return all_zero(id); }) &&
           created.log_ids[0] != created.log_ids[1];
  }
  bool operator()(const RotateKey& rotated) const {
    return rotated.scope == KeyScope::data || rotated.scope == KeyScope::tenant;
  }
  bool operator()(const SetQuota& quota) const { return may_change_access(quota.tenant); }
  bool operator()(const SetSealed& seal) const { return may_change_access(seal.tenant); }
  bool operator()(const BeginEpoch& epoch) const {
    const LaneState& lane = tenant_.lane(command_.lane);
    const bool none_lost = epoch.lost_first == OpNumber{} && epoch.lost_last == OpNumber{};
    return !all_zero(epoch.log_id) && epoch.log_id != lane.log_id &&
           lane.epoch < std::numeric_limits<std::uint32_t>::max() &&
           (none_lost || (epoch.lost_first != OpNumber{} && epoch.lost_first <= epoch.lost_last)) &&
           epoch.old_log_id == lane.log_id && knows_old_tree(epoch, lane.head) &&
           (!epoch.actor || (*this)(*epoch.actor));
  }
  bool operator()(const PublishHeads& published) const {
    if (command_.tenant != TenantId{} || published.heads.empty()) return false;
    std::pair last{TenantId{}, Lane::data};  // the cluster's own, which stands in none
    return published.heads.size() <= published_heads_max &&
           std::ranges::all_of(published.heads, [&](const PublishedHead& head) {
             const std::pair place{head.tenant, head.lane};
             return std::exchange(last, place) < place && is_tree(head);
           });
  }

 private:
  [[nodiscard]] bool is_tree(const PublishedHead& head) const {
    const TenantState* tenant = state_.tenant(head.tenant);
    if (tenant == nullptr || std::to_underlying(head.lane) >= lane_count) return false;
    const LaneState& lane = tenant->lane(head.lane);
    const std::uint64_t size = lane.head.position.value();
    return head.log_id == lane.log_id && head.size > 0 && head.size <= size &&
           (head.size < size || head.root == lane.head.frontier.root());
  }
  [[nodiscard]] static bool knows_old_tree(const BeginEpoch& epoch, const record::Head& kept) {
    const std::uint64_t size = kept.position.value();
    if (epoch.old_size < size || (epoch.old_size == 0) != all_zero(epoch.old_root)) return false;
    return epoch.old_size > size || size == 0 || epoch.old_root == kept.frontier.root();
  }
  [[nodiscard]] bool may_change_access(TenantId target) const {
    const TenantState* tenant = state_.tenant(target);
    return command_.tenant == TenantId{} && target != TenantId{} && tenant != nullptr &&
           tenant->access_version < std::numeric_limits<std::uint32_t>::max();
  }

  const State& state_;
  const TenantState& tenant_;
  const Command& command_;
};

record::Entry make_entry(const TenantState& tenant, TimestampUs time, const Command& command) {
  const LaneState& lane = tenant.lane(command.lane);
  record::Entry entry;
  entry.kind = command.kind;
  entry.flags = command.flags;
  entry.catalog_version = tenant.catalog.version();
  entry.body_size = command.body_size;
  entry.item_count = static_cast<std::uint32_t>(command.items.size());
  entry.log_id = lane.log_id;
  entry.position = Position{lane.head.position.value() + 1};
  entry.timestamp = time;
  entry.actor = command.actor;
  entry.session = command.session;
  entry.request_id = command.request_id;
  entry.correlation = command.correlation;
  entry.body_commitment = command.body_commitment;
  entry.previous = lane.head.leaf;
  if (command.control) {
    // The record that changes the schema stands under the schema it makes; the one that begins an
    // epoch is the first of it.
    if (std::holds_alternative<catalog::Change>(*command.control)) ++entry.catalog_version;
    if (const auto* epoch = std::get_if<BeginEpoch>(&*command.control)) {
      entry.log_id = epoch->log_id;
    }
  }
  return entry;
}

Refusal check_quota(const TenantState& tenant, const Command& command) {
  std::uint64_t after = 0;
  if (!checked_add(tenant.storage_bytes(), record::frame_size(command.body_size), after)) {
    return Refusal::malformed;
  }
  const bool limited = tenant.storage_max != 0 && is_client_write(command.kind);
  return limited && after > tenant.storage_max ? Refusal::quota : Refusal::none;
}

Refusal check_standing(const TenantState& tenant, const Command& command) {
  const LaneState& lane = tenant.lane(command.lane);
  const bool is_stale = command.base != lane.head.position && !is_planted(Canary::skip_base_check);
  if (command.lane == Lane::data && is_stale) return Refusal::stale_base;
  if (command.access_version != tenant.access_version) return Refusal::stale_access;
  const bool begins_epoch = command.kind == std::to_underlying(Kind::begin_epoch);
  if (tenant.sealed && command.lane == Lane::data && !begins_epoch) return Refusal::sealed;
  return Refusal::none;
}

Verdict examine(const State& state, TimestampUs time, const Command& command) {
  const auto refused = [](Refusal refusal) { return Verdict{refusal, {}, 0}; };
  const TenantState* tenant = state.tenant(command.tenant);
  if (tenant == nullptr) return refused(Refusal::not_found);
  if (std::to_underlying(command.lane) >= lane_count) return refused(Refusal::malformed);
  if (const Refusal r = check_standing(*tenant, command); r != Refusal::none) return refused(r);

  const LaneState& lane = tenant->lane(command.lane);
  // The last position but one, as `catalog::still_valid` is no position.
  if (!well_formed(command) || time <= lane.last || lane.head.position.value() >= number_max - 1) {
    return refused(Refusal::malformed);
  }
  std::uint64_t new_keys = 0;
  if (const Refusal r = check_items(*tenant, command, new_keys); r != Refusal::none) {
    return refused(r);
  }
  if (const Refusal r = check_quota(*tenant, command); r != Refusal::none) return refused(r);
  if (!actor_may_act(*tenant, command)) return refused(Refusal::unknown_actor);
  if (command.control && !std::visit(ControlCheck{state, *tenant, command}, *command.control)) {
    return refused(Refusal::bad_control);
  }
  return {Refusal::none, make_entry(*tenant, time, command), new_keys};
}

// The effects of a control that fits. The record itself is applied already.
class ControlEffect {
 public:
  ControlEffect(State& state, TenantState& tenant, const record::Entry& entry, Lane lane)
      : state_(state), tenant_(tenant), entry_(entry), lane_(lane) {}

  void operator()(const catalog::Change& change) {
    const Status applied = tenant_.catalog.apply(change, entry_.position);
    KIMBERLITE_ASSERT(applied.has_value());
    KIMBERLITE_ASSERT(tenant_.catalog.version() == entry_.catalog_version);
  }
  void operator()(const AddActor& added) { tenant_.actors.emplace(added.id, added.actor); }
  void operator()(const CreateTenant& created) {
    TenantState& tenant = Access::slots(state_).emplace_back().state;
    tenant.name = created.name;
    tenant.created = entry_.timestamp;
    for (std::size_t lane = 0; lane < lane_count; ++lane) {
      tenant.lanes[lane].log_id = created.log_ids[lane];
    }
  }
  void operator()(const RotateKey& rotated) {
    if (rotated.scope == KeyScope::data) tenant_.data_key.retired = true;
  }
  void operator()(const SetQuota& quota) {
    TenantState& tenant = Access::touch(state_, quota.tenant);
    tenant.storage_max = quota.storage_max;
    ++tenant.access_version;
  }
  void operator()(const SetSealed& seal) {
    TenantState& tenant = Access::touch(state_, seal.tenant);
    tenant.sealed = seal.sealed;
    ++tenant.access_version;
  }
  void operator()(const BeginEpoch& epoch) {
    LaneState& lane = tenant_.lanes[std::to_underlying(lane_)];
    lane.log_id = epoch.log_id;
    ++lane.epoch;
    if (epoch.actor) (*this)(*epoch.actor);
  }
  void operator()(const PublishHeads& /*published*/) const {}

 private:
  State& state_;
  TenantState& tenant_;
  const record::Entry& entry_;
  Lane lane_;
};

void count_key_use(TenantState& tenant, TimestampUs time,
                   std::span<const record::ItemHeader> items) {
  for (const record::ItemHeader& item : items) {
    if (item.key == tenant.next_key) {
      tenant.data_key = {item.key, time, 0, false};
      tenant.next_key = KeyId{item.key.value() + 1};
    }
    if (is_planted_once_in(7, Canary::count_apart)) continue;
    // Never more than the bytes of all frames, which are a u64.
    if (item.key == tenant.data_key.id) tenant.data_key.bytes += item.size;
  }
}

// Applies what `examine` let pass; returns the new leaf.
Hash commit(State& state, const Command& command, const Verdict& verdict) {
  TenantState& tenant = Access::touch(state, command.tenant);
  LaneState& lane = tenant.lanes[std::to_underlying(command.lane)];
  const Hash leaf = record::advance_in_place(lane.head, verdict.entry);
  lane.last = verdict.entry.timestamp;
  count_key_use(tenant, verdict.entry.timestamp, command.items);
  if (command.control) {
    std::visit(ControlEffect{state, tenant, verdict.entry, command.lane}, *command.control);
  }
  KIMBERLITE_ASSERT(lane.head.position == verdict.entry.position);
  return leaf;
}

// Must the command have a sidecar?
bool brings_keys(const Command& command, std::uint64_t new_keys) {
  if (new_keys > 0) return true;
  if (!command.control) return false;
  const auto* rotated = std::get_if<RotateKey>(&*command.control);
  return std::holds_alternative<CreateTenant>(*command.control) ||
         std::holds_alternative<BeginEpoch>(*command.control) ||
         (rotated != nullptr && rotated->scope == KeyScope::tenant);
}

}  // namespace

Effects apply(State& state, TimestampUs time, const Command& command) {
  const Verdict verdict = examine(state, time, command);
  if (verdict.refusal != Refusal::none) return {verdict.refusal, std::nullopt, {}};
  if (brings_keys(command, verdict.new_keys) == command.sidecar.empty()) {
    return {Refusal::bad_key, std::nullopt, {}};
  }
  const Hash leaf = commit(state, command, verdict);
  return {Refusal::none, verdict.entry, leaf};
}

Status replay(State& state, TenantId tenant_id, Lane lane, const record::Entry& entry,
              std::span<const record::ItemHeader> items, const std::optional<Control>& control) {
  const TenantState* tenant = state.tenant(tenant_id);
  Command command;
  command.tenant = tenant_id;
  command.lane = lane;
  command.kind = entry.kind;
  command.flags = entry.flags;
  if (lane == Lane::data && entry.position != Position{}) {
    command.base = Position{entry.position.value() - 1};
  }
  command.access_version = tenant == nullptr ? 0 : tenant->access_version;
  command.actor = entry.actor;
  command.session = entry.session;
  command.request_id = entry.request_id;
  command.correlation = entry.correlation;
  command.items = items;
  command.body_size = entry.body_size;
  command.body_commitment = entry.body_commitment;
  command.control = control;

  const Verdict verdict = examine(state, entry.timestamp, command);
  if (verdict.refusal != Refusal::none || verdict.entry != entry) {
    return Error{Code::integrity_state, "a record does not follow from the records before it"}
        .where("tenant {}, lane {}, position {}", tenant_id.value(), std::to_underlying(lane),
               entry.position.value())
        .why("{}", verdict.refusal == Refusal::none ? "another entry would have been made"
                                                    : refusal_name(verdict.refusal));
  }
  static_cast<void>(commit(state, command, verdict));
  return {};
}

std::string_view kind_name(std::uint16_t kind) {
  switch (static_cast<Kind>(kind)) {
    case Kind::write:
      return "write";
    case Kind::append:
      return "append";
    case Kind::ddl:
      return "ddl";
    case Kind::add_actor:
      return "add_actor";
    case Kind::create_tenant:
      return "create_tenant";
    case Kind::rotate_key:
      return "rotate_key";
    case Kind::set_quota:
      return "set_quota";
    case Kind::set_sealed:
      return "set_sealed";
    case Kind::begin_epoch:
      return "begin_epoch";
    case Kind::publish_heads:
      return "publish_heads";
  }
  return "unknown";
}

std::string_view refusal_name(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
      return "none";
    case Refusal::stale_base:
      return "stale_base";
    case Refusal::stale_access:
      return "stale_access";
    case Refusal::sealed:
      return "sealed";
    case Refusal::held:
      return "held";
    case Refusal::quota:
      return "quota";
    case Refusal::not_found:
      return "not_found";
    case Refusal::unknown_actor:
      return "unknown_actor";
    case Refusal::bad_key:
      return "bad_key";
    case Refusal::bad_control:
      return "bad_control";
    case Refusal::malformed:
      return "malformed";
  }
  return "unknown";
}

Error error_of(Refusal refusal, TenantId tenant) {
  const auto where = [&](Error&& error) {
    return std::move(error).where("tenant {}", tenant.value());
  };
  switch (refusal) {
    case Refusal::stale_base:
    case Refusal::stale_access:
      return where(Error{Code::unavailable_busy, "other writes kept coming first"}.next("retry"));
    case Refusal::sealed:
      return where(Error{Code::policy_sealed, "the tenant is sealed: it takes no writes"});
    case Refusal::held:
      return where(Error{Code::policy_hold, "a legal hold forbids this"});
    case Refusal::quota:
      return where(Error{Code::limit_quota, "the tenant's storage quota is used up"}.next(
          "ask for a larger quota"));
    case Refusal::not_found:
      return where(Error{Code::not_found_tenant, "there is no such tenant"});
    case Refusal::unknown_actor:
      return where(Error{Code::auth_required, "the tenant does not know this actor"});
    case Refusal::none:
    case Refusal::bad_key:
    case Refusal::bad_control:
    case Refusal::malformed:
      break;
  }
  return where(Error{Code::internal_bug, "a command was refused as {}", refusal_name(refusal)}.next(
      "report this; nothing was written"));
}

}  // namespace kimberlite::kernel
