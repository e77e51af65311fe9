// A place in the tokens of one statement, and the errors that name it. Internal to the layer.
//
// Ownership: points into the text and the tokens it was made with. The last token is `end`, and the
// cursor never moves past it: every loop that moves it ends.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "base/assert.hpp"
#include "base/result.hpp"
#include "sql/ddl.hpp"
#include "sql/token.hpp"

namespace kimberlite::sql {

class Cursor {
 public:
  Cursor(std::string_view text, std::span<const Token> tokens, std::size_t at = 0)
      : text_(text), tokens_(tokens), at_(at) {
    KIMBERLITE_ASSERT(!tokens.empty() && tokens.back().is(TokenKind::end) && at < tokens.size());
  }

  [[nodiscard]] const Token& now() const { return tokens_[at_]; }
  [[nodiscard]] const Token& ahead(std::size_t count) const {
    return tokens_[std::min(at_ + count, tokens_.size() - 1)];
  }
  [[nodiscard]] std::uint32_t at() const { return static_cast<std::uint32_t>(at_); }
  [[nodiscard]] std::string_view text() const { return text_; }
  void move() {
    if (!now().is(TokenKind::end)) ++at_;
  }

  [[nodiscard]] bool at_end() const { return now().is(TokenKind::end); }
  [[nodiscard]] bool is(TokenKind kind) const { return now().is(kind); }
  [[nodiscard]] bool is(Keyword keyword) const { return now().is(keyword); }
  template <class What>
  [[nodiscard]] bool take(What what) {
    if (!now().is(what)) return false;
    move();
    return true;
  }
  // All of `words`, or none.
  template <class... Words>
  [[nodiscard]] bool take_all(Words... words) {
    std::size_t i = 0;
    if (!(ahead(i++).is(words) && ...)) return false;
    for (std::size_t n = 0; n < sizeof...(words); ++n) move();
    return true;
  }
  template <class What>
  [[nodiscard]] Status want(What what, std::string_view spelled) {
    if (take(what)) return {};
    return expected(spelled);
  }
  [[nodiscard]] Status want(Keyword keyword) { return want(keyword, spelling(keyword)); }
  // A name, bare or quoted; a reserved word must be quoted.
  [[nodiscard]] Result<Identifier> name(std::string_view what);
  [[nodiscard]] Result<catalog::Type> type();
  [[nodiscard]] Status want_end();

  // "expected X, found Y" at the current token.
  [[nodiscard]] Error expected(std::string_view what) const;
  [[nodiscard]] Error unsupported(const Token& token, std::string_view feature,
                                  std::string_view next) const;
  [[nodiscard]] Error error(Code code, const Token& token, std::string_view what,
                            std::string_view next) const;

 private:
  std::string_view text_;
  std::span<const Token> tokens_;
  std::size_t at_;
};

// The token in words that show no literal: `SELECT`, the name "x", a number.
[[nodiscard]] std::string describe(const Token& token);

}  // namespace kimberlite::sql
