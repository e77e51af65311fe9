#include "consensus/frame.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/checked.hpp"
#include "base/le.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::consensus {
namespace {

constexpr std::uint32_t frame_magic = 0x3146424B;  // "KBF1"
constexpr std::uint32_t mark_magic = 0x314D424B;   // "KBM1"
constexpr std::uint16_t prepare_version = 1;
constexpr std::size_t mark_headers_at = 128;
constexpr std::size_t mark_headers_end = mark_headers_at + mark_headers_max * prepare_header_size;
static_assert(mark_headers_end == 3008 && mark_headers_end <= mark_size);

template <std::size_t N>
std::array<std::byte, N> take(const std::byte* from) {
  std::array<std::byte, N> value;
  std::copy_n(from, N, value.begin());
  return value;
}

template <std::size_t N>
void put(std::byte* to, const std::array<std::byte, N>& value) {
  std::ranges::copy(value, to);
}

Error wrong(std::string_view what) { return Error{Code::integrity_journal, "{}", what}; }

// Checksums in an error text: of journal bytes, so no stored value can be read out of them.
Error wrong_checksum(std::string_view what, const Hash& stored, const Hash& computed) {
  return Error{Code::integrity_journal, "the checksum of {} is wrong", what}.why(
      "{} is written, {} was computed", to_hex(Bytes(stored).first(8)),
      to_hex(Bytes(computed).first(8)));
}

// What a header must satisfy whatever wrote it.
bool is_consistent(const PrepareHeader& header) {
  return header.op.value() > 0 && header.commit < header.op && header.size >= prepare_header_size &&
         header.size <= prepare_size_max - local_header_size &&
         // What follows it must have a time, too.
         header.timestamp.value() < timestamp_max - std::max<std::uint32_t>(1, header.commands) &&
         (header.configures
              ? header.commands == 0 && header.size == prepare_header_size + configuration_size
              : header.commands > 0 || header.size == prepare_header_size);
}

}  // namespace

void encode_prepare(PrepareHeader& header, std::span<std::byte, prepare_header_size> to) {
  std::byte* const at = to.data();
  put(at + 32, header.body_checksum);
  put(at + 64, header.parent);
  put(at + 96, header.cluster);
  store_le(at + 112, header.view.value());
  store_le(at + 120, header.op.value());
  store_le(at + 128, header.commit.value());
  store_le(at + 136, header.timestamp.value());
  store_le(at + 144, header.size);
  store_le(at + 148, header.commands);
  store_le(at + 152, prepare_version);
  at[154] = std::byte{header.configures};
  std::ranges::fill(to.subspan(155), std::byte{0});
  header.checksum = crypto::blake3(to.subspan(32));
  put(at, header.checksum);
}

Result<PrepareHeader> decode_prepare(std::span<const std::byte, prepare_header_size> from) {
  const std::byte* const at = from.data();
  PrepareHeader header{.checksum = take<32>(at),
                       .body_checksum = take<32>(at + 32),
                       .parent = take<32>(at + 64),
                       .cluster = take<16>(at + 96),
                       .view = ViewNumber{load_le<std::uint64_t>(at + 112)},
                       .op = OpNumber{load_le<std::uint64_t>(at + 120)},
                       .commit = OpNumber{load_le<std::uint64_t>(at + 128)},
                       .timestamp = TimestampUs{load_le<std::uint64_t>(at + 136)},
                       .size = load_le<std::uint32_t>(at + 144),
                       .commands = load_le<std::uint32_t>(at + 148),
                       .configures = at[154] == std::byte{1}};
  const Hash computed = crypto::blake3(from.subspan(32));
  if (computed != header.checksum) {
    return wrong_checksum("a prepare header", header.checksum, computed);
  }
  if (load_le<std::uint16_t>(at + 152) != prepare_version || at[154] > std::byte{1} ||
      !all_zero(from.subspan(155)) || !is_consistent(header)) {
    return wrong("the fields of a prepare header contradict each other");
  }
  return header;
}

