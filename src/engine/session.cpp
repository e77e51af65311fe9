#include "session.hpp"

#include <algorithm>
#include <cmath>

#include "base/canary.hpp"
#include "base/limits.hpp"
#include "base/probe.hpp"
#include "cursors.hpp"
#include "request_id.hpp"
#include "sql/rewrite.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::size_t parsed_max = 256;
constexpr std::size_t parsed_text_max = 16U << 10U;  // bytes of a text that is kept

class ReaderTimes final : public sql::TimeMap {
 public:
  explicit ReaderTimes(projection::Reader& reader) : reader_(&reader) {}
  Result<Position> position_at(TimestampUs time) const override {
    return reader_->position_at(time);
  }

 private:
  projection::Reader* reader_;
};

std::vector<ValueView> views_of(std::span<const Value> values) {
  std::vector<ValueView> views;
  views.reserve(values.size());
  for (const Value& value : values) views.push_back(view(value));
  return views;
}

void add_to_digest(Writer& digest, const Statement& statement) {
  digest.text(statement.sql);
  digest.u32(static_cast<std::uint32_t>(statement.parameters.size()));
  for (const Value& value : statement.parameters) encode(digest, view(value));
}

Status check_values(std::span<const Value> parameters) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto* text = std::get_if<std::string>(&parameters[i]);
    if (text != nullptr && !is_utf8_text(*text)) {
      return Error{Code::type_encoding, "parameter {} is not text", i + 1}
          .why("it has a NUL byte or is not UTF-8")
          .next("pass it as bytes");
    }
    const auto* real = std::get_if<double>(&parameters[i]);
    if (real != nullptr && std::isnan(*real)) {
      return Error{Code::type_range, "parameter {} is NaN, which cannot be stored", i + 1};
    }
  }
  return {};
}

Error not_in_transaction_only(std::string_view what) {
  return Error{Code::sql_transaction, "{} cannot stand inside a transaction", what}.next(
      "COMMIT or ROLLBACK first");
}

// It holds rows against records, and the transaction's own are in none yet.
bool verifies(const sql::Statement& statement) {
  return statement.verify || statement.kind == sql::StatementKind::verify_table;
}

}  // namespace

LocalSession::LocalSession(Core& core, Tenant& tenant, Principal principal,
                           std::function<void()> before_write)
    : core_(core),
      tenant_(tenant),
      principal_(std::move(principal)),
      before_write_(std::move(before_write)) {}

LocalSession::~LocalSession() {
  if (transaction_) static_cast<void>(rollback().has_value());
}

Result<LocalSession::ParsedPtr> LocalSession::parse(std::string_view text) {
  KIMBERLITE_CHECK(core_.check_primary());
  return parse_text(text);
}

Result<LocalSession::ParsedPtr> LocalSession::parse_text(std::string_view text) {
  if (const auto found = parsed_.find(text); found != parsed_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second);
    return found->second->second;
  }
  auto parsed = std::make_shared<Parsed>();
  parsed->text = text;
  KIMBERLITE_TRY(parsed->statement, sql::parse(parsed->text));
  if (sql::is_write(parsed->statement.kind)) {
    KIMBERLITE_TRY(parsed->plain, sql::without_literals(parsed->text));
  }
  parsed->reads_time = sql::says_when(parsed->statement);
  if (text.size() > parsed_text_max) return ParsedPtr{parsed};
  recent_.emplace_front(parsed->text, parsed);
  parsed_.emplace(parsed->text, recent_.begin());
  if (recent_.size() > parsed_max) {
    parsed_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return ParsedPtr{parsed};
}

// ---- writes
// ---------------------------------------------------------------------------------------

Status LocalSession::fill(Request& request, const Why& why, std::span<const Bytes> digest_parts) {
  KIMBERLITE_CHECK(tenant_.fill(request, principal_, why, digest_parts));
  if (carried_) {
    request.not_after_ns = carried_->not_after_ns;
    request.is_named = carried_->is_named;
  }
  return {};
}

