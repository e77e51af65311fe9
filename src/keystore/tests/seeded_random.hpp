// Randomness for tests: the same bytes for the same seed.
#pragma once

#include <random>

#include "env/env.hpp"

namespace kimberlite::keystore {

class SeededRandom final : public env::Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(MutBytes to) override {
    for (std::byte& byte : to) byte = static_cast<std::byte>(engine_() & 0xFFU);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace kimberlite::keystore
