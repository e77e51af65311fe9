// The simulator's source of choices: splitmix64 (Steele, Lea, Flood 2014), the same on every
// machine.
//
// Thread rule: a value, used by one thread at a time.
#pragma once

#include <cstdint>

#include "base/assert.hpp"

namespace kimberlite::vopr {

class Prng {
 public:
  // Streams of one seed are independent: what one draws does not move another.
  constexpr Prng(std::uint64_t seed, std::uint64_t stream)
      : state_(mixed(seed) ^ mixed(stream + 0x5851F42D4C957F2DU)) {}

  constexpr std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    return mixed(state_);
  }
  // Below `bound`, which is not 0. The bias of the remainder does not matter to a simulation.
  constexpr std::uint64_t below(std::uint64_t bound) {
    KIMBERLITE_ASSERT(bound != 0);
    return next() % bound;
  }
  constexpr bool coin() { return (next() & 1U) != 0; }
  constexpr bool one_in_million(std::uint32_t chances) {
    return chances != 0 && below(1'000'000) < chances;
  }

 private:
  static constexpr std::uint64_t mixed(std::uint64_t z) {
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }

  std::uint64_t state_;
};

}  // namespace kimberlite::vopr
