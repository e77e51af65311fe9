#include "segment_reader.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace kimberlite::log {
namespace {

// Large enough that a call is nothing beside the copy, small enough to stay in the cache until it
// is hashed.
constexpr std::size_t read_size = std::size_t{256} << 10;

}  // namespace

Result<Bytes> SegmentReader::peek(std::uint64_t size) {
  const auto wanted = static_cast<std::size_t>(std::min(size, left()));
  if (wanted > filled_ - from_) {
    if (filled_ > from_) {
      std::memmove(buffer_.data(), buffer_.data() + from_, filled_ - from_);
    }
    filled_ -= from_;
    from_ = 0;
    const std::size_t capacity = std::max(read_size, wanted);
    if (buffer_.size() < capacity) buffer_.resize(capacity);
    const std::uint64_t behind = at_ + filled_;
    const MutBytes room = MutBytes{buffer_}.subspan(filled_);
    const auto asked =
        static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), end_ - behind));
    KIMBERLITE_TRY(const std::size_t got, file_->read_at(behind, room.first(asked)));
    filled_ += got;
    if (filled_ < wanted) {
      return Error{Code::unavailable_io, "a file became shorter while it was read"}.where(
          "byte {}", at_ + filled_);
    }
  }
  return Bytes{buffer_}.subspan(from_, wanted);
}

void SegmentReader::skip(std::uint64_t size) {
  KIMBERLITE_ASSERT(size <= filled_ - from_);
  from_ += static_cast<std::size_t>(size);
  at_ += size;
}

Result<std::optional<record::FrameView>> SegmentReader::peek_frame() {
  if (left() == 0) return std::optional<record::FrameView>{};
  KIMBERLITE_TRY(Bytes bytes, peek(record::frame_header_size));
  if (bytes.size() == record::frame_header_size) {
    const std::uint32_t size = record::decode_frame_header(bytes.data()).size;
    if (record::frame_extent(left(), size) == record::Extent::inside) {
      KIMBERLITE_TRY(bytes, peek(size));
    }
  }
  KIMBERLITE_TRY(const record::FrameView frame, record::parse_frame(bytes));
  return std::optional{frame};
}

Result<SegmentHeader> read_header(env::File& file) {
  SegmentHeaderBytes bytes;
  KIMBERLITE_TRY(const std::size_t got, file.read_at(0, bytes));
  if (got < bytes.size()) {
    return Error{Code::integrity_segment, "a segment of {} bytes, which is less than its header",
                 got};
  }
  return decode_header(bytes);
}

Result<bool> complete_frame_at(env::File& file, std::uint64_t offset) {
  std::array<std::byte, record::frame_header_size> header;
  KIMBERLITE_TRY(std::size_t got, file.read_at(offset, header));
  if (got < header.size()) return false;
  const std::uint32_t size = record::decode_frame_header(header.data()).size;
  if (record::frame_extent(record::frame_size_max, size) != record::Extent::inside) return false;
  Buffer frame(size);
  KIMBERLITE_TRY(got, file.read_at(offset, frame));
  return record::complete_frame(Bytes{frame}.first(got));
}

}  // namespace kimberlite::log
