// Segment files: where they are, and the headers and footers around their frames.
//
//   tenants/<tenant>/<lane>/<first position, 20 digits>.segment
//   segment = header · frames (record/frame_core.hpp) · footer, once it is sealed
//
//   header, 128 bytes:
//      0 "KBSEGMNT"    8 version u16   10 lane u16   12 zero u32   16 log id 16
//     32 first position u64   40 bytes of all frames before u64   48 leaf before 32
//     80 zero 44   124 crc32c u32 (of the 124 bytes before)
//   footer, 160 bytes:
//      0 "KBSEALED"    8 version u16   10 zero u16   12 zero u32   16 records u64
//     24 bytes of the segment's frames u64   32 last position u64   40 bytes of all frames so far
//     u64 48 last leaf 32   80 tree root 32   112 seal 32   144 zero 12   156 crc32c u32 (of the
//     156 before)
//
// The root commits to every entry, and so to every body; the seal is BLAKE3 of what it does not
// commit to: the segment's header and its frames' headers, in order. A frame that would take header
// and frames past 64 MiB starts the next segment, and so does the first record of an epoch, so that
// a segment is of one log id; nothing else does, so all replicas' segments are equal.
//
// Source: storage.md, Segments. Thread rule: values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

namespace kimberlite::log {

inline constexpr std::size_t segment_header_size = 128;
inline constexpr std::size_t segment_footer_size = 160;
inline constexpr std::uint16_t segment_version = 1;

struct SegmentHeader {
  std::uint16_t lane = 0;
  Id128 log_id{};
  Position first;                  // of the first record in it
  std::uint64_t bytes_before = 0;  // of all frames in earlier segments
  Hash previous{};                 // leaf of the record before; zeros if there is none

  bool operator==(const SegmentHeader&) const = default;
};

struct SegmentFooter {
  std::uint64_t records = 0;
  std::uint64_t frame_bytes = 0;  // of this segment
  Position last;
  std::uint64_t bytes = 0;  // of all frames up to here
  Hash leaf{};
  Hash root{};
  Hash seal{};

  bool operator==(const SegmentFooter&) const = default;
};

using SegmentHeaderBytes = std::array<std::byte, segment_header_size>;
using SegmentFooterBytes = std::array<std::byte, segment_footer_size>;

[[nodiscard]] SegmentHeaderBytes encode(const SegmentHeader& header);
[[nodiscard]] SegmentFooterBytes encode(const SegmentFooter& footer);

// `integrity.segment` unless the bytes are canonical; `unavailable.version` for a later format.
[[nodiscard]] Result<SegmentHeader> decode_header(
    std::span<const std::byte, segment_header_size> bytes);
[[nodiscard]] Result<SegmentFooter> decode_footer(
    std::span<const std::byte, segment_footer_size> bytes);

// True if `bytes` begin as a footer does; no frame can.
[[nodiscard]] bool looks_like_footer(Bytes bytes);

// Which log: lane 0 is `data`, 1 is `access`.
struct LogName {
  TenantId tenant;
  std::uint16_t lane = 0;
};

inline constexpr std::uint16_t lane_count = 2;
[[nodiscard]] std::string_view lane_name(std::uint16_t lane);

// "tenants/7/data"; relative to the data directory.
[[nodiscard]] std::string directory_of(const LogName& log);
// "00000000000000000001.segment"
[[nodiscard]] std::string segment_file_name(Position first);
// Nothing unless it is such a name.
[[nodiscard]] std::optional<Position> segment_of_file_name(std::string_view name);

}  // namespace kimberlite::log
