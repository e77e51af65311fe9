// From batches that wait to prepares: group commit, and what is refused instead.
#include <algorithm>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/probe.hpp"
#include "consensus/command.hpp"
#include "core.hpp"

namespace kimberlite::engine {
namespace {

// Free space is asked for once in so many bytes written, or a quarter of a small ring: it costs a
// system call.
constexpr std::uint64_t disk_check_every = 1ULL << 20;

// With the kernel's own check left out this one would still stand in the way.
bool proposes_unseen() {
  return is_planted(Canary::propose_unseen) || is_planted(Canary::skip_base_check);
}

}  // namespace

TenantView Core::view(TenantId tenant) const {
  const kernel::TenantState* state = state_->tenant(tenant);
  KIMBERLITE_ASSERT(state != nullptr);
  const kernel::LaneState& lane = state->lane(kernel::Lane::data);
  return {.log_id = lane.log_id,
          .head = lane.head.position,
          .last = lane.last,
          .access_version = state->access_version,
          .catalog_version = state->catalog.version(),
          .next_key = state->next_key,
          .data_key = state->data_key.id,
          .key_due = kernel::needs_new_data_key(*state, env_.clock.realtime())};
}

// Whole batches of whatever tenants wait become one prepare; it never waits for more to come.
void Core::pump() {
  if (is_group_ && !replica_->is_primary()) {
    // What is left of them in the log is then for the next view to commit, which proposes after it.
    given_up_.clear();
    return refuse_queue(not_primary());
  }
  if (!given_up_.empty() && !proposes_unseen()) return;
  const std::uint64_t body_max = io_.limits().prepare_size_max - consensus::frame_header_size;
  while (!queue_.empty() || !fences_.empty()) {
    const consensus::Now now = this->now();
    replica_->observe(now);
    note_clock(now);
    if (replica_->clock().refuses()) {
      probe<"engine.write.clock_refuses">();
      return refuse_queue(clock_refuses());
    }
    if (!replica_->may_propose()) return;
    refuse_overtaken();
    if (queue_.empty() && fences_.empty()) return;
    if (Status disk = check_disk(); !disk && !queue_.empty()) {
      while (!queue_.empty()) {
        Batch refused = std::move(queue_.front());
        queue_.pop_front();
        refused.done(disk.error());
      }
      if (fences_.empty()) return;
    }
    InFlight in_flight;
    consensus::BodyBuilder body{blocks_, sector_size};
    while (!queue_.empty()) {
      std::uint64_t size = 0;
      for (const SealedCommand& command : queue_.front().commands) {
        size += consensus::command_size(command.header);
      }
      if (!body.fits(size) || body.body_size() + size > body_max) break;
      for (const SealedCommand& command : queue_.front().commands) {
        Result<MutBytes> room = body.add(command.header);
        KIMBERLITE_ASSERT(room);  // sizes were checked when the command was finished
        std::ranges::copy(command.sidecar, std::ranges::copy(command.items, room->begin()).out);
      }
      in_flight.batches.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    // A batch alone always fits: its parts are bounded (command_bytes_max, batch_bytes_max).
    KIMBERLITE_ASSERT(!in_flight.batches.empty() || !fences_.empty());
    in_flight.fences = std::exchange(fences_, {});
    const std::uint32_t commands = body.commands();
    bytes_since_disk_check_ += body.body_size();
    propose(now, std::move(in_flight), body.take(), commands);
  }
}

// Batches that were evaluated before something was committed that their executor did not see.
void Core::refuse_overtaken() {
  if (proposes_unseen()) return;
  const std::uint64_t now = foreign_commits();
  const auto is_overtaken = [now](const Batch& batch) { return batch.seen != now; };
  if (std::ranges::none_of(queue_, is_overtaken)) return;  // nearly always
  std::deque<Batch> waiting = std::exchange(queue_, {});
  for (Batch& batch : waiting) {
    if (!is_overtaken(batch)) {
      queue_.push_back(std::move(batch));
      continue;
    }
    probe<"engine.write.overtaken">();
    batch.done(BatchResult{std::vector<CommandResult>(
                               batch.commands.size(),
                               CommandResult{.refusal = kernel::Refusal::stale_base, .entry = {}}),
                           view(batch.tenant)});
  }
}

void Core::refuse_queue(const Error& error) {
  while (!queue_.empty()) {
    Batch refused = std::move(queue_.front());
    queue_.pop_front();
    refused.done(error);
  }
  for (const Fence& fence : std::exchange(fences_, {})) {
    *fence.done = error;
    driver_.set(*fence.signal);
  }
}

// Nobody waits for ever for a quorum that does not come.
void Core::expire(std::uint64_t now_ns) {
  const auto is_late = [&](std::uint64_t since) {
    return now_ns > since + options_.quorum_timeout_ns;
  };
  if ((!queue_.empty() && is_late(queue_.front().submitted_ns)) ||
      (!fences_.empty() && is_late(fences_.front().asked_ns))) {
    probe<"engine.quorum.write_timeout">();
    refuse_queue(
        Error{Code::unavailable_quorum, "too few replicas answered; nothing was written"}.next(
            "ask again when a majority of the replicas is reachable"));
  }
  std::vector<std::uint64_t> late;
  for (const auto& [ticket, in_flight] : in_flight_) {
    if (is_late(in_flight.submitted_ns)) late.push_back(ticket);
  }
  if (!late.empty()) probe<"engine.quorum.outcome_timeout">();
  for (const std::uint64_t ticket : late) {
    abandon(ticket);
    given_up_.insert(ticket);
  }
  late.clear();
  for (const auto& [ticket, read] : reads_) {
    if (is_late(read.asked_ns)) late.push_back(ticket);
  }
  if (!late.empty()) probe<"engine.quorum.read_timeout">();
  for (const std::uint64_t ticket : late) end_read(ticket, false);
}

void Core::propose(consensus::Now now, InFlight&& in_flight, consensus::MutableBuffer body,
                   std::uint32_t commands) {
  const std::uint64_t ticket = next_ticket_++;
  in_flight.submitted_ns = now.monotonic_ns;
  in_flight_.emplace(ticket, std::move(in_flight));
  step(now, consensus::Propose{ticket, std::move(body), commands});
}

Status Core::check_disk() {
  const std::uint64_t every = std::min(disk_check_every, io_.ring_size() / 4);
  if (disk_checked_ && !disk_low_ && bytes_since_disk_check_ < every) return {};
  disk_checked_ = true;
  bytes_since_disk_check_ = 0;
  const Result<std::uint64_t> free = env_.storage.free_bytes();
  if (!free) return free.error();
  const std::uint64_t wanted =
      2 * io_.ring_size() + 2 * snapshot_size_ + options_.free_bytes_reserve;
  disk_low_ = *free < wanted;
  if (!disk_low_) return {};
  probe<"engine.disk.low">();
  return Error{Code::unavailable_disk_low, "the disk has {} bytes free; writes need {}", *free,
               wanted}
      .why("the next checkpoint must be sure of its room")
      .next(
          "free space on the file system of the data directory; reads go on, and writes do when it "
          "has room");
}

}  // namespace kimberlite::engine
