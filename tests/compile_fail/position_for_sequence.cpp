// layers: base
// expect: could not convert .*Position
#include "base/ids.hpp"

namespace kimberlite {

std::uint64_t read_from(Sequence first) { return first.value(); }

std::uint64_t use() {
#ifdef KIMBERLITE_CONTROL
  return read_from(Sequence{3});
#else
  return read_from(Position{3});
#endif
}

}  // namespace kimberlite
