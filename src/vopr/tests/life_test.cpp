// Lives of groups: quick ones, the same one twice, and what a finding looks like.
#include "vopr/life.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <iterator>

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
        "changes of the group, {} answers\n",
        seed, report.replicas, report.events, report.simulated_ns / 1'000'000'000,
        report.incidents_total(), report.views, report.commits, report.acknowledged, report.changes,
        report.compared);
  }
}

// A part of the lives has standbys, and changes who votes.
TEST(Life, AGroupThatChangesHolds) {
  int lived = 0;
  for (std::uint64_t seed = 1; lived < 3 && seed < 100; ++seed) {
    const Plan plan = make_plan(seed, {});
    if (plan.group.standbys == 0) continue;
    ++lived;
    const LifeReport report = live(plan);
    EXPECT_FALSE(report.finding) << repro_command(plan) << "\n"
                                 << last_of_story(report, 30) << name(report.finding->invariant)
                                 << ": " << report.finding->text;
    EXPECT_GT(report.changes, 0U);
    if (lived > 1) continue;
    EXPECT_EQ(live(plan).digest, report.digest) << "seed " << seed;
  }
  EXPECT_EQ(lived, 3);
}

TEST(Life, TheSameSeedIsTheSameLife) {
  const Plan plan = make_plan(3, {});
  const LifeReport first = live(plan);
  const LifeReport again = live(plan);
  EXPECT_EQ(first.digest, again.digest);
  EXPECT_EQ(first.events, again.events);
  EXPECT_EQ(first.images, again.images);
}

TEST(Life, BeyondItsRedundancyNobodyGuesses) {
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Plan plan = make_plan(seed, {.replicas = 3, .beyond = true});
    const LifeReport report = live(plan);
    EXPECT_FALSE(report.finding) << repro_command(plan) << "\n"
                                 << last_of_story(report, 30) << name(report.finding->invariant)
                                 << ": " << report.finding->text;
    refused += report.refused ? 1 : 0;
  }
  EXPECT_GT(refused, 0U);
}

TEST(Life, APartOfAPlanIsALife) {
  const Plan whole = make_plan(1, {});
  const Plan part = part_of(whole, {0, 1, 2, 3}, {});
  EXPECT_EQ(part.steps.size(), 4U);
  EXPECT_TRUE(part.incidents.empty());
  const LifeReport report = live(part);
  EXPECT_FALSE(report.finding);
  EXPECT_EQ(report.incidents_total(), 0U);
  const std::string picture = timeline_svg(report);
  EXPECT_TRUE(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
  EXPECT_TRUE(repro_command(part).ends_with(" --steps 0-3 --incidents none"))
      << repro_command(part);
}

TEST(Plan, RangesAreReadAsWritten) {
  const std::vector<std::uint32_t> numbers{0, 1, 2, 5, 7, 8};
  EXPECT_EQ(ranges_text(numbers), "0-2,5,7-8");
  EXPECT_EQ(*parse_ranges("0-2,5,7-8"), numbers);
  EXPECT_TRUE(parse_ranges("none")->empty());
  for (const std::string_view wrong : {"", "1-", "2-1", "1,", "x", "1 2", "-1", "99999999"}) {
    const auto parsed = parse_ranges(wrong);
    ASSERT_FALSE(parsed) << wrong;
    EXPECT_EQ(parsed.error().code(), Code::usage_option);
  }
}

// What readers are told is checked is what is.
TEST(Invariants, StandInTheManual) {
  std::ifstream page{std::string{KIMBERLITE_SOURCE_DIR} + "/docs/internals-simulator.md"};
  const std::string text{std::istreambuf_iterator<char>{page}, {}};
  for (const InvariantInfo& one : invariants) {
    EXPECT_NE(text.find(fmt::format("| {} | {} |\n", one.name, one.what)), std::string::npos)
        << one.name;
  }
}

}  // namespace
}  // namespace kimberlite::vopr
