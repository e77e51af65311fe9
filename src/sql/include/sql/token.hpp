// The tokenizer: splits a statement exactly as SQLite 3.40's does, or refuses it.
//
// Everything the one door rewrites stands on this: a text that SQLite would split elsewhere than we
// do could smuggle a name past us. So `scan` is SQLite's splitting to the letter (white space, a
// byte order mark, `--` and `/* */` comments, `[x]` "x" `x` names, x'00' blobs, 0x1F, 1e-3, `->>`),
// and `tokenize` accepts less than SQLite. The one exception is `::`: it is a token of ours, and a
// parameter ends at it (SQLite takes `$1::text` for one variable). No text that still has one may
// be given to SQLite.
//
// Refused, because SQLite reads them in a way no reader of the text expects: `$1abc`, `:1`,
// `$a(b)`, `#1`, a comment or quote that is not closed, NUL, invalid UTF-8.
//
// Source: SQLite 3.40.1, tokenize.c. Ownership: tokens point into the text, which outlives them.
// Thread rule: pure functions. Errors: `sql.text` (NUL, UTF-8, unclosed), `sql.syntax`,
// `limit.statement`; `where` is "line 7, column 1" (columns in characters, from 1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "sql/keyword.hpp"

namespace kimberlite::sql {

// Bytes of one statement; it bounds the number of its tokens too.
inline constexpr std::size_t statement_size_max = 1U << 20U;

enum class TokenKind : std::uint8_t {
  end,               // one, the last; empty, at the end of the text
  word,              // a bare name or keyword; `keyword` says which, if any
  quoted_name,       // "x", `x` or [x]
  string,            // 'x'
  blob,              // x'00'
  integer,           // 12, 0x1F
  floating,          // 1.5, .5, 1., 1e-3
  parameter,         // ? or ?12
  dollar_parameter,  // $1
  named_parameter,   // :name, @name, $name
  double_colon,      // ::  (never passed on to SQLite)
  left_parenthesis,
  right_parenthesis,
  comma,
  semicolon,
  dot,
  plus,
  minus,
  star,
  slash,
  percent,
  equal,      // = or ==
  not_equal,  // != or <>
  less,
  less_equal,
  greater,
  greater_equal,
  shift_left,
  shift_right,
  ampersand,
  bar,
  concatenate,  // ||
  tilde,
  arrow,         // ->
  double_arrow,  // ->>
};

struct Token {
  std::string_view text;     // as written, quotes and all
  std::uint32_t offset = 0;  // of its first byte in the statement
  TokenKind kind = TokenKind::end;
  Keyword keyword = Keyword::none;  // of a `word`
  [[nodiscard]] bool is(TokenKind other) const { return kind == other; }
  [[nodiscard]] bool is(Keyword other) const { return keyword == other; }
  [[nodiscard]] bool is_name() const {
    return kind == TokenKind::word || kind == TokenKind::quoted_name;
  }
  [[nodiscard]] std::uint32_t end_offset() const {
    return offset + static_cast<std::uint32_t>(text.size());
  }
};

// All tokens of `text`, comments and white space left out, with the `end` token last.
[[nodiscard]] Result<std::vector<Token>> tokenize(std::string_view text);

// What a name token means: the word itself, or the inside of the quotes, doubled quotes halved.
[[nodiscard]] std::string name_of(const Token& token);
// What a `string` token means.
[[nodiscard]] std::string string_of(const Token& token);
// `"name"`, quotes inside doubled; always one name to SQLite.
[[nodiscard]] std::string quote_name(std::string_view name);
// `'text'`, quotes inside doubled.
[[nodiscard]] std::string quote_string(std::string_view text);
// `name` bare if it can stand so (a lower-case word that is no keyword), else quoted: for people.
[[nodiscard]] std::string display_name(std::string_view name);

// ASCII only, as SQLite compares names and keywords.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b);
[[nodiscard]] std::string lower_case(std::string_view text);

struct Place {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  friend bool operator==(const Place&, const Place&) = default;
};
[[nodiscard]] Place place_of(std::string_view text, std::size_t offset);
// "line 7, column 1".
[[nodiscard]] std::string where(std::string_view text, std::size_t offset);

// One step of the splitting, white space and comments included: SQLite's own but for `::`, and with
// `illegal` for what we refuse beyond SQLite (above). A NUL is illegal; SQLite sees the end there.
// `length` is 0 only at the end of the text.
enum class ScanKind : std::uint8_t {
  end,
  space,
  comment,
  unclosed_comment,
  unclosed_quote,
  illegal,
  token
};
struct Scanned {
  ScanKind scan = ScanKind::end;
  TokenKind kind = TokenKind::end;  // of a `token`
  std::uint32_t length = 0;
};
[[nodiscard]] Scanned scan(std::string_view text, std::size_t offset);

}  // namespace kimberlite::sql
