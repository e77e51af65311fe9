// Groups of three and five whole databases on simulated machines: what a client was told must hold
// whoever is primary, and every replica must come to the same state, logs and rows.
#include "vopr/group.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "base/le.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::vopr {
namespace {

using engine::Outcome;

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

Id128 request(std::uint64_t number) {
  Id128 id{};
  store_le(id.data(), number);
  id[6] = std::byte{0x40};
  id[8] = std::byte{0x80};
  return id;
}

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
  auto done = group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)", request(1),
                            10 * second);
  ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    done = group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'row {}')", i, i),
                         request(100 + i), 10 * second);
    ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
  }
  ASSERT_TRUE(group.converge(10 * second)) << group.picture();
  EXPECT_EQ(group.differences("clinic"), "");
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
                                        {.request_id = request(1)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::unavailable_not_primary);
  EXPECT_NE(refused.error().why().find(fmt::format("replica {}", primary)), std::string::npos)
      << to_string(refused.error());
  const auto read = group.ask_at(backup, "clinic", "SELECT 1");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Code::unavailable_not_primary);
}

TEST(Group, GoesOnWhenThePrimaryDies) {
  const std::unique_ptr<Group> owned = make(3);
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)", request(1),
                            10 * second));
  std::uint64_t next = 1;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 5; ++i, ++next) {
      const auto done = group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'x')", next),
                                      request(100 + next), 10 * second);
      ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
    }
    const auto primary = group.primary();
    ASSERT_TRUE(primary) << group.picture();
    const std::uint64_t killed = group.world().clock().now_ns();
    group.kill(*primary);
    const auto done = group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'x')", next),
                                    request(100 + next), 20 * second);
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

TEST(Group, AReplicaThatWasAwayTakesTheStateOfAPeer) {
  const std::unique_ptr<Group> owned = make(4, {.checkpoint_commands = 20});
  Group& group = *owned;
  ASSERT_TRUE(group.wait_for_primary(5 * second));
  ASSERT_TRUE(group.create_tenant("clinic", 10 * second));
  ASSERT_TRUE(group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)", request(1),
                            10 * second));
  const auto away = static_cast<std::uint8_t>((*group.primary() + 1) % 3);
  ASSERT_TRUE(group.converge(10 * second));
  group.kill(away);
  ASSERT_TRUE(group.create_tenant("made meanwhile", 10 * second).error().code() ==
              Code::limit_name);
  ASSERT_TRUE(group.create_tenant("second", 10 * second));
  for (std::uint64_t i = 1; i <= 150; ++i) {
    const auto done = group.execute("clinic", fmt::format("INSERT INTO t VALUES ({}, 'x')", i),
                                    request(100 + i), 10 * second);
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
      group.execute("clinic", "INSERT INTO t VALUES (1000, 'x')", request(2000), 20 * second);
  ASSERT_TRUE(done) << to_string(done.error()) << group.picture();
}

// One client and a group under bad luck: partitions, lost and doubled frames, and power failures of
// any replica, the one just asked too; never more of them off than the group survives.
struct Life {
  std::string wrong;
  std::uint64_t digest = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t kills = 0;
  std::uint64_t cuts = 0;
  std::uint64_t views = 0;
  std::uint64_t compared = 0;
};

class Lived {
 public:
  explicit Lived(std::uint64_t seed)
      : choices_(seed, 77),
        voters_(choices_.below(3) == 0 ? 5 : 3),
        made_(make(
            seed, {.voters = voters_,
                   .checkpoint_commands = choices_.coin() ? 1'000'000 : 5 + choices_.below(60)})) {}

  Life live() {
    begin();
    for (std::uint64_t i = 0; i < 150 && life_.wrong.empty(); ++i) write(i);
    make_peace();
    compare_past();
    life_.digest = group_.world().digest();
    return life_;
  }

 private:
  void fail(const std::string& what) {
    if (life_.wrong.empty()) life_.wrong = what + group_.picture();
  }
  std::uint8_t any() { return static_cast<std::uint8_t>(choices_.below(voters_)); }

