#include "vopr/sim_group.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace kimberlite::vopr {

// A machine's own tasks first; whoever has none and waits lets the other machines go on.
class SimGroup::Executor final : public env::Executor {
 public:
  Executor(SimGroup& group, Machine& machine) : group_(group), machine_(machine) {}
  void post(std::uint64_t strand, env::Task task) override {
    machine_.tasks->post(strand, std::move(task));
  }
  void post_after(std::uint64_t delay_ns, std::uint64_t strand, env::Task task) override {
    machine_.tasks->post_after(delay_ns, strand, std::move(task));
  }
  bool run_one(std::uint64_t wait_ns) override {
    if (machine_.tasks->run_one(0)) return true;
    return wait_ns > 0 && group_.step_beside(wait_ns, &machine_);
  }

 private:
  SimGroup& group_;
  Machine& machine_;
};

class SimGroup::Network final : public env::Network {
 public:
  Network(SimGroup& group, std::uint8_t self) : group_(group), self_(self) {}
  void send(std::uint8_t replica, Bytes frame) override {
    if (connected_) group_.send(self_, replica, frame);
  }
  void listen(Receiver receiver) override { receiver_ = std::move(receiver); }

  void disconnect() { connected_ = false; }
  void deliver(std::uint8_t from, Bytes frame) const {
    if (receiver_) receiver_(from, frame);
  }

 private:
  SimGroup& group_;
  std::uint8_t self_;
  bool connected_ = true;
  Receiver receiver_;
};

// The clock all share, set and drifting.
class SimGroup::Clock final : public env::Clock {
 public:
  explicit Clock(SimClock& shared) : shared_(shared) {}
  std::uint64_t monotonic_ns() override {
    return shared_.monotonic_ns() + static_cast<std::uint64_t>(ahead_ns());
  }
  TimestampUs realtime() override {
    const auto us =
        static_cast<std::int64_t>(shared_.realtime().value()) + step_us_ + ahead_ns() / 1000;
    return TimestampUs{static_cast<std::uint64_t>(std::max<std::int64_t>(0, us))};
  }

  void step(std::int64_t us) { step_us_ += us; }
  void drift(std::int64_t ppm) {
    KIMBERLITE_ASSERT(ppm > -1'000'000 && ppm < 1'000'000);
    before_ns_ = ahead_ns();
    since_ns_ = shared_.now_ns();
    ppm_ = ppm;
  }

 private:
  // Negative if behind. It falls more slowly than the shared clock runs, so their sum never does.
  [[nodiscard]] std::int64_t ahead_ns() const {
    const auto passed = static_cast<std::int64_t>(shared_.now_ns() - since_ns_);
    return before_ns_ + passed * ppm_ / 1'000'000;
  }

  SimClock& shared_;
  std::int64_t step_us_ = 0;
  std::int64_t ppm_ = 0;
  std::uint64_t since_ns_ = 0;
  std::int64_t before_ns_ = 0;
};

SimGroup::Machine::Machine(std::uint64_t seed) : random(seed) {}
SimGroup::Machine::~Machine() = default;

SimGroup::SimGroup(std::uint64_t seed, std::uint8_t machines)
    : seed_(seed), choices_(seed, 2), frames_choices_(seed, 3) {
  for (std::uint8_t i = 0; i < machines; ++i) {
    machines_.push_back(std::make_unique<Machine>(seed * 1000 + i));
    machines_[i]->clock = std::make_unique<Clock>(clock_);
    boot(i, {});
  }
}

SimGroup::~SimGroup() = default;

void SimGroup::boot(std::uint8_t index, Faults faults) {
  Machine& machine = *machines_[index];
  ++machine.lives;
  const std::uint64_t seed = seed_ * 1'000'003 + std::uint64_t{index} * 1'009 + machine.lives;
  machine.tasks.reset();
  machine.storage = std::make_unique<SimStorage>(seed, clock_, machine.image, std::move(faults));
  machine.tasks = std::make_unique<SimExecutor>(seed, clock_);
  machine.executor = std::make_unique<Executor>(*this, machine);
  machine.network = std::make_unique<Network>(*this, index);
  machine.turn = nullptr;
  machine.on = true;
}

env::Env SimGroup::env(std::uint8_t index) {
  Machine& machine = *machines_[index];
  return {*machine.storage, *machine.network, *machine.clock, machine.random, *machine.executor};
}

void SimGroup::on_turn(std::uint8_t machine, std::function<void()> turn) {
  machines_[machine]->turn = std::move(turn);
}

void SimGroup::note(std::uint64_t what) {
  digest_ = Prng(digest_ ^ (what * 0x9E3779B97F4A7C15U), clock_.now_ns()).next();
}

