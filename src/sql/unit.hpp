// One text on its way through the door: its tokens and what is to change about them.
//
// Nothing is ever cut out of the text and put together again: an edit stands before or after a
// token, or in its place, and what no edit touches is given on as it was.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "sql/token.hpp"

namespace kimberlite::sql {

inline constexpr std::uint32_t no_token = std::numeric_limits<std::uint32_t>::max();

// tokens[first, end)
struct Range {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  [[nodiscard]] bool empty() const { return first >= end; }
};

class Edits {
 public:
  explicit Edits(std::size_t tokens) : slots_(tokens) {}

  // In front of all that stands before the token already: outer parts come later.
  void before(std::uint32_t token, std::string text);
  // Behind all that stands after it already. The number is for `set`.
  std::uint32_t after(std::uint32_t token, std::string text);
  void set(std::uint32_t edit, std::string text) { edits_[edit].text = std::move(text); }
  // Instead of the token; the last one counts.
  void replace(std::uint32_t token, std::string text);
  void remove(Range range);

  [[nodiscard]] std::string emit(std::span<const Token> tokens, Range range) const;
  // Is there an edit in the range?
  [[nodiscard]] bool touched(Range range) const;

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  struct Edit {
    std::string text;
    std::uint32_t next = none;
  };
  struct Slot {
    std::uint32_t before = none;  // outermost first
    std::uint32_t after = none;   // outermost first: emitted backwards
    std::uint32_t instead = none;
  };
  std::vector<Edit> edits_;
  std::vector<Slot> slots_;
};

struct Unit {
  Unit(std::string_view source_text, std::span<const Token> source_tokens)
      : text(source_text), tokens(source_tokens), edits(source_tokens.size()) {}

  std::string_view text;
  std::span<const Token> tokens;     // the last one is `end`
  std::string name;                  // of the view, for messages
  std::vector<std::uint32_t> match;  // of each parenthesis its partner
  Edits edits;

  [[nodiscard]] const Token& at(std::uint32_t i) const { return tokens[i]; }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(tokens.size()); }
  [[nodiscard]] std::string place(std::uint32_t token) const;
  // The user's own words, from the first to the last token.
  [[nodiscard]] std::string_view source(Range range) const;
};

// Fills `match`. `sql.syntax` if parentheses do not pair, `limit.depth` beyond `parentheses_max`.
[[nodiscard]] Status match_parentheses(Unit& unit);
inline constexpr std::size_t parentheses_max = 90;  // SQLite's own parser ends here

template <class... Args>
[[nodiscard]] Error fault(const Unit& unit, std::uint32_t token, Code code,
                          fmt::format_string<Args...> what, Args&&... args) {
  return Error{code, what, std::forward<Args>(args)...}.where("{}", unit.place(token));
}
// "unexpected X", or that the statement ends too early.
[[nodiscard]] Error unexpected(const Unit& unit, std::uint32_t token, std::string_view expected);
[[nodiscard]] Error unsupported(const Unit& unit, std::uint32_t token, std::string_view feature,
                                std::string_view next = "");

}  // namespace kimberlite::sql
