// record/tree_core.hpp: the split is RFC 6962's, each step of a walk cuts a range in two and keeps
// the part that is looked for, nodes and tiles cover the same leaves.
#include "record/tree_core.hpp"

#include "prover.hpp"

using namespace kimberlite::record;

// The seeded fault: a tree of a power of two leaves is not cut.
static uint64_t split(uint64_t size) {
#ifdef KIMBERLITE_BREAK
  return tree_split(size + 1);
#else
  return tree_split(size);
#endif
}

static bool power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

extern "C" {
void prove_split() {
  const uint64_t size = nondet_u64();
  __ESBMC_assume(size >= 2);
  const uint64_t left = split(size);
  __ESBMC_assert(power_of_two(left), "a power of two");
  __ESBMC_assert(left < size, "below the size");
  __ESBMC_assert(size - left <= left, "and the largest such");
}

void prove_trailing_zeros() {
  const uint64_t value = nondet_u64();
  const uint32_t count = trailing_zeros(value);
  if (value == 0) {
    __ESBMC_assert(count == 64, "none set");
  } else {
    __ESBMC_assert(count < 64 && ((value >> uint64_t{count}) & 1) == 1, "the lowest set bit");
    __ESBMC_assert((value & ((uint64_t{1} << uint64_t{count}) - 1)) == 0, "nothing below it");
  }
}

void prove_inclusion_step() {
  InclusionWalk walk{nondet_u64(), {nondet_u64(), nondet_u64()}};
  const LeafRange before = walk.at;
  __ESBMC_assume(before.begin <= walk.index && walk.index < before.end);
  __ESBMC_assume(!walk_done(walk));
  const LeafRange sibling = walk_step(walk);
  const LeafRange after = walk.at;
  __ESBMC_assert(after.begin <= walk.index && walk.index < after.end, "the leaf is kept");
  __ESBMC_assert(sibling.begin < sibling.end, "a sibling");
  const bool left = after.begin == before.begin;
  __ESBMC_assert(
      left ? after.end == sibling.begin && sibling.end == before.end
           : sibling.begin == before.begin && sibling.end == after.begin && after.end == before.end,
      "both together are what was");
}

void prove_consistency_step() {
  ConsistencyWalk walk{nondet_u64(), {nondet_u64(), nondet_u64()}};
  const LeafRange before = walk.at;
  __ESBMC_assume(before.begin < walk.old_size && walk.old_size <= before.end);
  __ESBMC_assume(!walk_done(walk));
  const LeafRange sibling = walk_step(walk);
  const LeafRange after = walk.at;
  __ESBMC_assert(after.begin < walk.old_size && walk.old_size <= after.end, "the edge is kept");
  __ESBMC_assert(sibling.begin < sibling.end, "a sibling");
  __ESBMC_assert(after.end - after.begin < before.end - before.begin, "it ends");
}

void prove_first_node() {
  const LeafRange range{nondet_u64(), nondet_u64()};
  __ESBMC_assume(range.begin < range.end);
  const uint64_t size = range.end - range.begin;
  // As in every proof: the range begins where a perfect subtree of its size could.
  __ESBMC_assume(size == 1 || size > UINT64_MAX / 4 ||
                 (range.begin & (2 * tree_split(size) - 1)) == 0);
  __ESBMC_assume(size <= UINT64_MAX / 4);
  const TreeNode node = first_node(range);
  __ESBMC_assert(node.level < 63, "a level");
  __ESBMC_assert(node.index << uint64_t{node.level} == range.begin, "it begins there");
  __ESBMC_assert(node_leaves(node) <= size, "and does not reach out");
  __ESBMC_assert(node_leaves(node) > size / 2, "and is the largest");
}

void prove_tile_place() {
  const TreeNode node{nondet_u32(), nondet_u64()};
  __ESBMC_assume(node.level < 64 && node.index <= (UINT64_MAX >> uint64_t{node.level}));
  const TilePlace place = tile_place(node);
  __ESBMC_assert(place.level < tile_levels && place.height < tile_height, "a tile");
  __ESBMC_assert(place.first + (uint64_t{1} << uint64_t{place.height}) <= tile_width,
                 "inside the tile");
  const uint64_t hash = place.tile * tile_width + place.first;
  __ESBMC_assert(
      hash << (uint64_t{tile_height} * place.level) == node.index << uint64_t{node.level},
      "same leaves");
}
}
