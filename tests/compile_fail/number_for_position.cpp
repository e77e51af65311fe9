// layers: base
// expect: conversion from .int. to non-scalar type .*Position
#include "base/ids.hpp"

namespace kimberlite {

std::uint64_t use() {
#ifdef KIMBERLITE_CONTROL
  const Position position{3};
#else
  const Position position = 3;
#endif
  return position.value();
}

}  // namespace kimberlite
