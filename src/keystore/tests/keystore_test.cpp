#include "keystore/keystore.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "crypto/blake3.hpp"
#include "golden.hpp"
#include "platform/memory_storage.hpp"
#include "seeded_random.hpp"
#include "sidecar.hpp"

namespace kimberlite::keystore {
namespace {

constexpr TenantId cluster_tenant{};
constexpr TenantId tenant{1};

class KeystoreTest : public testing::Test {
 protected:
  KeystoreTest() {
    cluster_.fill(std::byte{0xC1});
    log_id_.fill(std::byte{0x10});
    master_ = FileMasterKey::create(storage_, "master.key", random_).value();
    keys_.emplace(Keystore::create(cluster_, *master_, random_).value());
  }

  // Tenant 1 with a data key.
  void add_tenant() {
    const Buffer sidecar = keys_->propose_tenant(tenant, random_);
    ASSERT_TRUE(keys_->apply_sidecar(cluster_tenant, sidecar, random_));
    ASSERT_TRUE(keys_->apply_sidecar(tenant, propose(KeyId{3}), random_));
  }
  Buffer propose(KeyId key) { return keys_->propose_data_key(tenant, key, random_).value(); }
  Keystore reload() {
    Result<Keystore> again = Keystore::decode(keys_->encode(OpNumber{9}, random_), *master_);
    EXPECT_TRUE(again.has_value()) << to_string(again.error());
    return *std::move(again);
  }

  struct Sealed {
    record::ItemHeader header;
    Buffer item;
  };
  Sealed seal(const Keystore& keys, KeyId key) {
    Sealed made;
    made.header.count = 1;
    keys.item_key(tenant, key)
        .value()
        ->seal_behind(log_id_, made.header, plaintext_, random_, made.item);
    return made;
  }
  bool opens(const Keystore& keys, const Sealed& made) {
    const Result<ItemKeyPtr> key = keys.item_key(tenant, made.header.key);
    Buffer opened;
    return key &&
           (*key)->open(log_id_, made.header, Bytes{made.item}.subspan(record::item_header_size),
                        opened) &&
           opened == plaintext_;
  }
  // The code a sidecar is refused with, no key added.
  Code refused(TenantId of, Bytes sidecar) {
    const std::vector<TenantKeys> before = keys_->list();
    const Status status = keys_->apply_sidecar(of, sidecar, random_);
    const std::vector<TenantKeys> after = keys_->list();
    EXPECT_TRUE(std::ranges::equal(before, after, [](const TenantKeys& a, const TenantKeys& b) {
      return a.tenant == b.tenant && a.keys == b.keys;
    }));
    return status ? Code::internal_bug : status.error().code();
  }

  platform::MemoryStorage storage_;
  SeededRandom random_{3};
  std::unique_ptr<FileMasterKey> master_;
  Id128 cluster_{};
  Id128 log_id_{};
  Buffer plaintext_ = Buffer(64, std::byte{0x33});
  std::optional<Keystore> keys_;
};

TEST_F(KeystoreTest, BeginsWithTheClustersOwnKeys) {
  const std::vector<TenantKeys> all = keys_->list();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].tenant, cluster_tenant);
  EXPECT_EQ(all[0].keys, (std::vector{control_key, pseudonym_key}));
  EXPECT_TRUE(keys_->item_key(cluster_tenant, control_key).has_value());
  EXPECT_EQ(keys_->item_key(cluster_tenant, KeyId{3}).error().code(), Code::erased_item);
  EXPECT_EQ(keys_->item_key(cluster_tenant, pseudonym_key).error().code(), Code::erased_item)
      << "the pseudonym key seals nothing";
  EXPECT_EQ(keys_->item_key(tenant, KeyId{1}).error().code(), Code::not_found_tenant);
}

