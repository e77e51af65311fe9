// Marzullo's algorithm against its definition, and what a voter makes of the others' clocks.
#include "consensus/clock.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace kimberlite::consensus {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;
constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t hour_us = 3600 * second_us;

// ---- the algorithm ------------------------------------------------------------------------------

using Intervals = std::vector<ClockInterval>;

TEST(Marzullo, FindsWhatMostAgreeOn) {
  struct Case {
    Intervals of;
    ClockAgreement is;
  };
  const std::vector<Case> cases{
      {{}, {{0, 0}, 0}},
      {{{-5, 5}}, {{-5, 5}, 1}},
      // The paper's examples: 10 ± 2, 12 ± 1, 11 ± 1; then 8..12, 11..13, 14..15.
      {{{8, 12}, {11, 13}, {10, 12}}, {{11, 12}, 3}},
      {{{8, 12}, {11, 13}, {14, 15}}, {{11, 12}, 2}},
      {{{8, 9}, {8, 12}, {10, 12}}, {{8, 9}, 2}},
      // They touch in a point.
      {{{0, 5}, {5, 9}}, {{5, 5}, 2}},
      {{{0, 4}, {5, 9}}, {{0, 4}, 1}},
      // Of two equally good ones the smaller, of equal ones the earlier.
      {{{0, 9}, {5, 20}, {30, 32}, {31, 40}}, {{31, 32}, 2}},
      {{{0, 9}, {5, 20}, {30, 39}, {35, 40}}, {{5, 9}, 2}},
      // One inside the other, and the same twice.
      {{{0, 100}, {40, 60}, {50, 50}}, {{50, 50}, 3}},
      {{{7, 7}, {7, 7}, {-1, 1}}, {{7, 7}, 2}},
  };
  for (const Case& one : cases) {
    const ClockAgreement found = marzullo(one.of);
    EXPECT_EQ(found, one.is) << fmt::format("{} in {}..{}", found.sources, found.interval.low,
                                            found.interval.high);
  }
}

// The definition: of all intervals between two edges, those that the most sources hold whole; of
// these the widest ones, which cannot grow; of these the narrowest, the earliest.
ClockAgreement by_definition(const Intervals& all) {
  ClockAgreement best;
  for (const ClockInterval& from : all) {
    for (const ClockInterval& to : all) {
      const ClockInterval here{from.low, to.high};
      if (here.low > here.high) continue;
      const auto holders = [&](const ClockInterval& what) {
        return static_cast<std::uint32_t>(std::ranges::count_if(all, [&](const ClockInterval& one) {
          return one.low <= what.low && what.high <= one.high;
        }));
      };
      const std::uint32_t sources = holders(here);
      const bool grows = (sources > 0 && holders({here.low - 1, here.high}) >= sources) ||
                         (sources > 0 && holders({here.low, here.high + 1}) >= sources);
      if (sources == 0 || grows) continue;
      const auto rank = [](const ClockAgreement& of) {
        return std::tuple{of.sources, of.interval.low - of.interval.high, -of.interval.low};
      };
      const ClockAgreement one{here, sources};
      if (best.sources == 0 || rank(one) > rank(best)) best = one;
    }
  }
  return best;
}

TEST(Marzullo, IsItsDefinition) {
  std::mt19937_64 rng(1);
  const auto below = [&](std::uint64_t bound) { return static_cast<std::int64_t>(rng() % bound); };
  for (int round = 0; round < 20'000; ++round) {
    Intervals all;
    const std::int64_t range = 1 + below(40);
    for (std::int64_t i = below(8); i >= 0; --i) {
      const std::int64_t low = below(static_cast<std::uint64_t>(range)) - range / 2;
      all.push_back({low, low + below(12)});
    }
    ASSERT_EQ(marzullo(all), by_definition(all)) << "round " << round;
  }
}

// ---- the clock ----------------------------------------------------------------------------------

// A voter, 0, and its peers, whose wall clocks are off by so much; frames take as long as a test
// says.
class Clocks {
  std::uint64_t ns_ = 5 * second;

