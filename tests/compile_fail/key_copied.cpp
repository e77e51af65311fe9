// layers: base crypto
// expect: use of deleted function
#include "crypto/key.hpp"

namespace kimberlite {

crypto::Key256 use(const crypto::Key256& key) {
#ifdef KIMBERLITE_CONTROL
  return key.duplicate();
#else
  return key;
#endif
}

}  // namespace kimberlite
