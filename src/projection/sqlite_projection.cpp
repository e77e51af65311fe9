#include "sqlite_projection.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "heads_table.hpp"
#include "log_tables.hpp"

namespace kimberlite::projection {
namespace {

// Of the tables of schema.cpp, `system_tables`, and of the triggers there, whose texts `verify`
// compares: another one is made anew from the log.
constexpr std::int64_t format = 1;

Error damaged(std::string_view why) {
  return Error{Code::integrity_projection,
               "the projection is not one of this program's, or damaged"}
      .why("{}", why)
      .next("it is derived: it can be deleted and is rebuilt from the log");
}

}  // namespace

Result<std::unique_ptr<Projection>> Projection::open(env::Env env, Location location,
                                                     LogSource* log, bool deterministic) {
  auto projection = std::make_unique<SqliteProjection>(env, std::move(location), log);
  KIMBERLITE_CHECK(projection->start(deterministic));
  return std::unique_ptr<Projection>{std::move(projection)};
}

SqliteProjection::SqliteProjection(env::Env env, Location location, LogSource* log)
    : env_(env), location_(std::move(location)), context_(env.clock) {
  context_.log = log;
  context_.sealed = location_.sealed;
}

SqliteProjection::~SqliteProjection() {
  if (state_ != State::idle) end(false);
  context_.release();
}

Status SqliteProjection::start(bool deterministic) {
  if (deterministic) {
    std::uint32_t seed = 0;
    env_.random.fill(std::as_writable_bytes(std::span{&seed, 1}));
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, static_cast<int>(seed | 1U), nullptr);
  }
  Result<Connection> opened = Connection::open(location_, Connection::Mode::write);
  if (!opened) {
    const auto sealed = location_.sealed == nullptr ? std::nullopt : location_.sealed->take_error();
    return sealed ? *sealed : opened.error();
  }
  connection_ = *std::move(opened);
  capture_.attach(connection_.db());
  guard_.attach(connection_.db());
  const Status ready = create_or_load();
  if (ready) return {};
  const auto sealed = location_.sealed == nullptr ? std::nullopt : location_.sealed->take_error();
  return sealed ? *sealed : ready.error();
}

Status SqliteProjection::create_or_load() {
  KIMBERLITE_CHECK(prepare_connection(connection_, context_));
  KIMBERLITE_CHECK(register_log_tables(connection_, context_, catalog_));
  KIMBERLITE_CHECK(register_heads_table(connection_, context_));
  KIMBERLITE_CHECK(connection_.execute("PRAGMA foreign_keys=ON"));
  KIMBERLITE_TRY(const std::int64_t tables,
                 connection_.integer("SELECT count(*) FROM sqlite_schema"));
  if (tables == 0) {
    // The sealing VFS makes databases in WAL mode; elsewhere it has to be asked for.
    if (location_.sealed == nullptr)
      KIMBERLITE_CHECK(connection_.execute("PRAGMA journal_mode=WAL"));
    KIMBERLITE_CHECK(connection_.execute("BEGIN IMMEDIATE"));
    KIMBERLITE_CHECK(execute(system_tables()));
    KIMBERLITE_CHECK(
        execute({fmt::format("INSERT INTO __projection VALUES ('format', x'{:02x}')", format)}));
    catalog_ = std::make_shared<catalog::Catalog>();
    KIMBERLITE_CHECK(save_catalog());
    KIMBERLITE_CHECK(connection_.execute("COMMIT"));
  }
  KIMBERLITE_CHECK(load_catalog());
  KIMBERLITE_TRY(const std::int64_t last,
                 connection_.integer("SELECT ifnull(max(position), 0) FROM __records"));
  if (last < 0) return damaged("a negative position");
  applied_ = Position{static_cast<std::uint64_t>(last)};
  return {};
}

Status SqliteProjection::load_catalog() {
  KIMBERLITE_TRY(Prepared read, connection_.prepare("SELECT (SELECT value FROM __projection WHERE "
                                                    "name = 'format'), (SELECT value FROM "
                                                    "__projection WHERE name = 'catalog')"));
  KIMBERLITE_TRY(const bool found, read.step());
  const Running running{read};
  if (!found) return damaged("its settings are missing");
  const Bytes written = read.bytes(0);
  if (written.size() != 1 || written[0] != static_cast<std::byte>(format)) {
    return damaged("its format is another");
  }
  Reader from{read.bytes(1)};
  Result<catalog::Catalog> loaded = catalog::Catalog::decode(from);
  if (!loaded) return loaded.error();
  if (!from.finished()) return damaged("its catalog has another size");
  catalog_ = std::make_shared<const catalog::Catalog>(*std::move(loaded));
  committed_catalog_ = catalog_;
  KIMBERLITE_CHECK(know_defaults());
  capture_.set_tables(*catalog_);
  return {};
}

