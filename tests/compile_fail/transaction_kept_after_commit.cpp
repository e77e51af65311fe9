// layers: all
// expect: Transaction. as .this. argument discards qualifiers
#include "kimberlite/kimberlite.hpp"

namespace kimberlite {

Result<Commit> use(Transaction transaction) {
#ifdef KIMBERLITE_CONTROL
  return std::move(transaction).commit();
#else
  return transaction.commit();
#endif
}

}  // namespace kimberlite
