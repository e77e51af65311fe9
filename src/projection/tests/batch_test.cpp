// Batches: many requests in one transaction, and what survives when SQLite destroys it.
#include <gtest/gtest.h>

#include <atomic>

#include "sql/statement.hpp"
#include "support/world.hpp"

namespace kimberlite::projection::test {
namespace {

struct Batch : ::testing::Test {
  World world;
  std::vector<TimestampUs> times;
  std::vector<std::span<const RowChange>> finished;

  void SetUp() override {
    world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
    ASSERT_TRUE(projection().begin_batch(world.head()).has_value());
  }
  Projection& projection() { return world.projection(); }

  Status begin(bool several = false) {
    times.push_back(world.tick());
    return projection().begin_request(
        {Position{world.head().value() + finished.size() + 1}, times.back()}, several);
  }
  Result<Evaluated> evaluate(std::string_view sql, const Budget& budget = {}) {
    const auto parsed = sql::parse(sql);
    EXPECT_TRUE(parsed.has_value());
    return projection().evaluate(Query::of(*parsed), {}, budget);
  }
  void accept(std::string_view sql) {
    ASSERT_TRUE(begin().has_value());
    const auto done = evaluate(sql);
    ASSERT_TRUE(done.has_value()) << to_string(done.error());
    const auto changes = projection().finish_request();
    ASSERT_TRUE(changes.has_value()) << to_string(changes.error());
    finished.push_back(*changes);
  }
  void accept_unchanged(std::string_view sql) {
    accept(sql);
    ASSERT_TRUE(finished.back().empty());
    projection().keep_unchanged();
  }
  void commit() {
    std::vector<Committed> committed;
    committed.reserve(finished.size());
    for (std::size_t i = 0; i < finished.size(); ++i) {
      committed.push_back({&world.keep(finished[i], std::nullopt, times[i]), {}});
    }
    const Status done = projection().commit_batch(committed);
    ASSERT_TRUE(done.has_value()) << to_string(done.error());
    Disk other;
    auto replica = Projection::open(other.env(), other.location(), nullptr);
    ASSERT_TRUE(replica.has_value());
    replay(**replica, world.log);
    EXPECT_EQ(*world.projection().sums(), *(*replica)->sums());
  }
};

TEST_F(Batch, EachRequestHasItsPosition) {
  accept("INSERT INTO t (id, n) VALUES (1, 1)");
  accept("UPDATE t SET n = 2");
  accept("UPDATE t SET n = 3");
  EXPECT_EQ(finished[2][0].previous, Position{3});
  commit();
  EXPECT_EQ(world.head(), Position{4});
  EXPECT_EQ(world.query("SELECT n FROM t AS OF POSITION 2"), "1");
  EXPECT_EQ(world.query("SELECT n FROM t AS OF POSITION 3"), "2");
  EXPECT_EQ(world.query("SELECT n FROM t"), "3");
}

TEST_F(Batch, AFailedRequestLeavesTheOthers) {
  accept("INSERT INTO t (id, n) VALUES (1, 1)");
  ASSERT_TRUE(begin().has_value());
  EXPECT_EQ(evaluate("INSERT INTO t (id, n) VALUES (2, 2), (1, 1)").error().code(),
            Code::constraint_primary_key);
  EXPECT_FALSE(projection().request_lost());
  projection().undo_request();
  times.pop_back();
  accept("INSERT INTO t (id, n) VALUES (3, 3)");
  commit();
  EXPECT_EQ(world.query("SELECT id FROM t ORDER BY id"), "1;3");
}

TEST_F(Batch, ARequestUndoneAfterItSucceededLeavesTheOthers) {
  accept("INSERT INTO t (id, n) VALUES (1, 1)");
  for (const bool several : {false, true}) {
    ASSERT_TRUE(begin(several).has_value());
    ASSERT_TRUE(evaluate("UPDATE t SET n = 9").has_value());
    projection().undo_request();
    times.pop_back();
  }
  accept("UPDATE t SET n = n + 1");
  commit();
  EXPECT_EQ(world.query("SELECT n FROM t"), "2");
}

TEST_F(Batch, AFinishedRequestIsUndoneAndLeavesTheOthers) {
  accept("INSERT INTO t (id, n) VALUES (1, 1)");
  accept("UPDATE t SET n = 9");
  projection().undo_finished();
  finished.pop_back();
  times.pop_back();
  accept("UPDATE t SET n = n + 1");
  commit();
  EXPECT_EQ(world.query("SELECT n FROM t"), "2");
  EXPECT_EQ(world.head(), Position{3});
}

// One finds no row, one ends as it began.
TEST_F(Batch, ARequestThatChangesNothingMayStand) {
  accept("INSERT INTO t (id, n) VALUES (1, 1)");
  accept_unchanged("DELETE FROM t WHERE id = 7");
  accept_unchanged("UPDATE t SET n = n");
  accept_unchanged("UPDATE t SET n = 8 WHERE id = 8");
  projection().undo_finished();
  finished.pop_back();
  times.pop_back();
  accept("UPDATE t SET n = n + 1");
  EXPECT_EQ(finished[3][0].previous, Position{2});
  ASSERT_TRUE(begin().has_value());
  const std::atomic<bool> interrupt{true};
  ASSERT_FALSE(evaluate("INSERT INTO t (id, n) WITH RECURSIVE r(i) AS (SELECT 10 UNION ALL SELECT "
                        "i + 1 FROM r WHERE i < 100000) SELECT i, i FROM r",
                        Budget{.interrupt = &interrupt})
                   .has_value());
  projection().undo_request();
  times.pop_back();
  accept_unchanged("DELETE FROM t WHERE id = 9");
  commit();
  EXPECT_EQ(world.head(), Position{6});
  EXPECT_EQ(projection().applied(), Position{6});
  EXPECT_EQ(world.query("SELECT n FROM t AS OF POSITION 4"), "1");
  EXPECT_EQ(world.query("SELECT n FROM t"), "2");
  ASSERT_TRUE(projection().begin_batch(world.head()).has_value());
  finished.clear();
  times.clear();
  accept_unchanged("DELETE FROM t WHERE id = 9");
  commit();
  EXPECT_EQ(world.head(), Position{7});
}

// An interrupted write makes SQLite roll the whole transaction back.
TEST_F(Batch, ADestroyedTransactionIsBroughtBack) {
  accept("INSERT INTO t (id, n) VALUES (1, 1)");
  accept("UPDATE t SET n = 5");
  const std::atomic<bool> interrupt{true};
  ASSERT_TRUE(begin().has_value());
  const auto lost = evaluate(
      "INSERT INTO t (id, n) WITH RECURSIVE r(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM r "
      "WHERE i < 100000) SELECT i, i FROM r",
      Budget{.interrupt = &interrupt});
  ASSERT_FALSE(lost.has_value());
  EXPECT_EQ(lost.error().code(), Code::interrupted_signal);
  EXPECT_TRUE(projection().request_lost());
  projection().undo_request();
  times.pop_back();
  accept("UPDATE t SET n = n + 1");
  EXPECT_EQ(finished[2][0].previous, Position{3});
  commit();
  EXPECT_EQ(world.query("SELECT id, n FROM t"), "1|6");
  EXPECT_EQ(world.query("SELECT id, n FROM t AS OF POSITION 2"), "1|1");
}

TEST_F(Batch, ForeignKeysHoldAgainAfterARedo) {
  projection().rollback_batch();
  world.ddl("CREATE TABLE p (id INTEGER PRIMARY KEY)");
  world.ddl(
      "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id) ON DELETE CASCADE)");
  world.run_all({"INSERT INTO p (id) VALUES (1)", "INSERT INTO c (id, p) VALUES (1, 1), (2, 1)"});
  ASSERT_TRUE(projection().begin_batch(world.head()).has_value());
  accept("DELETE FROM p");
  EXPECT_EQ(finished[0].size(), 3U);
  ASSERT_TRUE(begin().has_value());
  ASSERT_TRUE(evaluate("INSERT INTO t (id, n) VALUES (1, 1)").has_value());
  projection().undo_request();  // by redo: the cascade must not run twice
  times.pop_back();
  ASSERT_TRUE(begin().has_value());
  EXPECT_EQ(evaluate("INSERT INTO c (id, p) VALUES (9, 1)").error().code(),
            Code::constraint_foreign_key);
  projection().undo_request();
  times.pop_back();
  commit();
}

TEST_F(Batch, RolledBackItLeavesNothing) {
  accept("INSERT INTO t (id, n) VALUES (1, 1)");
  projection().rollback_batch();
  EXPECT_EQ(world.query("SELECT count(*) FROM t"), "0");
  EXPECT_EQ(projection().applied(), Position{1});
}

TEST_F(Batch, ReturningOverItsLimitUndoesTheRequest) {
  ASSERT_TRUE(begin().has_value());
  EXPECT_EQ(
      evaluate("INSERT INTO t (id, n) VALUES (1, 1), (2, 2) RETURNING id", Budget{.rows_max = 1})
          .error()
          .code(),
      Code::limit_rows);
  EXPECT_TRUE(projection().request_lost());
  projection().undo_request();
  times.pop_back();
  accept("INSERT INTO t (id, n) VALUES (1, 7)");
  commit();
  EXPECT_EQ(world.query("SELECT id, n FROM t"), "1|7");
}

TEST_F(Batch, ReturningAndSelectSeeTheRequestsOwnRows) {
  ASSERT_TRUE(begin(true).has_value());
  const auto inserted = evaluate("INSERT INTO t (id, n) VALUES (1, 5) RETURNING *");
  ASSERT_TRUE(inserted.has_value()) << to_string(inserted.error());
  EXPECT_EQ(inserted->rows_affected, 1U);
  ASSERT_EQ(inserted->columns.size(), 2U);
  EXPECT_EQ(inserted->columns[1].name, "n");
  EXPECT_EQ(inserted->rows, (std::vector<Row>{{std::int64_t{1}, std::int64_t{5}}}));
  const auto selected = evaluate("SELECT n + 1 FROM t");
  EXPECT_EQ(selected->rows, (std::vector<Row>{{std::int64_t{6}}}));
  const auto changes = projection().finish_request();
  ASSERT_TRUE(changes.has_value());
  finished.push_back(*changes);
  commit();
}

struct Lookup : ::testing::Test {
  World world;
};

TEST_F(Lookup, RequestsRecordsAndTimes) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  world.run("INSERT INTO t (id) VALUES (1)");
  Projection& projection = world.projection();
  const record::Entry& entry = world.log.records[1].entry;
  const auto known = projection.find_request(entry.request_id);
  ASSERT_TRUE(known.has_value() && known->has_value());
  EXPECT_EQ((*known)->position, Position{2});
  EXPECT_EQ((*known)->timestamp, entry.timestamp);
  EXPECT_FALSE(projection.find_request(Id128{std::byte{9}})->has_value());
  EXPECT_EQ(*projection.position_at(entry.timestamp), Position{2});
  EXPECT_EQ(*projection.position_at(TimestampUs{entry.timestamp.value() - 1}), Position{1});
  EXPECT_EQ(*projection.position_at(TimestampUs{1}), Position{0});
}

TEST_F(Lookup, StreamsAreNumberedDensely) {
  world.append("Orders", {{"OrderPlaced", R"({"n":1})"}, {"OrderPaid", R"({"n":2})"}});
  world.append("other", {{"Noise", "{}"}});
  world.append("Orders", {{"OrderShipped", "{}"}});
  const auto stream = world.projection().find_stream("orders");
  ASSERT_TRUE(stream.has_value() && stream->has_value());
  EXPECT_EQ((*stream)->name, "Orders");
  EXPECT_EQ((*stream)->next_sequence, Sequence{3});
  EXPECT_EQ(*world.projection().next_stream(), StreamId{3});
  const auto places = world.reader().stream_places((*stream)->stream, Sequence{1}, 10);
  ASSERT_TRUE(places.has_value());
  ASSERT_EQ(places->size(), 2U);
  EXPECT_EQ((*places)[0].position, Position{1});
  EXPECT_EQ((*places)[1].first_sequence, Sequence{2});
}

TEST_F(Lookup, AReopenedProjectionGoesOnWhereItWas) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (id, a) VALUES (1, 'x')");
  world.reopen();
  EXPECT_EQ(world.head(), Position{2});
  EXPECT_NE(world.projection().catalog()->table("T"), nullptr);
  world.run("UPDATE t SET a = 'y'");
  EXPECT_EQ(world.query("SELECT a FROM t AS OF POSITION 2"), "x");
}

TEST_F(Lookup, WhatContradictsTheRowsIsReportedAndRolledBack) {
  world.ddl("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
  world.run("INSERT INTO t (id, a) VALUES (1, 'x')");
  Kept again = world.log.records[1];
  again.entry.position = Position{3};
  again.entry.timestamp = world.tick();
  again.entry.request_id[5] = std::byte{1};
  const auto plaintext = record::decode_plaintext(again.header, again.plaintext);
  ASSERT_TRUE(world.projection().begin_replay().has_value());
  Opened opened;
  opened.changes = plaintext->changes;
  EXPECT_EQ(world.projection().apply(again.entry, opened).error().code(),
            Code::integrity_projection);
  EXPECT_EQ(world.projection().applied(), Position{2});
  world.run("UPDATE t SET a = 'y'");
}

}  // namespace
}  // namespace kimberlite::projection::test
