// Which of the two mark sectors is written next, and which pairs can be. Core subset: proved by
// ESBMC as shipped.
//
// Mark number s, from 1, is in sector s % 2, so writing one never touches the mark before it, and a
// crash can tear only the newest.
#pragma once

#include <stdint.h>

namespace kimberlite::consensus::core {

inline constexpr uint32_t mark_sectors = 2;

constexpr uint32_t mark_sector(uint64_t sequence) noexcept {
  return static_cast<uint32_t>(sequence % mark_sectors);
}

// The newest of two marks, 0 for a sector that holds none.
constexpr uint64_t newest_mark(uint64_t a, uint64_t b) noexcept { return a > b ? a : b; }

// True if sectors 0 and 1 can hold marks `even` and `odd` (0: never written): neighbours, each in
// its own sector.
constexpr bool is_mark_pair(uint64_t even, uint64_t odd) noexcept {
  if (even == 0) return odd <= 1;
  if (mark_sector(even) != 0 || mark_sector(odd) != 1) return false;
  return even > odd ? even - odd == 1 : odd - even == 1;
}

static_assert(is_mark_pair(0, 0) && is_mark_pair(0, 1) && is_mark_pair(2, 1) && is_mark_pair(2, 3));
static_assert(!is_mark_pair(2, 0) && !is_mark_pair(0, 3) && !is_mark_pair(4, 1));

}  // namespace kimberlite::consensus::core
