#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace kimberlite::base {

void assertion_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "kimberlite: internal error: assertion `%s` failed at %s:%d\n", condition,
               file, line);
  std::abort();
}

}  // namespace kimberlite::base
