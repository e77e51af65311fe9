// A random life of a group with several clients at once, whose acknowledgements come late: what
// each was told stands, once, and every replica can apply all there is.
#pragma once

#include <cstdint>
#include <string>

namespace kimberlite::vopr {

struct CrowdReport {
  std::string wrong;          // the first thing; empty is good
  std::uint64_t unknown = 0;  // outcomes that a client had to ask for again
  std::uint64_t deaths = 0;   // of replicas, with calls of clients under way or not
};

[[nodiscard]] CrowdReport live_in_a_crowd(std::uint64_t seed);

}  // namespace kimberlite::vopr
