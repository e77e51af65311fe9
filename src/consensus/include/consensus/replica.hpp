// A replica of the consensus group, sans I/O: events in, actions out, the same for the same events.
//
// Viewstamped Replication with a durable journal, from one voter to seven. The driver feeds events
// and carries out actions in the order they stand in `out`; it holds the buffer of a write until
// that ended, and reports the end of each. Invariants:
//   (R1) Placing a frame never touches a live one, and head and tail never meet.
//                                                          [kept: append, core::has_room]
//   (R2) Nothing of a view leaves before view, log_view and the headers adopted are durable, and
//        no prepare is written over another view's before they are.         [kept: gate_open]
//   (R3) view, log_view, incarnation, commit and checkpoint never go back; op and durable do only
//        where a new view's log is another, and never below commit.         [kept: truncate]
//   (R4) Commits are in op order, each once, and only after a replication quorum, this replica
//        included, has it and everything before it on disk.                 [kept: advance_commit]
//   (R5) Ring space is used again only when the superblock that names the later checkpoint is
//        durable, and a quorum has a checkpoint there.                      [kept: release]
//   (R6) A mark is never waited for, unless `strict`.
//   (R7) log_view is raised only when the log of that view is here from `commit` on: its bodies, or
//        their headers.                                                     [kept: install]
//   (R8) A log is contiguous: the prepare behind its end is the only one it takes, so header, body
//        and everything before are here at once.                            [kept: take_prepare]
//   (R9) Nothing is acknowledged or voted, and no view led, before so many others know this life of
//        the replica that they are a quorum with it.                        [kept: is_confirmed]
//   (R10) A configuration is in effect once it is committed, here or where it was heard of, and on
//        disk here; nothing of who knows a later one is counted, and what follows one in the log is
//        committed by its voters; the next one waits until a quorum of them know it, and until
//        no quorum of its own voters is without one who knows which of them were made anew.
//                                                                 [kept: replica_members.cpp]
// After a failed write the replica has failed for good: it abandons what is in flight and does
// nothing more, since nothing it could say about the disk would be true.
//
// The names of the protocol are the paper's. One tick a millisecond is enough (`wake_at`). A
// message lost, late, doubled or out of order costs time only: whatever matters is said again.
// Ownership: the pool outlives the replica. Thread rule: one thread at a time.
//
// Source: Liskov and Cowling 2012; Alagappan et al., "Protocol-Aware Recovery", FAST 2018; design,
// consensus.md "Rules", storage.md "Journal".
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "consensus/block.hpp"
#include "consensus/clock.hpp"
#include "consensus/configuration.hpp"
#include "consensus/journal.hpp"
#include "consensus/message.hpp"
#include "consensus/superblock.hpp"

