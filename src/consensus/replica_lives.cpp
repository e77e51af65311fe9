// Lives: whether a message is of the newest life of its sender, and what a replica needs to hear
// that has lost its disk.
//
// A life is one open of a member's directory. A member that forgot what it acknowledged, because an
// older copy of its disk was put back, would vote as if it never had. It is told so by whoever has
// seen a later life of it, or another one of a number it has lived through: it fails. This needs
// one who has seen that life and is heard; so every life says hello to everyone.
//
// What an earlier life said does not count beside what a later one says, so a member whose disk was
// lost can begin again as one who knows nothing: it takes the log of a view only when a quorum of
// the others, none of them in a later view, has heard of its new life. So everything it once
// acknowledged or voted for either is in that log, or counts no more: a quorum that might still
// count it has one among it who knows better, and says so in its do-view-change.
//
// Who knows better may be taken out of the group. So heartbeats and their answers say what lives
// each has seen, whoever hears there of one made anew takes it, and the voters change only to those
// of whom it is known that no quorum of them is without one who knows it (replica_members.cpp); and
// while they change no disk is made up for.
//
// What is left: the old process of a member made anew must be off. A replica that has not heard of
// the new life, and is linked to the old one, counts what that says until a heartbeat of the
// primary comes, or that member's hello. And an old copy is known by those who have seen the life
// that it forgot: not by a quorum without them, whom it may hear first (of three, by the one who
// was away then); nor once it was opened more often, unheard, than tokens are kept. To wait for all
// would let no replica start while another is down.
//
// Source: Liskov and Cowling 2012, section 4.3; Michael et al., "Recovering Shared Objects Without
// Stable Storage", DISC 2017; design, consensus.md "Lost disk".
#include <algorithm>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/le.hpp"
#include "base/probe.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/replica.hpp"

