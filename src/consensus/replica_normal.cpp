// Normal operation and repair: prepares to backups, their answers, heartbeats, reads, and fetching
// what was missed.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/probe.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/core/ring.hpp"
#include "consensus/replica.hpp"

namespace kimberlite::consensus {
namespace {

// How much more often others' clocks are asked for while too few are known.
constexpr std::uint64_t hurry = 16;
constexpr std::uint64_t view_leap_max = std::uint64_t{1} << 32U;
// A disk is given so many timeouts of a primary for one write.
constexpr std::uint64_t stuck_timeouts = 4;

}  // namespace

// ---- sending ----------------------------------------------------------------------------------

void Replica::send_in_view(std::uint8_t to, ViewNumber view, Payload payload,
                           std::vector<Action>& out) {
  // Who was taken out has no word. Where that is not known he might still be counted.
  if (!is_member() && !std::holds_alternative<Hello>(payload)) return;
  out.emplace_back(Send{.to = to,
                        .message = encode_message({.from = index(),
                                                   .life = life(),
                                                   .epoch = static_cast<std::uint32_t>(epoch()),
                                                   .view = view,
                                                   .commit = std::min(commit_max_, canonical_),
                                                   .payload = std::move(payload)},
                                                  superblock_.cluster, pool_)});
}

void Replica::send(std::uint8_t to, Payload payload, std::vector<Action>& out) {
  send_in_view(to, view(), std::move(payload), out);
}

void Replica::broadcast(const Payload& payload, std::vector<Action>& out) {
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (is_peer(member)) send(member, payload, out);
  }
}

void Replica::send_prepare(std::uint8_t to, const PrepareHeader& header, Bytes frame,
                           std::vector<Action>& out) {
  if (!is_member()) return;
  out.emplace_back(
      Send{.to = to,
           .message = encode_prepare_message({.from = index(),
                                              .life = {},
                                              .epoch = static_cast<std::uint32_t>(epoch()),
                                              .view = view(),
                                              .commit = std::min(commit_max_, canonical_),
                                              .payload = Prepare{header}},
                                             frame, pool_)});
}

// To the primary of this view, and only what is durable here in the log of that view.
void Replica::send_prepare_ok(std::vector<Action>& out) {
  if (phase_ != Phase::normal || !gate_open() || syncing_ || closing_ || is_primary()) return;
  if (!is_confirmed() || primary() == index()) return;
  const OpNumber op = acknowledgeable();
  if (op <= released_.op && op != released_.op) return;
  const std::optional<Hash> checksum = checksum_at(op);
  if (!checksum) return;
  send(primary(), PrepareOk{.op = op, .checkpoint = checkpoint_.op, .checksum = *checksum}, out);
}

// No quorum has said anything for so long that it would have left a silent primary's view.
bool Replica::is_deaf() const {
  std::uint32_t heard = 0;
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (!is_voter(i)) continue;
    const bool lately = now_.monotonic_ns < heard_at_ns_[i] + options_.primary_timeout_ns;
    if (i == index() || lately) ++heard;
  }
  return heard < core::replication_quorum(voters());
}

void Replica::note_progress() {
  const Progress now{.durable = durable_,
                     .commit = commit_,
                     .superblock = durable_sequence_,
                     .stale_writes = stale_writes_};
  const bool waits_for_disk =
      durable_ < op_ || commit_ < commit_max_ || writing_.in_flight || stale_writes_ > 0;
  if (waits_for_disk && now == progress_) return;
  progress_ = now;
  progress_ns_ = now_.monotonic_ns;
}

// Nothing on its disk has ended for so long that nobody can say whether it will: what others have
// committed waits for that alone.
bool Replica::is_stuck() const {
  return now_.monotonic_ns >= progress_ns_ + stuck_timeouts * options_.primary_timeout_ns;
}

