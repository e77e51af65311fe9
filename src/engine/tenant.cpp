#include "tenant.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "request_id.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::size_t append_batches_max = 8;  // in flight
constexpr std::size_t unapplied_max = 4096;    // appends the projection may lag behind

// It is to be evaluated again.
bool is_stale(kernel::Refusal refusal) {
  return refusal == kernel::Refusal::stale_base || refusal == kernel::Refusal::stale_access;
}

}  // namespace

Tenant::Tenant(Core& core, TenantId id, std::string name)
    : core_(core),
      id_(id),
      name_(std::move(name)),
      records_(
          core, id, [this](const Id128& actor) { return name_of(actor); }, WhenDamaged::wait),
      records_on_strand_(
          core, id, [this](const Id128& actor) { return name_of(actor); }, WhenDamaged::fail) {}

Tenant::~Tenant() {
  readers_.clear();
  projection_.reset();
  vfs_.reset();
}

// ---- from other threads -------------------------------------------------------------------------

std::string Tenant::name_of(const Id128& actor) {
  const std::scoped_lock lock{mutex_};
  const auto found = actor_names_.find(actor);
  return found == actor_names_.end() ? to_uuid(actor) : found->second.name;
}

void Tenant::submit(Request& request) {
  post(request);
  core_.driver().wait(request.done);
  KIMBERLITE_ASSERT(request.result);
}

void Tenant::post(Request& request) {
  run_on_strand([this, &request] { enqueue(request); });
}

Id128 Tenant::actor(const kernel::Actor& description) {
  const std::scoped_lock lock{mutex_};
  const auto [found, added] = actors_.try_emplace({description.method, description.name});
  if (added) {
    core_.env().random.fill(found->second);
    actor_names_.emplace(found->second, description);
  }
  return found->second;
}

Status Tenant::settle() {
  Request settle{.kind = RequestKind::settle};
  submit(settle);
  return *settle.result ? Status{} : Status{settle.result->error()};
}

Status Tenant::settle_actor(Principal& principal) {
  if (principal.settled || !core_.is_group()) return {};
  KIMBERLITE_CHECK(core_.check_primary());
  // What an earlier primary left, and this one has yet to commit, may know him.
  KIMBERLITE_CHECK(core_.confirm_read());
  KIMBERLITE_CHECK(settle());
  principal.actor = actor(principal.description);
  Request add{.kind = RequestKind::settle, .principal = &principal};
  submit(add);
  if (!*add.result) return add.result->error();
  principal.settled = true;
  return {};
}

Status Tenant::fill(Request& request, Principal& principal, const Why& why,
                    std::span<const Bytes> digest_parts) {
  KIMBERLITE_CHECK(check_text(why.reason, "the reason"));
  KIMBERLITE_CHECK(check_text(why.correlation, "the correlation id"));
  KIMBERLITE_CHECK(settle_actor(principal));
  request.principal = &principal;
  if (request.reason.empty()) request.reason = why.reason;
  request.expected_position = why.expected;
  request.is_named = why.request_id || !why.idempotency_key.empty();
  if (!why.correlation.empty()) {
    if (const std::optional<Id128> uuid = from_uuid(why.correlation)) {
      request.correlation = *uuid;
    } else {
      KIMBERLITE_TRY(request.correlation, core_.keys().correlation_id(id_, why.correlation));
      request.correlation_text = why.correlation;
    }
  }
  KIMBERLITE_TRY(request.request_id, request_id(principal, why));
  KIMBERLITE_TRY(request.digest, core_.keys().request_digest(id_, digest_parts));
  return {};
}

Result<Id128> Tenant::request_id(const Principal& principal, const Why& why) const {
  if (why.request_id) return *why.request_id;
  if (why.idempotency_key.empty()) {
    return new_request_id(core_.env().clock, core_.env().random);
  }
  const std::optional<Id128> uuid = from_uuid(why.idempotency_key);
  if (uuid && made_at(*uuid)) return *uuid;
  return core_.keys().request_id(id_, principal.actor, why.idempotency_key);
}

