#include "sql/script.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <random>

namespace kimberlite::sql {
namespace {

std::vector<std::string> texts(std::string_view script) {
  std::vector<std::string> out;
  for (const Piece& piece : split(script)) out.push_back(piece.text);
  return out;
}

using Texts = std::vector<std::string>;

TEST(Script, CutsAtTopLevelSemicolons) {
  EXPECT_EQ(texts(""), Texts{});
  EXPECT_EQ(texts(" ;; -- nothing\n ; /* ; */"), Texts{});
  EXPECT_EQ(texts("a; b ;c"), (Texts{"a", "b", "c"}));
  EXPECT_EQ(texts("a';'b;\"c;\";`;`;[;];x';'"), (Texts{"a';'b", "\"c;\"", "`;`", "[;]", "x';'"}));
  EXPECT_EQ(texts("a -- ;\n; b /* ; */ c ; /* ; */ d -- e"), (Texts{"a", "b /* ; */ c", "d"}));
  EXPECT_EQ(texts("a 'it''s; x'; b"), (Texts{"a 'it''s; x'", "b"}));
  EXPECT_EQ(texts("'open; a"), (Texts{"'open; a"}));
  EXPECT_EQ(texts("a /* open; b"), (Texts{"a /* open; b"}));
  EXPECT_EQ(texts("\xEF\xBB\xBFSELECT 1;"), (Texts{"SELECT 1"}));
}

TEST(Script, ATriggersBodyIsNoStatementOfItsOwn) {
  EXPECT_EQ(texts("CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; SELECT 1; END; c"),
            (Texts{"CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; SELECT 1; END", "c"}));
  EXPECT_EQ(texts("explain create /**/ temp trigger t begin a; end x; b;end; c").size(), 2U);
  EXPECT_EQ(texts("EXPLAIN QUERY PLAN CREATE TRIGGER x BEGIN a; END; c").size(), 2U);
  EXPECT_EQ(texts("CREATE TABLE trigger; b; END; c").size(), 4U);
  EXPECT_EQ(texts("CREATE TEMP TABLE trigger; b").size(), 2U);
}

TEST(Script, TellsWhereStatementsStand) {
  const auto pieces = split("  a;\n/* é */ b;\n\n é;c");
  ASSERT_EQ(pieces.size(), 4U);
  EXPECT_EQ(pieces[0].place, (Place{1, 3}));
  EXPECT_EQ(pieces[0].offset, 2U);
  EXPECT_TRUE(pieces[0].terminated);
  EXPECT_EQ(pieces[1].place, (Place{2, 9}));
  EXPECT_EQ(pieces[1].offset, 14U);
  EXPECT_EQ(pieces[2].place, (Place{4, 2}));
  EXPECT_EQ(pieces[3].place, (Place{4, 4}));
  EXPECT_FALSE(pieces[3].terminated);
}

TEST(Script, SaysWhenMoreIsWanted) {
  StatementReader reader;
  EXPECT_FALSE(reader.incomplete());
  reader.feed("SELECT 1;");
  EXPECT_TRUE(reader.next());  // without waiting for the end of the line
  EXPECT_FALSE(reader.incomplete());
  reader.feed("\n-- a remark\n");
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.incomplete());
  reader.feed("SELECT");
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.incomplete());
  reader.feed(" 'a;\n");
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.incomplete());
  reader.feed("b'; /* x");
  const auto piece = reader.next();
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->text, "SELECT 'a;\nb'");
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.incomplete());  // the comment
  reader.feed("*/");
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.incomplete());
}

// The cut does not depend on the pieces in which the text arrives.
TEST(Script, AnySplittingOfTheInputCutsTheSame) {
  std::mt19937_64 random{7};
  const std::vector<std::string_view> parts = {
      "a",   ";",    "'",        "''",        "\"", "-", "--",       "\n",     "/",
      "*",   "/*",   "*/",       "x'",        "1",  "e", "+",        ".",      "[",
      "]",   "$1",   ":",        "::",        "\v", " ", "\t",       "CREATE", " TEMP",
      "END", "\xEF", "\xBB\xBF", " TRIGGER ", "é",  ">", "EXPLAIN ", "0x"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::size_t i = 1 + random() % 20; i > 0; --i) text += parts[random() % parts.size()];
    const auto whole = split(text);
    StatementReader reader;
    std::vector<Piece> pieces;
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t size = std::min<std::size_t>(rest.size(), 1 + random() % 4);
      reader.feed(rest.substr(0, size));
      rest.remove_prefix(size);
      while (auto piece = reader.next()) pieces.push_back(*std::move(piece));
    }
    reader.finish();
    while (auto piece = reader.next()) pieces.push_back(*std::move(piece));
    ASSERT_EQ(pieces.size(), whole.size()) << "[" << text << "] in round " << round;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      ASSERT_EQ(pieces[i].text, whole[i].text) << "[" << text << "]";
      ASSERT_EQ(pieces[i].place, whole[i].place) << "[" << text << "]";
      ASSERT_EQ(pieces[i].offset, whole[i].offset) << "[" << text << "]";
      ASSERT_EQ(pieces[i].terminated, whole[i].terminated) << "[" << text << "]";
      ASSERT_EQ(text.substr(whole[i].offset, whole[i].text.size()), whole[i].text);
    }
  }
}

