// The cluster's time, sans I/O: which time a quorum of clocks agrees on, and whether this machine's
// clock may stamp.
//
// A voter learns the others' wall clocks from the pings they answer. It sent one and heard the
// answer by its own monotonic clock, so the other clock was read somewhere between: a sample is an
// interval for (that wall clock - this monotonic clock), as wide as the round trip, and wider the
// older it gets (`drift_ppm`). Of each peer the narrowest sample is kept, unless a
// newer one contradicts it: then that clock was set. Every clock, this one included, may be
// `clock_tolerance_us` off; the time agreed on is the smallest interval consistent with the most of
// them (Marzullo). Invariants:
//   (T1) A stamp of a group's primary lies in an interval that a replication quorum of the voters'
//        clocks, its own included, agreed on.                               [kept: stamp, decide]
//   (T2) No sample says more than a round trip proves: what came late, twice or out of order is a
//        wider interval, or none.                                           [kept: heard]
//   (T3) A wall clock that was set by more than `clock_step_us` against the monotonic clock stamps
//        nothing before it was compared anew; of a lone voter, before it is back, if it went more
//        than `clock_jump_us` forward.                                      [kept: observe]
// That stamps never go back is the log's rule, not this room's (replica_log.cpp).
//
// Times are µs since 1970, monotonic ones ns; intervals are closed. Thread rule: values, one thread
// at a time. Source: Marzullo, "Maintaining the Time in a Distributed System", 1984; design,
// consensus.md "Cluster time".
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/ids.hpp"
#include "consensus/superblock.hpp"

namespace kimberlite::consensus {

struct Now {
  std::uint64_t monotonic_ns = 0;
  TimestampUs realtime;
};

// How far a clock may be from the true time and count as right: where a leap second is left out on
// one machine and repeated on another, they are two seconds apart.
inline constexpr std::int64_t clock_tolerance_us = 1'000'000;
inline constexpr std::int64_t clock_step_us = 1'000'000;
inline constexpr std::int64_t clock_jump_us = 10'000'000;
inline constexpr std::int64_t drift_ppm = 200;  // of one clock against another
inline constexpr std::uint64_t round_trip_max_ns = 2'000'000'000;
inline constexpr std::uint64_t sample_age_max_ns = 10'000'000'000;
// So long after it began, or was set, it waits for all voters' clocks before it says that too few
// agree.
inline constexpr std::uint64_t clock_patience_ns = 500'000'000;

struct ClockInterval {
  std::int64_t low = 0;
  std::int64_t high = 0;
  friend bool operator==(const ClockInterval&, const ClockInterval&) = default;
};

struct ClockAgreement {
  ClockInterval interval;
  std::uint32_t sources = 0;  // how many intervals hold all of it
  friend bool operator==(const ClockAgreement&, const ClockAgreement&) = default;
};

// The smallest interval that the most of at most `members_max` intervals hold; the earlier one of
// equals. No sources for no intervals.
[[nodiscard]] ClockAgreement marzullo(std::span<const ClockInterval> intervals);

enum class ClockStatus : std::uint8_t {
  alone,     // one voter: its clock is the cluster's
  waiting,   // too few clocks are known
  agreed,    // with a quorum
  apart,     // no quorum of clocks agrees on anything
  outvoted,  // a quorum agrees on another time
  jumped,    // one voter, whose clock went far forward
};
[[nodiscard]] std::string_view name(ClockStatus status);

// How often the wall clock was set by more than `clock_step_us`, and how far the last time.
struct ClockSteps {
  std::uint64_t count = 0;
  std::int64_t last_us = 0;
};

class ClusterClock {
 public:
  // Of member `self`; bit i of `voters`: member i votes.
  ClusterClock(std::uint16_t voters, std::uint8_t self, Now now);
  // The group has other voters from now on.
  void set_voters(std::uint16_t voters, Now now);

  // Of every event, before it is looked at: notices that the wall clock was set, and forgets what
  // it was compared with.
  void observe(Now now);
  // A ping of that round leaves; rounds are of this life and go up.
  void sent(std::uint64_t round, Now now);
  // That member answered the ping of that round, at that time by its wall clock.
  void heard(std::uint8_t from, std::uint64_t round, TimestampUs wall, Now now);
  // Compares the clocks known; by now some samples may be too old to count.
  void decide(Now now);

  [[nodiscard]] ClockStatus status() const { return status_; }
  // It is known that this clock must not stamp.
  [[nodiscard]] bool refuses() const {
    return status_ == ClockStatus::apart || status_ == ClockStatus::outvoted ||
           status_ == ClockStatus::jumped;
  }
  [[nodiscard]] bool may_stamp() const {
    return status_ == ClockStatus::alone || status_ == ClockStatus::agreed;
  }
  // Now, within what was agreed. Only while `may_stamp()`.
  [[nodiscard]] TimestampUs stamp(Now now) const;
  [[nodiscard]] const ClockSteps& steps() const { return steps_; }
  // What the most clocks agree on, against this one. Nothing of a lone voter, or while waiting.
  [[nodiscard]] const std::optional<ClockAgreement>& offset() const { return offset_; }

 private:
  static constexpr std::size_t rounds_kept = 64;
  struct Round {
    std::uint64_t round = 0;  // 0: none
    std::uint64_t sent_ns = 0;
  };
  // A peer's wall clock - this monotonic clock, in µs.
  struct Sample {
    ClockInterval interval;
    std::uint64_t round = 0;
    std::uint64_t at_ns = 0;  // of its begin
  };

  [[nodiscard]] bool is_alone() const { return std::popcount(voters_) == 1; }
  [[nodiscard]] bool votes(std::uint8_t member) const {
    return member < members_max && ((std::uint32_t{voters_} >> member) & 1U) != 0;
  }

  std::uint16_t voters_;
  std::uint8_t self_;
  ClockStatus status_;
  ClockSteps steps_;
  std::int64_t seen_us_;                     // wall - monotonic clock since the last step
  std::int64_t base_us_;                     // and when it was last believed
  std::array<Round, rounds_kept> rounds_{};  // of round n in n % 64
  std::array<std::optional<Sample>, members_max> samples_{};
  std::uint64_t begun_ns_ = 0;
  // Of `agreed`: the cluster's time - this monotonic clock, at `decided_ns_`.
  ClockInterval agreed_;
  std::uint64_t decided_ns_ = 0;
  std::optional<ClockAgreement> offset_;
};

}  // namespace kimberlite::consensus
