#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "base/le.hpp"
#include "crypto/sha256.hpp"
#include "record/frontier.hpp"
#include "record/proof.hpp"

namespace kimberlite::record {
namespace {

Hash leaf(std::uint64_t i) {
  std::array<std::byte, 9> input{};
  base::store_le(input.data() + 1, i);
  return crypto::sha256(input);
}

std::vector<Hash> leaves(std::uint64_t count) {
  std::vector<Hash> made;
  made.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) made.push_back(leaf(i));
  return made;
}

// NOLINTBEGIN(misc-no-recursion): the RFC defines them so; test trees are small.
// RFC 6962 §2.1 as it is written: what the fast code must equal.
Hash merkle_tree_hash(std::span<const Hash> d) {
  if (d.empty()) return crypto::sha256();
  if (d.size() == 1) return d[0];
  const std::size_t k = std::bit_floor(d.size() - 1);
  const std::array prefix{std::byte{1}};
  return crypto::sha256(prefix, merkle_tree_hash(d.first(k)), merkle_tree_hash(d.subspan(k)));
}

// RFC 6962 §2.1.1 and §2.1.2, likewise.
std::vector<Hash> path(std::size_t m, std::span<const Hash> d) {
  if (d.size() == 1) return {};
  const std::size_t k = std::bit_floor(d.size() - 1);
  std::vector<Hash> found = m < k ? path(m, d.first(k)) : path(m - k, d.subspan(k));
  found.push_back(m < k ? merkle_tree_hash(d.subspan(k)) : merkle_tree_hash(d.first(k)));
  return found;
}
std::vector<Hash> subproof(std::size_t m, std::span<const Hash> d, bool whole) {
  if (m == d.size()) return whole ? std::vector<Hash>{} : std::vector{merkle_tree_hash(d)};
  const std::size_t k = std::bit_floor(d.size() - 1);
  std::vector<Hash> found =
      m <= k ? subproof(m, d.first(k), whole) : subproof(m - k, d.subspan(k), false);
  found.push_back(m <= k ? merkle_tree_hash(d.subspan(k)) : merkle_tree_hash(d.first(k)));
  return found;
}
// NOLINTEND(misc-no-recursion)

class Leaves final : public HashSource {
 public:
  explicit Leaves(std::span<const Hash> all) : all_(all) {}
  Result<Hash> node(TreeNode node) override {
    EXPECT_LE((node.index + 1) << node.level, all_.size()) << "beyond the tree";
    return merkle_tree_hash(all_.subspan(node.index << node.level, std::size_t{1} << node.level));
  }

