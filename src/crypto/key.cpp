#include "crypto/key.hpp"

#include <openssl/crypto.h>

#include "base/assert.hpp"

namespace kimberlite::crypto {

void wipe(MutBytes secret) {
  if (!secret.empty()) OPENSSL_cleanse(secret.data(), secret.size());
}

bool equal_constant_time(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

Key256::Key256(std::span<const std::byte, size> bytes) { copy_bytes(bytes_, bytes); }

Key256::~Key256() { wipe(bytes_); }

Key256::Key256(Key256&& other) noexcept : bytes_(other.bytes_), live_(other.live_) {
  wipe(other.bytes_);
  other.live_ = false;
}

Key256& Key256::operator=(Key256&& other) noexcept {
  if (this == &other) return *this;
  bytes_ = other.bytes_;
  live_ = other.live_;
  wipe(other.bytes_);
  other.live_ = false;
  return *this;
}

std::span<const std::byte, Key256::size> Key256::expose() const {
  // A moved-from key is all zeros: whoever encrypts under it has a bug, and no secrecy.
  KIMBERLITE_ASSERT(live_);
  return bytes_;
}

}  // namespace kimberlite::crypto
