#include "record/tile.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace kimberlite::record {
namespace {

TEST(Tile, PathsAreThoseOfTheSpecification) {
  EXPECT_EQ(tile_path({0, 1'234'067, 256}), "tile/0/x001/x234/067");
  EXPECT_EQ(tile_path({0, 0, 256}), "tile/0/000");
  EXPECT_EQ(tile_path({1, 0, 17}), "tile/1/000.p/17");
  EXPECT_EQ(tile_path({0, 273, 112}), "tile/0/273.p/112");
  EXPECT_EQ(tile_path({0, 999, 256}), "tile/0/999");
  EXPECT_EQ(tile_path({0, 1000, 256}), "tile/0/x001/000");
  EXPECT_EQ(tile_path({0, 1000, 1}), "tile/0/x001/000.p/1");
  EXPECT_EQ(tile_path({3, 1'000'000, 255}), "tile/3/x001/x000/000.p/255");
  EXPECT_EQ(tile_path({0, 36'028'797'018'963'967, 256}), "tile/0/x036/x028/x797/x018/x963/967");
}

std::map<std::uint32_t, std::vector<TileName>> tiles_of(std::uint64_t size) {
  std::map<std::uint32_t, std::vector<TileName>> tiles;
  std::uint32_t last = tile_levels;
  EXPECT_TRUE(for_each_tile(size, [&](const TileName& tile) -> Status {
    EXPECT_LE(tile.level, last);
    last = tile.level;
    EXPECT_EQ(tile.width, tile_width_in(size, tile.level, tile.number));
    EXPECT_EQ(tile.number, tiles[tile.level].size());
    tiles[tile.level].push_back(tile);
    return {};
  }));
  return tiles;
}

// tlog-tiles, Partial Tiles: both examples.
TEST(Tile, TreesHaveTheTilesOfTheSpecification) {
  auto tiles = tiles_of(70'000);
  ASSERT_EQ(tiles.size(), 3U);
  ASSERT_EQ(tiles[0].size(), 274U);
  EXPECT_EQ(tiles[0][272].width, 256U);
  EXPECT_EQ(tiles[0][273].width, 112U);
  ASSERT_EQ(tiles[1].size(), 2U);
  EXPECT_EQ(tiles[1][0].width, 256U);
  EXPECT_EQ(tiles[1][1].width, 17U);
  ASSERT_EQ(tiles[2].size(), 1U);
  EXPECT_EQ(tiles[2][0].width, 1U);

  tiles = tiles_of(256);
  ASSERT_EQ(tiles.size(), 2U);
  EXPECT_EQ(tiles[0], (std::vector<TileName>{{0, 0, 256}}));
  EXPECT_EQ(tiles[1], (std::vector<TileName>{{1, 0, 1}}));

  EXPECT_TRUE(tiles_of(0).empty());
  EXPECT_EQ(tiles_of(1)[0], (std::vector<TileName>{{0, 0, 1}}));
  EXPECT_EQ(tile_width_in(257, 0, 1), 1U);
  EXPECT_EQ(tile_width_in(257, 0, 2), 0U);
  EXPECT_EQ(tile_width_in(~std::uint64_t{0} >> 1U, 7, 0), 127U);
}

TEST(Tile, TheFirstErrorEndsIt) {
  int visited = 0;
  const Status status = for_each_tile(1000, [&](const TileName&) -> Status {
    return ++visited < 3 ? Status{} : Error{Code::unavailable_io, "full"};
  });
  EXPECT_FALSE(status);
  EXPECT_EQ(visited, 3);
}

}  // namespace
}  // namespace kimberlite::record
