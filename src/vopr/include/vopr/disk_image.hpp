// The bytes of a simulated disk: what is left when the power has gone, and what the next start
// finds.
//
// A value; a copy shares 4 KiB chunks with its source until one of them changes, and chunks never
// written cost nothing, so a ring of 64 MiB is cheap to copy. Paths are those of `env::Storage`.
// Asking for a file or byte that is not there is a bug and aborts. Thread rule: one thread at a
// time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace kimberlite::vopr {

// A file's bytes, sparse and copied on write.
class FileBytes {
 public:
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Bytes read; fewer than asked for only at the end.
  std::size_t read(std::uint64_t offset, MutBytes to) const;
  void write(std::uint64_t offset, Bytes from);
  void resize(std::uint64_t size);

  // Each chunk that is not all zeros: `visit(offset, bytes)`, in order.
  template <class Visit>
  void for_each_chunk(Visit visit) const {
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
      if (chunks_[i] != nullptr && !all_zero(*chunks_[i]))
        visit(i * chunk_size, Bytes{*chunks_[i]});
    }
  }

  // What all of them in this process hold, to tell it from the memory of what runs on them.
  [[nodiscard]] static std::uint64_t bytes_held() { return chunk_size * chunks_held; }

 private:
  static constexpr std::size_t chunk_size = 4096;
  inline static std::uint64_t chunks_held = 0;
  struct Chunk : std::array<std::byte, chunk_size> {
    Chunk() : array{} { ++chunks_held; }
    Chunk(const Chunk& other) : array{other} { ++chunks_held; }
    Chunk& operator=(const Chunk&) = delete;
    ~Chunk() { --chunks_held; }
  };

  Chunk& writable(std::size_t index);

  std::vector<std::shared_ptr<Chunk>> chunks_;  // null: zeros
  std::uint64_t size_ = 0;
};

class DiskImage {
 public:
  struct File {
    FileBytes bytes;
    bool device = false;  // made by `open_device`
  };

  // Every path, sorted.
  [[nodiscard]] std::vector<std::string> paths() const;
  [[nodiscard]] bool contains(std::string_view path) const { return files_.contains(path); }
  [[nodiscard]] std::uint64_t size(std::string_view path) const { return file(path).bytes.size(); }
  [[nodiscard]] Buffer read(std::string_view path) const;
  [[nodiscard]] std::byte at(std::string_view path, std::uint64_t offset) const;
  // True if every byte of the 4 KiB sector at `offset` is zero.
  [[nodiscard]] bool is_zero_sector(std::string_view path, std::uint64_t offset) const;

  void flip(std::string_view path, std::uint64_t offset, std::byte mask = std::byte{1});
  // The whole content of a file, made if it is not there.
  void write(std::string_view path, Bytes content);
  void truncate(std::string_view path, std::uint64_t size);
  void remove(std::string_view path);
  void put(std::string_view path, File file);

  [[nodiscard]] const std::map<std::string, File, std::less<>>& files() const { return files_; }

  // Equal exactly when paths, sizes and bytes are.
  [[nodiscard]] Hash digest() const;
  // True if `text` stands in a file, which is then named; for canaries.
  [[nodiscard]] std::vector<std::string> paths_containing(Bytes text) const;

 private:
  [[nodiscard]] const File& file(std::string_view path) const;
  [[nodiscard]] File& file(std::string_view path);

  std::map<std::string, File, std::less<>> files_;
};

}  // namespace kimberlite::vopr
