// layers: base crypto
// expect: use of deleted function
#include "crypto/key.hpp"

namespace kimberlite {

#ifdef KIMBERLITE_CONTROL
std::size_t use(std::vector<std::size_t>& to, const crypto::Key256& key) {
  to.push_back(key.expose().size());
  return to.back();
}
#else
std::vector<int>& use(std::vector<int>& to, const crypto::Key256& key) { return to << key; }
#endif

}  // namespace kimberlite
