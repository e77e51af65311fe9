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

}  // namespace
}  // namespace kimberlite::consensus::testing
