// A whole life of a group: load under every kind of fault its seed draws; then peace, in which all
// must agree and go on.
#pragma once

#include <string>

#include "support/cluster.hpp"

namespace kimberlite::consensus::testing {

// A ring of few frames, so that it is used again all the time.
ClusterOptions small(std::uint8_t voters);

struct Life {
  Hash digest{};
  Counts counts;
  std::string wrong;  // empty is good
  std::string story;
};

Life live(std::uint64_t seed);

}  // namespace kimberlite::consensus::testing
