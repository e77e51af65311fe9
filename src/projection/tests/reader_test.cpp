// Readers: snapshots, kept statements, time travel, the tables over the log, bounds and the door's
// second lock.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>

#include "sql/datetime.hpp"
#include "sql/statement.hpp"
#include "support/world.hpp"

namespace kimberlite::projection::test {
namespace {

struct Reading : ::testing::Test {
  World world;

  Result<std::unique_ptr<Cursor>> open(std::string_view sql, const ReadContext& context = {},
                                       std::vector<ValueView> parameters = {}) {
    const auto parsed = sql::parse(sql);
    EXPECT_TRUE(parsed.has_value()) << to_string(parsed.error());
    return world.reader().query(Query::of(*parsed), parameters, context);
  }
  std::string error_of_query(std::string_view sql) {
    const auto rows = world.try_query(sql);
    return rows ? "no error: " + *rows : std::string{name(rows.error().code())};
  }
};

TEST_F(Reading, AnswersNameTheirPosition) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
  for (int i = 1; i <= 3; ++i) {
    world.run(fmt::format("INSERT INTO t (id, n) VALUES ({}, {})", i, i));
    for (int again = 0; again < 2; ++again) {
      auto cursor = open("SELECT n FROM t WHERE id = 99");
      ASSERT_TRUE(cursor.has_value());
      EXPECT_FALSE(*(*cursor)->next());
      EXPECT_EQ((*cursor)->answered()->position, world.head());
      EXPECT_EQ((*cursor)->answered()->now, world.log.records.back().entry.timestamp);
    }
  }
  auto past = open("SELECT n FROM t AS OF POSITION 2");
  EXPECT_EQ((*past)->answered()->position, Position{2});
}

TEST_F(Reading, ACursorKeepsItsSnapshot) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  world.run("INSERT INTO t (id) VALUES (1), (2), (3)");
  auto cursor = open("SELECT id FROM t ORDER BY id");
  ASSERT_TRUE(cursor.has_value() && *(*cursor)->next());
  world.run("DELETE FROM t");
  EXPECT_TRUE(*(*cursor)->next());
  EXPECT_TRUE(*(*cursor)->next());
  EXPECT_EQ(std::get<std::int64_t>((*cursor)->row()[0]), 3);
  EXPECT_FALSE(*(*cursor)->next());
  EXPECT_EQ((*cursor)->answered()->position, Position{2});
  cursor->reset();
  EXPECT_EQ(world.query("SELECT count(*) FROM t"), "0");
}

TEST_F(Reading, KeptStatementsFollowTheSchema) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (id, a) VALUES (1, 'x')");
  EXPECT_EQ(world.query("SELECT * FROM t"), "1|x");
  EXPECT_EQ(world.query("SELECT a FROM t"), "x");
  world.ddl("ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'new'");
  EXPECT_EQ(world.query("SELECT * FROM t"), "1|x|new");
  world.ddl("ALTER TABLE t RENAME COLUMN a TO c");
  EXPECT_EQ(error_of_query("SELECT a FROM t"), "not_found.column");
  EXPECT_EQ(world.query("SELECT c FROM t"), "x");
  world.ddl("ALTER TABLE t RENAME COLUMN b TO a");
  EXPECT_EQ(world.query("SELECT a FROM t"), "new");
  world.ddl("CREATE VIEW v AS SELECT a FROM t");
  EXPECT_EQ(world.query("SELECT * FROM v"), "new");
  world.ddl("DROP VIEW v");
  EXPECT_EQ(error_of_query("SELECT * FROM v"), "not_found.table");
  world.ddl("DROP TABLE t");
  EXPECT_EQ(error_of_query("SELECT c FROM t"), "not_found.table");
  EXPECT_EQ(world.query("SELECT * FROM t AS OF POSITION 2"), "1|x");
}

