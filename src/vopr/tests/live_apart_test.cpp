#include "vopr/live_apart.hpp"

#include <gtest/gtest.h>

#include "base/assert.hpp"

namespace kimberlite::vopr {
namespace {

constexpr unsigned long_enough_s = 60;

TEST(LiveApart, EndsAsItEnded) {
  const auto well = live_apart([] { return LifeReport{}; }, long_enough_s);
  ASSERT_TRUE(well);
  EXPECT_FALSE(well->finding || well->refused);
  const auto refused = live_apart([] { return LifeReport{.refused = true}; }, long_enough_s);
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->refused && !refused->finding);
  const auto found = live_apart(
      [] {
        return LifeReport{.finding = Finding{Invariant::rows_equal, "replica 1 has\nother rows"}};
      },
      long_enough_s);
  ASSERT_TRUE(found && found->finding);
  EXPECT_EQ(found->finding->invariant, Invariant::rows_equal);
  EXPECT_EQ(found->finding->text, "replica 1 has\nother rows");
}

TEST(LiveApart, AnAssertionIsAnEnd) {
  const auto failed = live_apart(
      []() -> LifeReport { base::assertion_failed("one == two", "here.cpp", 12); }, long_enough_s);
  ASSERT_TRUE(failed && failed->finding);
  EXPECT_EQ(failed->finding->invariant, Invariant::assertion);
  EXPECT_EQ(failed->finding->text,
            "kimberlite: internal error: assertion `one == two` failed at here.cpp:12");
}

TEST(LiveApart, SoIsALifeWithoutEnd) {
  const auto endless = live_apart(
      [] {
        volatile bool forever = true;
        while (forever) {
        }
        return LifeReport{};
      },
      1);
  ASSERT_TRUE(endless && endless->finding);
  EXPECT_EQ(endless->finding->invariant, Invariant::assertion);
  EXPECT_EQ(endless->finding->text, "the life does not end");
}

}  // namespace
}  // namespace kimberlite::vopr
