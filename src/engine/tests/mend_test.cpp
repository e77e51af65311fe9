// A record that rots on the disk of one replica is whole again as soon as anyone wants to read it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/probe.hpp"
#include "support/live_group.hpp"

namespace kimberlite::engine::test {
namespace {

constexpr std::uint8_t events = 40;

Result<Outcome> append(Session& session, std::uint8_t number) {
  const Event event{.kind = "note", .payload = bytes_of("what happened")};
  Id128 id{};
  id[0] = std::byte{0xA0};
  id[6] = std::byte{0x40};
  id[8] = std::byte{0x80};
  id[15] = std::byte{number};
  return session.append("s", {}, {&event, 1}, {.request_id = id});
}

std::uint64_t asked() {
  for (const base::ProbeCount& probe : base::probe_counts()) {
    if (probe.name == "engine.mend.asked") return probe.hits;
  }
  return 0;
}

class Mend : public testing::Test {
 protected:
  Mend() {
    for (std::uint8_t number = 0; number < events; ++number) {
      const auto done =
          until_answered([&] { return append(*group_.client(group_.primary()), number); });
      EXPECT_TRUE(done) << to_string(done.error());
      if (done) positions_.push_back(done->position);
    }
    group_.wait_until_alike();
  }

  // The primary's copy of a record rots, and `ask` is answered all the same; then it is whole.
  template <class Ask>
  void expect_mended(std::uint64_t back, const Ask& ask) {
    const Position position = nth_last(back);
    // On a busy machine another may lead by the time of the question: then it was not read here.
    for (int tries = 0; tries < 20; ++tries) {
      const std::uint8_t who = group_.primary();
      const Buffer whole = group_.frame(who, position);
      ASSERT_FALSE(whole.empty());
      group_.rot(who, position);
      ASSERT_NE(group_.frame(who, position), whole);
      const auto answer =
          until_answered([&] { return ask(*group_.client(group_.primary()), position); });
      ASSERT_TRUE(answer) << to_string(answer.error());
      if (group_.frame(who, position) != whole) continue;
      const auto status = group_.database(who).status();
      ASSERT_TRUE(status) << to_string(status.error());
      EXPECT_TRUE(std::ranges::any_of(status->notes, [&](const std::string& note) {
        return note.contains(fmt::format("position {} is mended", position.value()));
      }));
      return;
    }
    FAIL() << "nobody leads for long enough";
  }

  [[nodiscard]] Position nth_last(std::size_t back) const {
    return positions_[positions_.size() - 1 - back];
  }

  LiveGroup group_{{.checkpoint_commands = 4}};
  std::vector<Position> positions_;  // of what was appended
};

TEST_F(Mend, ARecordThatIsReadBack) {
  expect_mended(9,
                [](Session& session, Position position) { return session.records(position, 1); });
  expect_mended(10, [](Session& session, Position position) { return session.changes(position); });
  expect_mended(11,
                [](Session& session, Position position) { return session.receipt(position, {}); });
  expect_mended(12, [](Session& session, Position /*position*/) {
    return session.read("s", Sequence{0}, events);
  });
}

// In the middle of a statement, which goes on.
TEST_F(Mend, ARecordOfATable) {
  expect_mended(9, [](Session& session, Position /*position*/) -> Result<std::uint64_t> {
    KIMBERLITE_TRY(const auto rows,
                   session.query({"SELECT position, reason FROM __events", {}}, {}, {}));
    std::uint64_t count = 0;
    while (true) {
      KIMBERLITE_TRY(const bool more, rows->next());
      if (!more) return count;
      ++count;
    }
  });
}

// The outcome of a write that was asked for before stands in its record.
TEST_F(Mend, ARecordOfARequestThatIsAskedAgain) {
  expect_mended(9, [](Session& session, Position position) -> Result<Outcome> {
    KIMBERLITE_TRY(Outcome again, append(session, events - 10));
    EXPECT_TRUE(again.replayed);
    EXPECT_EQ(again.position, position);
    return again;
  });
}

// Records beside each other, of which one is read.
TEST_F(Mend, ManyRecordsBesideEachOther) {
  for (std::uint64_t back = 10; back < 15; ++back) {
    group_.rot(group_.primary(), nth_last(back));
  }
  expect_mended(9,
                [](Session& session, Position position) { return session.records(position, 1); });
}

// One it has not derived the rows of yet when it leads again: all its clients wait for it.
TEST_F(Mend, ARecordWrittenWhileAnotherLed) {
  const std::uint8_t who = group_.primary();
  const auto other = static_cast<std::uint8_t>((who + 1) % LiveGroup::members);
  static_cast<void>(group_.client(who));            // its rows are open
  static_cast<void>(group_.hand_over(who, other));  // or to somebody else
  group_.join_all();
  for (std::uint8_t number = 100; number < 100 + events; ++number) {
    const auto done =
        until_answered([&] { return append(*group_.client(group_.primary()), number); });
    ASSERT_TRUE(done) << to_string(done.error());
    positions_.push_back(done->position);
  }
  group_.wait_until_alike();
  const Position position = nth_last(20);
  const Buffer whole = group_.frame(who, position);
  group_.rot(who, position);
  bool led = false;
  const auto failed = [&] { return group_.database(who).glance().state == "failed"; };
  for (int tries = 0; !led && !failed() && tries < 5; ++tries) {
    const std::uint8_t leads = group_.primary();
    if (leads == who || group_.hand_over(leads, who)) {
      const auto head = until_answered([&] { return group_.client(group_.primary())->head(); });
      EXPECT_TRUE(head) << to_string(head.error());
    }
    group_.join_all();
    led = group_.frame(who, position) == whole;
  }
  EXPECT_FALSE(failed());
  // Which view comes next is the group's to say, by what it hears in time: on a machine too busy
  // for heartbeats it may pass `who` over, and then this story cannot be told.
  // Skipped then: nothing was seen that could be right or wrong.
  if (!led) GTEST_SKIP() << "the views went another way";
  group_.expect_all_alike();
}

// What nobody has whole stays as it is, and says where it is damaged.
TEST_F(Mend, NotWhatRottedEverywhere) {
  const Position position = nth_last(9);
  for (std::uint8_t i = 0; i < LiveGroup::members; ++i) group_.rot(i, position);
  const auto answer =
      until_answered([&] { return group_.client(group_.primary())->records(position, 1); });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::integrity_frame) << to_string(answer.error());
  // Nor do those who were asked for it ask each other for ever.
  const std::uint64_t questions = asked();
  std::this_thread::sleep_for(std::chrono::milliseconds{300});
  EXPECT_EQ(asked(), questions);
  const auto other = until_answered(
      [&] { return group_.client(group_.primary())->records(Position{position.value() + 1}, 1); });
  EXPECT_TRUE(other) << to_string(other.error());
}

}  // namespace
}  // namespace kimberlite::engine::test
