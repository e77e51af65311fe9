// Heads of the cluster, by the simulated clock: one a second over the logs that changed, none where
// nothing did, and no smaller or other tree whatever a crash leaves.
#include <gtest/gtest.h>

#include <map>

#include "core.hpp"
#include "engine/verify.hpp"
#include "log/segment.hpp"
#include "platform/env.hpp"
#include "record/items.hpp"
#include "vopr/sim_env.hpp"

namespace kimberlite::engine {
namespace {

constexpr TenantId cluster{0};
constexpr std::uint64_t second = 1'000'000'000;

class ClusterHeads : public ::testing::Test {
 protected:
  void SetUp() override {
    key_ = keystore::FileMasterKey::create(keys_, "key", world_->env().random).value();
    ASSERT_TRUE(Database::create(world_->env(), *key_, {.tenant = "a", .free_bytes_reserve = 0}));
    ASSERT_TRUE(open(0));
    ASSERT_TRUE(database_->create_tenant("b", {}));
    ASSERT_TRUE(database_->create_tenant("c", {}));
    for (const char* name : {"a", "b", "c"}) write(name, "CREATE TABLE t (n BIGINT)");
    close();
  }
  static Options options(std::uint64_t every_ns) {
    return {.free_bytes_reserve = 0, .simulated = true, .cluster_head_every_ns = every_ns};
  }
  [[nodiscard]] Status open(std::uint64_t every_ns = second) {
    KIMBERLITE_TRY(database_, Database::open(world_->env(), *key_, options(every_ns)));
    return {};
  }
  void close() {
    EXPECT_TRUE(database_->close());
    database_.reset();
  }
  bool write(std::string_view tenant, std::string_view sql = "INSERT INTO t VALUES (1)") {
    auto session = database_->session(tenant);
    const Statement statement{sql, {}};
    return session && (*session)->execute(std::span{&statement, 1}, {});
  }
  // Somebody who asks what time it is, again and again, so that there is always who drives.
  bool pass(std::uint64_t milliseconds) {
    const std::uint64_t until = world_->clock().now_ns() + milliseconds * 1'000'000;
    auto session = database_->session("a");
    while (session && world_->clock().now_ns() < until) {
      world_->executor().run_one(250'000'000);
      if (!(*session)->query({"SELECT 1 FROM __records AS OF TIMESTAMP NOW() LIMIT 0", {}}, {}, {}))
        return false;
    }
    return session.has_value();
  }
  LogInfo cluster_log() {
    StatusReport report = database_->status().value();
    EXPECT_TRUE(database_->add_proofs(report));
    return report.tenants[0].logs[0];
  }

