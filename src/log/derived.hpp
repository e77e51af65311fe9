// The files of a log that are derived from its segments: where each frame begins, and the tree's
// nodes of every fourth height. Those of heights 0, 8, 16, … are the tiles others read; those
// between them are for proofs alone, which have 22 nodes of a tile to hash with them, and 247
// without.
//
// A file is a run of entries of one size, entry n at n × size. Those of a log of `records` records
// are `complete` if each file holds at least what that many records give; otherwise appending
// leaves them alone until they are made again. Thread rule: the log's.
#pragma once

#include <array>
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
inline constexpr std::string_view tiles_name = "tiles";  // tiles/<height / 8>
inline constexpr std::string_view nodes_name = "nodes";  // nodes/<height>
inline constexpr std::uint32_t height_step = record::tile_height / 2;
inline constexpr std::uint32_t height_count = 2 * record::tile_levels;

// "tiles/1" for height 8, "nodes/12" for height 12.
[[nodiscard]] std::string tree_file_name(std::uint32_t height);
// Entries of the file of nodes of `height` in a tree of `records` leaves.
[[nodiscard]] constexpr std::uint64_t nodes_of_height(std::uint64_t records, std::uint32_t height) {
  return records >> height;
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
  // Hashes [first, first + to.size()) of the tile level's file.
  [[nodiscard]] Status hashes(std::uint32_t level, std::uint64_t first, std::span<Hash> to);
  // Any node that lies wholly in the tree.
  [[nodiscard]] Result<Hash> node(record::TreeNode node);

 private:
  // A tile's nodes of one height as they were last read: a proof asks for several of the same.
  struct Window {
    std::uint64_t first = 0;
    std::vector<Hash> hashes;
  };
  [[nodiscard]] Result<std::span<const Hash>> window(std::uint32_t step, std::uint64_t first,
                                                     std::uint64_t count);

  FlatFile offsets_;
  std::vector<FlatFile> tree_;  // by height / height_step
  std::array<Window, height_count> windows_;
  bool complete_ = false;
};

}  // namespace kimberlite::log
