// Ed25519 signatures (RFC 8032 §5.1, the pure variant) over OpenSSL.
//
// Thread rule: a `SigningKey` may sign from several threads at once; `verify` is safe from any.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "base/bytes.hpp"
#include "crypto/key.hpp"

namespace kimberlite::crypto {

using PublicKey = std::array<std::byte, 32>;
using Signature = std::array<std::byte, 64>;

// Move-only, like the seed it was made from; wiped by OpenSSL when it ends.
class SigningKey {
 public:
  // `seed` is the private key of RFC 8032 §5.1.5.
  explicit SigningKey(const Key256& seed);
  ~SigningKey();
  SigningKey(SigningKey&&) noexcept;
  SigningKey& operator=(SigningKey&&) noexcept;
  SigningKey(const SigningKey&) = delete;
  SigningKey& operator=(const SigningKey&) = delete;
  bool operator==(const SigningKey&) const = delete;

  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }
  [[nodiscard]] Signature sign(Bytes message) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  PublicKey public_key_{};
};

// False too if `key` is no point of the curve.
[[nodiscard]] bool verify(const PublicKey& key, Bytes message, const Signature& signature);

}  // namespace kimberlite::crypto
