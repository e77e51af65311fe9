#include "driver.hpp"

#include "base/assert.hpp"

namespace kimberlite::engine {
namespace {

// Bounds how long a driver sleeps with its back to the executor's timers.
constexpr std::uint64_t wait_slice_ns = 10'000'000;

}  // namespace

void Driver::wait(Signal& signal) {
  while (!signal.is_set()) {
    if (executor_.run_one(0)) continue;
    std::unique_lock lock{mutex_};
    if (signal.is_set()) return;
    if (!driven_) {
      driven_ = true;
      lock.unlock();
      drive(signal);
      return;
    }
    const auto self = parked_.insert(parked_.end(), &signal);
    signal.parked_ = true;
    signal.wake_.wait(lock, [&] { return signal.is_set() || signal.chosen_; });
    signal.parked_ = false;
    parked_.erase(self);
    if (!signal.chosen_) return;
    // The role was kept for this thread, so nobody can have taken it meanwhile.
    signal.chosen_ = false;
    KIMBERLITE_ASSERT(driven_);
    lock.unlock();
    drive(signal);
    return;
  }
}

void Driver::drive(Signal& signal) {
  while (!signal.is_set()) {
    if (executor_.run_one(0)) continue;
    if (poll_disk_(wait_slice_ns)) continue;
    executor_.run_one(wait_slice_ns);
  }
  hand_over();
}

void Driver::hand_over() {
  const std::scoped_lock lock{mutex_};
  for (Signal* next : parked_) {
    if (next->is_set()) continue;  // it is leaving by itself
    next->chosen_ = true;
    next->wake_.notify_one();
    return;
  }
  driven_ = false;
}

void Driver::set(Signal& signal) {
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_ASSERT(!signal.is_set());
  // The waiter may destroy the signal as soon as it sees it set. A parked one needs the mutex held
  // here to leave; one that is not parked is never touched after the store.
  const bool parked = signal.parked_;
  signal.set_.store(true, std::memory_order_release);
  if (parked) signal.wake_.notify_one();
}

}  // namespace kimberlite::engine
