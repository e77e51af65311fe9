// The log of a replica: appending, truncating, committing, reading it again.
#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/checked.hpp"
#include "base/probe.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/core/ring.hpp"
#include "consensus/replica.hpp"

namespace kimberlite::consensus {
namespace {

constexpr std::size_t reads_max = 64;
constexpr std::uint64_t commands_max = std::uint64_t{1} << 32U;  // of a prepare, and more

Error unreadable(OpNumber op, const Error& cause) {
  return Error{Code::integrity_journal_lost, "operation {} was durable and cannot be read: {}",
               op.value(), cause.what()}
      .where("{}", cause.where())
      .why("{}", cause.why())
      .next("restore a backup");
}

TimestampUs after(const LiveFrame& frame) {
  return TimestampUs{frame.timestamp.value() + std::max<std::uint32_t>(1, frame.commands)};
}

}  // namespace

// ---- looking ----------------------------------------------------------------------------------

const LiveFrame* Replica::frame_of(OpNumber op) const {
  if (op <= released_.op || op > op_) return nullptr;
  return &frames_[op.value() - released_.op.value() - 1];
}

std::optional<Hash> Replica::checksum_at(OpNumber op) const {
  if (op == released_.op) return released_.header_checksum;
  if (const LiveFrame* frame = frame_of(op)) return frame->checksum;
  const PrepareHeader& header = headers_[op.value() % headers_kept];
  if (op > op_ && op <= known_ && header.op == op) return header.checksum;
  return std::nullopt;
}

Replica::Point Replica::point_at(OpNumber op) const {
  const LiveFrame* frame = frame_of(op);
  if (frame == nullptr) {
    KIMBERLITE_ASSERT(op == released_.op);
    return released_;
  }
  return {.op = op,
          .header_checksum = frame->checksum,
          .next_timestamp = after(*frame),
          .next_offset = core::after({options_.journal.ring_size}, frame->ring_offset,
                                     core::padded(frame->size)),
          .commands = 0};
}

// The newest headers known; its base is committed, since no more than a pipeline is ever not.
Suffix Replica::suffix() const {
  Suffix suffix{.base = known_, .base_checksum = {}, .headers = {}};
  while (suffix.base > released_.op && suffix.headers.size() < view_headers_max) {
    const PrepareHeader& header = headers_[suffix.base.value() % headers_kept];
    if (header.op != suffix.base) break;
    suffix.headers.push_back(header);
    suffix.base = OpNumber{suffix.base.value() - 1};
  }
  std::ranges::reverse(suffix.headers);
  suffix.base_checksum =
      suffix.headers.empty() ? checksum_at(known_).value_or(Hash{}) : suffix.headers.front().parent;
  return suffix;
}

OpNumber Replica::acknowledgeable() const {
  OpNumber until = std::min(durable_, canonical_);
  if (options_.strict) until = std::min(until, marked_);
  // What the checkpoint holds is needed from the journal no more, except by others.
  const auto rotted = rotted_.upper_bound(checkpoint_.op);
  if (rotted != rotted_.end()) until = std::min(until, OpNumber{rotted->value() - 1});
  return until;
}

// ---- appending --------------------------------------------------------------------------------

bool Replica::room_for(std::uint64_t padded) const {
  return core::has_room({options_.journal.ring_size}, released_.next_offset, head_.next_offset,
                        padded);
}

// Of `last`, which is here, its parent: a journal or superblock in which a view or the time goes
// back behind it would not open again.
bool Replica::may_follow(OpNumber last, const PrepareHeader& prepare) const {
  const LiveFrame* frame = frame_of(last);
  const ViewNumber view = frame == nullptr ? ViewNumber{} : frame->view;
  return prepare.parent == checksum_at(last) && prepare.view >= view &&
         prepare.timestamp >= point_at(last).next_timestamp;
}

void Replica::append(const PrepareHeader& prepare, std::uint64_t ring_offset, Buffer bytes,
                     std::optional<std::uint64_t> ticket, std::vector<Action>& out) {
  KIMBERLITE_ASSERT(prepare.op.value() == op_.value() + 1 && stale_writes_ == 0);
  KIMBERLITE_ASSERT(prepare.op.value() - commit_.value() <= slots_max);
  if (!frames_.empty() && ring_offset <= frames_.back().ring_offset)
    probe<"consensus.ring.wrapped">();
  frames_.push_back({.op = prepare.op,
                     .view = prepare.view,
                     .timestamp = prepare.timestamp,
                     .ring_offset = ring_offset,
                     .checksum = prepare.checksum,
                     .size = static_cast<std::uint32_t>(frame_size(prepare)),
                     .commands = prepare.commands,
                     .configures = prepare.configures});
  op_ = prepare.op;
  if (prepare.configures) configures_at_ = op_;
  head_ = point_at(op_);
  headers_[op_.value() % headers_kept] = prepare;
  known_ = std::max(known_, op_);
  slot(op_) = {.op = op_,
               .checksum = prepare.checksum,
               .bytes = bytes,
               .ticket = ticket,
               .written = is_planted(Canary::skip_sync)};
  out.emplace_back(WritePrepare{.op = op_,
                                .ring_offset = ring_offset,
                                .header_checksum = prepare.checksum,
                                .frame = std::move(bytes)});
}

namespace {

// The frame of a prepare that came in a message, in place if the block has room.
MutableBuffer frame_from(const FrameHead& head, const MutableBuffer& message, BlockPool& pool) {
  const auto padded = static_cast<std::size_t>(core::padded(frame_size(head.prepare)));
  MutableBuffer frame = message;
  if (frame->capacity() < padded) {
    frame = pool.take(padded);
    std::ranges::copy(Bytes(message->bytes()), frame->bytes().begin());
  }
  frame->resize(padded);
  seal_local(head, frame->bytes());
  return frame;
}

}  // namespace

// False if there is no room for it now; it comes again.
bool Replica::append_received(const PrepareHeader& prepare, const MutableBuffer& message,
                              std::vector<Action>& out) {
  const std::uint64_t padded = core::padded(frame_size(prepare));
  if (stale_writes_ > 0 || op_.value() - commit_.value() >= slots_max || !room_for(padded) ||
      padded > options_.journal.prepare_size_max) {
    return false;
  }
  const FrameHead head{
      .ring_offset = core::place({options_.journal.ring_size}, head_.next_offset, padded),
      .durable = durable_,
      .prepare = prepare};
  append(prepare, head.ring_offset, frame_from(head, message, pool_), std::nullopt, out);
  return true;
}

void Replica::on(Now, const Propose& event, std::vector<Action>& out) {
  if (!may_propose()) {
    out.emplace_back(Abandon{event.ticket});
    return;
  }
  KIMBERLITE_ASSERT(event.frame != nullptr && event.frame->size() >= frame_header_size);
  KIMBERLITE_ASSERT(event.frame->size() <= options_.journal.prepare_size_max);
  // An empty prepare holds time still: nothing is stamped at or before it any more.
  KIMBERLITE_ASSERT((event.commands == 0) == (event.frame->size() == frame_header_size));
  prepare(event.ticket, event.frame, event.commands, false, out);
}

// The next one of this primary's log: here, and to all.
void Replica::prepare(std::uint64_t ticket, const MutableBuffer& frame, std::uint32_t commands,
                      bool configures, std::vector<Action>& out) {
  const std::uint64_t size = frame->size();
  const std::uint64_t padded = core::padded(size);
  KIMBERLITE_ASSERT(room_for(padded));
  FrameHead head{
      .ring_offset = core::place({options_.journal.ring_size}, head_.next_offset, padded),
      .durable = durable_,
      .prepare = {.checksum = {},
                  .body_checksum = {},
                  .parent = head_.header_checksum,
                  .cluster = superblock_.cluster,
                  .view = superblock_.view,
                  .op = OpNumber{op_.value() + 1},
                  .commit = commit_,
                  .timestamp = std::max(clock_.stamp(now_), head_.next_timestamp),
                  .size = static_cast<std::uint32_t>(size - local_header_size),
                  .commands = commands,
                  .configures = configures}};
  frame->resize(static_cast<std::size_t>(padded));
  seal_frame(head, frame->bytes());
  append(head.prepare, head.ring_offset, frame, ticket, out);
  canonical_ = op_;
  active_ns_ = now_.monotonic_ns;
  if (!has_peers()) return;
  const Buffer message = encode_prepare_message({.from = index(),
                                                 .life = {},
                                                 .epoch = static_cast<std::uint32_t>(epoch()),
                                                 .view = view(),
                                                 .commit = std::min(commit_max_, canonical_),
                                                 .payload = Prepare{head.prepare}},
                                                frame->bytes(), pool_);
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (is_peer(member)) out.emplace_back(Send{.to = member, .message = message});
  }
}

