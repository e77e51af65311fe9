// layers: all
// expect: receipt_.* is private
#include "kimberlite/kimberlite.hpp"

namespace kimberlite {

bool use(const Receipt& receipt, const Result<LogKey>& key) {
#ifndef KIMBERLITE_CONTROL
  static_cast<void>(key);
  return receipt.receipt_.recorded.item.has_value();
#else
  const auto record = verify(receipt, key);
  return record && record->opened().has_value();
#endif
}

}  // namespace kimberlite
