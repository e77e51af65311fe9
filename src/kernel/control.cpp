// Controls as bytes: version u16, kind u16 (of the command), then the fields.
#include <utility>

#include "base/codec.hpp"
#include "kernel/command.hpp"

namespace kimberlite::kernel {
namespace {

constexpr std::uint16_t control_version = 1;

class ControlWriter {
 public:
  explicit ControlWriter(Writer& to) : to_(to) {}

  void operator()(const catalog::Change& change) { to_.bytes(catalog::encode_change(change)); }
  void operator()(const AddActor& added) {
    to_.bytes(added.id);
    to_.text(added.actor.name);
    to_.text(added.actor.method);
    to_.u8(std::to_underlying(added.actor.kind));
  }
  void operator()(const CreateTenant& created) {
    to_.id(created.tenant);
    to_.text(created.name);
    for (const Id128& id : created.log_ids) to_.bytes(id);
  }
  void operator()(const RotateKey& rotated) { to_.u8(std::to_underlying(rotated.scope)); }
  void operator()(const SetQuota& quota) {
    to_.id(quota.tenant);
    to_.u64(quota.storage_max);
  }
  void operator()(const SetSealed& seal) {
    to_.id(seal.tenant);
    to_.u8(seal.sealed ? 1 : 0);
  }
  void operator()(const BeginEpoch& epoch) {
    to_.bytes(epoch.log_id);
    to_.id(epoch.lost_first);
    to_.id(epoch.lost_last);
    to_.bytes(epoch.old_log_id);
    to_.u64(epoch.old_size);
    to_.bytes(epoch.old_root);
    to_.u8(epoch.actor ? 1 : 0);
    if (epoch.actor) (*this)(*epoch.actor);
  }
  void operator()(const PublishHeads& published) {
    to_.u32(static_cast<std::uint32_t>(published.heads.size()));
    for (const PublishedHead& head : published.heads) {
      to_.id(head.tenant);
      to_.u16(std::to_underlying(head.lane));
      to_.bytes(head.log_id);
      to_.u64(head.size);
      to_.bytes(head.root);
    }
  }

 private:
  Writer& to_;
};

std::string read_text(Reader& from) {
  const std::string_view text = from.text();
  if (!is_utf8_text(text)) from.fail();
  return std::string{text};
}

// A byte no larger than `max`.
std::uint8_t read_byte(Reader& from, std::uint8_t min, std::uint8_t max) {
  const std::uint8_t value = from.u8();
  if (value < min || value > max) from.fail();
  return value;
}

AddActor read_actor(Reader& from) {
  AddActor added;
  added.id = from.array<16>();
  added.actor.name = read_text(from);
  added.actor.method = read_text(from);
  added.actor.kind = static_cast<ActorKind>(
      read_byte(from, std::to_underlying(ActorKind::human), std::to_underlying(ActorKind::system)));
  return added;
}

CreateTenant read_tenant(Reader& from) {
  CreateTenant created;
  created.tenant = from.id<TenantId>();
  created.name = read_text(from);
  for (Id128& id : created.log_ids) id = from.array<16>();
  return created;
}

BeginEpoch read_epoch(Reader& from) {
  BeginEpoch epoch;
  epoch.log_id = from.array<16>();
  epoch.lost_first = from.id<OpNumber>();
  epoch.lost_last = from.id<OpNumber>();
  epoch.old_log_id = from.array<16>();
  epoch.old_size = from.u64();
  epoch.old_root = from.array<32>();
  const std::uint8_t has_actor = from.u8();
  if (has_actor > 1) from.fail();
  if (has_actor == 1) epoch.actor = read_actor(from);
  return epoch;
}

PublishHeads read_heads(Reader& from) {
  PublishHeads published;
  const std::uint32_t count = from.u32();
  if (count > published_heads_max) from.fail();
  for (std::uint32_t i = 0; i < count && !from.failed(); ++i) {
    PublishedHead& head = published.heads.emplace_back();
    head.tenant = from.id<TenantId>();
    head.lane = static_cast<Lane>(from.u16());
    if (std::to_underlying(head.lane) >= lane_count) from.fail();
    head.log_id = from.array<16>();
    head.size = from.u64();
    head.root = from.array<32>();
  }
  return published;
}

Control read_control(Reader& from, Kind kind) {
  switch (kind) {
    case Kind::ddl: {
      Result<catalog::Change> change = catalog::decode_change(from.bytes(from.left()));
      if (change) return *std::move(change);
      from.fail();
      return RotateKey{};
    }
    case Kind::add_actor:
      return read_actor(from);
    case Kind::create_tenant:
      return read_tenant(from);
    case Kind::rotate_key:
      return RotateKey{static_cast<KeyScope>(read_byte(from, std::to_underlying(KeyScope::data),
                                                       std::to_underlying(KeyScope::tenant)))};
    case Kind::set_quota: {
      const auto tenant = from.id<TenantId>();
      return SetQuota{tenant, from.u64()};
    }
    case Kind::set_sealed: {
      const auto tenant = from.id<TenantId>();
      return SetSealed{tenant, read_byte(from, 0, 1) == 1};
    }
    case Kind::begin_epoch:
      return read_epoch(from);
    case Kind::publish_heads:
      return read_heads(from);
    case Kind::write:
    case Kind::append:
      break;
  }
  from.fail();
  return RotateKey{};
}

}  // namespace

Kind kind_of(const Control& control) {
  constexpr std::array kinds{Kind::ddl,         Kind::add_actor,    Kind::create_tenant,
                             Kind::rotate_key,  Kind::set_quota,    Kind::set_sealed,
                             Kind::begin_epoch, Kind::publish_heads};
  static_assert(kinds.size() == std::variant_size_v<Control>);
  return kinds[control.index()];
}

Buffer encode_control(const Control& control) {
  Writer to;
  to.u16(control_version);
  to.u16(std::to_underlying(kind_of(control)));
  std::visit(ControlWriter{to}, control);
  return std::move(to).take();
}

Result<Control> decode_control(Bytes payload) {
  Reader from{payload};
  const std::uint16_t version = from.u16();
  if (!from.failed() && version > control_version) {
    return Error{Code::unavailable_version, "a control payload has the format {}", version}.why(
        "this program knows formats up to {}", control_version);
  }
  if (version != control_version) from.fail();
  const auto kind = static_cast<Kind>(from.u16());
  Control control = read_control(from, kind);
  if (!from.finished()) {
    return Error{Code::integrity_encoding, "a control payload is not in its canonical form"}.where(
        "before byte {} of {}", from.at(), payload.size());
  }
  return control;
}

}  // namespace kimberlite::kernel
