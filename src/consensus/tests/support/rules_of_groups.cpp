#include <algorithm>
#include <array>

#include "support/rules.hpp"
#include "support/solo.hpp"

namespace kimberlite::consensus::testing {
namespace {

// Of three, in view 13.
void make_primary(Solo& replica) {
  replica.ask_for_view(13, 1, 2);
  replica.end_writes();
  replica.hear(
      1, 13, DoViewChange{.log_view = {}, .present = 0, .nacked = 0, .suffix = replica.log_of({})});
  replica.end_writes();
  replica.wait(20);
}

// The next configuration of a group, made by the operation `op`.
Configuration after(const Configuration& before, std::uint64_t op) {
  Configuration next = before;
  ++next.epoch;
  next.op = OpNumber{op};
  return next;
}

// With replica 3 as a standby, or, once it is one, as a voter.
Configuration with_replica_3(const Configuration& before, std::uint64_t op) {
  Configuration next = after(before, op);
  if (before.has(3)) next.voters |= 0b1000;
  next.members[3].fill(std::byte{4});
  return next;
}

// R10: Replica 1 knows a configuration that 0 does not know yet.
std::string an_earlier_configuration_counts_no_later_ones() {
  Solo replica(0);
  replica.knows(1, with_replica_3(replica.configuration(), 9));
  make_primary(replica);
  replica.expect(!replica.replica().is_primary(), "it counted who knows that others vote now");
  replica.expect(!replica.said<Hello>().empty(), "it asks for the configuration");
  replica.hear_hello(1);
  replica.end_writes();
  replica.expect(replica.configuration().epoch == 1, "it takes the configuration");
  return replica.wrong();
}

// R10: what it holds beyond may have been acknowledged before anyone knew that these voters count.
std::string a_primary_does_not_lead_by_hearsay() {
  Solo replica(0);
  make_primary(replica);
  replica.expect(replica.replica().is_primary(), "primary of view 13");
  replica.knows(1, with_replica_3(replica.configuration(), 9));
  replica.hear_hello(1);
  replica.end_writes();
  replica.expect(!replica.replica().is_primary(), "it led on by a configuration not in its log");
  return replica.wrong();
}

// Replica 1 acknowledges up to `op`.
void acknowledge(Solo& replica, std::uint64_t op) {
  const auto checksum = replica.replica().checksum_at(OpNumber{op});
  replica.end_writes();
  replica.hear(1, 13, PrepareOk{.op = OpNumber{op}, .checkpoint = {}, .checksum = *checksum});
  replica.end_writes();
}

// A member of view 13 answers a heartbeat, and has seen every life that the replica has, or `seen`
// of replica 3.
void answer_heartbeat(Solo& replica, std::uint8_t from, std::optional<LifeId> seen = std::nullopt) {
  Lives lives = replica.lives();
  lives.at(from) = {};
  if (seen) lives[3] = *seen;
  replica.hear(from, 13, HeartbeatOk{.round = 1, .checkpoint = {}, .lives = lives});
  replica.end_writes();
}

// R10: no two changes between a quorum and the next.
std::string a_change_waits_until_the_last_one_is_known() {
  Solo replica(0);
  make_primary(replica);
  replica.hear_clock(1);
  const Configuration one = with_replica_3(replica.configuration(), 1);
  replica.change(one);
  replica.expect(!replica.replica().check_reconfigure(after(one, 2)), "the first is on its way");
  acknowledge(replica, 1);
  replica.expect(replica.configuration() == one, "it is in effect when it is committed");
  replica.expect(!replica.replica().check_reconfigure(after(one, 2)), "nobody else knows of it");
  replica.knows(1, one);
  answer_heartbeat(replica, 1);
  replica.expect(replica.replica().check_reconfigure(after(one, 2)).has_value(),
                 "a quorum knows of it");
  return replica.wrong();
}

// R10: of four voters two are no quorum, whoever acknowledged before there were four.
std::string what_follows_a_configuration_is_committed_by_it() {
  Solo replica(0);
  make_primary(replica);
  replica.hear_clock(1);
  const Configuration one = with_replica_3(replica.configuration(), 1);
  replica.change(one);
  acknowledge(replica, 1);
  replica.knows(1, one);
  replica.knows(3, one);
  answer_heartbeat(replica, 1);
  answer_heartbeat(replica, 3);
  const Configuration two = with_replica_3(one, 2);
  replica.change(two);
  replica.propose();
  acknowledge(replica, 3);
  replica.expect(replica.configuration() == two, "the change is committed by those before it");
  replica.expect(replica.replica().commit() == OpNumber{2}, "two copies of four were a quorum");
  replica.knows(1, two);
  acknowledge(replica, 3);
  replica.expect(replica.replica().commit() == OpNumber{2}, "two of four are none");
  replica.knows(2, two);
  const auto checksum = replica.replica().checksum_at(OpNumber{3});
  replica.hear(2, 13, PrepareOk{.op = OpNumber{3}, .checkpoint = {}, .checksum = *checksum});
  replica.expect(replica.replica().commit() == OpNumber{3}, "three are");
  return replica.wrong();
}

// R10: of four voters one lags behind. Once one is taken out of the group, two of three are
// a quorum; what the other one acknowledged before he knew that does not make one.
std::string an_acknowledgement_is_for_a_configuration() {
  Solo replica(0, 4);
  const DoViewChange nothing{.log_view = {}, .suffix = replica.log_of({})};
  for (const std::uint8_t from : {std::uint8_t{1}, std::uint8_t{2}}) {
    replica.hear(from, 13, nothing);
    replica.end_writes();
  }
  replica.wait(20);
  replica.hear_clock(1);
  replica.hear_clock(2);
  for (const std::uint8_t from : {std::uint8_t{1}, std::uint8_t{2}}) {
    answer_heartbeat(replica, from);
  }
  Configuration next = after(replica.configuration(), 1);
  next.voters = 0b0111;
  replica.change(next);
  replica.propose();
  acknowledge(replica, 2);
  const auto checksum = replica.replica().checksum_at(OpNumber{1});
  replica.hear(2, 13, PrepareOk{.op = OpNumber{1}, .checkpoint = {}, .checksum = *checksum});
  replica.end_writes();
  replica.expect(replica.configuration() == next, "three of four committed the change");
  replica.expect(replica.replica().commit() == OpNumber{1},
                 "an acknowledgement from before the change committed what follows it");
  replica.knows(1, next);
  acknowledge(replica, 2);
  replica.expect(replica.replica().commit() == OpNumber{2}, "one from after it does");
  return replica.wrong();
}

// R10: of four voters replica 3 was made anew, and replica 2 is to be taken out. Before that those
// who stay are to know of it, or a majority of them might count what the old one says.
std::string a_change_waits_until_who_stays_knows_the_lives() {
  Solo replica(0, 4);
  const LifeId before{.incarnation = 5, .token = 50};
  const LifeId anew{.incarnation = 1'000'000'000, .token = 99};
  Hello hello;
  hello.tokens[5] = before.token;
  replica.is_in_life(3, before);
  replica.hear(3, 0, hello);
  replica.end_writes();
  for (const std::uint8_t from : {std::uint8_t{1}, std::uint8_t{2}}) {
    replica.hear(from, 13, DoViewChange{.log_view = {}, .suffix = replica.log_of({})});
    replica.end_writes();
  }
  replica.wait(20);
  replica.hear_clock(1);
  replica.hear_clock(2);
  Configuration next = after(replica.configuration(), 1);
  next.voters = 0b1011;
  const auto may_change = [&] { return replica.replica().check_reconfigure(next).has_value(); };
  for (const std::uint8_t from : {std::uint8_t{1}, std::uint8_t{2}}) {
    answer_heartbeat(replica, from, before);
  }
  replica.expect(!may_change(), "two others of three have to know replica 0, and one has answered");
  answer_heartbeat(replica, 3);
  replica.expect(may_change(), "who stays knows the life of everyone");
  // Replica 2 alone has heard of it.
  answer_heartbeat(replica, 2, anew);
  replica.expect(!may_change(), "it does not take the life that another has heard of");
  replica.is_in_life(3, anew);
  answer_heartbeat(replica, 3);
  replica.expect(!may_change(), "replica 1 has not heard of it, and who knows it may be taken out");
  replica.change(next);
  replica.expect(replica.said<Prepare>().empty(), "it is proposed all the same");
  answer_heartbeat(replica, 1);
  replica.expect(may_change(), "replicas 0 and 1 have");
  replica.change(next);
  // One that is taken back now would be known to a quorum of the voters of before.
  replica.is_in_life(1, anew);
  replica.hear(1, 0, hello);
  replica.end_writes();
  replica.forget();
  replica.hear(1, 13, RequestStartView{.nonce = {}, .lost = true});
  replica.expect(replica.said<StartView>().empty(), "a lost disk is made up for amid a change");
  return replica.wrong();
}

// R10: two of three committed two operations, the second of which made the group one of five. Three
// of five that lack them say nothing of that.
std::string what_an_earlier_configuration_committed_stays() {
  Solo replica(2);
  const Solo::Made one = replica.next(replica.root(), 0);
  const Solo::Made two = replica.next(one.header, 0);
  Configuration next = after(with_replica_3(with_replica_3(replica.configuration(), 1), 2), 2);
  next.members[4].fill(std::byte{5});
  next.voters |= 0b1'0000;
  for (const std::uint8_t member : {std::uint8_t{0}, std::uint8_t{3}, std::uint8_t{4}}) {
    replica.knows(member, next);
    replica.hear_hello(member);
  }
  replica.end_writes();
  for (const std::uint8_t from : {std::uint8_t{3}, std::uint8_t{4}}) {
    replica.hear(from, 15, DoViewChange{.log_view = {}, .suffix = replica.log_of({})});
    replica.end_writes();
  }
  replica.expect(!replica.replica().is_primary(), "it began a view without what was committed");
  replica.hear(0, 15,
               DoViewChange{.log_view = {}, .present = 0b11, .suffix = replica.log_of({one, two})});
  replica.end_writes();
  replica.expect(replica.replica().log_view() == ViewNumber{15}, "replica 0 has it");
  return replica.wrong();
}

// Cluster time: a wrong clock stamps nothing, and whoever has it gives its place to another.
std::string a_wrong_clock_stamps_nothing() {
  constexpr std::int64_t hour_us = 3'600'000'000;
  Solo replica(0);
  make_primary(replica);
  replica.expect(!replica.replica().may_propose(), "no other clock is known yet");
  replica.hear_clock(1);
  replica.expect(replica.replica().may_propose(), "two clocks of three agree");
  replica.propose();
  const auto before = replica.said<Prepare>();
  replica.expect(!before.empty() && before.back().header.timestamp == replica.wall(),
                 "its stamp is its own time, which is right");
  replica.step_clock(hour_us);
  replica.forget();
  replica.propose();
  replica.expect(replica.said<Prepare>().empty(), "a clock that was just set stamps");
  replica.wait(1);
  replica.hear_clock(1, -hour_us);
  replica.hear_clock(2, -hour_us);
  replica.expect(!replica.replica().may_propose(), "a clock that two others contradict stamps");
  replica.propose();
  replica.expect(replica.said<Prepare>().empty(), "a clock that two others contradict has stamped");
  replica.forget();
  replica.wait(400);
  replica.expect(replica.said<Heartbeat>().empty(), "it holds the others in its view");
  replica.step_clock(-hour_us);
  replica.wait(60);
  replica.expect(!replica.said<Heartbeat>().empty(), "a clock that was set right is compared anew");
  return replica.wrong();
}

constexpr std::array all{
    Rule{"M01_AnEarlierConfigurationCountsNoLaterOnes", Canary::count_later_epoch,
         an_earlier_configuration_counts_no_later_ones},
    Rule{"M02_APrimaryDoesNotLeadByHearsay", Canary::lead_by_hearsay,
         a_primary_does_not_lead_by_hearsay},
    Rule{"M03_AChangeWaitsUntilTheLastOneIsKnown", Canary::change_unheard,
         a_change_waits_until_the_last_one_is_known},
    Rule{"M04_WhatFollowsAConfigurationIsCommittedByIt", Canary::commit_by_last,
         what_follows_a_configuration_is_committed_by_it},
    Rule{"M05_WhatAnEarlierConfigurationCommittedStays", Canary::nack_by_next,
         what_an_earlier_configuration_committed_stays},
    Rule{"M06_AnAcknowledgementIsForAConfiguration", Canary::keep_acknowledged,
         an_acknowledgement_is_for_a_configuration},
    Rule{"M07_AChangeWaitsUntilWhoStaysKnowsTheLives", Canary::change_before_lives,
         a_change_waits_until_who_stays_knows_the_lives},
    Rule{"T01_AWrongClockStampsNothing", Canary::trust_own_clock, a_wrong_clock_stamps_nothing}};

}  // namespace

std::span<const Rule> rules_of_groups() { return all; }

}  // namespace kimberlite::consensus::testing
