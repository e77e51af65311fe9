#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "engine/database.hpp"
#include "platform/env.hpp"

namespace kimberlite::engine {
namespace {

// A database in memory that can be closed and opened again.
class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto key = keystore::FileMasterKey::create(keys_, "key", world_.env().random);
    ASSERT_TRUE(key) << to_string(key.error());
    key_ = *std::move(key);
    const auto made = Database::create(world_.env(), *key_, create_options());
    ASSERT_TRUE(made) << to_string(made.error());
    open();
  }
  static CreateOptions create_options() {
    CreateOptions options;
    options.actor = "os:ann";
    options.free_bytes_reserve = 0;
    return options;
  }
  void open() {
    Options options;
    options.actor = "os:ann";
    options.free_bytes_reserve = 0;
    auto opened = Database::open(world_.env(), *key_, options);
    ASSERT_TRUE(opened) << to_string(opened.error());
    database_ = *std::move(opened);
    auto session = database_->session("main");
    ASSERT_TRUE(session) << to_string(session.error());
    session_ = *std::move(session);
  }
  void close() {
    session_.reset();
    const Status closed = database_->close();
    EXPECT_TRUE(closed) << to_string(closed.error());
    database_.reset();
  }

  Outcome write(std::string_view sql, std::vector<Value> parameters = {}, const Why& why = {}) {
    const Statement statement{sql, parameters};
    auto outcome = session_->execute(std::span{&statement, 1}, why);
    EXPECT_TRUE(outcome) << sql << "\n" << to_string(outcome.error());
    return outcome ? *outcome : Outcome{};
  }
  Code refused(std::string_view sql, const Why& why = {}) {
    const Statement statement{sql, {}};
    auto reply = session_->run(statement, why, {});
    EXPECT_FALSE(reply) << sql;
    return reply ? Code::internal_bug : reply.error().code();
  }
  // "a|b\nc|d": rows and columns of a query.
  std::string rows(std::string_view sql, const AsOf& as_of = {}) {
    auto cursor = session_->query({sql, {}}, as_of, {});
    EXPECT_TRUE(cursor) << sql << "\n" << to_string(cursor.error());
    if (!cursor) return "error";
    std::string text;
    while (true) {
      const auto more = (*cursor)->next();
      EXPECT_TRUE(more) << to_string(more.error());
      if (!more || !*more) return text;
      if (!text.empty()) text += '\n';
      std::string line;
      for (const ValueView& value : (*cursor)->row()) {
        if (!line.empty()) line += '|';
        line += show(value);
      }
      text += line;
    }
  }
  static std::string show(const ValueView& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
    if (const auto* real = std::get_if<double>(&value)) return std::to_string(*real);
    if (const auto* text = std::get_if<std::string_view>(&value)) return std::string{*text};
    if (const auto* bytes = std::get_if<Bytes>(&value)) return to_hex(*bytes);
    return "null";
  }

  platform::MemoryEnv world_{platform::ExecutorOptions{}};
  platform::MemoryStorage keys_;
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
};

TEST_F(EngineTest, WritesReadsAndRemembersThePast) {
  const Outcome created =
      write("CREATE TABLE patients (id INTEGER PRIMARY KEY, city TEXT NOT NULL)");
  EXPECT_EQ(created.position, Position{2}) << "position 1 is the actor who made the tenant";
  const Outcome inserted = write("INSERT INTO patients VALUES (7, 'Boston'), (8, 'Salem')");
  EXPECT_EQ(inserted.rows, 2U);
  const Outcome moved = write("UPDATE patients SET city = $1 WHERE id = $2",
                              {std::string{"Lynn"}, std::int64_t{7}}, {.reason = "moved, form 88"});
  EXPECT_EQ(moved.position, Position{4});
  EXPECT_EQ(rows("SELECT id, city FROM patients ORDER BY id"), "7|Lynn\n8|Salem");
  EXPECT_EQ(rows("SELECT city FROM patients AS OF POSITION 3 WHERE id = 7"), "Boston");
  EXPECT_EQ(rows("SELECT id, city FROM patients ORDER BY id", Position{3}), "7|Boston\n8|Salem");
  EXPECT_EQ(rows("SELECT valid_from, operation, reason, city FROM HISTORY(patients) WHERE id = 7 "
                 "ORDER BY valid_from"),
            "3|insert|null|Boston\n4|update|moved, form 88|Lynn");
}

