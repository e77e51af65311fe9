#include <gtest/gtest.h>

#include "support/stale_keystore.hpp"

namespace kimberlite::vopr {
namespace {

// With the seeded bug `trust_stale_keystore` it is not: tests/canary.
TEST(Keystore, AStaleOneIsRefused) { EXPECT_EQ(a_stale_keystore_is_refused(), ""); }

}  // namespace
}  // namespace kimberlite::vopr
