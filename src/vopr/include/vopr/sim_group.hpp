// Several simulated machines under one seed: each has a disk, a scheduler, randomness and a clock
// of its own (which shows the time all share, unless it is set or drifts); they share a network
// that loses, delays, doubles, reorders, replays and spoils frames and can be cut or clogged one
// way.
//
// One thread: `step` lets one thing happen on one machine. A call into a machine that waits (for a
// quorum, say) lets the others go on meanwhile, so a client's call needs no thread of its own. What
// a machine does when it is its turn is what it was given by `on_turn`.
//
//   SimGroup group{seed, 3};
//   databases[i] = Database::open(group.env(i), …);
//   group.on_turn(i, [&] { databases[i]->turn(0); });
//   group.run_for(1'000'000'000);
//
// A power failure leaves the image the disk's rules choose (sim_storage.hpp). Whoever still uses
// the machine's `env` then goes on against a disk and a network nobody else sees, until he has let
// go of it and the machine is switched on again.
//
// Thread rule: one thread. `Env` refers into the object, which outlives its users.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "vopr/sim_env.hpp"

namespace kimberlite::vopr {

struct NetworkFaults {
  std::uint32_t lost = 0;      // chances in a million, of each frame
  std::uint32_t doubled = 0;   //
  std::uint32_t replayed = 0;  // that some earlier frame of anyone comes once more
  std::uint32_t spoilt = 0;  // it comes damaged, cut, too long, or as nothing a machine would send
  std::uint64_t delay_min_ns = 100'000;
  std::uint64_t delay_spread_ns = 1'000'000;
};

class SimGroup {
 public:
  SimGroup(std::uint64_t seed, std::uint8_t machines);
  ~SimGroup();
  SimGroup(const SimGroup&) = delete;
  SimGroup& operator=(const SimGroup&) = delete;

  [[nodiscard]] env::Env env(std::uint8_t machine);
  void on_turn(std::uint8_t machine, std::function<void()> turn);

  // One thing happens somewhere, or time moves on to the next one, at most by `wait_ns`; false if
  // nothing happened within it.
  bool step(std::uint64_t wait_ns);
  void run_for(std::uint64_t ns);

  // Called before each thing that happens, but not for what happens inside of it: where a test
  // chooses its faults, in the middle of whatever is under way.
  void between(std::function<void()> hook) { between_ = std::move(hook); }

  // Asked first when a thread looks for a task to run while it waits: true, and it has let others
  // go on instead (SimCrowd).
  void instead_of_waiting(std::function<bool()> hook) { instead_of_waiting_ = std::move(hook); }

  // The power goes; what the disk keeps is what `power_on` finds.
  void power_off(std::uint8_t machine);
  // Nobody uses the machine's `env` from before any more. `faults` are those of the new life.
  void power_on(std::uint8_t machine, Faults faults = {});
  [[nodiscard]] bool is_on(std::uint8_t machine) const { return machines_[machine]->on; }

  // The machine stands still until then, or until it is resumed; what arrives meanwhile waits for
  // it.
  void pause(std::uint8_t machine, std::uint64_t until_ns = UINT64_MAX) {
    machines_[machine]->paused_until_ns = until_ns;
  }
  void resume(std::uint8_t machine);
  [[nodiscard]] bool is_paused(std::uint8_t machine) const {
    return machines_[machine]->paused_until_ns > 0;
  }
  // What is on the disk of a machine that is off, to be damaged or replaced.
  [[nodiscard]] DiskImage& disk(std::uint8_t machine);
  // Only the realtime clock of one machine jumps, as when it is set.
  void step_clock(std::uint8_t machine, std::int64_t us);
  // How far it is from the clock all share.
  [[nodiscard]] std::int64_t clock_off_us(std::uint8_t machine) const;
  // Both clocks of one machine run fast (or slow) from now on, by so many parts in a million.
  void drift_clock(std::uint8_t machine, std::int64_t ppm);

  // Asked for each frame before anything else happens to it; true: the filter has taken it, to drop
  // it or to `inject` it, changed or not, later or as from another.
  using Filter = std::function<bool(std::uint8_t from, std::uint8_t to, Bytes frame)>;
  void filter(Filter filter) { filter_ = std::move(filter); }
  // Past the filter, and not doubled or lost.
  void inject(std::uint8_t from, std::uint8_t to, Bytes frame, std::uint64_t later_ns = 0);

  void set_network(const NetworkFaults& faults) { network_ = faults; }
  void cut(std::uint8_t from, std::uint8_t to) { cuts_.emplace(from, to); }
  void join(std::uint8_t from, std::uint8_t to) { cuts_.erase({from, to}); }
  void join_all() {
    cuts_.clear();
    clogs_.clear();
  }
  // What is sent from one to the other arrives no sooner than `until_ns`, all at once.
  void clog(std::uint8_t from, std::uint8_t to, std::uint64_t until_ns) {
    clogs_[{from, to}] = until_ns;
  }

  [[nodiscard]] SimClock& clock() { return clock_; }
  [[nodiscard]] SimStorage& storage(std::uint8_t machine) { return *machines_[machine]->storage; }
  // Somebody waits for something on that machine.
  [[nodiscard]] bool is_waiting(std::uint8_t machine) const {
    return machines_[machine]->waiting > 0;
  }
  [[nodiscard]] std::uint8_t size() const { return static_cast<std::uint8_t>(machines_.size()); }
  // Things that happened.
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] std::uint64_t spoilt() const { return spoilt_; }
  // Frames lost or cut off.
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  // Of everything that happened so far: equal for equal seeds and calls.
  [[nodiscard]] std::uint64_t digest() const { return digest_; }

 private:
  class Executor;
  class Network;
  class Clock;
  struct Frame {
    std::uint8_t from = 0;
    std::uint8_t to = 0;
    Buffer bytes;
  };
  struct Machine {
    DiskImage image;
    std::unique_ptr<Clock> clock;
    SimRandom random;
    std::unique_ptr<SimStorage> storage;
    std::unique_ptr<SimExecutor> tasks;
    std::unique_ptr<Executor> executor;
    std::unique_ptr<Network> network;
    std::function<void()> turn;
    std::uint64_t paused_until_ns = 0;  // 0: it is not
    int waiting = 0;                    // calls that wait for something
    bool on = true;
    std::vector<Frame> held;  // that came while it was paused
    std::uint64_t lives = 0;

    explicit Machine(std::uint64_t seed);
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
  };

  void boot(std::uint8_t machine, Faults faults);
  void send(std::uint8_t from, std::uint8_t to, Bytes frame);
  void spoil(Buffer& frame);
  bool step_beside(std::uint64_t wait_ns, const Machine* waiting);
  void deliver(Frame frame);
  void note(std::uint64_t what);

  std::uint64_t seed_;
  Prng choices_;
  Prng frames_choices_;
  SimClock clock_;
  std::vector<std::unique_ptr<Machine>> machines_;
  // By arrival, then in the order sent.
  std::map<std::pair<std::uint64_t, std::uint64_t>, Frame> frames_;
  std::uint64_t frames_sent_ = 0;
  std::deque<Frame> sent_;  // the last ones, to be replayed
  std::set<std::pair<std::uint8_t, std::uint8_t>> cuts_;
  std::map<std::pair<std::uint8_t, std::uint8_t>, std::uint64_t> clogs_;
  NetworkFaults network_;
  Filter filter_;
  std::function<bool()> instead_of_waiting_;
  std::function<void()> between_;
  bool inside_ = false;
  std::uint64_t events_ = 0;
  std::uint64_t spoilt_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t digest_ = 0;
};

}  // namespace kimberlite::vopr
