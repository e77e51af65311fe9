#include "support/rules.hpp"

#include <algorithm>
#include <array>

#include "support/solo.hpp"

namespace kimberlite::consensus::testing {
namespace {

using Made = Solo::Made;

// One of five learns that two others' clocks are right.
void compare_clocks(Solo& replica) {
  replica.wait(1);
  replica.hear_clock(1);
  replica.hear_clock(2);
}

// Two operations of view 0, durable at a backup, and said to be by a mark.
std::pair<Made, Made> two_durable(Solo& replica) {
  Made one = replica.next(replica.root(), 0);
  Made two = replica.next(one.header, 0);
  replica.hear(0, 0, one);
  replica.hear(0, 0, two);
  replica.end_writes();
  replica.wait(20);
  replica.end_writes();
  return {std::move(one), std::move(two)};
}

// Opens one whose last operation is damaged; the nonce under which it asks for its view's log.
Id128 open_without_head(Solo& replica) {
  replica.open();
  replica.end_writes();
  replica.wait(150);
  const auto asked = replica.said<RequestStartView>();
  replica.expect(!asked.empty(), "it asks for the log of its view");
  return asked.empty() ? Id128{} : asked.back().nonce;
}

// In a view whose log is another's, the head may be of any view before it.
std::string log_view_is_not_the_heads() {
  Solo replica(2);
  const Made one = replica.next(replica.root(), 0);
  replica.hear(0, 0, one);
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of({one})});
  replica.end_writes();
  replica.ask_for_view(14, 0, 1);
  replica.end_writes();
  for (int life = 0; life < 2; ++life) {
    const auto said = replica.said<DoViewChange>();
    replica.expect(!said.empty() && said.back().log_view == ViewNumber{13},
                   "the log is that of view 13, whatever view its head is of");
    replica.crash();
    replica.open();
    replica.end_writes();
  }
  return replica.wrong();
}

// The new primary dies with the log adopted and not one of its prepares here.
std::string log_view_and_headers_go_together() {
  Solo replica(1);
  const Made one = replica.next(replica.root(), 0);
  const Made two = replica.next(one.header, 0);
  replica.ask_for_view(1, 0, 2);
  replica.end_writes();
  replica.hear(
      0, 1,
      DoViewChange{
          .log_view = {}, .present = 3, .nacked = 0, .suffix = replica.log_of({one, two})});
  replica.end_writes();
  replica.expect(replica.replica().log_view() == ViewNumber{1}, "it adopts before it repairs");
  replica.expect(replica.replica().head() == OpNumber{0}, "nothing of it is here yet");
  replica.crash();
  replica.open();
  replica.end_writes();
  const auto said = replica.said<DoViewChange>();
  replica.expect(!said.empty() && said.back().log_view == ViewNumber{1} &&
                     said.back().suffix.head() == OpNumber{2},
                 "who claims the log of view 1 knows all its headers");
  return replica.wrong();
}

std::string nothing_leaves_before_it_is_durable() {
  Solo replica(2);
  const Made one = replica.next(replica.root(), 0);
  replica.hear(0, 0, one);
  replica.end_writes();
  replica.ask_for_view(1, 0, 1);
  replica.forget();
  replica.wait(300);
  replica.expect(replica.said<DoViewChange>().empty(), "a do-view-change of a view not on disk");
  replica.end_writes();
  replica.expect(!replica.said<DoViewChange>().empty(), "a do-view-change of a view on disk");
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of({one})});
  replica.forget();
  replica.hear(0, 13, Heartbeat{.round = 1, .op = OpNumber{1}, .released = {}});
  replica.expect(replica.said<PrepareOk>().empty(), "a prepare_ok of a view not on disk");
  replica.end_writes();
  replica.expect(!replica.said<PrepareOk>().empty(), "a prepare_ok of a view on disk");
  return replica.wrong();
}

