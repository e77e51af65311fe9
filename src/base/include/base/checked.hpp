// Integer arithmetic and narrowing that cannot wrap silently, in the core subset.
#pragma once

#include <stdint.h>

namespace kimberlite::base {

// True and `out` = a + b, unless the sum does not fit.
constexpr bool checked_add(uint64_t a, uint64_t b, uint64_t& out) noexcept {
  if (a > UINT64_MAX - b) return false;
  out = a + b;
  return true;
}

// True and `out` = a * b, unless the product does not fit.
constexpr bool checked_mul(uint64_t a, uint64_t b, uint64_t& out) noexcept {
  if (b != 0 && a > UINT64_MAX / b) return false;
  out = a * b;
  return true;
}

// `value` rounded up to a multiple of `unit` (a power of two); the caller bounds `value`.
constexpr uint64_t round_up(uint64_t value, uint64_t unit) noexcept {
  return (value + unit - 1) & ~(unit - 1);
}

}  // namespace kimberlite::base