TEST_F(EngineTest, KeepsEverythingThroughAReopen) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
  write("INSERT INTO t VALUES (1, 'one')");
  write("UPDATE t SET v = 'uno'");
  const std::string before = *database_->dump("main", Position{3});
  close();
  open();
  EXPECT_EQ(rows("SELECT v FROM t"), "uno");
  EXPECT_EQ(rows("SELECT v FROM t AS OF POSITION 3"), "one");
  EXPECT_EQ(*database_->dump("main", Position{3}), before);
  write("INSERT INTO t VALUES (2, 'two')");
  EXPECT_EQ(*session_->head(), Position{5}) << "the actor is known and added once";
}

TEST_F(EngineTest, AFailedRequestLeavesNothing) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)");
  write("INSERT INTO t VALUES (1, 'a')");
  EXPECT_EQ(refused("INSERT INTO t VALUES (2, 'b'), (3, 'a')"), Code::constraint_unique);
  EXPECT_EQ(refused("INSERT INTO t VALUES (1, 'z')"), Code::constraint_primary_key);
  EXPECT_EQ(refused("SELEC 1"), Code::sql_syntax);
  EXPECT_EQ(refused("SELECT * FROM tt"), Code::not_found_table);
  EXPECT_EQ(refused("SELECT * FROM t AS OF POSITION 99"), Code::not_found_position);
  EXPECT_EQ(refused("SELECT * FROM t AS OF POSITION 1"), Code::not_found_then);
  EXPECT_EQ(rows("SELECT id FROM t"), "1");
  EXPECT_EQ(*session_->head(), Position{3});
  const Statement list[] = {{"INSERT INTO t VALUES (2, 'b')", {}},
                            {"INSERT INTO t VALUES (3, 'a')", {}}};
  EXPECT_FALSE(session_->execute(list, {}));
  EXPECT_EQ(rows("SELECT id FROM t"), "1");
}

TEST_F(EngineTest, TheSameRequestTwiceIsDoneOnce) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
  const Why why{.idempotency_key = "form 88"};
  const Outcome first = write("INSERT INTO t VALUES (1, 'a') RETURNING id, v", {}, why);
  const Outcome again = write("INSERT INTO t VALUES (1, 'a') RETURNING id, v", {}, why);
  EXPECT_FALSE(first.replayed);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.position, first.position);
  EXPECT_EQ(again.leaf, first.leaf);
  EXPECT_EQ(again.rows, 1U);
  EXPECT_EQ(again.returning.rows, first.returning.rows);
  EXPECT_EQ(refused("INSERT INTO t VALUES (2, 'b')", why), Code::conflict_idempotency);
  close();
  open();
  EXPECT_TRUE(write("INSERT INTO t VALUES (1, 'a') RETURNING id, v", {}, why).replayed);
}