std::string views_never_go_back() {
  Solo replica(2);
  const auto [one, two] = two_durable(replica);
  replica.ask_for_view(1, 0, 1);
  replica.end_writes();
  const auto before = replica.said<DoViewChange>();
  replica.crash();
  replica.open();
  replica.end_writes();
  const auto after = replica.said<DoViewChange>();
  replica.expect(!before.empty() && !after.empty() && before.back() == after.back(),
                 "the same do-view-change after a crash");
  replica.hear(0, 0, StartView{.nonce = {}, .suffix = replica.log_of({one, two})});
  replica.end_writes();
  replica.expect(replica.replica().view() == ViewNumber{1}, "the view went back");
  return replica.wrong();
}

std::string headers_outlive_a_break() {
  Solo replica(2);
  std::vector<Made> log{replica.next(replica.root(), 0)};
  while (log.size() < 3) log.push_back(replica.next(log.back().header, 0));
  replica.hear(0, 0, log[0]);
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of(log)}, 1);
  replica.end_writes();
  // Not the one whose header is known.
  replica.hear(0, 13, replica.next(log[0].header, 0, 99));
  replica.end_writes();
  replica.ask_for_view(14, 0, 1);
  replica.end_writes();
  const auto said = replica.said<DoViewChange>();
  replica.expect(!said.empty() && said.back().suffix == replica.log_of(log),
                 "the headers of the view's log, and of what is committed, are all there");
  return replica.wrong();
}

// Of five: the slot of operation 2 is used by view 13, given up, and used again by view 26.
std::string acknowledgements_are_of_one_view() {
  Solo replica(0, 5);
  const auto lead = [&](std::uint64_t view) {
    for (const std::uint8_t from : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
      replica.hear(from, view, StartViewChange{replica.replica().view()});
    }
  };
  lead(5);
  replica.end_writes();
  const DoViewChange nothing{
      .log_view = {}, .present = 0, .nacked = 0, .suffix = replica.log_of({})};
  replica.hear(1, 13, nothing);
  replica.hear(2, 13, nothing);
  replica.end_writes();
  compare_clocks(replica);
  replica.propose();
  replica.propose();
  replica.end_writes();
  const auto prepares = replica.said<Prepare>();
  replica.expect(replica.replica().is_primary() && !prepares.empty(), "primary of view 13");
  if (!replica.wrong().empty()) return replica.wrong();
  const PrepareHeader two = prepares.back().header;
  const PrepareHeader one = std::ranges::find(prepares, OpNumber{1}, [](const Prepare& of) {
                              return of.header.op;
                            })->header;
  replica.hear(1, 13, PrepareOk{.op = two.op, .checkpoint = {}, .checksum = two.checksum});
  replica.expect(replica.replica().commit() == OpNumber{0}, "two of five are no quorum");

  lead(10);
  Suffix short_log = replica.log_of({});
  short_log.headers.push_back(one);
  for (const std::uint8_t from : {std::uint8_t{2}, std::uint8_t{3}, std::uint8_t{4}}) {
    replica.hear(
        from, 26,
        DoViewChange{.log_view = ViewNumber{13}, .present = 1, .nacked = 0, .suffix = short_log});
  }
  replica.end_writes();
  for (const std::uint8_t from : {std::uint8_t{2}, std::uint8_t{3}}) {
    replica.hear(from, 26, PrepareOk{.op = one.op, .checkpoint = {}, .checksum = one.checksum});
  }
  replica.expect(replica.replica().commit() == OpNumber{1}, "operation 1 has its quorum");
  replica.forget();
  replica.propose();
  replica.end_writes();
  const auto again = replica.said<Prepare>();
  replica.expect(!again.empty() && again.back().header.op == OpNumber{2}, "the slot is used again");
  if (!replica.wrong().empty()) return replica.wrong();
  replica.hear(
      2, 26,
      PrepareOk{.op = OpNumber{2}, .checkpoint = {}, .checksum = again.back().header.checksum});
  replica.expect(replica.replica().commit() == OpNumber{1},
                 "an acknowledgement of another view's operation 2 was counted");
  return replica.wrong();
}

