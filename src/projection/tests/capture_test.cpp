// The capture rules of sql.md, one test each. `changes_of` shows a record's changes as text:
// "+t(key)=image" inserted, "~" updated, "-" removed, "@p" the version replaced.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sql/types.hpp"
#include "support/world.hpp"

namespace kimberlite::projection::test {
namespace {

std::string list_of(const record::ValueList& list) {
  std::string text;
  for (const ValueView& value : list.values()) {
    text += (text.empty() ? "" : ",") + (is_null(value) ? std::string{"NULL"} : sql::print(value));
  }
  return text;
}

std::string changes_of(const World& world, Position position) {
  const Kept& kept = world.log.records.at(position.value() - 1);
  const auto plaintext = record::decode_plaintext(kept.header, kept.plaintext);
  std::string text;
  std::uint32_t ordinal = 0;
  for (const RowChange& change : plaintext->changes) {
    EXPECT_EQ(change.ordinal, ordinal++);
    const auto sign = change.operation == record::Operation::insert   ? '+'
                      : change.operation == record::Operation::update ? '~'
                                                                      : '-';
    text += fmt::format("{}{}{}({})", text.empty() ? "" : " ", sign, change.table.value(),
                        list_of(change.key));
    if (!change.image.empty()) text += "=" + list_of(change.image);
    if (change.previous.value() != 0) text += fmt::format("@{}", change.previous.value());
  }
  return text;
}

std::string last_changes(const World& world) { return changes_of(world, world.head()); }

// The leader now, and a replica that only ever saw the records, hold the same, history included.
void expect_replica_equal(World& world) {
  Disk other;
  auto replica = Projection::open(other.env(), other.location(), nullptr);
  ASSERT_TRUE(replica.has_value());
  replay(**replica, world.log);
  const auto ours = world.projection().sums();
  const auto theirs = (*replica)->sums();
  ASSERT_TRUE(ours.has_value() && theirs.has_value());
  EXPECT_EQ(*ours, *theirs);
  for (std::uint64_t p = 1; p <= world.head().value(); ++p) {
    EXPECT_EQ(*world.projection().dump(Position{p}), *(*replica)->dump(Position{p}));
  }
}

struct Capture : ::testing::Test {
  World world;
  void TearDown() override { expect_replica_equal(world); }
};

TEST_F(Capture, FullImagesAndTheVersionReplaced) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b DOUBLE)");
  world.run("INSERT INTO t (id, a, b) VALUES (1, 'x', 1), (2, 'y', 2.5)");
  EXPECT_EQ(last_changes(world), "+1(1)=1,x,1.0 +1(2)=2,y,2.5");
  world.run("UPDATE t SET a = 'z' WHERE id = 1");
  EXPECT_EQ(last_changes(world), "~1(1)=1,z,1.0@2");
  world.run("DELETE FROM t WHERE id = 1");
  EXPECT_EQ(last_changes(world), "-1(1)@3");
}

TEST_F(Capture, DeleteWithoutWhereIsSeenRowByRow) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  world.run("INSERT INTO t (id) VALUES (1), (2), (3)");
  world.run("DELETE FROM t");
  EXPECT_EQ(last_changes(world), "-1(1)@2 -1(2)@2 -1(3)@2");
}

TEST_F(Capture, ReplaceRemovesAllRowsInItsWay) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE)");
  world.run("INSERT INTO t (id, u) VALUES (1, 'a'), (2, 'b')");
  world.run("INSERT OR REPLACE INTO t (id, u) VALUES (1, 'b')");
  EXPECT_EQ(last_changes(world), "-1(1)@2 -1(2)@2 +1(1)=1,b");
}

TEST_F(Capture, UpsertIsAnUpdate) {
  world.ddl("CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER)");
  world.run("INSERT INTO t (id, n) VALUES ('a', 1)");
  world.run(
      "INSERT INTO t (id, n) VALUES ('a', 5), ('b', 6) "
      "ON CONFLICT (id) DO UPDATE SET n = excluded.n");
  EXPECT_EQ(last_changes(world), "~1(a)=a,5@2 +1(b)=b,6");
}

