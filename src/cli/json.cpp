#include "cli/json.hpp"

#include <fmt/format.h>

#include <iterator>

namespace kimberlite::cli {
namespace {

constexpr std::int64_t exact_in_a_double = 1LL << 53U;

}  // namespace

void append_json_string(std::string& to, std::string_view text) {
  to += '"';
  std::size_t plain = 0;  // start of what needs no escape
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) continue;
    to.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"':
        to += "\\\"";
        break;
      case '\\':
        to += "\\\\";
        break;
      case '\n':
        to += "\\n";
        break;
      case '\r':
        to += "\\r";
        break;
      case '\t':
        to += "\\t";
        break;
      default:
        fmt::format_to(std::back_inserter(to), "\\u{:04x}", c);
    }
  }
  to.append(text, plain);
  to += '"';
}

void append_json_integer(std::string& to, std::int64_t value) {
  const bool exact = value >= -exact_in_a_double && value <= exact_in_a_double;
  if (!exact) to += '"';
  fmt::format_to(std::back_inserter(to), "{}", value);
  if (!exact) to += '"';
}

void append_json_unsigned(std::string& to, std::uint64_t value) {
  const bool exact = value <= static_cast<std::uint64_t>(exact_in_a_double);
  if (!exact) to += '"';
  fmt::format_to(std::back_inserter(to), "{}", value);
  if (!exact) to += '"';
}

void JsonObject::member(std::string_view name) {
  if (!first_) to_ += ',';
  first_ = false;
  append_json_string(to_, name);
  to_ += ':';
}

void JsonObject::text(std::string_view name, std::string_view value) {
  member(name);
  append_json_string(to_, value);
}

void JsonObject::integer(std::string_view name, std::int64_t value) {
  member(name);
  append_json_integer(to_, value);
}

void JsonObject::number(std::string_view name, std::uint64_t value) {
  member(name);
  append_json_unsigned(to_, value);
}

void JsonObject::boolean(std::string_view name, bool value) {
  member(name);
  to_ += value ? "true" : "false";
}

void JsonObject::null(std::string_view name) {
  member(name);
  to_ += "null";
}

}  // namespace kimberlite::cli
