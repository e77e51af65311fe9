#include "record/tile.hpp"

#include <fmt/format.h>

#include "base/assert.hpp"

namespace kimberlite::record {

std::string tile_path(const TileName& tile) {
  KIMBERLITE_ASSERT(tile.level < tile_levels && tile.width > 0 && tile.width <= tile_width);
  std::string number = fmt::format("{:03}", tile.number % 1000);
  for (std::uint64_t rest = tile.number / 1000; rest > 0; rest /= 1000) {
    number = fmt::format("x{:03}/{}", rest % 1000, number);
  }
  std::string path = fmt::format("tile/{}/{}", tile.level, number);
  if (tile.width < tile_width) path += fmt::format(".p/{}", tile.width);
  return path;
}

Status for_each_tile(std::uint64_t size, const std::function<Status(const TileName&)>& visit) {
  for (std::uint32_t level = tile_levels; level-- > 0;) {
    const std::uint64_t full = full_tiles(size, level);
    for (std::uint64_t number = 0; number < full; ++number) {
      KIMBERLITE_CHECK(visit({level, number, static_cast<std::uint32_t>(tile_width)}));
    }
    if (const std::uint32_t width = partial_width(size, level); width > 0) {
      KIMBERLITE_CHECK(visit({level, full, width}));
    }
  }
  return {};
}

}  // namespace kimberlite::record
