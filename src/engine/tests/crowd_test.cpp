// Clients that call at once while the group does not answer: what was evaluated on records that the
// log turns out not to have, or to have others before, stands nowhere.
#include <gtest/gtest.h>

#include <future>
#include <limits>

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

// At whoever is primary by then: a busy machine may have changed that.
template <class Ask>
auto anywhere(LiveGroup& group, const Ask& ask) {
  return until_answered([&] { return ask(*group.client(group.primary())); });
}

Result<Outcome> append_anywhere(LiveGroup& group, std::string_view stream, std::uint8_t number) {
  return anywhere(group, [&](Session& session) { return append(session, stream, number); });
}

std::size_t events(LiveGroup& group, std::string_view stream) {
  const auto found =
      anywhere(group, [&](Session& session) { return session.read(stream, Sequence{0}, 1000); });
  EXPECT_TRUE(found) << to_string(found.error());
  return found ? found->size() : 0;
}

void expect_unavailable(const Result<Outcome>& lost) {
  ASSERT_FALSE(lost);
  EXPECT_EQ(class_of(lost.error().code()), ErrorClass::unavailable) << to_string(lost.error());
}

// Ann's write is given up while Bob's is still under way; she asks again at once.
TEST(Crowd, AnAppendIsAskedAgainWhileAnotherIsUnderWay) {
  LiveGroup group{{.quorum_timeout_ns = 400 * ms}};
  const std::uint8_t primary = group.primary();
  const auto ann = group.client(primary);
  const auto bob = group.client(primary);
  // Of each client's first write more is done.
  static_cast<void>(append(*ann, "s", 1).has_value());
  static_cast<void>(append(*bob, "s", 2).has_value());

  group.hold_acknowledgements(true);
  auto of_bob = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(milliseconds{200});
    return append(*bob, "s", 4);
  });
  expect_unavailable(append(*ann, "s", 3));
  auto again = std::async(std::launch::async, [&] { return append(*ann, "s", 3); });
  std::this_thread::sleep_for(milliseconds{50});
  group.hold_acknowledgements(false);
  static_cast<void>(again.get().has_value());
  static_cast<void>(of_bob.get().has_value());
  for (std::uint8_t number = 1; number <= 4; ++number) {
    const auto done = append_anywhere(group, "s", number);
    EXPECT_TRUE(done) << to_string(done.error());
  }
  EXPECT_EQ(events(group, "s"), 4U);
  group.expect_all_alike();
}

