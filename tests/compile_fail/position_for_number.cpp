// layers: base
// expect: cannot convert .*Position
#include "base/ids.hpp"

namespace kimberlite {

std::uint64_t use(Position position) {
#ifdef KIMBERLITE_CONTROL
  const std::uint64_t number = position.value();
#else
  const std::uint64_t number = position;
#endif
  return number;
}

}  // namespace kimberlite
