// Groups of three and five whole databases on simulated machines: what a client was told must hold
// whoever is primary, and every replica must come to the same state, logs and rows.
#include "vopr/group.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "base/le.hpp"
#include "disk_script.hpp"
#include "life_model.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

std::unique_ptr<Group> make(std::uint64_t seed, const GroupPlan& plan = {}) {
  auto made = Group::make(seed, plan);
  EXPECT_TRUE(made) << to_string(made.error());
  return *std::move(made);
}

TEST(Group, WritesAreOnEveryReplica) {
  const std::unique_ptr<Group> owned = make(1);
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second)) << group.picture();
  const Status made = group.create_tenant("clinic", 10 * second);
  ASSERT_TRUE(made) << to_string(made.error()) << group.picture();
  auto done = group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)",
                            request_id(1), 10 * second);
  ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    done = group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'row {}')", i, i),
                         request_id(100 + i), 10 * second);
    ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
  }
  ASSERT_TRUE(group.converge(10 * second)) << group.picture();
  EXPECT_EQ(group.differences("clinic"), "");
}

// The empty prepare that holds time still reaches nobody: the answer could change yet.
TEST(Group, NobodyIsAnsweredAsOfATimeThatIsNotOver) {
  const std::unique_ptr<Group> owned = make(3, {.quorum_timeout_ns = second});
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY)", request_id(1),
                            10 * second));
  const std::uint8_t primary = *group.primary();
  constexpr std::string_view now = "SELECT COUNT(*) FROM t AS OF TIMESTAMP NOW()";
  ASSERT_TRUE(group.ask_at(primary, "clinic", now));
  constexpr std::size_t kind_at = 36;
  constexpr std::byte prepare{1};
  group.world().filter([](std::uint8_t, std::uint8_t, Bytes frame) {
    return frame.size() > kind_at && frame[kind_at] == prepare;
  });
  const auto answer = group.ask_at(primary, "clinic", now);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::unavailable_quorum);
  group.world().filter(nullptr);
  ASSERT_TRUE(group.converge(20 * second)) << group.picture();
}

TEST(Group, ABackupTakesNoWritesAndNamesThePrimary) {
  const std::unique_ptr<Group> owned = make(2);
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.converge(10 * second)) << group.picture();
  const std::uint8_t primary = *group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % 3);
  const auto refused = group.execute_at(backup, "clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY)",
                                        {.request_id = request_id(1)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::unavailable_not_primary);
  EXPECT_NE(refused.error().why().find(fmt::format("replica {}", primary)), std::string::npos)
      << to_string(refused.error());
  const auto read = group.ask_at(backup, "clinic", "SELECT 1");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Code::unavailable_not_primary);
}

TEST(Group, ABackupCarriesWritesToThePrimary) {
  const std::unique_ptr<Group> owned = make(2, {.forward = true});
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)",
                            request_id(1), 10 * second));
  ASSERT_TRUE(group.converge(10 * second)) << group.picture();
  const std::uint8_t primary = *group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % 3);
  const auto ask = [&](std::string_view sql, std::uint64_t number) {
    return group.execute_at(backup, "clinic", sql, {.request_id = request_id(number)});
  };
  const auto first = ask("INSERT INTO t VALUES (1, 'ann') RETURNING v", 2);
  ASSERT_TRUE(first) << to_string(first.error()) << group.picture();
  ASSERT_EQ(first->returning.rows.size(), 1U);
  EXPECT_EQ(std::get<std::string>(first->returning.rows[0][0]), "ann");
  EXPECT_FALSE(first->replayed);
  const auto again = ask("INSERT INTO t VALUES (1, 'ann') RETURNING v", 2);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->position, first->position);
  EXPECT_EQ(again->leaf, first->leaf);
  const auto taken = ask("INSERT INTO t VALUES (1, 'eve')", 3);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), Code::constraint_primary_key) << to_string(taken.error());
  EXPECT_NE(taken.error().what(), "");
  const auto appended =
      group.append_at(backup, "clinic", "visits", "one", {.idempotency_key = "visit 1"});
  ASSERT_TRUE(appended) << to_string(appended.error());
  const auto elsewhere =
      group.append_at(primary, "clinic", "visits", "one", {.idempotency_key = "visit 1"});
  ASSERT_TRUE(elsewhere) << to_string(elsewhere.error());
  EXPECT_TRUE(elsewhere->replayed) << "the same key asked at another replica";
  EXPECT_EQ(elsewhere->position, appended->position);
  ASSERT_TRUE(group.converge(10 * second)) << group.picture();
  EXPECT_EQ(group.differences("clinic"), "");
}

