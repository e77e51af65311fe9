// Whole groups with one seeded bug each (base/canary.hpp): the invariant that ought to notice does,
// in the life of the seed that docs/internals-simulator.md states, and the same life without the
// bug has no finding. And a plan with a finding can be made smaller.
//
// KIMBERLITE_SEEDS=n lives seeds 1 to n with each bug instead, up to the first in which its
// invariant notices, and prints the rows of that table anew; --gtest_filter chooses bugs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>

#include "base/canary.hpp"
#include "manual.hpp"
#include "support/crowd_life.hpp"
#include "support/stale_keystore.hpp"
#include "vopr/life.hpp"
#include "vopr/live_apart.hpp"
#include "vopr/minimise.hpp"
#include "vopr/scenario.hpp"

namespace kimberlite::vopr {
namespace {

constexpr unsigned longest_life_s = 120;

// A row of the manual's table: invariant, seeded bug, noticed as, seed.
struct Row {
  std::string invariant;
  Canary canary = Canary::none;
  std::uint64_t seed = 0;
};

std::vector<Row> rows_of_the_manual() {
  std::vector<Row> rows;
  for (const std::vector<std::string>& cells : test::rows_of("internals-simulator.md", 4)) {
    const auto canary = std::ranges::find(canary_names, cells[1]);
    const std::uint64_t seed = test::seed_in(cells[3]);
    if (canary == canary_names.end() || seed == 0) continue;
    rows.push_back({.invariant = cells[0],
                    .canary = static_cast<Canary>(canary - canary_names.begin()),
                    .seed = seed});
  }
  return rows;
}

struct Noticed {
  std::string by;  // an invariant; empty: nothing was noticed
  std::string text;
};

// A life with the bug, in a process of its own, since an assertion may be what notices it.
Noticed live_with(Canary bug, std::uint64_t seed) {
  const Result<LifeReport> life = live_apart(
      [&] {
        planted = bug;
        return live(make_plan(seed, {}));
      },
      longest_life_s);
  EXPECT_TRUE(life) << to_string(life.error());
  if (!life || !life->finding) return {};
  return {std::string{name(life->finding->invariant)}, life->finding->text};
}

class Canaries : public ::testing::TestWithParam<Row> {};

void measure(const Row& row, std::uint64_t seeds) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Noticed noticed = live_with(row.canary, seed);
    if (noticed.by.empty()) continue;
    if (noticed.by == row.invariant) {
      std::cout << fmt::format("| {} | `{}` | {} | {} |\n", row.invariant, name(row.canary),
                               noticed.text, seed);
      return;
    }
    std::cout << fmt::format("{} seed {}: {}: {}\n", name(row.canary), seed, noticed.by,
                             noticed.text)
              << std::flush;
  }
  ADD_FAILURE() << name(row.canary) << " lived through " << seeds << " seeds";
}

TEST_P(Canaries, AreNoticed) {
  const Row& row = GetParam();
  if (const char* seeds = std::getenv("KIMBERLITE_SEEDS")) {
    return measure(row, std::strtoull(seeds, nullptr, 10));
  }
  const Noticed noticed = live_with(row.canary, row.seed);
  EXPECT_EQ(noticed.by, row.invariant) << noticed.text;
  static std::map<std::uint64_t, std::string> without;
  if (!without.contains(row.seed)) without[row.seed] = live_with(Canary::none, row.seed).by;
  EXPECT_EQ(without[row.seed], "") << "without the bug";
}

INSTANTIATE_TEST_SUITE_P(All, Canaries, ::testing::ValuesIn(rows_of_the_manual()),
                         [](const auto& one) {
                           std::string text =
                               fmt::format("{}_{}", one.param.invariant, name(one.param.canary));
                           std::ranges::replace(text, '-', '_');
                           return text;
                         });

TEST(Invariants, HaveACanaryEach) {
  const std::vector<Row> rows = rows_of_the_manual();
  EXPECT_GE(invariants.size(), 19U);
  for (const InvariantInfo& one : invariants) {
    EXPECT_TRUE(
        std::ranges::any_of(rows, [&](const Row& row) { return row.invariant == one.name; }))
        << one.name << " was never seen to fail";
  }
}

// No life puts an old file in the place of a newer one: a story does.
TEST(Stories, AStaleKeystoreThatIsTrustedIsNoticed) {
  planted = Canary::trust_stale_keystore;
  const std::string wrong = a_stale_keystore_is_refused();
  planted = Canary::none;
  EXPECT_NE(wrong, "");
  EXPECT_EQ(a_stale_keystore_is_refused(), "");
}

// It takes clients that are under way at once, which no other life has.
TEST(Stories, AWriteProposedUnseenIsNoticed) {
  constexpr std::uint64_t seeds_max = 10;
  std::uint64_t seed = 0;
  std::string wrong;
  planted = Canary::propose_unseen;
  while (wrong.empty() && seed < seeds_max) wrong = live_in_a_crowd(++seed).wrong;
  planted = Canary::none;
  EXPECT_NE(wrong, "");
  std::cout << "seed " << seed << ": " << wrong << "\n";
  EXPECT_EQ(live_in_a_crowd(seed).wrong, "");
}

// Rules of who is in the group, and of what is done once: each without which a story of
// tests/scenarios ends otherwise.
TEST(Stories, ABrokenRuleOfAGroupIsNoticed) {
  const std::array<std::pair<Canary, std::string_view>, 2> all{{
      {Canary::forget_request, "an-append-is-asked-again"},
      {Canary::lead_by_hearsay, "a-primary-hears-that-the-group-changed"},
  }};
  for (const auto& [canary, name] : all) {
    std::ifstream file{fmt::format("{}/tests/scenarios/{}.scn", KIMBERLITE_SOURCE_DIR, name)};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    const auto scenario = parse_scenario(text, name);
    ASSERT_TRUE(scenario) << to_string(scenario.error());
    EXPECT_TRUE(run_scenario(*scenario).passed) << name;
    planted = canary;
    const ScenarioResult broken = run_scenario(*scenario);
    planted = Canary::none;
    EXPECT_FALSE(broken.passed) << name << " does not notice";
    std::cout << broken.wrong << "\n";
  }
}

TEST(Minimise, LeavesOutWhatIsNotNeeded) {
  const std::vector<Row> rows = rows_of_the_manual();
  const auto row = std::ranges::find(rows, Canary::wrong_quorum, &Row::canary);
  ASSERT_NE(row, rows.end());
  planted = row->canary;
  const Plan plan = make_plan(row->seed, {});
  const LifeReport life = live(plan);
  ASSERT_TRUE(life.finding);
  const Minimised smallest = minimise(
      plan, life, 40, [](const Plan& part) { return live(part); },
      [](const Minimised& /*so_far*/) { return true; });
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
