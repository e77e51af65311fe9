// Commands for tests, and a log of what became of them.
#pragma once

#include <optional>
#include <vector>

#include "kernel/command.hpp"
#include "kernel/snapshot.hpp"

namespace kimberlite::kernel::sample {

inline Id128 id(std::uint64_t number) {
  Id128 made{};
  store_le(made.data(), number);
  made[15] = std::byte{0x5A};
  return made;
}

inline record::ItemHeader item(record::ItemKind kind, KeyId key, std::uint32_t size = 80) {
  record::ItemHeader header;
  header.kind = kind;
  header.count = kind == record::ItemKind::meta ? 0 : 1;
  header.flags = kind == record::ItemKind::meta ? record::item_flag_meta : 0;
  header.size = size;
  header.key = key;
  if (kind == record::ItemKind::events) header.stream = StreamId{1};
  return header;
}

// A command that owns what it refers to.
struct Request {
  Command command;
  std::vector<record::ItemHeader> items;
  Buffer sidecar;

  // With views and sizes set; valid until the request is changed or ends.
  Command& ready() {
    command.items = items;
    command.sidecar = sidecar;
    command.body_size = 0;
    for (const record::ItemHeader& header : items) {
      command.body_size += static_cast<std::uint32_t>(record::item_header_size) + header.size;
    }
    return command;
  }
};

inline constexpr std::uint64_t actor_number = 7;

// One that `state` accepts at its head.
inline Request request(const State& state, TenantId tenant, Kind kind) {
  Request made;
  made.command.tenant = tenant;
  made.command.kind = static_cast<std::uint16_t>(kind);
  const TenantState* target = state.tenant(tenant);
  made.command.base = target->lane(Lane::data).head.position;
  made.command.access_version = target->access_version;
  made.command.actor = id(actor_number);
  made.command.session = id(8);
  made.command.request_id = id(1000 + made.command.base.value());
  made.command.body_commitment.fill(std::byte{static_cast<unsigned char>(kind)});
  return made;
}

// The next epoch of a lane that lost nothing.
inline BeginEpoch epoch(const State& state, TenantId tenant, const Id128& log_id,
                        Lane lane = Lane::data) {
  const LaneState& ends = state.tenant(tenant)->lane(lane);
  BeginEpoch begins{.log_id = log_id, .old_log_id = ends.log_id};
  begins.old_size = ends.head.position.value();
  if (begins.old_size > 0) begins.old_root = ends.head.frontier.root();
  return begins;
}

// Of every log that has records.
inline PublishHeads heads(const State& state) {
  PublishHeads published;
  for (std::uint64_t tenant = 1; tenant < state.tenant_count(); ++tenant) {
    for (const Lane lane : {Lane::data, Lane::access}) {
      const LaneState& log = state.tenant(TenantId{tenant})->lane(lane);
      const std::uint64_t size = log.head.position.value();
      if (size == 0) continue;
      published.heads.push_back(
          {TenantId{tenant}, lane, log.log_id, size, log.head.frontier.root()});
    }
  }
  return published;
}

inline Request control(const State& state, TenantId tenant, Control change) {
  Request made = request(state, tenant, kind_of(change));
  made.items = {item(record::ItemKind::control, control_key)};
  if (const auto* rotated = std::get_if<RotateKey>(&change)) {
    if (rotated->scope == KeyScope::tenant) made.sidecar.resize(96);
  }
  if (std::holds_alternative<CreateTenant>(change)) made.sidecar.resize(480);
  if (std::holds_alternative<BeginEpoch>(change)) made.sidecar.resize(96);
  made.command.control = std::move(change);
  return made;
}

// Rows under the current data key, or under the next key if there is none or it is retired.
inline Request write(const State& state, TenantId tenant, std::uint32_t size = 80) {
  Request made = request(state, tenant, Kind::write);
  const TenantState* target = state.tenant(tenant);
  const bool fresh = target->data_key.id == KeyId{} || target->data_key.retired;
  made.items = {item(record::ItemKind::rows, fresh ? target->next_key : target->data_key.id, size)};
  if (fresh) made.sidecar.resize(96);
  return made;
}

inline AddActor actor(std::uint64_t number = actor_number) {
  return {id(number), {"os:user" + std::to_string(number), "local", ActorKind::human}};
}

inline CreateTenant tenant(const State& state, std::string name) {
  const std::uint64_t number = state.next_tenant().value();
  return {state.next_tenant(), std::move(name), {id(100 * number + 1), id(100 * number + 2)}};
}

inline catalog::CreateTable table(const State& state, TenantId tenant, std::string name) {
  catalog::Table made;
  made.id = state.tenant(tenant)->catalog.next_object();
  made.name = std::move(name);
  catalog::Column column;
  column.id = ColumnId{1};
  column.name = "id";
  column.type.kind = catalog::TypeKind::bigint;
  made.columns = {column};
  made.primary_key = {ColumnId{1}};
  return {made};
}

// A record as its segment and its opened control item would give it.
struct Logged {
  TenantId tenant;
  Lane lane = Lane::data;
  record::Entry entry;
  std::vector<record::ItemHeader> items;
  std::optional<Control> control;
};

// Applies commands at rising times and keeps the log.
class Cluster {
 public:
  Cluster() : state(id(1)) {}

  Effects apply(Request& made) {
    const Effects effects = kernel::apply(state, TimestampUs{++time}, made.ready());
    if (effects.append) {
      log.push_back({made.command.tenant, made.command.lane, *effects.append, made.items,
                     made.command.control});
    }
    return effects;
  }
  Refusal run(Request made) { return apply(made).refusal; }

  // Tenant 0 with its actor, and `tenants` more with one each.
  void populate(std::uint64_t tenants) {
    run(control(state, TenantId{}, actor()));
    for (std::uint64_t i = 1; i <= tenants; ++i) {
      run(control(state, TenantId{}, tenant(state, "t" + std::to_string(i))));
      run(control(state, TenantId{i}, actor()));
    }
  }

  State state;
  std::uint64_t time = 1'000'000;
  std::vector<Logged> log;
};

inline std::vector<Buffer> blobs(const State& state) {
  std::vector<Buffer> all;
  encode_all(state, [&](TenantId, Bytes bytes) { all.emplace_back(bytes.begin(), bytes.end()); });
  return all;
}

inline Result<State> reload(const State& state) {
  const std::vector<Buffer> all = blobs(state);
  std::vector<Blob> views;
  views.reserve(all.size());
  for (std::uint64_t i = 0; i < all.size(); ++i) views.push_back({TenantId{i}, all[i]});
  return decode(state.cluster(), views);
}

}  // namespace kimberlite::kernel::sample
