// The fault atlas: what counts as a whole copy, so that no more is damaged than redundancy covers.
#include "atlas.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/le.hpp"
#include "disk_script.hpp"
#include "life_model.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

// The end of its journal, behind a prepare that rotted, is on its disk still, and readable again as
// soon as that prepare was made good; but it has to be sent all of it before it knows of it (seed
// 4000055 had the only other copy damaged meanwhile).
TEST(Atlas, WhatARunningReplicaDoesNotKnowOfIsNoCopy) {
  auto made = Group::make(1, {.ring_size = std::uint64_t{256} << 10});
  ASSERT_TRUE(made) << to_string(made.error());
  Group& group = **made;
  ASSERT_TRUE(group.wait_for_primary(5 * second)) << group.picture();
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)",
                            request_id(1), 10 * second));
  for (std::uint64_t i = 1; i <= 40; ++i) {
    ASSERT_TRUE(group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'row {}')", i, i),
                              request_id(100 + i), 10 * second));
  }
  ASSERT_TRUE(group.converge(10 * second)) << group.picture();

  const auto backup = static_cast<std::uint8_t>((*group.primary() + 1) % group.size());
  const OpNumber head = group.glance(backup)->head;
  Atlas atlas{group, {}};
  std::uint64_t struck = 0;
  for (std::uint64_t choice = 0; choice < 20; ++choice) {
    struck += atlas.strike_prepare(backup, choice, false) ? 1U : 0U;
  }
  ASSERT_GT(struck, 0U);
  EXPECT_TRUE(atlas.is_sick(backup));
  group.kill(backup);
  const Status started = group.start(backup);
  ASSERT_TRUE(started) << to_string(started.error());
  bool behind = false;
  for (int i = 0; i < 20'000 && atlas.is_sick(backup); ++i) {
    group.world().run_for(ms / 4);
    const auto here = group.glance(backup);
    behind = behind || (here && here->head < head);
  }
  EXPECT_FALSE(atlas.is_sick(backup)) << group.picture();
  EXPECT_TRUE(behind);
  EXPECT_GE(group.glance(backup)->head, head) << group.picture();
}

}  // namespace
}  // namespace kimberlite::vopr
