// Views: leaving one, agreeing on its log, starting the next.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/probe.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/replica.hpp"

namespace kimberlite::consensus {
namespace {

// A vote not repeated for so many resends does not count any more.
constexpr std::uint64_t vote_lifetime = 4;
constexpr std::uint64_t never_ns = std::uint64_t{1} << 62;

}  // namespace

std::uint8_t Replica::primary() const { return primary_of(view()); }

bool Replica::is_primary() const {
  return phase_ == Phase::normal && adopted() && is_voter() && primary() == index();
}

// Those further from the primary's turn wait longer, so that they do not all ask at once.
void Replica::heard_primary(Now now) {
  const std::uint64_t turn = 1U + configuration().turns_until(view(), index());
  timeout_at_ = now.monotonic_ns + options_.primary_timeout_ns + turn * options_.heartbeat_ns / 2;
  votes_[index()] = {};
}

// ---- leaving a view ---------------------------------------------------------------------------

// Asked for while still in the old view, which goes on if it can: who cannot hear its primary does
// not stop those who do.
void Replica::vote(Now now, std::vector<Action>& out) {
  ViewNumber next = configuration().view_after(view());
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (!is_voter(i)) continue;
    const bool fresh = now.monotonic_ns < votes_[i].at_ns + vote_lifetime * options_.resend_ns;
    if (fresh) next = std::max(next, votes_[i].view);
  }
  if (is_planted(Canary::leave_on_vote)) enter_view(now, next, out);
  votes_[index()] = {.view = next, .at_ns = now.monotonic_ns};
  const std::uint64_t again_ns = is_planted(Canary::vote_once) ? never_ns : options_.resend_ns;
  timeout_at_ = now.monotonic_ns + again_ns;
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (member != index() && is_voter(member))
      send_in_view(member, next, StartViewChange{.current = view()}, out);
  }
  count_votes(now, out);
}

void Replica::receive(Now now, const Message& message, const StartViewChange& asked,
                      std::vector<Action>& out) {
  if (!is_voter() || !is_voter(message.from) || phase_ == Phase::recovering_head) return;
  if (is_beyond_reach(asked.current)) return;
  if (message.view > votes_[message.from].view || message.view > view()) {
    votes_[message.from] = {.view = std::max(message.view, votes_[message.from].view),
                            .at_ns = now.monotonic_ns};
  }
  // It is in a later view already, which a quorum has asked for.
  probe<"consensus.view.vote">();
  if (asked.current > view()) enter_view(now, asked.current, out);
  count_votes(now, out);
}

void Replica::count_votes(Now now, std::vector<Action>& out) {
  std::array<std::uint64_t, members_max> views{};
  for (std::size_t i = 0; i < members_max; ++i) {
    const bool fresh = now.monotonic_ns < votes_[i].at_ns + vote_lifetime * options_.resend_ns;
    views[i] = fresh ? votes_[i].view.value() : 0;
  }
  const ViewNumber next{reached_by(core::view_change_quorum(voters()), views)};
  if (next > view()) enter_view(now, next, out);
}

void Replica::enter_view(Now now, ViewNumber view, std::vector<Action>& out) {
  KIMBERLITE_ASSERT(view > superblock_.view);
  probe<"consensus.view.entered">();
  abandon_tickets(out);
  phase_ = Phase::view_change;
  // What this log holds beyond what is committed may not be in the log of the view to come.
  canonical_ = std::min(op_, std::max(commit_, std::min(commit_max_, canonical_)));
  superblock_.view = view;
  superblock_.view_headers = suffix().headers;
  // What a later view's log took the place of was not committed.
  superblock_.view_durable = std::max(durable_, std::min(faulty_until_, known_));
  collected_ = {};
  if (!is_planted(Canary::reuse_acknowledgements)) acked_ = {};
  peer_rounds_ = {};
  peer_epochs_ = {};
  peer_lives_ = {};
  catching_up_from_.reset();
  wanted_ = primary_wants_ = {};
  heard_primary(now);
  timeout_at_ += options_.primary_timeout_ns;
  resend_at_ = now.monotonic_ns + options_.resend_ns;
  if (voters() == 1 && is_voter()) {
    decide_log(now, out);
  } else {
    write_superblock(out);
  }
}

