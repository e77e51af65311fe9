#include "sql/token.hpp"

#include <gtest/gtest.h>

namespace kimberlite::sql {
namespace {

using enum TokenKind;

std::vector<TokenKind> kinds(std::string_view text) {
  const auto tokens = tokenize(text);
  EXPECT_TRUE(tokens) << text << ": " << to_string(tokens.error());
  std::vector<TokenKind> out;
  if (tokens) {
    for (const Token& token : *tokens) out.push_back(token.kind);
  }
  return out;
}

TEST(Token, KindsAndPlaces) {
  EXPECT_EQ(kinds("SELECT \"a\".b, 'c', x'00', 1, 1.5 -- d\n FROM t;"),
            (std::vector{word, quoted_name, dot, word, comma, string, comma, blob, comma, integer,
                         comma, floating, word, word, semicolon, end}));
  EXPECT_EQ(kinds("$1::int+?*?2||:a->>@b->$c"),
            (std::vector{dollar_parameter, double_colon, word, plus, parameter, star, parameter,
                         concatenate, named_parameter, double_arrow, named_parameter, arrow,
                         named_parameter, end}));
  EXPECT_EQ(kinds("= == <> != < <= << > >= >> & | ~ % / - ()"),
            (std::vector{equal, equal, not_equal, not_equal, less, less_equal, shift_left, greater,
                         greater_equal, shift_right, ampersand, bar, tilde, percent, slash, minus,
                         left_parenthesis, right_parenthesis, end}));
  EXPECT_EQ(kinds(""), (std::vector{end}));

  const std::string_view text = "a /* x */ = 'b'";
  const auto tokens = tokenize(text);
  ASSERT_TRUE(tokens);
  EXPECT_EQ((*tokens)[1].offset, 10U);
  EXPECT_EQ((*tokens)[2].text.data(), text.data() + 12);  // a view, not a copy
  EXPECT_EQ((*tokens)[2].end_offset(), 15U);
  EXPECT_EQ((*tokens)[3].offset, 15U);
}

TEST(Token, KeywordsAreFoundInAnyCase) {
  const auto tokens = tokenize("SeLeCt position \"select\" patients");
  ASSERT_TRUE(tokens);
  EXPECT_EQ((*tokens)[0].keyword, Keyword::select);
  EXPECT_EQ((*tokens)[1].keyword, Keyword::position);
  EXPECT_EQ((*tokens)[2].keyword, Keyword::none);
  EXPECT_EQ((*tokens)[3].keyword, Keyword::none);
  EXPECT_TRUE(is_reserved(Keyword::select));
  EXPECT_FALSE(is_reserved(Keyword::position));
}

struct Bad {
  std::string_view text;
  Code code;
  std::string_view where;
};

TEST(Token, RefusesByPlace) {
  using namespace std::string_view_literals;
  for (const Bad& bad : {
           Bad{"SELECT 1\0"sv, Code::sql_text, "line 1, column 9"},
           Bad{"SELECT\n '\xC3'"sv, Code::sql_text, "line 2, column 3"},
           Bad{"é \xED\xA0\x80"sv, Code::sql_text, "line 1, column 3"},
           Bad{"SELECT 'a", Code::sql_text, "line 1, column 8"},
           Bad{"a\n\nb \"c", Code::sql_text, "line 3, column 3"},
           Bad{"[a", Code::sql_text, "line 1, column 1"},
           Bad{"a /* b", Code::sql_text, "line 1, column 3"},
           Bad{"x'0", Code::sql_text, "line 1, column 1"},
           Bad{"é x'0g'", Code::sql_syntax, "line 1, column 3"},
           Bad{"1a", Code::sql_syntax, "line 1, column 1"},
           Bad{"a ! b", Code::sql_syntax, "line 1, column 3"},
           Bad{"{", Code::sql_syntax, "line 1, column 1"},
           Bad{"a \x01", Code::sql_syntax, "line 1, column 3"},
           Bad{"$$a$$", Code::sql_syntax, "line 1, column 1"},
           Bad{"$1a", Code::sql_syntax, "line 1, column 1"},
           Bad{"$a(b)", Code::sql_syntax, "line 1, column 1"},
           Bad{":1", Code::sql_syntax, "line 1, column 1"},
           Bad{"#1", Code::sql_syntax, "line 1, column 1"},
       }) {
    const auto tokens = tokenize(bad.text);
    ASSERT_FALSE(tokens) << bad.text;
    EXPECT_EQ(tokens.error().code(), bad.code) << bad.text;
    EXPECT_EQ(tokens.error().where(), bad.where) << bad.text;
    EXPECT_FALSE(tokens.error().next().empty()) << bad.text;
  }
}

TEST(Token, StatementsAreBounded) {
  const std::string largest(statement_size_max, ' ');
  EXPECT_TRUE(tokenize(largest));
  const auto more = tokenize(largest + " ");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code(), Code::limit_statement);
}

TEST(Token, NamesAndStrings) {
  EXPECT_EQ(quote_name("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(quote_string("it's"), "'it''s'");
  EXPECT_EQ(display_name("patients"), "patients");
  EXPECT_EQ(display_name("Patients"), "\"Patients\"");
  EXPECT_EQ(display_name("order"), "\"order\"");
  EXPECT_EQ(display_name(""), "\"\"");
  const auto tokens = tokenize("'it''s'");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(string_of((*tokens)[0]), "it's");
  EXPECT_TRUE(same_name("Patients", "pATIENTS"));
  EXPECT_FALSE(same_name("É", "é"));  // ASCII only, as SQLite
  EXPECT_FALSE(same_name("a", "ab"));
}

}  // namespace
}  // namespace kimberlite::sql
