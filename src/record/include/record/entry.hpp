// The entry of a record: what the log's Merkle tree and hash chain are made of. It holds nothing
// personal and nothing a caller typed; all of that is in the sealed items of the body (`body.hpp`).
//
// Source: storage.md, Record; RFC 6962 §2.1 for the leaf. Thread rule: values.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/entry_core.hpp"

namespace kimberlite::record {

struct Entry {
  std::uint16_t kind = 0;
  std::uint32_t flags = 0;
  std::uint32_t catalog_version = 0;
  std::uint32_t body_size = 0;   // bytes of all items, headers included
  std::uint32_t item_count = 0;  // at least one
  Id128 log_id{};                // of the (tenant, lane, epoch)
  Position position;             // from 1, dense
  TimestampUs timestamp;
  Id128 actor{};
  Id128 session{};
  Id128 request_id{};
  Id128 correlation{};
  Hash body_commitment{};
  Hash previous{};  // leaf of position - 1, zeros at 1

  bool operator==(const Entry&) const = default;
};

using EntryBytes = std::array<std::byte, entry_size>;

// The canonical bytes: equal entries have equal bytes, and the other way round.
[[nodiscard]] EntryBytes encode(const Entry& entry);

// `unavailable.version` for a later format; `integrity.entry` for padding that is not zero, a
// position or item count of zero, or a `previous` where there can be none.
[[nodiscard]] Result<Entry> decode(std::span<const std::byte, entry_size> bytes);

// SHA-256(0x00 || entry): the tree's leaf hash, and the next entry's `previous`.
[[nodiscard]] Hash leaf_hash(std::span<const std::byte, entry_size> bytes);

}  // namespace kimberlite::record
