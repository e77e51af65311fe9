// Strands over lent threads and a small pool.
//
// A strand's tasks run in the order posted, never two at once; tasks of distinct strands run in
// parallel on as many threads as are lent or pooled. With no pool threads everything runs on
// threads lent through `run_one`. Pool threads are started when first needed.
//
// Thread rule: every method from any thread, tasks included (but a task does not call `run_one`).
// Destruction joins the pool and drops tasks that have not run; no thread may be inside `run_one`.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <unordered_map>
#include <vector>

#include "env/env.hpp"

namespace kimberlite::platform {

struct ExecutorOptions {
  std::size_t threads = 0;
  // How long a task that is ready is left to lent threads before a pool thread takes it. 0: pool
  // and lent threads are equals. Otherwise a caller that posts and then lends its thread gets its
  // own task without a hop, and a pool thread only does what nobody came for (timers, leftovers).
  std::uint64_t grace_ns = 0;
};

class ThreadExecutor final : public env::Executor {
 public:
  explicit ThreadExecutor(ExecutorOptions options);
  ~ThreadExecutor() override;
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;

  void post(std::uint64_t strand, env::Task task) override;
  void post_after(std::uint64_t delay_ns, std::uint64_t strand, env::Task task) override;
  // A thread waiting in here is woken by `post`.
  bool run_one(std::uint64_t wait_ns) override;
  void wake() override;

 private:
  // (E1) A strand is in `ready_` once, exactly when it has tasks and is not running.
  //                                                     [kept: enqueue, run_front]
  // (E2) `running` is true exactly while one thread is inside a task of the strand. [kept:
  // run_front] (E3) A strand made ready wakes a thread that waits, or starts one, unless a pool
  // thread is
  //      watching already.                              [kept: make_ready, call_pool]
  struct Strand {
    std::deque<env::Task> tasks;
    std::uint64_t ready_at_ns = 0;
    bool running = false;
  };
  struct Timer {
    std::uint64_t due_ns;
    std::uint64_t order;  // timers due at once fire in the order posted
    std::uint64_t strand;
    mutable env::Task task;
    bool operator<(const Timer& other) const {
      return due_ns != other.due_ns ? due_ns > other.due_ns : order > other.order;
    }
  };
  using Guard = std::unique_lock<std::mutex>;

  void enqueue(std::uint64_t strand, env::Task task);
  void make_ready(Strand& strand);
  void fire_timers(std::uint64_t now_ns);
  void run_front(Guard& guard);
  void wait(Guard& guard, std::condition_variable& on, std::size_t& waiters,
            std::uint64_t until_ns);
  void call_pool();
  void pool_thread();
  void pool_step(Guard& guard);

  const ExecutorOptions options_;
  std::mutex mutex_;
  std::condition_variable ready_cv_;  // lent threads; pool threads too when grace is 0
  std::condition_variable pool_cv_;   // pool threads, when there is a grace
  std::unordered_map<std::uint64_t, std::unique_ptr<Strand>> strands_;
  std::deque<Strand*> ready_;
  std::priority_queue<Timer> timers_;
  std::uint64_t timers_posted_ = 0;
  std::size_t waiting_ = 0;   // threads in ready_cv_
  std::size_t dormant_ = 0;   // threads in pool_cv_ with nothing to look after
  std::size_t watching_ = 0;  // threads in pool_cv_ until a ready strand's grace is over
  std::size_t running_ = 0;   // threads inside a task
  bool woken_ = false;        // `wake` was called, and nobody has left for it
  bool stopping_ = false;
  std::vector<std::thread> pool_;
};

}  // namespace kimberlite::platform