Result<TimestampUs> LocalSession::settle_time() {
  KIMBERLITE_TRY(const TimestampUs now, core_.settle_time());
  KIMBERLITE_CHECK(tenant_.settle());
  return now;
}

Status LocalSession::check_present() const {
  if (std::holds_alternative<std::monostate>(as_of_)) return {};
  return Error{Code::sql_read_only, "the session reads the past, and the past is not written to"}
      .next("SET AS OF LATEST");
}

Result<Outcome> LocalSession::forward(ForwardedWrite&& write, const Why& why) {
  write.tenant = tenant_.name();
  write.actor = principal_.description;
  write.session = principal_.session;
  write.request_id = why.request_id;
  write.idempotency_key = why.idempotency_key;
  write.is_named = write.request_id || !write.idempotency_key.empty();
  if (!write.is_named) {
    write.request_id = new_request_id(core_.env().clock, core_.env().random);
  }
  write.expected = why.expected;
  write.reason = why.reason;
  write.correlation = why.correlation;
  return core_.forwarder().ask(write);
}

Status LocalSession::take_reason(Request& request, const Parsed& parsed,
                                 const Statement& statement) const {
  if (!parsed.statement.reason) return {};
  const sql::Reason& reason = *parsed.statement.reason;
  std::string text = reason.text;
  if (reason.parameter != 0) {
    if (reason.parameter > statement.parameters.size()) {
      return Error{Code::not_found_parameter, "the reason's parameter {} has no value",
                   reason.parameter};
    }
    const auto* value = std::get_if<std::string>(&statement.parameters[reason.parameter - 1]);
    if (value == nullptr) {
      return Error{Code::type_mismatch, "the reason, parameter {}, is not text", reason.parameter};
    }
    text = *value;
  }
  if (!request.reason.empty() && request.reason != text) {
    return Error{Code::sql_misuse, "the request has two reasons"}
        .where("{}", sql::where(parsed.text, reason.offset))
        .next("give one: WITH REASON in the text, or the request's own");
  }
  request.reason = std::move(text);
  return {};
}

// What a replica refuses by the state it has is refused by the group only if that is its newest:
// one that was deposed and does not know it would say that a key is taken which is free again, or
// that there is nothing to change.
Result<Outcome> LocalSession::submit(Request& request) {
  if (before_write_) before_write_();
  tenant_.submit(request);
  Result<Outcome>& first = *request.result;
  const bool is_committed = first && first->position > Position{};
  if (is_committed || !core_.is_group()) return std::move(first);
  if (!first) {
    const ErrorClass kind = class_of(first.error().code());
    const bool by_state =
        kind <= ErrorClass::erased || kind == ErrorClass::conflict || kind == ErrorClass::limit;
    const bool is_mended =
        request.unread &&
        core_.mended({tenant_.id(), kernel::Lane::data, *request.unread}, first.error());
    if (!by_state && !is_mended) return std::move(first);
  }
  probe<"engine.write.evaluated_twice">();
  KIMBERLITE_CHECK(core_.confirm_read());
  Request again;
  again.kind = request.kind;
  again.principal = request.principal;
  again.statements = std::move(request.statements);
  again.stream = request.stream;
  again.expected_sequence = request.expected_sequence;
  again.events = request.events;
  again.reason = std::move(request.reason);
  again.correlation_text = std::move(request.correlation_text);
  again.correlation = request.correlation;
  again.request_id = request.request_id;
  again.is_named = request.is_named;
  again.not_after_ns = request.not_after_ns;
  again.digest = request.digest;
  again.expected_position = request.expected_position;
  again.budget = request.budget;
  tenant_.submit(again);
  return *std::move(again.result);
}

Result<Outcome> LocalSession::execute(std::span<const Statement> statements, const Why& why) {
  return execute(statements, why, {});
}

