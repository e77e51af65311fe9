// Sizes of quorums. Core subset: proved by ESBMC as shipped.
//
// With f = floor((voters - 1) / 2) faults to survive, an operation is committed by a replication
// quorum and a view is changed by a view-change quorum; any one of each must share a replica, or a
// new view could miss a committed operation. Both are majorities, so that they share one, too, if
// they are of two groups of which the one has one voter more.
//
// Source: Liskov and Cowling, "Viewstamped Replication Revisited", 2012, section 4; Ongaro,
// "Consensus: Bridging Theory and Practice", 2014, section 4.1; design, consensus.md.
#pragma once

#include <stdint.h>

namespace kimberlite::consensus::core {

inline constexpr uint32_t voters_max = 7;
inline constexpr uint32_t members_max = 13;  // voters and standbys

// Replicas, the primary among them, that must have an operation on disk before it is committed.
constexpr uint32_t replication_quorum(uint32_t voters) noexcept { return voters / 2 + 1; }

// Replicas that must agree to a new view.
constexpr uint32_t view_change_quorum(uint32_t voters) noexcept { return voters / 2 + 1; }

// Replicas that must say they never had an operation before it may be truncated: more than can lack
// what a quorum of this group, or of one with a voter more or less, has.
constexpr uint32_t nack_quorum(uint32_t voters) noexcept { return voters / 2 + 1; }

// Members whose bit is set in both.
constexpr uint32_t votes_counted(uint64_t votes, uint64_t voters) noexcept {
  uint32_t count = 0;
  for (uint64_t i = 0; i < members_max; ++i) {
    if (((votes & voters) >> i & 1U) != 0) ++count;
  }
  return count;
}

// The highest operation that a quorum has acknowledged, when voter i has acknowledged every one up
// to acknowledged[i]; 0 if there is none.
constexpr uint64_t acknowledged_by(const uint64_t* acknowledged, uint32_t voters,
                                   uint32_t quorum) noexcept {
  uint64_t best = 0;
  for (uint32_t i = 0; i < voters && i < voters_max; ++i) {
    uint32_t count = 0;
    for (uint32_t j = 0; j < voters && j < voters_max; ++j) {
      if (acknowledged[j] >= acknowledged[i]) ++count;
    }
    if (count >= quorum && acknowledged[i] > best) best = acknowledged[i];
  }
  return best;
}

// What a group begins with.
constexpr bool is_voter_count(uint32_t voters) noexcept {
  return voters >= 1 && voters <= voters_max && voters % 2 == 1;
}

// True if a group may go from the one set of voters to the other, a bit a voter: one comes or goes,
// and three or more stay. Two of them do not survive one failure.
constexpr bool may_change_voters(uint64_t from, uint64_t to) noexcept {
  const uint32_t before = votes_counted(from, from);
  const uint32_t after = votes_counted(to, to);
  return votes_counted(from ^ to, from ^ to) <= 1 && before >= 3 && after >= 3 &&
         after <= voters_max;
}

static_assert(replication_quorum(1) == 1 && view_change_quorum(1) == 1 && nack_quorum(1) == 1);
static_assert(replication_quorum(3) == 2 && view_change_quorum(3) == 2 && nack_quorum(3) == 2);
static_assert(replication_quorum(5) == 3 && replication_quorum(7) == 4);
static_assert(replication_quorum(4) == 3 && view_change_quorum(4) == 3 && nack_quorum(4) == 3);
static_assert(may_change_voters(0b0111, 0b1111) && may_change_voters(0b1111, 0b1011));
static_assert(!may_change_voters(0b0111, 0b0011) && !may_change_voters(0b0111, 0b1011));

}  // namespace kimberlite::consensus::core
