#include "core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/probe.hpp"
#include "consensus/command.hpp"
#include "crypto/blake3.hpp"
#include "files.hpp"
#include "kernel/snapshot.hpp"
#include "record/body.hpp"
#include "snapshot_file.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

// Frames of peers that wait for the strand; what comes beyond is dropped, and said again by them.
constexpr std::uint64_t inbound_bytes_max = 64ULL << 20;

constexpr std::size_t clock_notes_max = 8;

double seconds(std::int64_t us) { return static_cast<double>(us) / 1'000'000; }

}  // namespace

Core::Core(env::Env env, keystore::MasterKey& master, const Options& options)
    : env_(env),
      options_(options),
      master_(master),
      driver_(env.executor,
              [this](std::uint64_t wait_ns) {
                if (!io_.in_flight()) return false;
                if (io_.poll(wait_ns))
                  env_.executor.post(strand, life_.task([this] { completed(); }));
                return true;
              }),
      logs_(env.storage) {}

Core::~Core() {
  if (listening_) env_.network.listen({});
}

bool is_passing(const Error& error) {
  switch (error.code()) {
    case Code::unavailable_disk_low:
    case Code::unavailable_not_primary:
    case Code::unavailable_quorum:
    case Code::unavailable_clock:
    case Code::unavailable_outcome_unknown:
      return true;
    default:
      return false;
  }
}

consensus::Now Core::now() { return {env_.clock.monotonic_ns(), env_.clock.realtime()}; }

// ---- from other threads -------------------------------------------------------------------------

void Core::submit(Batch batch) {
  run_on_strand([batch = std::move(batch)](Core& core) mutable {
    if (core.failed_) {
      batch.done(*core.failed_);
      return;
    }
    batch.submitted_ns = core.env_.clock.monotonic_ns();
    core.queue_.push_back(std::move(batch));
    core.pump();
  });
}

Status Core::confirm_read() {
  if (!is_group_ || is_planted(Canary::read_unconfirmed)) return {};
  Signal signal;
  bool ready = false;
  std::optional<Error> failed;
  run_on_strand([&](Core& /*core*/) {
    if (failed_) {
      driver_.set(signal);
      return;
    }
    const std::uint64_t ticket = next_ticket_++;
    reads_.emplace(ticket, Read{&signal, &ready, env_.clock.monotonic_ns()});
    step(consensus::ReadIndex{ticket});
  });
  driver_.wait(signal);
  if (ready) return {};
  Error why{Code::unavailable_quorum, "too few replicas answered"};
  run([&](Core& core) {
    why = core.failed_ ? *core.failed_ : core.replica_->is_primary() ? why : core.not_primary();
  });
  probe<"engine.read.refused">();
  return std::move(why).next("ask again, or ask the primary");
}

Status Core::check_primary() {
  if (is_primary_.load(std::memory_order_acquire)) return {};
  std::optional<Error> error;
  run([&](Core& core) {
    if (core.failed_) {
      error = *core.failed_;
    } else if (!core.replica_->is_primary()) {
      probe<"engine.write.not_primary">();
      error = core.not_primary();
    }
  });
  return error ? Status{*error} : Status{};
}

bool Core::has_caught_up() const {
  return !is_group_ || (replica_->status() == consensus::ReplicaStatus::normal &&
                        replica_->commit() >= std::min(opened_head_, replica_->head()));
}

Status Core::caught_up() {
  if (!is_group_) return {};
  Status status;
  run([&](Core& core) {
    if (core.failed_) {
      status = *core.failed_;
    } else if (!core.has_caught_up()) {
      probe<"engine.read.catching_up">();
      status = Error{Code::unavailable_quorum, "this replica is catching up with its group"}
                   .where("replica {}, {}, view {}", core.replica_->index(),
                          consensus::name(core.replica_->status()), core.replica_->view().value())
                   .next("ask again, or ask the primary");
    }
  });
  return status;
}

void Core::end_read(std::uint64_t ticket, bool ready) {
  const auto found = reads_.find(ticket);
  if (found == reads_.end()) return;
  *found->second.ready = ready;
  Signal& signal = *found->second.signal;
  reads_.erase(found);
  driver_.set(signal);
}

