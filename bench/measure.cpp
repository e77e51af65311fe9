#include "measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "base/assert.hpp"

namespace kimberlite::bench {

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

double seconds_since(std::uint64_t begun) { return static_cast<double>(now_ns() - begun) / 1e9; }

std::uint64_t bytes_read_from_disk() {
  std::ifstream file{"/proc/self/io"};
  std::string name;
  std::uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "read_bytes:") return value;
  }
  return 0;
}

double median(std::vector<double> samples) {
  KIMBERLITE_ASSERT(!samples.empty());
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::ranges::nth_element(samples, middle);
  return *middle;
}

void Series::add(double figure, double limit) {
  figures_.push_back(figure);
  limits_.push_back(limit);
}

void Series::note(std::string_view name, double value) { notes_.emplace_back(name, value); }

double Series::ratio() const {
  std::vector<double> ratios;
  ratios.reserve(figures_.size());
  for (std::size_t i = 0; i < figures_.size(); ++i) ratios.push_back(figures_[i] / limits_[i]);
  return median(std::move(ratios));
}

bool Series::met() const {
  return subject_.bound == Bound::at_most ? ratio() <= subject_.target : ratio() >= subject_.target;
}

std::string Series::json() const {
  std::string line = fmt::format(
      R"("case":"{}","figure":"{}","value":{:.6g},"limit":"{}","limit_value":{:.6g},"unit":"{}",)"
      R"("ratio":{:.4g},"bound":"{}","target":{:.4g},"met":{},"rounds":{})",
      subject_.name, subject_.figure, median(figures_), subject_.limit, median(limits_),
      subject_.unit, ratio(), subject_.bound == Bound::at_most ? "at most" : "at least",
      subject_.target, met(), figures_.size());
  for (const auto& [name, value] : notes_) line += fmt::format(R"(,"{}":{:.6g})", name, value);
  return line;
}

std::string Series::text() const {
  std::string line = fmt::format(
      "{:<24} {:>10.4g} / {:>10.4g} {:<9} = {:>7.4g}  (target {} {:g}){}", subject_.name,
      median(figures_), median(limits_), subject_.unit, ratio(),
      subject_.bound == Bound::at_most ? "<=" : ">=", subject_.target, met() ? "" : "  MISSED");
  for (const auto& [name, value] : notes_) line += fmt::format("  {}={:.4g}", name, value);
  return line;
}

}  // namespace kimberlite::bench