bool is_forwarded(Bytes frame) {
  constexpr std::uint32_t magic = 0x3146424B;
  return frame.size() > 64 && load_le<std::uint32_t>(frame.data() + 32) == magic;
}

// What was answered is answered once, whenever a copy of it comes; and what was given up is not
// begun any more.
TEST(Group, AForwardedWriteThatComesAgainIsNotDoneAgain) {
  const std::unique_ptr<Group> owned = make(4, {.quorum_timeout_ns = 2 * second, .forward = true});
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY)", request_id(1),
                            10 * second));
  ASSERT_TRUE(group.converge(10 * second));
  const std::uint8_t primary = *group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % 3);
  const auto ask = [&](std::uint8_t replica, std::string_view sql, std::uint64_t number) {
    return group.execute_at(replica, "clinic", sql, {.request_id = request_id(number)});
  };
  const auto count = [&] {
    const auto rows = group.ask_at(primary, "clinic", "SELECT count(*) FROM t");
    EXPECT_TRUE(rows) << to_string(rows.error());
    return rows ? std::get<std::int64_t>(*rows) : -1;
  };
  std::vector<Buffer> sent;
  bool lost = false;
  group.world().filter([&](std::uint8_t from, std::uint8_t to, Bytes frame) {
    const bool is_one = from == backup && to == primary && is_forwarded(frame);
    if (is_one) sent.emplace_back(frame.begin(), frame.end());
    return is_one && lost;
  });
  const auto come_again = [&](std::uint64_t after_ns) {
    group.world().run_for(after_ns);
    for (const Buffer& frame : sent) group.world().inject(backup, primary, frame);
    sent.clear();
    group.world().run_for(second);
  };

  const auto refused = [&](std::uint64_t number) {
    const auto answer = ask(backup, "INSERT INTO t VALUES (1)", number);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), Code::constraint_primary_key) << to_string(answer.error());
  };
  for (const std::uint64_t after_ns : {1 * ms, 10 * second}) {
    const std::uint64_t number = 10 + after_ns / second;
    const auto nothing = ask(backup, "DELETE FROM t WHERE id = 1", number);
    ASSERT_TRUE(nothing) << to_string(nothing.error());
    EXPECT_EQ(nothing->rows, 0U);
    ASSERT_TRUE(ask(primary, "INSERT INTO t VALUES (1)", number + 100));
    come_again(after_ns);
    EXPECT_EQ(count(), 1) << "the copy found a row that the first had not";

    refused(number + 200);
    ASSERT_TRUE(ask(primary, "DELETE FROM t WHERE id = 1", number + 300));
    come_again(after_ns);
    EXPECT_EQ(count(), 0) << "what was refused was done";
  }

  // It is asked elsewhere meanwhile, and refused.
  ASSERT_TRUE(ask(primary, "INSERT INTO t VALUES (1)", 500));
  lost = true;
  const auto unknown = ask(backup, "INSERT INTO t VALUES (1)", 501);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), Code::unavailable_outcome_unknown);
  EXPECT_FALSE(ask(primary, "INSERT INTO t VALUES (1)", 501));
  ASSERT_TRUE(ask(primary, "DELETE FROM t WHERE id = 1", 502));
  come_again(1 * ms);
  EXPECT_EQ(count(), 0) << "what was refused was done";
  lost = false;
  group.world().filter(nullptr);
  const auto later = ask(backup, "INSERT INTO t VALUES (1)", 501);
  EXPECT_TRUE(later) << "it may be asked again: " << to_string(later.error());

  const auto unnamed = group.execute_at(backup, "clinic", "DELETE FROM t WHERE id = 99", {});
  ASSERT_TRUE(unnamed) << to_string(unnamed.error());
  EXPECT_EQ(unnamed->position, Position{}) << "nobody can ask for it again";
}

