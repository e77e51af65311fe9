#include "vopr/minimise.hpp"

#include <algorithm>

namespace kimberlite::vopr {
namespace {

using Numbers = std::vector<std::uint32_t>;

class Shrinking {
 public:
  Shrinking(const Plan& plan, LifeReport whole, std::uint64_t lives_max,
            const std::function<LifeReport(const Plan&)>& lived,
            const std::function<bool(const Minimised&)>& tell)
      : plan_(plan), lives_max_(lives_max), lived_(lived), tell_(tell) {
    best_.plan = plan;
    best_.report = std::move(whole);
  }

  Minimised run() {
    // Fewer steps let more incidents go, and the other way round.
    std::size_t before = 0;
    do {
      before = size();
      shrink(best_.plan.incident_numbers, [this](const Numbers& incidents) {
        return works(best_.plan.step_numbers, incidents);
      });
      shrink(best_.plan.step_numbers,
             [this](const Numbers& steps) { return works(steps, best_.plan.incident_numbers); });
    } while (size() < before && !stopped_);
    best_.finished = !stopped_;
    return std::move(best_);
  }

 private:
  [[nodiscard]] std::size_t size() const {
    return best_.plan.step_numbers.size() + best_.plan.incident_numbers.size();
  }

  bool works(const Numbers& steps, const Numbers& incidents) {
    if (stopped_) return false;
    Plan part = part_of(plan_, steps, incidents);
    LifeReport report = lived_(part);
    ++best_.lives;
    const bool alike = ends_alike(report, best_.report);
    if (alike) {
      best_.plan = std::move(part);
      best_.report = std::move(report);
    }
    if (best_.lives >= lives_max_ || !tell_(best_)) stopped_ = true;
    return alike;
  }

  // Leaves out chunks, then smaller ones, down to single numbers.
  void shrink(Numbers numbers, const std::function<bool(const Numbers&)>& works) {
    if (numbers.empty() || works({})) return;
    std::size_t chunk = (numbers.size() + 1) / 2;
    while (!stopped_) {
      bool any = false;
      for (std::size_t from = 0; from < numbers.size() && !stopped_;) {
        Numbers rest;
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          if (i < from || i >= from + chunk) rest.push_back(numbers[i]);
        }
        if (rest.size() < numbers.size() && works(rest)) {
          numbers = std::move(rest);
          any = true;
        } else {
          from += chunk;
        }
      }
      if (chunk == 1 && !any) return;
      if (!any) chunk = (chunk + 1) / 2;
    }
  }

  const Plan& plan_;
  std::uint64_t lives_max_;
  const std::function<LifeReport(const Plan&)>& lived_;
  const std::function<bool(const Minimised&)>& tell_;
  Minimised best_;
  bool stopped_ = false;
};

}  // namespace

bool has_an_end(const LifeReport& report) { return report.finding || report.refused; }

bool ends_alike(const LifeReport& one, const LifeReport& other) {
  if (one.finding.has_value() != other.finding.has_value()) return false;
  if (one.finding) {
    if (one.finding->invariant != other.finding->invariant) return false;
    // One assertion is not another.
    return one.finding->invariant != Invariant::assertion ||
           one.finding->text == other.finding->text;
  }
  return one.refused == other.refused;
}

Minimised minimise(const Plan& plan, LifeReport whole, std::uint64_t lives_max,
                   const std::function<LifeReport(const Plan&)>& lived,
                   const std::function<bool(const Minimised& so_far)>& tell) {
  return Shrinking(plan, std::move(whole), lives_max, lived, tell).run();
}

}  // namespace kimberlite::vopr
