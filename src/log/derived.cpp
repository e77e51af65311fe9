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
  for (std::uint32_t level = 0; level < record::tile_levels; ++level) {
    tiles_.emplace_back(storage, fmt::format("{}/{}/{}", directory, tiles_name, level), hash_size);
  }
}

Status Derived::open(std::uint64_t records) {
  KIMBERLITE_TRY(complete_, offsets_.open(records));
  for (std::uint32_t level = 0; level < record::tile_levels; ++level) {
    KIMBERLITE_TRY(const bool enough, tiles_[level].open(tile_hashes(records, level)));
    complete_ = complete_ && enough;
  }
  return {};
}

Status Derived::reset() {
  complete_ = false;
  KIMBERLITE_TRY(const bool empty, offsets_.open(0));
  KIMBERLITE_ASSERT(empty);
  for (FlatFile& level : tiles_) KIMBERLITE_CHECK(level.open(0));
  return {};
}

void Derived::append(std::uint64_t offset, const Hash& leaf, const record::Frontier& before) {
  KIMBERLITE_ASSERT(offsets_.entries() == before.size());
  std::array<std::byte, offset_size> encoded;
  store_le(encoded.data(), offset);
  offsets_.push(encoded);
  tiles_[0].push(leaf);
  // A node of level 8 L is there once 256^L more leaves are.
  const std::uint32_t complete_levels =
      record::trailing_zeros(before.size() + 1) / record::tile_height;
  for (std::uint32_t level = 1; level <= complete_levels && level < tiles_.size(); ++level) {
    tiles_[level].push(before.completed(leaf, level * record::tile_height));
  }
}

bool Derived::worth_flushing() const { return offsets_.pending() >= worth_flushing_entries; }

Status Derived::flush() {
  KIMBERLITE_CHECK(offsets_.flush());
  for (FlatFile& level : tiles_) KIMBERLITE_CHECK(level.flush());
  return {};
}

Status Derived::cut() {
  KIMBERLITE_CHECK(offsets_.cut());
  for (FlatFile& level : tiles_) KIMBERLITE_CHECK(level.cut());
  return {};
}

Result<std::uint64_t> Derived::offset(Position position) {
  std::array<std::byte, offset_size> encoded;
  KIMBERLITE_CHECK(offsets_.read(position.value() - 1, encoded));
  return load_le<std::uint64_t>(encoded.data());
}

Status Derived::hashes(std::uint32_t level, std::uint64_t first, std::span<Hash> to) {
  return tiles_[level].read(first, std::as_writable_bytes(to));
}

}  // namespace kimberlite::log
