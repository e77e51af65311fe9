// Where each field of an entry and of an item header stands, in the core subset: proved by ESBMC as
// shipped (round trips, and that every byte of padding is refused unless it is zero).
//
// Source: storage.md, Record. Ids and hashes are runs of bytes copied as they are, so only their
// places are here. No bounds are checked: callers pass buffers of exactly the stated size.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/le.hpp"

namespace kimberlite::record {

inline constexpr size_t entry_size = 192;
inline constexpr uint16_t entry_version = 1;

// Offsets in an entry.
inline constexpr size_t entry_at_version = 0;
inline constexpr size_t entry_at_kind = 2;
inline constexpr size_t entry_at_flags = 4;
inline constexpr size_t entry_at_log_id = 8;
inline constexpr size_t entry_at_catalog_version = 24;
inline constexpr size_t entry_at_body_size = 28;
inline constexpr size_t entry_at_item_count = 32;
inline constexpr size_t entry_at_zero = 36;
inline constexpr size_t entry_at_position = 40;
inline constexpr size_t entry_at_timestamp = 48;
inline constexpr size_t entry_at_actor = 56;
inline constexpr size_t entry_at_session = 72;
inline constexpr size_t entry_at_request_id = 88;
inline constexpr size_t entry_at_correlation = 104;
inline constexpr size_t entry_at_body_commitment = 120;
inline constexpr size_t entry_at_previous = 152;
inline constexpr size_t entry_at_tail = 184;
static_assert(entry_at_tail + 8 == entry_size);

// An entry's integers.
struct EntryNumbers {
  uint16_t kind;
  uint32_t flags;
  uint32_t catalog_version;
  uint32_t body_size;
  uint32_t item_count;
  uint64_t position;
  uint64_t timestamp_us;
};

// Why bytes are not an entry, or not an item header.
enum class Malformed : uint8_t { none, version, padding, value };

template <class Byte>
constexpr bool zero_run(const Byte* from, size_t size) noexcept {
  for (size_t i = 0; i < size; ++i) {
    if (from[i] != static_cast<Byte>(0)) return false;
  }
  return true;
}

// Writes the integers and the padding of an entry; not its ids and hashes.
template <class Byte>
constexpr void encode_numbers(const EntryNumbers& numbers, Byte* to) noexcept {
  base::store_le(to + entry_at_version, entry_version);
  base::store_le(to + entry_at_kind, numbers.kind);
  base::store_le(to + entry_at_flags, numbers.flags);
  base::store_le(to + entry_at_catalog_version, numbers.catalog_version);
  base::store_le(to + entry_at_body_size, numbers.body_size);
  base::store_le(to + entry_at_item_count, numbers.item_count);
  base::store_le(to + entry_at_zero, static_cast<uint32_t>(0));
  base::store_le(to + entry_at_position, numbers.position);
  base::store_le(to + entry_at_timestamp, numbers.timestamp_us);
  base::store_le(to + entry_at_tail, static_cast<uint64_t>(0));
}

template <class Byte>
constexpr Malformed decode_numbers(const Byte* from, EntryNumbers& numbers) noexcept {
  if (base::load_le<uint16_t>(from + entry_at_version) != entry_version) return Malformed::version;
  if (!zero_run(from + entry_at_zero, 4) || !zero_run(from + entry_at_tail, 8)) {
    return Malformed::padding;
  }
  numbers.kind = base::load_le<uint16_t>(from + entry_at_kind);
  numbers.flags = base::load_le<uint32_t>(from + entry_at_flags);
  numbers.catalog_version = base::load_le<uint32_t>(from + entry_at_catalog_version);
  numbers.body_size = base::load_le<uint32_t>(from + entry_at_body_size);
  numbers.item_count = base::load_le<uint32_t>(from + entry_at_item_count);
  numbers.position = base::load_le<uint64_t>(from + entry_at_position);
  numbers.timestamp_us = base::load_le<uint64_t>(from + entry_at_timestamp);
  if (numbers.position == 0 || numbers.item_count == 0) return Malformed::value;
  return Malformed::none;
}

inline constexpr size_t item_header_size = 96;
inline constexpr size_t item_tag_size = 16;
inline constexpr size_t item_padding = 64;  // a plaintext is a multiple of it

// Offsets in an item header; its first `item_authenticated` bytes are associated data of the seal.
inline constexpr size_t item_at_kind = 0;
inline constexpr size_t item_at_flags = 1;
inline constexpr size_t item_at_zero = 2;
inline constexpr size_t item_at_count = 4;
inline constexpr size_t item_at_size = 8;
inline constexpr size_t item_at_zero_2 = 12;
inline constexpr size_t item_at_key = 16;
inline constexpr size_t item_at_stream = 24;
inline constexpr size_t item_at_first_sequence = 32;
inline constexpr size_t item_at_nonce = 40;
inline constexpr size_t item_at_key_commitment = 64;
inline constexpr size_t item_authenticated = item_at_nonce;
static_assert(item_at_key_commitment + 32 == item_header_size);

// What an item holds (storage.md, Items).
inline constexpr uint8_t item_rows = 1;
inline constexpr uint8_t item_events = 2;
inline constexpr uint8_t item_control = 3;
inline constexpr uint8_t item_meta = 4;
inline constexpr uint8_t item_flag_meta = 1;  // its plaintext begins with the record's meta

// An item header's integers.
struct ItemNumbers {
  uint8_t kind;
  uint8_t flags;
  uint32_t count;  // changes, events or payloads; not the meta
  uint32_t size;   // ciphertext and tag, the bytes behind the header
  uint64_t key;
  uint64_t stream;
  uint64_t first_sequence;
};

constexpr bool item_numbers_valid(const ItemNumbers& numbers) noexcept {
  if (numbers.kind < item_rows || numbers.kind > item_meta) return false;
  if ((numbers.flags & ~static_cast<unsigned>(item_flag_meta)) != 0) return false;
  if (numbers.kind == item_meta && (numbers.count != 0 || numbers.flags != item_flag_meta)) {
    return false;
  }
  if (numbers.kind != item_meta && numbers.count == 0) return false;
  if (numbers.kind != item_events && (numbers.stream != 0 || numbers.first_sequence != 0)) {
    return false;
  }
  if (numbers.kind == item_events && numbers.stream == 0) return false;
  if (numbers.key == 0) return false;
  return numbers.size >= item_tag_size + item_padding &&
         (numbers.size - item_tag_size) % item_padding == 0;
}

// Writes the integers and the padding of an item header; not its nonce and key commitment.
template <class Byte>
constexpr void encode_numbers(const ItemNumbers& numbers, Byte* to) noexcept {
  to[item_at_kind] = static_cast<Byte>(numbers.kind);
  to[item_at_flags] = static_cast<Byte>(numbers.flags);
  base::store_le(to + item_at_zero, static_cast<uint16_t>(0));
  base::store_le(to + item_at_count, numbers.count);
  base::store_le(to + item_at_size, numbers.size);
  base::store_le(to + item_at_zero_2, static_cast<uint32_t>(0));
  base::store_le(to + item_at_key, numbers.key);
  base::store_le(to + item_at_stream, numbers.stream);
  base::store_le(to + item_at_first_sequence, numbers.first_sequence);
}

template <class Byte>
constexpr Malformed decode_numbers(const Byte* from, ItemNumbers& numbers) noexcept {
  if (!zero_run(from + item_at_zero, 2) || !zero_run(from + item_at_zero_2, 4)) {
    return Malformed::padding;
  }
  numbers.kind = static_cast<uint8_t>(from[item_at_kind]);
  numbers.flags = static_cast<uint8_t>(from[item_at_flags]);
  numbers.count = base::load_le<uint32_t>(from + item_at_count);
  numbers.size = base::load_le<uint32_t>(from + item_at_size);
  numbers.key = base::load_le<uint64_t>(from + item_at_key);
  numbers.stream = base::load_le<uint64_t>(from + item_at_stream);
  numbers.first_sequence = base::load_le<uint64_t>(from + item_at_first_sequence);
  return item_numbers_valid(numbers) ? Malformed::none : Malformed::value;
}

// Bytes of a plaintext once it is padded with zeros; never none. The caller bounds `size`.
constexpr uint64_t padded_size(uint64_t size) noexcept {
  return size == 0 ? item_padding : (size + item_padding - 1) & ~uint64_t{item_padding - 1};
}

}  // namespace kimberlite::record
