#include "record/proof.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "record/frontier.hpp"

namespace kimberlite::record {
namespace {

// The hash of a range that a walk named: one perfect subtree, or on the tree's right edge several,
// which are folded from the smallest to the largest.
Result<Hash> range_hash(HashSource& source, LeafRange range) {
  std::vector<Hash> parts;
  while (range.begin < range.end) {
    const TreeNode node = first_node(range);
    KIMBERLITE_TRY(const Hash part, source.node(node));
    parts.push_back(part);
    range.begin += node_leaves(node);
  }
  KIMBERLITE_ASSERT(!parts.empty());
  Hash folded = parts.back();
  for (std::size_t i = parts.size() - 1; i > 0; --i) folded = node_hash(parts[i - 1], folded);
  return folded;
}

// The siblings along a walk, the deepest first.
template <class Walk>
Result<std::vector<Hash>> collect(HashSource& source, Walk& walk) {
  std::vector<Hash> path;
  while (!walk_done(walk)) {
    KIMBERLITE_TRY(const Hash sibling, range_hash(source, walk_step(walk)));
    path.push_back(sibling);
  }
  std::ranges::reverse(path);
  return path;
}

// The nodes of a small tree, made from its leaves whenever they are asked for.
class Leaves final : public HashSource {
 public:
  explicit Leaves(std::span<const Hash> leaves) : leaves_(leaves) {}
  Result<Hash> node(TreeNode node) override {
    Frontier subtree;
    const LeafRange range{node.index << node.level, (node.index + 1) << node.level};
    for (std::uint64_t i = range.begin; i < range.end; ++i) subtree.append(leaves_[i]);
    return subtree.root();
  }

 private:
  std::span<const Hash> leaves_;
};

}  // namespace

Result<std::vector<Hash>> prove_inclusion(std::span<const Hash> leaves, std::uint64_t index) {
  Leaves source{leaves};
  return prove_inclusion(source, index, leaves.size());
}

Result<std::vector<Hash>> prove_inclusion(HashSource& source, std::uint64_t index,
                                          std::uint64_t size) {
  if (index >= size) {
    return Error{Code::not_found_position, "leaf {} is not in a tree of {}", index, size};
  }
  InclusionWalk walk{index, {0, size}};
  return collect(source, walk);
}

Result<std::vector<Hash>> prove_consistency(HashSource& source, std::uint64_t old_size,
                                            std::uint64_t size) {
  if (old_size == 0 || old_size > size) {
    return Error{Code::not_found_position, "a tree of {} leaves does not begin one of {}", old_size,
                 size};
  }
  ConsistencyWalk walk{old_size, {0, size}};
  KIMBERLITE_TRY(std::vector<Hash> path, collect(source, walk));
  // The old tree itself needs no hash: its root is known. A right part of it does.
  if (walk.at.begin > 0) {
    KIMBERLITE_TRY(const Hash shared, range_hash(source, walk.at));
    path.insert(path.begin(), shared);
  }
  return path;
}

Result<Hash> root_of(HashSource& source, std::uint64_t size) {
  KIMBERLITE_ASSERT(size > 0);
  return range_hash(source, {0, size});
}

std::optional<Hash> root_of_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size,
                                      std::span<const Hash> path) {
  if (index >= size) return std::nullopt;
  std::uint64_t at = index;
  std::uint64_t last = size - 1;
  Hash folded = leaf;
  for (const Hash& sibling : path) {
    if (last == 0) return std::nullopt;  // a path longer than the tree is high
    if (at % 2 == 1 || at == last) {
      folded = node_hash(sibling, folded);
      while (at % 2 == 0 && at != 0) {  // levels where the right edge has no sibling
        at >>= 1U;
        last >>= 1U;
      }
    } else {
      folded = node_hash(folded, sibling);
    }
    at >>= 1U;
    last >>= 1U;
  }
  if (last != 0) return std::nullopt;
  return folded;
}

bool verify_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size,
                      std::span<const Hash> path, const Hash& root) {
  return root_of_inclusion(leaf, index, size, path) == root;
}

bool verify_consistency(std::uint64_t old_size, const Hash& old_root, std::uint64_t size,
                        const Hash& root, std::span<const Hash> path) {
  if (old_size == 0 || old_size > size) return false;
  if (old_size == size) return path.empty() && old_root == root;

  std::uint64_t at = old_size - 1;
  std::uint64_t last = size - 1;
  while (at % 2 == 1) {
    at >>= 1U;
    last >>= 1U;
  }
  // If the old size is a power of two, the old root is where the path begins, and is not in it.
  std::span<const Hash> rest = path;
  Hash old_folded = old_root;
  if (at != 0) {
    if (rest.empty()) return false;
    old_folded = rest.front();
    rest = rest.subspan(1);
  }
  Hash folded = old_folded;
  for (const Hash& sibling : rest) {
    if (last == 0) return false;
    if (at % 2 == 1 || at == last) {
      old_folded = node_hash(sibling, old_folded);
      folded = node_hash(sibling, folded);
      while (at % 2 == 0 && at != 0) {
        at >>= 1U;
        last >>= 1U;
      }
    } else {
      folded = node_hash(folded, sibling);
    }
    at >>= 1U;
    last >>= 1U;
  }
  return last == 0 && old_folded == old_root && folded == root;
}

}  // namespace kimberlite::record