TEST_F(KeystoreTest, ComesBackFromItsFileAsItWas) {
  add_tenant();
  const Sealed made = seal(*keys_, KeyId{3});
  const std::array<Bytes, 1> part{bytes_of("x")};
  const Hash digest = keys_->request_digest(tenant, part).value();
  const crypto::Key256 page = keys_->new_page_key(tenant, random_).value();

  const Keystore again = reload();
  EXPECT_TRUE(opens(again, made));
  EXPECT_EQ(again.request_digest(tenant, part).value(), digest);
  ASSERT_TRUE(again.page_key(tenant).has_value());
  EXPECT_TRUE(equal(again.page_key(tenant)->expose(), page.expose()));
  EXPECT_FALSE(again.page_key(cluster_tenant).has_value());
  EXPECT_EQ(again.epoch_key(), keys_->epoch_key());
  ASSERT_EQ(again.list().size(), 2U);
  EXPECT_EQ(again.list()[1].keys, (std::vector{KeyId{1}, KeyId{2}, KeyId{3}}));
}

TEST_F(KeystoreTest, FileSaysWhatItIsAndHidesWhatItHolds) {
  add_tenant();
  const crypto::Key256 page = keys_->new_page_key(tenant, random_).value();
  const Buffer file = keys_->encode(OpNumber{77}, random_);
  const Result<FileHeader> header = read_header(file);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->op, OpNumber{77});
  EXPECT_EQ(header->cluster, cluster_);
  EXPECT_EQ(header->epoch_key, keys_->epoch_key());
  EXPECT_EQ(header->wrapped_at, 88U);
  EXPECT_EQ(header->sealed_at, header->wrapped_at + header->wrapped_size);
  EXPECT_EQ(header->sealed_at + header->sealed_size + 32, file.size());
  EXPECT_TRUE(std::ranges::search(file, page.expose()).empty());
  EXPECT_NE(keys_->encode(OpNumber{77}, random_), file) << "a nonce of its own each time";
}

TEST_F(KeystoreTest, NamesTheWrongKeyAndFindsEveryChangedByte) {
  add_tenant();
  const Buffer file = keys_->encode(OpNumber{5}, random_);
  auto other = FileMasterKey::create(storage_, "other.key", random_).value();
  EXPECT_EQ(Keystore::decode(file, *other).error().code(), Code::unavailable_wrong_key);
  for (std::size_t at = 0; at < file.size(); ++at) {
    Buffer changed = file;
    changed[at] ^= std::byte{0x04};
    EXPECT_EQ(read_header(changed).error().code(), Code::integrity_keystore) << at;
    EXPECT_EQ(Keystore::decode(changed, *master_).error().code(), Code::integrity_keystore) << at;
  }
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_EQ(read_header(Bytes{file}.first(size)).error().code(), Code::integrity_keystore);
  }
}

// Whoever changes a byte can make the checksum right again, but not the seal.
TEST_F(KeystoreTest, IsNotForgedByMendingTheChecksum) {
  add_tenant();
  const Buffer file = keys_->encode(OpNumber{5}, random_);
  for (std::size_t at = 0; at + 32 < file.size(); ++at) {
    Buffer changed = file;
    changed[at] ^= std::byte{0x04};
    const Hash checksum = crypto::blake3(Bytes{changed}.first(changed.size() - 32));
    std::ranges::copy(checksum, changed.end() - 32);
    const Result<Keystore> opened = Keystore::decode(changed, *master_);
    ASSERT_FALSE(opened.has_value()) << at;
    const Code code = opened.error().code();
    EXPECT_TRUE(code == Code::integrity_keystore ||
                (code == Code::unavailable_version && (at == 8 || at == 9)) ||
                (code == Code::unavailable_wrong_key && at >= 96 && at < 104))
        << at << " " << to_string(opened.error());
  }
}

TEST_F(KeystoreTest, TakesProposedKeysOnlyWhenTheyAreApplied) {
  add_tenant();
  const Buffer sidecar = propose(KeyId{4});
  const Sealed made = seal(*keys_, KeyId{4});
  EXPECT_TRUE(opens(*keys_, made)) << "usable at once";
  EXPECT_FALSE(opens(reload(), made)) << "but in no file";
  EXPECT_EQ(keys_->list()[1].keys.size(), 3U);

  Keystore replica = reload();
  ASSERT_TRUE(replica.apply_sidecar(tenant, sidecar, random_));
  EXPECT_TRUE(opens(replica, made)) << "another replica has the same key";
  ASSERT_TRUE(keys_->apply_sidecar(tenant, sidecar, random_));
  EXPECT_TRUE(opens(*keys_, made));
  EXPECT_TRUE(opens(reload(), made));
  EXPECT_EQ(refused(tenant, sidecar), Code::integrity_command) << "once";
  EXPECT_EQ(keys_->propose_data_key(tenant, KeyId{4}, random_).error().code(), Code::internal_bug);
  EXPECT_EQ(keys_->propose_data_key(TenantId{9}, KeyId{4}, random_).error().code(),
            Code::not_found_tenant);
}

