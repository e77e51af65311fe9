// layers: base crypto
// expect: use of deleted function
#include "crypto/key.hpp"

namespace kimberlite {

bool use(const crypto::Key256& a, const crypto::Key256& b) {
#ifdef KIMBERLITE_CONTROL
  return crypto::equal_constant_time(a.expose(), b.expose());
#else
  return a == b;
#endif
}

}  // namespace kimberlite
