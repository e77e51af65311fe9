// layers: base env
// expect: ignoring return(ed)? value .*nodiscard
#include "env/env.hpp"

namespace kimberlite {

Result<std::uint64_t> use(env::File& file) {
#ifdef KIMBERLITE_CONTROL
  KIMBERLITE_TRY(const std::uint64_t size, file.size());
  return size;
#else
  file.size();
  return std::uint64_t{0};
#endif
}

}  // namespace kimberlite
