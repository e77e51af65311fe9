// The projection on SQLite: batches, requests, replay and lookups over one writing connection.
//
//   idle ── begin_batch ──> batch ── begin_request ──> request ── finish/undo_request ──> batch
//    │ ^                      └── commit_batch, rollback_batch ──> idle
//    │ └── commit_replay, rollback_replay ── replay <── begin_replay ── idle
//
// (P1) Outside `idle` a SQLite transaction is open, unless `broken_`.   [kept: revive]
// (P2) `catalog_` describes the tables as they physically are; `committed_catalog_` as they are in
//      the last committed transaction.                                  [kept: change_schema, end]
// (P3) The capture holds the current request's events and nothing else.
// (P4) `finished_` are the batch's requests in order, with all it takes to apply them again.
#pragma once

#include <deque>

#include "applier.hpp"
#include "authorizer.hpp"
#include "capture.hpp"
#include "context.hpp"
#include "lookups.hpp"
#include "origins.hpp"
#include "statement_cache.hpp"
#include "versions.hpp"

namespace kimberlite::projection {

class SqliteProjection final : public Projection, private sql::TimeMap {
 public:
  SqliteProjection(env::Env env, Location location, LogSource* log);
  ~SqliteProjection() override;
  [[nodiscard]] Status start(bool deterministic);

  [[nodiscard]] Position applied() const override { return applied_; }
  [[nodiscard]] std::shared_ptr<const catalog::Catalog> catalog() const override {
    return catalog_;
  }
  [[nodiscard]] Result<std::optional<KnownRecord>> find_request(const Id128& request) override;
  [[nodiscard]] Result<std::optional<KnownRecord>> find_record(Position position) override;
  [[nodiscard]] Result<Position> position_at(TimestampUs time) const override;
  [[nodiscard]] Result<std::optional<KnownStream>> find_stream(std::string_view name) override;
  [[nodiscard]] Result<StreamId> next_stream() override;

  [[nodiscard]] Status begin_batch(Position base) override;
  [[nodiscard]] Status begin_request(At at, bool several) override;
  [[nodiscard]] Result<Evaluated> evaluate(const Query& query,
                                           std::span<const ValueView> parameters,
                                           const Budget& budget) override;
  [[nodiscard]] bool request_lost() const override { return lost_; }
  [[nodiscard]] Status evaluate_ddl(const catalog::Change& change) override;
  [[nodiscard]] Status savepoint(std::string_view name) override;
  [[nodiscard]] Status release(std::string_view name) override;
  [[nodiscard]] Status rollback_to(std::string_view name) override;
  [[nodiscard]] Result<std::span<const RowChange>> finish_request() override;
  void undo_request() override;
  void keep_unchanged() override;
  void undo_finished() override;
  [[nodiscard]] Status commit_batch(std::span<const Committed> committed) override;
  void rollback_batch() override;

  [[nodiscard]] Status begin_replay() override;
  [[nodiscard]] Status apply(const record::Entry& entry, const Opened& opened) override;
  [[nodiscard]] Status commit_replay() override;
  void rollback_replay() override;
  [[nodiscard]] Status checkpoint() override;

  [[nodiscard]] Result<std::string> dump(Position position) override;
  [[nodiscard]] Result<std::vector<Sum>> sums() override;
  [[nodiscard]] Status check_indexes() override;
  [[nodiscard]] Result<std::unique_ptr<KeptRows>> kept_rows(ObjectId table, Position at,
                                                            Kept kept) override;
  [[nodiscard]] Result<std::optional<RowOrigin>> origin_of(ObjectId table, Bytes key,
                                                           Position from) override;

 private:
  enum class State : std::uint8_t { idle, batch, request, replay };
  struct Finished {
    At at;
    Buffer bytes;  // what `changes` point into
    std::vector<RowChange> changes;
    bool ddl = false;
  };
  struct Savepoint {
    std::string name;
    Capture::Mark mark;
  };

  // sqlite_projection.cpp
  [[nodiscard]] Status create_or_load();
  [[nodiscard]] Status load_catalog();
  [[nodiscard]] Status execute(const Script& script);
  [[nodiscard]] Status run_kept(Prepared& statement, const char* sql);
  [[nodiscard]] Status add_record(const record::Entry& entry, Bytes digest);
  [[nodiscard]] Status add_append(const StreamAdvance& advance, Position position);
  // Foreign keys and checks are the leader's; applying takes what the log says.
  [[nodiscard]] Status applying(bool on);
  void end(bool committed);

  // evaluate.cpp
  [[nodiscard]] Result<std::shared_ptr<Compiled>> compile(const Query& query,
                                                          std::span<const ValueView> parameters);
  [[nodiscard]] Status step_all(Compiled& compiled, const Budget& budget, Evaluated& result);
  [[nodiscard]] Status settle(const Capture::Mark& begun);
  [[nodiscard]] Result<bool> changed_nothing();
  [[nodiscard]] Status keep_changes(Finished& finished);
  [[nodiscard]] Status deferred_keys_hold();
  void lose();
  void revive();
  void leave_request();
  [[nodiscard]] Result<std::size_t> find_savepoint(std::string_view name) const;

  // schema_change.cpp
  [[nodiscard]] Status change_schema(const catalog::Change& change, Position position);
  [[nodiscard]] Result<Script> script_of(const catalog::Change& change,
                                         const catalog::Catalog& after);
  [[nodiscard]] Status know_defaults();
  [[nodiscard]] Status check_view(const catalog::View& view);
  [[nodiscard]] Status save_catalog();

  env::Env env_;
  Location location_;
  Context context_;
  Connection connection_;
  Capture capture_;
  Applier applier_{connection_, context_, capture_};
  Versions versions_{connection_};
  Origins origins_{connection_, context_};
  StatementCache<Compiled> statements_{cached_statements};
  static constexpr std::size_t cached_statements = 256;

  State state_ = State::idle;
  std::shared_ptr<const catalog::Catalog> catalog_;
  std::shared_ptr<const catalog::Catalog> committed_catalog_;
  Position applied_;
  bool applying_ = false;
  Guard guard_;

  std::deque<Finished> finished_;
  bool broken_ = false;  // the batch could not be brought back: it can only be rolled back

  // Of the current request.
  At at_;
  bool several_ = false;
  bool lost_ = false;
  bool ddl_ = false;
  std::int64_t changes_before_ = 0;
  std::vector<Savepoint> savepoints_;
  // Of the current replay.
  Position replayed_;

  // Kept prepared; mutable where a lookup is const to its caller.
  Prepared begin_, commit_, open_request_, release_request_, undo_request_;
  Prepared add_record_, add_append_, advance_stream_, new_stream_, find_request_;
  Lookups lookups_{connection_};
};

}  // namespace kimberlite::projection
