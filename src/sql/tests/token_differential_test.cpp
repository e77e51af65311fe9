// The tokenizer splits as SQLite's does: by hand-picked texts, by 10,000 random ones, and by what
// SQLite makes of literals and names.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/differential.hpp"

namespace kimberlite::sql {
namespace {

constexpr std::string_view corners[] = {"",
                                        " ",
                                        "\v",
                                        "\n\v x",
                                        "\f\r\t x",
                                        "a--b\nc",
                                        "a -- b",
                                        "a- -b",
                                        "-->",
                                        "->",
                                        "->>",
                                        "->>>",
                                        "/*/",
                                        "/**/x",
                                        "/* */ */",
                                        "/***/x",
                                        "/*",
                                        "/",
                                        "/* /* */ x",
                                        "x'00'",
                                        "X'aF' 1",
                                        "x'0'",
                                        "x'0g'",
                                        "x''",
                                        "x 'a'",
                                        "xx'00'",
                                        "'a''b'",
                                        "''",
                                        "''''",
                                        "'''",
                                        "'a",
                                        "\"a\"\"b\"",
                                        "`a``b`",
                                        "[a]]",
                                        "[a[b]",
                                        "[]",
                                        "[",
                                        "1",
                                        "1.",
                                        ".1",
                                        ".",
                                        "..1",
                                        "1..2",
                                        "1e5",
                                        "1e",
                                        "1e+",
                                        "1e+5",
                                        "1.e5",
                                        "1.5e-3x",
                                        "0x",
                                        "0x1F",
                                        "0x1g",
                                        "0xg",
                                        "1a",
                                        "1$",
                                        "1_000",
                                        "?",
                                        "?1",
                                        "?1a",
                                        "??",
                                        "$1",
                                        "$1::int",
                                        "$1::int::text",
                                        "$a",
                                        "$a$b",
                                        "$1a",
                                        "$",
                                        "$$",
                                        "$(a)",
                                        "$a(b)",
                                        "$a(b c)",
                                        "$a(b",
                                        ":a",
                                        "::a",
                                        ":::a",
                                        ":a::b",
                                        ":a:b",
                                        ":",
                                        ":1",
                                        "@a",
                                        "@",
                                        "@1",
                                        "#",
                                        "#1",
                                        "#a",
                                        "a$b",
                                        "a$1",
                                        "_a",
                                        "é",
                                        "aé€",
                                        "\xEF\xBB\xBF",
                                        "\xEF\xBB\xBFx",
                                        "a\xEF\xBB\xBF",
                                        "\xEF\xBB",
                                        "!=",
                                        "!",
                                        "!!",
                                        "<>",
                                        "<<",
                                        "<=",
                                        "<",
                                        "<<<",
                                        ">>",
                                        ">=",
                                        "> =",
                                        "==",
                                        "===",
                                        "=",
                                        "||",
                                        "|",
                                        "|||",
                                        "&",
                                        "&&",
                                        "~",
                                        "%",
                                        "^",
                                        "\\",
                                        "{",
                                        "}",
                                        "\x01",
                                        "\x7F",
                                        ";",
                                        ";;",
                                        "a;b",
                                        ",",
                                        "(",
                                        ")",
                                        "*",
                                        "+"};

TEST(TokenDifferential, AgreesOnTheCornersOfTheSplitting) {
  oracle::Sqlite sqlite;
  for (const std::string_view text : corners) {
    const auto found = oracle::difference(sqlite, text);
    EXPECT_FALSE(found) << *found;
  }
}

TEST(TokenDifferential, AgreesOnRandomTexts) {
  oracle::Sqlite sqlite;
  std::mt19937_64 random{20240115};
  const std::vector<std::string_view> pieces = {
      "a",  "x",  "E",    "0",    "1",  "9",    ".",  "e",    "+",  "-",   "*",  "/",
      "'",  "\"", "`",    "[",    "]",  "$",    ":",  "@",    "#",  "?",   "(",  ")",
      ";",  ",",  " ",    "\n",   "\t", "\v",   "=",  "!",    "<",  ">",   "|",  "&",
      "~",  "%",  "^",    "_",    "é",  "\xEF", "\\", "x'",   "0x", "--",  "/*", "*/",
      "::", "''", "\xBB", "\xBF", "\r", "\f",   "{",  "\x80", "1e", "->>", "Z"};
  for (int round = 0; round < 10'000; ++round) {
    std::string text;
    const std::size_t count = 1 + random() % 12;
    for (std::size_t i = 0; i < count; ++i) text += pieces[random() % pieces.size()];
    const auto found = oracle::difference(sqlite, text);
    ASSERT_FALSE(found) << *found << " in round " << round;
  }
}

TEST(TokenDifferential, KindsOfLiteralsAreSqlites) {
  oracle::Sqlite sqlite;
  for (const std::string_view text : {"1", "0x1F", "12345678901", "1.5", ".5", "1.", "1e3", "1.e-3",
                                      "'a'", "''", "x'00'", "X''", "'1'"}) {
    const auto tokens = tokenize(text);
    ASSERT_TRUE(tokens);
    ASSERT_EQ(tokens->size(), 2U) << text;
    int wanted = 0;
    switch ((*tokens)[0].kind) {
      case TokenKind::integer:
        wanted = SQLITE_INTEGER;
        break;
      case TokenKind::floating:
        wanted = SQLITE_FLOAT;
        break;
      case TokenKind::string:
        wanted = SQLITE_TEXT;
        break;
      case TokenKind::blob:
        wanted = SQLITE_BLOB;
        break;
      default:
        FAIL() << text;
    }
    EXPECT_EQ(sqlite.type_of(text), wanted) << text;
  }
}

// What a name token means to SQLite is what it calls the column.
TEST(TokenDifferential, NamesMeanWhatSqliteMakesOfThem) {
  oracle::Sqlite sqlite;
  for (const std::string_view text : {"abc", "\"a b\"", "\"a\"\"b\"", "`a``b`", "[a\"b]", "[a[b]",
                                      "\"\"\"\"", "é$1", "\"`\"", "`\"\"`"}) {
    const auto tokens = tokenize(text);
    ASSERT_TRUE(tokens);
    const std::string sql = "SELECT 1 AS " + std::string{text};
    sqlite3_stmt* statement = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(sqlite.handle(), sql.c_str(), -1, &statement, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_column_name(statement, 0), name_of((*tokens)[0])) << text;
    sqlite3_finalize(statement);
  }
}

// `quote_name` and `display_name` come back as the name they were given.
TEST(TokenDifferential, QuotedNamesComeBack) {
  oracle::Sqlite sqlite;
  for (const std::string_view name :
       {"a", "A", "a b", "a\"b", "select", "position", "é", "1a", "\"", "`[]'", "a$b", "_x1"}) {
    for (const std::string& text : {quote_name(name), display_name(name)}) {
      const auto tokens = tokenize(text);
      ASSERT_TRUE(tokens);
      ASSERT_EQ(tokens->size(), 2U) << text;
      EXPECT_EQ(name_of((*tokens)[0]), name);
      const std::string sql = "SELECT 1 AS " + text;
      EXPECT_TRUE(sqlite.accepts(sql)) << sql << ": " << sqlite.message();
    }
  }
}

// A word SQLite does not take as a column's name is reserved, and no other.
TEST(TokenDifferential, ReservedWordsAreSqlites) {
  oracle::Sqlite sqlite;
  for (auto i = static_cast<std::uint16_t>(Keyword::none) + 1; i <= static_cast<int>(Keyword::zone);
       ++i) {
    const auto keyword = static_cast<Keyword>(i);
    const std::string word{spelling(keyword)};
    EXPECT_EQ(keyword_of(lower_case(word)), keyword);
    const bool taken = sqlite.accepts(fmt::format("CREATE TABLE t_{0}({0})", word));
    EXPECT_EQ(is_reserved(keyword), !taken) << word;
  }
}

// Every word SQLite treats as a keyword is one of ours.
TEST(TokenDifferential, KnowsAllKeywordsOfSqlite) {
  for (int i = 0; i < sqlite3_keyword_count(); ++i) {
    const char* word = nullptr;
    int length = 0;
    ASSERT_EQ(sqlite3_keyword_name(i, &word, &length), SQLITE_OK);
    const std::string_view text{word, static_cast<std::size_t>(length)};
    EXPECT_EQ(spelling(keyword_of(text)), text);
  }
}

}  // namespace
}  // namespace kimberlite::sql
