// layers: all
// expect: could not convert .* to .kimberlite::Sql
#include "kimberlite/kimberlite.hpp"

namespace kimberlite {

Sql use(const std::string& text) {
#ifdef KIMBERLITE_CONTROL
  return Sql::trusted(text);
#else
  return text;
#endif
}

}  // namespace kimberlite