// ---- agreeing on the log ----------------------------------------------------------------------

DoViewChange Replica::do_view_change() const {
  DoViewChange dvc{.log_view = log_view(),
                   .present = 0,
                   .nacked = 0,
                   .lives = superblock_.lives_seen,
                   .suffix = suffix()};
  if (is_planted(Canary::log_view_of_head) && !dvc.suffix.headers.empty()) {
    dvc.log_view = dvc.suffix.headers.back().view;
  }
  for (std::size_t i = 0; i < dvc.suffix.headers.size(); ++i) {
    const OpNumber op = dvc.suffix.headers[i].op;
    if (op <= durable_ && !rotted_.contains(op)) dvc.present |= 1U << i;
    const bool was_here = op <= faulty_until_ && !is_planted(Canary::forget_fault_bit);
    if (op > op_ && !was_here) dvc.nacked |= 1U << i;
  }
  return dvc;
}

void Replica::send_do_view_change(std::vector<Action>& out) {
  if (!gate_open() || phase_ != Phase::view_change || adopted() || !is_confirmed()) return;
  if (primary() != index()) send(primary(), do_view_change(), out);
}

void Replica::receive(Now now, const Message& message, const DoViewChange& dvc,
                      std::vector<Action>& out) {
  if (message.epoch <= epoch()) hear_of_itself(message.from, dvc.lives[index()], out);
  if (phase_ == Phase::failed) return;
  if (!is_voter() || !is_voter(message.from) || phase_ == Phase::recovering_head) return;
  if (message.view > view()) enter_view(now, message.view, out);
  const bool is_old = message.view < view() && !is_planted(Canary::count_old_vote);
  if (is_old || primary() != index()) return;
  if (is_primary()) {
    probe<"consensus.view.start_repeated">();
    send_start_view(message.from, {}, out);
    return;
  }
  if (adopted()) return;
  collected_[message.from] =
      Collected{.commit = message.commit, .life = message.life, .message = dvc};
  decide_log(now, out);
}

// The log of the latest view any of a quorum was in, cut where a nack quorum says that an operation
// cannot have been committed. Nothing while it cannot be told.
std::optional<Suffix> Replica::canonical_log(std::uint8_t& source, OpNumber& commit) const {
  const Collected* best = nullptr;
  std::uint32_t count = 0;
  // By what quorum that was committed this configuration does not say.
  if (!is_planted(Canary::nack_by_next)) commit = std::max(commit, configuration().op);
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (!collected_[i] || !is_voter(i)) continue;
    ++count;
    const Collected& one = *collected_[i];
    commit = std::max({commit, one.commit, one.message.suffix.base});
    const auto rank = [](const Collected& of) {
      return std::pair{of.message.log_view, of.message.suffix.head()};
    };
    if (best == nullptr || rank(one) > rank(*best)) {
      best = &one;
      source = i;
    }
  }
  if (best == nullptr || count < core::view_change_quorum(voters()) ||
      best->message.suffix.head() < commit) {
    return std::nullopt;
  }
  Suffix log = best->message.suffix;
  for (std::size_t i = 0; i < log.headers.size(); ++i) {
    const PrepareHeader& header = log.headers[i];
    if (header.op <= commit) continue;
    std::uint32_t nacks = 0;
    bool present = false;
    for (std::uint8_t voter = 0; voter < members_max; ++voter) {
      if (!collected_[voter] || !is_voter(voter)) continue;
      const DoViewChange& dvc = collected_[voter]->message;
      const std::uint64_t at = header.op.value() - dvc.suffix.base.value() - 1;
      const bool same =
          at < dvc.suffix.headers.size() && dvc.suffix.headers[at].checksum == header.checksum;
      // It never had it, or has another one there.
      if (!same || ((dvc.nacked >> at) & 1U) != 0) ++nacks;
      if (same && ((dvc.present >> at) & 1U) != 0) present = true;
    }
    if (nacks >= (is_planted(Canary::lose_nack) ? 1 : core::nack_quorum(voters()))) {
      probe<"consensus.view.nacked">();
      log.headers.resize(i);
      break;
    }
    if (!present) {
      probe<"consensus.view.undecidable">();
      return std::nullopt;
    }
  }
  return log;
}

