// Which seeds a test of random lives lives: its own few, or those that are asked for.
//
// KIMBERLITE_SEED=n one, KIMBERLITE_SEEDS=n so many from there on. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace kimberlite::test {

struct Seeds {
  std::uint64_t first = 1;
  std::uint64_t count = 1;
};

inline Seeds seeds_asked_for(std::uint64_t few) {
  Seeds seeds{.first = 1, .count = few};
  if (const char* seed = std::getenv("KIMBERLITE_SEED")) {
    seeds = {.first = std::strtoull(seed, nullptr, 10), .count = 1};
  }
  if (const char* count = std::getenv("KIMBERLITE_SEEDS")) {
    seeds.count = std::strtoull(count, nullptr, 10);
  }
  return seeds;
}

}  // namespace kimberlite::test
