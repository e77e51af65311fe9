// Memory of a group with a replica that is down: its peers' does not grow with the time it is away,
// nor with the writes it misses, and is what it was when it has come back.
//
// KIMBERLITE_HOURS=24 lives a whole day of simulated time; an hour is lived otherwise.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "base/probe.hpp"
#include "consensus/message.hpp"
#include "life_model.hpp"
#include "vopr/group.hpp"

// Of AddressSanitizer, which has an allocator of its own; null where it is not linked.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): its own name
extern "C" std::size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;
constexpr std::uint64_t writes = 480;
constexpr std::uint64_t parts = 8;
// Caches that fill up, and what allocators round.
constexpr std::uint64_t slack = std::uint64_t{256} << 10;

// What this process has allocated, but for the pictures of the simulated disks.
std::uint64_t memory() {
  const std::uint64_t all = __sanitizer_get_current_allocated_bytes != nullptr
                                ? __sanitizer_get_current_allocated_bytes()
                                : mallinfo2().uordblks + mallinfo2().hblkhd;
  return all - FileBytes::bytes_held();
}

class Memory : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Group::make(1, {.ring_size = journal_ring_min, .checkpoint_commands = 40});
    ASSERT_TRUE(made) << to_string(made.error());
    group_ = *std::move(made);
    ASSERT_TRUE(group_->wait_for_primary(5 * second));
    ASSERT_TRUE(group_->create_tenant("clinic", 10 * second));
    write("CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT, m TEXT)");
    for (int i = 0; i < 20; ++i) write(fmt::format("INSERT INTO t VALUES ({}, 0, 'some text')", i));
  }

  void write(const std::string& sql) {
    const auto done = group_->execute("clinic", sql, request_id(++requests_), 20 * second);
    ASSERT_TRUE(done) << to_string(done.error()) << group_->picture();
  }

  // So many writes, in so much time.
  void go_on(std::uint64_t count, std::uint64_t ns) {
    for (std::uint64_t i = 0; i < count; ++i) {
      write(fmt::format("UPDATE t SET v = v + 1 WHERE id = {}", i % 20));
      if (HasFatalFailure()) return;
      group_->world().run_for(ns / count);
    }
  }

  std::unique_ptr<Group> group_;
  std::uint64_t requests_ = 0;
};

TEST_F(Memory, OfTheOthersDoesNotGrowWhileOneIsAway) {
  const char* asked = std::getenv("KIMBERLITE_HOURS");
  const std::uint64_t hours = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 1;
  const std::uint64_t part_ns = hours * 3600 * second / parts;
  go_on(writes / parts, 60 * second);
  ASSERT_TRUE(group_->converge(60 * second)) << group_->picture();
  EXPECT_EQ(group_->differences("clinic"), "");  // and every replica has its tenant open
  const std::uint64_t together = memory();

  const auto away = static_cast<std::uint8_t>((*group_->primary() + 1) % 3);
  group_->kill(away);
  std::uint64_t first = 0;
  for (std::uint64_t part = 0; part < parts; ++part) {
    go_on(writes / parts, part_ns);
    const std::uint64_t now = memory();
    std::cout << fmt::format("part {}: {} KiB\n", part + 1, now >> 10U);
    if (part == 0) first = now;
    EXPECT_LE(now, first + slack);
  }

  ASSERT_TRUE(group_->start(away));
  ASSERT_TRUE(group_->converge(60 * second)) << group_->picture();
  EXPECT_EQ(group_->differences("clinic"), "");
  go_on(writes / parts, 60 * second);
  ASSERT_TRUE(group_->converge(60 * second)) << group_->picture();
  // The others alone have what they had before it came back and took their state.
  group_->kill(away);
  EXPECT_LE(memory(), first + slack);
  ASSERT_TRUE(group_->start(away));
  ASSERT_TRUE(group_->converge(60 * second)) << group_->picture();
  EXPECT_EQ(group_->differences("clinic"), "");
  std::cout << fmt::format("all three: before {} KiB, after {} KiB\n", together >> 10U,
                           memory() >> 10U);
  EXPECT_LE(memory(), together + slack);
}

// A machine that stood still finds all at once what came meanwhile.
TEST_F(Memory, OfFramesThatWaitIsBounded) {
  ASSERT_TRUE(group_->converge(10 * second));
  const auto slow = static_cast<std::uint8_t>((*group_->primary() + 1) % 3);
  SimGroup& world = group_->world();
  world.pause(slow, world.clock().now_ns() + second);
  const Buffer frame(consensus::message_size_max);
  for (int i = 0; i < 20; ++i) world.inject(*group_->primary(), slow, frame, 0);
  world.run_for(2 * second);
  const auto counts = base::probe_counts();
  const auto full =
      std::ranges::find(counts, std::string_view{"engine.inbound.full"}, &base::ProbeCount::name);
  ASSERT_NE(full, counts.end());
  EXPECT_GE(full->hits, 20U - 9U) << "eight and a part of one may wait";
  ASSERT_TRUE(group_->converge(10 * second)) << group_->picture();
}

}  // namespace
}  // namespace kimberlite::vopr