PrepareHeader root_prepare(const Id128& cluster) {
  PrepareHeader root;
  root.cluster = cluster;
  std::array<std::byte, prepare_header_size> bytes;
  encode_prepare(root, bytes);
  return root;
}

TimestampUs next_timestamp(const PrepareHeader& header) {
  return TimestampUs{header.timestamp.value() + std::max<std::uint32_t>(1, header.commands)};
}

bool follows(const PrepareHeader& before, const PrepareHeader& header) {
  return header.parent == before.checksum && header.op.value() == before.op.value() + 1 &&
         header.cluster == before.cluster && header.view >= before.view &&
         header.timestamp >= next_timestamp(before);
}

void seal_frame(FrameHead& head, MutBytes frame) {
  const std::uint64_t size = frame_size(head.prepare);
  KIMBERLITE_ASSERT(frame.size() == round_up(size, sector_size));
  KIMBERLITE_ASSERT(is_consistent(head.prepare));
  const auto body_size = static_cast<std::size_t>(size - frame_header_size);
  head.prepare.body_checksum = crypto::blake3(Bytes(frame.subspan(frame_header_size, body_size)));
  encode_prepare(head.prepare, frame.subspan<local_header_size, prepare_header_size>());
  seal_local(head, frame);
}

void seal_local(const FrameHead& head, MutBytes frame) {
  const std::uint64_t size = frame_size(head.prepare);
  KIMBERLITE_ASSERT(frame.size() == round_up(size, sector_size));
  KIMBERLITE_ASSERT(head.durable < head.prepare.op);
  std::ranges::fill(frame.subspan(size), std::byte{0});
  std::byte* const at = frame.data();
  store_le(at + 32, head.ring_offset);
  store_le(at + 40, head.prepare.op.value());
  store_le(at + 48, head.durable.value());
  store_le(at + 56, static_cast<std::uint32_t>(size));
  store_le(at + 60, frame_magic);
  put(at, crypto::blake3(Bytes(frame.subspan<32, frame_header_size - 32>())));
}

bool may_start_frame(std::span<const std::byte, frame_header_size> from) {
  return load_le<std::uint32_t>(from.data() + 60) == frame_magic;
}

bool is_damaged_head(std::span<const std::byte, frame_header_size> from, std::uint64_t ring_offset,
                     const Id128& cluster, OpNumber op) {
  const std::byte* const at = from.data();
  const std::byte* const prepare = at + local_header_size;
  const int agreeing =
      int{may_start_frame(from)} + int{load_le<std::uint64_t>(at + 32) == ring_offset} +
      int{load_le<std::uint64_t>(at + 40) == op.value()} + int{take<16>(prepare + 96) == cluster} +
      int{load_le<std::uint64_t>(prepare + 120) == op.value()};
  return agreeing >= 4 && !decode_frame_head(from, ring_offset);
}

Result<FrameHead> decode_frame_head(std::span<const std::byte, frame_header_size> from,
                                    std::uint64_t ring_offset) {
  const std::byte* const at = from.data();
  if (!may_start_frame(from)) return wrong("no frame starts here");
  const Hash stored = take<32>(at);
  const Hash computed = crypto::blake3(from.subspan(32));
  if (stored != computed) return wrong_checksum("a frame's head", stored, computed);
  FrameHead head{.ring_offset = load_le<std::uint64_t>(at + 32),
                 .durable = OpNumber{load_le<std::uint64_t>(at + 48)},
                 .prepare = {}};
  KIMBERLITE_TRY(head.prepare, decode_prepare(from.subspan<local_header_size>()));
  if (head.ring_offset != ring_offset) {
    return Error{Code::integrity_journal, "a frame written for ring offset {} stands at {}",
                 head.ring_offset, ring_offset};
  }
  if (load_le<std::uint64_t>(at + 40) != head.prepare.op.value() ||
      load_le<std::uint32_t>(at + 56) != frame_size(head.prepare) ||
      head.durable >= head.prepare.op) {
    return wrong("the two headers of a frame contradict each other");
  }
  return head;
}