std::string a_lost_head_waits_for_its_nonce() {
  Solo replica(1);
  const auto [one, two] = two_durable(replica);
  const Suffix log = replica.log_of({one, two});
  replica.crash();
  replica.rot(2);
  std::vector<Id128> nonces;
  for (int life = 0; life < 2; ++life) {
    nonces.push_back(open_without_head(replica));
    if (life == 0) replica.crash();
  }
  replica.expect(nonces[0] != nonces[1], "each life has a nonce of its own");
  for (const Id128& stale : {Id128{}, nonces[0]}) {
    replica.hear(0, 0, StartView{.nonce = stale, .suffix = log});
    replica.end_writes();
    replica.expect(replica.replica().status() == ReplicaStatus::recovering_head,
                   "a start-view sent to no one or to an earlier life was taken");
  }
  replica.hear(0, 0, StartView{.nonce = nonces[1], .suffix = log});
  replica.end_writes();
  replica.expect(replica.replica().status() == ReplicaStatus::normal, "the answer is taken");
  return replica.wrong();
}

// A frame of the old log still stands on disk behind the end of the new one.
std::string impossible_headers_are_dropped() {
  Solo replica(2);
  const auto [one, two] = two_durable(replica);
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of({one})});
  replica.end_writes();
  replica.crash();
  replica.open();
  replica.expect(replica.replica().head() == OpNumber{1},
                 "what the view gave up came back from the disk");
  return replica.wrong();
}

std::string fault_bits_outlive_a_view() {
  Solo replica(2);
  const auto [one, two] = two_durable(replica);
  replica.crash();
  replica.rot(2);
  const Id128 nonce = open_without_head(replica);
  replica.hear(0, 0, StartView{.nonce = nonce, .suffix = replica.log_of({one, two})});
  replica.end_writes();
  replica.ask_for_view(1, 0, 1);
  replica.end_writes();
  const auto said = replica.said<DoViewChange>();
  replica.expect(!said.empty(), "a do-view-change");
  if (!replica.wrong().empty()) return replica.wrong();
  replica.expect(said.back().suffix.head() == OpNumber{2}, "it knows of operation 2");
  replica.expect((said.back().present & 2U) == 0, "operation 2 is not here");
  replica.expect((said.back().nacked & 2U) == 0, "it was here once, and is nacked");
  return replica.wrong();
}

std::string reads_are_checked_when_they_end() {
  Solo replica(2);
  const auto [one, two] = two_durable(replica);
  replica.hear(0, 0, Heartbeat{.round = 1, .op = OpNumber{2}, .released = {}}, 2);
  replica.expect(replica.replica().commit() == OpNumber{2}, "both are committed");
  replica.hear(1, 0, RequestPrepares{.from = OpNumber{1}, .to = OpNumber{1}});
  replica.rot(1);
  replica.forget();
  replica.end_reads();
  replica.expect(replica.said<Prepare>().empty(), "what was read is not what was written");
  return replica.wrong();
}

// One op can stand at two places: after the frame before, or at the ring's begin if it was too
// large for what was left there.
std::string the_higher_view_wins() {
  const JournalLimits limits{.ring_size = 40 * sector_size, .prepare_size_max = 4 * sector_size};
  std::string wrong;
  for (const auto& [here, there] :
       {std::pair{2U, 3U}, std::pair{3U, 2U}, std::pair{3U, 3U}, std::pair{0U, 3U}}) {
    Disk disk(limits.ring_size);
    Superblock superblock = first_superblock(genesis());
    superblock.view = ViewNumber{13};
    superblock.log_view = ViewNumber{1};
    const std::uint64_t start = limits.ring_size - 3 * sector_size;
    superblock.checkpoint.ring_offset = start;
    const PrepareHeader first = put_frame(disk, root_prepare(superblock.cluster), 1, start, 1);
    if (here != 0) put_frame(disk, first, here, start + sector_size, 2);
    put_frame(disk, first, there, 0, 3);
    const auto journal = recover_journal(superblock, limits, disk.reader());
    if (here == there) {
      if (journal) wrong += "two prepares of one view and operation were not noticed\n";
      continue;
    }
    const bool right = journal && journal->frames.size() == 2 &&
                       journal->frames[1].view == ViewNumber{std::max(here, there)};
    if (!right) wrong += fmt::format("of views {} and {} the wrong one won\n", here, there);
  }
  return wrong;
}

