#include "sql/types.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "json_text.hpp"
#include "sql/datetime.hpp"
#include "sql/decimal.hpp"

namespace kimberlite::sql {
namespace {

using catalog::Type;
using catalog::TypeKind;

Error mismatch(const Type& type, std::string_view found) {
  return Error{Code::type_mismatch, "{} is no {}", found, type_name(type)};
}

Error out_of_range(const Type& type) {
  return Error{Code::type_range, "the value is outside {}", type_name(type)};
}

std::string_view example(TypeKind kind) {
  switch (kind) {
    case TypeKind::decimal:
      return "77.50";
    case TypeKind::boolean:
      return "true or false";
    case TypeKind::date:
      return "2024-01-15";
    case TypeKind::time:
      return "10:30:00";
    case TypeKind::timestamp:
      return "2024-01-15T10:30:00Z";
    case TypeKind::interval:
      return "'1 year 2 days 03:04:05', or P1Y2DT3H4M5S";
    case TypeKind::uuid:
      return "01234567-89ab-cdef-0123-456789abcdef";
    case TypeKind::json:
      return "JSON with double quotes around names and texts";
    case TypeKind::bytes:
      return "\\x and hexadecimal digits, or base64";
    default:
      return "a number";
  }
}

Error no_spelling(const Type& type) {
  return Error{Code::type_format, "the text spells no {}", type_name(type)}.next(
      "write it like this: {}", example(type.kind));
}

std::string_view kind_of(const ValueView& value) {
  static constexpr std::array<std::string_view, 5> names{"NULL", "an integer", "a double", "a text",
                                                         "a byte string"};
  return names.at(value.index());
}

std::size_t characters(std::string_view utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

struct Limits {
  std::int64_t least;
  std::int64_t most;
};

Limits integer_limits(TypeKind kind) {
  switch (kind) {
    case TypeKind::smallint:
      return {std::numeric_limits<std::int16_t>::min(), std::numeric_limits<std::int16_t>::max()};
    case TypeKind::integer:
      return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    default:
      return {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
  }
}

Result<Value> integer_within(std::int64_t value, const Type& type) {
  const Limits limits = integer_limits(type.kind);
  if (value < limits.least || value > limits.most) return out_of_range(type);
  return Value{value};
}

// `exact`: a fraction is an error, not rounded away.
Result<Value> to_integer(const ValueView& value, const Type& type, bool exact) {
  if (const auto* integer = std::get_if<std::int64_t>(&value))
    return integer_within(*integer, type);
  if (const auto* real = std::get_if<double>(&value)) {
    const double whole = std::round(*real);
    if (exact && whole != *real) return mismatch(type, "a number with a fraction");
    // 2^63 is a double, the largest integer is not.
    if (!(whole >= -0x1p63 && whole < 0x1p63)) return out_of_range(type);
    return integer_within(static_cast<std::int64_t>(whole), type);
  }
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    const auto number = Decimal::parse(*text);
    if (!number) return no_spelling(type);
    if (exact && number->trimmed().scale() != 0) return mismatch(type, "a number with a fraction");
    const auto integer = number->to_integer();
    if (!integer) return out_of_range(type);
    return integer_within(*integer, type);
  }
  return mismatch(type, kind_of(value));
}

Result<Value> to_real(const ValueView& value, const Type& type) {
  double real = 0;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    real = static_cast<double>(*integer);
  } else if (const auto* given = std::get_if<double>(&value)) {
    real = *given;
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    const std::string_view digits = text->starts_with('+') ? text->substr(1) : *text;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), real);
    if (parsed.ec == std::errc::result_out_of_range) return out_of_range(type);
    if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) {
      return no_spelling(type);
    }
  } else {
    return mismatch(type, kind_of(value));
  }
  if (!std::isfinite(real)) return out_of_range(type);
  return Value{real == 0 ? 0.0 : real};
}

std::optional<Decimal> decimal_of(const ValueView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return Decimal{*integer};
  if (const auto* real = std::get_if<double>(&value)) return Decimal::parse(print_double(*real));
  if (const auto* text = std::get_if<std::string_view>(&value)) return Decimal::parse(*text);
  return std::nullopt;
}

