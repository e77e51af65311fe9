#include <gtest/gtest.h>

#include <optional>

#include "cli/csv_reader.hpp"
#include "cli/csv_text.hpp"

namespace kimberlite::cli {
namespace {

using Record = std::vector<std::optional<std::string>>;  // nothing: NULL

struct Read {
  std::vector<std::string> header;
  std::vector<Record> records;
  std::vector<std::string> errors;
  std::vector<std::string> refused;
};

Read read(std::string_view text, std::size_t piece = SIZE_MAX) {
  Read read;
  TextSource source{text, piece};
  auto reader = CsvReader::open(source);
  if (!reader) {
    read.errors.push_back(to_string(reader.error()));
    return read;
  }
  read.header = reader->header();
  for (std::size_t turn = 0; turn <= text.size(); ++turn) {
    auto more = reader->next();
    if (!more) {
      read.errors.push_back(to_string(more.error()));
      read.refused.emplace_back(reader->raw());
      continue;
    }
    if (!*more) return read;
    Record record;
    for (const CsvField& field : reader->fields()) {
      record.push_back(field.null() ? std::nullopt : std::optional{std::string{field.text}});
    }
    read.records.push_back(record);
  }
  read.errors.emplace_back("the reader does not end");
  return read;
}

constexpr std::optional<std::string> null;

TEST(Csv, TellsNullFromTheEmptyText) {
  const Read got = read("id,name,city\n1,,\"\"\n2,\"\",\n");
  EXPECT_EQ(got.header, (std::vector<std::string>{"id", "name", "city"}));
  EXPECT_EQ(got.records, (std::vector<Record>{{"1", null, ""}, {"2", "", null}}));
  EXPECT_TRUE(got.errors.empty());
}

TEST(Csv, TakesQuotedCommasQuotesAndLineEnds) {
  const Read got = read("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n\"one\r\ntwo\nthree\",\"\"\"\"\n");
  EXPECT_EQ(got.records, (std::vector<Record>{{"x,y", "say \"hi\""}, {"one\r\ntwo\nthree", "\""}}));
  EXPECT_TRUE(got.errors.empty());
}

TEST(Csv, TakesAByteOrderMarkAndCrlfAndAMissingLastLineEnd) {
  const Read got = read("\xEF\xBB\xBFid,name\r\n1,Ann\r\n2,\"Bob\"");
  EXPECT_EQ(got.header, (std::vector<std::string>{"id", "name"}));
  EXPECT_EQ(got.records, (std::vector<Record>{{"1", "Ann"}, {"2", "Bob"}}));
  EXPECT_TRUE(got.errors.empty());
}

TEST(Csv, ReadsAnEmptyLineOfAOneColumnFileAsNull) {
  EXPECT_EQ(read("a\n\nx\n\"\"\n").records, (std::vector<Record>{{null}, {"x"}, {""}}));
}

struct Refused {
  const char* name;
  std::string_view text;
  const char* where;
  const char* what;
};

class CsvRefuses : public testing::TestWithParam<Refused> {};

TEST_P(CsvRefuses, WithLineAndColumnAndGoesOn) {
  const std::string text = std::string{GetParam().text} + "\nlast,good\n";
  for (const std::size_t piece : {SIZE_MAX, std::size_t{1}, std::size_t{7}}) {
    const Read got = read(text, piece);
    ASSERT_EQ(got.errors.size(), 1U) << "pieces of " << piece;
    EXPECT_NE(got.errors[0].find("usage.csv"), std::string::npos) << got.errors[0];
    EXPECT_NE(got.errors[0].find(GetParam().where), std::string::npos) << got.errors[0];
    EXPECT_NE(got.errors[0].find(GetParam().what), std::string::npos) << got.errors[0];
    ASSERT_FALSE(got.records.empty());
    EXPECT_EQ(got.records.back(), (Record{"last", "good"}));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, CsvRefuses,
    testing::Values(
        Refused{"field_missing", "a,b\n1,2\n3", "line 3, column 2", "1 field, the header has 2"},
        Refused{"field_more", "a,b\n1,2\n3,4,5", "line 3, column 5", "3 fields, the header has 2"},
        Refused{"empty_line", "a,b\n1,2\n", "line 3, column 1", "1 field"},
        Refused{"quote_inside", "a,b\n1,5\" pipe", "line 2, column 4", "quote inside a field"},
        Refused{"text_after", "a,b\n\"1\"x,2", "line 2, column 4", "text after a closing quote"},
        Refused{"after_many_lines", "a,b\n\"1\n\n2\"x,2", "line 4, column 3", "text after"},
        Refused{"lone_return", "a,b\n1\r2,3", "line 2, column 2", "carriage return"},
        Refused{"lone_return_after_quote", "a,b\n\"1\"\r,3", "line 2, column 4", "carriage return"},
        Refused{"nul", std::string_view{"a,b\n1,x\0y", 9}, "line 2, column 4", "NUL"},
        Refused{"latin1", "a,b\nZo\xEB,x", "line 2, column 3", "not UTF-8"},
        Refused{"surrogate", "a,b\né\xED\xA0\x80,x", "line 2, column 2", "not UTF-8"},
        Refused{"columns_are_characters", "a,b\nZoë \"x\",y", "line 2, column 5", "quote inside"}),
    [](const auto& test) { return test.param.name; });

TEST(Csv, NamesTheQuoteThatIsNeverClosedAndGoesOnBehindItsLine) {
  const Read got = read("a,b\n1,\"open\n2,x\n");
  ASSERT_EQ(got.errors.size(), 1U);
  EXPECT_NE(got.errors[0].find("line 2, column 3"), std::string::npos) << got.errors[0];
  EXPECT_EQ(got.refused, std::vector<std::string>{"1,\"open"});
  EXPECT_EQ(got.records, (std::vector<Record>{{"2", "x"}}));
}

TEST(Csv, RefusesBadHeaders) {
  EXPECT_NE(read("").errors.at(0).find("no header"), std::string::npos);
  EXPECT_NE(read("\xEF\xBB\xBF").errors.at(0).find("no header"), std::string::npos);
  EXPECT_NE(read("id,,x\n").errors.at(0).find("line 1, column 4"), std::string::npos);
  EXPECT_NE(read("id,x,id\n").errors.at(0).find("column 3 is named twice"), std::string::npos);
}

TEST(Csv, GivesTheRefusedRecordAsItStands) {
  const Read got = read("a,b\n\"x\"\"y\",1,2\r\n3,4\n");
  EXPECT_EQ(got.refused, std::vector<std::string>{"\"x\"\"y\",1,2"});
  EXPECT_EQ(got.records, (std::vector<Record>{{"3", "4"}}));
}

TEST(Csv, ReportsLinesAndOffsetsOfEachRecord) {
  const std::string text = "a,b\n\"1\n1\",2\n3,4\n";
  TextSource source{text, 3};
  auto reader = CsvReader::open(source);
  ASSERT_TRUE(reader.has_value());
  ASSERT_TRUE(*reader->next());
  EXPECT_EQ(reader->line(), 2U);
  EXPECT_EQ(reader->offset(), 4U);
  EXPECT_EQ(reader->end_offset(), 12U);
  ASSERT_TRUE(*reader->next());
  EXPECT_EQ(reader->line(), 4U);
  EXPECT_EQ(reader->offset(), 12U);
  EXPECT_EQ(reader->end_offset(), text.size());
  EXPECT_FALSE(*reader->next());
}

TEST(Csv, RefusesARecordLargerThanItsBoundAndGoesOn) {
  const std::string text = "a,b\n1,\"" + std::string(CsvReader::record_size_max + 1000, 'x') +
                           "\"\n2,\"never closed\n3,4\n";
  TextSource source{text};
  auto reader = CsvReader::open(source);
  ASSERT_TRUE(reader.has_value());
  auto refused = reader->next();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::limit_row);
  EXPECT_EQ(refused.error().where(), "line 2");
}

// Deterministic, dense in everything that matters to the format.
std::string random_text(std::uint64_t& state, std::size_t size) {
  constexpr std::string_view alphabet = "ab,\"\n\r é";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::size_t pick = (state >> 33U) % 9;
    if (pick >= 8) {
      text += "é";
    } else {
      text += alphabet.substr(0, 7)[pick % 7];
    }
  }
  return text;
}

TEST(Csv, ReadsBackWhatIsWritten) {
  std::uint64_t state = 1;
  for (int round = 0; round < 500; ++round) {
    std::vector<Record> records;
    std::string text = "x,y,z\n";
    for (int r = 0; r < 5; ++r) {
      Record record;
      for (int f = 0; f < 3; ++f) {
        if (f > 0) text += ',';
        if (random_text(state, 1) == "a") {
          record.push_back(null);
          append_csv_null(text);
        } else {
          record.emplace_back(random_text(state, static_cast<std::size_t>(round % 9)));
          append_csv_text(text, *record.back());
        }
      }
      text += '\n';
      records.push_back(record);
    }
    const Read got = read(text, static_cast<std::size_t>(round % 11 + 1));
    ASSERT_EQ(got.records, records) << text;
    ASSERT_TRUE(got.errors.empty()) << got.errors[0];
  }
}

TEST(Csv, ReadsTheSameInPiecesOfAnySize) {
  std::uint64_t state = 7;
  for (int round = 0; round < 500; ++round) {
    const std::string text = "a,b\n" + random_text(state, 40);
    const Read whole = read(text);
    for (const std::size_t piece : {1U, 2U, 3U, 5U}) {
      const Read pieces = read(text, piece);
      ASSERT_EQ(pieces.records, whole.records) << text;
      ASSERT_EQ(pieces.errors, whole.errors) << text;
      ASSERT_EQ(pieces.refused, whole.refused) << text;
    }
  }
}

}  // namespace
}  // namespace kimberlite::cli
