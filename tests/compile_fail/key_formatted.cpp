// layers: base crypto
// expect: (Cannot format an argument|formatter|not formattable)
#include "base/error.hpp"
#include "crypto/key.hpp"

namespace kimberlite {

#ifdef KIMBERLITE_CONTROL
Error use(const crypto::Key256& key) { return Error{Code::internal_bug, "{}", key.size}; }
#else
Error use(const crypto::Key256& key) { return Error{Code::internal_bug, "{}", key}; }
#endif

}  // namespace kimberlite
