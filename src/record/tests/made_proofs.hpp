// A small log with sealed items, its tree, and every kind of proof of it. For tests and vectors.
#pragma once

#include <vector>

#include "base/assert.hpp"
#include "crypto/aead.hpp"
#include "record/frontier.hpp"
#include "record/proof.hpp"
#include "record/receipt.hpp"
#include "sample.hpp"

namespace kimberlite::record::sample {

// All nodes of a tree, computed once.
class MadeTree final : public HashSource {
 public:
  void append(const Hash& leaf) {
    if (levels_.empty()) levels_.emplace_back();
    levels_[0].push_back(leaf);
    for (std::size_t level = 0; levels_[level].size() % 2 == 0; ++level) {
      if (level + 1 == levels_.size()) levels_.emplace_back();
      const auto& below = levels_[level];
      levels_[level + 1].push_back(node_hash(below[below.size() - 2], below.back()));
    }
  }
  Result<Hash> node(TreeNode node) override { return levels_.at(node.level).at(node.index); }

 private:
  std::vector<std::vector<Hash>> levels_;
};

struct MadeRecord {
  EntryBytes entry;
  std::vector<Buffer> items;  // whole
  std::vector<std::array<std::byte, 32>> keys;
};

class MadeLog {
 public:
  // Record n has 1 + n % 3 items.
  explicit MadeLog(std::uint64_t size) : key_{crypto::Key256{counting<Hash>(1)}} {
    Head head;
    for (std::uint64_t n = 0; n < size; ++n) {
      MadeRecord record;
      Buffer body;
      for (unsigned i = 0; i < 1 + n % 3; ++i) {
        add_item(record, static_cast<unsigned>(n * 3 + i));
        append(body, record.items.back());
      }
      const Entry entry = next_entry(head, body);
      record.entry = encode(entry);
      leaves_.push_back(leaf_hash(record.entry));
      tree_.append(leaves_.back());
      advance_in_place(head, entry);
      records_.push_back(std::move(record));
    }
  }

  [[nodiscard]] std::uint64_t size() const { return leaves_.size(); }
  [[nodiscard]] const Hash& leaf(std::uint64_t index) const { return leaves_[index]; }
  [[nodiscard]] const crypto::SigningKey& key() const { return key_; }
  [[nodiscard]] VerifierKey log_key() const {
    return {.name = origin(), .type = NoteKeyType::signature, .key = key_.public_key()};
  }
  [[nodiscard]] static std::string origin() { return origin_of(log_id()); }
  [[nodiscard]] static Id128 log_id() { return counting<Id128>(0x77); }

  [[nodiscard]] Hash root(std::uint64_t size) { return root_of(tree_, size).value(); }
  [[nodiscard]] std::string head(std::uint64_t size) {
    return sign_head({.origin = origin(), .size = size, .root = root(size)}, key_);
  }
  [[nodiscard]] std::vector<Hash> inclusion(std::uint64_t index, std::uint64_t size) {
    return prove_inclusion(tree_, index, size).value();
  }
  [[nodiscard]] std::vector<Hash> consistency(std::uint64_t old_size, std::uint64_t size) {
    return prove_consistency(tree_, old_size, size).value();
  }
  [[nodiscard]] Receipt receipt(std::uint64_t index, std::uint64_t size,
                                std::optional<std::uint32_t> item = {}) {
    return {.recorded = recorded(index, item),
            .index = index,
            .path = inclusion(index, size),
            .head = head(size)};
  }
  [[nodiscard]] CoseReceipt cose_receipt(std::uint64_t index, std::uint64_t size,
                                         std::optional<std::uint32_t> item = {}) {
    const TreeHead tree{.origin = origin(), .size = size, .root = root(size)};
    return {.recorded = recorded(index, item),
            .origin = origin(),
            .size = size,
            .index = index,
            .path = inclusion(index, size),
            .signature = sign_cose_root(tree, key_)};
  }
  [[nodiscard]] ConsistencyProof proof(std::uint64_t old_size, std::uint64_t size) {
    return {.path = consistency(old_size, size), .older = head(old_size), .newer = head(size)};
  }

 private:
  [[nodiscard]] Recorded recorded(std::uint64_t index, std::optional<std::uint32_t> item) const {
    const MadeRecord& record = records_[index];
    Recorded recorded{.entry = record.entry, .item = {}};
    if (!item) return recorded;
    MadeTree body;
    for (const Buffer& whole : record.items) body.append(item_commitment(whole));
    recorded.item = DisclosedItem{.index = *item,
                                  .key = record.keys[*item],
                                  .path = prove_inclusion(body, *item, record.items.size()).value(),
                                  .bytes = record.items[*item]};
    return recorded;
  }
  static void add_item(MadeRecord& record, unsigned seed) {
    PlaintextWriter writer{ItemKind::events};
    writer.event({"made", std::string_view{"payload"}});
    ItemHeader header;
    header.kind = writer.kind();
    header.flags = writer.flags();
    header.count = writer.count();
    header.key = KeyId{3};
    header.stream = StreamId{1};
    header.first_sequence = Sequence{seed};
    header.nonce = counting<std::array<std::byte, 24>>(seed);
    Buffer text = std::move(writer).finish();
    header.size = static_cast<std::uint32_t>(text.size() + crypto::tag_size);
    const crypto::Key256 data_key{counting<Hash>(0x90)};
    const crypto::Key256 key = crypto::xaes_message_key(data_key, header.nonce);
    header.key_commitment = crypto::key_commitment(key);
    const crypto::Tag tag = crypto::gcm_seal(key, crypto::xaes_message_nonce(header.nonce),
                                             associated_data(log_id(), header), text);
    Buffer whole;
    append(whole, encode(header));
    append(whole, text);
    append(whole, tag);
    record.items.push_back(std::move(whole));
    std::ranges::copy(key.expose(), record.keys.emplace_back().begin());
  }

  crypto::SigningKey key_;
  MadeTree tree_;
  std::vector<Hash> leaves_;
  std::vector<MadeRecord> records_;
};

}  // namespace kimberlite::record::sample