TEST_F(Capture, AKeyChangeIsARemovalAndAnInsertion) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (id, a) VALUES (1, 'x')");
  world.run("UPDATE t SET id = 7 WHERE id = 1");
  EXPECT_EQ(last_changes(world), "-1(1)@2 +1(7)=7,x");
}

TEST_F(Capture, CascadesAtAnyDepthRaiseFrom) {
  world.ddl("CREATE TABLE p (id INTEGER PRIMARY KEY)");
  world.ddl(
      "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER UNIQUE REFERENCES p (id) "
      "ON DELETE CASCADE ON UPDATE CASCADE)");
  world.ddl(
      "CREATE TABLE g (id INTEGER PRIMARY KEY, c INTEGER REFERENCES c (p) "
      "ON DELETE SET NULL ON UPDATE CASCADE)");
  world.run_all({"INSERT INTO p (id) VALUES (1), (2)", "INSERT INTO c (id, p) VALUES (10, 1)",
                 "INSERT INTO g (id, c) VALUES (100, 1), (101, NULL)"});
  world.run("UPDATE p SET id = 5 WHERE id = 1");
  EXPECT_EQ(last_changes(world), "-1(1)@4 +1(5)=5 ~2(10)=10,5@4 ~3(100)=100,5@4");
  world.run("DELETE FROM p WHERE id = 5");
  EXPECT_EQ(last_changes(world), "-1(5)@5 -2(10)@5 ~3(100)=100,NULL@5");
}

TEST_F(Capture, ARowChangedTwiceAtOnePositionLeavesOneVersion) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
  world.run("INSERT INTO t (id, n) VALUES (1, 1)");
  world.run_all({"UPDATE t SET n = 2", "UPDATE t SET n = 3", "DELETE FROM t"});
  EXPECT_EQ(last_changes(world), "~1(1)=1,2@2 ~1(1)=1,3@3 -1(1)@3");
  const auto sums = world.projection().sums();
  EXPECT_EQ((*sums)[1].table, "__h_1");
  EXPECT_EQ((*sums)[1].rows, 1U);
}

TEST_F(Capture, AFailedStatementLeavesNothingOfItself) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
  world.run("INSERT INTO t (id, n) VALUES (3, 0)");
  const Error error = world.refuse("INSERT INTO t (id, n) VALUES (1, 0), (2, 0), (3, 0)");
  EXPECT_EQ(error.code(), Code::constraint_primary_key);
  EXPECT_EQ(error.what(), "a row with this key is already there: t.id");
  world.run("INSERT INTO t (id, n) VALUES (1, 1)");
  EXPECT_EQ(last_changes(world), "+1(1)=1,1");
}

// Far more than a command holds: it is stopped on its way, and what it gathered is given up.
TEST_F(Capture, AStatementThatChangesTooMuchIsStoppedBeforeItsEnd) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
  world.run("INSERT INTO t (id, n) VALUES (0, 0)");
  const Error error = world.refuse(
      "INSERT INTO t (id, n) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
      "SELECT n, n FROM c");  // it would never end
  EXPECT_EQ(error.code(), Code::limit_command) << to_string(error);
  EXPECT_EQ(world.query("SELECT * FROM t"), "0|0");
  world.run("INSERT INTO t (id, n) VALUES (1, 1)");
  EXPECT_EQ(last_changes(world), "+1(1)=1,1");
}

TEST_F(Capture, RollbackToCutsBack) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  world.run_all({"INSERT INTO t (id) VALUES (1)", "SAVEPOINT a", "INSERT INTO t (id) VALUES (2)",
                 "SAVEPOINT b", "INSERT INTO t (id) VALUES (3)", "ROLLBACK TO b",
                 "INSERT INTO t (id) VALUES (4)", "RELEASE b", "ROLLBACK TO A",
                 "INSERT INTO t (id) VALUES (5)"});
  EXPECT_EQ(last_changes(world), "+1(1)=1 +1(5)=5");
  EXPECT_EQ(world.attempt({"SAVEPOINT a", "RELEASE nobody"}).error().code(),
            Code::not_found_object);
}

