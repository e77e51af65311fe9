// The index arithmetic of RFC 6962 trees, in the core subset: proved by ESBMC as shipped.
//
// A node (level, index) is the root of the perfect subtree over leaves [index << level,
// (index + 1) << level). Shift counts are 64 bits wide, since the prover knows no other. A range
// [begin, end) of leaves that a proof needs is cut into such nodes. A tile (C2SP tlog-tiles, height
// 8) of level L holds 256 nodes of level 8 L.
//
// Source: RFC 6962 §2.1.1 and §2.1.2; RFC 9162 §2.1.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace kimberlite::record {

struct LeafRange {
  uint64_t begin;
  uint64_t end;
};

struct TreeNode {
  uint32_t level;
  uint64_t index;
};

// The largest power of two below `size`, which is at least 2.
constexpr uint64_t tree_split(uint64_t size) noexcept {
  uint64_t rest = size - 1;
  rest |= rest >> 1;
  rest |= rest >> 2;
  rest |= rest >> 4;
  rest |= rest >> 8;
  rest |= rest >> 16;
  rest |= rest >> 32;
  return rest - (rest >> 1);
}

// Zero bits below the lowest one; 64 for 0.
constexpr uint32_t trailing_zeros(uint64_t value) noexcept {
  if (value == 0) return 64;
  uint64_t count = 0;
  for (uint64_t step = 32; step > 0; step /= 2) {
    if ((value & ((uint64_t{1} << step) - 1)) != 0) continue;
    count += step;
    value >>= step;
  }
  return static_cast<uint32_t>(count);
}

// The first of the perfect subtrees that [begin, end) falls into from the left, where `begin` is a
// multiple of a power of two not below the range's size (as in every proof): the largest one.
// Requires begin < end.
constexpr TreeNode first_node(LeafRange range) noexcept {
  uint64_t leaves = range.end - range.begin;
  uint64_t size = leaves == 1 ? 1 : tree_split(leaves);
  if (leaves > 1 && size * 2 == leaves) size = leaves;
  const uint32_t level = trailing_zeros(size);
  // The analyzer takes `size` for 0, and the level for 64: begin < end makes it at least 1.
  return TreeNode{level, range.begin >> uint64_t{level}};  // NOLINT(*-core.BitwiseShift)
}

// Leaves below the node.
constexpr uint64_t node_leaves(TreeNode node) noexcept {
  return uint64_t{1} << uint64_t{node.level};
}

// The walk from the root of a tree of `size` leaves down to leaf `index`. Each step names the
// sibling subtree, whose hash is the path's next, from the last to the first.
struct InclusionWalk {
  uint64_t index;
  LeafRange at;
};

constexpr bool walk_done(const InclusionWalk& walk) noexcept {
  return walk.at.end - walk.at.begin == 1;
}

constexpr LeafRange walk_step(InclusionWalk& walk) noexcept {
  const uint64_t middle = walk.at.begin + tree_split(walk.at.end - walk.at.begin);
  LeafRange sibling{middle, walk.at.end};
  if (walk.index < middle) {
    walk.at.end = middle;
  } else {
    sibling = LeafRange{walk.at.begin, middle};
    walk.at.begin = middle;
  }
  return sibling;
}

// The walk of a consistency proof from `old_size` leaves (at least 1, below `size`) to `size`: as
// above, towards the old tree's last leaf, but it ends where a subtree is the old tree's own.
struct ConsistencyWalk {
  uint64_t old_size;
  LeafRange at;
};

constexpr bool walk_done(const ConsistencyWalk& walk) noexcept {
  return walk.at.end == walk.old_size;
}

constexpr LeafRange walk_step(ConsistencyWalk& walk) noexcept {
  const uint64_t middle = walk.at.begin + tree_split(walk.at.end - walk.at.begin);
  LeafRange sibling{middle, walk.at.end};
  if (walk.old_size <= middle) {
    walk.at.end = middle;
  } else {
    sibling = LeafRange{walk.at.begin, middle};
    walk.at.begin = middle;
  }
  return sibling;
}

inline constexpr uint32_t tile_height = 8;
inline constexpr uint64_t tile_width = 256;
inline constexpr uint64_t tile_bytes = tile_width * 32;
inline constexpr uint32_t tile_levels = 8;  // 8 * 8 = 64 tree levels

// Where a node is found: it is the root of `1 << height` neighbouring hashes of one tile.
struct TilePlace {
  uint32_t level;   // of the tile
  uint64_t tile;    // its number in the level
  uint32_t first;   // hash in the tile
  uint32_t height;  // levels above the tile's own
};

constexpr TilePlace tile_place(TreeNode node) noexcept {
  const uint32_t level = node.level / tile_height;
  const uint32_t height = node.level % tile_height;
  const uint64_t first = node.index << uint64_t{height};  // nodes of level 8 * `level`
  return TilePlace{level, first / tile_width, static_cast<uint32_t>(first % tile_width), height};
}

// Full tiles a level has in a tree of `size` leaves.
constexpr uint64_t full_tiles(uint64_t size, uint32_t level) noexcept {
  const uint64_t shift = uint64_t{tile_height} * (uint64_t{level} + 1);
  return shift >= 64 ? 0 : size >> shift;
}

// Hashes of the level's last tile that is not full yet.
constexpr uint32_t partial_width(uint64_t size, uint32_t level) noexcept {
  return static_cast<uint32_t>((size >> (uint64_t{tile_height} * level)) % tile_width);
}

}  // namespace kimberlite::record
