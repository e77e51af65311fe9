// The part of a database that all tenants share: consensus, journal, kernel, keys, logs,
// checkpoints.
//
// Everything here runs on one strand of the executor (`strand`), but for what is marked
// thread-safe. A prepare goes: submit -> pump (group commit) -> Replica -> journal write -> Replica
// -> commit: each command through the kernel and into its log, then the results to the tenants that
// proposed it.
//
// (C1) A batch's `done` is called exactly once, on this strand.          [kept: commit, fail]
// (C2) A command is applied in the order of (op, index), live and at recovery, by the same
// function.
//                                                                        [kept: commit]
// (C3) After `failed()`, nothing is acknowledged any more.               [kept: submit, pump,
// commit]
//
// In a group of several replicas only the primary proposes; the others, and it too when it was not,
// apply what was committed elsewhere (`foreign_commits`).
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "consensus/replica.hpp"
#include "driver.hpp"
#include "engine/backup.hpp"
#include "engine/database.hpp"
#include "env/env.hpp"
#include "forward.hpp"
#include "journal_io.hpp"
#include "kernel/command.hpp"
#include "kernel/state.hpp"
#include "keystore/keystore.hpp"
#include "life.hpp"
#include "log_shelf.hpp"
#include "mender.hpp"
#include "prover.hpp"
#include "seal.hpp"
#include "state_sync.hpp"

namespace kimberlite::engine {

struct CommandResult {
  kernel::Refusal refusal = kernel::Refusal::none;
  record::Entry entry;  // of an accepted one
  Hash leaf{};
};

// What a tenant's executor has to know of the kernel's state to make commands.
struct TenantView {
  Id128 log_id{};
  Position head;
  TimestampUs last;
  std::uint32_t access_version = 0;
  std::uint32_t catalog_version = 0;
  KeyId next_key;
  KeyId data_key;        // 0: none yet
  bool key_due = false;  // the next item is to be sealed under `next_key`
};

struct BatchResult {
  std::vector<CommandResult> commands;  // as proposed
  TenantView view;                      // after the last of them
};

// A command's base is a position. That it stands only on the very records it was evaluated on takes
// more, and the core sees to it: no batch is proposed while an operation that its executor did not
// see is in the log and not committed yet, and none that was evaluated before such a one was
// committed; it is answered `stale_base`, like one that the kernel refuses.
struct Batch {
  TenantId tenant;
  std::vector<SealedCommand> commands;
  std::uint64_t seen = 0;  // `foreign_commits` that its executor had looked at
  std::move_only_function<void(Result<BatchResult>)> done;
  std::uint64_t submitted_ns = 0;
};

// True if what a batch failed with says nothing about this replica: it goes on, and looks at its
// log before the next one.
[[nodiscard]] bool is_passing(const Error& error);

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): members stand with what they belong to.
class Core {
 public:
  static constexpr std::uint64_t strand = 0;

