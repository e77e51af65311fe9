// A life in a process of its own: one that an assertion ends, or that has no end, is an end like
// any other to who lives many.
//
// Ownership: the child is waited for. Thread rule: the process has one thread when it is called.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.hpp"
#include "vopr/life.hpp"

namespace kimberlite::vopr {

inline constexpr std::string_view endless = "the life does not end";

// How `live` ended in a child: its finding or refusal, and nothing else of its report. A child that
// died has the finding `assertion`, whose text is the first line it wrote to standard error, or its
// signal; so has one that `seconds` were not enough for. `go_on` is asked now and then; false kills
// the child, and there is no finding. `unavailable.busy`: there was no process to be had, or
// somebody else killed it.
[[nodiscard]] Result<LifeReport> live_apart(const std::function<LifeReport()>& live,
                                            unsigned seconds,
                                            const std::function<bool()>& go_on = {});

}  // namespace kimberlite::vopr
