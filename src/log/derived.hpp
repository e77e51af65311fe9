// The files of a log that are derived from its segments: where each frame begins, and the tree's
// nodes of every eighth level.
//
// A file is a run of entries of one size, entry n at n × size. Those of a log of `records` records
// are `complete` if each file holds at least what that many records give; otherwise appending
// leaves them alone until they are made again. Thread rule: the log's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "env/env.hpp"
#include "record/frontier.hpp"
#include "record/tree_core.hpp"

namespace kimberlite::log {

inline constexpr std::size_t offset_size = 8;
inline constexpr std::size_t hash_size = 32;
inline constexpr std::string_view offsets_name = "offsets";
inline constexpr std::string_view tiles_name = "tiles";

// Entries of the tile file `level` in a tree of `records` leaves.
[[nodiscard]] constexpr std::uint64_t tile_hashes(std::uint64_t records, std::uint32_t level) {
  return records >> (record::tile_height * level);
}

class FlatFile {
 public:
  FlatFile(env::Storage& storage, std::string path, std::size_t entry_size)
      : storage_(&storage), path_(std::move(path)), entry_size_(entry_size) {}

  // Looks what is there, and goes on behind the first `entries`. False if there are fewer.
  [[nodiscard]] Result<bool> open(std::uint64_t entries);
  void push(Bytes entry);
  // Writes what was pushed. The file is made when it gets its first entry.
  [[nodiscard]] Status flush();
  // Entries [first, first + to.size() / entry size), whether flushed or not.
  [[nodiscard]] Status read(std::uint64_t first, MutBytes to);
  // Cuts off everything behind the entries there are.
  [[nodiscard]] Status cut();

  [[nodiscard]] std::uint64_t entries() const { return flushed_ + pending_.size() / entry_size_; }
  // Of them, not yet flushed.
  [[nodiscard]] std::uint64_t pending() const { return pending_.size() / entry_size_; }

 private:
  [[nodiscard]] Status ensure_file(env::Open mode);

  env::Storage* storage_;
  std::string path_;
  std::size_t entry_size_;
  std::unique_ptr<env::File> file_;
  std::uint64_t flushed_ = 0;
  Buffer pending_;
};

class Derived {
 public:
  Derived(env::Storage& storage, const std::string& directory);

  [[nodiscard]] Status open(std::uint64_t records);
  [[nodiscard]] bool complete() const { return complete_; }
  // Makes them those of an empty log, to be filled again; they are not complete before `rebuilt`.
  [[nodiscard]] Status reset();
  void rebuilt() { complete_ = true; }

  // The record whose frame begins at `offset` of all frames; `before` is the frontier without it.
  void append(std::uint64_t offset, const Hash& leaf, const record::Frontier& before);
  [[nodiscard]] bool worth_flushing() const;
  [[nodiscard]] Status flush();
  [[nodiscard]] Status cut();

  [[nodiscard]] Result<std::uint64_t> offset(Position position);
  // Hashes [first, first + to.size()) of the level's file.
  [[nodiscard]] Status hashes(std::uint32_t level, std::uint64_t first, std::span<Hash> to);

 private:
  FlatFile offsets_;
  std::vector<FlatFile> tiles_;  // by level
  bool complete_ = false;
};

}  // namespace kimberlite::log
