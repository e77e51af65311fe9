// Seeded bugs (base/canary.hpp) must be noticed: lives of a group, one seed after the other, until
// the model complains, at the seed that docs/internals-consensus.md states. A canary that outlives
// its seeds means that the lives are too easy.
//
// KIMBERLITE_SEEDS=n gives each so many seeds, to measure anew.
#include "base/canary.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "manual.hpp"
#include "support/life.hpp"
#include "support/rules.hpp"

namespace kimberlite::consensus::testing {
namespace {

struct Caught {
  std::uint64_t seed = 0;  // 0: not caught
  std::string by;
};

// Lives with the canary in a process of their own, since an assertion of the replica may be what
// catches it. The child says each seed before it lives it, and ends with the first complaint.
Caught lives_with(Canary canary, std::uint64_t seeds) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    planted = canary;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      fmt::print(stderr, "{}\n", seed);
      const std::string wrong = live(seed).wrong;
      if (wrong.empty()) continue;
      fmt::print(stderr, "{}\n", wrong.substr(0, wrong.find('\n')));
      _exit(1);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  std::array<char, 4096> part{};
  for (ssize_t n = 0; (n = read(ends[0], part.data(), part.size())) > 0;) {
    said.append(part.data(), static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  Caught caught;
  for (std::size_t at = 0; at < said.size();) {
    const std::size_t end = std::min(said.find('\n', at), said.size());
    const std::string line = said.substr(at, end - at);
    if (line.find_first_not_of("0123456789") == std::string::npos) {
      caught.seed = std::strtoull(line.c_str(), nullptr, 10);
    } else {
      caught.by = line;
    }
    at = end + 1;
  }
  return caught;
}

// A row of the manual's table: seeded bug, noticed as, seed.
struct Row {
  Canary canary = Canary::none;
  std::uint64_t seed = 0;
};

std::vector<Row> rows_of_the_manual() {
  std::vector<Row> rows;
  for (const std::vector<std::string>& cells : test::rows_of("internals-consensus.md", 3)) {
    const auto canary = std::ranges::find(canary_names, cells[0]);
    const std::uint64_t seed = test::seed_in(cells[2]);
    if (canary == canary_names.end() || seed == 0) continue;
    rows.push_back({static_cast<Canary>(canary - canary_names.begin()), seed});
  }
  return rows;
}

class Canaries : public ::testing::TestWithParam<Row> {};

TEST_P(Canaries, IsCaught) {
  const auto [canary, seed] = GetParam();
  const char* asked = std::getenv("KIMBERLITE_SEEDS");
  const std::uint64_t seeds = asked != nullptr ? std::strtoull(asked, nullptr, 10) : seed;
  const Caught caught = lives_with(canary, seeds);
  std::cout << fmt::format("{} | {} | seed {}\n", name(canary), caught.by, caught.seed);
  ASSERT_GT(caught.seed, 0U) << name(canary) << " lived through " << seeds << " seeds";
  EXPECT_EQ(caught.seed, seed) << "of " << name(canary) << " the manual says another";
}

INSTANTIATE_TEST_SUITE_P(All, Canaries, ::testing::ValuesIn(rows_of_the_manual()),
                         [](const auto& one) { return std::string(name(one.param.canary)); });

// A story of a rule, told of a replica that breaks it.
class BrokenRules : public ::testing::TestWithParam<Rule> {};

TEST_P(BrokenRules, IsNoticed) {
  planted = GetParam().canary;
  const std::string wrong = GetParam().story();
  planted = Canary::none;
  EXPECT_NE(wrong, "") << name(GetParam().canary) << " goes unnoticed";
  std::cout << fmt::format("{} | {} | {}\n", GetParam().name, name(GetParam().canary),
                           wrong.substr(0, wrong.find('\n')));
}

TEST(Canaries, AreInTheManual) { EXPECT_GE(rows_of_the_manual().size(), 17U); }

TEST(Rules, AreInTheManual) {
  const std::vector<std::vector<std::string>> rows = test::rows_of("internals-consensus.md", 3);
  for (const Rule& rule : rules()) {
    EXPECT_TRUE(std::ranges::any_of(rows, [&](const std::vector<std::string>& row) {
      return row[1] == rule.name && row[2] == name(rule.canary);
    })) << rule.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, BrokenRules, ::testing::ValuesIn(rules()),
                         [](const auto& one) { return std::string(one.param.name); });

// Or every one of them would be caught by something that is wrong anyway.
TEST(Canaries, WithoutOneNothingIsCaught) { EXPECT_EQ(lives_with(Canary::none, 10).by, ""); }

}  // namespace
}  // namespace kimberlite::consensus::testing
