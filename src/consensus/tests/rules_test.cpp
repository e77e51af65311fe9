// Each rule is kept; canary/canary_test.cpp shows that each of these stories notices when it is
// not.
#include "support/rules.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "support/solo.hpp"

namespace kimberlite::consensus::testing {
namespace {

class Rules : public ::testing::TestWithParam<Rule> {};

// The first operations of view 0, as its primary sends them, on the replica's disk.
std::vector<Solo::Made> write_log(Solo& replica, std::uint64_t operations) {
  std::vector<Solo::Made> log;
  while (log.size() < operations) {
    log.push_back(replica.next(log.empty() ? replica.root() : log.back().header, 0));
    replica.hear(0, 0, log.back());
    replica.end_writes();
  }
  return log;
}

TEST_P(Rules, IsKept) { EXPECT_EQ(GetParam().story(), ""); }

INSTANTIATE_TEST_SUITE_P(All, Rules, ::testing::ValuesIn(rules()),
                         [](const auto& one) { return std::string(one.param.name); });

// It had entered view 4 before it lost its head: the log of view 0 is of no use to it.
TEST(Replica, FollowsOneThatAsksForALaterView) {
  Solo replica(2);
  replica.hear(1, 4, RequestStartView{});
  EXPECT_EQ(replica.replica().view(), ViewNumber{4});
}

// The headers of its log in the superblock begin behind the checkpoint it takes: what stands
// between is of that log too (seed 1002661 gave up what was committed).
TEST(Replica, AStateTakenFromAPeerKeepsWhatStandsBehindIt) {
  Solo replica(2);
  std::vector<Solo::Made> log;
  for (std::uint64_t op = 1; op <= 20; ++op) {
    log.push_back(replica.next(log.empty() ? replica.root() : log.back().header, 0));
    replica.hear(0, 0, log.back(), op - 1);
    replica.end_writes();
  }
  Suffix suffix{.base = OpNumber{4}, .base_checksum = log[3].header.checksum, .headers = {}};
  for (std::size_t i = 4; i < log.size(); ++i) suffix.headers.push_back(log[i].header);
  replica.hear(1, 1, StartView{.nonce = {}, .suffix = suffix}, 19);
  replica.end_writes();
  replica.crash();
  replica.open();
  replica.end_writes();
  ASSERT_EQ(replica.replica().log_view(), ViewNumber{1});
  replica.rot(2);
  replica.hear(1, 1, Heartbeat{.round = 1, .op = OpNumber{20}, .released = {}}, 20);
  replica.end_reads();
  ASSERT_EQ(replica.replica().commit(), OpNumber{1});
  replica.hear(1, 1, Gone{.op = OpNumber{2}, .checkpoint = OpNumber{3}}, 20);
  replica.end_writes();
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::syncing);
  Checkpoint checkpoint = replica.replica().checkpoint();
  checkpoint.op = OpNumber{3};
  checkpoint.header_checksum = log[2].header.checksum;
  replica.end_sync(checkpoint);
  replica.crash();
  replica.open();
  replica.end_writes();
  EXPECT_EQ(replica.replica().checkpoint().op, OpNumber{3});
  EXPECT_EQ(replica.replica().head(), OpNumber{20});
  EXPECT_EQ(replica.wrong(), "");
}

// Of the log of view 13 it has operations 1 and 2, and the headers of 3 and 4, which were given up
// in view 14: a checkpoint of what took their place does not stand beside them.
TEST(Replica, HeadersOfALogThatWasGivenUpAreForgotten) {
  Solo replica(2);
  std::vector<Solo::Made> log;
  for (std::uint64_t op = 1; op <= 4; ++op) {
    log.push_back(replica.next(log.empty() ? replica.root() : log.back().header, 0));
  }
  replica.hear(0, 0, log[0]);
  replica.hear(0, 0, log[1]);
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of(log)}, 2);
  replica.end_writes();
  ASSERT_EQ(replica.replica().log_view(), ViewNumber{13});
  log.resize(2);
  while (log.size() < 9) log.push_back(replica.next(log.back().header, 14, 99));
  replica.hear(1, 14,
               StartView{.nonce = {},
                         .suffix = {.base = OpNumber{8},
                                    .base_checksum = log[7].header.checksum,
                                    .headers = {log[8].header}}},
               8);
  replica.end_writes();
  replica.hear(1, 14, log[2], 8);
  replica.end_writes();
  ASSERT_EQ(replica.replica().commit(), OpNumber{3});
  ASSERT_EQ(replica.replica().log_view(), ViewNumber{13});
  replica.checkpoint();
  replica.crash();
  ASSERT_EQ(replica.why_not_open(), "");
  EXPECT_EQ(replica.replica().checkpoint().op, OpNumber{3});
}