// A primary that hears nobody, or whose disk hangs, can commit nothing, and one whose clock a
// quorum of the others' contradicts may not: so it does not hold those in its view who hear it.
void Replica::send_heartbeats(std::vector<Action>& out) {
  heartbeat_at_ = now_.monotonic_ns + options_.heartbeat_ns;
  peer_rounds_[index()] = ++round_;
  note_progress();
  if (is_deaf() || is_stuck() || clock_.status() == ClockStatus::outvoted) return;
  broadcast(
      Heartbeat{.round = round_, .op = op_, .released = group_checkpoint_, .lives = durable_lives_},
      out);
}

// ---- the cluster's time -----------------------------------------------------------------------

void Replica::send_pings(Now now, std::vector<Action>& out) {
  if (voters() == 1 || !is_voter() || now.monotonic_ns < ping_at_) return;
  clock_.decide(now);
  const bool hurries = clock_.status() == ClockStatus::waiting;
  ping_at_ = now.monotonic_ns + options_.ping_ns / (hurries ? hurry : 1);
  clock_.sent(++ping_round_, now);
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (member != index() && is_voter(member)) send(member, Ping{.round = ping_round_}, out);
  }
}

void Replica::receive(Now now, const Message& message, const Ping& ping, std::vector<Action>& out) {
  send(message.from, Pong{.round = ping.round, .wall = now.realtime}, out);
}

void Replica::receive(Now now, const Message& message, const Pong& pong, std::vector<Action>&) {
  clock_.heard(message.from, pong.round, pong.wall, now);
  clock_.decide(now);
}

// ---- receiving --------------------------------------------------------------------------------

void Replica::on(Now now, const Received& event, std::vector<Action>& out) {
  if (phase_ == Phase::failed || closing_) return;
  const auto decoded = decode_message(event.message->bytes(), superblock_.cluster);
  if (!decoded || decoded->from != event.from || event.from == index() ||
      event.from >= members_max || is_beyond_reach(decoded->view)) {
    probe<"consensus.message.no_members">();
    ++dropped_;
    return;
  }
  const Message& message = *decoded;
  if (!is_of_life_known(message, out)) return;
  heard_at_ns_[message.from] = now.monotonic_ns;
  if (!may_count(message, out)) return;
  std::visit(
      [&](const auto& payload) {
        using What = std::remove_cvref_t<decltype(payload)>;
        if constexpr (std::is_same_v<What, Prepare>) {
          receive(now, message, payload, event.message, out);
        } else {
          receive(now, message, payload, out);
        }
      },
      message.payload);
}

// No group gets there from here: from there it could never leave again.
bool Replica::is_beyond_reach(ViewNumber other) const {
  return other.value() > view().value() + view_leap_max;
}

// What a member of this view has committed is committed, in the log of this view.
void Replica::learn_commit(const Message& message) {
  if (message.view == view() && adopted()) commit_max_ = std::max(commit_max_, message.commit);
}

void Replica::receive(Now now, const Message& message, const Prepare& prepare,
                      const MutableBuffer& bytes, std::vector<Action>& out) {
  if (syncing_ || !gate_open()) return;
  // Good in every state, and of whatever log: it is what stands here already.
  const bool is_rewritten = rewrite(prepare.header, bytes, out);
  const bool is_of_view =
      message.view == view() || (message.view < view() && is_planted(Canary::take_old_prepare));
  if (catching_up_from_ && message.view == catch_up_view_) {
    take_committed(now, message, prepare.header, bytes, out);
  } else if (message.view > view()) {
    probe<"consensus.prepare.of_later_view">();
    ask_for_start_view(now, message.from, out);
  } else if (phase_ == Phase::recovering_head) {
    probe<"consensus.head.prepare_unanswered">();
  } else if (is_of_view && adopted() && !is_primary()) {
    learn_commit(message);
    if (!is_rewritten) take_prepare(now, message, prepare.header, bytes, out);
    advance_commit(out);
  }
}

