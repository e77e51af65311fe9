#include "statement_cursor.hpp"

namespace kimberlite::sql {

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::end:
      return "the end";
    case TokenKind::string:
      return "a text";
    case TokenKind::blob:
      return "a blob";
    case TokenKind::integer:
    case TokenKind::floating:
      return "a number";
    case TokenKind::word:
      if (token.keyword != Keyword::none) return std::string{spelling(token.keyword)};
      [[fallthrough]];
    default:
      return std::string{token.text};
  }
}

Result<Identifier> Cursor::name(std::string_view what) {
  const Token& token = now();
  if (!token.is_name()) return expected(what);
  if (is_reserved(token.keyword)) {
    return error(Code::sql_syntax, token,
                 fmt::format("{} is a reserved word, expected {}", describe(token), what),
                 fmt::format("as a name it is written {}", quote_name(token.text)));
  }
  Identifier out{.name = name_of(token), .offset = token.offset};
  if (out.name.empty()) {
    return error(Code::sql_syntax, token, fmt::format("the empty name is not {}", what),
                 "give it a name");
  }
  move();
  return out;
}

Result<catalog::Type> Cursor::type() { return parse_type(text_, tokens_, at_); }

Status Cursor::want_end() {
  if (at_end()) return {};
  return expected("the end of the statement");
}

Error Cursor::expected(std::string_view what) const {
  return Error(Code::sql_syntax, "expected {}, found {}", what, describe(now()))
      .where("{}", where(text_, now().offset))
      .next("the manual's page \"SQL reference\" has the form of each statement");
}

Error Cursor::unsupported(const Token& token, std::string_view feature,
                          std::string_view next) const {
  return error(Code::sql_unsupported, token, fmt::format("{} is not in the dialect", feature),
               next);
}

Error Cursor::error(Code code, const Token& token, std::string_view what,
                    std::string_view next) const {
  return Error(code, "{}", what).where("{}", where(text_, token.offset)).next("{}", next);
}

}  // namespace kimberlite::sql
