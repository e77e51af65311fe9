#include "vopr/sim_group.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;

// Machines that only listen: what came, in order, and when.
struct Listeners {
  SimGroup group;
  std::string heard;

  Listeners(std::uint64_t seed, std::uint8_t machines) : group(seed, machines) {
    for (std::uint8_t i = 0; i < machines; ++i) listen(i);
  }
  void listen(std::uint8_t machine) {
    group.env(machine).network.listen([this, machine](std::uint8_t from, Bytes frame) {
      heard += std::to_string(from) + ">" + std::to_string(machine) + ":" +
               std::to_string(std::to_integer<int>(frame[0])) + " ";
    });
    group.on_turn(machine, [this, machine] { group.env(machine).executor.run_one(0); });
  }
  void send(std::uint8_t from, std::uint8_t to, std::uint8_t what) {
    const std::byte frame{what};
    group.env(from).network.send(to, {&frame, 1});
  }
};

TEST(SimGroup, DeliversWithinItsDelay) {
  Listeners all(1, 3);
  all.group.set_network({.delay_min_ns = ms, .delay_spread_ns = ms});
  all.send(0, 1, 7);
  all.group.run_for(ms / 2);
  EXPECT_EQ(all.heard, "");
  all.group.run_for(2 * ms);
  EXPECT_EQ(all.heard, "0>1:7 ");
}

TEST(SimGroup, CutsAreOneWay) {
  Listeners all(2, 2);
  all.group.cut(0, 1);
  all.send(0, 1, 1);
  all.send(1, 0, 2);
  all.group.run_for(10 * ms);
  EXPECT_EQ(all.heard, "1>0:2 ");
  all.group.join(0, 1);
  all.send(0, 1, 3);
  all.group.run_for(10 * ms);
  EXPECT_EQ(all.heard, "1>0:2 0>1:3 ");
}

TEST(SimGroup, LosesDoublesAndReorders) {
  Listeners all(3, 2);
  all.group.set_network(
      {.lost = 200'000, .doubled = 200'000, .delay_min_ns = 1, .delay_spread_ns = 10 * ms});
  for (std::uint8_t i = 0; i < 100; ++i) all.send(0, 1, i);
  all.group.run_for(20 * ms);
  EXPECT_GT(all.group.lost(), 5U);
  EXPECT_LT(all.group.lost(), 50U);
  const auto count = static_cast<std::uint64_t>(std::ranges::count(all.heard, ' '));
  EXPECT_GT(count, 100 - all.group.lost()) << "some came twice";
  EXPECT_EQ(all.heard.find("0>1:0 0>1:1 0>1:2 0>1:3 0>1:4"), std::string::npos) << "in order";
}

TEST(SimGroup, AMachineThatIsOffHearsAndSaysNothing) {
  Listeners all(4, 2);
  const env::Env before = all.group.env(1);
  all.group.power_off(1);
  all.send(0, 1, 1);
  const std::byte frame{9};
  before.network.send(0, {&frame, 1});
  all.group.run_for(10 * ms);
  EXPECT_EQ(all.heard, "");
  all.group.power_on(1);
  all.listen(1);
  all.send(0, 1, 2);
  all.group.run_for(10 * ms);
  EXPECT_EQ(all.heard, "0>1:2 ");
}

TEST(SimGroup, WhatWasSyncedIsThereAfterAPowerFailure) {
  SimGroup group(5, 2);
  const std::byte content{42};
  {
    const auto file = group.env(1).storage.open("f", env::Open::create);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write_at(0, {&content, 1}));
    ASSERT_TRUE((*file)->sync());
  }
  group.power_off(1);
  group.power_on(1);
  const auto file = group.env(1).storage.open("f", env::Open::read);
  ASSERT_TRUE(file);
  std::byte found{};
  ASSERT_EQ(*(*file)->read_at(0, {&found, 1}), 1U);
  EXPECT_EQ(found, content);
  EXPECT_FALSE(group.env(0).storage.open("f", env::Open::read)) << "disks are not shared";
}

TEST(SimGroup, WhoeverWaitsLetsTheOthersGoOn) {
  Listeners all(6, 2);
  bool ran = false;
  all.group.env(1).executor.post_after(5 * ms, 1, [&] { ran = true; });
  while (!ran && all.group.clock().now_ns() < 100 * ms) all.group.env(0).executor.run_one(ms);
  EXPECT_TRUE(ran);
}

