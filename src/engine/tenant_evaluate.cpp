// From requests to sealed commands: the evaluate and seal steps of a write.
#include <algorithm>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/limits.hpp"
#include "base/probe.hpp"
#include "sql/analyze.hpp"
#include "tenant.hpp"

namespace kimberlite::engine {
namespace {

// A batch takes what is queued, never waiting for more, and stops at these.
constexpr std::uint64_t batch_time_max_ns = 2'000'000;

Error idempotency_conflict() {
  return Error{Code::conflict_idempotency, "this idempotency key was used for another request"}
      .next("use a new key for a new request");
}

Outcome outcome_of(const Request& request, projection::Evaluated&& evaluated) {
  Outcome outcome;
  outcome.request_id = request.request_id;
  outcome.rows = evaluated.rows_affected;
  for (projection::ResultColumn& column : evaluated.columns) {
    outcome.returning.columns.push_back({std::move(column.name), column.type});
  }
  outcome.returning.rows = std::move(evaluated.rows);
  return outcome;
}

std::string text_of(const Request& request) {
  std::string text;
  for (const BoundStatement& bound : request.statements) {
    if (!text.empty()) text += "; ";
    text += bound.plain;
  }
  return text;
}

}  // namespace

// ---- SQL
// ------------------------------------------------------------------------------------------

void Tenant::start_sql() {
  InFlight batch{.mode = Mode::sql};
  std::vector<SealedCommand> commands;
  const Position base = head_;
  const std::uint64_t begun_ns = core_.env().clock.monotonic_ns();
  std::uint64_t bytes = 0;
  if (Status begun = projection_->begin_batch(base); !begun) {
    Request& next = *queue_.front();
    queue_.pop_front();
    return answer(next, begun.error());
  }
  while (!queue_.empty() && queue_.front()->kind == RequestKind::sql &&
         !must_add_actor(*queue_.front()) && batch.evaluations.size() < batch_requests_max &&
         bytes < core_.batch_bytes_max()) {
    if (!batch.evaluations.empty() &&
        core_.env().clock.monotonic_ns() - begun_ns > batch_time_max_ns) {
      break;
    }
    // The same id twice in one batch: the second is answered when the first is known.
    const bool twice = std::ranges::any_of(batch.evaluations, [&](const Evaluation& earlier) {
      return earlier.request->request_id == queue_.front()->request_id;
    });
    if (twice) break;
    Request& request = *queue_.front();
    queue_.pop_front();
    Evaluation evaluation{.request = &request};
    const Position position{base.value() + commands.size()};
    Result<std::optional<SealedCommand>> command = evaluate(request, position, evaluation);
    request.unread = records_on_strand_.take_unread();
    if (!command) {
      evaluation.outcome = command.error();
    } else if (*command) {
      evaluation.command = commands.size();
      bytes += consensus::command_size((*command)->header);
      commands.push_back(**std::move(command));
    }
    batch.evaluations.push_back(std::move(evaluation));
  }
  if (commands.empty()) {
    projection_->rollback_batch();
    for (Evaluation& evaluation : batch.evaluations) {
      answer(*evaluation.request, std::move(evaluation.outcome));
    }
    return;
  }
  propose(std::move(batch), std::move(commands));
}

// Nothing: the request is answered already, or changed nothing and nobody can ask for it again. An
// error: it has been undone.
Result<std::optional<SealedCommand>> Tenant::evaluate(Request& request, Position base,
                                                      Evaluation& evaluation) {
  KIMBERLITE_TRY(std::optional<Outcome> seen, known(request));
  if (seen) {
    evaluation.outcome = *std::move(seen);
    return std::optional<SealedCommand>{};
  }
  KIMBERLITE_CHECK(may_begin(request, base));
  const projection::At at{Position{base.value() + 1}, core_.wall_time()};
  KIMBERLITE_CHECK(projection_->begin_request(at, request.statements.size() > 1));
  Result<projection::Evaluated> evaluated = evaluate_all(request);
  if (!evaluated) {
    projection_->undo_request();
    return evaluated.error();
  }
  KIMBERLITE_TRY(const std::span<const record::RowChange> changes, projection_->finish_request());
  std::optional<SealedCommand> command;
  if (changes.empty() && request.is_named) projection_->keep_unchanged();
  if (!changes.empty() || request.is_named) {
    Result<SealedCommand> sealed = seal_rows(request, base, *evaluated, changes, text_of(request));
    if (!sealed) {
      projection_->undo_finished();
      return sealed.error();
    }
    command = *std::move(sealed);
  }
  evaluation.outcome = outcome_of(request, *std::move(evaluated));
  return command;
}

Result<projection::Evaluated> Tenant::evaluate_all(Request& request) {
  projection::Evaluated all;
  for (const BoundStatement& bound : request.statements) {
    KIMBERLITE_TRY(projection::Evaluated one,
                   projection_->evaluate(projection::Query::of(*bound.statement), bound.parameters,
                                         request.budget));
    one.rows_affected += all.rows_affected;
    if (one.columns.empty()) {
      one.columns = std::move(all.columns);
      one.rows = std::move(all.rows);
    }
    all = std::move(one);
  }
  return all;
}

// What an earlier run under the same request id answered.
Result<std::optional<Outcome>> Tenant::known(const Request& request) {
  KIMBERLITE_TRY(const std::optional<projection::KnownRecord> record,
                 projection_->find_request(request.request_id));
  const bool is_append = request.kind == RequestKind::append;
  if (!record || (is_append && is_planted(Canary::forget_request))) return std::optional<Outcome>{};
  if (record->actor != request.principal->actor || !equal(record->digest, request.digest)) {
    return idempotency_conflict();
  }
  KIMBERLITE_TRY(Outcome outcome, answered_then(*record));
  outcome.request_id = request.request_id;
  return std::optional{std::move(outcome)};
}

Result<std::optional<Outcome>> Tenant::outcome_under(const Id128& request_id) {
  std::optional<Outcome> found;
  KIMBERLITE_CHECK(settled_run([&]() -> Status {
    KIMBERLITE_TRY(const auto record, projection_->find_request(request_id));
    if (!record) return {};
    KIMBERLITE_TRY(found, answered_then(*record));
    found->request_id = request_id;
    return {};
  }));
  return found;
}

Result<Outcome> Tenant::answered_then(const projection::KnownRecord& record) {
  KIMBERLITE_TRY(const projection::OpenedRecord opened, records_on_strand_.read(record.position));
  Outcome outcome;
  outcome.position = record.position;
  outcome.timestamp = record.timestamp;
  outcome.leaf = opened.leaf;
  outcome.replayed = true;
  if (const record::Meta* meta = meta_of(opened)) {
    outcome.rows = is_planted(Canary::forget_outcome) ? 0 : meta->rows_affected;
    if (meta->reply) {
      KIMBERLITE_TRY(outcome.returning, decode_reply(*meta->reply));
    }
  }
  return outcome;
}

Status Tenant::may_begin(const Request& request, Position base) const {
  if (core_.env().clock.monotonic_ns() > request.not_after_ns) {
    probe<"engine.write.too_late">();
    return too_late();
  }
  const std::optional<Position>& expected = request.expected_position;
  if (!expected || *expected == base) return {};
  return Error{Code::conflict_position, "the head is at position {}, the request expects {}",
               base.value(), expected->value()}
      .next("read what has changed since, and send the request again with the new position");
}

consensus::CommandHeader Tenant::header_for(const Request& request, kernel::Kind kind,
                                            Position base) const {
  consensus::CommandHeader header;
  header.kind = static_cast<std::uint16_t>(kind);
  header.lane = static_cast<std::uint16_t>(kernel::Lane::data);
  header.tenant = id_;
  header.base = base;
  header.access_version = view_.access_version;
  header.actor = request.principal->actor;
  header.session = request.principal->session;
  header.request_id = request.request_id;
  header.correlation = request.correlation;
  return header;
}

// The key new items are sealed under; a new one's sidecar goes with the command that first uses it.
Result<keystore::ItemKeyPtr> Tenant::data_key(SealedCommand& command) {
  const bool fresh = (view_.key_due || view_.data_key.value() == 0) && !key_proposed_;
  if (fresh) {
    KIMBERLITE_TRY(command.sidecar, core_.propose_data_key(id_, view_.next_key));
    key_proposed_ = true;
    sealing_key_ = view_.next_key;
  } else if (!key_proposed_) {
    sealing_key_ = view_.data_key;
  }
  return core_.keys().item_key(id_, sealing_key_);
}

Result<SealedCommand> Tenant::seal_rows(const Request& request, Position base,
                                        const projection::Evaluated& evaluated,
                                        std::span<const record::RowChange> changes,
                                        std::string_view statement) {
  SealedCommand command{.header = header_for(request, kernel::Kind::write, base)};
  KIMBERLITE_TRY(const keystore::ItemKeyPtr key, data_key(command));
  Buffer reply;
  record::Meta meta{.rows_affected = evaluated.rows_affected,
                    .request_digest = Bytes{request.digest},
                    .statement = statement};
  if (!request.reason.empty()) meta.reason = request.reason;
  if (!request.correlation_text.empty()) meta.correlation = request.correlation_text;
  if (!evaluated.columns.empty()) {
    reply = encode_reply(evaluated);
    if (reply.size() <= reply_size_max) meta.reply = reply;
  }
  record::PlaintextWriter plaintext{changes.empty() ? record::ItemKind::meta
                                                    : record::ItemKind::rows};
  plaintext.meta(meta);
  if (is_planted(Canary::lose_change) && changes.size() > 4) changes = changes.first(4);
  for (const record::RowChange& change : changes) plaintext.change(change);
  seal_item(command, *key, view_.log_id, std::move(plaintext), {}, {}, core_.env().random);
  KIMBERLITE_CHECK(finish_data(command));
  return command;
}

// A command that is too large takes the new key it brought with it: the next one brings it again.
Status Tenant::finish_data(SealedCommand& command) {
  Status finished = finish(command, core_.command_bytes_max());
  if (!finished && !command.sidecar.empty()) {
    core_.abandon_keys(id_);
    key_proposed_ = false;
  }
  return finished;
}

// ---- DDL and control
// ------------------------------------------------------------------------------

void Tenant::start_ddl(Request& request) {
  Evaluation evaluation{.request = &request};
  Result<std::optional<SealedCommand>> command = evaluate_ddl(request, evaluation);
  if (!command) return answer(request, command.error());
  if (!*command) return answer(request, std::move(evaluation.outcome));
  InFlight batch{.mode = Mode::sql};
  evaluation.command = 0;
  batch.evaluations.push_back(std::move(evaluation));
  std::vector<SealedCommand> commands;
  commands.push_back(**std::move(command));
  propose(std::move(batch), std::move(commands));
}

Result<std::optional<SealedCommand>> Tenant::evaluate_ddl(Request& request,
                                                          Evaluation& evaluation) {
  KIMBERLITE_TRY(std::optional<Outcome> seen, known(request));
  if (seen) {
    evaluation.outcome = *std::move(seen);
    return std::optional<SealedCommand>{};
  }
  KIMBERLITE_CHECK(may_begin(request, head_));
  std::optional<Error> lookup_failed;
  const auto stream_exists = [&](std::string_view name) {
    const auto found = projection_->find_stream(name);
    if (!found) lookup_failed = found.error();
    return found && found->has_value();
  };
  const std::shared_ptr<const catalog::Catalog> catalog = projection_->catalog();
  KIMBERLITE_TRY(sql::Resolved resolved,
                 sql::resolve(*request.statements.front().statement, *catalog, stream_exists));
  if (lookup_failed) return *lookup_failed;
  Outcome outcome;
  outcome.request_id = request.request_id;
  outcome.notices = std::move(resolved.notices);
  evaluation.outcome = std::move(outcome);
  if (!resolved.change && request.is_named) return seal_unchanged(request);
  if (!resolved.change) return std::optional<SealedCommand>{};

  KIMBERLITE_CHECK(projection_->begin_batch(head_));
  const projection::At at{Position{head_.value() + 1}, core_.wall_time()};
  Status done = projection_->begin_request(at, false);
  if (done) done = projection_->evaluate_ddl(*resolved.change);
  Result<SealedCommand> command =
      done ? seal_control(request, head_, *resolved.change, text_of(request))
           : Result<SealedCommand>{done.error()};
  if (done && command) {
    if (auto finished = projection_->finish_request(); !finished) done = finished.error();
  }
  if (!done || !command) {
    projection_->rollback_batch();
    return done ? command.error() : done.error();
  }
  return std::optional{*std::move(command)};
}

// The schema is as the statement would have it: a batch of its own that changes nothing.
Result<std::optional<SealedCommand>> Tenant::seal_unchanged(const Request& request) {
  KIMBERLITE_CHECK(projection_->begin_batch(head_));
  projection_->keep_unchanged();
  Result<SealedCommand> command = seal_rows(request, head_, {}, {}, text_of(request));
  if (!command) {
    projection_->rollback_batch();
    return command.error();
  }
  return std::optional{*std::move(command)};
}

void Tenant::start_control(Request& request) {
  KIMBERLITE_ASSERT(request.control);
  Result<std::optional<Outcome>> seen = known(request);
  if (!seen) return answer(request, seen.error());
  if (*seen) return answer(request, **std::move(seen));
  Result<SealedCommand> command = seal_control(request, head_, *request.control, {});
  if (!command) return answer(request, command.error());
  command->sidecar = request.sidecar;  // it may be done again
  if (Status finished = finish(*command, core_.command_bytes_max()); !finished)
    return answer(request, finished.error());
  InFlight batch{.mode = Mode::control};
  Outcome outcome;
  outcome.request_id = request.request_id;
  batch.evaluations.push_back({.request = &request, .command = 0, .outcome = std::move(outcome)});
  std::vector<SealedCommand> commands;
  commands.push_back(*std::move(command));
  propose(std::move(batch), std::move(commands));
}

Result<SealedCommand> Tenant::seal_control(const Request& request, Position base,
                                           const kernel::Control& control,
                                           std::string_view statement) {
  SealedCommand command{.header = header_for(request, kernel::kind_of(control), base)};
  KIMBERLITE_TRY(const keystore::ItemKeyPtr key, core_.keys().item_key(id_, kernel::control_key));
  record::Meta meta;
  meta.request_digest = Bytes{request.digest};
  if (!statement.empty()) meta.statement = statement;
  if (!request.reason.empty()) meta.reason = request.reason;
  if (!request.correlation_text.empty()) meta.correlation = request.correlation_text;
  record::PlaintextWriter plaintext{record::ItemKind::control};
  plaintext.meta(meta);
  plaintext.control(kernel::encode_control(control));
  seal_item(command, *key, view_.log_id, std::move(plaintext), {}, {}, core_.env().random);
  KIMBERLITE_CHECK(finish(command, core_.command_bytes_max()));
  return command;
}

// ---- events
// ---------------------------------------------------------------------------------------

void Tenant::start_append() {
  InFlight batch{.mode = Mode::append};
  std::vector<SealedCommand> commands;
  std::uint64_t bytes = 0;
  while (!queue_.empty() && queue_.front()->kind == RequestKind::append &&
         !must_add_actor(*queue_.front()) && commands.size() < batch_requests_max &&
         bytes < core_.batch_bytes_max()) {
    Request& request = *queue_.front();
    // Its first run is still under way: it is answered once that is known.
    if (append_ids_in_flight_.contains(request.request_id)) break;
    queue_.pop_front();
    Evaluation evaluation{.request = &request};
    Result<std::optional<SealedCommand>> command =
        evaluate_append(request, Position{head_.value() + commands.size()}, evaluation);
    if (!command) {
      answer(request, command.error());
      continue;
    }
    if (!*command) {
      answer(request, std::move(evaluation.outcome));
      continue;
    }
    evaluation.command = commands.size();
    bytes += consensus::command_size((*command)->header);
    append_ids_in_flight_.emplace(request.request_id, &request);
    commands.push_back(**std::move(command));
    batch.evaluations.push_back(std::move(evaluation));
  }
  if (!commands.empty()) propose(std::move(batch), std::move(commands));
}

Result<std::optional<SealedCommand>> Tenant::evaluate_append(Request& request, Position base,
                                                             Evaluation& evaluation) {
  if (unapplied_ids_.contains(request.request_id)) KIMBERLITE_CHECK(apply_appends());
  KIMBERLITE_TRY(std::optional<Outcome> seen, known(request));
  if (seen) {
    evaluation.outcome = *std::move(seen);
    return std::optional<SealedCommand>{};
  }
  KIMBERLITE_CHECK(may_begin(request, base));
  bool is_new = false;
  KIMBERLITE_TRY(StreamState * stream, stream_state(request.stream, is_new));
  if (request.expected_sequence && *request.expected_sequence != stream->next &&
      !is_planted(Canary::skip_expected)) {
    const Sequence next = stream->next;
    if (is_new) streams_.erase(std::string{request.stream});
    return Error{Code::conflict_sequence,
                 "the stream's next event gets sequence {}, the request expects {}", next.value(),
                 request.expected_sequence->value()}
        .next("read the events since, and append again with the new sequence");
  }
  Result<SealedCommand> command = seal_events(request, base, stream->id, is_new, stream->next);
  if (!command) {
    if (is_new) streams_.erase(std::string{request.stream});
    return command.error();
  }
  evaluation.stream = {stream->id, is_new ? request.stream : std::string_view{}, stream->next,
                       static_cast<std::uint32_t>(request.events.size())};
  stream->next = Sequence{stream->next.value() + request.events.size()};
  Outcome outcome;
  outcome.request_id = request.request_id;
  outcome.rows = request.events.size();
  evaluation.outcome = std::move(outcome);
  return std::optional{*std::move(command)};
}

// The stream as all appends before this one leave it, those in flight included.
Result<Tenant::StreamState*> Tenant::stream_state(std::string_view name, bool& is_new) {
  if (const auto found = streams_.find(name); found != streams_.end()) return &found->second;
  KIMBERLITE_TRY(const std::optional<projection::KnownStream> known,
                 projection_->find_stream(name));
  StreamState state;
  if (known) {
    state = {known->stream, known->next_sequence};
  } else {
    const std::shared_ptr<const catalog::Catalog> catalog = projection_->catalog();
    if (catalog->table(name) != nullptr || catalog->view(name) != nullptr) {
      return Error{Code::constraint_exists, "{} is a table or view, not a stream", name}.next(
          "choose another name: tables, views and streams share one namespace");
    }
    KIMBERLITE_TRY(const StreamId from_projection, projection_->next_stream());
    // Ids given to streams whose first append is in flight are not in the projection yet.
    std::uint64_t next = from_projection.value();
    for (const auto& [other, stream] : streams_) next = std::max(next, stream.id.value() + 1);
    state = {StreamId{next}, Sequence{0}};
    is_new = true;
  }
  return &streams_.emplace(std::string{name}, state).first->second;
}

Result<SealedCommand> Tenant::seal_events(const Request& request, Position base, StreamId stream,
                                          bool is_new, Sequence first) {
  SealedCommand command{.header = header_for(request, kernel::Kind::append, base)};
  KIMBERLITE_TRY(const keystore::ItemKeyPtr key, data_key(command));
  record::Meta meta{.rows_affected = request.events.size(),
                    .request_digest = Bytes{request.digest}};
  if (!request.reason.empty()) meta.reason = request.reason;
  if (!request.correlation_text.empty()) meta.correlation = request.correlation_text;
  if (is_new) meta.new_stream = request.stream;
  record::PlaintextWriter plaintext{record::ItemKind::events};
  plaintext.meta(meta);
  for (const Event& event : request.events) plaintext.event({event.kind, ValueView{event.payload}});
  seal_item(command, *key, view_.log_id, std::move(plaintext), stream, first, core_.env().random);
  KIMBERLITE_CHECK(finish_data(command));
  return command;
}

}  // namespace kimberlite::engine
