// One tenant's executor: every write of the tenant passes through it, in order.
//
// Lockstep: one SQL batch (a projection transaction, then one run of commands) is in flight at a
// time; raw appends hold no transaction, and several batches of them may be. What a batch wrote
// stands in the projection before anyone is told.
//
// (T1) `head_` is the position after every command in flight; with none in flight, the log's head.
//                                                                 [kept: propose, settled, resync]
// (T2) A SQL batch begins only when no append is in flight and none is missing from the projection.
//                                                                 [kept: drain]
// (T3) A request's `done` is set exactly once, after its outcome is durable or known to be nothing.
//                                                                 [kept: answer]
// Thread rule: the strand `strand()` alone, but for what is marked thread-safe.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core.hpp"
#include "life.hpp"
#include "projection/projection.hpp"
#include "projection/reader.hpp"
#include "projection/vfs.hpp"
#include "records.hpp"
#include "request.hpp"

namespace kimberlite::engine {

class Tenant {
 public:
  Tenant(Core& core, TenantId id, std::string name);
  ~Tenant();
  Tenant(const Tenant&) = delete;
  Tenant& operator=(const Tenant&) = delete;

  // ---- Thread-safe ------------------------------------------------------------------------------
  [[nodiscard]] TenantId id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint64_t strand() const { return 1 + id_.value(); }
  // Opens the projection, brings it up to the log's head. Before the first request.
  [[nodiscard]] Status open();
  // Waits for the answer; the calling thread drives meanwhile.
  void submit(Request& request);
  // Waits for nothing: the request has `answered`, and is there until that was called.
  void post(Request& request);
  // The actor of this name and method; drawn now if there is none yet.
  [[nodiscard]] Id128 actor(const kernel::Actor& description);
  // In a group another replica may have given the actor his id: it is looked up, or made, before
  // anything is written or named under it.
  [[nodiscard]] Status settle_actor(Principal& principal);
  // Who asks, why, and under which id. `type.encoding`: no replica could read the reason again.
  [[nodiscard]] Status fill(Request& request, Principal& principal, const Why& why,
                            std::span<const Bytes> digest_parts);
  // The caller's own, or one made from his key, or a new one. `principal`: settled.
  [[nodiscard]] Result<Id128> request_id(const Principal& principal, const Why& why) const;
  // How many of `Core::foreign_commits` the projection has.
  [[nodiscard]] std::uint64_t seen() const { return seen_foreign_.load(std::memory_order_acquire); }
  // What a transaction is answered that was evaluated on rows that are not the present any more.
  [[nodiscard]] static Error overtaken();
  // Until the projection has all that is committed here.
  [[nodiscard]] Status settle();
  // A reader that sees every acknowledged write.
  [[nodiscard]] Result<std::unique_ptr<projection::Reader>> take_reader();
  void give_reader(std::unique_ptr<projection::Reader> reader);
  // For who is not on a strand.
  [[nodiscard]] RecordSource& records() { return records_; }
  // The record that kept `open` from bringing the projection up to the log.
  [[nodiscard]] const std::optional<Position>& unread() const { return unread_; }
  [[nodiscard]] Result<std::string> dump(Position position);
  [[nodiscard]] Result<std::vector<ProjectionSum>> sums();
  [[nodiscard]] Result<std::optional<Outcome>> outcome_under(const Id128& request_id);
  // Nobody uses it any more.
  // Once nobody asks for anything any more; waits for what was under way.
  [[nodiscard]] Status close();

 private:
  // One request of a batch that was evaluated.
  struct Evaluation {
    Request* request = nullptr;
    std::optional<std::size_t>
        command;  // its index in the batch; none: answered by `outcome` alone
    Result<Outcome> outcome{Outcome{}};
    projection::StreamAdvance stream;  // of an append
  };
  enum class Mode : std::uint8_t { sql, append, control };
  struct InFlight {
    Mode mode = Mode::sql;
    std::vector<Evaluation> evaluations;
    std::optional<Id128> actor;  // the one it adds
  };
  struct Transaction {
    const Principal* principal = nullptr;
    std::string text;  // of its writes, literals replaced
    std::uint64_t rows = 0;
    bool has_written = false;  // or tried to
    std::uint64_t begun_ns = 0;
    std::uint64_t used_ns = 0;
  };
  // A committed append the projection does not have yet.
  struct Unapplied {
    record::Entry entry;
    Hash digest{};
    StreamId stream;
    std::string new_name;
    Sequence first;
    std::uint32_t count = 0;
  };
  struct StreamState {
    StreamId id;
    Sequence next;
  };

  // Runs `task` on the strand when nothing is in flight and the projection has all there is.
  [[nodiscard]] Status settled_run(const std::function<Status()>& task);

  // tenant.cpp: the queue
  void enqueue(Request& request);
  void drain();
  void answer(Request& request, Result<Outcome> result);
  void propose(InFlight&& in_flight, std::vector<SealedCommand> commands);
  void settled(std::uint64_t tag, Result<BatchResult> result);
  void finish_sql(InFlight& batch, const BatchResult& result);
  void finish_append(InFlight& batch, const BatchResult& result);
  void finish_control(InFlight& batch, const BatchResult& result);
  static void place(Evaluation& evaluation, const BatchResult& result);
  void complete(InFlight& batch, const BatchResult& result);
  void refused(InFlight& batch, const BatchResult& result);
  void fail_first(const Error& error);
  [[nodiscard]] bool must_add_actor(const Request& request) const;
  void add_actor(const Principal& principal);

