// A Kimberlite database: many tenants, one journal, one process.
//
// Everything a client can do passes through here: a request is evaluated on its tenant's strand,
// sealed, proposed to consensus, applied by the kernel, materialised in the projection and only
// then acknowledged (ARCHITECTURE.md follows one write through the functions by name).
//
// Ownership: the caller owns the `Env` and what is behind it, the master key, and the `Database`;
// sessions and cursors must be destroyed before it. Thread rule: `Database` is thread-safe; a
// `Session` or `Cursor` is used by one thread at a time. The calling thread lends itself to the
// executor while it waits, so an embedded one-row write makes no thread hop.
//
// Errors: every failed call says whether anything was written; `unavailable.outcome_unknown` is the
// only one after which a write may be there, and a retry under the same request id answers which.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/limits.hpp"
#include "base/value.hpp"
#include "catalog/catalog.hpp"
#include "engine/backup.hpp"
#include "env/env.hpp"
#include "keystore/master_key.hpp"
#include "log/anchor_file.hpp"
#include "log/head_file.hpp"
#include "record/receipt.hpp"

namespace kimberlite::engine {

// One SQL statement with its parameters, `$1` first.
struct Statement {
  std::string_view sql;
  std::span<const Value> parameters;
};

// The who-why-once of a write. The actor is the session's.
struct Why {
  std::optional<Id128> request_id;   // else one is made
  std::string_view idempotency_key;  // a caller's own text, instead of `request_id`
  std::string_view reason;
  std::string_view correlation;      // a UUID, or any text
  std::optional<Position> expected;  // compare-and-set on the tenant's head
};

// Rows by name and type; a type is there where a column is plainly a table's.
struct ColumnInfo {
  std::string name;
  std::optional<catalog::Type> type;
};

struct ResultSet {
  std::vector<ColumnInfo> columns;
  std::vector<Row> rows;
};

// What was written, and where. `position` 0: the statement changed nothing, and since it came under
// no id of its client's there is no record of it.
struct Outcome {
  Position position;
  TimestampUs timestamp;
  Hash leaf{};
  Id128 request_id{};
  std::uint64_t rows = 0;
  bool replayed = false;
  ResultSet returning;
  std::vector<std::string> notices;
};

struct Event {
  std::string_view kind;
  Bytes payload;
};

struct StoredEvent {
  Sequence sequence;
  Position position;
  TimestampUs timestamp;
  std::string kind;
  Buffer payload;
};

// A record of the log as a trail shows it: what, when, who, why, and the hashes.
struct RecordInfo {
  Position position;
  TimestampUs timestamp;
  std::string kind;   // "write", "ddl", …
  std::string actor;  // name
  Id128 session{};
  Id128 request_id{};
  std::string reason;       // these texts are empty if there are none, or their item was erased
  std::string statement;    // its literals replaced
  std::string correlation;  // the caller's text, else the UUID he gave
  std::uint64_t rows = 0;
  std::uint32_t items = 0;
  std::vector<std::string> objects;  // tables and streams touched, by the names they had
  std::vector<std::string> classes;  // of those tables
  Hash leaf{};
  Hash previous{};
  bool erased = false;  // something of it cannot be opened any more
};

// Where a row change stands in its record: what a proof of the row names.
struct ChangePlace {
  std::uint32_t ordinal = 0;
  std::uint32_t item = 0;
  ObjectId table;
  Buffer key;  // a list of values, as the record has it
};

// The row changes of a record, by ordinal, and the schema its images were made under.
struct RecordChanges {
  std::uint32_t catalog_version = 0;
  std::vector<ChangePlace> changes;
};

// Where a read stands: a position, a time, or (neither) now.
using AsOf = std::variant<std::monostate, Position, TimestampUs>;

struct ReadLimits {
  std::uint64_t deadline_ns = 0;                 // relative; 0: none
  const std::atomic<bool>* cancelled = nullptr;  // looked at while it runs; true stops it
};

// The rows of one statement, read at one position.
class Cursor {
 public:
  virtual ~Cursor() = default;
  [[nodiscard]] virtual const std::vector<ColumnInfo>& columns() const = 0;
  // True and `row()` is the next one; false at the end.
  [[nodiscard]] virtual Result<bool> next() = 0;
  // Valid until the next call of `next`.
  [[nodiscard]] virtual std::span<const ValueView> row() const = 0;
  // What the answer was given at.
  [[nodiscard]] virtual Position position() const = 0;
  [[nodiscard]] virtual TimestampUs timestamp() const = 0;
};

// What any statement answers.
struct Reply {
  std::unique_ptr<Cursor> cursor;  // a read
  std::optional<Outcome> outcome;  // a write
  std::string message;             // BEGIN, SET AS OF, …: what now holds
};

class Session {
 public:
  virtual ~Session() = default;

