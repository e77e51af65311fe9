// What a client remembers, and what it refuses for it.
#include "kimberlite/head_memory.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "lying_session.hpp"
#include "platform/env.hpp"
#include "vopr/sim_env.hpp"

namespace kimberlite {
namespace {

constexpr std::string_view path = "heads";
const Id128 cluster{std::byte{7}};

// A database on a simulated disk that can be copied and put back, and a client's home beside it.
class HeadMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    key_ = keystore::FileMasterKey::create(keys_, "key", random_).value();
    create();
    open();
    write("CREATE TABLE t (id BIGINT PRIMARY KEY)");
    insert(3);
  }
  void create() {
    const auto made = engine::Database::create(
        world_->env(), *key_, {.free_bytes_reserve = 0, .simulated = true, .cluster = cluster});
    ASSERT_TRUE(made) << to_string(made.error());
  }
  void open() {
    auto opened =
        engine::Database::open(world_->env(), *key_, {.free_bytes_reserve = 0, .simulated = true});
    ASSERT_TRUE(opened) << to_string(opened.error());
    database_ = *std::move(opened);
    session_ = database_->session("main").value();
  }
  vopr::DiskImage close() {
    session_.reset();
    EXPECT_TRUE(database_->close());
    database_.reset();
    return world_->storage().image();
  }
  // The disk as it was, in the place of what is there.
  void put_back(const vopr::DiskImage& image) {
    session_.reset();
    database_.reset();
    world_ = std::make_unique<vopr::SimEnv>(++seed_, image);
    open();
  }
  void write(std::string_view sql) {
    const engine::Statement statement{sql, {}};
    const auto done = session_->execute(std::span{&statement, 1}, {});
    ASSERT_TRUE(done) << to_string(done.error());
  }
  void insert(int count) {
    for (int i = 0; i < count; ++i) {
      write("INSERT INTO t VALUES (" + std::to_string(++rows_) + ")");
    }
  }
  HeadMemory memory() {
    return HeadMemory{home_->storage(), home_->env().random, std::string{path}, cluster};
  }
  void remember() {
    const Status done = memory().remember(*session_, "main");
    ASSERT_TRUE(done) << to_string(done.error());
  }
  Code refused() {
    const Status checked = memory().check(*session_, "main");
    EXPECT_FALSE(checked);
    if (checked) return Code::internal_bug;
    EXPECT_NE(checked.error().where().find(path), std::string::npos);
    EXPECT_FALSE(checked.error().why().empty());
    EXPECT_FALSE(checked.error().next().empty());
    return checked.error().code();
  }
  std::string text() {
    const Buffer bytes = home_->storage().image().read(path);
    return std::string{text_of(bytes)};
  }
  record::TreeHead known() {
    const auto heads = record::KnownHeads::parse(text()).value();
    return heads.find(cluster, "main").value()->head.tree();
  }

  std::uint64_t seed_ = 7;
  std::unique_ptr<vopr::SimEnv> world_ = std::make_unique<vopr::SimEnv>(seed_);
  std::unique_ptr<vopr::SimEnv> home_ = std::make_unique<vopr::SimEnv>(99);
  vopr::SimRandom random_{5};  // of the key, which outlives the worlds
  platform::MemoryStorage keys_;
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<engine::Database> database_;
  std::unique_ptr<engine::Session> session_;
  int rows_ = 0;
};

TEST_F(HeadMemoryTest, RemembersTheLogAsItGrows) {
  EXPECT_TRUE(memory().check(*session_, "main")) << "nothing is known yet";
  for (int round = 0; round < 4; ++round) {
    remember();
    const log::StoredHead head = session_->signed_head(Position{}).value();
    EXPECT_EQ(known().size, session_->head().value().value());
    EXPECT_EQ(known().root, head.tree.root);
    put_back(close());
    EXPECT_TRUE(memory().check(*session_, "main"));
    insert(round + 1);
    EXPECT_TRUE(memory().check(*session_, "main")) << "it grew";
  }
}

