// Whether long work is to end before its end: at Ctrl-C, or when the time of --timeout is up.
//
// The time begins where it is made. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "app.hpp"
#include "cli/interrupt.hpp"

namespace kimberlite::cli {

class Stop {
 public:
  explicit Stop(App& app) : clock_(app.clock()) {
    // `main` refused one that means nothing.
    const std::uint64_t timeout_ns = app.timeout_ns().value_or(0);
    if (timeout_ns > 0) until_ns_ = clock_.monotonic_ns() + timeout_ns;
  }

  // Asked now and then by the work; once it is false, it stays so.
  [[nodiscard]] bool go_on() {
    is_over_ = is_over_ || interrupted() || clock_.monotonic_ns() >= until_ns_;
    return !is_over_;
  }
  // Whether `go_on` ever said no: work that never heard that is whole.
  [[nodiscard]] bool is_over() const { return is_over_; }

  // Why it ended; `when` as in "after 3 of 10 seeds".
  [[nodiscard]] Error error(std::string_view when) const {
    if (interrupted()) return Error{Code::interrupted_signal, "stopped {}", when};
    return Error{Code::timeout_statement, "stopped {}: its time is up", when}.next(
        "give it more with --timeout");
  }

 private:
  env::Clock& clock_;
  std::uint64_t until_ns_ = std::numeric_limits<std::uint64_t>::max();
  bool is_over_ = false;
};

}  // namespace kimberlite::cli
