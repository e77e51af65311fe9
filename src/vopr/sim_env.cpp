#include "vopr/sim_env.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>

#include "base/le.hpp"

namespace kimberlite::vopr {

std::uint64_t SimClock::monotonic_ns() {
  now_ns_ += look_ns;
  return now_ns_;
}

TimestampUs SimClock::realtime() {
  now_ns_ += look_ns;
  return TimestampUs{static_cast<std::uint64_t>(std::max<std::int64_t>(0, realtime_us()))};
}

void SimRandom::fill(MutBytes to) {
  while (!to.empty()) {
    std::array<std::byte, 8> word{};
    store_le(word.data(), prng_.next());
    const std::size_t count = std::min(to.size(), word.size());
    std::copy_n(word.begin(), count, to.begin());
    to = to.subspan(count);
  }
}

void SimExecutor::post(std::uint64_t strand, env::Task task) {
  strands_[strand].push_back(std::move(task));
}

void SimExecutor::post_after(std::uint64_t delay_ns, std::uint64_t strand, env::Task task) {
  const std::uint64_t now = clock_.now_ns();
  const std::uint64_t due =
      delay_ns > std::numeric_limits<std::uint64_t>::max() - now ? UINT64_MAX : now + delay_ns;
  timers_.emplace(std::pair{due, timers_posted_++}, std::pair{strand, std::move(task)});
}

void SimExecutor::fire_timers() {
  while (!timers_.empty() && timers_.begin()->first.first <= clock_.now_ns()) {
    auto due = timers_.extract(timers_.begin());
    post(due.mapped().first, std::move(due.mapped().second));
  }
}

bool SimExecutor::run_one(std::uint64_t wait_ns) {
  fire_timers();
  if (strands_.empty()) {
    const std::uint64_t now = clock_.now_ns();
    if (timers_.empty() || timers_.begin()->first.first - now > wait_ns) {
      clock_.advance(wait_ns);
      return false;
    }
    clock_.advance_to(timers_.begin()->first.first);
    fire_timers();
  }
  const auto chosen =
      std::next(strands_.begin(), static_cast<std::ptrdiff_t>(prng_.below(strands_.size())));
  env::Task task = std::move(chosen->second.front());
  chosen->second.pop_front();
  if (chosen->second.empty()) strands_.erase(chosen);
  task();
  return true;
}

std::optional<std::uint64_t> SimExecutor::next_ns() const {
  if (!strands_.empty()) return clock_.now_ns();
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

std::size_t SimExecutor::pending() const {
  std::size_t count = timers_.size();
  for (const auto& [strand, tasks] : strands_) count += tasks.size();
  return count;
}

}  // namespace kimberlite::vopr