TEST_F(HeadMemoryTest, NothingIsSignedOrWrittenUnlessTheLogHasGrown) {
  remember();
  const std::string before = text();
  const std::uint64_t calls = home_->storage().calls();
  for (int i = 0; i < 3; ++i) {
    put_back(close());
    EXPECT_TRUE(memory().check(*session_, "main"));
    remember();
  }
  EXPECT_EQ(session_->signed_heads(100).value().size(), 1U);
  EXPECT_EQ(text(), before);
  for (std::uint64_t call = calls; call < home_->storage().calls(); ++call) {
    EXPECT_EQ(home_->storage().kinds()[call], vopr::CallKind::read);
  }
  insert(5);
  EXPECT_TRUE(memory().check(*session_, "main"));
  EXPECT_EQ(session_->signed_heads(100).value().size(), 1U) << "the known head is signed already";
  remember();
  EXPECT_EQ(session_->signed_heads(100).value().size(), 2U);
}

TEST_F(HeadMemoryTest, AnEmptyLogIsNotRemembered) {
  ASSERT_TRUE(database_->create_tenant("north", {}));
  const auto north = database_->session("north").value();
  EXPECT_TRUE(memory().remember(*north, "north"));
  EXPECT_FALSE(home_->storage().image().contains(path));
}

TEST_F(HeadMemoryTest, ADirectoryThatWasRolledBackIsRefused) {
  const vopr::DiskImage older = close();
  open();
  insert(5);
  remember();
  close();
  put_back(older);
  EXPECT_EQ(refused(), Code::integrity_rollback);
  EXPECT_NE(
      memory().check(*session_, "main").error().what().find("5 records, and you have seen 10"),
      std::string::npos)
      << memory().check(*session_, "main").error().what();
  const std::string before = text();
  EXPECT_TRUE(memory().remember(*session_, "main"));
  EXPECT_EQ(text(), before) << "less than was seen is not remembered";

  // Without a memory nothing can tell; that is what docs/proofs.md says of it.
  home_ = std::make_unique<vopr::SimEnv>(98);
  EXPECT_TRUE(memory().check(*session_, "main"));
  remember();
}

TEST_F(HeadMemoryTest, AForkIsRefusedWhateverItsSize) {
  const vopr::DiskImage older = close();
  open();
  insert(5);
  remember();
  close();
  for (const int more : {5, 6, 20}) {
    rows_ = 1000 * more;
    put_back(older);
    insert(more);
    EXPECT_EQ(refused(), Code::integrity_split_view) << more;
    const std::string before = text();
    const Status kept = memory().remember(*session_, "main");
    // Of the same size it is not looked at again.
    if (more > 5) {
      ASSERT_FALSE(kept);
      EXPECT_EQ(kept.error().code(), Code::integrity_split_view);
    }
    EXPECT_EQ(text(), before) << more;
  }
}

TEST_F(HeadMemoryTest, ATenantThatIsGoneIsARollback) {
  const vopr::DiskImage older = close();
  open();
  ASSERT_TRUE(database_->create_tenant("north", {}));
  {
    const auto north = database_->session("north").value();
    const engine::Statement table{"CREATE TABLE t (a BIGINT PRIMARY KEY)", {}};
    ASSERT_TRUE(north->execute(std::span{&table, 1}, {}));
    ASSERT_TRUE(memory().remember(*north, "north"));
  }
  close();
  put_back(older);
  const auto gone = database_->session("north");
  ASSERT_FALSE(gone);
  EXPECT_EQ(memory().explain(gone.error(), "north").code(), Code::integrity_rollback);
  const auto never = database_->session("south");
  ASSERT_FALSE(never);
  EXPECT_EQ(memory().explain(never.error(), "south").code(), Code::not_found_tenant);
  // Made again, it is another log.
  ASSERT_TRUE(database_->create_tenant("north", {}));
  const auto north = database_->session("north").value();
  EXPECT_EQ(memory().check(*north, "north").error().code(), Code::integrity_rollback)
      << "an empty log shows no id";
  const engine::Statement table{"CREATE TABLE t (a BIGINT PRIMARY KEY)", {}};
  ASSERT_TRUE(north->execute(std::span{&table, 1}, {}));
  EXPECT_EQ(memory().check(*north, "north").error().code(), Code::integrity_new_epoch);
}

