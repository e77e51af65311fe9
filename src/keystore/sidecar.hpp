// The sidecar of a command: entries of 96 bytes and nothing else, so that sidecars one behind the
// other are a sidecar.
//
//   0 version u16   2 kind u16   4 zero u32   8 tenant u64   16 key id u64   24 wrapped key 72
#pragma once

#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "keystore/keystore.hpp"
#include "wrap.hpp"

namespace kimberlite::keystore {

// A tenant key has no id (0) and is wrapped under the cluster key, any other under its tenant's.
enum class SidecarKind : std::uint16_t { tenant_key = 1, data_key = 2, signing_key = 3 };

// Signing keys have ids of their own beside the dense ones, so that none opens as anything else:
// bit 63, the epoch in bits 16 to 47, the lane in bits 0 to 15.
[[nodiscard]] KeyId signing_key_id(LogEpoch log);
// Nothing unless it is the id of a signing key.
[[nodiscard]] std::optional<LogEpoch> log_of_key(KeyId id);

struct SidecarEntry {
  SidecarKind kind = SidecarKind::data_key;
  TenantId tenant;
  KeyId key;
  WrappedKey wrapped{};
};

[[nodiscard]] Buffer encode_sidecar(const std::vector<SidecarEntry>& entries);
// `integrity.command` unless the bytes are entries in their canonical form.
[[nodiscard]] Result<std::vector<SidecarEntry>> decode_sidecar(Bytes bytes);

}  // namespace kimberlite::keystore