// (R8) The next one of the view's log: from its primary, or known by its header.
void Replica::take_prepare(Now now, const Message& message, const PrepareHeader& prepare,
                           const MutableBuffer& bytes, std::vector<Action>& out) {
  if (prepare.op <= op_) {
    probe<"consensus.prepare.again">();
    if (message.from == primary()) send_prepare_ok(out);
    return;
  }
  if (prepare.op.value() != op_.value() + 1) {
    probe<"consensus.prepare.gap">();
    if (message.from == primary()) wanted_ = std::max(wanted_, prepare.op);
    request_missing(now, out);
    return;
  }
  const PrepareHeader& known = headers_[prepare.op.value() % headers_kept];
  const bool expected = prepare.op <= known_
                            ? known.op == prepare.op && known.checksum == prepare.checksum
                            : message.from == primary();
  if (!expected || !may_follow(op_, prepare)) {
    ++dropped_;
    if (is_planted(Canary::truncate_at_break)) known_ = op_;
    return;
  }
  probe<"consensus.prepare.appended">();
  if (!append_received(prepare, bytes, out)) return;
  canonical_ = op_;
  active_ns_ = now.monotonic_ns;
  // One that leads no more may still answer those who ask it for what they lack.
  if (phase_ == Phase::view_change || message.from == primary()) heard_primary(now);
}

// Before the view's log can be adopted: committed prepares only, each compared with what is here.
void Replica::take_committed(Now now, const Message& message, const PrepareHeader& prepare,
                             const MutableBuffer& bytes, std::vector<Action>& out) {
  if (prepare.op.value() != canonical_.value() + 1 || prepare.op > message.commit) return;
  if (!may_follow(canonical_, prepare)) {
    ++dropped_;
    return;
  }
  probe<"consensus.catch_up.committed">();
  if (prepare.op <= op_ && frame_of(prepare.op)->checksum == prepare.checksum) {
    canonical_ = prepare.op;
  } else {
    // The old view's log, of which this replica may know no more than headers here, is another one.
    const PrepareHeader& known = headers_[prepare.op.value() % headers_kept];
    if (prepare.op <= op_ || (prepare.op <= known_ && known.checksum != prepare.checksum)) {
      probe<"consensus.catch_up.other_log">();
      truncate(canonical_, out);
      disown(canonical_);
      write_superblock(out);
    }
    if (!append_received(prepare, bytes, out)) return;
    canonical_ = op_;
  }
  commit_max_ = std::max(commit_max_, std::min(message.commit, catch_up_until_));
  timeout_at_ = std::max(timeout_at_, now.monotonic_ns + options_.primary_timeout_ns);
  advance_commit(out);
  if (canonical_ < catch_up_until_) {
    request_missing(now, out);
  } else if (primary_of(catch_up_view_) == index()) {
    probe<"consensus.catch_up.primary">();
    decide_log(now, out);
  } else {
    ask_for_start_view(now, *catching_up_from_, out);
  }
}

void Replica::receive(Now, const Message& message, const PrepareOk& ok, std::vector<Action>& out) {
  if (message.view != view() || !is_primary() || !gate_open() || ok.op > op_) return;
  const std::optional<Hash> checksum = checksum_at(ok.op);
  if (checksum && *checksum != ok.checksum) {
    ++dropped_;
    return;
  }
  if (!checksum && ok.op > released_.op) return;
  acked_[message.from] = std::max(acked_[message.from], ok.op);
  peer_epochs_[message.from] = std::max<std::uint64_t>(peer_epochs_[message.from], message.epoch);
  peer_checkpoints_[message.from] = std::max(peer_checkpoints_[message.from], ok.checkpoint);
  release(out);
  advance_commit(out);
}