TEST_F(KeystoreTest, ForgetsAbandonedKeysButTakesTheirSidecar) {
  add_tenant();
  const Buffer sidecar = propose(KeyId{4});
  const Sealed made = seal(*keys_, KeyId{4});
  keys_->abandon(tenant);
  EXPECT_EQ(keys_->item_key(tenant, KeyId{4}).error().code(), Code::erased_item);
  const Buffer second = propose(KeyId{4});
  EXPECT_FALSE(opens(*keys_, made)) << "another key of the same id";
  // The first command was committed after all, so the second will be refused.
  ASSERT_TRUE(keys_->apply_sidecar(tenant, sidecar, random_));
  EXPECT_TRUE(opens(*keys_, made));
  EXPECT_EQ(refused(tenant, second), Code::integrity_command);
}

TEST_F(KeystoreTest, RefusesSidecarsWholeAndUnchanged) {
  add_tenant();
  const Buffer sidecar = propose(KeyId{4});
  for (std::size_t at = 0; at < sidecar.size(); ++at) {
    Buffer changed = sidecar;
    changed[at] ^= std::byte{1};
    EXPECT_EQ(refused(tenant, changed), Code::integrity_command) << at;
  }
  EXPECT_EQ(refused(tenant, Bytes{sidecar}.first(95)), Code::integrity_command);
  EXPECT_EQ(refused(cluster_tenant, sidecar), Code::integrity_command) << "of another tenant";
  EXPECT_EQ(refused(TenantId{2}, sidecar), Code::integrity_command);
  EXPECT_EQ(refused(tenant, propose(KeyId{5})), Code::integrity_command) << "a gap";
  Buffer wrong_order = propose(KeyId{5});
  append(wrong_order, sidecar);
  EXPECT_EQ(refused(tenant, wrong_order), Code::integrity_command);

  const Buffer fresh = keys_->propose_tenant(TenantId{2}, random_);
  EXPECT_EQ(refused(tenant, fresh), Code::integrity_command) << "only tenant 0 makes tenants";
  for (std::size_t entries = 1; entries < 5; ++entries) {
    EXPECT_EQ(refused(cluster_tenant, Bytes{fresh}.first(96 * entries)), Code::integrity_command)
        << "a tenant without all its keys";
  }
  EXPECT_EQ(refused(cluster_tenant, Bytes{fresh}.subspan(96)), Code::not_found_tenant);
  Buffer twice = fresh;
  append(twice, fresh);
  EXPECT_EQ(refused(cluster_tenant, twice), Code::integrity_command);
  Buffer mixed = fresh;
  append(mixed, keys_->propose_tenant(TenantId{3}, random_));
  EXPECT_EQ(refused(cluster_tenant, mixed), Code::integrity_command);
  EXPECT_EQ(refused(cluster_tenant, keys_->propose_tenant_key(tenant, random_)),
            Code::integrity_command)
      << "a tenant's key is the tenant's to rotate";
  EXPECT_TRUE(keys_->apply_sidecar(cluster_tenant, fresh, random_));
  EXPECT_EQ(refused(cluster_tenant, fresh), Code::integrity_command) << "it is there";

  // Two keys in one command, one behind the other.
  Buffer both = propose(KeyId{4});
  append(both, propose(KeyId{5}));
  EXPECT_TRUE(keys_->apply_sidecar(tenant, both, random_));
  EXPECT_TRUE(keys_->apply_sidecar(tenant, {}, random_)) << "no sidecar, no keys";
}