  // One write, or an atomic list of them; DDL stands alone.
  [[nodiscard]] virtual Result<Outcome> execute(std::span<const Statement> statements,
                                                const Why& why) = 0;
  // Appends to a stream, made by its first append. `expected`: the sequence the first event will
  // get.
  [[nodiscard]] virtual Result<Outcome> append(std::string_view stream,
                                               std::optional<Sequence> expected,
                                               std::span<const Event> events, const Why& why) = 0;
  [[nodiscard]] virtual Result<std::vector<StoredEvent>> read(std::string_view stream,
                                                              Sequence from, std::size_t limit) = 0;
  // Records from a position on, oldest first; at most `limit`.
  [[nodiscard]] virtual Result<std::vector<RecordInfo>> records(Position from,
                                                                std::size_t limit) = 0;
  // A read. Inside a transaction it sees the transaction's own writes.
  [[nodiscard]] virtual Result<std::unique_ptr<Cursor>> query(const Statement& statement,
                                                              const AsOf& as_of,
                                                              const ReadLimits& limits) = 0;
  // Any statement of the dialect: reads, writes, DDL, BEGIN … COMMIT, SET AS OF, SHOW.
  [[nodiscard]] virtual Result<Reply> run(const Statement& statement, const Why& why,
                                          const ReadLimits& limits) = 0;

  // BEGIN … COMMIT is one command, one record, one position. The lease ends when another writer
  // waits and 5 s are over, or after 60 s idle: `unavailable.lease`.
  [[nodiscard]] virtual Status begin(const Why& why) = 0;
  [[nodiscard]] virtual Result<Outcome> commit() = 0;
  [[nodiscard]] virtual Status rollback() = 0;
  [[nodiscard]] virtual bool in_transaction() const = 0;
  // What the write under this idempotency key was answered; nothing if there was none. To ask
  // before a transaction is done again: its statements would meet what they did the first time.
  [[nodiscard]] virtual Result<std::optional<Outcome>> outcome_under(
      std::string_view idempotency_key) = 0;