  // What the closed directory holds.
  struct Found {
    std::vector<log::StoredHead> heads;  // the newest first
    std::vector<std::vector<kernel::PublishedHead>> published;
    bool all = true;  // every log as it stands is in the newest of its heads, and that is signed
  };
  // Of each record that publishes, as a stranger sees it: in the tree of a head of the cluster, by
  // a receipt that discloses it. And each tree is one there was.
  Found find() {
    Found found;
    auto core = Core::open(world_->env(), *key_, options(0)).value();
    const kernel::LaneState own = core->state().tenant(cluster)->lane(kernel::Lane::data);
    found.heads = core->prover().list(cluster, kernel::Lane::data, 1000).value();
    const std::uint64_t signed_size = found.heads.empty() ? 0 : found.heads[0].tree.size;
    EXPECT_LE(signed_size, own.head.position.value());
    std::map<std::pair<TenantId, kernel::Lane>, kernel::PublishedHead> newest;
    for (std::uint64_t at = 1; at <= own.head.position.value(); ++at) {
      Buffer frame;
      const auto record =
          core->logs().read(cluster, kernel::Lane::data, Position{at}, frame).value();
      if (record.entry.kind != std::to_underlying(kernel::Kind::publish_heads)) continue;
      found.all = at <= signed_size;
      const auto receipt =
          core->prover().receipt(cluster, kernel::Lane::data, Position{at}, 0).value();
      const auto head = core->prover().list(cluster, kernel::Lane::data, 1).value().at(0);
      const auto seen = record::verify(receipt, head.verifier_key());
      EXPECT_TRUE(seen && seen->opened());
      const auto plain =
          record::decode_plaintext(seen->opened()->header, seen->opened()->plaintext).value();
      const auto control = kernel::decode_control(plain.controls.at(0)).value();
      found.published.push_back(std::get<kernel::PublishHeads>(control).heads);
      for (const kernel::PublishedHead& tree : found.published.back()) {
        auto& before = newest[{tree.tenant, tree.lane}];
        EXPECT_LT(before.size, tree.size) << "nothing is published twice, and nothing smaller";
        EXPECT_EQ(core->logs().root_at(tree.tenant, tree.lane, tree.size).value(), tree.root);
        before = tree;
      }
    }
    for (std::uint64_t id = 1; id < core->state().tenant_count(); ++id) {
      const auto& lane = core->state().tenant(TenantId{id})->lane(kernel::Lane::data);
      found.all = found.all &&
                  newest[{TenantId{id}, kernel::Lane::data}].size == lane.head.position.value();
    }
    EXPECT_TRUE(core->close());
    return found;
  }