namespace kimberlite::consensus {
namespace {

using Tokens = std::array<std::uint64_t, lives_kept>;

// False if whoever is in `life`, and had `tokens` before, has not lived through `seen`. A number
// without a token was lived through on a disk that is lost.
bool has_lived(const LifeId& seen, const LifeId& life, const Tokens& tokens) {
  if (seen.incarnation > life.incarnation) return false;
  if (seen == life || seen.incarnation == 0) return true;
  const std::uint64_t token = tokens[seen.incarnation % lives_kept];
  return life.incarnation - seen.incarnation >= lives_kept || token == 0 || token == seen.token;
}

bool is_later(const LifeId& one, const LifeId& than) { return one.incarnation > than.incarnation; }

// Whoever has seen `seen` knows that `life` is over, or that of a copy.
bool outlives(const LifeId& seen, const LifeId& life) {
  return is_later(seen, life) || (seen.incarnation == life.incarnation && seen.token != life.token);
}

// Its directory was made anew since `seen`, or nothing was: no token need show that it lived
// through that.
bool is_anew(const LifeId& life, const LifeId& seen) {
  return is_later(life, seen) &&
         (seen.incarnation == 0 || life.incarnation - seen.incarnation >= lives_kept);
}

}  // namespace

void Replica::begin_life(std::uint64_t incarnation) {
  if (incarnation != superblock_.incarnation + 1) superblock_.tokens = {};
  superblock_.incarnation = incarnation;
  superblock_.tokens[incarnation % lives_kept] = options_.token;
  // What was said to an earlier life does not count.
  store_le(nonce_.data(), incarnation);
  store_le(nonce_.data() + 8, options_.token);
  // Rounds begin somewhere else in each life, also in that of a copy: so an answer is to this one.
  // They go on when the number of a life is raised.
  if (round_ == 0) first_round_ = round_ = ping_round_ = options_.token >> 1U;
  answers_ = {};
  heard_by_ = 0;
}

// To those in an older life, or in one not known yet, nothing is said but hello.
bool Replica::is_of_life_known(const Message& message, std::vector<Action>& out) {
  if (std::holds_alternative<Prepare>(message.payload)) return true;  // its header says all
  if (const auto* hello = std::get_if<Hello>(&message.payload)) {
    take_configuration(hello->configuration, false, out);
    hear(message, *hello, out);
  }
  const LifeId& seen = superblock_.lives_seen[message.from];
  if (message.life != seen) {
    const bool is_planted_older =
        is_later(seen, message.life) && is_planted(Canary::take_older_life);
    if (is_planted_older) return true;
    probe<"consensus.life.other">();
    const bool is_hello = std::holds_alternative<Hello>(message.payload);
    // What is not on disk yet is said once it is.
    if (!is_hello && durable_lives_[message.from] == seen) send_hello(message.from, out);
    return false;
  }
  return durable_lives_[message.from] == seen;
}

// Of what `member` said nothing counts any more: it is in another life, or another member.
void Replica::forget_word_of(std::uint8_t member) {
  acked_[member] = {};
  peer_rounds_[member] = 0;
  peer_checkpoints_[member] = {};
  peer_epochs_[member] = 0;
  peer_lives_[member].reset();
  votes_[member] = {};
  collected_[member].reset();
  answers_[member].reset();
  formats_[member] = 0;
  heard_by_ &= ~(1U << member);
}

// A later life is on disk here before anything it says counts.
void Replica::hear(const Message& message, const Hello& hello, std::vector<Action>& out) {
  LifeId& seen = superblock_.lives_seen[message.from];
  std::vector<LifeId>& through = lived_through_[message.from];
  const bool is_through = std::ranges::all_of(through, [&](const LifeId& one) {
    return has_lived(one, message.life, hello.tokens) || is_later(one, message.life);
  });
  if (!has_lived(seen, message.life, hello.tokens) || !is_through) {
    probe<"consensus.life.not_its_own">();
    // Of a life that is not on disk yet it would be told something else, and answer.
    if (durable_lives_[message.from] == seen) send_hello(message.from, out);
  } else if (is_later(message.life, seen)) {
    probe<"consensus.life.new">();
    seen = message.life;
    forget_word_of(message.from);
    write_superblock(out);
  }
  if (message.life == seen) {
    told_[message.from] = {.life = seen, .tokens = hello.tokens};
    through.clear();
  }
  hear_of_itself(message.from, hello.seen, out);
}

// `from` has seen that life of this replica.
void Replica::hear_of_itself(std::uint8_t from, const LifeId& seen, std::vector<Action>& out) {
  // At its index stands another member by now.
  if (!is_member()) return;
  if (has_lived(seen, life(), superblock_.tokens)) return;
  if (is_planted(Canary::ignore_other_life)) return;
  const std::uint64_t known = std::max(superblock_.incarnation, seen.incarnation);
  if (is_lost()) {
    // Beyond every life its lost disk may have had, whoever remembers it.
    probe<"consensus.life.raised">();
    begin_life(known + lives_gap);
    write_superblock(out);
    return;
  }
  probe<"consensus.life.rolled_back">();
  fail_as_rolled_back(
      Error{Code::integrity_rollback, "this directory is older than what its group has seen of it"}
          .why("it is in incarnation {}, replica {} has seen {}{}", superblock_.incarnation, from,
               seen.incarnation, is_later(seen, life()) ? "" : ", of another copy")
          .next("it has forgotten what it acknowledged: never open a copy of a replica's disk; "
                "make the replica anew with kimberlite cluster recover"),
      out);
}

// What another has seen of others. Of the next life of a directory only its own hello is believed,
// which says what went before it: an old copy is known by that. It has forgotten nothing, so nobody
// needs to hear of it sooner. True if there was anything new.
bool Replica::take_lives(const Lives& said) {
  bool is_new = false;
  for (std::uint8_t member = 0; member < members_max; ++member) {
    LifeId& seen = superblock_.lives_seen[member];
    if (member == index() || !is_anew(said[member], seen)) continue;
    probe<"consensus.life.second_hand">();
    seen = said[member];
    forget_word_of(member);
    is_new = true;
  }
  return is_new;
}

// It is to know it in every next life, however often it is opened.
void Replica::fail_as_rolled_back(const Error& error, std::vector<Action>& out) {
  superblock_.standing = Standing::rolled_back;
  write_superblock(out);
  fail(error, out);
}

// Whoever has seen those lives would count nothing that this replica knows to be of before that
// member was made anew.
bool Replica::knows_life(const Lives& seen, std::uint8_t member) const {
  const LifeId& here = member == index() ? life() : superblock_.lives_seen[member];
  return !is_anew(here, seen[member]);
}

// (R9) With this one they are a replication quorum.
bool Replica::is_confirmed() const {
  if (is_planted(Canary::speak_unconfirmed)) return true;
  return core::votes_counted(heard_by_, configuration().voters) + 1 >=
         core::replication_quorum(voters());
}

// The sender, whose life is known here on disk, knows this one or does not. Once it does, what was
// said to it in vain is said again.
void Replica::receive(Now now, const Message& message, const Hello& hello,
                      std::vector<Action>& out) {
  formats_[message.from] = hello.format;
  if (hello.configuration.epoch < epoch()) send_hello(message.from, out);
  // To answer in what life it is would lead to another answer: at its index stands another member.
  if (!is_member()) return;
  const std::uint32_t bit = 1U << message.from;
  const bool was_heard = (heard_by_ & bit) != 0;
  if (hello.seen == life() && !hello.lost) heard_by_ |= bit;
  const bool asks = !hello.answered && !has_forgotten();
  if (hello.seen != life() || asks) send_hello(message.from, out);
  if (was_heard || (heard_by_ & bit) == 0) return;
  resend_at_ = std::min(resend_at_, now.monotonic_ns);
  if (votes_[index()].view > view()) timeout_at_ = std::min(timeout_at_, now.monotonic_ns);
  if (!is_confirmed()) return;
  send_prepare_ok(out);
  send_do_view_change(out);
  decide_log(now, out);
}

// Those whose lives became known on disk may say it all again.
void Replica::greet_new(const Lives& before, std::vector<Action>& out) {
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (durable_lives_[member] != before[member]) send_hello(member, out);
  }
}