  // Opens what `Database::create` made: reads superblock, keystore, snapshot and journal, and
  // applies what the journal holds. Runs on the caller's thread, which drives.
  [[nodiscard]] static Result<std::unique_ptr<Core>> open(env::Env env, keystore::MasterKey& master,
                                                          const Options& options);
  Core(env::Env env, keystore::MasterKey& master, const Options& options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // ---- Thread-safe ------------------------------------------------------------------------------
  [[nodiscard]] env::Env& env() { return env_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] Driver& driver() { return driver_; }
  [[nodiscard]] LogShelf& logs() { return logs_; }
  // What one command may have, and what a batch may before its last one; of a ring of the usual
  // size the limits of base/limits.hpp, else the same parts of its largest prepare. Any such batch
  // fits a prepare.
  [[nodiscard]] std::uint64_t command_bytes_max() const {
    return std::min(command_size_max, io_.limits().prepare_size_max / 4 * 3);
  }
  [[nodiscard]] std::uint64_t batch_bytes_max() const {
    return std::min(batch_changes_max, io_.limits().prepare_size_max / 8);
  }
  [[nodiscard]] Prover& prover() { return prover_; }
  // How many epochs of logs began since this was made.
  [[nodiscard]] std::uint64_t epochs_begun() const { return epochs_begun_; }
  // Lookups only.
  [[nodiscard]] const keystore::Keystore& keys() const { return *keystore_; }
  void submit(Batch batch);
  // Runs `task` on the strand and waits for it.
  void run(const std::function<void(Core&)>& task);
  // No record stamped at or before the result's time is to come any more. Fails as a write does:
  // what holds time still is one.
  [[nodiscard]] Result<TimestampUs> settle_time();
  // The sidecar for a new data key of the tenant, usable for sealing at once.
  [[nodiscard]] Result<Buffer> propose_data_key(TenantId tenant, KeyId key);
  void abandon_keys(TenantId tenant);
  // The key of the tenant's projection file; `is_new`: made now, because there was none.
  [[nodiscard]] Result<crypto::Key256> page_key(TenantId tenant, bool& is_new);
  // Commands applied that no batch here waited for: a tenant that remembers another number has to
  // look at its log.
  [[nodiscard]] std::uint64_t foreign_commits() const {
    return foreign_commits_.load(std::memory_order_acquire);
  }
  [[nodiscard]] bool is_group() const { return is_group_; }
  // Why it takes no writes, if it is not the primary. On the strand.
  [[nodiscard]] std::optional<Error> follows() const {
    return is_group_ && !replica_->is_primary() ? std::optional{not_primary()} : std::nullopt;
  }
  [[nodiscard]] bool leads() const { return is_primary_.load(std::memory_order_acquire); }
  // Fails with `unavailable.quorum` while a replica of a group does not know yet which of its
  // journal's operations are committed: its state is older than what it once showed.
  [[nodiscard]] Status caught_up();
  // Fails with `unavailable.not_primary` on a replica whose schema and rows may be behind. A guess:
  // what matters is decided when a write is proposed, and by `confirm_read`.
  [[nodiscard]] Status check_primary();
  // As `Database::change_group`.
  [[nodiscard]] Status change_group(const MemberChange& change);
  // Everything acknowledged anywhere before this call is applied here; `unavailable.not_primary`,
  // `.quorum`. Free for a group of one.
  [[nodiscard]] Status confirm_read();
  [[nodiscard]] Glance glance() const;
  // Now, by this machine's clock, and never before a record that is applied here: in a group it may
  // have been stamped by a clock that was ahead.
  [[nodiscard]] TimestampUs wall_time();
  // A tenant of this replica can do no more, for want of its disk or since some of its log is
  // damaged: in a group all of the replica stops, so that another becomes primary, and is to be
  // opened again. For damage it does so only while it leads; it is noted in any case.
  void stop_in_group(TenantId tenant, const Error& error);
  // What a client is told of damage here: in a group it is to ask again.
  [[nodiscard]] Error whole_elsewhere(const Error& error) const;
  // A record cannot be read, as `error` says: in a group it is taken from a replica that has it;
  // `done`, on the strand, is told whether it can be read now.
  void mend(const RecordPlace& place, const Error& error, Mender::Done done = {});
  // The same, and waits for that. Not on a strand. False at once where there is no group.
  [[nodiscard]] bool mended(const RecordPlace& place, const Error& error);
  // As `LogShelf::read`, and of a damaged record once it is mended. Not on a strand.
  [[nodiscard]] Result<log::RecordView> read(const RecordPlace& place, Buffer& scratch);
  // Some of a tenant's derived rows cannot be read, as `error` says; the next open derives them
  // again. In a group all of the replica stops, as above.
  void projection_damaged(TenantId tenant, const Error& error);
  // Runs `task` on the strand, later; or at the earliest after so long.
  void run_on_strand(std::move_only_function<void(Core&)> task);
  void after(std::uint64_t delay_ns, std::move_only_function<void(Core&)> task);
  [[nodiscard]] Forwarder& forwarder() { return forwarder_; }
  // True if a write asked here is carried to another replica, as far as is known.
  [[nodiscard]] bool forwards() const {
    return options_.forward_writes && is_group_ && !is_primary_.load(std::memory_order_acquire);
  }
  // Once nobody asks for anything any more; waits for the disk.
  [[nodiscard]] Status close();

  // ---- On the strand ----------------------------------------------------------------------------
  // Who writes are forwarded to; an error if it is this one, or nobody known, or no member's to
  // ask.
  [[nodiscard]] Result<std::uint8_t> other_primary() const;
  [[nodiscard]] const kernel::State& state() const { return *state_; }
  [[nodiscard]] TenantView view(TenantId tenant) const;
  [[nodiscard]] Buffer propose_tenant(TenantId tenant);
  [[nodiscard]] Status checkpoint();
  // Everything committed is in the segments; how far each log goes.
  [[nodiscard]] Status cut_for_backup(BackupText& into);
  // The keystore as it is now, as a file of its own.
  [[nodiscard]] Buffer escrow();
  void status(StatusReport& into) const;
  [[nodiscard]] const std::optional<Error>& failed() const { return failed_; }

  // ---- For state_sync.hpp and mender.hpp, on the strand ----------------------------------------
  [[nodiscard]] const consensus::Checkpoint& newest_checkpoint() const {
    return replica_->checkpoint();
  }
  [[nodiscard]] const consensus::Configuration& configuration() const {
    return replica_->configuration();
  }
  [[nodiscard]] std::uint8_t index() const { return replica_->index(); }
  [[nodiscard]] Result<keystore::Keystore> open_keys(Bytes file) {
    return keystore::Keystore::decode(file, master_);
  }
  // How far a log goes here.
  [[nodiscard]] record::Head log_head(TenantId tenant, kernel::Lane lane) const;
  // Everything of a peer's checkpoint is here: it becomes this replica's own.
  void install_state(const consensus::Checkpoint& of_peer,
                     const consensus::Configuration& configuration, keystore::Keystore&& keys,
                     kernel::State&& state);
  void state_not_had(const std::string& why);
  // A file of the newest checkpoint is damaged: another checkpoint, as soon as there can be one.
  void renew_checkpoint();

 private:
  // Of one who waits for nothing but a commit; `done` is an error until there was one.
  struct Fence {
    Signal* signal = nullptr;
    Status* done = nullptr;
    std::uint64_t asked_ns = 0;
  };
  struct InFlight {
    std::vector<Batch> batches;
    std::vector<Fence> fences;
    std::uint64_t submitted_ns = 0;
  };
  struct Awaited {
    std::function<bool()> holds;
    Signal* signal = nullptr;
  };
  struct Read {
    Signal* signal = nullptr;
    bool* ready = nullptr;
    std::uint64_t asked_ns = 0;
  };

  [[nodiscard]] Status recover();
  [[nodiscard]] Status recovered_in_group();
  [[nodiscard]] Status recovered_alone();
  void know_logs();
  void end_sync(const consensus::SyncDone& done);
  [[nodiscard]] Status load_keys(const consensus::Checkpoint& checkpoint);
  [[nodiscard]] Status load_state(const consensus::Checkpoint& checkpoint);
  void pump();
  void propose(consensus::Now now, InFlight&& in_flight, consensus::MutableBuffer body,
               std::uint32_t commands);
  void step(const consensus::Event& event);
  void step(consensus::Now now, const consensus::Event& event);
  void perform(std::vector<consensus::Action> actions);
  void put_due(std::vector<consensus::Action> actions);
  // Waits, on a thread that may drive, until `holds`, which is asked on the strand, is true.
  void wait_until(std::function<bool()> holds);
  void end_wait();
  [[nodiscard]] Status replace_snapshot();
  void commit(const consensus::Commit& action);
  [[nodiscard]] Result<CommandResult> apply(OpNumber op, std::uint32_t index, TimestampUs time,
                                            const consensus::CommandView& command);
  [[nodiscard]] Result<std::optional<kernel::Control>> open_control(
      TenantId tenant, const Id128& log_id, std::span<const record::ItemView> items) const;
  void know_new_tenant(const kernel::Control& control);
  void abandon(std::uint64_t ticket);
  [[nodiscard]] Result<consensus::CheckpointDone> write_checkpoint(OpNumber op);
  [[nodiscard]] Status sweep();
  [[nodiscard]] Status check_disk();
  void completed();
  void received(std::uint8_t from, Bytes frame);
  void after_step();
  void note(const std::string& what);  // once, whoever finds it again
  void show();
  void committed_at(TimestampUs time);
  void refuse_queue(const Error& error);
  void refuse_overtaken();
  void expire(std::uint64_t now_ns);
  void end_read(std::uint64_t ticket, bool ready);
  [[nodiscard]] Error not_primary() const;
  [[nodiscard]] Error clock_refuses() const;
  // What the group is to be, if the replica may propose that now.
  [[nodiscard]] Result<consensus::Configuration> check_change(consensus::Now now,
                                                              const MemberChange& change);
  void note_clock(consensus::Now now);
  [[nodiscard]] bool has_caught_up() const;
  void fail(const Error& error, std::optional<std::uint64_t> ticket = std::nullopt);
  void arm_tick();
  [[nodiscard]] static std::vector<KeyInfo> key_infos(const kernel::TenantState& tenant);
  [[nodiscard]] consensus::Now now();

  env::Env env_;
  Options options_;
  keystore::MasterKey& master_;
  std::unique_ptr<env::Lock> lock_;
  JournalIo io_;
  Driver driver_;
  LogShelf logs_;
  Prover prover_{*this};
  std::atomic<std::uint64_t> epochs_begun_ = 0;
  mutable std::mutex keys_mutex_;  // of changes to the keystore; lookups need none
  std::unique_ptr<keystore::Keystore> keystore_;
  std::optional<kernel::State> state_;
  std::unique_ptr<consensus::Replica> replica_;
  StateSync sync_{*this};
  Forwarder forwarder_{*this};
  Mender mender_{*this};
  consensus::BlockPool blocks_;
  std::deque<Batch> queue_;
  std::vector<Fence> fences_;
  std::map<std::uint64_t, InFlight> in_flight_;  // by ticket
  std::set<std::uint64_t> given_up_;  // tickets nobody waits for any more, of unknown outcome
  std::uint64_t next_ticket_ = 1;
  std::optional<Error> failed_;
  bool is_group_ = false;
  std::atomic<bool> is_primary_ = true;
  // What `glance` gives.
  struct Shown {
    std::atomic<consensus::ReplicaStatus> status = consensus::ReplicaStatus::view_change;
    std::atomic<std::uint64_t> view = 0;
    std::atomic<std::uint64_t> head = 0;
    std::atomic<std::uint64_t> committed = 0;
    std::atomic<std::uint64_t> checkpoint = 0;
    std::atomic<std::uint64_t> waiting = 0;
    std::atomic<std::uint64_t> last_commit_us = 0;
  };
  Shown shown_;
  bool listening_ = false;
  std::atomic<std::uint64_t> foreign_commits_ = 0;
  std::atomic<std::uint64_t> inbound_bytes_ = 0;  // received, not looked at yet
  std::map<std::uint64_t, Read> reads_;           // by ticket
  OpNumber opened_head_;                          // what the journal held at the open
  bool settled_ = false;  // the segments hold nothing the journal did not make again
  std::vector<std::string> notes_;
  std::deque<std::string> clock_notes_;  // the last steps of the wall clock
  std::uint64_t clock_steps_ = 0;        // noted
  Id128 cluster_{};
  OpNumber checkpoint_op_;
  OpNumber last_written_;  // of the newest checkpoint begun
  TimestampUs last_commit_;
  std::uint64_t bytes_since_disk_check_ = 0;
  std::uint64_t snapshot_size_ = 0;
  bool snapshot_lost_ = false;
  bool disk_checked_ = false;
  bool disk_low_ = false;
  std::deque<consensus::Action> due_;  // still to be carried out
  bool performing_ = false;
  std::optional<std::uint64_t> tick_at_;
  std::optional<Awaited> awaited_;
  Life life_;
};

}  // namespace kimberlite::engine