Status SqliteProjection::execute(const Script& script) {
  for (const std::string& statement : script) {
    const int rc = sqlite3_exec(connection_.db(), statement.c_str(), nullptr, nullptr, nullptr);
    if (rc != SQLITE_OK) return take_error(context_, catalog_.get(), connection_.db(), rc);
  }
  return {};
}

Status SqliteProjection::run_kept(Prepared& statement, const char* sql) {
  if (!statement) {
    KIMBERLITE_TRY(statement, connection_.prepare(sql, true));
  }
  const int rc = sqlite3_step(statement.get());
  if (rc == SQLITE_DONE) {
    statement.reset();
    return {};
  }
  Error error = take_error(context_, catalog_.get(), connection_.db(), rc);
  statement.reset();
  return error;
}

// ---- Lookups --------------------------------------------------------------------------------

Result<std::optional<KnownRecord>> SqliteProjection::find_request(const Id128& request) {
  if (!find_request_) {
    KIMBERLITE_TRY(find_request_,
                   connection_.prepare("SELECT timestamp, kind, actor, digest, position "
                                       "FROM __records WHERE request_id = ?1",
                                       true));
  }
  const Running running{find_request_};
  find_request_.bind(1, ValueView{Bytes{request}});
  KIMBERLITE_TRY(const bool found, find_request_.step());
  if (!found) return std::optional<KnownRecord>{};
  return std::optional{known_record(find_request_, find_request_.integer(4))};
}

Result<std::optional<KnownRecord>> SqliteProjection::find_record(Position position) {
  return context_.record_at(static_cast<std::int64_t>(position.value()));
}

Result<Position> SqliteProjection::position_at(TimestampUs time) const {
  return lookups_.position_at(time);
}

Result<std::optional<KnownStream>> SqliteProjection::find_stream(std::string_view name) {
  return lookups_.find_stream(name);
}

Result<StreamId> SqliteProjection::next_stream() {
  KIMBERLITE_TRY(const std::int64_t last,
                 connection_.integer("SELECT ifnull(max(id), 0) FROM __streams"));
  return StreamId{static_cast<std::uint64_t>(last) + 1};
}

// ---- Batches --------------------------------------------------------------------------------

Status SqliteProjection::begin_batch(Position base) {
  KIMBERLITE_ASSERT(state_ == State::idle && base == applied_);
  KIMBERLITE_CHECK(run_kept(begin_, "BEGIN IMMEDIATE"));
  state_ = State::batch;
  return {};
}

Status SqliteProjection::commit_batch(std::span<const Committed> committed) {
  KIMBERLITE_ASSERT(state_ == State::batch);
  Status done = broken_ ? Status{Error{Code::unavailable_io, "the batch was lost"}} : Status{};
  KIMBERLITE_ASSERT(broken_ || committed.size() == finished_.size());
  for (std::size_t i = 0; done && i < committed.size(); ++i) {
    KIMBERLITE_ASSERT(committed[i].entry->position == finished_[i].at.position);
    done = add_record(*committed[i].entry, committed[i].digest);
  }
  if (done) done = run_kept(commit_, "COMMIT");
  if (done && !committed.empty()) applied_ = committed.back().entry->position;
  end(done.has_value());
  return done;
}

void SqliteProjection::rollback_batch() {
  KIMBERLITE_ASSERT(state_ == State::batch || state_ == State::request);
  end(false);
}

