// BLAKE3 over its official sources: checksums of the journal, of messages, snapshots and segments,
// and digests of state. Never of what an auditor checks; that is SHA-256.
//
// Thread rule: the functions are safe from any thread; a `Blake3` is used by one thread at a time.
// `blake3` never allocates.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace kimberlite::crypto {

// Of the concatenation of `parts`.
[[nodiscard]] Hash blake3_of(std::span<const Bytes> parts);

// Of the concatenation of anything that converts to `Bytes`.
template <class... Parts>
[[nodiscard]] Hash blake3(const Parts&... parts) {
  const std::array<Bytes, sizeof...(Parts)> list{Bytes(parts)...};
  return blake3_of(list);
}

// The same, for what does not fit in memory at once.
class Blake3 {
 public:
  Blake3();
  ~Blake3();
  Blake3(Blake3&&) noexcept;
  Blake3& operator=(Blake3&&) noexcept;
  Blake3(const Blake3&) = delete;
  Blake3& operator=(const Blake3&) = delete;

  void update(Bytes bytes);
  // The hash of all updates; afterwards the object is as new.
  [[nodiscard]] Hash finish();
  // Another that goes on from the same updates.
  [[nodiscard]] Blake3 duplicate() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kimberlite::crypto
