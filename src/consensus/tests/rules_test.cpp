// Each rule is kept; canary/canary_test.cpp shows that each of these stories notices when it is
// not.
#include "support/rules.hpp"

#include <gtest/gtest.h>

#include "support/solo.hpp"

namespace kimberlite::consensus::testing {
namespace {

class Rules : public ::testing::TestWithParam<Rule> {};

TEST_P(Rules, IsKept) { EXPECT_EQ(GetParam().story(), ""); }

INSTANTIATE_TEST_SUITE_P(All, Rules, ::testing::ValuesIn(rules().begin(), rules().end()),
                         [](const auto& one) { return std::string(one.param.name); });

// It had entered view 4 before it lost its head: the log of view 0 is of no use to it.
TEST(Replica, FollowsOneThatAsksForALaterView) {
  Solo replica(2);
  replica.hear(1, 4, RequestStartView{});
  EXPECT_EQ(replica.replica().view(), ViewNumber{4});
}

// Its heartbeats would hold the others in a view in which nothing can be committed.
TEST(Replica, APrimaryThatHearsNobodyIsSilent) {
  Solo replica(1);
  for (const std::uint8_t from : {std::uint8_t{0}, std::uint8_t{2}}) {
    replica.hear(from, 1, StartViewChange{});
  }
  replica.end_writes();
  replica.hear(
      0, 1, DoViewChange{.log_view = {}, .present = 0, .nacked = 0, .suffix = replica.log_of({})});
  replica.end_writes();
  ASSERT_TRUE(replica.replica().is_primary());
  replica.wait(200);
  EXPECT_FALSE(replica.said<Heartbeat>().empty());
  replica.wait(500);
  replica.forget();
  replica.wait(300);
  EXPECT_TRUE(replica.said<Heartbeat>().empty());
  replica.hear(2, 1, HeartbeatOk{.round = 1, .checkpoint = {}});
  replica.wait(100);
  EXPECT_FALSE(replica.said<Heartbeat>().empty());
}

}  // namespace
}  // namespace kimberlite::consensus::testing