Error Core::not_primary() const {
  if (!replica_->configuration().has(replica_->index())) {
    probe<"engine.write.no_member">();
    return Error{Code::unavailable_not_primary, "this replica takes no writes any more"}
        .where("replica {}", replica_->index())
        .why("it was removed from its group")
        .next("send the request to another one, under the same idempotency key");
  }
  return Error{Code::unavailable_not_primary, "this replica takes no writes now"}
      .where("replica {}, {}, view {}", replica_->index(), consensus::name(replica_->status()),
             replica_->view().value())
      .why("the primary of its view is replica {}", replica_->primary())
      .next("send the request there, under the same idempotency key");
}

Result<std::uint8_t> Core::other_primary() const {
  if (failed_) return *failed_;
  if (!replica_->configuration().has(replica_->index())) return not_primary();
  if (replica_->status() != consensus::ReplicaStatus::normal ||
      replica_->primary() == replica_->index()) {
    return Error{Code::unavailable_quorum, "there is no primary to send the write to now"}.next(
        "ask again");
  }
  return replica_->primary();
}

Error Core::clock_refuses() const {
  const consensus::ClusterClock& clock = replica_->clock();
  Error error =
      Error{Code::unavailable_clock,
            "the time a record would get is not certain; nothing was written"}
          .where("replica {}, clock {}", replica_->index(), consensus::name(clock.status()));
  if (clock.status() == consensus::ClockStatus::jumped) {
    return std::move(error)
        .why("this machine's clock went {:.1f} s forward against the monotonic clock",
             seconds(clock.steps().last_us))
        .next(
            "set the clock right, and writes go on; if it is right now, close the database and "
            "open it again, which takes it as it is");
  }
  if (clock.status() == consensus::ClockStatus::outvoted) {
    const consensus::ClockInterval& others = clock.offset()->interval;
    return std::move(error)
        .why("a majority's clocks agree with each other, and are {:.1f} s from this machine's",
             seconds((others.low + others.high) / 2))
        .next("ask again: another replica becomes primary; and set this machine's clock right");
  }
  return std::move(error)
      .why("no majority of the replicas has clocks that agree")
      .next("set the machines' clocks right (NTP); then ask again, under the same idempotency key");
}

// A step of the wall clock is an event an operator must be able to see.
void Core::note_clock(consensus::Now now) {
  const consensus::ClockSteps& steps = replica_->clock().steps();
  if (steps.count == clock_steps_) return;
  probe<"engine.clock.step">();
  clock_steps_ = steps.count;
  clock_notes_.push_back(fmt::format(
      "clock: step {} of this life: the wall clock was set {:.1f} s {} against the monotonic one, "
      "and showed {} s since 1970 then",
      steps.count, std::abs(seconds(steps.last_us)), steps.last_us > 0 ? "forward" : "back",
      now.realtime.value() / 1'000'000));
  if (clock_notes_.size() > clock_notes_max) clock_notes_.pop_front();
}

void Core::run(const std::function<void(Core&)>& task) {
  Signal signal;
  run_on_strand([&](Core& core) {
    task(core);
    driver_.set(signal);
  });
  driver_.wait(signal);
}

Result<TimestampUs> Core::settle_time() {
  Signal signal;
  Status done = Error{Code::unavailable_quorum, "too few replicas answered"}.next("ask again");
  run_on_strand([&](Core& /*core*/) {
    if (failed_) {
      driver_.set(signal);
      return;
    }
    fences_.push_back({&signal, &done, env_.clock.monotonic_ns()});
    pump();
  });
  driver_.wait(signal);
  TimestampUs settled;
  run([&](Core& core) {
    if (core.failed_) done = *core.failed_;
    settled = core.last_commit_;
  });
  if (!done) return done.error();
  return settled;
}

Result<Buffer> Core::propose_data_key(TenantId tenant, KeyId key) {
  const std::scoped_lock lock{keys_mutex_};
  return keystore_->propose_data_key(tenant, key, env_.random);
}

void Core::abandon_keys(TenantId tenant) {
  const std::scoped_lock lock{keys_mutex_};
  keystore_->abandon(tenant);
}