// Until what it has learnt again is on disk, `durable_lives_` is what it knew without.
bool Replica::has_forgotten() const {
  if (is_planted(Canary::confirm_forgotten)) return false;
  return is_lost() || durable_standing_ == Standing::lost;
}

// Of no view: whatever this replica waits for. Whoever has lost its disk has forgotten what lives
// it had seen: it confirms nobody's, and answers nobody who waits for that, until it knows them
// again.
void Replica::send_hello(std::uint8_t to, std::vector<Action>& out) {
  if (!opened_ || phase_ == Phase::failed) return;
  send_in_view(to, {},
               Hello{.seen = durable_lives_[to],
                     .answered = ((heard_by_ >> to) & 1U) != 0,
                     .lost = has_forgotten(),
                     .tokens = superblock_.tokens,
                     .format = options_.format,
                     .configuration = configuration()},
               out);
}

// So that all know of this life, and it hears of a later one, whoever it has to do with.
void Replica::say_hello(Now now, std::vector<Action>& out) {
  bool all_know = true;
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (is_peer(member)) all_know = all_know && ((heard_by_ >> member) & 1U) != 0;
  }
  hello_at_ = now.monotonic_ns + (all_know ? options_.hello_ns : options_.resend_ns);
  for (std::uint8_t member = 0; member < members_max; ++member) {
    const bool knows = ((heard_by_ >> member) & 1U) != 0;
    if (is_peer(member) && (all_know || !knows)) send_hello(member, out);
  }
}

std::uint64_t Replica::group_format() const {
  std::uint64_t newest = options_.format;
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (is_peer(member)) newest = std::min(newest, std::max<std::uint64_t>(1, formats_[member]));
  }
  return newest;
}

// The voter's do-view-change is of a life that is over, as one of those collected knows.
bool Replica::is_outlived(std::uint8_t voter) const {
  const LifeId& life = collected_[voter]->life;
  return std::ranges::any_of(collected_, [&](const std::optional<Collected>& one) {
    return one && outlives(one->message.lives[voter], life);
  });
}

