// The 112 bytes of a command header. Core subset: proved by ESBMC as shipped.
//
//     0 size u32   4 kind u16   6 lane u16   8 flags u32   12 item_count u32   16 tenant u64
//     24 base u64   32 access_version u32   36 body_size u32   40 sidecar_size u32   44 zero u32
//     48 actor 16   64 session 16   80 request_id 16   96 correlation 16
//
// `size` is that of the whole command: header, items (`body_size`), sidecar. Nothing is aligned and
// nothing is padded: a command starts where the one before it ended.
//
// Source: design, storage.md "Commands".
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/le.hpp"

namespace kimberlite::consensus::core {

inline constexpr size_t command_header_size = 112;
inline constexpr size_t command_ids_at = 48;  // the four ids, 16 bytes each, to the header's end
inline constexpr uint64_t item_header_size = 96;
inline constexpr uint64_t command_bytes_max = 6ULL << 20;

struct CommandWords {
  uint32_t size = 0;
  uint16_t kind = 0;
  uint16_t lane = 0;
  uint32_t flags = 0;
  uint32_t item_count = 0;
  uint64_t tenant = 0;
  uint64_t base = 0;
  uint32_t access_version = 0;
  uint32_t body_size = 0;
  uint32_t sidecar_size = 0;
};

enum class CommandFault : uint8_t {
  none = 0,
  truncated = 1,  // fewer bytes than a header, or than the header says
  size = 2,       // the parts do not add up to `size`
  zero = 3,       // the reserved word is not zero
  limit = 4,      // larger than a command may be
  items = 5,      // no item, or more than the body has room for
};

// What is wrong with the words of a header of which `available` bytes of the prepare's body are
// left, header included.
constexpr CommandFault command_fault(const CommandWords& words, uint32_t zero,
                                     uint64_t available) noexcept {
  if (zero != 0) return CommandFault::zero;
  if (words.size > command_bytes_max) return CommandFault::limit;
  const uint64_t parts =
      uint64_t{command_header_size} + uint64_t{words.body_size} + uint64_t{words.sidecar_size};
  if (parts != words.size) return CommandFault::size;
  if (words.size > available) return CommandFault::truncated;
  if (words.item_count == 0) return CommandFault::items;
  if (uint64_t{words.item_count} * item_header_size > words.body_size) return CommandFault::items;
  return CommandFault::none;
}

// Writes the first 48 bytes; the ids are copied by the caller.
template <class Byte>
constexpr void store_command_words(Byte* to, const CommandWords& words) noexcept {
  base::store_le(to, words.size);
  base::store_le(to + 4, words.kind);
  base::store_le(to + 6, words.lane);
  base::store_le(to + 8, words.flags);
  base::store_le(to + 12, words.item_count);
  base::store_le(to + 16, words.tenant);
  base::store_le(to + 24, words.base);
  base::store_le(to + 32, words.access_version);
  base::store_le(to + 36, words.body_size);
  base::store_le(to + 40, words.sidecar_size);
  base::store_le(to + 44, uint32_t{0});
}

// Reads and checks the words at `from`, of which `available` bytes may be read.
template <class Byte>
constexpr CommandFault load_command_words(const Byte* from, uint64_t available,
                                          CommandWords& words) noexcept {
  if (available < command_header_size) return CommandFault::truncated;
  words.size = base::load_le<uint32_t>(from);
  words.kind = base::load_le<uint16_t>(from + 4);
  words.lane = base::load_le<uint16_t>(from + 6);
  words.flags = base::load_le<uint32_t>(from + 8);
  words.item_count = base::load_le<uint32_t>(from + 12);
  words.tenant = base::load_le<uint64_t>(from + 16);
  words.base = base::load_le<uint64_t>(from + 24);
  words.access_version = base::load_le<uint32_t>(from + 32);
  words.body_size = base::load_le<uint32_t>(from + 36);
  words.sidecar_size = base::load_le<uint32_t>(from + 40);
  return command_fault(words, base::load_le<uint32_t>(from + 44), available);
}

}  // namespace kimberlite::consensus::core
