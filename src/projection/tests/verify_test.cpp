// VERIFY SELECT, and holding a whole table against a second derivation: what they accept, and what
// they find when the projection is changed behind its back, with the right key, page by page sealed
// as the product seals them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "context.hpp"
#include "sql/statement.hpp"
#include "support/random_sql.hpp"
#include "support/world.hpp"

namespace kimberlite::projection::test {
namespace {

// Runs `sql` on the projection's own file. kmb_position() is 0 there, so that the triggers keep no
// history of what is done.
void tamper(World& world, const std::string& sql) {
  Context context{world.disk.env().clock};
  auto connection = Connection::open(world.disk.location(), Connection::Mode::write);
  ASSERT_TRUE(connection.has_value()) << to_string(connection.error());
  ASSERT_TRUE(prepare_connection(*connection, context).has_value());
  const Status done = connection->execute(sql);
  EXPECT_TRUE(done.has_value()) << sql << ": " << to_string(done.error());
  EXPECT_GT(sqlite3_total_changes64(connection->db()), 0) << sql;
  context.release();
}

struct Verifying : ::testing::Test {
  World world;

  // "code: where" of the error, or the rows.
  std::string verify(std::string_view sql, std::optional<Position> as_of = std::nullopt) {
    const auto rows = world.try_query(sql, {}, as_of);
    if (rows) return *rows;
    return fmt::format("{}: {}", name(rows.error().code()), rows.error().where());
  }

  // The rows VERIFY SELECT gives, without the position, must be those of SELECT.
  std::string columns_of(std::string_view sql) {
    const auto parsed = sql::parse(sql);
    EXPECT_TRUE(parsed.has_value());
    ReadContext context;
    const auto cursor = world.reader().query(Query::of(*parsed), {}, context);
    EXPECT_TRUE(cursor.has_value()) << to_string(cursor.error());
    std::string names;
    for (const ResultColumn& column : (*cursor)->columns()) names += column.name + " ";
    return names;
  }