// The primary that took it has forgotten that, and leads again while the pass is new.
TEST(Group, AForwardedWriteIsForOneLifeOfThePrimary) {
  const std::unique_ptr<Group> owned =
      make(4, {.quorum_timeout_ns = 1000 * second, .forward = true});
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY)", request_id(1),
                            10 * second));
  ASSERT_TRUE(group.execute("clinic", "INSERT INTO t VALUES (1)", request_id(2), 10 * second));
  ASSERT_TRUE(group.converge(10 * second));
  const std::uint8_t primary = *group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % 3);
  std::vector<Buffer> sent;
  group.world().filter([&](std::uint8_t from, std::uint8_t to, Bytes frame) {
    if (from == backup && to == primary && is_forwarded(frame)) {
      sent.emplace_back(frame.begin(), frame.end());
    }
    return false;
  });
  EXPECT_EQ(
      group.execute_at(backup, "clinic", "INSERT INTO t VALUES (1)", {.request_id = request_id(3)})
          .error()
          .code(),
      Code::constraint_primary_key);
  group.world().filter(nullptr);
  ASSERT_FALSE(sent.empty());
  std::uint8_t leader = primary;
  for (int round = 0; round < 10 && (round == 0 || leader != primary); ++round) {
    group.kill(leader);
    ASSERT_TRUE(group.wait_for_primary(20 * second));
    ASSERT_TRUE(group.start(leader));
    ASSERT_TRUE(group.converge(20 * second)) << group.picture();
    leader = *group.primary();
  }
  ASSERT_EQ(leader, primary);
  ASSERT_TRUE(group.execute("clinic", "DELETE FROM t WHERE id = 1", request_id(4), 20 * second));
  for (const Buffer& frame : sent) group.world().inject(backup, primary, frame);
  group.world().run_for(second);
  ASSERT_EQ(group.primary(), primary);
  const auto rows = group.ask_at(primary, "clinic", "SELECT count(*) FROM t");
  ASSERT_TRUE(rows) << to_string(rows.error());
  EXPECT_EQ(std::get<std::int64_t>(*rows), 0) << "what was refused was done";
  // The backup's next one shows a pass of the life that ended, and is given another.
  const auto next =
      group.execute_at(backup, "clinic", "INSERT INTO t VALUES (2)", {.request_id = request_id(5)});
  EXPECT_TRUE(next) << to_string(next.error());
}

// Whoever was to do it died: nobody knows whether it was done, until it is asked again.
TEST(Group, AForwardedWriteWhosePrimaryDiesHasAnUnknownOutcome) {
  const std::unique_ptr<Group> owned = make(3, {.quorum_timeout_ns = 2 * second, .forward = true});
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT)", request_id(1), 10 * second));
  ASSERT_TRUE(group.converge(10 * second));
  const std::uint8_t primary = *group.primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % 3);
  group.kill(primary);
  const auto lost =
      group.execute_at(backup, "clinic", "INSERT INTO t VALUES (1)", {.request_id = request_id(2)});
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), Code::unavailable_outcome_unknown) << to_string(lost.error());
  ASSERT_TRUE(group.wait_for_primary(20 * second));
  const auto done = group.execute("clinic", "INSERT INTO t VALUES (1)", request_id(2), 20 * second);
  ASSERT_TRUE(done) << to_string(done.error());
  ASSERT_TRUE(group.start(primary));
  ASSERT_TRUE(group.converge(20 * second)) << group.picture();
  EXPECT_EQ(group.differences("clinic"), "");
}

