// A replica of the consensus group, sans I/O: events in, actions out, the same for the same events.
//
// Viewstamped Replication with a durable journal. The driver feeds events and carries out actions
// in the order they stand in `out`; it holds the buffer of a write until that ended, and reports
// the end of each. Invariants:
//   (R1) Placing a frame never touches a live one, and head and tail never meet.
//                                                          [kept: may_propose, core::has_room]
//   (R2) Nothing of a view leaves before view and log_view are durable.     [kept: gate_open]
//   (R3) view, log_view, incarnation, op, commit and checkpoint never go back.
//   (R4) Commits are in op order, each once, and only after a replication quorum, this replica
//        included, has it and everything before it on disk.                 [kept: advance_commit]
//   (R5) Ring space is used again only when the superblock that names the later checkpoint is
//        durable.                                               [kept: on(SuperblockWritten)]
//   (R6) A mark is never waited for, unless `strict`.
// After a failed write the replica has failed for good: it abandons what is in flight and does
// nothing more, since nothing it could say about the disk would be true.
//
// This release runs configurations of one voter; `open` refuses others. Ownership: the pool
// outlives the replica. Thread rule: one thread at a time.
//
// Source: Liskov and Cowling 2012; design, consensus.md "Rules", storage.md "Journal".
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "consensus/block.hpp"
#include "consensus/journal.hpp"
#include "consensus/superblock.hpp"

namespace kimberlite::consensus {

inline constexpr std::size_t pipeline_max = 8;   // prepares not yet committed
inline constexpr std::size_t headers_kept = 32;  // for marks and view headers
inline constexpr std::uint64_t mark_every_frames = 16;
inline constexpr std::uint64_t mark_idle_ns = 10'000'000;

// ---- events -----------------------------------------------------------------------------------

// Time has passed; wanted at `Replica::wake_at()`, harmless at any other time.
struct Tick {};
struct Received {
  std::uint8_t from = 0;
  Buffer frame;
};
// `frame`: 256 free bytes, then the body (`BodyBuilder::take`), which is empty if `commands` is 0.
// The replica completes it in place; the caller no longer writes to it. Answered by `Commit` or
// `Abandon` with this ticket.
struct Propose {
  std::uint64_t ticket = 0;
  MutableBuffer frame;
  std::uint32_t commands = 0;
};
struct PrepareWritten {
  OpNumber op;
  Hash header_checksum{};
  Status status;
};
struct MarkWritten {
  std::uint64_t sequence = 0;
  Status status;
};
// All four copies are on disk, or one could not be written.
struct SuperblockWritten {
  std::uint64_t sequence = 0;
  Status status;
};
// Segments, snapshot and keystore for the op of `StartCheckpoint` are durable.
struct CheckpointDone {
  OpNumber op;
  Hash snapshot{};
  Hash keystore{};
  Hash heads{};
  Hash state{};
  Id128 epoch_key{};
};
// A checkpoint at the commit of now, whatever is due: at a close, at a shred. Nothing happens if
// nothing was committed since the last one.
struct RequestCheckpoint {};
// No more proposals; what is in flight is finished, then the last mark is written.
struct Close {};

using Event = std::variant<Tick, Received, Propose, PrepareWritten, MarkWritten, SuperblockWritten,
                           CheckpointDone, RequestCheckpoint, Close>;

// ---- actions ----------------------------------------------------------------------------------

struct Send {
  std::uint8_t to = 0;
  Buffer frame;
};
// Write all of `frame` at `file_offset(ring_offset)` of the journal, then `PrepareWritten`. Several
// may be in flight and end in any order.
struct WritePrepare {
  OpNumber op;
  std::uint64_t ring_offset = 0;
  Hash header_checksum{};
  Buffer frame;
};
// Write `bytes` at sector 0 or 1 of the journal, then `MarkWritten`. One at a time.
struct WriteMark {
  std::uint64_t sequence = 0;
  std::uint8_t sector = 0;
  Buffer bytes;
};
// `bytes` are the four copies. Write copies order[0] and order[1]; when both are on disk order[2]
// and order[3]; when these are, `SuperblockWritten`. One at a time.
struct WriteSuperblock {
  std::uint64_t sequence = 0;
  CopyOrder order = healthy_order;
  Buffer bytes;
};
// Apply the commands of op. `frame` is the whole frame, `body()` its body; null after an open: the
// driver reads `padded(frame_size)` bytes at `file_offset(ring_offset)` and takes
// `open_frame(bytes, ring_offset, header_checksum)`.
struct Commit {
  OpNumber op;
  TimestampUs timestamp;  // of the first command; the next has one more
  std::uint32_t commands = 0;
  std::uint32_t frame_size = 0;
  std::uint64_t ring_offset = 0;
  Hash header_checksum{};
  Buffer frame;
  std::optional<std::uint64_t> ticket;

