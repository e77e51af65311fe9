#include "sql/functions.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "operand.hpp"
#include "sql/token.hpp"
#include "sql/types.hpp"

namespace kimberlite::sql {
namespace {

using Arguments = std::span<const ValueView>;

// a + b + c: from left to right, as written.
Result<Value> fold(Arguments a, Result<Value> (*operation)(const ValueView&, const ValueView&)) {
  if (a.size() < 2) return Error{Code::sql_misuse, "an operator wants two values"};
  Result<Value> result = operation(a[0], a[1]);
  for (std::size_t i = 2; i < a.size() && result; ++i) result = operation(view(*result), a[i]);
  return result;
}

Result<Value> call_add(Arguments a) { return fold(a, &add); }
Result<Value> call_subtract(Arguments a) { return subtract(a[0], a[1]); }
Result<Value> call_multiply(Arguments a) { return fold(a, &multiply); }
Result<Value> call_divide(Arguments a) { return divide(a[0], a[1]); }
Result<Value> call_modulo(Arguments a) { return modulo(a[0], a[1]); }
Result<Value> call_negate(Arguments a) { return negate(a[0]); }

Result<Value> absolute(Arguments a) {
  if (is_null(a[0])) return Value{};
  KIMBERLITE_TRY(const Operand operand, operand_of(a[0]));
  if (const auto* number = std::get_if<Decimal>(&operand)) return Value{number->absolute().text()};
  if (const auto* real = std::get_if<double>(&operand)) return Value{std::abs(*real)};
  if (const auto* integer = std::get_if<std::int64_t>(&operand)) {
    if (*integer == std::numeric_limits<std::int64_t>::min()) {
      return Error{Code::type_range, "ABS of the smallest integer does not fit BIGINT"};
    }
    return Value{*integer < 0 ? -*integer : *integer};
  }
  return no_arithmetic("ABS of a time");
}

Result<Value> round(Arguments a) {
  if (is_null(a[0]) || (a.size() == 2 && is_null(a[1]))) return Value{};
  std::int64_t places = 0;
  if (a.size() == 2) {
    const auto* given = std::get_if<std::int64_t>(&a[1]);
    if (given == nullptr) return no_arithmetic("ROUND to a number of digits that is no integer");
    constexpr std::int64_t most = Decimal::digits_max;
    places = std::clamp(*given, -most, most);
  }
  KIMBERLITE_TRY(const Operand operand, operand_of(a[0]));
  if (const auto* number = std::get_if<Decimal>(&operand)) {
    KIMBERLITE_TRY(const Decimal rounded,
                   places >= 0 ? number->rounded(static_cast<std::uint32_t>(places))
                               : number->rounded_to_tens(static_cast<std::uint32_t>(-places)));
    return Value{rounded.text()};
  }
  double real = 0;
  if (const auto* integer = std::get_if<std::int64_t>(&operand)) {
    real = static_cast<double>(*integer);
  } else if (const auto* given = std::get_if<double>(&operand)) {
    real = *given;
  } else {
    return no_arithmetic("ROUND of a time");
  }
  // 0 to 30 digits as in SQLite, half away from zero of what the number prints as; a double of 2^52
  // has no fraction to round.
  if (std::abs(real) >= 0x1p52 || !std::isfinite(real)) return Value{real};
  const auto printed = Decimal::parse(print_double(real));
  if (!printed) return Value{real};  // too small to have a digit there
  KIMBERLITE_TRY(
      const Decimal rounded,
      printed->rounded(static_cast<std::uint32_t>(std::clamp<std::int64_t>(places, 0, 30))));
  return Value{rounded.to_double()};
}

Result<catalog::Type> type_argument(Arguments a) {
  const auto number = [&a](std::size_t i) {
    const auto* value = std::get_if<std::int64_t>(&a[i]);
    return value == nullptr || *value < 0 || *value > 65'535 ? std::uint16_t{0}
                                                             : static_cast<std::uint16_t>(*value);
  };
  const std::uint16_t kind = number(1);
  if (kind < static_cast<std::uint16_t>(catalog::TypeKind::smallint) ||
      kind > static_cast<std::uint16_t>(catalog::TypeKind::bytes)) {
    return Error{Code::sql_misuse, "there is no type of number {}", kind};
  }
  return catalog::Type{static_cast<catalog::TypeKind>(kind), number(2), number(3)};
}

Result<Value> valid(Arguments a) {
  KIMBERLITE_TRY(const catalog::Type type, type_argument(a));
  if (is_canonical(a[0], type)) return Value{std::int64_t{1}};
  KIMBERLITE_TRY([[maybe_unused]] const Value canonical, canonicalise(a[0], type));
  return Value{std::int64_t{1}};
}

Result<Value> call_cast(Arguments a) {
  KIMBERLITE_TRY(const catalog::Type type, type_argument(a));
  return cast(a[0], type);
}

// The value as a column of the type stores it.
Result<Value> store(Arguments a) {
  KIMBERLITE_TRY(const catalog::Type type, type_argument(a));
  return canonicalise(a[0], type);
}

// What a comparison with a column of this order can be made with; the spelling may stay.
Result<Value> operand(Arguments a) {
  if (is_null(a[0])) return Value{};
  const auto* number = std::get_if<std::int64_t>(&a[1]);
  const auto order = number == nullptr ? Order::binary : static_cast<Order>(*number);
  catalog::Type type;
  switch (order) {
    case Order::decimal:
      type.kind = catalog::TypeKind::decimal;
      break;
    case Order::timestamp:
      type.kind = catalog::TypeKind::timestamp;
      break;
    case Order::time:
      type.kind = catalog::TypeKind::time;
      break;
    case Order::interval:
      type.kind = catalog::TypeKind::interval;
      break;
    case Order::uuid:
      type.kind = catalog::TypeKind::uuid;
      break;
    default:
      return own(a[0]);
  }
  return canonicalise(a[0], type);
}

// ---- ILIKE ------------------------------------------------------------------------------------

// Simple case folding of the alphabets people's names are mostly written in.
char32_t folded(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  if (within('A', 'Z')) return c + 32;
  if (c < 0x80) return c;
  if (within(0xC0, 0xDE) && c != 0xD7) return c + 32;                   // Latin-1
  if (within(0x100, 0x137) && c != 0x130 && c != 0x131) return c | 1U;  // Latin Extended-A: pairs
  if (within(0x139, 0x148)) return c % 2 == 1 ? c + 1 : c;
  if (within(0x14A, 0x177)) return c | 1U;
  if (c == 0x178) return 0xFF;
  if (within(0x179, 0x17E)) return c % 2 == 1 ? c + 1 : c;
  if (within(0x391, 0x3A9) && c != 0x3A2) return c + 32;  // Greek
  if (c == 0x3C2) return 0x3C3;                           // final sigma
  if (within(0x400, 0x40F)) return c + 80;                // Cyrillic
  if (within(0x410, 0x42F)) return c + 32;
  return c;
}

// The next character of well-formed UTF-8.
char32_t next_character(std::string_view text, std::size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xF0 ? 3 : (lead >= 0xE0 ? 2 : 1);
  char32_t c = lead & (0x3FU >> static_cast<unsigned>(more));
  for (int i = 0; i < more && at < text.size(); ++i) {
    c = c << 6U | (static_cast<unsigned char>(text[at++]) & 0x3FU);
  }
  return c;
}

// One step back to the last % is enough: what an earlier one could still match, the last one can.
bool matches(std::string_view pattern, std::string_view text, char32_t escape) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (true) {
    std::size_t p_next = p;
    bool stepped = false;
    if (p < pattern.size()) {
      char32_t expected = next_character(pattern, p_next);
      const bool escaped = escape != 0 && expected == escape && p_next < pattern.size();
      if (escaped) expected = next_character(pattern, p_next);
      if (!escaped && expected == '%') {
        p = p_next;
        star = p;
        star_text = t;
        continue;
      }
      if (t < text.size()) {
        std::size_t t_next = t;
        const char32_t found = next_character(text, t_next);
        if ((!escaped && expected == '_') || folded(expected) == folded(found)) {
          p = p_next;
          t = t_next;
          stepped = true;
        }
      }
    } else if (t == text.size()) {
      return true;
    }
    if (stepped) continue;
    if (star == std::string_view::npos || star_text >= text.size()) return false;
    (void)next_character(text, star_text);
    t = star_text;
    p = star;
  }
}

constexpr std::size_t pattern_size_max = 10'000;

Result<Value> ilike(Arguments a) {
  if (std::ranges::any_of(a, [](const ValueView& v) { return is_null(v); })) return Value{};
  std::array<std::string, 3> texts;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::holds_alternative<Bytes>(a[i])) return no_arithmetic("ILIKE on bytes");
    texts.at(i) = print(a[i]);
    if (!is_utf8_text(texts.at(i))) {
      return Error{Code::type_encoding, "a text of ILIKE has a NUL or is not UTF-8"};
    }
  }
  if (texts[1].size() > pattern_size_max) {
    return Error{Code::limit_statement, "an ILIKE pattern has more than {} bytes",
                 pattern_size_max};
  }
  char32_t escape = 0;
  if (a.size() == 3) {
    std::size_t at = 0;
    if (!texts[2].empty()) escape = next_character(texts[2], at);
    if (texts[2].empty() || at != texts[2].size()) {
      return Error{Code::sql_misuse, "ESCAPE wants one character"};
    }
  }
  return Value{std::int64_t{matches(texts[1], texts[0], escape)}};
}