Result<std::unique_ptr<projection::Reader>> Tenant::take_reader() {
  if (is_stale_.load(std::memory_order_acquire) || is_behind()) KIMBERLITE_CHECK(settle());
  projection::Location location;
  {
    const std::scoped_lock lock{mutex_};
    if (!readers_.empty()) {
      auto reader = std::move(readers_.back());
      readers_.pop_back();
      return reader;
    }
    location = projection::Location::of(*vfs_);
  }
  return projection::Reader::open(core_.env(), location, &records_);
}

void Tenant::give_reader(std::unique_ptr<projection::Reader> reader) {
  const std::scoped_lock lock{mutex_};
  readers_.push_back(std::move(reader));
}

Status Tenant::settled_run(const std::function<Status()>& task) {
  const auto run = [&](std::optional<Position>& unread) -> Status {
    Request settle;
    settle.kind = RequestKind::settle;
    settle.task = &task;
    submit(settle);
    unread = settle.unread;
    return *settle.result ? Status{} : Status{settle.result->error()};
  };
  std::optional<Position> unread;
  const Status done = run(unread);
  const bool again =
      !done && unread && core_.mended({id_, kernel::Lane::data, *unread}, done.error());
  return again ? run(unread) : done;
}

Result<std::string> Tenant::dump(Position position) {
  std::string dump;
  KIMBERLITE_CHECK(settled_run([&]() -> Status {
    KIMBERLITE_TRY(dump, projection_->dump(position));
    return {};
  }));
  return dump;
}

Result<std::vector<ProjectionSum>> Tenant::sums() {
  std::vector<ProjectionSum> sums;
  KIMBERLITE_CHECK(settled_run([&]() -> Status {
    KIMBERLITE_TRY(const auto found, projection_->sums());
    for (const projection::Projection::Sum& sum : found) {
      sums.push_back({sum.table, sum.rows, sum.hash});
    }
    return {};
  }));
  return sums;
}

// ---- the queue ----------------------------------------------------------------------------------

void Tenant::enqueue(Request& request) {
  if (failed_) {
    core_.stop_in_group(id_, *failed_);  // it may lead by now
    return answer(request, core_.whole_elsewhere(*failed_));
  }
  switch (request.kind) {
    case RequestKind::within:
      return within_transaction(request);
    case RequestKind::commit:
      return commit_transaction(request);
    case RequestKind::rollback:
      return rollback_transaction(request);
    case RequestKind::settle:
      // A transaction has begun behind all there was (T2), and nothing has come since.
      if (transaction_ && !is_behind() && request.principal == nullptr && request.task == nullptr) {
        return answer(request, Outcome{});
      }
      [[fallthrough]];
    default:
      request.look = looks_begun_ + 1;
      queue_.push_back(&request);
      check_lease();
      return drain();
  }
}

void Tenant::fail(const Error& error) {
  failed_ = error;
  is_stale_.store(true, std::memory_order_release);
  core_.stop_in_group(id_, error);
}

// Records came that this executor did not propose, or one of its own may stand there or not: the
// projection is brought up to the log as it is.
void Tenant::resync_later() {
  if (resyncing_) return;
  resyncing_ = true;
  ++looks_begun_;
  core_.run_on_strand([this](Core& core) {
    const std::uint64_t seen = core.foreign_commits();
    const TenantView view = core.view(id_);
    auto actors = core.state().tenant(id_)->actors;
    run_on_strand([this, view, seen, follows = core.follows(), actors = std::move(actors)] {
      resyncing_ = false;
      know_actors(actors);
      if (!failed_) resync(view, seen);
      if (!failed_ && !resyncing_) answer_looked(follows);
      drain();
    });
  });
}

