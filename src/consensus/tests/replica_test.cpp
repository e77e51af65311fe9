#include "consensus/replica.hpp"

#include <gtest/gtest.h>

#include "support/node.hpp"
#include "support/solo.hpp"

namespace kimberlite::consensus {
namespace {

using testing::Node;

ReplicaOptions small_options() {
  return {.journal = {.ring_size = 64 * sector_size, .prepare_size_max = 4 * sector_size}};
}

void expect_right(const Node& node) { EXPECT_EQ(node.wrong(), ""); }

TEST(Replica, OpensANewDirectoryAndCommitsInOrder) {
  Node node(small_options());
  ASSERT_TRUE(node.open().has_value());
  EXPECT_EQ(node.replica().status(), ReplicaStatus::view_change);
  EXPECT_FALSE(node.replica().may_propose());
  node.end_all_writes();
  EXPECT_EQ(node.replica().status(), ReplicaStatus::normal);
  EXPECT_EQ(node.replica().view(), ViewNumber{1});
  EXPECT_EQ(node.replica().incarnation(), 1U);

  node.propose(300);
  node.propose(9000);
  node.propose(300);
  ASSERT_EQ(node.writes_in_flight(), 3U);
  node.end_write(2);
  node.end_write(1);
  EXPECT_EQ(node.replica().commit(), OpNumber{0}) << "the first is not on disk yet";
  EXPECT_EQ(node.replica().durable(), OpNumber{0});
  node.end_write(0);
  EXPECT_EQ(node.replica().commit(), OpNumber{3});
  expect_right(node);
}

TEST(Replica, TakesEightProposalsAtMost) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(node.replica().may_propose());
    node.propose(300);
  }
  EXPECT_FALSE(node.replica().may_propose());
  const std::uint64_t refused = node.propose(300);
  EXPECT_EQ(node.abandoned(), std::vector<std::uint64_t>{refused});
  node.end_write(0);
  EXPECT_TRUE(node.replica().may_propose());
  expect_right(node);
}

TEST(Replica, TimeNeverStandsStillOrGoesBack) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  for (const std::uint64_t time : {5'000'000ULL, 5'000'000ULL, 4'000'000ULL, 6'000'000ULL}) {
    node.set_realtime(TimestampUs{time});
    node.propose(300);
    node.end_all_writes();
  }
  EXPECT_EQ(node.replica().commit(), OpNumber{4});
  EXPECT_NE(node.trace().find("commit 1 5000000"), std::string::npos);
  EXPECT_NE(node.trace().find("commit 2 5000001"), std::string::npos);
  EXPECT_NE(node.trace().find("commit 3 5000002"), std::string::npos);
  EXPECT_NE(node.trace().find("commit 4 6000000"), std::string::npos);
  node.crash({});
  node.set_realtime(TimestampUs{1});
  ASSERT_TRUE(node.open_fully().has_value());
  node.propose(300);
  node.end_all_writes();
  EXPECT_NE(node.trace().find("commit 5 6000001"), std::string::npos);
  expect_right(node);
}

TEST(Replica, ChecksPointsAtHalfTheRingAndFreesSpaceOnlyWhenTheSuperblockIsDurable) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  while (!node.checkpoint_due()) {
    ASSERT_TRUE(node.replica().may_propose());
    node.propose(4 * sector_size - frame_header_size);
    node.end_all_writes();
  }
  EXPECT_EQ(node.replica().ring_used(), 32 * sector_size);
  EXPECT_EQ(node.checkpoint_due(), OpNumber{8});
  // New work goes on until the ring is full.
  while (node.replica().may_propose()) {
    node.propose(4 * sector_size - frame_header_size);
    node.end_all_writes();
  }
  EXPECT_GE(node.replica().commit(), OpNumber{15});
  node.finish_checkpoint();
  EXPECT_FALSE(node.replica().may_propose()) << "not before the superblock is durable";
  EXPECT_EQ(node.replica().checkpoint().op, OpNumber{0});
  node.end_all_writes();
  EXPECT_TRUE(node.replica().may_propose());
  EXPECT_EQ(node.replica().checkpoint().op, OpNumber{8});
  expect_right(node);
}