// ---- Fields of times --------------------------------------------------------------------------

enum class Field : std::uint8_t {
  microseconds,
  milliseconds,
  second,
  minute,
  hour,
  day,
  week,
  month,
  quarter,
  year,
  decade,
  century,
  dow,
  isodow,
  doy,
  isoyear,
  epoch,
};

std::optional<Field> field_of(std::string_view name) {
  struct Named {
    std::string_view name;
    Field field;
  };
  static constexpr std::array<Named, 17> names{{{"microseconds", Field::microseconds},
                                                {"milliseconds", Field::milliseconds},
                                                {"second", Field::second},
                                                {"minute", Field::minute},
                                                {"hour", Field::hour},
                                                {"day", Field::day},
                                                {"week", Field::week},
                                                {"month", Field::month},
                                                {"quarter", Field::quarter},
                                                {"year", Field::year},
                                                {"decade", Field::decade},
                                                {"century", Field::century},
                                                {"dow", Field::dow},
                                                {"isodow", Field::isodow},
                                                {"doy", Field::doy},
                                                {"isoyear", Field::isoyear},
                                                {"epoch", Field::epoch}}};
  for (const Named& named : names) {
    const bool same = std::ranges::equal(name, named.name, [](char a, char b) {
      return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
    });
    if (same) return named.field;
  }
  return std::nullopt;
}

