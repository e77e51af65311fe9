#include "cli/result_writer.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "cli/csv_reader.hpp"

namespace kimberlite::cli {
namespace {

using catalog::Type;
using catalog::TypeKind;

class TextOutput final : public Output {
 public:
  Status write(std::string_view text) override {
    if (refuse) return Error{Code::unavailable_io, "closed"};
    all += text;
    return {};
  }
  std::string all;
  bool refuse = false;
};

Column column(const char* name, TypeKind kind) { return {name, Type{kind, 0, 0}}; }
Column computed(const char* name) { return {name, std::nullopt}; }

using Values = std::vector<ValueView>;
constexpr std::int64_t operator""_i(unsigned long long value) {
  return static_cast<std::int64_t>(value);
}

struct Written {
  std::string data;
  std::string messages;
};

Written write(WriterOptions options, const std::vector<Column>& columns,
              const std::vector<Values>& rows, const Summary& summary) {
  TextOutput data;
  TextOutput messages;
  options.command = "sql";
  const auto writer = make_result_writer(options, data, messages);
  EXPECT_TRUE(writer->begin(columns).has_value());
  for (const Values& row : rows) EXPECT_TRUE(writer->row(row).has_value());
  EXPECT_TRUE(writer->end(summary).has_value());
  EXPECT_TRUE(writer->finish().has_value());
  return {data.all, messages.all};
}

const Summary two_rows{.rows = 2,
                       .position = Position{3},
                       .timestamp = TimestampUs{1'795'378'031'402'113},
                       .elapsed_us = 412};

TEST(ResultTable, LooksAsInTheManual) {
  const std::vector<Column> columns{column("id", TypeKind::bigint), column("name", TypeKind::text),
                                    column("city", TypeKind::text)};
  const Written got =
      write({.format = Format::table}, columns,
            {{7_i, "Maynard Moss", "Boston"}, {19_i, "Curt Schmidt", "Boston"}}, two_rows);
  EXPECT_EQ(got.data,
            " id | name         | city\n"
            "----+--------------+--------\n"
            "  7 | Maynard Moss | Boston\n"
            " 19 | Curt Schmidt | Boston\n");
  EXPECT_EQ(got.messages, "2 rows, 0.4 ms, position 3\n");
}

TEST(ResultTable, AlignsNumbersRightAndShowsNull) {
  const Written got = write({.format = Format::table, .quiet = true},
                            {column("price", TypeKind::decimal), computed("n"), computed("t"),
                             column("患者", TypeKind::text)},
                            {{"9.50", 1_i, "x", "Zoë"}, {"110.00", 20_i, Null{}, "李"}}, two_rows);
  EXPECT_EQ(got.data,
            " price  | n  | t    | 患者\n"
            "--------+----+------+------\n"
            "   9.50 |  1 | x    | Zoë\n"
            " 110.00 | 20 | NULL | 李\n");
  EXPECT_EQ(got.messages, "");
}

TEST(ResultTable, CutsAndColoursOnATerminalOnly) {
  WriterOptions terminal{.format = Format::table};
  terminal.style = {.width_max = 5, .dim_null = true};
  EXPECT_EQ(
      write(terminal, {column("note", TypeKind::text)}, {{"a long note"}, {Null{}}}, two_rows).data,
      " note\n-------\n a lo…\n \x1b[2mNULL\x1b[0m\n");
  EXPECT_EQ(write({.format = Format::table}, {column("note", TypeKind::text)},
                  {{"two\nlines\x1b[0m"}}, two_rows)
                .data,
            " note\n-------------------\n two\\nlines\\x1b[0m\n");
}

TEST(ResultTable, StreamsBehindItsSample) {
  std::vector<Values> rows(3000, Values{1_i});
  rows.back() = Values{123456789_i};  // too late for the widths, and shown all the same
  const Written got =
      write({.format = Format::table}, {column("n", TypeKind::bigint)}, rows, two_rows);
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(got.data, '\n')), rows.size() + 2);
  EXPECT_TRUE(got.data.ends_with("\n 1\n 123456789\n"));
}

TEST(ResultTable, OfAStatementWithoutRowsIsItsLine) {
  TextOutput data;
  TextOutput messages;
  const auto writer = make_result_writer({}, data, messages);
  ASSERT_TRUE(
      writer->end({.rows = 1, .position = Position{4}, .timestamp = {}, .elapsed_us = 1'250'000}));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(data.all, "");
  EXPECT_EQ(messages.all, "1 row, 1.25 s, position 4\n");
}

const std::vector<Column> all_types{column("b", TypeKind::boolean),
                                    column("i", TypeKind::bigint),
                                    column("d", TypeKind::decimal),
                                    column("f", TypeKind::double_precision),
                                    column("x", TypeKind::bytes),
                                    column("t", TypeKind::timestamp),
                                    column("j", TypeKind::json),
                                    computed("c"),
                                    computed("c")};

std::vector<Values> all_values() {
  static const Buffer bytes{std::byte{0xFB}, std::byte{0xFF}};
  return {{1_i, 9007199254740993_i, "77.50", 3.0, Bytes{bytes}, "2024-01-15T10:30:00.25Z",
           R"({"a":"b"})", "say \"hi\"\n", std::numeric_limits<double>::infinity()},
          {Null{}, -1_i, Null{}, 0.1, Null{}, Null{}, Null{}, "", 2_i}};
}

TEST(ResultJsonLines, WritesEachTypeAndASummary) {
  const Written got = write({.format = Format::jsonl}, all_types, all_values(), two_rows);
  EXPECT_EQ(
      got.data,
      R"x({"b":true,"i":"9007199254740993","d":"77.50","f":3.0,"x":"+/8=",)x"
      R"x("t":"2024-01-15T10:30:00.25Z","j":"{\"a\":\"b\"}","c":"say \"hi\"\n","c_2":"inf"})x"
      "\n"
      R"x({"b":null,"i":-1,"d":null,"f":0.1,"x":null,"t":null,"j":null,"c":"","c_2":2})x"
      "\n"
      R"x({"summary":{"rows":2,"position":3,"timestamp":"2026-11-22T20:07:11.402113Z","elapsed_us":412}})x"
      "\n");
  EXPECT_EQ(got.messages, "");
}

