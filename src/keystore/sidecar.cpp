#include "sidecar.hpp"

#include <utility>

#include "base/codec.hpp"

namespace kimberlite::keystore {
namespace {

constexpr std::uint16_t sidecar_version = 1;
constexpr std::size_t entry_size = 24 + wrapped_key_size;
static_assert(entry_size == 96);

constexpr std::uint64_t signing_bit = 1ULL << 63U;
constexpr std::uint32_t epoch_shift = 16;

}  // namespace

KeyId signing_key_id(LogEpoch log) {
  return KeyId{signing_bit | (std::uint64_t{log.epoch} << epoch_shift) | log.lane};
}

std::optional<LogEpoch> log_of_key(KeyId id) {
  const LogEpoch log{static_cast<std::uint16_t>(id.value()),
                     static_cast<std::uint32_t>(id.value() >> epoch_shift)};
  if (signing_key_id(log) != id || log.lane >= signed_lanes || log.epoch == 0) return std::nullopt;
  return log;
}

Buffer encode_sidecar(const std::vector<SidecarEntry>& entries) {
  Writer to;
  for (const SidecarEntry& entry : entries) {
    to.u16(sidecar_version);
    to.u16(std::to_underlying(entry.kind));
    to.zeros(4);
    to.id(entry.tenant);
    to.id(entry.key);
    to.bytes(entry.wrapped);
  }
  return std::move(to).take();
}

Result<std::vector<SidecarEntry>> decode_sidecar(Bytes bytes) {
  std::vector<SidecarEntry> entries;
  entries.reserve(bytes.size() / entry_size);
  Reader from{bytes};
  while (!from.failed() && from.left() > 0) {
    SidecarEntry& entry = entries.emplace_back();
    if (from.u16() != sidecar_version) from.fail();
    entry.kind = static_cast<SidecarKind>(from.u16());
    from.zeros(4);
    entry.tenant = from.id<TenantId>();
    entry.key = from.id<KeyId>();
    entry.wrapped = from.array<wrapped_key_size>();
    const std::uint64_t id = entry.key.value();
    switch (entry.kind) {
      case SidecarKind::tenant_key:
        if (id != 0) from.fail();
        break;
      case SidecarKind::data_key:
        if (id == 0 || id >= signing_bit) from.fail();
        break;
      case SidecarKind::signing_key:
        if (!log_of_key(entry.key)) from.fail();
        break;
      default:
        from.fail();
    }
  }
  if (!from.finished()) {
    return Error{Code::integrity_command,
                 "the keys a command brings are not in their canonical form"}
        .where("before byte {} of {}", from.at(), bytes.size());
  }
  return entries;
}

}  // namespace kimberlite::keystore
