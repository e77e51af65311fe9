#include "record/frontier.hpp"

#include <array>
#include <bit>
#include <limits>

#include "base/assert.hpp"
#include "crypto/sha256.hpp"

namespace kimberlite::record {

Hash node_hash(const Hash& left, const Hash& right) {
  constexpr std::array node_prefix{std::byte{0x01}};  // so that no leaf can pose as a node
  return crypto::sha256(node_prefix, left, right);
}

Result<Frontier> Frontier::restore(std::uint64_t size, std::span<const Hash> roots) {
  if (roots.size() != static_cast<std::size_t>(std::popcount(size))) {
    return Error{Code::integrity_frontier, "a frontier of {} leaves has {} roots, not {}", size,
                 std::popcount(size), roots.size()};
  }
  Frontier frontier;
  frontier.size_ = size;
  frontier.roots_.assign(roots.begin(), roots.end());
  return frontier;
}

void Frontier::append(const Hash& leaf) {
  KIMBERLITE_ASSERT(size_ < std::numeric_limits<std::uint64_t>::max());

  // Each trailing one bit of the size is a subtree as large as what is being carried.
  Hash carried = leaf;
  for (int carries = std::countr_one(size_); carries > 0; --carries) {
    carried = node_hash(roots_.back(), carried);
    roots_.pop_back();
  }
  roots_.push_back(carried);
  ++size_;

  KIMBERLITE_ASSERT(roots_.size() == static_cast<std::size_t>(std::popcount(size_)));
}

Hash Frontier::root() const {
  if (roots_.empty()) return crypto::sha256();
  Hash folded = roots_.back();
  for (std::size_t i = roots_.size() - 1; i > 0; --i) folded = node_hash(roots_[i - 1], folded);
  return folded;
}

Hash Frontier::completed(const Hash& leaf, unsigned level) const {
  KIMBERLITE_ASSERT(static_cast<unsigned>(std::countr_one(size_)) >= level);
  Hash carried = leaf;
  for (std::size_t i = 0; i < level; ++i) {
    carried = node_hash(roots_[roots_.size() - 1 - i], carried);
  }
  return carried;
}

}  // namespace kimberlite::record
