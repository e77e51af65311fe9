#include "sql/token.hpp"

#include <array>

#include "base/bytes.hpp"

namespace kimberlite::sql {
namespace {

// SQLite's character tests, which know nothing of the locale. A byte above 0x7F is part of a name.
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_high(char c) { return static_cast<unsigned char>(c) >= 0x80U; }
constexpr bool starts_name(char c) { return is_letter(c) || c == '_' || is_high(c); }
constexpr bool is_name_char(char c) { return starts_name(c) || is_digit(c) || c == '$'; }
constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
// A vertical tab continues white space but cannot begin it.
constexpr bool starts_space(char c) { return is_space(c) && c != '\v'; }
constexpr bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// A view that reads as NUL beyond its end, as SQLite's text does.
class Peek {
 public:
  Peek(std::string_view text, std::size_t offset) : rest_(text.substr(offset)) {}
  [[nodiscard]] char operator[](std::size_t i) const { return i < rest_.size() ? rest_[i] : '\0'; }
  [[nodiscard]] std::size_t size() const { return rest_.size(); }
  [[nodiscard]] std::string_view text() const { return rest_; }

 private:
  std::string_view rest_;
};

Scanned make(ScanKind scan, std::size_t length) {
  return {scan, TokenKind::end, static_cast<std::uint32_t>(length)};
}
Scanned make(TokenKind kind, std::size_t length) {
  return {ScanKind::token, kind, static_cast<std::uint32_t>(length)};
}

Scanned scan_line_comment(Peek z) {
  const std::size_t end = z.text().find('\n', 2);
  return make(ScanKind::comment, end == std::string_view::npos ? z.size() : end);
}

// "/*/" does not close itself: SQLite looks for the end from the third character on, and so do we.
Scanned scan_slash(Peek z) {
  if (z[1] != '*' || z.size() == 2) return make(TokenKind::slash, 1);
  const std::size_t end = z.text().find("*/", 2);
  if (end == std::string_view::npos) return make(ScanKind::unclosed_comment, z.size());
  return make(ScanKind::comment, end + 2);
}

Scanned scan_quote(Peek z) {
  const char quote = z[0];
  for (std::size_t i = 1; i < z.size(); ++i) {
    if (z[i] != quote) continue;
    if (z[i + 1] != quote || i + 1 == z.size()) {
      return make(quote == '\'' ? TokenKind::string : TokenKind::quoted_name, i + 1);
    }
    ++i;
  }
  return make(ScanKind::unclosed_quote, z.size());
}

Scanned scan_bracket(Peek z) {
  const std::size_t end = z.text().find(']', 1);
  if (end == std::string_view::npos) return make(ScanKind::unclosed_quote, z.size());
  return make(TokenKind::quoted_name, end + 1);
}

Scanned scan_number(Peek z) {
  if (z[0] == '0' && to_lower(z[1]) == 'x' && is_hex(z[2])) {
    std::size_t i = 3;
    while (is_hex(z[i])) ++i;
    return make(TokenKind::integer, i);  // SQLite stops here: 0x1g is 0x1 and a name g
  }
  TokenKind kind = TokenKind::integer;
  std::size_t i = 0;
  while (is_digit(z[i])) ++i;
  if (z[i] == '.') {
    kind = TokenKind::floating;
    do ++i;
    while (is_digit(z[i]));
  }
  const bool signed_exponent = z[i + 1] == '+' || z[i + 1] == '-';
  if (to_lower(z[i]) == 'e' && is_digit(z[signed_exponent ? i + 2 : i + 1])) {
    kind = TokenKind::floating;
    i += 2;
    while (is_digit(z[i])) ++i;
  }
  if (!is_name_char(z[i])) return make(kind, i);
  while (is_name_char(z[i])) ++i;
  return make(ScanKind::illegal, i);
}

Scanned scan_question(Peek z) {
  std::size_t i = 1;
  while (is_digit(z[i])) ++i;
  return make(TokenKind::parameter, i);
}

// SQLite's variable runs on through `::` and `(…)` in the manner of Tcl. Ours ends at `::`; the
// rest of what only Tcl would mean is illegal.
Scanned scan_variable(Peek z) {
  if (z[0] == ':' && z[1] == ':') return make(TokenKind::double_colon, 2);
  std::size_t i = 1;
  while (is_name_char(z[i])) ++i;
  if (i == 1 || z[0] == '#' || z[i] == '(') return make(ScanKind::illegal, i);
  const std::string_view name = z.text().substr(1, i - 1);
  if (name.find('$') != std::string_view::npos) return make(ScanKind::illegal, i);
  if (starts_name(name[0])) return make(TokenKind::named_parameter, i);
  for (const char c : name) {
    if (z[0] != '$' || !is_digit(c)) return make(ScanKind::illegal, i);
  }
  return make(TokenKind::dollar_parameter, i);
}

Scanned scan_word(Peek z) {
  std::size_t i = 1;
  while (is_name_char(z[i])) ++i;
  return make(TokenKind::word, i);
}

Scanned scan_blob(Peek z) {
  std::size_t i = 2;
  while (is_hex(z[i])) ++i;
  if (z[i] == '\'' && i % 2 == 0) return make(TokenKind::blob, i + 1);
  const std::size_t end = z.text().find('\'', i);
  if (end == std::string_view::npos) return make(ScanKind::unclosed_quote, z.size());
  return make(ScanKind::illegal, end + 1);
}

Scanned scan_operator(Peek z) {
  const char c = z[0];
  const char d = z[1];
  switch (c) {
    case '(':
      return make(TokenKind::left_parenthesis, 1);
    case ')':
      return make(TokenKind::right_parenthesis, 1);
    case ',':
      return make(TokenKind::comma, 1);
    case ';':
      return make(TokenKind::semicolon, 1);
    case '.':
      return make(TokenKind::dot, 1);
    case '+':
      return make(TokenKind::plus, 1);
    case '*':
      return make(TokenKind::star, 1);
    case '%':
      return make(TokenKind::percent, 1);
    case '&':
      return make(TokenKind::ampersand, 1);
    case '~':
      return make(TokenKind::tilde, 1);
    case '|':
      return d == '|' ? make(TokenKind::concatenate, 2) : make(TokenKind::bar, 1);
    case '=':
      return make(TokenKind::equal, d == '=' ? 2 : 1);
    case '!':
      return d == '=' ? make(TokenKind::not_equal, 2) : make(ScanKind::illegal, 1);
    case '<':
      if (d == '=') return make(TokenKind::less_equal, 2);
      if (d == '>') return make(TokenKind::not_equal, 2);
      if (d == '<') return make(TokenKind::shift_left, 2);
      return make(TokenKind::less, 1);
    case '>':
      if (d == '=') return make(TokenKind::greater_equal, 2);
      if (d == '>') return make(TokenKind::shift_right, 2);
      return make(TokenKind::greater, 1);
    case '-':
      if (d != '>') return make(TokenKind::minus, 1);
      return z[2] == '>' ? make(TokenKind::double_arrow, 3) : make(TokenKind::arrow, 2);
    default:
      return make(ScanKind::illegal, 1);
  }
}

Scanned scan_space(Peek z) {
  std::size_t i = 1;
  while (is_space(z[i])) ++i;
  return make(ScanKind::space, i);
}

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

// The offset of the first byte that is NUL or no UTF-8; the caller knows that there is one.
std::size_t first_bad_byte(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80U ? 1 : lead < 0xE0U ? 2 : lead < 0xF0U ? 3 : 4;
    if (!is_utf8_text(text.substr(i, length))) return i;
    i += length;
  }
  return i;
}

Error text_error(std::string_view text) {
  const std::size_t at = first_bad_byte(text);
  if (text[at] == '\0') {
    return Error(Code::sql_text, "the statement contains a NUL byte")
        .where("{}", where(text, at))
        .next("remove it; a value that contains one is given as a parameter of type BYTES");
  }
  return Error(Code::sql_text, "the statement is not valid UTF-8")
      .where("{}", where(text, at))
      .next("send UTF-8; other bytes are given as a parameter or as x'…'");
}

Error unclosed_error(std::string_view text, std::size_t at) {
  const char c = text[at];
  if (c == '/') {
    return Error(Code::sql_text, "this comment is not closed")
        .where("{}", where(text, at))
        .next("end it with */");
  }
  const char quote = c == '[' ? ']' : c == 'x' || c == 'X' ? '\'' : c;
  return Error(Code::sql_text, "this quote is not closed")
      .where("{}", where(text, at))
      .next("end it with {0}{1}", quote,
            c == '[' ? std::string{} : fmt::format("; inside it, a {0} is written {0}{0}", quote));
}

Error illegal_error(std::string_view text, std::size_t at, std::uint32_t length) {
  const auto refuse = [&](std::string_view what, std::string_view next) {
    return Error(Code::sql_syntax, "{}", what).where("{}", where(text, at)).next("{}", next);
  };
  const char c = text[at];
  if (is_digit(c) || c == '.') {
    return refuse("a number runs into a name here", "put a space between them, or quote the name");
  }
  if (c == 'x' || c == 'X') {
    return refuse("this is no x'…' literal",
                  "between the quotes stand pairs of hexadecimal digits");
  }
  if (text.substr(at, 2) == "$$") {
    return refuse("dollar quoting is not in the dialect", "quote text with ', doubling it inside");
  }
  if (length > 1 || c == '$' || c == ':' || c == '@' || c == '#') {
    return refuse("this is no parameter",
                  "parameters are $1, ?, ?1, :name, @name or $name, with a space or an operator "
                  "after them");
  }
  const bool printable = c > ' ' && c <= '~';
  return refuse(printable ? fmt::format("unexpected character {}", c)
                          : std::string{"unexpected control character"},
                "remove it, or put it between quotes");
}

}  // namespace