namespace kimberlite::consensus {

inline constexpr std::size_t pipeline_max = 8;    // prepares not yet committed
inline constexpr std::size_t slots_max = 16;      // prepares in memory, not yet committed here
inline constexpr std::size_t headers_kept = 32;   // for marks and view headers
inline constexpr std::uint64_t request_max = 32;  // prepares asked for at once
inline constexpr std::uint64_t mark_every_frames = 16;
inline constexpr std::uint64_t mark_idle_ns = 10'000'000;

// ---- events -----------------------------------------------------------------------------------

// Time has passed; wanted at `Replica::wake_at()`, harmless at any other time.
struct Tick {};
// A message from a member of the group; the replica may write on the bytes.
struct Received {
  std::uint8_t from = 0;
  MutableBuffer message;
};
// `frame`: 256 free bytes, then the body (`BodyBuilder::take`), which is empty if `commands` is 0.
// The replica completes it in place; the caller no longer writes to it. Answered by `Commit` or
// `Abandon` with this ticket.
struct Propose {
  std::uint64_t ticket = 0;
  MutableBuffer frame;
  std::uint32_t commands = 0;
};
// The group is to have this configuration. Answered like a proposal.
struct Reconfigure {
  std::uint64_t ticket = 0;
  Configuration configuration;
};
struct PrepareWritten {
  OpNumber op;
  Hash header_checksum{};
  Status status;
};
// `frame`: the sectors asked for by `ReadPrepare`, as they were read.
struct PrepareRead {
  OpNumber op;
  Hash header_checksum{};
  Status status;
  MutableBuffer frame;
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
// Answered by `ReadReady` once everything committed anywhere before this event is committed here,
// or by `Abandon` if this is not the primary, or hears nobody and has been asked before.
struct ReadIndex {
  std::uint64_t ticket = 0;
};
// The end of `StartSync`: the checkpoint whose state is durable here now, or nothing if it could
// not be had.
// `configuration`: of the same superblock of the peer. What is skipped may have changed the group.
struct SyncDone {
  std::optional<Checkpoint> checkpoint;
  Configuration configuration;
};
// No more proposals; what is in flight is finished, then the last mark is written.
struct Close {};

using Event =
    std::variant<Tick, Received, Propose, Reconfigure, PrepareWritten, PrepareRead, MarkWritten,
                 SuperblockWritten, CheckpointDone, RequestCheckpoint, ReadIndex, SyncDone, Close>;

// ---- actions ----------------------------------------------------------------------------------

struct Send {
  std::uint8_t to = 0;
  Buffer message;
};
// Read `size` bytes at `file_offset(ring_offset)` of the journal, then `PrepareRead`.
struct ReadPrepare {
  OpNumber op;
  std::uint64_t ring_offset = 0;
  std::uint32_t size = 0;  // whole sectors
  Hash header_checksum{};
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
// Apply the commands of op.
struct Commit {
  OpNumber op;
  TimestampUs timestamp;  // of the first command; the next has one more
  std::uint32_t commands = 0;
  std::uint32_t frame_size = 0;
  std::uint64_t ring_offset = 0;
  Hash header_checksum{};
  Buffer frame;  // all of it
  std::optional<std::uint64_t> ticket;

