// A log's tree as files that anyone may be given: a signed head, and the tiles that lead to it.
//
//   <directory>/checkpoint               the signed head, as a note
//   <directory>/tile/<level>/<number>    as record/tile.hpp names them
//
// Hashes only: an entry never leaves the database this way, so there is no `tile/entries`. Whoever
// has a receipt, or an entry, finds it in the tree with these files alone.
//
// (T1) A tile that is there is never written again: another one of the log could only be wrong.
// (T2) Each file appears whole (another name, then `rename`), and the checkpoint after all tiles it
//      needs: what stands there at any time is a tree and the head that signs it.
// (T3) The checkpoint is replaced only by one of a tree that begins with the tree of the former.
//
// Source: C2SP tlog-tiles. Thread rule: one writer of a directory at a time; `publish` looks at it
// before it writes, and does not lock it.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "env/env.hpp"
#include "log/head_file.hpp"
#include "record/tile.hpp"

namespace kimberlite::log {

// The log whose tree it is.
class TileSource {
 public:
  virtual ~TileSource() = default;
  // As `TenantLog::tile`.
  virtual Result<Buffer> tile(const record::TileName& name, const Tree& in) = 0;
  // As `TenantLog::root_at`.
  virtual Result<Hash> root_at(std::uint64_t size) = 0;
};

struct Published {
  std::uint64_t tiles = 0;    // of the tree
  std::uint64_t written = 0;  // of them, that were not there yet
};

// Publishes the tree of `head`, a head the source's log has signed, into `directory`. Memory is
// bounded by a tile.
//
// Errors, with the file they are about: `integrity.tile` for a tile there with other bytes,
// `integrity.rollback` and `integrity.consistency` for a checkpoint there that `head` does not
// extend, `integrity.foreign_file` for that of another log; those of `TileSource`. Nothing is
// written after an error, and the checkpoint is then the one that was there.
[[nodiscard]] Result<Published> publish(env::Storage& storage, std::string_view directory,
                                        const StoredHead& head, TileSource& source);

}  // namespace kimberlite::log
