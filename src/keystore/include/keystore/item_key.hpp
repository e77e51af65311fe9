// Sealing and opening of items under one data key (storage.md, Record).
//
//   item    = XAES-256-GCM(data key, nonce, aad = entry version || log id || header bytes 0-39)
//   item key K = the key XAES derives for this nonce; key commitment = SHA-256(0x12 || K)
//
// An `ItemKey` is immutable and shared: whoever holds the pointer may use it from any thread, even
// when the keystore has moved on. Hold it for one request, not longer, or an erased key would live
// on.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "crypto/aead.hpp"
#include "crypto/key.hpp"
#include "env/env.hpp"
#include "record/body.hpp"

namespace kimberlite::keystore {

class ItemKey {
 public:
  ItemKey(KeyId id, crypto::Key256 key);

  [[nodiscard]] KeyId id() const { return id_; }

  // Bytes of the whole item: header, ciphertext, tag.
  [[nodiscard]] static constexpr std::size_t item_size(std::size_t plaintext_size) {
    return record::item_header_size + plaintext_size + crypto::tag_size;
  }

  // Writes header, ciphertext and tag to `item`, which has exactly their size. Of `header` the
  // kind, flags, count, stream and first sequence are taken; size, key, nonce and key commitment
  // are filled in. `plaintext` is padded already (record::PlaintextWriter::finish) and not inside
  // `item`.
  void seal(const Id128& log_id, record::ItemHeader& header, Bytes plaintext, env::Random& random,
            MutBytes item) const;
  // The same behind what `body` holds.
  void seal_behind(const Id128& log_id, record::ItemHeader& header, Bytes plaintext,
                   env::Random& random, Buffer& body) const;

  // Replaces `plaintext` by the padded plaintext. `integrity.seal`, and `plaintext` is empty,
  // unless `sealed` was sealed under this key, in this log, with this header.
  [[nodiscard]] Status open(const Id128& log_id, const record::ItemHeader& header, Bytes sealed,
                            Buffer& plaintext) const;

  // The key that opens this one item and nothing else: it is disclosed with a receipt.
  // `integrity.seal` unless the header commits to it.
  [[nodiscard]] Result<crypto::Key256> disclose(const record::ItemHeader& header) const;

 private:
  KeyId id_;
  crypto::Key256 key_;
};

using ItemKeyPtr = std::shared_ptr<const ItemKey>;

}  // namespace kimberlite::keystore
