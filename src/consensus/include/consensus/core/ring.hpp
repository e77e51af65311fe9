// Arithmetic of the journal's ring. Core subset: proved by ESBMC as shipped.
//
// Offsets are bytes from the ring's begin, sizes are bytes; both are multiples of the sector. A
// frame is contiguous: where it does not fit before the ring's end it starts at the ring's begin,
// and the bytes skipped count as used. `next` is the byte after the newest frame, `tail` the byte
// where the oldest frame still needed starts; next == tail means that none is, so a placement never
// makes them meet (R1).
#pragma once

#include <stdint.h>

namespace kimberlite::consensus::core {

inline constexpr uint64_t sector = 4096;

struct Ring {
  uint64_t size = 0;  // a multiple of the sector, and at least one
};

constexpr bool is_ring(Ring ring) noexcept {
  return ring.size >= sector && ring.size % sector == 0;
}

// Bytes a frame takes on disk.
constexpr uint64_t padded(uint64_t frame_size) noexcept {
  return (frame_size + (sector - 1)) & ~(sector - 1);
}

// True if `size` bytes from `at` lie inside the ring.
constexpr bool inside(Ring ring, uint64_t at, uint64_t size) noexcept {
  return at <= ring.size && size <= ring.size - at;
}

// Where a frame of `size` bytes (padded) starts when the one before it ends at `next`.
constexpr uint64_t place(Ring ring, uint64_t next, uint64_t size) noexcept {
  return inside(ring, next, size) ? next : 0;
}

// The byte after [at, at + size): the ring's end is its begin.
constexpr uint64_t after(Ring ring, uint64_t at, uint64_t size) noexcept {
  return at + size == ring.size ? 0 : at + size;
}

// Bytes from `tail` to `next`, going forward, skipped ones too.
constexpr uint64_t used(Ring ring, uint64_t tail, uint64_t next) noexcept {
  return next >= tail ? next - tail : ring.size - tail + next;
}

// True if a frame of `size` bytes (padded) can be placed at `next` without touching a byte of
// [tail, next) and without making the two meet (R1).
constexpr bool has_room(Ring ring, uint64_t tail, uint64_t next, uint64_t size) noexcept {
  if (size == 0 || size >= ring.size) return false;
  if (next < tail) return size < tail - next;
  if (inside(ring, next, size)) return !(next + size == ring.size && tail == 0);
  return size < tail;
}

}  // namespace kimberlite::consensus::core