void SimGroup::send(std::uint8_t from, std::uint8_t to, Bytes frame) {
  KIMBERLITE_ASSERT(to < machines_.size());
  // The power went at a call of the turn that is still running.
  if (machines_[from]->storage->frozen()) {
    ++lost_;
    return;
  }
  if (filter_ && filter_(from, to, frame)) return;
  if (cuts_.contains({from, to}) || frames_choices_.one_in_million(network_.lost)) {
    ++lost_;
    return;
  }
  const int copies = frames_choices_.one_in_million(network_.doubled) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const std::uint64_t arrival = clock_.now_ns() + network_.delay_min_ns +
                                  frames_choices_.below(network_.delay_spread_ns + 1);
    frames_.emplace(std::pair{arrival, frames_sent_++},
                    Frame{.from = from, .to = to, .bytes = {frame.begin(), frame.end()}});
  }
}

void SimGroup::inject(std::uint8_t from, std::uint8_t to, Bytes frame, std::uint64_t later_ns) {
  frames_.emplace(std::pair{clock_.now_ns() + network_.delay_min_ns + later_ns, frames_sent_++},
                  Frame{.from = from, .to = to, .bytes = {frame.begin(), frame.end()}});
}

void SimGroup::deliver(Frame frame) {
  Machine& to = *machines_[frame.to];
  if (!to.on || to.turn == nullptr || cuts_.contains({frame.from, frame.to})) {
    ++lost_;
  } else if (to.paused) {
    to.waiting.push_back(std::move(frame));
  } else {
    note(1000 + frame.to);
    to.network->deliver(frame.from, frame.bytes);
  }
}

void SimGroup::resume(std::uint8_t index) {
  machines_[index]->paused = false;
  for (Frame& frame : std::exchange(machines_[index]->waiting, {})) deliver(std::move(frame));
}

DiskImage& SimGroup::disk(std::uint8_t index) {
  KIMBERLITE_ASSERT(!machines_[index]->on);
  return machines_[index]->image;
}

void SimGroup::step_clock(std::uint8_t index, std::int64_t us) {
  machines_[index]->clock->step(us);
}

void SimGroup::drift_clock(std::uint8_t index, std::int64_t ppm) {
  machines_[index]->clock->drift(ppm);
}

bool SimGroup::step(std::uint64_t wait_ns) { return step_beside(wait_ns, nullptr); }

bool SimGroup::step_beside(std::uint64_t wait_ns, const Machine* waiting) {
  if (between_ && !inside_) {
    inside_ = true;
    between_();
    inside_ = false;
  }
  const std::uint64_t now = clock_.now_ns();
  std::uint64_t next = now + wait_ns;
  bool any = false;
  const auto by = [&](std::optional<std::uint64_t> at) {
    if (!at || *at > next) return false;
    next = *at;
    any = true;
    return *at <= now;
  };
  std::vector<std::uint8_t> ready;
  for (std::uint8_t i = 0; i < size(); ++i) {
    Machine& machine = *machines_[i];
    if (!machine.on || machine.turn == nullptr || machine.paused || &machine == waiting) continue;
    const bool tasks = by(machine.tasks->next_ns());
    const bool disk = by(machine.storage->next_done_ns());
    if (tasks || disk) ready.push_back(i);
  }
  const bool frame = !frames_.empty() && by(frames_.begin()->first.first);
  if (waiting != nullptr) by(waiting->tasks->next_ns());
  if (frame && (ready.empty() || choices_.below(ready.size() + 1) == 0)) {
    Frame arrived = std::move(frames_.begin()->second);
    frames_.erase(frames_.begin());
    deliver(std::move(arrived));
    return true;
  }
  if (!ready.empty()) {
    const std::uint8_t chosen = ready[choices_.below(ready.size())];
    note(chosen);
    machines_[chosen]->turn();
    return true;
  }
  clock_.advance_to(next);
  return any;
}

void SimGroup::run_for(std::uint64_t ns) {
  const std::uint64_t end = clock_.now_ns() + ns;
  while (clock_.now_ns() < end) step(end - clock_.now_ns());
}

void SimGroup::power_off(std::uint8_t index) {
  Machine& machine = *machines_[index];
  if (!machine.on) return;
  note(2000 + index);
  machine.image = machine.storage->crash();
  machine.network->disconnect();
  machine.turn = nullptr;
  machine.on = false;
  machine.paused = false;
  machine.waiting.clear();
}

void SimGroup::power_on(std::uint8_t index, Faults faults) {
  KIMBERLITE_ASSERT(!machines_[index]->on);
  note(3000 + index);
  boot(index, std::move(faults));
}

}  // namespace kimberlite::vopr
