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

// Writes the sizeof(T) bytes of `value` at `to`, least significant first.
template <class T, class Byte>
  requires is_unsigned_word<T>
constexpr void store_le(Byte* to, T value) noexcept {
  for (size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<Byte>(static_cast<uint8_t>(value >> (8 * i)));
  }
}

// Reads sizeof(T) bytes at `from`, least significant first.
template <class T, class Byte>
  requires is_unsigned_word<T>
constexpr T load_le(const Byte* from) noexcept {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(
        value | static_cast<T>(static_cast<T>(static_cast<uint8_t>(from[i])) << (8 * i)));
  }
  return value;
}

// True if `size` bytes from `at` lie inside a buffer of `total` bytes; never overflows.
constexpr bool fits(size_t total, size_t at, size_t size) noexcept {
  return at <= total && size <= total - at;
}

}  // namespace kimberlite::base
