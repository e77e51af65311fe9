// layers: base
// expect: ignoring return(ed)? value .*nodiscard
#include "base/error.hpp"

namespace kimberlite {

Error failure() { return Error{Code::usage_api, "always"}; }

Error use() {
#ifndef KIMBERLITE_CONTROL
  failure();
#endif
  return failure();
}

}  // namespace kimberlite