Result<Field> field_argument(const ValueView& value) {
  const auto* text = std::get_if<std::string_view>(&value);
  const auto field = text == nullptr ? std::nullopt : field_of(*text);
  if (!field) {
    return Error{Code::sql_misuse, "a time has no such field"}.next(
        "one of year, quarter, month, week, day, hour, minute, second, dow, doy, epoch");
  }
  return *field;
}

// Microseconds as seconds: "12.5".
std::string seconds_text(std::int64_t us) {
  Decimal value{us};
  // us / 10^6 has at most six digits after the point: exact.
  const auto seconds = Decimal::divide(value, Decimal{us_per_second});
  return seconds ? seconds->text() : "0";
}

// ISO 8601: weeks begin on Monday, week 1 holds the first Thursday.
struct IsoWeek {
  std::int64_t year;
  std::int64_t week;
};
IsoWeek iso_week(Date date) {
  const std::int64_t weekday = ((date.days + 3) % 7 + 7) % 7;  // Monday is 0
  const Date thursday{date.days - weekday + 3};
  const std::int64_t year = civil_of(thursday).year;
  return {year, (thursday.days - date_of(CivilDate{year, 1, 1}).days) / 7 + 1};
}

Result<Value> extract_from_interval(Field field, const Interval& interval) {
  const std::int64_t seconds = interval.us / us_per_second;
  switch (field) {
    case Field::microseconds:
      return Value{interval.us % (60 * us_per_second)};
    case Field::milliseconds:
      return Value{interval.us % (60 * us_per_second) / 1000};
    case Field::second:
      return Value{seconds_text(interval.us % (60 * us_per_second))};
    case Field::minute:
      return Value{seconds / 60 % 60};
    case Field::hour:
      return Value{seconds / 3600};
    case Field::day:
      return Value{interval.days};
    case Field::month:
      return Value{interval.months % 12};
    case Field::year:
      return Value{interval.months / 12};
    case Field::epoch:
      return Value{seconds_text((interval.months * 30 + interval.days) * us_per_day + interval.us)};
    default:
      return Error{Code::sql_misuse, "an INTERVAL has no such field"};
  }
}

