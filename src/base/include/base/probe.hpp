// Probes: marks on rare branches, so that a simulation can say which of them it ever took.
//
//   if (quorum_lost) { probe<"engine.quorum.timeout">(); … }
//
// A probe is known by its name from the start of the program, hit or not; the same name in two
// places is one probe. A hit is one relaxed addition, in every build. Thread rule: all functions
// are thread-safe; counts are exact once whoever counts has been joined.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kimberlite::base {

class Probe {
 public:
  explicit Probe(std::string_view name) noexcept;
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  void hit() { hits_.fetch_add(1, std::memory_order_relaxed); }

 private:
  friend struct ProbeList;
  std::string_view name_;
  std::atomic<std::uint64_t> hits_ = 0;
  Probe* next_ = nullptr;
};

// A string literal as a template argument.
template <std::size_t Size>
struct ProbeName {
  char text[Size];  // NOLINT: an array of the language, so that a literal converts
  // NOLINTNEXTLINE: implicit, for the same reason.
  consteval ProbeName(const char (&literal)[Size]) { std::copy_n(literal, Size, text); }
};

template <ProbeName Name>
struct ProbeNamed {
  static inline Probe probe{std::string_view{Name.text, sizeof Name.text - 1}};
};

struct ProbeCount {
  std::string_view name;
  std::uint64_t hits = 0;
};
// Every probe of the program, by name.
[[nodiscard]] std::vector<ProbeCount> probe_counts();

}  // namespace kimberlite::base

namespace kimberlite {

template <base::ProbeName Name>
void probe() {
  base::ProbeNamed<Name>::probe.hit();
}

}  // namespace kimberlite
