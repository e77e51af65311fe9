// Whole groups with a seeded bug in their consensus: some seed has a finding, and the plan of that
// life can be made smaller.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>

#include "base/canary.hpp"
#include "vopr/life.hpp"
#include "vopr/minimise.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t seeds_max = 20;

// The first seed whose life has a finding.
std::optional<std::pair<Plan, LifeReport>> first_finding(Canary bug) {
  planted = bug;
  for (std::uint64_t seed = 1; seed <= seeds_max; ++seed) {
    Plan plan = make_plan(seed, {});
    LifeReport life = live(plan);
    if (!life.finding) continue;
    std::cout << fmt::format("{}: seed {}: {}\n", name(bug), seed, name(life.finding->invariant));
    return std::pair{std::move(plan), std::move(life)};
  }
  return std::nullopt;
}

TEST(Minimise, LeavesOutWhatIsNotNeeded) {
  auto found = first_finding(Canary::wrong_quorum);
  ASSERT_TRUE(found);
  const auto& [plan, life] = *found;
  const Minimised smallest =
      minimise(plan, life, 40, [](const Minimised& /*so_far*/) { return true; });
  EXPECT_TRUE(ends_alike(smallest.report, life));
  EXPECT_LT(smallest.plan.steps.size() + smallest.plan.incidents.size(),
            plan.steps.size() + plan.incidents.size());
  // What is printed lives again, and ends so.
  const LifeReport again = live(smallest.plan);
  EXPECT_TRUE(ends_alike(again, life));
  EXPECT_EQ(again.digest, smallest.report.digest);
  std::cout << fmt::format("{} lives: {}\n", smallest.lives, repro_command(smallest.plan));
  planted = Canary::none;
}

}  // namespace
}  // namespace kimberlite::vopr
