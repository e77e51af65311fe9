// One line that tells how far a long command has come, on a terminal only.
//
//   patients   12,345 rows   3.4 of 10.2 MB (33 %)   1.2 MB/s   6 s left
//
// `ProgressLine` is pure: it says what the line is and when it is due; the caller has the clock and
// writes. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kimberlite::cli {

struct ProgressState {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_total = 0;  // 0: not known
};

class ProgressLine {
 public:
  // Nothing is shown before half a second, then ten times a second at most.
  static constexpr std::uint64_t first_ns = 500'000'000;
  static constexpr std::uint64_t interval_ns = 100'000'000;

  // `width`: columns of the terminal; 0: no terminal, and nothing is ever due.
  ProgressLine(std::string label, std::size_t width, std::uint64_t now_ns)
      : label_(std::move(label)), width_(width), start_ns_(now_ns), next_ns_(now_ns + first_ns) {}

  [[nodiscard]] bool due(std::uint64_t now_ns) const { return width_ > 0 && now_ns >= next_ns_; }
  // What to write now: it takes the place of the line before.
  [[nodiscard]] std::string update(const ProgressState& state, std::uint64_t now_ns);
  // What to write at the end: the line is gone, whatever it was; empty if there was none.
  [[nodiscard]] std::string clear() const;
  // The line alone.
  [[nodiscard]] std::string text(const ProgressState& state, std::uint64_t now_ns) const;

 private:
  std::string label_;
  std::size_t width_;
  std::uint64_t start_ns_;
  std::uint64_t next_ns_;
  bool shown_ = false;
};

// "12,345", "1 row" or "12,345 rows", "1.2 MB", "3 m 20 s".
[[nodiscard]] std::string grouped(std::uint64_t count);
[[nodiscard]] std::string plural(std::uint64_t count, std::string_view word);
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
[[nodiscard]] std::string duration_text(std::uint64_t seconds);

}  // namespace kimberlite::cli
