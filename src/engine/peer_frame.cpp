#include "peer_frame.hpp"

#include <algorithm>

#include "crypto/blake3.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::size_t checksum_size = sizeof(Hash);

}  // namespace

bool is_peer_frame(Bytes frame, std::uint32_t magic) {
  return frame.size() >= peer_frame_head && load_le<std::uint32_t>(frame.data() + 32) == magic;
}

Writer begin_peer_frame(std::uint32_t magic, std::uint8_t kind, const Id128& cluster,
                        std::uint64_t ticket) {
  Writer frame;
  frame.zeros(checksum_size);
  frame.u32(magic);
  frame.u8(kind);
  frame.zeros(3);
  frame.bytes(cluster);
  frame.u64(ticket);
  return frame;
}

Buffer seal_peer_frame(Writer&& frame) {
  Buffer bytes = std::move(frame).take();
  std::ranges::copy(crypto::blake3(Bytes(bytes).subspan(checksum_size)), bytes.begin());
  return bytes;
}

std::optional<PeerFrame> open_peer_frame(Bytes frame, const Id128& cluster) {
  Reader reader{frame};
  const Hash checksum = reader.array<checksum_size>();
  reader.u32();
  const std::uint8_t kind = reader.u8();
  reader.zeros(3);
  const Id128 of = reader.array<16>();
  const std::uint64_t ticket = reader.u64();
  if (reader.failed() || of != cluster ||
      crypto::blake3(frame.subspan(checksum_size)) != checksum) {
    return std::nullopt;
  }
  return PeerFrame{.kind = kind, .ticket = ticket, .rest = reader};
}

}  // namespace kimberlite::engine
