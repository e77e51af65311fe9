#include "projection/reader.hpp"

#include <fmt/format.h>

#include "authorizer.hpp"
#include "base/assert.hpp"
#include "compare.hpp"
#include "context.hpp"
#include "heads_table.hpp"
#include "kept_rows.hpp"
#include "log_tables.hpp"
#include "lookups.hpp"
#include "row_check.hpp"
#include "statement_cache.hpp"

namespace kimberlite::projection {
namespace {

constexpr std::size_t cached_statements = 256;

std::size_t size_of(const ValueView& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) return text->size();
  if (const auto* bytes = std::get_if<Bytes>(&value)) return bytes->size();
  return sizeof(std::int64_t);
}

// What a VERIFY SELECT says of each table behind the columns asked for: where the record stands
// that says the row, and its receipt. (SqliteCursor::verify_row gives the values.)
void add_proof_columns(Compiled& compiled) {
  const std::vector<sql::VerifiedTable>& tables = compiled.door.verified;
  for (const sql::VerifiedTable& table : tables) {
    const std::string prefix = tables.size() == 1 ? "" : table.called + ".";
    compiled.columns.push_back(
        {prefix + "__position", catalog::Type{catalog::TypeKind::bigint, 0, 0}});
    compiled.columns.push_back(
        {prefix + "__receipt", catalog::Type{catalog::TypeKind::text, 0, 0}});
  }
}

class SqliteReader;

class SqliteCursor final : public Cursor {
 public:
  SqliteCursor(SqliteReader& reader, std::shared_ptr<Compiled> compiled, const Budget& budget,
               std::optional<Position> as_of)
      : reader_(reader), compiled_(std::move(compiled)), budget_(budget), as_of_(as_of) {}
  ~SqliteCursor() override;

  [[nodiscard]] std::span<const ResultColumn> columns() const override {
    return compiled_->columns;
  }
  [[nodiscard]] Result<bool> next() override;
  [[nodiscard]] std::span<const ValueView> row() const override { return row_; }
  [[nodiscard]] Result<At> answered() override;
  [[nodiscard]] bool reads_time() const override { return compiled_->door.reads_time; }

  // Opens the snapshot. False: it is not the one the text was compiled for, or it was gone before
  // its head was known; the query is to begin again.
  [[nodiscard]] Result<bool> start();

 private:
  [[nodiscard]] Result<bool> step();
  [[nodiscard]] Status hand_out();
  [[nodiscard]] Status verify_row();
  [[nodiscard]] Result<std::string_view> receipt_of(std::size_t table, Position position);

  SqliteReader& reader_;
  std::shared_ptr<Compiled> compiled_;
  Budget budget_;
  std::optional<Position> as_of_;
  At head_;
  std::vector<ValueView> row_;
  std::vector<ValueView> read_;  // what a verified row was read as
  // Of a VERIFY SELECT: all in one tree, and the last one of each table, as rows of one record come
  // one after the other.
  std::unique_ptr<Receipts> receipts_;
  struct Receipt {
    Position of;
    std::string text;
  };
  std::vector<Receipt> shown_;
  std::uint64_t rows_ = 0;
  std::uint64_t bytes_ = 0;
  bool stepped_ = false;  // onto the first row, by `start`
  bool done_ = false;
};

class SqliteReader final : public Reader, private sql::TimeMap {
 public:
  SqliteReader(env::Env env, Location location)
      : clock_(env.clock), location_(std::move(location)), context_(env.clock) {}
  ~SqliteReader() override {
    KIMBERLITE_ASSERT(!open_);
    context_.release();
  }
  [[nodiscard]] Status start(LogSource* log);