void Replica::receive(Now now, const Message& message, const Heartbeat& beat,
                      std::vector<Action>& out) {
  // By a later configuration the index may be another's.
  if (message.epoch <= epoch()) hear_of_itself(message.from, beat.lives[index()], out);
  if (phase_ == Phase::failed) return;
  if (take_lives(beat.lives)) write_superblock(out);
  if (message.view < view() || message.from != primary_of(message.view)) return;
  const bool follows = message.view == view() && adopted() && phase_ != Phase::recovering_head;
  // What a quorum has in checkpoints it has in every view; and with a full ring there is no room to
  // catch up with this one's log.
  group_checkpoint_ = std::max(group_checkpoint_, beat.released);
  release(out);
  if (!follows) {
    ask_for_start_view(now, message.from, out);
    return;
  }
  if (phase_ != Phase::normal || !gate_open()) return;
  heard_primary(now);
  learn_commit(message);
  wanted_ = std::max(wanted_, beat.op);
  if (is_confirmed()) {
    send(message.from,
         HeartbeatOk{.round = beat.round, .checkpoint = checkpoint_.op, .lives = durable_lives_},
         out);
  }
  if (message.commit < beat.op || acknowledgeable() < beat.op) send_prepare_ok(out);
  request_missing(now, out);
  advance_commit(out);
}

void Replica::receive(Now, const Message& message, const HeartbeatOk& ok,
                      std::vector<Action>& out) {
  if (message.epoch <= epoch()) hear_of_itself(message.from, ok.lives[index()], out);
  if (phase_ == Phase::failed) return;
  if (take_lives(ok.lives)) write_superblock(out);
  if (message.view != view() || !is_primary()) return;
  const bool is_to_this_life = ok.round > first_round_ && ok.round <= round_;
  if (is_to_this_life || is_planted(Canary::count_other_rounds)) {
    peer_rounds_[message.from] = std::max(peer_rounds_[message.from], ok.round);
  } else {
    probe<"consensus.heartbeat.to_another_life">();
  }
  peer_lives_[message.from] = ok.lives;
  peer_epochs_[message.from] = std::max<std::uint64_t>(peer_epochs_[message.from], message.epoch);
  peer_checkpoints_[message.from] = std::max(peer_checkpoints_[message.from], ok.checkpoint);
  release(out);
  finish_reads(out);
}

// ---- repair -----------------------------------------------------------------------------------

// At most as much as there are slots for; asked for again until it came.
void Replica::request_missing(Now now, std::vector<Action>& out) {
  if (phase_ == Phase::failed || closing_ || syncing_ || !gate_open() || !has_peers()) return;
  const auto next_member = [&] {
    do {
      asked_ = static_cast<std::uint8_t>((asked_ + 1) % members_max);
    } while (!is_peer(asked_));
    return asked_;
  };
  OpNumber last = canonical_;
  OpNumber until = canonical_;
  if (catching_up_from_) {
    until = catch_up_until_;
  } else if (adopted() && !is_primary() && phase_ != Phase::recovering_head) {
    last = op_;
    until = phase_ == Phase::normal ? std::max(wanted_, known_) : known_;
  }
  if (until <= last && rotted_.empty()) return;
  // If all that was asked for came, what is next is asked for at once: a group under load is caught
  // up with by nothing else.
  const bool came = until > last && asked_to_ > OpNumber{} && last >= asked_to_;
  if (now.monotonic_ns < repair_at_ && !came) return;
  asked_to_ = {};
  repair_at_ = now.monotonic_ns + options_.repair_ns;
  std::uint8_t whom = primary();
  ViewNumber in = view();
  if (catching_up_from_) {
    probe<"consensus.repair.catching_up">();
    whom = *catching_up_from_;
    in = catch_up_view_;
  } else if (primary() == index() && !is_primary()) {
    whom = next_member();
  }
  // What the one asked first has may not be whole there.
  if (until > last && std::exchange(ask_another_, false)) whom = next_member();
  const std::uint64_t uncommitted = op_.value() - commit_.value();
  const std::uint64_t room = slots_max - std::min<std::uint64_t>(slots_max, uncommitted);
  if (until > last && stale_writes_ == 0 && (room > 0 || op_ > last)) {
    probe<"consensus.repair.requested">();
    // What is here already is compared only, and takes no slot.
    const std::uint64_t to = std::min(
        {until.value(), last.value() + request_max, std::max(op_.value(), last.value()) + room});
    asked_to_ = OpNumber{to};
    send_in_view(whom, in, RequestPrepares{.from = OpNumber{last.value() + 1}, .to = OpNumber{to}},
                 out);
  }
  if (!rotted_.empty()) {
    probe<"consensus.repair.rotted_requested">();
    const OpNumber op = *rotted_.begin();
    send(next_member(), RequestPrepares{.from = op, .to = op}, out);
  }
}