void Replica::decide_log(Now now, std::vector<Action>& out) {
  const bool alone = voters() == 1;
  if (phase_ != Phase::view_change || adopted() || primary() != index() || !is_voter()) return;
  if (!alone && (!gate_open() || !is_confirmed())) return;
  collected_[index()] =
      Collected{.commit = commit_max_, .life = life(), .message = do_view_change()};
  std::uint32_t outlived = 0;
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (collected_[i] && is_outlived(i)) outlived |= 1U << i;
  }
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (((outlived >> i) & 1U) != 0) collected_[i].reset();
  }
  std::uint8_t source = index();
  OpNumber commit = commit_max_;
  const std::optional<Suffix> log = canonical_log(source, commit);
  if (!log) return;
  if (!connects(*log)) {
    probe<"consensus.view.primary_behind">();
    catch_up(now, source, view(), log->base, out);
    return;
  }
  install(*log, out);
  commit_max_ = std::max(commit_max_, std::min(commit, known_));
  // One of a quorum knows of whoever was made anew and taken back before this view.
  for (const auto& one : std::exchange(collected_, {})) {
    if (one) static_cast<void>(take_lives(one->message.lives));
  }
  adopt(now, out);
}

// True if what is on disk up to the begin of `suffix` is what its log begins with: a crash now must
// not leave a gap before its headers.
bool Replica::connects(const Suffix& suffix) const {
  const OpNumber at = std::max({suffix.base, commit_, released_.op});
  if (at > suffix.head() || at > durable_) return false;
  if (at == suffix.base) {
    return checksum_at(at) == suffix.base_checksum &&
           (suffix.headers.empty() || may_follow(at, suffix.headers.front()));
  }
  return checksum_at(at) == suffix.headers[at.value() - suffix.base.value() - 1].checksum;
}

// (R7)
void Replica::install(const Suffix& suffix, std::vector<Action>& out) {
  OpNumber same = std::max({suffix.base, commit_, released_.op});
  for (const PrepareHeader& header : suffix.headers) {
    if (header.op.value() != same.value() + 1) continue;
    const LiveFrame* frame = frame_of(header.op);
    if (frame == nullptr || frame->checksum != header.checksum) break;
    same = header.op;
  }
  probe<"consensus.view.log_installed">();
  if (op_ > same) truncate(same, out);
  for (const PrepareHeader& header : suffix.headers) {
    headers_[header.op.value() % headers_kept] = header;
  }
  known_ = suffix.head();
  canonical_ = op_;
  faulty_until_ = std::min(faulty_until_, known_);
  commit_max_ = std::max(commit_max_, suffix.base);
}

void Replica::adopt(Now now, std::vector<Action>& out) {
  superblock_.log_view = superblock_.view;
  if (is_lost()) take_lives_of_answers();
  superblock_.standing = Standing::member;
  superblock_.view_headers = suffix().headers;
  if (is_planted(Canary::adopt_without_headers)) superblock_.view_headers.clear();
  superblock_.view_durable = std::max(durable_, faulty_until_);
  catching_up_from_.reset();
  wanted_ = known_;
  heard_primary(now);
  if (primary() != index()) phase_ = Phase::normal;
  // One whose head was lost may be in that view already, and have that log: then only this write
  // says, in its next life, what was lost.
  adopted_in_ = superblock_.sequence + 1;
  write_superblock(out);
}

// ---- starting the view ------------------------------------------------------------------------

void Replica::start_as_primary(Now now, std::vector<Action>& out) {
  if (phase_ != Phase::view_change || !adopted() || primary() != index() || !is_voter()) return;
  if (!gate_open()) return;
  if (op_ < known_ || durable_ < op_) {
    probe<"consensus.view.primary_lacks_log">();
    request_missing(now, out);
    return;
  }
  probe<"consensus.status.primary">();
  phase_ = Phase::normal;
  inherited_ = op_;
  collected_ = {};
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (is_peer(member)) send_start_view(member, {}, out);
  }
  heartbeat_at_ = now.monotonic_ns + options_.heartbeat_ns;
  progress_ns_ = now.monotonic_ns;
  heard_at_ns_.fill(now.monotonic_ns);
  advance_commit(out);
}