// Had it left no record, the second would be the first to find something.
TEST_F(EngineTest, ARequestThatChangedNothingIsKnownToo) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
  const auto ask = [&](std::string_view sql, std::string_view key) {
    return write(sql, {}, {.idempotency_key = key, .reason = "asked for"});
  };
  const auto in_transaction = [&]() -> Outcome {
    EXPECT_TRUE(session_->begin({.idempotency_key = "merge"}));
    EXPECT_TRUE(session_->run({"UPDATE t SET v = 'b' WHERE id = 1", {}}, {}, {}));
    const auto done = session_->commit();
    EXPECT_TRUE(done) << to_string(done.error());
    return done ? *done : Outcome{};
  };
  const Outcome removed = ask("DELETE FROM t WHERE id = 1 RETURNING v", "form 88");
  const Outcome dropped = ask("DROP TABLE IF EXISTS u", "form 89");
  const Outcome merged = in_transaction();
  for (const Outcome* outcome : {&removed, &dropped, &merged}) {
    EXPECT_FALSE(outcome->replayed);
    EXPECT_EQ(outcome->rows, 0U);
    EXPECT_GT(outcome->position, Position{});
  }
  EXPECT_EQ(*session_->head(), merged.position);
  write("INSERT INTO t VALUES (1, 'a')");
  write("CREATE TABLE u (id INTEGER PRIMARY KEY)");
  for (const bool reopened : {false, true}) {
    if (reopened) {
      close();
      open();
    }
    const Outcome again[] = {ask("DELETE FROM t WHERE id = 1 RETURNING v", "form 88"),
                             ask("DROP TABLE IF EXISTS u", "form 89"), in_transaction()};
    EXPECT_EQ(again[0].returning.columns.size(), 1U);
    EXPECT_TRUE(again[0].returning.rows.empty());
    const Outcome* first[] = {&removed, &dropped, &merged};
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(again[i].replayed) << i;
      EXPECT_EQ(again[i].position, first[i]->position) << i;
      EXPECT_EQ(again[i].leaf, first[i]->leaf) << i;
      EXPECT_EQ(again[i].rows, 0U) << i;
    }
    EXPECT_EQ(rows("SELECT id, v FROM t"), "1|a");
    EXPECT_EQ(rows("SELECT count(*) FROM u"), "0");
  }
  EXPECT_EQ(refused("DELETE FROM t", {.idempotency_key = "form 88"}), Code::conflict_idempotency);
  // The trail has it, without changes.
  const auto trail = session_->records(removed.position, 1);
  ASSERT_TRUE(trail && trail->size() == 1);
  EXPECT_EQ(trail->front().reason, "asked for");
  EXPECT_EQ(trail->front().statement, "DELETE FROM t WHERE id = ? RETURNING v");
  EXPECT_EQ(rows("SELECT count(*) FROM __events WHERE position = " +
                 std::to_string(removed.position.value())),
            "0");
  // A transaction that only read is asked again, not answered again.
  ASSERT_TRUE(session_->begin({.idempotency_key = "look"}));
  EXPECT_EQ(rows("SELECT count(*) FROM t"), "1");
  EXPECT_EQ(session_->commit()->position, Position{});
  ASSERT_TRUE(session_->begin({.idempotency_key = "look"}));
  ASSERT_TRUE(session_->run({"INSERT INTO t VALUES (5, 'e')", {}}, {}, {}));
  EXPECT_GT(session_->commit()->position, Position{});
  // Nobody can ask again for what came under no id.
  const Position head = *session_->head();
  EXPECT_EQ(write("DELETE FROM t WHERE id = 99").position, Position{});
  EXPECT_EQ(write("CREATE TABLE IF NOT EXISTS u (id INTEGER PRIMARY KEY)").position, Position{});
  EXPECT_EQ(*session_->head(), head);
}