TEST_F(Capture, WhatChangesNothingProposesNothing) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
  world.run("INSERT INTO t (id, n) VALUES (1, 1), (2, 2)");
  const Position before = world.head();
  EXPECT_EQ(world.run("UPDATE t SET n = n"), 0U);
  EXPECT_EQ(world.run("UPDATE t SET n = 9 WHERE id = 77"), 0U);
  EXPECT_EQ(world.run_all({"INSERT INTO t (id, n) VALUES (5, 5)", "DELETE FROM t WHERE id = 5"}),
            0U);
  EXPECT_EQ(world.run_all({"UPDATE t SET n = 8 WHERE id = 1", "UPDATE t SET n = 1 WHERE id = 1"}),
            0U);
  EXPECT_EQ(world.run("INSERT OR REPLACE INTO t (id, n) VALUES (1, 1)"), 0U);
  EXPECT_EQ(world.head(), before);
}

TEST_F(Capture, AnUntouchedRowAmongChangedOnesKeepsItsVersion) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
  world.run("INSERT INTO t (id, n) VALUES (1, 1), (2, 2)");
  world.run("UPDATE t SET n = 2");
  EXPECT_EQ(last_changes(world), "~1(1)=1,2@2");
  world.run_all({"UPDATE t SET n = n WHERE id = 2", "UPDATE t SET n = 5 WHERE id = 2"});
  EXPECT_EQ(last_changes(world), "~1(2)=2,5@2");
}

TEST_F(Capture, AnUntouchedRowChangedLaterInTheSameStatement) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
  world.run("INSERT INTO t (id, n) VALUES (1, 1)");
  world.run(
      "INSERT INTO t (id, n) VALUES (1, 1), (1, 4) ON CONFLICT (id) DO UPDATE SET n = excluded.n");
  EXPECT_EQ(last_changes(world), "~1(1)=1,4@2");
}