// What waits for records committed before it came has them, and what can only be refused here is
// refused: where others write all the time, the log would have to be looked at again for ever.
void Tenant::answer_looked(const std::optional<Error>& follows) {
  std::vector<Request*> settled;
  std::vector<Request*> refused;
  std::erase_if(queue_, [&](Request* request) {
    const bool writes = request->kind != RequestKind::settle || must_add_actor(*request);
    if (writes && follows) {
      refused.push_back(request);
    } else if (!writes && request->look <= looks_begun_) {
      settled.push_back(request);
    } else {
      return false;
    }
    return true;
  });
  for (Request* request : settled) answer_settled(*request);
  for (Request* request : refused) answer(*request, *follows);
}

void Tenant::answer_settled(Request& settle) {
  const Status done = settle.task == nullptr ? Status{} : (*settle.task)();
  answer(settle, done ? Result<Outcome>{Outcome{}} : Result<Outcome>{done.error()});
}

// Starts whatever may start, in the order of the queue.
void Tenant::drain() {
  if (!failed_ && !transaction_) {
    if (!queue_.empty() && is_behind()) resync_due_ = true;
    if (resync_due_) {
      if (in_flight_.empty()) resync_later();
      return;
    }
  }
  while (!queue_.empty() && !sql_in_flight_ && !transaction_ && !resyncing_) {
    Request& next = *queue_.front();
    if (failed_) {
      queue_.pop_front();
      answer(next, core_.whole_elsewhere(*failed_));
      continue;
    }
    if (next.kind == RequestKind::append && !must_add_actor(next)) {
      if (appends_in_flight_ >= append_batches_max ||
          append_ids_in_flight_.contains(next.request_id))
        return;
      start_append();
      continue;
    }
    if (appends_in_flight_ > 0) return;
    if (Status applied = apply_appends(); !applied) {
      fail(applied.error());
      continue;
    }
    if (must_add_actor(next)) {
      add_actor(*next.principal);
    } else if (next.kind == RequestKind::settle) {
      queue_.pop_front();
      answer_settled(next);
    } else if (next.kind == RequestKind::sql) {
      start_sql();
    } else {
      queue_.pop_front();
      if (next.kind == RequestKind::begin) {
        begin_transaction(next);
      } else if (next.kind == RequestKind::ddl) {
        start_ddl(next);
      } else {
        start_control(next);
      }
    }
  }
}

void Tenant::answer(Request& request, Result<Outcome> result) {
  if (const auto unread = records_on_strand_.take_unread()) request.unread = unread;
  request.result.emplace(std::move(result));
  if (!request.answered) return core_.driver().set(request.done);
  auto answered = std::move(request.answered);
  answered();
}

bool Tenant::must_add_actor(const Request& request) const {
  return request.principal != nullptr && !actors_added_.contains(request.principal->actor);
}

// An unknown actor becomes one by a record of its own, before its first write.
void Tenant::add_actor(const Principal& principal) {
  Request self{.kind = RequestKind::control, .principal = &principal};
  core_.env().random.fill(self.request_id);
  const kernel::AddActor control{principal.actor, principal.description};
  Result<SealedCommand> command = seal_control(self, head_, control, {});
  if (!command) {
    Request& next = *queue_.front();
    queue_.pop_front();
    return answer(next, command.error());
  }
  std::vector<SealedCommand> commands;
  commands.push_back(*std::move(command));
  InFlight batch{.mode = Mode::control};
  batch.actor = principal.actor;
  propose(std::move(batch), std::move(commands));
}

void Tenant::propose(InFlight&& batch, std::vector<SealedCommand> commands) {
  const std::uint64_t tag = next_tag_++;
  head_ = Position{head_.value() + commands.size()};
  if (batch.mode == Mode::append) {
    ++appends_in_flight_;
  } else {
    sql_in_flight_ = true;
  }
  in_flight_.emplace(tag, std::move(batch));
  core_.submit({.tenant = id_,
                .commands = std::move(commands),
                .seen = seen_foreign_.load(std::memory_order_acquire),
                .done = [this, tag](Result<BatchResult> result) {
                  run_on_strand([this, tag, result = std::move(result)]() mutable {
                    settled(tag, std::move(result));
                  });
                }});
}