  Result<TableCheck> check(std::string_view table, Position at) {
    Disk other;
    auto derived = Projection::open(other.env(), other.location(), &world.log);
    EXPECT_TRUE(derived.has_value());
    Log until;
    for (std::size_t i = 0; i < at.value(); ++i) until.records.push_back(world.log.records[i]);
    replay(**derived, until);
    const auto catalog = world.projection().catalog();
    const catalog::Table* found = catalog->table_at(table, at);
    EXPECT_NE(found, nullptr);
    return world.reader().check_table(found->id, at, **derived, Budget{});
  }
  // "n: what, position p, change c, column" of the first difference; "same".
  std::string found(std::string_view table, std::optional<Position> at = std::nullopt) {
    const auto checked = check(table, at.value_or(world.head()));
    if (!checked) return to_string(checked.error());
    if (checked->differences == 0) return "same";
    const Difference& first = checked->named.front();
    return fmt::format("{}: {}, position {}{}{}", checked->differences, first.what,
                       first.position.value(),
                       first.change ? fmt::format(", change {}", *first.change) : "",
                       first.column.empty() ? "" : ", column " + first.column);
  }
};

struct Patients : Verifying {
  Patients() {
    world.ddl(
        "CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT, cost DECIMAL(10,2), "
        "weight DOUBLE)");                                                                 // 1
    world.run("INSERT INTO patients VALUES (1, 'Ann', 10.50, 1.5), (2, 'Bob', NULL, 2)");  // 2
    world.run("UPDATE patients SET name = 'Bert' WHERE id = 2");                           // 3
    world.run("INSERT INTO patients VALUES (3, 'Cleo', '7', -0.0)");                       // 4
    world.run("DELETE FROM patients WHERE id = 1");                                        // 5
    world.run("INSERT INTO patients VALUES (1, 'Anna', 0.10, NULL)");                      // 6
  }
};

TEST_F(Patients, EveryRowComesWithThePositionThatSaysIt) {
  EXPECT_EQ(verify("VERIFY SELECT * FROM patients ORDER BY id"),
            "1|Anna|0.10|NULL|6;2|Bert|NULL|2.0|3;3|Cleo|7.00|0.0|4");
  EXPECT_EQ(columns_of("VERIFY SELECT name n, id FROM patients"), "n id __position __receipt ");
  EXPECT_EQ(verify("VERIFY SELECT name FROM patients WHERE id > 1 ORDER BY 1 DESC LIMIT 1"),
            "Cleo|4");
  EXPECT_EQ(verify("VERIFY SELECT upper(name), cost * 2 FROM patients WHERE id = 3"),
            "CLEO|14.00|4");
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients WHERE id IN (SELECT max(id) FROM patients)"),
            "3|4");
  EXPECT_EQ(verify("VERIFY WITH few AS (SELECT 2 AS id) SELECT name FROM patients WHERE id IN "
                   "(SELECT id FROM few)"),
            "Bert|3");
  EXPECT_EQ(
      verify("VERIFY SELECT id, row_number() OVER (ORDER BY id DESC) FROM patients ORDER BY id"),
      "1|3|6;2|2|3;3|1|4");
  EXPECT_EQ(verify("VERIFY SELECT * FROM patients WHERE id = 9"), "");
}

TEST_F(Patients, ThePastIsVerifiedToo) {
  EXPECT_EQ(verify("VERIFY SELECT * FROM patients AS OF POSITION 2 ORDER BY id"),
            "1|Ann|10.50|1.5|2;2|Bob|NULL|2.0|2");
  EXPECT_EQ(verify("VERIFY SELECT name FROM patients ORDER BY id", Position{4}),
            "Ann|2;Bert|3;Cleo|4");
  // The same prepared text, moved to another position.
  EXPECT_EQ(verify("VERIFY SELECT name FROM patients ORDER BY id", Position{5}), "Bert|3;Cleo|4");
  EXPECT_EQ(verify("SELECT name FROM patients ORDER BY id", Position{5}), "Bert;Cleo");
  EXPECT_EQ(world.query("VERIFY SELECT name FROM patients AS OF POSITION $1 ORDER BY id",
                        {Value{std::int64_t{2}}}),
            "Ann|2;Bob|2");
  EXPECT_EQ(world.query("VERIFY SELECT name FROM patients AS OF POSITION $1 ORDER BY id",
                        {Value{std::int64_t{3}}}),
            "Ann|2;Bert|3");
}

TEST_F(Patients, ReceiptsAreOfTheRowsRecordInOneTreeThatHoldsTheAnswer) {
  const auto receipts = [&](std::string_view sql, std::optional<Position> as_of = std::nullopt) {
    const auto parsed = sql::parse(sql);
    ReadContext context;
    context.as_of = as_of;
    const auto cursor = world.reader().query(Query::of(*parsed), {}, context);
    EXPECT_TRUE(cursor.has_value()) << to_string(cursor.error());
    std::string all;
    while (*(*cursor)->next()) {
      const ValueView& last = (*cursor)->row().back();
      all += is_null(last) ? "NULL" : std::get<std::string_view>(last);
      all += ';';
    }
    return all;
  };
  EXPECT_EQ(receipts("VERIFY SELECT name FROM patients ORDER BY id"),
            "record 6 of 6;record 3 of 6;record 4 of 6;");
  EXPECT_EQ(receipts("VERIFY SELECT name FROM patients ORDER BY id", Position{4}),
            "record 2 of 4;record 3 of 4;record 4 of 4;");
  EXPECT_EQ(receipts("VERIFY SELECT b.name FROM patients a LEFT JOIN patients AS OF POSITION 2 b "
                     "ON a.id = b.id ORDER BY a.id"),
            "record 2 of 6;record 2 of 6;NULL;");
  // They count as what they are: text that is handed out.
  ReadContext context;
  context.budget.bytes_max = 20;
  EXPECT_TRUE(rows_of(world.reader(), "SELECT name FROM patients", {}, context));
  EXPECT_EQ(rows_of(world.reader(), "VERIFY SELECT name FROM patients", {}, context).error().code(),
            Code::limit_memory);
}

TEST_F(Patients, JoinsNameEachTablesPosition) {
  world.ddl("CREATE TABLE visits (id INTEGER PRIMARY KEY, patient INTEGER, name TEXT)");  // 7
  world.run("INSERT INTO visits VALUES (1, 3, 'Cleo'), (2, 8, 'who')");                   // 8
  EXPECT_EQ(columns_of("VERIFY SELECT v.id FROM visits v JOIN patients ON patients.id = v.patient"),
            "id v.__position v.__receipt patients.__position patients.__receipt ");
  EXPECT_EQ(verify("VERIFY SELECT v.id, p.name FROM visits v LEFT JOIN patients p "
                   "ON p.id = v.patient ORDER BY v.id"),
            "1|Cleo|8|4;2|NULL|8|NULL");
  EXPECT_EQ(verify("VERIFY SELECT * FROM visits v JOIN patients USING (name)"),
            "1|3|Cleo|3|7.00|0.0|8|4");
  EXPECT_EQ(verify("SELECT * FROM visits v JOIN patients USING (name)"), "1|3|Cleo|3|7.00|0.0");
  EXPECT_EQ(verify("VERIFY SELECT v.* FROM visits v NATURAL JOIN patients p"), "");
  EXPECT_EQ(verify("VERIFY SELECT a.id, b.name FROM patients a, patients AS OF POSITION 2 b WHERE "
                   "a.id = b.id ORDER BY a.id"),
            "1|Ann|6|2;2|Bob|3|2");
  EXPECT_EQ(verify("VERIFY SELECT v.id, p.id FROM (visits v JOIN patients p ON p.id = v.patient)"),
            "1|3|8|4");
  EXPECT_EQ(
      verify("VERIFY SELECT v.id, p.id FROM patients p RIGHT JOIN visits v ON p.id = v.patient "
             "ORDER BY v.id"),
      "1|3|4|8;2|NULL|NULL|8");
}

TEST_F(Verifying, TablesWithoutAKeyAndTransactions) {
  world.ddl("CREATE TABLE notes (text TEXT, n SMALLINT)");  // 1
  world.run_all({"INSERT INTO notes VALUES ('a', 1), ('b', 2)",
                 "UPDATE notes SET n = 3 WHERE n = 1", "DELETE FROM notes WHERE text = 'b'",
                 "INSERT INTO notes VALUES ('b', 4)"});  // 2
  EXPECT_EQ(verify("VERIFY SELECT * FROM notes ORDER BY n"), "a|3|2;b|4|2");
  EXPECT_EQ(verify("VERIFY SELECT __row % 1048576, * FROM notes ORDER BY n"), "0|a|3|2;2|b|4|2");
  EXPECT_EQ(verify("VERIFY SELECT * FROM notes x JOIN notes y ON x.n < y.n"), "a|3|b|4|2|2");
  tamper(world, "UPDATE notes SET n = 5 WHERE text = 'b'");
  EXPECT_EQ(world.query("SELECT n FROM notes ORDER BY n"), "3;5");
  EXPECT_EQ(verify("VERIFY SELECT text FROM notes WHERE n = 5"),
            "integrity.projection: table notes, position 2, change 4, column n");
  EXPECT_EQ(verify("VERIFY SELECT text FROM notes WHERE n = 3"), "a|2");
  EXPECT_EQ(found("notes"),
            "1: a row is not what the log says it is, position 2, change 4, column n");
  tamper(world, "UPDATE notes SET n = 4, __row = __row + 1 WHERE text = 'b'");
  EXPECT_EQ(verify("VERIFY SELECT text FROM notes WHERE n = 4"),
            "integrity.projection: table notes, position 2");
  EXPECT_EQ(found("notes"), "2: a row is missing, position 2, change 4");
}

TEST_F(Verifying, ColumnsRenamedAddedAndDropped) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)");  // 1
  world.run("INSERT INTO t VALUES (1, 'one', 'x'), (2, 'two', 'y')");    // 2
  world.ddl("ALTER TABLE t ADD COLUMN price DECIMAL(8,2) DEFAULT 1.5");  // 3
  world.ddl("ALTER TABLE t ADD COLUMN note TEXT");                       // 4
  world.run("UPDATE t SET b = 'z' WHERE id = 2");                        // 5
  world.ddl("ALTER TABLE t RENAME COLUMN a TO words");                   // 6
  EXPECT_EQ(verify("VERIFY SELECT * FROM t ORDER BY id"),
            "1|one|x|1.50|NULL|2;2|two|z|1.50|NULL|5");
  world.ddl("ALTER TABLE t DROP COLUMN b");     // 7
  world.ddl("ALTER TABLE t RENAME TO things");  // 8
  // Dropping a column carries the rows over: the records that say them are the same.
  EXPECT_EQ(verify("VERIFY SELECT * FROM things ORDER BY id"),
            "1|one|1.50|NULL|2;2|two|1.50|NULL|5");
  world.ddl("ALTER TABLE things DROP COLUMN note");           // 9
  world.run("UPDATE things SET words = 'TWO' WHERE id = 2");  // 10
  EXPECT_EQ(verify("VERIFY SELECT * FROM things ORDER BY id"), "1|one|1.50|2;2|TWO|1.50|10");
  EXPECT_EQ(verify("VERIFY SELECT * FROM t AS OF POSITION 2 ORDER BY id"), "1|one|x|2;2|two|y|2");
  EXPECT_EQ(verify("VERIFY SELECT * FROM t AS OF POSITION 6 ORDER BY id"),
            "1|one|x|1.50|NULL|2;2|two|z|1.50|NULL|5");
  for (std::uint64_t p = 1; p <= 10; ++p) {
    EXPECT_EQ(found(p < 8 ? "t" : "things", Position{p}), "same") << p;
  }
  tamper(world, "UPDATE things SET price = '9.50' WHERE id = 1");
  EXPECT_EQ(verify("VERIFY SELECT id FROM things WHERE id = 1"),
            "integrity.projection: table things, position 2, change 0, column price");
  EXPECT_EQ(found("things"),
            "1: a row is not what the log says it is, position 2, change 0, column price");
  EXPECT_EQ(found("things", Position{8}),
            "same");  // those are in history, which is as it was
}