  void begin() {
    if (!group_.create_tenant("clinic", 20 * second)) fail("no tenant");
    const auto done = group_.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)",
                                     request(1), 30 * second);
    if (!done) fail("no table: " + to_string(done.error()));
    const auto chances = static_cast<std::uint32_t>(choices_.below(40) * 500);
    group_.world().set_network(
        {.lost = choices_.coin() ? 0 : static_cast<std::uint32_t>(choices_.below(80'000)),
         .doubled = static_cast<std::uint32_t>(choices_.below(50'000)),
         .delay_min_ns = 50'000,
         .delay_spread_ns = 1 + choices_.below(20) * ms});
    group_.world().between([this, chances] {
      if (choices_.one_in_million(chances)) strike();
    });
  }

  void strike() {
    const std::uint8_t one = any();
    int down = 0;
    for (std::uint8_t i = 0; i < voters_; ++i) down += group_.is_up(i) ? 0 : 1;
    switch (choices_.below(5)) {
      case 0:
        if (!group_.is_up(one) || down >= (voters_ - 1) / 2) break;
        group_.kill(one);
        ++life_.kills;
        break;
      case 1:
        if (group_.is_up(one) || group_.busy() == one) break;
        if (Status started = group_.start(one); !started) fail(to_string(started.error()));
        break;
      case 2:
        group_.world().cut(one, any());
        ++life_.cuts;
        break;
      case 3:
        for (std::uint8_t i = 0; i < voters_; ++i) {
          if (i == one) continue;
          group_.world().cut(one, i);
          if (choices_.coin()) group_.world().cut(i, one);
        }
        ++life_.cuts;
        break;
      default:
        group_.world().join_all();
        break;
    }
  }

  // One write that must be acknowledged in the end, and what it leaves.
  void write(std::uint64_t number) {
    const auto id = static_cast<std::int64_t>(choices_.below(20));
    const auto value = static_cast<std::int64_t>(number + 1);
    const bool there = rows_.contains(id);
    const bool remove = there && choices_.below(4) == 0;
    const std::string sql = !there   ? fmt::format("INSERT INTO t VALUES ({}, {})", id, value)
                            : remove ? fmt::format("DELETE FROM t WHERE id = {}", id)
                                     : fmt::format("UPDATE t SET v = {} WHERE id = {}", value, id);
    Result<Outcome> done = Error{Code::unavailable_quorum, "nobody was asked"};
    // While the group cannot, nobody may say that it did.
    for (int round = 0; round < 20; ++round) {
      done = group_.execute("clinic", sql, request(1000 + number), 20 * second);
      if (done || class_of(done.error().code()) != ErrorClass::unavailable) break;
      group_.world().join_all();
    }
    if (!done) return fail(sql + ": " + to_string(done.error()));
    ++life_.acknowledged;
    if (choices_.below(8) == 0) group_.world().run_for(choices_.below(700) * ms);
    if (remove) {
      rows_.erase(id);
    } else {
      rows_[id] = value;
    }
    std::int64_t sum = 0;
    for (const auto& [key, v] : rows_) sum += v;
    sums_.emplace_back(done->position, sum);
  }

  void make_peace() {
    group_.world().between(nullptr);
    group_.world().join_all();
    group_.world().set_network({});
    for (std::uint8_t i = 0; i < voters_ && life_.wrong.empty(); ++i) {
      if (group_.is_up(i)) continue;
      if (Status started = group_.start(i); !started) fail(to_string(started.error()));
    }
    if (life_.wrong.empty() && !group_.converge(60 * second)) fail("no agreement in peace");
    if (!life_.wrong.empty()) return;
    if (const std::string differ = group_.differences("clinic"); !differ.empty()) fail(differ);
  }

  // What was seen right after each write is what the log says it was.
  void compare_past() {
    if (!life_.wrong.empty()) return;
    const auto primary = group_.primary();
    if (!primary) return fail("no primary in peace");
    if (const auto status = group_.database(*primary).status()) life_.views = status->view;
    for (const auto& [position, sum] : sums_) {
      const auto then = group_.ask_at(
          *primary, "clinic",
          fmt::format("SELECT coalesce(sum(v), 0) FROM t AS OF POSITION {}", position.value()));
      if (!then) return fail(to_string(then.error()));
      if (std::get<std::int64_t>(*then) != sum) {
        return fail(fmt::format("at position {} the sum is {}, and was {}", position.value(),
                                std::get<std::int64_t>(*then), sum));
      }
      ++life_.compared;
    }
  }

  Prng choices_;
  std::uint8_t voters_;
  std::unique_ptr<Group> made_;
  Group& group_ = *made_;
  Life life_;
  // The model: what every acknowledged write left, and what was seen at its position.
  std::map<std::int64_t, std::int64_t> rows_;
  std::vector<std::pair<Position, std::int64_t>> sums_;
};

Life live(std::uint64_t seed) { return Lived(seed).live(); }

TEST(Group, AgreesWhateverHappens) {
  constexpr std::uint64_t seeds = 6;
  Life all;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Life life = live(seed);
    ASSERT_EQ(life.wrong, "") << "seed " << seed;
    all.acknowledged += life.acknowledged;
    all.kills += life.kills;
    all.cuts += life.cuts;
    all.views += life.views;
    all.compared += life.compared;
  }
  std::cout << fmt::format(
      "{} seeds: {} writes, {} answers about the past, {} kills, {} cuts, {} views\n", seeds,
      all.acknowledged, all.compared, all.kills, all.cuts, all.views);
  EXPECT_GT(all.kills, 0U);
  EXPECT_GT(all.cuts, 0U);
  EXPECT_GT(all.views, 2 * seeds);
}

TEST(Group, TheSameSeedIsTheSameLife) {
  const Life first = live(3);
  const Life second_time = live(3);
  EXPECT_EQ(first.digest, second_time.digest);
  EXPECT_EQ(first.wrong, second_time.wrong);
}

}  // namespace
}  // namespace kimberlite::vopr