  std::unique_ptr<vopr::SimEnv> world_ = std::make_unique<vopr::SimEnv>(3);
  platform::MemoryStorage keys_;
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<Database> database_;
};

TEST_F(ClusterHeads, OneASecondOverTheLogsThatChangedAndNoneWhereNothingDid) {
  ASSERT_TRUE(open());
  EXPECT_FALSE(cluster_log().signed_head);
  ASSERT_TRUE(pass(1500));  // 1: the logs as they were found
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(write("a") && write("c"));  // 2: both, however often they changed
  }
  ASSERT_TRUE(pass(1500));
  const LogInfo before = cluster_log();
  ASSERT_TRUE(before.signed_head);
  EXPECT_EQ(before.signed_head->tree.size, before.position.value());
  ASSERT_TRUE(pass(10'000));
  EXPECT_EQ(cluster_log().position, before.position);
  ASSERT_TRUE(write("b"));
  ASSERT_TRUE(pass(3000));  // 3
  close();
  const Found found = find();
  EXPECT_TRUE(found.all);
  EXPECT_EQ(found.heads.size(), 3U);
  ASSERT_EQ(found.published.size(), 3U);
  const auto tenants = [&](std::size_t i) {
    std::vector<std::uint64_t> ids;
    for (const auto& head : found.published[i]) ids.push_back(head.tenant.value());
    return ids;
  };
  EXPECT_EQ(tenants(0), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(tenants(1), (std::vector<std::uint64_t>{1, 3}));
  EXPECT_EQ(tenants(2), (std::vector<std::uint64_t>{2}));
  EXPECT_TRUE(verify(world_->env().storage, {}).value().clean());
}

TEST_F(ClusterHeads, NoMoreThanOneASecondWhileAllIsBusy) {
  ASSERT_TRUE(open());
  const std::uint64_t began = world_->clock().now_ns();
  while (world_->clock().now_ns() < began + 5 * second) {
    ASSERT_TRUE(write("a") && write("b") && pass(100));
  }
  close();
  const Found found = find();
  EXPECT_GE(found.heads.size(), 4U);
  EXPECT_LE(found.heads.size(), 5U);
  EXPECT_EQ(found.published.size(), found.heads.size());
}

TEST_F(ClusterHeads, AReopenedDatabaseGoesOnAndOneThatWasNotAskedDoesNot) {
  ASSERT_TRUE(open());
  ASSERT_TRUE(pass(1500));
  close();
  for (int round = 0; round < 3; ++round) {  // nothing is published again
    ASSERT_TRUE(open());
    ASSERT_TRUE(pass(2500));
    close();
  }
  EXPECT_EQ(find().published.size(), 1U);
  ASSERT_TRUE(open(0));
  ASSERT_TRUE(write("b") && pass(3000));
  close();
  EXPECT_EQ(find().published.size(), 1U);
  ASSERT_TRUE(open());
  ASSERT_TRUE(pass(1500));
  close();
  const Found found = find();
  EXPECT_TRUE(found.all);
  ASSERT_EQ(found.published.size(), 2U);
  EXPECT_EQ(found.published[1].size(), 1U);
}

// At every I/O call of it: what was seen signed is still known, nothing smaller or other follows,
// and what was published and not signed is.
TEST_F(ClusterHeads, ACrashLosesNoHeadAndMakesNoOtherTree) {
  ASSERT_TRUE(open());
  ASSERT_TRUE(pass(1500));
  close();
  const vopr::DiskImage image = world_->storage().image();
  // From shortly before the second is over until the head is signed.
  world_ = std::make_unique<vopr::SimEnv>(1, image);
  ASSERT_TRUE(open() && write("b") && pass(900));
  const std::uint64_t first = world_->storage().calls();
  ASSERT_TRUE(pass(300));
  const std::uint64_t last = world_->storage().calls();
  close();
  std::uint64_t crashes = 0;
  std::uint64_t unsigned_records = 0;
  for (std::uint64_t call = first; call <= last; ++call) {
    world_ = std::make_unique<vopr::SimEnv>(call, image, vopr::Faults{.crash_at = call});
    std::uint64_t seen = 0;
    if (open() && write("b") && pass(1200)) {
      StatusReport report = database_->status().value();
      if (database_->add_proofs(report) && !world_->storage().frozen())
        seen = report.tenants[0].logs[0].signed_head->tree.size;
    }
    if (database_) static_cast<void>(database_->close().has_value());
    database_.reset();
    if (world_->storage().frozen()) ++crashes;
    world_ = std::make_unique<vopr::SimEnv>(call, world_->storage().crash());
    ASSERT_TRUE(open()) << call;
    const LogInfo left = cluster_log();
    ASSERT_GE(left.signed_head ? left.signed_head->tree.size : 0, seen) << call;
    ASSERT_TRUE(pass(1200)) << call;
    const LogInfo after = cluster_log();
    ASSERT_TRUE(after.signed_head) << call;
    if (after.position == left.position && left.signed_head->tree.size != after.position.value())
      ++unsigned_records;
    close();
    const Found found = find();
    ASSERT_TRUE(found.all) << call;
  }
  EXPECT_GT(crashes, 20U);
  EXPECT_GT(unsigned_records, 0U) << "a crash between the record and its head";
}

// A record of the cluster's own log has rotted: no head is made, which `status` says, and every
// tenant is there.
TEST_F(ClusterHeads, DamageInTheClustersLogKeepsNoTenantFromBeingOpened) {
  ASSERT_TRUE(open());
  ASSERT_TRUE(write("a") && pass(1500));
  close();
  vopr::DiskImage image = world_->storage().image();
  const std::string segment = "tenants/0/data/00000000000000000001.segment";
  ASSERT_TRUE(image.contains(segment));
  for (std::uint64_t at = log::segment_header_size + 30; at < image.size(segment) / 2; at += 256) {
    image.flip(segment, at);
  }
  world_ = std::make_unique<vopr::SimEnv>(4, image);
  const Status opened = open();
  ASSERT_TRUE(opened) << to_string(opened.error());
  EXPECT_TRUE(write("a"));
  const StatusReport report = database_->status().value();
  EXPECT_TRUE(std::ranges::any_of(report.notes, [](const std::string& note) {
    return note.contains("no heads of the cluster are made");
  }));
  close();
}

}  // namespace
}  // namespace kimberlite::engine