Result<Outcome> LocalSession::execute(std::span<const Statement> statements, const Why& why,
                                      const ReadLimits& limits) {
  if (statements.empty()) return Error{Code::sql_misuse, "the request has no statement"};
  if (transaction_) return not_in_transaction_only("a request of its own");
  std::uint64_t size = 0;
  std::vector<ParsedPtr> parsed;
  for (const Statement& statement : statements) {
    size += statement.sql.size();
    for (const Value& value : statement.parameters) {
      if (const auto* text = std::get_if<std::string>(&value)) size += text->size();
      if (const auto* bytes = std::get_if<Buffer>(&value)) size += bytes->size();
    }
  }
  if (size > request_size_max) {
    return Error{Code::limit_request, "the request has {} bytes; {} are allowed", size,
                 request_size_max}
        .next("split it into several requests");
  }
  for (const Statement& statement : statements) {
    KIMBERLITE_TRY(ParsedPtr one, parse_text(statement.sql));
    if (!sql::is_write(one->statement.kind) || one->statement.explain) {
      return Error{Code::sql_misuse, "statement {} is not a write", parsed.size() + 1}.next(
          "send reads by query, one at a time");
    }
    if (one->statement.kind == sql::StatementKind::ddl && statements.size() > 1) {
      return Error{Code::sql_transaction, "a change of the schema stands alone"}
          .where("statement {}", parsed.size() + 1)
          .next("send it as a request of its own");
    }
    parsed.push_back(std::move(one));
  }
  if (forwards()) {
    KIMBERLITE_CHECK(check_present());
    ForwardedWrite all;
    for (const Statement& statement : statements) {
      KIMBERLITE_CHECK(check_values(statement.parameters));
      all.statements.push_back(
          {std::string{statement.sql}, {statement.parameters.begin(), statement.parameters.end()}});
    }
    return forward(std::move(all), why);
  }
  KIMBERLITE_CHECK(core_.check_primary());
  return write(parsed, statements, why, limits);
}

Result<Outcome> LocalSession::write(std::span<const ParsedPtr> parsed,
                                    std::span<const Statement> statements, const Why& why,
                                    const ReadLimits& limits) {
  KIMBERLITE_CHECK(check_present());
  Request request;
  request.kind = parsed.front()->statement.kind == sql::StatementKind::ddl ? RequestKind::ddl
                                                                           : RequestKind::sql;
  request.reason = why.reason;
  request.budget = budget(limits);
  request.budget.bytes_max = statement_memory_max;
  Writer digest;
  for (std::size_t i = 0; i < parsed.size(); ++i) {
    KIMBERLITE_CHECK(check_values(statements[i].parameters));
    KIMBERLITE_CHECK(take_reason(request, *parsed[i], statements[i]));
    request.statements.push_back(
        {&parsed[i]->statement, parsed[i]->plain, views_of(statements[i].parameters)});
    add_to_digest(digest, statements[i]);
  }
  // The write itself is held against whatever else comes to stand in the log.
  if (std::ranges::any_of(parsed, [](const ParsedPtr& one) { return one->reads_time; })) {
    KIMBERLITE_CHECK(core_.settle_time());
  }
  const std::array<Bytes, 1> parts{digest.buffer()};
  KIMBERLITE_CHECK(fill(request, why, parts));
  return submit(request);
}

Result<Outcome> LocalSession::append(std::string_view stream, std::optional<Sequence> expected,
                                     std::span<const Event> events, const Why& why) {
  if (transaction_) return not_in_transaction_only("an append");
  if (stream.empty() || stream.size() > 255 || !is_utf8_text(stream) || stream.starts_with("__")) {
    return Error{Code::limit_name, "this is no name for a stream"}.next(
        "use 1 to 255 bytes of text that does not begin with __");
  }
  if (events.empty()) return Error{Code::usage_api, "the append has no events"};
  std::uint64_t size = 0;
  Writer digest;
  digest.text(stream);
  digest.u64(expected ? expected->value() : ~std::uint64_t{0});
  for (const Event& event : events) {
    if (event.payload.size() > event_size_max || event.kind.size() > event_size_max) {
      return Error{Code::limit_event, "an event has {} bytes; {} are allowed", event.payload.size(),
                   event_size_max};
    }
    if (!is_utf8_text(event.kind)) {
      return Error{Code::type_encoding, "an event's kind is not text"}.why(
          "it has a NUL byte or is not UTF-8");
    }
    size += event.payload.size() + event.kind.size();
    digest.text(event.kind);
    digest.sized(event.payload);
  }
  if (size > request_size_max) {
    return Error{Code::limit_request, "the append has {} bytes; {} are allowed", size,
                 request_size_max}
        .next("split it into several");
  }
  if (forwards()) {
    ForwardedWrite all;
    all.stream = stream;
    all.expected_sequence = expected;
    for (const Event& event : events) {
      all.events.push_back({std::string{event.kind}, {event.payload.begin(), event.payload.end()}});
    }
    return forward(std::move(all), why);
  }
  Request request;
  request.kind = RequestKind::append;
  request.stream = stream;
  request.expected_sequence = expected;
  request.events = events;
  const std::array<Bytes, 1> parts{digest.buffer()};
  KIMBERLITE_CHECK(fill(request, why, parts));
  return submit(request);
}