TEST(ResultJsonLines, EndsAFailedStatementWithAnError) {
  TextOutput data;
  TextOutput messages;
  const auto writer = make_result_writer({.format = Format::jsonl}, data, messages);
  ASSERT_TRUE(writer->begin(std::vector{computed("n")}));
  ASSERT_TRUE(writer->row(Values{1_i}));
  ASSERT_TRUE(writer->fail(Error{Code::timeout_statement, "took too long"}, "01JD"));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(
      data.all,
      "{\"n\":1}\n"
      R"({"error":{"code":"timeout.statement","message":"took too long","request":"01JD","exit":4}})"
      "\n");
}

TEST(ResultJson, IsOneDocument) {
  TextOutput data;
  TextOutput messages;
  const auto writer =
      make_result_writer({.format = Format::json, .command = "sql"}, data, messages);
  ASSERT_TRUE(writer->begin(std::vector{column("n", TypeKind::bigint), computed("m")}));
  ASSERT_TRUE(writer->row(Values{1_i, 2_i}));
  ASSERT_TRUE(writer->row(Values{3_i, Null{}}));
  ASSERT_TRUE(writer->end({.rows = 2, .position = Position{3}, .timestamp = {}, .elapsed_us = 5}));
  ASSERT_TRUE(writer->end({.rows = 1, .position = Position{4}, .timestamp = {}, .elapsed_us = 6}));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(data.all, R"({"version":1,"command":"sql","data":{"statements":[)"
                      R"({"columns":[{"name":"n","type":"BIGINT"},{"name":"m","type":null}],)"
                      R"("rows":[{"n":1,"m":2},{"n":3,"m":null}],)"
                      R"("summary":{"rows":2,"position":3,"timestamp":null,"elapsed_us":5}},)"
                      R"({"summary":{"rows":1,"position":4,"timestamp":null,"elapsed_us":6}}]},)"
                      R"("ok":true,"error":null})"
                      "\n");
}

TEST(ResultJson, KeepsRowsBeforeAnErrorAndSaysBoth) {
  TextOutput data;
  TextOutput messages;
  const auto writer =
      make_result_writer({.format = Format::json, .command = "sql"}, data, messages);
  ASSERT_TRUE(writer->begin(std::vector{computed("n")}));
  ASSERT_TRUE(writer->row(Values{1_i}));
  ASSERT_TRUE(writer->fail(Error{Code::limit_rows, "too many"}, ""));
  ASSERT_TRUE(writer->fail(Error{Code::sql_syntax, "odd"}, ""));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(data.all, R"({"version":1,"command":"sql","data":{"statements":[)"
                      R"({"columns":[{"name":"n","type":null}],"rows":[{"n":1}],)"
                      R"("error":{"code":"limit.rows","message":"too many","exit":4}},)"
                      R"({"error":{"code":"sql.syntax","message":"odd","exit":1}}]},)"
                      R"("ok":false,"error":{"code":"sql.syntax","message":"odd","exit":1}})"
                      "\n");
}

TEST(ResultCsv, TellsNullFromTheEmptyTextAndReadsBack) {
  const Written got = write({.format = Format::csv}, all_types, all_values(), two_rows);
  EXPECT_EQ(got.data,
            "b,i,d,f,x,t,j,c,c\n"
            "true,9007199254740993,77.50,3.0,+/8=,2024-01-15T10:30:00.25Z,"
            "\"{\"\"a\"\":\"\"b\"\"}\",\"say \"\"hi\"\"\n\",inf\n"
            ",-1,,0.1,,,,\"\",2\n");
  EXPECT_EQ(got.messages, "");
}

TEST(ResultCsv, SendsErrorsToTheMessages) {
  TextOutput data;
  TextOutput messages;
  const auto writer = make_result_writer({.format = Format::csv}, data, messages);
  ASSERT_TRUE(writer->begin(std::vector{computed("n")}));
  ASSERT_TRUE(writer->row(Values{1_i}));
  ASSERT_TRUE(writer->fail(Error{Code::limit_rows, "too many"}, ""));
  EXPECT_EQ(data.all, "n\n1\n");
  EXPECT_EQ(messages.all, "error[limit.rows]: too many\n");
}

TEST(ResultWriters, PassOnThatTheReaderIsGone) {
  for (const Format format : {Format::table, Format::json, Format::jsonl, Format::csv}) {
    TextOutput data;
    TextOutput messages;
    data.refuse = true;
    const auto writer = make_result_writer({.format = format}, data, messages);
    Status status = writer->begin(std::vector{computed("n")});
    for (int i = 0; i < 100'000 && status; ++i) status = writer->row(Values{1_i});
    EXPECT_FALSE(status.has_value());
  }
}

TEST(UniqueNames, NeverCollideWithANameThatIsThere) {
  const Written got =
      write({.format = Format::jsonl}, {computed("a"), computed("a"), computed("a_2")},
            {{1_i, 2_i, 3_i}}, two_rows);
  EXPECT_TRUE(got.data.starts_with(R"({"a":1,"a_3":2,"a_2":3})")) << got.data;
}

}  // namespace
}  // namespace kimberlite::cli
