// Waiting that works: every wait ends, whoever drives and whoever wakes.
#include "driver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
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

TEST(Driver, AThreadAloneDrivesForItself) { every_wait_ends(1, 1000); }
TEST(Driver, EveryWaitOfAFewThreadsEnds) { every_wait_ends(3, 3000); }
TEST(Driver, EveryWaitOfManyThreadsEnds) { every_wait_ends(40, 1000); }

}  // namespace
}  // namespace kimberlite::engine::test
