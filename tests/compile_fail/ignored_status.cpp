// layers: base
// expect: (ignoring return(ed)? value|ignoring returned value) .*nodiscard
#include "base/result.hpp"

namespace kimberlite {

Status refused() { return Error{Code::usage_api, "always"}; }

Status use() {
#ifdef KIMBERLITE_CONTROL
  KIMBERLITE_CHECK(refused());
#else
  refused();
#endif
  return {};
}

}  // namespace kimberlite
