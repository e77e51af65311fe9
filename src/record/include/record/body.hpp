// The body of a record: its items, one behind the other, each a header and a sealed text.
//
//   commitment      = SHA-256(0x10 || item header || ciphertext || tag)
//   body commitment = RFC 6962 root whose leaf hashes are the items' commitments
//
// Nothing here seals or opens (keystore does). Source: storage.md, Record. Thread rule: values;
// views live as long as the bytes they were made from.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/entry_core.hpp"

namespace kimberlite::record {

enum class ItemKind : std::uint8_t {
  rows = item_rows,        // row changes, one item a data key
  events = item_events,    // events of one stream, one item a (data key, stream)
  control = item_control,  // catalog, access, keys, quotas; under the control key
  meta = item_meta,        // the record's meta alone
};

struct ItemHeader {
  ItemKind kind = ItemKind::rows;
  std::uint8_t flags = 0;   // `item_flag_meta`
  std::uint32_t count = 0;  // changes, events or payloads; not the meta
  std::uint32_t size = 0;   // ciphertext and tag
  KeyId key;
  StreamId stream;          // 0 but for events
  Sequence first_sequence;  // 0 but for events
  std::array<std::byte, 24> nonce{};
  Hash key_commitment{};

  bool operator==(const ItemHeader&) const = default;
};

using ItemHeaderBytes = std::array<std::byte, item_header_size>;
[[nodiscard]] ItemHeaderBytes encode(const ItemHeader& header);
// `integrity.item` unless the bytes are the canonical form of a header.
[[nodiscard]] Result<ItemHeader> decode_item_header(
    std::span<const std::byte, item_header_size> bytes);

// What a seal authenticates beside the text: entry version || log id || header bytes 0-39.
using ItemAssociated = std::array<std::byte, 2 + 16 + item_authenticated>;
[[nodiscard]] ItemAssociated associated_data(const Id128& log_id, const ItemHeader& header);

struct ItemView {
  ItemHeader header;
  Bytes whole;   // header, ciphertext, tag: what the commitment is of
  Bytes sealed;  // ciphertext and tag
};

// At most this many items fit a command.
inline constexpr std::uint32_t item_count_max = 1U << 16;

// `integrity.body` with the byte offset, or `integrity.item`, unless `body` is one item or more and
// nothing else.
[[nodiscard]] Result<std::vector<ItemView>> split_body(Bytes body);
// The same, replacing what `into` held.
[[nodiscard]] Status split_body(Bytes body, std::vector<ItemView>& into);

// Hashes all of `whole`.
[[nodiscard]] Hash item_commitment(Bytes whole);

// The RFC 6962 root over leaf *hashes*; of none, the hash of the empty string.
[[nodiscard]] Hash tree_root(std::span<const Hash> leaf_hashes);

// Both steps of a whole body.
[[nodiscard]] Hash body_commitment(std::span<const ItemView> items);

}  // namespace kimberlite::record
