#include "kernel/snapshot.hpp"

#include <gtest/gtest.h>

#include "crypto/blake3.hpp"
#include "golden.hpp"
#include "sample.hpp"

namespace kimberlite::kernel {
namespace {

using sample::Cluster;

// Two tenants with everything a tenant can have.
Cluster clinic() {
  Cluster cluster;
  cluster.populate(2);
  const TenantId tenant{1};
  cluster.run(
      sample::control(cluster.state, tenant, sample::table(cluster.state, tenant, "patients")));
  cluster.run(sample::write(cluster.state, tenant));
  cluster.run(sample::write(cluster.state, tenant));
  cluster.run(sample::control(cluster.state, tenant, catalog::RenameTable{ObjectId{1}, "people"}));
  cluster.run(sample::control(cluster.state, TenantId{}, SetQuota{TenantId{2}, 12'345}));
  cluster.run(sample::control(cluster.state, TenantId{}, SetSealed{TenantId{2}, true}));
  return cluster;
}

std::vector<TenantId> dirty(const State& state) {
  std::vector<TenantId> tenants;
  encode_dirty(state, [&](TenantId tenant, Bytes) { tenants.push_back(tenant); });
  return tenants;
}

TEST(Snapshot, EncodesOnlyWhatChanged) {
  Cluster cluster = clinic();
  EXPECT_EQ(dirty(cluster.state).size(), 3U);
  mark_clean(cluster.state);
  EXPECT_TRUE(dirty(cluster.state).empty());
  ASSERT_EQ(cluster.run(sample::write(cluster.state, TenantId{1})), Refusal::none);
  EXPECT_EQ(dirty(cluster.state), std::vector{TenantId{1}});
  // A record of tenant 0 about tenant 2 changes both.
  mark_clean(cluster.state);
  ASSERT_EQ(cluster.run(sample::control(cluster.state, TenantId{}, SetQuota{TenantId{2}, 0})),
            Refusal::none);
  EXPECT_EQ(dirty(cluster.state), (std::vector{TenantId{0}, TenantId{2}}));
}

TEST(Snapshot, DigestIsThatOfTheBlobsInOrder) {
  const Cluster cluster = clinic();
  Buffer all;
  std::uint64_t tenant = 0;
  for (const Buffer& blob : sample::blobs(cluster.state)) {
    Writer number;
    number.u64(tenant++);
    append(all, number.buffer());
    append(all, crypto::blake3(blob));
  }
  EXPECT_EQ(digest(cluster.state), crypto::blake3(all));
}

TEST(Snapshot, HeadsDigestIsThatOfEveryLogWithARecord) {
  Cluster cluster = clinic();
  Buffer all;
  for (std::uint64_t i = 0; i < cluster.state.tenant_count(); ++i) {
    const LaneState& lane = cluster.state.tenant(TenantId{i})->lane(Lane::data);
    Writer to;
    to.bytes(lane.log_id);
    to.id(lane.head.position);
    to.u64(lane.head.bytes);
    to.bytes(lane.head.leaf);
    append(all, to.buffer());
  }
  EXPECT_EQ(heads_digest(cluster.state), crypto::blake3(all));
  const Hash before = heads_digest(cluster.state);
  ASSERT_EQ(cluster.run(sample::write(cluster.state, TenantId{1})), Refusal::none);
  EXPECT_NE(heads_digest(cluster.state), before);
}

TEST(Snapshot, DecodesNothingButWholeSnapshotsOfThisCluster) {
  const Cluster cluster = clinic();
  const std::vector<Buffer> all = sample::blobs(cluster.state);
  const auto decoded = [&](const Id128& of, std::vector<Blob> views) {
    const Result<State> state = decode(of, views);
    return state ? Code::internal_bug : state.error().code();
  };
  const Id128 own = cluster.state.cluster();
  const Blob zero{TenantId{0}, all[0]};
  const Blob one{TenantId{1}, all[1]};
  const Blob two{TenantId{2}, all[2]};
  EXPECT_TRUE(decode(own, std::vector{zero, one, two}).has_value());
  EXPECT_TRUE(decode(own, std::vector{zero, one}).has_value()) << "of fewer tenants";
  EXPECT_EQ(decoded(own, {}), Code::integrity_snapshot);
  EXPECT_EQ(decoded(own, {one, two}), Code::integrity_snapshot);
  EXPECT_EQ(decoded(own, {zero, two}), Code::integrity_snapshot);
  EXPECT_EQ(decoded(own, {zero, one, one}), Code::integrity_snapshot);
  EXPECT_EQ(decoded(own, {zero, {TenantId{1}, all[2]}}), Code::integrity_snapshot);
  EXPECT_EQ(decoded(sample::id(2), {zero, one, two}), Code::integrity_snapshot);
  Buffer twin = all[1];
  twin[8] = std::byte{2};  // the tenant's number: now two tenants have one name
  EXPECT_EQ(decoded(own, {zero, one, {TenantId{2}, twin}}), Code::integrity_snapshot);
  Buffer newer = all[0];
  newer[0] = std::byte{2};
  EXPECT_EQ(decoded(own, {{TenantId{0}, newer}}), Code::unavailable_version);
}

// Whatever decodes is canonical, and can be gone on with: nothing in it makes apply assert.
TEST(Snapshot, DecodesNoBytesThatEncodeWouldNotGive) {
  const Cluster cluster = clinic();
  const std::vector<Buffer> all = sample::blobs(cluster.state);
  std::size_t accepted = 0;
  std::size_t tried = 0;
  for (std::size_t at = 0; at < all[1].size(); ++at) {
    for (const unsigned flip : {0x01U, 0x10U, 0x80U, 0xFFU}) {
      Buffer changed = all[1];
      changed[at] ^= static_cast<std::byte>(flip);
      ++tried;
      Result<State> state =
          decode(cluster.state.cluster(),
                 std::vector<Blob>{{TenantId{0}, all[0]}, {TenantId{1}, changed}});
      if (!state) continue;
      ++accepted;
      ASSERT_EQ(sample::blobs(*state)[1], changed) << "byte " << at;
      sample::Request rows = sample::write(*state, TenantId{1});
      static_cast<void>(apply(*state, TimestampUs{cluster.time + 1}, rows.ready()));
      sample::Request ddl =
          sample::control(*state, TenantId{1}, sample::table(*state, TenantId{1}, "more"));
      static_cast<void>(apply(*state, TimestampUs{cluster.time + 2}, ddl.ready()));
    }
  }
  EXPECT_GT(accepted, 0U) << "a flip in a hash is another state";
  EXPECT_LT(accepted, tried);
  for (std::size_t size = 0; size < all[1].size(); ++size) {
    EXPECT_FALSE(
        decode(cluster.state.cluster(),
               std::vector<Blob>{{TenantId{0}, all[0]}, {TenantId{1}, Bytes{all[1]}.first(size)}})
            .has_value());
  }
}

std::vector<Control> controls() {
  Cluster cluster;
  cluster.populate(1);
  return {sample::table(cluster.state, TenantId{1}, "patients"),
          sample::actor(7),
          sample::tenant(cluster.state, "north"),
          RotateKey{KeyScope::tenant},
          SetQuota{TenantId{1}, 5},
          SetSealed{TenantId{1}, true},
          BeginEpoch{sample::id(9), OpNumber{3}, OpNumber{4}, sample::id(8), 7, Hash{std::byte{1}},
                     sample::actor(12)},
          PublishHeads{{{TenantId{1}, Lane::data, sample::id(9), 7, Hash{std::byte{1}}}}}};
}

TEST(Control, RoundTripsAndAcceptsNoOtherBytes) {
  std::vector<Control> all = controls();
  all.emplace_back(BeginEpoch{sample::id(9), {}, {}, sample::id(8), 0, {}, {}});
  all.emplace_back(PublishHeads{});
  for (const Control& control : all) {
    const Buffer bytes = encode_control(control);
    const Result<Control> decoded = decode_control(bytes);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(*decoded, control);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (unsigned flip = 1; flip < 256; ++flip) {
        Buffer changed = bytes;
        changed[at] ^= static_cast<std::byte>(flip);
        const Result<Control> other = decode_control(changed);
        if (other) {
          ASSERT_EQ(encode_control(*other), changed) << at;
        }
      }
    }
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_control(Bytes{bytes}.first(size)).has_value());
    }
    Buffer longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(decode_control(longer).has_value());
  }
}

TEST(Golden, Kernel) {
  golden::File file{"kernel.txt"};
  file.comment("Formats of the kernel and the catalog. Made by kernel_tests, Golden.Kernel.");
  for (const Control& control : controls()) {
    file.check("control_" + std::string{kind_name(static_cast<std::uint16_t>(kind_of(control)))},
               encode_control(control));
  }
  const Cluster cluster = clinic();
  for (std::uint64_t i = 0; i < cluster.state.tenant_count(); ++i) {
    file.check("blob_of_tenant_" + std::to_string(i), sample::blobs(cluster.state)[i]);
  }
  file.check("digest", digest(cluster.state));
  file.check("heads_digest", heads_digest(cluster.state));
}

}  // namespace
}  // namespace kimberlite::kernel
