// The compiler finds an error's missing value, not whoever reads the error.
// layers: base
// expect: (argument not found|not a constant expression)
#include "base/error.hpp"

namespace kimberlite {

Error use() {
#ifdef KIMBERLITE_CONTROL
  return Error{Code::integrity_frame, "frame {} ends early", 7};
#else
  return Error{Code::integrity_frame, "frame {} ends early"};
#endif
}

}  // namespace kimberlite
