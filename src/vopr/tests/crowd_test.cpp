// Several clients of a group at once.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "support/crowd_life.hpp"

namespace kimberlite::vopr {
namespace {

TEST(Crowds, WhatEachWasToldStands) {
  std::uint64_t first = 1;
  std::uint64_t count = 20;
  if (const char* seed = std::getenv("KIMBERLITE_SEED")) {
    first = std::strtoull(seed, nullptr, 10);
    count = 1;
  }
  if (const char* seeds = std::getenv("KIMBERLITE_SEEDS")) {
    count = std::strtoull(seeds, nullptr, 10);
  }
  std::uint64_t unknown = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const CrowdReport report = live_in_a_crowd(seed);
    EXPECT_EQ(report.wrong, "") << "seed " << seed;
    unknown += report.unknown;
  }
  std::cout << fmt::format("{} seeds: {} outcomes unknown at first\n", count, unknown);
  EXPECT_TRUE(count < 10 || unknown > count) << "nothing happened";
}

}  // namespace
}  // namespace kimberlite::vopr