Scanned scan(std::string_view text, std::size_t offset) {
  if (offset >= text.size()) return {};
  const Peek z{text, offset};
  const char c = z[0];
  if (starts_space(c)) return scan_space(z);
  if (z.text().starts_with(byte_order_mark)) return make(ScanKind::space, byte_order_mark.size());
  if ((c == 'x' || c == 'X') && z[1] == '\'') return scan_blob(z);
  if (starts_name(c)) return scan_word(z);
  if (is_digit(c) || (c == '.' && is_digit(z[1]))) return scan_number(z);
  switch (c) {
    case '-':
      return z[1] == '-' ? scan_line_comment(z) : scan_operator(z);
    case '/':
      return scan_slash(z);
    case '\'':
    case '"':
    case '`':
      return scan_quote(z);
    case '[':
      return scan_bracket(z);
    case '?':
      return scan_question(z);
    case '$':
    case '@':
    case ':':
    case '#':
      return scan_variable(z);
    default:
      return scan_operator(z);
  }
}

Result<std::vector<Token>> tokenize(std::string_view text) {
  if (text.size() > statement_size_max) {
    return Error(Code::limit_statement, "the statement has {} bytes, more than {}", text.size(),
                 statement_size_max)
        .next("give values as parameters, or split the statement");
  }
  if (!is_utf8_text(text)) return text_error(text);
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 5 + 2);
  std::size_t offset = 0;
  while (offset < text.size()) {
    const Scanned next = scan(text, offset);
    switch (next.scan) {
      case ScanKind::token: {
        Token token{.text = text.substr(offset, next.length),
                    .offset = static_cast<std::uint32_t>(offset),
                    .kind = next.kind};
        if (next.kind == TokenKind::word) token.keyword = keyword_of(token.text);
        tokens.push_back(token);
        break;
      }
      case ScanKind::unclosed_comment:
      case ScanKind::unclosed_quote:
        return unclosed_error(text, offset);
      case ScanKind::illegal:
        return illegal_error(text, offset, next.length);
      case ScanKind::space:
      case ScanKind::comment:
      case ScanKind::end:
        break;
    }
    offset += next.length;
  }
  tokens.push_back({.text = text.substr(text.size()),
                    .offset = static_cast<std::uint32_t>(text.size()),
                    .kind = TokenKind::end});
  return tokens;
}