  [[nodiscard]] Result<std::unique_ptr<Cursor>> query(const Query& query,
                                                      std::span<const ValueView> parameters,
                                                      const ReadContext& context) override;
  [[nodiscard]] Result<At> head() override { return lookups_.head(); }
  [[nodiscard]] Result<Position> position_at(TimestampUs time) const override {
    return lookups_.position_at(time);
  }
  [[nodiscard]] Result<std::vector<StreamPlace>> stream_places(StreamId stream, Sequence from,
                                                               std::size_t limit) override;
  [[nodiscard]] Result<std::optional<KnownStream>> find_stream(std::string_view name) override {
    return lookups_.find_stream(name);
  }
  [[nodiscard]] Result<std::shared_ptr<const catalog::Catalog>> catalog() override;
  [[nodiscard]] Result<TableCheck> check_table(ObjectId table, Position at, Projection& derived,
                                               const Budget& budget) override;
  [[nodiscard]] Result<std::vector<OwnTableCheck>> check_own_tables(Projection& derived,
                                                                    const Budget& budget) override;

 private:
  friend class SqliteCursor;
  [[nodiscard]] Result<std::unique_ptr<SqliteCursor>> cursor_of(
      std::shared_ptr<Compiled> compiled, const Query& query, std::span<const ValueView> parameters,
      const ReadContext& context);
  [[nodiscard]] Result<std::shared_ptr<Compiled>> compile(std::string_view text, const Query& query,
                                                          std::span<const ValueView> parameters,
                                                          const ReadContext& context);
  // A transaction: what is compiled, looked up and read in it is one snapshot.
  [[nodiscard]] Status open_snapshot();
  void close_snapshot();
  [[nodiscard]] Result<TableCheck> check_in_snapshot(ObjectId table, Position at,
                                                     Projection& derived, const Budget& budget);
  [[nodiscard]] Status load_catalog();
  // True if `compiled` is now what the text means with these parameters and session: it always was,
  // or it is a rewriting for another position, which is moved to the one asked for.
  [[nodiscard]] static bool fits(Compiled& compiled, std::span<const ValueView> parameters,
                                 const ReadContext& context, Position head);
  // The head of the snapshot that is open, or was until a moment ago; nothing if that is not known.
  [[nodiscard]] Result<std::optional<At>> snapshot_head(bool still_open);

