#include "vfs_wal.hpp"

#include <algorithm>
#include <vector>

#include "base/le.hpp"

namespace kimberlite::projection {
namespace {

constexpr std::uint32_t magic_little = 0x377F0682;  // checksums over little-endian words
constexpr std::uint32_t magic_big = 0x377F0683;
constexpr std::uint32_t wal_version = 3'007'000;
constexpr std::size_t generation_in_header_at = 16;
constexpr std::size_t generation_in_frame_at = 8;
constexpr std::size_t half_generation = 4;

struct Checksum {
  bool big_endian = false;
  std::uint32_t first = 0;
  std::uint32_t second = 0;

  // `bytes` is a multiple of 8.
  void add(Bytes bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
      first += word(&bytes[i]) + second;
      second += word(&bytes[i + 4]) + first;
    }
  }
  [[nodiscard]] bool stands_at(const std::byte* at) const {
    return load_be32(at) == first && load_be32(at + 4) == second;
  }

 private:
  [[nodiscard]] std::uint32_t word(const std::byte* at) const {
    return big_endian ? load_be32(at) : load_le<std::uint32_t>(at);
  }
};

WalHeader check_header(std::span<const std::byte, wal_header_size> header, Checksum& checksum) {
  const std::uint32_t magic = load_be32(&header[0]);
  checksum.big_endian = magic == magic_big;
  checksum.add(header.first<24>());
  const bool valid = (magic == magic_little || magic == magic_big) &&
                     load_be32(&header[4]) == wal_version && load_be32(&header[8]) == page_size &&
                     checksum.stands_at(&header[24]);
  if (valid) return WalHeader::valid;
  return all_zero(header) ? WalHeader::none : WalHeader::damaged;
}

// One frame in `bytes`, which are opened in place.
bool continues_chain(std::uint32_t number, std::span<std::byte, frame_size> bytes,
                     Generation generation, const PageSealer& sealer, Checksum& checksum) {
  const FrameHeader header = bytes.first<frame_header_size>();
  const Page page = bytes.subspan<frame_header_size>();
  if (load_be32(&header[0]) == 0 || generation_in_frame(header) != generation) return false;
  if (!sealer.open_frame(number, generation, header, page)) return false;
  checksum.add(header.first<8>());
  checksum.add(page);
  return checksum.stands_at(&header[16]);
}

// A flipped byte spoils one half of the generation at most.
bool has_half_generation(Bytes frame, Bytes wal_header) {
  if (frame.size() < generation_in_frame_at + 2 * half_generation) return false;
  const Bytes mine = frame.subspan(generation_in_frame_at, 2 * half_generation);
  const Bytes current = wal_header.subspan(generation_in_header_at, 2 * half_generation);
  return equal(mine.first(half_generation), current.first(half_generation)) ||
         equal(mine.last(half_generation), current.last(half_generation));
}

}  // namespace

std::uint32_t load_be32(const std::byte* from) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8U | std::to_integer<std::uint32_t>(from[i]);
  return value;
}

void store_be32(std::byte* to, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) to[i] = static_cast<std::byte>(value >> (24 - 8 * i));
}

Generation generation_in_wal_header(std::span<const std::byte, wal_header_size> header) {
  return load_le<std::uint64_t>(&header[generation_in_header_at]);
}

Generation generation_in_frame(FrameHeader header) {
  return load_le<std::uint64_t>(&header[generation_in_frame_at]);
}

std::uint32_t commit_size(FrameHeader header) { return load_be32(&header[4]); }

Result<WalScan> scan_wal(env::File& wal, const PageSealer& sealer) {
  WalScan scan;
  KIMBERLITE_TRY(scan.size, wal.size());
  std::array<std::byte, wal_header_size> header{};
  KIMBERLITE_TRY(const std::size_t got, wal.read_at(0, header));
  // Without a whole header SQLite never wrote a frame: it syncs the header first.
  if (got < wal_header_size) return scan;
  Checksum checksum;
  scan.header = check_header(header, checksum);
  if (scan.header != WalHeader::valid) return scan;
  scan.generation = generation_in_wal_header(header);

  std::array<std::byte, frame_size> frame{};
  std::map<std::uint32_t, std::uint32_t> uncommitted;
  bool in_chain = true;
  for (std::uint32_t number = 1; frame_offset(number) < scan.size; ++number) {
    KIMBERLITE_TRY(const std::size_t size, wal.read_at(frame_offset(number), frame));
    const bool same = has_half_generation(Bytes{frame}.first(size), header);
    const bool commits = commit_size(std::span{frame}.first<frame_header_size>()) != 0;
    in_chain = in_chain && size == frame_size &&
               continues_chain(number, frame, scan.generation, sealer, checksum);
    if (!in_chain) {
      scan.leftover = scan.leftover || same;
      scan.lost_commit = scan.lost_commit || (same && commits);
      continue;
    }
    const FrameHeader opened = std::span{frame}.first<frame_header_size>();
    scan.chain_frames = number;
    uncommitted[load_be32(&opened[0])] = number;
    if (!commits) continue;
    scan.live_frames = number;
    scan.commit_size = commit_size(opened);
    for (const auto& [page, at] : uncommitted) scan.pages[page] = at;
    uncommitted.clear();
  }
  return scan;
}

}  // namespace kimberlite::projection