// Replica 0 was primary of view 0, and is of view 13: what it said then is not answered now.
std::string older_views_are_not_acknowledged() {
  Solo replica(2);
  const Made one = replica.next(replica.root(), 0);
  replica.hear(0, 0, one);
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of({one})});
  replica.end_writes();
  replica.forget();
  replica.hear(0, 0, replica.next(one.header, 0));
  replica.end_writes();
  replica.expect(replica.said<PrepareOk>().empty(), "an older view's prepare was acknowledged");
  replica.expect(replica.replica().head() == OpNumber{1}, "an older view's prepare was taken");
  return replica.wrong();
}

std::string votes_are_of_ones_own_view() {
  Solo replica(1);
  replica.ask_for_view(14, 0, 2);
  replica.end_writes();
  const DoViewChange nothing{
      .log_view = {}, .present = 0, .nacked = 0, .suffix = replica.log_of({})};
  replica.hear(0, 1, nothing);
  replica.end_writes();
  replica.expect(!replica.replica().is_primary(), "a do-view-change of view 1 counted in view 14");
  replica.hear(0, 14, nothing);
  replica.end_writes();
  replica.expect(replica.replica().is_primary(), "one of its own view counts");
  replica.hear(0, 27, nothing);
  replica.expect(replica.replica().view() == ViewNumber{27}, "a higher view is adopted");
  return replica.wrong();
}

std::string votes_are_said_again() {
  Solo replica(2);
  replica.wait(1000);
  replica.expect(!replica.said<StartViewChange>().empty(), "it asks for another view");
  replica.forget();
  replica.wait(500);
  replica.expect(!replica.said<StartViewChange>().empty(), "it asks again, as the first was lost");
  return replica.wrong();
}

// Its log ends long before that of view 13, whose primary has no journal that far back.
std::string a_state_replaces_the_log_when_it_is_here() {
  Solo replica(2);
  std::vector<Made> log{replica.next(replica.root(), 0)};
  while (log.size() < 3) log.push_back(replica.next(log.back().header, 0));
  for (const Made& made : log) replica.hear(0, 0, made, 1);
  replica.end_writes();
  PrepareHeader far = log.back().header;
  far.op = OpNumber{50};
  const Made next = replica.next(far, 13);
  replica.hear(0, 13,
               StartView{.nonce = {},
                         .suffix = {.base = OpNumber{50},
                                    .base_checksum = far.checksum,
                                    .headers = {next.header}}},
               50);
  replica.end_writes();
  replica.hear(0, 13, Gone{.op = OpNumber{2}, .checkpoint = OpNumber{45}}, 50);
  replica.end_writes();
  replica.expect(replica.replica().status() == ReplicaStatus::syncing, "a status of its own");
  replica.expect(replica.replica().head() == OpNumber{3},
                 "what it acknowledged is here until the state is");
  replica.expect(replica.replica().log_view() == ViewNumber{0}, "its log is still that of view 0");
  Checkpoint checkpoint = replica.replica().checkpoint();
  checkpoint.op = OpNumber{45};
  checkpoint.header_checksum = far.checksum;
  replica.end_sync(checkpoint);
  replica.expect(replica.replica().head() == OpNumber{45}, "then the log goes on behind the state");
  return replica.wrong();
}

std::string a_start_view_never_lowers_the_commit() {
  Solo replica(1);
  const auto [one, two] = two_durable(replica);
  replica.hear(0, 0, Heartbeat{.round = 1, .op = OpNumber{2}, .released = {}}, 2);
  const auto committed_once = [&](const std::string& when) {
    replica.end_writes();
    replica.end_reads();
    replica.expect(replica.replica().commit() == OpNumber{2}, "the commit went back " + when);
    replica.expect(replica.commits() == std::vector<std::uint64_t>{1, 2},
                   "operations were executed again " + when);
  };
  committed_once("before any");
  replica.hear(0, 13, StartView{.nonce = {}, .suffix = replica.log_of({one, two})}, 0);
  replica.hear(0, 13, Heartbeat{.round = 2, .op = OpNumber{2}, .released = {}}, 2);
  committed_once("with a start-view that knows of no commit");
  replica.hear(0, 26, StartView{.nonce = {}, .suffix = replica.log_of({one})}, 0);
  committed_once("with a start-view that ends before the commit");
  return replica.wrong();
}