TEST_F(Patients, APlainSelectDoesNotNoticeAChangedValue) {
  tamper(world, "UPDATE patients SET name = 'Eve' WHERE id = 2");
  EXPECT_EQ(verify("SELECT name FROM patients WHERE id = 2"), "Eve");
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients WHERE id = 2"),
            "integrity.projection: table patients, position 3, change 0, column name");
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients WHERE id = 3"), "3|4");
  EXPECT_EQ(found("patients"),
            "1: a row is not what the log says it is, position 3, change 0, column name");
  EXPECT_EQ(found("patients", Position{2}), "same");
  // Neither does anything that is said hold the value.
  const auto error = world.try_query("VERIFY SELECT id FROM patients WHERE id = 2");
  ASSERT_FALSE(error.has_value());
  EXPECT_EQ(to_string(error.error()).find("Eve"), std::string::npos);
  EXPECT_EQ(to_string(error.error()).find("Bert"), std::string::npos);
}

TEST_F(Patients, TypesAndBytesAreCompared) {
  // The same by value, the same for every comparison of SQL.
  tamper(world,
         "PRAGMA ignore_check_constraints=ON; UPDATE patients SET cost = '7.0' WHERE id = 3");
  EXPECT_EQ(verify("SELECT id FROM patients WHERE cost = 7"), "3");
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients WHERE id = 3"),
            "integrity.projection: table patients, position 4, change 0, column cost");
  tamper(world, "UPDATE patients SET cost = '7.00', weight = NULL WHERE id = 3");
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients WHERE id = 3"),
            "integrity.projection: table patients, position 4, change 0, column weight");
}

