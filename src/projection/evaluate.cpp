// Requests on the leader: evaluating statements, settling what they did, undoing them.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "sqlite_projection.hpp"

namespace kimberlite::projection {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  });
}

std::size_t size_of(const ValueView& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) return text->size();
  if (const auto* bytes = std::get_if<Bytes>(&value)) return bytes->size();
  return sizeof(std::int64_t);
}

}  // namespace

Status SqliteProjection::begin_request(At at, bool several) {
  KIMBERLITE_ASSERT(state_ == State::batch);
  KIMBERLITE_ASSERT(at.position.value() == applied_.value() + finished_.size() + 1);
  if (broken_) return Error{Code::unavailable_io, "the batch was lost"}.next("try again");
  if (several) KIMBERLITE_CHECK(run_kept(open_request_, "SAVEPOINT __request"));
  at_ = at;
  several_ = several;
  lost_ = ddl_ = false;
  changes_before_ = sqlite3_total_changes64(connection_.db());
  savepoints_.clear();
  context_.position = at.position;
  context_.now = at.now;
  context_.rows_numbered = 0;
  capture_.begin(at.position);
  state_ = State::request;
  return {};
}

// ---- Statements -----------------------------------------------------------------------------

Result<std::shared_ptr<Compiled>> SqliteProjection::compile(const Query& query,
                                                            std::span<const ValueView> parameters) {
  const std::string_view text = own_text(query);
  if (auto known = statements_.find(text)) return known;

  sql::Context door;
  door.catalog = catalog_.get();
  door.head = applied_;
  door.now = at_.now;
  door.times = this;
  door.parameters = parameters;
  auto compiled = std::make_shared<Compiled>();
  KIMBERLITE_TRY(compiled->door, sql::rewrite(query.text, query.tokens, door));
  guard_.use(catalog_.get());
  guard_.may_write(true);
  const Guarded guarded{guard_};
  Result<Prepared> prepared = connection_.prepare(compiled->door.sql, compiled->door.cacheable);
  if (!prepared) {
    if (context_.failure)
      return take_error(context_, catalog_.get(), connection_.db(), SQLITE_ERROR);
    return prepared.error();
  }
  compiled->statement = *std::move(prepared);
  for (sql::OutputColumn& column : compiled->door.columns) {
    compiled->columns.push_back({column.name, column.type});
  }
  if (compiled->door.cacheable) statements_.add(std::string{text}, compiled);
  return compiled;
}

Result<Evaluated> SqliteProjection::evaluate(const Query& query,
                                             std::span<const ValueView> parameters,
                                             const Budget& budget) {
  KIMBERLITE_ASSERT(state_ == State::request && !lost_ && !ddl_);
  KIMBERLITE_TRY(const std::shared_ptr<Compiled> compiled, compile(query, parameters));
  KIMBERLITE_CHECK(bind_all(*compiled, query, parameters, false));

  const Capture::Mark begun = capture_.mark();
  Evaluated result;
  result.columns = compiled->columns;
  Status done = step_all(*compiled, budget, result);
  // SQLite has undone the statement, or the whole transaction; what the hook saw of it is cut.
  if (!done) {
    // A budget passed while RETURNING hands out rows comes when all rows are written.
    capture_.cut(begun);
    const bool written =
        compiled->door.statement_class != sql::StatementClass::read && !result.rows.empty();
    if (connection_.autocommit() || written) lose();
    return done.error();
  }
  if (compiled->door.statement_class != sql::StatementClass::read) {
    result.rows_affected = static_cast<std::uint64_t>(sqlite3_changes64(connection_.db()));
    done = settle(begun);
  }
  if (!done) {
    lose();
    return done.error();
  }
  return result;
}

Status SqliteProjection::step_all(Compiled& compiled, const Budget& budget, Evaluated& result) {
  guard_.use(catalog_.get());
  const Guarded guarded{guard_};
  const Running running{compiled.statement};
  context_.bound(budget);
  capture_.suspend(false);
  const int columns = compiled.statement.columns();
  std::uint64_t bytes = 0;
  Status done;
  for (;;) {
    const int rc = sqlite3_step(compiled.statement.get());
    if (rc == SQLITE_DONE) break;
    if (rc != SQLITE_ROW) {
      done = take_error(context_, catalog_.get(), connection_.db(), rc);
      if (capture_.refused()) done = *capture_.refused();
      break;
    }
    Row row;
    row.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) {
      const Result<ValueView> value = compiled.statement.answer(i);
      if (!value) {
        done = value.error();
        break;
      }
      bytes += sizeof(Value) + size_of(*value);
      row.push_back(own(*value));
    }
    result.rows.push_back(std::move(row));
    if (!done) break;
    if ((budget.rows_max != 0 && result.rows.size() > budget.rows_max) ||
        (budget.bytes_max != 0 && bytes > budget.bytes_max)) {
      const bool rows = budget.rows_max != 0 && result.rows.size() > budget.rows_max;
      done = Error{rows ? Code::limit_rows : Code::limit_memory,
                   "the statement gives back more than its limit of {} {}",
                   rows ? budget.rows_max : budget.bytes_max, rows ? "rows" : "bytes"}
                 .next("ask for less at once");
      break;
    }
  }
  capture_.suspend(true);
  context_.unbound();
  context_.forget();
  return done;
}

