// Groups of three and five whole databases on simulated machines: what a client was told must hold
// whoever is primary, and every replica must come to the same state, logs and rows.
#include "support/group.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "base/le.hpp"
#include "support/script.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::engine::test {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

Id128 request(std::uint64_t number) {
  Id128 id{};
  store_le(id.data(), number);
  id[6] = std::byte{0x40};
  id[8] = std::byte{0x80};
  return id;
}

TEST(Group, WritesAreOnEveryReplica) {
  Group group(1, 3);
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
  Group group(2, 3);
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
  Group group(3, 3);
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
  Group group(4, 3, 20);
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

Life live(std::uint64_t seed) {
  vopr::Prng choices(seed, 77);
  const std::uint8_t voters = choices.below(3) == 0 ? 5 : 3;
  Group group(seed, voters, choices.coin() ? 1'000'000 : 5 + choices.below(60));
  Life life;
  const auto fail = [&](const std::string& what) {
    if (life.wrong.empty()) life.wrong = what + group.picture();
  };
  if (!group.create_tenant("clinic", 20 * second)) fail("no tenant");
  auto done = group.execute("clinic", "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT)",
                            request(1), 30 * second);
  if (!done) fail("no table: " + to_string(done.error()));

  const std::uint64_t trouble = choices.below(40);  // in a million things that happen
  const std::uint32_t lost = choices.coin() ? 0 : static_cast<std::uint32_t>(choices.below(80'000));
  group.world().set_network({.lost = lost,
                             .doubled = static_cast<std::uint32_t>(choices.below(50'000)),
                             .delay_min_ns = 50'000,
                             .delay_spread_ns = 1 + choices.below(20) * ms});
  const auto any = [&] { return static_cast<std::uint8_t>(choices.below(voters)); };
  group.world().between([&] {
    if (!choices.one_in_million(static_cast<std::uint32_t>(trouble * 500))) return;
    const std::uint8_t one = any();
    int down = 0;
    for (std::uint8_t i = 0; i < voters; ++i) down += group.is_up(i) ? 0 : 1;
    switch (choices.below(5)) {
      case 0:
        if (group.is_up(one) && down < (voters - 1) / 2) {
          group.kill(one);
          ++life.kills;
        }
        break;
      case 1:
        if (group.is_up(one) || group.busy() == one) break;
        if (Status started = group.start(one); !started) fail(to_string(started.error()));
        break;
      case 2:
        group.world().cut(one, any());
        ++life.cuts;
        break;
      case 3:
        for (std::uint8_t i = 0; i < voters; ++i) {
          if (i == one) continue;
          group.world().cut(one, i);
          if (choices.coin()) group.world().cut(i, one);
        }
        ++life.cuts;
        break;
      default:
        group.world().join_all();
        break;
    }
  });

  // The model: what every acknowledged write left, and what was seen at its position.
  std::map<std::int64_t, std::int64_t> rows;
  std::vector<std::pair<Position, std::int64_t>> sums;
  for (std::uint64_t i = 0; i < 150 && life.wrong.empty(); ++i) {
    const auto id = static_cast<std::int64_t>(choices.below(20));
    const auto value = static_cast<std::int64_t>(i + 1);
    std::string sql;
    if (!rows.contains(id)) {
      sql = fmt::format("INSERT INTO t VALUES ({}, {})", id, value);
    } else if (choices.below(4) == 0) {
      sql = fmt::format("DELETE FROM t WHERE id = {}", id);
    } else {
      sql = fmt::format("UPDATE t SET v = {} WHERE id = {}", value, id);
    }
    // While the group cannot, nobody may say that it did.
    for (int round = 0; round < 20; ++round) {
      done = group.execute("clinic", sql, request(1000 + i), 20 * second);
      if (done || class_of(done.error().code()) != ErrorClass::unavailable) break;
      group.world().join_all();
    }
    if (!done) {
      fail(sql + ": " + to_string(done.error()));
      break;
    }
    ++life.acknowledged;
    if (choices.below(8) == 0) group.world().run_for(choices.below(700) * ms);
    if (sql.starts_with("DELETE")) {
      rows.erase(id);
    } else {
      rows[id] = value;
    }
    std::int64_t sum = 0;
    for (const auto& [key, v] : rows) sum += v;
    sums.emplace_back(done->position, sum);
  }
  group.world().between(nullptr);
  group.world().join_all();
  group.world().set_network({});
  for (std::uint8_t i = 0; i < voters && life.wrong.empty(); ++i) {
    if (group.is_up(i)) continue;
    if (Status started = group.start(i); !started) fail(to_string(started.error()));
  }
  if (life.wrong.empty() && !group.converge(60 * second)) fail("no agreement in peace");
  if (life.wrong.empty()) {
    if (const std::string differ = group.differences("clinic"); !differ.empty()) fail(differ);
  }
  const auto primary = group.primary();
  if (!primary && life.wrong.empty()) fail("no primary in peace");
  for (const auto& [position, sum] : sums) {
    if (!life.wrong.empty()) break;
    const auto then = group.ask_at(
        *primary, "clinic",
        fmt::format("SELECT coalesce(sum(v), 0) FROM t AS OF POSITION {}", position.value()));
    if (!then) {
      fail(to_string(then.error()));
    } else if (std::get<std::int64_t>(*then) != sum) {
      fail(fmt::format("at position {} the sum is {}, and was {}", position.value(),
                       std::get<std::int64_t>(*then), sum));
    }
    ++life.compared;
  }
  if (primary) {
    const auto status = group.database(*primary).status();
    if (status) life.views = status->view;
  }
  life.digest = group.world().digest();
  return life;
}

TEST(Group, AgreesWhateverHappens) {
  const std::uint64_t first = option("--seed=", 1);
  const std::uint64_t seeds = option("--seeds=", 6);
  Life all;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
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
  if (seeds < 6) return;
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
}  // namespace kimberlite::engine::test