  [[nodiscard]] virtual const AsOf& as_of() const = 0;
  // SET AS OF by value. Fails, and changes nothing, inside a transaction and for what is not yet.
  [[nodiscard]] virtual Status set_as_of(const AsOf& as_of) = 0;
  [[nodiscard]] virtual Result<Position> head() = 0;
  [[nodiscard]] virtual TenantId tenant() const = 0;
  [[nodiscard]] virtual const std::string& actor_name() const = 0;
  // ---- Proofs of the tenant's data log (docs/proofs.md) -------------------------------------
  // The newest signed head, if it holds `at_least`; else the log is signed as it is now. Position
  // 0: as it is now. `not_found.position` beyond its end; `integrity.rollback` and `.consistency`
  // if it does not extend what it has signed.
  [[nodiscard]] virtual Result<log::StoredHead> signed_head(Position at_least) = 0;
  // Heads as they were signed: the newest `limit`, the newest first; and that of one size.
  [[nodiscard]] virtual Result<std::vector<log::StoredHead>> signed_heads(std::size_t limit) = 0;
  [[nodiscard]] virtual Result<log::StoredHead> signed_head_of_size(std::uint64_t size) = 0;
  // A record with its place in a signed tree; `item` is disclosed with it: whoever has the receipt
  // can read that item, for ever. `erased.item` if nobody can any more.
  [[nodiscard]] virtual Result<record::Receipt> receipt(Position position,
                                                        std::optional<std::uint32_t> item) = 0;
  [[nodiscard]] virtual Result<record::CoseReceipt> cose_receipt(
      Position position, std::optional<std::uint32_t> item) = 0;
  // Which item holds which row change of a record. Changes in items that were erased are left out.
  [[nodiscard]] virtual Result<RecordChanges> changes(Position position) = 0;
  // That one head extends another; both are notes this log has signed.
  [[nodiscard]] virtual Result<record::ConsistencyProof> consistency(std::string_view older,
                                                                     std::string_view newer) = 0;
  // The log behind its heads, for `log::publish`: tiles of a tree it has signed, and the root
  // there was at a size.
  [[nodiscard]] virtual Result<Buffer> tile(const record::TileName& name, const log::Tree& in) = 0;
  [[nodiscard]] virtual Result<Hash> root_at(std::uint64_t size) = 0;
  [[nodiscard]] virtual Result<std::vector<Hash>> consistency_path(const log::Tree& older,
                                                                   const log::Tree& newer) = 0;
  // Heads that were put elsewhere (engine/anchoring.hpp makes them). `add_anchor` takes one of a
  // head this log signed, with evidence that holds, and is durable on return; `witnessed` is the
  // size of the largest tree a witness of this name cosigned, 0 if none.
  [[nodiscard]] virtual Status add_anchor(const log::Anchor& anchor) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> witnessed(std::string_view witness) = 0;
  // The tenant's schema as of now.
  [[nodiscard]] virtual Result<std::shared_ptr<const catalog::Catalog>> catalog() = 0;
};

struct Options {
  std::string actor = "os:unknown";        // of sessions made here, method `local`
  std::string holder = "another process";  // what a second opener is told: pid and command
  std::uint64_t free_bytes_reserve = 256ULL << 20;
  bool strict_journal = false;
  bool simulated = false;  // seeds SQLite's own generator from `Random`
  // In a group: how long a write or read waits for a quorum.
  std::uint64_t quorum_timeout_ns = 10'000'000'000;
  // In a group: a write (`execute`, `append`, `run` of one that stands alone) asked at a replica
  // that is not the primary is carried there. Needs a thread at the primary that calls `serve`.
  bool forward_writes = false;
  // A checkpoint is due after so many commands, and when half the ring is used.
  std::uint64_t checkpoint_commands = 1'000'000;
  // So long after one head of the cluster the next is made, if a log has changed
  // (head_publisher.hpp); 0: never. For a process that stays, and has a thread in some call most of
  // the time.
  std::uint64_t cluster_head_every_ns = 0;
};
inline constexpr std::uint64_t cluster_head_every_ns =
    1'000'000'000;  // what a server is to ask for

struct CreateOptions {
  std::string tenant = "main";
  std::string actor = "os:unknown";
  std::string holder = "another process";
  std::uint64_t ring_size = journal_ring_embedded;
  std::uint64_t free_bytes_reserve = 256ULL << 20;
  bool simulated = false;
  std::optional<Id128> cluster;  // its id, if the caller has drawn one; random
};

// Of a group: at an index from 0 to 12 that stays its own until it leaves.
struct Member {
  std::uint8_t index = 0;
  Id128 id{};
  bool votes = false;  // else it is a standby: it has the log, and no say
  friend bool operator==(const Member&, const Member&) = default;
};

// Who is in a group.
struct Membership {
  std::uint64_t epoch = 0;      // one more with every change
  OpNumber op;                  // that made it; 0: the group began with it
  std::vector<Member> members;  // by index
  friend bool operator==(const Membership&, const Membership&) = default;
};

// A change of the group, by one at a time. A voter is replaced by adding the new one as a standby,
// promoting it when it has caught up, and removing the old one; meanwhile there is a voter more.
struct AddStandby {
  std::uint8_t index = 0;
  Id128 id{};  // random; a member that was there before has another one
};
struct Promote {
  std::uint8_t index = 0;
};
struct Demote {
  std::uint8_t index = 0;
};
struct Remove {
  std::uint8_t index = 0;
};
using MemberChange = std::variant<AddStandby, Promote, Demote, Remove>;

// One replica's place in a group; the same for all but `replica`.
struct GroupOptions {
  Id128 cluster{};
  Membership group;  // of epoch 0 while it is being made
  std::uint8_t replica = 0;
  std::string holder = "another process";
  std::uint64_t ring_size = journal_ring_embedded;
};

struct LogInfo {
  std::string lane;
  Id128 log_id{};
  Position position;
  std::uint64_t bytes = 0;
  Hash leaf{};
  Hash root{};
  std::string log_key;  // the line that checks its heads: for whoever will check receipts
  // Of the log's proofs, filled in by `Database::add_proofs`.
  std::optional<log::StoredHead> signed_head;  // the newest one
  std::uint64_t anchors = 0;
  std::optional<log::Anchor> newest_anchor;
};

struct KeyInfo {
  KeyId id;
  std::string kind;   // "control", "pseudonym", "data"
  std::string state;  // "active", "old"
  TimestampUs created;
};

struct TenantInfo {
  TenantId id;
  std::string name;
  std::vector<LogInfo> logs;
  std::vector<KeyInfo> keys;
  std::uint64_t tables = 0;
};

struct StatusReport {
  Id128 cluster{};
  std::uint8_t replica = 0;
  std::uint8_t primary = 0;  // of this replica's view
  Membership group;          // by the newest change this replica knows of
  std::string state;         // "normal", "view_change", …
  std::string clock;         // "alone", "agreed", … (consensus/clock.hpp)
  // Of a primary that knows it: how far the time most clocks agree on is from this one's.
  std::optional<std::int64_t> clock_offset_us;
  Hash state_digest{};
  std::uint64_t view = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t format = 1;  // the newest one every replica can write
  OpNumber committed;
  OpNumber checkpoint;
  std::uint64_t ring_size = 0;
  std::uint64_t ring_used = 0;
  std::uint64_t free_bytes = 0;
  std::vector<std::string> notes;  // what opening found and went on from (a torn journal tail, …)
  std::vector<TenantInfo> tenants;
};

// Where consensus stands here, without waiting for anything: what a monitor looks at. Each value is
// true by itself; together they may be of two moments.
struct Glance {
  std::string_view state;  // as in StatusReport
  std::uint64_t view = 0;
  bool primary = false;
  OpNumber head;
  OpNumber committed;
  OpNumber checkpoint;
  std::uint64_t waiting = 0;  // batches of writes, and reads, that are not answered yet
};

struct ProjectionSum {
  std::string table;
  std::uint64_t rows = 0;
  Hash hash{};
  friend bool operator==(const ProjectionSum&, const ProjectionSum&) = default;
};

class Database {
 public:
  // Which cluster the directory belongs to; `usage.not_ours` if it is no data directory. Needs no
  // key and no lock.
  [[nodiscard]] static Result<Id128> cluster_of(env::Storage& storage);
  // `usage.not_empty` unless the root is empty or is not there yet.
  [[nodiscard]] static Status check_empty(env::Storage& storage);
  // Makes a cluster of one in the empty root of `env.storage`, with its first tenant.
  [[nodiscard]] static Result<TenantInfo> create(env::Env env, keystore::MasterKey& master,
                                                 const CreateOptions& options);
  // Makes the directory of one replica of a group, without a tenant. The first one made draws the
  // cluster's keys and gives them, wrapped by its master key; the others are made with them.
  // `unavailable.wrong_key` if `master` cannot unwrap them.
  [[nodiscard]] static Result<Buffer> create_group(env::Env env, keystore::MasterKey& master,
                                                   const GroupOptions& options);
  [[nodiscard]] static Status join_group(env::Env env, keystore::MasterKey& master,
                                         const GroupOptions& options, Bytes keys);
  // Makes the directory of a member whose disk is lost (`cluster recover`), or of one that was
  // added to the group, as it is in `options.group` by now. `join_group` would not do: the member
  // would answer as one that never acknowledged anything, and whoever had its index before may
  // have. This one, once opened, waits until a quorum of the others has told it in which view they
  // are, and takes its log from that view's primary. The old process of the member must be off: a
  // replica that has not heard of the new one yet would count what it says. `keys`: an escrow of
  // any replica of the cluster.
  [[nodiscard]] static Status recover_member(env::Env env, keystore::MasterKey& master,
                                             const GroupOptions& options, Bytes keys);
  [[nodiscard]] static Result<std::unique_ptr<Database>> open(env::Env env,
                                                              keystore::MasterKey& master,
                                                              const Options& options);
  virtual ~Database() = default;

