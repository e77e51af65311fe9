#include "kimberlite/head_memory.hpp"
#include "kimberlite/kimberlite.hpp"

namespace kimberlite {
namespace {

Commit commit_of(engine::Outcome&& outcome) {
  return {
      outcome.position, outcome.timestamp, outcome.leaf, outcome.rows, std::move(outcome.returning),
      outcome.replayed};
}

engine::Why why_of(const Write& write) {
  return {std::nullopt, write.idempotency_key, write.reason, write.correlation_id,
          write.expected_position};
}

Error wrong_type(std::string_view column, std::string_view wanted) {
  return Error{Code::type_mismatch, "the value of column {} is not {}", column, wanted}.next(
      "ask for the column's own type, or std::optional of it if it may be NULL");
}

}  // namespace

namespace detail {

Result<std::int64_t> get_integer(const ValueView& from, std::string_view column) {
  if (const auto* value = std::get_if<std::int64_t>(&from)) return *value;
  return wrong_type(column, "an integer");
}

Result<double> get_real(const ValueView& from, std::string_view column) {
  if (const auto* value = std::get_if<double>(&from)) return *value;
  return wrong_type(column, "a double");
}

Result<std::string> get_text(const ValueView& from, std::string_view column) {
  if (const auto* value = std::get_if<std::string_view>(&from)) return std::string{*value};
  return wrong_type(column, "text");
}

Result<Buffer> get_bytes(const ValueView& from, std::string_view column) {
  if (const auto* value = std::get_if<Bytes>(&from)) return Buffer{value->begin(), value->end()};
  return wrong_type(column, "bytes");
}

Status expect_columns(std::size_t columns, std::size_t wanted) {
  if (columns == wanted) return {};
  return Error{Code::type_mismatch, "the row has {} columns, {} were asked for", columns, wanted}
      .next("name as many types in query<…> as the SELECT has columns");
}

}  // namespace detail

Result<std::optional<RowView>> Cursor::next() {
  KIMBERLITE_TRY(const bool more, cursor_->next());
  if (!more) return std::optional<RowView>{};
  return std::optional<RowView>{RowView{*cursor_}};
}

Transaction::~Transaction() {
  // What fails to roll back has been rolled back already: the lease was lost.
  if (session_ != nullptr) static_cast<void>(session_->rollback().has_value());
}

Result<Commit> Transaction::run(const engine::Statement& statement) {
  KIMBERLITE_TRY(engine::Reply reply, session_->run(statement, {}, {}));
  if (!reply.outcome) {
    return Error{Code::sql_misuse, "execute() is for writes"}.next(
        "use query() for a statement that reads");
  }
  return commit_of(*std::move(reply.outcome));
}

Result<Commit> Transaction::commit() && {
  engine::Session* session = std::exchange(session_, nullptr);
  KIMBERLITE_TRY(engine::Outcome outcome, session->commit());
  return commit_of(std::move(outcome));
}

Status Transaction::rollback() && { return std::exchange(session_, nullptr)->rollback(); }

Result<Commit> Session::run(const Write& write, const engine::Statement& statement) {
  KIMBERLITE_TRY(engine::Outcome outcome,
                 session_->execute(std::span{&statement, 1}, why_of(write)));
  return commit_of(std::move(outcome));
}

Result<Transaction> Session::transaction(const Write& write) {
  KIMBERLITE_CHECK(session_->begin(why_of(write)));
  return Transaction{*session_};
}

Result<Commit> Session::append(std::string_view stream, Expect expect,
                               const std::vector<Event>& events, const Write& write) {
  std::vector<engine::Event> views;
  views.reserve(events.size());
  for (const Event& event : events) views.push_back({event.kind, bytes_of(event.payload)});
  KIMBERLITE_TRY(engine::Outcome outcome,
                 session_->append(stream, expect.value(), views, why_of(write)));
  return commit_of(std::move(outcome));
}

Result<std::vector<StoredEvent>> Session::read(std::string_view stream, From from, Limit limit) {
  return session_->read(stream, from.sequence, limit.events);
}

Result<Receipt> Session::receipt(Position position, std::optional<Disclose> disclosed) {
  const auto item = disclosed ? std::optional{disclosed->item} : std::nullopt;
  KIMBERLITE_TRY(record::Receipt receipt, session_->receipt(position, item));
  return Receipt{std::move(receipt)};
}

Result<LogKey> Session::log_key() {
  KIMBERLITE_TRY(const log::StoredHead head, session_->signed_head(Position{1}));
  return head.verifier_key();
}

Result<Receipt> Receipt::parse(std::string_view text) {
  KIMBERLITE_TRY(record::Receipt receipt, record::Receipt::parse(text));
  return Receipt{std::move(receipt)};
}

Result<VerifiedRecord> verify(const Receipt& receipt, const Result<LogKey>& log_key) {
  if (!log_key) return log_key.error();
  return record::verify(receipt.receipt_, *log_key);
}

Session::~Session() {
  // What is not remembered is noticed later, or not at all; what was written is not touched by it.
  static_cast<void>(remember().has_value());
}

Status Session::remember() {
  if (memory_ == nullptr) return {};
  return memory_->remember(*session_, tenant_);
}

Result<std::unique_ptr<Session>> Database::local_session(std::string_view tenant) {
  auto session = engine().session(tenant);
  HeadMemory* const known = memory();
  if (!session) return known == nullptr ? session.error() : known->explain(session.error(), tenant);
  if (known != nullptr) KIMBERLITE_CHECK(known->check(**session, tenant));
  return std::make_unique<Session>(*std::move(session), known, std::string{tenant});
}

Status Database::trust(std::string_view tenant) {
  HeadMemory* const known = memory();
  if (known == nullptr) return {};
  KIMBERLITE_TRY(const auto session, engine().session(tenant));
  KIMBERLITE_TRY(const std::optional<NewEpoch> epoch, known->new_epoch(*session, tenant));
  if (!epoch) return {};
  return known->trust(*session, tenant, *epoch);
}

}  // namespace kimberlite