TEST(Replica, CountsCommandsTowardsACheckpoint) {
  ReplicaOptions options = small_options();
  options.checkpoint_commands = 3;
  Node node(options);
  ASSERT_TRUE(node.open_fully().has_value());
  for (int i = 0; i < 2; ++i) {
    node.propose(300);
    node.end_all_writes();
  }
  EXPECT_FALSE(node.checkpoint_due().has_value());
  node.crash({});
  ASSERT_TRUE(node.open_fully().has_value());
  EXPECT_FALSE(node.checkpoint_due().has_value());
  node.propose(300);
  node.end_all_writes();
  EXPECT_EQ(node.checkpoint_due(), OpNumber{3}) << "those before the crash count too";
  node.finish_checkpoint();
  node.end_all_writes();
  for (int i = 0; i < 2; ++i) {
    node.propose(300);
    node.end_all_writes();
  }
  EXPECT_FALSE(node.checkpoint_due().has_value());
  expect_right(node);
}

TEST(Replica, MakesACheckpointOnRequestIfThereIsSomethingNew) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  node.step(RequestCheckpoint{});
  EXPECT_FALSE(node.checkpoint_due().has_value());
  node.propose(300);
  node.end_all_writes();
  EXPECT_FALSE(node.checkpoint_due().has_value());
  node.step(RequestCheckpoint{});
  EXPECT_EQ(node.checkpoint_due(), OpNumber{1});
  // One asked for meanwhile is made afterwards.
  node.propose(300);
  node.end_all_writes();
  node.step(RequestCheckpoint{});
  node.finish_checkpoint();
  node.end_all_writes();
  EXPECT_EQ(node.checkpoint_due(), OpNumber{2});
  expect_right(node);
}

TEST(Replica, WritesMarksWhenIdleAndEverySixteenFramesAndAtTheEnd) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  EXPECT_FALSE(node.replica().wake_at().has_value());
  node.propose(300);
  node.end_all_writes();
  ASSERT_TRUE(node.replica().wake_at().has_value());
  node.step(Tick{});
  EXPECT_EQ(node.writes_in_flight(), 0U) << "not idle for 10 ms yet";
  node.advance_ns(mark_idle_ns);
  node.step(Tick{});
  ASSERT_EQ(node.writes_in_flight(), 1U);
  EXPECT_EQ(node.journal_offset(0), mark_size) << "mark 1 is in sector 1";
  node.step(Tick{});
  EXPECT_EQ(node.writes_in_flight(), 1U);
  node.end_all_writes();
  EXPECT_FALSE(node.replica().wake_at().has_value());

  for (std::uint64_t i = 0; i < mark_every_frames; ++i) {
    EXPECT_EQ(node.writes_in_flight(), 0U);
    node.propose(300);
    node.end_write(0);
  }
  ASSERT_EQ(node.writes_in_flight(), 1U);
  EXPECT_EQ(node.journal_offset(0), 0U);
  EXPECT_EQ(node.replica().commit(), OpNumber{17}) << "no commit waits for a mark";
  node.end_all_writes();

  node.propose(300);
  node.step(Close{});
  EXPECT_FALSE(node.replica().may_propose());
  EXPECT_FALSE(node.replica().closed());
  node.end_write(0);
  EXPECT_FALSE(node.replica().closed());
  ASSERT_EQ(node.writes_in_flight(), 1U);
  node.end_write(0);
  EXPECT_TRUE(node.replica().closed());
  expect_right(node);
}

TEST(Replica, AcknowledgesOnlyWhatAMarkNamesIfStrict) {
  ReplicaOptions options = small_options();
  options.strict = true;
  Node node(options);
  ASSERT_TRUE(node.open_fully().has_value());
  node.propose(300);
  node.end_write(0);
  EXPECT_EQ(node.replica().commit(), OpNumber{0});
  ASSERT_EQ(node.writes_in_flight(), 1U);
  node.propose(300);
  node.end_write(1);
  node.end_write(0);
  EXPECT_EQ(node.replica().commit(), OpNumber{1});
  node.end_all_writes();
  EXPECT_EQ(node.replica().commit(), OpNumber{2});
  expect_right(node);
}

TEST(Replica, CommitsAfterAnOpenWhatWasOnDisk) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  for (int i = 0; i < 6; ++i) node.propose(500);
  node.end_write(0);
  node.end_write(0);
  // Ops 3 and 5 reach the disk, 4 and 6 do not.
  using Fate = Node::Fate;
  node.crash(
      {{.fate = Fate::whole}, {.fate = Fate::lost}, {.fate = Fate::whole}, {.fate = Fate::lost}});
  ASSERT_TRUE(node.open().has_value());
  ASSERT_TRUE(node.recovered().torn.has_value());
  EXPECT_EQ(node.recovered().torn->op, OpNumber{4});
  EXPECT_EQ(node.replica().commit(), OpNumber{0}) << "not before the raised view is durable";
  node.end_all_writes();
  EXPECT_EQ(node.replica().commit(), OpNumber{3});
  EXPECT_EQ(node.replica().view(), ViewNumber{2});
  // The stale frame of op 5 stays in the ring; what is written now must not bring it back.
  node.propose(500);
  node.end_all_writes();
  EXPECT_EQ(node.replica().commit(), OpNumber{4});
  node.crash({});
  ASSERT_TRUE(node.open_fully().has_value());
  EXPECT_EQ(node.replica().commit(), OpNumber{4});
  expect_right(node);
}

