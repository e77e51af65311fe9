#include "base/bytes.hpp"

#include <algorithm>

#include "base/le.hpp"

namespace kimberlite::base {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Length of the well-formed sequence at the start of `rest` (RFC 3629 §4), 0 if there is none.
std::size_t utf8_sequence(std::string_view rest) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const auto tail = [&](std::size_t i) { return i < rest.size() && (at(i) & 0xC0U) == 0x80U; };
  const unsigned char lead = at(0);
  if (lead < 0x80) return lead == 0 ? 0 : 1;
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if (lead == 0xE0 && at(1) < 0xA0) return 0;
    if (lead == 0xED && at(1) > 0x9F) return 0;
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (lead == 0xF0 && at(1) < 0x90) return 0;
    if (lead == 0xF4 && at(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

bool all_zero(Bytes bytes) {
  // Equal to itself moved by one, and the first is zero.
  return bytes.empty() ||
         (bytes.front() == std::byte{0} && equal(bytes.first(bytes.size() - 1), bytes.subspan(1)));
}

std::string to_hex(Bytes bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    text.push_back(hex_digits[std::to_integer<std::size_t>(b >> 4)]);
    text.push_back(hex_digits[std::to_integer<std::size_t>(b & std::byte{0x0F})]);
  }
  return text;
}

std::optional<Buffer> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Buffer bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return bytes;
}

std::string to_base64(Bytes bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  append_base64(text, bytes);
  return text;
}

void append_base64(std::string& to, Bytes bytes) {
  const auto at = [&](std::size_t i) {
    return i < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i]) : 0U;
  };
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::uint32_t group = at(i) << 16U | at(i + 1) << 8U | at(i + 2);
    const std::size_t left = bytes.size() - i;
    to += base64_digits[group >> 18U];
    to += base64_digits[group >> 12U & 63U];
    to += left > 1 ? base64_digits[group >> 6U & 63U] : '=';
    to += left > 2 ? base64_digits[group & 63U] : '=';
  }
}

std::optional<Buffer> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  Buffer bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    std::size_t padding = 0;
    if (last && text[i + 3] == '=') padding = text[i + 2] == '=' ? 2 : 1;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      group <<= 6U;
      if (k >= 4 - padding) continue;
      const std::size_t digit = base64_digits.find(text[i + k]);
      if (digit == std::string_view::npos) return std::nullopt;
      group |= static_cast<std::uint32_t>(digit);
    }
    for (std::size_t k = 0; k < 3 - padding; ++k) {
      bytes.push_back(static_cast<std::byte>(group >> (16 - 8 * k) & 0xFFU));
    }
    if ((group & ((1U << (8 * padding)) - 1)) != 0) return std::nullopt;  // one spelling only
  }
  return bytes;
}

std::string to_uuid(const Id128& id) {
  std::string text = to_hex(id);
  for (const std::size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
  return text;
}

std::optional<Id128> from_uuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash != (text[i] == '-')) return std::nullopt;
    if (!dash) digits.push_back(text[i]);
  }
  const std::optional<Buffer> bytes = from_hex(digits);
  if (!bytes || bytes->size() != sizeof(Id128)) return std::nullopt;
  Id128 id{};
  std::ranges::copy(*bytes, id.begin());
  return id;
}

// Most text is ASCII: eight bytes at once, none with its high bit set and none zero.
bool is_utf8_text(std::string_view text) {
  constexpr std::uint64_t high = 0x8080808080808080U;
  constexpr std::uint64_t ones = 0x0101010101010101U;
  while (!text.empty()) {
    if (text.size() >= sizeof(std::uint64_t)) {
      const std::uint64_t eight = load_le<std::uint64_t>(bytes_of(text).data());
      if (((eight - ones) & ~eight & high) == 0 && (eight & high) == 0) {
        text.remove_prefix(sizeof(std::uint64_t));
        continue;
      }
    }
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace kimberlite::base