// Rule 17: no table of clients; the request's id is in the records, which every primary has.
TEST(Group, ARequestIsDoneOnceWhoeverIsPrimary) {
  const std::unique_ptr<Group> owned = make(6);
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT)", request_id(1), 10 * second));
  const auto first =
      group.execute("clinic", "INSERT INTO t VALUES (7)", request_id(2), 10 * second);
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_FALSE(first->replayed);
  group.kill(*group.primary());
  const auto again =
      group.execute("clinic", "INSERT INTO t VALUES (7)", request_id(2), 20 * second);
  ASSERT_TRUE(again) << to_string(again.error()) << group.picture();
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->position, first->position);
  const auto count = group.ask_at(*group.primary(), "clinic", "SELECT count(*) FROM t");
  ASSERT_TRUE(count) << to_string(count.error());
  EXPECT_EQ(std::get<std::int64_t>(*count), 1);
}

// What it was shown is no longer the present, so it cannot be done again unseen.
TEST(Group, ATransactionOthersOvertookIsNotCommitted) {
  const std::unique_ptr<Group> owned = make(7);
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT)", request_id(1), 10 * second));
  const std::uint8_t first = *group.primary();
  const auto at_first = [&](auto what) {
    return group.perform_at(first, "clinic",
                            [&](engine::Session& session) { return what(session); });
  };
  const auto begun = at_first([](engine::Session& session) -> Result<engine::Outcome> {
    KIMBERLITE_CHECK(session.begin({.request_id = request_id(2)}));
    KIMBERLITE_TRY(const auto reply,
                   session.run({.sql = "INSERT INTO t VALUES (1)", .parameters = {}}, {}, {}));
    return *reply.outcome;
  });
  ASSERT_TRUE(begun) << to_string(begun.error());
  // Each primary in turn is cut off until it is not primary any more, and the first one is again.
  std::uint64_t next = 10;
  do {
    const std::uint8_t primary = *group.primary();
    for (std::uint8_t i = 0; i < group.size(); ++i) {
      group.world().cut(primary, i);
      group.world().cut(i, primary);
    }
    for (int i = 0; i < 50 && group.primary() == primary; ++i) group.world().run_for(100 * ms);
    ASSERT_NE(*group.primary(), primary) << group.picture();
    if (*group.primary() != first) {
      const auto done = group.execute_at(*group.primary(), "clinic", "INSERT INTO t VALUES (2)",
                                         {.request_id = request_id(++next)});
      ASSERT_TRUE(done) << to_string(done.error());
    }
    group.world().join_all();
    ASSERT_TRUE(group.converge(10 * second)) << group.picture();
  } while (*group.primary() != first);
  const auto committed = at_first([](engine::Session& session) { return session.commit(); });
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code(), Code::unavailable_lease) << to_string(committed.error());
  const auto count = group.ask_at(first, "clinic", "SELECT count(*) FROM t WHERE id = 1");
  ASSERT_TRUE(count) << to_string(count.error());
  EXPECT_EQ(std::get<std::int64_t>(*count), 0);
  const auto after =
      group.execute("clinic", "INSERT INTO t VALUES (3)", request_id(3), 10 * second);
  ASSERT_TRUE(after) << to_string(after.error());
}

