// Assertions that stay on in every build. They are for what can only be a bug in this program;
// whatever an outsider can cause is a `Result`.
#pragma once

namespace kimberlite::base {

// Writes the failed condition to standard error and aborts. Never returns.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace kimberlite::base

#define KIMBERLITE_ASSERT(condition) \
  (static_cast<bool>(condition)      \
       ? static_cast<void>(0)        \
       : ::kimberlite::base::assertion_failed(#condition, __FILE__, __LINE__))
