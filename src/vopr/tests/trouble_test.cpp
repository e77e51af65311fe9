// What happens to a life's machines, and what is seen there.
#include "trouble.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "life_model.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

// A call may find its machine dead after the last look. What it had committed and told nobody of
// its disk need not be known when it is started again (seed 6000541 took that for a finding).
TEST(Trouble, ADeathThatPeaceComesUponTakesNoCommitBack) {
  const Plan plan{.seed = 1};
  LifeReport report;
  auto made = Group::make(plan.seed, plan.group);
  ASSERT_TRUE(made) << to_string(made.error());
  Group& group = **made;
  Trouble trouble{group, plan, report, [](std::uint8_t, std::uint64_t) {}};
  group.world().between([&] { trouble.look(); });
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)",
                            request_id(1), 10 * second));
  for (std::uint64_t i = 1; i <= 40; ++i) {
    ASSERT_TRUE(group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'row {}')", i, i),
                              request_id(100 + i), 10 * second));
  }
  ASSERT_TRUE(group.converge(10 * second)) << group.picture();
  const OpNumber committed = group.glance(0)->committed;
  ASSERT_GT(committed, OpNumber{40});

  for (std::uint8_t i = 0; i < group.size(); ++i) group.kill(i);
  trouble.make_peace();
  trouble.end_absence();
  EXPECT_TRUE(group.converge(10 * second)) << group.picture();
  EXPECT_FALSE(report.finding) << report.finding->text;
  EXPECT_GE(group.glance(0)->committed, committed);
}

}  // namespace
}  // namespace kimberlite::vopr