// Whoever leads makes them, a replica that only begins to hear its group opens all the same.
TEST(Group, HeadsOfTheClusterAreMadeByWhoeverLeads) {
  const std::unique_ptr<Group> owned = make(8, {.cluster_head_every_ns = second / 2});
  Group& group = *owned;
  std::uint64_t requests = 0;
  const auto published = [&] {
    EXPECT_TRUE(group.wait_for_primary(20 * second)) << group.picture();
    if (requests == 0) {
      EXPECT_TRUE(group.create_tenant("clinic", 10 * second));
      EXPECT_TRUE(
          group.execute("clinic", "CREATE TABLE t (id BIGINT)", request_id(1), 10 * second));
    }
    const auto done = group.execute("clinic", "INSERT INTO t VALUES (1)",
                                    request_id(++requests + 1), 20 * second);
    EXPECT_TRUE(done) << to_string(done.error());
    group.world().run_for(3 * second);
    const auto status = group.status(*group.primary());
    EXPECT_TRUE(status) << to_string(status.error());
    return status ? status->tenants[0].logs[0].position : Position{};
  };
  Position before = published();
  EXPECT_GT(before, Position{2});
  for (int i = 0; i < 2; ++i) {
    const std::uint8_t primary = *group.primary();
    group.kill(primary);
    const Position after = published();
    EXPECT_GT(after, before) << "the new primary publishes nothing";
    before = after;
    ASSERT_TRUE(group.start(primary));
    ASSERT_TRUE(group.converge(20 * second)) << group.picture();
  }
  for (std::uint8_t i = 0; i < group.size(); ++i) group.kill(i);
  for (std::uint8_t i = 0; i < group.size(); ++i) {
    const Status started = group.start(i);
    ASSERT_TRUE(started) << to_string(started.error());
  }
  EXPECT_GT(published(), before);
  ASSERT_TRUE(group.converge(20 * second)) << group.picture();
  EXPECT_EQ(group.differences("clinic"), "");
}

TEST(Group, GoesOnWhenThePrimaryDies) {
  const std::unique_ptr<Group> owned = make(3);
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)",
                            request_id(1), 10 * second));
  std::uint64_t next = 1;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 5; ++i, ++next) {
      const auto done = group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'x')", next),
                                      request_id(100 + next), 10 * second);
      ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
    }
    const auto primary = group.primary();
    ASSERT_TRUE(primary) << group.picture();
    const std::uint64_t killed = group.world().clock().now_ns();
    group.kill(*primary);
    const auto done = group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'x')", next),
                                    request_id(100 + next), 20 * second);
    ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
    ++next;
    EXPECT_LT(group.world().clock().now_ns() - killed, 2 * second) << "kill to the next write";
    ASSERT_TRUE(group.start(*primary));
    ASSERT_TRUE(group.converge(20 * second)) << group.picture();
    EXPECT_EQ(group.differences("clinic"), "");
  }
  const auto primary = group.primary();
  ASSERT_TRUE(primary);
  const auto count = group.ask_at(*primary, "clinic", "SELECT count(*) FROM t");
  ASSERT_TRUE(count) << to_string(count.error());
  EXPECT_EQ(std::get<std::int64_t>(*count), static_cast<std::int64_t>(next - 1));
}

// What a replica asks its peers of their state (state_sync.cpp); a test may keep it from them.
class StateQuestions {
 public:
  enum class Kind : std::uint8_t { what = 1, file = 3, records = 5 };
  struct Question {
    Kind kind = Kind::what;
    TenantId tenant;
    Position first;
    std::uint8_t to = 0;
    Buffer frame;
  };

  StateQuestions(SimGroup& world, std::uint8_t of) : world_(world), of_(of) {
    world_.filter([this](std::uint8_t from, std::uint8_t to, Bytes frame) {
      const std::optional<Question> asked = from == of_ ? read(to, frame) : std::nullopt;
      if (!asked) return false;
      const bool again = !all_.empty() && std::ranges::equal(all_.back().frame, frame);
      if (!again) all_.push_back(*asked);
      return keeps_ && keeps_(*asked);
    });
  }
  ~StateQuestions() { world_.filter(nullptr); }
  StateQuestions(const StateQuestions&) = delete;
  StateQuestions& operator=(const StateQuestions&) = delete;

  void keep(std::function<bool(const Question&)> keeps) { keeps_ = std::move(keeps); }
  [[nodiscard]] const std::vector<Question>& all() const { return all_; }
  [[nodiscard]] std::ptrdiff_t count(Kind kind) const {
    return std::ranges::count(all_, kind, &Question::kind);
  }