TEST(SimGroup, AFilterTakesFramesAndPutsThemBack) {
  Listeners all(8, 3);
  Buffer taken;
  all.group.filter([&](std::uint8_t from, std::uint8_t to, Bytes frame) {
    if (from != 0 || to != 1) return false;
    taken.assign(frame.begin(), frame.end());
    return true;
  });
  all.send(0, 1, 5);
  all.send(0, 2, 6);
  all.group.run_for(10 * ms);
  EXPECT_EQ(all.heard, "0>2:6 ");
  all.group.inject(2, 1, taken, 5 * ms);
  all.group.run_for(4 * ms);
  EXPECT_EQ(all.heard, "0>2:6 ");
  all.group.run_for(2 * ms);
  EXPECT_EQ(all.heard, "0>2:6 2>1:5 ");
  // Nothing passes a cut.
  all.group.cut(2, 1);
  all.group.inject(2, 1, taken);
  all.group.run_for(10 * ms);
  EXPECT_EQ(all.heard, "0>2:6 2>1:5 ");
}

TEST(SimGroup, APausedMachineHearsLaterAndDoesNothing) {
  Listeners all(9, 2);
  bool ran = false;
  all.group.pause(1);
  all.group.env(1).executor.post(1, [&] { ran = true; });
  all.send(0, 1, 1);
  all.send(0, 1, 2);
  all.group.run_for(50 * ms);
  EXPECT_FALSE(ran);
  EXPECT_EQ(all.heard, "");
  all.group.resume(1);
  all.group.run_for(ms);
  EXPECT_TRUE(ran);
  EXPECT_EQ(std::ranges::count(all.heard, ' '), 2);
}

TEST(SimGroup, ClocksAreSetAndDriftOneByOne) {
  SimGroup group(10, 2);
  const auto ahead_us = [&] {
    return static_cast<std::int64_t>(group.env(1).clock.realtime().value()) -
           static_cast<std::int64_t>(group.env(0).clock.realtime().value());
  };
  EXPECT_NEAR(static_cast<double>(ahead_us()), 0, 2);
  group.step_clock(1, -3'600'000'000);
  EXPECT_NEAR(static_cast<double>(ahead_us()), -3.6e9, 2);
  group.step_clock(1, 3'600'000'000);
  group.drift_clock(1, -100'000);
  const std::uint64_t before = group.env(1).clock.monotonic_ns();
  group.run_for(1000 * ms);
  EXPECT_NEAR(static_cast<double>(ahead_us()), -1e5, 2);
  EXPECT_NEAR(static_cast<double>(group.env(1).clock.monotonic_ns() - before), 0.9e9, 1e4);
  // What it is behind it stays.
  group.drift_clock(1, 0);
  group.run_for(1000 * ms);
  EXPECT_NEAR(static_cast<double>(ahead_us()), -1e5, 2);
  std::uint64_t last = 0;
  group.drift_clock(1, -999'999);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t now = group.env(1).clock.monotonic_ns();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(SimGroup, ADiskIsDamagedWhileItsMachineIsOff) {
  SimGroup group(11, 1);
  const std::byte content{42};
  {
    const auto file = group.env(0).storage.open("f", env::Open::create);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write_at(0, {&content, 1}));
    ASSERT_TRUE((*file)->sync());
  }
  group.power_off(0);
  group.disk(0).flip("f", 0);
  group.power_on(0);
  std::byte found{};
  const auto file = group.env(0).storage.open("f", env::Open::read);
  ASSERT_TRUE(file);
  ASSERT_EQ(*(*file)->read_at(0, {&found, 1}), 1U);
  EXPECT_EQ(found, std::byte{43});
}

TEST(SimGroup, AfterItsPowerWentAMachineSaysNothingMore) {
  Listeners all(12, 2);
  all.group.storage(0).on_call([](CallKind, std::string_view) { return Strike{.crash = true}; });
  all.send(0, 1, 1);
  ASSERT_TRUE(all.group.env(0).storage.open("f", env::Open::create));
  EXPECT_TRUE(all.group.storage(0).frozen());
  all.send(0, 1, 2);
  all.group.run_for(10 * ms);
  EXPECT_EQ(all.heard, "0>1:1 ");
}

TEST(SimGroup, EqualSeedsAreEqualWorlds) {
  const auto run = [](std::uint64_t seed) {
    Listeners all(seed, 3);
    all.group.set_network({.lost = 100'000, .doubled = 100'000, .delay_spread_ns = 5 * ms});
    for (std::uint8_t i = 0; i < 60; ++i) {
      all.send(i % 3, static_cast<std::uint8_t>((i + 1) % 3), i);
      all.group.run_for(ms);
    }
    return std::pair{all.heard, all.group.digest()};
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

}  // namespace
}  // namespace kimberlite::vopr
