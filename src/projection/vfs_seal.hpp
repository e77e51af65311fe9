// Pages and WAL frames of a projection file, sealed in place. The layout is the one vfs.hpp states.
//
// Thread rule: const; safe from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/aead.hpp"
#include "crypto/key.hpp"
#include "env/env.hpp"

namespace kimberlite::projection {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t page_reserved = 56;  // nonce, tag, origin
inline constexpr std::size_t page_usable = page_size - page_reserved;
inline constexpr std::size_t frame_header_size = 24;
inline constexpr std::size_t frame_size = frame_header_size + page_size;
inline constexpr std::size_t wal_header_size = 32;

// SQLite's lock-byte page stands at 1 GiB and is never written: a hole.
inline constexpr std::uint32_t lock_page = (1U << 30U) / page_size + 1;

static_assert(page_reserved == crypto::xaes_nonce_size + crypto::tag_size + 16);

using Page = std::span<std::byte, page_size>;
using Generation = std::uint64_t;  // both salts of a WAL header, as they stand there

// What a database page written by a checkpoint rests on: this many frames of that WAL generation
// were committed and durable when it was written.
struct Origin {
  Generation generation = 0;
  std::uint32_t frames = 0;
};

// Where the frame with this number, from 1, starts in the WAL; and SQLite's frame header.
[[nodiscard]] constexpr std::uint64_t frame_offset(std::uint32_t frame) {
  return wal_header_size + std::uint64_t{frame - 1} * frame_size;
}
using FrameHeader = std::span<const std::byte, frame_header_size>;

class PageSealer {
 public:
  PageSealer(crypto::Key256 key, const Id128& file_id) : key_(std::move(key)), file_id_(file_id) {}

  // Both take a page whose reserved bytes are zero (asserted) and leave it sealed.
  void seal_page(std::uint32_t number, const Origin& origin, Page page, env::Random& random) const;
  // `generation` is the WAL header's: while SQLite rewrites frames of a transaction, their own say
  // 0.
  void seal_frame(std::uint32_t frame, Generation generation, FrameHeader header, Page page,
                  env::Random& random) const;

  // Both leave the page as it was before it was sealed, reserved bytes zero; false if it was not
  // sealed so, and the page is then wiped.
  [[nodiscard]] bool open_page(std::uint32_t number, Page page) const;
  [[nodiscard]] bool open_frame(std::uint32_t frame, Generation generation, FrameHeader header,
                                Page page) const;

  // Of a sealed page; means nothing before the page has been opened.
  [[nodiscard]] static Origin origin_of(std::span<const std::byte, page_size> page);

 private:
  using Associated = std::array<std::byte, 48>;
  [[nodiscard]] Associated associated(std::byte kind, std::uint32_t number, Bytes context) const;
  [[nodiscard]] Associated frame_associated(std::uint32_t frame, Generation generation,
                                            FrameHeader header) const;
  void seal(const Associated& associated, Page page, env::Random& random) const;
  [[nodiscard]] bool open(const Associated& associated, Page page) const;

  crypto::Key256 key_;
  Id128 file_id_;
};

}  // namespace kimberlite::projection