// ---- transactions
// ---------------------------------------------------------------------------------

Status LocalSession::begin(const Why& why) {
  if (transaction_) {
    return Error{Code::sql_transaction, "a transaction is open already"}.next(
        "COMMIT or ROLLBACK it first");
  }
  KIMBERLITE_CHECK(check_present());
  Request opening;
  opening.kind = RequestKind::begin;
  KIMBERLITE_CHECK(fill(opening, why, {}));
  if (before_write_) before_write_();
  KIMBERLITE_CHECK(core_.confirm_read());
  tenant_.submit(opening);
  if (!*opening.result) return opening.result->error();
  transaction_.emplace();
  transaction_->seen = tenant_.seen();
  transaction_->reason = why.reason;
  transaction_->correlation_text = opening.correlation_text;
  transaction_->correlation = opening.correlation;
  transaction_->request_id = opening.request_id;
  transaction_->is_named = opening.is_named;
  return {};
}

Result<Outcome> LocalSession::commit() {
  if (!transaction_) {
    return Error{Code::sql_transaction, "no transaction is open"}.next("BEGIN opens one");
  }
  const OpenTransaction open = *std::move(transaction_);
  transaction_.reset();
  Request request;
  request.kind = RequestKind::commit;
  request.principal = &principal_;
  request.reason = open.reason;
  request.correlation_text = open.correlation_text;
  request.correlation = open.correlation;
  request.request_id = open.request_id;
  request.is_named = open.is_named;
  const std::array<Bytes, 1> parts{open.statements.buffer()};
  KIMBERLITE_TRY(request.digest, core_.keys().request_digest(tenant_.id(), parts));
  tenant_.submit(request);
  Result<Outcome>& done = *request.result;
  // What it read is the group's newest only if nothing came since from another primary.
  if (done && done->position == Position{} && core_.is_group()) {
    KIMBERLITE_CHECK(core_.confirm_read());
    if (core_.foreign_commits() != open.seen) return Tenant::overtaken();
  }
  return std::move(done);
}

Status LocalSession::rollback() {
  if (!transaction_) {
    return Error{Code::sql_transaction, "no transaction is open"}.next("BEGIN opens one");
  }
  transaction_.reset();
  Request request;
  request.kind = RequestKind::rollback;
  request.principal = &principal_;
  tenant_.submit(request);
  return *request.result ? Status{} : Status{request.result->error()};
}