  env::Clock& clock_;
  Location location_;
  Context context_;
  Connection connection_;
  Lookups lookups_{connection_};
  RowCheck check_{connection_, context_};
  Guard guard_;
  // By text (and what else it depends on).
  StatementCache<Compiled> by_text_{cached_statements};
  // By what the door made of it: a text whose meaning depends on its parameters, and not on a
  // position alone, is rewritten each time, but seldom into something new.
  StatementCache<Compiled> by_door_{cached_statements};
  std::shared_ptr<const catalog::Catalog> catalog_;
  std::int64_t schema_version_ = -1;  // SQLite's, that `catalog_` was read under
  At head_;                           // of the snapshot `head_version_`
  std::optional<unsigned> head_version_;
  bool open_ = false;  // a cursor is
};

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(env::Env env, Location location, LogSource* log) {
  auto reader = std::make_unique<SqliteReader>(env, std::move(location));
  KIMBERLITE_CHECK(reader->start(log));
  return std::unique_ptr<Reader>{std::move(reader)};
}

namespace {

Status SqliteReader::start(LogSource* log) {
  context_.sealed = location_.sealed;
  context_.log = log;
  KIMBERLITE_TRY(connection_, Connection::open(location_, Connection::Mode::read));
  guard_.attach(connection_.db());
  KIMBERLITE_CHECK(prepare_connection(connection_, context_));
  KIMBERLITE_CHECK(register_log_tables(connection_, context_, catalog_));
  KIMBERLITE_CHECK(register_heads_table(connection_, context_));
  return connection_.execute("PRAGMA query_only=ON");
}

// ---- Snapshots ------------------------------------------------------------------------------

Status SqliteReader::open_snapshot() {
  KIMBERLITE_CHECK(connection_.execute("BEGIN"));
  KIMBERLITE_TRY(const std::int64_t version, connection_.integer("PRAGMA main.schema_version"));
  if (catalog_ != nullptr && version == schema_version_) return {};
  by_text_.clear();
  by_door_.clear();
  KIMBERLITE_CHECK(load_catalog());
  schema_version_ = version;  // not before: one that could not be read is read again
  return {};
}

void SqliteReader::close_snapshot() {
  if (connection_.autocommit()) return;
  sqlite3_exec(connection_.db(), "COMMIT", nullptr, nullptr, nullptr);
}

Status SqliteReader::load_catalog() {
  KIMBERLITE_TRY(Prepared read,
                 connection_.prepare("SELECT value FROM main.__projection WHERE name = 'catalog'"));
  KIMBERLITE_TRY(const bool found, read.step());
  const Running running{read};
  if (!found) return Error{Code::integrity_projection, "the projection has no catalog"};
  base::Reader from{read.bytes(0)};
  KIMBERLITE_TRY(catalog::Catalog loaded, catalog::Catalog::decode(from));
  catalog_ = std::make_shared<const catalog::Catalog>(std::move(loaded));
  guard_.use(catalog_.get());
  return connect_virtual_tables(connection_);
}

// SQLite counts, without reading anything, the snapshots that differ from the one before: only
// after a commit the head is asked for.
Result<std::optional<At>> SqliteReader::snapshot_head(bool still_open) {
  const auto version = [this] {
    unsigned number = 0;
    sqlite3_file_control(connection_.db(), "main", SQLITE_FCNTL_DATA_VERSION, &number);
    return number;
  };
  const unsigned shown = version();
  if (head_version_ != shown) {
    KIMBERLITE_TRY(const At head, lookups_.head());
    if (!still_open && version() != shown) return std::optional<At>{};
    head_ = head;
    head_version_ = shown;
  }
  return std::optional{head_};
}

Result<std::shared_ptr<const catalog::Catalog>> SqliteReader::catalog() {
  KIMBERLITE_ASSERT(!open_);
  const Status opened = open_snapshot();
  close_snapshot();
  if (!opened) return opened.error();
  return catalog_;
}

// ---- Queries --------------------------------------------------------------------------------

Result<std::unique_ptr<Cursor>> SqliteReader::query(const Query& query,
                                                    std::span<const ValueView> parameters,
                                                    const ReadContext& context) {
  KIMBERLITE_ASSERT(!open_);
  context_.now = context.now;
  context_.position = context.as_of.value_or(Position{});
  std::string_view text = own_text(query);
  std::string qualified;
  if (query.explain || query.verify || context.as_of) {
    qualified = std::string{query.explain ? "explain/" : query.verify ? "verify/" : "/"};
    // Positions under today's schema share a rewriting, if it moves.
    const bool today =
        context.as_of && catalog_ != nullptr && *context.as_of >= catalog_->last_change();
    if (context.as_of) qualified += today ? "as of/" : fmt::format("{}/", context.as_of->value());
    qualified += text;
    text = qualified;
  }
  if (auto known = by_text_.find(text);
      known != nullptr && fits(*known, parameters, context, head_.position)) {
    KIMBERLITE_TRY(auto cursor, cursor_of(std::move(known), query, parameters, context));
    KIMBERLITE_TRY(const bool current, cursor->start());
    if (current) return std::unique_ptr<Cursor>{std::move(cursor)};
  }
  Status opened = open_snapshot();
  if (opened) {
    Result<std::shared_ptr<Compiled>> compiled = compile(text, query, parameters, context);
    if (compiled) {
      KIMBERLITE_TRY(auto cursor, cursor_of(*std::move(compiled), query, parameters, context));
      KIMBERLITE_TRY(const bool current, cursor->start());
      KIMBERLITE_ASSERT(current);  // compiled in this very snapshot
      return std::unique_ptr<Cursor>{std::move(cursor)};
    }
    opened = compiled.error();
  }
  close_snapshot();
  return opened.error();
}

Result<std::unique_ptr<SqliteCursor>> SqliteReader::cursor_of(std::shared_ptr<Compiled> compiled,
                                                              const Query& query,
                                                              std::span<const ValueView> parameters,
                                                              const ReadContext& context) {
  if (const Status bound = bind_all(*compiled, query, parameters, true); !bound) {
    close_snapshot();
    return bound.error();
  }
  const std::optional<Position> as_of = compiled->door.as_of ? compiled->door.as_of : context.as_of;
  return std::make_unique<SqliteCursor>(*this, std::move(compiled), context.budget, as_of);
}

Result<std::shared_ptr<Compiled>> SqliteReader::compile(std::string_view text, const Query& query,
                                                        std::span<const ValueView> parameters,
                                                        const ReadContext& context) {
  KIMBERLITE_TRY(const At head, lookups_.head());
  if (auto known = by_text_.find(text);
      known != nullptr && fits(*known, parameters, context, head.position)) {
    return known;
  }
  sql::Context door;
  door.catalog = catalog_.get();
  door.head = head.position;
  door.now = context.now;
  door.times = this;
  door.session_as_of = context.as_of;
  door.verify = query.verify;
  door.parameters = parameters;
  auto compiled = std::make_shared<Compiled>();
  KIMBERLITE_TRY(compiled->door, sql::rewrite(query.text, query.tokens, door));
  if (compiled->door.statement_class != sql::StatementClass::read && !query.explain) {
    return Error{Code::sql_read_only, "this statement writes, and only reads are possible here"};
  }
  std::string sql = compiled->door.sql;
  if (query.explain) sql.insert(0, "EXPLAIN QUERY PLAN ");
  if (!compiled->door.cacheable && !compiled->door.moving) {
    if (auto known = by_door_.find(sql)) {
      known->door = std::move(compiled->door);  // with other values to bind
      return known;
    }
  }
  guard_.may_write(query.explain);
  const Guarded guarded{guard_};
  Result<Prepared> prepared = connection_.prepare(sql, true);
  if (!prepared) {
    if (!context_.failure) return prepared.error();
    return take_error(context_, catalog_.get(), connection_.db(), SQLITE_ERROR);
  }
  compiled->statement = *std::move(prepared);
  if (query.explain) {
    compiled->columns = {{"id", {}}, {"parent", {}}, {"notused", {}}, {"detail", {}}};
  } else {
    for (const sql::OutputColumn& column : compiled->door.columns) {
      compiled->columns.push_back({column.name, column.type});
    }
    add_proof_columns(*compiled);
  }
  compiled->as_of = context.as_of;
  const bool by_text = compiled->door.cacheable || compiled->door.moving;
  if (by_text) by_text_.add(std::string{text}, compiled);
  if (!by_text) by_door_.add(std::move(sql), compiled);
  return compiled;
}

bool SqliteReader::fits(Compiled& compiled, std::span<const ValueView> parameters,
                        const ReadContext& context, Position head) {
  if (!compiled.door.moving) return compiled.as_of == context.as_of;
  const std::uint32_t caller = compiled.door.moving->caller;
  std::optional<Position> to = context.as_of;
  if (caller != 0) {
    // The session's position is then of no effect, since it says of no table as of when.
    if (parameters.size() < caller) return false;
    to = sql::position_of(parameters[caller - 1]);
  }
  if (!to || *to < compiled.door.moving->first || *to > head) return false;
  sql::move(compiled.door, *to);
  return true;
}

Result<std::vector<Reader::StreamPlace>> SqliteReader::stream_places(StreamId stream, Sequence from,
                                                                     std::size_t limit) {
  // The record that holds `from` is the last that begins at or before it.
  KIMBERLITE_TRY(
      Prepared places,
      connection_.prepare("SELECT first_sequence, position FROM main.__appends WHERE stream = ?1 "
                          "AND first_sequence >= ifnull((SELECT max(first_sequence) FROM "
                          "main.__appends WHERE stream = ?1 AND first_sequence <= ?2), 0) "
                          "ORDER BY first_sequence LIMIT ?3"));
  places.bind(1, static_cast<std::int64_t>(stream.value()));
  places.bind(2, static_cast<std::int64_t>(from.value()));
  places.bind(3, static_cast<std::int64_t>(limit));
  std::vector<StreamPlace> found;
  for (;;) {
    KIMBERLITE_TRY(const bool row, places.step());
    if (!row) return found;
    found.push_back({Position{static_cast<std::uint64_t>(places.integer(1))},
                     Sequence{static_cast<std::uint64_t>(places.integer(0))}});
  }
}

// ---- Against another projection -------------------------------------------------------------

Result<TableCheck> SqliteReader::check_table(ObjectId table, Position at, Projection& derived,
                                             const Budget& budget) {
  KIMBERLITE_ASSERT(!open_ && derived.applied() == at);
  const Status opened = open_snapshot();
  Result<TableCheck> checked =
      opened ? check_in_snapshot(table, at, derived, budget) : Result<TableCheck>{opened.error()};
  close_snapshot();
  return checked;
}

Result<TableCheck> SqliteReader::check_in_snapshot(ObjectId table, Position at, Projection& derived,
                                                   const Budget& budget) {
  TableCheck check;
  const catalog::Table* shown = catalog_->table_at(table, at);
  const catalog::Table* said = derived.catalog()->table_at(table, at);
  if ((shown == nullptr) != (said == nullptr) || (shown != nullptr && !(*shown == *said))) {
    check.differences = 1;
    check.named.push_back({"its definition is not what the log says it is",
                           derived.catalog()->last_change(),
                           std::nullopt,
                           {}});
    return check;
  }
  crypto::Sha256 digest;
  for (const Kept kept : {Kept::rows, Kept::versions}) {
    KIMBERLITE_TRY(const auto ours, open_kept_rows(connection_, *catalog_, table, at, kept));
    KIMBERLITE_TRY(const auto theirs, derived.kept_rows(table, at, kept));
    Walk how;
    how.noun = kept == Kept::rows ? Noun::row : Noun::version;
    how.origin = [&](Bytes key, Position from) { return derived.origin_of(table, key, from); };
    how.progress = [&] { return go_on(budget, clock_); };
    how.digest = kept == Kept::rows ? &digest : nullptr;
    how.named_max = differences_named_max - check.named.size();
    KIMBERLITE_TRY(Walked walked, walk(*ours, *theirs, how));
    (kept == Kept::rows ? check.rows : check.versions) = walked.rows;
    check.differences += walked.differences;
    std::ranges::move(walked.named, std::back_inserter(check.named));
  }
  check.digest = digest.finish();
  return check;
}

Result<std::vector<OwnTableCheck>> SqliteReader::check_own_tables(Projection& derived,
                                                                  const Budget& budget) {
  KIMBERLITE_ASSERT(!open_);
  std::vector<OwnTableCheck> different;
  for (const Kept kept :
       {Kept::records, Kept::streams, Kept::appends, Kept::schema_changes, Kept::schema}) {
    KIMBERLITE_TRY(const auto ours, open_own_rows(connection_, kept));
    KIMBERLITE_TRY(const auto theirs, derived.kept_rows({}, derived.applied(), kept));
    Walk how;
    how.progress = [&] { return go_on(budget, clock_); };
    // Its rows are of no record, so nothing tells one from another.
    if (kept == Kept::schema) how.named_max = 1;
    KIMBERLITE_TRY(Walked walked, walk(*ours, *theirs, how));
    if (walked.differences == 0) continue;
    different.push_back({own_table_name(kept), walked.differences, std::move(walked.named)});
  }
  return different;
}

// ---- Cursors --------------------------------------------------------------------------------

SqliteCursor::~SqliteCursor() {
  compiled_->statement.reset();
  sqlite3_clear_bindings(compiled_->statement.get());
  reader_.context_.forget();
  reader_.check_.forget();
  reader_.close_snapshot();
  reader_.open_ = false;
}

Result<bool> SqliteCursor::step() {
  const Guarded guarded{reader_.guard_};
  reader_.context_.bound(budget_);
  const int rc = sqlite3_step(compiled_->statement.get());
  reader_.context_.unbound();
  if (rc == SQLITE_ROW) return true;
  done_ = true;
  if (rc == SQLITE_DONE) return false;
  return take_error(reader_.context_, reader_.catalog_.get(), reader_.connection_.db(), rc);
}

Result<bool> SqliteCursor::start() {
  reader_.open_ = true;
  sqlite3_stmt* statement = compiled_->statement.get();
  const bool in_snapshot = !reader_.connection_.autocommit();
  sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_REPREPARE, 1);
  const Result<bool> first = step();
  // Compiled again: the schema is another, and so may be what the text means.
  if (!in_snapshot && sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_REPREPARE, 1) != 0) {
    return false;
  }
  if (!first) {
    if (in_snapshot) return first.error();
    // Under another schema the text may be wrong where it was right, or right where it was wrong.
    KIMBERLITE_TRY(const std::int64_t version,
                   reader_.connection_.integer("PRAGMA main.schema_version"));
    if (version != reader_.schema_version_) return false;
    return first.error();
  }
  stepped_ = *first;
  KIMBERLITE_TRY(const std::optional<At> head, reader_.snapshot_head(in_snapshot || *first));
  if (!head) return false;
  head_ = *head;
  return true;
}

