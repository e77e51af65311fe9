// The arithmetic headers against their definitions, over every small input.
#include <gtest/gtest.h>

#include <vector>

#include "consensus/core/marks.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/core/recovery.hpp"
#include "consensus/core/ring.hpp"

namespace kimberlite::consensus::core {
namespace {

TEST(Ring, RoomIsExactlyWhereNoNeededByteIsTouched) {
  for (std::uint64_t sectors = 1; sectors <= 9; ++sectors) {
    const Ring ring{sectors * sector};
    for (std::uint64_t tail = 0; tail < sectors; ++tail) {
      for (std::uint64_t next = 0; next < sectors; ++next) {
        for (std::uint64_t size = 1; size <= sectors + 1; ++size) {
          // By definition: the sectors from tail to next are needed, and those skipped are used;
          // the frame is contiguous and touches neither, and afterwards its end is not the tail.
          std::vector<bool> needed(sectors, false);
          for (std::uint64_t i = tail; i != next; i = (i + 1) % sectors) needed[i] = true;
          const std::uint64_t at = next + size <= sectors ? next : 0;
          for (std::uint64_t i = next; at != next && i < sectors; ++i) needed[i] = true;
          bool expected = at + size <= sectors && (at + size) % sectors != tail;
          for (std::uint64_t i = at; expected && i < at + size; ++i) expected = !needed[i];
          // Skipping to the begin must not jump over the tail.
          if (at != next && next < tail) expected = false;
          ASSERT_EQ(has_room(ring, tail * sector, next * sector, size * sector), expected)
              << sectors << " sectors, tail " << tail << ", next " << next << ", size " << size;
          if (!expected) continue;
          ASSERT_EQ(place(ring, next * sector, size * sector), at * sector);
          const std::uint64_t end = after(ring, at * sector, size * sector);
          ASSERT_EQ(end, (at + size) % sectors * sector);
          ASSERT_GT(used(ring, tail * sector, end), used(ring, tail * sector, next * sector));
        }
      }
    }
  }
}

// Whatever is proposed, a ring of 8 times the largest frame with less than half of it used has
// room.
TEST(Ring, LessThanHalfFullHasRoomForTheLargestFrame) {
  for (std::uint64_t largest = 1; largest <= 3; ++largest) {
    const std::uint64_t sectors = 8 * largest;
    const Ring ring{sectors * sector};
    for (std::uint64_t tail = 0; tail < sectors; ++tail) {
      for (std::uint64_t fill = 0; fill < sectors / 2; ++fill) {
        const std::uint64_t next = (tail + fill) % sectors;
        EXPECT_TRUE(has_room(ring, tail * sector, next * sector, largest * sector));
      }
    }
  }
}

TEST(Quorum, AnyTwoMeet) {
  for (const std::uint32_t voters : {1U, 3U, 4U, 5U, 6U, 7U}) {
    EXPECT_GT(replication_quorum(voters) + view_change_quorum(voters), voters);
    EXPECT_GT(2 * replication_quorum(voters), voters);
    EXPECT_GT(replication_quorum(voters) + nack_quorum(voters), voters);
    EXPECT_LE(replication_quorum(voters), voters - (voters - 1) / 2) << "f may be down";
  }
  EXPECT_EQ(votes_counted(0b1011, 0b111), 2U) << "a standby's vote does not count";
  for (std::uint32_t voters = 3; voters < 7; ++voters) {
    EXPECT_GT(replication_quorum(voters) + view_change_quorum(voters + 1), voters + 1)
        << "a quorum of a group and one of the next share a voter";
    EXPECT_GT(replication_quorum(voters + 1) + view_change_quorum(voters), voters + 1);
    // The group may have had one voter less, or more, when an operation was committed.
    EXPECT_GT(nack_quorum(voters + 1), voters + 1 - replication_quorum(voters));
    EXPECT_GT(nack_quorum(voters), voters + 1 - replication_quorum(voters + 1));
  }
  EXPECT_FALSE(is_voter_count(0) || is_voter_count(2) || is_voter_count(9));
}

TEST(Marks, AreNeverOverwrittenByTheNext) {
  for (std::uint64_t sequence = 1; sequence < 100; ++sequence) {
    EXPECT_NE(mark_sector(sequence), mark_sector(sequence + 1));
    const std::uint64_t even = sequence % 2 == 0 ? sequence : sequence - 1;
    const std::uint64_t odd = sequence % 2 == 0 ? sequence - 1 : sequence;
    EXPECT_TRUE(is_mark_pair(even, odd));
    EXPECT_EQ(newest_mark(even, odd), sequence);
    EXPECT_FALSE(is_mark_pair(even + 4, odd)) << sequence;
    EXPECT_FALSE(is_mark_pair(odd, even) && sequence > 1);
  }
}

TEST(RecoveryTable, SaysWhatTheRulesSay) {
  const Adopted adopted{.view = 5, .log_view = 4, .op = 10};
  EXPECT_EQ(standing(adopted, 3, 10), Standing::counts);
  EXPECT_EQ(standing(adopted, 3, 11), Standing::superseded);
  EXPECT_EQ(standing(adopted, 4, 11), Standing::counts);
  EXPECT_EQ(standing(adopted, 6, 1), Standing::impossible);
  EXPECT_FALSE(word_binds(adopted, 3));
  EXPECT_TRUE(word_binds(adopted, 4) && word_binds(adopted, 5));
  EXPECT_FALSE(word_binds(adopted, 6));
  EXPECT_EQ(choose(false, 9, false, 9), Branch::none);
  EXPECT_EQ(choose(true, 1, false, 9), Branch::first);
  EXPECT_EQ(choose(false, 9, true, 1), Branch::second);
  EXPECT_EQ(choose(true, 3, true, 2), Branch::first);
  EXPECT_EQ(choose(true, 2, true, 3), Branch::second);
  EXPECT_EQ(choose(true, 2, true, 2), Branch::equivocation);
  EXPECT_EQ(judge(true, 7, 9), Verdict::keep);
  EXPECT_EQ(judge(false, 9, 9), Verdict::lost);
  EXPECT_EQ(judge(false, 10, 9), Verdict::torn);
}

}  // namespace
}  // namespace kimberlite::consensus::core