Result<Bytes> frame_body(const FrameHead& head, Bytes frame) {
  const std::uint64_t size = frame_size(head.prepare);
  KIMBERLITE_ASSERT(frame.size() == round_up(size, sector_size));
  const Bytes body = frame.subspan(frame_header_size, size - frame_header_size);
  const Hash computed = crypto::blake3(body);
  if (computed != head.prepare.body_checksum) {
    return wrong_checksum("a prepare's body", head.prepare.body_checksum, computed);
  }
  if (!all_zero(frame.subspan(size))) return wrong("the bytes after a frame's body are not zero");
  return body;
}

Result<Bytes> open_frame(Bytes frame, std::uint64_t ring_offset, const Hash& header_checksum) {
  if (frame.size() < frame_header_size) return wrong("a frame is smaller than its headers");
  KIMBERLITE_TRY(const FrameHead head,
                 decode_frame_head(frame.first<frame_header_size>(), ring_offset));
  if (head.prepare.checksum != header_checksum) {
    return wrong_checksum("the prepare expected here", header_checksum, head.prepare.checksum);
  }
  if (frame.size() != round_up(frame_size(head.prepare), sector_size)) {
    return wrong("a frame is not of the size its header says");
  }
  return frame_body(head, frame);
}

void encode_mark(const Mark& mark, std::span<std::byte, mark_size> to) {
  KIMBERLITE_ASSERT(mark.sequence > 0 && mark.headers.size() <= mark_headers_max);
  std::byte* const at = to.data();
  std::ranges::fill(to, std::byte{0});
  store_le(at + 32, mark_magic);
  store_le(at + 36, static_cast<std::uint32_t>(mark.headers.size()));
  store_le(at + 40, mark.sequence);
  store_le(at + 48, mark.durable.value());
  store_le(at + 56, mark.view.value());
  put(at + 64, mark.cluster);
  for (std::size_t i = 0; i < mark.headers.size(); ++i) {
    PrepareHeader header = mark.headers[i];
    encode_prepare(header,
                   std::span<std::byte, prepare_header_size>(
                       at + mark_headers_at + i * prepare_header_size, prepare_header_size));
    KIMBERLITE_ASSERT(header.checksum == mark.headers[i].checksum);
  }
  put(at, crypto::blake3(Bytes(to.subspan(32))));
}

Result<Mark> decode_mark(std::span<const std::byte, mark_size> from) {
  const std::byte* const at = from.data();
  const Hash stored = take<32>(at);
  const Hash computed = crypto::blake3(from.subspan(32));
  if (stored != computed) return wrong_checksum("a mark", stored, computed);
  const auto count = load_le<std::uint32_t>(at + 36);
  Mark mark{.sequence = load_le<std::uint64_t>(at + 40),
            .durable = OpNumber{load_le<std::uint64_t>(at + 48)},
            .view = ViewNumber{load_le<std::uint64_t>(at + 56)},
            .cluster = take<16>(at + 64),
            .headers = {}};
  if (load_le<std::uint32_t>(at + 32) != mark_magic || mark.sequence == 0 ||
      count > mark_headers_max || !all_zero(from.subspan(80, mark_headers_at - 80)) ||
      !all_zero(from.subspan(mark_headers_at + count * prepare_header_size))) {
    return wrong("the fields of a mark contradict each other");
  }
  mark.headers.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    KIMBERLITE_TRY(PrepareHeader header,
                   decode_prepare(std::span<const std::byte, prepare_header_size>(
                       at + mark_headers_at + i * prepare_header_size, prepare_header_size)));
    if (i > 0 && !follows(mark.headers.back(), header)) {
      return wrong("the headers of a mark do not chain");
    }
    mark.headers.push_back(header);
  }
  if (count > 0) {
    const PrepareHeader& last = mark.headers.back();
    if (last.op != mark.durable || last.cluster != mark.cluster || last.view > mark.view) {
      return wrong("the headers of a mark are not those of its operation");
    }
  }
  return mark;
}

}  // namespace kimberlite::consensus
