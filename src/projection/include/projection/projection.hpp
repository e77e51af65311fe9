// The derived SQL view of one tenant: a SQLite database that is never the source of truth.
//
// A leader evaluates requests in it and takes what they changed (capture); a replica, a rebuild and
// a redo bring those changes in by key (apply). Both keep every superseded version of every row in
// history tables, through the same triggers, so that a past position can be read from either. What
// was applied is known from the database itself: `applied()` is the largest position of
// `__records`, committed together with what the records did; so is the catalog.
//
// A batch is one SQLite transaction:
//
//   begin_batch -> { begin_request -> evaluate* -> finish_request | undo_request }* -> commit_batch
//                                                                                   |
//                                                                                   rollback_batch
//
// After `finish_request` the request at that position stands; after `undo_request`, or a
// `finish_request` with no changes, its position is free for the next one, or is kept for it by
// `keep_unchanged`. If an error destroys SQLite's transaction, earlier requests of the batch are
// brought back unseen by the caller, and only the request at fault is lost. Calling these out of
// order is a bug (asserted).
//
// Thread rule: owner strand only. Readers are connections of their own (`reader.hpp`).
// Errors: the SQL classes for what a request did wrong; `unavailable.*` for the disk;
// `integrity.projection` for a database that contradicts the log: destroy the file and rebuild.
// No text of an error holds a stored value.
// Source: sql.md, Capture; architecture.md, 3 and 5.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "base/value.hpp"
#include "catalog/catalog.hpp"
#include "env/env.hpp"
#include "projection/log_source.hpp"
#include "projection/table_check.hpp"
#include "projection/vfs.hpp"
#include "record/entry.hpp"
#include "record/items.hpp"
#include "sql/statement.hpp"

namespace kimberlite::projection {

// Where the SQLite file is: behind a `Vfs`, which outlives every connection.
struct Location {
  std::string path;
  std::string vfs;        // the name a SQLite VFS is registered under; empty: SQLite's own
  Vfs* sealed = nullptr;  // asked what was behind an I/O error
  [[nodiscard]] static Location of(Vfs& vfs) { return {vfs.path(), vfs.name(), &vfs}; }
};

// A SELECT, VALUES, INSERT, UPDATE, DELETE or TRUNCATE: `tokens` are its own alone (no EXPLAIN,
// WITH REASON, semicolon) and point into `text`, which outlives it. What stands between the first
// and the last is the text it is cached by.
struct Query {
  std::string_view text;
  std::span<const sql::Token> tokens;
  std::uint32_t parameters = 0;  // values the caller must give
  bool explain = false;          // the plan of it, in a reader
  bool verify = false;           // its rows are held against the log, in a reader
  [[nodiscard]] static Query of(const sql::Statement& statement) {
    return {statement.text, statement.tokens, statement.parameters.count, statement.explain,
            statement.verify};
  }
};

// One row an event, in the order in which they happened, one after the other by `ordinal`. A key
// holds the key columns' values in the order of the primary key (`__row` where there is none), an
// image all columns but the generated ones by ascending column id. An update that changes the key
// is a removal and an insertion.
using record::Operation;
using record::RowChange;

// Events appended to a stream; `new_name` is set by the append that makes the stream.
struct StreamAdvance {
  StreamId stream;
  std::string_view new_name;
  Sequence first_sequence;
  std::uint32_t count = 0;
};

// A request's place and time: what kmb_position() and NOW() give.
struct At {
  Position position;
  TimestampUs now;
};

struct ResultColumn {
  std::string name;
  std::optional<catalog::Type> type;  // of the column it shows, where it shows one unchanged
};

// What one statement gave: rows touched, or the rows of a SELECT or RETURNING.
struct Evaluated {
  std::uint64_t rows_affected = 0;
  std::vector<ResultColumn> columns;
  std::vector<Row> rows;
};

// Bounds of one evaluation or one reader's cursor; 0 is no bound.
struct Budget {
  std::uint64_t rows_max = 0;
  std::uint64_t bytes_max = 0;    // of values handed out
  std::uint64_t deadline_ns = 0;  // on Clock::monotonic_ns
  // Of what SQLite gathers in memory until it can go on: sorts, groups, DISTINCT. Nothing of it is
  // ever spilled to a disk. SQLite counts for the whole process, so that statements running at the
  // same time count for each other.
  std::uint64_t memory_max = base::statement_memory_max;
  const std::atomic<bool>* interrupt = nullptr;  // true: stop with `interrupted.signal`
};

// `interrupted.signal` or `timeout.statement` if one of the bounds says so.
[[nodiscard]] Status go_on(const Budget& budget, env::Clock& clock);

// A committed record of this batch, once its entry (with the time) is known. `digest` is the
// request's, for idempotency; empty: none.
struct Committed {
  const record::Entry* entry = nullptr;
  Bytes digest;
};

// What a record holds for the projection, opened.
struct Opened {
  const catalog::Change* ddl = nullptr;
  std::span<const RowChange> changes;
  std::span<const StreamAdvance> streams;
  Bytes digest;
};

// A row of `__records`.
struct KnownRecord {
  Position position;
  TimestampUs timestamp;
  std::uint16_t kind = 0;
  Id128 actor{};
  Buffer digest;
};

struct KnownStream {
  StreamId stream;
  std::string name;
  Sequence next_sequence;
};

class Projection {
 public:
  // Opens or makes the database. `log` is what statements see in `__events`, and outlives this; it
  // may be null where none are evaluated. `deterministic` seeds SQLite's own random numbers from
  // `env.random` (the simulator). `integrity.projection` if the file is not one of ours, or
  // damaged.
  [[nodiscard]] static Result<std::unique_ptr<Projection>> open(env::Env env, Location location,
                                                                LogSource* log,
                                                                bool deterministic = false);
  virtual ~Projection() = default;
  Projection(const Projection&) = delete;
  Projection& operator=(const Projection&) = delete;

