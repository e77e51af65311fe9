// Who is in the group: taking a configuration, and what of those who know another one counts.
//
// (R10) Let C(k) be the configuration of epoch k. Majorities of C(k) and C(k + 1) share a voter, so
// a primary of the one and a view begun by the other cannot both have their way. For epochs further
// apart: C(k + 2) was proposed when a majority of C(k + 1) had said that they know C(k + 1), and
// every majority of C(k) has one of these, whose word from then on counts for nobody who leads or
// votes by C(k). A primary that learns of a configuration by hearsay does not have it in its log,
// where acknowledgements of its view may be older than the configuration that would count them: it
// leaves its view. Who begins a view by C(k) hears a majority of C(k), one of which has the
// operation that made it.
//
// A majority of nacks outweighs a quorum of the configuration before or after, not of one further
// apart: so what stands behind a configuration is committed by its voters, with acknowledgements of
// who knows it; and what stands before the one in effect is committed, whoever nacks it.
//
// A member's index may have been another's. Whoever is not named by its id is no member: he says
// nothing but hello, and what he said is forgotten. He may not know it yet, so what is said by an
// older configuration than the receiver's does not count either; it is said again by the newer one.
//
// The new life of a member whose disk was lost is known to a quorum of the voters of then. In
// another group some quorum might have nobody of these, and count both what the old life said and
// what the new one does. So voters change from C to C' only if, for each member s of C', at least
// n' - q' + 1 other voters of C' have said in this view, by C, that they know of the life of s what
// its primary knows: every quorum of C' with s has one of them. The primary knows of every life
// that was made up for before its view, since one of those who answered it then had part in its
// view change; and of one in its view, since it gave it its log. While the change is on its way it
// gives none. For n' = 3 both others must know: from four voters to three nobody who stays may be
// down.
#include <algorithm>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/probe.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/core/ring.hpp"
#include "consensus/replica.hpp"

namespace kimberlite::consensus {
namespace {

bool is_vote(const Payload& payload) { return std::holds_alternative<StartViewChange>(payload); }

// What else is counted towards a quorum.
bool is_counted(const Payload& payload) {
  return std::holds_alternative<PrepareOk>(payload) ||
         std::holds_alternative<HeartbeatOk>(payload) ||
         std::holds_alternative<DoViewChange>(payload) ||
         std::holds_alternative<RecoveryAnswer>(payload);
}

Error not_now(std::string_view why) {
  return Error{Code::unavailable_membership, "the group cannot be changed now"}.why("{}", why).next(
      "try again in a moment");
}

}  // namespace

std::uint64_t Replica::reached_by(std::uint32_t quorum,
                                  const std::array<std::uint64_t, members_max>& all) const {
  std::array<std::uint64_t, core::voters_max> of_voters{};
  std::uint32_t count = 0;
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (is_voter(i)) of_voters[count++] = all[i];
  }
  return core::acknowledged_by(of_voters.data(), count, quorum);
}

OpNumber Replica::reached_by(std::uint32_t quorum,
                             const std::array<OpNumber, members_max>& all) const {
  std::array<std::uint64_t, members_max> values{};
  std::ranges::transform(all, values.begin(), [](OpNumber op) { return op.value(); });
  return OpNumber{reached_by(quorum, values)};
}

std::optional<OpNumber> Replica::next_configuration() const {
  if (configures_at_ <= commit_ || is_planted(Canary::commit_by_last)) return std::nullopt;
  for (std::uint64_t op = commit_.value() + 1; op <= op_.value(); ++op) {
    if (frame_of(OpNumber{op})->configures) return OpNumber{op};
  }
  return std::nullopt;
}

// Whoever is behind is told, and who is ahead is asked; then he says it again. One who is behind
// may have no word any more; to vote with one who is ahead risks nothing.
bool Replica::may_count(const Message& message, std::vector<Action>& out) {
  if (message.epoch == epoch()) return true;
  const bool is_hello = std::holds_alternative<Hello>(message.payload);
  if (message.epoch < epoch()) {
    const bool is_word = is_counted(message.payload) || is_vote(message.payload);
    const bool is_stranger = !configuration().has(message.from);
    if (!is_hello && (is_word || is_stranger)) send_hello(message.from, out);
    return !is_word;
  }
  probe<"consensus.members.later_configuration">();
  if (!is_hello) send_hello(message.from, out);
  return !is_counted(message.payload) || is_planted(Canary::count_later_epoch);
}

