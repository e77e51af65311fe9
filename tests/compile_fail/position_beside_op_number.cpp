// layers: base
// expect: no match for .operator<
#include "base/ids.hpp"

namespace kimberlite {

bool use(Position position, OpNumber op) {
#ifdef KIMBERLITE_CONTROL
  return position.value() < op.value();
#else
  return position < op;
#endif
}

}  // namespace kimberlite
