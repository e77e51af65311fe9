// A database alone, whose machine's wall clock is set while it is open.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "engine/database.hpp"
#include "sql/datetime.hpp"
#include "support/script.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::int64_t second_us = 1'000'000;

class ClockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto made = Database::create(world_.env(), test::master_key(), test::create_options());
    ASSERT_TRUE(made) << to_string(made.error());
    open();
    ASSERT_TRUE(write("CREATE TABLE t (id BIGINT PRIMARY KEY)"));
  }
  void open() {
    session_.reset();
    if (database_) {
      const Status closed = database_->close();
      ASSERT_TRUE(closed) << to_string(closed.error());
    }
    database_.reset();
    auto opened = Database::open(world_.env(), test::master_key(), test::open_options());
    ASSERT_TRUE(opened) << to_string(opened.error());
    database_ = *std::move(opened);
    session_ = database_->session("main").value();
  }
  Result<Outcome> write(std::string_view sql) {
    const Statement statement{.sql = sql, .parameters = {}};
    return session_->execute({&statement, 1}, {});
  }
  Result<std::int64_t> count(std::string_view sql) {
    KIMBERLITE_TRY(const auto cursor, session_->query({.sql = sql, .parameters = {}}, {}, {}));
    KIMBERLITE_TRY(const bool found, cursor->next());
    EXPECT_TRUE(found);
    return std::get<std::int64_t>(cursor->row()[0]);
  }
  void set_clock(std::int64_t us) { world_.clock().step_realtime(us); }

  vopr::SimEnv world_{1};
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
};

TEST_F(ClockTest, AJumpForwardStopsWritesAndNotReads) {
  const Outcome before = write("INSERT INTO t VALUES (1)").value();
  set_clock(3600 * second_us);
  const auto refused = write("INSERT INTO t VALUES (2)");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::unavailable_clock);
  EXPECT_NE(refused.error().why().find("3600.0 s forward"), std::string::npos)
      << refused.error().why();
  EXPECT_NE(refused.error().next().find("open it again"), std::string::npos);
  EXPECT_EQ(count("SELECT COUNT(*) FROM t").value(), 1);
  EXPECT_EQ(count("SELECT COUNT(*) FROM t AS OF POSITION 3").value(), 1);
  // To hold time still is a write.
  const auto now = count("SELECT COUNT(*) FROM t AS OF TIMESTAMP NOW()");
  ASSERT_FALSE(now);
  EXPECT_EQ(now.error().code(), Code::unavailable_clock);
  StatusReport status = database_->status().value();
  EXPECT_EQ(status.clock, "jumped");
  ASSERT_EQ(status.notes.size(), 1U);
  EXPECT_NE(status.notes[0].find("3600.0 s forward"), std::string::npos) << status.notes[0];

  // Set right, it goes on by itself, and no record has the wrong time.
  set_clock(-3600 * second_us);
  const auto after = write("INSERT INTO t VALUES (2)");
  ASSERT_TRUE(after) << to_string(after.error());
  EXPECT_LT(after->timestamp.value(), before.timestamp.value() + 10 * second_us);
  status = database_->status().value();
  EXPECT_EQ(status.clock, "alone");
  EXPECT_EQ(status.notes.size(), 2U);
}

TEST_F(ClockTest, OpenedAgainItTakesTheClockAsItIs) {
  set_clock(3600 * second_us);
  ASSERT_FALSE(write("INSERT INTO t VALUES (1)"));
  open();
  const auto done = write("INSERT INTO t VALUES (1)");
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_TRUE(database_->status()->notes.empty());
}

TEST_F(ClockTest, AStepBackOrASmallOneIsNotedOnly) {
  const Outcome before = write("INSERT INTO t VALUES (1)").value();
  set_clock(-3600 * second_us);
  const Outcome after = write("INSERT INTO t VALUES (2)").value();
  EXPECT_GT(after.timestamp, before.timestamp);
  set_clock(9 * second_us);
  EXPECT_TRUE(write("INSERT INTO t VALUES (3)"));
  set_clock(second_us);  // not more than a second: no step
  EXPECT_TRUE(write("INSERT INTO t VALUES (4)"));
  const StatusReport status = database_->status().value();
  ASSERT_EQ(status.notes.size(), 2U);
  EXPECT_NE(status.notes[0].find("3600.0 s back"), std::string::npos) << status.notes[0];
  EXPECT_NE(status.notes[1].find("9.0 s forward"), std::string::npos) << status.notes[1];
}