Value extract_from_time(Field field, std::int64_t us) {
  switch (field) {
    case Field::microseconds:
      return us % (60 * us_per_second);
    case Field::milliseconds:
      return us % (60 * us_per_second) / 1000;
    case Field::second:
      return seconds_text(us % (60 * us_per_second));
    case Field::minute:
      return us / us_per_second / 60 % 60;
    default:
      return us / us_per_second / 3600;
  }
}

Value extract_from_date(Field field, Date date) {
  const CivilDate civil = civil_of(date);
  const std::int64_t month = civil.month;
  switch (field) {
    case Field::day:
      return std::int64_t{civil.day};
    case Field::week:
      return iso_week(date).week;
    case Field::month:
      return month;
    case Field::quarter:
      return (month + 2) / 3;
    case Field::decade:
      return civil.year / 10;
    case Field::century:
      return (civil.year + 99) / 100;
    case Field::dow:
      return ((date.days + 4) % 7 + 7) % 7;
    case Field::isodow:
      return ((date.days + 3) % 7 + 7) % 7 + 1;
    case Field::doy:
      return date.days - date_of(CivilDate{civil.year, 1, 1}).days + 1;
    case Field::isoyear:
      return iso_week(date).year;
    default:
      return civil.year;
  }
}

Result<Value> extract(Arguments a) {
  if (is_null(a[1])) return Value{};
  KIMBERLITE_TRY(const Field field, field_argument(a[0]));
  KIMBERLITE_TRY(const Operand operand, operand_of(a[1]));
  if (const auto* interval = std::get_if<Interval>(&operand)) {
    return extract_from_interval(field, *interval);
  }
  const bool of_time = field <= Field::hour;
  if (const auto* time = std::get_if<TimeOfDay>(&operand)) {
    if (!of_time) return Error{Code::sql_misuse, "a TIME has no such field"};
    return extract_from_time(field, time->us);
  }
  Timestamp timestamp;
  if (const auto* date = std::get_if<Date>(&operand)) {
    timestamp.us = date->days * us_per_day;
  } else if (const auto* given = std::get_if<Timestamp>(&operand)) {
    timestamp = *given;
  } else {
    return Error{Code::type_mismatch, "EXTRACT wants a date, time or interval"};
  }
  if (field == Field::epoch) return Value{seconds_text(timestamp.us)};
  if (of_time) return extract_from_time(field, time_of(timestamp).us);
  return extract_from_date(field, date_of(timestamp));
}

Result<Value> truncate(Arguments a) {
  if (is_null(a[1])) return Value{};
  KIMBERLITE_TRY(const Field field, field_argument(a[0]));
  KIMBERLITE_TRY(const Operand operand, operand_of(a[1]));
  Timestamp timestamp;
  if (const auto* date = std::get_if<Date>(&operand)) {
    timestamp.us = date->days * us_per_day;
  } else if (const auto* given = std::get_if<Timestamp>(&operand)) {
    timestamp = *given;
  } else {
    return Error{Code::type_mismatch, "date_trunc wants a DATE or TIMESTAMP"};
  }
  const Date date = date_of(timestamp);
  CivilDate civil = civil_of(date);
  const std::int64_t midnight = date.days * us_per_day;
  const auto cut = [&](std::int64_t unit) {
    const std::int64_t us = time_of(timestamp).us;
    return Value{text_of(Timestamp{midnight + us - us % unit})};
  };
  const auto first_of = [](std::int64_t year, unsigned month) {
    return Value{text_of(Timestamp{date_of(CivilDate{year, month, 1}).days * us_per_day})};
  };
  switch (field) {
    case Field::microseconds:
      return cut(1);
    case Field::milliseconds:
      return cut(1000);
    case Field::second:
      return cut(us_per_second);
    case Field::minute:
      return cut(60 * us_per_second);
    case Field::hour:
      return cut(3600 * us_per_second);
    case Field::day:
      return cut(us_per_day);
    case Field::week: {
      const Timestamp monday{midnight - ((date.days + 3) % 7 + 7) % 7 * us_per_day};
      if (!in_range(monday)) return Error{Code::type_range, "the week began before the calendar"};
      return Value{text_of(monday)};
    }
    case Field::month:
      return first_of(civil.year, civil.month);
    case Field::quarter:
      return first_of(civil.year, (civil.month - 1) / 3 * 3 + 1);
    case Field::year:
      return first_of(civil.year, 1);
    default:
      return Error{Code::sql_misuse, "date_trunc does not cut to this field"};
  }
}