 public:
  explicit Clocks(std::uint8_t voters) : Clocks(std::vector<std::int64_t>(voters)) {}
  explicit Clocks(std::vector<std::int64_t> off)
      : off_us(std::move(off)),
        clock{static_cast<std::uint16_t>((1U << off_us.size()) - 1), 0, now()} {}

  [[nodiscard]] Now now() const {
    return {ns_, TimestampUs{static_cast<std::uint64_t>(true_us() + off_us[0])}};
  }
  [[nodiscard]] std::int64_t true_us() const {
    return 1'700'000'000'000'000 + static_cast<std::int64_t>(ns_ / 1000);
  }
  [[nodiscard]] TimestampUs wall(std::uint8_t of) const {
    return TimestampUs{static_cast<std::uint64_t>(true_us() + off_us[of])};
  }
  void pass(std::uint64_t ns) {
    ns_ += ns;
    clock.observe(now());
  }
  // A ping to these, and their answers.
  void ask(const std::vector<std::uint8_t>& peers, std::uint64_t there_ns, std::uint64_t back_ns) {
    clock.sent(++round, now());
    pass(there_ns);
    std::vector<TimestampUs> walls;
    walls.reserve(peers.size());
    for (const std::uint8_t peer : peers) walls.push_back(wall(peer));
    pass(back_ns);
    for (std::size_t i = 0; i < peers.size(); ++i) {
      clock.heard(peers[i], round, walls[i], now());
    }
    clock.decide(now());
  }
  // How far a stamp of now would be from the true time.
  [[nodiscard]] std::int64_t stamp_off_us() const {
    return static_cast<std::int64_t>(clock.stamp(now()).value()) - true_us();
  }

  std::vector<std::int64_t> off_us;
  std::uint64_t round = 0;
  ClusterClock clock;
};

TEST(ClusterClock, WaitsForAQuorumAndAgrees) {
  Clocks three(3);
  EXPECT_EQ(three.clock.status(), ClockStatus::waiting);
  EXPECT_FALSE(three.clock.may_stamp());
  EXPECT_FALSE(three.clock.refuses());
  three.ask({2}, ms, ms);
  EXPECT_EQ(three.clock.status(), ClockStatus::agreed);
  EXPECT_EQ(three.stamp_off_us(), 0);

  Clocks five(5);
  five.ask({1}, ms, ms);
  EXPECT_EQ(five.clock.status(), ClockStatus::waiting);
  five.ask({1, 3}, ms, ms);
  EXPECT_EQ(five.clock.status(), ClockStatus::agreed);
}

TEST(ClusterClock, AMinorityThatIsWrongChangesNothing) {
  Clocks five(5);
  five.off_us = {0, 0, hour_us, -hour_us, 0};
  five.ask({1, 2, 3, 4}, ms, ms);
  EXPECT_EQ(five.clock.status(), ClockStatus::agreed);
  EXPECT_EQ(five.stamp_off_us(), 0);
}

TEST(ClusterClock, IsOutvotedIfItsOwnIsWrong) {
  for (const std::int64_t off : {hour_us, -hour_us, 3 * second_us, -3 * second_us}) {
    Clocks three({off, 0, 0});
    three.ask({1}, ms, ms);
    // The third may be on its side.
    EXPECT_EQ(three.clock.status(), ClockStatus::waiting);
    three.ask({1, 2}, ms, ms);
    EXPECT_EQ(three.clock.status(), ClockStatus::outvoted) << off;
    EXPECT_TRUE(three.clock.refuses());
    ASSERT_TRUE(three.clock.offset());
    EXPECT_LT(three.clock.offset()->interval.low, -off + second_us + 3000);
    EXPECT_GT(three.clock.offset()->interval.high, -off - second_us - 3000);
  }
}