TEST_F(Patients, AChangedPositionIsFound) {
  // Position 2 did write a row of this key, but another one.
  tamper(world, "UPDATE patients SET __from = 2 WHERE id = 1");
  EXPECT_EQ(verify("SELECT name FROM patients WHERE id = 1"), "Anna");
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients WHERE id = 1"),
            "integrity.projection: table patients, position 2, change 0, column name");
  EXPECT_EQ(
      found("patients"),
      "1: a row is shown as another record's than the one that wrote it, position 6, change 0");
  for (const int other : {5, 1, 0, -3, 99}) {  // a deletion, DDL, and none at all
    tamper(world, fmt::format("UPDATE patients SET __from = {} WHERE id = 1", other));
    EXPECT_EQ(verify("VERIFY SELECT id FROM patients WHERE id = 1"),
              fmt::format("integrity.projection: table patients, position {}", std::max(other, 0)))
        << other;
  }
}

TEST_F(Patients, RowsAddedAndDeletedAreFound) {
  tamper(world, "INSERT INTO patients (id, name, __from) VALUES (7, 'Mallory', 4)");
  EXPECT_EQ(verify("SELECT name FROM patients WHERE id = 7"), "Mallory");
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients WHERE id = 7"),
            "integrity.projection: table patients, position 4");
  EXPECT_EQ(found("patients"), "1: a row is there that no record wrote, position 4");
  tamper(world, "DELETE FROM patients WHERE id IN (2, 7)");
  // What is not returned, VERIFY SELECT does not prove.
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients ORDER BY id"), "1|6;3|4");
  EXPECT_EQ(found("patients"), "1: a row is missing, position 3, change 0");
  // A row that was deleted comes back as the version it was.
  tamper(world, "DELETE FROM patients WHERE id = 1");
  tamper(
      world,
      "INSERT INTO patients (id, name, cost, weight, __from) VALUES (1, 'Ann', '10.50', 1.5, 2)");
  EXPECT_EQ(verify("VERIFY SELECT name FROM patients WHERE id = 1"), "Ann|2");
  EXPECT_EQ(found("patients"),
            "2: a row is not what the log says it is, position 6, change 0, column name");
}

