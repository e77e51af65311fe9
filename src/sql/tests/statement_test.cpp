#include "sql/statement.hpp"

#include <gtest/gtest.h>

namespace kimberlite::sql {
namespace {

struct Good {
  std::string_view text;
  StatementKind kind;
};

TEST(Statement, IsClassified) {
  using enum StatementKind;
  for (const Good& good : {
           Good{"SELECT 1", select},
           Good{"select 1;", select},
           Good{"/* a */ SELECT 1 ; ; -- b", select},
           Good{"VALUES (1), (2)", select},
           Good{"WITH a AS (SELECT 1) SELECT * FROM a", select},
           Good{"WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT n FROM a",
                select},
           Good{"WITH replace AS (DELETE FROM x) SELECT 1", select},
           Good{"WITH a AS (SELECT 1), reason AS MATERIALIZED (SELECT 2) VALUES (1)", select},
           Good{"INSERT INTO t VALUES (1)", insert},
           Good{"INSERT OR IGNORE INTO t SELECT 1", insert},
           Good{"REPLACE INTO t VALUES (1)", insert},
           Good{"WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", insert},
           Good{"INSERT INTO t WITH reason AS (SELECT 1) SELECT * FROM reason", insert},
           Good{"WITH a AS (SELECT 1) REPLACE INTO t SELECT * FROM a", insert},
           Good{"UPDATE t SET a = 1", update},
           Good{"WITH a AS (SELECT 1) UPDATE t SET a = 1", update},
           Good{"DELETE FROM t", remove},
           Good{"WITH a AS (SELECT 1) DELETE FROM t", remove},
           Good{"TRUNCATE t", truncate},
           Good{"TRUNCATE TABLE \"t\"", truncate},
           Good{"CREATE TABLE t (a INTEGER)", ddl},
           Good{"DROP VIEW v", ddl},
           Good{"BEGIN", begin},
           Good{"BEGIN TRANSACTION", begin},
           Good{"begin work", begin},
           Good{"START TRANSACTION", begin},
           Good{"COMMIT", commit},
           Good{"COMMIT WORK", commit},
           Good{"END TRANSACTION", commit},
           Good{"ROLLBACK", rollback},
           Good{"ROLLBACK TRANSACTION", rollback},
           Good{"SAVEPOINT a", savepoint},
           Good{"RELEASE a", release},
           Good{"RELEASE SAVEPOINT a", release},
           Good{"ROLLBACK TO a", rollback_to},
           Good{"ROLLBACK WORK TO SAVEPOINT a", rollback_to},
           Good{"SET AS OF POSITION 12", set_as_of},
           Good{"SET AS OF POSITION HEAD - 3", set_as_of},
           Good{"SET AS OF POSITION $1", set_as_of},
           Good{"SET AS OF TIMESTAMP '2024-01-15 10:30:00'", set_as_of},
           Good{"SET AS OF LATEST", set_latest},
           Good{"SHOW TABLES", show_tables},
           Good{"SHOW COLUMNS FROM t", show_columns},
           Good{"SHOW COLUMNS IN t", show_columns},
           Good{"DESCRIBE t", show_columns},
           Good{"DESC t", show_columns},
           Good{"VERIFY SELECT 1 FROM t", select},
           Good{"verify with a as (select 1) select * from t", select},
           Good{"VERIFY TABLE t", verify_table},
           Good{"VERIFY TABLE verify AS OF POSITION $1", verify_table},
           Good{"VERIFY TABLE t FOR SYSTEM_TIME AS OF TIMESTAMP NOW()", verify_table},
           Good{"VERIFY TABLE \"t\" AS OF LATEST", verify_table},
       }) {
    const auto statement = parse(good.text);
    ASSERT_TRUE(statement) << good.text << ": " << to_string(statement.error());
    EXPECT_EQ(statement->kind, good.kind) << good.text;
    EXPECT_FALSE(statement->explain);
    EXPECT_EQ(statement->tokens.back().kind, TokenKind::end) << good.text;
    EXPECT_EQ(statement->ddl.has_value(), good.kind == StatementKind::ddl);
  }
}

struct Bad {
  std::string_view text;
  Code code;
  std::string_view where;
  std::string_view what;  // a part of it
};

void expect_refused(std::span<const Bad> all) {
  for (const Bad& bad : all) {
    const auto statement = parse(bad.text);
    ASSERT_FALSE(statement) << bad.text;
    const Error& error = statement.error();
    EXPECT_EQ(name(error.code()), name(bad.code)) << bad.text << ": " << to_string(error);
    EXPECT_EQ(error.where(), bad.where) << bad.text << ": " << to_string(error);
    EXPECT_NE(error.what().find(bad.what), std::string::npos) << bad.text << ": " << error.what();
    EXPECT_FALSE(error.next().empty()) << bad.text;
  }
}

TEST(Statement, IsRefusedWithItsPlace) {
  expect_refused(std::to_array<Bad>({
      {"", Code::sql_syntax, "", "empty"},
      {" ; ", Code::sql_syntax, "", "empty"},
      {"SELECT 1; SELECT 2", Code::sql_syntax, "line 1, column 11", "text after"},
      {"SELECT 1;\n;x", Code::sql_syntax, "line 2, column 2", "text after"},
      {"SELECT 'a", Code::sql_text, "line 1, column 8", "not closed"},
      {"SELEKT 1", Code::sql_syntax, "line 1, column 1", "SELEKT"},
      {"1", Code::sql_syntax, "line 1, column 1", "a number"},
      {"(SELECT 1)", Code::sql_syntax, "line 1, column 1", "("},
      {"WITH a AS (SELECT 1)", Code::sql_syntax, "line 1, column 21", "after WITH"},
      {"WITH a AS SELECT 1", Code::sql_syntax, "line 1, column 19", "after WITH"},
      {"WITH a) SELECT 1", Code::sql_syntax, "line 1, column 7", "common table expression"},
      {"TRUNCATE a, b", Code::sql_unsupported, "line 1, column 11", "several"},
      {"TRUNCATE a CASCADE", Code::sql_unsupported, "line 1, column 12", "option of TRUNCATE"},
      {"TRUNCATE", Code::sql_syntax, "line 1, column 9", "name of a table"},
      {"BEGIN IMMEDIATE", Code::sql_unsupported, "line 1, column 7", "kind of transaction"},
      {"BEGIN ISOLATION LEVEL SERIALIZABLE", Code::sql_unsupported, "line 1, column 7", "BEGIN"},
      {"START", Code::sql_syntax, "line 1, column 6", "TRANSACTION"},
      {"COMMIT x", Code::sql_syntax, "line 1, column 8", "the end of the statement"},
      {"SAVEPOINT", Code::sql_syntax, "line 1, column 10", "savepoint"},
      {"SAVEPOINT select", Code::sql_syntax, "line 1, column 11", "reserved"},
      {"SAVEPOINT \"\"", Code::sql_syntax, "line 1, column 11", "empty name"},
      {"ROLLBACK TO", Code::sql_syntax, "line 1, column 12", "savepoint"},
      {"SET AS OF", Code::sql_syntax, "line 1, column 10", "POSITION, TIMESTAMP or LATEST"},
      {"SET AS OF POSITION", Code::sql_syntax, "line 1, column 19", "a position"},
      {"SET AS OF LATEST 1", Code::sql_syntax, "line 1, column 18", "the end"},
      {"SET search_path = x", Code::sql_unsupported, "line 1, column 1", "SET"},
      {"SHOW server_version", Code::sql_unsupported, "line 1, column 1", "SHOW"},
      {"SHOW", Code::sql_unsupported, "line 1, column 1", "SHOW"},
      {"DESCRIBE", Code::sql_syntax, "line 1, column 9", "table"},
      {"SHOW TABLES; DROP TABLE t", Code::sql_syntax, "line 1, column 14", "text after"},
      {"CREATE TABLE t (a INTEGER DEFAULT $1)", Code::sql_misuse, "line 1, column 35", "parameter"},
  }));
}

TEST(Statement, WhatIsNotInTheDialectIsNamed) {
  expect_refused(std::to_array<Bad>({
      {"PRAGMA foreign_keys = off", Code::sql_unsupported, "line 1, column 1", "PRAGMA"},
      {"\n ATTACH 'x' AS y", Code::sql_unsupported, "line 2, column 2", "ATTACH"},
      {"DETACH y", Code::sql_unsupported, "line 1, column 1", "DETACH"},
      {"VACUUM", Code::sql_unsupported, "line 1, column 1", "VACUUM"},
      {"REINDEX t", Code::sql_unsupported, "line 1, column 1", "REINDEX"},
      {"ANALYZE", Code::sql_unsupported, "line 1, column 1", "ANALYZE"},
      {"GRANT SELECT ON t TO u", Code::sql_unsupported, "line 1, column 1", "GRANT"},
      {"REVOKE ALL ON t FROM u", Code::sql_unsupported, "line 1, column 1", "REVOKE"},
      {"COPY t FROM 'x'", Code::sql_unsupported, "line 1, column 1", "COPY"},
      {"COMMENT ON TABLE t IS 'x'", Code::sql_unsupported, "line 1, column 1", "COMMENT"},
      {"MERGE INTO t USING u ON 1", Code::sql_unsupported, "line 1, column 1", "MERGE"},
      {"PREPARE p AS SELECT 1", Code::sql_unsupported, "line 1, column 1", "PREPARE"},
      {"EXECUTE p", Code::sql_unsupported, "line 1, column 1", "EXECUTE"},
      {"CALL p()", Code::sql_unsupported, "line 1, column 1", "CALL"},
      {"DO 'x'", Code::sql_unsupported, "line 1, column 1", "DO"},
      {"LISTEN x", Code::sql_unsupported, "line 1, column 1", "LISTEN"},
      {"LOCK TABLE t", Code::sql_unsupported, "line 1, column 1", "LOCK"},
      {"DECLARE c CURSOR FOR SELECT 1", Code::sql_unsupported, "line 1, column 1", "DECLARE"},
      {"USE x", Code::sql_unsupported, "line 1, column 1", "USE"},
      {"RESET ALL", Code::sql_unsupported, "line 1, column 1", "RESET"},
      {"EXPLAIN ANALYZE SELECT 1", Code::sql_unsupported, "line 1, column 9", "EXPLAIN ANALYZE"},
      {"EXPLAIN (ANALYZE) SELECT 1", Code::sql_unsupported, "line 1, column 9", "EXPLAIN"},
      {"EXPLAIN DROP TABLE t", Code::sql_unsupported, "line 1, column 9", "EXPLAIN of DROP"},
      {"EXPLAIN EXPLAIN SELECT 1", Code::sql_unsupported, "line 1, column 9", "EXPLAIN of EXPLAIN"},
      {"EXPLAIN", Code::sql_unsupported, "line 1, column 8", "EXPLAIN of the end"},
  }));
}

TEST(Statement, ExplainIsTakenOff) {
  for (const std::string_view text : {"EXPLAIN SELECT 1", "EXPLAIN QUERY PLAN SELECT 1"}) {
    const auto statement = parse(text);
    ASSERT_TRUE(statement);
    EXPECT_TRUE(statement->explain);
    EXPECT_EQ(statement->kind, StatementKind::select);
    EXPECT_EQ(statement->tokens.front().text, "SELECT");
  }
}

TEST(Statement, VerifyIsTakenOff) {
  const auto select = parse("VERIFY SELECT a FROM t WHERE a = $1");
  ASSERT_TRUE(select);
  EXPECT_TRUE(select->verify);
  EXPECT_EQ(select->tokens.front().text, "SELECT");
  EXPECT_EQ(select->parameters.count, 1U);
  EXPECT_FALSE(parse("SELECT verify FROM verify")->verify);

  const auto table = parse("VERIFY TABLE [my table] AS OF POSITION HEAD - 2;");
  ASSERT_TRUE(table);
  EXPECT_FALSE(table->verify);
  EXPECT_EQ(table->name.name, "my table");
  ASSERT_EQ(table->tokens.size(), 5U);
  EXPECT_EQ(table->tokens[0].text, "POSITION");
  EXPECT_EQ(parse("VERIFY TABLE t")->tokens.size(), 1U);
}

TEST(Statement, VerifyOfAnythingElseNamesWhatIsExpected) {
  expect_refused(std::to_array<Bad>({
      {"VERIFY", Code::sql_syntax, "line 1, column 7", "SELECT, or TABLE and a name"},
      {"VERIFY INSERT INTO t VALUES (1)", Code::sql_syntax, "line 1, column 8", "SELECT, or TABLE"},
      {"VERIFY VALUES (1)", Code::sql_syntax, "line 1, column 8", "SELECT, or TABLE"},
      {"VERIFY EXPLAIN SELECT 1", Code::sql_syntax, "line 1, column 8", "SELECT, or TABLE"},
      {"VERIFY t", Code::sql_syntax, "line 1, column 8", "SELECT, or TABLE"},
      {"VERIFY WITH a AS (SELECT 1) DELETE FROM t", Code::sql_unsupported, "line 1, column 8",
       "VERIFY of a write"},
      {"EXPLAIN VERIFY SELECT 1", Code::sql_unsupported, "line 1, column 9", "EXPLAIN of VERIFY"},
      {"VERIFY TABLE", Code::sql_syntax, "line 1, column 13", "name of a table"},
      {"VERIFY TABLE a, b", Code::sql_syntax, "line 1, column 15", "AS"},
      {"VERIFY TABLE t AS OF", Code::sql_syntax, "line 1, column 21", "POSITION, TIMESTAMP"},
      {"VERIFY TABLE t AS OF LATEST 1", Code::sql_syntax, "line 1, column 29", "the end"},
      {"VERIFY TABLE t FOR x", Code::sql_syntax, "line 1, column 20", "SYSTEM_TIME"},
      {"VERIFY SELECT 1 WITH REASON 'x'", Code::sql_misuse, "line 1, column 17", "writes"},
  }));
}

TEST(Statement, SetAsOfLeavesWhatFollows) {
  const auto statement = parse("SET AS OF POSITION HEAD - 2;");
  ASSERT_TRUE(statement);
  ASSERT_EQ(statement->tokens.size(), 5U);
  EXPECT_EQ(statement->tokens[0].text, "POSITION");
  EXPECT_EQ(statement->tokens[3].text, "2");
}

TEST(Statement, NamesAreKept) {
  EXPECT_EQ(parse("SAVEPOINT \"A b\"")->name.name, "A b");
  EXPECT_EQ(parse("ROLLBACK TO sp1")->name.name, "sp1");
  EXPECT_EQ(parse("SHOW COLUMNS FROM [my table]")->name.name, "my table");
  EXPECT_EQ(parse("TRUNCATE TABLE x")->name.name, "x");
}

TEST(Statement, TheReasonIsTakenOff) {
  const auto literal = parse("DELETE FROM t WITH REASON 'it''s GDPR' ;");
  ASSERT_TRUE(literal);
  ASSERT_TRUE(literal->reason);
  EXPECT_EQ(literal->reason->text, "it's GDPR");
  EXPECT_EQ(literal->reason->parameter, 0U);
  EXPECT_EQ(literal->tokens.size(), 4U);
  EXPECT_EQ(literal->tokens.back().kind, TokenKind::end);

  for (const auto& [text, number] : std::vector<std::pair<std::string_view, std::uint32_t>>{
           {"DELETE FROM t WHERE a = ? WITH REASON ?", 2},
           {"DELETE FROM t WHERE a = $1 with reason $1", 1},
           {"DELETE FROM t WHERE a = ?5 WITH REASON ?3", 3},
           {"UPDATE t SET a = :a WITH REASON :why", 2},
           {"CREATE TABLE t (a INTEGER) WITH (class = phi) WITH REASON $1", 1},
           {"DROP TABLE t WITH REASON ?", 1},
       }) {
    const auto statement = parse(text);
    ASSERT_TRUE(statement) << text << ": " << to_string(statement.error());
    ASSERT_TRUE(statement->reason) << text;
    EXPECT_EQ(statement->reason->text, "");
    EXPECT_EQ(statement->reason->parameter, number) << text;
  }
}

TEST(Statement, TheReasonIsRefusedElsewhere) {
  expect_refused(std::to_array<Bad>({
      {"SELECT 1 WITH REASON 'x'", Code::sql_misuse, "line 1, column 10", "only a statement that"},
      {"EXPLAIN DELETE FROM t WITH REASON 'x'", Code::sql_misuse, "line 1, column 23", "only a"},
      {"COMMIT WITH REASON 'x'", Code::sql_misuse, "line 1, column 8", "only a statement that"},
      {"DELETE FROM t WITH REASON 'x' WITH REASON 'y'", Code::sql_misuse, "line 1, column 31",
       "twice"},
      {"DELETE FROM t WITH REASON 'x' WHERE a", Code::sql_syntax, "line 1, column 15",
       "at the end"},
      {"DELETE FROM t WITH REASON 7", Code::sql_syntax, "line 1, column 27", "a text or"},
      {"DELETE FROM t WITH REASON", Code::sql_syntax, "line 1, column 26", "a text or"},
      {"DELETE FROM t WITH REASON ''", Code::sql_misuse, "line 1, column 27", "empty"},
      {"WITH REASON 'x'", Code::sql_syntax, "line 1, column 1", "the end"},
  }));
}

TEST(Parameters, AreNumbered) {
  struct Case {
    std::string_view text;
    ParameterStyle style;
    std::uint32_t count;
    std::vector<std::uint32_t> numbers;
    std::vector<std::string> names;
  };
  for (const Case& each : {
           Case{"SELECT 1", ParameterStyle::none, 0, {}, {}},
           Case{"SELECT ?, ?, '?'", ParameterStyle::question, 2, {1, 2}, {}},
           Case{"SELECT ?2, ?1, ?2", ParameterStyle::numbered, 2, {2, 1, 2}, {}},
           Case{"SELECT $1::int, $3, $1", ParameterStyle::dollar, 3, {1, 3, 1}, {}},
           Case{"SELECT :a, @b, $a", ParameterStyle::named, 2, {1, 2, 1}, {"a", "b"}},
           Case{"SELECT :a, :A", ParameterStyle::named, 2, {1, 2}, {"a", "A"}},
           Case{"SELECT ?32766", ParameterStyle::numbered, 32766, {32766}, {}},
       }) {
    const auto statement = parse(each.text);
    ASSERT_TRUE(statement) << each.text << ": " << to_string(statement.error());
    const Parameters& parameters = statement->parameters;
    EXPECT_EQ(parameters.style, each.style) << each.text;
    EXPECT_EQ(parameters.count, each.count) << each.text;
    EXPECT_EQ(parameters.names, each.names) << each.text;
    std::vector<std::uint32_t> numbers;
    numbers.reserve(parameters.uses.size());
    for (const ParameterUse& use : parameters.uses) numbers.push_back(use.number);
    EXPECT_EQ(numbers, each.numbers) << each.text;
  }
  expect_refused(std::to_array<Bad>({
      {"SELECT ?, $1", Code::sql_misuse, "line 1, column 11", "two styles"},
      {"SELECT ?, ?1", Code::sql_misuse, "line 1, column 11", "two styles"},
      {"SELECT $1, $a", Code::sql_misuse, "line 1, column 12", "two styles"},
      {"SELECT $0", Code::sql_misuse, "line 1, column 8", "from 1"},
      {"SELECT ?32767", Code::sql_misuse, "line 1, column 8", "at most"},
      {"SELECT $99999999999999999999", Code::sql_misuse, "line 1, column 8", "at most"},
  }));
}

TEST(WithoutLiterals, KeepsAllButValues) {
  const auto cleaned = without_literals(
      "INSERT INTO \"t\" /* Ann's */ VALUES ('Ann', 7, 1.5, x'00', $1,\n  -0x1F) -- born 1970");
  ASSERT_TRUE(cleaned);
  EXPECT_EQ(*cleaned, "INSERT INTO \"t\"   VALUES (?, ?, ?, ?, $1,\n  -?)  ");
  EXPECT_FALSE(without_literals("'"));
}

}  // namespace
}  // namespace kimberlite::sql