TEST_F(Capture, CanonicalSpellingsInImageAndRow) {
  world.ddl("CREATE TABLE t (id DECIMAL(6,2) PRIMARY KEY, at TIMESTAMP, u UUID, f DOUBLE)");
  world.run(
      "INSERT INTO t (id, at, u, f) VALUES ('1.5', '2024-01-15 10:30+02:00', "
      "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', -0.0)");
  EXPECT_EQ(last_changes(world),
            "+1(1.50)=1.50,2024-01-15T08:30:00Z,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,0.0");
  world.run("UPDATE t SET id = '+2' WHERE id = '1.500'");
  EXPECT_EQ(last_changes(world),
            "-1(1.50)@2 +1(2.00)=2.00,2024-01-15T08:30:00Z,"
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,0.0");
  // The same instant in another spelling is no change, and does not stay.
  EXPECT_EQ(world.run("UPDATE t SET at = '2024-01-15T08:30Z'"), 0U);
  world.run("UPDATE t SET at = '2024-01-15T08:30Z', f = 2");
  EXPECT_EQ(last_changes(world),
            "~1(2.00)=2.00,2024-01-15T08:30:00Z,"
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,2.0@3");
}

TEST_F(Capture, TablesWithoutAKeyAreNumbered) {
  world.ddl("CREATE TABLE t (a TEXT, g TEXT GENERATED ALWAYS AS (a || '!'), b INTEGER)");
  world.run("INSERT INTO t (a, b) VALUES ('x', 1), ('x', 2)");
  EXPECT_EQ(last_changes(world), "+1(2097152)=x,1 +1(2097153)=x,2");
  world.run("UPDATE t SET b = 3 WHERE b = 1");
  EXPECT_EQ(last_changes(world), "~1(2097152)=x,3@2");
  world.run("DELETE FROM t WHERE b = 2");
  EXPECT_EQ(last_changes(world), "-1(2097153)@2");
}

TEST_F(Capture, GeneratedColumnsAreInNoImage) {
  world.ddl(
      "CREATE TABLE t (g TEXT GENERATED ALWAYS AS (a || '!'), id INTEGER PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (id, a) VALUES (1, 'x')");
  EXPECT_EQ(last_changes(world), "+1(1)=1,x");
  world.run("UPDATE t SET a = 'y'");
  EXPECT_EQ(last_changes(world), "~1(1)=1,y@2");
}

TEST_F(Capture, AddedDefaultsReachHistory) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  world.run("INSERT INTO t (id) VALUES (1), (2)");
  world.ddl("ALTER TABLE t ADD COLUMN d TEXT NOT NULL DEFAULT 'old'");
  const Position added = world.head();
  world.run("UPDATE t SET d = 'new' WHERE id = 1");
  const auto dump = world.projection().dump(added);
  EXPECT_NE(dump->find("1:1|3:old\n1:2|3:old\n"), std::string::npos) << *dump;
}

TEST_F(Capture, ASchemaTheRowsDoNotFitIsRefused) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
  world.run("INSERT INTO t (id, n) VALUES (1, 5), (2, 5)");
  const Position before = world.head();
  const std::vector<std::pair<std::string, Code>> wrong{
      {"ALTER TABLE t ADD COLUMN a INTEGER DEFAULT 3 CHECK (a > 10)", Code::constraint_check},
      {"CREATE UNIQUE INDEX i ON t (n)", Code::constraint_unique},
  };
  for (const auto& [sql, code] : wrong) {
    const Status refused = world.attempt_ddl(sql);
    ASSERT_FALSE(refused.has_value()) << sql;
    EXPECT_EQ(name(refused.error().code()), name(code)) << to_string(refused.error());
  }
  EXPECT_EQ(world.head(), before);
  world.ddl("ALTER TABLE t ADD COLUMN a TEXT NOT NULL DEFAULT 'x'");
}

// The hook shows NULL for a default that no row was written with yet.
TEST_F(Capture, AnAddedDefaultSetToNullIsAChange) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  world.run("INSERT INTO t (id) VALUES (1), (2), (3)");
  world.ddl("ALTER TABLE t ADD COLUMN d DECIMAL(6,2) DEFAULT 1.5");
  EXPECT_EQ(world.run("UPDATE t SET d = 1.50 WHERE id = 3"), 0U);
  world.reopen();
  world.run("UPDATE t SET d = NULL WHERE id <> 2");
  EXPECT_EQ(last_changes(world), "~1(1)=1,NULL@2 ~1(3)=3,NULL@2");
  EXPECT_EQ(world.run("UPDATE t SET d = NULL WHERE id = 1"), 0U);
}

TEST_F(Capture, DroppedColumnsAndTablesStayInThePast) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CHECK (a <> 'no'), b TEXT)");
  world.run("INSERT INTO t (id, a, b) VALUES (1, 'x', 'y')");
  const Position whole = world.head();
  const std::string before = *world.projection().dump(whole);
  world.ddl("ALTER TABLE t DROP COLUMN a");
  world.run("INSERT INTO t (id, b) VALUES (2, 'z')");
  const Position dropped = world.head();
  const std::string between = *world.projection().dump(dropped);
  world.ddl("ALTER TABLE t RENAME COLUMN b TO c");
  world.ddl("ALTER TABLE t RENAME TO s");
  world.run("UPDATE s SET c = 'w'");
  world.ddl("DROP TABLE s");
  world.ddl("CREATE TABLE t (id TEXT PRIMARY KEY)");
  world.run("INSERT INTO t (id) VALUES ('again')");
  EXPECT_EQ(*world.projection().dump(whole), before);
  EXPECT_EQ(*world.projection().dump(dropped), between);
  EXPECT_EQ(last_changes(world), "+2(again)=again");
}

