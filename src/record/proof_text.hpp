// What the texts of proofs have in common: lines, numbers, hashes.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace kimberlite::record {

// A proof of a tree of 2^63 leaves has at most so many hashes.
inline constexpr std::size_t path_hashes_max = 64;

// Takes the first line off `text`, without its newline; nothing if there is no whole line.
inline std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

// A decimal number below 2^63 without leading zeros.
inline std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (value >> 63U != 0) return std::nullopt;
  return value;
}

inline std::optional<Hash> parse_hash(std::string_view text) {
  const auto bytes = from_base64(text);
  if (!bytes || bytes->size() != sizeof(Hash)) return std::nullopt;
  Hash hash;
  std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
}

// One hash a line up to an empty line, which is taken too; nothing if that is not what is there.
inline std::optional<std::vector<Hash>> take_path(std::string_view& text) {
  std::vector<Hash> path;
  while (true) {
    const auto line = take_line(text);
    if (!line) return std::nullopt;
    if (line->empty()) return path;
    const auto hash = parse_hash(*line);
    if (!hash || path.size() == path_hashes_max) return std::nullopt;
    path.push_back(*hash);
  }
}

inline void append_path(std::string& to, const std::vector<Hash>& path) {
  for (const Hash& hash : path) {
    append_base64(to, hash);
    to += '\n';
  }
}

}  // namespace kimberlite::record