bool Replica::may_propose() const {
  return phase_ == Phase::normal && is_primary() && !closing_ && gate_open() && !syncing_ &&
         clock_.may_stamp() && head_.next_timestamp.value() < timestamp_max - commands_max &&
         commit_.value() >= inherited_.value() + (is_planted(Canary::wait_for_more) ? 1 : 0) &&
         op_.value() - commit_.value() < pipeline_max && stale_writes_ == 0 &&
         room_for(options_.journal.prepare_size_max);
}

void Replica::on(Now now, const PrepareWritten& event, std::vector<Action>& out) {
  if (phase_ == Phase::failed) return;
  const LiveFrame* frame = frame_of(event.op);
  const bool live = frame != nullptr && frame->checksum == event.header_checksum;
  if (!event.status) {
    fail(Error{Code::unavailable_io, "writing a prepare to the journal failed: {}",
               event.status.error().what()}
             .where("{}", event.status.error().where())
             .why("{}", event.status.error().why())
             .next("nothing more is acknowledged; look at the disk, then open the directory again"),
         out);
    return;
  }
  if (!live) {
    probe<"consensus.log.stale_write_ended">();
    if (stale_writes_ > 0) --stale_writes_;
    if (stale_writes_ == 0) request_missing(now, out);
    return;
  }
  if (event.op <= durable_) {
    probe<"consensus.repair.rewritten">();
    rotted_.erase(event.op);
    rewriting_.erase(event.op);
    release(out);
  } else {
    slot(event.op).written = true;
  }
  advance_durable();
  active_ns_ = now.monotonic_ns;
  if (phase_ == Phase::view_change && adopted()) start_as_primary(now, out);
  send_prepare_ok(out);
  advance_commit(out);
  if (!is_primary()) request_missing(now, out);
  maybe_mark(now, out);
}