TEST_F(Capture, IdentityGoesOnAboveWhatWasEverThere) {
  world.ddl("CREATE TABLE t (id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (a) VALUES ('x')");
  EXPECT_EQ(last_changes(world), "+1(1)=1,x");
  world.run("UPDATE t SET id = 50");
  world.run("DELETE FROM t");
  world.run("INSERT INTO t (a) VALUES ('y')");
  EXPECT_EQ(last_changes(world), "+1(51)=51,y");
  // A rebuild counts on from there, too.
  Disk other;
  auto replica = Projection::open(other.env(), other.location(), nullptr);
  ASSERT_TRUE(replica.has_value());
  replay(**replica, world.log);
}

TEST_F(Capture, ConstraintsNameWhatIsTheUsersAndNoValue) {
  world.ddl("CREATE TABLE p (id INTEGER PRIMARY KEY)");
  world.ddl(
      "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, n INTEGER NOT NULL, "
      "s SMALLINT, c INTEGER CONSTRAINT small CHECK (c < 10), CHECK (n <> 13), "
      "p INTEGER REFERENCES p (id), d DATE)");
  world.run("INSERT INTO t (id, u, n) VALUES (1, 'canary', 1)");
  const std::vector<std::pair<std::string, Code>> wrong{
      {"INSERT INTO t (id, u, n) VALUES (2, 'canary', 1)", Code::constraint_unique},
      {"INSERT INTO t (id) VALUES (2)", Code::constraint_not_null},
      {"INSERT INTO t (id, n, c) VALUES (2, 1, 4711)", Code::constraint_check},
      {"INSERT INTO t (id, n) VALUES (2, 13)", Code::constraint_check},
      {"INSERT INTO t (id, n, p) VALUES (2, 1, 4711)", Code::constraint_foreign_key},
      {"INSERT INTO t (id, n, s) VALUES (2, 1, 47110)", Code::type_range},
      {"INSERT INTO t (id, n, d) VALUES (2, 1, 'canary')", Code::type_format},
      {"INSERT INTO t (id, n) VALUES (2, 'canary')", Code::type_format},
  };
  for (const auto& [sql, code] : wrong) {
    const Error error = world.refuse(sql);
    EXPECT_EQ(name(error.code()), name(code)) << sql << ": " << to_string(error);
    for (const char* value : {"canary", "4711"}) {
      EXPECT_EQ(to_string(error).find(value), std::string::npos) << to_string(error);
    }
    EXPECT_EQ(to_string(error).find("__"), std::string::npos) << to_string(error);
  }
}

TEST_F(Capture, DeferredKeysAreHeldAtTheEndOfTheRequest) {
  world.ddl("CREATE TABLE p (id INTEGER PRIMARY KEY)");
  world.ddl(
      "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id) "
      "DEFERRABLE INITIALLY DEFERRED)");
  EXPECT_EQ(world.run_all({"INSERT INTO c (id, p) VALUES (1, 9)", "INSERT INTO p (id) VALUES (9)"}),
            2U);
  EXPECT_EQ(world.refuse("INSERT INTO c (id, p) VALUES (2, 8)").code(),
            Code::constraint_foreign_key);
}

TEST_F(Capture, TextThatIsNotUtf8IsRefused) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  EXPECT_EQ(world.refuse("INSERT INTO t (id, a) VALUES (1, $1)", {std::string{"\xff"}}).code(),
            Code::type_encoding);
  EXPECT_EQ(world.refuse("INSERT INTO t (id, a) VALUES (1, CAST(x'ff' AS TEXT))").code(),
            Code::type_encoding);
  EXPECT_EQ(world.run("INSERT INTO t (id, a) VALUES (1, $1)", {std::string{"ä"}}), 1U);
}

}  // namespace
}  // namespace kimberlite::projection::test
