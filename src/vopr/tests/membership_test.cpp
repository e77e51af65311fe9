// Changing the group of whole databases, as a caller of the database does it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "life_model.hpp"
#include "vopr/group.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

class MembershipTest : public testing::Test {
 protected:
  void make(const GroupPlan& plan) {
    auto made = Group::make(1, plan);
    ASSERT_TRUE(made) << to_string(made.error());
    group_ = *std::move(made);
    ASSERT_TRUE(group_->wait_for_primary(5 * second)) << group_->picture();
    ASSERT_TRUE(group_->create_tenant("clinic", 10 * second));
    write("CREATE TABLE t (id BIGINT PRIMARY KEY)");
  }

  void write(std::string_view sql) {
    const auto done = group_->execute("clinic", sql, request_id(++requests_), 10 * second);
    ASSERT_TRUE(done) << to_string(done.error()) << group_->picture();
  }
  void write_rows(int count) {
    for (int i = 0; i < count; ++i) write(fmt::format("INSERT INTO t VALUES ({})", ++rows_));
  }

  // The code it is refused with; nothing if it is done.
  std::string change(const engine::MemberChange& change) { return code(group_->change(change)); }
  static std::string code(const Status& status) {
    return status ? "" : std::string{name(status.error().code())};
  }
  // Until it is not "not now".
  std::string settle(const engine::MemberChange& what) {
    std::string last;
    for (int i = 0; i < 500; ++i) {
      last = change(what);
      if (last != "unavailable.membership") break;
      group_->world().run_for(20 * ms);
    }
    return last;
  }
  engine::Membership known_at(std::uint8_t replica) {
    const auto status = group_->status(replica);
    EXPECT_TRUE(status);
    return status ? status->group : engine::Membership{};
  }
  static std::string text_of(const engine::Membership& group) {
    std::string all = fmt::format("{}:", group.epoch);
    for (const engine::Member& one : group.members) {
      all += fmt::format(" {}{}", one.index, one.votes ? "" : "s");
    }
    return all;
  }

  std::unique_ptr<Group> group_;
  std::uint64_t requests_ = 0;
  std::int64_t rows_ = 0;
};

TEST_F(MembershipTest, AStandbyIsPromotedAndAVoterRemoved) {
  make({.standbys = 1});
  EXPECT_EQ(text_of(known_at(0)), "0: 0 1 2 3s");
  ASSERT_TRUE(group_->converge(10 * second));
  EXPECT_EQ(settle(engine::Promote{3}), "");
  EXPECT_EQ(text_of(known_at(*group_->primary())), "1: 0 1 2 3");
  EXPECT_EQ(settle(engine::Demote{0}), "");
  EXPECT_EQ(settle(engine::Remove{0}), "");
  write_rows(3);
  group_->kill(0);
  group_->world().run_for(second);
  for (std::uint8_t i = 1; i <= 3; ++i) EXPECT_EQ(text_of(known_at(i)), "3: 1 2 3");
  EXPECT_EQ(group_->differences("clinic"), "");
  // It knows from its own disk.
  for (std::uint8_t i = 1; i <= 3; ++i) {
    group_->kill(i);
    ASSERT_TRUE(group_->start(i));
    EXPECT_EQ(text_of(known_at(i)), "3: 1 2 3");
    ASSERT_TRUE(group_->wait_for_primary(10 * second)) << group_->picture();
    write_rows(1);
  }
}

TEST_F(MembershipTest, WhatCanNeverBeIsUsage) {
  make({.standbys = 1, .spares = 1});
  Id128 fresh{};
  fresh.fill(std::byte{0x77});
  const Id128 taken = group_->membership().members[0].id;
  const engine::Membership before = known_at(*group_->primary());
  EXPECT_EQ(change(engine::AddStandby{.index = 2, .id = fresh}), "usage.config");
  EXPECT_EQ(change(engine::AddStandby{.index = 13, .id = fresh}), "usage.config");
  EXPECT_EQ(change(engine::AddStandby{.index = 4, .id = {}}), "usage.config");
  EXPECT_EQ(change(engine::AddStandby{.index = 4, .id = taken}), "usage.config");
  EXPECT_EQ(change(engine::Promote{4}), "usage.config") << "there is none";
  EXPECT_EQ(change(engine::Promote{0}), "usage.config") << "it votes";
  EXPECT_EQ(change(engine::Promote{255}), "usage.config");
  EXPECT_EQ(change(engine::Demote{3}), "usage.config") << "it has no vote";
  EXPECT_EQ(change(engine::Demote{0}), "usage.config") << "two would stay";
  EXPECT_EQ(change(engine::Remove{0}), "usage.config") << "two would stay";
  EXPECT_EQ(change(engine::Remove{4}), "usage.config");
  EXPECT_EQ(known_at(*group_->primary()), before);
}

TEST_F(MembershipTest, OnlyThePrimaryChangesTheGroup) {
  make({.standbys = 1});
  ASSERT_TRUE(group_->converge(10 * second));
  const auto primary = *group_->primary();
  const auto backup = static_cast<std::uint8_t>((primary + 1) % 3);
  EXPECT_EQ(code(group_->change_at(backup, engine::Remove{3})), "unavailable.not_primary");
  EXPECT_EQ(code(group_->change_at(primary, engine::Remove{3})), "");
}

