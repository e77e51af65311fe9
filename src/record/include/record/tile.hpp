// The tiles of a tree: which there are, and under which paths they are published.
//
//   tile/<level>/<number>            256 hashes of nodes of level 8 x <level>, 8,192 bytes
//   tile/<level>/<number>.p/<width>  the level's last one, while it is not full: 1 to 255 hashes
//   number: three digits a path element, all but the last with an 'x' before them: x001/x234/067
//
// A full tile of one level is one hash of the level above; so each tile leads, tile by tile, to a
// partial one, and the partial ones together to the root.
//
// Source: C2SP tlog-tiles, Merkle Tree and Partial Tiles. Thread rule: values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/tree_core.hpp"

namespace kimberlite::record {

struct TileName {
  std::uint32_t level = 0;   // below `tile_levels`
  std::uint64_t number = 0;  // in its level
  std::uint32_t width = 0;   // hashes, 1 to 256
  bool operator==(const TileName&) const = default;
};

// "tile/0/x001/x234/067", "tile/1/000.p/17".
[[nodiscard]] std::string tile_path(const TileName& tile);

// Hashes that tile `number` of `level` has in a tree of `size` leaves; 0: there is no such tile.
[[nodiscard]] constexpr std::uint32_t tile_width_in(std::uint64_t size, std::uint32_t level,
                                                    std::uint64_t number) noexcept {
  const std::uint64_t full = full_tiles(size, level);
  if (number < full) return static_cast<std::uint32_t>(tile_width);
  return number == full ? partial_width(size, level) : 0;
}

// Every tile of a tree of `size` leaves, the highest level first and each level from its beginning:
// what a tile leads to comes before it. Stops at the first error.
[[nodiscard]] Status for_each_tile(std::uint64_t size,
                                   const std::function<Status(const TileName&)>& visit);

}  // namespace kimberlite::record