TEST_F(Reading, ThePastByEveryParameter) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (id, a) VALUES (1, 'x')");
  const TimestampUs then = world.log.records.back().entry.timestamp;
  world.run("UPDATE t SET a = 'y'");
  EXPECT_EQ(world.query("SELECT a FROM t AS OF POSITION $1 WHERE id = $2",
                        {std::int64_t{2}, std::int64_t{1}}),
            "x");
  EXPECT_EQ(world.query("SELECT a FROM t AS OF POSITION $1 WHERE id = $2",
                        {std::int64_t{3}, std::int64_t{1}}),
            "y");
  EXPECT_EQ(world.query("SELECT a FROM t AS OF POSITION HEAD - 1"), "x");
  EXPECT_EQ(world.query("SELECT a FROM t AS OF TIMESTAMP $1",
                        {sql::text_of(sql::Timestamp{static_cast<std::int64_t>(then.value())})}),
            "x");
  EXPECT_EQ(world.query("SELECT a FROM t", {}, Position{2}), "x");
  EXPECT_EQ(error_of_query("SELECT a FROM t AS OF POSITION 99"), "not_found.position");
  EXPECT_EQ(error_of_query("SELECT a FROM t AS OF POSITION 0"), "not_found.then");
  EXPECT_EQ(world.query("SELECT n.a, o.a FROM t n JOIN t AS OF POSITION 2 o ON n.id = o.id"),
            "y|x");
}

