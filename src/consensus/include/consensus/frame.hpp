// What stands in the journal file: frames and marks, byte for byte.
//
// The file is two mark sectors (4 KiB each), then the ring. Integers are little-endian; every byte
// not named is zero and checked as zero; checksums are BLAKE3-256.
//
//   frame             local header · prepare header · body · zeros to the next sector
//
//   local header, 64 bytes
//       0 checksum 32     of the frame's bytes 32..255: this header's rest and the prepare header
//      32 ring offset u64  where in the ring the frame starts
//      40 op u64           as in the prepare header
//      48 durable op u64   every op up to it was on this disk when the frame was written; < op
//      56 size u32         64 + 192 + body, without the zeros
//      60 magic u32        "KBF1"
//
//   prepare header, 192 bytes
//       0 checksum 32     of this header's bytes 32..191
//      32 body checksum 32
//      64 parent 32       the checksum of the prepare header of op - 1
//      96 cluster 16
//     112 view u64        the view it was prepared in
//     120 op u64
//     128 commit u64      the primary's commit number when it was prepared; < op
//     136 timestamp u64   microseconds; of the first command, the next has one more, and so on
//     144 size u32        192 + body
//     148 commands u32    0 only if the body is empty, or a configuration
//     152 version u16     1
//     154 configures u8   1: the body is the group's next configuration; else 0
//     155 zero 37
//
//   mark, one sector
//       0 checksum 32     of the sector's bytes 32..4095
//      32 magic u32       "KBM1"
//      36 headers u32     prepare headers that follow, at most 15
//      40 sequence u64    from 1; mark s is in sector s % 2
//      48 durable op u64  every op up to it is on this disk
//      56 view u64
//      64 cluster 16
//      80 zero 48
//     128 the prepare headers of the last ops up to the durable op, the oldest first, 192 bytes
//     each
//    3008 zero 1088
//
// The prepare header of op 0 is written nowhere: it is the root every chain starts from, all zero
// but for cluster and version. Thread rule: values and pure functions.
//
// Source: design, storage.md "Journal".
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "consensus/configuration.hpp"

namespace kimberlite::consensus {

inline constexpr std::size_t local_header_size = 64;
inline constexpr std::size_t prepare_header_size = 192;
inline constexpr std::size_t frame_header_size = local_header_size + prepare_header_size;
inline constexpr std::size_t mark_size = sector_size;
inline constexpr std::size_t mark_headers_max = 15;
// Above every time a clock can give; keeps sums of times from wrapping.
inline constexpr std::uint64_t timestamp_max = 1ULL << 62U;

struct PrepareHeader {
  Hash checksum{};
  Hash body_checksum{};
  Hash parent{};
  Id128 cluster{};
  ViewNumber view;
  OpNumber op;
  OpNumber commit;
  TimestampUs timestamp;
  std::uint32_t size = prepare_header_size;  // with the body
  std::uint32_t commands = 0;
  bool configures = false;

  friend bool operator==(const PrepareHeader&, const PrepareHeader&) = default;
};

// Writes the header, its checksum last, and sets `header.checksum` to it.
void encode_prepare(PrepareHeader& header, std::span<std::byte, prepare_header_size> to);
// Fails with `integrity.journal` unless the bytes are what `encode_prepare` writes.
[[nodiscard]] Result<PrepareHeader> decode_prepare(std::span<const std::byte, prepare_header_size>);

// The header of op 0, with its checksum.
[[nodiscard]] PrepareHeader root_prepare(const Id128& cluster);

// The earliest time the prepare after `header` may have: times of commands never meet.
[[nodiscard]] TimestampUs next_timestamp(const PrepareHeader& header);

// True if `header` can be the prepare after `before`: parent, op, cluster, view and time fit.
[[nodiscard]] bool follows(const PrepareHeader& before, const PrepareHeader& header);

[[nodiscard]] constexpr std::uint64_t frame_size(const PrepareHeader& header) {
  return local_header_size + header.size;
}

// The head of a frame: enough to know what it is, not that its body is whole.
struct FrameHead {
  std::uint64_t ring_offset = 0;
  OpNumber durable;
  PrepareHeader prepare;
};

// Completes a frame in place: `frame` is whole sectors, its first 256 bytes free, then the body of
// `head.prepare.size - 192` bytes, then room to the sector's end. Computes all three checksums,
// sets those of `head.prepare`, and writes the zeros.
void seal_frame(FrameHead& head, MutBytes frame);
// The same for a frame whose prepare header and body came from a peer, and were checked.
void seal_local(const FrameHead& head, MutBytes frame);

// False if no frame can start with these bytes; cheap, for sweeps.
[[nodiscard]] bool may_start_frame(std::span<const std::byte, frame_header_size> from);

// True if bytes that do not decode as a frame's head can only be those of operation `op`'s, changed
// since: nearly all that names it is there. A head lies in one 512-byte sector, so no crash leaves
// a part of it.
[[nodiscard]] bool is_damaged_head(std::span<const std::byte, frame_header_size> from,
                                   std::uint64_t ring_offset, const Id128& cluster, OpNumber op);

// Reads the first 256 bytes of a frame said to start at `ring_offset`. Fails with
// `integrity.journal`.
[[nodiscard]] Result<FrameHead> decode_frame_head(std::span<const std::byte, frame_header_size>,
                                                  std::uint64_t ring_offset);

// The body of a frame whose head was read; `frame` has all its sectors. Fails with
// `integrity.journal` unless body checksum and trailing zeros are right.
[[nodiscard]] Result<Bytes> frame_body(const FrameHead& head, Bytes frame);

// Both in one: the body of the frame of sectors `frame`, read from `ring_offset`, if it is the
// prepare with this header checksum.
[[nodiscard]] Result<Bytes> open_frame(Bytes frame, std::uint64_t ring_offset,
                                       const Hash& header_checksum);

struct Mark {
  std::uint64_t sequence = 0;  // from 1
  OpNumber durable;
  ViewNumber view;
  Id128 cluster{};
  std::vector<PrepareHeader> headers;  // at most 15, chained, the last one that of `durable`

  friend bool operator==(const Mark&, const Mark&) = default;
};

void encode_mark(const Mark& mark, std::span<std::byte, mark_size> to);
[[nodiscard]] Result<Mark> decode_mark(std::span<const std::byte, mark_size>);

}  // namespace kimberlite::consensus
