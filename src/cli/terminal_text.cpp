#include "cli/terminal_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/bytes.hpp"

namespace kimberlite::cli {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

constexpr std::array wide_ranges{
    Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0xA4CF},
    Range{0xA960, 0xA97C},   Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},
    Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},
    Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1FAFF},
    Range{0x20000, 0x3FFFD}};
constexpr std::array combining_ranges{
    Range{0x0300, 0x036F}, Range{0x1AB0, 0x1AFF}, Range{0x1DC0, 0x1DFF}, Range{0x200B, 0x200F},
    Range{0x20D0, 0x20FF}, Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F}, Range{0xFEFF, 0xFEFF}};
// Embeddings, overrides and isolates: they change the order in which what follows is shown.
constexpr std::array direction_ranges{Range{0x202A, 0x202E}, Range{0x2066, 0x2069}};

bool in(std::span<const Range> ranges, char32_t c) {
  return std::ranges::any_of(ranges, [c](Range r) { return c >= r.first && c <= r.last; });
}

struct Character {
  char32_t code = 0;
  std::size_t size = 1;
  bool valid = false;
};

// The first character of `text`, which is not empty; invalid ones are one byte.
Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (size > text.size() || !is_utf8_text(text.substr(0, size))) return {lead, 1, false};
  char32_t code = lead & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    code = (code << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  return {code, size, true};
}

std::size_t width_of(char32_t code) {
  if (code < 0x300) return 1;
  if (in(combining_ranges, code)) return 0;
  return in(wide_ranges, code) ? 2 : 1;
}

void append_escape(std::string& to, const Character& c) {
  if (c.valid && c.code == '\n') {
    to += "\\n";
  } else if (c.valid && c.code == '\t') {
    to += "\\t";
  } else if (c.valid && c.code == '\r') {
    to += "\\r";
  } else if (c.code < 0x100) {
    to += fmt::format("\\x{:02x}", static_cast<std::uint32_t>(c.code));
  } else {
    to += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c.code));
  }
}

bool must_escape(const Character& c) {
  return !c.valid || c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0) ||
         in(direction_ranges, c.code);
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Character c = first_character(text);
    width += width_of(c.code);
    text.remove_prefix(c.size);
  }
  return width;
}

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const Character c = first_character(text);
    if (must_escape(c)) {
      append_escape(shown, c);
    } else {
      shown.append(text.substr(0, c.size));
    }
    text.remove_prefix(c.size);
  }
  return shown;
}

std::string truncated(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string{text};
  std::size_t kept = 0;
  std::size_t taken = 0;
  while (kept < text.size()) {
    const Character c = first_character(text.substr(kept));
    if (taken + width_of(c.code) > width - 1) break;
    taken += width_of(c.code);
    kept += c.size;
  }
  return std::string{text.substr(0, kept)} + "…";
}

}  // namespace kimberlite::cli
