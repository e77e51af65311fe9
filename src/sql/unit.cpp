#include "unit.hpp"

#include <algorithm>

namespace kimberlite::sql {

void Edits::before(std::uint32_t token, std::string text) {
  edits_.push_back({std::move(text), slots_[token].before});
  slots_[token].before = static_cast<std::uint32_t>(edits_.size() - 1);
}

std::uint32_t Edits::after(std::uint32_t token, std::string text) {
  edits_.push_back({std::move(text), slots_[token].after});
  slots_[token].after = static_cast<std::uint32_t>(edits_.size() - 1);
  return slots_[token].after;
}

void Edits::replace(std::uint32_t token, std::string text) {
  edits_.push_back({std::move(text), none});
  slots_[token].instead = static_cast<std::uint32_t>(edits_.size() - 1);
}

void Edits::remove(Range range) {
  for (std::uint32_t i = range.first; i < range.end; ++i) replace(i, "");
}

bool Edits::touched(Range range) const {
  return std::any_of(slots_.begin() + range.first, slots_.begin() + range.end,
                     [](const Slot& slot) {
                       return slot.before != none || slot.after != none || slot.instead != none;
                     });
}

std::string Edits::emit(std::span<const Token> tokens, Range range) const {
  std::string out;
  if (range.empty()) return out;
  out.reserve((tokens[range.end - 1].end_offset() - tokens[range.first].offset) * 3 / 2 + 16);
  std::vector<std::uint32_t> backwards;
  for (std::uint32_t i = range.first; i < range.end; ++i) {
    const Slot& slot = slots_[i];
    // Tokens that touched still may only where neither became another one.
    const bool gap = i > range.first && (tokens[i - 1].end_offset() != tokens[i].offset ||
                                         slot.instead != none || slots_[i - 1].instead != none);
    if (gap && !out.empty() && out.back() != ' ') out.push_back(' ');
    for (std::uint32_t e = slot.before; e != none; e = edits_[e].next) out += edits_[e].text;
    out += slot.instead != none ? std::string_view{edits_[slot.instead].text} : tokens[i].text;
    backwards.clear();
    for (std::uint32_t e = slot.after; e != none; e = edits_[e].next) backwards.push_back(e);
    for (std::size_t k = backwards.size(); k-- > 0;) out += edits_[backwards[k]].text;
  }
  return out;
}

std::string Unit::place(std::uint32_t token) const {
  std::string line = where(text, tokens[std::min(token, size() - 1)].offset);
  return name.empty() ? line : fmt::format("view {}, {}", name, line);
}

std::string_view Unit::source(Range range) const {
  if (range.empty()) return {};
  const std::uint32_t begin = tokens[range.first].offset;
  return text.substr(begin, tokens[range.end - 1].end_offset() - begin);
}

Status match_parentheses(Unit& unit) {
  unit.match.assign(unit.tokens.size(), no_token);
  std::vector<std::uint32_t> open;
  for (std::uint32_t i = 0; i < unit.size(); ++i) {
    if (unit.at(i).is(TokenKind::left_parenthesis)) {
      if (open.size() == parentheses_max) {
        return fault(unit, i, Code::limit_depth, "more than {} parentheses inside one another",
                     parentheses_max);
      }
      open.push_back(i);
    } else if (unit.at(i).is(TokenKind::right_parenthesis)) {
      if (open.empty()) {
        return fault(unit, i, Code::sql_syntax, "this parenthesis was never opened");
      }
      unit.match[i] = open.back();
      unit.match[open.back()] = i;
      open.pop_back();
    }
  }
  if (!open.empty()) {
    return fault(unit, open.back(), Code::sql_syntax, "this parenthesis is never closed");
  }
  return {};
}

Error unexpected(const Unit& unit, std::uint32_t token, std::string_view expected) {
  if (token + 1 >= unit.size()) {
    return fault(unit, token, Code::sql_syntax, "the statement ends where {} should follow",
                 expected);
  }
  const Token& found = unit.at(token);
  // A literal may be a stored value: it is not repeated.
  const bool literal = found.is(TokenKind::string) || found.is(TokenKind::blob) ||
                       found.is(TokenKind::integer) || found.is(TokenKind::floating);
  if (literal)
    return fault(unit, token, Code::sql_syntax, "a literal where {} should stand", expected);
  return fault(unit, token, Code::sql_syntax, "{} where {} should stand", found.text, expected);
}

Error unsupported(const Unit& unit, std::uint32_t token, std::string_view feature,
                  std::string_view next) {
  return fault(unit, token, Code::sql_unsupported, "{} is not in the dialect", feature)
      .next("{}", next);
}

}  // namespace kimberlite::sql
