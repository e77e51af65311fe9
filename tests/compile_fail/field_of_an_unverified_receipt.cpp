// layers: all
// expect: Receipt.*has no member named .*entry
#include "kimberlite/kimberlite.hpp"

namespace kimberlite {

bool use(const Receipt& receipt, const Result<LogKey>& key) {
#ifndef KIMBERLITE_CONTROL
  static_cast<void>(key);
  return receipt.entry().position == Position{4};
#else
  const auto record = verify(receipt, key);
  return record && record->entry().position == Position{4};
#endif
}

}  // namespace kimberlite
