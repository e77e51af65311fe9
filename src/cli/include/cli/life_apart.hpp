// A life in a process of its own: one that an assertion ends, or that has no end, is an end like
// any other to who lives many.
//
// Ownership: the child is waited for. Thread rule: the process has one thread when it is called.
#pragma once

#include <functional>

#include "vopr/life.hpp"

namespace kimberlite::cli {

// How `live` ended in a child: its finding or refusal, and nothing else of its report. A child that
// died has the finding `assertion`, whose text is the first line it wrote to standard error; so has
// one that `seconds` were not enough for. `unavailable.busy`: there is no process to be had.
[[nodiscard]] Result<vopr::LifeReport> live_apart(const std::function<vopr::LifeReport()>& live,
                                                  unsigned seconds);

}  // namespace kimberlite::cli
