// consensus/core/recovery.hpp: nothing durable is taken for torn, nothing given up comes back, and
// the choice between branches does not depend on their order.
#include "consensus/core/recovery.hpp"

#include "prover.hpp"

using namespace kimberlite::consensus::core;

// The seeded fault: the operation that was durable last is taken for torn.
static Verdict verdict(bool there, uint64_t op, uint64_t durable_seen) {
#ifdef KIMBERLITE_BREAK
  if (!there && op == durable_seen) return Verdict::torn;
#endif
  return judge(there, op, durable_seen);
}

static Adopted any_adopted() {
  Adopted adopted;
  adopted.view = nondet_u64();
  adopted.log_view = nondet_u64();
  adopted.op = nondet_u64();
  __ESBMC_assume(adopted.log_view <= adopted.view);
  return adopted;
}

extern "C" {

void prove_durable_is_never_torn() {
  const bool there = nondet_bool();
  const uint64_t op = nondet_u64();
  const uint64_t durable = nondet_u64();
  const Verdict v = verdict(there, op, durable);
  __ESBMC_assert((v == Verdict::keep) == there, "what is there is kept, and nothing else");
  __ESBMC_assert(op > durable || v != Verdict::torn, "what was durable is lost, not torn");
  __ESBMC_assert(op <= durable || v != Verdict::lost, "what was not durable is not missed");
}

// Adopting a log at head `op` in a new view: no older frame beyond it counts, then or later.
void prove_given_up_stays_given_up() {
  const Adopted before = any_adopted();
  __ESBMC_assume(before.view < UINT64_MAX);
  Adopted now;
  now.view = before.view + 1;
  now.log_view = now.view;
  now.op = nondet_u64();
  const uint64_t view = nondet_u64();
  const uint64_t op = nondet_u64();
  __ESBMC_assume(view <= before.view && op > now.op);
  __ESBMC_assert(standing(now, view, op) == Standing::superseded, "an older frame beyond the head");
  __ESBMC_assert(!word_binds(now, view), "nor does its word bind");
  Adopted later;
  later.view = nondet_u64();
  later.log_view = nondet_u64();
  later.op = now.op;
  __ESBMC_assume(later.log_view >= now.log_view && later.log_view <= later.view);
  __ESBMC_assert(standing(later, view, op) == Standing::superseded, "in no later view either");
}

void prove_the_adopted_log_counts() {
  const Adopted adopted = any_adopted();
  const uint64_t view = nondet_u64();
  const uint64_t op = nondet_u64();
  __ESBMC_assume(view <= adopted.view);
  if (op <= adopted.op || view >= adopted.log_view) {
    __ESBMC_assert(standing(adopted, view, op) == Standing::counts, "part of the log");
  }
  __ESBMC_assert(standing(adopted, adopted.view, op) == Standing::counts, "this view's own");
}

void prove_choice_has_no_order() {
  const bool a = nondet_bool();
  const bool b = nondet_bool();
  const uint64_t va = nondet_u64();
  const uint64_t vb = nondet_u64();
  const Branch forth = choose(a, va, b, vb);
  const Branch back = choose(b, vb, a, va);
  __ESBMC_assert((forth == Branch::first) == (back == Branch::second), "the same frame");
  __ESBMC_assert((forth == Branch::none) == (back == Branch::none), "none either way");
  __ESBMC_assert((forth == Branch::equivocation) == (a && b && va == vb), "only of one view");
  if (forth == Branch::first) {
    __ESBMC_assert(a && (!b || va > vb), "there, and of the higher view");
  }
}
}