  [[nodiscard]] virtual Result<std::unique_ptr<Session>> session(std::string_view tenant) = 0;
  [[nodiscard]] virtual Result<TenantInfo> create_tenant(std::string_view name, const Why& why) = 0;
  // New writes of the tenant are sealed under a new data key.
  [[nodiscard]] virtual Result<Outcome> rotate_data_key(std::string_view tenant,
                                                        const Why& why) = 0;
  [[nodiscard]] virtual Result<StatusReport> status() = 0;
  [[nodiscard]] virtual Glance glance() const = 0;
  // Changes the group, at its primary; done on return. Who is in it is in `status`.
  // `usage.config`: the group may never go from what it is to that; `unavailable.membership`: not
  // now, as another change is under way, too few know of the last one, or who is to vote is behind;
  // `unavailable.outcome_unknown`: the primary was lost meanwhile, and `status` at the next one
  // tells; the rest as for a write.
  [[nodiscard]] virtual Status change_group(const MemberChange& change) = 0;
  // The newest signed head and anchor of every log, which stand in files of theirs, into a status.
  [[nodiscard]] virtual Status add_proofs(StatusReport& report) = 0;
  // The rows of every table as of a position, in canonical text: equal states have equal dumps,
  // however they came about. And the same of all the projection keeps, as hashes.
  [[nodiscard]] virtual Result<std::string> dump(std::string_view tenant, Position position) = 0;
  [[nodiscard]] virtual Result<std::vector<ProjectionSum>> sums(std::string_view tenant) = 0;
  // Copies what came since the last backup there into `repository`, beside readers and writers
  // (engine/backup.hpp). No backup is made if some of it cannot be read.
  [[nodiscard]] virtual Result<BackupReport> back_up(env::Storage& repository) = 0;
  // All keys of the database, wrapped by the master key: what a restore needs beside a backup. Keep
  // the newest one, away from both.
  [[nodiscard]] virtual Result<Buffer> escrow() = 0;
  // One piece of work, waited for at most so long: what a replica does while nobody asks it
  // anything. While another thread's call runs the database this one rests until it may.
  virtual void turn(std::uint64_t wait_ns) = 0;
  // Does one write that another replica forwarded here, and answers it; false: there is none. Takes
  // as long as the write would if it were asked here. For whoever turns the database.
  virtual bool serve() = 0;
  // Everything durable in its final place; also done, as far as possible, by the destructor.
  [[nodiscard]] virtual Status close() = 0;
};

}  // namespace kimberlite::engine