TEST(Replica, AFailedWriteEndsIt) {
  for (int which = 0; which < 3; ++which) {
    Node node(small_options());
    ASSERT_TRUE(node.open_fully().has_value());
    const std::uint64_t first = node.propose(300);
    const std::uint64_t second = node.propose(300);
    if (which == 0) {
      node.fail_write(0);
      EXPECT_EQ(node.abandoned(), (std::vector{first, second}));
    } else if (which == 1) {
      node.end_all_writes();
      node.step(RequestCheckpoint{});
      node.finish_checkpoint();
      node.fail_write(0);
    } else {
      node.end_all_writes();
      node.advance_ns(mark_idle_ns);
      node.step(Tick{});
      node.fail_write(0);
    }
    EXPECT_EQ(node.replica().status(), ReplicaStatus::failed);
    EXPECT_EQ(node.replica().failure().code(), Code::unavailable_io);
    EXPECT_FALSE(node.replica().may_propose());
    const OpNumber commit = node.replica().commit();
    if (which == 0) node.end_all_writes();
    EXPECT_EQ(node.replica().commit(), commit) << "nothing after it is acknowledged";
    expect_right(node);
  }
}

TEST(Replica, DropsMessagesOfNoMember) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  node.step(Received{.from = 1, .message = node.pool().take(4096)});
  EXPECT_EQ(node.replica().dropped(), 1U);
  EXPECT_EQ(node.writes_in_flight(), 0U);
  expect_right(node);
}

// Whoever was away may remember a life of the lost disk that nobody else heard of.
TEST(Replica, AMemberMadeAnewIsBeyondEveryLifeOfItsLostDisk) {
  testing::Solo replica(2);
  replica.lose_disk();
  replica.open();
  replica.end_writes();
  replica.wait(150);
  ASSERT_FALSE(replica.said<RequestStartView>().empty());
  const Id128 nonce = replica.said<RequestStartView>().back().nonce;
  replica.hear(0, 13, RecoveryAnswer{.nonce = nonce});
  replica.hear(1, 13, RecoveryAnswer{.nonce = nonce});
  replica.hear(0, 13, StartView{.nonce = nonce, .suffix = replica.log_of({})});
  replica.end_writes();
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::normal);
  replica.hear(1, 13, Hello{.seen = {.incarnation = 40, .token = 99}, .tokens = {}});
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::normal);
  EXPECT_EQ(replica.wrong(), "");
}

// A program that knows format 3, among some that may not yet.
TEST(Replica, NoFormatIsWrittenThatAMemberDoesNotKnow) {
  testing::Solo replica(2, 3, 3);
  const auto says = [&](std::uint8_t member, std::uint64_t format) {
    replica.hear(member, 0, Hello{.seen = {}, .tokens = {}, .format = format});
    return replica.replica().group_format();
  };
  EXPECT_EQ(replica.replica().group_format(), 1U) << "nobody has said anything";
  EXPECT_EQ(says(0, 3), 1U) << "replica 1 has not";
  EXPECT_EQ(says(1, 2), 2U);
  EXPECT_EQ(says(1, 4), 3U) << "it does not know more itself";
}

// What it can say is what is on disk: until that is the later life, an old copy would answer that
// it is in another one, at once, and be answered, for as long as the disk takes (seed 65071782).
TEST(Replica, AnOldCopyIsToldOfALaterLifeOnceThatIsOnDisk) {
  testing::Solo replica(2);
  const LifeId later{.incarnation = 5, .token = 9};
  replica.is_in_life(0, later);
  replica.hear_hello(0);
  ASSERT_GT(replica.writes_in_flight(), 0U);
  replica.forget();
  replica.is_in_life(0, {.incarnation = 4, .token = 8});
  replica.hear_hello(0);
  replica.hear_hello(0);
  EXPECT_TRUE(replica.said<Hello>().empty());
  replica.end_writes();
  ASSERT_EQ(replica.said<Hello>().size(), 1U);
  EXPECT_EQ(replica.said<Hello>().front().seen, later);
  replica.hear_hello(0);
  EXPECT_EQ(replica.said<Hello>().size(), 2U);
  EXPECT_EQ(replica.wrong(), "");
}