// A mark that is being written when a peer's state takes the place of what it names says nothing of
// the log that follows (seed 61184395 woke for it all the time).
TEST(Replica, AMarkOfALogThatWasGivenUpIsNoMarkOfTheNext) {
  Solo replica(2);
  static_cast<void>(write_log(replica, 6));
  std::vector<Solo::Made> other;
  while (other.size() < 5) {
    other.push_back(replica.next(other.empty() ? replica.root() : other.back().header, 14, 99));
  }
  const StartView start{.nonce = {},
                        .suffix = {.base = OpNumber{4},
                                   .base_checksum = other[3].header.checksum,
                                   .headers = {other[4].header}}};
  replica.hear(1, 14, start, 4);
  replica.end_writes();
  replica.hear(1, 14, start, 4);
  replica.hear(1, 14, Gone{.op = OpNumber{1}, .checkpoint = OpNumber{4}}, 4);
  replica.end_writes();
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::syncing);
  ASSERT_EQ(replica.writes_in_flight(), 0U);
  replica.wait(20);
  ASSERT_EQ(replica.writes_in_flight(), 1U) << "the mark of operation 6";
  Checkpoint checkpoint = replica.replica().checkpoint();
  checkpoint.op = OpNumber{4};
  checkpoint.header_checksum = other[3].header.checksum;
  replica.end_sync(checkpoint);
  ASSERT_EQ(replica.replica().head(), OpNumber{4});
  replica.wait(200);
  const std::uint64_t now_ns = 1'000'000'000 + (replica.wall().value() % 1'000'000'000'000) * 1000;
  EXPECT_GT(replica.replica().wake_at(), now_ns);
  EXPECT_EQ(replica.wrong(), "");
}

// Its disk was lost twice. Replica 1 slept since, and remembers the life between: it does not take
// the newest one for an old copy (seed 1013993).
TEST(Replica, ALifeMadeAnewIsLaterThanThoseMadeAnewBefore) {
  Solo replica(2);
  replica.wait(1);
  replica.lose_disk();
  replica.open();
  const LifeId between{.incarnation = replica.replica().incarnation(), .token = 99};
  replica.wait(1);
  replica.lose_disk();
  replica.open();
  replica.end_writes();
  EXPECT_GT(replica.replica().incarnation(), between.incarnation);
  replica.hear(1, 0, Hello{.seen = between, .answered = true, .tokens = {}});
  replica.end_writes();
  EXPECT_NE(replica.replica().status(), ReplicaStatus::failed);
  // Made anew by a clock that was ahead: it is told while it still asks, and goes beyond that life.
  const LifeId ahead{.incarnation = replica.replica().incarnation() + lives_gap, .token = 98};
  replica.hear(1, 0, Hello{.seen = ahead, .answered = true, .tokens = {}});
  replica.end_writes();
  EXPECT_GT(replica.replica().incarnation(), ahead.incarnation);
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::recovering_disk);
}

// Prepares that are late say nothing of how far its log went: were they taken, their marks would
// say that it never went further (seed 3102199 nacked what it had acknowledged).
TEST(Replica, ALostHeadIsNotMendedByWhatComesLate) {
  Solo replica(2);
  std::vector<Solo::Made> log;
  for (std::uint64_t op = 1; op <= 3; ++op) {
    log.push_back(replica.next(log.empty() ? replica.root() : log.back().header, 0));
    replica.hear(0, 0, log.back());
    replica.end_writes();
    replica.wait(20);
    replica.end_writes();
  }
  replica.crash();
  for (std::uint64_t op = 1; op <= 3; ++op) replica.rot(op);
  replica.open();
  replica.end_writes();
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::recovering_head);
  for (const std::size_t late : {std::size_t{0}, std::size_t{1}}) {
    replica.hear(0, 0, log[late]);
    replica.end_writes();
    replica.wait(20);
    replica.end_writes();
  }
  replica.crash();
  replica.open();
  replica.end_writes();
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::recovering_head);
}

