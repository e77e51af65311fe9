// A SQL value as it is stored: NULL, a 64-bit integer, a double, text, or bytes.
//
// Encoding: tag u8 (0 NULL, 1 i64, 2 f64, 3 text, 4 bytes), then 8 bytes little-endian, or size u32
// and the bytes (storage.md, Record). Doubles are IEEE 754 bits; NaN and -0.0 are never stored,
// which the decoder holds too, so that equal values have equal bytes.
//
// `ValueView` does not own its text or bytes; `Value` does. Thread rule: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/codec.hpp"

namespace kimberlite::base {

using Null = std::monostate;
using Value = std::variant<Null, std::int64_t, double, std::string, Buffer>;
using ValueView = std::variant<Null, std::int64_t, double, std::string_view, Bytes>;
using Row = std::vector<Value>;

[[nodiscard]] inline bool is_null(const Value& value) { return value.index() == 0; }
[[nodiscard]] inline bool is_null(const ValueView& value) { return value.index() == 0; }

// Valid as long as `value` is.
[[nodiscard]] ValueView view(const Value& value);
[[nodiscard]] Value own(const ValueView& value);

void encode(Writer& to, const ValueView& value);
// Fails the reader on an unknown tag, a NaN, -0.0, or text that is not UTF-8 without NUL.
[[nodiscard]] ValueView decode_value(Reader& from);

}  // namespace kimberlite::base

namespace kimberlite {
using namespace base;
}