// Back to idle: the transaction is over, or is ended here.
void SqliteProjection::end(bool committed) {
  capture_.cut({});
  if (!connection_.autocommit()) {
    // Fails only if the transaction is over already, which is what is wanted.
    sqlite3_exec(connection_.db(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  if (committed) {
    committed_catalog_ = catalog_;
  } else if (catalog_ != committed_catalog_) {
    catalog_ = committed_catalog_;
    capture_.set_tables(*catalog_);
    statements_.clear();
    applier_.forget();
  }
  if (applying_) {
    const Status off = applying(false);
    KIMBERLITE_ASSERT(off.has_value());
  }
  finished_.clear();
  savepoints_.clear();
  broken_ = lost_ = ddl_ = false;
  state_ = State::idle;
}

Status SqliteProjection::add_record(const record::Entry& entry, Bytes digest) {
  if (!add_record_) {
    KIMBERLITE_TRY(add_record_, connection_.prepare("INSERT INTO __records(position, timestamp, "
                                                    "kind, actor, request_id, digest) "
                                                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                                                    true));
  }
  const bool anonymous = all_zero(entry.request_id);
  add_record_.bind(1, entry.position);
  add_record_.bind(2, static_cast<std::int64_t>(entry.timestamp.value()));
  add_record_.bind(3, std::int64_t{entry.kind});
  add_record_.bind(4, ValueView{Bytes{entry.actor}});
  add_record_.bind(5, anonymous ? ValueView{Null{}} : ValueView{Bytes{entry.request_id}});
  add_record_.bind(6, digest.empty() ? ValueView{Null{}} : ValueView{digest});
  Status added = run_kept(add_record_, "");
  if (!added && class_of(added.error().code()) == ErrorClass::constraint) {
    return damaged("a record contradicts one that was applied")
        .where("position {}", entry.position.value());
  }
  return added;
}

// ---- Replay ---------------------------------------------------------------------------------

Status SqliteProjection::applying(bool on) {
  const int rc =
      sqlite3_db_config(connection_.db(), SQLITE_DBCONFIG_ENABLE_FKEY, on ? 0 : 1, nullptr);
  KIMBERLITE_ASSERT(rc == SQLITE_OK);
  applying_ = on;
  return connection_.execute(on ? "PRAGMA ignore_check_constraints=ON"
                                : "PRAGMA ignore_check_constraints=OFF");
}

Status SqliteProjection::begin_replay() {
  KIMBERLITE_ASSERT(state_ == State::idle);
  KIMBERLITE_CHECK(run_kept(begin_, "BEGIN IMMEDIATE"));
  state_ = State::replay;
  replayed_ = applied_;
  return {};
}

Status SqliteProjection::apply(const record::Entry& entry, const Opened& opened) {
  KIMBERLITE_ASSERT(state_ == State::replay && !broken_);
  KIMBERLITE_ASSERT(entry.position.value() == replayed_.value() + 1);
  context_.position = entry.position;
  context_.now = entry.timestamp;
  // Switching recompiles statements, and most appends need none of it.
  Status done;
  if (!applying_ && (opened.ddl != nullptr || !opened.changes.empty())) done = applying(true);
  if (done && opened.ddl != nullptr) done = change_schema(*opened.ddl, entry.position);
  for (std::size_t i = 0; done && i < opened.changes.size(); ++i) {
    done = applier_.apply(opened.changes[i]);
  }
  for (std::size_t i = 0; done && i < opened.streams.size(); ++i) {
    done = add_append(opened.streams[i], entry.position);
  }
  if (done) done = add_record(entry, opened.digest);
  if (done) {
    replayed_ = entry.position;
  } else {
    end(false);
  }
  return done;
}

Status SqliteProjection::commit_replay() {
  KIMBERLITE_ASSERT(state_ == State::replay);
  const Status done = run_kept(commit_, "COMMIT");
  if (done) applied_ = replayed_;
  end(done.has_value());
  return done;
}

void SqliteProjection::rollback_replay() {
  KIMBERLITE_ASSERT(state_ == State::replay || state_ == State::idle);
  if (state_ == State::replay) end(false);
}

Status SqliteProjection::add_append(const StreamAdvance& advance, Position position) {
  const auto stream = static_cast<std::int64_t>(advance.stream.value());
  const auto first = static_cast<std::int64_t>(advance.first_sequence.value());
  if (!add_append_) {
    KIMBERLITE_TRY(add_append_,
                   connection_.prepare("INSERT INTO __appends VALUES (?1, ?2, ?3)", true));
    KIMBERLITE_TRY(new_stream_,
                   connection_.prepare("INSERT INTO __streams VALUES (?1, ?2, 0)", true));
    KIMBERLITE_TRY(advance_stream_, connection_.prepare("UPDATE __streams SET next_sequence = ?2 "
                                                        "WHERE id = ?1 AND next_sequence = ?3",
                                                        true));
  }
  if (!advance.new_name.empty()) {
    new_stream_.bind(1, stream);
    new_stream_.bind(2, ValueView{advance.new_name});
    KIMBERLITE_CHECK(run_kept(new_stream_, ""));
  }
  add_append_.bind(1, stream);
  add_append_.bind(2, first);
  add_append_.bind(3, position);
  KIMBERLITE_CHECK(run_kept(add_append_, ""));
  advance_stream_.bind(1, stream);
  advance_stream_.bind(2, first + static_cast<std::int64_t>(advance.count));
  advance_stream_.bind(3, first);
  KIMBERLITE_CHECK(run_kept(advance_stream_, ""));
  if (sqlite3_changes64(connection_.db()) != 1) {
    return damaged("a stream does not stand where a record goes on")
        .where("stream {}, position {}", stream, position.value());
  }
  return {};
}

Status SqliteProjection::checkpoint() {
  KIMBERLITE_ASSERT(state_ == State::idle);
  const int rc = sqlite3_wal_checkpoint_v2(connection_.db(), "main", SQLITE_CHECKPOINT_PASSIVE,
                                           nullptr, nullptr);
  if (rc != SQLITE_OK) return take_error(context_, nullptr, connection_.db(), rc);
  return {};
}

}  // namespace kimberlite::projection