TEST_F(KeystoreTest, RotatesATenantKeyUnderItsDataKeys) {
  add_tenant();
  const Sealed made = seal(*keys_, KeyId{3});
  Keystore replica = reload();
  const Buffer stale = propose(KeyId{4});
  const Buffer sidecar = keys_->propose_tenant_key(tenant, random_);
  ASSERT_TRUE(keys_->apply_sidecar(tenant, sidecar, random_));
  ASSERT_TRUE(replica.apply_sidecar(tenant, sidecar, random_));
  EXPECT_TRUE(opens(*keys_, made));
  EXPECT_TRUE(opens(reload(), made));
  EXPECT_EQ(refused(tenant, stale), Code::integrity_command) << "wrapped under the old key";
  const Buffer next = propose(KeyId{4});
  EXPECT_TRUE(replica.apply_sidecar(tenant, next, random_));
}

TEST_F(KeystoreTest, HasASigningKeyForEachEpochOfEachLog) {
  add_tenant();
  const auto public_of = [](const Keystore& keys, LogEpoch log) {
    return keys.signing_key(tenant, log).value()->public_key();
  };
  const LogEpoch data{0, 1};
  const LogEpoch next{0, 2};
  EXPECT_EQ(keys_->list()[1].signing, (std::vector{data, LogEpoch{1, 1}}));
  EXPECT_NE(public_of(*keys_, data), public_of(*keys_, {1, 1}));
  EXPECT_NE(public_of(*keys_, data),
            keys_->signing_key(cluster_tenant, data).value()->public_key());
  EXPECT_EQ(keys_->signing_key(tenant, next).error().code(), Code::not_found_object);
  EXPECT_EQ(keys_->signing_key(TenantId{9}, data).error().code(), Code::not_found_tenant);

  EXPECT_EQ(refused(tenant, keys_->propose_signing_key(tenant, {0, 3}, random_).value()),
            Code::integrity_command)
      << "an epoch is left out";
  EXPECT_EQ(refused(tenant, keys_->propose_signing_key(tenant, data, random_).value()),
            Code::integrity_command)
      << "it has its key";
  EXPECT_EQ(refused(tenant, keys_->propose_signing_key(tenant, {2, 1}, random_).value()),
            Code::integrity_command)
      << "no such lane";
  EXPECT_EQ(keys_->propose_signing_key(TenantId{9}, next, random_).error().code(),
            Code::not_found_tenant);

  Keystore replica = reload();
  const Buffer sidecar = keys_->propose_signing_key(tenant, next, random_).value();
  EXPECT_EQ(refused(cluster_tenant, sidecar), Code::integrity_command) << "of another tenant";
  ASSERT_TRUE(keys_->apply_sidecar(tenant, sidecar, random_));
  ASSERT_TRUE(replica.apply_sidecar(tenant, sidecar, random_));
  EXPECT_EQ(public_of(*keys_, next), public_of(replica, next)) << "replicas sign as one";
  EXPECT_NE(public_of(*keys_, next), public_of(*keys_, data));
  EXPECT_EQ(refused(tenant, sidecar), Code::integrity_command) << "once";

  const crypto::PublicKey before = public_of(*keys_, next);
  EXPECT_EQ(public_of(reload(), next), before);
  const Buffer rotation = keys_->propose_tenant_key(tenant, random_);
  ASSERT_TRUE(keys_->apply_sidecar(tenant, rotation, random_));
  EXPECT_EQ(public_of(*keys_, next), before);
  EXPECT_EQ(public_of(reload(), next), before) << "wrapped again under the new tenant key";
  EXPECT_EQ(reload().list()[1].signing, (std::vector{data, LogEpoch{1, 1}, next}));
}

// A wrapped key is bound to what it is for: relabelled, it opens as nothing.
TEST_F(KeystoreTest, TakesNoKeyForAnother) {
  add_tenant();
  const LogEpoch next{0, 2};
  std::vector<SidecarEntry> signing =
      decode_sidecar(keys_->propose_signing_key(tenant, next, random_).value()).value();
  std::vector<SidecarEntry> data = decode_sidecar(propose(KeyId{4})).value();
  ASSERT_EQ(signing.size(), 1U);
  ASSERT_EQ(data.size(), 1U);
  std::swap(signing[0].wrapped, data[0].wrapped);
  EXPECT_EQ(refused(tenant, encode_sidecar(signing)), Code::integrity_command);
  EXPECT_EQ(refused(tenant, encode_sidecar(data)), Code::integrity_command);
  std::swap(signing[0].wrapped, data[0].wrapped);
  signing[0].key = signing_key_id({1, 2});
  EXPECT_EQ(refused(tenant, encode_sidecar(signing)), Code::integrity_command) << "another lane";
}

