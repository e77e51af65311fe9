#include <gtest/gtest.h>

#include "cli/json_lines_reader.hpp"

namespace kimberlite::cli {
namespace {

struct Read {
  std::vector<std::string> rows;  // "name=text(kind) ..."
  std::vector<std::string> errors;
};

Read read(std::string_view text, std::size_t piece = SIZE_MAX) {
  constexpr std::string_view kinds = "0bnsj";
  Read read;
  TextSource source{text, piece};
  JsonLinesReader reader{source};
  for (std::size_t turn = 0; turn <= text.size(); ++turn) {
    auto more = reader.next();
    if (!more) {
      read.errors.push_back(to_string(more.error()));
      continue;
    }
    if (!*more) return read;
    std::string row;
    for (const JsonMember& member : reader.members()) {
      row += member.name + "=" + member.text + kinds[static_cast<std::size_t>(member.kind)] + " ";
    }
    read.rows.push_back(row);
  }
  read.errors.emplace_back("the reader does not end");
  return read;
}

TEST(JsonLines, GivesEachValueAsTheTextAColumnTakes) {
  const std::string text =
      "\xEF\xBB\xBF{\"a\":1.50,\"b\":\"x\\n\\u00e9\\\"\",\"c\":null,\"d\":true}\r\n"
      "\n"
      "  {\"a\" : -12345678901234567 , \"j\" : {\"x\": [1, 2.0]} , \"k\":[ ] }\n"
      "{}\n"
      "{\"e\":1e5}";
  for (const std::size_t piece : {SIZE_MAX, std::size_t{1}, std::size_t{13}}) {
    const Read got = read(text, piece);
    EXPECT_TRUE(got.errors.empty()) << got.errors[0];
    EXPECT_EQ(got.rows, (std::vector<std::string>{
                            "a=1.50n b=x\né\"s c=0 d=trueb ",
                            "a=-12345678901234567n j={\"x\": [1, 2.0]}j k=[ ]j ", "", "e=1e5n "}));
  }
}

TEST(JsonLines, RefusesALineAndGoesOnWithTheNext) {
  for (const std::string bad :
       {"[1]", "7", "{\"a\":1", "{\"a\":01}", "{\"a\":1} {\"b\":2}", "{\"a\":1,}", "{a:1}",
        "{\"a\":tru}", "{\"a\":{\"b\":nul}}", "{\"a\":[1,}}", "{\"a\":\"\x01\"}",
        "{\"a\":\"\xFF\"}", "{\"a\":1,\"a\":2}", "{\"a\":.5}", "nonsense"}) {
    const Read got = read("{\"first\":1}\n" + bad + "\n{\"last\":2}\n");
    ASSERT_EQ(got.errors.size(), 1U) << bad;
    EXPECT_NE(got.errors[0].find("usage.json"), std::string::npos) << got.errors[0];
    EXPECT_NE(got.errors[0].find("line 2"), std::string::npos) << got.errors[0];
    EXPECT_EQ(got.rows, (std::vector<std::string>{"first=1n ", "last=2n "})) << bad;
  }
}

TEST(JsonLines, RefusesALineAboveItsBoundInLittleMemory) {
  std::string text = "{\"a\":\"";
  text.append(3 * JsonLinesReader::line_size_max, 'x');
  text += "\"}\n{\"b\":1}\n";
  const Read got = read(text, 64U << 10U);
  ASSERT_EQ(got.errors.size(), 1U);
  EXPECT_NE(got.errors[0].find("limit.row"), std::string::npos);
  EXPECT_EQ(got.rows, std::vector<std::string>{"b=1n "});
}

TEST(JsonLines, ReportsLinesAndOffsets) {
  TextSource source{"{\"a\":1}\n\n{\"a\":2}\n", 4};
  JsonLinesReader reader{source};
  ASSERT_TRUE(*reader.next());
  EXPECT_EQ(reader.line(), 1U);
  EXPECT_EQ(reader.offset(), 0U);
  EXPECT_EQ(reader.end_offset(), 8U);
  ASSERT_TRUE(*reader.next());
  EXPECT_EQ(reader.line(), 3U);
  EXPECT_EQ(reader.offset(), 9U);
  EXPECT_EQ(reader.raw(), "{\"a\":2}");
  EXPECT_FALSE(*reader.next());
}

}  // namespace
}  // namespace kimberlite::cli