void Replica::take_configuration(const Configuration& to, bool is_in_log,
                                 std::vector<Action>& out) {
  if (to.epoch <= epoch()) return;
  probe<"consensus.members.changed">();
  const bool leads = adopted() && primary() == index() && phase_ != Phase::recovering_head;
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (to.members[i] != configuration().members[i]) forget_word_of(i);
    // What stands behind it is to be acknowledged by who knows it.
    if (!is_planted(Canary::keep_acknowledged)) acked_[i] = std::min(acked_[i], to.op);
  }
  peer_lives_ = {};
  superblock_.configuration = to;
  clock_.set_voters(to.voters, now_);
  ping_at_ = hello_at_ = now_.monotonic_ns;
  const bool stays = is_in_log || is_planted(Canary::lead_by_hearsay);
  if (leads && !is_voter()) {
    probe<"consensus.members.primary_removed">();
    abandon_tickets(out);
    phase_ = Phase::view_change;
  } else if (leads && !stays) {
    probe<"consensus.members.primary_behind">();
    enter_view(now_, configuration().view_after(view()), out);
    return;
  }
  write_superblock(out);
}

bool Replica::is_settled() const {
  std::array<std::uint64_t, members_max> epochs = peer_epochs_;
  epochs[index()] = epoch();
  return is_primary() && reached_by(core::replication_quorum(voters()), epochs) == epoch();
}

// Of each member of `to` so many voters know which life it is in that no quorum is without one.
bool Replica::are_lives_known(const Configuration& to) const {
  if (to.voters == configuration().voters) return true;  // to whom is known what was
  const std::uint32_t needed = to.voter_count() - core::replication_quorum(to.voter_count()) + 1;
  for (std::uint8_t member = 0; member < members_max; ++member) {
    std::uint32_t knowing = 0;
    for (std::uint8_t other = 0; other < members_max; ++other) {
      if (other == member || !to.votes(other)) continue;
      const bool is_known = other == index()
                                ? knows_life(durable_lives_, member)
                                : peer_lives_[other] && knows_life(*peer_lives_[other], member);
      if (is_known) ++knowing;
    }
    if (to.has(member) && knowing < needed) return false;
  }
  return true;
}

Status Replica::check_reconfigure(const Configuration& to) const {
  KIMBERLITE_CHECK(check_change(configuration(), to));
  if (!may_propose()) return not_now("this replica leads no group that could take it");
  if (next_configuration()) return not_now("another change is on its way");
  if (!is_settled() && !is_planted(Canary::change_unheard)) {
    return not_now("too few replicas know of the last change yet");
  }
  for (std::uint8_t i = 0; i < members_max; ++i) {
    const bool is_new = to.votes(i) && !is_voter(i);
    if (is_new && acked_[i].value() + pipeline_max < commit_.value()) {
      return not_now("the standby that is to vote has not caught up");
    }
  }
  if (!are_lives_known(to) && !is_planted(Canary::change_before_lives)) {
    return not_now("too few of those who stay are known to know which lives the others are in");
  }
  return {};
}

void Replica::on(Now, const Reconfigure& event, std::vector<Action>& out) {
  if (!check_reconfigure(event.configuration)) {
    out.emplace_back(Abandon{event.ticket});
    return;
  }
  probe<"consensus.members.proposed">();
  MutableBuffer frame =
      pool_.take(static_cast<std::size_t>(core::padded(frame_header_size + configuration_size)));
  frame->resize(frame_header_size + configuration_size);
  Configuration to = event.configuration;
  to.op = OpNumber{op_.value() + 1};
  encode_configuration(to, frame->bytes().subspan<frame_header_size, configuration_size>());
  prepare(event.ticket, frame, 0, true, out);
}

}  // namespace kimberlite::consensus
