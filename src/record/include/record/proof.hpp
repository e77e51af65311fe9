// Inclusion and consistency proofs of RFC 6962 trees: made from a source of node hashes, and
// checked from nothing but the proof.
//
// Source: RFC 6962 §2.1.1, §2.1.2; the checks are RFC 9162 §2.1.3.2, §2.1.4.2. Leaf index =
// position - 1, tree size = position. Thread rule: free functions over values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/tree_core.hpp"

namespace kimberlite::record {

// Gives hashes of perfect subtrees that lie wholly inside the tree.
class HashSource {
 public:
  virtual ~HashSource() = default;
  virtual Result<Hash> node(TreeNode node) = 0;
};

// The path of leaf `index` in the tree of `size` leaves, from the leaf up. `not_found.position`
// unless index < size.
[[nodiscard]] Result<std::vector<Hash>> prove_inclusion(HashSource& source, std::uint64_t index,
                                                        std::uint64_t size);

// The same in a tree whose leaves are all here.
[[nodiscard]] Result<std::vector<Hash>> prove_inclusion(std::span<const Hash> leaves,
                                                        std::uint64_t index);

// That the tree of `old_size` leaves is the beginning of the tree of `size`. Empty if they are the
// same. `not_found.position` unless 1 <= old_size <= size.
[[nodiscard]] Result<std::vector<Hash>> prove_consistency(HashSource& source,
                                                          std::uint64_t old_size,
                                                          std::uint64_t size);

// The root of the first `size` leaves; at least 1.
[[nodiscard]] Result<Hash> root_of(HashSource& source, std::uint64_t size);

// The root that the path leads to; nothing if it has not the length of such a path.
[[nodiscard]] std::optional<Hash> root_of_inclusion(const Hash& leaf, std::uint64_t index,
                                                    std::uint64_t size, std::span<const Hash> path);
[[nodiscard]] bool verify_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size,
                                    std::span<const Hash> path, const Hash& root);
[[nodiscard]] bool verify_consistency(std::uint64_t old_size, const Hash& old_root,
                                      std::uint64_t size, const Hash& root,
                                      std::span<const Hash> path);

}  // namespace kimberlite::record