Result<Value> to_decimal(const ValueView& value, const Type& type) {
  if (std::holds_alternative<Bytes>(value)) return mismatch(type, kind_of(value));
  const auto number = decimal_of(value);
  if (!number) {
    if (std::holds_alternative<double>(value)) return out_of_range(type);
    return no_spelling(type);
  }
  if (type.precision == 0) return Value{number->trimmed().text()};
  KIMBERLITE_TRY(const Decimal rounded, number->rounded(type.scale));
  if (rounded.digits() > type.precision) return out_of_range(type);
  return Value{rounded.text()};
}

Result<Value> to_boolean(const ValueView& value, const Type& type) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    if (*integer != 0 && *integer != 1) return out_of_range(type);
    return Value{*integer};
  }
  const auto* text = std::get_if<std::string_view>(&value);
  if (text == nullptr) return mismatch(type, kind_of(value));
  struct Word {
    std::string_view spelling;
    std::int64_t value;
  };
  static constexpr std::array<Word, 12> words{{{"true", 1},
                                               {"false", 0},
                                               {"t", 1},
                                               {"f", 0},
                                               {"yes", 1},
                                               {"no", 0},
                                               {"y", 1},
                                               {"n", 0},
                                               {"on", 1},
                                               {"off", 0},
                                               {"1", 1},
                                               {"0", 0}}};
  for (const Word& word : words) {
    const bool same = std::ranges::equal(*text, word.spelling, [](char a, char b) {
      return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
    });
    if (same) return Value{word.value};
  }
  return no_spelling(type);
}

// The text a value without a text of its own has.
std::optional<std::string> text_form(const ValueView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return print_double(*real);
  if (const auto* text = std::get_if<std::string_view>(&value)) return std::string{*text};
  return std::nullopt;
}

Status check_text(std::string_view text, const Type& type) {
  if (!is_utf8_text(text)) {
    return Error{Code::type_encoding, "a text has a NUL or is not UTF-8"}.next(
        "store bytes in a column of type BYTES");
  }
  const bool limited = type.kind == TypeKind::varchar || type.kind == TypeKind::character;
  if (limited && type.precision != 0 && text.size() > type.precision &&
      characters(text) > type.precision) {
    return Error{Code::type_range, "a text is longer than {}", type_name(type)};
  }
  if (type.kind == TypeKind::json && !is_json(text)) return no_spelling(type);
  return {};
}

Result<Value> to_text(const ValueView& value, const Type& type) {
  auto text = text_form(value);
  if (!text) return mismatch(type, kind_of(value));
  KIMBERLITE_CHECK(check_text(*text, type));
  return Value{*std::move(text)};
}

std::optional<std::string> spelled(std::string_view text, TypeKind kind) {
  switch (kind) {
    case TypeKind::date:
      if (const auto date = parse_date(text)) return text_of(*date);
      return std::nullopt;
    case TypeKind::time:
      if (const auto time = parse_time(text)) return text_of(*time);
      return std::nullopt;
    case TypeKind::timestamp:
      if (const auto timestamp = parse_timestamp(text)) return text_of(*timestamp);
      return std::nullopt;
    case TypeKind::interval:
      if (const auto interval = parse_interval(text)) return text_of(*interval);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

// 36 characters with hyphens, 38 with braces around, or 32 digits alone. No allocation: an index
// calls it for every step of a search.
std::optional<Id128> parse_uuid(std::string_view text) {
  if (text.size() == 38 && text.front() == '{' && text.back() == '}') text = text.substr(1, 36);
  const bool hyphens = text.size() == 36;
  if (!hyphens && text.size() != 32) return std::nullopt;
  Id128 id{};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (hyphens && (i == 8 || i == 13 || i == 18 || i == 23)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const char c = text[i];
    const char lower = static_cast<char>(c | 0x20);
    unsigned digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      digit = static_cast<unsigned>(lower - 'a') + 10;
    } else {
      return std::nullopt;
    }
    std::byte& at = id.at(digits++ / 2);
    at = at << 4U | static_cast<std::byte>(digit);
  }
  return id;
}

Result<Value> to_spelled(const ValueView& value, const Type& type) {
  const auto* text = std::get_if<std::string_view>(&value);
  if (text == nullptr) return mismatch(type, kind_of(value));
  if (type.kind == TypeKind::uuid) {
    const auto id = parse_uuid(*text);
    if (!id) return no_spelling(type);
    return Value{to_uuid(*id)};
  }
  auto canonical = spelled(*text, type.kind);
  if (!canonical) return no_spelling(type);
  return Value{*std::move(canonical)};
}

Result<Value> to_bytes(const ValueView& value, const Type& type) {
  if (const auto* bytes = std::get_if<Bytes>(&value)) {
    return Value{Buffer{bytes->begin(), bytes->end()}};
  }
  const auto* text = std::get_if<std::string_view>(&value);
  if (text == nullptr) return mismatch(type, kind_of(value));
  auto bytes = text->starts_with("\\x") ? from_hex(text->substr(2)) : from_base64(*text);
  if (!bytes) return no_spelling(type);
  return Value{*std::move(bytes)};
}

}  // namespace

