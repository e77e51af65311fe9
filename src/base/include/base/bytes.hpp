// Views of bytes and their conversions to and from text. Nothing here owns memory it was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace kimberlite::base {

using Bytes = std::span<const std::byte>;
using MutBytes = std::span<std::byte>;
using Buffer = std::vector<std::byte>;

// The bytes of `text`, valid as long as it is.
[[nodiscard]] inline Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span{text.data(), text.size()});
}

// The characters of `bytes`, valid as long as they are; not checked to be UTF-8.
[[nodiscard]] inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline void append(Buffer& to, Bytes from) { to.insert(to.end(), from.begin(), from.end()); }

// The library's generic algorithms go over `std::byte` one at a time; these do not.
//
// `to` holds `from.size()` bytes at least, and they do not overlap.
inline void copy_bytes(MutBytes to, Bytes from) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}
[[nodiscard]] inline bool equal(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}
[[nodiscard]] bool all_zero(Bytes bytes);

// Lower-case hexadecimal.
[[nodiscard]] std::string to_hex(Bytes bytes);
// Nothing unless `text` is an even number of hexadecimal digits.
[[nodiscard]] std::optional<Buffer> from_hex(std::string_view text);

// RFC 4648 §4, with padding.
[[nodiscard]] std::string to_base64(Bytes bytes);
void append_base64(std::string& to, Bytes bytes);
// Nothing unless `text` is exactly what `to_base64` gives.
[[nodiscard]] std::optional<Buffer> from_base64(std::string_view text);

// RFC 9562 text form, 8-4-4-4-12 in lower case.
[[nodiscard]] std::string to_uuid(const Id128& id);
// Accepts the 36-character form in either case, and nothing else.
[[nodiscard]] std::optional<Id128> from_uuid(std::string_view text);

// True if `text` is well-formed UTF-8 without NUL (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8_text(std::string_view text);

}  // namespace kimberlite::base

namespace kimberlite {
using namespace base;
}
