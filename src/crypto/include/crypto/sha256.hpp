// SHA-256 (FIPS 180-4) over OpenSSL: everything an auditor sees is hashed with it.
//
// Thread rule: the functions are safe from any thread (each has its own context, made once); a
// `Sha256` is used by one thread at a time. No call allocates, but for the first of a thread.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace kimberlite::crypto {

// Of the concatenation of `parts`.
[[nodiscard]] Hash sha256_of(std::span<const Bytes> parts);

// Of the concatenation of anything that converts to `Bytes`; of nothing, the hash of the empty
// string.
template <class... Parts>
[[nodiscard]] Hash sha256(const Parts&... parts) {
  const std::array<Bytes, sizeof...(Parts)> list{Bytes(parts)...};
  return sha256_of(list);
}

// The same, for what does not fit in memory at once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(Bytes bytes);
  // The hash of all updates; afterwards the object is as new.
  [[nodiscard]] Hash finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kimberlite::crypto