TEST_F(HeadMemoryTest, AnotherLogInItsPlaceIsRefusedUntilItIsTrusted) {
  remember();
  const record::TreeHead first = known();
  const vopr::DiskImage image = close();
  // Another database of the same cluster id: the same names, other logs.
  world_ = std::make_unique<vopr::SimEnv>(1234);
  create();
  open();
  write("CREATE TABLE t (id BIGINT PRIMARY KEY)");
  EXPECT_EQ(refused(), Code::integrity_new_epoch);
  const Status not_kept = memory().remember(*session_, "main");
  EXPECT_TRUE(not_kept) << "it has fewer records, and none is looked at";
  insert(9);
  EXPECT_EQ(memory().remember(*session_, "main").error().code(), Code::integrity_new_epoch);
  EXPECT_EQ(known(), first);

  const auto epoch = memory().new_epoch(*session_, "main").value();
  ASSERT_TRUE(epoch);
  EXPECT_EQ(epoch->known, first);
  EXPECT_EQ(epoch->begins, Position{1});
  EXPECT_NE(record::origin_of(epoch->now.log_id), first.origin);
  EXPECT_EQ(epoch->now.tree.size, session_->head().value().value());
  ASSERT_TRUE(memory().trust(*session_, "main", *epoch));
  EXPECT_EQ(known().origin, record::origin_of(epoch->now.log_id));
  EXPECT_TRUE(memory().check(*session_, "main"));
  EXPECT_FALSE(memory().new_epoch(*session_, "main").value());
  const Status again = memory().trust(*session_, "main", *epoch);
  ASSERT_FALSE(again) << "what was shown is not what there is now";
  EXPECT_EQ(again.error().code(), Code::unavailable_busy);
  insert(1);
  remember();
  close();
  put_back(image);
  EXPECT_EQ(refused(), Code::integrity_new_epoch) << "the first log is the other one now";
}

// What the log of a new epoch shows is that older records carry another id.
TEST_F(HeadMemoryTest, FindsWhereTheNewEpochBegins) {
  remember();
  close();
  world_ = std::make_unique<vopr::SimEnv>(1234);
  create();
  open();
  write("CREATE TABLE t (id BIGINT PRIMARY KEY)");
  insert(20);
  const std::uint64_t end = session_->head().value().value();
  for (std::uint64_t first = 1; first <= end; ++first) {
    test::LyingSession session{*session_};
    session.epoch_begins = Position{first};
    const auto epoch = memory().new_epoch(session, "main");
    ASSERT_TRUE(epoch) << to_string(epoch.error());
    ASSERT_TRUE(*epoch);
    EXPECT_EQ((*epoch)->begins, Position{first});
  }
}

TEST_F(HeadMemoryTest, ADamagedFileIsRefusedAndLeftAsItIs) {
  remember();
  insert(1);
  const std::string whole = text();
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    vopr::DiskImage image = home_->storage().image();
    image.flip(path, at);
    home_ = std::make_unique<vopr::SimEnv>(at, image);
    const std::string damaged = text();
    EXPECT_EQ(refused(), at == 17 ? Code::unavailable_version : Code::integrity_head) << at;
    EXPECT_FALSE(memory().remember(*session_, "main")) << at;
    EXPECT_EQ(text(), damaged) << at;
    image.flip(path, at);
    home_ = std::make_unique<vopr::SimEnv>(at, image);
  }
  EXPECT_TRUE(memory().check(*session_, "main"));
}

TEST_F(HeadMemoryTest, ACrashAnywhereLosesMemoryAndForgesNone) {
  remember();
  const std::string before = text();
  const vopr::DiskImage home = home_->storage().image();
  insert(1);
  std::uint64_t crashes = 0;
  std::uint64_t kept = 0;
  for (std::uint64_t call = 1;; ++call) {
    home_ = std::make_unique<vopr::SimEnv>(call, home, vopr::Faults{.crash_at = call});
    static_cast<void>(memory().remember(*session_, "main").has_value());
    if (!home_->storage().frozen()) break;
    ++crashes;
    home_ = std::make_unique<vopr::SimEnv>(call, home_->storage().crash());
    const std::uint64_t size = known().size;
    EXPECT_TRUE(text() == before || size == session_->head().value().value()) << call;
    if (text() != before) ++kept;
    EXPECT_TRUE(memory().check(*session_, "main")) << call;
  }
  EXPECT_GT(crashes, 4U);
  EXPECT_LT(kept, crashes);
  EXPECT_NE(text(), before);
}