// Replica 1 cannot hear the primary, which replica 2 does.
std::string a_vote_leaves_no_view() {
  Solo replica(2);
  replica.hear(1, 1, StartViewChange{ViewNumber{0}});
  replica.expect(replica.replica().status() == ReplicaStatus::normal, "one vote ends no view");
  const Made one = replica.next(replica.root(), 0);
  replica.hear(0, 0, one);
  replica.end_writes();
  replica.expect(!replica.said<PrepareOk>().empty(), "the view goes on");
  replica.wait(1000);
  replica.expect(!replica.said<StartViewChange>().empty(), "it hears nothing itself, and votes");
  replica.expect(replica.replica().view() == ViewNumber{0}, "its own vote moved its view");
  replica.hear(1, 1, StartViewChange{ViewNumber{0}});
  replica.expect(replica.replica().view() == ViewNumber{1}, "two votes are a quorum");
  return replica.wrong();
}

// Replica 2 begins view 2 with whoever of the others is in his newest life.
std::string an_earlier_life_counts_no_more() {
  Solo replica(2);
  const auto says_hello = [&](LifeId life) {
    replica.is_in_life(1, life);
    Hello hello;
    hello.tokens[life.incarnation % lives_kept] = life.token;
    replica.hear(1, 0, hello);
    replica.end_writes();
  };
  says_hello({.incarnation = 5, .token = 50});
  replica.ask_for_view(2, 0, 1);
  replica.end_writes();
  replica.forget();
  const DoViewChange vote{.log_view = ViewNumber{0}, .suffix = replica.log_of({})};
  replica.is_in_life(1, {.incarnation = 4, .token = 40});
  replica.hear(1, 2, vote);
  replica.end_writes();
  replica.expect(replica.said<StartView>().empty(), "what was said in an earlier life counted");
  replica.expect(!replica.said<Hello>().empty(), "it is not told that it is of an earlier life");
  replica.is_in_life(1, {.incarnation = 5, .token = 51});
  replica.hear(1, 2, vote);
  replica.end_writes();
  replica.expect(replica.said<StartView>().empty(), "what another copy of the disk said counted");
  says_hello({.incarnation = 6, .token = 60});
  replica.hear(1, 2, vote);
  replica.end_writes();
  replica.expect(!replica.said<StartView>().empty(), "a vote of the newest life counts");
  return replica.wrong();
}

// An old copy of replica 2's disk was put back: its peers have seen another life of that number.
std::string an_old_disk_is_noticed() {
  Solo replica(2);
  replica.hear(0, 0, Hello{.seen = {.incarnation = 1, .token = 99}, .tokens = {}});
  replica.expect(replica.replica().status() == ReplicaStatus::failed,
                 "a life of the same number was another's, and it went on");
  replica.end_writes();
  replica.crash();
  replica.expect(replica.why_not_open().contains("old copy"),
                 "it was told that it is old, and opens again");
  return replica.wrong();
}

// It had acknowledged two operations, and knows of nothing now.
std::string a_lost_disk_hears_a_quorum() {
  Solo replica(2);
  const auto [one, two] = two_durable(replica);
  replica.lose_disk();
  const Id128 nonce = open_without_head(replica);
  const auto starts = [&](std::uint8_t primary, std::uint64_t view) {
    replica.hear(primary, view, StartView{.nonce = nonce, .suffix = replica.log_of({one, two})});
    replica.end_writes();
    return replica.replica().status() == ReplicaStatus::normal;
  };
  replica.hear(0, 13, RecoveryAnswer{.nonce = nonce});
  replica.expect(!starts(0, 13), "it took the log of the first who answered");
  replica.hear(1, 14, RecoveryAnswer{.nonce = {}});
  replica.expect(!starts(0, 13), "an answer to an earlier life counted");
  replica.hear(1, 14, RecoveryAnswer{.nonce = nonce});
  replica.expect(!starts(0, 13), "it took a log although another was in a later view");
  replica.expect(replica.said<PrepareOk>().empty() && replica.said<DoViewChange>().empty(),
                 "it spoke of a log it does not know");
  replica.expect(starts(1, 14), "it takes the log of the latest view of a quorum");
  return replica.wrong();
}

