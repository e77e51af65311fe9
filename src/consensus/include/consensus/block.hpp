// Memory for direct I/O: aligned to 4 KiB, a whole number of sectors large, reused.
//
// Ownership: a block is shared; whoever holds it as `Buffer` sees it immutable. When the last
// holder lets go its memory returns to the pool it came from, if that still wants it, from whatever
// thread; the pool may be gone by then. Thread rule: a pool may be used from several threads; a
// block is written by one thread before it is shared as `Buffer`.
#pragma once

#include <cstddef>
#include <memory>

#include "base/bytes.hpp"

namespace kimberlite::consensus {

class Block {
 public:
  // Allocates; `capacity` is rounded up to whole sectors. The bytes are not initialised.
  explicit Block(std::size_t capacity);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  [[nodiscard]] Bytes bytes() const { return {data_, size_}; }
  [[nodiscard]] MutBytes bytes() { return {data_, size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  // `size` <= capacity. New bytes hold whatever was there.
  void resize(std::size_t size);

 private:
  std::byte* data_;
  std::size_t size_ = 0;
  std::size_t capacity_;
};

using MutableBuffer = std::shared_ptr<Block>;
using Buffer = std::shared_ptr<const Block>;

class BlockPool {
 public:
  // Keeps at most `cached_bytes_max` bytes of blocks nobody uses.
  explicit BlockPool(std::size_t cached_bytes_max = std::size_t{16} << 20U);

  // A block with `size()` == `size` and a capacity of the next power of two of at least a sector;
  // not initialised.
  [[nodiscard]] MutableBuffer take(std::size_t size);

  // Bytes of blocks waiting to be reused.
  [[nodiscard]] std::size_t cached_bytes() const;

 private:
  struct Shelf;
  std::shared_ptr<Shelf> shelf_;
};

}  // namespace kimberlite::consensus
