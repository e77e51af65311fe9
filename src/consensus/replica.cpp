#include "consensus/replica.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "consensus/core/marks.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/core/ring.hpp"

namespace kimberlite::consensus {
namespace {

static_assert(headers_kept >= mark_headers_max + pipeline_max);
static_assert(headers_kept >= view_headers_max);

// The device's words, with what the replica was doing in front.
Error write_failed(const Error& cause, std::string_view what) {
  return Error{Code::unavailable_io, "writing {} failed: {}", what, cause.what()}
      .where("{}", cause.where())
      .why("{}", cause.why())
      .next("nothing more is acknowledged; look at the disk, then open the directory again");
}

TimestampUs after(const LiveFrame& frame) {
  return TimestampUs{frame.timestamp.value() + std::max<std::uint32_t>(1, frame.commands)};
}

}  // namespace

// ---- opening ----------------------------------------------------------------------------------

Result<std::unique_ptr<Replica>> Replica::open(Now now, const ReplicaOptions& options,
                                               const Recovered& recovered, BlockPool& pool,
                                               std::vector<Action>& out) {
  KIMBERLITE_CHECK(check_limits(options.journal));
  const Superblock& superblock = recovered.superblock.superblock;
  if (superblock.voters != 1 || superblock.members.size() != 1) {
    return Error{Code::usage_config, "this release runs clusters of one replica"}
        .where("superblock")
        .why("the directory is of a cluster of {} voters and {} standbys", superblock.voters,
             superblock.members.size() - superblock.voters)
        .next("use the release the cluster runs");
  }
  std::unique_ptr<Replica> replica(new Replica(options, recovered, pool));
  replica->active_ns_ = now.monotonic_ns;
  replica->write_superblock(out);
  return replica;
}

Replica::Replica(const ReplicaOptions& options, const Recovered& recovered, BlockPool& pool)
    : options_(options),
      pool_(pool),
      superblock_(recovered.superblock.superblock),
      superblock_identity_(consensus::superblock_identity(superblock_)),
      order_(recovered.superblock.order),
      durable_view_(superblock_.view),
      durable_log_view_(superblock_.log_view),
      checkpoint_(superblock_.checkpoint),
      recovered_(recovered.journal.frames),
      mark_sequence_(recovered.journal.mark_sequence),
      mark_wanted_(recovered.journal.mark_damaged) {
  const JournalRecovery& journal = recovered.journal;
  committed_ = {.op = checkpoint_.op,
                .header_checksum = checkpoint_.header_checksum,
                .next_timestamp = checkpoint_.next_timestamp,
                .next_offset = checkpoint_.ring_offset,
                .commands = 0};
  head_ = committed_;
  for (const PrepareHeader& header : journal.newest) {
    headers_[header.op.value() % headers_kept] = header;
  }
  if (!recovered_.empty()) {
    const LiveFrame& newest = recovered_.back();
    head_ = {.op = newest.op,
             .header_checksum = newest.checksum,
             .next_timestamp = after(newest),
             .next_offset = journal.next_offset,
             .commands = 0};
    for (const LiveFrame& frame : recovered_) head_.commands += frame.commands;
  }
  op_ = head_.op;
  durable_ = op_;
  commit_ = committed_.op;

  // The log as found is adopted in a view of its own: what else is on disk is older, and beyond its
  // head never counts again (J3). One superblock says both, so they change together.
  ++superblock_.incarnation;
  superblock_.view = ViewNumber{superblock_.view.value() + 1};
  superblock_.log_view = superblock_.view;
  superblock_.view_headers = journal.newest;
  // From then on the superblock is as good as a mark for all that was found.
  marked_ = op_;
}

void Replica::adopt(std::vector<Action>& out) {
  if (status_ == ReplicaStatus::opening) status_ = ReplicaStatus::normal;
  const std::vector<LiveFrame> frames = std::exchange(recovered_, {});
  for (const LiveFrame& frame : frames) commit_one(frame, nullptr, std::nullopt, out);
  KIMBERLITE_ASSERT(commit_ == op_);
}

// ---- events -----------------------------------------------------------------------------------

void Replica::step(Now now, const Event& event, std::vector<Action>& out) {
  std::visit([&](const auto& what) { on(now, what, out); }, event);
}

void Replica::on(Now now, const Tick&, std::vector<Action>& out) { maybe_mark(now, out); }

// There is no other member, so nobody this could be from.
void Replica::on(Now, const Received&, std::vector<Action>&) { ++dropped_; }

void Replica::on(Now now, const Propose& event, std::vector<Action>& out) {
  if (!may_propose()) {
    out.emplace_back(Abandon{event.ticket});
    return;
  }
  KIMBERLITE_ASSERT(event.frame != nullptr && event.frame->size() >= frame_header_size);
  KIMBERLITE_ASSERT(event.frame->size() <= options_.journal.prepare_size_max);
  // An empty prepare holds time still: nothing is stamped at or before it any more.
  KIMBERLITE_ASSERT((event.commands == 0) == (event.frame->size() == frame_header_size));
  const std::uint64_t size = event.frame->size();
  const std::uint64_t padded = core::padded(size);
  const core::Ring ring{options_.journal.ring_size};
  KIMBERLITE_ASSERT(core::has_room(ring, checkpoint_.ring_offset, head_.next_offset, padded));

  FrameHead head{.ring_offset = core::place(ring, head_.next_offset, padded),
                 .durable = durable_,
                 .prepare = {.checksum = {},
                             .body_checksum = {},
                             .parent = head_.header_checksum,
                             .cluster = superblock_.cluster,
                             .view = superblock_.view,
                             .op = OpNumber{op_.value() + 1},
                             .commit = commit_,
                             .timestamp = std::max(now.realtime, head_.next_timestamp),
                             .size = static_cast<std::uint32_t>(size - local_header_size),
                             .commands = event.commands}};
  event.frame->resize(static_cast<std::size_t>(padded));
  seal_frame(head, event.frame->bytes());
  const PrepareHeader& prepare = head.prepare;

  op_ = prepare.op;
  head_ = {.op = op_,
           .header_checksum = prepare.checksum,
           .next_timestamp = next_timestamp(prepare),
           .next_offset = core::after(ring, head.ring_offset, padded),
           .commands = head_.commands + prepare.commands};
  headers_[op_.value() % headers_kept] = prepare;
  slot(op_) = {.frame = {.op = op_,
                         .view = prepare.view,
                         .timestamp = prepare.timestamp,
                         .ring_offset = head.ring_offset,
                         .checksum = prepare.checksum,
                         .size = static_cast<std::uint32_t>(size),
                         .commands = prepare.commands},
               .bytes = event.frame,
               .ticket = event.ticket,
               .written = false,
               .votes = 0};
  active_ns_ = now.monotonic_ns;
  out.emplace_back(WritePrepare{.op = op_,
                                .ring_offset = head.ring_offset,
                                .header_checksum = prepare.checksum,
                                .frame = event.frame});
}

void Replica::on(Now now, const PrepareWritten& event, std::vector<Action>& out) {
  if (status_ == ReplicaStatus::failed) return;
  if (event.op <= commit_ || event.op > op_) return;
  Slot& written = slot(event.op);
  if (written.frame.checksum != event.header_checksum) return;
  if (!event.status) {
    fail(write_failed(event.status.error(), "a prepare to the journal"), out);
    return;
  }
  written.written = true;
  while (durable_ < op_ && slot(OpNumber{durable_.value() + 1}).written) {
    durable_ = OpNumber{durable_.value() + 1};
  }
  active_ns_ = now.monotonic_ns;
  vote();
  advance_commit(out);
  maybe_mark(now, out);
}

void Replica::on(Now now, const MarkWritten& event, std::vector<Action>& out) {
  if (status_ == ReplicaStatus::failed) return;
  if (!mark_in_flight_ || event.sequence != mark_sequence_) return;
  if (!event.status) {
    fail(write_failed(event.status.error(), "a mark of the journal"), out);
    return;
  }
  marked_ = std::max(marked_, *mark_in_flight_);
  mark_in_flight_.reset();
  vote();
  advance_commit(out);
  maybe_mark(now, out);
}

void Replica::on(Now now, const SuperblockWritten& event, std::vector<Action>& out) {
  if (status_ == ReplicaStatus::failed) return;
  if (!superblock_in_flight_ || event.sequence != superblock_.sequence) return;
  if (!event.status) {
    fail(write_failed(event.status.error(), "the superblock"), out);
    return;
  }
  superblock_in_flight_ = false;
  order_ = healthy_order;
  const bool opened = !gate_open();
  durable_view_ = superblock_.view;
  durable_log_view_ = superblock_.log_view;
  checkpoint_ = superblock_.checkpoint;  // (R5): only now is the ring before it free
  if (opened) {
    adopt(out);
  } else {
    KIMBERLITE_ASSERT(checkpointing_.has_value());
    checkpoint_commands_ = checkpointing_->commands;
    checkpointing_.reset();
  }
  maybe_checkpoint(out);
  maybe_mark(now, out);
}

void Replica::on(Now, const CheckpointDone& event, std::vector<Action>& out) {
  if (status_ == ReplicaStatus::failed) return;
  if (!checkpointing_ || checkpointing_->op != event.op || superblock_in_flight_) return;
  superblock_.checkpoint = {.op = event.op,
                            .header_checksum = checkpointing_->header_checksum,
                            .next_timestamp = checkpointing_->next_timestamp,
                            .ring_offset = checkpointing_->next_offset,
                            .snapshot = event.snapshot,
                            .keystore = event.keystore,
                            .epoch_key = event.epoch_key,
                            .heads = event.heads,
                            .state = event.state};
  write_superblock(out);
}

void Replica::on(Now, const RequestCheckpoint&, std::vector<Action>& out) {
  checkpoint_requested_ = true;
  maybe_checkpoint(out);
}

void Replica::on(Now now, const Close&, std::vector<Action>& out) {
  if (status_ == ReplicaStatus::failed) return;
  status_ = ReplicaStatus::closing;
  maybe_mark(now, out);
}

// ---- commit -----------------------------------------------------------------------------------

bool Replica::gate_open() const {
  return durable_view_ == superblock_.view && durable_log_view_ == superblock_.log_view;
}

// This replica's own prepare_ok, cumulative: for everything durable, or marked if it is strict.
void Replica::vote() {
  const OpNumber until = options_.strict ? std::min(durable_, marked_) : durable_;
  for (std::uint64_t op = commit_.value() + 1; op <= until.value(); ++op) {
    slot(OpNumber{op}).votes |= std::uint64_t{1} << superblock_.replica;
  }
}

void Replica::advance_commit(std::vector<Action>& out) {
  const std::uint32_t quorum = core::replication_quorum(superblock_.voters);
  const std::uint64_t own = std::uint64_t{1} << superblock_.replica;
  bool advanced = false;
  while (commit_ < op_) {
    Slot& next = slot(OpNumber{commit_.value() + 1});
    if ((next.votes & own) == 0) break;
    if (core::votes_counted(next.votes, superblock_.voters) < quorum) break;
    const Slot done = std::exchange(next, {});
    commit_one(done.frame, done.bytes, done.ticket, out);
    advanced = true;
  }
  if (advanced) maybe_checkpoint(out);
}

void Replica::commit_one(const LiveFrame& frame, Buffer bytes, std::optional<std::uint64_t> ticket,
                         std::vector<Action>& out) {
  KIMBERLITE_ASSERT(gate_open());
  KIMBERLITE_ASSERT(frame.op.value() == commit_.value() + 1 && frame.op <= durable_);  // (R4)
  commit_ = frame.op;
  committed_ = {.op = frame.op,
                .header_checksum = frame.checksum,
                .next_timestamp = after(frame),
                .next_offset = core::after({options_.journal.ring_size}, frame.ring_offset,
                                           core::padded(frame.size)),
                .commands = committed_.commands + frame.commands};
  out.emplace_back(Commit{.op = frame.op,
                          .timestamp = frame.timestamp,
                          .commands = frame.commands,
                          .frame_size = frame.size,
                          .ring_offset = frame.ring_offset,
                          .header_checksum = frame.checksum,
                          .frame = std::move(bytes),
                          .ticket = ticket});
}

bool Replica::may_propose() const {
  return status_ == ReplicaStatus::normal && gate_open() && uncommitted() < pipeline_max &&
         core::has_room({options_.journal.ring_size}, checkpoint_.ring_offset, head_.next_offset,
                        options_.journal.prepare_size_max);
}

std::uint64_t Replica::ring_used() const {
  return core::used({options_.journal.ring_size}, checkpoint_.ring_offset, head_.next_offset);
}

// ---- checkpoints ------------------------------------------------------------------------------

void Replica::maybe_checkpoint(std::vector<Action>& out) {
  if (status_ == ReplicaStatus::failed || !gate_open() || checkpointing_) return;
  if (commit_ == checkpoint_.op) {
    checkpoint_requested_ = false;
    return;
  }
  const bool due = ring_used() >= options_.journal.ring_size / 2 ||
                   committed_.commands - checkpoint_commands_ >= options_.checkpoint_commands;
  const bool closing = status_ == ReplicaStatus::closing;
  if (!checkpoint_requested_ && (!due || closing)) return;
  checkpoint_requested_ = false;
  checkpointing_ = committed_;
  out.emplace_back(StartCheckpoint{committed_.op});
}

void Replica::write_superblock(std::vector<Action>& out) {
  KIMBERLITE_ASSERT(!superblock_in_flight_);
  superblock_.parent = superblock_identity_;
  ++superblock_.sequence;
  superblock_identity_ = consensus::superblock_identity(superblock_);
  MutableBuffer bytes = pool_.take(superblock_size);
  encode_superblock(superblock_, bytes->bytes().first<superblock_size>());
  superblock_in_flight_ = true;
  out.emplace_back(WriteSuperblock{
      .sequence = superblock_.sequence, .order = order_, .bytes = std::move(bytes)});
}

// ---- marks ------------------------------------------------------------------------------------

void Replica::maybe_mark(Now now, std::vector<Action>& out) {
  if (status_ == ReplicaStatus::failed || !gate_open() || mark_in_flight_) return;
  const std::uint64_t unmarked = durable_.value() - marked_.value();
  const bool idle = now.monotonic_ns >= active_ns_ + mark_idle_ns;
  const bool last = status_ == ReplicaStatus::closing && uncommitted() == 0;
  const bool due =
      unmarked > 0 && (options_.strict || idle || last || unmarked >= mark_every_frames);
  if (due || mark_wanted_) write_mark(out);
}

void Replica::write_mark(std::vector<Action>& out) {
  ++mark_sequence_;
  Mark mark{.sequence = mark_sequence_,
            .durable = durable_,
            .view = superblock_.view,
            .cluster = superblock_.cluster,
            .headers = {}};
  const std::uint64_t last = durable_.value();
  for (std::uint64_t op = last - std::min<std::uint64_t>(last, mark_headers_max) + 1; op <= last;
       ++op) {
    // After an open fewer are known: those since the checkpoint.
    const PrepareHeader& header = headers_[op % headers_kept];
    if (header.op == OpNumber{op}) mark.headers.push_back(header);
  }
  MutableBuffer bytes = pool_.take(mark_size);
  encode_mark(mark, bytes->bytes().first<mark_size>());
  mark_wanted_ = false;
  mark_in_flight_ = durable_;
  out.emplace_back(WriteMark{.sequence = mark_sequence_,
                             .sector = static_cast<std::uint8_t>(core::mark_sector(mark_sequence_)),
                             .bytes = std::move(bytes)});
}

std::optional<std::uint64_t> Replica::wake_at() const {
  if (status_ == ReplicaStatus::failed || !gate_open() || mark_in_flight_) return std::nullopt;
  if (durable_ == marked_) return std::nullopt;
  return active_ns_ + mark_idle_ns;
}

// ---- the end ----------------------------------------------------------------------------------

const Error& Replica::failure() const {
  KIMBERLITE_ASSERT(failure_.has_value());
  return *failure_;
}

bool Replica::closed() const {
  return status_ == ReplicaStatus::closing && uncommitted() == 0 && gate_open() &&
         !superblock_in_flight_ && !mark_in_flight_ && marked_ >= durable_ && !checkpointing_;
}

void Replica::fail(const Error& error, std::vector<Action>& out) {
  status_ = ReplicaStatus::failed;
  failure_ = error;
  for (std::uint64_t op = commit_.value() + 1; op <= op_.value(); ++op) {
    const Slot given_up = std::exchange(slot(OpNumber{op}), {});
    if (given_up.bytes != nullptr) out.emplace_back(Abandon{given_up.ticket});
  }
}

}  // namespace kimberlite::consensus