// Others of its batch change something.
TEST_F(EngineTest, ARequestThatChangesNothingStandsInABatch) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)");
  write("INSERT INTO t VALUES (0, 0)");
  constexpr int each = 25;
  std::vector<std::thread> clients;
  clients.reserve(6);
  for (int c = 0; c < 6; ++c) {
    clients.emplace_back([&, c] {
      const auto session = *database_->session("main");
      for (int i = 0; i < each; ++i) {
        const std::string key = std::to_string((c * each) + i + 1);
        const std::string sql[] = {
            "DELETE FROM t WHERE id = -" + key, "UPDATE t SET v = v + 1 WHERE id = 0",
            "INSERT INTO t VALUES (" + key + ", 1)", "INSERT INTO t VALUES (0, 9)"};
        const Statement statement{sql[c % 4], {}};
        const auto done = session->execute(std::span{&statement, 1}, {.idempotency_key = key});
        ASSERT_EQ(done.has_value(), c % 4 != 3);
        if (done) {
          EXPECT_GT(done->position, Position{});
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(rows("SELECT v FROM t WHERE id = 0"), "50");
  EXPECT_EQ(rows("SELECT count(*) FROM t"), "26");
  const std::string head = std::to_string(session_->head()->value());
  EXPECT_EQ(rows("SELECT count(*) FROM __records"), head);
  const std::string verified = rows("VERIFY TABLE t");
  EXPECT_TRUE(verified.starts_with("t|" + head + "|26|")) << verified;
}

TEST_F(EngineTest, WhatAKeyWasAnsweredCanBeAskedBeforeATransactionIsDoneAgain) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  EXPECT_EQ(*session_->outcome_under("form 89"), std::nullopt);
  ASSERT_TRUE(session_->begin({.idempotency_key = "form 89"}));
  ASSERT_TRUE(session_->run({"INSERT INTO t VALUES (1), (2)", {}}, {}, {}));
  const auto done = session_->commit();
  ASSERT_TRUE(done);
  close();
  open();
  const auto known = session_->outcome_under("form 89");
  ASSERT_TRUE(known && *known);
  EXPECT_EQ((*known)->position, done->position);
  EXPECT_EQ((*known)->leaf, done->leaf);
  EXPECT_EQ((*known)->rows, 2U);
  EXPECT_TRUE((*known)->replayed);
}

TEST_F(EngineTest, AStatementIsStoppedWhileItRunsNotOnlyBetweenRows) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  const std::atomic<bool> stop{true};
  const std::string numbers =
      "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000) ";
  for (const std::string& text :
       {numbers + "SELECT sum(n) FROM c", "INSERT INTO t " + numbers + "SELECT n FROM c"}) {
    const auto reply = session_->run({text, {}}, {}, {.cancelled = &stop});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), Code::interrupted_signal) << text;
    const auto late = session_->run({text, {}}, {}, {.deadline_ns = 1});
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), Code::timeout_statement) << text;
  }
  auto cursor = session_->query({"SELECT count(*) FROM t", {}}, {}, {});
  ASSERT_TRUE(cursor && (*cursor)->next());
  EXPECT_EQ(std::get<std::int64_t>((*cursor)->row()[0]), 0);
}

TEST_F(EngineTest, ExpectedPositionIsCompareAndSet) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  write("INSERT INTO t VALUES (1)", {}, {.expected = Position{2}});
  EXPECT_EQ(refused("INSERT INTO t VALUES (2)", {.expected = Position{2}}),
            Code::conflict_position);
}

TEST_F(EngineTest, ATransactionIsOneRecord) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)");
  ASSERT_TRUE(session_->begin({.reason = "merge"}));
  for (const char* sql : {"INSERT INTO t VALUES (1, 10)", "SAVEPOINT a", "UPDATE t SET v = 99",
                          "ROLLBACK TO a", "INSERT INTO t VALUES (2, 20)"}) {
    auto reply = session_->run({sql, {}}, {}, {});
    ASSERT_TRUE(reply) << sql << to_string(reply.error());
  }
  EXPECT_EQ(rows("SELECT sum(v) FROM t"), "30") << "it sees its own writes";
  EXPECT_EQ(refused("CREATE TABLE u (id INTEGER)"), Code::sql_transaction);
  auto done = session_->commit();
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(done->position, Position{3});
  EXPECT_EQ(rows("SELECT reason FROM HISTORY(t) WHERE id = 2"), "merge");
  ASSERT_TRUE(session_->begin({}));
  ASSERT_TRUE(session_->run({"DELETE FROM t", {}}, {}, {}));
  ASSERT_TRUE(session_->rollback());
  EXPECT_EQ(rows("SELECT count(*) FROM t"), "2");
}

TEST_F(EngineTest, StreamsAreAppendedToAndRead) {
  const Event events[] = {{"OrderPlaced", bytes_of("{\"id\":1}")},
                          {"OrderPaid", bytes_of("{\"id\":1}")}};
  auto first = session_->append("orders", Sequence{0}, events, {.reason = "shop"});
  ASSERT_TRUE(first) << to_string(first.error());
  auto conflict = session_->append("orders", Sequence{0}, events, {});
  ASSERT_FALSE(conflict);
  EXPECT_EQ(conflict.error().code(), Code::conflict_sequence);
  ASSERT_TRUE(session_->append("orders", std::nullopt, events, {}));
  auto read = session_->read("orders", Sequence{1}, 2);
  ASSERT_TRUE(read) << to_string(read.error());
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ(read->at(0).sequence, Sequence{1});
  EXPECT_EQ(read->at(0).kind, "OrderPaid");
  EXPECT_EQ(rows("SELECT sequence, kind FROM __events WHERE stream = 'orders' ORDER BY position "
                 "DESC LIMIT 1"),
            "3|OrderPaid");
  close();
  open();
  EXPECT_EQ(session_->read("orders", Sequence{0}, 10)->size(), 4U);
  EXPECT_EQ(refused("CREATE TABLE orders (id INTEGER)"), Code::constraint_exists);
}

