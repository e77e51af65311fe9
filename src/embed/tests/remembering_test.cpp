// `OpenOptions::heads_file`: a program that remembers, on real directories that are copied and put
// back.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "kimberlite/kimberlite.hpp"

namespace kimberlite {
namespace {

namespace fs = std::filesystem;

class RememberingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(top_);
    fs::create_directories(top_);
    run([](Session& session) {
      ASSERT_TRUE(session.execute({}, "CREATE TABLE t (id BIGINT PRIMARY KEY)"));
      ASSERT_TRUE(session.execute({}, "INSERT INTO t VALUES (1)"));
    });
    fs::copy(directory(), top_ / "older", fs::copy_options::recursive);
    insert(2);
  }
  void TearDown() override { fs::remove_all(top_); }

  [[nodiscard]] std::string directory() const { return top_ / "data"; }
  [[nodiscard]] OpenOptions options(bool remembers = true) const {
    return {.create = true,
            .key = KeyFile{top_ / "key"},
            .heads_file = remembers ? std::string{top_ / "home" / "heads"} : std::string{}};
  }
  template <class Use>
  void run(Use use, bool remembers = true) {
    const auto database = Database::open(directory(), options(remembers));
    ASSERT_TRUE(database) << to_string(database.error());
    const auto session = (*database)->local_session();
    ASSERT_TRUE(session) << to_string(session.error());
    use(**session);
  }
  void insert(int id, bool remembers = true) {
    run(
        [&](Session& session) {
          ASSERT_TRUE(session.execute({}, "INSERT INTO t VALUES ($1)", id));
        },
        remembers);
  }
  // The code a session is refused with.
  std::optional<Code> refused(bool remembers = true) {
    const auto database = Database::open(directory(), options(remembers));
    EXPECT_TRUE(database) << to_string(database.error());
    const auto session = (*database)->local_session();
    if (session) return std::nullopt;
    return session.error().code();
  }
  void put_back_older() {
    fs::remove_all(directory());
    fs::copy(top_ / "older", directory(), fs::copy_options::recursive);
  }

  fs::path top_ = fs::path{::testing::TempDir()} / ("remembering-" + std::to_string(getpid()));
};

TEST_F(RememberingTest, AnOlderCopyIsRefusedByWhoRemembers) {
  EXPECT_FALSE(refused());
  put_back_older();
  EXPECT_EQ(refused(), Code::integrity_rollback);
  EXPECT_FALSE(refused(false)) << "nothing else can notice it";
  // Trust is for new epochs: it forgives no rollback.
  const auto database = Database::open(directory(), options());
  const Status trusted = (*database)->trust();
  ASSERT_FALSE(trusted);
  EXPECT_EQ(trusted.error().code(), Code::integrity_rollback);
}

TEST_F(RememberingTest, AForkIsRefusedByWhoRemembers) {
  put_back_older();
  insert(7, false);
  EXPECT_EQ(refused(), Code::integrity_split_view);
  insert(8, false);
  EXPECT_EQ(refused(), Code::integrity_split_view);
  EXPECT_FALSE(refused(false));
}

TEST_F(RememberingTest, RemembersWhenAskedAndWhenASessionEnds) {
  run([&](Session& session) {
    ASSERT_TRUE(session.execute({}, "INSERT INTO t VALUES (3)"));
    ASSERT_TRUE(session.remember());
    fs::copy(top_ / "home" / "heads", top_ / "asked");
    ASSERT_TRUE(session.execute({}, "INSERT INTO t VALUES (4)"));
  });
  EXPECT_TRUE(fs::exists(top_ / "asked"));
  run([](Session& session) {
    const auto head = session.engine().signed_head(Position{1});
    ASSERT_TRUE(head);
    EXPECT_EQ(head->tree.size, session.engine().head()->value());
  });
  EXPECT_FALSE(refused());
}

TEST_F(RememberingTest, TrustIsNeededOnceForAnotherLog) {
  {
    const auto database = Database::open(directory(), options());
    ASSERT_TRUE((*database)->trust()) << "there is nothing to accept";
    ASSERT_TRUE((*database)->engine().create_tenant("north", {}));
    const auto north = (*database)->local_session("north");
    ASSERT_TRUE(north);
    ASSERT_TRUE((*north)->execute({}, "CREATE TABLE t (id BIGINT PRIMARY KEY)"));
  }
  // The tenant made anew in an older copy has another log.
  put_back_older();
  const auto database = Database::open(directory(), options());
  ASSERT_TRUE(database) << to_string(database.error());
  const auto gone = (*database)->local_session("north");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), Code::integrity_rollback);
  ASSERT_TRUE((*database)->engine().create_tenant("north", {}));
  {
    const auto session = (*database)->engine().session("north");
    const engine::Statement table{"CREATE TABLE t (id BIGINT PRIMARY KEY)", {}};
    ASSERT_TRUE((*session)->execute(std::span{&table, 1}, {}));
  }
  const auto other = (*database)->local_session("north");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Code::integrity_new_epoch);
  ASSERT_TRUE((*database)->trust("north"));
  EXPECT_TRUE((*database)->local_session("north"));
}

TEST_F(RememberingTest, SessionsOfSeveralThreadsRememberInOneFile) {
  const auto database = Database::open(directory(), options());
  ASSERT_TRUE(database) << to_string(database.error());
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 5; ++i) {
        const auto session = (*database)->local_session();
        if (!session) return;
        if (!(*session)->execute({}, "INSERT INTO t VALUES ($1)", 100 * (thread + 1) + i)) return;
        if ((*session)->remember()) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 20);
  const auto session = (*database)->local_session();
  ASSERT_TRUE(session);
  const auto newest = (*session)->engine().signed_head(Position{1});
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->tree.size, (*session)->engine().head()->value());
}

TEST_F(RememberingTest, WithoutAFileNothingIsRemembered) {
  fs::remove_all(top_ / "home");
  insert(3, false);
  EXPECT_FALSE(fs::exists(top_ / "home"));
  const auto memory = Database::in_memory();
  ASSERT_TRUE(memory);
  EXPECT_TRUE((*memory)->trust());
  EXPECT_TRUE((*(*memory)->local_session())->remember());
}

}  // namespace
}  // namespace kimberlite