  // ---- What is there -----------------------------------------------------------------------
  // The last record applied and committed; 0: none.
  [[nodiscard]] virtual Position applied() const = 0;
  // After the last applied record, or inside a batch after its DDL.
  [[nodiscard]] virtual std::shared_ptr<const catalog::Catalog> catalog() const = 0;
  // By request id, the batch's uncommitted requests not included (the engine knows those).
  [[nodiscard]] virtual Result<std::optional<KnownRecord>> find_request(const Id128& request) = 0;
  [[nodiscard]] virtual Result<std::optional<KnownRecord>> find_record(Position position) = 0;
  // The last record stamped at or before `time`; 0: none.
  [[nodiscard]] virtual Result<Position> position_at(TimestampUs time) const = 0;
  [[nodiscard]] virtual Result<std::optional<KnownStream>> find_stream(std::string_view name) = 0;
  [[nodiscard]] virtual Result<StreamId> next_stream() = 0;

  // ---- Leader ------------------------------------------------------------------------------
  // `base` must be `applied()`.
  [[nodiscard]] virtual Status begin_batch(Position base) = 0;
  // Positions of a batch ascend by one from base + 1. `several`: the request may hold more than one
  // statement, so it gets a savepoint (undoing a single one without costs a redo of the batch).
  [[nodiscard]] virtual Status begin_request(At at, bool several) = 0;
  // SELECT, INSERT, UPDATE, DELETE, TRUNCATE. On an error the statement has had no effect and the
  // request may go on, or be undone, unless `request_lost()`: then only undo_request is possible.
  [[nodiscard]] virtual Result<Evaluated> evaluate(const Query& query,
                                                   std::span<const ValueView> parameters,
                                                   const Budget& budget) = 0;
  [[nodiscard]] virtual bool request_lost() const = 0;
  // Performs the change: the only one of its request, and of its batch.
  [[nodiscard]] virtual Status evaluate_ddl(const catalog::Change& change) = 0;
  // SAVEPOINT, RELEASE, ROLLBACK TO of a request with `several`. Unknown: `not_found.object`.
  [[nodiscard]] virtual Status savepoint(std::string_view name) = 0;
  [[nodiscard]] virtual Status release(std::string_view name) = 0;
  [[nodiscard]] virtual Status rollback_to(std::string_view name) = 0;
  // The request's changes, valid until the batch ends; empty: nothing changed, nothing to propose
  // (but for DDL, which stands).
  // An error (a deferred foreign key, a row over its limit) undoes the request.
  [[nodiscard]] virtual Result<std::span<const RowChange>> finish_request() = 0;
  virtual void undo_request() = 0;
  // The request that changed nothing stands all the same, at the position that was free.
  virtual void keep_unchanged() = 0;
  // The request finished last: it is not to stand after all.
  virtual void undo_finished() = 0;
  // Adds the `__records` rows, `committed` being exactly the finished requests in order (DDL too),
  // and commits. On an error the batch is rolled back; the log holds the records: apply them, or
  // rebuild.
  [[nodiscard]] virtual Status commit_batch(std::span<const Committed> committed) = 0;
  virtual void rollback_batch() = 0;

  // ---- Replica, rebuild, raw appends -------------------------------------------------------
  // Many records in one SQLite transaction. Positions go on from `applied()` by one. An error
  // leaves the replay rolled back as a whole.
  [[nodiscard]] virtual Status begin_replay() = 0;
  [[nodiscard]] virtual Status apply(const record::Entry& entry, const Opened& opened) = 0;
  [[nodiscard]] virtual Status commit_replay() = 0;
  virtual void rollback_replay() = 0;

  // Moves WAL frames into the database file as far as readers allow: when idle.
  [[nodiscard]] virtual Status checkpoint() = 0;

  // ---- Proof -------------------------------------------------------------------------------
  // Every table's rows as of `position` in canonical text, ordered by table id and key: equal
  // states have equal dumps, whether the position is past or present.
  [[nodiscard]] virtual Result<std::string> dump(Position position) = 0;
  // Everything kept, history and system tables too, as (table, rows, SHA-256 of the dump).
  struct Sum {
    std::string table;
    std::uint64_t rows = 0;
    Hash hash{};
    friend bool operator==(const Sum&, const Sum&) = default;
  };
  [[nodiscard]] virtual Result<std::vector<Sum>> sums() = 0;
  // That every index has the entries of its table's rows and no others, which no comparison of rows
  // looks at, and that the pages are whole trees. `integrity.projection` with the first fault.
  [[nodiscard]] virtual Status check_indexes() = 0;
  // What a reader of another projection is held against (Reader::check_table); ends before this
  // projection is written to again. `at` is of no account for the own tables.
  [[nodiscard]] virtual Result<std::unique_ptr<KeptRows>> kept_rows(ObjectId table, Position at,
                                                                    Kept kept) = 0;
  // What made the version of the row that begins at `from`; nothing if no record did. `key` is a
  // value list.
  [[nodiscard]] virtual Result<std::optional<RowOrigin>> origin_of(ObjectId table, Bytes key,
                                                                   Position from) = 0;

 protected:
  Projection() = default;
};

}  // namespace kimberlite::projection
