#include "support/life.hpp"

namespace kimberlite::consensus::testing {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;
constexpr std::uint64_t hour_us = 3'600'000'000;

// Each life has a few faults only, so that one does not drown what another would show. Chances of
// each round in a hundred.
struct Faults {
  std::uint64_t crash = 0;
  std::uint64_t power_cut = 0;
  std::uint64_t restart = 10;
  std::uint64_t cut = 0;
  std::uint64_t join = 8;
  std::uint64_t isolate = 0;
  std::uint64_t rot = 0;
  std::uint64_t pause = 0;
  std::uint64_t slow = 0;
  std::uint64_t clock = 0;
  std::uint64_t lost_disk = 0;
  std::uint64_t old_disk = 0;
  std::uint64_t change = 0;
};

class Fate {
 public:
  explicit Fate(std::uint64_t seed) : rng_(seed * 77 + 1), cluster_(seed, draw()) {}

  Life run() {
    for (int i = 0; i < 400 && cluster_.wrong().empty(); ++i) round();
    cluster_.heal();
    if (cluster_.wrong().empty() && !cluster_.converge(30 * second)) {
      cluster_.complain("no agreement in peace" + cluster_.picture());
    }
    const OpNumber before = cluster_.committed();
    // Asked again, like any client does: a view that was about to end takes the first one with it.
    for (int i = 0; i < 100 && cluster_.wrong().empty() && cluster_.committed() == before; ++i) {
      if (cluster_.propose(300)) cluster_.run_for(second);
      cluster_.run_for(20 * ms);
    }
    if (cluster_.wrong().empty() &&
        (!cluster_.converge(2 * second) || cluster_.committed() == before)) {
      cluster_.complain("no progress in peace" + cluster_.picture());
    }
    return {cluster_.digest(), cluster_.counts(), cluster_.wrong(), cluster_.story()};
  }

 private:
  // Half of all lives do not have it at all.
  std::uint64_t maybe(std::uint64_t max) { return below(rng_, 2) == 0 ? 0 : below(rng_, max); }
  bool chance(std::uint64_t of_a_hundred) { return below(rng_, 100) < of_a_hundred; }
  std::uint8_t anyone() { return static_cast<std::uint8_t>(below(rng_, cluster_.members())); }

  ClusterOptions draw() {
    ClusterOptions options = small(below(rng_, 3) == 0 ? 5 : 3);
    options.standbys = below(rng_, 4) == 0 ? 1 : 0;
    options.changes = below(rng_, 4) == 0;
    if (options.changes) options.standbys = static_cast<std::uint8_t>(1 + below(rng_, 2));
    faults_.change = options.changes ? 2 + below(rng_, 60) : 0;
    options.lost = static_cast<std::uint32_t>(maybe(150));
    options.doubled = static_cast<std::uint32_t>(below(rng_, 100));
    options.replayed = static_cast<std::uint32_t>(maybe(100));
    options.spoilt = static_cast<std::uint32_t>(maybe(30));
    options.delay_max_ns = 1 + below(rng_, 30) * ms;
    options.replica.strict = below(rng_, 4) == 0;
    options.replica.checkpoint_commands = 5 + below(rng_, 60);
    options.lost_writes = static_cast<std::uint32_t>(maybe(30));
    options.failed_reads = static_cast<std::uint32_t>(maybe(100));
    faults_.crash = maybe(10);
    faults_.power_cut = maybe(4);
    faults_.restart = 2 + below(rng_, 20);
    faults_.cut = below(rng_, 10);
    faults_.isolate = below(rng_, 8);
    faults_.join = 2 + below(rng_, 15);
    faults_.rot = maybe(10);
    faults_.pause = maybe(5);
    faults_.slow = maybe(3);
    faults_.clock = maybe(5);
    faults_.lost_disk = below(rng_, 4) == 0 ? 1 + below(rng_, 3) : 0;
    faults_.old_disk = below(rng_, 4) == 0 ? below(rng_, 20) : 0;
    return options;
  }

  void round() {
    for (std::uint64_t n = below(rng_, 6); n > 0; --n) {
      cluster_.propose(208 + below(rng_, 2 * sector_size - frame_header_size - 207));
    }
    if (chance(30)) cluster_.read_index();
    if (chance(faults_.change)) cluster_.change_group();
    cluster_.run_for(1 + below(rng_, 40) * ms);
    if (chance(faults_.crash)) cluster_.crash(anyone());
    if (chance(faults_.power_cut)) {
      for (std::uint8_t i = 0; i < cluster_.members(); ++i) cluster_.crash(i);
    }
    for (std::uint8_t i = 0; i < cluster_.members(); ++i) {
      if (cluster_.is_up(i)) continue;
      if (chance(faults_.old_disk)) cluster_.copy_disk(i);
      if (chance(faults_.restart)) cluster_.start(i);
    }
    if (chance(faults_.lost_disk)) cluster_.lose_disk(anyone());
    if (chance(faults_.old_disk)) cluster_.put_back_disk(anyone());
    if (chance(faults_.cut)) {
      const std::uint8_t from = anyone();
      const std::uint8_t to = anyone();
      cluster_.cut(from, to, true);
      if (chance(50)) cluster_.cut(to, from, true);
    }
    if (chance(faults_.isolate)) {
      // The primary is whom it hurts; long enough for the others to find another.
      cluster_.isolate(chance(80) ? cluster_.primary().value_or(0) : anyone());
      apart_until_ns_ = cluster_.now_ns() + below(rng_, 2500) * ms;
    }
    if (cluster_.now_ns() >= apart_until_ns_ && chance(faults_.join)) cluster_.join_all();
    if (chance(faults_.rot)) rot(anyone());
    if (chance(faults_.pause)) cluster_.pause(anyone(), (1 + below(rng_, 2000)) * ms);
    if (chance(faults_.slow)) cluster_.slow_down(anyone(), chance(30) ? 100 : 1);
    if (chance(faults_.clock)) {
      cluster_.step_clock(anyone(), static_cast<std::int64_t>(below(rng_, 2 * hour_us)) -
                                        static_cast<std::int64_t>(hour_us));
    }
  }

  // What is only in memory still hides it: the damage shows in the next life.
  void rot(std::uint8_t index) {
    if (!cluster_.rot(index) || chance(50)) return;
    cluster_.crash(index);
    if (chance(50)) cluster_.start(index);
  }

  Rng rng_;
  Faults faults_;
  std::uint64_t apart_until_ns_ = 0;
  Cluster cluster_;
};

}  // namespace

ClusterOptions small(std::uint8_t voters) {
  return {
      .voters = voters,
      .replica = {.journal = {.ring_size = 64 * sector_size, .prepare_size_max = 2 * sector_size},
                  .checkpoint_commands = 20}};
}

Life live(std::uint64_t seed) { return Fate(seed).run(); }

}  // namespace kimberlite::consensus::testing
