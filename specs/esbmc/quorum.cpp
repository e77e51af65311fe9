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

// Of any group, also of one that has a voter more or less while one is replaced.
static uint32_t any_voters() {
  const uint32_t voters = nondet_u32();
  __ESBMC_assume(voters >= 1 && voters <= voters_max && voters != 2);
  return voters;
}

static uint64_t any_members() {
  const uint64_t members = nondet_u64();
  __ESBMC_assume(members < (uint64_t{1} << uint64_t{members_max}));
  return members;
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

// Of a group of so many voters, and one that has one more, all else equal.
void prove_quorums_of_neighbours_meet() {
  const uint32_t voters = nondet_u32();
  __ESBMC_assume(voters >= 3 && voters < voters_max);
  const uint32_t more = voters + 1;
  __ESBMC_assert(replication(voters) + view_change_quorum(more) > more,
                 "a view change of the larger meets every commit of the smaller");
  __ESBMC_assert(view_change_quorum(voters) + replication(more) > more, "and the other way round");
  __ESBMC_assert(nack_quorum(more) > more - replication(voters),
                 "what the smaller committed is not nacked away in the larger");
  __ESBMC_assert(nack_quorum(voters) > more - replication(more),
                 "nor what the larger did in the smaller");
}

void prove_faults_are_survived() {
  const uint32_t voters = any_voters();
  const uint32_t faults = (voters - 1) / 2;
  __ESBMC_assert(replication_quorum(voters) <= voters - faults, "commits go on");
  __ESBMC_assert(view_change_quorum(voters) <= voters - faults, "view changes go on");
}

// Two sets of votes that each reach the replication quorum have a voter in common, also if one is
// counted by the voters that follow a change.
void prove_counted_votes_meet() {
  const uint64_t before = any_members();
  const uint64_t after = any_members();
  __ESBMC_assume(before == after || may_change_voters(before, after));
  __ESBMC_assume(votes_counted(before, before) >= 1 && votes_counted(before, before) <= voters_max);
  const uint64_t a = nondet_u64();
  const uint64_t b = nondet_u64();
  __ESBMC_assume(votes_counted(a, before) >= replication(votes_counted(before, before)));
  __ESBMC_assume(votes_counted(b, after) >= replication(votes_counted(after, after)));
  __ESBMC_assert((a & before & b & after) != 0, "a voter is in both");
}
}