void Core::run_on_strand(std::move_only_function<void(Core&)> task) {
  env_.executor.post(strand, life_.task([this, task = std::move(task)]() mutable { task(*this); }));
}

void Core::after(std::uint64_t delay_ns, std::move_only_function<void(Core&)> task) {
  env_.executor.post_after(delay_ns, strand,
                           life_.task([this, task = std::move(task)]() mutable { task(*this); }));
}

Result<crypto::Key256> Core::page_key(TenantId tenant, bool& is_new) {
  const std::scoped_lock lock{keys_mutex_};
  if (auto key = keystore_->page_key(tenant)) return *std::move(key);
  is_new = true;
  return keystore_->new_page_key(tenant, env_.random);
}

Buffer Core::propose_tenant(TenantId tenant) {
  const std::scoped_lock lock{keys_mutex_};
  return keystore_->propose_tenant(tenant, env_.random);
}

// ---- the replica --------------------------------------------------------------------------------

void Core::step(const consensus::Event& event) { step(now(), event); }

void Core::step(consensus::Now now, const consensus::Event& event) {
  std::vector<consensus::Action> actions;
  replica_->step(now, event, actions);
  note_clock(now);
  perform(std::move(actions));
}

void Core::perform(std::vector<consensus::Action> actions) {
  // Carrying out an action may make the replica ask for more (a checkpoint's superblock): all of it
  // in order, by the outermost call.
  put_due(std::move(actions));
  if (performing_) return;
  performing_ = true;
  while (!due_.empty()) {
    const consensus::Action action = std::move(due_.front());
    due_.pop_front();
    std::visit(
        [&](const auto& what) {
          using What = std::remove_cvref_t<decltype(what)>;
          if constexpr (std::is_same_v<What, consensus::Commit>) {
            commit(what);
          } else if constexpr (std::is_same_v<What, consensus::Abandon>) {
            given_up_.erase(what.ticket);
            abandon(what.ticket);
            end_read(what.ticket, false);
          } else if constexpr (std::is_same_v<What, consensus::StartCheckpoint>) {
            if (failed_) return;
            Result<consensus::CheckpointDone> done = write_checkpoint(what.op);
            if (!done) return fail(done.error());
            std::vector<consensus::Action> more;
            replica_->step(now(), *std::move(done), more);
            put_due(std::move(more));
          } else if constexpr (std::is_same_v<What, consensus::Send>) {
            env_.network.send(what.to, what.message->bytes());
          } else if constexpr (std::is_same_v<What, consensus::ReadPrepare>) {
            io_.read(what, blocks_);
          } else if constexpr (std::is_same_v<What, consensus::ReadReady>) {
            end_read(what.ticket, true);
          } else if constexpr (std::is_same_v<What, consensus::StartSync>) {
            sync_.start(what.from, what.op);
          } else {
            io_.write(what);
          }
        },
        action);
  }
  performing_ = false;
  if (io_.in_flight()) driver_.disk_began();
  if (replica_->status() == consensus::ReplicaStatus::failed && !failed_) fail(replica_->failure());
}

void Core::put_due(std::vector<consensus::Action> actions) {
  due_.insert(due_.end(), std::make_move_iterator(actions.begin()),
              std::make_move_iterator(actions.end()));
}

void Core::completed() {
  for (const consensus::Event& event : io_.take_events()) step(event);
  if (io_.in_flight()) driver_.disk_began();  // the second half of a superblock
  after_step();
}

void Core::after_step() {
  if (is_group_) is_primary_.store(replica_->is_primary(), std::memory_order_release);
  if (replica_->checkpoint().op != checkpoint_op_ && !failed_) {
    if (Status swept = sweep(); !swept) fail(swept.error());
  }
  pump();
  show();
  arm_tick();
  end_wait();
}

void Core::committed_at(TimestampUs time) {
  last_commit_ = time;
  shown_.last_commit_us.store(time.value(), std::memory_order_release);
}

TimestampUs Core::wall_time() {
  return std::max(env_.clock.realtime(),
                  TimestampUs{shown_.last_commit_us.load(std::memory_order_acquire)});
}