TEST(ClusterClock, SaysThatTooFewAgree) {
  Clocks three(3);
  three.off_us = {0, hour_us, -hour_us};
  three.ask({1, 2}, ms, ms);
  EXPECT_EQ(three.clock.status(), ClockStatus::apart);
  // One is away, and the other contradicts: that is known once the third had its time to answer.
  Clocks two(3);
  two.off_us[1] = hour_us;
  two.ask({1}, ms, ms);
  EXPECT_EQ(two.clock.status(), ClockStatus::waiting);
  two.pass(clock_patience_ns);
  two.ask({1}, ms, ms);
  EXPECT_EQ(two.clock.status(), ClockStatus::apart);
  EXPECT_TRUE(two.clock.refuses());
}

TEST(ClusterClock, ToleratesWhatALeapSecondMayCost) {
  Clocks three({-second_us, second_us, 100 * second_us});
  three.ask({1, 2}, ms, ms);
  EXPECT_EQ(three.clock.status(), ClockStatus::agreed);
  // Between the two, not at its own.
  EXPECT_NEAR(static_cast<double>(three.stamp_off_us()), 0, 2000);
}

// (T1)
TEST(ClusterClock, StampsLieInWhatWasAgreed) {
  Clocks three({-1'500'000, 0, 0});
  three.ask({1, 2}, ms, 3 * ms);
  ASSERT_EQ(three.clock.status(), ClockStatus::agreed);
  EXPECT_GE(three.stamp_off_us(), -second_us - 5000);
  // It goes on there as time passes, whatever steps too small to be noticed come together to.
  for (int i = 0; i < 3; ++i) {
    three.off_us[0] -= 900'000;
    const Now then = three.now();
    const auto off = static_cast<std::int64_t>(three.clock.stamp(then).value()) - three.true_us();
    EXPECT_GE(off, -second_us - 5000);
  }
}

// (T3)
TEST(ClusterClock, StampsNothingAfterAStepUntilItIsComparedAnew) {
  Clocks three(3);
  three.ask({1, 2}, ms, ms);
  ASSERT_TRUE(three.clock.may_stamp());
  three.off_us[0] = 1'000'000;  // not more than a second
  three.pass(1);
  EXPECT_EQ(three.clock.steps().count, 0U);
  three.off_us[0] = 3 * second_us;
  three.pass(1);
  EXPECT_EQ(three.clock.steps().count, 1U);
  EXPECT_EQ(three.clock.steps().last_us, 3 * second_us);
  EXPECT_EQ(three.clock.status(), ClockStatus::waiting);
  three.ask({1, 2}, ms, ms);
  EXPECT_EQ(three.clock.status(), ClockStatus::outvoted);
  three.off_us[0] = 0;
  three.pass(1);
  EXPECT_EQ(three.clock.steps().last_us, -3 * second_us);
  three.ask({1, 2}, ms, ms);
  EXPECT_EQ(three.clock.status(), ClockStatus::agreed);
}

TEST(ClusterClock, APeerThatWasSetIsNotBelievedAsItWas) {
  Clocks three(3);
  three.ask({1}, ms, ms);
  ASSERT_TRUE(three.clock.may_stamp());
  three.off_us[1] = hour_us;
  // A worse sample, but a newer one, of another time.
  three.ask({1}, 30 * ms, 30 * ms);
  EXPECT_FALSE(three.clock.may_stamp());
  three.ask({1, 2}, ms, ms);
  EXPECT_TRUE(three.clock.may_stamp());
}

// (T2)
TEST(ClusterClock, WhatComesLateOrTwiceSaysNothingMore) {
  Clocks three(3);
  three.off_us[1] = 100 * second_us;
  three.clock.sent(1, three.now());
  const TimestampUs then = three.wall(1);
  three.pass(ms);
  three.off_us[1] = 0;
  three.round = 1;
  three.ask({1}, ms, ms);
  ASSERT_TRUE(three.clock.may_stamp());
  // What it answered to the first one, before it was set.
  three.clock.heard(1, 1, then, three.now());
  three.clock.decide(three.now());
  EXPECT_TRUE(three.clock.may_stamp());
  // To a round that never was, from who has no vote, from itself, and too late.
  for (const std::uint64_t round : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{66}}) {
    three.clock.heard(2, round, TimestampUs{1}, three.now());
  }
  three.clock.heard(3, 2, TimestampUs{1}, three.now());
  three.clock.heard(0, 2, TimestampUs{1}, three.now());
  three.pass(round_trip_max_ns + ms);
  three.clock.heard(2, 2, TimestampUs{1}, three.now());
  three.clock.decide(three.now());
  EXPECT_TRUE(three.clock.may_stamp());
  // A time no clock has does not overflow anything.
  three.clock.sent(70, three.now());
  three.clock.heard(2, 70, TimestampUs{~std::uint64_t{0}}, three.now());
  three.clock.decide(three.now());
  EXPECT_TRUE(three.clock.may_stamp());
}