// A replica whose disk was lost, and what it is told of member 1, who says hello in (5, 51).
struct Recovering {
  explicit Recovering(std::uint8_t voters = 5) : replica(2, voters) {
    replica.lose_disk();
    replica.open();
    replica.end_writes();
    replica.wait(150);
    nonce = replica.said<RequestStartView>().back().nonce;
    Hello hello{.seen = replica.lives()[2], .answered = true, .tokens = {}};
    hello.tokens[5] = 51;
    replica.is_in_life(1, {.incarnation = 5, .token = 51});
    replica.hear(1, 0, hello);
    replica.end_writes();
  }
  void answers(std::uint8_t from, LifeId of_1 = {}) {
    Lives lives{};
    lives[1] = of_1;
    replica.hear(from, 0, RecoveryAnswer{.nonce = nonce, .lives = lives});
  }
  bool starts() {
    replica.hear(0, 0, StartView{.nonce = nonce, .suffix = replica.log_of({})});
    return replica.replica().status() == ReplicaStatus::normal;
  }
  testing::Solo replica;
  Id128 nonce{};
};

// The copy of member 1 left the view it speaks of in the life that it has forgotten.
TEST(Replica, ALostDiskCountsNoCopysAnswer) {
  Recovering lost;
  lost.answers(0, {.incarnation = 5, .token = 50});
  lost.answers(3);
  lost.answers(1);
  EXPECT_FALSE(lost.starts());
  lost.answers(4);
  EXPECT_TRUE(lost.starts());
}

// Nor does a replica answer who does not know yet whether it is one.
TEST(Replica, WhoIsNotConfirmedAnswersNoLostDisk) {
  testing::Solo replica(2);
  replica.crash();
  replica.is_greeted(false);
  replica.open();
  replica.end_writes();
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::normal);
  const RequestStartView asks{.nonce = Id128{std::byte{1}}, .lost = true};
  replica.hear(0, 0, asks);
  EXPECT_TRUE(replica.said<RecoveryAnswer>().empty());
  replica.hear_hello(0);
  replica.end_writes();
  replica.hear(0, 0, asks);
  EXPECT_FALSE(replica.said<RecoveryAnswer>().empty());
}

// What it learnt again is on disk before it confirms anything by it.
TEST(Replica, ARecoveredDiskConfirmsNobodyBeforeThatIsOnDisk) {
  Recovering lost;
  lost.answers(0, {.incarnation = 8, .token = 80});
  lost.answers(3);
  lost.answers(4);
  ASSERT_TRUE(lost.starts());
  ASSERT_GT(lost.replica.writes_in_flight(), 0U);
  lost.replica.forget();
  lost.replica.hear(1, 0, Ping{.round = 1});
  for (const Hello& hello : lost.replica.said<Hello>()) EXPECT_TRUE(hello.lost);
  lost.replica.end_writes();
  lost.replica.forget();
  lost.replica.hear(1, 0, Ping{.round = 2});
  ASSERT_EQ(lost.replica.said<Hello>().size(), 1U);
  EXPECT_EQ(lost.replica.said<Hello>().front().seen, (LifeId{.incarnation = 8, .token = 80}));
}

// Its ring is full of what has long been in checkpoints, of which it has not heard: it had no room
// for the committed prepares it lacked, and adopted no view any more (seed 71178085).
TEST(Replica, CatchesUpWithAFullRing) {
  testing::Solo replica(2);
  std::vector<testing::Solo::Made> log;
  const auto more = [&] {
    log.push_back(replica.next(log.empty() ? replica.root() : log.back().header, 0));
  };
  while (log.size() < 1000) {
    more();
    replica.hear(0, 0, log.back(), log.size() - 1);
    if (!replica.writes_prepare()) break;
    replica.end_writes();
    if (log.size() == 20) replica.checkpoint();
    replica.end_writes();
  }
  const std::size_t full = log.size() - 1;
  ASSERT_EQ(replica.replica().head().value(), full);
  const OpNumber checkpoint = replica.replica().checkpoint().op;
  ASSERT_GT(checkpoint, OpNumber{10});
  more();
  const std::uint64_t commit = log.size();
  const PrepareHeader& last = log.back().header;
  const auto view_begins = [&] {
    replica.hear(
        1, 1,
        StartView{.nonce = {},
                  .suffix = {.base = last.op, .base_checksum = last.checksum, .headers = {}}},
        commit);
    replica.end_writes();
  };
  view_begins();
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::view_change);
  replica.hear(1, 1, log[full], commit);
  ASSERT_FALSE(replica.writes_prepare());

  replica.hear(1, 1, Heartbeat{.round = 1, .op = last.op, .released = checkpoint}, commit);
  for (std::size_t i = full; i < log.size(); ++i) {
    replica.hear(1, 1, log[i], commit);
    EXPECT_TRUE(replica.writes_prepare());
    replica.end_writes();
  }
  view_begins();
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::normal);
  EXPECT_EQ(replica.replica().commit().value(), commit);
  EXPECT_EQ(replica.wrong(), "");
}

