// Keys under keys: XAES-256-GCM with a random nonce, bound to what the key is for.
//
//   wrapped key = nonce 24 · ciphertext 32 · tag 16
#pragma once

#include <array>
#include <optional>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/aead.hpp"
#include "crypto/key.hpp"
#include "env/env.hpp"

namespace kimberlite::keystore {

inline constexpr std::size_t wrapped_key_size =
    crypto::xaes_nonce_size + crypto::Key256::size + crypto::tag_size;
using WrappedKey = std::array<std::byte, wrapped_key_size>;

// What a key is: a wrapped one opens only as the same.
struct KeyName {
  Id128 cluster{};
  TenantId tenant;
  KeyId key;  // 0: the tenant's own, under the cluster key; others under the tenant's
};

[[nodiscard]] crypto::Key256 new_key(env::Random& random);
[[nodiscard]] WrappedKey wrap_key(const crypto::Key256& under, const KeyName& name,
                                  const crypto::Key256& key, env::Random& random);
[[nodiscard]] std::optional<crypto::Key256> unwrap_key(const crypto::Key256& under,
                                                       const KeyName& name,
                                                       const WrappedKey& wrapped);

}  // namespace kimberlite::keystore
