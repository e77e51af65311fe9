#include <gtest/gtest.h>

#include "cli/error_text.hpp"
#include "cli/json.hpp"
#include "cli/terminal_text.hpp"

namespace kimberlite::cli {
namespace {

TEST(TerminalText, CountsTheColumnsATerminalUses) {
  EXPECT_EQ(display_width("Ann"), 3U);
  EXPECT_EQ(display_width("Zoë"), 3U);
  EXPECT_EQ(display_width("e\u0301"), 1U);  // a combining accent
  EXPECT_EQ(display_width("患者"), 4U);
  EXPECT_EQ(display_width("🩺"), 2U);
}

TEST(TerminalText, LetsNoStoredValueSteerTheTerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\tc\x7f"), "a\\x1b[2Jb\\r\\n\\tc\\x7f");
  EXPECT_EQ(printable("user\u202Etxt.exe"), "user\\u202etxt.exe");
  EXPECT_EQ(printable("\u0085"), "\\x85");
  EXPECT_EQ(printable("caf\xE9"), "caf\\xe9");  // Latin-1, not UTF-8
  EXPECT_EQ(printable("Zoë 患者"), "Zoë 患者");
}

TEST(TerminalText, CutsBetweenCharacters) {
  EXPECT_EQ(truncated("Boston", 6), "Boston");
  EXPECT_EQ(truncated("Boston", 5), "Bost…");
  EXPECT_EQ(truncated("患者番号", 5), "患者…");
  EXPECT_EQ(truncated("患者番号", 4), "患…");
  EXPECT_EQ(truncated("Boston", 1), "…");
}

std::string json_string(std::string_view text) {
  std::string to;
  append_json_string(to, text);
  return to;
}

TEST(Json, EscapesWhatRfc8259Demands) {
  EXPECT_EQ(json_string("a\"b\\c\n\r\t\x01z"), R"("a\"b\\c\n\r\t\u0001z")");
  EXPECT_EQ(json_string("患者"), "\"患者\"");
  EXPECT_EQ(json_string(""), "\"\"");
}

TEST(Json, WritesIntegersThatADoubleWouldChangeAsStrings) {
  const auto text = [](std::int64_t value) {
    std::string to;
    append_json_integer(to, value);
    return to;
  };
  EXPECT_EQ(text(9007199254740992), "9007199254740992");
  EXPECT_EQ(text(9007199254740993), "\"9007199254740993\"");
  EXPECT_EQ(text(-9007199254740992), "-9007199254740992");
  EXPECT_EQ(text(-9007199254740993), "\"-9007199254740993\"");
  EXPECT_EQ(text(std::numeric_limits<std::int64_t>::min()), "\"-9223372036854775808\"");
}

// The vectors of RFC 4648 §10.
Error sample() {
  return Error{Code::constraint_unique, "a row with this key is already in {}", "patients"}
      .where("statement {}, line {}, column {}", 3, 7, 1)
      .why("UNIQUE (ssn)")
      .next("add ON CONFLICT, or look at it:\nkimberlite history clinic patients");
}

TEST(ErrorText, HasTheLayoutOfTheManual) {
  EXPECT_EQ(error_layout(sample(), "01JD8Z6Q3M", false),
            "error[constraint.unique]: a row with this key is already in patients\n"
            "  where: statement 3, line 7, column 1\n"
            "  why:   UNIQUE (ssn)\n"
            "  next:  add ON CONFLICT, or look at it:\n"
            "         kimberlite history clinic patients\n"
            "  request: 01JD8Z6Q3M\n");
}

TEST(ErrorText, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(error_layout(Error{Code::not_found_table, "no table visits"}, "", false),
            "error[not_found.table]: no table visits\n");
}

TEST(ErrorText, ColoursOnlyTheHead) {
  EXPECT_EQ(error_layout(Error{Code::not_found_table, "no table visits"}, "", true),
            "\x1b[1;31merror[not_found.table]:\x1b[0m no table visits\n");
}

TEST(ErrorText, IsOneJsonObject) {
  std::string json;
  append_error_json(json, sample(), "01JD8Z6Q3M");
  EXPECT_EQ(
      json,
      R"x({"code":"constraint.unique","message":"a row with this key is already in patients",)x"
      R"x("where":"statement 3, line 7, column 1","why":"UNIQUE (ssn)",)x"
      R"x("next":"add ON CONFLICT, or look at it:\nkimberlite history clinic patients",)x"
      R"x("request":"01JD8Z6Q3M","exit":1})x");
}

}  // namespace
}  // namespace kimberlite::cli
