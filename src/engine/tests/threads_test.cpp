// A database whose executor has threads of its own: timers fire beside the callers, while it is
// opened, used and closed. What this finds, it finds under ThreadSanitizer.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "engine/database.hpp"
#include "platform/env.hpp"

namespace kimberlite::engine::test {
namespace {

TEST(Threads, TimersFireBesideOpeningWritingAndClosing) {
  platform::MemoryStorage keys;
  platform::MemoryEnv world{{.threads = 2}};
  auto key = keystore::FileMasterKey::create(keys, "key", world.env().random);
  ASSERT_TRUE(key) << to_string(key.error());
  CreateOptions create;
  create.actor = "os:ann";
  create.free_bytes_reserve = 0;
  const auto made = Database::create(world.env(), **key, create);
  ASSERT_TRUE(made) << to_string(made.error());

  Options options;
  options.actor = "os:ann";
  options.free_bytes_reserve = 0;
  options.cluster_head_every_ns = 1'000'000;
  for (int round = 0; round < 30; ++round) {
    auto opened = Database::open(world.env(), **key, options);
    ASSERT_TRUE(opened) << to_string(opened.error());
    auto session = (*opened)->session("main");
    ASSERT_TRUE(session) << to_string(session.error());
    std::vector<Value> parameters;
    if (round > 0) parameters.emplace_back(std::int64_t{round});
    const Statement statement{
        round == 0 ? "CREATE TABLE t (id INTEGER PRIMARY KEY)" : "INSERT INTO t VALUES ($1)",
        parameters};
    const auto written = (*session)->execute(std::span{&statement, 1}, {});
    ASSERT_TRUE(written) << to_string(written.error());
    // A transaction nobody ends, and timers about to fire.
    if (round % 3 == 2) {
      ASSERT_TRUE((*session)->begin({}));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{3 * (round % 6)});
    session->reset();
    const Status closed = (*opened)->close();
    ASSERT_TRUE(closed) << to_string(closed.error());
  }
}

}  // namespace
}  // namespace kimberlite::engine::test