// ---- what became of a batch ---------------------------------------------------------------------

void Tenant::settled(std::uint64_t tag, Result<BatchResult> result) {
  const auto found = in_flight_.find(tag);
  KIMBERLITE_ASSERT(found != in_flight_.end());
  InFlight batch = std::move(found->second);
  in_flight_.erase(found);
  if (batch.mode == Mode::append) {
    --appends_in_flight_;
  } else {
    sql_in_flight_ = false;
  }

  if (!result) {
    // Nothing was proposed, or the outcome is unknown; either way nothing more is evaluated on what
    // was assumed of it: what is under way yet has its end first, then the log is looked at again.
    if (batch.mode == Mode::sql) projection_->rollback_batch();
    core_.abandon_keys(id_);
    if (batch.mode == Mode::append) streams_.clear();
    for (Evaluation& evaluation : batch.evaluations) {
      append_ids_in_flight_.erase(evaluation.request->request_id);
      answer(*evaluation.request, result.error());
    }
    resync_due_ = true;
    if (!is_passing(result.error())) fail(result.error());
    if (batch.actor) fail_first(result.error());
    return drain();
  }
  view_ = result->view;
  if (view_.data_key == sealing_key_) key_proposed_ = false;
  const bool all_accepted = std::ranges::all_of(result->commands, [](const CommandResult& command) {
    return command.refusal == kernel::Refusal::none;
  });
  if (!all_accepted) {
    refused(batch, *result);
  } else {
    switch (batch.mode) {
      case Mode::sql:
        finish_sql(batch, *result);
        break;
      case Mode::append:
        finish_append(batch, *result);
        break;
      case Mode::control:
        finish_control(batch, *result);
        break;
    }
  }
  drain();
}

// The records stand in the log. Nothing from here on may turn success into failure: a projection
// that does not commit is brought up from the log, or rebuilt from it.
void Tenant::finish_sql(InFlight& batch, const BatchResult& result) {
  std::vector<projection::Committed> committed;
  committed.reserve(result.commands.size());
  for (const Evaluation& evaluation : batch.evaluations) {
    if (!evaluation.command) continue;
    committed.push_back({&result.commands[*evaluation.command].entry, evaluation.request->digest});
  }
  if (Status status = projection_->commit_batch(committed); !status) {
    if (Status again = catch_up(); !again) fail(again.error());
  }
  complete(batch, result);
}

// Where its record stands, if the request left one.
void Tenant::place(Evaluation& evaluation, const BatchResult& result) {
  if (!evaluation.command || !evaluation.outcome) return;
  const CommandResult& command = result.commands[*evaluation.command];
  evaluation.outcome->position = command.entry.position;
  evaluation.outcome->timestamp = command.entry.timestamp;
  evaluation.outcome->leaf = command.leaf;
}

void Tenant::complete(InFlight& batch, const BatchResult& result) {
  std::vector<Signal*> done;
  done.reserve(batch.evaluations.size());
  for (Evaluation& evaluation : batch.evaluations) {
    place(evaluation, result);
    if (evaluation.request->answered) {
      answer(*evaluation.request, std::move(evaluation.outcome));
      continue;
    }
    evaluation.request->result.emplace(std::move(evaluation.outcome));
    done.push_back(&evaluation.request->done);
  }
  core_.driver().set(done);
}