void Replica::advance_durable() {
  while (durable_ < op_) {
    const OpNumber next{durable_.value() + 1};
    if (slot(next).op != next || !slot(next).written) return;
    durable_ = next;
  }
}

// Gives up what stands behind `last`: it is not in the log of the view.
void Replica::truncate(OpNumber last, std::vector<Action>& out) {
  KIMBERLITE_ASSERT(last >= commit_ && last >= checkpoint_.op && last >= released_.op);  // (R3)
  probe<"consensus.log.truncated">();
  while (op_ > last) {
    Slot& dropped = slot(op_);
    if (dropped.op == op_) {
      if (!dropped.written) ++stale_writes_;
      if (dropped.ticket) out.emplace_back(Abandon{*dropped.ticket});
      dropped = {};
    }
    rotted_.erase(op_);
    stale_writes_ += rewriting_.erase(op_);
    frames_.pop_back();
    op_ = OpNumber{op_.value() - 1};
  }
  head_ = point_at(op_);
  durable_ = std::min(durable_, op_);
  marked_ = std::min(marked_, op_);
  // What it names beyond this log will be another's.
  if (mark_in_flight_) mark_in_flight_ = std::min(*mark_in_flight_, op_);
  canonical_ = std::min(canonical_, op_);
  known_ = op_;
}

