// Something wrong, or worth saying, at a place of a file: what `verify` and `inspect` tell.
#pragma once

#include <cstdint>

#include "base/error.hpp"

namespace kimberlite::consensus {

enum class Severity : std::uint8_t {
  note,    // what a crash leaves behind; the next open clears it up
  damage,  // bytes that are not what was written
};

struct Finding {
  Severity severity = Severity::damage;
  std::uint64_t offset = 0;  // in the file
  std::uint64_t size = 0;
  Error error;
};

}  // namespace kimberlite::consensus