Result<bool> SqliteCursor::next() {
  if (stepped_) {
    stepped_ = false;
  } else if (done_) {
    return false;
  } else {
    KIMBERLITE_TRY(const bool more, step());
    if (!more) return false;
  }
  KIMBERLITE_CHECK(hand_out());
  return true;
}

// Each table's row against the log; behind the answer's columns comes, for each table, what
// `add_proof_columns` announced.
Status SqliteCursor::verify_row() {
  KIMBERLITE_CHECK(go_on(budget_, reader_.clock_));
  std::size_t at = compiled_->door.columns.size();
  const std::vector<sql::VerifiedTable>& verified = compiled_->door.verified;
  for (const sql::VerifiedTable& table : verified) {
    read_.clear();
    for (std::size_t i = 0; i < table.width(); ++i) {
      read_.push_back(compiled_->statement.column(static_cast<int>(at++)));
    }
    KIMBERLITE_TRY(const auto position, reader_.check_.check(reader_.catalog_, table, read_));
    if (!position) {
      row_.insert(row_.end(), 2, Null{});
      continue;
    }
    row_.emplace_back(static_cast<std::int64_t>(position->value()));
    KIMBERLITE_TRY(const std::string_view receipt,
                   receipt_of(static_cast<std::size_t>(&table - verified.data()), *position));
    row_.emplace_back(receipt);
    bytes_ += receipt.size();
  }
  return {};
}

