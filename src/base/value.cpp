#include "base/value.hpp"

#include <bit>
#include <cmath>

namespace kimberlite::base {
namespace {

enum Tag : std::uint8_t {
  tag_null = 0,
  tag_integer = 1,
  tag_real = 2,
  tag_text = 3,
  tag_bytes = 4
};

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

}  // namespace

ValueView view(const Value& value) {
  return std::visit(Overloaded{
                        [](Null) -> ValueView { return Null{}; },
                        [](std::int64_t v) -> ValueView { return v; },
                        [](double v) -> ValueView { return v; },
                        [](const std::string& v) -> ValueView { return std::string_view{v}; },
                        [](const Buffer& v) -> ValueView { return Bytes{v}; },
                    },
                    value);
}

Value own(const ValueView& value) {
  return std::visit(Overloaded{
                        [](Null) -> Value { return Null{}; },
                        [](std::int64_t v) -> Value { return v; },
                        [](double v) -> Value { return v; },
                        [](std::string_view v) -> Value { return std::string{v}; },
                        [](Bytes v) -> Value { return Buffer{v.begin(), v.end()}; },
                    },
                    value);
}

void encode(Writer& to, const ValueView& value) {
  std::visit(Overloaded{
                 [&](Null) { to.u8(tag_null); },
                 [&](std::int64_t v) {
                   to.u8(tag_integer);
                   to.u64(static_cast<std::uint64_t>(v));
                 },
                 [&](double v) {
                   to.u8(tag_real);
                   to.u64(std::bit_cast<std::uint64_t>(v == 0.0 ? 0.0 : v));
                 },
                 [&](std::string_view v) {
                   to.u8(tag_text);
                   to.text(v);
                 },
                 [&](Bytes v) {
                   to.u8(tag_bytes);
                   to.sized(v);
                 },
             },
             value);
}

ValueView decode_value(Reader& from) {
  switch (from.u8()) {
    case tag_null:
      return Null{};
    case tag_integer:
      return static_cast<std::int64_t>(from.u64());
    case tag_real: {
      const double value = std::bit_cast<double>(from.u64());
      if (std::isnan(value) || (value == 0.0 && std::signbit(value))) from.fail();
      return value;
    }
    case tag_text: {
      const std::string_view text = from.text();
      if (!is_utf8_text(text)) from.fail();
      return text;
    }
    case tag_bytes:
      return from.sized();
    default:
      from.fail();
      return Null{};
  }
}

}  // namespace kimberlite::base