// What is committed behind `last` is not what stands there in this log, of an older view: that was
// never committed, and nobody needs it. A next life is not to miss it either.
void Replica::disown(OpNumber last) {
  if (adopted()) return;
  superblock_.words_from = ViewNumber{log_view().value() + 1};
  // Not what is left of those there, which may be the tail of a log that is not this one.
  superblock_.view_headers = suffix().headers;
  const OpNumber newest = superblock_.view_headers.empty() ? superblock_.checkpoint.op
                                                           : superblock_.view_headers.back().op;
  superblock_.view_durable =
      std::min(superblock_.view_durable, std::max(newest, superblock_.checkpoint.op));
  faulty_until_ = std::min(faulty_until_, last);
}

// ---- committing -------------------------------------------------------------------------------

void Replica::advance_commit(std::vector<Action>& out) {
  if (phase_ == Phase::failed || !gate_open() || syncing_) return;
  // What follows a configuration is committed by the voters it names, once it is on disk.
  while (commit_until_configuration(out)) {
    if (!gate_open()) return;
  }
  finish_reads(out);
  maybe_checkpoint(out);
}

// True if it committed a configuration, and stopped behind it.
bool Replica::commit_until_configuration(std::vector<Action>& out) {
  if (is_primary()) {
    acked_[index()] = acknowledgeable();
    const std::uint32_t quorum =
        core::replication_quorum(voters()) - (is_planted(Canary::wrong_quorum) ? 1 : 0);
    const OpNumber last = next_configuration().value_or(op_);
    commit_max_ = std::max(commit_max_, std::min(last, reached_by(quorum, acked_)));
  }
  const OpNumber until = is_planted(Canary::commit_before_canonical)
                             ? std::min(commit_max_, durable_)
                             : std::min({commit_max_, durable_, canonical_, acknowledgeable()});
  while (commit_ < until) {
    const OpNumber next{commit_.value() + 1};
    Slot& here = slot(next);
    if (here.op == next && here.bytes != nullptr) {
      const LiveFrame frame = *frame_of(next);
      commit_one(frame, std::exchange(here, {}), out);
      if (frame.configures) return true;
      continue;
    }
    const std::uint64_t last = std::min(until.value(), commit_.value() + pipeline_max);
    for (std::uint64_t op = next.value(); op <= last; ++op) {
      probe<"consensus.commit.read_back">();
      if (slot(OpNumber{op}).op != OpNumber{op}) read(*frame_of(OpNumber{op}), true, 0, out);
    }
    break;
  }
  return false;
}

void Replica::commit_one(const LiveFrame& frame, Slot&& done, std::vector<Action>& out) {
  KIMBERLITE_ASSERT(gate_open());
  KIMBERLITE_ASSERT(frame.op.value() == commit_.value() + 1 && frame.op <= durable_);  // (R4)
  commit_ = frame.op;
  const std::uint64_t commands = committed_.commands + frame.commands;
  committed_ = point_at(frame.op);
  committed_.commands = commands;
  if (frame.configures) {
    const auto configuration =
        decode_configuration(done.bytes->bytes().subspan<frame_header_size, configuration_size>());
    KIMBERLITE_ASSERT(configuration.has_value());
    take_configuration(*configuration, true, out);
  }
  out.emplace_back(Commit{.op = frame.op,
                          .timestamp = frame.timestamp,
                          .commands = frame.commands,
                          .frame_size = frame.size,
                          .ring_offset = frame.ring_offset,
                          .header_checksum = frame.checksum,
                          .frame = std::move(done.bytes),
                          .ticket = done.ticket});
}

// (R5)
void Replica::release(std::vector<Action>&) {
  peer_checkpoints_[index()] = checkpoint_.op;
  if (voters() == 1) {
    group_checkpoint_ = checkpoint_.op;
  } else if (is_primary()) {
    group_checkpoint_ = std::max(group_checkpoint_,
                                 reached_by(core::replication_quorum(voters()), peer_checkpoints_));
  }
  OpNumber until = std::min(checkpoint_.op, group_checkpoint_);
  if (!rewriting_.empty()) until = std::min(until, OpNumber{rewriting_.begin()->value() - 1});
  if (until <= released_.op) return;
  const std::uint64_t commands = released_.commands;
  const Point point = point_at(until);
  frames_.erase(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(
                                                       until.value() - released_.op.value()));
  released_ = point;
  released_.commands = commands;
  rotted_.erase(rotted_.begin(), rotted_.upper_bound(until));
}

