// SQLite's write-ahead log as its file format defines it, read without SQLite: which frames are
// live.
//
// Source: sqlite.org/fileformat2.html §4. A frame continues the chain if its generation is the
// header's, its page authenticates and the running checksum over header and plain page is the one
// it states; the chain's last frame with a commit size ends the live part. Thread rule: values.
#pragma once

#include <cstdint>
#include <map>

#include "base/result.hpp"
#include "env/env.hpp"
#include "vfs_seal.hpp"

namespace kimberlite::projection {

// SQLite's files are big-endian.
[[nodiscard]] std::uint32_t load_be32(const std::byte* from);
void store_be32(std::byte* to, std::uint32_t value);

[[nodiscard]] Generation generation_in_wal_header(
    std::span<const std::byte, wal_header_size> header);
[[nodiscard]] Generation generation_in_frame(FrameHeader header);
// Number of pages of the database after the transaction this frame ends; 0 if it ends none.
[[nodiscard]] std::uint32_t commit_size(FrameHeader header);

enum class WalHeader : std::uint8_t {
  none,     // empty, or cut or zeroed by a crash before it was durable: no frame was ever written
  valid,    //
  damaged,  //
};

struct WalScan {
  std::uint64_t size = 0;
  WalHeader header = WalHeader::none;
  Generation generation = 0;
  std::uint32_t chain_frames = 0;  // in the chain, committed or not
  std::uint32_t live_frames = 0;   // up to the last commit
  std::uint32_t commit_size = 0;   // of the last commit
  // Behind the chain stand frames of the same generation: rolled back and partly written over, torn
  // by a power failure, or damaged. Only the last two can have a commit among them: a process
  // writes over no commit, and an open cuts off what a crash left.
  bool leftover = false;
  bool lost_commit = false;
  std::map<std::uint32_t, std::uint32_t> pages;  // page number → its newest live frame

  [[nodiscard]] std::uint64_t live_size() const {
    return live_frames == 0 ? 0 : frame_offset(live_frames + 1);
  }
};

// Fails only if the file cannot be read.
[[nodiscard]] Result<WalScan> scan_wal(env::File& wal, const PageSealer& sealer);

}  // namespace kimberlite::projection
