// CRC32C (RFC 3720 §12.1, Castagnoli): finds torn and rotten bytes, not forged ones.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"

namespace kimberlite::crypto {

// Of `bytes`; or, given the checksum of what stands before them, of both.
[[nodiscard]] std::uint32_t crc32c(Bytes bytes, std::uint32_t before = 0);

}  // namespace kimberlite::crypto
