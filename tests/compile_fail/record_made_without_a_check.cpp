// layers: base crypto record
// expect: VerifiedRecord\(.*is private
#include "record/receipt.hpp"

namespace kimberlite {

Result<record::VerifiedRecord> use(const record::Receipt& receipt, const record::VerifierKey& key) {
#ifndef KIMBERLITE_CONTROL
  return record::VerifiedRecord{record::Entry{}, Hash{}, record::TreeHead{}, {}};
#else
  return record::verify(receipt, key);
#endif
}

}  // namespace kimberlite