TEST_F(KeystoreTest, CutsBackToWhatAnEarlierMomentHad) {
  add_tenant();
  const Sealed early = seal(*keys_, KeyId{3});
  ASSERT_TRUE(keys_->apply_sidecar(tenant, propose(KeyId{4}), random_));
  ASSERT_TRUE(keys_->apply_sidecar(
      tenant, keys_->propose_signing_key(tenant, {0, 2}, random_).value(), random_));
  ASSERT_TRUE(
      keys_->apply_sidecar(cluster_tenant, keys_->propose_tenant(TenantId{2}, random_), random_));
  const std::array cuts{Keystore::TenantCut{cluster_tenant, pseudonym_key, {1, 1}},
                        Keystore::TenantCut{tenant, KeyId{3}, {1, 1}}};
  keys_->cut_back(cuts);
  const Keystore again = reload();
  for (const Keystore* keys : std::initializer_list<const Keystore*>{&*keys_, &again}) {
    EXPECT_EQ(keys->list().size(), 2U);
    EXPECT_EQ(keys->last_key(tenant), KeyId{3});
    EXPECT_EQ(keys->last_key(TenantId{2}), std::nullopt);
    EXPECT_TRUE(opens(*keys, early));
    EXPECT_EQ(keys->item_key(tenant, KeyId{4}).error().code(), Code::erased_item);
    EXPECT_EQ(keys->signing_key(tenant, {0, 2}).error().code(), Code::not_found_object);
    EXPECT_TRUE(keys->signing_key(tenant, {0, 1}));
  }
  // Their ids are free again.
  EXPECT_TRUE(keys_->apply_sidecar(tenant, propose(KeyId{4}), random_));
  EXPECT_TRUE(keys_->apply_sidecar(
      tenant, keys_->propose_signing_key(tenant, {0, 2}, random_).value(), random_));
  EXPECT_TRUE(
      keys_->apply_sidecar(cluster_tenant, keys_->propose_tenant(TenantId{2}, random_), random_));
}

TEST_F(KeystoreTest, ChangesTheMasterKeyWithoutTouchingTheRest) {
  add_tenant();
  const Sealed made = seal(*keys_, KeyId{3});
  auto other = FileMasterKey::create(storage_, "other.key", random_).value();
  ASSERT_TRUE(keys_->rewrap(*other));
  const Buffer file = keys_->encode(OpNumber{1}, random_);
  EXPECT_EQ(Keystore::decode(file, *master_).error().code(), Code::unavailable_wrong_key);
  const Result<Keystore> again = Keystore::decode(file, *other);
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(opens(*again, made));
}

TEST_F(KeystoreTest, SealsOtherFilesOfTheReplica) {
  const Buffer sealed = keys_->seal_local(plaintext_, random_);
  EXPECT_EQ(keys_->open_local(sealed).value(), plaintext_);
  EXPECT_EQ(reload().open_local(sealed).value(), plaintext_);
  EXPECT_EQ(keys_->open_local(keys_->seal_local({}, random_)).value(), Buffer{});
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    Buffer changed = sealed;
    changed[at] ^= std::byte{1};
    EXPECT_EQ(keys_->open_local(changed).error().code(), Code::integrity_seal) << at;
    EXPECT_FALSE(keys_->open_local(Bytes{sealed}.first(at)).has_value()) << at;
  }
  const Keystore other = Keystore::create(cluster_, *master_, random_).value();
  EXPECT_EQ(other.open_local(sealed).error().code(), Code::integrity_seal);
}