void Tenant::finish_append(InFlight& batch, const BatchResult& result) {
  for (Evaluation& evaluation : batch.evaluations) {
    append_ids_in_flight_.erase(evaluation.request->request_id);
    if (evaluation.command) {
      const projection::StreamAdvance& stream = evaluation.stream;
      unapplied_.push_back({result.commands[*evaluation.command].entry, evaluation.request->digest,
                            stream.stream, std::string{stream.new_name}, stream.first_sequence,
                            stream.count});
      unapplied_ids_.insert(evaluation.request->request_id);
    }
  }
  is_stale_.store(is_stale_ || !unapplied_.empty(), std::memory_order_release);
  if (unapplied_.size() >= unapplied_max && !resync_due_) {
    if (Status applied = apply_appends(); !applied) fail(applied.error());
  }
  complete(batch, result);
}

void Tenant::finish_control(InFlight& batch, const BatchResult& result) {
  if (batch.actor) actors_added_.insert(*batch.actor);
  if (Status applied = catch_up(); !applied) fail(applied.error());
  complete(batch, result);
}

// Some commands were accepted before one that was not: these stand in the log, and their requests
// are answered from there. The others are evaluated again, unseen by the client, or told why not.
void Tenant::refused(InFlight& batch, const BatchResult& result) {
  if (batch.mode == Mode::sql) projection_->rollback_batch();
  core_.abandon_keys(id_);
  is_stale_.store(true, std::memory_order_release);
  std::vector<Request*> again;
  for (Evaluation& evaluation : batch.evaluations) {
    append_ids_in_flight_.erase(evaluation.request->request_id);
    const kernel::Refusal refusal =
        evaluation.command ? result.commands[*evaluation.command].refusal : kernel::Refusal::none;
    const bool stale = is_stale(refusal);
    if (stale && evaluation.request->kind == RequestKind::commit) {
      answer(*evaluation.request, overtaken());
    } else if (stale || !evaluation.command) {
      again.push_back(evaluation.request);
    } else if (refusal != kernel::Refusal::none) {
      answer(*evaluation.request, kernel::error_of(refusal, id_));
    } else {
      place(evaluation, result);
      answer(*evaluation.request, std::move(evaluation.outcome));
    }
  }
  queue_.insert(queue_.begin(), again.begin(), again.end());
  streams_.clear();
  resync_due_ = true;  // batches under way stood on what was refused
  if (in_flight_.empty()) resync(result.view, seen_foreign_.load(std::memory_order_acquire));
  if (!batch.actor) return;
  for (const CommandResult& command : result.commands) {
    if (command.refusal == kernel::Refusal::none || is_stale(command.refusal)) continue;
    fail_first(kernel::error_of(command.refusal, id_));
  }
}

// The request that wanted the actor cannot have it.
void Tenant::fail_first(const Error& error) {
  if (queue_.empty()) return;
  Request& first = *queue_.front();
  queue_.pop_front();
  answer(first, error);
}

// Nobody reads the projection before it has all that the log had when `view` was taken.
void Tenant::resync(const TenantView& view, std::uint64_t seen) {
  view_ = view;
  head_ = view.head;
  resync_due_ = false;
  key_proposed_ = false;
  streams_.clear();  // others may have appended
  unapplied_.clear();
  unapplied_ids_.clear();
  if (Status applied = catch_up(); !applied) {
    const bool may_wait = core_.is_group() && unread_ && unread_ != waited_for_;
    return may_wait ? resync_once_mended(*unread_, applied.error()) : fail(applied.error());
  }
  waited_for_.reset();
  seen_foreign_.store(seen, std::memory_order_release);
  is_stale_.store(false, std::memory_order_release);
}

// A record that others have whole is no reason to give up: everything waits for it.
void Tenant::resync_once_mended(Position damaged, const Error& error) {
  waited_for_ = damaged;
  resync_due_ = true;
  resyncing_ = true;
  core_.mend({id_, kernel::Lane::data, damaged}, error, life_.task([this, error](bool is_whole) {
    run_on_strand([this, error, is_whole] {
      resyncing_ = false;
      if (!is_whole) fail(error);
      drain();
    });
  }));
}

}  // namespace kimberlite::engine
