// consensus/core/ring.hpp: a placed frame lies inside the ring, touches no needed byte, and leaves
// head and tail apart.
#include "consensus/core/ring.hpp"

#include "prover.hpp"

using namespace kimberlite::consensus::core;

// The seeded fault: a frame may end where the oldest one starts.
static bool room(Ring ring, uint64_t tail, uint64_t next, uint64_t size) {
#ifdef KIMBERLITE_BREAK
  if (next < tail) return size != 0 && size <= tail - next;
#endif
  return has_room(ring, tail, next, size);
}

struct Place {
  Ring ring;
  uint64_t tail, next, size;
};

// Any ring up to 2^40 bytes and any offsets in it, all whole sectors.
static Place any_place() {
  Place place;
  place.ring.size = nondet_u64();
  place.tail = nondet_u64();
  place.next = nondet_u64();
  place.size = nondet_u64();
  __ESBMC_assume(is_ring(place.ring) && place.ring.size <= (uint64_t{1} << 40));
  __ESBMC_assume(place.tail < place.ring.size && place.tail % sector == 0);
  __ESBMC_assume(place.next < place.ring.size && place.next % sector == 0);
  __ESBMC_assume(place.size % sector == 0);
  return place;
}

// True if byte `at` is between tail and next, going forward.
static bool is_needed(const Place& place, uint64_t at) {
  if (place.tail <= place.next) return place.tail <= at && at < place.next;
  return at >= place.tail || at < place.next;
}

extern "C" {

void prove_placed_inside() {
  const Place p = any_place();
  __ESBMC_assume(room(p.ring, p.tail, p.next, p.size));
  const uint64_t at = kimberlite::consensus::core::place(p.ring, p.next, p.size);
  __ESBMC_assert(at == p.next || at == 0, "after the frame before, or at the begin");
  __ESBMC_assert(inside(p.ring, at, p.size), "contiguous and inside");
}

void prove_no_needed_byte_is_touched() {
  const Place p = any_place();
  __ESBMC_assume(room(p.ring, p.tail, p.next, p.size));
  const uint64_t at = kimberlite::consensus::core::place(p.ring, p.next, p.size);
  const uint64_t byte = nondet_u64();
  __ESBMC_assume(at <= byte && byte < at + p.size);
  __ESBMC_assert(!is_needed(p, byte), "no byte of a frame still needed");
}

void prove_head_and_tail_stay_apart() {
  const Place p = any_place();
  __ESBMC_assume(room(p.ring, p.tail, p.next, p.size));
  const uint64_t at = kimberlite::consensus::core::place(p.ring, p.next, p.size);
  const uint64_t end = after(p.ring, at, p.size);
  __ESBMC_assert(end != p.tail, "equal offsets mean an empty ring only");
  __ESBMC_assert(end < p.ring.size && end % sector == 0, "the next offset is one");
  __ESBMC_assert(used(p.ring, p.tail, end) >= used(p.ring, p.tail, p.next) + p.size,
                 "the frame and what was skipped count as used");
  __ESBMC_assert(used(p.ring, p.tail, end) < p.ring.size, "never full");
}

// Why a checkpoint at half the ring is soon enough.
void prove_less_than_half_full_has_room() {
  const Place p = any_place();
  __ESBMC_assume(p.size > 0 && p.size <= p.ring.size / 8);
  __ESBMC_assume(used(p.ring, p.tail, p.next) < p.ring.size / 2);
  __ESBMC_assert(room(p.ring, p.tail, p.next, p.size), "a frame of an eighth of the ring fits");
}

void prove_padded() {
  const uint64_t size = nondet_u64();
  __ESBMC_assume(size <= UINT64_MAX - sector);
  const uint64_t bytes = padded(size);
  __ESBMC_assert(bytes >= size && bytes - size < sector && bytes % sector == 0, "whole sectors");
}
}
