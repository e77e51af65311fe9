#include "record/frame.hpp"

#include "base/assert.hpp"
#include "crypto/crc32c.hpp"

namespace kimberlite::record {

void append_frame(Buffer& to, OpNumber op, std::uint32_t index, const Entry& entry, Bytes body) {
  KIMBERLITE_ASSERT(entry.body_size == body.size() && body.size() <= frame_body_max);
  const std::size_t at = to.size();
  const auto size = static_cast<std::uint32_t>(frame_size(body.size()));
  const EntryBytes encoded = encode(entry);
  to.resize(at + frame_at_body);
  const MutBytes head = MutBytes{to}.subspan(at);
  encode_frame_header(FrameHeader{size, 0, op.value(), index}, head.data());
  copy_bytes(head.subspan(frame_at_entry), encoded);
  append(to, body);

  const MutBytes frame = MutBytes{to}.subspan(at, size);
  store_le(frame.data() + frame_at_crc, crypto::crc32c(frame.subspan(frame_checked_from)));
}

bool complete_frame(Bytes bytes) {
  if (bytes.size() < frame_header_size) return false;
  const FrameHeader header = decode_frame_header(bytes.data());
  if (frame_extent(bytes.size(), header.size) != Extent::inside) return false;
  const Bytes frame = bytes.first(header.size);
  return crypto::crc32c(frame.subspan(frame_checked_from)) == header.crc;
}

Result<FrameView> parse_frame(Bytes bytes) {
  if (bytes.size() < frame_header_size) {
    return Error{Code::integrity_frame, "{} bytes where a frame begins", bytes.size()};
  }
  const FrameHeader header = decode_frame_header(bytes.data());
  switch (frame_extent(bytes.size(), header.size)) {
    case Extent::inside:
      break;
    case Extent::none:
    case Extent::impossible:
      return Error{Code::integrity_frame, "no frame has {} bytes", header.size}.why(
          "a frame has {} to {} bytes", frame_size_min, frame_size_max);
    case Extent::cut:
      return Error{Code::integrity_frame, "a frame of {} bytes where {} are left", header.size,
                   bytes.size()};
  }
  const Bytes frame = bytes.first(header.size);
  const std::uint32_t found = crypto::crc32c(frame.subspan(frame_checked_from));
  if (found != header.crc) {
    return Error{Code::integrity_frame, "a frame whose checksum does not hold"}.why(
        "it says {:08x}, its bytes give {:08x}", header.crc, found);
  }
  if (!zero_run(frame.data() + frame_at_zero, 4)) {
    return Error{Code::integrity_frame, "padding of a frame that is not zero"};
  }
  return FrameView{OpNumber{header.op}, header.index, frame.subspan(frame_at_entry, entry_size),
                   frame.subspan(frame_at_body), header.size};
}

}  // namespace kimberlite::record