TEST_F(EngineTest, TenantsDoNotSeeEachOther) {
  ASSERT_TRUE(database_->create_tenant("second", {}));
  auto other = database_->session("second");
  ASSERT_TRUE(other) << to_string(other.error());
  write("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  EXPECT_FALSE((*other)->query({"SELECT * FROM t", {}}, {}, {}));
  const Statement create{"CREATE TABLE t (other TEXT)", {}};
  ASSERT_TRUE((*other)->execute(std::span{&create, 1}, {}));
  EXPECT_EQ(*(*other)->head(), Position{2});
  EXPECT_EQ(database_->session("third").error().code(), Code::not_found_tenant);
  EXPECT_EQ(database_->create_tenant("second", {}).error().code(), Code::constraint_exists);
}

TEST_F(EngineTest, ATenantAskedForAgainIsTheOneThatWasMade) {
  Id128 asked{};
  asked[0] = std::byte{1};
  const auto made = database_->create_tenant("second", {.request_id = asked});
  ASSERT_TRUE(made) << to_string(made.error());
  const auto again = database_->create_tenant("second", {.request_id = asked});
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(again->id, made->id);
  // Neither another tenant under that id, nor that tenant under another.
  EXPECT_EQ(database_->create_tenant("third", {.request_id = asked}).error().code(),
            Code::conflict_idempotency);
  asked[0] = std::byte{2};
  EXPECT_EQ(database_->create_tenant("second", {.request_id = asked}).error().code(),
            Code::constraint_exists);
}

TEST_F(EngineTest, SessionsReadThePastAndMayNotWriteThere) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  write("INSERT INTO t VALUES (1)");
  const Outcome second = write("INSERT INTO t VALUES (2)");
  ASSERT_TRUE(session_->run({"SET AS OF POSITION 3", {}}, {}, {}));
  EXPECT_EQ(rows("SELECT count(*) FROM t"), "1");
  EXPECT_EQ(refused("INSERT INTO t VALUES (3)"), Code::sql_read_only);
  ASSERT_TRUE(session_->run({"SET AS OF LATEST", {}}, {}, {}));
  EXPECT_EQ(rows("SELECT count(*) FROM t"), "2");
  EXPECT_EQ(rows("SELECT count(*) FROM t", second.timestamp), "2");
  EXPECT_EQ(rows("SELECT count(*) FROM t", TimestampUs{second.timestamp.value() - 1}), "1");
}

TEST_F(EngineTest, TheSchemaIsShownAsItWasThen) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY)");  // 2
  write("ALTER TABLE t ADD COLUMN v TEXT");          // 3
  write("CREATE TABLE u (a INTEGER, b INTEGER)");    // 4
  write("DROP TABLE t");                             // 5
  const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n') + 1; };
  EXPECT_EQ(lines(rows("DESCRIBE t", Position{2})), 1);
  EXPECT_EQ(lines(rows("DESCRIBE t", Position{4})), 2) << "though it is gone now";
  EXPECT_EQ(lines(rows("SHOW TABLES", Position{4})), 2);
  EXPECT_EQ(lines(rows("SHOW TABLES", Position{5})), 1);
  const auto early = session_->query({"DESCRIBE u", {}}, Position{3}, {});
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), Code::not_found_then);
  EXPECT_EQ(refused("DESCRIBE t"), Code::not_found_table);
}

