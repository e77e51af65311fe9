// Random lives of a node against the model of support/node.hpp: proposals, completions in any
// order, checkpoints, marks, clock steps, crashes that lose or tear any write in flight.
#include <gtest/gtest.h>

#include "seeds.hpp"
#include "support/node.hpp"

namespace kimberlite::consensus::testing {
namespace {

ReplicaOptions options_of(Rng& rng) {
  const std::uint64_t prepare = (1 + below(rng, 3)) * sector_size;
  const std::uint64_t ring = 8 * prepare + below(rng, 16) * sector_size;
  return {.journal = {.ring_size = ring, .prepare_size_max = prepare},
          .strict = below(rng, 4) == 0,
          .checkpoint_commands = 1 + below(rng, 40)};
}

void one_step(Node& node, Rng& rng) {
  const std::uint64_t prepare_max = node.options().journal.prepare_size_max;
  switch (below(rng, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
      if (node.replica().may_propose()) {
        node.propose(208 + below(rng, prepare_max - frame_header_size - 207));
      }
      break;
    case 4:
    case 5:
    case 6:
    case 7:
      if (node.writes_in_flight() > 0) node.end_write(below(rng, node.writes_in_flight()));
      break;
    case 8:
      if (node.checkpoint_due() && below(rng, 3) == 0) node.finish_checkpoint();
      break;
    case 9:
      node.advance_ns(below(rng, 12'000'000));
      node.step(Tick{});
      break;
    case 10:
      node.set_realtime(TimestampUs{1'700'000'000'000'000 + below(rng, 1'000'000)});
      break;
    case 11:
      if (below(rng, 20) == 0) node.step(RequestCheckpoint{});
      break;
    default:
      break;
  }
}

struct Life {
  std::string trace;
  std::string wrong;
  std::vector<std::byte> journal;
  std::uint64_t acknowledged = 0;
};

Life live(std::uint64_t seed, int steps) {
  Rng rng(seed);
  Node node(options_of(rng));
  Life life;
  for (int i = 0; i < steps && life.wrong.empty(); ++i) {
    if (!node.is_open()) {
      const Status opened = node.open();
      if (!opened) life.wrong += to_string(opened.error());
      if (!opened) break;
    }
    if (below(rng, 60) == 0) {
      node.crash(rng);
    } else {
      one_step(node, rng);
    }
    life.wrong += node.wrong();
  }
  life.trace = node.trace();
  life.journal = node.disk().journal;
  life.acknowledged = node.acknowledged().value();
  return life;
}

// A seed that failed once is named here by its number: KIMBERLITE_SEED=n replays one with its
// trace.
TEST(Model, NothingAcknowledgedIsEverLost) {
  const auto [first, count] = test::seeds_asked_for(80);
  std::uint64_t acknowledged = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Life life = live(seed, 400);
    ASSERT_EQ(life.wrong, "") << "seed " << seed << (count == 1 ? "\n" + life.trace : "");
    acknowledged += life.acknowledged;
  }
  EXPECT_GT(acknowledged, count * 20) << "the lives are too short to show anything";
}

TEST(Model, TheSameSeedIsTheSameLife) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Life first = live(seed, 300);
    const Life second = live(seed, 300);
    ASSERT_EQ(first.trace, second.trace) << "seed " << seed;
    ASSERT_TRUE(equal(first.journal, second.journal)) << "seed " << seed;
  }
}

// After a clean end the audit has nothing to say, and every open frame is there.
TEST(Model, ACleanEndIsClean) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Rng rng(seed);
    Node node(options_of(rng));
    ASSERT_TRUE(node.open_fully().has_value());
    for (int i = 0; i < 200; ++i) one_step(node, rng);
    node.step(Close{});
    while (!node.replica().closed()) {
      node.end_all_writes();
      if (node.checkpoint_due()) node.finish_checkpoint();
    }
    const auto audit = node.audit();
    ASSERT_TRUE(audit.has_value());
    for (const Finding& finding : audit->findings) {
      ADD_FAILURE() << "seed " << seed << ": " << to_string(finding.error);
    }
    EXPECT_EQ(audit->head, node.replica().head());
  }
}

}  // namespace
}  // namespace kimberlite::consensus::testing
