// layers: all
// expect: (cannot convert|no matching function|could not convert)
#include "kimberlite/kimberlite.hpp"

namespace kimberlite {

bool use(Session& session) {
#ifndef KIMBERLITE_CONTROL
  return session.receipt(Position{4}, 0U).has_value();
#else
  return session.receipt(Position{4}, Disclose{0U}).has_value();
#endif
}

}  // namespace kimberlite