TEST_F(KeystoreTest, GivesPseudonymsOfOneTenantAndOnePurpose) {
  add_tenant();
  const Id128 ann{std::byte{1}};
  const Id128 bob{std::byte{2}};
  const Id128 id = keys_->request_id(tenant, ann, "order 7").value();
  EXPECT_EQ(keys_->request_id(tenant, ann, "order 7").value(), id);
  EXPECT_NE(keys_->request_id(tenant, bob, "order 7").value(), id);
  EXPECT_NE(keys_->request_id(tenant, ann, "order 8").value(), id);
  EXPECT_NE(keys_->request_id(cluster_tenant, ann, "order 7").value(), id);
  EXPECT_NE(keys_->correlation_id(tenant, "order 7").value(), id);
  for (const Id128& uuid : {id, keys_->correlation_id(tenant, "").value()}) {
    EXPECT_EQ(uuid[6] & std::byte{0xF0}, std::byte{0x80}) << "version 8";
    EXPECT_EQ(uuid[8] & std::byte{0xC0}, std::byte{0x80}) << "variant 10";
  }
  const auto digest = [&](std::initializer_list<std::string_view> texts) {
    std::vector<Bytes> parts;
    for (const std::string_view text : texts) parts.push_back(bytes_of(text));
    return keys_->request_digest(tenant, parts).value();
  };
  EXPECT_EQ(digest({"a", "b"}), digest({"a", "b"}));
  EXPECT_NE(digest({"a", "b"}), digest({"ab"}));
  EXPECT_NE(digest({"a", "b"}), digest({"ab", ""}));
  EXPECT_NE(digest({"a", ""}), digest({"a"}));
  EXPECT_EQ(keys_->request_id(TenantId{9}, ann, "x").error().code(), Code::not_found_tenant);
}

TEST_F(KeystoreTest, IsReadWhileItsOwnerAddsKeys) {
  add_tenant();
  const Sealed made = seal(*keys_, KeyId{3});
  std::atomic<bool> done = false;
  std::atomic<int> opened = 0;
  std::vector<std::thread> readers;
  readers.reserve(2);
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      do {
        if (!opens(*keys_, made) || !keys_->correlation_id(tenant, "c")) return;
        ++opened;
      } while (!done);
    });
  }
  for (std::uint64_t key = 4; key < 60; ++key) {
    const Buffer sidecar = propose(KeyId{key});
    EXPECT_TRUE(keys_->apply_sidecar(tenant, sidecar, random_));
    EXPECT_TRUE(keys_->new_page_key(tenant, random_).has_value());
  }
  EXPECT_TRUE(keys_->apply_sidecar(tenant, keys_->propose_tenant_key(tenant, random_), random_));
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GE(opened, 2) << "every reader got through at least once";
  EXPECT_TRUE(opens(*keys_, made));
}

TEST(Golden, Keystore) {
  golden::File vectors{"keystore.txt"};
  vectors.comment("Formats of the keystore. Made by keystore_tests, Golden.Keystore.");
  platform::MemoryStorage storage;
  SeededRandom random{4};
  auto master = FileMasterKey::create(storage, "master.key", random).value();
  auto key_file = storage.open("master.key", env::Open::read).value();
  Buffer text(key_file->size().value());
  ASSERT_TRUE(key_file->read_at(0, text));
  vectors.check("master_key_file", text);
  vectors.check("wrapped_by_master", master->wrap(Buffer(32, std::byte{0x42})).value());

  Id128 cluster;
  cluster.fill(std::byte{0xC1});
  Keystore keys = Keystore::create(cluster, *master, random).value();
  const Buffer sidecar = keys.propose_tenant(tenant, random);
  vectors.check("sidecar_of_a_tenant", sidecar);
  ASSERT_TRUE(keys.apply_sidecar(cluster_tenant, sidecar, random));
  ASSERT_TRUE(keys.new_page_key(tenant, random).has_value());
  vectors.check("file", keys.encode(OpNumber{300}, random));
  record::ItemHeader header;
  header.kind = record::ItemKind::control;
  header.count = 1;
  Buffer item;
  const Id128 log_id{std::byte{0x10}};
  keys.item_key(tenant, control_key)
      .value()
      ->seal_behind(log_id, header, Buffer(64, std::byte{0x33}), random, item);
  vectors.check("item", item);
  vectors.check("request_id", keys.request_id(tenant, log_id, "order 7").value());
  vectors.check("correlation_id", keys.correlation_id(tenant, "order 7").value());
}

}  // namespace
}  // namespace kimberlite::keystore