// A head lost at operation 5 of view 0, and a view 14 whose log has another operation 3, of which
// this replica was told the tail.
class LostHeadBehindAnotherLog : public ::testing::Test {
 protected:
  LostHeadBehindAnotherLog() {
    other_ = write_log(replica_, 5);
    other_.resize(2);
    while (other_.size() < 6) {
      other_.push_back(replica_.next(other_.back().header, 14, 99, std::nullopt, other_.size()));
    }
    reopen([&] { replica_.rot_head(5); });
  }

  void reopen(const std::function<void()>& meanwhile = [] {}) {
    replica_.crash();
    meanwhile();
    replica_.open();
    replica_.end_writes();
    replica_.end_reads();
  }

  // And asks for what it lacks, when it was told the same again.
  void hear_tail_twice() {
    for (int i = 0; i < 2; ++i) hear_tail();
  }

  void hear_tail() {
    replica_.wait(150);
    replica_.hear(1, 14,
                  StartView{.nonce = replica_.said<RequestStartView>().back().nonce,
                            .suffix = {.base = OpNumber{4},
                                       .base_checksum = other_[3].header.checksum,
                                       .headers = {other_[4].header, other_[5].header}}},
                  5);
    replica_.end_writes();
  }

  Solo replica_{2};
  std::vector<Solo::Made> other_;
};

// That its headers say what is committed does not say it of operations 3 and 4 here (seed 60001740
// committed them).
TEST_F(LostHeadBehindAnotherLog, CommitsNothingOfItsOwnByThat) {
  ASSERT_EQ(replica_.replica().status(), ReplicaStatus::recovering_head);
  hear_tail();
  ASSERT_EQ(replica_.replica().view(), ViewNumber{14});
  reopen();
  EXPECT_EQ(replica_.commits(), std::vector<std::uint64_t>{});
  ASSERT_EQ(replica_.replica().status(), ReplicaStatus::recovering_head);
  hear_tail_twice();
  for (std::size_t i = 0; i < 4; ++i) replica_.hear(1, 14, other_[i], 5);
  replica_.end_writes();
  replica_.end_reads();
  EXPECT_EQ(replica_.replica().checksum_at(OpNumber{4}), other_[3].header.checksum);
  EXPECT_EQ(replica_.commits(), (std::vector<std::uint64_t>{1, 2, 3, 4}));
  EXPECT_EQ(replica_.wrong(), "");
}

// What it gives up ends where the logs part; what stands before that is on its disk in its next
// life too.
TEST_F(LostHeadBehindAnotherLog, KeepsWhatBothHave) {
  hear_tail_twice();
  for (std::size_t i = 0; i < 3; ++i) replica_.hear(1, 14, other_[i], 5);
  ASSERT_TRUE(replica_.writes_prepare());
  replica_.end_write();
  reopen();
  EXPECT_GE(replica_.replica().head(), OpNumber{2});
  EXPECT_EQ(replica_.wrong(), "");
}

// Nothing but the damaged head of its frame says that it once had operation 2: before that is
// written over, the superblock says so, and before that nothing is acknowledged.
TEST(Replica, ALostHeadThatIsTakenIsOnDiskFirst) {
  Solo replica(2);
  std::vector<Solo::Made> log{replica.next(replica.root(), 0)};
  log.push_back(replica.next(log[0].header, 0));
  for (const Solo::Made& made : log) replica.hear(0, 0, made);
  replica.end_writes();
  replica.crash();
  replica.rot_head(2);
  replica.open();
  replica.end_writes();
  replica.wait(150);
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::recovering_head);
  const Id128 nonce = replica.said<RequestStartView>().back().nonce;
  replica.hear(0, 0, StartView{.nonce = nonce, .suffix = replica.log_of(log)});
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::normal);
  replica.forget();
  replica.hear(0, 0, Heartbeat{.round = 1, .op = OpNumber{2}, .released = {}}, 2);
  replica.hear(0, 0, log[1], 2);
  EXPECT_FALSE(replica.writes_prepare());
  EXPECT_TRUE(replica.said<PrepareOk>().empty());
  EXPECT_TRUE(replica.said<HeartbeatOk>().empty());
  replica.end_writes();
  replica.hear(0, 0, log[1], 2);
  EXPECT_TRUE(replica.writes_prepare());
  replica.end_writes();
  EXPECT_EQ(replica.replica().durable(), OpNumber{2});
  EXPECT_EQ(replica.wrong(), "");
}