  // tenant_evaluate.cpp: from requests to sealed commands
  void start_sql();
  void start_ddl(Request& request);
  void start_append();
  void start_control(Request& request);
  [[nodiscard]] Result<std::optional<SealedCommand>> evaluate(Request& request, Position base,
                                                              Evaluation& evaluation);
  [[nodiscard]] Result<std::optional<SealedCommand>> evaluate_ddl(Request& request,
                                                                  Evaluation& evaluation);
  [[nodiscard]] Result<std::optional<SealedCommand>> evaluate_append(Request& request,
                                                                     Position base,
                                                                     Evaluation& evaluation);
  [[nodiscard]] Result<std::optional<Outcome>> known(const Request& request);
  [[nodiscard]] Result<Outcome> answered_then(const projection::KnownRecord& record);
  // Not too late, and on the head it expects.
  [[nodiscard]] Status may_begin(const Request& request, Position base) const;
  [[nodiscard]] Result<projection::Evaluated> evaluate_all(Request& request);
  [[nodiscard]] Result<std::optional<SealedCommand>> seal_unchanged(const Request& request);
  [[nodiscard]] Result<SealedCommand> seal_rows(const Request& request, Position base,
                                                const projection::Evaluated& evaluated,
                                                std::span<const record::RowChange> changes,
                                                std::string_view statement);
  [[nodiscard]] Result<SealedCommand> seal_events(const Request& request, Position base,
                                                  StreamId stream, bool is_new, Sequence first);
  [[nodiscard]] Result<SealedCommand> seal_control(const Request& request, Position base,
                                                   const kernel::Control& control,
                                                   std::string_view statement);
  [[nodiscard]] consensus::CommandHeader header_for(const Request& request, kernel::Kind kind,
                                                    Position base) const;
  [[nodiscard]] Result<keystore::ItemKeyPtr> data_key(SealedCommand& command);
  [[nodiscard]] Status finish_data(SealedCommand& command);
  [[nodiscard]] Result<StreamState*> stream_state(std::string_view name, bool& is_new);

  // tenant_transaction.cpp: BEGIN … COMMIT
  void begin_transaction(Request& request);
  void within_transaction(Request& request);
  void note_statement(Transaction& open, const Request& request);
  void commit_transaction(Request& request);
  void rollback_transaction(Request& request);
  void end_transaction();
  void check_lease();
  void check_lease_after(std::uint64_t delay_ns);
  template <class Task>
  void run_on_strand(Task task) {
    core_.env().executor.post(strand(), life_.task(std::move(task)));
  }

  // tenant_projection.cpp: the derived view
  [[nodiscard]] Status open_projection();
  [[nodiscard]] Status attach(bool fresh);
  [[nodiscard]] Status apply_record(Position position);
  [[nodiscard]] Status rebuild();
  [[nodiscard]] Status catch_up();
  [[nodiscard]] Status apply_appends();
  void resync(const TenantView& view, std::uint64_t seen);
  void resync_once_mended(Position damaged, const Error& error);
  void resync_later();
  void answer_looked(const std::optional<Error>& follows);
  void answer_settled(Request& settle);
  // Nothing is done for this tenant any more until it is opened again.
  void fail(const Error& error);
  void know_actors(const std::map<Id128, kernel::Actor>& actors);
  // Of an actor; thread-safe.
  [[nodiscard]] std::string name_of(const Id128& actor);
  // Something was committed that did not pass through here. Thread-safe.
  [[nodiscard]] bool is_behind() const {
    return seen_foreign_.load(std::memory_order_acquire) != core_.foreign_commits();
  }

  Core& core_;
  const TenantId id_;
  const std::string name_;
  RecordSource records_;
  RecordSource records_on_strand_;
  std::unique_ptr<projection::Vfs> vfs_;
  std::unique_ptr<projection::Projection> projection_;
  TenantView view_;
  Position head_;
  bool log_unread_ = false;             // the record last asked of the log could not be opened
  std::optional<Position> unread_;      // nor could its bytes be read
  std::optional<Position> waited_for_;  // the last that `resync` waited for
  bool key_proposed_ = false;           // a new data key travels in a command in flight
  KeyId sealing_key_;
  std::deque<Request*> queue_;
  std::map<std::uint64_t, InFlight> in_flight_;
  std::uint64_t next_tag_ = 1;
  bool sql_in_flight_ = false;
  bool resync_due_ = false;  // nothing is evaluated before the log was looked at again
  bool resyncing_ = false;
  std::uint64_t looks_begun_ = 0;  // at the log, by resync_later
  std::atomic<std::uint64_t> seen_foreign_ = 0;
  std::size_t appends_in_flight_ = 0;
  std::optional<Transaction> transaction_;
  std::optional<std::uint64_t> lease_check_at_ns_;  // the one timer that counts
  std::set<const Principal*> lost_lease_;           // sessions that have not been told yet
  std::deque<Unapplied> unapplied_;
  std::map<std::string, StreamState, std::less<>> streams_;
  std::map<Id128, Request*> append_ids_in_flight_;
  std::set<Id128> unapplied_ids_;
  std::set<Id128> actors_added_;
  // What was acknowledged is not all in the projection, or never will be.
  std::atomic<bool> is_stale_ = false;
  std::optional<Error> failed_;

  std::mutex mutex_;  // of what follows
  std::map<std::pair<std::string, std::string>, Id128>
      actors_;  // (method, name); some not yet added
  std::map<Id128, kernel::Actor> actor_names_;
  std::vector<std::unique_ptr<projection::Reader>> readers_;
  Life life_;
};

}  // namespace kimberlite::engine