void Core::stop_in_group(TenantId tenant, const Error& error) {
  const ErrorClass of = class_of(error.code());
  const bool is_damaged = of == ErrorClass::integrity;
  if (!is_group_ || (of != ErrorClass::unavailable && !is_damaged)) return;
  run_on_strand([tenant, error, is_damaged](Core& core) {
    if (is_damaged) core.note(fmt::format("tenant {}: {}", tenant.value(), to_string(error)));
    // Only who leads needs all of it; the others count on the rest.
    if (is_damaged && !core.replica_->is_primary()) return;
    probe<"engine.core.stopped_by_tenant">();
    core.fail(core.whole_elsewhere(error));
    core.show();
  });
}

Error Core::whole_elsewhere(const Error& error) const {
  if (!is_group_ || class_of(error.code()) != ErrorClass::integrity) return error;
  return Error{Code::unavailable_io, "this replica cannot read all it has of a tenant"}
      .why("{}", to_string(error))
      .next("ask again: another replica takes over; what is damaged is in this one's notes");
}

void Core::mend(const RecordPlace& place, const Error& error, Mender::Done done) {
  run_on_strand([place, error, done = std::move(done)](Core& core) mutable {
    if (core.is_group_ && class_of(error.code()) == ErrorClass::integrity) {
      core.mender_.want(place, error, std::move(done));
    } else if (done) {
      done(false);
    }
  });
}

bool Core::mended(const RecordPlace& place, const Error& error) {
  if (!is_group_) return false;
  Signal signal;
  bool mended = false;
  mend(place, error, [&](bool is_whole) {
    mended = is_whole;
    driver_.set(signal);
  });
  driver_.wait(signal);
  return mended;
}

Result<log::RecordView> Core::read(const RecordPlace& place, Buffer& scratch) {
  const auto read = [&] { return logs_.read(place.tenant, place.lane, place.position, scratch); };
  auto record = read();
  return !record && mended(place, record.error()) ? read() : record;
}

void Core::note(const std::string& what) {
  if (std::ranges::find(notes_, what) == notes_.end()) notes_.push_back(what);
}

void Core::projection_damaged(TenantId tenant, const Error& error) {
  run_on_strand([tenant, error](Core& core) {
    probe<"engine.projection.damaged">();
    core.note(
        fmt::format("tenant {}: {}; its rows are derived from its log again when the directory is "
                    "opened next",
                    tenant.value(), to_string(error)));
    if (!core.is_group_) return;
    core.fail(core.whole_elsewhere(error));
    core.show();
  });
}

void Core::show() {
  constexpr auto relaxed = std::memory_order_relaxed;
  shown_.status.store(failed_ ? consensus::ReplicaStatus::failed : replica_->status(), relaxed);
  shown_.view.store(replica_->view().value(), relaxed);
  shown_.head.store(replica_->head().value(), relaxed);
  shown_.committed.store(replica_->commit().value(), relaxed);
  shown_.checkpoint.store(replica_->checkpoint().op.value(), relaxed);
  shown_.waiting.store(queue_.size() + in_flight_.size() + reads_.size(), relaxed);
}

Glance Core::glance() const {
  constexpr auto relaxed = std::memory_order_relaxed;
  const consensus::ReplicaStatus status = shown_.status.load(relaxed);
  return {.state = consensus::name(status),
          .view = shown_.view.load(relaxed),
          .primary = status == consensus::ReplicaStatus::normal && is_primary_.load(relaxed),
          .head = OpNumber{shown_.head.load(relaxed)},
          .committed = OpNumber{shown_.committed.load(relaxed)},
          .checkpoint = OpNumber{shown_.checkpoint.load(relaxed)},
          .waiting = shown_.waiting.load(relaxed)};
}

void Core::wait_until(std::function<bool()> holds) {
  Signal signal;
  run_on_strand([&](Core& /*core*/) {
    KIMBERLITE_ASSERT(!awaited_);
    awaited_ = {std::move(holds), &signal};
    end_wait();
  });
  driver_.wait(signal);
}

void Core::end_wait() {
  if (awaited_ && awaited_->holds()) driver_.set(*std::exchange(awaited_, {})->signal);
}