  [[nodiscard]] Bytes body() const {
    return frame == nullptr
               ? Bytes{}
               : frame->bytes().subspan(frame_header_size, frame_size - frame_header_size);
  }
};
// The outcome of what was proposed under this ticket is unknown: roll back; the client retries.
struct Abandon {
  std::uint64_t ticket = 0;
};
// Make the state up to op, all of it committed by now, durable outside the journal, then
// `CheckpointDone`. New work goes on. One at a time.
struct StartCheckpoint {
  OpNumber op;
};

using Action =
    std::variant<Send, WritePrepare, WriteMark, WriteSuperblock, Commit, Abandon, StartCheckpoint>;

// ---- the replica ------------------------------------------------------------------------------

struct Now {
  std::uint64_t monotonic_ns = 0;
  TimestampUs realtime;
};

struct ReplicaOptions {
  JournalLimits journal;
  bool strict = false;  // acknowledge only what a mark names, to survive a lost last write
  std::uint64_t checkpoint_commands = 1'000'000;  // besides half the ring
};

struct Recovered {
  SuperblockRead superblock;
  JournalRecovery journal;
};

enum class ReplicaStatus : std::uint8_t {
  opening,  // the superblock with the raised view is being written
  normal,
  closing,  // after Close
  failed,   // after a failed write; see failure()
};

class Replica {
 public:
  // Raises incarnation and view, adopts the log the scan kept, and asks for the superblock to be
  // written; once it is, the log's operations are committed in order. Fails with `usage.config` if
  // the configuration has other than one voter.
  [[nodiscard]] static Result<std::unique_ptr<Replica>> open(Now now, const ReplicaOptions& options,
                                                             const Recovered& recovered,
                                                             BlockPool& pool,
                                                             std::vector<Action>& out);

  // Appends to `out`.
  void step(Now now, const Event& event, std::vector<Action>& out);

  // True if a proposal of any size is accepted now. One made when it is false is abandoned.
  [[nodiscard]] bool may_propose() const;

  // When a `Tick` would do something, in monotonic nanoseconds; nothing if none would.
  [[nodiscard]] std::optional<std::uint64_t> wake_at() const;

  [[nodiscard]] ReplicaStatus status() const { return status_; }
  // Why it failed; only while `status()` is failed.
  [[nodiscard]] const Error& failure() const;
  // Closing, no write is in flight or due and no checkpoint is being made: the devices may be
  // closed.
  [[nodiscard]] bool closed() const;