TEST_F(Patients, HistoryIsCompared) {
  const auto id = world.projection().catalog()->table("patients")->id.value();
  tamper(world, fmt::format("UPDATE __h_{} SET c2 = 'Rob' WHERE c1 = 2", id));
  EXPECT_EQ(verify("SELECT name FROM patients AS OF POSITION 2 WHERE id = 2"), "Rob");
  EXPECT_EQ(verify("VERIFY SELECT name FROM patients AS OF POSITION 2 WHERE id = 2"),
            "integrity.projection: table patients, position 2, change 1, column name");
  EXPECT_EQ(found("patients", Position{2}),
            "1: a row is not what the log says it is, position 2, change 1, column name");
  EXPECT_EQ(
      found("patients"),
      "1: a superseded version is not what the log says it is, position 2, change 1, column name");
  tamper(world, fmt::format("UPDATE __h_{} SET c2 = 'Bob', __to = 4 WHERE c1 = 2", id));
  EXPECT_EQ(found("patients"),
            "1: a superseded version is shown as valid at other positions, position 2, change 1");
  tamper(world, fmt::format("DELETE FROM __h_{} WHERE c1 = 1", id));
  EXPECT_EQ(verify("VERIFY SELECT id FROM patients AS OF POSITION 2"), "2|2");
  EXPECT_EQ(found("patients", Position{2}), "1: a row is missing, position 2, change 0");
  EXPECT_EQ(found("patients"), "2: a superseded version is missing, position 2, change 0");
}

TEST_F(Patients, AnErasedItemCannotBeCompared) {
  world.log.erased.insert(Position{3});
  EXPECT_EQ(verify("VERIFY SELECT name FROM patients WHERE id = 2"),
            "erased.item: table patients, position 3");
  EXPECT_EQ(verify("VERIFY SELECT name FROM patients WHERE id <> 2 ORDER BY id"), "Anna|6;Cleo|4");
  EXPECT_EQ(verify("VERIFY SELECT name FROM patients AS OF POSITION 2 WHERE id = 2"), "Bob|2");
}

TEST_F(Verifying, MoreColumnsThanCanBeReadTwice) {
  std::string columns = "id INTEGER PRIMARY KEY";
  for (int i = 1; i < 1000; ++i) columns += fmt::format(", c{} SMALLINT", i);
  world.ddl(fmt::format("CREATE TABLE wide ({})", columns));
  world.ddl("CREATE TABLE slim (id INTEGER PRIMARY KEY)");
  world.run("INSERT INTO wide (id) VALUES (1)");
  EXPECT_EQ(verify("VERIFY SELECT id FROM wide"), "limit.columns: line 1, column 8");
  EXPECT_EQ(found("wide"), "same");
  EXPECT_EQ(verify("VERIFY SELECT id FROM slim"), "");
}

