// Groups of replicas under bad luck, against the model of support/cluster.hpp. A seed that fails is
// replayed with KIMBERLITE_SEED=n; KIMBERLITE_SEEDS=n runs so many.
#include <gtest/gtest.h>

#include <bit>

#include "seeds.hpp"
#include "support/life.hpp"

namespace kimberlite::consensus::testing {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

TEST(Cluster, ElectsAPrimaryAndCommits) {
  for (const std::uint8_t voters :
       {std::uint8_t{1}, std::uint8_t{3}, std::uint8_t{5}, std::uint8_t{7}}) {
    Cluster cluster(voters, small(voters));
    cluster.run_for(3 * second);
    ASSERT_TRUE(cluster.primary().has_value()) << cluster.wrong() << cluster.story();
    for (int i = 0; i < 100; ++i) {
      cluster.propose(300);
      cluster.run_for(5 * ms);
    }
    ASSERT_EQ(cluster.wrong(), "") << cluster.story();
    EXPECT_TRUE(cluster.converge(second)) << cluster.story();
    EXPECT_EQ(cluster.committed(), OpNumber{100}) << cluster.story();
  }
}

TEST(Cluster, GoesOnWithinTwoSecondsWhenThePrimaryDies) {
  Cluster cluster(7, small(3));
  cluster.run_for(3 * second);
  for (int i = 0; i < 20; ++i) {
    cluster.propose(300);
    cluster.run_for(5 * ms);
  }
  ASSERT_TRUE(cluster.primary().has_value());
  cluster.crash(*cluster.primary());
  const OpNumber before = cluster.committed();
  const std::uint64_t killed = cluster.now_ns();
  while (cluster.committed() == before && cluster.now_ns() < killed + 2 * second) {
    cluster.propose(300);
    cluster.run_for(10 * ms);
  }
  EXPECT_GT(cluster.committed(), before) << cluster.story();
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(Cluster, WithoutAQuorumNothingIsAcknowledged) {
  Cluster cluster(8, small(3));
  cluster.run_for(3 * second);
  ASSERT_TRUE(cluster.propose(300));
  cluster.run_for(second);
  const OpNumber before = cluster.committed();
  EXPECT_EQ(before, OpNumber{1});
  const std::uint8_t primary = *cluster.primary();
  cluster.crash(static_cast<std::uint8_t>((primary + 1) % 3));
  cluster.crash(static_cast<std::uint8_t>((primary + 2) % 3));
  for (int i = 0; i < 20; ++i) {
    cluster.propose(300);
    cluster.run_for(100 * ms);
  }
  EXPECT_EQ(cluster.committed(), before);
  cluster.heal();
  EXPECT_TRUE(cluster.converge(10 * second)) << cluster.story();
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(Cluster, AReplicaThatWasAwayTakesACheckpointsState) {
  Cluster cluster(9, small(3));
  cluster.run_for(3 * second);
  const std::uint8_t away = static_cast<std::uint8_t>((*cluster.primary() + 1) % 3);
  cluster.crash(away);
  for (int i = 0; i < 400; ++i) {
    cluster.propose(300);
    cluster.run_for(5 * ms);
  }
  cluster.start(away);
  EXPECT_TRUE(cluster.converge(10 * second)) << cluster.story();
  EXPECT_GE(cluster.counts().syncs, 1U);
  EXPECT_EQ(cluster.wrong(), "");
}

// A group that has done some work, with `lost` of its disks lost at once.
void lose_disks(Cluster& cluster, std::uint8_t lost) {
  cluster.run_for(3 * second);
  for (int i = 0; i < 60; ++i) {
    cluster.propose(300);
    cluster.run_for(5 * ms);
  }
  ASSERT_TRUE(cluster.converge(10 * second));
  // The primary is one of them.
  const std::uint8_t first = *cluster.primary();
  for (std::uint8_t i = 0; i < lost; ++i) {
    cluster.make_anew(static_cast<std::uint8_t>((first + i) % cluster.members()));
  }
}

TEST(Cluster, TwoLostDisksOfFiveRecover) {
  Cluster cluster(21, small(5));
  ASSERT_NO_FATAL_FAILURE(lose_disks(cluster, 2));
  const OpNumber before = cluster.committed();
  EXPECT_TRUE(cluster.converge(20 * second)) << cluster.story();
  EXPECT_GE(cluster.committed(), before);
  EXPECT_TRUE(cluster.propose(300));
  EXPECT_TRUE(cluster.converge(2 * second));
  EXPECT_GT(cluster.committed(), before);
  EXPECT_EQ(cluster.wrong(), "");
}

// The two that are left do not know what the three had acknowledged; nobody guesses.
TEST(Cluster, ThreeLostDisksOfFiveWaitAndSayForWhat) {
  Cluster cluster(22, small(5));
  ASSERT_NO_FATAL_FAILURE(lose_disks(cluster, 3));
  const OpNumber before = cluster.committed();
  for (int i = 0; i < 40; ++i) {
    cluster.propose(300);
    cluster.run_for(500 * ms);
  }
  EXPECT_EQ(cluster.committed(), before);
  std::uint32_t lost = 0;
  for (std::uint8_t i = 0; i < cluster.members(); ++i) {
    const Replica& replica = cluster.replica(i);
    EXPECT_FALSE(replica.is_primary());
    if (replica.status() != ReplicaStatus::recovering_disk) continue;
    ++lost;
    const RecoveryProgress progress = replica.recovery();
    EXPECT_EQ(progress.needed, 3U);
    EXPECT_LE(std::popcount(progress.answered), 2);
    EXPECT_EQ(std::popcount(progress.lost_too), 2) << "it knows of the two others";
  }
  EXPECT_EQ(lost, 3U);
  EXPECT_EQ(cluster.wrong(), "");
}

TEST(Cluster, AgreesWhateverHappens) {
  const auto [first, count] = test::seeds_asked_for(16);
  Counts all;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Life life = live(seed);
    EXPECT_EQ(life.wrong, "") << "seed " << seed << (count == 1 ? "\n" + life.story : "");
    all.add(life.counts);
  }
  RecordProperty("events", std::to_string(all.events));
  std::cout << fmt::format(
      "{} seeds: {} of five, {} simulated s, {} events, {} operations, {} views, {} crashes, {} "
      "rots, {} syncs, {} reads, {} "
      "given up, {} replays, {} spoilt, {} pauses, {} clock steps, {} lost writes, {} failed "
      "reads, {} lost disks, {} old disks, {} changes of the group\n",
      count, all.of_five, all.simulated_ms / 1000, all.events, all.commits, all.views, all.crashes,
      all.rots, all.syncs, all.reads, all.truncated, all.replays, all.spoilt, all.pauses,
      all.clock_steps, all.lost_writes, all.failed_reads, all.lost_disks, all.old_disks,
      all.changes);
  if (count < 16) return;
  // Lives in which nothing happens show nothing.
  EXPECT_GT(all.commits, count * 50);
  EXPECT_GT(all.views, count);
  EXPECT_GT(all.crashes, count / 2);
  EXPECT_GT(all.syncs, 0U);
  EXPECT_GT(all.rots, 0U);
  EXPECT_GT(all.reads, 0U);
  EXPECT_GT(all.truncated, 0U);
  EXPECT_GT(all.replays, 0U);
  EXPECT_GT(all.spoilt, 0U);
  EXPECT_GT(all.pauses, 0U);
  EXPECT_GT(all.clock_steps, 0U);
  EXPECT_TRUE(count < 100 || all.lost_writes > 0);
  EXPECT_TRUE(count < 100 || all.failed_reads > 0);
  EXPECT_TRUE(count < 100 || all.lost_disks > 0);
  EXPECT_TRUE(count < 100 || all.old_disks > 0);
  EXPECT_TRUE(count < 100 || all.changes > count / 10);
}

TEST(Cluster, TheSameSeedIsTheSameLife) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) EXPECT_EQ(live(seed).digest, live(seed).digest);
}

}  // namespace
}  // namespace kimberlite::consensus::testing