// From whatever thread the network has.
void Core::received(std::uint8_t from, Bytes frame) {
  if (frame.size() > consensus::message_size_max) {
    probe<"engine.inbound.too_long">();
    return;
  }
  consensus::MutableBuffer block = blocks_.take(frame.size());
  // What it costs, which of a small frame is a whole sector.
  if (inbound_bytes_.fetch_add(block->capacity()) > inbound_bytes_max) {
    probe<"engine.inbound.full">();
    inbound_bytes_.fetch_sub(block->capacity());
    return;
  }
  std::ranges::copy(frame, block->bytes().begin());
  env_.executor.post(strand, life_.task([this, from, block = std::move(block)]() mutable {
    inbound_bytes_.fetch_sub(block->capacity());
    if (replica_ == nullptr || failed_) return;
    const bool forwarded = Forwarder::is_frame(block->bytes());
    const bool of_mender = Mender::is_frame(block->bytes());
    if (forwarded || of_mender || StateSync::is_frame(block->bytes())) {
      // One that was taken out of the group has no part in this, though its certificate holds.
      if (!replica_->configuration().has(from)) {
        probe<"engine.inbound.no_member">();
      } else if (forwarded) {
        forwarder_.received(from, block->bytes());
      } else if (of_mender) {
        mender_.received(from, block->bytes());
      } else {
        sync_.received(from, block->bytes());
      }
      return;
    }
    step(consensus::Received{.from = from, .message = std::move(block)});
    after_step();
  }));
}

// A mark is due when the journal has been idle for a while; whoever drives then writes it.
void Core::arm_tick() {
  const std::optional<std::uint64_t> wake = replica_->wake_at();
  if (!wake || failed_ || (tick_at_ && *tick_at_ <= *wake)) return;
  tick_at_ = wake;
  const std::uint64_t monotonic = env_.clock.monotonic_ns();
  env_.executor.post_after(*wake > monotonic ? *wake - monotonic : 0, strand,
                           life_.task([this, due = *wake] {
                             // An earlier one was armed meanwhile.
                             if (tick_at_ != due) return;
                             tick_at_.reset();
                             step(consensus::Tick{});
                             if (is_group_) {
                               expire(env_.clock.monotonic_ns());
                               sync_.tick(env_.clock.monotonic_ns());
                               mender_.tick(env_.clock.monotonic_ns());
                             }
                             after_step();
                           }));
}

// ---- commit -------------------------------------------------------------------------------------

void Core::commit(const consensus::Commit& action) {
  if (failed_) {
    if (action.ticket) abandon(*action.ticket);
    return;
  }
  // A prepare without commands holds time still, or changes the group: its body is consensus's.
  consensus::CommandReader commands{action.body(), action.commands};
  std::vector<CommandResult> results;
  results.reserve(action.commands);
  for (std::uint32_t index = 0; index < action.commands; ++index) {
    Result<std::optional<consensus::CommandView>> command = commands.next();
    if (!command) return fail(command.error(), action.ticket);
    KIMBERLITE_ASSERT(command->has_value());
    if (!action.ticket && is_planted_once_in(60, Canary::forget_session)) {
      (*command)->header.session = {};
    }
    Result<CommandResult> result =
        apply(action.op, index, TimestampUs{action.timestamp.value() + index}, **command);
    if (!result) return fail(result.error(), action.ticket);
    results.push_back(*std::move(result));
  }
  if (Status flushed = logs_.flush_if_large(); !flushed) {
    return fail(flushed.error(), action.ticket);
  }
  committed_at(
      TimestampUs{action.timestamp.value() + std::max<std::uint32_t>(1, action.commands) - 1});
  if (!action.ticket) {
    probe<"engine.commit.foreign">();
    foreign_commits_.fetch_add(1, std::memory_order_release);
    return;
  }

  const auto found = in_flight_.find(*action.ticket);
  if (found == in_flight_.end()) {
    given_up_.erase(*action.ticket);
    probe<"engine.commit.given_up_and_kept">();
    // Given up for lost, and committed after all.
    KIMBERLITE_ASSERT(is_group_);
    foreign_commits_.fetch_add(1, std::memory_order_release);
    return;
  }
  InFlight in_flight = std::move(found->second);
  if (!is_planted(Canary::keep_answered)) in_flight_.erase(found);
  auto next = results.begin();
  for (Batch& batch : in_flight.batches) {
    const auto end = next + static_cast<std::ptrdiff_t>(batch.commands.size());
    BatchResult result{{std::make_move_iterator(next), std::make_move_iterator(end)},
                       view(batch.tenant)};
    next = end;
    batch.done(std::move(result));
  }
  for (const Fence& fence : in_flight.fences) {
    *fence.done = {};
    driver_.set(*fence.signal);
  }
}

