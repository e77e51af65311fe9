#include <sys/random.h>
#include <time.h>

#include <cerrno>

#include "base/assert.hpp"
#include "platform/env.hpp"

namespace kimberlite::platform {
namespace {

constexpr std::uint64_t ns_per_s = 1'000'000'000;

timespec read_clock(clockid_t id) {
  timespec now{};
  KIMBERLITE_ASSERT(::clock_gettime(id, &now) == 0);
  return now;
}

}  // namespace

// It goes on while the machine sleeps, which is then no step of the wall clock.
std::uint64_t SystemClock::monotonic_ns() {
  const timespec now = read_clock(CLOCK_BOOTTIME);
  return static_cast<std::uint64_t>(now.tv_sec) * ns_per_s +
         static_cast<std::uint64_t>(now.tv_nsec);
}

TimestampUs SystemClock::realtime() {
  const timespec now = read_clock(CLOCK_REALTIME);
  return TimestampUs{static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                     static_cast<std::uint64_t>(now.tv_nsec) / 1'000};
}

void SystemRandom::fill(MutBytes to) {
  while (!to.empty()) {
    const ssize_t got = ::getrandom(to.data(), to.size(), 0);
    // Without randomness no key and no nonce is safe; the call cannot fail once the kernel has
    // booted, so a failure here is a broken machine.
    KIMBERLITE_ASSERT(got > 0 || errno == EINTR);
    if (got > 0) to = to.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace kimberlite::platform