Result<Reply> LocalSession::within(const ParsedPtr& parsed, const Statement& statement,
                                   const ReadLimits& limits) {
  KIMBERLITE_CHECK(check_values(statement.parameters));
  Request request;
  request.kind = RequestKind::within;
  request.principal = &principal_;
  request.budget = budget(limits);
  request.budget.bytes_max = statement_memory_max;
  Request reason_only;
  reason_only.reason = transaction_->reason;
  KIMBERLITE_CHECK(take_reason(reason_only, *parsed, statement));
  if (parsed->reads_time) KIMBERLITE_CHECK(core_.settle_time());
  request.statements.push_back({&parsed->statement, parsed->plain, views_of(statement.parameters)});
  tenant_.submit(request);
  if (!*request.result) {
    if (request.result->error().code() == Code::unavailable_lease) transaction_.reset();
    return request.result->error();
  }
  transaction_->reason = std::move(reason_only.reason);
  Reply reply;
  if (parsed->statement.kind == sql::StatementKind::select) {
    reply.cursor = std::make_unique<RowsCursor>(std::move(request.evaluated));
  } else if (sql::is_dml(parsed->statement.kind)) {
    add_to_digest(transaction_->statements, statement);
    Outcome outcome = **std::move(request.result);
    for (projection::ResultColumn& column : request.evaluated.columns) {
      outcome.returning.columns.push_back({std::move(column.name), column.type});
    }
    outcome.returning.rows = std::move(request.evaluated.rows);
    reply.outcome = std::move(outcome);
  }
  return reply;
}

// ---- reads
// ----------------------------------------------------------------------------------------

projection::Budget LocalSession::budget(const ReadLimits& limits) {
  projection::Budget budget;
  budget.interrupt = limits.cancelled;
  if (limits.deadline_ns != 0)
    budget.deadline_ns = core_.env().clock.monotonic_ns() + limits.deadline_ns;
  return budget;
}

// The last record stamped at or before `time`, which is over: no other can come to stand there.
Result<Position> LocalSession::position_of(projection::Reader& reader, TimestampUs time) {
  if (time > core_.wall_time()) {
    return Error{Code::not_found_time, "this time is after now"}.next("AS OF reads the past");
  }
  KIMBERLITE_TRY(const projection::At head, reader.head());
  if (time > head.now) {
    KIMBERLITE_TRY(const TimestampUs settled, settle_time());
    // The cluster's time may be a little behind this machine's.
    if (time > settled) {
      return Error{Code::not_found_time, "this time is after now"}.next("AS OF reads the past");
    }
  }
  return reader.position_at(time);
}

// SHOW and DESCRIBE are queries of the system tables by another name.
Result<std::unique_ptr<Cursor>> LocalSession::show(const sql::Statement& statement,
                                                   const AsOf& as_of, const ReadLimits& limits) {
  if (statement.kind == sql::StatementKind::show_tables) {
    KIMBERLITE_TRY(const ParsedPtr query,
                   parse("SELECT table_name AS name, table_type AS kind, class, subject, retention "
                         "FROM __tables ORDER BY table_name"));
    return query_rows(query, {query->text, {}}, as_of, limits);
  }
  if (!std::holds_alternative<std::monostate>(as_of)) {
    // A query of the table itself knows, and says, that it was not there then.
    KIMBERLITE_TRY(const ParsedPtr probe, parse(fmt::format("SELECT 1 FROM {} LIMIT 0",
                                                            sql::quote_name(statement.name.name))));
    KIMBERLITE_CHECK(query_rows(probe, {probe->text, {}}, as_of, limits));
  } else {
    KIMBERLITE_TRY(const auto now, catalog());
    if (now->table(statement.name.name) == nullptr && now->view(statement.name.name) == nullptr) {
      const std::string near = now->nearest_table(statement.name.name);
      return Error{Code::not_found_table, "there is no table {}",
                   sql::display_name(statement.name.name)}
          .next("{}", near.empty() ? "SHOW TABLES lists them" : "did you mean " + near + "?");
    }
  }
  KIMBERLITE_TRY(const ParsedPtr query,
                 parse("SELECT column_name AS name, data_type AS type, is_nullable AS nullable, "
                       "column_default AS \"default\", primary_key FROM __columns "
                       "WHERE lower(table_name) = lower($1) ORDER BY ordinal_position"));
  const std::vector<Value> values{statement.name.name};
  return query_rows(query, {query->text, values}, as_of, limits);
}