void Replica::send_start_view(std::uint8_t to, const Id128& nonce, std::vector<Action>& out) {
  send(to, StartView{.nonce = nonce, .suffix = suffix()}, out);
}

void Replica::receive(Now now, const Message& message, const RequestStartView& request,
                      std::vector<Action>& out) {
  // Whoever lost his head can take no older view's log, and has no vote to make others follow.
  const bool is_member = configuration().has(message.from);
  if (message.view > view() && is_voter() && is_member && phase_ != Phase::recovering_head) {
    return enter_view(now, message.view, out);
  }
  // Known to a quorum of the voters of now only, it might be unknown to one of those to come.
  if (request.lost && is_primary() && next_configuration()) return;
  if (request.lost) answer_lost(message, request, out);
  if (is_primary() && gate_open()) send_start_view(message.from, request.nonce, out);
}

void Replica::ask_for_start_view(Now now, std::uint8_t whom, std::vector<Action>& out) {
  if (!gate_open() || whom == index() || now.monotonic_ns < asked_view_at_) return;
  asked_view_at_ = now.monotonic_ns + options_.repair_ns;
  send(whom, RequestStartView{.nonce = nonce_, .lost = is_lost()}, out);
}

void Replica::receive(Now now, const Message& message, const StartView& start,
                      std::vector<Action>& out) {
  const bool is_old = message.view < view() && !is_planted(Canary::regress_view);
  if (is_old || message.from != primary_of(message.view) || syncing_) return;
  // One whose head is lost takes it from an answer to this very life only.
  const bool is_answer = start.nonce == nonce_ || is_planted(Canary::any_nonce);
  if (phase_ == Phase::recovering_head && !is_answer) return;
  if (is_lost() && !may_take(message, start)) return;
  if (message.view == view() && adopted() && phase_ != Phase::recovering_head) {
    learn_commit(message);
    advance_commit(out);
    return;
  }
  if (start.suffix.head() < commit_) return;
  if (!connects(start.suffix)) {
    if (phase_ == Phase::recovering_head) {
      probe<"consensus.head.behind">();
      // No later than there ends what this replica acknowledged and was committed. It is to be
      // known in a next life too, before anything of that view is written (R2).
      if (message.view > view() || faulty_until_ > start.suffix.head()) {
        superblock_.view = message.view;
        faulty_until_ = std::min(faulty_until_, start.suffix.head());
        // Without headers its whole log is a checkpoint, which is taken at once.
        if (!start.suffix.headers.empty()) {
          superblock_.view_headers = start.suffix.headers;
          superblock_.view_durable = start.suffix.head();
        }
        write_superblock(out);
      }
      if (writing_.in_flight) return;
    } else if (message.view > view()) {
      probe<"consensus.view.behind">();
      enter_view(now, message.view, out);
    }
    catch_up(now, message.from, message.view, start.suffix.base, out);
    return;
  }
  if (message.view > view() || is_planted(Canary::regress_view)) {
    abandon_tickets(out);
    superblock_.view = message.view;
    acked_ = {};
    peer_rounds_ = {};
    peer_epochs_ = {};
    peer_lives_ = {};
    collected_ = {};
  }
  probe<"consensus.status.backup">();
  install(start.suffix, out);
  if (is_planted(Canary::lower_commit) && message.commit < commit_ &&
      message.commit >= released_.op) {
    commit_ = message.commit;
    committed_ = point_at(commit_);
  }
  phase_ = Phase::normal;
  adopt(now, out);
  learn_commit(message);
}

// The end of the view's log is beyond what is here: what is committed before it comes first.
void Replica::catch_up(Now now, std::uint8_t from, ViewNumber view, OpNumber until,
                       std::vector<Action>& out) {
  const bool known = catching_up_from_ && catch_up_view_ == view;
  // Of one whose head is lost what was found behind it may be of any log.
  if (!known && (view > log_view() || phase_ == Phase::recovering_head)) {
    canonical_ = std::min(op_, std::max(commit_, std::min(commit_max_, canonical_)));
  }
  catching_up_from_ = from;
  catch_up_view_ = view;
  catch_up_until_ = until;
  request_missing(now, out);
  advance_commit(out);
}

}  // namespace kimberlite::consensus