Result<std::string_view> SqliteCursor::receipt_of(std::size_t table, Position position) {
  if (receipts_ == nullptr) {
    // No row is from a record behind the one position that all tables are read at, or the head.
    const Position last = compiled_->door.as_of.value_or(head_.position);
    KIMBERLITE_TRY(receipts_, reader_.context_.log->receipts(last));
    shown_.resize(compiled_->door.verified.size());
  }
  Receipt& shown = shown_[table];
  if (shown.of != position) {
    KIMBERLITE_TRY(shown.text, receipts_->of(position));
    shown.of = position;
  }
  return std::string_view{shown.text};
}

Status SqliteCursor::hand_out() {
  const std::size_t columns = compiled_->door.verified.empty()
                                  ? static_cast<std::size_t>(compiled_->statement.columns())
                                  : compiled_->door.columns.size();
  row_.resize(columns);
  for (std::size_t i = 0; i < columns; ++i) {
    Result<ValueView> value = compiled_->statement.answer(static_cast<int>(i));
    if (!value) {
      done_ = true;
      return value.error();
    }
    row_[i] = *value;
    bytes_ += size_of(row_[i]);
  }
  if (!compiled_->door.verified.empty()) {
    if (Status proved = verify_row(); !proved) {
      done_ = true;
      return proved;
    }
  }
  ++rows_;
  if (budget_.rows_max != 0 && rows_ > budget_.rows_max) {
    done_ = true;
    return Error{Code::limit_rows, "the answer has more than {} rows", budget_.rows_max}.next(
        "ask for fewer with LIMIT, or raise the limit");
  }
  if (budget_.bytes_max != 0 && bytes_ > budget_.bytes_max) {
    done_ = true;
    return Error{Code::limit_memory, "the answer has more than {} bytes", budget_.bytes_max}.next(
        "ask for fewer rows or columns, or raise the limit");
  }
  return {};
}

Result<At> SqliteCursor::answered() {
  if (!as_of_) return head_;
  if (as_of_->value() == 0) return At{};
  KIMBERLITE_TRY(const auto record,
                 reader_.context_.record_at(static_cast<std::int64_t>(as_of_->value())));
  return At{*as_of_, record ? record->timestamp : TimestampUs{}};
}

}  // namespace
}  // namespace kimberlite::projection