  [[nodiscard]] ViewNumber view() const { return superblock_.view; }
  [[nodiscard]] std::uint64_t incarnation() const { return superblock_.incarnation; }
  [[nodiscard]] OpNumber head() const { return op_; }
  [[nodiscard]] OpNumber commit() const { return commit_; }
  // On this replica's disk, with everything before it.
  [[nodiscard]] OpNumber durable() const { return durable_; }
  // Of the newest durable superblock.
  [[nodiscard]] const Checkpoint& checkpoint() const { return checkpoint_; }
  [[nodiscard]] std::uint64_t ring_used() const;
  // Messages of no member, dropped.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  // A prepare issued and not yet committed.
  struct Slot {
    LiveFrame frame;
    Buffer bytes;
    std::uint64_t ticket = 0;
    bool written = false;     // on this replica's disk
    std::uint64_t votes = 0;  // bit i: member i has it and everything before it on disk
  };
  // The state after an operation: what a checkpoint there says of the journal.
  struct Point {
    OpNumber op;
    Hash header_checksum{};
    TimestampUs next_timestamp;
    std::uint64_t next_offset = 0;
    std::uint64_t commands = 0;  // since the checkpoint the replica was opened with
  };

  Replica(const ReplicaOptions& options, const Recovered& recovered, BlockPool& pool);

  void on(Now now, const Tick& event, std::vector<Action>& out);
  void on(Now now, const Received& event, std::vector<Action>& out);
  void on(Now now, const Propose& event, std::vector<Action>& out);
  void on(Now now, const PrepareWritten& event, std::vector<Action>& out);
  void on(Now now, const MarkWritten& event, std::vector<Action>& out);
  void on(Now now, const SuperblockWritten& event, std::vector<Action>& out);
  void on(Now now, const CheckpointDone& event, std::vector<Action>& out);
  void on(Now now, const RequestCheckpoint& event, std::vector<Action>& out);
  void on(Now now, const Close& event, std::vector<Action>& out);

  // (R2) The only question whether anything of this view may leave.
  [[nodiscard]] bool gate_open() const;
  [[nodiscard]] Slot& slot(OpNumber op) { return slots_[op.value() % pipeline_max]; }
  [[nodiscard]] std::uint64_t uncommitted() const { return op_.value() - commit_.value(); }
  void adopt(std::vector<Action>& out);
  void vote();
  void advance_commit(std::vector<Action>& out);
  void commit_one(const LiveFrame& frame, Buffer bytes, std::optional<std::uint64_t> ticket,
                  std::vector<Action>& out);
  void maybe_checkpoint(std::vector<Action>& out);
  void maybe_mark(Now now, std::vector<Action>& out);
  void write_mark(std::vector<Action>& out);
  void write_superblock(std::vector<Action>& out);
  void fail(const Error& error, std::vector<Action>& out);

  ReplicaOptions options_;
  BlockPool& pool_;
  ReplicaStatus status_ = ReplicaStatus::opening;
  std::optional<Error> failure_;

  Superblock superblock_;  // as written last; it may still be in flight
  Hash superblock_identity_{};
  CopyOrder order_;
  bool superblock_in_flight_ = false;
  ViewNumber durable_view_;
  ViewNumber durable_log_view_;
  Checkpoint checkpoint_;  // of the last one known to be on disk

  OpNumber op_;       // the newest prepare
  OpNumber durable_;  // every op up to it is on this disk
  OpNumber commit_;
  Point head_;                                         // after op_
  Point committed_;                                    // after commit_
  std::array<Slot, pipeline_max> slots_{};             // op n in slot n % 8, commit_ < n <= op_
  std::array<PrepareHeader, headers_kept> headers_{};  // of op n in n % 32, the newest ones
  std::vector<LiveFrame> recovered_;                   // committed once the view is durable

  std::optional<Point> checkpointing_;  // where the checkpoint being made is
  bool checkpoint_requested_ = false;
  std::uint64_t checkpoint_commands_ = 0;  // `commands` at the last checkpoint

  std::uint64_t mark_sequence_ = 0;
  OpNumber marked_;  // what the newest mark or superblock says was durable
  std::optional<OpNumber> mark_in_flight_;
  bool mark_wanted_ = false;  // one of the two is damaged
  std::uint64_t active_ns_ = 0;

  std::uint64_t dropped_ = 0;
};

}  // namespace kimberlite::consensus
