// X.509 certificates of a private authority, with Ed25519 keys (RFC 5280, RFC 8410): who a replica
// is, for the TLS between replicas.
//
// Everything follows from the arguments: keys from seeds, serial numbers and times as given. Nobody
// outside is meant to trust such an authority.
//
// Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "crypto/key.hpp"

namespace kimberlite::crypto {

// In PEM. The key is the secret half.
struct Identity {
  std::string certificate;
  std::string key;
};

struct Validity {
  TimestampUs from;
  TimestampUs until;
};

// One that signs itself and may sign others. `name` is its common name, at most 64 bytes.
[[nodiscard]] Identity make_authority(const Key256& seed, std::string_view name,
                                      const Validity& valid);
// One of `authority`, for both ends of a connection. `host` is its only name: dNSName, and its
// first 64 bytes the common name. `authority` is one of `make_authority`.
[[nodiscard]] Identity issue_identity(const Identity& authority, const Key256& seed,
                                      std::string_view host, const Validity& valid,
                                      std::uint64_t serial);

}  // namespace kimberlite::crypto