// Whoever might know a later life of replica 2 has not been heard.
std::string a_life_is_confirmed_first() {
  Solo replica(2);
  const auto [one, two] = two_durable(replica);
  replica.crash();
  replica.is_greeted(false);
  replica.open();
  replica.end_writes();
  const Made three = replica.next(two.header, 0);
  replica.hear(0, 0, three);
  replica.hear(0, 0, Heartbeat{.round = 1, .op = OpNumber{3}, .released = {}});
  replica.ask_for_view(1, 0, 1);
  replica.end_writes();
  replica.wait(300);
  replica.expect(replica.said<PrepareOk>().empty() && replica.said<HeartbeatOk>().empty() &&
                     replica.said<DoViewChange>().empty(),
                 "it counted before anyone said that no later life of it is known");
  replica.hear_hello(1);
  replica.wait(1);
  replica.expect(!replica.said<DoViewChange>().empty(), "with one of the two it is a quorum");
  return replica.wrong();
}

// Its lost disk knew a later life of replica 1 than that it hears from now.
std::string a_lost_disk_learns_the_lives_of_others() {
  Solo replica(2, 5);
  const LifeId later{.incarnation = 5, .token = 50};
  replica.lose_disk();
  const Id128 nonce = open_without_head(replica);
  for (const std::uint8_t from : std::array<std::uint8_t, 3>{0, 3, 4}) {
    RecoveryAnswer answer{.nonce = nonce};
    if (from == 3) answer.lives[1] = later;
    replica.hear(from, 13, answer);
  }
  replica.hear(0, 13, StartView{.nonce = nonce, .suffix = replica.log_of({})});
  replica.end_writes();
  replica.expect(replica.replica().status() == ReplicaStatus::normal,
                 "it takes the log of view 13");
  replica.forget();
  replica.ask_for_view(15, 3, 4);
  replica.hear(0, 15, StartViewChange{ViewNumber{13}});
  replica.end_writes();
  const DoViewChange vote{.log_view = ViewNumber{13}, .suffix = replica.log_of({})};
  replica.hear(3, 15, vote);
  replica.hear(1, 15, vote);
  replica.end_writes();
  replica.expect(replica.said<StartView>().empty(), "replica 1 spoke in a life that is over");
  replica.hear(4, 15, vote);
  replica.end_writes();
  replica.expect(!replica.said<StartView>().empty(), "three of five begin the view");
  return replica.wrong();
}

// Both marks rot, and the last operation: in its first life the replica knows that something is
// missing, and writes a mark of what is left. In the next one nothing else in its journal says so.
std::string a_lost_head_is_lost_in_every_life() {
  Solo replica(2);
  static_cast<void>(two_durable(replica));
  replica.crash();
  replica.rot_marks();
  replica.rot(2);
  for (int life = 0; life < 3; ++life) {
    replica.open();
    replica.end_writes();
    replica.wait(20);
    replica.end_writes();
    replica.expect(replica.replica().status() == ReplicaStatus::recovering_head,
                   "it waits for its group");
    replica.ask_for_view(1, 0, 1);
    replica.end_writes();
    replica.expect(replica.said<DoViewChange>().empty(), "it has no vote on what it lost");
    replica.crash();
  }
  return replica.wrong();
}

