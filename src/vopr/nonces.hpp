// The nonces of a directory's items: every one must be the only one of its key.
//
// Two items under one key and nonce give away both texts, and no check of the bytes would ever
// notice. Thread rule: pure functions.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "vopr/disk_image.hpp"

namespace kimberlite::vopr {

// Where a key and nonce came for the second time, if they did. Reads the segments of all tenants,
// each up to the first bytes that are no frame.
[[nodiscard]] std::optional<std::string> nonce_used_twice(const DiskImage& image);

}  // namespace kimberlite::vopr
