// The simulated world: `env::Env` from a seed. Storage: sim_storage.hpp. Time stands still but for
// I/O, waiting and looking at the clock; the scheduler picks among runnable strands by seed.
//
//   SimEnv world{seed};                          // an empty disk
//   run_workload(world.env());                   // count: world.storage().calls()
//   for (n = 1; n <= count; ++n) {
//     SimEnv crashing{seed, {}, {.crash_at = n}};
//     run_workload(crashing.env());              // believe nothing after storage().frozen()
//     SimEnv after{seed, crashing.storage().crash()};
//     check(after.env());
//   }
//
// Thread rule: one thread. `Env` refers into the object, which outlives its users.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "env/env.hpp"
#include "vopr/disk_image.hpp"
#include "vopr/prng.hpp"
#include "vopr/sim_storage.hpp"

namespace kimberlite::vopr {

class SimClock final : public env::Clock {
 public:
  // Moves on a little, so that whoever waits for a time by looking at the clock gets there.
  std::uint64_t monotonic_ns() override;
  TimestampUs realtime() override;

  // Both clocks move on, as when waiting.
  void advance(std::uint64_t ns) { now_ns_ += ns; }
  void advance_to(std::uint64_t ns) { now_ns_ = ns > now_ns_ ? ns : now_ns_; }
  // Only the realtime clock jumps, back or forth, as when it is set.
  void step_realtime(std::int64_t us) { step_us_ += us; }
  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }
  // What `realtime` would say, without a look.
  [[nodiscard]] std::int64_t realtime_us() const {
    return start_us + static_cast<std::int64_t>(now_ns_ / 1000) + step_us_;
  }

 private:
  static constexpr std::uint64_t look_ns = 100;
  static constexpr std::int64_t start_us = 1'767'225'600'000'000;  // 2026-01-01T00:00:00Z

  std::uint64_t now_ns_ = 0;
  std::int64_t step_us_ = 0;
};

class SimRandom final : public env::Random {
 public:
  explicit SimRandom(std::uint64_t seed) : prng_(seed, 0) {}
  void fill(MutBytes to) override;

 private:
  Prng prng_;
};

class SimExecutor final : public env::Executor {
 public:
  SimExecutor(std::uint64_t seed, SimClock& clock) : prng_(seed, 1), clock_(clock) {}

  void post(std::uint64_t strand, env::Task task) override;
  void post_after(std::uint64_t delay_ns, std::uint64_t strand, env::Task task) override;
  // With nothing runnable, time moves on to the first timer or by `wait_ns`.
  bool run_one(std::uint64_t wait_ns) override;
  void wake() override {}  // one thread: nobody waits while another calls

  // Tasks and timers waiting.
  [[nodiscard]] std::size_t pending() const;
  // When something can run: now, or at the first timer; nothing if nothing waits.
  [[nodiscard]] std::optional<std::uint64_t> next_ns() const;

 private:
  void fire_timers();

  Prng prng_;
  SimClock& clock_;
  std::map<std::uint64_t, std::deque<env::Task>> strands_;  // none is empty
  // By due time, then in the order posted.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<std::uint64_t, env::Task>> timers_;
  std::uint64_t timers_posted_ = 0;
};

// A cluster of one has no peers: frames go nowhere.
class SimNetwork final : public env::Network {
 public:
  void send(std::uint8_t /*replica*/, Bytes /*frame*/) override {}
  void listen(Receiver /*receiver*/) override {}
};

class SimEnv {
 public:
  explicit SimEnv(std::uint64_t seed, const DiskImage& image = {}, Faults faults = {})
      : random_(seed), storage_(seed, clock_, image, std::move(faults)), executor_(seed, clock_) {}
  SimEnv(const SimEnv&) = delete;
  SimEnv& operator=(const SimEnv&) = delete;

  [[nodiscard]] env::Env env() { return {storage_, network_, clock_, random_, executor_}; }
  [[nodiscard]] SimStorage& storage() { return storage_; }
  [[nodiscard]] SimClock& clock() { return clock_; }
  [[nodiscard]] SimExecutor& executor() { return executor_; }

 private:
  SimClock clock_;
  SimRandom random_;
  SimNetwork network_;
  SimStorage storage_;
  SimExecutor executor_;  // last: tasks that never ran let go of what they own first
};

}  // namespace kimberlite::vopr
