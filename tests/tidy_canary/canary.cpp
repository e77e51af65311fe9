// Deliberately wrong, never built: see canary.hpp.
#include "canary.hpp"

namespace kimberlite::canary {

bool assigned_for_compared(int value) {
  if (value = 1) return true;
  return BadlyNamed(value) == 0;
}

}  // namespace kimberlite::canary
