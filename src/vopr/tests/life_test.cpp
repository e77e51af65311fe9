// Lives of groups: quick ones, the same one twice, and what a finding looks like.
#include "vopr/life.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>

namespace kimberlite::vopr {
namespace {

std::uint64_t option(std::string_view name, std::uint64_t otherwise) {
  for (const std::string& argument : ::testing::internal::GetArgvs()) {
    if (argument.starts_with(name)) {
      return std::strtoull(argument.c_str() + name.size(), nullptr, 10);
    }
  }
  return otherwise;
}

TEST(Life, HoldsWhateverHappens) {
  const std::uint64_t first = option("--seed=", 1);
  const std::uint64_t seeds = option("--seeds=", 6);
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    const Plan plan = make_plan(seed, {});
    const LifeReport report = live(plan);
    EXPECT_FALSE(report.finding) << repro_command(plan) << "\n"
                                 << last_of_story(report, 30) << name(report.finding->invariant)
                                 << ": " << report.finding->text;
    EXPECT_GT(report.acknowledged, 20U);
    std::cout << fmt::format(
        "seed {}: {} replicas, {} events, {} s, {} incidents, {} views, {} commits, {} writes, {} "
        "answers\n",
        seed, report.replicas, report.events, report.simulated_ns / 1'000'000'000,
        report.incidents_total(), report.views, report.commits, report.acknowledged,
        report.compared);
  }
}

TEST(Life, TheSameSeedIsTheSameLife) {
  const Plan plan = make_plan(3, {});
  const LifeReport first = live(plan);
  const LifeReport again = live(plan);
  EXPECT_EQ(first.digest, again.digest);
  EXPECT_EQ(first.events, again.events);
  EXPECT_EQ(first.images, again.images);
}

}  // namespace
}  // namespace kimberlite::vopr