TEST_F(Patients, RefusedByName) {
  world.ddl("CREATE VIEW v AS SELECT id FROM patients");
  const auto refused = [&](std::string_view sql) {
    const auto rows = world.try_query(sql);
    EXPECT_FALSE(rows.has_value()) << sql;
    if (rows) return std::string{};
    EXPECT_EQ(rows.error().code(), Code::sql_unsupported) << to_string(rows.error());
    EXPECT_NE(rows.error().next().find("VERIFY"), std::string::npos) << to_string(rows.error());
    return fmt::format("{} ({})", rows.error().what(), rows.error().where());
  };
  EXPECT_EQ(refused("VERIFY SELECT count(*) FROM patients"),
            "an aggregate in VERIFY SELECT is not in the dialect (line 1, column 15)");
  EXPECT_EQ(refused("VERIFY SELECT id FROM patients ORDER BY max(id)"),
            "an aggregate in VERIFY SELECT is not in the dialect (line 1, column 41)");
  EXPECT_EQ(refused("VERIFY SELECT sum(cost) FROM patients"),
            "an aggregate in VERIFY SELECT is not in the dialect (line 1, column 15)");
  EXPECT_EQ(refused("VERIFY SELECT id FROM patients GROUP BY id"),
            "GROUP BY in VERIFY SELECT is not in the dialect (line 1, column 41)");
  EXPECT_EQ(refused("VERIFY SELECT id FROM patients HAVING id > 1"),
            "HAVING in VERIFY SELECT is not in the dialect (line 1, column 32)");
  EXPECT_EQ(refused("VERIFY SELECT DISTINCT id FROM patients"),
            "DISTINCT in VERIFY SELECT is not in the dialect (line 1, column 15)");
  EXPECT_EQ(
      refused("VERIFY SELECT id FROM patients UNION SELECT id FROM patients"),
      "UNION, INTERSECT or EXCEPT in VERIFY SELECT is not in the dialect (line 1, column 32)");
  EXPECT_EQ(refused("VERIFY SELECT id FROM v"),
            "a view in the FROM of VERIFY SELECT is not in the dialect (line 1, column 23)");
  EXPECT_EQ(refused("VERIFY SELECT id FROM (SELECT id FROM patients)"),
            "a subquery in the FROM of VERIFY SELECT is not in the dialect (line 1, column 23)");
  EXPECT_EQ(refused("VERIFY WITH c AS (SELECT 1 AS id) SELECT id FROM c"),
            "a common table expression in the FROM of VERIFY SELECT is not in the dialect (line 1, "
            "column 50)");
  EXPECT_EQ(refused("VERIFY SELECT * FROM HISTORY(patients)"),
            "HISTORY in the FROM of VERIFY SELECT is not in the dialect (line 1, column 22)");
  EXPECT_EQ(refused("VERIFY SELECT * FROM DIFF(patients, 1, 2)"),
            "DIFF in the FROM of VERIFY SELECT is not in the dialect (line 1, column 22)");
  EXPECT_EQ(
      refused("VERIFY SELECT * FROM patients, json_each('[1]')"),
      "a table function in the FROM of VERIFY SELECT is not in the dialect (line 1, column 32)");
  EXPECT_EQ(
      refused("VERIFY SELECT position FROM __events"),
      "a system table in the FROM of VERIFY SELECT is not in the dialect (line 1, column 29)");
  EXPECT_EQ(
      refused("VERIFY SELECT (SELECT count(p.id)) FROM patients p"),
      "a subquery among the columns in VERIFY SELECT is not in the dialect (line 1, column 16)");
  EXPECT_EQ(refused("VERIFY SELECT id FROM patients p ORDER BY (SELECT count(p.id))"),
            "a subquery in ORDER BY in VERIFY SELECT is not in the dialect (line 1, column 44)");
  EXPECT_EQ(verify("VERIFY SELECT 1"), "sql.misuse: line 1, column 8");
  EXPECT_EQ(verify("VERIFY SELECT id FROM nowhere"), "not_found.table: line 1, column 23");
}

TEST_F(Verifying, ATableAndAColumnMayBeCalledVerify) {
  world.ddl("CREATE TABLE verify (verify INTEGER PRIMARY KEY)");
  world.run("INSERT INTO verify (verify) VALUES (1)");
  EXPECT_EQ(verify("SELECT verify.verify verify FROM verify"), "1");
  EXPECT_EQ(verify("VERIFY SELECT verify FROM verify verify"), "1|2");
}