// ---- reading ----------------------------------------------------------------------------------

void Replica::read(const LiveFrame& frame, bool for_commit, std::uint32_t peers,
                   std::vector<Action>& out) {
  if (rotted_.contains(frame.op)) return;
  for (Read& pending : reads_) {
    if (pending.op != frame.op || pending.checksum != frame.checksum) continue;
    pending.for_commit = pending.for_commit || for_commit;
    pending.peers |= peers;
    return;
  }
  if (!for_commit && reads_.size() >= reads_max) return;
  reads_.push_back(
      {.op = frame.op, .checksum = frame.checksum, .for_commit = for_commit, .peers = peers});
  out.emplace_back(ReadPrepare{.op = frame.op,
                               .ring_offset = frame.ring_offset,
                               .size = static_cast<std::uint32_t>(core::padded(frame.size)),
                               .header_checksum = frame.checksum});
}

void Replica::on(Now now, const PrepareRead& event, std::vector<Action>& out) {
  const auto found = std::ranges::find_if(reads_, [&](const Read& read) {
    return read.op == event.op && read.checksum == event.header_checksum;
  });
  if (phase_ == Phase::failed || found == reads_.end()) return;
  const Read read = *found;
  reads_.erase(found);
  const LiveFrame* frame = frame_of(event.op);
  // Another prepare was written there meanwhile, or the ring was released.
  if (frame == nullptr || frame->checksum != event.header_checksum) return;
  Status whole = event.status;
  if (whole && !is_planted(Canary::skip_read_hash)) {
    if (auto body = open_frame(event.frame->bytes(), frame->ring_offset, frame->checksum); !body) {
      whole = body.error();
    }
  }
  if (!whole) {
    if (voters() == 1) return fail(unreadable(event.op, whole.error()), out);
    probe<"consensus.repair.unreadable">();
    rotted_.insert(event.op);
    request_missing(now, out);
    return;
  }
  const auto header =
      decode_prepare(Bytes(event.frame->bytes()).subspan<local_header_size, prepare_header_size>());
  KIMBERLITE_ASSERT(header.has_value());
  // Asked for again, if a view began meanwhile and is not durable yet.
  for (std::uint8_t peer = 0; peer < members_max && gate_open(); ++peer) {
    if (((read.peers >> peer) & 1U) != 0) send_prepare(peer, *header, event.frame->bytes(), out);
  }
  Slot& here = slot(event.op);
  if (read.for_commit && event.op > commit_ && here.op != event.op) {
    KIMBERLITE_ASSERT(here.op.value() == 0);
    here = {.op = event.op,
            .checksum = event.header_checksum,
            .bytes = event.frame,
            .ticket = std::nullopt,
            .written = true};
    advance_commit(out);
  }
}

// A prepare of the log that rotted on this disk, from a peer: written again in its old place.
bool Replica::rewrite(const PrepareHeader& prepare, const MutableBuffer& message,
                      std::vector<Action>& out) {
  if (!rotted_.contains(prepare.op)) return false;
  const LiveFrame* frame = frame_of(prepare.op);
  if (frame == nullptr || frame->checksum != prepare.checksum) return false;
  probe<"consensus.repair.from_peer">();
  if (!rewriting_.insert(prepare.op).second) return true;
  const FrameHead head{.ring_offset = frame->ring_offset,
                       .durable = OpNumber{std::min(durable_.value(), prepare.op.value() - 1)},
                       .prepare = prepare};
  out.emplace_back(WritePrepare{.op = prepare.op,
                                .ring_offset = frame->ring_offset,
                                .header_checksum = prepare.checksum,
                                .frame = frame_from(head, message, pool_)});
  return true;
}

}  // namespace kimberlite::consensus