// A kept statement is moved to the position asked for; the schema's changes and the head bound it,
// and a literal of the position's value stays what it is.
TEST_F(Reading, OneStatementReadsManyPositions) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)");
  world.run("INSERT INTO t (id, a) VALUES (1, 0)");
  const auto at = [&](std::int64_t position) {
    const std::string moved =
        world.query("SELECT a, 4 FROM t AS OF POSITION $1 WHERE id <> 4", {position});
    const Position by{static_cast<std::uint64_t>(position)};
    EXPECT_EQ(world.query("SELECT a, 4 FROM t WHERE id <> 4", {}, by), moved);
    auto cursor = open("SELECT a FROM t AS OF POSITION $1", {}, {position});
    EXPECT_EQ((*cursor)->answered()->position, by);
    return moved;
  };
  const auto refused = [&](std::vector<Value> parameters) {
    const auto rows = world.try_query("SELECT a, 4 FROM t AS OF POSITION $1 WHERE id <> 4",
                                      std::move(parameters));
    return rows ? "no error: " + *rows : std::string{name(rows.error().code())};
  };
  for (std::int64_t i = 3; i <= 6; ++i) world.run("UPDATE t SET a = a + 1");
  for (std::int64_t position : {6, 2, 4, 3, 5, 2}) {
    EXPECT_EQ(at(position), fmt::format("{}|4", position - 2));
  }
  EXPECT_EQ(refused({std::int64_t{7}}), "not_found.position");
  EXPECT_EQ(refused({std::int64_t{1'000}}), "not_found.position");
  EXPECT_EQ(refused({std::int64_t{0}}), "not_found.then");
  EXPECT_EQ(refused({std::int64_t{-1}}), "not_found.position");
  EXPECT_EQ(refused({Value{}}), "type.mismatch");
  EXPECT_EQ(refused({Value{std::string{"x"}}}), "type.mismatch");
  EXPECT_EQ(refused({}), "not_found.parameter");
  EXPECT_EQ(at(4), "2|4");
  world.run("UPDATE t SET a = 70");  // 7: the head goes on
  EXPECT_EQ(at(7), "70|4");
  EXPECT_EQ(at(6), "4|4");

  world.ddl("ALTER TABLE t RENAME COLUMN a TO b");  // 8: another schema, the old one before it
  world.run("UPDATE t SET b = 90");                 // 9
  EXPECT_EQ(at(6), "4|4");
  EXPECT_EQ(refused({std::int64_t{8}}), "not_found.column");
  EXPECT_EQ(refused({std::int64_t{9}}), "not_found.column");
  EXPECT_EQ(at(5), "3|4");
  for (const auto& [position, value] : {std::pair{9, "90"}, {8, "70"}, {9, "90"}}) {
    EXPECT_EQ(world.query("SELECT b FROM t AS OF POSITION $1", {std::int64_t{position}}), value);
  }
  EXPECT_EQ(world.query("SELECT x.b, y.b FROM t AS OF POSITION $1 x, t AS OF POSITION $2 y",
                        {std::int64_t{9}, std::int64_t{9}}),
            "90|90");
  EXPECT_EQ(world.query("SELECT x.b, y.b FROM t AS OF POSITION $1 x, t AS OF POSITION $2 y",
                        {std::int64_t{9}, std::int64_t{8}}),
            "90|70");
}

TEST_F(Reading, HistoryAndDiff) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (id, a) VALUES (1, 'x'), (2, 'z')");
  world.run("UPDATE t SET a = 'y' WHERE id = 1");
  world.run("DELETE FROM t WHERE id = 1");
  EXPECT_EQ(world.query("SELECT valid_from, valid_to, operation, reason, a FROM HISTORY(t) "
                        "WHERE id = 1 ORDER BY valid_from"),
            "2|3|insert|because|x;3|4|update|because|y;4|4|delete|because|NULL");
  EXPECT_EQ(world.query("SELECT change, id, a FROM DIFF(t, 2, 3) ORDER BY change, id"),
            "+|1|y;-|1|x");
}

TEST_F(Reading, ARecordOfManyRowsIsOpenedOnceForItsReason) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  world.run("INSERT INTO t (id) VALUES (1), (2), (3), (4), (5), (6), (7), (8)");
  world.run("INSERT INTO t (id) VALUES (11), (12), (13), (14)");
  for (int again = 0; again < 2; ++again) {
    world.log.reads = 0;
    EXPECT_EQ(world.query("SELECT count(*), count(reason) FROM HISTORY(t)"), "12|12");
    // Not kept beyond the statement: what it says may be erased.
    EXPECT_EQ(world.log.reads, 2U);
  }
}

TEST_F(Reading, EventsOfTables) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, d DECIMAL(6,2), b BOOLEAN)");
  world.run("INSERT INTO t (id, d, b) VALUES (1, '1.5', TRUE), (2, NULL, FALSE)");
  world.run_all({"UPDATE t SET d = 2 WHERE id = 1", "UPDATE t SET d = 3 WHERE id = 1"});
  world.run("DELETE FROM t WHERE id = 1");
  EXPECT_EQ(world.query("SELECT position, change, operation, stream, key, old, new FROM __events "
                        "WHERE stream = 't' ORDER BY position, change"),
            R"(2|0|insert|t|{"id":1}|NULL|{"id":1,"d":"1.50","b":true};)"
            R"(2|1|insert|t|{"id":2}|NULL|{"id":2,"d":null,"b":false};)"
            R"(3|0|update|t|{"id":1}|{"id":1,"d":"1.50","b":true}|{"id":1,"d":"2.00","b":true};)"
            R"(3|1|update|t|{"id":1}|{"id":1,"d":"2.00","b":true}|{"id":1,"d":"3.00","b":true};)"
            R"(4|0|delete|t|{"id":1}|{"id":1,"d":"3.00","b":true}|NULL)");
  EXPECT_EQ(world.query("SELECT actor, reason, schema_version, erased FROM __events "
                        "WHERE position = 4"),
            "alice|because|1|0");
}

TEST_F(Reading, AnIntegerNoDoubleHoldsIsATextInTheJsonOfAnEvent) {
  world.ddl("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT)");
  world.run(
      "INSERT INTO t (id, n) VALUES (1, 9007199254740992), (2, 9007199254740993), "
      "(3, -9223372036854775808)");
  EXPECT_EQ(world.query("SELECT new FROM __events WHERE stream = 't' ORDER BY change"),
            R"({"id":1,"n":9007199254740992};{"id":2,"n":"9007199254740993"};)"
            R"({"id":3,"n":"-9223372036854775808"})");
}

