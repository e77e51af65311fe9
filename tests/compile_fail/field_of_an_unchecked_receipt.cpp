// layers: base crypto record
// expect: has no member named .*opened
#include "record/receipt.hpp"

namespace kimberlite {

bool use(const record::Receipt& receipt, const record::VerifierKey& key) {
#ifndef KIMBERLITE_CONTROL
  static_cast<void>(key);
  return receipt.opened().has_value();
#else
  const auto record = record::verify(receipt, key);
  return record && record->opened().has_value();
#endif
}

}  // namespace kimberlite
