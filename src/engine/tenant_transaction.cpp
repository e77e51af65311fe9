// BEGIN … COMMIT: the session holds the tenant's projection transaction under a lease.
#include <algorithm>

#include "base/assert.hpp"
#include "tenant.hpp"

namespace kimberlite::engine {
namespace {

// An open transaction is ended only when another writer waits and this is over, or after so long
// idle.
constexpr std::uint64_t lease_ns = 5'000'000'000;
constexpr std::uint64_t idle_ns = 60'000'000'000;

Error lost_lease() {
  return Error{Code::unavailable_lease, "the transaction was ended, and nothing of it was written"}
      .why("another writer waited and its lease was over, or it was idle for 60 s")
      .next("begin again");
}

Error no_transaction() {
  return Error{Code::sql_transaction, "no transaction is open"}.next("BEGIN opens one");
}

}  // namespace

Error Tenant::overtaken() {
  return Error{Code::unavailable_lease, "the transaction was ended, and nothing of it was written"}
      .why("others wrote while it was open: the group had another primary meanwhile")
      .next("begin again");
}

void Tenant::begin_transaction(Request& request) {
  if (Status checked = may_begin(request, head_); !checked) {
    return answer(request, checked.error());
  }
  if (Status begun = projection_->begin_batch(head_); !begun) return answer(request, begun.error());
  const projection::At at{Position{head_.value() + 1}, core_.wall_time()};
  if (Status begun = projection_->begin_request(at, true); !begun) {
    projection_->rollback_batch();
    return answer(request, begun.error());
  }
  const std::uint64_t now = core_.env().clock.monotonic_ns();
  transaction_.emplace(
      Transaction{.principal = request.principal, .begun_ns = now, .used_ns = now});
  lost_lease_.erase(request.principal);
  // It has begun behind all there was (T2): who waits for no more than that need not wait for it.
  std::erase_if(queue_, [this](Request* waiting) {
    const bool holds = waiting->kind == RequestKind::settle && waiting->principal == nullptr &&
                       waiting->task == nullptr;
    if (holds) answer(*waiting, Outcome{});
    return holds;
  });
  // Whoever was asked to wait before it began waits for it now.
  check_lease_after(queue_.empty() ? idle_ns : lease_ns);
  answer(request, Outcome{});
}

void Tenant::within_transaction(Request& request) {
  if (!transaction_ || transaction_->principal != request.principal) {
    return answer(request,
                  lost_lease_.contains(request.principal) ? lost_lease() : no_transaction());
  }
  Transaction& open = *transaction_;
  open.used_ns = core_.env().clock.monotonic_ns();
  const BoundStatement& bound = request.statements.front();
  Status done;
  switch (bound.statement->kind) {
    case sql::StatementKind::savepoint:
      done = projection_->savepoint(bound.statement->name.name);
      break;
    case sql::StatementKind::release:
      done = projection_->release(bound.statement->name.name);
      break;
    case sql::StatementKind::rollback_to:
      done = projection_->rollback_to(bound.statement->name.name);
      break;
    default: {
      Result<projection::Evaluated> evaluated = projection_->evaluate(
          projection::Query::of(*bound.statement), bound.parameters, request.budget);
      if (!evaluated) {
        done = evaluated.error();
        break;
      }
      request.evaluated = *std::move(evaluated);
      if (sql::is_dml(bound.statement->kind)) note_statement(open, request);
    }
  }
  if (!done && projection_->request_lost()) {
    projection_->rollback_batch();
    end_transaction();
    lost_lease_.insert(request.principal);
    answer(request, done.error());
    return drain();
  }
  if (!done) return answer(request, done.error());
  Outcome outcome;
  outcome.rows = request.evaluated.rows_affected;
  answer(request, std::move(outcome));
}

void Tenant::note_statement(Transaction& open, const Request& request) {
  open.has_written = true;
  open.rows += request.evaluated.rows_affected;
  const std::string_view plain = request.statements.front().plain;
  // The text kept for the trail is bounded; the rows are all there.
  constexpr std::size_t text_max = 64U << 10U;
  if (open.text.size() + plain.size() < text_max) {
    if (!open.text.empty()) open.text += "; ";
    open.text += plain;
  }
}

void Tenant::commit_transaction(Request& request) {
  if (!transaction_ || transaction_->principal != request.principal) {
    return answer(request,
                  lost_lease_.contains(request.principal) ? lost_lease() : no_transaction());
  }
  const Transaction open = *std::move(transaction_);
  end_transaction();
  if (is_behind()) {
    projection_->rollback_batch();
    answer(request, overtaken());
    return drain();
  }
  Result<std::optional<Outcome>> seen = known(request);
  Result<std::span<const record::RowChange>> changes =
      seen && !*seen ? projection_->finish_request() : Result<std::span<const record::RowChange>>{};
  const bool nothing = changes && changes->empty() && !(request.is_named && open.has_written);
  if (!seen || *seen || !changes || nothing) {
    projection_->rollback_batch();
    Outcome empty;
    empty.request_id = request.request_id;
    empty.rows = open.rows;
    if (!seen) {
      answer(request, seen.error());
    } else if (*seen) {
      answer(request, **std::move(seen));
    } else if (!changes) {
      answer(request, changes.error());
    } else {
      answer(request, std::move(empty));
    }
    return drain();
  }
  if (changes->empty()) projection_->keep_unchanged();
  projection::Evaluated evaluated{.rows_affected = open.rows, .columns = {}, .rows = {}};
  Result<SealedCommand> command = seal_rows(request, head_, evaluated, *changes, open.text);
  if (!command) {
    projection_->rollback_batch();
    answer(request, command.error());
    return drain();
  }
  InFlight batch{.mode = Mode::sql};
  Outcome outcome;
  outcome.request_id = request.request_id;
  outcome.rows = open.rows;
  batch.evaluations.push_back({.request = &request, .command = 0, .outcome = std::move(outcome)});
  std::vector<SealedCommand> commands;
  commands.push_back(*std::move(command));
  propose(std::move(batch), std::move(commands));
}

void Tenant::rollback_transaction(Request& request) {
  const bool open = transaction_ && transaction_->principal == request.principal;
  if (open) {
    projection_->rollback_batch();
    end_transaction();
  }
  const bool lost = lost_lease_.erase(request.principal) > 0;
  answer(request, open || lost ? Result<Outcome>{Outcome{}} : Result<Outcome>{no_transaction()});
  drain();
}

void Tenant::end_transaction() { transaction_.reset(); }

void Tenant::check_lease() {
  if (!transaction_) return;
  const std::uint64_t now = core_.env().clock.monotonic_ns();
  const bool wanted = !queue_.empty();
  const bool over = wanted && now - transaction_->begun_ns >= lease_ns;
  const bool idle = now - transaction_->used_ns >= idle_ns;
  if (over || idle) {
    lost_lease_.insert(transaction_->principal);
    projection_->rollback_batch();
    end_transaction();
    return drain();
  }
  const std::uint64_t until_idle = transaction_->used_ns + idle_ns - now;
  const std::uint64_t until_over =
      transaction_->begun_ns + lease_ns - std::min(now, transaction_->begun_ns + lease_ns);
  check_lease_after(wanted ? std::min(until_idle, until_over) : until_idle);
}

// Leases come by the thousand a second, and their timers stay until they are due: one is enough.
void Tenant::check_lease_after(std::uint64_t delay_ns) {
  const std::uint64_t due = core_.env().clock.monotonic_ns() + delay_ns;
  if (lease_check_at_ns_ && *lease_check_at_ns_ <= due) return;
  lease_check_at_ns_ = due;
  core_.env().executor.post_after(delay_ns, strand(), life_.task([this, due] {
    if (lease_check_at_ns_ != due) return;
    lease_check_at_ns_.reset();
    check_lease();
  }));
}

}  // namespace kimberlite::engine
