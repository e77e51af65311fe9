// Secrets: a 256-bit key that cannot be copied, compared with ==, or printed, and is wiped when it
// ends; and what may be done with secret bytes.
//
// Thread rule: a value; share it only const.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/bytes.hpp"

namespace kimberlite::crypto {

// Overwrites with zeros, and the compiler may not leave it out.
void wipe(MutBytes secret);

// True if both are the same bytes; the time taken depends on the sizes alone.
[[nodiscard]] bool equal_constant_time(Bytes a, Bytes b);

class Key256 {
 public:
  static constexpr std::size_t size = 32;

  // Copies the bytes; the caller wipes his own.
  explicit Key256(std::span<const std::byte, size> bytes);
  ~Key256();
  // The source is wiped, and may only be assigned to or destroyed.
  Key256(Key256&& other) noexcept;
  Key256& operator=(Key256&& other) noexcept;
  Key256(const Key256&) = delete;
  Key256& operator=(const Key256&) = delete;
  bool operator==(const Key256&) const = delete;

  // The secret itself, for a cipher or to be wrapped: never to be kept, logged or sent.
  [[nodiscard]] std::span<const std::byte, size> expose() const;

  // A second owner of the same secret, asked for by name.
  [[nodiscard]] Key256 duplicate() const { return Key256(expose()); }

 private:
  std::array<std::byte, size> bytes_;
  bool live_ = true;
};

template <class Stream>
Stream& operator<<(Stream&, const Key256&) = delete;

}  // namespace kimberlite::crypto
