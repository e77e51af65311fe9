// Making the plan of a life smaller for as long as it ends the same way: delta debugging over its
// incidents and the steps of its clients (Zeller and Hildebrandt 2002, ddmin).
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>

#include "vopr/life.hpp"
#include "vopr/plan.hpp"

namespace kimberlite::vopr {

// How a life ended: with this finding, or refused.
[[nodiscard]] bool ends_alike(const LifeReport& one, const LifeReport& other);
// True if there is anything to make smaller: a finding, or a refusal.
[[nodiscard]] bool has_an_end(const LifeReport& report);

struct Minimised {
  Plan plan;          // no part of it can be left out, unless `lives_max` was reached
  LifeReport report;  // of its life, as `lived` gave it
  std::uint64_t lives = 0;
  bool finished = false;
};

// `whole` is the life of `plan`; `lived` lives others. `tell` is called after each life that was
// tried; false stops.
[[nodiscard]] Minimised minimise(const Plan& plan, LifeReport whole, std::uint64_t lives_max,
                                 const std::function<LifeReport(const Plan&)>& lived,
                                 const std::function<bool(const Minimised& so_far)>& tell);

}  // namespace kimberlite::vopr
