// A part of a file in large reads: what scan, recovery and verification have in common.
//
// Thread rule: one thread. The file outlives the reader.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "env/env.hpp"
#include "log/segment.hpp"
#include "record/frame.hpp"

namespace kimberlite::log {

class SegmentReader {
 public:
  // The bytes [begin, end) of `file`.
  SegmentReader(env::File& file, std::uint64_t begin, std::uint64_t end)
      : file_(&file), at_(begin), end_(end) {}

  [[nodiscard]] std::uint64_t at() const { return at_; }
  [[nodiscard]] std::uint64_t left() const { return end_ - at_; }

  // The next `size` bytes, or all there are if that is less; the view lives until the next `peek`.
  [[nodiscard]] Result<Bytes> peek(std::uint64_t size);
  // Passes over bytes that `peek` gave.
  void skip(std::uint64_t size);

  // The next frame, checked as `record::parse_frame` does, and passed over only by `skip`; nothing
  // at the end.
  [[nodiscard]] Result<std::optional<record::FrameView>> peek_frame();

 private:
  env::File* file_;
  std::uint64_t at_;
  std::uint64_t end_;
  Buffer buffer_;
  std::size_t from_ = 0;    // of the buffer: where at_ is
  std::size_t filled_ = 0;  // of the buffer
};

// The header a segment begins with.
[[nodiscard]] Result<SegmentHeader> read_header(env::File& file);

// True if a complete frame begins at `offset` of the file.
[[nodiscard]] Result<bool> complete_frame_at(env::File& file, std::uint64_t offset);

}  // namespace kimberlite::log