// Serves from memory or the ring, whatever the status: the asker knows what it may take.
void Replica::receive(Now now, const Message& message, const RequestPrepares& request,
                      std::vector<Action>& out) {
  if (message.view != view() || !gate_open() || syncing_ || request.to < request.from) return;
  // What rotted and is in the checkpoint is as good as released: nobody else may have it.
  if (request.from <= released_.op ||
      (request.from <= checkpoint_.op && rotted_.contains(request.from))) {
    probe<"consensus.repair.gone">();
    send(message.from, Gone{.op = request.from, .checkpoint = checkpoint_.op}, out);
    return;
  }
  // The view's primary is getting there; if it is not, another view is needed.
  if (phase_ == Phase::view_change && message.from == primary() && request.from > primary_wants_) {
    primary_wants_ = request.from;
    timeout_at_ = std::max(timeout_at_, now.monotonic_ns + options_.primary_timeout_ns);
  }
  std::uint64_t bytes = 0;
  const std::uint64_t last =
      std::min({request.to.value(), op_.value(), request.from.value() + request_max - 1});
  for (std::uint64_t op = request.from.value(); op <= last; ++op) {
    const LiveFrame& frame = *frame_of(OpNumber{op});
    const Slot& here = slot(OpNumber{op});
    if (bytes > 0 && bytes + frame.size > base::prepare_size_max) return;
    bytes += frame.size;
    if (here.op == OpNumber{op} && here.bytes != nullptr) {
      const auto header =
          decode_prepare(here.bytes->bytes().subspan<local_header_size, prepare_header_size>());
      KIMBERLITE_ASSERT(header.has_value());
      send_prepare(message.from, *header, here.bytes->bytes(), out);
    } else if (OpNumber{op} <= durable_) {
      probe<"consensus.repair.served_from_disk">();
      read(frame, false, 1U << message.from, out);
    }
  }
}

// The log does not reach back far enough anywhere: only a checkpoint's state helps.
void Replica::receive(Now, const Message& message, const Gone& gone, std::vector<Action>& out) {
  if (syncing_ || !gate_open()) return;
  if (message.view != view() && !(catching_up_from_ && message.view == catch_up_view_)) return;
  const OpNumber needed{(catching_up_from_ ? canonical_ : op_).value() + 1};
  // Rotted, and nobody else has it: if it is committed here, a checkpoint makes up for it. Of the
  // primary's log nothing but what rotted can be missing.
  if (rotted_.contains(gone.op) && gone.op <= commit_) {
    probe<"consensus.repair.checkpoint_instead">();
    checkpoint_requested_ = true;
    maybe_checkpoint(out);
    return;
  }
  const bool rotten = rotted_.contains(gone.op);
  const bool missing = gone.op == needed && !is_primary();
  if (!(rotten || missing) || gone.checkpoint <= commit_ || gone.checkpoint < gone.op) return;
  if (is_planted(Canary::truncate_before_sync) && op_ > commit_) truncate(commit_, out);
  probe<"consensus.sync.begun">();
  syncing_ = true;
  sync_due_ = StartSync{.from = message.from, .op = gone.checkpoint};
  superblock_.sync_from = commit_;
  superblock_.sync_to = std::max(superblock_.sync_to, gone.checkpoint);
  write_superblock(out);
}

// ---- reads ------------------------------------------------------------------------------------

// Of the newest primary if a quorum answers a heartbeat sent after the question came: no later view
// had begun when it was.
void Replica::on(Now, const ReadIndex& event, std::vector<Action>& out) {
  // One that hears nobody, or whose disk hangs, would collect questions for as long as that lasts.
  const bool is_in_vain = (is_deaf() || is_stuck()) && !pending_reads_.empty();
  if (!is_primary() || !gate_open() || closing_ || is_in_vain) {
    probe<"consensus.read.refused">();
    out.emplace_back(Abandon{event.ticket});
    return;
  }
  const bool first = pending_reads_.empty();
  pending_reads_.push_back(
      {.ticket = event.ticket, .op = std::max(commit_max_, inherited_), .round = round_ + 1});
  if (first) send_heartbeats(out);
  finish_reads(out);
}