std::string type_name(const Type& type) {
  const auto with_length = [&type](std::string_view name) {
    return type.precision == 0 ? std::string{name} : fmt::format("{}({})", name, type.precision);
  };
  switch (type.kind) {
    case TypeKind::smallint:
      return "SMALLINT";
    case TypeKind::integer:
      return "INTEGER";
    case TypeKind::bigint:
      return "BIGINT";
    case TypeKind::real:
      return "REAL";
    case TypeKind::double_precision:
      return "DOUBLE";
    case TypeKind::decimal:
      return type.precision == 0 ? "DECIMAL"
                                 : fmt::format("DECIMAL({},{})", type.precision, type.scale);
    case TypeKind::text:
      return "TEXT";
    case TypeKind::varchar:
      return with_length("VARCHAR");
    case TypeKind::character:
      return with_length("CHAR");
    case TypeKind::boolean:
      return "BOOLEAN";
    case TypeKind::date:
      return "DATE";
    case TypeKind::time:
      return "TIME";
    case TypeKind::timestamp:
      return "TIMESTAMP";
    case TypeKind::interval:
      return "INTERVAL";
    case TypeKind::uuid:
      return "UUID";
    case TypeKind::json:
      return "JSON";
    case TypeKind::bytes:
      return "BYTES";
  }
  return "TEXT";
}

std::string_view storage_class(const Type& type) {
  switch (type.kind) {
    case TypeKind::smallint:
    case TypeKind::integer:
    case TypeKind::bigint:
    case TypeKind::boolean:
      return "INTEGER";
    case TypeKind::real:
    case TypeKind::double_precision:
      return "REAL";
    case TypeKind::bytes:
      return "BLOB";
    default:
      return "TEXT";
  }
}

Order order_of(const Type& type) {
  switch (type.kind) {
    case TypeKind::decimal:
      return Order::decimal;
    case TypeKind::date:
    case TypeKind::timestamp:
      return Order::timestamp;
    case TypeKind::time:
      return Order::time;
    case TypeKind::interval:
      return Order::interval;
    case TypeKind::uuid:
      return Order::uuid;
    default:
      return Order::binary;
  }
}

std::span<const Collation> collations() {
  static constexpr std::array<Collation, 5> all{{{"kmb_decimal", Order::decimal},
                                                 {"kmb_timestamp", Order::timestamp},
                                                 {"kmb_time", Order::time},
                                                 {"kmb_interval", Order::interval},
                                                 {"kmb_uuid", Order::uuid}}};
  return all;
}

std::string_view collation_name(const Type& type) {
  const Order order = order_of(type);
  for (const Collation& collation : collations()) {
    if (collation.order == order) return collation.name;
  }
  return {};
}

std::string check_expression(const Type& type, std::string_view column) {
  switch (type.kind) {
    case TypeKind::smallint:
    case TypeKind::integer: {
      const Limits limits = integer_limits(type.kind);
      return fmt::format("{} BETWEEN {} AND {}", column, limits.least, limits.most);
    }
    case TypeKind::boolean:
      return fmt::format("{} IN (0, 1)", column);
    case TypeKind::real:
    case TypeKind::double_precision:  // no infinities
      return fmt::format("{0} BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308", column);
    case TypeKind::varchar:
    case TypeKind::character:
      return type.precision == 0 ? "" : fmt::format("length({}) <= {}", column, type.precision);
    case TypeKind::bigint:
    case TypeKind::text:
    case TypeKind::bytes:
      return "";
    default:
      return fmt::format("kmb_valid({}, {}, {}, {})", column, static_cast<int>(type.kind),
                         type.precision, type.scale);
  }
}

