// Groups of replicas under bad luck, against the model of support/cluster.hpp. A seed that fails is
// replayed with KIMBERLITE_SEED=n; KIMBERLITE_SEEDS=n runs so many.
#include "support/cluster.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace kimberlite::consensus::testing {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

ClusterOptions small(std::uint8_t voters) {
  return {
      .voters = voters,
      .replica = {.journal = {.ring_size = 64 * sector_size, .prepare_size_max = 2 * sector_size},
                  .checkpoint_commands = 20}};
}

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

// A whole life: load, loss, partitions, crashes, rot; then peace, in which all must agree.
struct Life {
  Hash digest{};
  Counts counts;
  std::string wrong;
  std::string story;
};

Life live(std::uint64_t seed) {
  Rng rng(seed * 77 + 1);
  ClusterOptions options = small(below(rng, 3) == 0 ? 5 : 3);
  options.standbys = below(rng, 4) == 0 ? 1 : 0;
  options.lost = below(rng, 2) == 0 ? 0 : static_cast<std::uint32_t>(below(rng, 150));
  options.doubled = static_cast<std::uint32_t>(below(rng, 100));
  options.delay_max_ns = 1 + below(rng, 30) * ms;
  options.replica.strict = below(rng, 4) == 0;
  options.replica.checkpoint_commands = 5 + below(rng, 60);
  const std::uint64_t crash_chance = below(rng, 8);
  const std::uint64_t cut_chance = below(rng, 10);
  const std::uint64_t rot_chance = below(rng, 2) == 0 ? 0 : below(rng, 6);
  Cluster cluster(seed, options);
  const auto random_member = [&] {
    return static_cast<std::uint8_t>(below(rng, cluster.members()));
  };
  for (int i = 0; i < 400 && cluster.wrong().empty(); ++i) {
    for (std::uint64_t n = below(rng, 6); n > 0; --n) {
      cluster.propose(208 + below(rng, 2 * sector_size - frame_header_size - 207));
    }
    if (below(rng, 10) == 0) cluster.read_index();
    cluster.run_for(1 + below(rng, 40) * ms);
    if (below(rng, 100) < crash_chance) cluster.crash(random_member());
    if (below(rng, 100) < 10) {
      const std::uint8_t one = random_member();
      if (!cluster.is_up(one)) cluster.start(one);
    }
    if (below(rng, 100) < cut_chance) {
      const std::uint8_t from = random_member();
      const std::uint8_t to = random_member();
      cluster.cut(from, to, true);
      if (below(rng, 2) == 0) cluster.cut(to, from, true);
    }
    if (below(rng, 100) < 8) {
      cluster.cut(random_member(), random_member(), false);
    }
    if (below(rng, 100) < rot_chance) cluster.rot(random_member());
  }
  cluster.heal();
  if (cluster.wrong().empty() && !cluster.converge(30 * second)) {
    cluster.complain("no agreement in peace" + cluster.picture());
  }
  if (cluster.wrong().empty()) {
    const OpNumber before = cluster.committed();
    cluster.propose(300);
    if (!cluster.converge(2 * second) || cluster.committed() == before) {
      cluster.complain("no progress in peace" + cluster.picture());
    }
  }
  return {cluster.digest(), cluster.counts(), cluster.wrong(), cluster.story()};
}

TEST(Cluster, AgreesWhateverHappens) {
  std::uint64_t first = 1;
  std::uint64_t count = 16;
  if (const char* seed = std::getenv("KIMBERLITE_SEED")) {
    first = std::strtoull(seed, nullptr, 10);
    count = 1;
  }
  if (const char* seeds = std::getenv("KIMBERLITE_SEEDS"))
    count = std::strtoull(seeds, nullptr, 10);
  Counts all;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Life life = live(seed);
    ASSERT_EQ(life.wrong, "") << "seed " << seed << (count == 1 ? "\n" + life.story : "");
    all.events += life.counts.events;
    all.commits += life.counts.commits;
    all.views += life.counts.views;
    all.crashes += life.counts.crashes;
    all.rots += life.counts.rots;
    all.syncs += life.counts.syncs;
    all.reads += life.counts.reads;
    all.truncated += life.counts.truncated;
  }
  RecordProperty("events", std::to_string(all.events));
  std::cout << fmt::format(
      "{} seeds: {} events, {} operations, {} views, {} crashes, {} rots, {} syncs, {} reads, {} "
      "given up\n",
      count, all.events, all.commits, all.views, all.crashes, all.rots, all.syncs, all.reads,
      all.truncated);
  if (count < 16) return;
  // Lives in which nothing happens show nothing.
  EXPECT_GT(all.commits, count * 50);
  EXPECT_GT(all.views, count);
  EXPECT_GT(all.crashes, count / 2);
  EXPECT_GT(all.syncs, 0U);
  EXPECT_GT(all.rots, 0U);
  EXPECT_GT(all.reads, 0U);
  EXPECT_GT(all.truncated, 0U);
}

TEST(Cluster, TheSameSeedIsTheSameLife) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) EXPECT_EQ(live(seed).digest, live(seed).digest);
}

}  // namespace
}  // namespace kimberlite::consensus::testing
