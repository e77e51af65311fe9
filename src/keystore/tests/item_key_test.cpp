#include "keystore/item_key.hpp"

#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "crypto/sha256.hpp"
#include "seeded_random.hpp"

namespace kimberlite::keystore {
namespace {

constexpr std::size_t header_size = record::item_header_size;

crypto::Key256 key_of(unsigned char byte) {
  std::array<std::byte, 32> secret;
  secret.fill(std::byte{byte});
  return crypto::Key256{secret};
}

record::ItemHeader events() {
  record::ItemHeader header;
  header.kind = record::ItemKind::events;
  header.flags = record::item_flag_meta;
  header.count = 5;
  header.stream = StreamId{6};
  header.first_sequence = Sequence{7};
  return header;
}

class ItemKeyTest : public testing::Test {
 protected:
  ItemKeyTest() { log_id_.fill(std::byte{9}); }

  Buffer sealed(record::ItemHeader& header) {
    Buffer body;
    key_.seal_behind(log_id_, header, plaintext_, random_, body);
    return body;
  }
  Code refused(const ItemKey& key, const Id128& log_id, const record::ItemHeader& header,
               Bytes text) {
    Buffer opened = {std::byte{1}};
    const Status status = key.open(log_id, header, text, opened);
    EXPECT_TRUE(opened.empty() || status.has_value());
    return status ? Code::internal_bug : status.error().code();
  }

  SeededRandom random_{2};
  ItemKey key_{KeyId{3}, key_of(0x11)};
  Id128 log_id_{};
  Buffer plaintext_ = Buffer(128, std::byte{0x77});
};

TEST_F(ItemKeyTest, OpensWhatItSealed) {
  record::ItemHeader header = events();
  const Buffer item = sealed(header);
  ASSERT_EQ(item.size(), ItemKey::item_size(plaintext_.size()));
  EXPECT_EQ(header.key, KeyId{3});
  EXPECT_EQ(header.size, 128U + 16U);
  const auto items = record::split_body(item);
  ASSERT_TRUE(items.has_value());
  EXPECT_EQ(items->front().header, header);
  Buffer opened;
  ASSERT_TRUE(key_.open(log_id_, header, items->front().sealed, opened));
  EXPECT_EQ(opened, plaintext_);

  // Behind another item, into the same body.
  Buffer body = item;
  record::ItemHeader second = events();
  key_.seal_behind(log_id_, second, plaintext_, random_, body);
  ASSERT_EQ(record::split_body(body)->size(), 2U);
  EXPECT_NE(second.nonce, header.nonce);
  EXPECT_NE(second.key_commitment, header.key_commitment);
}

// The format, spelled out without what `seal` is made of.
TEST_F(ItemKeyTest, SealsAsTheFormatSays) {
  record::ItemHeader header = events();
  const Buffer item = sealed(header);
  Writer aad;
  aad.u16(1);
  aad.bytes(log_id_);
  aad.bytes(Bytes{item}.first(40));
  Buffer text{item.begin() + header_size, item.end() - 16};
  crypto::Tag tag;
  std::ranges::copy(Bytes{item}.last(16), tag.begin());
  crypto::XaesNonce nonce;
  std::ranges::copy(Bytes{item}.subspan(40, 24), nonce.begin());
  ASSERT_TRUE(crypto::xaes_open(key_of(0x11), nonce, aad.buffer(), text, tag));
  EXPECT_EQ(text, plaintext_);
  Writer committed;
  committed.u8(0x12);
  committed.bytes(crypto::xaes_message_key(key_of(0x11), nonce).expose());
  EXPECT_TRUE(equal(crypto::sha256(committed.buffer()), Bytes{item}.subspan(64, 32)));
}

TEST_F(ItemKeyTest, OpensNothingElse) {
  record::ItemHeader header = events();
  const Buffer item = sealed(header);
  const Bytes text = Bytes{item}.subspan(header_size);
  for (std::size_t at = 0; at < header_size; ++at) {
    Buffer changed{item.begin(), item.begin() + header_size};
    changed[at] ^= std::byte{1};
    const auto other = record::decode_item_header(std::span<const std::byte, header_size>{changed});
    if (other) {
      EXPECT_EQ(refused(key_, log_id_, *other, text), Code::integrity_seal) << at;
    }
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    Buffer changed{text.begin(), text.end()};
    changed[at] ^= std::byte{0x80};
    EXPECT_EQ(refused(key_, log_id_, header, changed), Code::integrity_seal) << at;
  }
  Id128 other_log = log_id_;
  other_log[15] ^= std::byte{1};
  EXPECT_EQ(refused(key_, other_log, header, text), Code::integrity_seal);
  const ItemKey same_id{KeyId{3}, key_of(0x12)};
  EXPECT_EQ(refused(same_id, log_id_, header, text), Code::integrity_seal);
  const ItemKey same_key{KeyId{4}, key_of(0x11)};
  EXPECT_EQ(refused(same_key, log_id_, header, text), Code::integrity_seal);
  EXPECT_EQ(refused(key_, log_id_, header, text.first(15)), Code::integrity_seal);
  EXPECT_EQ(refused(key_, log_id_, header, {}), Code::integrity_seal);
  record::ItemHeader tiny = header;
  tiny.size = 15;
  EXPECT_EQ(refused(key_, log_id_, tiny, text.first(15)), Code::integrity_seal);
  EXPECT_EQ(refused(key_, log_id_, header, text), Code::internal_bug) << "the whole one opens";
}

}  // namespace
}  // namespace kimberlite::keystore
