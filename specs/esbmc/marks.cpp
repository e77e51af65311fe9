// consensus/core/marks.hpp: a mark never overwrites the one before, and after any run of marks the
// two sectors hold a pair.
#include "consensus/core/marks.hpp"

#include "prover.hpp"

using namespace kimberlite::consensus::core;

// The seeded fault: every third mark goes where the one before is.
static uint32_t sector_of(uint64_t sequence) {
#ifdef KIMBERLITE_BREAK
  if (sequence % 3 == 0) return mark_sector(sequence - 1);
#endif
  return mark_sector(sequence);
}

extern "C" {

void prove_the_newest_survives() {
  const uint64_t sequence = nondet_u64();
  __ESBMC_assume(sequence > 0 && sequence < UINT64_MAX);
  __ESBMC_assert(sector_of(sequence) != sector_of(sequence + 1), "the other sector");
  __ESBMC_assert(sector_of(sequence) < mark_sectors, "one of two");
}

void prove_writing_keeps_a_pair() {
  uint64_t at[2];
  at[0] = nondet_u64();
  at[1] = nondet_u64();
  __ESBMC_assume(at[0] < UINT64_MAX && at[1] < UINT64_MAX);
  __ESBMC_assume(is_mark_pair(at[0], at[1]));
  const uint64_t next = newest_mark(at[0], at[1]) + 1;
  const uint64_t newest_before = next - 1;
  at[sector_of(next)] = next;
  __ESBMC_assert(is_mark_pair(at[0], at[1]), "still neighbours, each in its sector");
  __ESBMC_assert(newest_mark(at[0], at[1]) == next, "the newest is the one written");
  __ESBMC_assert(newest_before == 0 || at[0] == newest_before || at[1] == newest_before,
                 "the one before is still there");
}
}