// The superblock in flight when the start-view came says nothing of it.
TEST(Replica, ALostHeadThatIsTakenWaitsForASuperblockOfItsOwn) {
  Solo replica(2);
  const Solo::Made one = replica.next(replica.root(), 0);
  replica.hear(0, 0, one);
  replica.end_writes();
  replica.crash();
  replica.rot_head(1);
  replica.open();
  replica.end_writes();
  replica.wait(150);
  const Id128 nonce = replica.said<RequestStartView>().back().nonce;
  Hello hello;
  hello.tokens[9] = 90;
  replica.is_in_life(1, {.incarnation = 9, .token = 90});
  replica.hear(1, 0, hello);
  replica.hear(0, 0, StartView{.nonce = nonce, .suffix = replica.log_of({one})});
  replica.end_write();
  replica.hear(0, 0, one);
  EXPECT_FALSE(replica.writes_prepare());
  replica.end_write();
  replica.hear(0, 0, one);
  EXPECT_TRUE(replica.writes_prepare());
  EXPECT_EQ(replica.wrong(), "");
}

// No log is like that: a journal or a superblock with it in would not open again.
TEST(Replica, WhatDoesNotFollowItsHeadIsNotTaken) {
  Solo replica(2);
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of({})});
  replica.end_writes();
  const Solo::Made one = replica.next(replica.root(), 13);
  replica.hear(0, 13, one);
  replica.end_writes();
  ASSERT_EQ(replica.replica().head(), OpNumber{1});
  const Solo::Made of_older_view = replica.next(one.header, 12);
  const Solo::Made in_the_past = replica.next(one.header, 13, 1, TimestampUs{1});
  for (const Solo::Made& made : {of_older_view, in_the_past}) {
    replica.hear(0, 13, made);
    EXPECT_FALSE(replica.writes_prepare());
    // As the header that a start-view puts behind its head.
    replica.hear(1, 14,
                 StartView{.nonce = {},
                           .suffix = {.base = OpNumber{1},
                                      .base_checksum = one.header.checksum,
                                      .headers = {made.header}}});
    replica.end_writes();
    EXPECT_EQ(replica.replica().log_view(), ViewNumber{13});
    // As what is committed in a log it catches up with.
    replica.hear(
        1, 14,
        StartView{
            .nonce = {},
            .suffix = {.base = OpNumber{2}, .base_checksum = made.header.checksum, .headers = {}}},
        2);
    replica.end_writes();
    replica.hear(1, 14, made, 2);
    EXPECT_FALSE(replica.writes_prepare());
    replica.end_writes();
    replica.crash();
    ASSERT_EQ(replica.why_not_open(), "");
    replica.end_writes();
  }
  EXPECT_EQ(replica.wrong(), "");
}

// At its index stands another member by now, in another life: each would answer the other for ever.
TEST(Replica, WhoWasTakenOutAnswersNoHello) {
  Solo replica(2);
  Configuration next = replica.configuration();
  next.epoch = 3;
  next.op = OpNumber{2};
  next.members[2].fill(std::byte{9});
  replica.knows(0, next);
  const Hello hello{.seen = {.incarnation = 1'000'000'000, .token = 99}, .tokens = {}};
  replica.hear(0, 0, hello);
  replica.end_writes();
  ASSERT_EQ(replica.configuration(), next);
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::normal);
  replica.forget();
  replica.hear(0, 0, hello);
  EXPECT_TRUE(replica.said<Hello>().empty());
  // It still tells who knows less than it.
  replica.hear(1, 0, hello);
  EXPECT_FALSE(replica.said<Hello>().empty());
}

// It may be linked to one that knows nobody else at its index, by whose configuration it would
// count.
TEST(Replica, WhoWasTakenOutSaysNothingThatCounts) {
  Solo replica(2);
  const Solo::Made one = replica.next(replica.root(), 0);
  replica.hear(0, 0, one);
  replica.end_writes();
  Configuration next = replica.configuration();
  next.epoch = 2;
  next.op = OpNumber{2};
  next.members[2].fill(std::byte{9});
  replica.knows(0, next);
  replica.knows(1, next);
  replica.hear_hello(0);
  replica.end_writes();
  ASSERT_EQ(replica.configuration(), next);
  replica.forget();
  replica.hear(0, 0, replica.next(one.header, 0), 1);
  replica.end_writes();
  replica.hear(0, 0, Heartbeat{.round = 1, .op = OpNumber{2}, .released = {}}, 1);
  replica.hear(0, 0, RequestStartView{.nonce = Id128{}, .lost = true});
  replica.hear(1, 0, RequestPrepares{.from = OpNumber{1}, .to = OpNumber{2}});
  replica.hear(1, 0, Ping{.round = 1});
  replica.hear(1, 0, StartViewChange{});
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of({one})});
  replica.end_writes();
  replica.hear(0, 13, Heartbeat{.round = 2, .op = OpNumber{1}, .released = {}});
  replica.hear(1, 14, DoViewChange{.log_view = {}, .suffix = replica.log_of({one})});
  replica.end_writes();
  replica.end_reads();
  replica.wait(2000);
  EXPECT_TRUE(replica.says_nothing_but_hello());
}

