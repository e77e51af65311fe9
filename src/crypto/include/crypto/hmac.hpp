// HMAC-SHA-256 (RFC 2104, FIPS 198-1) over OpenSSL.
//
// Thread rule: safe from any thread. Compare results with `equal_constant_time` where the other
// side chose one of them.
#pragma once

#include <array>
#include <span>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/key.hpp"

namespace kimberlite::crypto {

// Of the concatenation of `parts`, under a key of any length.
[[nodiscard]] Hash hmac_sha256_of(Bytes key, std::span<const Bytes> parts);

template <class... Parts>
[[nodiscard]] Hash hmac_sha256(const Key256& key, const Parts&... parts) {
  const std::array<Bytes, sizeof...(Parts)> list{Bytes(parts)...};
  return hmac_sha256_of(key.expose(), list);
}

}  // namespace kimberlite::crypto
