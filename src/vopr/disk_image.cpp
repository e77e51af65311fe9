#include "vopr/disk_image.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "base/checked.hpp"
#include "base/le.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::vopr {

std::size_t FileBytes::read(std::uint64_t offset, MutBytes to) const {
  if (offset >= size_) return 0;
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), size_ - offset));
  for (std::size_t done = 0; done < count;) {
    const auto at = static_cast<std::size_t>((offset + done) % chunk_size);
    const std::size_t part = std::min(chunk_size - at, count - done);
    const auto& chunk = chunks_[static_cast<std::size_t>((offset + done) / chunk_size)];
    const MutBytes into = to.subspan(done, part);
    if (chunk == nullptr) {
      std::memset(into.data(), 0, part);
    } else {
      std::memcpy(into.data(), chunk->data() + at, part);
    }
    done += part;
  }
  return count;
}

void FileBytes::write(std::uint64_t offset, Bytes from) {
  if (offset + from.size() > size_) resize(offset + from.size());
  for (std::size_t done = 0; done < from.size();) {
    const auto at = static_cast<std::size_t>((offset + done) % chunk_size);
    const std::size_t part = std::min(chunk_size - at, from.size() - done);
    Chunk& chunk = writable(static_cast<std::size_t>((offset + done) / chunk_size));
    std::memcpy(chunk.data() + at, from.data() + done, part);
    done += part;
  }
}

void FileBytes::resize(std::uint64_t size) {
  chunks_.resize(static_cast<std::size_t>(round_up(size, chunk_size) / chunk_size));
  // What lies past the end reads as zeros if the file grows again.
  if (size < size_ && size % chunk_size != 0 && chunks_.back() != nullptr) {
    Chunk& last = writable(chunks_.size() - 1);
    std::fill(last.begin() + static_cast<std::ptrdiff_t>(size % chunk_size), last.end(),
              std::byte{0});
  }
  size_ = size;
}

FileBytes::Chunk& FileBytes::writable(std::size_t index) {
  auto& chunk = chunks_[index];
  if (chunk == nullptr) {
    chunk = std::make_shared<Chunk>();
  } else if (chunk.use_count() > 1) {
    chunk = std::make_shared<Chunk>(*chunk);
  }
  return *chunk;
}

std::vector<std::string> DiskImage::paths() const {
  std::vector<std::string> all;
  all.reserve(files_.size());
  for (const auto& [path, file] : files_) all.push_back(path);
  return all;
}

const DiskImage::File& DiskImage::file(std::string_view path) const {
  const auto found = files_.find(path);
  KIMBERLITE_ASSERT(found != files_.end());
  return found->second;
}

DiskImage::File& DiskImage::file(std::string_view path) {
  const auto found = files_.find(path);
  KIMBERLITE_ASSERT(found != files_.end());
  return found->second;
}

Buffer DiskImage::read(std::string_view path) const {
  Buffer all(static_cast<std::size_t>(size(path)));
  file(path).bytes.read(0, all);
  return all;
}

std::byte DiskImage::at(std::string_view path, std::uint64_t offset) const {
  std::byte one{};
  KIMBERLITE_ASSERT(file(path).bytes.read(offset, {&one, 1}) == 1);
  return one;
}

bool DiskImage::is_zero_sector(std::string_view path, std::uint64_t offset) const {
  std::array<std::byte, 4096> sector{};
  file(path).bytes.read(offset, sector);
  return all_zero(sector);
}

void DiskImage::flip(std::string_view path, std::uint64_t offset, std::byte mask) {
  const std::byte flipped = at(path, offset) ^ mask;
  file(path).bytes.write(offset, {&flipped, 1});
}

void DiskImage::write(std::string_view path, Bytes content) {
  FileBytes& bytes = files_[std::string{path}].bytes;
  bytes.resize(0);
  bytes.write(0, content);
}

void DiskImage::truncate(std::string_view path, std::uint64_t size) {
  file(path).bytes.resize(size);
}

void DiskImage::remove(std::string_view path) {
  const auto found = files_.find(path);
  KIMBERLITE_ASSERT(found != files_.end());
  files_.erase(found);
}

void DiskImage::put(std::string_view path, File file) {
  files_.insert_or_assign(std::string{path}, std::move(file));
}

Hash DiskImage::digest() const {
  crypto::Blake3 hash;
  const auto number = [&hash](std::uint64_t value) {
    std::array<std::byte, 8> bytes{};
    store_le(bytes.data(), value);
    hash.update(bytes);
  };
  for (const auto& [path, file] : files_) {
    number(path.size());
    hash.update(bytes_of(path));
    number(file.bytes.size());
    file.bytes.for_each_chunk([&](std::uint64_t offset, Bytes chunk) {
      number(offset);
      hash.update(chunk);
    });
    number(UINT64_MAX);  // no chunk stands there: the end of this file's
  }
  return hash.finish();
}

std::vector<std::string> DiskImage::paths_containing(Bytes text) const {
  std::vector<std::string> found;
  for (const auto& [path, file] : files_) {
    // Chunks with what precedes them, so that a text across a border is seen.
    Buffer window;
    std::uint64_t end = UINT64_MAX;
    bool seen = false;
    file.bytes.for_each_chunk([&](std::uint64_t offset, Bytes chunk) {
      if (offset != end) window.clear();
      if (window.size() > text.size()) {
        window.erase(window.begin(), window.end() - static_cast<std::ptrdiff_t>(text.size()));
      }
      append(window, chunk);
      end = offset + chunk.size();
      seen = seen || !std::ranges::search(window, text).empty();
    });
    if (seen) found.push_back(path);
  }
  return found;
}

}  // namespace kimberlite::vopr
