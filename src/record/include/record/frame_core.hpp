// How a record stands in a segment: offsets, and the decisions made about bytes found there, in the
// core subset: proved by ESBMC as shipped.
//
//   frame = size u32 · crc32c u32 (of all behind it) · op u64 · index u32 · zero u32 · entry · body
//
// `size` counts the whole frame. Source: storage.md, Record and Recovery.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/le.hpp"
#include "record/entry_core.hpp"

namespace kimberlite::record {

inline constexpr size_t frame_header_size = 24;
inline constexpr size_t frame_at_size = 0;
inline constexpr size_t frame_at_crc = 4;
inline constexpr size_t frame_at_op = 8;
inline constexpr size_t frame_at_index = 16;
inline constexpr size_t frame_at_zero = 20;
inline constexpr size_t frame_at_entry = frame_header_size;
inline constexpr size_t frame_at_body = frame_header_size + entry_size;
inline constexpr size_t frame_checked_from = frame_at_op;  // the first byte the checksum covers

inline constexpr uint64_t frame_size_min =
    frame_at_body + item_header_size + item_tag_size + item_padding;
inline constexpr uint64_t frame_body_max = uint64_t{6} << 20;  // a command's limit
inline constexpr uint64_t frame_size_max = frame_at_body + frame_body_max;

struct FrameHeader {
  uint32_t size;
  uint32_t crc;
  uint64_t op;
  uint32_t index;
};

template <class Byte>
constexpr void encode_frame_header(const FrameHeader& header, Byte* to) noexcept {
  base::store_le(to + frame_at_size, header.size);
  base::store_le(to + frame_at_crc, header.crc);
  base::store_le(to + frame_at_op, header.op);
  base::store_le(to + frame_at_index, header.index);
  base::store_le(to + frame_at_zero, static_cast<uint32_t>(0));
}

template <class Byte>
constexpr FrameHeader decode_frame_header(const Byte* from) noexcept {
  return FrameHeader{
      base::load_le<uint32_t>(from + frame_at_size), base::load_le<uint32_t>(from + frame_at_crc),
      base::load_le<uint64_t>(from + frame_at_op), base::load_le<uint32_t>(from + frame_at_index)};
}

// Bytes of the frame of a record with this body; the caller keeps `body_size` within its limit.
constexpr uint64_t frame_size(uint64_t body_size) noexcept { return frame_at_body + body_size; }

// What can be said of a frame's extent from its size field and the bytes there are.
enum class Extent : uint8_t {
  none,        // nothing there at all
  impossible,  // no frame has this size
  cut,         // it would go on behind the last byte there is
  inside,      // all of it is there
};

constexpr Extent frame_extent(uint64_t available, uint32_t size) noexcept {
  if (available == 0) return Extent::none;
  if (available < frame_header_size) return Extent::cut;
  if (size < frame_size_min || size > frame_size_max) return Extent::impossible;
  return size <= available ? Extent::inside : Extent::cut;
}

// What to do about the bytes that stand where a frame is to be written during recovery.
enum class Rewrite : uint8_t {
  write,  // equal, nothing, torn or zero: write it (again)
  alarm,  // a complete frame with other content: something committed would be lost
};

// `complete`: its extent is inside and its checksum holds.
constexpr Rewrite decide_rewrite(bool equal, bool complete) noexcept {
  return !equal && complete ? Rewrite::alarm : Rewrite::write;
}

// A segment holds frames until the next would take it past `segment_max`; rotation by bytes alone
// keeps segments equal on all replicas. A frame always fits an empty segment.
constexpr bool starts_next_segment(uint64_t segment_bytes, uint64_t frame, bool segment_empty,
                                   uint64_t segment_max) noexcept {
  if (segment_empty) return false;
  return segment_bytes > segment_max || frame > segment_max - segment_bytes;
}

}  // namespace kimberlite::record