// It has forgotten whose lives it had seen, so that it cannot say that there was no later one.
std::string a_lost_disk_confirms_nobody() {
  Solo replica(2);
  replica.lose_disk();
  replica.open();
  replica.end_writes();
  replica.expect(replica.replica().status() == ReplicaStatus::recovering_disk, "it has lost all");
  replica.hear_hello(0);
  replica.end_writes();
  replica.forget();
  replica.hear(0, 0, Hello{.seen = replica.lives()[2], .answered = false, .tokens = {}});
  replica.expect(replica.said<Hello>().empty(), "it answers who waits for what it cannot say");
  replica.hear(0, 0, Hello{.seen = {}, .answered = false, .tokens = {}});
  replica.expect(!replica.said<Hello>().empty(), "who does not know its life is told it");
  for (const Hello& hello : replica.said<Hello>()) {
    replica.expect(hello.lost, "it confirms a life");
  }
  // Nor is another confirmed by such a one: until then it gives no word.
  Solo other(2);
  const Made one = other.next(other.root(), 0);
  other.crash();
  other.is_greeted(false);
  other.open();
  other.end_writes();
  const auto speaks = [&](bool lost) {
    other.hear(0, 0, Hello{.seen = other.lives()[2], .answered = true, .lost = lost, .tokens = {}});
    other.hear(0, 0, one);
    other.end_writes();
    return !other.said<PrepareOk>().empty();
  };
  replica.expect(!speaks(true), "it was confirmed by who has forgotten");
  replica.expect(speaks(false), "it is confirmed by who knows");
  return replica.wrong();
}

// Replica 1 was put back as it was in life 4, and opened again; another knows what life 5 it
// forgot. Replica 2 heard the copy first.
std::string a_lost_disk_asks_what_went_before() {
  Solo replica(2, 5);
  replica.lose_disk();
  const Id128 nonce = open_without_head(replica);
  const auto says_hello = [&](std::uint64_t incarnation, bool answered) {
    Hello hello{.seen = replica.lives()[2], .answered = answered, .tokens = {}};
    hello.tokens[5] = 51;
    if (incarnation == 6) hello.tokens[6] = 61;
    replica.is_in_life(1, {.incarnation = incarnation, .token = incarnation * 10 + 1});
    replica.hear(1, 0, hello);
    replica.end_writes();
  };
  says_hello(6, true);
  Lives known{};
  known[1] = {.incarnation = 5, .token = 50};
  replica.hear(0, 0, RecoveryAnswer{.nonce = nonce, .lives = known});
  replica.hear(3, 0, RecoveryAnswer{.nonce = nonce, .lives = {}});
  replica.hear(4, 0, RecoveryAnswer{.nonce = nonce, .lives = {}});
  replica.hear(0, 0, StartView{.nonce = nonce, .suffix = replica.log_of({})});
  replica.end_writes();
  replica.expect(replica.replica().status() == ReplicaStatus::normal, "it has the group's log");
  replica.forget();
  says_hello(6, false);
  for (const Hello& hello : replica.said<Hello>()) {
    replica.expect(hello.lost || hello.seen.token != 61, "it confirms a copy");
  }
  replica.expect(!replica.said<Hello>().empty(), "the copy is told");
  return replica.wrong();
}

// The earlier life led the same view, and its disk was put back as it was before.
std::string an_answer_is_to_the_life_that_asked() {
  Solo replica(1);
  replica.ask_for_view(1, 0, 2);
  replica.end_writes();
  replica.crash();
  replica.keep_disk();
  const auto leads = [&] {
    replica.open();
    replica.end_writes();
    const DoViewChange vote{.log_view = {}, .suffix = replica.log_of({})};
    replica.hear(0, 1, vote);
    replica.end_writes();
    return replica.replica().is_primary();
  };
  const auto asks = [&] {
    replica.forget();
    replica.read_index();
    replica.wait(100);
    const auto said = replica.said<Heartbeat>();
    replica.expect(!said.empty(), "it asks whether it still leads");
    return said.empty() ? 0 : said.back().round;
  };
  replica.expect(leads(), "it leads");
  const std::uint64_t before = asks();
  replica.crash();
  replica.put_back_disk();
  replica.expect(leads(), "it leads again");
  const std::uint64_t now = asks();
  for (const std::uint64_t round : {before, before + 1, ~std::uint64_t{0}}) {
    replica.hear(0, 1, HeartbeatOk{.round = round, .checkpoint = {}});
    replica.hear(2, 1, HeartbeatOk{.round = round, .checkpoint = {}});
  }
  replica.expect(replica.reads_ready() == 0, "an answer to an earlier life confirmed a read");
  replica.hear(0, 1, HeartbeatOk{.round = now, .checkpoint = {}});
  replica.expect(replica.reads_ready() == 1, "one to this life does");
  return replica.wrong();
}

