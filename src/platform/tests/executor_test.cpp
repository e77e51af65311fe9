#include "platform/executor.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "platform/env.hpp"

namespace kimberlite::platform {
namespace {

constexpr std::uint64_t ms = 1'000'000;

TEST(ThreadExecutor, WithoutAPoolNothingRunsUntilAThreadIsLent) {
  ThreadExecutor executor{{}};
  int ran = 0;
  executor.post(1, [&] { ran = 1; });
  EXPECT_EQ(ran, 0);
  EXPECT_TRUE(executor.run_one(0));
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(executor.run_one(0));
  EXPECT_FALSE(executor.run_one(1 * ms));
}

TEST(ThreadExecutor, AStrandKeepsItsOrderAndStrandsTakeTurns) {
  ThreadExecutor executor{{}};
  std::string order;
  for (const char c : {'a', 'b', 'c'}) executor.post(1, [&order, c] { order += c; });
  for (const char c : {'x', 'y'}) executor.post(2, [&order, c] { order += c; });
  while (executor.run_one(0)) {
  }
  EXPECT_EQ(order, "axbyc");
}

TEST(ThreadExecutor, TimersFireInOrderOfTheirTime) {
  ThreadExecutor executor{{}};
  std::string order;
  executor.post_after(20 * ms, 1, [&] { order += 'b'; });
  executor.post_after(10 * ms, 1, [&] { order += 'a'; });
  executor.post_after(20 * ms, 1, [&] { order += 'c'; });
  EXPECT_FALSE(executor.run_one(0));
  EXPECT_TRUE(executor.run_one(10'000 * ms));
  EXPECT_EQ(order, "a");
  EXPECT_TRUE(executor.run_one(10'000 * ms));
  EXPECT_TRUE(executor.run_one(10'000 * ms));
  EXPECT_EQ(order, "abc");
}

TEST(ThreadExecutor, AThreadThatWaitsCanBeWokenForNothing) {
  ThreadExecutor executor{{.threads = 1}};
  executor.wake();
  EXPECT_FALSE(executor.run_one(60'000 * ms)) << "the call was there before the sleeper";
  std::thread lent{[&] { EXPECT_FALSE(executor.run_one(60'000 * ms)); }};
  std::this_thread::sleep_for(std::chrono::milliseconds{20});
  executor.wake();
  lent.join();
}

TEST(ThreadExecutor, APostWakesAThreadThatWaits) {
  ThreadExecutor executor{{}};
  std::atomic<bool> ran{false};
  std::thread lent{[&] { EXPECT_TRUE(executor.run_one(60'000 * ms)); }};
  std::this_thread::sleep_for(std::chrono::milliseconds{20});
  executor.post(1, [&] { ran = true; });
  lent.join();
  EXPECT_TRUE(ran);
}

// Tasks check that they are alone in their strand and in order, whatever runs them.
void hammer(ExecutorOptions options, int lent_count) {
  constexpr std::size_t strands = 7;
  constexpr int tasks = 3000;
  ThreadExecutor executor{options};
  std::array<int, strands> next{};  // unsynchronised: only the strand's exclusion protects it
  std::atomic<int> left{static_cast<int>(strands) * tasks};
  std::atomic<int> errors{0};
  std::vector<std::thread> threads;
  std::array<std::mutex, strands> posting;
  std::array<int, strands> posted{};
  threads.reserve(16);
  for (int p = 0; p < 3; ++p) {
    threads.emplace_back([&, p] {
      for (std::size_t i = static_cast<std::size_t>(p);; ++i) {
        const std::size_t s = i % strands;
        const std::lock_guard guard{posting[s]};
        if (posted[s] == tasks) {
          if (left.load() < tasks || i > 100'000) return;
          continue;
        }
        const int mine = posted[s]++;
        executor.post(s, [&, s, mine] {
          if (next[s]++ != mine) ++errors;
          --left;
        });
      }
    });
  }
  for (int i = 0; i < lent_count; ++i) {
    threads.emplace_back([&] {
      while (left > 0) executor.run_one(1 * ms);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 60'000 && left > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  EXPECT_EQ(left, 0);
  EXPECT_EQ(errors, 0);
}

TEST(ThreadExecutor, AStrandIsNeverRunByTwoLentThreads) { hammer({}, 4); }
TEST(ThreadExecutor, AStrandIsNeverRunByTwoPoolThreads) { hammer({.threads = 4}, 0); }
TEST(ThreadExecutor, PoolAndLentThreadsShare) { hammer({.threads = 2}, 2); }
TEST(ThreadExecutor, AGraceLeavesNoTaskBehind) {
  hammer({.threads = 2, .grace_ns = ms / 10}, 0);
  hammer({.threads = 2, .grace_ns = ms / 10}, 2);
}

TEST(ThreadExecutor, StrandsRunInParallelOnLentThreads) {
  ThreadExecutor executor{{}};
  std::atomic<int> inside{0};
  const auto meet = [&inside] {
    ++inside;
    for (int i = 0; i < 60'000 && inside < 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    EXPECT_EQ(inside, 2) << "each task waits for the other to have begun";
  };
  executor.post(1, meet);
  executor.post(2, meet);
  std::thread other{[&] { executor.run_one(60'000 * ms); }};
  executor.run_one(60'000 * ms);
  other.join();
}

TEST(ThreadExecutor, WithAGraceTheLentThreadComesFirstAndThePoolDoesTheRest) {
  ThreadExecutor executor{{.threads = 1, .grace_ns = 200 * ms}};
  std::thread::id ran_on;
  executor.post(1, [&] { ran_on = std::this_thread::get_id(); });
  EXPECT_TRUE(executor.run_one(0));
  EXPECT_EQ(ran_on, std::this_thread::get_id());

  std::atomic<int> done{0};
  executor.post(1, [&] { ++done; });
  executor.post_after(1 * ms, 2, [&] { ++done; });
  for (int i = 0; i < 60'000 && done < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  EXPECT_EQ(done, 2);
}

TEST(ThreadExecutor, ATaskMayPostAndWhatNeverRanIsDestroyed) {
  auto token = std::make_shared<int>(0);
  {
    ThreadExecutor executor{{}};
    executor.post(1, [&executor, token] { executor.post(1, [token] { ++*token; }); });
    executor.post_after(60'000 * ms, 1, [token] { ++*token; });
    EXPECT_TRUE(executor.run_one(0));
    EXPECT_TRUE(executor.run_one(0));
    executor.post(3, [token] { ++*token; });
  }
  EXPECT_EQ(*token, 1);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(SystemRandom, FillsEveryByteAnew) {
  SystemRandom random;
  std::array<std::byte, 64> first{};
  std::array<std::byte, 64> second{};
  random.fill(first);
  random.fill(second);
  EXPECT_NE(first, second);
}

TEST(SystemClock, NeverGoesBack) {
  SystemClock clock;
  const std::uint64_t first = clock.monotonic_ns();
  EXPECT_LE(first, clock.monotonic_ns());
  EXPECT_GT(clock.realtime(), TimestampUs{1'700'000'000'000'000});
}

}  // namespace
}  // namespace kimberlite::platform
