// Waiting that works: a thread that waits for a request runs the database meanwhile.
//
// At most one waiting thread at a time *drives*: it runs the executor's tasks and, when there are
// none, waits for the disk, where the platform may do the write itself. The others, once the
// executor has nothing for them, park until their own wait is over or the driver leaves and names
// one of them its successor. So a lone writer makes no thread hop, and the simulator, being one
// thread, always drives.
//
// Each thread sleeps in a bed of its own, so that answering a batch of many requests meets no lock
// that those just woken want too. Waking one costs its waker some microseconds; so of many at most
// two are woken by who answers them, and each of these wakes two more before it goes on.
//
// (D1) A signal's waiter may destroy it as soon as it is set: nobody who sets it touches it after.
//                                                                 [kept: set]
// (D2) A bed lives as long as the driver: whoever wakes a sleeper that has left wakes nobody, or a
//      later sleeper for nothing.                                 [kept: free_bed, park]
// (D3) While anyone is parked, some thread drives.                [kept: park, hand_over]
// (D4) While a sleeper is due, some thread is a waker: woken, and not yet past `rise`.
//                                                                 [kept: set, rise]
// (D5) A driver asleep in the executor with something at the disk, or with its wait over, is being
//      woken.                                                     [kept: sleep, disk_began, set]
//
// Thread rule: all functions are thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <span>
#include <vector>

#include "env/env.hpp"

namespace kimberlite::engine {

// Where one parked thread sleeps.
struct Bed {
  std::mutex mutex;
  std::condition_variable wake;
  bool chosen = false;  // named the next driver; under `mutex`
  bool due = false;     // in `Driver::due_`; under `Driver::wake_mutex_`, as the next
  bool waker = false;   // counted in `Driver::wakers_`
};

// What a thread waits for. `set` may be called once, from any thread.
class Signal {
 public:
  [[nodiscard]] bool is_set() const { return state_.load() == state_set; }

 private:
  friend class Driver;
  // Nothing, `state_set`, or the address of the bed its waiter is in.
  static constexpr std::uintptr_t state_none = 0;
  static constexpr std::uintptr_t state_set = 1;
  std::atomic<std::uintptr_t> state_ = state_none;
};

class Driver {
 public:
  // `poll_disk` waits at most the given time for completed I/O and hands it on; false: nothing is
  // in flight.
  Driver(env::Executor& executor, std::function<bool(std::uint64_t wait_ns)> poll_disk)
      : executor_(executor), poll_disk_(std::move(poll_disk)) {}

  void wait(Signal& signal);
  // One thing is done: a task, or the end of an I/O waited for at most so long. While another
  // thread drives this one rests until it is its successor, or does not wait at all if `wait_ns` is
  // 0. For whoever runs the database without a request of his own.
  void turn(std::uint64_t wait_ns);
  void set(Signal& signal);
  void set(std::span<Signal* const> signals);
  // To be called when an I/O was begun: the driver may be asleep where it would not see the end.
  void disk_began();

 private:
  static constexpr std::size_t max_woken = 2;  // by one thread, in a row
  struct Parked {
    Signal* signal;
    Bed* bed;
  };

  void drive(Signal& signal);
  void sleep(const Signal& signal, std::uint64_t wait_ns);
  void hand_over();
  [[nodiscard]] bool is_driven();
  [[nodiscard]] bool many_parked();
  [[nodiscard]] bool park(Signal& signal);
  [[nodiscard]] Bed& free_bed();
  void rise(Bed& bed);

  // Those a thread is to wake once it has left `wake_mutex_`.
  struct Wake {
    std::array<Bed*, max_woken> beds{};
    std::size_t count = 0;
  };
  [[nodiscard]] Wake take_due(std::size_t count);  // under `wake_mutex_`
  static void wake(const Wake& wake);

  env::Executor& executor_;
  std::function<bool(std::uint64_t)> poll_disk_;
  std::atomic<bool> asleep_ = false;  // the driver, in the executor
  std::mutex mutex_;
  bool driven_ = false;       // some thread drives
  std::list<Parked> parked_;  // in the order they came
  std::list<Bed> beds_;
  std::vector<Bed*> free_;

  std::mutex wake_mutex_;  // of what follows; never taken with `mutex_`
  std::deque<Bed*> due_;   // their signals are set, and nobody has woken them yet
  std::size_t wakers_ = 0;
};

}  // namespace kimberlite::engine
