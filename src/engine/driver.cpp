#include "driver.hpp"

#include <utility>

#include "base/assert.hpp"

namespace kimberlite::engine {
namespace {

// Bounds how long a driver sleeps with its back to the executor's timers.
constexpr std::uint64_t wait_slice_ns = 10'000'000;

// A driver whose own wait is over stays for some more turns while many others wait: its successor
// would have to be woken, and find a processor, before the next write could begin.
constexpr std::size_t many = 8;
constexpr std::uint64_t extra_turns_max = 64;  // tasks and waits for the disk

}  // namespace

void Driver::wait(Signal& signal) {
  while (!signal.is_set()) {
    if (executor_.run_one(0)) continue;
    if (park(signal)) drive(signal);
  }
}

void Driver::turn(std::uint64_t wait_ns) {
  if (executor_.run_one(0)) return;
  Signal nobody;  // sets it
  if (wait_ns == 0 && is_driven()) return;
  if (!park(nobody)) return;
  if (!poll_disk_(wait_ns)) sleep(nobody, wait_ns);
  hand_over();
}

// True: this thread drives now. False: its wait is over.
bool Driver::park(Signal& signal) {
  Bed* bed = nullptr;
  std::list<Parked>::iterator self;
  {
    const std::scoped_lock lock{mutex_};
    if (!driven_) {
      driven_ = true;
      return true;
    }
    bed = &free_bed();
    self = parked_.insert(parked_.end(), {&signal, bed});
  }
  std::uintptr_t none = Signal::state_none;
  bool chosen = false;
  if (signal.state_.compare_exchange_strong(none, reinterpret_cast<std::uintptr_t>(bed),
                                            std::memory_order_acq_rel)) {
    std::unique_lock lock{bed->mutex};
    bed->wake.wait(lock, [&] { return signal.is_set() || bed->chosen; });
  }
  // Out of the signal, so that nobody can call this bed any more; then out of the wakers' sight;
  // then out of the list, so that nobody can choose it.
  std::uintptr_t in_bed = reinterpret_cast<std::uintptr_t>(bed);
  signal.state_.compare_exchange_strong(in_bed, Signal::state_none, std::memory_order_acq_rel);
  rise(*bed);
  const std::scoped_lock lock{mutex_};
  parked_.erase(self);
  {
    const std::scoped_lock bed_lock{bed->mutex};
    chosen = std::exchange(bed->chosen, false);
  }
  free_.push_back(bed);
  // The role was kept for this thread, so nobody can have taken it meanwhile.
  KIMBERLITE_ASSERT(!chosen || driven_);
  return chosen;
}

Bed& Driver::free_bed() {
  if (free_.empty()) return beds_.emplace_back();
  Bed& bed = *free_.back();
  free_.pop_back();
  return bed;
}

void Driver::drive(Signal& signal) {
  std::uint64_t extra = 0;
  while (!signal.is_set() || (extra < extra_turns_max && many_parked())) {
    if (signal.is_set()) ++extra;
    if (executor_.run_one(0)) continue;
    if (poll_disk_(wait_slice_ns)) continue;
    if (signal.is_set()) break;
    sleep(signal, wait_slice_ns);
  }
  hand_over();
}

// Until the executor has a task, or `disk_began` or `set` says that something else is to be done.
// Of `asleep_` and what is looked at after it one is seen by whoever sets the other first.
void Driver::sleep(const Signal& signal, std::uint64_t wait_ns) {
  asleep_ = true;
  if (!poll_disk_(0) && !signal.is_set()) executor_.run_one(wait_ns);
  asleep_ = false;
}

void Driver::disk_began() {
  if (asleep_) executor_.wake();
}

bool Driver::is_driven() {
  const std::scoped_lock lock{mutex_};
  return driven_;
}

bool Driver::many_parked() {
  const std::scoped_lock lock{mutex_};
  return parked_.size() >= many;
}

void Driver::hand_over() {
  const std::scoped_lock lock{mutex_};
  for (const Parked& next : parked_) {
    if (next.signal->is_set()) continue;  // it is leaving by itself
    {
      const std::scoped_lock bed_lock{next.bed->mutex};
      next.bed->chosen = true;
    }
    next.bed->wake.notify_one();
    return;
  }
  driven_ = false;
}

void Driver::set(Signal& signal) {
  Signal* const one = &signal;
  set(std::span{&one, 1});
}

void Driver::set(std::span<Signal* const> signals) {
  Wake first;
  bool any_awake = false;
  {
    const std::scoped_lock lock{wake_mutex_};
    for (Signal* signal : signals) {
      const std::uintptr_t before = signal->state_.exchange(Signal::state_set);
      KIMBERLITE_ASSERT(before != Signal::state_set);
      if (before == Signal::state_none) any_awake = true;
      if (before == Signal::state_none) continue;
      // NOLINTNEXTLINE(performance-no-int-to-ptr): a word is 0, 1 or where the sleeper lies.
      Bed* bed = reinterpret_cast<Bed*>(before);
      bed->due = true;
      due_.push_back(bed);
    }
    if (wakers_ < max_woken) first = take_due(max_woken - wakers_);
  }
  wake(first);
  if (any_awake && asleep_) executor_.wake();
}

Driver::Wake Driver::take_due(std::size_t count) {
  Wake next;
  while (next.count < count && !due_.empty()) {
    Bed* bed = due_.front();
    due_.pop_front();
    bed->due = false;
    bed->waker = true;
    ++wakers_;
    next.beds[next.count++] = bed;
  }
  return next;
}

void Driver::wake(const Wake& wake) {
  for (std::size_t i = 0; i < wake.count; ++i) {
    Bed& bed = *wake.beds[i];
    // Taken and given back, so that the sleeper has either seen the signal or is asleep by now.
    {
      const std::scoped_lock lock{bed.mutex};
    }
    bed.wake.notify_one();
  }
}

// Leaves the bed to others, and wakes those it falls to this thread to wake.
void Driver::rise(Bed& bed) {
  Wake next;
  {
    const std::scoped_lock lock{wake_mutex_};
    if (bed.due) std::erase(due_, &bed);
    bed.due = false;
    if (bed.waker) {
      bed.waker = false;
      --wakers_;
      next = take_due(max_woken);
    }
  }
  wake(next);
}

}  // namespace kimberlite::engine