// A statement ends where sqlite3_complete() says so, and not before.
TEST(Script, AgreesWithSqliteOnWhatIsComplete) {
  std::mt19937_64 random{11};
  const std::vector<std::string_view> parts = {
      "a ",      "; ",    "'b' ", "'",        "\"c;\" ", "-- ;\n",  "/* ; */ ", "[;] ", "x';' ",
      "CREATE ", "TEMP ", "END ", "TRIGGER ", "\n",      "create ", "end",      "1.5 ", "EXPLAIN "};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::size_t i = 1 + random() % 12; i > 0; --i) text += parts[random() % parts.size()];
    const auto pieces = split(text);
    // sqlite3_complete takes the last statement only, and white space alone for incomplete.
    if (pieces.empty()) continue;
    const Piece& last = pieces.back();
    const std::string tail = text.substr(last.offset);
    ASSERT_EQ(sqlite3_complete(tail.c_str()) == 1, last.terminated) << "[" << text << "]";
    for (const Piece& piece : pieces) {
      ASSERT_EQ(sqlite3_complete((piece.text + "\n;").c_str()) == 1 || !piece.terminated, true)
          << "[" << piece.text << "]";
      if (piece.terminated) {
        ASSERT_EQ(sqlite3_complete(piece.text.c_str()), 0) << "[" << piece.text << "]";
      }
    }
  }
}

// Memory is bounded by one statement, whatever the script: the reader skips what is too long and
// goes on with the next.
TEST(Script, SkipsWhatIsTooLong) {
  const std::string block(100'000, 'a');
  for (const std::string_view open : {"'", "SELECT ", "x'", "[", "a, "}) {
    StatementReader reader;
    reader.feed("first;\n");
    reader.feed(open);
    std::vector<Piece> pieces;
    for (int i = 0; i < 30; ++i) {
      reader.feed(block);
      reader.feed(open == "a, " ? "," : "\n");
      while (auto piece = reader.next()) pieces.push_back(*std::move(piece));
    }
    reader.feed(open == "[" ? "];" : open == "SELECT " || open == "a, " ? ";" : "';");
    reader.feed(" last;");
    while (auto piece = reader.next()) pieces.push_back(*std::move(piece));
    ASSERT_EQ(pieces.size(), 3U) << open;
    EXPECT_EQ(pieces[0].text, "first");
    EXPECT_TRUE(pieces[1].oversize);
    EXPECT_EQ(pieces[1].text, "");
    EXPECT_EQ(pieces[1].place, (Place{2, 1}));
    EXPECT_FALSE(pieces[2].oversize);
    EXPECT_EQ(pieces[2].text, "last");
    EXPECT_EQ(pieces[2].offset, 7 + open.size() + 30 * (block.size() + 1) +
                                    (open == "SELECT " || open == "a, " ? 2 : 3))
        << open;
    EXPECT_EQ(pieces[2].place.line, open == "a, " ? 2U : 32U);
  }
  EXPECT_EQ(split(std::string(statement_size_max, 'a')).at(0).oversize, false);
  EXPECT_EQ(split(std::string(statement_size_max + 1, 'a')).at(0).oversize, true);
}

TEST(Script, ALongCommentIsNoStatement) {
  StatementReader reader;
  reader.feed("/*");
  for (int i = 0; i < 30; ++i) {
    reader.feed(std::string(100'000, '*'));
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.incomplete());
  }
  reader.feed("/ a;");
  const auto piece = reader.next();
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->text, "a");
  EXPECT_EQ(piece->place, (Place{1, 3'000'000 + 5}));
}

}  // namespace
}  // namespace kimberlite::sql