TEST_F(EngineTest, ATimeInTheTextIsAnsweredOnceNothingCanComeBeforeIt) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  const Outcome first = write("INSERT INTO t VALUES (1)");
  const std::string now_text = "SELECT count(*) FROM t AS OF TIMESTAMP NOW()";
  EXPECT_EQ(rows(now_text), "1");
  const Outcome second = write("INSERT INTO t VALUES (2)");
  EXPECT_GT(second.timestamp, first.timestamp);
  EXPECT_EQ(second.position, Position{first.position.value() + 1}) << "the fence is no record";
  EXPECT_EQ(rows(now_text), "2");
  EXPECT_EQ(refused("SELECT * FROM t AS OF TIMESTAMP '2020-01-01'"), Code::not_found_then);
  EXPECT_EQ(refused("SELECT * FROM t AS OF TIMESTAMP '2999-01-01'"), Code::not_found_time);
  ASSERT_TRUE(session_->run({"SET AS OF TIMESTAMP NOW()", {}}, {}, {}));
  EXPECT_EQ(rows("SELECT count(*) FROM t"), "2");
  close();
  open();
  EXPECT_EQ(rows(now_text), "2") << "the journal's empty prepares are replayed";
}

TEST_F(EngineTest, ManyThreadsShareABatch) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)");
  constexpr int threads = 24;  // enough that a driver stays, and that wakers wake wakers
  constexpr int each = 20;
  std::vector<std::thread> workers;
  workers.reserve(threads);
  std::atomic<int> failed = 0;
  for (int worker = 0; worker < threads; ++worker) {
    workers.emplace_back([&, worker] {
      auto session = database_->session("main");
      for (int i = 0; i < each; ++i) {
        const std::vector<Value> values{std::int64_t{worker * each + i}, std::int64_t{i}};
        const Statement insert{"INSERT INTO t VALUES ($1, $2)", values};
        if (!session || !(*session)->execute(std::span{&insert, 1}, {})) ++failed;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(rows("SELECT count(*) FROM t"), std::to_string(threads * each));
  EXPECT_EQ(*session_->head(), Position{2 + threads * each}) << "positions are dense";
}

// What a time showed once it shows ever after, whatever was under way then.
TEST_F(EngineTest, ATimeThatIsReadIsOver) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  std::atomic<bool> done = false;
  std::vector<std::thread> writers;
  writers.reserve(3);
  for (int writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&, writer] {
      const auto own = *database_->session("main");
      for (std::int64_t i = 0; !done; ++i) {
        const std::vector<Value> values{i * 3 + writer};
        const Statement insert{"INSERT INTO t VALUES ($1)", values};
        EXPECT_TRUE(own->execute({&insert, 1}, {}));
      }
    });
  }
  std::vector<std::pair<TimestampUs, std::string>> seen;
  for (int i = 0; i < 400; ++i) {
    const TimestampUs now = world_.env().clock.realtime();
    seen.emplace_back(now, rows("SELECT count(*) FROM t", now));
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
  for (const auto& [time, count] : seen) EXPECT_EQ(rows("SELECT count(*) FROM t", time), count);
}

// It is said where, and only once: the rows are derived, and the next open derives them anew.
TEST_F(EngineTest, ADamagedPageIsDerivedAgain) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
  for (std::int64_t i = 0; i < 50; ++i) {
    write("INSERT INTO t VALUES ($1, $2)", {i, std::string(1000, 'x')});
  }
  const std::string all = rows("SELECT sum(length(v)), count(*) FROM t");
  close();
  const Statement sum{"SELECT sum(length(v)), count(*) FROM t", {}};
  const auto read = [&]() -> std::optional<Error> {
    auto cursor = session_->query(sum, {}, {});
    if (!cursor) return cursor.error();
    const auto more = (*cursor)->next();
    return more ? std::nullopt : std::optional{more.error()};
  };
  // Of some pages the open itself takes note.
  std::optional<Error> broken;
  for (std::uint64_t page = 2; !broken && page < 60; ++page) {
    auto file = *world_.storage().open("tenants/1/projection.db", env::Open::write);
    ASSERT_TRUE(file->write_at((page - 1) * 4096 + 100, Buffer(16)));
    file.reset();
    open();
    broken = read();
    if (!broken) close();
  }
  ASSERT_TRUE(broken);
  EXPECT_EQ(broken->code(), Code::integrity_projection);
  EXPECT_NE(broken->where().find("projection.db, byte"), std::string::npos) << to_string(*broken);
  const auto status = *database_->status();
  ASSERT_EQ(status.notes.size(), 1U);
  EXPECT_NE(status.notes[0].find("derived from its log again"), std::string::npos);
  close();
  open();
  EXPECT_EQ(rows("SELECT sum(length(v)), count(*) FROM t"), all);
  EXPECT_TRUE(database_->status()->notes.empty());
}

