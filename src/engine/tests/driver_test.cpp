// Waiting that works: every wait ends, whoever drives and whoever wakes.
#include "driver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "platform/executor.hpp"

namespace kimberlite::engine::test {
namespace {

// A strand that answers all who have asked so far at once, as an executor does at the end of a
// batch.
class Answerer {
 public:
  void ask(Signal& signal) {
    executor_.post(1, [this, &signal] {
      asked_.push_back(&signal);
      if (asked_.size() == 1) executor_.post(1, [this] { answer(); });
    });
    driver_.wait(signal);
  }

 private:
  void answer() {
    const auto some = static_cast<std::ptrdiff_t>(std::min<std::size_t>(asked_.size(), 5));
    const std::vector<Signal*> now{asked_.begin(), asked_.begin() + some};
    asked_.erase(asked_.begin(), asked_.begin() + some);
    if (!asked_.empty()) executor_.post(1, [this] { answer(); });
    driver_.set(now);
  }

  platform::ThreadExecutor executor_{{}};
  Driver driver_{executor_, [](std::uint64_t) { return false; }};
  std::vector<Signal*> asked_;  // on strand 1
};

void every_wait_ends(int threads, int each) {
  Answerer answerer;
  std::atomic<int> ended = 0;
  std::vector<std::thread> askers;
  askers.reserve(static_cast<std::size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    askers.emplace_back([&] {
      for (int n = 0; n < each; ++n) {
        Signal signal;  // gone as soon as the wait is over
        answerer.ask(signal);
        if (signal.is_set()) ++ended;
      }
    });
  }
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(ended, threads * each);
}

// Has no task ever; who waits in it stays until he is woken, however long he meant to.
class DeepSleep final : public env::Executor {
 public:
  void post(std::uint64_t, env::Task) override {}
  void post_after(std::uint64_t, std::uint64_t, env::Task) override {}
  bool run_one(std::uint64_t wait_ns) override {
    if (wait_ns == 0) return false;
    std::unique_lock lock{mutex_};
    ++sleepers_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return woken_; });
    woken_ = false;
    --sleepers_;
    return false;
  }
  void wake() override {
    const std::scoped_lock lock{mutex_};
    woken_ = true;
    changed_.notify_all();
  }
  void until_someone_sleeps() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return sleepers_ > 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int sleepers_ = 0;
  bool woken_ = false;
};

TEST(Driver, ADriverAsleepWakesWhenItsWaitIsOver) {
  DeepSleep executor;
  Driver driver{executor, [](std::uint64_t) { return false; }};
  Signal signal;
  std::thread waits{[&] { driver.wait(signal); }};
  executor.until_someone_sleeps();
  driver.set(signal);
  waits.join();
  EXPECT_TRUE(signal.is_set());
}

TEST(Driver, ADriverAsleepWakesForAWriteAnotherThreadBegan) {
  DeepSleep executor;
  std::atomic<bool> at_disk = false;
  Signal signal;
  Driver* driven = nullptr;
  Driver driver{executor, [&](std::uint64_t wait_ns) {
                  if (!at_disk) return false;
                  if (wait_ns > 0) driven->set(signal);  // the write has ended
                  if (wait_ns > 0) at_disk = false;
                  return true;
                }};
  driven = &driver;
  std::thread waits{[&] { driver.wait(signal); }};
  executor.until_someone_sleeps();
  at_disk = true;
  driver.disk_began();
  waits.join();
  EXPECT_TRUE(signal.is_set());
}

TEST(Driver, WhoeverTurnsRestsWhileAnotherDrives) {
  DeepSleep executor;
  Driver driver{executor, [](std::uint64_t) { return false; }};
  Signal signal;
  std::thread waits{[&] { driver.wait(signal); }};
  executor.until_someone_sleeps();
  driver.turn(0);  // comes back at once
  std::atomic<bool> turned = false;
  std::thread turns{[&] {
    driver.turn(1);
    turned = true;
  }};
  std::this_thread::sleep_for(std::chrono::milliseconds{20});
  EXPECT_FALSE(turned);
  driver.set(signal);
  waits.join();
  // It has been named the successor, and sleeps in the executor for its own part.
  while (!turned) {
    executor.wake();
    std::this_thread::yield();
  }
  turns.join();
}

TEST(Driver, AThreadAloneDrivesForItself) { every_wait_ends(1, 1000); }
TEST(Driver, EveryWaitOfAFewThreadsEnds) { every_wait_ends(3, 3000); }
TEST(Driver, EveryWaitOfManyThreadsEnds) { every_wait_ends(40, 1000); }

}  // namespace
}  // namespace kimberlite::engine::test
