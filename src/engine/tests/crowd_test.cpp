// Clients that call at once while the group does not answer: what was evaluated on records that the
// log turns out not to have, or to have others before, stands nowhere.
#include <gtest/gtest.h>

#include <future>

#include "support/live_group.hpp"

namespace kimberlite::engine::test {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t ms = 1'000'000;

Id128 request(std::uint8_t number) {
  Id128 id{};
  id[0] = std::byte{0xA0};
  id[15] = std::byte{number};
  id[6] = std::byte{0x40};
  id[8] = std::byte{0x80};
  return id;
}

Result<Outcome> append(Session& session, std::string_view stream, std::uint8_t number) {
  const Event event{.kind = "note", .payload = bytes_of("what happened")};
  return session.append(stream, {}, {&event, 1}, {.request_id = request(number)});
}

std::size_t events(Session& session, std::string_view stream) {
  const auto found = until_answered([&] { return session.read(stream, Sequence{0}, 1000); });
  EXPECT_TRUE(found) << to_string(found.error());
  return found ? found->size() : 0;
}

// Ann's write is given up while Bob's is still under way; she asks again at once.
TEST(Crowd, AnAppendIsAskedAgainWhileAnotherIsUnderWay) {
  LiveGroup group{{.quorum_timeout_ns = 400 * ms}};
  const std::uint8_t primary = group.primary();
  const auto ann = group.client(primary);
  const auto bob = group.client(primary);
  ASSERT_TRUE(until_answered([&] { return append(*ann, "s", 1); }));
  ASSERT_TRUE(until_answered([&] { return append(*bob, "s", 2); }));

  group.hold_acknowledgements(true);
  auto of_bob = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(milliseconds{200});
    return append(*bob, "s", 4);
  });
  const auto lost = append(*ann, "s", 3);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), Code::unavailable_outcome_unknown) << to_string(lost.error());
  auto again = std::async(std::launch::async,
                          [&] { return until_answered([&] { return append(*ann, "s", 3); }); });
  std::this_thread::sleep_for(milliseconds{50});
  group.hold_acknowledgements(false);
  const auto of_ann = again.get();
  EXPECT_TRUE(of_ann) << to_string(of_ann.error());
  static_cast<void>(of_bob.get().has_value());
  const auto of_bob_again = until_answered([&] { return append(*bob, "s", 4); });
  EXPECT_TRUE(of_bob_again) << to_string(of_bob_again.error());
  EXPECT_EQ(events(*ann, "s"), 4U);
  group.expect_all_alike();
}

