// Opening and closing, and what a replica keeps on disk beside its log: superblock, checkpoints,
// marks. The log is in replica_log.cpp, the protocol in replica_normal.cpp and replica_view.cpp.
#include "consensus/replica.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/le.hpp"
#include "base/probe.hpp"
#include "consensus/core/marks.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/core/ring.hpp"

namespace kimberlite::consensus {
namespace {

static_assert(headers_kept >= mark_headers_max + slots_max);
static_assert(headers_kept >= view_headers_max + pipeline_max);
static_assert(slots_max >= 2 * pipeline_max);

// Beyond every operation: what was here once ends nobody knows where.
constexpr OpNumber unknown_op{std::numeric_limits<std::uint64_t>::max()};

// The device's words, with what the replica was doing in front.
Error write_failed(const Error& cause, std::string_view what) {
  return Error{Code::unavailable_io, "writing {} failed: {}", what, cause.what()}
      .where("{}", cause.where())
      .why("{}", cause.why())
      .next("nothing more is acknowledged; look at the disk, then open the directory again");
}

}  // namespace

std::string_view name(ReplicaStatus status) {
  switch (status) {
    case ReplicaStatus::normal:
      return "normal";
    case ReplicaStatus::view_change:
      return "view_change";
    case ReplicaStatus::recovering_head:
      return "recovering_head";
    case ReplicaStatus::recovering_disk:
      return "recovering_disk";
    case ReplicaStatus::syncing:
      return "syncing";
    case ReplicaStatus::closing:
      return "closing";
    case ReplicaStatus::failed:
      return "failed";
  }
  return "unknown";
}

// ---- opening ----------------------------------------------------------------------------------

Result<std::unique_ptr<Replica>> Replica::open(Now now, const ReplicaOptions& options,
                                               const Recovered& recovered, BlockPool& pool,
                                               std::vector<Action>& out) {
  KIMBERLITE_CHECK(check_limits(options.journal));
  if (recovered.superblock.superblock.standing == Standing::rolled_back) {
    return Error{Code::integrity_rollback, "this directory is an old copy of a replica's"}
        .why("its group has seen later lives of it, in which it acknowledged what it has forgotten")
        .next("make the replica anew: kimberlite cluster recover");
  }
  std::unique_ptr<Replica> replica(new Replica(now, options, recovered, pool));
  const bool headless = replica->faulty_until_ == unknown_op;
  const bool resumes = replica->adopted() && !headless;
  const bool is_alone = replica->voters() == 1 && replica->is_voter();
  if (headless && is_alone) {
    return Error{Code::usage_config, "a replica alone has no peers to take its state from"}.next(
        "restore a backup: kimberlite restore");
  }
  replica->begin_life(replica->superblock_.incarnation + 1);
  replica->active_ns_ = now.monotonic_ns;
  if (is_alone || (resumes && replica->is_voter() && replica->primary() == replica->index())) {
    // A primary that was away may have been replaced. A single voter begins a view of its own:
    // what else is on disk is older, and beyond its head never counts again (J3).
    probe<"consensus.open.primary_leaves">();
    replica->enter_view(now, replica->configuration().view_after(replica->view()), out);
  } else {
    replica->phase_ = headless   ? Phase::recovering_head
                      : !resumes ? Phase::view_change
                                 : Phase::normal;
    probe<"consensus.open.waits_for_group">();
    replica->heard_primary(now);
    // This superblock says of it no more than the one before.
    replica->marked_ = std::min(replica->op_, recovered.journal.durable_seen);
    replica->write_superblock(out);
  }
  return replica;
}

Replica::Replica(Now now, const ReplicaOptions& options, const Recovered& recovered,
                 BlockPool& pool)
    : options_(options),
      pool_(pool),
      superblock_(recovered.superblock.superblock),
      superblock_identity_(consensus::superblock_identity(superblock_)),
      order_(recovered.superblock.order),
      checkpoint_(superblock_.checkpoint),
      frames_(recovered.journal.frames.begin(), recovered.journal.frames.end()),
      mark_sequence_(recovered.journal.mark_sequence),
      mark_wanted_(recovered.journal.mark_damaged),
      now_(now),
      clock_(superblock_.configuration.voters, superblock_.replica, now) {
  const JournalRecovery& journal = recovered.journal;
  released_ = {.op = checkpoint_.op,
               .header_checksum = checkpoint_.header_checksum,
               .next_timestamp = checkpoint_.next_timestamp,
               .next_offset = checkpoint_.ring_offset,
               .commands = 0};
  committed_ = released_;
  op_ = OpNumber{checkpoint_.op.value() + frames_.size()};
  head_ = point_at(op_);
  durable_ = op_;
  known_ = op_;
  canonical_ = op_;
  commit_ = checkpoint_.op;
  for (const LiveFrame& frame : frames_) {
    if (frame.configures) configures_at_ = frame.op;
  }
  for (const PrepareHeader& header : journal.newest) {
    headers_[header.op.value() % headers_kept] = header;
  }
  // They may be of a log whose begin is not here: that one says nothing of what is.
  for (const PrepareHeader& header : superblock_.view_headers) {
    if (header.op.value() != known_.value() + 1 || header.parent != checksum_at(known_)) continue;
    headers_[header.op.value() % headers_kept] = header;
    known_ = header.op;
  }
  // Whoever made the newest prepare knew that this was committed.
  commit_max_ = commit_;
  const PrepareHeader& newest = headers_[known_.value() % headers_kept];
  if (newest.op == known_) commit_max_ = std::max(commit_max_, newest.commit);
  // In a view change the superblock has the headers of what was here; if not of all that is lost,
  // or not in one, this replica cannot say what there was: marks lag behind what it acknowledged.
  // Nor can it in any life to come, whatever stands in its journal by then, until it has its
  // group's.
  const bool headless = journal.lost && (adopted() || journal.durable_seen > known_);
  if (journal.lost) probe<"consensus.open.lost_acknowledged">();
  if (headless) probe<"consensus.open.lost_head">();
  if (headless && !is_lost() && !is_planted(Canary::forget_lost_head)) {
    superblock_.standing = Standing::headless;
  }
  if (journal.lost) faulty_until_ = headless ? unknown_op : known_;
  if (superblock_.standing != Standing::member) faulty_until_ = unknown_op;
  // Where a view begins, its superblock is as good as a mark for all that was found.
  marked_ = op_;
  group_checkpoint_ = checkpoint_.op;
}

// ---- events -----------------------------------------------------------------------------------

void Replica::observe(Now now) {
  now_ = now;
  const std::uint64_t steps = clock_.steps().count;
  clock_.observe(now);
  // It is compared with the others' at once.
  if (clock_.steps().count != steps) ping_at_ = now.monotonic_ns;
}

void Replica::step(Now now, const Event& event, std::vector<Action>& out) {
  observe(now);
  std::visit([&](const auto& what) { on(now, what, out); }, event);
}

void Replica::on(Now now, const MarkWritten& event, std::vector<Action>& out) {
  if (phase_ == Phase::failed) return;
  if (!mark_in_flight_ || event.sequence != mark_sequence_) return;
  if (!event.status) {
    fail(write_failed(event.status.error(), "a mark of the journal"), out);
    return;
  }
  marked_ = std::max(marked_, *mark_in_flight_);
  mark_in_flight_.reset();
  if (options_.strict) {
    send_prepare_ok(out);
    advance_commit(out);
  }
  maybe_mark(now, out);
}

void Replica::on(Now now, const SuperblockWritten& event, std::vector<Action>& out) {
  if (phase_ == Phase::failed) {
    // That it is rolled back is still to be written down.
    writing_.in_flight = false;
    if (event.status && std::exchange(writing_.again, false)) write_superblock(out);
    return;
  }
  if (!writing_.in_flight || event.sequence != superblock_.sequence) return;
  if (!event.status) {
    fail(write_failed(event.status.error(), "the superblock"), out);
    return;
  }
  const bool was_open = gate_open();
  writing_.in_flight = false;
  superblock_took_ns_ = now.monotonic_ns - superblock_since_ns_;
  opened_ = true;
  durable_sequence_ = event.sequence;
  order_ = healthy_order;
  durable_view_ = writing_.view;
  const auto lives_before = std::exchange(durable_lives_, writing_.lives);
  durable_log_view_ = writing_.log_view;
  durable_standing_ = writing_.standing;
  durable_incarnation_ = writing_.incarnation;
  durable_epoch_ = writing_.epoch;
  const bool later = writing_.checkpoint.op > checkpoint_.op;
  if (later && checkpointing_ && checkpointing_->op == writing_.checkpoint.op) {
    checkpoint_commands_ = checkpointing_->commands;
    checkpointing_.reset();
  }
  // Not if what ended is a checkpoint of its own, with the peer's still to be written.
  const bool synced = sync_installed_ && writing_.checkpoint.op == superblock_.checkpoint.op;
  if (synced) syncing_ = sync_installed_ = false;
  checkpoint_ = writing_.checkpoint;
  release(out);
  // What stands behind the checkpoint may be committed already, and was held back by what rotted
  // before it; a primary hears of it from nobody.
  if (synced || later) advance_commit(out);
  if (sync_due_ && writing_.sync_to >= sync_due_->op) {
    out.emplace_back(*std::exchange(sync_due_, std::nullopt));
  }
  if (std::exchange(writing_.again, false)) write_superblock(out);
  if (!was_open && gate_open()) gate_opened(now, out);
  greet_new(lives_before, out);
  maybe_checkpoint(out);
  maybe_mark(now, out);
}

void Replica::on(Now, const CheckpointDone& event, std::vector<Action>& out) {
  if (phase_ == Phase::failed) return;
  checkpoint_started_ = false;
  if (!checkpointing_ || checkpointing_->op != event.op) {
    // A peer's came first.
    maybe_checkpoint(out);
    return;
  }
  superblock_.checkpoint = {.op = event.op,
                            .header_checksum = checkpointing_->header_checksum,
                            .next_timestamp = checkpointing_->next_timestamp,
                            .ring_offset = checkpointing_->next_offset,
                            .snapshot = event.snapshot,
                            .keystore = event.keystore,
                            .epoch_key = event.epoch_key,
                            .heads = event.heads,
                            .state = event.state};
  end_sync_range();
  write_superblock(out);
}

void Replica::on(Now, const RequestCheckpoint&, std::vector<Action>& out) {
  checkpoint_requested_ = true;
  maybe_checkpoint(out);
}

// The state of a peer's checkpoint is here: the log goes on behind it. Everything older in the
// journal is superfluous once the superblock says so, and is left alone until then.
void Replica::on(Now now, const SyncDone& event, std::vector<Action>& out) {
  if (phase_ == Phase::failed || !syncing_ || sync_installed_) return;
  if (!event.checkpoint || event.checkpoint->op <= commit_) {
    probe<"consensus.sync.in_vain">();
    syncing_ = false;
    ask_another_ = true;
    request_missing(now, out);
    return;
  }
  const Checkpoint& checkpoint = *event.checkpoint;
  // What stands behind the checkpoint is kept if this log leads to it: it may have been
  // acknowledged.
  const bool leads_there =
      checkpoint.op <= op_ && checksum_at(checkpoint.op) == checkpoint.header_checksum;
  const bool is_other = checkpoint.op < op_ && !leads_there;
  const OpNumber last_dropped = leads_there ? checkpoint.op : op_;
  for (std::uint64_t op = commit_.value() + 1; op <= last_dropped.value(); ++op) {
    Slot& dropped = slot(OpNumber{op});
    if (dropped.op != OpNumber{op}) continue;
    if (!dropped.written) ++stale_writes_;
    dropped = {};
  }
  Point point{.op = checkpoint.op,
              .header_checksum = checkpoint.header_checksum,
              .next_timestamp = checkpoint.next_timestamp,
              .next_offset = leads_there ? point_at(checkpoint.op).next_offset : head_.next_offset,
              .commands = committed_.commands};
  std::erase_if(frames_, [&](const LiveFrame& frame) { return frame.op <= last_dropped; });
  std::erase_if(rotted_, [&](OpNumber op) { return op <= last_dropped; });
  stale_writes_ += std::erase_if(rewriting_, [&](OpNumber op) { return op <= last_dropped; });
  released_ = committed_ = point;
  commit_ = checkpoint.op;
  if (!leads_there) {
    op_ = durable_ = canonical_ = checkpoint.op;
    head_ = point;
    // What it names beyond that was another log's.
    if (mark_in_flight_) mark_in_flight_ = std::min(*mark_in_flight_, op_);
  }
  durable_ = std::max(durable_, commit_);
  advance_durable();
  canonical_ = std::max(canonical_, commit_);
  marked_ = std::max(std::min(marked_, durable_), commit_);
  commit_max_ = std::max(commit_max_, commit_);
  const PrepareHeader& next = headers_[(op_.value() + 1) % headers_kept];
  if (known_ <= op_ || next.op.value() != op_.value() + 1 || next.parent != head_.header_checksum) {
    known_ = op_;
  }
  checkpointing_.reset();
  superblock_.checkpoint = checkpoint;
  superblock_.checkpoint.ring_offset = point.next_offset;
  std::erase_if(superblock_.view_headers,
                [&](const PrepareHeader& header) { return header.op <= checkpoint.op; });
  // Its oldest header may stand further behind the checkpoint, with frames of this log between.
  if (!leads_there && !superblock_.view_headers.empty() &&
      superblock_.view_headers.front().parent != checkpoint.header_checksum) {
    superblock_.view_headers.clear();
  }
  const OpNumber newest =
      superblock_.view_headers.empty() ? checkpoint.op : superblock_.view_headers.back().op;
  superblock_.view_durable = std::min(superblock_.view_durable, newest);
  if (is_other) disown(checkpoint.op);
  probe<"consensus.sync.installed">();
  sync_installed_ = true;
  end_sync_range();
  take_configuration(event.configuration, false, out);
  write_superblock(out);
}

void Replica::on(Now now, const Close&, std::vector<Action>& out) {
  if (phase_ == Phase::failed) return;
  closing_ = true;
  if (voters() > 1) abandon_tickets(out);
  maybe_mark(now, out);
}

// ---- superblock -------------------------------------------------------------------------------

bool Replica::gate_open() const {
  if (is_planted(Canary::send_before_durable)) return opened_;
  return opened_ && durable_view_ == superblock_.view &&
         durable_log_view_ == superblock_.log_view && durable_standing_ == superblock_.standing &&
         durable_incarnation_ == superblock_.incarnation && durable_epoch_ == epoch() &&
         durable_sequence_ >= adopted_in_;
}

void Replica::gate_opened(Now now, std::vector<Action>& out) {
  if (phase_ == Phase::normal) {
    send_prepare_ok(out);
    request_missing(now, out);
  } else if (phase_ == Phase::recovering_head) {
    probe<"consensus.status.recovering_head">();
    ask_for_start_view(now, primary(), out);
  } else if (adopted()) {
    start_as_primary(now, out);
  } else if (catching_up_from_) {
    request_missing(now, out);
  } else if (is_voter()) {
    // The view's primary has had no time yet, and writes one more than this, as slowly perhaps.
    timeout_at_ =
        std::max(timeout_at_, now.monotonic_ns + options_.primary_timeout_ns + superblock_took_ns_);
    send_do_view_change(out);
    decide_log(now, out);
  }
  advance_commit(out);
}

void Replica::write_superblock(std::vector<Action>& out) {
  if (writing_.in_flight) {
    probe<"consensus.superblock.again">();
    writing_.again = true;
    return;
  }
  superblock_since_ns_ = now_.monotonic_ns;
  superblock_.parent = superblock_identity_;
  ++superblock_.sequence;
  superblock_identity_ = consensus::superblock_identity(superblock_);
  MutableBuffer bytes = pool_.take(superblock_size);
  encode_superblock(superblock_, bytes->bytes().first<superblock_size>());
  writing_ = {.in_flight = true,
              .again = false,
              .view = superblock_.view,
              .log_view = superblock_.log_view,
              .sync_to = superblock_.sync_to,
              .checkpoint = superblock_.checkpoint,
              .lives = superblock_.lives_seen,
              .standing = superblock_.standing,
              .incarnation = superblock_.incarnation,
              .epoch = epoch()};
  out.emplace_back(WriteSuperblock{
      .sequence = superblock_.sequence, .order = order_, .bytes = std::move(bytes)});
}

// ---- checkpoints ------------------------------------------------------------------------------

void Replica::maybe_checkpoint(std::vector<Action>& out) {
  if (phase_ == Phase::failed || !gate_open() || checkpointing_ || checkpoint_started_ ||
      syncing_) {
    return;
  }
  if (commit_ == checkpoint_.op) {
    checkpoint_requested_ = false;
    return;
  }
  const bool due = ring_used() >= options_.journal.ring_size / 2 ||
                   committed_.commands - checkpoint_commands_ >= options_.checkpoint_commands;
  if (!checkpoint_requested_ && (!due || closing_)) return;
  checkpoint_requested_ = false;
  probe<"consensus.checkpoint.started">();
  checkpointing_ = committed_;
  checkpoint_started_ = true;
  out.emplace_back(StartCheckpoint{committed_.op});
}

std::uint64_t Replica::ring_used() const {
  const std::uint64_t tail = checkpoint_.op > released_.op && checkpoint_.op <= op_
                                 ? point_at(checkpoint_.op).next_offset
                                 : released_.next_offset;
  return core::used({options_.journal.ring_size}, tail, head_.next_offset);
}

// Everything a sync may have put into the segments is part of the checkpoint.
void Replica::end_sync_range() {
  if (superblock_.checkpoint.op < superblock_.sync_to) return;
  superblock_.sync_from = superblock_.sync_to = {};
}

// ---- marks ------------------------------------------------------------------------------------

void Replica::maybe_mark(Now now, std::vector<Action>& out) {
  if (phase_ == Phase::failed || !gate_open() || mark_in_flight_) return;
  const std::uint64_t unmarked = durable_ > marked_ ? durable_.value() - marked_.value() : 0;
  const bool idle = now.monotonic_ns >= active_ns_ + mark_idle_ns;
  const bool last = closing_ && durable_ == op_;
  const bool due =
      unmarked > 0 && (options_.strict || idle || last || unmarked >= mark_every_frames);
  if (due || mark_wanted_) write_mark(out);
}

void Replica::write_mark(std::vector<Action>& out) {
  ++mark_sequence_;
  // An older view's word does not bind, so it is given in that of the log.
  Mark mark{.sequence = mark_sequence_,
            .durable = durable_,
            .view = superblock_.log_view,
            .cluster = superblock_.cluster,
            .headers = {}};
  const std::uint64_t last = durable_.value();
  for (std::uint64_t op = last - std::min<std::uint64_t>(last, mark_headers_max) + 1; op <= last;
       ++op) {
    // After an open fewer are known: those since the checkpoint.
    const PrepareHeader& header = headers_[op % headers_kept];
    if (header.op == OpNumber{op} && op > released_.op.value()) mark.headers.push_back(header);
  }
  if (!mark.headers.empty()) mark.view = std::max(mark.view, mark.headers.back().view);
  MutableBuffer bytes = pool_.take(mark_size);
  encode_mark(mark, bytes->bytes().first<mark_size>());
  mark_wanted_ = false;
  mark_in_flight_ = durable_;
  out.emplace_back(WriteMark{.sequence = mark_sequence_,
                             .sector = static_cast<std::uint8_t>(core::mark_sector(mark_sequence_)),
                             .bytes = std::move(bytes)});
}

// ---- the end ----------------------------------------------------------------------------------

ReplicaStatus Replica::status() const {
  if (phase_ == Phase::failed) return ReplicaStatus::failed;
  if (closing_) return ReplicaStatus::closing;
  if (syncing_) return ReplicaStatus::syncing;
  if (phase_ == Phase::recovering_head) {
    return is_lost() ? ReplicaStatus::recovering_disk : ReplicaStatus::recovering_head;
  }
  return phase_ == Phase::normal ? ReplicaStatus::normal : ReplicaStatus::view_change;
}

const Error& Replica::failure() const {
  KIMBERLITE_ASSERT(failure_.has_value());
  return *failure_;
}

bool Replica::closed() const {
  const bool settled =
      voters() > 1 ? durable_ == op_ && stale_writes_ == 0 && rewriting_.empty() : commit_ == op_;
  return closing_ && phase_ != Phase::failed && settled && gate_open() && !writing_.in_flight &&
         !mark_in_flight_ && marked_ >= durable_ && !checkpointing_ && !checkpoint_started_;
}

void Replica::abandon_tickets(std::vector<Action>& out) {
  for (std::uint64_t op = commit_.value() + 1; op <= op_.value(); ++op) {
    Slot& given_up = slot(OpNumber{op});
    if (given_up.op != OpNumber{op} || !given_up.ticket) continue;
    probe<"consensus.abandon.prepare">();
    out.emplace_back(Abandon{*given_up.ticket});
    given_up.ticket.reset();
  }
  for (const PendingRead& read : std::exchange(pending_reads_, {})) {
    probe<"consensus.abandon.read">();
    out.emplace_back(Abandon{read.ticket});
  }
}

void Replica::fail(const Error& error, std::vector<Action>& out) {
  if (phase_ == Phase::failed) return;
  probe<"consensus.status.failed">();
  phase_ = Phase::failed;
  failure_ = error;
  abandon_tickets(out);
  slots_ = {};
  reads_.clear();
}

}  // namespace kimberlite::consensus