TEST_F(MembershipTest, NotNowIsUnavailable) {
  make({.standbys = 1});
  ASSERT_TRUE(group_->converge(10 * second));
  group_->kill(3);
  write_rows(20);
  EXPECT_EQ(change(engine::Promote{3}), "unavailable.membership") << "it is behind";
  ASSERT_TRUE(group_->start(3));
  EXPECT_EQ(settle(engine::Promote{3}), "");
}

TEST_F(MembershipTest, NobodyKnowsWhatAPrimaryWithoutOthersChanged) {
  make({.standbys = 1, .quorum_timeout_ns = second});
  ASSERT_TRUE(group_->converge(10 * second));
  const auto primary = *group_->primary();
  for (std::uint8_t i = 0; i < group_->size(); ++i) {
    if (i != primary) group_->world().cut(primary, i);
  }
  EXPECT_EQ(code(group_->change_at(primary, engine::Promote{3})), "unavailable.outcome_unknown");
}

// The body of such an operation is no command: not when it is applied, not when the journal is read
// again, not to `verify`, a backup, or a peer that takes the state behind it.
TEST_F(MembershipTest, AConfigurationIsNoCommand) {
  make({.standbys = 2, .checkpoint_commands = 10});
  ASSERT_TRUE(group_->converge(10 * second));
  group_->kill(4);
  EXPECT_EQ(settle(engine::Promote{3}), "");
  // The journal has it, behind the checkpoint.
  for (std::uint8_t i = 0; i <= 3; ++i) {
    auto report = group_->verify(i);
    ASSERT_TRUE(report) << to_string(report.error());
    EXPECT_TRUE(report->clean()) << report->findings.front().what;
    group_->kill(i);
    ASSERT_TRUE(group_->start(i));
  }
  ASSERT_TRUE(group_->wait_for_primary(10 * second)) << group_->picture();
  EXPECT_EQ(settle(engine::Demote{0}), "");
  SimEnv repository{7};
  const auto backed_up = group_->database(*group_->primary()).back_up(repository.storage());
  ASSERT_TRUE(backed_up) << to_string(backed_up.error());
  write_rows(60);
  ASSERT_TRUE(group_->start(4));
  ASSERT_TRUE(group_->converge(20 * second)) << group_->picture();
  EXPECT_EQ(group_->differences("clinic"), "");
  for (std::uint8_t i = 0; i < group_->size(); ++i) {
    EXPECT_EQ(text_of(known_at(i)), "2: 0s 1 2 3 4s");
    const auto report = group_->verify(i);
    ASSERT_TRUE(report) << to_string(report.error());
    EXPECT_TRUE(report->clean()) << report->findings.front().what;
  }
}

// It has the index of one that was removed, and must not be taken for it.
TEST_F(MembershipTest, AnIndexIsGivenAgain) {
  make({.standbys = 1, .checkpoint_commands = 10});
  ASSERT_TRUE(group_->converge(10 * second));
  EXPECT_EQ(settle(engine::Promote{3}), "");
  group_->kill(0);
  EXPECT_EQ(settle(engine::Remove{0}), "");
  write_rows(30);
  const Id128 before = group_->membership().members[0].id;
  ASSERT_TRUE(group_->add(0));
  EXPECT_NE(group_->membership().members[0].id, before);
  ASSERT_TRUE(group_->start(0));
  ASSERT_TRUE(group_->converge(20 * second)) << group_->picture();
  EXPECT_EQ(settle(engine::Promote{0}), "");
  write_rows(3);
  ASSERT_TRUE(group_->converge(20 * second)) << group_->picture();
  EXPECT_EQ(group_->differences("clinic"), "");
}

TEST_F(MembershipTest, ADatabaseAloneHasNoGroup) {
  SimEnv alone{5};
  const env::Env env = alone.env();
  auto master = keystore::FileMasterKey::create(env.storage, "../key", env.random);
  ASSERT_TRUE(master) << to_string(master.error());
  SimEnv world{6};
  ASSERT_TRUE(engine::Database::create(world.env(), **master, {.simulated = true}));
  auto opened = engine::Database::open(world.env(), **master, {.simulated = true});
  ASSERT_TRUE(opened) << to_string(opened.error());
  EXPECT_EQ((*opened)->status()->group.members.size(), 1U);
  Id128 fresh{};
  fresh.fill(std::byte{0x77});
  EXPECT_EQ(code((*opened)->change_group(engine::AddStandby{.index = 1, .id = fresh})),
            "usage.config");
}

// It asks like any replica that is not the primary, and its certificate holds.
TEST_F(MembershipTest, NothingIsDoneForOneThatWasRemoved) {
  make({.voters = 5, .quorum_timeout_ns = 2 * second, .forward = true});
  const std::uint8_t primary = *group_->primary();
  const auto other = static_cast<std::uint8_t>((primary + 1) % 5);
  ASSERT_EQ(settle(engine::Remove{other}), "");
  // At first it may not know yet.
  const auto ask = [&] {
    return group_->execute_at(other, "clinic", "INSERT INTO t VALUES (99)",
                              {.request_id = request_id(99)});
  };
  const auto lost = ask();
  ASSERT_FALSE(lost);
  EXPECT_EQ(class_of(lost.error().code()), ErrorClass::unavailable) << to_string(lost.error());
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::unavailable_not_primary) << to_string(refused.error());
  const auto count = group_->ask_at(*group_->primary(), "clinic", "SELECT count(*) FROM t");
  ASSERT_TRUE(count) << to_string(count.error());
  EXPECT_EQ(std::get<std::int64_t>(*count), 0);
}

}  // namespace
}  // namespace kimberlite::vopr