// ---- SUM and AVG ------------------------------------------------------------------------------

class Total : public Accumulator {
 public:
  Status step(const ValueView& value) override { return change(value, 1); }
  Status inverse(const ValueView& value) override { return change(value, -1); }

 protected:
  // What was added, by kind; a kind with no values is as if it never was.
  std::int64_t integers_ = 0;
  std::int64_t reals_ = 0;
  std::int64_t decimals_ = 0;
  std::int64_t intervals_ = 0;
  Decimal exact_;  // integers and DECIMALs: never rounded, never too large
  double real_ = 0;
  Interval interval_;

  [[nodiscard]] std::int64_t count() const { return integers_ + reals_ + decimals_ + intervals_; }
  [[nodiscard]] Status check_kinds() const {
    if (decimals_ != 0 && reals_ != 0) return decimal_with_double();
    if (intervals_ != 0 && intervals_ != count())
      return no_arithmetic("a sum of intervals and numbers");
    return {};
  }

 private:
  Status change(const ValueView& value, int sign) {
    if (is_null(value)) return {};
    KIMBERLITE_TRY(const Operand operand, operand_of(value));
    if (const auto* integer = std::get_if<std::int64_t>(&operand)) {
      integers_ += sign;
      return add_exact(Decimal{*integer}, sign);
    }
    if (const auto* number = std::get_if<Decimal>(&operand)) {
      decimals_ += sign;
      return add_exact(*number, sign);
    }
    if (const auto* real = std::get_if<double>(&operand)) {
      reals_ += sign;
      real_ += sign * *real;
      return {};
    }
    if (const auto* interval = std::get_if<Interval>(&operand)) {
      intervals_ += sign;
      const auto sum = sql::add(interval_, sign < 0 ? negated(*interval) : *interval);
      if (!sum) return Error{Code::type_range, "a sum of intervals is outside INTERVAL"};
      interval_ = *sum;
      return {};
    }
    return no_arithmetic("a sum of dates or times");
  }
  Status add_exact(const Decimal& number, int sign) {
    KIMBERLITE_TRY(exact_,
                   sign < 0 ? Decimal::subtract(exact_, number) : Decimal::add(exact_, number));
    return {};
  }
};

class Sum final : public Total {
 public:
  [[nodiscard]] Result<Value> value() const override {
    KIMBERLITE_CHECK(check_kinds());
    if (count() == 0) return Value{};
    if (intervals_ != 0) return Value{text_of(interval_)};
    if (decimals_ != 0) return Value{exact_.text()};
    if (reals_ != 0) return Value{real_ + exact_.to_double()};
    const auto integer = exact_.to_integer();
    if (!integer) {
      return Error{Code::type_range, "a sum of integers does not fit BIGINT"}.next(
          "sum CAST(… AS DECIMAL)");
    }
    return Value{*integer};
  }
};

class Average final : public Total {
 public:
  [[nodiscard]] Result<Value> value() const override {
    KIMBERLITE_CHECK(check_kinds());
    if (count() == 0) return Value{};
    const auto number = static_cast<double>(count());
    if (intervals_ != 0) {
      const auto average = scaled(interval_, 1.0 / number);
      if (!average) return Error{Code::type_range, "an average is outside INTERVAL"};
      return Value{text_of(*average)};
    }
    if (decimals_ != 0) {
      KIMBERLITE_TRY(const Decimal average, Decimal::divide(exact_, Decimal{count()}));
      return Value{average.text()};
    }
    return Value{(real_ + exact_.to_double()) / number};
  }
};

