// consensus/core/quorum.hpp: any two quorums that must meet do, and f faults leave enough.
#include "consensus/core/quorum.hpp"

#include "prover.hpp"

using namespace kimberlite::consensus::core;

// The seeded fault: half of the voters is taken for a majority.
static uint32_t replication(uint32_t voters) {
#ifdef KIMBERLITE_BREAK
  return voters == 1 ? 1 : voters / 2;
#else
  return replication_quorum(voters);
#endif
}

static uint32_t any_voters() {
  const uint32_t voters = nondet_u32();
  __ESBMC_assume(is_voter_count(voters));
  return voters;
}

extern "C" {

void prove_quorums_meet() {
  const uint32_t voters = any_voters();
  __ESBMC_assert(replication(voters) >= 1 && replication(voters) <= voters, "a quorum can be had");
  __ESBMC_assert(2 * replication(voters) > voters, "two replication quorums share a replica");
  __ESBMC_assert(replication(voters) + view_change_quorum(voters) > voters,
                 "every view change meets every commit");
  __ESBMC_assert(replication(voters) + nack_quorum(voters) > voters,
                 "what was committed is never nacked away");
}

void prove_faults_are_survived() {
  const uint32_t voters = any_voters();
  const uint32_t faults = (voters - 1) / 2;
  __ESBMC_assert(replication_quorum(voters) <= voters - faults, "commits go on");
  __ESBMC_assert(view_change_quorum(voters) <= voters - faults, "view changes go on");
}

// Two sets of votes that each reach the replication quorum have a voter in common.
void prove_counted_votes_meet() {
  const uint32_t voters = any_voters();
  const uint64_t a = nondet_u64();
  const uint64_t b = nondet_u64();
  __ESBMC_assume(votes_counted(a, voters) >= replication(voters));
  __ESBMC_assume(votes_counted(b, voters) >= replication(voters));
  const uint64_t mask = (uint64_t{1} << uint64_t{voters}) - 1;
  __ESBMC_assert((a & b & mask) != 0, "a voter is in both");
}
}