// Holds the statement to the rules of capture and puts right what SQLite could not: rows spelled
// otherwise than canonically, and versions given to rows that did not change.
Status SqliteProjection::settle(const Capture::Mark& begun) {
  KIMBERLITE_CHECK(capture_.settle(begun));
  for (const std::size_t at : capture_.respell()) {
    const Capture::Event& event = capture_.events()[at];
    KIMBERLITE_CHECK(
        applier_.respell(*event.layout, capture_.key_of(event), capture_.image_of(event)));
  }
  for (const Capture::Untouched& row : capture_.restore()) {
    if (!row.image.empty()) KIMBERLITE_CHECK(applier_.respell(*row.layout, row.key, row.image));
    if (row.from < at_.position.value()) {
      KIMBERLITE_CHECK(applier_.restore(*row.layout, row.key, row.from));
    }
  }
  for (const Capture::Raise& raise : capture_.raise()) {
    KIMBERLITE_CHECK(applier_.raise_identity(*raise.layout, raise.value));
  }
  capture_.settled();
  return {};
}

// ---- Savepoints -----------------------------------------------------------------------------

Result<std::size_t> SqliteProjection::find_savepoint(std::string_view name) const {
  for (std::size_t i = savepoints_.size(); i > 0; --i) {
    if (same_name(savepoints_[i - 1].name, name)) return i - 1;
  }
  return Error{Code::not_found_object, "there is no savepoint {}", name}.next(
      "set it with SAVEPOINT {}", name);
}

Status SqliteProjection::savepoint(std::string_view name) {
  KIMBERLITE_ASSERT(state_ == State::request && several_ && !lost_);
  constexpr std::size_t savepoints_max = 1000;
  if (savepoints_.size() == savepoints_max) {
    return Error{Code::limit_depth, "more than {} savepoints in one transaction", savepoints_max};
  }
  KIMBERLITE_CHECK(execute({fmt::format("SAVEPOINT __user_{}", savepoints_.size())}));
  savepoints_.push_back({std::string{name}, capture_.mark()});
  return {};
}

Status SqliteProjection::release(std::string_view name) {
  KIMBERLITE_ASSERT(state_ == State::request && several_ && !lost_);
  KIMBERLITE_TRY(const std::size_t at, find_savepoint(name));
  KIMBERLITE_CHECK(execute({fmt::format("RELEASE __user_{}", at)}));
  savepoints_.resize(at);
  return {};
}

Status SqliteProjection::rollback_to(std::string_view name) {
  KIMBERLITE_ASSERT(state_ == State::request && several_ && !lost_);
  KIMBERLITE_TRY(const std::size_t at, find_savepoint(name));
  KIMBERLITE_CHECK(execute({fmt::format("ROLLBACK TO __user_{}", at)}));
  capture_.cut(savepoints_[at].mark);
  savepoints_.resize(at + 1);
  return {};
}

// ---- The end of a request -------------------------------------------------------------------

Status SqliteProjection::deferred_keys_hold() {
  int open = 0;
  int peak = 0;
  sqlite3_db_status(connection_.db(), SQLITE_DBSTATUS_DEFERRED_FKS, &open, &peak, 0);
  if (open == 0) return {};
  return Error{Code::constraint_foreign_key,
               "a deferred foreign key is not met at the end of the request"};
}

Result<std::span<const RowChange>> SqliteProjection::finish_request() {
  KIMBERLITE_ASSERT(state_ == State::request && !lost_);
  Finished finished{at_, {}, {}, ddl_};
  Status done = deferred_keys_hold();
  const bool untouched = capture_.events().empty();  // then the rows are as they were, too
  bool nothing = untouched;
  if (done && !untouched) {
    const Result<bool> empty = changed_nothing();
    if (!empty) {
      done = empty.error();
    } else {
      nothing = *empty;
    }
  }
  if (done && !nothing) done = keep_changes(finished);
  if (done && several_ && (untouched || !nothing)) {
    done = run_kept(release_request_, "RELEASE __request");
  }
  if (!done || (nothing && !untouched)) {
    undo_request();
    if (!done) return done.error();
    return std::span<const RowChange>{};
  }
  if (untouched && !ddl_) {
    leave_request();
    return std::span<const RowChange>{};
  }
  finished_.push_back(std::move(finished));
  leave_request();
  return std::span<const RowChange>{finished_.back().changes};
}

