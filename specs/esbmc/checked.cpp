// base/checked.hpp: a sum or product is given exactly if it fits, and is then the right one.
#include "base/checked.hpp"

#include "prover.hpp"

using namespace kimberlite::base;

// The seeded fault: a sum that is accepted after it wrapped.
static bool add(uint64_t a, uint64_t b, uint64_t& out) {
#ifdef KIMBERLITE_BREAK
  out = a + b;
  return true;
#else
  return checked_add(a, b, out);
#endif
}

// A 64-bit division by anything is beyond the solver's patience: every `a`, by factors on both
// sides of each branch.
template <uint64_t b>
static void product_with() {
  const uint64_t a = nondet_u64();
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  uint64_t out = 0;
  const bool accepted = checked_mul(a, b, out);
  __ESBMC_assert(accepted == (product <= UINT64_MAX), "accepted exactly if it fits");
  if (accepted) __ESBMC_assert(out == product, "the product");
}

extern "C" {
void prove_add() {
  const uint64_t a = nondet_u64();
  const uint64_t b = nondet_u64();
  const unsigned __int128 sum = static_cast<unsigned __int128>(a) + b;
  uint64_t out = 0;
  const bool accepted = add(a, b, out);
  __ESBMC_assert(accepted == (sum <= UINT64_MAX), "accepted exactly if it fits");
  if (accepted) __ESBMC_assert(out == sum, "the sum");
}

void prove_mul() {
  product_with<0>();
  product_with<1>();
  product_with<4096>();
  product_with<UINT64_MAX>();
}

void prove_round_up() {
  const uint64_t value = nondet_u64();
  const uint64_t unit = nondet_u64();
  __ESBMC_assume(unit != 0 && (unit & (unit - 1)) == 0);
  __ESBMC_assume(value <= UINT64_MAX - unit);
  const uint64_t rounded = round_up(value, unit);
  __ESBMC_assert(rounded >= value && rounded - value < unit && (rounded & (unit - 1)) == 0,
                 "the next multiple");
}
}
