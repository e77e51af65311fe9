// Waiting that works: a thread that waits for a request runs the database meanwhile.
//
// At most one waiting thread at a time *drives*: it runs the executor's tasks and, when there are
// none, waits for the disk, where the platform may do the write itself. The others, once the
// executor has nothing for them, park until their own wait is over or the driver leaves and names
// one of them its successor. So a lone writer makes no thread hop, and the simulator, being one
// thread, always drives.
//
// Thread rule: all functions are thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>

#include "env/env.hpp"

namespace kimberlite::engine {

// What a thread waits for. `set` may be called once, from any thread.
class Signal {
 public:
  [[nodiscard]] bool is_set() const { return set_.load(std::memory_order_acquire); }

 private:
  friend class Driver;
  std::atomic<bool> set_ = false;
  bool chosen_ = false;  // named the next driver; under the driver's mutex
  bool parked_ = false;  // under the driver's mutex
  std::condition_variable wake_;
};

class Driver {
 public:
  // `poll_disk` waits at most the given time for completed I/O and hands it on; false: nothing is
  // in flight.
  Driver(env::Executor& executor, std::function<bool(std::uint64_t wait_ns)> poll_disk)
      : executor_(executor), poll_disk_(std::move(poll_disk)) {}

  void wait(Signal& signal);
  void set(Signal& signal);

 private:
  void drive(Signal& signal);
  void hand_over();

  env::Executor& executor_;
  std::function<bool(std::uint64_t)> poll_disk_;
  std::mutex mutex_;
  bool driven_ = false;        // some thread drives
  std::list<Signal*> parked_;  // in the order they came
};

}  // namespace kimberlite::engine