namespace {

std::string unquote(std::string_view quoted) {
  const char quote = quoted.front();
  const std::string_view inside = quoted.substr(1, quoted.size() - 2);
  std::string out;
  out.reserve(inside.size());
  for (std::size_t i = 0; i < inside.size(); ++i) {
    out.push_back(inside[i]);
    if (quote != '[' && inside[i] == quote) ++i;  // the second of a doubled quote
  }
  return out;
}

std::string enquote(std::string_view text, char quote) {
  std::string out;
  out.reserve(text.size() + 2);
  out.push_back(quote);
  for (const char c : text) {
    if (c == quote) out.push_back(quote);
    out.push_back(c);
  }
  out.push_back(quote);
  return out;
}

}  // namespace

std::string name_of(const Token& token) {
  return token.kind == TokenKind::quoted_name ? unquote(token.text) : std::string{token.text};
}

std::string string_of(const Token& token) { return unquote(token.text); }

std::string quote_name(std::string_view name) { return enquote(name, '"'); }

std::string quote_string(std::string_view text) { return enquote(text, '\''); }

std::string display_name(std::string_view name) {
  bool bare = !name.empty() && (name[0] == '_' || (name[0] >= 'a' && name[0] <= 'z'));
  for (const char c : name) bare = bare && (c == '_' || is_digit(c) || (c >= 'a' && c <= 'z'));
  bare = bare && keyword_of(name) == Keyword::none;
  return bare ? std::string{name} : quote_name(name);
}

bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

std::string lower_case(std::string_view text) {
  std::string out{text};
  for (char& c : out) c = to_lower(c);
  return out;
}

Place place_of(std::string_view text, std::size_t offset) {
  Place place;
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
      ++place.column;
    }
  }
  return place;
}

std::string where(std::string_view text, std::size_t offset) {
  const Place place = place_of(text, offset);
  return fmt::format("line {}, column {}", place.line, place.column);
}

}  // namespace kimberlite::sql
