// The rules of consensus.md, each as a story in which a replica that broke it would be seen to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/canary.hpp"

namespace kimberlite::consensus::testing {

struct Rule {
  std::string_view
      name;  // R01_…: its number in consensus.md; D01_…: of "Lost disk" there; T01: "Cluster time"
  Canary canary;           // breaks it
  std::string (*story)();  // what was wrong; empty if the rule was kept
};

// All but the seventeenth, at-most-once, which is not the replica's (vopr/tests/group_test.cpp).
[[nodiscard]] std::vector<Rule> rules();
// Those of who is in the group, and of its time, which are among them.
[[nodiscard]] std::span<const Rule> rules_of_groups();

}  // namespace kimberlite::consensus::testing