// What a primary has of an earlier one's log is committed between the evaluation of two writes and
// their turn: the second one's position fits then, and what it was evaluated on is not there.
TEST(Crowd, WritesAreEvaluatedAnewIfAnEarlierPrimarysCommitFirst) {
  LiveGroup group{{.quorum_timeout_ns = 8'000 * ms}};
  const std::uint8_t a = group.primary();
  const auto bob = group.client(a);
  const auto cyd = group.client(a);
  ASSERT_TRUE(until_answered([&] { return append(*bob, "s", 1); }));
  ASSERT_TRUE(until_answered([&] { return append(*cyd, "s", 2); }));
  group.wait_until_alike();

  group.isolate(a, true);
  const std::uint8_t b = group.primary();
  group.isolate(a, false);
  const auto ann = group.client(b);
  ASSERT_TRUE(until_answered([&] { return append(*ann, "s", 3); }));
  group.wait_until_alike();

  // Everybody has Ann's next write, and nobody knows that.
  group.hold_acknowledgements(true);
  auto of_ann = std::async(std::launch::async, [&] { return append(*ann, "old", 4); });
  std::this_thread::sleep_for(milliseconds{200});
  group.isolate(b, true);
  const std::uint8_t c = group.primary();
  group.isolate(c, true);
  group.isolate(b, false);
  while (group.primary() != a) std::this_thread::sleep_for(milliseconds{5});
  const auto later = [&](Session& session, std::uint8_t number) {
    return std::async(std::launch::async, [&session, number] {
      return until_answered([&] { return append(session, "new", number); });
    });
  };
  auto of_bob = later(*bob, 5);
  std::this_thread::sleep_for(milliseconds{100});
  auto of_cyd = later(*cyd, 6);
  std::this_thread::sleep_for(milliseconds{100});
  group.hold_acknowledgements(false);
  const auto first = of_bob.get();
  EXPECT_TRUE(first) << to_string(first.error());
  const auto second = of_cyd.get();
  EXPECT_TRUE(second) << to_string(second.error());
  static_cast<void>(of_ann.get().has_value());
  EXPECT_EQ(events(*bob, "old"), 1U);
  EXPECT_EQ(events(*bob, "new"), 2U);
  group.isolate(c, false);
  group.expect_all_alike();
}

// A replica is opened again while the primary still works for the life before: what that one asked
// is not an answer to what this one asks.
TEST(Crowd, AnAnswerToAnEarlierLifeIsNobodys) {
  LiveGroup group{{.quorum_timeout_ns = 4'000 * ms, .forward_writes = true}};
  const std::uint8_t primary = group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % LiveGroup::members);
  // It counts what it asks from the beginning.
  group.stop(backup);
  group.options(backup).quorum_timeout_ns = 300 * ms;
  group.start(backup);
  group.wait_until_alike();

  const auto holder = group.client(primary);
  ASSERT_TRUE(holder->begin({}));  // all other writes wait for its end
  const auto lost = append(*group.client(backup), "s", 1);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), Code::unavailable_outcome_unknown) << to_string(lost.error());
  group.stop(backup);
  group.options(backup).quorum_timeout_ns = 4'000 * ms;
  group.start(backup);
  auto other = std::async(std::launch::async, [&] {
    const auto client = group.client(backup);
    return until_answered([&] { return append(*client, "other", 2); });
  });
  std::this_thread::sleep_for(milliseconds{500});
  ASSERT_TRUE(holder->rollback());
  const auto done = other.get();
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(done->request_id, request(2));
  EXPECT_EQ(events(*group.client(group.primary()), "other"), 1U);
  group.expect_all_alike();
}

// What waits at the primary is bounded, and nothing is done for who has given up.
TEST(Crowd, WhatNobodyWaitsForAnyMoreIsNotDone) {
  LiveGroup group{{.quorum_timeout_ns = 200 * ms, .forward_writes = true}};
  const std::uint8_t primary = group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % LiveGroup::members);
  const auto client = group.client(backup);
  group.stop_serving(primary);
  const std::string text((std::size_t{1} << 20) - 100, 'x');
  const std::array<Event, 3> large{
      {{"note", bytes_of(text)}, {"note", bytes_of(text)}, {"note", bytes_of(text)}}};
  // More than 64 MiB of them.
  for (std::uint8_t i = 0; i < 24; ++i) {
    const auto lost = client->append("s", {}, large, {.request_id = request(i)});
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code(), Code::unavailable_outcome_unknown) << to_string(lost.error());
  }
  std::this_thread::sleep_for(milliseconds{300});
  EXPECT_FALSE(group.database(primary).serve());
  const auto done = until_answered([&] { return append(*group.client(primary), "s", 100); });
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(events(*group.client(group.primary()), "s"), 1U);
}

// What a write returns may be longer than any frame; it was done all the same.
TEST(Crowd, AForwardedWriteThatReturnsTooMuchIsStillDone) {
  LiveGroup group{{.forward_writes = true}};
  const std::uint8_t primary = group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % LiveGroup::members);
  const auto client = group.client(backup);
  const std::string text(1'000'000, 'x');
  const std::array<Value, 2> values{Value{std::int64_t{1}}, Value{text}};
  const Statement insert{"INSERT INTO t VALUES ($1, $2)", values};
  const auto there = until_answered(
      [&] { return client->execute(std::span{&insert, 1}, {.request_id = request(10)}); });
  ASSERT_TRUE(there) << to_string(there.error());
  const Statement update{"UPDATE t SET k = k + 1 RETURNING v, v, v, v, v, v, v, v, v, v", {}};
  const Why why{.request_id = request(20)};
  const auto done = until_answered([&] { return client->execute(std::span{&update, 1}, why); });
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(done->rows, 1U);
  EXPECT_TRUE(done->returning.rows.empty());
  ASSERT_EQ(done->notices.size(), 1U);
  group.expect_all_alike();
}

}  // namespace
}  // namespace kimberlite::engine::test
