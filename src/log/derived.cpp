#include "derived.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/assert.hpp"
#include "base/le.hpp"

namespace kimberlite::log {
namespace {

constexpr std::uint64_t worth_flushing_entries = 4096;

}  // namespace

Status FlatFile::ensure_file(env::Open mode) {
  if (file_ != nullptr) return {};
  KIMBERLITE_TRY(file_, storage_->open(path_, mode));
  return {};
}

Result<bool> FlatFile::open(std::uint64_t entries) {
  file_.reset();
  pending_.clear();
  flushed_ = 0;
  if (entries == 0) return true;
  if (const Status opened = ensure_file(env::Open::write); !opened) {
    if (opened.error().code() == Code::not_found_file) return false;
    return opened.error();
  }
  KIMBERLITE_TRY(const std::uint64_t size, file_->size());
  if (size / entry_size_ < entries) return false;
  flushed_ = entries;
  return true;
}

void FlatFile::push(Bytes entry) {
  KIMBERLITE_ASSERT(entry.size() == entry_size_);
  base::append(pending_, entry);
}

Status FlatFile::flush() {
  if (pending_.empty()) return {};
  KIMBERLITE_CHECK(ensure_file(env::Open::create));
  KIMBERLITE_CHECK(file_->write_at(flushed_ * entry_size_, pending_));
  flushed_ += pending_.size() / entry_size_;
  pending_.clear();
  return {};
}

Status FlatFile::read(std::uint64_t first, MutBytes to) {
  KIMBERLITE_ASSERT(first + to.size() / entry_size_ <= entries());
  const std::uint64_t on_disk = first < flushed_ ? (flushed_ - first) * entry_size_ : 0;
  const MutBytes from_file = to.first(std::min<std::uint64_t>(on_disk, to.size()));
  if (!from_file.empty()) {
    KIMBERLITE_TRY(const std::size_t got, file_->read_at(first * entry_size_, from_file));
    if (got < from_file.size()) {
      return Error{Code::integrity_offsets, "a derived file became shorter"}.where("{}", path_);
    }
  }
  const MutBytes rest = to.subspan(from_file.size());
  const std::uint64_t start = std::max(first, flushed_) - flushed_;
  copy_bytes(rest, Bytes{pending_}.subspan(start * entry_size_, rest.size()));
  return {};
}

Status FlatFile::cut() {
  KIMBERLITE_CHECK(flush());
  if (file_ == nullptr) return {};
  KIMBERLITE_TRY(const std::uint64_t size, file_->size());
  if (size == flushed_ * entry_size_) return {};
  return file_->truncate(flushed_ * entry_size_);
}

Derived::Derived(env::Storage& storage, const std::string& directory)
    : offsets_(storage, fmt::format("{}/{}", directory, offsets_name), offset_size) {
  for (std::uint32_t step = 0; step < height_count; ++step) {
    tree_.emplace_back(storage, fmt::format("{}/{}", directory, tree_file_name(step * height_step)),
                       hash_size);
  }
}

Status Derived::open(std::uint64_t records) {
  complete_ = false;  // whatever fails on the way
  windows_ = {};
  KIMBERLITE_TRY(bool complete, offsets_.open(records));
  for (std::uint32_t step = 0; step < height_count; ++step) {
    KIMBERLITE_TRY(const bool enough,
                   tree_[step].open(nodes_of_height(records, step * height_step)));
    complete = complete && enough;
  }
  complete_ = complete;
  return {};
}

Status Derived::reset() {
  complete_ = false;
  KIMBERLITE_TRY(const bool empty, offsets_.open(0));
  KIMBERLITE_ASSERT(empty);
  for (FlatFile& file : tree_) KIMBERLITE_CHECK(file.open(0));
  windows_ = {};
  return {};
}

void Derived::append(std::uint64_t offset, const Hash& leaf, const record::Frontier& before) {
  KIMBERLITE_ASSERT(offsets_.entries() == before.size());
  std::array<std::byte, offset_size> encoded;
  store_le(encoded.data(), offset);
  offsets_.push(encoded);
  tree_[0].push(leaf);
  // A node of height h is there once 2^h more leaves are.
  const std::uint32_t steps = record::trailing_zeros(before.size() + 1) / height_step;
  for (std::uint32_t step = 1; step <= steps && step < tree_.size(); ++step) {
    tree_[step].push(before.completed(leaf, step * height_step));
  }
}

bool Derived::worth_flushing() const { return offsets_.pending() >= worth_flushing_entries; }

Status Derived::flush() {
  KIMBERLITE_CHECK(offsets_.flush());
  for (FlatFile& file : tree_) KIMBERLITE_CHECK(file.flush());
  return {};
}

Status Derived::cut() {
  KIMBERLITE_CHECK(offsets_.cut());
  for (FlatFile& file : tree_) KIMBERLITE_CHECK(file.cut());
  return {};
}

Result<std::uint64_t> Derived::offset(Position position) {
  std::array<std::byte, offset_size> encoded;
  KIMBERLITE_CHECK(offsets_.read(position.value() - 1, encoded));
  return load_le<std::uint64_t>(encoded.data());
}

Status Derived::hashes(std::uint32_t level, std::uint64_t first, std::span<Hash> to) {
  return tree_[std::size_t{2} * level].read(first, std::as_writable_bytes(to));
}

// The hashes [first, first + count) of a file, which lie in one tile; read with the rest of it.
Result<std::span<const Hash>> Derived::window(std::uint32_t step, std::uint64_t first,
                                              std::uint64_t count) {
  const std::uint64_t width =
      step % 2 == 0 ? record::tile_width : record::tile_width >> height_step;
  const std::uint64_t begin = first - first % width;
  KIMBERLITE_ASSERT(first + count <= begin + width);
  Window& window = windows_.at(step);
  // Nodes never change; there may be more of them than when the window was read.
  if (window.first != begin || window.hashes.size() < first + count - begin) {
    window.first = begin;
    window.hashes.resize(std::min(width, tree_[step].entries() - begin));
    const Status read = tree_[step].read(begin, std::as_writable_bytes(std::span{window.hashes}));
    if (!read) {
      window.hashes.clear();
      return read.error();
    }
  }
  return std::span<const Hash>{window.hashes}.subspan(first - begin, count);
}

Result<Hash> Derived::node(record::TreeNode node) {
  const std::uint32_t step = node.level / height_step;
  const std::uint32_t above = node.level % height_step;
  KIMBERLITE_TRY(const std::span<const Hash> below,
                 window(step, node.index << above, std::uint64_t{1} << above));
  std::array<Hash, std::size_t{1} << height_step> hashes;
  std::ranges::copy(below, hashes.begin());
  for (std::size_t count = below.size() / 2; count > 0; count /= 2) {
    for (std::size_t i = 0; i < count; ++i) {
      hashes.at(i) = record::node_hash(hashes.at(2 * i), hashes.at(2 * i + 1));
    }
  }
  return hashes.front();
}

std::string tree_file_name(std::uint32_t height) {
  return height % record::tile_height == 0
             ? fmt::format("{}/{}", tiles_name, height / record::tile_height)
             : fmt::format("{}/{}", nodes_name, height);
}

}  // namespace kimberlite::log
