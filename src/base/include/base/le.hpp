// Little-endian words in byte buffers, in the core subset: proved by ESBMC as shipped.
//
// The callers in the rest of the product pass `std::byte`, the proofs `uint8_t`; both are one
// template. No bounds are checked here: `codec.hpp` does, once, in front.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace kimberlite::base {

template <class T>
inline constexpr bool is_unsigned_word = T(0) < T(-1);

// Both are written out, not looped: so the compiler makes one instruction of them at -O2 already.

// Writes the sizeof(T) bytes of `value` at `to`, least significant first.
template <class T, class Byte>
  requires is_unsigned_word<T>
constexpr void store_le(Byte* to, T value) noexcept {
  const uint64_t word = value;
  to[0] = static_cast<Byte>(static_cast<uint8_t>(word));
  if constexpr (sizeof(T) >= 2) to[1] = static_cast<Byte>(static_cast<uint8_t>(word >> 8));
  if constexpr (sizeof(T) >= 4) {
    to[2] = static_cast<Byte>(static_cast<uint8_t>(word >> 16));
    to[3] = static_cast<Byte>(static_cast<uint8_t>(word >> 24));
  }
  if constexpr (sizeof(T) == 8) {
    to[4] = static_cast<Byte>(static_cast<uint8_t>(word >> 32));
    to[5] = static_cast<Byte>(static_cast<uint8_t>(word >> 40));
    to[6] = static_cast<Byte>(static_cast<uint8_t>(word >> 48));
    to[7] = static_cast<Byte>(static_cast<uint8_t>(word >> 56));
  }
}

// The byte at `from`, `shift` bits up.
template <class Byte>
constexpr uint64_t byte_at(const Byte* from, unsigned shift) noexcept {
  return static_cast<uint64_t>(static_cast<uint8_t>(*from)) << shift;
}

// Reads sizeof(T) bytes at `from`, least significant first.
template <class T, class Byte>
  requires is_unsigned_word<T>
constexpr T load_le(const Byte* from) noexcept {
  uint64_t word = byte_at(from, 0);
  if constexpr (sizeof(T) >= 2) word |= byte_at(from + 1, 8);
  if constexpr (sizeof(T) >= 4) word |= byte_at(from + 2, 16) | byte_at(from + 3, 24);
  if constexpr (sizeof(T) == 8) {
    word |= byte_at(from + 4, 32) | byte_at(from + 5, 40) | byte_at(from + 6, 48) |
            byte_at(from + 7, 56);
  }
  return static_cast<T>(word);
}

// True if `size` bytes from `at` lie inside a buffer of `total` bytes; never overflows.
constexpr bool fits(size_t total, size_t at, size_t size) noexcept {
  return at <= total && size <= total - at;
}

}  // namespace kimberlite::base