Result<Value> canonicalise(const ValueView& value, const Type& type) {
  if (is_null(value)) return Value{};
  switch (type.kind) {
    case TypeKind::smallint:
    case TypeKind::integer:
    case TypeKind::bigint:
      return to_integer(value, type, true);
    case TypeKind::real:
    case TypeKind::double_precision:
      return to_real(value, type);
    case TypeKind::decimal:
      return to_decimal(value, type);
    case TypeKind::boolean:
      return to_boolean(value, type);
    case TypeKind::date:
    case TypeKind::time:
    case TypeKind::timestamp:
    case TypeKind::interval:
    case TypeKind::uuid:
      return to_spelled(value, type);
    case TypeKind::bytes:
      return to_bytes(value, type);
    case TypeKind::text:
    case TypeKind::varchar:
    case TypeKind::character:
    case TypeKind::json:
      return to_text(value, type);
  }
  return mismatch(type, kind_of(value));
}

namespace {

bool is_canonical_decimal(std::string_view text, const Type& type) {
  if (text.empty() || text.size() > std::size_t{Decimal::digits_max} + 2) return false;
  const std::size_t first = text[0] == '-' ? 1 : 0;
  const std::size_t point = text.find('.');
  const std::size_t whole_end = point == std::string_view::npos ? text.size() : point;
  const std::size_t scale = point == std::string_view::npos ? 0 : text.size() - point - 1;
  if (whole_end == first || (text[first] == '0' && whole_end - first > 1)) return false;
  if (point != std::string_view::npos && scale == 0) return false;
  bool zero = true;
  for (std::size_t i = first; i < text.size(); ++i) {
    if (i == point) continue;
    if (text[i] < '0' || text[i] > '9') return false;
    zero = zero && text[i] == '0';
  }
  if (zero && first == 1) return false;
  if (type.precision == 0) return scale == 0 || text.back() != '0';
  const std::size_t whole = text[first] == '0' ? 0 : whole_end - first;
  return scale == type.scale && whole + scale <= type.precision;
}

// Of a text `parse_timestamp` accepts.
bool is_canonical_timestamp(std::string_view text) {
  if (text.size() < 20 || text[10] != 'T' || text.back() != 'Z') return false;
  if (text.size() == 20) return true;
  const char before_zone = text[text.size() - 2];
  return text[19] == '.' && before_zone >= '1' && before_zone <= '9';
}

bool is_canonical_text(std::string_view text, const Type& type) {
  switch (type.kind) {
    case TypeKind::decimal:
      return is_canonical_decimal(text, type);
    case TypeKind::date:
      return text.size() == 10 && parse_date(text).has_value();
    case TypeKind::time:
      return (text.size() == 8 || (text.size() > 9 && text[8] == '.' && text.back() != '0')) &&
             text.front() != ' ' && text.back() != ' ' && parse_time(text).has_value();
    case TypeKind::timestamp:
      return is_canonical_timestamp(text) && parse_timestamp(text).has_value();
    case TypeKind::interval: {
      const auto interval = parse_interval(text);
      return interval && text_of(*interval) == text;
    }
    case TypeKind::uuid:
      return text.size() == 36 && parse_uuid(text).has_value() &&
             std::ranges::none_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
    case TypeKind::text:
    case TypeKind::varchar:
    case TypeKind::character:
    case TypeKind::json:
      return check_text(text, type).has_value();
    default:
      return false;
  }
}

}  // namespace

bool is_canonical(const ValueView& value, const Type& type) {
  if (is_null(value)) return true;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    if (type.kind == TypeKind::boolean) return *integer == 0 || *integer == 1;
    if (storage_class(type) != "INTEGER") return false;
    const Limits limits = integer_limits(type.kind);
    return *integer >= limits.least && *integer <= limits.most;
  }
  if (const auto* real = std::get_if<double>(&value)) {
    return storage_class(type) == "REAL" && std::isfinite(*real) &&
           !(*real == 0 && std::signbit(*real));
  }
  if (const auto* text = std::get_if<std::string_view>(&value))
    return is_canonical_text(*text, type);
  return type.kind == TypeKind::bytes;
}

namespace {

Result<Value> cast_to_boolean(const ValueView& value, const Type& type) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return Value{std::int64_t{*integer != 0}};
  }
  if (const auto* real = std::get_if<double>(&value)) return Value{std::int64_t{*real != 0}};
  return to_boolean(value, type);
}