Result<std::unique_ptr<Cursor>> LocalSession::read_rows(const ParsedPtr& parsed,
                                                        const Statement& statement,
                                                        const AsOf& as_of,
                                                        const ReadLimits& limits) {
  const sql::StatementKind kind = parsed->statement.kind;
  if (kind == sql::StatementKind::show_tables || kind == sql::StatementKind::show_columns) {
    return show(parsed->statement, as_of, limits);
  }
  if (kind == sql::StatementKind::verify_table) {
    projection::At at;
    KIMBERLITE_TRY(projection::Evaluated verdict,
                   verify_table(*parsed, statement, as_of, limits, at));
    return std::make_unique<RowsCursor>(std::move(verdict), at);
  }
  return query_rows(parsed, statement, as_of, limits);
}

Result<std::unique_ptr<Cursor>> LocalSession::query_rows(const ParsedPtr& parsed,
                                                         const Statement& statement,
                                                         const AsOf& as_of,
                                                         const ReadLimits& limits) {
  KIMBERLITE_CHECK(check_values(statement.parameters));
  KIMBERLITE_CHECK(core_.confirm_read());
  // No record stamped at or before a time asked for may still be under way: what is now is when
  // that is certain.
  std::optional<TimestampUs> settled;
  if (parsed->reads_time) {
    KIMBERLITE_TRY(settled, settle_time());
  }
  KIMBERLITE_TRY(auto cursor, read_at(parsed, statement, as_of, limits, settled));
  if (cursor) return cursor;
  KIMBERLITE_TRY(settled, settle_time());
  return read_at(parsed, statement, as_of, limits, settled);
}

// Nothing if a time turned out to be asked for, and was not settled.
Result<std::unique_ptr<Cursor>> LocalSession::read_at(const ParsedPtr& parsed,
                                                      const Statement& statement, const AsOf& as_of,
                                                      const ReadLimits& limits,
                                                      std::optional<TimestampUs> settled) {
  projection::ReadContext context;
  context.now = settled.value_or(core_.wall_time());
  KIMBERLITE_TRY(auto reader, tenant_.take_reader());
  context.budget = budget(limits);
  Status placed;
  const auto* position = std::get_if<Position>(&as_of);
  if (position != nullptr && !is_planted(Canary::as_of_now)) context.as_of = *position;
  if (const auto* time = std::get_if<TimestampUs>(&as_of)) {
    Result<Position> then = position_of(*reader, *time);
    if (then) {
      context.as_of = *then;
    } else {
      placed = then.error();
    }
  }
  const std::vector<ValueView> values = views_of(statement.parameters);
  Result<std::unique_ptr<projection::Cursor>> cursor =
      placed ? reader->query(projection::Query::of(parsed->statement), values, context)
             : Result<std::unique_ptr<projection::Cursor>>{placed.error()};
  Result<projection::At> at =
      cursor ? (*cursor)->answered() : Result<projection::At>{projection::At{}};
  if (!cursor || !at) {
    const Error error = cursor ? at.error() : cursor.error();
    if (cursor) cursor->reset();
    tenant_.give_reader(std::move(reader));
    return error;
  }
  if ((*cursor)->reads_time() && !settled) {
    cursor->reset();
    tenant_.give_reader(std::move(reader));
    return std::unique_ptr<Cursor>{};
  }
  return std::unique_ptr<Cursor>{
      std::make_unique<ReaderCursor>(tenant_, std::move(reader), *std::move(cursor), *at, parsed)};
}

Result<std::unique_ptr<Cursor>> LocalSession::query(const Statement& statement, const AsOf& as_of,
                                                    const ReadLimits& limits) {
  KIMBERLITE_TRY(const ParsedPtr parsed, parse(statement.sql));
  if (sql::is_write(parsed->statement.kind) && !parsed->statement.explain) {
    return Error{Code::sql_misuse, "this statement writes; query() reads"}.next("use execute()");
  }
  const bool past = !std::holds_alternative<std::monostate>(as_of);
  if (transaction_ && verifies(parsed->statement)) return not_in_transaction_only("VERIFY");
  if (transaction_ && !past) {
    KIMBERLITE_TRY(Reply reply, within(parsed, statement, limits));
    if (reply.cursor) return std::move(reply.cursor);
    return Error{Code::sql_misuse, "this statement has no rows"};
  }
  return read_rows(parsed, statement, past ? as_of : as_of_, limits);
}

