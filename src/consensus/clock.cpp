#include "consensus/clock.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/probe.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/frame.hpp"

namespace kimberlite::consensus {
namespace {

constexpr std::int64_t millionths = 1'000'000;

std::int64_t us_of(std::uint64_t ns) { return static_cast<std::int64_t>(ns / 1000); }

// No real clock is beyond; keeps differences from wrapping.
std::int64_t us_of(TimestampUs time) {
  return static_cast<std::int64_t>(std::min(time.value(), timestamp_max));
}

// Wall - monotonic clock.
std::int64_t between(Now now) { return us_of(now.realtime) - us_of(now.monotonic_ns); }

// As wide as it is after so long.
ClockInterval aged(const ClockInterval& interval, std::uint64_t since_ns, std::uint64_t now_ns) {
  const std::int64_t drift =
      us_of(now_ns - std::min(since_ns, now_ns)) * drift_ppm / millionths + 1;
  return {interval.low - drift, interval.high + drift};
}

std::int64_t width(const ClockInterval& interval) { return interval.high - interval.low; }

bool overlap(const ClockInterval& a, const ClockInterval& b) {
  return a.low <= b.high && b.low <= a.high;
}

}  // namespace

std::string_view name(ClockStatus status) {
  switch (status) {
    case ClockStatus::alone:
      return "alone";
    case ClockStatus::waiting:
      return "waiting";
    case ClockStatus::agreed:
      return "agreed";
    case ClockStatus::apart:
      return "apart";
    case ClockStatus::outvoted:
      return "outvoted";
    case ClockStatus::jumped:
      return "jumped";
  }
  return "unknown";
}

// The edges in order, counting the intervals that are open: where the count is highest, the
// interval reaches from the edge that made it so to the next one, which closes one.
ClockAgreement marzullo(std::span<const ClockInterval> intervals) {
  struct Edge {
    std::int64_t at = 0;
    bool closes = false;
  };
  KIMBERLITE_ASSERT(intervals.size() <= members_max);
  std::array<Edge, 2 * members_max> edges{};
  std::size_t count = 0;
  for (const ClockInterval& one : intervals) {
    KIMBERLITE_ASSERT(one.low <= one.high);
    edges[count++] = {one.low, false};
    edges[count++] = {one.high, true};
  }
  const std::span used{edges.data(), count};
  // Those that touch in one point share it.
  std::ranges::sort(used, [](const Edge& a, const Edge& b) {
    return a.at != b.at ? a.at < b.at : !a.closes && b.closes;
  });
  ClockAgreement best;
  std::uint32_t open = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (used[i].closes) {
      --open;
      continue;
    }
    ++open;
    const ClockInterval here{used[i].at, used[std::min(i + 1, count - 1)].at};
    if (open > best.sources || (open == best.sources && width(here) < width(best.interval))) {
      best = {here, open};
    }
  }
  return best;
}

ClusterClock::ClusterClock(std::uint16_t voters, std::uint8_t self, Now now)
    : voters_(voters),
      self_(self),
      status_(is_alone() ? ClockStatus::alone : ClockStatus::waiting),
      seen_us_(between(now)),
      base_us_(seen_us_),
      begun_ns_(now.monotonic_ns) {}

void ClusterClock::set_voters(std::uint16_t voters, Now now) {
  voters_ = voters;
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (!votes(i)) samples_[i].reset();
  }
  begun_ns_ = now.monotonic_ns;
  decide(now);
}

// (T3)
void ClusterClock::observe(Now now) {
  const std::int64_t here = between(now);
  const std::int64_t step = here - seen_us_;
  if (step <= clock_step_us && step >= -clock_step_us) return;
  probe<"consensus.clock.step">();
  seen_us_ = here;
  steps_ = {.count = steps_.count + 1, .last_us = step};
  // The wall clock was set, or the monotonic one stood still while the machine slept: then what is
  // known of the others is wrong too.
  if (!is_alone()) {
    rounds_ = {};
    samples_ = {};
    begun_ns_ = now.monotonic_ns;
    return decide(now);
  }
  const bool jumped = here - base_us_ > clock_jump_us && !is_planted(Canary::trust_own_clock);
  if (jumped) probe<"consensus.clock.jump">();
  if (!jumped) base_us_ = here;
  status_ = jumped ? ClockStatus::jumped : ClockStatus::alone;
}

