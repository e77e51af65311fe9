// Receipts: one record of a log, and the proof that it is in a tree the log's owner signed. Checked
// years later, offline, with nothing but the log's public key, which must have come another way.
//
//   receipt = C2SP tlog-proof@v1:
//     "c2sp.org/tlog-proof@v1" · "extra " base64 · "index " position - 1 · one hash a line, in
//     base64 · empty line · the signed head
//   extra   = version u16 = 1 · flags u16 · zero u32 · entry (192 bytes)
//             · if flag 1: item index u32 · path length u32 · item key (32) · path in the body's
//             tree · the item with its header
//
//   or COSE, in deterministic CBOR:
//     18([<<{1: -8, 4: origin, 395: 1, -65538: size}>>,
//         {396: {-1: [<<[size, index, [hashes]]>>]}, -65537: extra}, null,
//         signature of a Sig_structure with the root as payload])
//
// The item key opens this one item and no other. A receipt proves what was recorded and when the
// log says it was; not that it is the latest. `VerifiedRecord` exists only once all of it holds.
//
// Errors: those of signed_head.hpp; `integrity.receipt` for a text that is no receipt,
// `integrity.inclusion` for a record or item that is not in its tree, `integrity.seal` for an item
// that does not open. Thread rule: values.
// Source: C2SP tlog-proof v1; RFC 9942 and 9052; RFC 6962 §2.1.1; storage.md, Record; proofs.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/body.hpp"
#include "record/entry.hpp"
#include "record/items.hpp"
#include "record/signed_head.hpp"

namespace kimberlite::record {

// One item, with what opens it. The key is disclosed with the receipt, and no secret any more.
struct DisclosedItem {
  std::uint32_t index = 0;  // in the body
  std::array<std::byte, 32> key{};
  std::vector<Hash> path;  // in the tree of the body's item commitments
  Buffer bytes;            // header, ciphertext, tag
  bool operator==(const DisclosedItem&) const = default;
};

// Item `index` of a body with what opens it. `not_found.object` if the body has fewer.
[[nodiscard]] Result<DisclosedItem> disclose(std::span<const ItemView> body, std::uint32_t index,
                                             const crypto::Key256& item_key);

// What was recorded: a record's entry, and one of its items if it is disclosed.
struct Recorded {
  EntryBytes entry{};
  std::optional<DisclosedItem> item;
  bool operator==(const Recorded&) const = default;
};

struct Receipt {
  Recorded recorded;
  std::uint64_t index = 0;  // of the leaf: position - 1
  std::vector<Hash> path;
  std::string head;  // a signed note
  bool operator==(const Receipt&) const = default;

  // Exactly what `to_text` gives is accepted.
  [[nodiscard]] static Result<Receipt> parse(std::string_view text);
  [[nodiscard]] std::string to_text() const;
};

// The same as a COSE receipt. It has a signature of its own.
struct CoseReceipt {
  Recorded recorded;
  std::string origin;      // the log's name, its key id
  std::uint64_t size = 0;  // of the tree
  std::uint64_t index = 0;
  std::vector<Hash> path;
  crypto::Signature signature{};
  bool operator==(const CoseReceipt&) const = default;

  // Exactly what `to_bytes` gives is accepted.
  [[nodiscard]] static Result<CoseReceipt> parse(Bytes bytes);
  [[nodiscard]] Buffer to_bytes() const;
};
// Under the same rule as `sign_head`.
[[nodiscard]] crypto::Signature sign_cose_root(const TreeHead& head, const crypto::SigningKey& key);

// An item whose place in the record was checked, and its text.
struct VerifiedItem {
  std::uint32_t index = 0;
  ItemHeader header;
  Buffer plaintext;  // padded; `decode_plaintext(header, plaintext)` reads it
};

class VerifiedRecord {
 public:
  [[nodiscard]] const Entry& entry() const { return entry_; }
  [[nodiscard]] const Hash& leaf() const { return leaf_; }
  [[nodiscard]] const TreeHead& tree() const { return tree_; }
  [[nodiscard]] const std::optional<VerifiedItem>& opened() const { return opened_; }

 private:
  friend Result<VerifiedRecord> verify(const Receipt& receipt, const VerifierKey& log_key);
  friend Result<VerifiedRecord> verify(const CoseReceipt& receipt, const VerifierKey& log_key);
  VerifiedRecord(const Entry& entry, const Hash& leaf, TreeHead tree,
                 std::optional<VerifiedItem> opened)
      : entry_(entry), leaf_(leaf), tree_(std::move(tree)), opened_(std::move(opened)) {}
  Entry entry_;
  Hash leaf_;
  TreeHead tree_;
  std::optional<VerifiedItem> opened_;
};

[[nodiscard]] Result<VerifiedRecord> verify(const Receipt& receipt, const VerifierKey& log_key);
[[nodiscard]] Result<VerifiedRecord> verify(const CoseReceipt& receipt, const VerifierKey& log_key);

}  // namespace kimberlite::record