Result<Position> LocalSession::resolve(projection::Reader& reader, const sql::Statement& statement,
                                       std::span<const ValueView> parameters, TimestampUs now) {
  KIMBERLITE_TRY(const projection::At head, reader.head());
  KIMBERLITE_TRY(const auto catalog, reader.catalog());
  const ReaderTimes times{reader};
  sql::Context context;
  context.catalog = catalog.get();
  context.head = head.position;
  context.now = now;
  context.times = &times;
  context.parameters = parameters;
  return sql::resolve_as_of(statement.text, statement.tokens, context);
}

Result<Reply> LocalSession::set_as_of(const Parsed& parsed, const Statement& statement) {
  if (transaction_) return not_in_transaction_only("SET AS OF");
  Reply reply;
  if (parsed.statement.kind == sql::StatementKind::set_latest) {
    as_of_ = std::monostate{};
    reply.message = "reading the latest state";
    return reply;
  }
  KIMBERLITE_CHECK(core_.confirm_read());
  TimestampUs now = core_.wall_time();
  if (parsed.reads_time) {
    KIMBERLITE_TRY(now, settle_time());
  }
  KIMBERLITE_TRY(auto reader, tenant_.take_reader());
  const std::vector<ValueView> values = views_of(statement.parameters);
  Result<Position> position = resolve(*reader, parsed.statement, values, now);
  tenant_.give_reader(std::move(reader));
  if (!position) return position.error();
  as_of_ = *position;
  reply.message = fmt::format("reading as of position {}", position->value());
  return reply;
}

Status LocalSession::set_as_of(const AsOf& as_of) {
  if (transaction_) return not_in_transaction_only("SET AS OF");
  if (const auto* position = std::get_if<Position>(&as_of)) {
    KIMBERLITE_TRY(const Position head, this->head());
    if (*position > head) {
      return Error{Code::not_found_position, "position {} is beyond the head, {}",
                   position->value(), head.value()}
          .next("AS OF reads the past");
    }
  }
  if (const auto* time = std::get_if<TimestampUs>(&as_of)) {
    if (*time > core_.wall_time()) {
      return Error{Code::not_found_time, "this time is after now"}.next("AS OF reads the past");
    }
  }
  as_of_ = as_of;
  return {};
}

Result<Reply> LocalSession::run(const Statement& statement, const Why& why,
                                const ReadLimits& limits) {
  KIMBERLITE_TRY(const ParsedPtr parsed, parse_text(statement.sql));
  const bool stands_alone =
      sql::is_write(parsed->statement.kind) && !parsed->statement.explain && !transaction_;
  Reply reply;
  // Needs no primary: a transaction that cannot be committed here any more is ended here.
  if (parsed->statement.kind == sql::StatementKind::rollback) {
    KIMBERLITE_CHECK(rollback());
    reply.message = "rolled back";
    return reply;
  }
  if (!forwards() || !stands_alone) KIMBERLITE_CHECK(core_.check_primary());
  switch (parsed->statement.kind) {
    case sql::StatementKind::begin:
      KIMBERLITE_CHECK(begin(why));
      reply.message = "transaction begun";
      return reply;
    case sql::StatementKind::commit: {
      KIMBERLITE_TRY(reply.outcome, commit());
      return reply;
    }
    case sql::StatementKind::set_as_of:
    case sql::StatementKind::set_latest:
      return set_as_of(*parsed, statement);
    case sql::StatementKind::savepoint:
    case sql::StatementKind::release:
    case sql::StatementKind::rollback_to:
      if (!transaction_) {
        return Error{Code::sql_transaction, "no transaction is open"}.next("BEGIN opens one");
      }
      return within(parsed, statement, limits);
    default:
      break;
  }
  const bool writes = sql::is_write(parsed->statement.kind) && !parsed->statement.explain;
  if (transaction_ && verifies(parsed->statement)) return not_in_transaction_only("VERIFY");
  if (transaction_) {
    if (writes && parsed->statement.kind == sql::StatementKind::ddl) {
      return not_in_transaction_only("a change of the schema");
    }
    if (writes || parsed->statement.kind == sql::StatementKind::select) {
      return within(parsed, statement, limits);
    }
  }
  if (writes) {
    KIMBERLITE_TRY(reply.outcome, execute(std::span{&statement, 1}, why, limits));
  } else {
    KIMBERLITE_TRY(reply.cursor, read_rows(parsed, statement, as_of_, limits));
  }
  return reply;
}