TEST_F(EngineTest, ALostProjectionOrSnapshotIsMadeAgain) {
  write("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
  write("INSERT INTO t VALUES (1, 'a')");
  write("UPDATE t SET v = 'b'");
  const std::string now = *database_->dump("main", Position{4});
  const std::string then = *database_->dump("main", Position{3});
  const auto sums = *database_->sums("main");
  close();
  ASSERT_TRUE(world_.storage().remove("tenants/1/projection.db"));
  const auto names = *world_.storage().list("");
  for (const std::string& name : names) {
    if (name.starts_with("snapshot-")) {
      ASSERT_TRUE(world_.storage().remove(name));
    }
  }
  open();
  EXPECT_EQ(*database_->dump("main", Position{4}), now);
  EXPECT_EQ(*database_->dump("main", Position{3}), then);
  EXPECT_EQ(*database_->sums("main"), sums);
}

// What one prepare may hold follows from the ring, so that the smallest one wraps after a few.
TEST_F(EngineTest, ASmallRingWrapsAndRefusesWhatItCannotHold) {
  platform::MemoryEnv small{platform::ExecutorOptions{}};
  CreateOptions create = create_options();
  create.ring_size = journal_ring_min - sector_size;
  EXPECT_EQ(Database::create(small.env(), *key_, create).error().code(), Code::usage_config);

  platform::MemoryEnv world{platform::ExecutorOptions{}};
  create.ring_size = journal_ring_min;
  ASSERT_TRUE(Database::create(world.env(), *key_, create));
  Options options;
  options.free_bytes_reserve = 0;
  auto database = *Database::open(world.env(), *key_, options);
  auto session = *database->session("main");
  const auto insert = [&](Session& to, std::int64_t id, std::size_t size) {
    const std::vector<Value> values{id, std::string(size, 'x')};
    const Statement statement{"INSERT INTO t VALUES ($1, $2)", values};
    return to.execute({&statement, 1}, {});
  };
  const Statement table{"CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", {}};
  ASSERT_TRUE(session->execute({&table, 1}, {}));
  const auto too_large = insert(*session, 0, 30'000);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code(), Code::limit_command);
  // The tenant's first data key was to come with it, and comes with this one.
  const auto first = insert(*session, 1, 100);
  ASSERT_TRUE(first) << to_string(first.error());
  // One that is too large among others that wait with it for the end of a transaction: it alone is
  // refused.
  ASSERT_TRUE(session->begin({}));
  constexpr std::array<std::size_t, 4> sizes{100, 30'000, 100, 30'000};
  std::vector<std::future<Result<Outcome>>> waiting;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    waiting.push_back(std::async(std::launch::async, [&, i] {
      return insert(**database->session("main"), static_cast<std::int64_t>(2 + i), sizes[i]);
    }));
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  }
  ASSERT_TRUE(session->rollback());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto done = waiting[i].get();
    EXPECT_EQ(done.has_value(), sizes[i] == 100) << i;
    if (done) continue;
    EXPECT_EQ(done.error().code(), Code::limit_command) << to_string(done.error());
  }
  // Twice what the ring holds, by several at once, so that their batches are as full as may be.
  std::vector<std::thread> workers;
  workers.reserve(8);
  std::atomic<int> failed = 0;
  for (int worker = 0; worker < 8; ++worker) {
    workers.emplace_back([&, worker] {
      auto own = database->session("main");
      for (int i = 0; own && i < 40; ++i) {
        const auto done = insert(**own, 1000 * (worker + 1) + i, i % 8 == 0 ? 20'000 : 100);
        if (done) continue;
        ++failed;
        ADD_FAILURE() << to_string(done.error());
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(failed, 0);
  const auto status = database->status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->ring_size, journal_ring_min);
  EXPECT_GT(status->checkpoint.value(), 0U);
  session.reset();
  ASSERT_TRUE(database->close());
  database.reset();
  database = *Database::open(world.env(), *key_, options);
  session = *database->session("main");
  EXPECT_EQ(session->head()->value(), 5U + 8 * 40);
}

}  // namespace
}  // namespace kimberlite::engine