// The one way from a command's bytes to its entry, live and at recovery. An error is a fault of the
// disk or of the command's bytes; a refusal is not.
Result<CommandResult> Core::apply(OpNumber op, std::uint32_t index, TimestampUs time,
                                  const consensus::CommandView& view) {
  const consensus::CommandHeader& header = view.header;
  KIMBERLITE_TRY(const std::vector<record::ItemView> items, record::split_body(view.items));
  std::vector<record::ItemHeader> headers;
  headers.reserve(items.size());
  for (const record::ItemView& item : items) headers.push_back(item.header);

  kernel::Command command{.tenant = header.tenant,
                          .lane = static_cast<kernel::Lane>(header.lane),
                          .kind = header.kind,
                          .flags = header.flags,
                          .base = header.base,
                          .access_version = header.access_version,
                          .actor = header.actor,
                          .session = header.session,
                          .request_id = header.request_id,
                          .correlation = header.correlation,
                          .items = headers,
                          .body_size = header.body_size,
                          .body_commitment = record::body_commitment(items),
                          .control = std::nullopt,
                          .sidecar = view.sidecar};
  // A command of no tenant is the kernel's to refuse, and so is one whose control cannot be read.
  const kernel::TenantState* tenant = state_->tenant(header.tenant);
  record::Head before;
  if (tenant != nullptr && header.lane < kernel::lane_count) {
    before = tenant->lane(command.lane).head;
    KIMBERLITE_TRY(command.control,
                   open_control(header.tenant, tenant->lane(command.lane).log_id, items));
  }
  kernel::Effects effects = kernel::apply(*state_, time, command);
  if (effects.refusal != kernel::Refusal::none)
    return CommandResult{.refusal = effects.refusal, .entry = {}};

  if (!view.sidecar.empty()) {
    const std::scoped_lock lock{keys_mutex_};
    KIMBERLITE_CHECK(keystore_->apply_sidecar(header.tenant, view.sidecar, env_.random));
  }
  const kernel::LaneState& lane = state_->tenant(header.tenant)->lane(command.lane);
  KIMBERLITE_CHECK(logs_.append(header.tenant, command.lane, before, op, index, *effects.append,
                                view.items, lane.head));
  if (command.control) know_new_tenant(*command.control);
  return CommandResult{.entry = *effects.append, .leaf = effects.leaf};
}

void Core::know_new_tenant(const kernel::Control& control) {
  if (std::holds_alternative<kernel::BeginEpoch>(control)) ++epochs_begun_;
  const auto* create = std::get_if<kernel::CreateTenant>(&control);
  if (create == nullptr) return;
  const kernel::TenantState* tenant = state_->tenant(create->tenant);
  for (const kernel::Lane lane : {kernel::Lane::data, kernel::Lane::access}) {
    logs_.know(create->tenant, lane, tenant->lane(lane));
  }
}

Result<std::optional<kernel::Control>> Core::open_control(
    TenantId tenant, const Id128& log_id, std::span<const record::ItemView> items) const {
  std::optional<kernel::Control> control;
  for (const record::ItemView& item : items) {
    if (item.header.kind != record::ItemKind::control) continue;
    KIMBERLITE_TRY(const keystore::ItemKeyPtr key, keystore_->item_key(tenant, item.header.key));
    Buffer plaintext;
    KIMBERLITE_CHECK(key->open(log_id, item.header, item.sealed, plaintext));
    // It is what was proposed: what does not decode here does so nowhere.
    const Result<record::Plaintext> opened = record::decode_plaintext(item.header, plaintext);
    if (!opened || opened->controls.size() != 1 || control) return std::nullopt;
    Result<kernel::Control> decoded = kernel::decode_control(opened->controls[0]);
    if (!decoded) return std::nullopt;
    control = *std::move(decoded);
  }
  return control;
}