TEST_F(Reading, TheNewestEventsAreReadFromTheEnd) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  for (int i = 0; i < 50; ++i) world.run(fmt::format("INSERT INTO t (id) VALUES ({})", i));
  world.log.reads = 0;
  EXPECT_EQ(world.query("SELECT position FROM __events ORDER BY position DESC LIMIT 3"),
            "51;50;49");
  EXPECT_LE(world.log.reads, 4U);
  world.log.reads = 0;
  EXPECT_EQ(world.query("SELECT count(*) FROM __events WHERE position BETWEEN 10 AND 12"), "3");
  EXPECT_EQ(world.log.reads, 3U);
}

TEST_F(Reading, EventsOfStreamsByIndex) {
  for (int i = 0; i < 20; ++i) {
    world.append(i % 4 == 0 ? "rare" : "often", {{"A", R"({"i":1})"}, {"B", R"({"i":2})"}});
  }
  world.log.reads = 0;
  EXPECT_EQ(world.query("SELECT position, sequence, kind, payload FROM __events "
                        "WHERE stream = 'rare' AND sequence >= 7 ORDER BY position, change"),
            R"(13|7|B|{"i":2};17|8|A|{"i":1};17|9|B|{"i":2})");
  EXPECT_LE(world.log.reads, 2U);
  EXPECT_EQ(world.query("SELECT sequence FROM __events WHERE stream = 'rare' "
                        "ORDER BY position DESC, change DESC LIMIT 2"),
            "9;8");
}

TEST_F(Reading, SchemaHistoryAndRecords) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  world.run("INSERT INTO t (id) VALUES (1)");
  world.ddl("ALTER TABLE t RENAME TO s");
  EXPECT_EQ(world.query("SELECT position, object, version, ddl FROM __schema_history "
                        "ORDER BY position DESC"),
            "3|s|2|DDL;1|s|1|DDL");
  EXPECT_EQ(world.query("SELECT position, actor FROM __records ORDER BY position"),
            "1|alice;2|alice;3|alice");
  EXPECT_EQ(world.query("SELECT table_name FROM __tables"), "s");
  EXPECT_EQ(
      world.query("SELECT column_name FROM information_schema.columns WHERE table_name = 's'"),
      "id");
}

TEST_F(Reading, SignedHeads) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");  // 1
  world.run("INSERT INTO t (id) VALUES (1)");            // 2
  EXPECT_EQ(world.query("SELECT * FROM __heads"), "");
  Hash root{};
  root[31] = std::byte{7};
  const TimestampUs then{1'600'000'000'000'000};
  world.log.signed_heads = {
      {.size = 1, .root = root, .signed_at = then, .signatures = "a\n"},
      {.size = 2,
       .root = root,
       .signed_at = then,
       .signatures = "a\nb\n",
       .witnesses = 1,
       .anchors = 3,
       .last_anchor = then},
      // By the clock of a machine that is ahead of this one.
      {.size = 9, .anchors = 1, .last_anchor = TimestampUs{1ULL << 60U}},
  };
  EXPECT_EQ(world.query("SELECT size, typeof(root), hex(root) LIKE '%07', timestamp, state_digest, "
                        "signatures, witnesses, anchors FROM __heads WHERE size < 9 "
                        "ORDER BY size DESC"),
            "2|blob|1|2020-09-13T12:26:40Z|NULL|a\nb\n|1|3;"
            "1|blob|1|2020-09-13T12:26:40Z|NULL|a\n|0|0");
  const std::string age = world.query("SELECT last_anchor_age_s FROM __heads ORDER BY size");
  EXPECT_TRUE(age.starts_with("NULL;10000000") && age.ends_with(";0")) << age;
  EXPECT_EQ(world.query("SELECT r.position, h.anchors FROM __records r JOIN __heads h "
                        "ON h.size = r.position ORDER BY 1"),
            "1|0;2|3");
  EXPECT_EQ(world.query("SELECT max(size) FROM __heads WHERE timestamp > "
                        "TIMESTAMP '2020-01-01 00:00:00Z'"),
            "2");
  // Of trees that were there then.
  EXPECT_EQ(world.query("SELECT size FROM __heads AS OF POSITION 1"), "1");
  EXPECT_EQ(world.query("SELECT size FROM __heads ORDER BY 1", {}, Position{2}), "1;2");
  EXPECT_EQ(error_of_query("DELETE FROM __heads"), "sql.read_only");
  EXPECT_EQ(error_of_query("VERIFY SELECT * FROM __heads"), "sql.unsupported");
  // A writer's statement reads them too.
  world.run("INSERT INTO t SELECT 10 + size FROM __heads WHERE size < 9");
  EXPECT_EQ(world.query("SELECT id FROM t"), "1;11;12");
}

