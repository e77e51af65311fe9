#include "keystore/item_key.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/canary.hpp"

namespace kimberlite::keystore {

ItemKey::ItemKey(KeyId id, crypto::Key256 key) : id_(id), key_(std::move(key)) {}

void ItemKey::seal(const Id128& log_id, record::ItemHeader& header, Bytes plaintext,
                   env::Random& random, MutBytes item) const {
  KIMBERLITE_ASSERT(!plaintext.empty() && plaintext.size() % record::item_padding == 0);
  KIMBERLITE_ASSERT(item.size() == item_size(plaintext.size()));

  header.key = id_;
  header.size = static_cast<std::uint32_t>(plaintext.size() + crypto::tag_size);
  random.fill(header.nonce);
  if (is_planted(Canary::reuse_nonce)) header.nonce = {};
  const crypto::Key256 message_key = crypto::xaes_message_key(key_, header.nonce);
  header.key_commitment = crypto::key_commitment(message_key);

  copy_bytes(item, record::encode(header));
  const MutBytes text = item.subspan(record::item_header_size, plaintext.size());
  copy_bytes(text, plaintext);
  const crypto::Tag tag = crypto::gcm_seal(message_key, crypto::xaes_message_nonce(header.nonce),
                                           record::associated_data(log_id, header), text);
  std::ranges::copy(tag, item.end() - crypto::tag_size);
}

void ItemKey::seal_behind(const Id128& log_id, record::ItemHeader& header, Bytes plaintext,
                          env::Random& random, Buffer& body) const {
  const std::size_t at = body.size();
  body.resize(at + item_size(plaintext.size()));
  seal(log_id, header, plaintext, random, MutBytes{body}.subspan(at));
}

Result<crypto::Key256> ItemKey::disclose(const record::ItemHeader& header) const {
  crypto::Key256 message_key = crypto::xaes_message_key(key_, header.nonce);
  if (header.key != id_ || crypto::key_commitment(message_key) != header.key_commitment) {
    return Error{Code::integrity_seal, "the header of an item commits to another key"}.where(
        "item under key {}", header.key.value());
  }
  return message_key;
}

Status ItemKey::open(const Id128& log_id, const record::ItemHeader& header, Bytes sealed,
                     Buffer& plaintext) const {
  plaintext.clear();
  const auto refused = [&](std::string_view why) {
    return Error{Code::integrity_seal, "a sealed item does not open"}
        .where("item under key {}", header.key.value())
        .why("{}", why);
  };
  if (header.key != id_) return refused("it was sealed under another key");
  if (header.size != sealed.size() || sealed.size() < crypto::tag_size) {
    return refused("its size is not the one its header gives");
  }
  const crypto::Key256 message_key = crypto::xaes_message_key(key_, header.nonce);
  // Without this an attacker who may choose keys could make one ciphertext open under two of them.
  if (crypto::key_commitment(message_key) != header.key_commitment) {
    return refused("its header commits to another key");
  }
  const Bytes text = sealed.first(sealed.size() - crypto::tag_size);
  crypto::Tag tag;
  std::ranges::copy(sealed.last(crypto::tag_size), tag.begin());
  plaintext.assign(text.begin(), text.end());
  if (!crypto::gcm_open(message_key, crypto::xaes_message_nonce(header.nonce),
                        record::associated_data(log_id, header), plaintext, tag)) {
    plaintext.clear();
    return refused("its bytes, its header or its log are not those it was sealed with");
  }
  return {};
}

}  // namespace kimberlite::keystore