Result<Value> cast_to_text(const ValueView& value, const Type& type) {
  std::string text;
  if (const auto* bytes = std::get_if<Bytes>(&value)) {
    text = base::text_of(*bytes);
  } else {
    text = *text_form(value);
  }
  const bool limited = type.kind == TypeKind::varchar || type.kind == TypeKind::character;
  if (limited && type.precision != 0 && is_utf8_text(text)) {
    std::size_t end = 0;
    std::size_t count = 0;
    while (end < text.size()) {
      if ((static_cast<unsigned char>(text[end]) & 0xC0U) != 0x80U && ++count > type.precision) {
        break;
      }
      ++end;
    }
    text.resize(end);
  }
  KIMBERLITE_CHECK(check_text(text, type));
  return Value{std::move(text)};
}

}  // namespace

Result<Value> cast(const ValueView& value, const Type& type) {
  if (is_null(value)) return Value{};
  const auto* text = std::get_if<std::string_view>(&value);
  switch (type.kind) {
    case TypeKind::smallint:
    case TypeKind::integer:
    case TypeKind::bigint:
      return to_integer(value, type, false);
    case TypeKind::boolean:
      return cast_to_boolean(value, type);
    case TypeKind::date:
      if (text != nullptr) {
        if (const auto timestamp = parse_timestamp(*text))
          return Value{text_of(date_of(*timestamp))};
      }
      return canonicalise(value, type);
    case TypeKind::time:
      if (text != nullptr) {
        if (const auto timestamp = parse_timestamp(*text))
          return Value{text_of(time_of(*timestamp))};
      }
      return canonicalise(value, type);
    case TypeKind::text:
    case TypeKind::varchar:
    case TypeKind::character:
      return cast_to_text(value, type);
    default:
      return canonicalise(value, type);
  }
}

std::string print_double(double value) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string text{buffer.data(), end};
  if (text.find_first_of(".ein") == std::string::npos) text += ".0";
  return text;
}

std::string print(const ValueView& value) {
  if (const auto* bytes = std::get_if<Bytes>(&value)) return to_base64(*bytes);
  return text_form(value).value_or("");
}

std::string print(const ValueView& value, const Type& type) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    if (type.kind == TypeKind::boolean) return *integer != 0 ? "true" : "false";
    if (storage_class(type) == "REAL") return print_double(static_cast<double>(*integer));
  }
  return print(value);
}

namespace {

template <class T>
int by_value(const std::optional<T>& a, const std::optional<T>& b, std::string_view text_a,
             std::string_view text_b, int (*compare_values)(const T&, const T&)) {
  if (a && b) return compare_values(*a, *b);
  if (a || b) return a ? -1 : 1;
  return text_a.compare(text_b);
}

int compare_us(const std::int64_t& a, const std::int64_t& b) {
  return a < b ? -1 : (a > b ? 1 : 0);
}

}  // namespace

int compare(Order order, std::string_view a, std::string_view b) noexcept {
  if (a == b) return 0;
  switch (order) {
    case Order::binary:
      return a.compare(b);
    case Order::decimal: {
      if (const auto decided = compare_decimal_text(a, b)) return *decided;
      return by_value<Decimal>(Decimal::parse(a), Decimal::parse(b), a, b, &Decimal::compare);
    }
    case Order::timestamp: {
      const auto us = [](std::string_view text) -> std::optional<std::int64_t> {
        const auto parsed = parse_timestamp(text);
        return parsed ? std::optional{parsed->us} : std::nullopt;
      };
      return by_value<std::int64_t>(us(a), us(b), a, b, &compare_us);
    }
    case Order::time: {
      const auto us = [](std::string_view text) -> std::optional<std::int64_t> {
        const auto parsed = parse_time(text);
        return parsed ? std::optional{parsed->us} : std::nullopt;
      };
      return by_value<std::int64_t>(us(a), us(b), a, b, &compare_us);
    }
    case Order::interval:
      return by_value<Interval>(parse_interval(a), parse_interval(b), a, b,
                                [](const Interval& x, const Interval& y) { return compare(x, y); });
    case Order::uuid:
      return by_value<Id128>(
          parse_uuid(a), parse_uuid(b), a, b,
          [](const Id128& x, const Id128& y) { return x < y ? -1 : (y < x ? 1 : 0); });
  }
  return a.compare(b);
}

}  // namespace kimberlite::sql
