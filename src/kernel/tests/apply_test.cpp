#include <gtest/gtest.h>

#include "record/frame.hpp"
#include "sample.hpp"

namespace kimberlite::kernel {
namespace {

using sample::Cluster;
using sample::Request;

constexpr TenantId cluster_tenant{};
constexpr TenantId first_tenant{1};

// The refusal, and that it left no trace.
Refusal refused(Cluster& cluster, Request made) {
  const std::vector<Buffer> before = sample::blobs(cluster.state);
  const Hash digest_before = digest(cluster.state);
  const Effects effects = cluster.apply(made);
  EXPECT_FALSE(effects.append.has_value());
  EXPECT_EQ(sample::blobs(cluster.state), before);
  EXPECT_EQ(digest(cluster.state), digest_before);
  return effects.refusal;
}

TEST(Apply, BeginsWithTheActorWhoMadeATenant) {
  Cluster cluster;
  EXPECT_EQ(cluster.state.tenant_count(), 1U);
  cluster.populate(1);
  ASSERT_EQ(cluster.log.size(), 3U);
  EXPECT_EQ(cluster.state.find_tenant("t1"), first_tenant);
  EXPECT_EQ(cluster.state.find_tenant(""), std::nullopt) << "tenant 0 has no name";
  const TenantState* made = cluster.state.tenant(first_tenant);
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->created, TimestampUs{1'000'002});
  EXPECT_EQ(made->find_actor("os:user7", "local"), sample::id(7));
  EXPECT_EQ(made->find_actor("os:user7", "password"), std::nullopt);
  EXPECT_EQ(cluster.log[2].entry.position, Position{1});
  EXPECT_EQ(cluster.log[2].entry.log_id, sample::id(101));
  EXPECT_EQ(cluster.log[2].entry.previous, Hash{});
}

TEST(Apply, MakesTheEntryAndMovesTheHead) {
  Cluster cluster;
  cluster.populate(1);
  Request first = sample::write(cluster.state, first_tenant);
  first.command.flags = 5;
  first.command.correlation = sample::id(55);
  const Hash leaf_before = cluster.state.tenant(first_tenant)->lane(Lane::data).head.leaf;
  const std::uint64_t bytes_before = cluster.state.tenant(first_tenant)->storage_bytes();
  const Effects effects = cluster.apply(first);
  ASSERT_EQ(effects.refusal, Refusal::none);
  ASSERT_TRUE(effects.append.has_value());

  const record::Entry& entry = *effects.append;
  EXPECT_EQ(entry.kind, static_cast<std::uint16_t>(Kind::write));
  EXPECT_EQ(entry.flags, 5U);
  EXPECT_EQ(entry.position, Position{2});
  EXPECT_EQ(entry.previous, leaf_before);
  EXPECT_EQ(entry.timestamp, TimestampUs{cluster.time});
  EXPECT_EQ(entry.item_count, 1U);
  EXPECT_EQ(entry.body_size, 96U + 80U);
  EXPECT_EQ(entry.actor, sample::id(7));
  EXPECT_EQ(entry.session, sample::id(8));
  EXPECT_EQ(entry.request_id, first.command.request_id);
  EXPECT_EQ(entry.correlation, sample::id(55));
  EXPECT_EQ(entry.body_commitment, first.command.body_commitment);
  EXPECT_EQ(effects.leaf, record::leaf_hash(record::encode(entry)));

  const TenantState* after = cluster.state.tenant(first_tenant);
  const LaneState& lane = after->lane(Lane::data);
  EXPECT_EQ(lane.head.position, Position{2});
  EXPECT_EQ(lane.head.leaf, effects.leaf);
  EXPECT_EQ(lane.last, TimestampUs{cluster.time});
  EXPECT_EQ(after->storage_bytes(), bytes_before + record::frame_size(96 + 80));
}

TEST(Apply, RefusesWhatWasEvaluatedOnAnotherState) {
  Cluster cluster;
  cluster.populate(2);
  Request behind = sample::write(cluster.state, first_tenant);
  behind.command.base = Position{0};
  EXPECT_EQ(refused(cluster, behind), Refusal::stale_base);
  Request ahead = sample::write(cluster.state, first_tenant);
  ahead.command.base = Position{2};
  EXPECT_EQ(refused(cluster, ahead), Refusal::stale_base);
  Request other = sample::write(cluster.state, first_tenant);
  other.command.access_version = 2;
  EXPECT_EQ(refused(cluster, other), Refusal::stale_access);
  Request nowhere = sample::write(cluster.state, first_tenant);
  nowhere.command.tenant = TenantId{3};
  EXPECT_EQ(refused(cluster, nowhere), Refusal::not_found);
  Request stranger = sample::write(cluster.state, first_tenant);
  stranger.command.actor = sample::id(99);
  EXPECT_EQ(refused(cluster, stranger), Refusal::unknown_actor);
}

TEST(Apply, RefusesTimeThatStandsStill) {
  Cluster cluster;
  cluster.populate(1);
  Request made = sample::write(cluster.state, first_tenant);
  const std::uint64_t last = cluster.time;
  cluster.time = last - 1;
  EXPECT_EQ(refused(cluster, made), Refusal::malformed);
  EXPECT_EQ(cluster.time, last);
  EXPECT_EQ(cluster.run(made), Refusal::none);
}

TEST(Apply, RefusesPartsThatDoNotFitEachOther) {
  Cluster cluster;
  cluster.populate(1);
  const auto changed = [&](auto change) {
    Request made = sample::write(cluster.state, first_tenant);
    change(made);
    return refused(cluster, made);
  };
  EXPECT_EQ(changed([](Request& r) { r.items.clear(); }), Refusal::malformed);
  EXPECT_EQ(changed([](Request& r) { r.command.kind = 0; }), Refusal::malformed);
  EXPECT_EQ(changed([](Request& r) { r.command.kind = 3; }), Refusal::malformed);
  EXPECT_EQ(changed([](Request& r) { r.command.kind = 99; }), Refusal::malformed);
  EXPECT_EQ(changed([](Request& r) { r.command.lane = static_cast<Lane>(2); }), Refusal::malformed);
  EXPECT_EQ(changed([](Request& r) {
              r.command.lane = Lane::access;
              r.command.base = Position{};
            }),
            Refusal::malformed);
  EXPECT_EQ(changed([](Request& r) {
              r.items.push_back(sample::item(record::ItemKind::control, control_key));
            }),
            Refusal::malformed)
      << "a control item without a control";
  EXPECT_EQ(changed([](Request& r) { r.items[0].key = control_key; }), Refusal::bad_key);
  EXPECT_EQ(changed([](Request& r) { r.items[0].key = pseudonym_key; }), Refusal::bad_key);
  EXPECT_EQ(changed([](Request& r) { r.items[0].key = KeyId{4}; }), Refusal::bad_key);
  EXPECT_EQ(changed([](Request& r) { r.sidecar.clear(); }), Refusal::bad_key);
  Request wrong_size = sample::write(cluster.state, first_tenant);
  wrong_size.ready().body_size += 1;
  EXPECT_EQ(apply(cluster.state, TimestampUs{cluster.time + 1}, wrong_size.command).refusal,
            Refusal::malformed);
  Request of_cluster = sample::write(cluster.state, cluster_tenant);
  EXPECT_EQ(refused(cluster, of_cluster), Refusal::malformed) << "tenant 0 has no rows";
  Request no_control = sample::control(cluster.state, first_tenant, sample::actor(9));
  no_control.command.control.reset();
  EXPECT_EQ(refused(cluster, no_control), Refusal::malformed);
  Request other_kind = sample::control(cluster.state, first_tenant, sample::actor(9));
  other_kind.command.kind = static_cast<std::uint16_t>(Kind::ddl);
  EXPECT_EQ(refused(cluster, other_kind), Refusal::malformed);
  EXPECT_EQ(cluster.run(sample::write(cluster.state, first_tenant)), Refusal::none);
}

TEST(Apply, KeepsKeyIdsDense) {
  Cluster cluster;
  cluster.populate(1);
  const auto use = [&]() -> const DataKeyUse& {
    return cluster.state.tenant(first_tenant)->data_key;
  };
  ASSERT_EQ(cluster.run(sample::write(cluster.state, first_tenant, 80)), Refusal::none);
  EXPECT_EQ(use(), (DataKeyUse{KeyId{3}, TimestampUs{cluster.time}, 80, false}));
  const TimestampUs since = use().since;
  Request second = sample::write(cluster.state, first_tenant, 144);
  EXPECT_TRUE(second.sidecar.empty());
  second.sidecar.resize(96);
  EXPECT_EQ(refused(cluster, second), Refusal::bad_key) << "keys nobody uses";
  second.sidecar.clear();
  ASSERT_EQ(cluster.run(second), Refusal::none);
  EXPECT_EQ(use(), (DataKeyUse{KeyId{3}, since, 224, false}));

  // One command may bring two keys, in order; the old one may stand beside them.
  Request both = sample::write(cluster.state, first_tenant);
  both.items.push_back(sample::item(record::ItemKind::rows, KeyId{5}));
  both.items.push_back(sample::item(record::ItemKind::meta, KeyId{4}));
  both.sidecar.resize(192);
  EXPECT_EQ(refused(cluster, both), Refusal::bad_key);
  std::swap(both.items[1], both.items[2]);
  ASSERT_EQ(cluster.run(both), Refusal::none);
  EXPECT_EQ(use(), (DataKeyUse{KeyId{5}, TimestampUs{cluster.time}, 80, false}));
  EXPECT_EQ(cluster.state.tenant(first_tenant)->next_key, KeyId{6});

  ASSERT_EQ(cluster.run(sample::control(cluster.state, first_tenant, RotateKey{KeyScope::data})),
            Refusal::none);
  EXPECT_TRUE(use().retired);
  ASSERT_EQ(cluster.run(sample::write(cluster.state, first_tenant)), Refusal::none);
  EXPECT_EQ(use().id, KeyId{6});
  EXPECT_FALSE(use().retired);
  Request tenant_key = sample::control(cluster.state, first_tenant, RotateKey{KeyScope::tenant});
  tenant_key.sidecar.clear();
  EXPECT_EQ(refused(cluster, tenant_key), Refusal::bad_key);
  tenant_key.sidecar.resize(96);
  EXPECT_EQ(cluster.run(tenant_key), Refusal::none);
}

TEST(Apply, TakesANewDataKeyBySizeAgeAndRequest) {
  TenantState tenant;
  const KeyPolicy policy{1000, 5000};
  EXPECT_TRUE(needs_new_data_key(tenant, TimestampUs{}, policy)) << "there is none";
  tenant.data_key = {KeyId{3}, TimestampUs{100}, 999, false};
  EXPECT_FALSE(needs_new_data_key(tenant, TimestampUs{5099}, policy));
  EXPECT_TRUE(needs_new_data_key(tenant, TimestampUs{5100}, policy));
  EXPECT_FALSE(needs_new_data_key(tenant, TimestampUs{5}, policy)) << "a clock that was set back";
  tenant.data_key.bytes = 1000;
  EXPECT_TRUE(needs_new_data_key(tenant, TimestampUs{200}, policy));
  tenant.data_key.bytes = 0;
  tenant.data_key.retired = true;
  EXPECT_TRUE(needs_new_data_key(tenant, TimestampUs{200}, policy));
}

TEST(Apply, ChangesTheSchema) {
  Cluster cluster;
  cluster.populate(1);
  Request made = sample::control(cluster.state, first_tenant,
                                 sample::table(cluster.state, first_tenant, "patients"));
  const Effects effects = cluster.apply(made);
  ASSERT_TRUE(effects.append.has_value());
  EXPECT_EQ(effects.append->catalog_version, 1U) << "the schema it makes";
  const catalog::Catalog& catalog = cluster.state.tenant(first_tenant)->catalog;
  ASSERT_NE(catalog.table("patients"), nullptr);
  EXPECT_EQ(catalog.table_at("patients", Position{1}), nullptr);
  EXPECT_NE(catalog.table_at("patients", Position{2}), nullptr);
  EXPECT_EQ(
      refused(cluster, sample::control(cluster.state, first_tenant,
                                       sample::table(cluster.state, first_tenant, "PATIENTS"))),
      Refusal::bad_control);
  Request rows = sample::write(cluster.state, first_tenant);
  EXPECT_EQ(cluster.apply(rows).append->catalog_version, 1U);
}

TEST(Apply, RefusesControlsThatContradictTheState) {
  Cluster cluster;
  cluster.populate(1);
  const State& state = cluster.state;
  const auto in = [&](TenantId tenant, Control change) {
    return refused(cluster, sample::control(state, tenant, std::move(change)));
  };
  EXPECT_EQ(in(first_tenant, sample::actor(7)), Refusal::bad_control) << "its id is there";
  AddActor twin = sample::actor(9);
  twin.actor.name = "os:user7";
  EXPECT_EQ(in(first_tenant, twin), Refusal::bad_control) << "its name is there";
  AddActor nameless = sample::actor(9);
  nameless.actor.name.clear();
  EXPECT_EQ(in(first_tenant, nameless), Refusal::bad_control);
  AddActor zero = sample::actor(9);
  zero.id = Id128{};
  EXPECT_EQ(in(first_tenant, zero), Refusal::bad_control);

  EXPECT_EQ(in(cluster_tenant, sample::tenant(state, "t1")), Refusal::bad_control);
  EXPECT_EQ(in(cluster_tenant, sample::tenant(state, "")), Refusal::bad_control);
  EXPECT_EQ(in(cluster_tenant, sample::tenant(state, "Upper")), Refusal::bad_control);
  EXPECT_EQ(in(cluster_tenant, sample::tenant(state, "-a")), Refusal::bad_control);
  EXPECT_EQ(in(cluster_tenant, sample::tenant(state, std::string(64, 'a'))), Refusal::bad_control);
  EXPECT_EQ(in(first_tenant, sample::tenant(state, "new")), Refusal::bad_control);
  CreateTenant gap = sample::tenant(state, "new");
  gap.tenant = TenantId{3};
  EXPECT_EQ(in(cluster_tenant, gap), Refusal::bad_control);
  CreateTenant one_log = sample::tenant(state, "new");
  one_log.log_ids[1] = one_log.log_ids[0];
  EXPECT_EQ(in(cluster_tenant, one_log), Refusal::bad_control);

  EXPECT_EQ(in(cluster_tenant, SetQuota{TenantId{2}, 1}), Refusal::bad_control);
  EXPECT_EQ(in(cluster_tenant, SetQuota{cluster_tenant, 1}), Refusal::bad_control);
  EXPECT_EQ(in(first_tenant, SetQuota{first_tenant, 1}), Refusal::bad_control);
  EXPECT_EQ(in(cluster_tenant, SetSealed{TenantId{2}, true}), Refusal::bad_control);
  EXPECT_EQ(in(first_tenant, SetSealed{first_tenant, true}), Refusal::bad_control);
  EXPECT_EQ(in(first_tenant, RotateKey{static_cast<KeyScope>(3)}), Refusal::bad_control);
  const Id128 current = state.tenant(first_tenant)->lane(Lane::data).log_id;
  const auto refuses = [&](auto change) {
    BeginEpoch epoch = sample::epoch(state, first_tenant, sample::id(5));
    change(epoch);
    return in(first_tenant, epoch) == Refusal::bad_control;
  };
  EXPECT_TRUE(refuses([&](BeginEpoch& epoch) { epoch.log_id = current; }));
  EXPECT_TRUE(refuses([](BeginEpoch& epoch) { epoch.log_id = {}; }));
  EXPECT_TRUE(refuses([](BeginEpoch& epoch) { epoch.lost_first = OpNumber{5}; }));
  EXPECT_TRUE(refuses([](BeginEpoch& epoch) { epoch.lost_last = OpNumber{4}; }));
  EXPECT_TRUE(refuses([](BeginEpoch& epoch) { epoch.old_log_id = sample::id(6); }));
  EXPECT_TRUE(refuses([](BeginEpoch& epoch) { --epoch.old_size; })) << "less than there is";
  EXPECT_TRUE(refuses([](BeginEpoch& epoch) { epoch.old_root[0] ^= std::byte{1}; }));
  EXPECT_TRUE(refuses([](BeginEpoch& epoch) { epoch.old_root = {}; }));
  EXPECT_TRUE(refuses([](BeginEpoch& epoch) { epoch.actor = AddActor{}; }));
}

TEST(Apply, PublishesHeadsOfTreesThatAreThere) {
  Cluster cluster;
  cluster.populate(1);
  const State& state = cluster.state;
  ASSERT_EQ(cluster.run(sample::write(state, first_tenant)), Refusal::none);
  const PublishHeads good = sample::heads(state);
  ASSERT_EQ(good.heads.size(), 1U);
  ASSERT_GT(good.heads[0].size, 1U);
  const auto in = [&](TenantId tenant, const PublishHeads& heads) {
    return refused(cluster, sample::control(state, tenant, heads));
  };
  EXPECT_EQ(in(first_tenant, good), Refusal::bad_control) << "the cluster's log alone has them";
  EXPECT_EQ(in(cluster_tenant, PublishHeads{}), Refusal::bad_control);
  const auto refuses = [&](auto change) {
    PublishHeads heads = good;
    change(heads.heads);
    return in(cluster_tenant, heads) == Refusal::bad_control;
  };
  using Heads = std::vector<PublishedHead>;
  EXPECT_TRUE(refuses([](Heads& heads) { ++heads[0].size; })) << "more than there is";
  EXPECT_TRUE(refuses([](Heads& heads) { heads[0].size = 0; }));
  EXPECT_TRUE(refuses([](Heads& heads) { heads[0].root[0] ^= std::byte{1}; }));
  EXPECT_TRUE(refuses([](Heads& heads) { heads[0].log_id[0] ^= std::byte{1}; }));
  EXPECT_TRUE(refuses([](Heads& heads) { heads[0].tenant = TenantId{2}; }));
  EXPECT_TRUE(refuses([](Heads& heads) { heads[0].lane = Lane::access; })) << "it has no record";
  EXPECT_TRUE(refuses([](Heads& heads) { heads.push_back(heads[0]); })) << "twice";
  EXPECT_TRUE(refuses([&](Heads& heads) {
    const LaneState& own = state.tenant(cluster_tenant)->lane(Lane::data);
    heads = {{cluster_tenant, Lane::data, own.log_id, 1, {}}};
  })) << "its own tree cannot stand in it";
  // Evaluated before a record that came first: a tree there was is one to publish.
  Request early = sample::control(state, cluster_tenant, good);
  ASSERT_EQ(cluster.run(sample::write(state, first_tenant)), Refusal::none);
  EXPECT_EQ(cluster.run(early), Refusal::none);
}

TEST(Apply, HoldsTheStorageQuota) {
  Cluster cluster;
  cluster.populate(1);
  const std::uint64_t used = cluster.state.tenant(first_tenant)->storage_bytes();
  const std::uint64_t frame = record::frame_size(96 + 80);
  Request before = sample::write(cluster.state, first_tenant);
  ASSERT_EQ(cluster.run(sample::control(cluster.state, cluster_tenant,
                                        SetQuota{first_tenant, used + frame})),
            Refusal::none);
  EXPECT_EQ(refused(cluster, before), Refusal::stale_access) << "evaluated before the quota";
  ASSERT_EQ(cluster.run(sample::write(cluster.state, first_tenant)), Refusal::none)
      << "up to the last byte";
  EXPECT_EQ(refused(cluster, sample::write(cluster.state, first_tenant)), Refusal::quota);
  EXPECT_EQ(refused(cluster, sample::control(cluster.state, first_tenant,
                                             sample::table(cluster.state, first_tenant, "t"))),
            Refusal::quota);
  EXPECT_EQ(cluster.run(sample::control(cluster.state, first_tenant, sample::actor(9))),
            Refusal::none)
      << "what administers a tenant is not limited";
  ASSERT_EQ(cluster.run(sample::control(cluster.state, cluster_tenant, SetQuota{first_tenant, 0})),
            Refusal::none);
  EXPECT_EQ(cluster.run(sample::write(cluster.state, first_tenant)), Refusal::none);
}

TEST(Apply, SealsATenantAndOpensItAgain) {
  Cluster cluster;
  cluster.populate(1);
  ASSERT_EQ(
      cluster.run(sample::control(cluster.state, cluster_tenant, SetSealed{first_tenant, true})),
      Refusal::none);
  EXPECT_EQ(refused(cluster, sample::write(cluster.state, first_tenant)), Refusal::sealed);
  EXPECT_EQ(refused(cluster, sample::control(cluster.state, first_tenant, sample::actor(9))),
            Refusal::sealed);
  ASSERT_EQ(
      cluster.run(sample::control(cluster.state, cluster_tenant, SetSealed{first_tenant, false})),
      Refusal::none);
  EXPECT_EQ(cluster.run(sample::write(cluster.state, first_tenant)), Refusal::none);
  EXPECT_EQ(cluster.state.tenant(first_tenant)->access_version, 3U);
}

TEST(Apply, BeginsAnEpochWithItsFirstRecord) {
  Cluster cluster;
  cluster.populate(1);
  ASSERT_EQ(cluster.run(sample::write(cluster.state, first_tenant)), Refusal::none);
  const LaneState before = cluster.state.tenant(first_tenant)->lane(Lane::data);
  BeginEpoch epoch = sample::epoch(cluster.state, first_tenant, sample::id(500));
  epoch.lost_first = OpNumber{4};
  epoch.lost_last = OpNumber{6};
  epoch.old_size += 3;  // what is known of the log was more than is left
  epoch.old_root.fill(std::byte{7});
  epoch.actor = sample::actor(60);  // whom the tenant does not know yet
  Request begins = sample::control(cluster.state, first_tenant, epoch);
  begins.command.actor = epoch.actor->id;
  const Effects effects = cluster.apply(begins);
  ASSERT_TRUE(effects.append.has_value());
  EXPECT_EQ(effects.append->log_id, sample::id(500));
  EXPECT_EQ(effects.append->previous, before.head.leaf) << "the tree goes on";
  EXPECT_EQ(effects.append->position, Position{3});
  EXPECT_EQ(cluster.state.tenant(first_tenant)->lane(Lane::data).epoch, 2U);
  EXPECT_TRUE(cluster.state.tenant(first_tenant)->actors.contains(epoch.actor->id));
  Request next = sample::write(cluster.state, first_tenant);
  EXPECT_EQ(cluster.apply(next).append->log_id, sample::id(500));

  // The access lane has positions of its own and no base.
  Request other =
      sample::control(cluster.state, first_tenant,
                      sample::epoch(cluster.state, first_tenant, sample::id(501), Lane::access));
  other.command.lane = Lane::access;
  EXPECT_EQ(refused(cluster, other), Refusal::malformed) << "a base in the access lane";
  other.command.base = Position{};
  const Effects access = cluster.apply(other);
  ASSERT_TRUE(access.append.has_value());
  EXPECT_EQ(access.append->position, Position{1});
  EXPECT_EQ(cluster.state.tenant(first_tenant)->lane(Lane::data).head.position, Position{4});
}

TEST(Apply, NamesEveryKindAndRefusal) {
  for (std::uint16_t kind = 1; kind <= 10; ++kind) EXPECT_NE(kind_name(kind), "unknown") << kind;
  EXPECT_EQ(kind_name(0), "unknown");
  EXPECT_EQ(kind_name(11), "unknown");
  EXPECT_EQ(error_of(Refusal::quota, first_tenant).code(), Code::limit_quota);
  EXPECT_EQ(error_of(Refusal::sealed, first_tenant).code(), Code::policy_sealed);
  EXPECT_EQ(error_of(Refusal::not_found, first_tenant).code(), Code::not_found_tenant);
  EXPECT_EQ(error_of(Refusal::stale_base, first_tenant).code(), Code::unavailable_busy);
  EXPECT_EQ(error_of(Refusal::bad_control, first_tenant).code(), Code::internal_bug);
  EXPECT_NE(error_of(Refusal::bad_key, first_tenant).what().find("bad_key"), std::string::npos);
}

}  // namespace
}  // namespace kimberlite::kernel