// A time that is asked for is over, in whatever words, and whoever asks: what is written when the
// clock was set back stands behind it.
TEST_F(ClockTest, ATimeIsOverHoweverItIsAsked) {
  ASSERT_TRUE(write("CREATE TABLE c (id BIGINT PRIMARY KEY, n BIGINT)"));
  ASSERT_TRUE(write("INSERT INTO c VALUES (1, 0)"));
  std::int64_t id = 0;
  const auto asked_twice = [&](const std::function<std::int64_t(const std::string&)>& ask) {
    world_.clock().advance(20'000'000'000);
    ASSERT_TRUE(write(fmt::format("INSERT INTO t VALUES ({})", ++id)));
    set_clock(8 * second_us);
    const auto now = static_cast<std::int64_t>(world_.env().clock.realtime().value());
    const std::string time = sql::text_of(sql::Timestamp{now - second_us});
    EXPECT_EQ(ask(time), id);
    set_clock(-8 * second_us);
    ASSERT_TRUE(write(fmt::format("INSERT INTO t VALUES ({})", ++id)));
    EXPECT_EQ(ask(time), id - 1);
    EXPECT_EQ(count(fmt::format("SELECT COUNT(*) FROM t AS OF TIMESTAMP '{}'", time)).value(),
              id - 1);
  };
  asked_twice([&](const std::string& time) {
    return count(fmt::format("SELECT COUNT(*) FROM t AS OF TIMESTAMP '{}'", time)).value();
  });
  asked_twice([&](const std::string& time) {
    return count(fmt::format("SELECT COUNT(*) FROM t FOR SYSTEM_TIME AS OF '{}'", time)).value();
  });
  ASSERT_TRUE(write("CREATE VIEW v AS SELECT id FROM t AS OF TIMESTAMP NOW()"));
  asked_twice([&](const std::string& time) {
    if (id % 2 != 0) return count("SELECT COUNT(*) FROM v").value();
    return count(fmt::format("SELECT COUNT(*) FROM t AS OF TIMESTAMP '{}'", time)).value();
  });
  asked_twice([&](const std::string& time) {
    const std::string text = fmt::format("SET AS OF TIMESTAMP '{}'", time);
    EXPECT_TRUE(session_->run({.sql = text, .parameters = {}}, {}, {}));
    const std::int64_t rows = count("SELECT COUNT(*) FROM t").value();
    EXPECT_TRUE(session_->run({.sql = "SET AS OF LATEST", .parameters = {}}, {}, {}));
    return rows;
  });
  // The first time there is no such row, and nothing is kept of what was read for it.
  asked_twice([&](const std::string& time) {
    EXPECT_TRUE(write(fmt::format(
        "UPDATE c SET n = (SELECT COUNT(*) FROM t AS OF TIMESTAMP '{}') WHERE id = 2", time)));
    if (id % 2 != 0) {
      EXPECT_EQ(count("SELECT COUNT(*) FROM c WHERE id = 2").value(), 0);
      return id;
    }
    EXPECT_TRUE(write("INSERT INTO c VALUES (2, 0)"));
    EXPECT_TRUE(write(fmt::format(
        "UPDATE c SET n = (SELECT COUNT(*) FROM t AS OF TIMESTAMP '{}') WHERE id = 2", time)));
    return count("SELECT n FROM c WHERE id = 2").value();
  });
}

// Notes are of bounded number.
TEST_F(ClockTest, TheLastStepsAreNoted) {
  for (int i = 0; i < 30; ++i) {
    set_clock((i % 2 == 0 ? 5 : -5) * second_us);
    ASSERT_TRUE(write("DELETE FROM t"));
    ASSERT_TRUE(count("SELECT COUNT(*) FROM t AS OF TIMESTAMP NOW()"));
  }
  const StatusReport status = database_->status().value();
  ASSERT_EQ(status.notes.size(), 8U);
  EXPECT_NE(status.notes.back().find("step 30 "), std::string::npos) << status.notes.back();
}

}  // namespace
}  // namespace kimberlite::engine
