#include "vopr/sim_group.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/limits.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::size_t sent_max = 64;

}  // namespace

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
    if (group_.instead_of_waiting_ && group_.instead_of_waiting_()) return true;
    const bool paused = machine_.paused_until_ns > group_.clock_.now_ns();
    if (!paused && machine_.tasks->run_one(0)) return true;
    if (wait_ns == 0) return false;
    ++machine_.waiting;
    const bool any = group_.step_beside(wait_ns, &machine_);
    --machine_.waiting;
    return any;
  }
  void wake() override {}  // one thread: nobody waits while another calls

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
    const auto us = static_cast<std::int64_t>(shared_.realtime().value()) + off_us();
    return TimestampUs{static_cast<std::uint64_t>(std::max<std::int64_t>(0, us))};
  }

  [[nodiscard]] std::int64_t off_us() const { return step_us_ + ahead_ns() / 1000; }
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
  machine.paused_until_ns = 0;
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
  ++events_;
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
  const auto on_its_way = [this](Frame one) {
    std::uint64_t arrival = clock_.now_ns() + network_.delay_min_ns +
                            frames_choices_.below(network_.delay_spread_ns + 1);
    const auto clog = clogs_.find({one.from, one.to});
    if (clog != clogs_.end()) arrival = std::max(arrival, clog->second);
    frames_.emplace(std::pair{arrival, frames_sent_++}, std::move(one));
  };
  const int copies = frames_choices_.one_in_million(network_.doubled) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Frame one{.from = from, .to = to, .bytes = {frame.begin(), frame.end()}};
    if (network_.replayed > 0 && i == 0) {
      sent_.push_back(one);
      if (sent_.size() > sent_max) sent_.pop_front();
    }
    if (frames_choices_.one_in_million(network_.spoilt)) spoil(one.bytes);
    on_its_way(std::move(one));
  }
  if (frames_choices_.one_in_million(network_.replayed)) {
    on_its_way(sent_[frames_choices_.below(sent_.size())]);
  }
}

// As no machine would send it.
void SimGroup::spoil(Buffer& frame) {
  ++spoilt_;
  switch (frames_choices_.below(5)) {
    case 0:
    case 1:
      frame[frames_choices_.below(frame.size())] ^=
          static_cast<std::byte>(1U << frames_choices_.below(8));
      return;
    case 2:
      frame.resize(frames_choices_.below(frame.size()));
      return;
    case 3:
      frame.resize(frame.size() + 1 + frames_choices_.below(8000));
      return;
    default:
      // Longer than anything that may be sent, rarely: it costs as much as it is long.
      frame.resize(frames_choices_.below(16) == 0 ? base::prepare_size_max + sector_size : 70'000);
      for (std::size_t i = 0; i < frame.size(); i += 97) {
        frame[i] = static_cast<std::byte>(frames_choices_.next());
      }
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
  } else if (to.paused_until_ns > 0) {
    to.held.push_back(std::move(frame));
  } else {
    note(1000 + frame.to);
    to.network->deliver(frame.from, frame.bytes);
  }
}

void SimGroup::resume(std::uint8_t index) {
  machines_[index]->paused_until_ns = 0;
  for (Frame& frame : std::exchange(machines_[index]->held, {})) deliver(std::move(frame));
}

DiskImage& SimGroup::disk(std::uint8_t index) {
  KIMBERLITE_ASSERT(!machines_[index]->on);
  return machines_[index]->image;
}

void SimGroup::step_clock(std::uint8_t index, std::int64_t us) {
  machines_[index]->clock->step(us);
}

std::int64_t SimGroup::clock_off_us(std::uint8_t index) const {
  return machines_[index]->clock->off_us();
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
  for (std::uint8_t i = 0; i < size(); ++i) {
    const std::uint64_t until = machines_[i]->paused_until_ns;
    if (until > 0 && until <= now) resume(i);
  }
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
    if (!machine.on || machine.turn == nullptr || &machine == waiting) continue;
    if (machine.paused_until_ns > now) {
      if (machine.paused_until_ns < UINT64_MAX) by(machine.paused_until_ns);
      continue;
    }
    const bool tasks = by(machine.tasks->next_ns());
    // Whoever waits there looks at the disk when this returns to him, and nobody before.
    const bool disk = machine.waiting == 0 && by(machine.storage->next_done_ns());
    if (tasks || disk) ready.push_back(i);
  }
  const bool frame = !frames_.empty() && by(frames_.begin()->first.first);
  if (waiting != nullptr) {
    const auto due = waiting->tasks->next_ns();
    if (due && waiting->paused_until_ns < UINT64_MAX) by(std::max(*due, waiting->paused_until_ns));
  }
  if (frame && (ready.empty() || choices_.below(ready.size() + 1) == 0)) {
    Frame arrived = std::move(frames_.begin()->second);
    frames_.erase(frames_.begin());
    deliver(std::move(arrived));
    return true;
  }
  if (!ready.empty()) {
    const std::uint8_t chosen = ready[choices_.below(ready.size())];
    note(chosen);
    // It may be taken away meanwhile: the power may fail in it.
    const std::function<void()> turn = machines_[chosen]->turn;
    turn();
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
  machine.paused_until_ns = 0;
  machine.held.clear();
}

void SimGroup::power_on(std::uint8_t index, Faults faults) {
  KIMBERLITE_ASSERT(!machines_[index]->on);
  note(3000 + index);
  boot(index, std::move(faults));
}

}  // namespace kimberlite::vopr