TEST_F(Reading, BudgetsAndInterrupts) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (id, a) VALUES (1, 'xxxxxxxxxx'), (2, 'y'), (3, 'z')");
  ReadContext context;
  context.budget.rows_max = 2;
  auto rows = rows_of(world.reader(), "SELECT id FROM t", {}, context);
  EXPECT_EQ(rows.error().code(), Code::limit_rows);
  context.budget = {.bytes_max = 10};
  EXPECT_EQ(rows_of(world.reader(), "SELECT id, a FROM t", {}, context).error().code(),
            Code::limit_memory);
  const std::string endless =
      "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r";
  context.budget = {.deadline_ns = world.disk.env().clock.monotonic_ns() + 20'000'000};
  EXPECT_EQ(rows_of(world.reader(), endless, {}, context).error().code(), Code::timeout_statement);
  const std::string wide =
      "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r LIMIT 200000) "
      "SELECT i || 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' AS x FROM r ORDER BY x DESC LIMIT 1 OFFSET 9";
  context.budget = {.memory_max = 1U << 20U};
  EXPECT_EQ(rows_of(world.reader(), wide + "0000", {}, context).error().code(), Code::limit_memory);
  context.budget = {};
  EXPECT_TRUE(rows_of(world.reader(), wide + "0000", {}, context));
  const std::atomic<bool> interrupt{true};
  context.budget = {.interrupt = &interrupt};
  EXPECT_EQ(rows_of(world.reader(), endless, {}, context).error().code(), Code::interrupted_signal);
  EXPECT_EQ(world.query("SELECT count(*) FROM t"), "3");
}

TEST_F(Reading, WritesAndWhatIsNotTheUsersAreRefused) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  EXPECT_EQ(error_of_query("INSERT INTO t (id) VALUES (1)"), "sql.read_only");
  for (const char* text :
       {"SELECT * FROM sqlite_schema", "SELECT * FROM __h_1", "SELECT __from FROM t",
        "SELECT * FROM pragma_table_info('t')", "SELECT rowid FROM t", "SELECT load_extension('x')",
        "SELECT * FROM __projection", "SELECT kmb_position()", "SELECT * FROM dbstat"}) {
    const auto rows = world.try_query(text);
    EXPECT_FALSE(rows.has_value()) << text;
  }
  const std::string plan = world.query("EXPLAIN SELECT a FROM t WHERE id = 1");
  EXPECT_NE(plan.find("SEARCH"), std::string::npos) << plan;
}

TEST_F(Reading, ParametersAreCounted) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  EXPECT_EQ(world.try_query("SELECT $1 + $2", {std::int64_t{1}}).error().code(), Code::sql_misuse);
  EXPECT_EQ(world.query("SELECT $1 + $2", {std::int64_t{1}, std::int64_t{2}}), "3");
}

}  // namespace
}  // namespace kimberlite::projection::test
