#include "platform/executor.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/assert.hpp"

namespace kimberlite::platform {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint64_t never = UINT64_MAX;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now().time_since_epoch())
          .count());
}

std::uint64_t later(std::uint64_t from_ns, std::uint64_t delay_ns) {
  return delay_ns > never - from_ns ? never : from_ns + delay_ns;
}

}  // namespace

ThreadExecutor::ThreadExecutor(ExecutorOptions options) : options_(options) {
  pool_.reserve(options_.threads);
}

ThreadExecutor::~ThreadExecutor() {
  {
    const Guard guard{mutex_};
    stopping_ = true;
  }
  ready_cv_.notify_all();
  pool_cv_.notify_all();
  for (std::thread& thread : pool_) thread.join();
  KIMBERLITE_ASSERT(waiting_ == 0 && running_ == 0);
}

void ThreadExecutor::post(std::uint64_t strand, env::Task task) {
  const Guard guard{mutex_};
  enqueue(strand, std::move(task));
}

void ThreadExecutor::post_after(std::uint64_t delay_ns, std::uint64_t strand, env::Task task) {
  const Guard guard{mutex_};
  const std::uint64_t due_ns = later(now_ns(), delay_ns);
  const bool first = timers_.empty() || due_ns < timers_.top().due_ns;
  timers_.push({due_ns, timers_posted_++, strand, std::move(task)});
  if (!first) return;
  // Whoever waits chose how long before this timer was there; a lent thread may leave before it is
  // due, so one notification would not do.
  ready_cv_.notify_all();
  if (options_.grace_ns > 0 || waiting_ == 0) call_pool();
}

bool ThreadExecutor::run_one(std::uint64_t wait_ns) {
  Guard guard{mutex_};
  std::uint64_t now = 0;
  std::uint64_t until_ns = 0;
  for (;;) {
    if (!timers_.empty()) fire_timers(now_ns());
    if (!ready_.empty()) {
      run_front(guard);
      return true;
    }
    if (wait_ns == 0 || std::exchange(woken_, false)) return false;
    now = now_ns();
    if (until_ns == 0) until_ns = later(now, wait_ns);
    if (now >= until_ns) return false;
    wait(guard, ready_cv_, waiting_, until_ns);
  }
}

void ThreadExecutor::wake() {
  const Guard guard{mutex_};
  woken_ = true;
  ready_cv_.notify_all();  // whom one would reach may be of the pool
}

void ThreadExecutor::enqueue(std::uint64_t strand, env::Task task) {
  auto& slot = strands_[strand];
  if (slot == nullptr) slot = std::make_unique<Strand>();
  slot->tasks.push_back(std::move(task));
  if (!slot->running && slot->tasks.size() == 1) make_ready(*slot);
}

void ThreadExecutor::make_ready(Strand& strand) {
  if (options_.grace_ns > 0) strand.ready_at_ns = now_ns();
  ready_.push_back(&strand);
  if (waiting_ > 0) {
    ready_cv_.notify_one();
  } else if (watching_ == 0) {
    call_pool();
  }
}

// Wakes a pool thread that has nothing to look after, or starts one if there may be another.
void ThreadExecutor::call_pool() {
  if (dormant_ > 0) {
    pool_cv_.notify_one();
  } else if (pool_.size() < options_.threads && !stopping_) {
    pool_.emplace_back([this] { pool_thread(); });
  }
}

void ThreadExecutor::fire_timers(std::uint64_t now) {
  while (!timers_.empty() && timers_.top().due_ns <= now) {
    const std::uint64_t strand = timers_.top().strand;
    env::Task task = std::move(timers_.top().task);
    timers_.pop();
    enqueue(strand, std::move(task));
  }
}

// Runs the first task of the strand that has been ready longest; unlocked while it runs.
void ThreadExecutor::run_front(Guard& guard) {
  Strand& strand = *ready_.front();
  ready_.pop_front();
  KIMBERLITE_ASSERT(!strand.running && !strand.tasks.empty());
  strand.running = true;
  ++running_;
  {
    env::Task task = std::move(strand.tasks.front());
    strand.tasks.pop_front();
    guard.unlock();
    task();
    task = nullptr;  // what it owns is destroyed as part of its turn, and unlocked
    guard.lock();
  }
  --running_;
  strand.running = false;
  if (!strand.tasks.empty()) make_ready(strand);
}

// Waits on `on` until notified, `until_ns`, or the first timer.
void ThreadExecutor::wait(Guard& guard, std::condition_variable& on, std::size_t& waiters,
                          std::uint64_t until_ns) {
  if (!timers_.empty()) until_ns = std::min(until_ns, timers_.top().due_ns);
  ++waiters;
  if (until_ns == never) {
    on.wait(guard);
  } else {
    on.wait_until(guard, SteadyClock::time_point{std::chrono::nanoseconds{until_ns}});
  }
  --waiters;
}

void ThreadExecutor::pool_thread() {
  Guard guard{mutex_};
  while (!stopping_) pool_step(guard);
}

// One task, or one wait.
void ThreadExecutor::pool_step(Guard& guard) {
  const std::uint64_t now = now_ns();
  fire_timers(now);
  if (options_.grace_ns == 0) {
    if (ready_.empty()) {
      wait(guard, ready_cv_, waiting_, never);
    } else {
      run_front(guard);
    }
    return;
  }
  if (ready_.empty()) {
    wait(guard, pool_cv_, dormant_, never);
    return;
  }
  const std::uint64_t due_ns = later(ready_.front()->ready_at_ns, options_.grace_ns);
  if (due_ns > now) {
    wait(guard, pool_cv_, watching_, due_ns);
    return;
  }
  if (ready_.size() > 1 && watching_ == 0) call_pool();
  run_front(guard);
}

}  // namespace kimberlite::platform