TEST(ClusterClock, SamplesGetOld) {
  Clocks three(3);
  three.ask({1, 2}, ms, ms);
  three.pass(sample_age_max_ns - second);
  three.clock.decide(three.now());
  EXPECT_TRUE(three.clock.may_stamp());
  three.pass(2 * second);
  three.clock.decide(three.now());
  EXPECT_EQ(three.clock.status(), ClockStatus::waiting);
}

// However the delays of both ways differ, and whatever the minority's clocks say.
TEST(ClusterClock, NeverStampsOutsideOfWhatTheRightClocksSay) {
  std::mt19937_64 rng(7);
  const auto below = [&](std::uint64_t bound) { return rng() % bound; };
  std::uint64_t stamped = 0;
  std::uint64_t refused = 0;
  for (int life = 0; life < 300; ++life) {
    const std::size_t voters = life % 2 == 0 ? 3 : 5;
    // The right ones are within half a second of the true time, a minority anywhere.
    std::vector<std::int64_t> off_us(voters);
    for (std::int64_t& off : off_us) off = static_cast<std::int64_t>(below(1'000'000)) - 500'000;
    for (std::size_t wrong = below(voters / 2 + 1); wrong > 0; --wrong) {
      off_us[below(voters)] = static_cast<std::int64_t>(below(40'000'000)) - 20'000'000;
    }
    Clocks all(off_us);
    for (int round = 0; round < 50; ++round) {
      std::vector<std::uint8_t> answer;
      for (std::size_t i = 1; i < voters; ++i) {
        if (below(3) > 0) answer.push_back(static_cast<std::uint8_t>(i));
      }
      all.ask(answer, below(400 * ms), below(400 * ms));
      all.pass(below(200 * ms));
      if (all.clock.refuses()) ++refused;
      if (!all.clock.may_stamp()) continue;
      ++stamped;
      // One right clock at least is in each quorum, and agrees: its own error, the tolerance twice
      // and a round trip.
      ASSERT_LE(std::abs(all.stamp_off_us()), 500'000 + 2 * clock_tolerance_us + 810'000)
          << "life " << life << ", round " << round;
    }
  }
  EXPECT_GT(stamped, 1000U);
  EXPECT_GT(refused, 100U);
}

// ---- a lone voter -------------------------------------------------------------------------------

TEST(ClusterClock, AloneItTrustsItselfButNotAJump) {
  Clocks one(1);
  EXPECT_EQ(one.clock.status(), ClockStatus::alone);
  EXPECT_EQ(one.clock.stamp(one.now()), one.now().realtime);
  // Back, and forward by less than ten seconds: told, and believed.
  one.off_us[0] = -hour_us;
  one.pass(ms);
  one.off_us[0] += 9 * second_us;
  one.pass(ms);
  EXPECT_EQ(one.clock.steps().count, 2U);
  EXPECT_TRUE(one.clock.may_stamp());
  // Further: not until it is back.
  const std::int64_t was = one.off_us[0];
  one.off_us[0] += 11 * second_us;
  one.pass(ms);
  EXPECT_EQ(one.clock.status(), ClockStatus::jumped);
  EXPECT_TRUE(one.clock.refuses());
  one.off_us[0] += 2 * second_us;
  one.pass(ms);
  EXPECT_TRUE(one.clock.refuses());
  one.off_us[0] = was;
  one.pass(ms);
  EXPECT_EQ(one.clock.status(), ClockStatus::alone);
  EXPECT_EQ(one.clock.steps().count, 5U);
}

}  // namespace
}  // namespace kimberlite::consensus
