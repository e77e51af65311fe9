// Random commands, good and bad, on two replicas at once; snapshots at every step; and the whole
// log replayed into an empty state.
#include <gtest/gtest.h>

#include <random>

#include "record/frame.hpp"
#include "sample.hpp"

namespace kimberlite::kernel {
namespace {

using sample::Cluster;
using sample::Request;

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  // Mostly what the state accepts; sometimes with one part made wrong.
  Request next(const State& state) {
    const TenantId tenant{below(state.tenant_count())};
    Request made = sensible(state, tenant);
    if (below(4) == 0) damage(made);
    return made;
  }
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

 private:
  Request sensible(const State& state, TenantId tenant) {
    const TenantState* target = state.tenant(tenant);
    if (target->actors.empty()) return sample::control(state, tenant, sample::actor());
    if (tenant == TenantId{}) return of_cluster(state);
    switch (below(12)) {
      case 0:
        return sample::control(state, tenant, sample::actor(10 + below(20)));
      case 1:
      case 2:
        return sample::control(state, tenant, change(state, tenant));
      case 3:
        return sample::control(state, tenant,
                               RotateKey{below(2) == 0 ? KeyScope::data : KeyScope::tenant});
      case 4:
        return epoch(state, tenant);
      case 5: {
        Request made = sample::write(state, tenant);
        made.command.kind = static_cast<std::uint16_t>(Kind::append);
        made.items[0] = sample::item(record::ItemKind::events, made.items[0].key);
        return made;
      }
      default:
        return sample::write(state, tenant, static_cast<std::uint32_t>(80 + 64 * below(20)));
    }
  }
  Request of_cluster(const State& state) {
    const TenantId target{below(state.tenant_count())};
    switch (below(5)) {
      case 0:
        return sample::control(state, TenantId{}, SetQuota{target, below(3) * 4000});
      case 3:
        return sample::control(state, TenantId{}, sample::heads(state));
      case 1:
        return sample::control(state, TenantId{}, SetSealed{target, below(3) == 0});
      case 2:
        return sample::control(state, TenantId{}, sample::actor(10 + below(20)));
      default:
        return sample::control(state, TenantId{},
                               sample::tenant(state, "t" + std::to_string(below(9))));
    }
  }
  Request epoch(const State& state, TenantId tenant) {
    const Lane lane = below(2) == 0 ? Lane::access : Lane::data;
    BeginEpoch begins = sample::epoch(state, tenant, sample::id(10'000 + below(9)), lane);
    begins.lost_first = OpNumber{1};
    begins.lost_last = OpNumber{1 + below(5)};
    if (below(3) == 0) begins.old_size += below(3);
    if (below(4) == 0) begins.actor = sample::actor(10 + below(20));
    Request made = sample::control(state, tenant, begins);
    if (lane == Lane::access) {
      made.command.lane = Lane::access;
      made.command.base = Position{};
    }
    return made;
  }
  catalog::Change change(const State& state, TenantId tenant) {
    const ObjectId table{static_cast<std::uint32_t>(1 + below(6))};
    switch (below(4)) {
      case 0:
        return catalog::RenameTable{table, "r" + std::to_string(below(5))};
      case 1:
        return catalog::DropTable{table};
      case 2: {
        catalog::AddColumn added{table, {}, {}, {}};
        added.column.id = state.tenant(tenant)->catalog.next_column(table);
        added.column.name = "c" + std::to_string(below(8));
        return added;
      }
      default:
        return sample::table(state, tenant, "t" + std::to_string(below(5)));
    }
  }
  void damage(Request& made) {
    Command& command = made.command;
    switch (below(9)) {
      case 0:
        command.base = Position{below(50)};
        break;
      case 1:
        command.access_version = static_cast<std::uint32_t>(below(4));
        break;
      case 2:
        command.actor = sample::id(below(30));
        break;
      case 3:
        command.kind = static_cast<std::uint16_t>(below(12));
        break;
      case 4:
        command.lane = static_cast<Lane>(below(4));
        break;
      case 5:
        command.tenant = TenantId{below(12)};
        break;
      case 6:
        made.items[0].key = KeyId{below(9)};
        break;
      case 7:
        made.sidecar.resize(made.sidecar.empty() ? 96 : 0);
        break;
      default:
        command.control.reset();
        break;
    }
  }

  std::mt19937_64 random_;
};

void expect_equal(const Effects& a, const Effects& b) {
  ASSERT_EQ(a.refusal, b.refusal);
  ASSERT_EQ(a.append, b.append);
  ASSERT_EQ(a.leaf, b.leaf);
}

// What must be true of one step, whatever it was.
void expect_step(const LaneState* before, const Hash& digest_before, const Effects& effects,
                 const Cluster& cluster, const Request& made) {
  ASSERT_EQ(effects.append.has_value(), effects.refusal == Refusal::none);
  if (!effects.append) {
    ASSERT_EQ(digest(cluster.state), digest_before);
    return;
  }
  ASSERT_NE(digest(cluster.state), digest_before);
  const LaneState& after = cluster.state.tenant(made.command.tenant)->lane(made.command.lane);
  ASSERT_EQ(effects.append->position.value(), before->head.position.value() + 1);
  ASSERT_EQ(effects.append->previous, before->head.leaf);
  ASSERT_EQ(after.head.position, effects.append->position);
  ASSERT_EQ(after.head.leaf, effects.leaf);
  ASSERT_EQ(after.head.frontier.size(), after.head.position.value());
  ASSERT_EQ(after.head.bytes, before->head.bytes + record::frame_size(effects.append->body_size));
  ASSERT_EQ(effects.append->log_id, after.log_id);
}

void run_seed(std::uint64_t seed, std::uint64_t steps) {
  SCOPED_TRACE(seed);
  Cluster cluster;
  Cluster twin;
  Generator generator{seed};
  std::uint64_t accepted = 0;
  for (std::uint64_t step = 0; step < steps; ++step) {
    SCOPED_TRACE(step);
    Request made = generator.next(cluster.state);
    const Hash digest_before = digest(cluster.state);
    std::optional<LaneState> before;
    const TenantState* target = cluster.state.tenant(made.command.tenant);
    if (target != nullptr && static_cast<std::size_t>(made.command.lane) < lane_count) {
      before = target->lane(made.command.lane);
    }
    const Effects effects = cluster.apply(made);
    expect_step(before ? &*before : nullptr, digest_before, effects, cluster, made);
    expect_equal(effects, twin.apply(made));
    if (testing::Test::HasFatalFailure()) return;
    if (effects.append) ++accepted;

    // Digests come from a cache here and from nothing but bytes there.
    Result<State> reloaded = sample::reload(cluster.state);
    ASSERT_TRUE(reloaded.has_value()) << to_string(reloaded.error());
    ASSERT_EQ(digest(*reloaded), digest(cluster.state));
    ASSERT_EQ(sample::blobs(*reloaded), sample::blobs(cluster.state));
    // A replica that was restarted goes on as one that was not.
    if (generator.below(16) == 0) twin.state = *std::move(reloaded);
  }
  ASSERT_GT(accepted, steps / 4) << "too little was accepted for this to show anything";

  State rebuilt{sample::id(1)};
  for (const sample::Logged& logged : cluster.log) {
    const Status replayed =
        replay(rebuilt, logged.tenant, logged.lane, logged.entry, logged.items, logged.control);
    ASSERT_TRUE(replayed.has_value()) << to_string(replayed.error());
  }
  ASSERT_EQ(digest(rebuilt), digest(cluster.state));
  ASSERT_EQ(heads_digest(rebuilt), heads_digest(cluster.state));
}

TEST(Property, HoldsForRandomCommands) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    run_seed(seed, 150);
    if (HasFatalFailure()) return;
  }
}

TEST(Replay, TakesNoOtherRecord) {
  Cluster cluster;
  cluster.populate(1);
  ASSERT_EQ(cluster.run(sample::write(cluster.state, TenantId{1})), Refusal::none);
  State rebuilt{sample::id(1)};
  const std::size_t last = cluster.log.size() - 1;
  const auto play = [&](const sample::Logged& logged) {
    return replay(rebuilt, logged.tenant, logged.lane, logged.entry, logged.items, logged.control);
  };
  for (std::size_t i = 0; i < last; ++i) ASSERT_TRUE(play(cluster.log[i]));
  const Hash before = digest(rebuilt);
  const sample::Logged good = cluster.log[last];
  const auto refuses = [&](auto change) {
    sample::Logged bad = good;
    change(bad);
    const Status status = play(bad);
    EXPECT_FALSE(status.has_value());
    if (!status) {
      EXPECT_EQ(status.error().code(), Code::integrity_state);
    }
    EXPECT_EQ(digest(rebuilt), before);
  };
  refuses([](sample::Logged& r) { r.entry.position = Position{0}; });
  refuses([](sample::Logged& r) { r.entry.position = Position{1}; });
  refuses([](sample::Logged& r) { r.entry.position = Position{3}; });
  refuses([](sample::Logged& r) { r.entry.previous[0] ^= std::byte{1}; });
  refuses([](sample::Logged& r) { r.entry.log_id[0] ^= std::byte{1}; });
  refuses([](sample::Logged& r) { r.entry.catalog_version = 1; });
  refuses([](sample::Logged& r) { r.entry.body_size += 1; });
  refuses([](sample::Logged& r) { r.entry.item_count = 2; });
  refuses([](sample::Logged& r) { r.entry.timestamp = TimestampUs{1}; });
  refuses([](sample::Logged& r) { r.entry.actor = sample::id(99); });
  refuses([](sample::Logged& r) { r.entry.kind = 77; });
  refuses([](sample::Logged& r) { r.items[0].key = KeyId{9}; });
  refuses([](sample::Logged& r) { r.items.clear(); });
  refuses([](sample::Logged& r) { r.tenant = TenantId{9}; });
  refuses([](sample::Logged& r) { r.lane = Lane::access; });
  refuses([](sample::Logged& r) { r.control = RotateKey{KeyScope::data}; });
  EXPECT_TRUE(play(good));
}

}  // namespace
}  // namespace kimberlite::kernel