void ClusterClock::sent(std::uint64_t round, Now now) {
  rounds_[round % rounds_kept] = {.round = round, .sent_ns = now.monotonic_ns};
}

// (T2)
void ClusterClock::heard(std::uint8_t from, std::uint64_t round, TimestampUs wall, Now now) {
  if (is_alone() || !votes(from) || from == self_ || round == 0) return;
  const Round& sent = rounds_[round % rounds_kept];
  if (sent.round != round || now.monotonic_ns < sent.sent_ns) return;
  if (now.monotonic_ns - sent.sent_ns > round_trip_max_ns) {
    probe<"consensus.clock.round_trip_too_long">();
    return;
  }
  // All three are cut to whole µs.
  const std::int64_t there = us_of(wall);
  const Sample fresh{
      .interval = {there - us_of(now.monotonic_ns) - 1, there - us_of(sent.sent_ns) + 1},
      .round = round,
      .at_ns = sent.sent_ns};
  std::optional<Sample>& held = samples_[from];
  if (held && held->at_ns + sample_age_max_ns > now.monotonic_ns) {
    const ClockInterval old = aged(held->interval, held->at_ns, now.monotonic_ns);
    const ClockInterval now_is = aged(fresh.interval, fresh.at_ns, now.monotonic_ns);
    const bool was_set = !overlap(old, now_is) && round > held->round;
    if (was_set) probe<"consensus.clock.peer_was_set">();
    if (!was_set && (width(now_is) > width(old) || !overlap(old, now_is))) return;
  }
  held = fresh;
}

// (T1)
void ClusterClock::decide(Now now) {
  if (is_alone()) return;
  if (is_planted(Canary::trust_own_clock)) {
    status_ = ClockStatus::agreed;
    return;
  }
  const std::int64_t own = between(now);
  std::array<ClockInterval, members_max> known{};
  std::size_t count = 0;
  known[count++] = {-clock_tolerance_us, clock_tolerance_us};
  for (std::uint8_t i = 0; i < members_max; ++i) {
    const std::optional<Sample>& sample = samples_[i];
    if (!sample || sample->at_ns + sample_age_max_ns <= now.monotonic_ns) continue;
    const ClockInterval at = aged(sample->interval, sample->at_ns, now.monotonic_ns);
    known[count++] = {at.low - own - clock_tolerance_us, at.high - own + clock_tolerance_us};
  }
  const auto voters = static_cast<std::uint32_t>(std::popcount(voters_));
  const std::uint32_t quorum = core::replication_quorum(voters);
  const ClockAgreement best = marzullo({known.data(), count});
  offset_.reset();
  if (best.sources >= quorum) {
    offset_ = best;
    const bool with_this = overlap(best.interval, known[0]);
    if (!with_this) probe<"consensus.clock.outvoted">();
    status_ = with_this ? ClockStatus::agreed : ClockStatus::outvoted;
    agreed_ = {best.interval.low + own, best.interval.high + own};
    decided_ns_ = now.monotonic_ns;
    return;
  }
  const bool all_known = count == voters;
  if (count < quorum || (!all_known && now.monotonic_ns < begun_ns_ + clock_patience_ns)) {
    status_ = ClockStatus::waiting;
    return;
  }
  probe<"consensus.clock.apart">();
  offset_ = best;
  status_ = ClockStatus::apart;
}

TimestampUs ClusterClock::stamp(Now now) const {
  KIMBERLITE_ASSERT(may_stamp());
  if (status_ == ClockStatus::alone || is_planted(Canary::trust_own_clock)) return now.realtime;
  const ClockInterval at = aged(agreed_, decided_ns_, now.monotonic_ns);
  const std::int64_t monotonic = us_of(now.monotonic_ns);
  const std::int64_t low = at.low + monotonic;
  const std::int64_t high = at.high + monotonic;
  const std::int64_t own = us_of(now.realtime);
  if (own < low || own > high) probe<"consensus.clock.stamp_moved">();
  return TimestampUs{
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, std::clamp(own, low, high)))};
}

}  // namespace kimberlite::consensus
