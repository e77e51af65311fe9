#include "cli/progress.hpp"

#include <fmt/format.h>

#include <array>

#include "cli/terminal_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::string_view back_and_erase = "\r\x1b[K";
constexpr double ns_per_second = 1e9;

}  // namespace

std::string grouped(std::uint64_t count) {
  const std::string digits = fmt::format("{}", count);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string plural(std::uint64_t count, std::string_view word) {
  return fmt::format("{} {}{}", grouped(count), word, count == 1 ? "" : "s");
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> units{"kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  // 999.95 would be shown as 1000.0 of its unit.
  for (; value >= 999.95 && unit + 1 < units.size(); ++unit) value /= 1000;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string duration_text(std::uint64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} m {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} m", seconds / 3600, seconds % 3600 / 60);
}

std::string ProgressLine::text(const ProgressState& state, std::uint64_t now_ns) const {
  const double elapsed = static_cast<double>(now_ns - start_ns_) / ns_per_second;
  const double rate = elapsed > 0 ? static_cast<double>(state.bytes) / elapsed : 0;
  std::string line =
      fmt::format("{}   {} rows   {}", label_, grouped(state.rows), bytes_text(state.bytes));
  const bool total_known = state.bytes_total >= state.bytes && state.bytes_total > 0;
  if (total_known) {
    // Percent in floating point: bytes * 100 could leave 64 bits.
    line += fmt::format(
        " of {} ({:.0f} %)", bytes_text(state.bytes_total),
        100.0 * static_cast<double>(state.bytes) / static_cast<double>(state.bytes_total));
  }
  line += fmt::format("   {}/s", bytes_text(static_cast<std::uint64_t>(rate)));
  if (total_known && rate >= 1) {
    line += fmt::format("   {} left",
                        duration_text(static_cast<std::uint64_t>(
                            static_cast<double>(state.bytes_total - state.bytes) / rate)));
  }
  return line;
}

std::string ProgressLine::update(const ProgressState& state, std::uint64_t now_ns) {
  next_ns_ = now_ns + interval_ns;
  shown_ = true;
  return std::string{back_and_erase} + truncated(text(state, now_ns), width_);
}

std::string ProgressLine::clear() const {
  return shown_ ? std::string{back_and_erase} : std::string{};
}

}  // namespace kimberlite::cli