void Core::abandon(std::uint64_t ticket) {
  const auto found = in_flight_.find(ticket);
  if (found == in_flight_.end()) return;
  probe<"engine.write.outcome_unknown">();
  InFlight in_flight = std::move(found->second);
  in_flight_.erase(found);
  const Error unknown =
      Error{Code::unavailable_outcome_unknown, "it is not known whether the write was kept"}
          .why("{}", failed_     ? to_string(*failed_)
                     : is_group_ ? "the group changed its primary, or a quorum did not answer"
                                 : "the database stopped while it was under way")
          .next("{}repeat the request under the same idempotency key",
                is_group_ ? "" : "open the database again and ");
  for (Batch& batch : in_flight.batches) batch.done(unknown);
  for (const Fence& fence : in_flight.fences) driver_.set(*fence.signal);
}

void Core::fail(const Error& error, std::optional<std::uint64_t> ticket) {
  probe<"engine.core.failed">();
  note(to_string(error));
  if (!failed_) failed_ = whole_elsewhere(error);
  if (ticket) abandon(*ticket);
  while (!in_flight_.empty()) abandon(in_flight_.begin()->first);
  refuse_queue(*failed_);
  while (!reads_.empty()) end_read(reads_.begin()->first, false);
  mender_.stop();
}

// ---- checkpoints --------------------------------------------------------------------------------

// Everything up to `op`, where the state stands now, durable outside the journal.
Result<consensus::CheckpointDone> Core::write_checkpoint(OpNumber op) {
  last_written_ = op;
  KIMBERLITE_CHECK(logs_.flush());
  // By now everything that was ever committed here has been again; or, in a group, it will be, if
  // the end of the journal was lost: the segments may hold more of it than was left there.
  if (!settled_ && op >= opened_head_) {
    const Status settled = logs_.settle();
    const bool comes_again =
        !settled && is_group_ && settled.error().code() == Code::integrity_journal_lost;
    if (comes_again) {
      probe<"engine.logs.settled_later">();
    } else {
      KIMBERLITE_CHECK(settled);
    }
    settled_ = !comes_again;
  }
  if (!is_planted(Canary::skip_segment_sync)) KIMBERLITE_CHECK(env_.storage.sync_all());
  Buffer keys;
  Id128 epoch_key{};
  Buffer snapshot;
  {
    const std::scoped_lock lock{keys_mutex_};
    keys = keystore_->encode(op, env_.random);
    epoch_key = keystore_->epoch_key();
    snapshot = encode_snapshot(*state_, op, *keystore_, env_.random);
  }
  KIMBERLITE_CHECK(write_whole(env_.storage, files::snapshot(op), snapshot));
  KIMBERLITE_CHECK(write_whole(env_.storage, files::keystore(op), keys));
  snapshot_size_ = snapshot.size();
  kernel::mark_clean(*state_);
  return consensus::CheckpointDone{.op = op,
                                   .snapshot = crypto::blake3(snapshot),
                                   .keystore = crypto::blake3(keys),
                                   .heads = kernel::heads_digest(*state_),
                                   .state = is_planted(Canary::state_of_file)
                                                ? crypto::blake3(snapshot)
                                                : kernel::digest(*state_),
                                   .epoch_key = epoch_key};
}

// Destroys snapshots and keystores the superblock does not name: an old keystore may hold an erased
// key.
Status Core::sweep() {
  const OpNumber kept = replica_->checkpoint().op;
  KIMBERLITE_TRY(const std::vector<std::string> names, env_.storage.list(""));
  // The next checkpoint may have begun before this one's end was seen: its files are named soon.
  const OpNumber next = std::max(kept, last_written_);
  for (const std::string& name : names) {
    const bool ours = name.starts_with("snapshot-") || name.starts_with("keystore-");
    const bool live = name == files::snapshot(kept) || name == files::keystore(kept) ||
                      name == files::snapshot(next) || name == files::keystore(next);
    if (ours && !live) KIMBERLITE_CHECK(env_.storage.remove(name));
  }
  checkpoint_op_ = kept;
  return {};
}

}  // namespace kimberlite::engine