void Replica::finish_reads(std::vector<Action>& out) {
  if (!is_primary()) return;
  while (!pending_reads_.empty()) {
    const std::uint64_t confirmed = reached_by(core::replication_quorum(voters()), peer_rounds_);
    const auto waits = std::ranges::find_if(pending_reads_, [&](const PendingRead& read) {
      const bool unconfirmed = read.round > confirmed && !is_planted(Canary::stale_read);
      return unconfirmed || read.op > commit_;
    });
    for (auto done = pending_reads_.begin(); done != waits; ++done) {
      probe<"consensus.read.confirmed">();
      out.emplace_back(ReadReady{done->ticket});
    }
    pending_reads_.erase(pending_reads_.begin(), waits);
    if (pending_reads_.empty() || pending_reads_.front().round <= round_) return;
    send_heartbeats(out);
  }
}

// ---- time -------------------------------------------------------------------------------------

void Replica::on(Now now, const Tick&, std::vector<Action>& out) {
  maybe_mark(now, out);
  if (phase_ == Phase::failed || closing_ || !has_peers() || !gate_open()) return;
  if (now.monotonic_ns >= hello_at_) say_hello(now, out);
  if (!is_member()) return;
  send_pings(now, out);
  if (is_primary()) {
    if (now.monotonic_ns >= heartbeat_at_) send_heartbeats(out);
    request_missing(now, out);
    return;
  }
  if (now.monotonic_ns >= resend_at_) {
    resend_at_ = now.monotonic_ns + options_.resend_ns;
    if (phase_ == Phase::recovering_head) {
      probe<"consensus.head.asked_for">();
      broadcast(RequestStartView{.nonce = nonce_, .lost = is_lost()}, out);
    } else if (catching_up_from_ && *catching_up_from_ != index()) {
      ask_for_start_view(now, *catching_up_from_, out);
    } else if (phase_ == Phase::view_change && !adopted() && is_voter()) {
      send_do_view_change(out);
    } else if (phase_ == Phase::view_change && !adopted()) {
      // It voted for this view, and votes no more: the group may have gone on in an earlier one.
      probe<"consensus.members.left_in_view">();
      broadcast(RequestStartView{.nonce = nonce_, .lost = false}, out);
    }
  }
  request_missing(now, out);
  if (is_voter() && phase_ != Phase::recovering_head && now.monotonic_ns >= timeout_at_) {
    probe<"consensus.view.timeout">();
    vote(now, out);
  }
}

std::optional<std::uint64_t> Replica::wake_at() const {
  if (phase_ == Phase::failed || !gate_open()) return std::nullopt;
  std::optional<std::uint64_t> wake;
  const auto by = [&](std::uint64_t at) { wake = std::min(wake.value_or(at), at); };
  if (!mark_in_flight_ && durable_ != marked_) by(active_ns_ + mark_idle_ns);
  if (!has_peers() || closing_) return wake;
  by(hello_at_);
  if (!is_member()) return wake;
  if (is_voter() && voters() > 1) by(ping_at_);
  if (is_primary()) {
    by(heartbeat_at_);
  } else {
    by(resend_at_);
    if (is_voter() && phase_ != Phase::recovering_head) by(timeout_at_);
    const OpNumber until = adopted() ? std::max(wanted_, known_) : op_;
    const bool missing = catching_up_from_ ? catch_up_until_ > canonical_
                                           : until > op_ && phase_ != Phase::recovering_head;
    if (missing && !syncing_) by(repair_at_);
  }
  if (!rotted_.empty() && !syncing_) by(repair_at_);
  return wake;
}

}  // namespace kimberlite::consensus
