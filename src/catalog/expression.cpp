#include "expression.hpp"

#include <charconv>
#include <cstdint>

#include "catalog/catalog.hpp"

namespace kimberlite::catalog {
namespace {

// The quoted text that begins at `at`, without its quotes; a doubled quote does not end it. `at` is
// left behind it.
std::string_view quoted(std::string_view text, std::size_t& at) {
  const char quote = text[at++];
  const std::size_t begin = at;
  while (at < text.size()) {
    if (text[at] != quote) {
      ++at;
    } else if (at + 1 < text.size() && text[at + 1] == quote) {
      at += 2;
    } else {
      return text.substr(begin, at++ - begin);
    }
  }
  return text.substr(begin);
}

// Calls `seen` with the id of every "@<id>" outside of text literals, until it says true.
template <class Seen>
bool any_column(std::string_view expression, Seen seen) {
  std::size_t at = 0;
  while (at < expression.size()) {
    const char c = expression[at];
    if (c != '\'' && c != '"') {
      ++at;
      continue;
    }
    const std::string_view inside = quoted(expression, at);
    if (c != '"' || !inside.starts_with('@')) continue;
    std::uint32_t id = 0;
    const char* end = inside.data() + inside.size();
    const auto [stop, error] = std::from_chars(inside.data() + 1, end, id);
    if (error == std::errc{} && stop == end && seen(ColumnId{id})) return true;
  }
  return false;
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

bool mentions(std::string_view expression, ColumnId column) {
  return any_column(expression, [&](ColumnId id) { return id == column; });
}

bool mentions_other(std::string_view expression, ColumnId column) {
  return any_column(expression, [&](ColumnId id) { return id != column; });
}

bool might_name(std::string_view query, std::string_view name) {
  if (query.contains('*')) return true;
  for (std::size_t at = 0; at + name.size() <= query.size(); ++at) {
    const bool begins = at == 0 || !is_word(query[at - 1]) || !is_word(name.front());
    const std::size_t end = at + name.size();
    const bool ends = end == query.size() || !is_word(query[end]) || !is_word(name.back());
    if (begins && ends && same_name(query.substr(at, name.size()), name)) return true;
  }
  return false;
}

}  // namespace kimberlite::catalog
