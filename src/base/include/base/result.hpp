// `Result<T>`: a value or an `Error`, and the compiler refuses to ignore it.
//
//   Result<Head> head = read_head();
//   if (!head) return head.error();
//
// or, where the error is only passed on:
//
//   KIMBERLITE_TRY(const Head head, read_head());
//   KIMBERLITE_CHECK(file.sync());
#pragma once

#include <expected>
#include <type_traits>
#include <utility>

#include "base/error.hpp"

namespace kimberlite::base {

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using Base = std::expected<T, Error>;
  using Base::Base;
  Result(Error error)
      : Base(std::unexpect, std::move(error)) {}  // NOLINT(google-explicit-constructor)
};

using Status = Result<void>;

}  // namespace kimberlite::base

namespace kimberlite {
using namespace base;
}

#define KIMBERLITE_CONCAT_INNER(a, b) a##b
#define KIMBERLITE_CONCAT(a, b) KIMBERLITE_CONCAT_INNER(a, b)
#define KIMBERLITE_TRY_AS(result, declaration, ...) \
  auto result = (__VA_ARGS__);                      \
  if (!result) return std::move(result).error();    \
  declaration = *std::move(result)
// Declares (or assigns) the value, or returns the error from the enclosing function.
#define KIMBERLITE_TRY(declaration, ...) \
  KIMBERLITE_TRY_AS(KIMBERLITE_CONCAT(kimberlite_try_, __COUNTER__), declaration, __VA_ARGS__)
// Returns the error of a `Status`, if it is one, from the enclosing function.
#define KIMBERLITE_CHECK(...)                                         \
  do {                                                                \
    if (auto kimberlite_status = (__VA_ARGS__); !kimberlite_status) { \
      return std::move(kimberlite_status).error();                    \
    }                                                                 \
  } while (false)