// A vote by an older configuration may be of one who votes no more. Who knows the newer one says
// so, and hears the vote again.
TEST(Replica, AWordByAnEarlierConfigurationDoesNotCount) {
  Solo replica(1);
  const Configuration before = replica.configuration();
  Configuration next = before;
  next.epoch = 2;
  next.members[3].fill(std::byte{4});
  replica.knows(0, next);
  replica.hear_hello(0);
  replica.end_writes();
  ASSERT_EQ(replica.configuration(), next);
  const auto ask = [&] {
    for (const std::uint8_t from : {std::uint8_t{0}, std::uint8_t{2}}) {
      replica.hear(from, 1, StartViewChange{});
    }
    replica.end_writes();
  };
  replica.knows(0, before);
  replica.knows(2, before);
  replica.forget();
  ask();
  EXPECT_EQ(replica.replica().view(), ViewNumber{0});
  EXPECT_EQ(replica.said<Hello>().size(), 2U);
  replica.knows(0, next);
  replica.knows(2, next);
  ask();
  ASSERT_EQ(replica.replica().view(), ViewNumber{1});
  const DoViewChange vote{.log_view = {}, .suffix = replica.log_of({})};
  replica.knows(2, before);
  replica.hear(2, 1, vote);
  replica.end_writes();
  EXPECT_FALSE(replica.replica().is_primary());
  replica.knows(2, next);
  replica.hear(2, 1, vote);
  replica.end_writes();
  ASSERT_TRUE(replica.replica().is_primary());
  replica.read_index();
  replica.knows(2, before);
  replica.hear(2, 1, HeartbeatOk{.round = 1, .checkpoint = {}});
  EXPECT_EQ(replica.reads_ready(), 0U);
  replica.knows(2, next);
  replica.hear(2, 1, HeartbeatOk{.round = 1, .checkpoint = {}});
  EXPECT_EQ(replica.reads_ready(), 1U);
}

