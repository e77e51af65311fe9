// Frames: records as they stand in segments (layout and decisions: `frame_core.hpp`).
//
// Thread rule: values; a `FrameView` lives as long as the bytes it was made from.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/entry.hpp"
#include "record/frame_core.hpp"

namespace kimberlite::record {

struct FrameView {
  OpNumber op;              // the prepare it came with
  std::uint32_t index = 0;  // of the command in it
  Bytes entry_bytes;        // `entry_size` of them
  Bytes body;
  std::uint32_t size = 0;  // of the whole frame
};

// Appends the frame to `to`. `entry.body_size` must be the body's.
void append_frame(Buffer& to, OpNumber op, std::uint32_t index, const Entry& entry, Bytes body);

// The frame `bytes` begin with; size, checksum and padding hold, the entry is not decoded.
// `integrity.frame` otherwise, with both checksums where they differ.
[[nodiscard]] Result<FrameView> parse_frame(Bytes bytes);

// True if `bytes` begin with a frame whose size and checksum hold.
[[nodiscard]] bool complete_frame(Bytes bytes);

}  // namespace kimberlite::record