Result<std::vector<StoredEvent>> LocalSession::read(std::string_view stream, Sequence from,
                                                    std::size_t limit) {
  KIMBERLITE_CHECK(core_.confirm_read());
  KIMBERLITE_TRY(auto reader, tenant_.take_reader());
  const auto places =
      [&]() -> Result<std::pair<StreamId, std::vector<projection::Reader::StreamPlace>>> {
    KIMBERLITE_TRY(const std::optional<projection::KnownStream> known, reader->find_stream(stream));
    if (!known) {
      return Error{Code::not_found_stream, "there is no stream {}", stream}.next(
          "the first append makes it; SELECT name FROM __streams lists them");
    }
    KIMBERLITE_TRY(auto found, reader->stream_places(known->stream, from, limit));
    return std::pair{known->stream, std::move(found)};
  }();
  tenant_.give_reader(std::move(reader));
  if (!places) return places.error();
  std::vector<StoredEvent> events;
  for (const projection::Reader::StreamPlace& place : places->second) {
    KIMBERLITE_TRY(const projection::OpenedRecord record, tenant_.records().read(place.position));
    for (const projection::OpenedItem& item : record.items) {
      if (item.header.kind != record::ItemKind::events || item.header.stream != places->first)
        continue;
      Sequence sequence = item.header.first_sequence;
      for (const record::Event& event : item.plaintext.events) {
        if (events.size() == limit) return events;
        if (sequence >= from) {
          const auto* payload = std::get_if<Bytes>(&event.payload);
          StoredEvent stored{
              sequence, record.entry.position, record.entry.timestamp, std::string{event.kind}, {}};
          if (payload != nullptr) stored.payload.assign(payload->begin(), payload->end());
          events.push_back(std::move(stored));
        }
        sequence = Sequence{sequence.value() + 1};
      }
    }
  }
  return events;
}

Result<std::vector<RecordInfo>> LocalSession::records(Position from, std::size_t limit) {
  KIMBERLITE_TRY(const Position head, this->head());
  KIMBERLITE_TRY(const auto catalog, this->catalog());
  std::vector<RecordInfo> records;
  const std::uint64_t first = std::max<std::uint64_t>(1, from.value());
  for (std::uint64_t at = first; at <= head.value() && records.size() < limit; ++at) {
    KIMBERLITE_TRY(const projection::OpenedRecord record, tenant_.records().read(Position{at}));
    records.push_back(describe(record, *catalog, tenant_.records()));
  }
  return records;
}

Result<std::optional<Outcome>> LocalSession::outcome_under(std::string_view idempotency_key) {
  Request asked;
  Why why;
  why.idempotency_key = idempotency_key;
  KIMBERLITE_CHECK(fill(asked, why, {}));
  KIMBERLITE_CHECK(core_.confirm_read());
  return tenant_.outcome_under(asked.request_id);
}

Result<Position> LocalSession::head() {
  KIMBERLITE_CHECK(core_.confirm_read());
  KIMBERLITE_TRY(auto reader, tenant_.take_reader());
  Result<projection::At> at = reader->head();
  tenant_.give_reader(std::move(reader));
  if (!at) return at.error();
  return at->position;
}

Result<std::shared_ptr<const catalog::Catalog>> LocalSession::catalog() {
  KIMBERLITE_CHECK(core_.confirm_read());
  KIMBERLITE_TRY(auto reader, tenant_.take_reader());
  auto catalog = reader->catalog();
  tenant_.give_reader(std::move(reader));
  return catalog;
}

}  // namespace kimberlite::engine
