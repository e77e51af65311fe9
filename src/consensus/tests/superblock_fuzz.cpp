// Changes to a whole superblock, checksums made right again or not: refused, or read as what,
// written again, reads the same. Input: runs of (copy and flag u8, offset u16, value u8).
#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/le.hpp"
#include "consensus/superblock.hpp"
#include "crypto/blake3.hpp"

using namespace kimberlite;
using namespace kimberlite::consensus;

namespace {

using File = std::array<std::byte, superblock_size>;

File sample() {
  Genesis genesis;
  genesis.cluster.fill(std::byte{1});
  std::array<Id128, 4> ids{};
  for (Id128& id : ids) id.fill(std::byte{2});
  genesis.configuration = first_configuration(ids, 3);
  Superblock superblock = first_superblock(genesis);
  superblock.view = superblock.log_view = ViewNumber{5};
  PrepareHeader header = root_prepare(genesis.cluster);
  for (std::uint64_t op = 1; op <= 3; ++op) {
    header.parent = header.checksum;
    header.op = OpNumber{op};
    header.timestamp = next_timestamp(header);
    std::array<std::byte, prepare_header_size> bytes{};
    encode_prepare(header, bytes);
    superblock.view_headers.push_back(header);
  }
  File file{};
  encode_superblock(superblock, file);
  return file;
}

void make_right(File& file, std::size_t copy) {
  const std::span<std::byte> sector = std::span(file).subspan(copy * sector_size, sector_size);
  std::ranges::copy(crypto::blake3(Bytes(sector.subspan(32))), sector.begin());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const File whole = sample();
  File file = whole;
  for (std::size_t i = 0; i + 4 <= size; i += 4) {
    const std::size_t copy = data[i] & 3U;
    const bool all = (data[i] & 4U) != 0;  // the same change in every copy
    const std::size_t offset = load_le<std::uint16_t>(data + i + 1) % sector_size;
    for (std::size_t c = 0; c < superblock_copies; ++c) {
      if (!all && c != copy) continue;
      file[c * sector_size + offset] = std::byte{data[i + 3]};
      if ((data[i] & 8U) != 0) make_right(file, c);
    }
  }
  const auto read = read_superblock(file);
  if (!read) {
    if (read.error().what().empty()) std::abort();
    return 0;
  }
  File again{};
  encode_superblock(read->superblock, again);
  const auto second = read_superblock(again);
  if (!second || second->superblock != read->superblock || !second->findings.empty()) std::abort();
  auto order = read->order;
  std::ranges::sort(order);
  if (order != healthy_order) std::abort();
  return 0;
}
