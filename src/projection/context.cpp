#include "context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "schema.hpp"
#include "sql/datetime.hpp"
#include "sql/functions.hpp"
#include "sql/types.hpp"

namespace kimberlite::projection {
namespace {

constexpr int flags_constant = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
constexpr int flags_request = SQLITE_UTF8 | SQLITE_INNOCUOUS;
constexpr int progress_steps = 4000;  // about 100 µs of a virtual machine's work
constexpr std::size_t reasons_size_max = 1U << 20U;
constexpr int arguments_max = 8;  // of any function of ours

void fail(sqlite3_context* call, Context& context, const Error& error) {
  if (!context.failure) context.failure = error;
  sqlite3_result_error(call, "a function failed", -1);
}

void give(sqlite3_context* call, Context& context, const Result<Value>& result) {
  if (!result) return fail(call, context, result.error());
  give_result(call, view(*result));
}

// ---- Functions of the dialect ----------------------------------------------------------------

// What a registered function needs to know; lives as long as the process.
struct Bound {
  Context* context;
  const sql::ScalarFunction* scalar;
  const sql::Aggregate* aggregate;
};

void call_scalar(sqlite3_context* call, int count, sqlite3_value** values) {
  const auto& bound = *static_cast<const Bound*>(sqlite3_user_data(call));
  std::array<ValueView, arguments_max> arguments;
  KIMBERLITE_ASSERT(count <= arguments_max);
  for (int i = 0; i < count; ++i) arguments[static_cast<std::size_t>(i)] = view_of(values[i]);
  give(call, *bound.context,
       bound.scalar->call(std::span{arguments}.first(static_cast<std::size_t>(count))));
}

// SQLite zeroes the memory of a group; the accumulator hangs on it until `finish`.
sql::Accumulator*& accumulator(sqlite3_context* call) {
  return *static_cast<sql::Accumulator**>(
      sqlite3_aggregate_context(call, sizeof(sql::Accumulator*)));
}

template <bool back>
void step(sqlite3_context* call, int /*count*/, sqlite3_value** values) {
  const auto& bound = *static_cast<const Bound*>(sqlite3_user_data(call));
  sql::Accumulator*& running = accumulator(call);
  if (running == nullptr) running = bound.aggregate->make().release();
  const ValueView value = view_of(values[0]);
  const Status stepped = back ? running->inverse(value) : running->step(value);
  if (!stepped) fail(call, *bound.context, stepped.error());
}

void current(sqlite3_context* call) {
  const auto& bound = *static_cast<const Bound*>(sqlite3_user_data(call));
  const sql::Accumulator* running = accumulator(call);
  give(call, *bound.context,
       running == nullptr ? bound.aggregate->make()->value() : running->value());
}

void finish(sqlite3_context* call) {
  current(call);
  delete accumulator(call);
  accumulator(call) = nullptr;
}

int compare_texts(void* order, int a_size, const void* a, int b_size, const void* b) {
  const auto text = [](const void* data, int size) {
    return std::string_view{static_cast<const char*>(data), static_cast<std::size_t>(size)};
  };
  return sql::compare(*static_cast<const sql::Order*>(order), text(a, a_size), text(b, b_size));
}

// ---- Functions of the request ----------------------------------------------------------------

Context& context_of(sqlite3_context* call) {
  return *static_cast<Context*>(sqlite3_user_data(call));
}

void call_position(sqlite3_context* call, int /*count*/, sqlite3_value** /*values*/) {
  sqlite3_result_int64(call, static_cast<sqlite3_int64>(context_of(call).position.value()));
}

void call_row(sqlite3_context* call, int /*count*/, sqlite3_value** /*values*/) {
  Context& context = context_of(call);
  if (context.rows_numbered == rows_numbered_max) {
    return fail(call, context,
                Error{Code::limit_command, "more than {} rows without a key in one request",
                      rows_numbered_max}
                    .next("split it"));
  }
  sqlite3_result_int64(call,
                       static_cast<std::int64_t>(context.position.value() * rows_numbered_max +
                                                 context.rows_numbered++));
}

sql::Timestamp time_of(TimestampUs time) { return {static_cast<std::int64_t>(time.value())}; }

void call_now(sqlite3_context* call, int /*count*/, sqlite3_value** /*values*/) {
  give_result(call, time_text(context_of(call).now));
}

void call_today(sqlite3_context* call, int /*count*/, sqlite3_value** /*values*/) {
  give_result(call, sql::text_of(sql::date_of(time_of(context_of(call).now))));
}

void call_time_of_day(sqlite3_context* call, int /*count*/, sqlite3_value** /*values*/) {
  give_result(call, sql::text_of(sql::time_of(time_of(context_of(call).now))));
}

void call_record_time(sqlite3_context* call, int /*count*/, sqlite3_value** values) {
  Context& context = context_of(call);
  if (sqlite3_value_type(values[0]) == SQLITE_NULL) return;
  const auto record = context.record_at(sqlite3_value_int64(values[0]));
  if (!record) return fail(call, context, record.error());
  if (*record) give_result(call, time_text((*record)->timestamp));
}

void call_record_actor(sqlite3_context* call, int /*count*/, sqlite3_value** values) {
  Context& context = context_of(call);
  if (sqlite3_value_type(values[0]) == SQLITE_NULL) return;
  const auto record = context.record_at(sqlite3_value_int64(values[0]));
  if (!record) return fail(call, context, record.error());
  if (*record) give_result(call, context.actor_text((*record)->actor));
}

void call_record_reason(sqlite3_context* call, int /*count*/, sqlite3_value** values) {
  Context& context = context_of(call);
  if (sqlite3_value_type(values[0]) == SQLITE_NULL || context.log == nullptr) return;
  const sqlite3_int64 position = sqlite3_value_int64(values[0]);
  if (position <= 0) return;
  const auto reason = context.reason_of(Position{static_cast<std::uint64_t>(position)});
  if (!reason) return fail(call, context, reason.error());
  if (*reason) give_result(call, **reason);
}

struct RequestFunction {
  const char* name;
  int arguments;
  void (*call)(sqlite3_context*, int, sqlite3_value**);
};
constexpr std::array request_functions{
    RequestFunction{"kmb_position", 0, call_position},
    RequestFunction{"kmb_row", 0, call_row},
    RequestFunction{"kmb_now", 0, call_now},
    RequestFunction{"kmb_today", 0, call_today},
    RequestFunction{"kmb_time_of_day", 0, call_time_of_day},
    RequestFunction{"kmb_record_time", 1, call_record_time},
    RequestFunction{"kmb_record_actor", 1, call_record_actor},
    RequestFunction{"kmb_record_reason", 1, call_record_reason},
};

Status register_functions(sqlite3* db, Context& context) {
  const auto check = [db](int rc) -> Status {
    if (rc != SQLITE_OK) return error_of(db, rc);
    return {};
  };
  const auto forget = [](void* bound) { delete static_cast<Bound*>(bound); };
  for (const sql::ScalarFunction& function : sql::scalar_functions()) {
    KIMBERLITE_ASSERT(function.arguments <= arguments_max);
    KIMBERLITE_CHECK(check(sqlite3_create_function_v2(
        db, function.name, function.arguments, flags_constant,
        new Bound{&context, &function, nullptr}, call_scalar, nullptr, nullptr, forget)));
  }
  for (const sql::Aggregate& aggregate : sql::aggregates()) {
    KIMBERLITE_ASSERT(aggregate.arguments == 1);
    KIMBERLITE_CHECK(check(sqlite3_create_window_function(
        db, aggregate.name, 1, flags_constant, new Bound{&context, nullptr, &aggregate},
        step<false>, finish, current, step<true>, forget)));
  }
  for (const RequestFunction& function : request_functions) {
    KIMBERLITE_CHECK(
        check(sqlite3_create_function_v2(db, function.name, function.arguments, flags_request,
                                         &context, function.call, nullptr, nullptr, nullptr)));
  }
  for (const sql::Collation& collation : sql::collations()) {
    KIMBERLITE_CHECK(check(sqlite3_create_collation_v2(db, collation.name, SQLITE_UTF8,
                                                       const_cast<sql::Order*>(&collation.order),
                                                       compare_texts, nullptr)));
  }
  return {};
}

// ---- Settings and limits ---------------------------------------------------------------------

struct Setting {
  int option;
  int value;
};
constexpr std::array settings{
    Setting{SQLITE_DBCONFIG_DEFENSIVE, 1},
    Setting{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
    Setting{SQLITE_DBCONFIG_DQS_DDL, 0},
    Setting{SQLITE_DBCONFIG_DQS_DML, 0},
    Setting{SQLITE_DBCONFIG_ENABLE_TRIGGER, 1},
    Setting{SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 0},
    Setting{SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
};

// A row may hold what its image may, and computed values (group_concat, a JSON reply) more.
constexpr std::array limits{
    Setting{SQLITE_LIMIT_LENGTH, 16 * static_cast<int>(row_size_max)},
    Setting{SQLITE_LIMIT_SQL_LENGTH, 8 << 20},  // rewritten: CTEs of wide tables are long
    Setting{SQLITE_LIMIT_COLUMN, 2000},
    Setting{SQLITE_LIMIT_EXPR_DEPTH, 500},
    Setting{SQLITE_LIMIT_COMPOUND_SELECT, 500},
    Setting{SQLITE_LIMIT_VDBE_OP, 10'000'000},
    Setting{SQLITE_LIMIT_FUNCTION_ARG, 100},
    Setting{SQLITE_LIMIT_ATTACHED, 0},
    Setting{SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 10'000},
    Setting{SQLITE_LIMIT_VARIABLE_NUMBER, 32'766},
    Setting{SQLITE_LIMIT_TRIGGER_DEPTH, 500},
    Setting{SQLITE_LIMIT_WORKER_THREADS, 0},
};

}  // namespace

std::string time_text(TimestampUs time) { return sql::text_of(time_of(time)); }

void Context::bound(const Budget& budget) {
  budget_ = &budget;
  memory_before_ = sqlite3_memory_used();
}

Status go_on(const Budget& budget, env::Clock& clock) {
  if (budget.interrupt != nullptr && budget.interrupt->load(std::memory_order_relaxed)) {
    return Error{Code::interrupted_signal, "the statement was interrupted"};
  }
  if (budget.deadline_ns != 0 && clock.monotonic_ns() >= budget.deadline_ns) {
    return Error{Code::timeout_statement, "the statement took longer than its time limit"}.next(
        "raise the limit, or ask for less at once");
  }
  return {};
}

int Context::progress() {
  if (budget_ == nullptr) return 0;
  if (const Status allowed = go_on(*budget_, clock_); !allowed) {
    failure = allowed.error();
    return 1;
  }
  const std::int64_t gathered = sqlite3_memory_used() - memory_before_;
  if (budget_->memory_max != 0 && std::cmp_greater(gathered, budget_->memory_max)) {
    failure = Error{Code::limit_memory, "the statement gathers more than {} MiB in memory",
                    budget_->memory_max >> 20U}
                  .why("what it sorts, groups or compares is never written to a disk unsealed")
                  .next("ask for less at once, or sort by an indexed column");
    return 1;
  }
  return 0;
}

Result<std::optional<KnownRecord>> Context::record_at(std::int64_t number) {
  if (!record_by_position_) {
    KIMBERLITE_TRY(record_by_position_,
                   connection_->prepare("SELECT timestamp, kind, actor, digest FROM main.__records "
                                        "WHERE position = ?1",
                                        true));
  }
  const Running running{record_by_position_};
  record_by_position_.bind(1, number);
  KIMBERLITE_TRY(const bool found, record_by_position_.step());
  if (!found) return std::optional<KnownRecord>{};
  return std::optional{known_record(record_by_position_, number)};
}

Result<std::optional<std::string>> Context::reason_of(Position at) {
  if (const auto known = reasons_.find(at); known != reasons_.end()) return known->second;
  KIMBERLITE_TRY(const OpenedRecord record, log->read(at));
  std::optional<std::string> reason;
  for (const OpenedItem& item : record.items) {
    if (item.plaintext.meta && item.plaintext.meta->reason) {
      reason = *item.plaintext.meta->reason;
      break;
    }
  }
  constexpr std::size_t entry_size = 64;  // of the map, about
  const std::size_t size = entry_size + (reason ? reason->size() : 0);
  if (reasons_size_ + size > reasons_size_max) forget();
  reasons_size_ += size;
  reasons_.emplace(at, reason);
  return reason;
}

std::string Context::actor_text(const Id128& actor) {
  return log == nullptr ? to_uuid(actor) : log->actor_name(actor);
}

KnownRecord known_record(const Prepared& row, std::int64_t position) {
  KnownRecord record;
  record.position = Position{static_cast<std::uint64_t>(position)};
  record.timestamp = TimestampUs{static_cast<std::uint64_t>(row.integer(0))};
  record.kind = static_cast<std::uint16_t>(row.integer(1));
  const Bytes actor = row.bytes(2);
  std::ranges::copy(actor.first(std::min(actor.size(), record.actor.size())), record.actor.begin());
  const Bytes digest = row.bytes(3);
  record.digest.assign(digest.begin(), digest.end());
  return record;
}

Status prepare_connection(Connection& connection, Context& context) {
  sqlite3* db = connection.db();
  context.use(connection);
  for (const Setting& setting : settings) {
    const int rc = sqlite3_db_config(db, setting.option, setting.value, nullptr);
    KIMBERLITE_ASSERT(rc == SQLITE_OK);
  }
  for (const Setting& limit : limits) sqlite3_limit(db, limit.option, limit.value);
  // temp_store first: before it nothing may want a temporary file.
  KIMBERLITE_CHECK(connection.execute(
      "PRAGMA temp_store=MEMORY; PRAGMA synchronous=NORMAL; PRAGMA recursive_triggers=ON;"
      "PRAGMA case_sensitive_like=ON; PRAGMA cache_size=-32768; PRAGMA cell_size_check=ON;"
      "PRAGMA wal_autocheckpoint=8192"));
  KIMBERLITE_CHECK(register_functions(db, context));
  KIMBERLITE_CHECK(connect_virtual_tables(connection));
  sqlite3_progress_handler(
      db, progress_steps, [](void* self) { return static_cast<Context*>(self)->progress(); },
      &context);
  return {};
}

Status connect_virtual_tables(Connection& connection) {
  return connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')");
}

Error take_error(Context& context, const catalog::Catalog* catalog, sqlite3* db, int rc) {
  if (context.failure) return context.take_failure();
  const int extended = sqlite3_extended_errcode(db);
  if (extended == SQLITE_CONSTRAINT_CHECK && catalog != nullptr) {
    if (auto error = type_error(*catalog, sqlite3_errmsg(db))) return *std::move(error);
  }
  Vfs* vfs = context.sealed;
  if (vfs != nullptr && ((rc & 0xFF) == SQLITE_IOERR || (rc & 0xFF) == SQLITE_FULL ||
                         (rc & 0xFF) == SQLITE_CANTOPEN)) {
    if (auto error = vfs->take_error()) return *std::move(error);
  }
  return error_of(db, rc);
}

}  // namespace kimberlite::projection
