#include "log/segment.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/assert.hpp"
#include "base/codec.hpp"
#include "crypto/crc32c.hpp"

namespace kimberlite::log {
namespace {

constexpr std::string_view header_magic = "KBSEGMNT";
constexpr std::string_view footer_magic = "KBSEALED";
constexpr std::size_t header_padding = 44;
constexpr std::size_t footer_padding = 12;
constexpr std::size_t crc_size = 4;

// Adds the checksum, and the bytes become an array.
template <std::size_t N>
std::array<std::byte, N> closed(Writer&& writer) {
  writer.u32(crypto::crc32c(writer.buffer()));
  KIMBERLITE_ASSERT(writer.size() == N);
  std::array<std::byte, N> to;
  copy_bytes(to, writer.buffer());
  return to;
}

// Checks magic, checksum and version, and leaves `from` behind the version.
Status opened(Reader& from, Bytes all, std::string_view magic, std::string_view what) {
  if (text_of(from.bytes(magic.size())) != magic) {
    return Error{Code::integrity_segment, "no {} of a segment", what};
  }
  const std::uint32_t found = crypto::crc32c(all.first(all.size() - crc_size));
  const auto expected = load_le<std::uint32_t>(all.data() + all.size() - crc_size);
  if (found != expected) {
    return Error{Code::integrity_segment, "the checksum of a segment's {} does not hold", what}.why(
        "it says {:08x}, its bytes give {:08x}", expected, found);
  }
  const std::uint16_t version = from.u16();
  if (version != segment_version) {
    return Error{Code::unavailable_version, "a segment of format version {}; this program reads {}",
                 version, segment_version};
  }
  return {};
}

Error not_canonical(std::string_view what) {
  return Error{Code::integrity_segment, "a segment's {} that is not in its canonical form", what};
}

}  // namespace

SegmentHeaderBytes encode(const SegmentHeader& header) {
  Writer to;
  to.bytes(bytes_of(header_magic));
  to.u16(segment_version);
  to.u16(header.lane);
  to.u32(0);
  to.bytes(header.log_id);
  to.id(header.first);
  to.u64(header.bytes_before);
  to.bytes(header.previous);
  to.zeros(header_padding);
  return closed<segment_header_size>(std::move(to));
}

SegmentFooterBytes encode(const SegmentFooter& footer) {
  Writer to;
  to.bytes(bytes_of(footer_magic));
  to.u16(segment_version);
  to.u16(0);
  to.u32(0);
  to.u64(footer.records);
  to.u64(footer.frame_bytes);
  to.id(footer.last);
  to.u64(footer.bytes);
  to.bytes(footer.leaf);
  to.bytes(footer.root);
  to.bytes(footer.seal);
  to.zeros(footer_padding);
  return closed<segment_footer_size>(std::move(to));
}

Result<SegmentHeader> decode_header(std::span<const std::byte, segment_header_size> bytes) {
  Reader from{bytes};
  KIMBERLITE_CHECK(opened(from, bytes, header_magic, "header"));
  SegmentHeader header;
  header.lane = from.u16();
  from.zeros(4);
  header.log_id = from.array<16>();
  header.first = from.id<Position>();
  header.bytes_before = from.u64();
  header.previous = from.array<32>();
  from.zeros(header_padding);
  const bool begins = header.first == Position{1};
  if (from.failed() || header.first == Position{0} || header.lane >= lane_count ||
      begins != (header.bytes_before == 0) || (begins && header.previous != Hash{})) {
    return not_canonical("header");
  }
  return header;
}

Result<SegmentFooter> decode_footer(std::span<const std::byte, segment_footer_size> bytes) {
  Reader from{bytes};
  KIMBERLITE_CHECK(opened(from, bytes, footer_magic, "footer"));
  SegmentFooter footer;
  from.zeros(6);
  footer.records = from.u64();
  footer.frame_bytes = from.u64();
  footer.last = from.id<Position>();
  footer.bytes = from.u64();
  footer.leaf = from.array<32>();
  footer.root = from.array<32>();
  footer.seal = from.array<32>();
  from.zeros(footer_padding);
  if (from.failed() || footer.records == 0 || footer.records > footer.last.value() ||
      footer.frame_bytes > footer.bytes) {
    return not_canonical("footer");
  }
  return footer;
}

bool looks_like_footer(Bytes bytes) {
  return bytes.size() >= footer_magic.size() &&
         text_of(bytes.first(footer_magic.size())) == footer_magic;
}

std::string_view lane_name(std::uint16_t lane) {
  KIMBERLITE_ASSERT(lane < lane_count);
  return lane == 0 ? "data" : "access";
}

std::string directory_of(const LogName& log) {
  return fmt::format("tenants/{}/{}", log.tenant.value(), lane_name(log.lane));
}

std::string segment_file_name(Position first) {
  return fmt::format("{:020}.segment", first.value());
}

std::optional<Position> segment_of_file_name(std::string_view name) {
  constexpr std::size_t digits = 20;
  if (name.size() != digits + 8 || name.substr(digits) != ".segment") return std::nullopt;
  std::uint64_t first = 0;
  const char* const begin = name.data();
  const char* const end = begin + digits;
  const auto [stop, error] = std::from_chars(begin, end, first);
  if (error != std::errc{} || stop != end || first == 0) return std::nullopt;
  return Position{first};
}

}  // namespace kimberlite::log