 private:
  static std::optional<Question> read(std::uint8_t to, Bytes frame) {
    constexpr std::size_t magic_at = 32;
    constexpr std::size_t kind_at = 36;
    constexpr std::size_t body_at = 72;
    constexpr std::uint32_t magic = 0x3154424B;
    if (frame.size() < body_at || load_le<std::uint32_t>(&frame[magic_at]) != magic) return {};
    Question asked{.kind = static_cast<Kind>(frame[kind_at]),
                   .tenant = {},
                   .first = {},
                   .to = to,
                   .frame = {frame.begin(), frame.end()}};
    if (asked.kind == Kind::records) {
      asked.tenant = TenantId{load_le<std::uint64_t>(&frame[body_at])};
      asked.first = Position{load_le<std::uint64_t>(&frame[body_at + 10])};
    }
    return asked;
  }

  SimGroup& world_;
  std::uint8_t of_;
  std::function<bool(const Question&)> keeps_;
  std::vector<Question> all_;
};

// One of three, off since the table was made, and what the others wrote meanwhile.
class TakenState : public ::testing::Test {
 protected:
  using Kind = StateQuestions::Kind;

  void SetUp() override {
    ASSERT_TRUE(group_.wait_for_primary(5 * second));
    ASSERT_TRUE(group_.create_tenant("clinic", 10 * second));
    ASSERT_TRUE(group_.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)",
                               request_id(1), 10 * second));
    ASSERT_TRUE(group_.converge(10 * second)) << group_.picture();
    away_ = static_cast<std::uint8_t>((*group_.primary() + 1) % 3);
    group_.kill(away_);
  }
  void write(std::uint64_t count, std::size_t size) {
    for (std::uint64_t i = 0; i < count; ++i, ++rows_) {
      const auto done = group_.execute(
          "clinic", fmt::format("INSERT INTO t VALUES ({}, '{}')", rows_, std::string(size, 'x')),
          request_id(100 + rows_), 10 * second);
      ASSERT_TRUE(done) << to_string(done.error()) << group_.picture();
    }
  }
  template <class Holds>
  bool soon(Holds holds) {
    for (int i = 0; i < 10'000 && !holds(); ++i) group_.world().run_for(ms);
    return holds();
  }
  void agree() {
    ASSERT_TRUE(group_.converge(20 * second)) << group_.picture();
    EXPECT_EQ(group_.differences("clinic"), "");
  }

  std::unique_ptr<Group> owned_ = make(5, {.checkpoint_commands = 10});
  Group& group_ = *owned_;
  std::uint8_t away_ = 0;
  std::uint64_t rows_ = 0;
};

// It asks for one log after the other, and the group makes checkpoint after checkpoint meanwhile:
// what it asks for next is still to be had.
TEST_F(TakenState, IsHadHoweverManyCheckpointsAreMade) {
  write(60, 1);
  StateQuestions asked{group_.world(), away_};
  asked.keep([](const auto& one) { return one.kind == Kind::records; });
  ASSERT_TRUE(group_.start(away_));
  ASSERT_TRUE(soon([&] { return asked.count(Kind::records) > 0; }));
  const OpNumber before = group_.glance(away_)->checkpoint;
  write(25, 1);
  asked.keep(nullptr);
  ASSERT_TRUE(soon([&] { return group_.glance(away_)->checkpoint > before; }));
  EXPECT_EQ(asked.count(Kind::what), 1) << "it begins once";
  agree();
}

// The peer goes silent between two pieces of a log: the next one is asked for what comes behind.
TEST_F(TakenState, GoesOnWithWhatIsHere) {
  write(80, 8000);
  StateQuestions asked{group_.world(), away_};
  ASSERT_TRUE(group_.start(away_));
  Position kept;
  asked.keep([&](const auto& one) {
    if (one.kind != Kind::records || one.tenant != TenantId{1} || one.first < Position{20}) {
      return kept > Position{};
    }
    if (kept == Position{}) kept = one.first;
    return true;
  });
  ASSERT_TRUE(soon([&] { return kept > Position{}; }));
  ASSERT_TRUE(soon([&] { return asked.count(Kind::what) == 2; }));
  asked.keep(nullptr);
  const std::size_t before = asked.all().size();
  agree();
  for (std::size_t i = before; i < asked.all().size(); ++i) {
    const auto& one = asked.all()[i];
    if (one.kind != Kind::records || one.tenant != TenantId{1}) continue;
    EXPECT_GE(one.first, kept);
  }
  EXPECT_GT(asked.all().size(), before);
}

