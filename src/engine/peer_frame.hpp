// The head of what engines say to each other beside consensus: states taken (state_sync.hpp),
// records mended (mender.hpp) and writes forwarded (forward.hpp), each under a magic of its own.
//
//   checksum 32 (BLAKE3 of all the rest) · magic u32 · kind u8 · zero 3 · cluster 16 · ticket u64 ·
//   what the kind has
//
// Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/codec.hpp"
#include "base/ids.hpp"

namespace kimberlite::engine {

inline constexpr std::size_t peer_frame_head = 32 + 4 + 4 + 16 + 8;

struct PeerFrame {
  std::uint8_t kind = 0;
  std::uint64_t ticket = 0;
  Reader rest;
};

[[nodiscard]] bool is_peer_frame(Bytes frame, std::uint32_t magic);
// To be appended to, then sealed.
[[nodiscard]] Writer begin_peer_frame(std::uint32_t magic, std::uint8_t kind, const Id128& cluster,
                                      std::uint64_t ticket);
[[nodiscard]] Buffer seal_peer_frame(Writer&& frame);
// Of a frame that `is_peer_frame`; nothing if it is damaged, or of another cluster.
[[nodiscard]] std::optional<PeerFrame> open_peer_frame(Bytes frame, const Id128& cluster);

}  // namespace kimberlite::engine