constexpr std::array all{
    Rule{"R01_LogViewIsNotTheHeadsView", Canary::log_view_of_head, log_view_is_not_the_heads},
    Rule{"R02_LogViewGoesWithItsHeaders", Canary::adopt_without_headers,
         log_view_and_headers_go_together},
    Rule{"R03_NothingLeavesBeforeItIsDurable", Canary::send_before_durable,
         nothing_leaves_before_it_is_durable},
    Rule{"R04_ViewsNeverGoBack", Canary::regress_view, views_never_go_back},
    Rule{"R05_HeadersOutliveABreak", Canary::truncate_at_break, headers_outlive_a_break},
    Rule{"R06_AcknowledgementsAreOfOneView", Canary::reuse_acknowledgements,
         acknowledgements_are_of_one_view},
    Rule{"R07_ALostHeadWaitsForItsNonce", Canary::any_nonce, a_lost_head_waits_for_its_nonce},
    Rule{"R08_ImpossibleHeadersAreDropped", Canary::keep_superseded,
         impossible_headers_are_dropped},
    Rule{"R09_FaultBitsOutliveAView", Canary::forget_fault_bit, fault_bits_outlive_a_view},
    Rule{"R10_ReadsAreCheckedWhenTheyEnd", Canary::skip_read_hash, reads_are_checked_when_they_end},
    Rule{"R11_TheHigherViewWins", Canary::lower_view_wins, the_higher_view_wins},
    Rule{"R12_OlderViewsAreNotAcknowledged", Canary::take_old_prepare,
         older_views_are_not_acknowledged},
    Rule{"R13_VotesAreOfOnesOwnView", Canary::count_old_vote, votes_are_of_ones_own_view},
    Rule{"R14_VotesAreSaidAgain", Canary::vote_once, votes_are_said_again},
    Rule{"R15_AStateReplacesTheLogWhenItIsHere", Canary::truncate_before_sync,
         a_state_replaces_the_log_when_it_is_here},
    Rule{"R16_AStartViewNeverLowersTheCommit", Canary::lower_commit,
         a_start_view_never_lowers_the_commit},
    Rule{"R18_AVoteLeavesNoView", Canary::leave_on_vote, a_vote_leaves_no_view},
    Rule{"D01_AnEarlierLifeCountsNoMore", Canary::take_older_life, an_earlier_life_counts_no_more},
    Rule{"D02_AnOldDiskIsNoticed", Canary::ignore_other_life, an_old_disk_is_noticed},
    Rule{"D03_ALostDiskHearsAQuorum", Canary::recover_from_one, a_lost_disk_hears_a_quorum},
    Rule{"D04_ALifeIsConfirmedFirst", Canary::speak_unconfirmed, a_life_is_confirmed_first},
    Rule{"D05_ALostDiskLearnsTheLivesOfOthers", Canary::forget_lives_of_others,
         a_lost_disk_learns_the_lives_of_others},
    Rule{"D06_ALostHeadIsLostInEveryLife", Canary::forget_lost_head,
         a_lost_head_is_lost_in_every_life},
    Rule{"D07_ALostDiskConfirmsNobody", Canary::confirm_forgotten, a_lost_disk_confirms_nobody},
    Rule{"D09_ALostDiskAsksWhatWentBefore", Canary::take_later_number,
         a_lost_disk_asks_what_went_before},
    Rule{"D08_AnAnswerIsToTheLifeThatAsked", Canary::count_other_rounds,
         an_answer_is_to_the_life_that_asked}};

}  // namespace

std::vector<Rule> rules() {
  std::vector<Rule> every{all.begin(), all.end()};
  const std::span<const Rule> of_groups = rules_of_groups();
  every.insert(every.end(), of_groups.begin(), of_groups.end());
  return every;
}

}  // namespace kimberlite::consensus::testing