// What a primary has of an earlier one's log is committed between the evaluation of two writes and
// their turn: the second one's position fits then, and what it was evaluated on is not there.
TEST(Crowd, WritesAreEvaluatedAnewIfAnEarlierPrimarysCommitFirst) {
  LiveGroup group{{.quorum_timeout_ns = 8'000 * ms}};
  const std::uint8_t a = group.primary();
  const auto bob = group.client(a);
  const auto cyd = group.client(a);
  static_cast<void>(append(*bob, "s", 1).has_value());
  static_cast<void>(append(*cyd, "s", 2).has_value());
  group.wait_until_alike();

  group.isolate(a, true);
  const std::uint8_t b = group.primary();
  group.isolate(a, false);
  const auto ann = group.client(b);
  static_cast<void>(append(*ann, "s", 3).has_value());
  group.wait_until_alike();

  // Everybody has Ann's next write, and nobody knows that.
  group.hold_acknowledgements(true);
  auto of_ann = std::async(std::launch::async, [&] { return append(*ann, "old", 4); });
  std::this_thread::sleep_for(milliseconds{200});
  // Which view comes next is the group's to say, by what it hears in time: on a machine too busy
  // for heartbeats it may pass `a` over, and then this story cannot be told.
  // Skipped then: nothing was seen that could be right or wrong.
  if (!group.hand_over(b, a)) GTEST_SKIP() << "the views went another way";
  const auto later = [&](Session& session, std::uint8_t number) {
    return std::async(std::launch::async,
                      [&session, number] { return append(session, "new", number); });
  };
  auto of_bob = later(*bob, 5);
  std::this_thread::sleep_for(milliseconds{100});
  auto of_cyd = later(*cyd, 6);
  std::this_thread::sleep_for(milliseconds{100});
  group.hold_acknowledgements(false);
  static_cast<void>(of_bob.get().has_value());
  static_cast<void>(of_cyd.get().has_value());
  static_cast<void>(of_ann.get().has_value());
  group.join_all();
  for (const std::uint8_t number : {std::uint8_t{5}, std::uint8_t{6}}) {
    const auto done = append_anywhere(group, "new", number);
    EXPECT_TRUE(done) << to_string(done.error());
  }
  const auto old = append_anywhere(group, "old", 4);
  EXPECT_TRUE(old) << to_string(old.error());
  EXPECT_EQ(events(group, "old"), 1U);
  EXPECT_EQ(events(group, "new"), 2U);
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
  // All other writes wait for its end. A transaction is the primary's alone: if a busy machine has
  // changed the primary meanwhile, nothing can be kept waiting here, and nothing would be shown.
  if (!holder->begin({})) GTEST_SKIP() << "there is another primary";
  expect_unavailable(append(*group.client(backup), "s", 1));
  group.stop(backup);
  group.options(backup).quorum_timeout_ns = 4'000 * ms;
  group.start(backup);
  auto other = std::async(std::launch::async, [&] {
    const auto client = group.client(backup);
    return until_answered([&] { return append(*client, "other", 2); });
  });
  std::this_thread::sleep_for(milliseconds{500});
  static_cast<void>(holder->rollback().has_value());
  const auto done = other.get();
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(done->request_id, request(2));
  EXPECT_EQ(events(group, "other"), 1U);
  group.expect_all_alike();
}

// What waits at the primary is bounded, and nothing is done for who has given up.
TEST(Crowd, WhatNobodyWaitsForAnyMoreIsNotDone) {
  LiveGroup group{{.quorum_timeout_ns = 200 * ms, .forward_writes = true}};
  const std::uint8_t primary = group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % LiveGroup::members);
  const auto client = group.client(backup);
  for (std::uint8_t i = 0; i < LiveGroup::members; ++i) group.stop_serving(i);
  const std::string text((std::size_t{1} << 20) - 100, 'x');
  const std::array<Event, 3> large{
      {{"note", bytes_of(text)}, {"note", bytes_of(text)}, {"note", bytes_of(text)}}};
  // More than 64 MiB of them.
  for (std::uint8_t i = 0; i < 24; ++i) {
    expect_unavailable(client->append("s", {}, large, {.request_id = request(i)}));
  }
  std::this_thread::sleep_for(milliseconds{300});
  EXPECT_FALSE(group.database(primary).serve());
  const auto done = append_anywhere(group, "s", 100);
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(events(group, "s"), 1U);
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
  // What it then did itself was carried by no frame; that a busy machine makes it the primary
  // cannot be prevented.
  if (group.primary() == backup) GTEST_SKIP() << "it was not forwarded";
  EXPECT_EQ(done->rows, 1U);
  EXPECT_TRUE(done->returning.rows.empty());
  ASSERT_EQ(done->notices.size(), 1U);
  group.expect_all_alike();
}

// What no record may hold is refused where it was asked, as it is at the primary.
TEST(Crowd, AForwardedParameterThatIsNoNumberIsRefused) {
  LiveGroup group{{.quorum_timeout_ns = 1'000 * ms, .forward_writes = true}};
  const std::array<Value, 1> values{Value{std::numeric_limits<double>::quiet_NaN()}};
  const Statement insert{"INSERT INTO t VALUES (1, $1)", values};
  for (std::uint8_t i = 0; i < LiveGroup::members; ++i) {
    const auto refused = until_answered([&] {
      return group.client(i)->execute(std::span{&insert, 1}, {.request_id = request(i)});
    });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::type_range) << to_string(refused.error());
  }
}

Result<std::int64_t> rows_of_t(Session& session) {
  KIMBERLITE_TRY(const auto cursor, session.query({"SELECT count(*) FROM t", {}}, {}, {}));
  KIMBERLITE_TRY(const bool found, cursor->next());
  EXPECT_TRUE(found);
  return std::get<std::int64_t>(cursor->row()[0]);
}

Result<Outcome> run(Session& session, std::string_view sql) {
  const Statement statement{sql, {}};
  return session.execute(std::span{&statement, 1}, {});
}

// Of several that ask a new primary, the first lets it look at what the one before wrote; the
// others do not read meanwhile what is not all there.
TEST(Crowd, NobodyReadsBeforeALaterPrimaryHasAll) {
  LiveGroup group{{}};
  const std::uint8_t first = group.primary();
  std::array<std::vector<std::unique_ptr<Session>>, LiveGroup::members> readers;
  for (std::uint8_t i = 0; i < LiveGroup::members; ++i) {
    for (int reader = 0; reader < 16; ++reader) readers[i].push_back(group.client(i));
  }
  constexpr std::int64_t writers = 4;
  constexpr std::int64_t of_each = 300;
  std::atomic<std::int64_t> written = 0;
  std::vector<std::thread> clients;
  clients.reserve(16);
  for (std::int64_t writer = 0; writer < writers; ++writer) {
    clients.emplace_back([&, writer] {
      const auto client = group.client(first);
      for (std::int64_t i = 0; i < of_each; ++i) {
        if (run(*client, fmt::format("INSERT INTO t VALUES ({}, 'x')", writer * of_each + i))) {
          ++written;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  group.isolate(first, true);
  clients.clear();
  const std::uint8_t second = group.primary();
  for (std::size_t i = 0; i < readers[second].size(); ++i) {
    clients.emplace_back([&, i] {
      std::this_thread::sleep_for(milliseconds{5 * i});
      const auto rows = until_answered([&] { return rows_of_t(*readers[second][i]); });
      ASSERT_TRUE(rows) << to_string(rows.error());
      EXPECT_GE(*rows, written);
    });
  }
  for (std::thread& client : clients) client.join();
  group.isolate(first, false);
  group.expect_all_alike();
}

// A primary that was deposed and does not know it has nothing to change where the group has.
TEST(Crowd, ThatThereIsNothingToChangeIsTheGroupsWord) {
  LiveGroup group{{.quorum_timeout_ns = 1'000 * ms}};
  const std::uint8_t first = group.primary();
  const auto ann = group.client(first);
  const auto bob = group.client(first);
  ASSERT_TRUE(until_answered([&] { return run(*ann, "INSERT INTO t VALUES (1, 'a')"); }));
  ASSERT_TRUE(until_answered([&] { return run(*bob, "INSERT INTO t VALUES (2, 'b')"); }));
  // A transaction is the primary's alone: if a busy machine has changed the primary meanwhile,
  // there is none to be overtaken.
  if (!bob->begin({})) GTEST_SKIP() << "there is another primary";
  group.isolate(first, true);
  const std::uint8_t second = group.primary();
  const auto cyd = group.client(second);
  ASSERT_TRUE(until_answered([&] { return run(*cyd, "INSERT INTO t VALUES (5, 'c')"); }));

  ASSERT_TRUE(bob->run({"SELECT count(*) FROM t", {}}, {}, {}));
  EXPECT_FALSE(bob->commit());
  expect_unavailable(run(*ann, "UPDATE t SET v = 'd' WHERE k = 5"));
  expect_unavailable(run(*ann, "CREATE TABLE IF NOT EXISTS t (k BIGINT PRIMARY KEY)"));
  group.isolate(first, false);
  group.expect_all_alike();
}

// An actor's record is lost with the view it was made in, and another primary makes one for him.
TEST(Crowd, AnActorIsWhoTheGroupSaysHeIs) {
  LiveGroup group{{.quorum_timeout_ns = 300 * ms}};
  for (std::uint8_t i = 0; i < LiveGroup::members; ++i) {
    group.stop(i);
    group.options(i).actor = "os:bob";
    group.start(i);
    group.wait_until_alike();
  }
  const std::uint8_t one = group.primary();
  const auto bob = group.client(one);
  group.isolate(one, true);
  expect_unavailable(append(*bob, "s", 1));
  const std::uint8_t other = group.primary();
  const auto there = group.client(other);
  const auto done = until_answered([&] { return append(*there, "s", 2); });
  ASSERT_TRUE(done) << to_string(done.error());
  group.isolate(one, false);
  group.wait_until_alike();
  // As above: a machine too busy for heartbeats may make the third the primary, and then `bob` is
  // not asked where he was.
  // Skipped then: nothing was seen that could be right or wrong.
  if (!group.hand_over(other, one)) GTEST_SKIP() << "the views went another way";
  const auto again = until_answered([&] { return append(*bob, "s", 3); });
  EXPECT_TRUE(again) << to_string(again.error());
  group.join_all();
  group.expect_all_alike();
}

// A transaction can be ended where it can no longer be committed.
TEST(Crowd, ATransactionIsRolledBackWhoeverLeads) {
  LiveGroup group{{}};
  const std::uint8_t first = group.primary();
  const auto ann = group.client(first);
  ASSERT_TRUE(until_answered([&] { return run(*ann, "INSERT INTO t VALUES (1, 'a')"); }));
  // A transaction is the primary's alone: if a busy machine has changed the primary meanwhile,
  // there is none to be overtaken.
  if (!ann->begin({})) GTEST_SKIP() << "there is another primary";
  group.isolate(first, true);
  const auto bob = group.client(group.primary());
  ASSERT_TRUE(until_answered([&] { return run(*bob, "INSERT INTO t VALUES (2, 'b')"); }));
  group.isolate(first, false);
  group.wait_until_alike();
  const auto ended = ann->run({"ROLLBACK", {}}, {}, {});
  EXPECT_TRUE(ended) << to_string(ended.error());
  EXPECT_FALSE(ann->rollback()) << "there is none any more";
}

// An escrow has the keys of every tenant; the group's log begins before there was any.
TEST(Crowd, AMemberIsMadeAnewWithTheKeysOfToday) {
  LiveGroup group{{}};
  const std::uint8_t primary = group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % LiveGroup::members);
  ASSERT_TRUE(anywhere(
      group, [](Session& session) { return run(session, "INSERT INTO t VALUES (1, 'a')"); }));
  ASSERT_TRUE(until_answered(
      [&] { return group.database(group.primary()).rotate_data_key(LiveGroup::tenant, {}); }));
  ASSERT_TRUE(anywhere(
      group, [](Session& session) { return run(session, "INSERT INTO t VALUES (2, 'b')"); }));
  group.wait_until_alike();
  const auto keys = group.database(primary).escrow();
  ASSERT_TRUE(keys) << to_string(keys.error());
  ASSERT_NO_FATAL_FAILURE(group.lose_disk(backup, *keys));
  group.expect_all_alike();
}

}  // namespace
}  // namespace kimberlite::engine::test