 private:
  std::span<const Hash> all_;
};

TEST(Frontier, EqualsTheDefinitionAtEverySize) {
  const std::vector<Hash> all = leaves(520);
  Frontier frontier;
  for (std::size_t size = 0; size < all.size(); ++size) {
    ASSERT_EQ(frontier.root(), merkle_tree_hash(std::span{all}.first(size))) << size;
    for (unsigned level = 0; (size + 1) % (std::size_t{1} << level) == 0; ++level) {
      const std::size_t width = std::size_t{1} << level;
      ASSERT_EQ(frontier.completed(all[size], level),
                merkle_tree_hash(std::span{all}.subspan(size + 1 - width, width)));
    }
    frontier.append(all[size]);
  }
}

TEST(Frontier, GoesOnAfterARestore) {
  Frontier whole;
  for (std::uint64_t i = 0; i < 300; ++i) {
    auto restored = Frontier::restore(whole.size(), whole.roots());
    ASSERT_TRUE(restored.has_value());
    whole.append(leaf(i));
    restored->append(leaf(i));
    ASSERT_EQ(*restored, whole) << i;
  }
}

TEST(Frontier, RefusesRootsThatDoNotFitTheSize) {
  const std::vector<Hash> two(2);
  EXPECT_EQ(Frontier::restore(4, two).error().code(), Code::integrity_frontier);
  EXPECT_EQ(Frontier::restore(0, two).error().code(), Code::integrity_frontier);
  EXPECT_TRUE(Frontier::restore(5, two).has_value());
}

TEST(Inclusion, EqualsTheDefinitionAndVerifies) {
  const std::vector<Hash> all = leaves(70);
  for (std::size_t size = 1; size <= all.size(); ++size) {
    const std::span tree = std::span{all}.first(size);
    const Hash root = merkle_tree_hash(tree);
    Leaves source{tree};
    EXPECT_EQ(root_of(source, size).value(), root);
    for (std::size_t index = 0; index < size; ++index) {
      const auto proof = prove_inclusion(source, index, size);
      ASSERT_TRUE(proof.has_value());
      ASSERT_EQ(*proof, path(index, tree)) << index << " of " << size;
      ASSERT_TRUE(verify_inclusion(all[index], index, size, *proof, root));
    }
    EXPECT_EQ(prove_inclusion(source, size, size).error().code(), Code::not_found_position);
  }
}

TEST(Inclusion, RefusesAnythingElse) {
  const std::vector<Hash> all = leaves(70);
  for (const std::size_t size : {1U, 2U, 7U, 8U, 13U, 70U}) {
    const std::span tree = std::span{all}.first(size);
    const Hash root = merkle_tree_hash(tree);
    for (std::size_t index = 0; index < size; ++index) {
      const std::vector<Hash> good = path(index, tree);
      for (std::size_t other = 0; other < size + 3; ++other) {
        if (other == index) continue;
        EXPECT_FALSE(verify_inclusion(all[index], other, size, good, root)) << other;
      }
      EXPECT_FALSE(verify_inclusion(leaf(99), index, size, good, root));
      EXPECT_FALSE(verify_inclusion(all[index], index, size, good, leaf(99)));
      for (std::size_t i = 0; i < good.size(); ++i) {
        std::vector<Hash> bad = good;
        bad[i][31] ^= std::byte{1};
        EXPECT_FALSE(verify_inclusion(all[index], index, size, bad, root));
      }
      std::vector<Hash> longer = good;
      longer.push_back(root);
      EXPECT_FALSE(verify_inclusion(all[index], index, size, longer, root));
      if (good.empty()) continue;
      EXPECT_FALSE(
          verify_inclusion(all[index], index, size, std::span{good}.first(good.size() - 1), root));
    }
  }
  EXPECT_FALSE(verify_inclusion(all[0], 0, 0, {}, all[0]));
}

TEST(Consistency, EqualsTheDefinitionAndVerifies) {
  const std::vector<Hash> all = leaves(70);
  for (std::size_t size = 1; size <= all.size(); ++size) {
    const std::span tree = std::span{all}.first(size);
    Leaves source{tree};
    for (std::size_t old_size = 1; old_size <= size; ++old_size) {
      const auto proof = prove_consistency(source, old_size, size);
      ASSERT_TRUE(proof.has_value());
      ASSERT_EQ(*proof, subproof(old_size, tree, true)) << old_size << " of " << size;
      ASSERT_TRUE(verify_consistency(old_size, merkle_tree_hash(tree.first(old_size)), size,
                                     merkle_tree_hash(tree), *proof));
    }
    EXPECT_FALSE(prove_consistency(source, 0, size).has_value());
    EXPECT_FALSE(prove_consistency(source, size + 1, size).has_value());
  }
}

TEST(Consistency, RefusesAnythingElse) {
  const std::vector<Hash> all = leaves(40);
  for (const std::size_t size : {2U, 7U, 8U, 13U, 40U}) {
    const std::span tree = std::span{all}.first(size);
    const Hash root = merkle_tree_hash(tree);
    for (std::size_t old_size = 1; old_size < size; ++old_size) {
      const Hash old_root = merkle_tree_hash(tree.first(old_size));
      const std::vector<Hash> good = subproof(old_size, tree, true);
      for (std::size_t other = 0; other <= size + 1; ++other) {
        if (other == old_size) continue;
        EXPECT_FALSE(verify_consistency(other, old_root, size, root, good)) << other;
      }
      EXPECT_FALSE(verify_consistency(old_size, leaf(99), size, root, good));
      EXPECT_FALSE(verify_consistency(old_size, old_root, size, leaf(99), good));
      for (std::size_t i = 0; i < good.size(); ++i) {
        std::vector<Hash> bad = good;
        bad[i][0] ^= std::byte{0x80};
        EXPECT_FALSE(verify_consistency(old_size, old_root, size, root, bad));
      }
      std::vector<Hash> longer = good;
      longer.push_back(root);
      EXPECT_FALSE(verify_consistency(old_size, old_root, size, root, longer));
      EXPECT_FALSE(verify_consistency(old_size, old_root, size, root, {}));
    }
  }
}

// RFC 9162's own example sizes are covered above; this is the published root of the CT test tree
// (eight inputs, RFC 6962 reference implementation).
TEST(Tree, HasThePublishedRoot) {
  const std::array<std::string_view, 8> inputs{"",
                                               "00",
                                               "10",
                                               "2021",
                                               "3031",
                                               "40414243",
                                               "5051525354555657",
                                               "606162636465666768696a6b6c6d6e6f"};
  const std::array prefix{std::byte{0}};
  Frontier frontier;
  for (const std::string_view input : inputs) {
    frontier.append(crypto::sha256(prefix, from_hex(input).value()));
  }
  EXPECT_EQ(to_hex(frontier.root()),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

TEST(TileArithmetic, FindsEveryNode) {
  for (std::uint32_t level = 0; level < 20; ++level) {
    for (const std::uint64_t index : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{255},
                                      std::uint64_t{256}, std::uint64_t{70'001}}) {
      const TilePlace place = tile_place({level, index});
      const std::uint64_t below = std::uint64_t{1} << place.height;
      ASSERT_LE(place.first + below, tile_width);
      // The same leaves, counted both ways.
      const std::uint64_t first = place.tile * tile_width + place.first;
      ASSERT_EQ(first << (tile_height * place.level), index << level);
      ASSERT_EQ(below << (tile_height * place.level), std::uint64_t{1} << level);
    }
  }
  static_assert(full_tiles(255, 0) == 0 && full_tiles(256, 0) == 1 && full_tiles(65'536, 1) == 1);
  static_assert(full_tiles(UINT64_MAX, 7) == 0);
  static_assert(partial_width(257, 0) == 1 && partial_width(513, 1) == 2);
}

TEST(TreeArithmetic, EqualsTheStandardLibrary) {
  for (std::uint64_t size = 2; size < 5000; ++size) {
    ASSERT_EQ(tree_split(size), std::bit_floor(size - 1));
  }
  for (int shift = 1; shift < 64; ++shift) {
    const std::uint64_t power = std::uint64_t{1} << shift;
    ASSERT_EQ(tree_split(power), power / 2);
    ASSERT_EQ(tree_split(power + 1), power);
    ASSERT_EQ(trailing_zeros(power), static_cast<std::uint32_t>(shift));
  }
  static_assert(tree_split(UINT64_MAX) == std::uint64_t{1} << 63);
  static_assert(trailing_zeros(0) == 64);
}

}  // namespace
}  // namespace kimberlite::record
