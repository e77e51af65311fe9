#include "crypto/crc32c.hpp"

#include <isa-l/crc.h>

#include <algorithm>

namespace kimberlite::crypto {

std::uint32_t crc32c(Bytes bytes, std::uint32_t before) {
  constexpr std::size_t step_max = std::size_t{1} << 30;  // the library counts in int
  // The library neither inverts what it begins with nor what it gives.
  std::uint32_t inverted = ~before;
  for (std::size_t at = 0; at < bytes.size(); at += step_max) {
    const Bytes step = bytes.subspan(at, std::min(step_max, bytes.size() - at));
    // It takes a pointer to non-const, but only reads.
    auto* const from = const_cast<std::byte*>(step.data());
    inverted = crc32_iscsi(reinterpret_cast<unsigned char*>(from), static_cast<int>(step.size()),
                           inverted);
  }
  return ~inverted;
}

}  // namespace kimberlite::crypto