// In alphabetical order.
constexpr std::array allowed_functions = std::to_array<std::string_view>({"abs",
                                                                          "acos",
                                                                          "acosh",
                                                                          "asin",
                                                                          "asinh",
                                                                          "atan",
                                                                          "atan2",
                                                                          "atanh",
                                                                          "avg",
                                                                          "ceil",
                                                                          "ceiling",
                                                                          "char",
                                                                          "coalesce",
                                                                          "cos",
                                                                          "cosh",
                                                                          "count",
                                                                          "cume_dist",
                                                                          "date",
                                                                          "date_part",
                                                                          "date_trunc",
                                                                          "datetime",
                                                                          "degrees",
                                                                          "dense_rank",
                                                                          "exp",
                                                                          "first_value",
                                                                          "floor",
                                                                          "format",
                                                                          "glob",
                                                                          "group_concat",
                                                                          "hex",
                                                                          "ifnull",
                                                                          "iif",
                                                                          "instr",
                                                                          "json",
                                                                          "json_array",
                                                                          "json_array_length",
                                                                          "json_each",
                                                                          "json_extract",
                                                                          "json_group_array",
                                                                          "json_group_object",
                                                                          "json_insert",
                                                                          "json_object",
                                                                          "json_patch",
                                                                          "json_quote",
                                                                          "json_remove",
                                                                          "json_replace",
                                                                          "json_set",
                                                                          "json_tree",
                                                                          "json_type",
                                                                          "json_valid",
                                                                          "julianday",
                                                                          "lag",
                                                                          "last_value",
                                                                          "lead",
                                                                          "length",
                                                                          "like",
                                                                          "ln",
                                                                          "log",
                                                                          "log10",
                                                                          "log2",
                                                                          "lower",
                                                                          "ltrim",
                                                                          "max",
                                                                          "min",
                                                                          "mod",
                                                                          "nth_value",
                                                                          "ntile",
                                                                          "nullif",
                                                                          "percent_rank",
                                                                          "pi",
                                                                          "pow",
                                                                          "power",
                                                                          "printf",
                                                                          "quote",
                                                                          "radians",
                                                                          "random",
                                                                          "rank",
                                                                          "replace",
                                                                          "round",
                                                                          "row_number",
                                                                          "rtrim",
                                                                          "sign",
                                                                          "sin",
                                                                          "sinh",
                                                                          "sqrt",
                                                                          "strftime",
                                                                          "substr",
                                                                          "substring",
                                                                          "sum",
                                                                          "tan",
                                                                          "tanh",
                                                                          "time",
                                                                          "total",
                                                                          "trim",
                                                                          "trunc",
                                                                          "typeof",
                                                                          "unicode",
                                                                          "unixepoch",
                                                                          "upper"});
static_assert(std::ranges::is_sorted(allowed_functions));

}  // namespace

std::span<const ScalarFunction> scalar_functions() {
  static constexpr std::array<ScalarFunction, 18> all{{{"kmb_add", -1, call_add},
                                                       {"kmb_sub", 2, call_subtract},
                                                       {"kmb_mul", -1, call_multiply},
                                                       {"kmb_div", 2, call_divide},
                                                       {"kmb_mod", 2, call_modulo},
                                                       {"kmb_neg", 1, call_negate},
                                                       {"kmb_abs", 1, absolute},
                                                       {"kmb_round", 1, round},
                                                       {"kmb_round", 2, round},
                                                       {"kmb_valid", 4, valid},
                                                       {"kmb_cast", 4, call_cast},
                                                       {"kmb_store", 4, store},
                                                       {"kmb_operand", 2, operand},
                                                       {"kmb_ilike", 2, ilike},
                                                       {"kmb_ilike", 3, ilike},
                                                       {"kmb_extract", 2, extract},
                                                       {"date_part", 2, extract},
                                                       {"date_trunc", 2, truncate}}};
  return all;
}

std::span<const Aggregate> aggregates() {
  static constexpr std::array<Aggregate, 2> all{
      {{"kmb_sum", 1, [] { return std::unique_ptr<Accumulator>{std::make_unique<Sum>()}; }},
       {"kmb_avg", 1, [] { return std::unique_ptr<Accumulator>{std::make_unique<Average>()}; }}}};
  return all;
}

bool is_allowed_function(std::string_view lower_case_name) {
  return std::ranges::binary_search(allowed_functions, lower_case_name);
}

bool is_aggregate(std::string_view name) {
  static constexpr std::array<std::string_view, 8> names{"count",
                                                         "sum",
                                                         "avg",
                                                         "total",
                                                         "group_concat",
                                                         "string_agg",
                                                         "json_group_array",
                                                         "json_group_object"};
  return std::ranges::any_of(names, [&](std::string_view each) { return same_name(each, name); });
}

}  // namespace kimberlite::sql