// So had one that catches up because its head was lost (seed 75160164).
TEST(Replica, CatchesUpWithALostHeadAndAFullRing) {
  testing::Solo replica(2);
  std::vector<testing::Solo::Made> log;
  while (log.size() < 1000) {
    log.push_back(replica.next(log.empty() ? replica.root() : log.back().header, 0));
    if (log.size() > 3) continue;
    replica.hear(0, 0, log.back());
    replica.end_writes();
  }
  replica.crash();
  replica.rot_head(3);
  replica.open();
  replica.end_writes();
  replica.end_reads();
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::recovering_head);
  const std::size_t base = log.size() - 10;
  const auto view_is_told = [&] {
    replica.wait(150);
    const PrepareHeader& last = log[base - 1].header;
    Suffix suffix{.base = last.op, .base_checksum = last.checksum, .headers = {}};
    for (std::size_t i = base; i < log.size(); ++i) suffix.headers.push_back(log[i].header);
    const Id128 nonce = replica.said<RequestStartView>().back().nonce;
    replica.hear(1, 1, StartView{.nonce = nonce, .suffix = suffix}, log.size());
    replica.end_writes();
  };
  view_is_told();  // which is kept on disk before anything of it is written
  view_is_told();
  const std::size_t here = replica.replica().head().value();
  for (std::size_t i = 0; i < here; ++i) {
    replica.hear(1, 1, log[i], log.size());
    replica.end_reads();
  }
  std::uint64_t full = 0;
  for (std::size_t i = here; i < base; ++i) {
    replica.hear(1, 1, log[i], log.size());
    if (!replica.writes_prepare()) {
      ++full;
      const OpNumber checkpoint = replica.replica().checkpoint().op;
      replica.hear(1, 1,
                   Heartbeat{.round = full, .op = log.back().header.op, .released = checkpoint},
                   log.size());
      replica.hear(1, 1, log[i], log.size());
    }
    ASSERT_TRUE(replica.writes_prepare()) << "operation " << i + 1;
    replica.end_writes();
    if (i % 20 == 0) replica.checkpoint();
    replica.end_writes();
  }
  EXPECT_GT(full, 0U);
  view_is_told();
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::normal);
  EXPECT_EQ(replica.wrong(), "");
}

// What it reads again for the first time since it was opened, to commit it, has rotted: it could
// not be made good before the view's log was known, nor that log be taken before it was committed
// (seed 1004285 of whole groups).
TEST(Replica, CatchesUpThoughSomethingHasRotted) {
  testing::Solo replica(2);
  std::vector<testing::Solo::Made> log;
  const auto more = [&](std::uint64_t view) {
    log.push_back(replica.next(log.empty() ? replica.root() : log.back().header, view));
  };
  for (int i = 0; i < 3; ++i) {
    more(0);
    replica.hear(0, 0, log.back());
    replica.end_writes();
  }
  while (log.size() < 40) more(1);
  replica.crash();
  replica.rot_head(3);
  replica.open();
  replica.end_writes();
  replica.end_reads();
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::recovering_head);
  replica.rot(2);
  const auto view_is_told = [&] {
    replica.wait(150);
    Suffix suffix{.base = OpNumber{30}, .base_checksum = log[29].header.checksum, .headers = {}};
    for (std::size_t i = 30; i < log.size(); ++i) suffix.headers.push_back(log[i].header);
    const Id128 nonce = replica.said<RequestStartView>().back().nonce;
    replica.hear(1, 1, StartView{.nonce = nonce, .suffix = suffix}, 30);
    replica.end_writes();
    replica.end_reads();
  };
  for (int round = 0; round < 20 && replica.replica().commit() < OpNumber{30}; ++round) {
    view_is_told();
    for (const RequestPrepares& asked : replica.said<RequestPrepares>()) {
      for (std::uint64_t op = asked.from.value(); op <= asked.to.value(); ++op) {
        replica.hear(1, 1, log[op - 1], 30);
      }
      replica.end_writes();
      replica.end_reads();
    }
    replica.forget();
  }
  EXPECT_EQ(replica.replica().commit(), OpNumber{30});
  view_is_told();
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::normal);
  EXPECT_EQ(replica.wrong(), "");
}

}  // namespace
}  // namespace kimberlite::consensus