// Of records beyond what is left of the journal the segments hold some already, complete: they are
// committed again, and are no reason to stop at a checkpoint before that.
TEST(Group, AReplicaWhoseJournalLostItsEndMakesCheckpointsMeanwhile) {
  // Of this seed's power failure the operating system had written what it had.
  const std::unique_ptr<Group> owned = make(10, {.ring_size = 8U << 20U});
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)",
                            request_id(1), 10 * second));
  constexpr std::uint64_t rows = 300;
  for (std::uint64_t i = 0; i < rows; ++i) {
    const auto done = group.execute(
        "clinic", fmt::format("INSERT INTO t VALUES ({}, '{}')", i, std::string(8000, 'x')),
        request_id(100 + i), 10 * second);
    ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
  }
  ASSERT_TRUE(group.converge(10 * second)) << group.picture();
  const auto away = static_cast<std::uint8_t>((*group.primary() + 1) % 3);
  ASSERT_EQ(group.glance(away)->checkpoint, OpNumber{0});
  group.kill(away);
  ASSERT_TRUE(rot_op(group.world().disk(away), "20"));
  ASSERT_TRUE(group.start(away));
  EXPECT_EQ(group.glance(away)->state, "recovering_head");
  for (int i = 0; i < 100'000 && group.glance(away)->committed < OpNumber{40}; ++i) {
    group.world().run_for(ms / 20);
  }
  ASSERT_LT(group.glance(away)->committed, OpNumber{rows - 50}) << "too late";
  const Status closed = group.close(away);
  EXPECT_TRUE(closed) << to_string(closed.error());
  group.kill(away);
  ASSERT_TRUE(group.start(away));
  ASSERT_TRUE(group.converge(20 * second)) << group.picture();
  EXPECT_EQ(group.differences("clinic"), "");
}

TEST(Group, AReplicaThatWasAwayTakesTheStateOfAPeer) {
  const std::unique_ptr<Group> owned = make(4, {.checkpoint_commands = 20});
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)",
                            request_id(1), 10 * second));
  const auto away = static_cast<std::uint8_t>((*group.primary() + 1) % 3);
  ASSERT_TRUE(group.converge(10 * second));
  group.kill(away);
  ASSERT_TRUE(group.create_tenant("made meanwhile", 10 * second).error().code() ==
              Code::limit_name);
  ASSERT_TRUE(group.create_tenant("second", 10 * second));
  for (std::uint64_t i = 1; i <= 150; ++i) {
    const auto done = group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'x')", i),
                                    request_id(100 + i), 10 * second);
    ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
  }
  ASSERT_TRUE(group.start(away));
  const OpNumber before = group.database(away).status()->committed;
  ASSERT_TRUE(group.converge(20 * second)) << group.picture();
  EXPECT_GT(group.database(away).status()->committed.value(), before.value() + 100);
  EXPECT_GT(group.database(away).status()->checkpoint.value(), before.value());
  EXPECT_EQ(group.differences("clinic"), "");
  // What it took is on its disk: it comes back with it, and the others can go.
  group.kill(away);
  ASSERT_TRUE(group.start(away));
  ASSERT_TRUE(group.converge(20 * second)) << group.picture();
  EXPECT_EQ(group.differences("clinic"), "");
  group.kill(*group.primary());
  const auto done =
      group.execute("clinic", "INSERT INTO t VALUES (1000, 'x')", request_id(2000), 20 * second);
  ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
}

}  // namespace
}  // namespace kimberlite::vopr
