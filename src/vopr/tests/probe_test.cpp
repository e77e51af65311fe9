// Every probe of the program is taken by this suite as a whole, or it fails: a branch that is never
// taken is not tested. Looked at when the suite has run without a filter; what the tests have not
// taken by then, some more lives have to.
#include "base/probe.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iostream>

#include "vopr/life.hpp"
#include "vopr/probes.hpp"

namespace kimberlite::vopr {
namespace {

struct Rare {
  std::string_view probe;
  std::string_view why;
};
// What only long runs take: kimberlite vopr run --count 5000 --require-probes.
constexpr std::array rare{
    Rare{"consensus.life.raised",
         "a member is made anew by a clock behind one it had before; consensus tests do it"},
    Rare{"consensus.view.nacked", "a new primary cuts what too few had; lives of consensus do it"},
    Rare{"consensus.log.stale_write_ended",
         "a log is cut while one of the prepares given up is still being written"},
    Rare{"consensus.repair.checkpoint_instead",
         "what rotted is committed, and the checkpoints of all the others have passed it"},
};

// Those that took the branches when this was written, then others.
constexpr std::array<std::uint64_t, 4> good_seeds{158, 125, 75, 103};
constexpr std::uint64_t seeds_max = 60;

std::vector<std::string_view> missed() {
  std::vector<std::string_view> names;
  for (const base::ProbeCount& probe : base::probe_counts()) {
    const bool is_rare = std::ranges::find(rare, probe.name, &Rare::probe) != rare.end();
    const bool is_elsewhere = std::ranges::find(taken_elsewhere, probe.name,
                                                &TakenElsewhere::probe) != taken_elsewhere.end();
    if (probe.hits == 0 && !is_rare && !is_elsewhere) names.push_back(probe.name);
  }
  return names;
}

bool is_probe(std::string_view name) {
  const std::vector<base::ProbeCount> all = base::probe_counts();
  return std::ranges::find(all, name, &base::ProbeCount::name) != all.end();
}

class Probes : public ::testing::Environment {
 public:
  void TearDown() override {
    if (GTEST_FLAG_GET(filter) != "*") return;
    for (const std::uint64_t seed : good_seeds) live_on(seed);
    for (std::uint64_t seed = 7; seed <= seeds_max; ++seed) live_on(seed);
    for (const std::string_view name : missed()) ADD_FAILURE() << "never taken: " << name;
    for (const Rare& one : rare) {
      EXPECT_TRUE(is_probe(one.probe)) << one.probe << " is no probe";
    }
    for (const TakenElsewhere& one : taken_elsewhere) {
      EXPECT_TRUE(is_probe(one.probe)) << one.probe << " is no probe";
    }
  }

 private:
  static void live_on(std::uint64_t seed) {
    const auto before = missed();
    if (before.empty()) return;
    EXPECT_FALSE(live(make_plan(seed, {})).finding) << "seed " << seed;
    std::cout << fmt::format("seed {}: probes missed before: {}; {} after\n", seed,
                             fmt::join(before, ", "), missed().size());
  }
};

[[maybe_unused]] const auto* const probes = ::testing::AddGlobalTestEnvironment(new Probes);

}  // namespace
}  // namespace kimberlite::vopr
