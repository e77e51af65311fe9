#include "consensus/block.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <new>
#include <vector>

#include "base/assert.hpp"
#include "base/checked.hpp"
#include "base/limits.hpp"

namespace kimberlite::consensus {

Block::Block(std::size_t capacity)
    : capacity_(
          static_cast<std::size_t>(round_up(std::max<std::size_t>(capacity, 1), sector_size))) {
  data_ = static_cast<std::byte*>(::operator new(capacity_, std::align_val_t{sector_size}));
}

Block::~Block() { ::operator delete(data_, std::align_val_t{sector_size}); }

void Block::resize(std::size_t size) {
  KIMBERLITE_ASSERT(size <= capacity_);
  size_ = size;
}

namespace {

// Powers of two from a sector to the largest prepare.
constexpr std::size_t size_class(std::size_t size) {
  return std::bit_ceil(std::max<std::size_t>(size, sector_size));
}
constexpr std::size_t classes = 12;
static_assert((sector_size << (classes - 1)) == prepare_size_max);

constexpr std::size_t class_index(std::size_t capacity) {
  return static_cast<std::size_t>(std::countr_zero(capacity / sector_size));
}

}  // namespace

// Shared by the pool and every block out of it, so that blocks may outlive the pool.
struct BlockPool::Shelf {
  explicit Shelf(std::size_t max) : cached_max(max) {}

  const std::size_t cached_max;
  std::mutex mutex;
  std::size_t cached = 0;
  std::array<std::vector<std::unique_ptr<Block>>, classes> free;
};

BlockPool::BlockPool(std::size_t cached_bytes_max)
    : shelf_(std::make_shared<Shelf>(cached_bytes_max)) {}

MutableBuffer BlockPool::take(std::size_t size) {
  const std::size_t capacity = size_class(size);
  KIMBERLITE_ASSERT(capacity <= prepare_size_max);
  std::unique_ptr<Block> block;
  {
    const std::scoped_lock lock(shelf_->mutex);
    auto& free = shelf_->free[class_index(capacity)];
    if (!free.empty()) {
      block = std::move(free.back());
      free.pop_back();
      shelf_->cached -= capacity;
    }
  }
  if (!block) block = std::make_unique<Block>(capacity);
  block->resize(size);
  const auto give_back = [shelf = shelf_](Block* used) {
    std::unique_ptr<Block> owned(used);
    const std::scoped_lock lock(shelf->mutex);
    if (shelf->cached + owned->capacity() > shelf->cached_max) return;
    shelf->cached += owned->capacity();
    shelf->free[class_index(owned->capacity())].push_back(std::move(owned));
  };
  return {block.release(), give_back};
}

std::size_t BlockPool::cached_bytes() const {
  const std::scoped_lock lock(shelf_->mutex);
  return shelf_->cached;
}

}  // namespace kimberlite::consensus