Status SqliteProjection::keep_changes(Finished& finished) {
  const std::vector<Capture::Event> events = capture_.events();
  finished.bytes = capture_.take();
  finished.changes.reserve(events.size());
  std::uint32_t ordinal = 0;
  for (const Capture::Event& event : events) {
    if (event.end - event.image_at > row_size_max) {
      return Error{Code::limit_row, "a row of table {} is larger than {} bytes", event.layout->name,
                   row_size_max};
    }
    RowChange change;
    change.ordinal = ordinal++;
    change.table = event.layout->table;
    change.operation = event.operation;
    change.previous = Position{event.previous};
    Reader from{Bytes{finished.bytes}.subspan(event.key_at, event.end - event.key_at)};
    change.key = record::ValueList::read(from);
    if (event.end != event.image_at) change.image = record::ValueList::read(from);
    if (!from.finished()) return Error{Code::internal_bug, "a captured change is not canonical"};
    finished.changes.push_back(change);
  }
  return {};
}

// True if every row is at the end what it was at the beginning: inserted and removed again, or
// changed and changed back. Most requests are told from their first glance.
Result<bool> SqliteProjection::changed_nothing() {
  const std::vector<Capture::Event>& events = capture_.events();
  const auto all = [&](record::Operation operation) {
    return std::ranges::all_of(events, [&](const auto& e) { return e.operation == operation; });
  };
  if (events.size() == 1 || all(record::Operation::insert) || all(record::Operation::remove)) {
    return false;
  }
  struct Ends {
    std::size_t first = 0;
    std::size_t last = 0;
  };
  std::unordered_map<std::string, Ends> rows;
  for (std::size_t i = 0; i < events.size(); ++i) {
    std::string row = fmt::format("{}/", events[i].layout->table.value());
    row += text_of(capture_.key_of(events[i]));
    rows.try_emplace(std::move(row), Ends{i, i}).first->second.last = i;
  }
  for (const auto& [row, ends] : rows) {
    if (ends.first == ends.last) return false;
  }
  for (const auto& [row, ends] : rows) {
    const Capture::Event& first = events[ends.first];
    Buffer before;
    if (first.operation != record::Operation::insert) {
      KIMBERLITE_TRY(before, versions_.find(*first.layout, capture_.key_of(first), first.previous));
    }
    if (!equal(before, capture_.image_of(events[ends.last]))) return false;
  }
  return true;
}

void SqliteProjection::leave_request() {
  capture_.cut({});
  savepoints_.clear();
  lost_ = ddl_ = false;
  state_ = State::batch;
}

void SqliteProjection::undo_request() {
  KIMBERLITE_ASSERT(state_ == State::request);
  const bool touched = sqlite3_total_changes64(connection_.db()) != changes_before_ || ddl_;
  if (lost_) {
    // Undone when it was lost.
  } else if (several_ && !ddl_) {
    const Status undone = run_kept(undo_request_, "ROLLBACK TO __request");
    if (!undone || !run_kept(release_request_, "RELEASE __request")) revive();
  } else if (touched) {
    revive();
  }
  leave_request();
}

void SqliteProjection::keep_unchanged() {
  KIMBERLITE_ASSERT(state_ == State::batch);
  const Position position{applied_.value() + finished_.size() + 1};
  finished_.push_back({{position, {}}, {}, {}, false});
}

void SqliteProjection::undo_finished() {
  KIMBERLITE_ASSERT(state_ == State::batch && !finished_.empty());
  finished_.pop_back();
  revive();
}

// The request cannot go on: all of it is undone now, and the batch's earlier ones stand again.
void SqliteProjection::lose() {
  capture_.cut({});
  lost_ = true;
  revive();
}

void SqliteProjection::revive() {
  if (!connection_.autocommit()) {
    sqlite3_exec(connection_.db(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  if (catalog_ != committed_catalog_) {
    KIMBERLITE_ASSERT(finished_.empty());  // DDL is a batch of its own
    capture_.cut({});
    catalog_ = committed_catalog_;
    capture_.set_tables(*catalog_);
    statements_.clear();
    applier_.forget();
  }
  Status done = run_kept(begin_, "BEGIN IMMEDIATE");
  if (done && !finished_.empty()) done = applying(true);
  for (std::size_t i = 0; done && i < finished_.size(); ++i) {
    context_.position = finished_[i].at.position;
    for (std::size_t j = 0; done && j < finished_[i].changes.size(); ++j) {
      done = applier_.apply(finished_[i].changes[j]);
    }
  }
  if (done && !finished_.empty()) done = applying(false);
  context_.position = at_.position;
  broken_ = !done;
}

}  // namespace kimberlite::projection
