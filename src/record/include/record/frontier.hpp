// The right edge of an RFC 6962 Merkle tree: all that appending ever needs.
//
// A tree of n leaves falls into perfect subtrees, one for each set bit of n, the largest first; the
// frontier is their roots in that order. A new leaf merges equal neighbours as binary addition
// carries: one hash a leaf on average, never more than 64 roots.
//
// Source: RFC 6962 §2.1. Thread rule: a value; share it only const.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"

namespace kimberlite::record {

// SHA-256(0x01 || left || right).
[[nodiscard]] Hash node_hash(const Hash& left, const Hash& right);

class Frontier {
 public:
  // The empty tree.
  Frontier() = default;

  // What `size()` and `roots()` gave. `integrity.frontier` unless there is exactly one root for
  // each set bit of `size`.
  [[nodiscard]] static Result<Frontier> restore(std::uint64_t size, std::span<const Hash> roots);

  // Appends a leaf *hash*. O(log size), amortised O(1).
  void append(const Hash& leaf);

  // The root of the whole tree; of the empty one, SHA-256 of nothing. O(log size).
  [[nodiscard]] Hash root() const;

  // The root of the perfect subtree of 2^level leaves that appending `leaf` would complete.
  // `size() + 1` must be a multiple of 2^level.
  [[nodiscard]] Hash completed(const Hash& leaf, unsigned level) const;

  // Leaves appended so far: the position of the newest record.
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Largest subtree first; invalidated by `append`.
  [[nodiscard]] std::span<const Hash> roots() const { return roots_; }

  bool operator==(const Frontier&) const = default;

 private:
  // (F1) roots_.size() == popcount(size_).                          [kept: restore, append]
  // (F2) roots_[i] is the root of the perfect subtree of the i-th largest set bit of size_.
  //                                                    [kept: append; restore trusts it]
  std::uint64_t size_ = 0;
  std::vector<Hash> roots_;
};

}  // namespace kimberlite::record