TEST_F(HeadMemoryTest, AFailureToRememberIsSaidAndLosesNothing) {
  remember();
  const std::string before = text();
  const vopr::DiskImage home = home_->storage().image();
  insert(1);
  std::uint64_t failures = 0;
  for (std::uint64_t call = 1; call < 30; ++call) {
    for (const vopr::Failure failure : {vopr::Failure::io, vopr::Failure::disk_full}) {
      home_ = std::make_unique<vopr::SimEnv>(
          call, home, vopr::Faults{.injections = {{.call = call, .failure = failure}}});
      const Status done = memory().remember(*session_, "main");
      if (done) continue;
      ++failures;
      EXPECT_EQ(class_of(done.error().code()), ErrorClass::unavailable) << to_string(done.error());
      EXPECT_FALSE(done.error().next().empty());
      const record::TreeHead now = known();
      EXPECT_TRUE(text() == before || now.size == session_->head().value().value());
    }
  }
  EXPECT_GT(failures, 4U);
}

TEST_F(HeadMemoryTest, OneFileServesSeveralClustersAndTenants) {
  remember();
  ASSERT_TRUE(database_->create_tenant("north", {}));
  const auto north = database_->session("north").value();
  const engine::Statement table{"CREATE TABLE t (a BIGINT PRIMARY KEY)", {}};
  ASSERT_TRUE(north->execute(std::span{&table, 1}, {}));
  ASSERT_TRUE(memory().remember(*north, "north"));
  HeadMemory other{home_->storage(), home_->env().random, std::string{path}, Id128{std::byte{8}}};
  EXPECT_TRUE(other.check(*session_, "main")) << "of this cluster nothing is known";
  ASSERT_TRUE(other.remember(*session_, "main"));
  const auto heads = record::KnownHeads::parse(text()).value();
  EXPECT_EQ(heads.size(), 3U);
}

// A server's answers, changed on their way.
TEST_F(HeadMemoryTest, TheWordOfASessionIsNotTaken) {
  remember();
  insert(4);
  const log::StoredHead honest = session_->signed_head(Position{}).value();
  const crypto::SigningKey own{crypto::Key256{Hash{std::byte{3}}}};
  const std::uint64_t seen = known().size;
  // In each the log is not the one that was seen, and every answer says it is.
  struct Lie {
    std::string_view what;
    std::function<void(test::LyingSession&)> tell;
    Code refused;
  };
  const auto signed_by_other = [&](std::uint64_t size) {
    log::Tree tree = honest.tree;
    tree.size = size;
    return log::sign(honest.log_id, tree, honest.signed_at, own);
  };
  const std::vector<Lie> lies{
      {"a head of the same log by another key",
       [&](auto& session) { session.head_given = signed_by_other(honest.tree.size); },
       Code::integrity_split_view},
      {"one of the remembered size",
       [&](auto& session) { session.head_given = signed_by_other(seen); },
       Code::integrity_split_view},
      {"the remembered tree by another key",
       [&](auto& session) {
         const log::Tree tree{seen, known().root};
         session.head_given = log::sign(honest.log_id, tree, honest.signed_at, own);
       },
       Code::integrity_split_view},
      {"a changed root under the old signature",
       [&](auto& session) {
         session.head_given = honest;
         session.head_given->tree.root[0] ^= std::byte{1};
       },
       Code::integrity_split_view},
      {"an older head than was asked for",
       [&](auto& session) {
         session.head_given = session_->signed_heads(10).value().back();
         session.head_given->tree.size -= 1;
       },
       Code::integrity_split_view},
      {"a proof of other heads",
       [&](auto& session) {
         session.head_given = honest;
         session.proof_given =
             record::ConsistencyProof{.path = {}, .older = honest.note(), .newer = honest.note()};
       },
       Code::integrity_split_view},
      {"a proof with a hash changed",
       [&](auto& session) {
         session.head_given = honest;
         session.proof_given =
             session_->consistency(session_->signed_head_of_size(seen)->note(), honest.note())
                 .value();
         session.proof_given->path.at(0)[5] ^= std::byte{1};
       },
       Code::integrity_split_view},
      {"a length beyond what it shows",
       [&](auto& session) { session.end_given = Position{seen - 1}; }, Code::integrity_rollback},
  };
  for (const Lie& lie : lies) {
    test::LyingSession session{*session_};
    lie.tell(session);
    const Status checked = memory().check(session, "main");
    ASSERT_FALSE(checked) << lie.what;
    EXPECT_EQ(checked.error().code(), lie.refused) << lie.what << to_string(checked.error());
  }
  test::LyingSession session{*session_};
  EXPECT_TRUE(memory().check(session, "main")) << "the session that tells no lie";
}

}  // namespace
}  // namespace kimberlite
