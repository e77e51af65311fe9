// Several clients of a group at once.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>

#include "seeds.hpp"
#include "support/crowd_life.hpp"

namespace kimberlite::vopr {
namespace {

TEST(Crowds, WhatEachWasToldStands) {
  const auto [first, count] = test::seeds_asked_for(20);
  std::uint64_t unknown = 0;
  std::uint64_t deaths = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const CrowdReport report = live_in_a_crowd(seed);
    EXPECT_EQ(report.wrong, "") << "seed " << seed;
    unknown += report.unknown;
    deaths += report.deaths;
  }
  std::cout << fmt::format("{} seeds: {} outcomes unknown at first, {} replicas died\n", count,
                           unknown, deaths);
  EXPECT_TRUE(count < 10 || (unknown > count && deaths > count)) << "nothing happened";
}

}  // namespace
}  // namespace kimberlite::vopr