// For the random statements of the equivalence test: whatever they left is accepted, at any
// position, and a VERIFY SELECT shows what the SELECT does.
TEST(VerifyAtRandom, WhatTheLogSaysIsAccepted) {
  std::uint64_t rows_seen = 0;
  std::uint64_t checks = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    World world;
    RandomSql random{seed};
    for (int i = 0; i < 3; ++i) world.ddl(random.create_table());
    for (int step = 0; step < 50; ++step) {
      if (random.chance(12)) {
        static_cast<void>(world.attempt_ddl(random.ddl(*world.projection().catalog())).has_value());
      } else {
        static_cast<void>(world.attempt(random.request(*world.projection().catalog())).has_value());
      }
    }
    const auto catalog = world.projection().catalog();
    std::vector<std::uint64_t> positions{world.head().value()};
    for (int i = 0; i < 5; ++i) positions.push_back(1 + random.below(world.head().value()));
    for (const std::uint64_t position : positions) {
      Disk other;
      auto derived = Projection::open(other.env(), other.location(), &world.log);
      ASSERT_TRUE(derived.has_value());
      Log until;
      for (std::size_t i = 0; i < position; ++i) until.records.push_back(world.log.records[i]);
      replay(**derived, until);
      for (const auto& [id, versions] : catalog->table_versions()) {
        const auto checked =
            world.reader().check_table(id, Position{position}, **derived, Budget{});
        ASSERT_TRUE(checked.has_value()) << to_string(checked.error());
        ASSERT_EQ(checked->differences, 0U)
            << checked->named.front().what << ", table " << id.value() << ", position " << position
            << ", of position " << checked->named.front().position.value() << " column "
            << checked->named.front().column;
        ++checks;
        const catalog::Table* table = catalog->table_at(id, Position{position});
        if (table == nullptr) continue;
        ReadContext context;
        context.as_of = Position{position};
        if (position == world.head().value() && random.chance(50)) context.as_of.reset();
        const std::string select = fmt::format("SELECT * FROM \"{}\"", table->name);
        auto plain = rows_of(world.reader(), select, {}, context);
        auto verified = rows_of(world.reader(), "VERIFY " + select, {}, context);
        ASSERT_TRUE(plain.has_value()) << to_string(plain.error());
        ASSERT_TRUE(verified.has_value()) << to_string(verified.error()) << "\n"
                                          << select << " at " << position;
        ASSERT_EQ(verified->size(), plain->size());
        ASSERT_EQ(checked->rows, plain->size());
        for (std::string& row : *verified) row.resize(row.rfind('|'));
        std::ranges::sort(*plain);
        std::ranges::sort(*verified);
        ASSERT_EQ(*verified, *plain);
        rows_seen += plain->size();
      }
      if (position == world.head().value()) {
        const auto own = world.reader().check_own_tables(**derived, Budget{});
        ASSERT_TRUE(own.has_value()) << to_string(own.error());
        ASSERT_TRUE(own->empty()) << own->front().table;
      }
    }
  }
  EXPECT_GT(rows_seen, 500U);
  EXPECT_GT(checks, 200U);
}

TEST_F(Patients, ItsOwnTablesAreCompared) {
  world.append("orders", {{"made", "{}"}});
  Disk other;
  auto derived = Projection::open(other.env(), other.location(), &world.log);
  ASSERT_TRUE(derived.has_value());
  replay(**derived, world.log);
  const auto own = [&] {
    const auto checked = world.reader().check_own_tables(**derived, Budget{});
    EXPECT_TRUE(checked.has_value());
    std::string text;
    for (const OwnTableCheck& check : *checked) {
      text += fmt::format("{} {} {}; ", check.table, check.named.front().position.value(),
                          check.named.front().column);
    }
    return text;
  };
  EXPECT_EQ(own(), "");
  tamper(world, "UPDATE __records SET timestamp = timestamp + 1 WHERE position = 4");
  EXPECT_EQ(own(), "__records 4 timestamp; ");
  tamper(world, "UPDATE __streams SET name = 'others'");
  EXPECT_EQ(own(), "__records 4 timestamp; __streams 0 name; ");
  tamper(world, "DELETE FROM __appends");
  EXPECT_EQ(own(), "__records 4 timestamp; __streams 0 name; __appends 7 ; ");
  tamper(world,
         "UPDATE __records SET timestamp = timestamp - 1 WHERE position = 4;"
         "UPDATE __streams SET name = 'orders';"
         "INSERT INTO __appends VALUES (1, 0, 7);"
         "CREATE TRIGGER sly AFTER INSERT ON patients BEGIN DELETE FROM patients; END");
  EXPECT_EQ(own(), "sqlite_schema 0 ; ");
}

}  // namespace
}  // namespace kimberlite::projection::test