// Replica 1 was made anew, and cannot say so to replica 2, which still hears the old one.
TEST(Replica, ALifeMadeAnewIsHeardOfAtSecondHand) {
  const LifeId before{.incarnation = 5, .token = 50};
  const LifeId anew{.incarnation = 1'000'000'000, .token = 99};
  for (const bool by_heartbeat : {true, false}) {
    Solo replica(2);
    Hello hello;
    hello.tokens[5] = before.token;
    replica.is_in_life(1, before);
    replica.hear(1, 0, hello);
    replica.end_writes();
    const auto asked_by_1 = [&](std::uint64_t view) {
      replica.hear(0, view, StartViewChange{replica.replica().view()});
      replica.hear(1, view, StartViewChange{replica.replica().view()});
      replica.end_writes();
      return replica.replica().view() == ViewNumber{view};
    };
    Lives lives{};
    // The next life of the same directory: what it lived through only itself can say.
    lives[1] = {.incarnation = 6, .token = 60};
    replica.hear(0, 0, Heartbeat{.round = 1, .op = {}, .released = {}, .lives = lives});
    replica.end_writes();
    ASSERT_TRUE(asked_by_1(2));
    lives[1] = anew;
    if (by_heartbeat) {
      replica.hear(0, 13, Heartbeat{.round = 1, .op = {}, .released = {}, .lives = lives});
    } else {
      replica.hear(0, 2,
                   DoViewChange{.log_view = {}, .lives = lives, .suffix = replica.log_of({})});
    }
    EXPECT_FALSE(asked_by_1(14)) << "its old life counts before the new one is known on disk";
    replica.end_writes();
    replica.forget();
    EXPECT_FALSE(asked_by_1(15)) << "its old life counts";
    const auto answers = replica.said<Hello>();
    ASSERT_FALSE(answers.empty());
    EXPECT_EQ(answers.back().seen, anew) << "it is not told that it is over";
    replica.crash();
    replica.open();
    replica.end_writes();
    EXPECT_FALSE(asked_by_1(27)) << "in the next life that is forgotten";
    replica.is_in_life(1, anew);
    EXPECT_TRUE(asked_by_1(28));
    EXPECT_EQ(replica.wrong(), "");
  }
}

// A primary hears of lives from those who answer it; and each says what is on his disk.
TEST(Replica, LivesAreToldInHeartbeatsAndTheirAnswers) {
  const LifeId anew{.incarnation = 1'000'000'000, .token = 99};
  Lives lives{};
  lives[2] = anew;
  Solo primary(1);
  for (const std::uint8_t from : {std::uint8_t{0}, std::uint8_t{2}}) {
    primary.hear(from, 1, StartViewChange{});
  }
  primary.end_writes();
  primary.hear(0, 1, DoViewChange{.log_view = {}, .suffix = primary.log_of({})});
  primary.end_writes();
  ASSERT_TRUE(primary.replica().is_primary());
  primary.hear(0, 1, HeartbeatOk{.round = 1, .checkpoint = {}, .lives = lives});
  primary.end_writes();
  primary.wait(60);
  ASSERT_FALSE(primary.said<Heartbeat>().empty());
  EXPECT_EQ(primary.said<Heartbeat>().back().lives[2], anew);
  Solo backup(0);
  backup.hear(1, 1, StartView{.nonce = {}, .suffix = backup.log_of({})});
  backup.end_writes();
  const Heartbeat beat{.round = 1, .op = {}, .released = {}, .lives = lives};
  backup.hear(1, 1, beat);
  ASSERT_FALSE(backup.said<HeartbeatOk>().empty());
  EXPECT_EQ(backup.said<HeartbeatOk>().back().lives[2], LifeId{});
  EXPECT_EQ(backup.writes_in_flight(), 1U);
  backup.end_writes();
  backup.hear(1, 1, beat);
  EXPECT_EQ(backup.said<HeartbeatOk>().back().lives[2], anew);
  EXPECT_EQ(backup.writes_in_flight(), 0U) << "nothing changed";
}

// It was made anew elsewhere.
TEST(Replica, AHeartbeatTellsAnOldLifeThatItIsOver) {
  Solo replica(2);
  Lives lives{};
  lives[2] = {.incarnation = 1'000'000'000, .token = 99};
  replica.hear(0, 0, Heartbeat{.round = 1, .op = {}, .released = {}, .lives = lives});
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::failed);
  EXPECT_TRUE(replica.said<HeartbeatOk>().empty());
  replica.end_writes();
  replica.crash();
  EXPECT_NE(replica.why_not_open(), "");
}

// A primary that was taken out of the group still answers who asks it for what he lacks, and lacks
// some of that itself: nobody waits for it on that account (seed 2100185).
TEST(Replica, ToServeWhatOthersLackIsNotToLead) {
  Solo replica(1);
  const auto one = replica.next(replica.root(), 0);
  const auto two = replica.next(one.header, 0);
  for (int i = 0; i < 100; ++i) {
    replica.hear(0, 0, two);
    replica.wait(10);
  }
  EXPECT_FALSE(replica.said<StartViewChange>().empty());
}

// Replica 1 of three, by the votes of both others.
bool leads_view_1(Solo& replica) {
  replica.ask_for_view(1, 0, 2);
  replica.end_writes();
  replica.hear(
      0, 1, DoViewChange{.log_view = {}, .present = 0, .nacked = 0, .suffix = replica.log_of({})});
  replica.end_writes();
  return replica.replica().is_primary();
}

// Its heartbeats would hold the others in a view in which nothing can be committed.
TEST(Replica, APrimaryThatHearsNobodyIsSilent) {
  Solo replica(1);
  ASSERT_TRUE(leads_view_1(replica));
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

// Nor can one whose disk hangs: what is not on it is committed by nobody who leads.
TEST(Replica, APrimaryWhoseDiskHangsIsSilent) {
  Solo replica(1);
  ASSERT_TRUE(leads_view_1(replica));
  const auto wait = [&](int tenths) {
    for (int i = 0; i < tenths; ++i) {
      replica.wait(100);
      replica.hear(2, 1, HeartbeatOk{.round = 1, .checkpoint = {}});
      if (replica.said<Ping>().size() > 1) replica.hear_clock(2);
    }
  };
  wait(10);
  replica.propose();
  ASSERT_TRUE(replica.writes_prepare());
  wait(10);
  replica.forget();
  wait(5);
  EXPECT_FALSE(replica.said<Heartbeat>().empty()) << "a slow disk is not one that hangs";
  replica.read_index();
  wait(10);
  replica.forget();
  wait(5);
  EXPECT_TRUE(replica.said<Heartbeat>().empty());
  const std::size_t before = replica.abandoned();
  replica.read_index();
  EXPECT_EQ(replica.abandoned(), before + 1);
  replica.end_writes();
  wait(2);
  EXPECT_FALSE(replica.said<Heartbeat>().empty());
}

// The mark of what was acknowledged last was not written before it died, and no operation comes:
// what the next life found on disk is named by a mark of its own, or nobody would miss it.
TEST(Replica, WhatAnOpenFindsIsMarked) {
  Solo replica(2);
  static_cast<void>(write_log(replica, 3));
  replica.crash();
  replica.open();
  replica.end_writes();
  replica.wait(20);
  replica.end_writes();
  replica.crash();
  replica.rot(3);
  replica.open();
  replica.end_writes();
  EXPECT_EQ(replica.replica().status(), ReplicaStatus::recovering_head);
}

// Operations 2 and 3 are on disk, and the write of 1 has not ended, when a peer's state up to 1 is
// here: the log goes on with what is there.
TEST(Replica, WhatStandsBehindAStateIsDurableWithIt) {
  Solo replica(2);
  const std::vector<Solo::Made> log = [&] {
    std::vector<Solo::Made> made;
    for (int op = 1; op <= 3; ++op) {
      made.push_back(replica.next(made.empty() ? replica.root() : made.back().header, 0));
      replica.hear(0, 0, made.back());
    }
    return made;
  }();
  replica.end_write(1);
  replica.end_write(1);
  ASSERT_EQ(replica.replica().durable(), OpNumber{0});
  replica.hear(0, 0, Gone{.op = OpNumber{4}, .checkpoint = OpNumber{4}});
  replica.end_write(1);
  ASSERT_EQ(replica.replica().status(), ReplicaStatus::syncing);
  Checkpoint checkpoint = replica.replica().checkpoint();
  checkpoint.op = OpNumber{1};
  checkpoint.header_checksum = log[0].header.checksum;
  replica.end_sync(checkpoint);
  EXPECT_EQ(replica.replica().head(), OpNumber{3});
  EXPECT_EQ(replica.replica().durable(), OpNumber{3});
}

// However long its superblock took: a vote at once would take the others into the next view before
// this one's primary can have begun it.
TEST(Replica, ASlowDiskGivesTheNextPrimaryItsTime) {
  Solo replica(2);
  replica.ask_for_view(1, 0, 1);
  replica.wait(3000);
  replica.forget();
  replica.end_writes();
  EXPECT_FALSE(replica.said<DoViewChange>().empty());
  // Whose own disk may be as slow, and has the log of the view to write yet.
  replica.wait(3400);
  EXPECT_TRUE(replica.said<StartViewChange>().empty());
  replica.wait(400);
  EXPECT_FALSE(replica.said<StartViewChange>().empty());
}

// Its log is on disk, as far as it knows, and not in memory any more: to commit it has to read it.
TEST(Replica, APrimaryThatCannotReadItsLogIsSilent) {
  Solo replica(1);
  const auto log = write_log(replica, 3);
  replica.crash();
  replica.open();
  replica.end_writes();
  replica.ask_for_view(1, 0, 2);
  replica.end_writes();
  replica.hear(
      0, 1, DoViewChange{.log_view = {}, .present = 7, .nacked = 0, .suffix = replica.log_of(log)});
  replica.end_writes();
  ASSERT_TRUE(replica.replica().is_primary());
  replica.hear(
      2, 1, PrepareOk{.op = OpNumber{3}, .checkpoint = {}, .checksum = log.back().header.checksum});
  ASSERT_EQ(replica.replica().commit(), OpNumber{0});
  const auto wait = [&](int tenths) {
    for (int i = 0; i < tenths; ++i) {
      replica.wait(100);
      replica.hear(2, 1, HeartbeatOk{.round = 1, .checkpoint = {}});
    }
  };
  wait(10);
  EXPECT_FALSE(replica.said<Heartbeat>().empty());
  wait(15);
  replica.forget();
  wait(5);
  EXPECT_TRUE(replica.said<Heartbeat>().empty());
  replica.end_reads();
  EXPECT_EQ(replica.replica().commit(), OpNumber{3});
  wait(2);
  EXPECT_FALSE(replica.said<Heartbeat>().empty());
}

// By one request each 20 ms a group that writes faster than that was never caught up with.
TEST(Replica, AsksForMoreWhenAllItAskedForCame) {
  Solo replica(2);
  std::vector<Solo::Made> log;
  for (int op = 1; op <= 40; ++op) {
    log.push_back(replica.next(log.empty() ? replica.root() : log.back().header, 0));
  }
  replica.hear(0, 0, Heartbeat{.round = 1, .op = OpNumber{40}, .released = {}}, 40);
  replica.end_writes();
  std::size_t came = 0;
  for (int round = 0; round < 3; ++round) {
    const auto asked = replica.said<RequestPrepares>();
    ASSERT_FALSE(asked.empty()) << "round " << round;
    ASSERT_EQ(asked.back().from.value(), came + 1);
    replica.forget();
    while (came < std::min<std::size_t>(asked.back().to.value(), log.size())) {
      replica.hear(0, 0, log[came], 40);
      ++came;
    }
    replica.end_writes();
  }
}

// Frames of an older view stand behind the head it lost, and the headers of the log of its view
// begin far behind them: they may be of that log, and are not.
TEST(Replica, ALostHeadTrustsNothingBehindItsCommit) {
  Solo replica(2);
  std::vector<Solo::Made> log = write_log(replica, 10);
  log.resize(8);
  replica.hear(1, 1, StartView{.nonce = {}, .suffix = replica.log_of(log)}, 8);
  replica.end_writes();
  ASSERT_EQ(replica.replica().head(), OpNumber{8});
  while (log.size() < 30) log.push_back(replica.next(log.back().header, 1, 99));
  replica.crash();
  replica.rot_marks();
  for (int life = 0; life < 2; ++life) {
    replica.open();
    replica.end_writes();
    replica.end_reads();
    ASSERT_EQ(replica.replica().status(), ReplicaStatus::recovering_head);
    replica.wait(150);
    Suffix suffix{.base = OpNumber{20}, .base_checksum = log[19].header.checksum, .headers = {}};
    for (std::size_t i = 20; i < log.size(); ++i) suffix.headers.push_back(log[i].header);
    const Id128 nonce = replica.said<RequestStartView>().back().nonce;
    for (int i = 0; i < 2; ++i) {
      replica.hear(1, 1, StartView{.nonce = nonce, .suffix = suffix}, 30);
      replica.end_writes();
      replica.wait(30);
    }
    const auto asked = replica.said<RequestPrepares>();
    ASSERT_FALSE(asked.empty());
    EXPECT_LE(asked.back().from, OpNumber{9}) << "life " << life;
    replica.crash();
  }
}

// From the last view there is no way on.
TEST(Replica, FollowsNobodyToAViewOutOfReach) {
  Solo replica(2);
  const std::uint64_t far = std::uint64_t{1} << 40U;
  replica.hear(1, far, RequestStartView{});
  replica.hear(1, 1, StartViewChange{.current = ViewNumber{far}});
  replica.end_writes();
  EXPECT_EQ(replica.replica().view(), ViewNumber{0});
}

// Nor does it collect reads that nobody can confirm.
TEST(Replica, APrimaryThatHearsNobodyRefusesReads) {
  Solo replica(1);
  ASSERT_TRUE(leads_view_1(replica));
  replica.read_index();
  EXPECT_EQ(replica.abandoned(), 0U);
  replica.wait(600);
  replica.read_index();
  EXPECT_EQ(replica.abandoned(), 1U);
  replica.hear(2, 1, HeartbeatOk{.round = 1, .checkpoint = {}});
  replica.read_index();
  EXPECT_EQ(replica.abandoned(), 1U);
}

}  // namespace
}  // namespace kimberlite::consensus::testing