  [[nodiscard]] Bytes body() const {
    return frame->bytes().subspan(frame_header_size, frame_size - frame_header_size);
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

struct ReadReady {
  std::uint64_t ticket = 0;
};
// What this replica needs next is in no journal any more, and the superblock says that it takes a
// state: take the state of a checkpoint of member
// `from`, at `op` or later, make it durable, then `SyncDone`. One at a time; no `Commit` comes
// meanwhile.
struct StartSync {
  std::uint8_t from = 0;
  OpNumber op;
};

using Action = std::variant<Send, WritePrepare, ReadPrepare, WriteMark, WriteSuperblock, Commit,
                            Abandon, StartCheckpoint, ReadReady, StartSync>;

// ---- the replica ------------------------------------------------------------------------------

struct ReplicaOptions {
  JournalLimits journal;
  bool strict = false;  // acknowledge only what a mark names, to survive a lost last write
  // Random, of this open of the directory: by it peers tell two copies of a disk apart.
  std::uint64_t token = 0;
  std::uint64_t format = format_version;          // the newest this program can write
  std::uint64_t checkpoint_commands = 1'000'000;  // besides half the ring
  // Of the group. A backup that hears nothing for `primary_timeout_ns` asks for another view.
  std::uint64_t heartbeat_ns = 50'000'000;
  std::uint64_t primary_timeout_ns = 500'000'000;
  std::uint64_t resend_ns = 100'000'000;
  std::uint64_t repair_ns = 20'000'000;
  std::uint64_t hello_ns = 5'000'000'000;
  std::uint64_t ping_ns = 500'000'000;
};

struct Recovered {
  SuperblockRead superblock;
  JournalRecovery journal;
};

enum class ReplicaStatus : std::uint8_t {
  normal,
  view_change,      // the log of its view is not here yet; of a single voter: opening
  recovering_head,  // what it once acknowledged last is lost; waits for a start-view of its own,
                    // in every life until one came
  recovering_disk,  // all of it is lost; waits for a quorum of others, too
  syncing,          // too far behind the journals; takes a checkpoint's state from a peer
  closing,          // after Close
  failed,           // after a failed write; see failure()
};
[[nodiscard]] std::string_view name(ReplicaStatus status);

// Of a replica whose disk was lost: who has told it in which view they are, a bit a member; it
// needs so many of them. `lost_too`: those who cannot tell.
struct RecoveryProgress {
  std::uint32_t answered = 0;
  std::uint32_t lost_too = 0;
  std::uint32_t needed = 0;
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): members stand with what they belong to.
class Replica {
 public:
  // Raises the incarnation, and asks for the superblock to be written; nothing leaves before it is.
  // A single voter takes a view of its own and commits what its log holds; others wait for their
  // group.
  [[nodiscard]] static Result<std::unique_ptr<Replica>> open(Now now, const ReplicaOptions& options,
                                                             const Recovered& recovered,
                                                             BlockPool& pool,
                                                             std::vector<Action>& out);

  // Appends to `out`.
  void step(Now now, const Event& event, std::vector<Action>& out);

  // Looks at the clocks, as `step` does first: before `may_propose`, if no event came for a while.
  void observe(Now now);
  // True if a proposal of any size is accepted now: this is the primary, has committed all that
  // came before its view, and its clock may stamp. One made when it is false is abandoned.
  [[nodiscard]] bool may_propose() const;

  // When a `Tick` would do something, in monotonic nanoseconds; nothing if none would.
  [[nodiscard]] std::optional<std::uint64_t> wake_at() const;

  [[nodiscard]] ReplicaStatus status() const;
  // Why it failed; only while `status()` is failed.
  [[nodiscard]] const Error& failure() const;
  // Closing, no write is in flight or due and no checkpoint is being made: the devices may be
  // closed.
  [[nodiscard]] bool closed() const;

  [[nodiscard]] std::uint8_t index() const { return superblock_.replica; }
  // Who is in the group, by the newest configuration this replica knows of.
  [[nodiscard]] const Configuration& configuration() const { return superblock_.configuration; }
  // A quorum of its voters, as far as the primary of a view has been told in it, know the
  // configuration. Before that one failure may be too many for who is left of the one before.
  [[nodiscard]] bool is_settled() const;
  // Why the group may not be changed to that now: `usage.config` if never from what it is,
  // `unavailable.membership` if later, or at another replica. A change asked for all the same is
  // abandoned.
  [[nodiscard]] Status check_reconfigure(const Configuration& to) const;
  [[nodiscard]] ViewNumber view() const { return superblock_.view; }
  [[nodiscard]] ViewNumber log_view() const { return superblock_.log_view; }
  // Of this replica's view.
  [[nodiscard]] std::uint8_t primary() const;
  [[nodiscard]] bool is_primary() const;
  [[nodiscard]] std::uint64_t incarnation() const { return superblock_.incarnation; }
  // Only while `status()` is recovering_disk.
  [[nodiscard]] RecoveryProgress recovery() const;
  // The newest format every member can write, as far as they have said: nothing newer is written
  // before.
  [[nodiscard]] std::uint64_t group_format() const;
  [[nodiscard]] OpNumber head() const { return op_; }
  [[nodiscard]] OpNumber commit() const { return commit_; }
  // On this replica's disk, with everything before it.
  [[nodiscard]] OpNumber durable() const { return durable_; }
  // Of the newest durable superblock.
  [[nodiscard]] const Checkpoint& checkpoint() const { return checkpoint_; }
  [[nodiscard]] std::uint64_t ring_used() const;
  [[nodiscard]] const ClusterClock& clock() const { return clock_; }
  // Messages that were damaged, or of no member.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  // The header checksum of an op of the log, if it is still kept; for checks.
  [[nodiscard]] std::optional<Hash> checksum_at(OpNumber op) const;

 private:
  enum class Phase : std::uint8_t { normal, view_change, recovering_head, failed };
  // A prepare in memory: written or being written, and not yet committed here.
  struct Slot {
    OpNumber op;  // 0: none
    Hash checksum{};
    Buffer bytes;
    std::optional<std::uint64_t> ticket;
    bool written = false;
  };
  // The state after an operation: what a checkpoint there says of the journal.
  struct Point {
    OpNumber op;
    Hash header_checksum{};
    TimestampUs next_timestamp;
    std::uint64_t next_offset = 0;
    std::uint64_t commands = 0;  // since the checkpoint the replica was opened with
  };
  struct Read {
    OpNumber op;
    Hash checksum{};
    bool for_commit = false;
    std::uint32_t peers = 0;  // bit i: member i asked for it
  };
  struct Vote {
    ViewNumber view;
    std::uint64_t at_ns = 0;
  };
  struct Collected {
    OpNumber commit;
    LifeId life{};
    DoViewChange message;
  };
  struct PendingRead {
    std::uint64_t ticket = 0;
    OpNumber op;
    std::uint64_t round = 0;
  };

  Replica(Now now, const ReplicaOptions& options, const Recovered& recovered, BlockPool& pool);

  void on(Now now, const Tick& event, std::vector<Action>& out);
  void on(Now now, const Received& event, std::vector<Action>& out);
  void on(Now now, const Propose& event, std::vector<Action>& out);
  void on(Now now, const Reconfigure& event, std::vector<Action>& out);
  void on(Now now, const PrepareWritten& event, std::vector<Action>& out);
  void on(Now now, const PrepareRead& event, std::vector<Action>& out);
  void on(Now now, const MarkWritten& event, std::vector<Action>& out);
  void on(Now now, const SuperblockWritten& event, std::vector<Action>& out);
  void on(Now now, const CheckpointDone& event, std::vector<Action>& out);
  void on(Now now, const RequestCheckpoint& event, std::vector<Action>& out);
  void on(Now now, const ReadIndex& event, std::vector<Action>& out);
  void on(Now now, const SyncDone& event, std::vector<Action>& out);
  void on(Now now, const Close& event, std::vector<Action>& out);

  // ---- replica.cpp: disk ----
  // (R2) The only question whether anything of this view may leave.
  [[nodiscard]] bool gate_open() const;
  void gate_opened(Now now, std::vector<Action>& out);
  void maybe_checkpoint(std::vector<Action>& out);
  void maybe_mark(Now now, std::vector<Action>& out);
  void end_sync_range();
  void write_mark(std::vector<Action>& out);
  void write_superblock(std::vector<Action>& out);
  void fail(const Error& error, std::vector<Action>& out);
  void abandon_tickets(std::vector<Action>& out);

  // ---- replica_log.cpp: the log ----
  [[nodiscard]] Slot& slot(OpNumber op) { return slots_[op.value() % slots_max]; }
  [[nodiscard]] const LiveFrame* frame_of(OpNumber op) const;
  [[nodiscard]] Point point_at(OpNumber op) const;
  [[nodiscard]] bool room_for(std::uint64_t padded) const;
  [[nodiscard]] bool may_follow(OpNumber last, const PrepareHeader& prepare) const;
  void append(const PrepareHeader& prepare, std::uint64_t ring_offset, Buffer bytes,
              std::optional<std::uint64_t> ticket, std::vector<Action>& out);
  void prepare(std::uint64_t ticket, const MutableBuffer& frame, std::uint32_t commands,
               bool configures, std::vector<Action>& out);
  [[nodiscard]] bool append_received(const PrepareHeader& prepare, const MutableBuffer& message,
                                     std::vector<Action>& out);
  void advance_durable();
  void truncate(OpNumber last, std::vector<Action>& out);
  void disown(OpNumber last);
  void advance_commit(std::vector<Action>& out);
  [[nodiscard]] bool commit_until_configuration(std::vector<Action>& out);
  void commit_one(const LiveFrame& frame, Slot&& done, std::vector<Action>& out);
  void read(const LiveFrame& frame, bool for_commit, std::uint32_t peers, std::vector<Action>& out);
  void release(std::vector<Action>& out);
  [[nodiscard]] OpNumber acknowledgeable() const;
  [[nodiscard]] Suffix suffix() const;
  [[nodiscard]] bool rewrite(const PrepareHeader& prepare, const MutableBuffer& message,
                             std::vector<Action>& out);

  // ---- replica_normal.cpp: normal operation and repair ----
  void receive(Now now, const Message& message, const Prepare& prepare, const MutableBuffer& bytes,
               std::vector<Action>& out);
  void receive(Now now, const Message& message, const PrepareOk& ok, std::vector<Action>& out);
  void receive(Now now, const Message& message, const Heartbeat& beat, std::vector<Action>& out);
  void receive(Now now, const Message& message, const HeartbeatOk& ok, std::vector<Action>& out);
  void receive(Now now, const Message& message, const RequestPrepares& request,
               std::vector<Action>& out);
  void receive(Now now, const Message& message, const Gone& gone, std::vector<Action>& out);
  void take_prepare(Now now, const Message& message, const PrepareHeader& prepare,
                    const MutableBuffer& bytes, std::vector<Action>& out);
  void take_committed(Now now, const Message& message, const PrepareHeader& prepare,
                      const MutableBuffer& bytes, std::vector<Action>& out);
  void send_prepare(std::uint8_t to, const PrepareHeader& header, Bytes frame,
                    std::vector<Action>& out);
  void send_prepare_ok(std::vector<Action>& out);
  void receive(Now now, const Message& message, const Ping& ping, std::vector<Action>& out);
  void receive(Now now, const Message& message, const Pong& pong, std::vector<Action>& out);
  void send_pings(Now now, std::vector<Action>& out);
  void send_heartbeats(std::vector<Action>& out);
  [[nodiscard]] bool is_deaf() const;
  void note_progress();
  [[nodiscard]] bool is_stuck() const;
  void request_missing(Now now, std::vector<Action>& out);
  void finish_reads(std::vector<Action>& out);
  void send(std::uint8_t to, Payload payload, std::vector<Action>& out);
  void send_in_view(std::uint8_t to, ViewNumber view, Payload payload, std::vector<Action>& out);
  void broadcast(const Payload& payload, std::vector<Action>& out);

  // ---- replica_lives.cpp: who speaks, and what a lost disk needs ----
  [[nodiscard]] LifeId life() const { return {superblock_.incarnation, options_.token}; }
  [[nodiscard]] bool is_of_life_known(const Message& message, std::vector<Action>& out);
  void begin_life(std::uint64_t incarnation);
  void forget_word_of(std::uint8_t member);
  void receive(Now now, const Message& message, const Hello& hello, std::vector<Action>& out);
  void hear(const Message& message, const Hello& hello, std::vector<Action>& out);
  void hear_of_itself(std::uint8_t from, const LifeId& seen, std::vector<Action>& out);
  [[nodiscard]] bool take_lives(const Lives& said);
  void send_hello(std::uint8_t to, std::vector<Action>& out);
  void receive(Now now, const Message& message, const RecoveryAnswer& answer,
               std::vector<Action>& out);
  void answer_lost(const Message& message, const RequestStartView& request,
                   std::vector<Action>& out);
  [[nodiscard]] bool may_take(const Message& message, const StartView& start);
  [[nodiscard]] bool is_outlived(std::uint8_t voter) const;
  [[nodiscard]] bool knows_life(const Lives& seen, std::uint8_t member) const;
  [[nodiscard]] bool has_forgotten() const;
  [[nodiscard]] bool is_lost() const { return superblock_.standing == Standing::lost; }
  [[nodiscard]] bool is_confirmed() const;
  void take_lives_of_answers();
  void fail_as_rolled_back(const Error& error, std::vector<Action>& out);
  void say_hello(Now now, std::vector<Action>& out);
  void greet_new(const Lives& before, std::vector<Action>& out);

  // ---- replica_members.cpp: who is in the group ----
  [[nodiscard]] std::uint64_t epoch() const { return configuration().epoch; }
  [[nodiscard]] std::uint8_t voters() const { return configuration().voter_count(); }
  [[nodiscard]] bool has_peers() const { return !configuration().is_alone(); }
  // False once it was removed, even if another member has its index now.
  [[nodiscard]] bool is_member() const {
    return configuration().members[index()] == superblock_.self;
  }
  [[nodiscard]] bool is_voter(std::uint8_t member) const { return configuration().votes(member); }
  [[nodiscard]] bool is_voter() const { return is_voter(index()) && is_member(); }
  // A member besides this one.
  [[nodiscard]] bool is_peer(std::uint8_t member) const {
    return member != index() && configuration().has(member);
  }
  // The highest value that `quorum` voters have reached.
  [[nodiscard]] std::uint64_t reached_by(std::uint32_t quorum,
                                         const std::array<std::uint64_t, members_max>& all) const;
  [[nodiscard]] OpNumber reached_by(std::uint32_t quorum,
                                    const std::array<OpNumber, members_max>& all) const;
  // The first one of the log that is not committed.
  [[nodiscard]] std::optional<OpNumber> next_configuration() const;
  [[nodiscard]] bool may_count(const Message& message, std::vector<Action>& out);
  void take_configuration(const Configuration& to, bool is_in_log, std::vector<Action>& out);
  [[nodiscard]] bool are_lives_known(const Configuration& to) const;

  // ---- replica_view.cpp: views ----
  void receive(Now now, const Message& message, const StartViewChange&, std::vector<Action>& out);
  void receive(Now now, const Message& message, const DoViewChange& dvc, std::vector<Action>& out);
  void receive(Now now, const Message& message, const StartView& start, std::vector<Action>& out);
  void receive(Now now, const Message& message, const RequestStartView& request,
               std::vector<Action>& out);
  [[nodiscard]] std::uint8_t primary_of(ViewNumber view) const {
    return configuration().primary_of(view);
  }
  [[nodiscard]] bool adopted() const { return superblock_.log_view == superblock_.view; }
  void vote(Now now, std::vector<Action>& out);
  void count_votes(Now now, std::vector<Action>& out);
  void enter_view(Now now, ViewNumber view, std::vector<Action>& out);
  [[nodiscard]] DoViewChange do_view_change() const;
  void send_do_view_change(std::vector<Action>& out);
  void decide_log(Now now, std::vector<Action>& out);
  [[nodiscard]] std::optional<Suffix> canonical_log(std::uint8_t& source, OpNumber& commit) const;
  [[nodiscard]] bool connects(const Suffix& suffix) const;
  void install(const Suffix& suffix, std::vector<Action>& out);
  void adopt(Now now, std::vector<Action>& out);
  void start_as_primary(Now now, std::vector<Action>& out);
  void send_start_view(std::uint8_t to, const Id128& nonce, std::vector<Action>& out);
  void ask_for_start_view(Now now, std::uint8_t whom, std::vector<Action>& out);
  void catch_up(Now now, std::uint8_t from, ViewNumber view, OpNumber until,
                std::vector<Action>& out);
  void heard_primary(Now now);
  void learn_commit(const Message& message);
  [[nodiscard]] bool is_beyond_reach(ViewNumber other) const;

  ReplicaOptions options_;
  BlockPool& pool_;
  Phase phase_ = Phase::view_change;
  bool closing_ = false;
  std::optional<Error> failure_;

  Superblock superblock_;  // as it is to be; it may still be in flight, or not yet
  Hash superblock_identity_{};
  CopyOrder order_;
  struct {
    bool in_flight = false;
    bool again = false;  // it changed meanwhile
    ViewNumber view;
    ViewNumber log_view;
    OpNumber sync_to;
    Checkpoint checkpoint;
    Lives lives{};
    Standing standing = Standing::member;
    std::uint64_t incarnation = 0;
    std::uint64_t epoch = 0;
  } writing_;
  bool opened_ = false;                    // the incarnation is durable
  std::uint64_t durable_sequence_ = 0;     // of the superblock
  std::uint64_t adopted_in_ = 0;           // the first superblock with the log adopted last
  std::uint64_t superblock_since_ns_ = 0;  // when the one in flight was begun
  std::uint64_t superblock_took_ns_ = 0;   // the last one
  ViewNumber durable_view_;
  ViewNumber durable_log_view_;
  Lives durable_lives_{};  // seen
  Standing durable_standing_ = Standing::member;
  std::uint64_t durable_incarnation_ = 0;
  std::uint64_t durable_epoch_ = 0;
  Checkpoint checkpoint_;  // of the last one known to be on disk

  // The log: released_.op < … <= commit_ <= durable_ <= op_ <= known_.
  Point released_;                       // the ring before it is free
  std::deque<LiveFrame> frames_;         // of ops released_.op + 1 to op_
  OpNumber op_;                          // the newest prepare written or being written
  OpNumber durable_;                     // every op up to it is on this disk
  OpNumber known_;                       // the newest header of the log of log_view
  OpNumber canonical_;                   // up to it this log is that of `view` too
  OpNumber commit_max_;                  // known to be committed in the group; may be beyond op_
  OpNumber commit_;                      // committed and applied here
  OpNumber faulty_until_;                // ops beyond durable_ up to it were here once
  OpNumber configures_at_;               // no configuration stands behind it in the log
  std::set<OpNumber> rotted_;            // of the log, on disk, and not readable
  std::set<OpNumber> rewriting_;         // of those; the ring is not released under a write
  std::size_t stale_writes_ = 0;         // in flight, of prepares no longer in the log
  Point head_;                           // after op_
  Point committed_;                      // after commit_
  std::array<Slot, slots_max> slots_{};  // op n in n % 16
  std::array<PrepareHeader, headers_kept> headers_{};  // of op n in n % 32, the newest ones
  std::vector<Read> reads_;

  std::optional<Point> checkpointing_;  // where the checkpoint being made is
  bool checkpoint_started_ = false;     // and not done, even if a peer's came first
  bool checkpoint_requested_ = false;
  std::uint64_t checkpoint_commands_ = 0;  // `commands` at the last checkpoint

  std::uint64_t mark_sequence_ = 0;
  OpNumber marked_;  // what the newest mark or superblock says was durable
  std::optional<OpNumber> mark_in_flight_;
  bool mark_wanted_ = false;  // one of the two is damaged
  std::uint64_t active_ns_ = 0;

  // Of the group.
  std::array<OpNumber, members_max> acked_{};                   // primary: prepare_ok of this view
  std::array<OpNumber, members_max> peer_checkpoints_{};        // primary
  std::array<std::uint64_t, members_max> peer_rounds_{};        // primary: heartbeats answered
  std::array<std::uint64_t, members_max> peer_epochs_{};        // primary: told in this view
  std::array<std::optional<Lives>, members_max> peer_lives_{};  // and by this configuration
  std::array<std::uint64_t, members_max> heard_at_ns_{};        // when each said anything last
  OpNumber group_checkpoint_;      // a quorum has a checkpoint there or later
  OpNumber inherited_;             // primary: the head its view began with
  std::uint64_t first_round_ = 0;  // the first of this life comes behind it
  std::uint64_t round_ = 0;
  // Primary: where its disk stands, and since when with something to be done.
  struct Progress {
    OpNumber durable;
    OpNumber commit;
    std::uint64_t superblock = 0;
    std::size_t stale_writes = 0;
    friend bool operator==(const Progress&, const Progress&) = default;
  };
  Progress progress_;
  std::uint64_t progress_ns_ = 0;
  std::vector<PendingRead> pending_reads_;
  OpNumber wanted_;         // backup: the primary has ops up to it
  OpNumber primary_wants_;  // in a view change: what its primary asked for last

  std::array<Vote, members_max> votes_{};
  std::array<std::optional<Collected>, members_max> collected_{};  // of this view
  Now now_;                                                        // of the event being looked at
  ClusterClock clock_;
  std::uint64_t ping_round_ = 0;
  std::uint64_t ping_at_ = 0;
  Id128 nonce_{};
  // While the disk is lost: what each said who answered with this life's nonce.
  struct Answer {
    LifeId life;
    ViewNumber view;
    Lives lives{};
  };
  std::array<std::optional<Answer>, members_max> answers_{};
  std::uint32_t lost_too_ = 0;
  // Of each member: the last life it said hello in, and what that has lived through; and what those
  // who answered know of it, which its next hello has to vouch for.
  struct Told {
    LifeId life;
    std::array<std::uint64_t, lives_kept> tokens{};
  };
  std::array<Told, members_max> told_{};
  std::array<std::vector<LifeId>, members_max> lived_through_{};
  std::optional<std::uint8_t> catching_up_from_;  // committed ops, before its log can be adopted
  ViewNumber catch_up_view_;
  OpNumber catch_up_until_;
  std::uint8_t asked_ = 0;    // whom prepares were asked from last
  bool ask_another_ = false;  // and the next one, not the primary: its state could not be had
  OpNumber asked_to_;         // the last of those asked for
  bool syncing_ = false;
  bool sync_installed_ = false;
  std::optional<StartSync> sync_due_;  // once the superblock says so

  std::uint64_t heartbeat_at_ = 0;
  std::uint64_t timeout_at_ = 0;
  std::uint64_t resend_at_ = 0;
  std::uint64_t repair_at_ = 0;
  std::uint64_t asked_view_at_ = 0;
  std::uint64_t hello_at_ = 0;
  std::array<std::uint64_t, members_max> formats_{};  // of each, once it said hello
  std::uint32_t heard_by_ = 0;                        // bit i: member i knows this life

  std::uint64_t dropped_ = 0;
};

}  // namespace kimberlite::consensus