// ---- a lost disk --------------------------------------------------------------------------------

// Only a replica that is in its view can say which one it is in.
void Replica::answer_lost(const Message& message, const RequestStartView& request,
                          std::vector<Action>& out) {
  if (!is_voter() || !gate_open()) return;
  const bool has_word = phase_ == Phase::normal && is_confirmed();
  if (!is_lost() && !has_word) return;
  probe<"consensus.recovery.answered">();
  RecoveryAnswer answer{.nonce = request.nonce, .lost = is_lost(), .lives = superblock_.lives_seen};
  answer.lives[index()] = life();
  send(message.from, answer, out);
}

void Replica::receive(Now, const Message& message, const RecoveryAnswer& answer,
                      std::vector<Action>&) {
  if (!is_lost() || answer.nonce != nonce_ || !is_voter(message.from)) return;
  const std::uint32_t bit = 1U << message.from;
  if (answer.lost) {
    probe<"consensus.recovery.peer_lost_too">();
    lost_too_ |= bit;
    answers_[message.from].reset();
    return;
  }
  lost_too_ &= ~bit;
  if (answers_[message.from] && answers_[message.from]->view > message.view) return;
  answers_[message.from] =
      Answer{.life = message.life, .view = message.view, .lives = answer.lives};
}

// The start-view of the latest view any of a quorum of others was in when it heard of this life.
bool Replica::may_take(const Message& message, const StartView& start) {
  if (message.epoch > epoch()) return false;  // it was another quorum that had to answer
  if (start.nonce != nonce_ || !is_voter(message.from)) return false;
  std::uint32_t count = 0;
  for (std::uint8_t i = 0; i < members_max; ++i) {
    const std::optional<Answer>& answer = answers_[i];
    const bool is_over =
        answer && std::ranges::any_of(answers_, [&](const std::optional<Answer>& other) {
          return other && outlives(other->lives[i], answer->life);
        });
    if (!answer || is_over) continue;
    if (answer->view > message.view) return false;
    if (is_voter(i)) ++count;
  }
  // As many as leave no view-change quorum without one of them.
  const std::uint32_t needed =
      is_planted(Canary::recover_from_one) ? 0 : core::replication_quorum(voters());
  if (count < needed) probe<"consensus.recovery.too_few">();
  return count >= needed;
}

// What the lost disk knew of others' lives is known to a quorum of them. A later number alone says
// little: it may be a copy's, who has not lived through the life that another knows.
void Replica::take_lives_of_answers() {
  if (is_planted(Canary::forget_lives_of_others)) return;
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (member == index()) continue;
    LifeId& seen = superblock_.lives_seen[member];
    const LifeId before = seen;
    std::vector<LifeId>& through = lived_through_[member];
    bool is_forked = false;
    for (const std::optional<Answer>& answer : answers_) {
      if (!answer || answer->lives[member].incarnation == 0) continue;
      const LifeId& named = answer->lives[member];
      through.push_back(named);
      // Of the life it heard itself it knows what went before.
      const bool is_told = before == told_[member].life && !is_later(named, before);
      is_forked = is_forked || (is_told && !has_lived(named, before, told_[member].tokens)) ||
                  (named.incarnation == seen.incarnation && named != seen);
      if (is_later(named, seen)) seen = named;
    }
    if (is_forked && !is_planted(Canary::take_later_number)) {
      // That of no life: whoever speaks is refused, unless it was made anew.
      probe<"consensus.recovery.forked">();
      seen.token = 0;
    }
    if (seen != before) forget_word_of(member);
  }
}

RecoveryProgress Replica::recovery() const {
  RecoveryProgress progress{
      .answered = 0, .lost_too = lost_too_, .needed = core::replication_quorum(voters())};
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (answers_[i] && is_voter(i)) progress.answered |= 1U << i;
  }
  return progress;
}

}  // namespace kimberlite::consensus
