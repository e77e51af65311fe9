// The arithmetic operators by the values they are given.
#include <cmath>
#include <limits>

#include "operand.hpp"
#include "sql/datetime.hpp"
#include "sql/decimal.hpp"
#include "sql/functions.hpp"
#include "sql/types.hpp"

namespace kimberlite::sql {

Error decimal_with_double() {
  return Error{Code::type_mismatch, "a DECIMAL does not compute with a double"}
      .why("the result could not be exact")
      .next("CAST one of them, or quote the number: '1.1'");
}

Error no_arithmetic(std::string_view what) {
  return Error{Code::type_mismatch, "there is no such arithmetic: {}", what};
}

Result<Operand> operand_of(const ValueView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return Operand{*integer};
  if (const auto* real = std::get_if<double>(&value)) return Operand{*real};
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    if (auto number = Decimal::parse(*text)) return Operand{*std::move(number)};
    if (const auto date = parse_date(*text)) return Operand{*date};
    if (const auto timestamp = parse_timestamp(*text)) return Operand{*timestamp};
    if (const auto time = parse_time(*text)) return Operand{*time};
    if (const auto interval = parse_interval(*text)) return Operand{*interval};
    return no_arithmetic("a text that spells no number, time or interval");
  }
  if (is_null(value)) return Operand{Null{}};
  return no_arithmetic("on bytes");
}

namespace {

Error out_of_calendar() {
  return Error{Code::type_range, "the result is outside the calendar (years 0001 to 9999)"};
}

template <class T>
const T* as(const Operand& operand) {
  return std::get_if<T>(&operand);
}

bool is_number(const Operand& operand) {
  return as<std::int64_t>(operand) != nullptr || as<double>(operand) != nullptr;
}

double real_of(const Operand& operand) {
  if (const auto* integer = as<std::int64_t>(operand)) return static_cast<double>(*integer);
  if (const auto* number = as<Decimal>(operand)) return number->to_double();
  return std::get<double>(operand);
}

// What SQLite makes of a double: NaN is NULL.
Value real(double value) { return std::isnan(value) ? Value{} : Value{value}; }

// A DECIMAL operand, the other one a DECIMAL or an integer.
struct DecimalPair {
  Decimal a;
  Decimal b;
};

Result<std::optional<DecimalPair>> decimals(const Operand& a, const Operand& b) {
  if (as<Decimal>(a) == nullptr && as<Decimal>(b) == nullptr) return std::optional<DecimalPair>{};
  if (as<double>(a) != nullptr || as<double>(b) != nullptr) return decimal_with_double();
  DecimalPair pair;
  const auto take = [](const Operand& from, Decimal& to) {
    if (const auto* number = as<Decimal>(from)) {
      to = *number;
    } else if (const auto* integer = as<std::int64_t>(from)) {
      to = Decimal{*integer};
    } else {
      return false;
    }
    return true;
  };
  if (!take(a, pair.a) || !take(b, pair.b)) return std::optional<DecimalPair>{};
  return std::optional{pair};
}

Result<Value> text(Result<Decimal> number) {
  if (!number) return number.error();
  return Value{number->text()};
}

template <class T>
Result<Value> text(const std::optional<T>& value) {
  if (!value) return out_of_calendar();
  return Value{text_of(*value)};
}

Timestamp midnight(Date date) { return Timestamp{date.days * us_per_day}; }

std::optional<Timestamp> instant(const Operand& operand) {
  if (const auto* date = as<Date>(operand)) return midnight(*date);
  if (const auto* timestamp = as<Timestamp>(operand)) return *timestamp;
  return std::nullopt;
}

// A whole number of days; a DECIMAL literal may be one too.
std::optional<std::int64_t> whole(const Operand& operand) {
  if (const auto* integer = as<std::int64_t>(operand)) return *integer;
  if (const auto* number = as<Decimal>(operand)) {
    if (number->trimmed().scale() == 0) return number->to_integer();
  }
  return std::nullopt;
}

Result<Value> days_later(Date date, std::int64_t days) {
  static constexpr std::int64_t most = 4'000'000;  // beyond the calendar from anywhere in it
  if (days < -most || days > most) return out_of_calendar();
  const Date result{date.days + days};
  if (!in_range(result)) return out_of_calendar();
  return Value{text_of(result)};
}

// date, timestamp, time ± interval.
std::optional<Result<Value>> shifted(const Operand& a, const Interval& by) {
  if (const auto* date = as<Date>(a)) {
    const auto result = add(midnight(*date), by);
    if (!result) return out_of_calendar();
    if (by.us == 0) return Value{text_of(date_of(*result))};
    return Value{text_of(*result)};
  }
  if (const auto* timestamp = as<Timestamp>(a)) return text(add(*timestamp, by));
  if (const auto* time = as<TimeOfDay>(a)) {
    return Value{text_of(time_of(Timestamp{time->us + by.us % us_per_day}))};
  }
  return std::nullopt;
}

Result<Value> add_times(const Operand& a, const Operand& b) {
  if (const auto* by = as<Interval>(b)) {
    if (const auto* interval = as<Interval>(a)) return text(add(*interval, *by));
    if (auto result = shifted(a, *by)) return *std::move(result);
  }
  if (const auto* by = as<Interval>(a)) {
    if (auto result = shifted(b, *by)) return *std::move(result);
  }
  for (const auto& [left, right] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
    const auto* date = as<Date>(*left);
    if (date == nullptr) continue;
    if (const auto* time = as<TimeOfDay>(*right)) {
      return Value{text_of(Timestamp{midnight(*date).us + time->us})};
    }
    if (const auto days = whole(*right)) return days_later(*date, *days);
  }
  return no_arithmetic("+ of these times; add an INTERVAL");
}

Result<Value> subtract_times(const Operand& a, const Operand& b) {
  if (const auto* by = as<Interval>(b)) {
    if (const auto* interval = as<Interval>(a)) return text(add(*interval, negated(*by)));
    if (auto result = shifted(a, negated(*by))) return *std::move(result);
  }
  if (const auto* date = as<Date>(a)) {
    if (const auto* other = as<Date>(b)) return Value{date->days - other->days};
    if (const auto days = whole(b)) {
      return *days == std::numeric_limits<std::int64_t>::min() ? out_of_calendar()
                                                               : days_later(*date, -*days);
    }
  }
  if (const auto* time = as<TimeOfDay>(a)) {
    if (const auto* other = as<TimeOfDay>(b)) {
      return Value{text_of(Interval{0, 0, time->us - other->us})};
    }
  }
  const auto left = instant(a);
  const auto right = instant(b);
  if (left && right) return Value{text_of(difference(*left, *right))};
  return no_arithmetic("- of these times");
}

struct Pair {
  Operand a;
  Operand b;
  bool null = false;
};

Result<Pair> pair_of(const ValueView& a, const ValueView& b) {
  Pair pair;
  pair.null = is_null(a) || is_null(b);
  if (pair.null) return pair;
  KIMBERLITE_TRY(pair.a, operand_of(a));
  KIMBERLITE_TRY(pair.b, operand_of(b));
  return pair;
}

}  // namespace

Result<Value> add(const ValueView& a, const ValueView& b) {
  KIMBERLITE_TRY(const Pair pair, pair_of(a, b));
  if (pair.null) return Value{};
  if (is_number(pair.a) && is_number(pair.b)) {
    const auto* x = as<std::int64_t>(pair.a);
    const auto* y = as<std::int64_t>(pair.b);
    std::int64_t sum = 0;
    if (x != nullptr && y != nullptr && !__builtin_add_overflow(*x, *y, &sum)) return Value{sum};
    return real(real_of(pair.a) + real_of(pair.b));
  }
  KIMBERLITE_TRY(const auto exact, decimals(pair.a, pair.b));
  if (exact) return text(Decimal::add(exact->a, exact->b));
  return add_times(pair.a, pair.b);
}

Result<Value> subtract(const ValueView& a, const ValueView& b) {
  KIMBERLITE_TRY(const Pair pair, pair_of(a, b));
  if (pair.null) return Value{};
  if (is_number(pair.a) && is_number(pair.b)) {
    const auto* x = as<std::int64_t>(pair.a);
    const auto* y = as<std::int64_t>(pair.b);
    std::int64_t rest = 0;
    if (x != nullptr && y != nullptr && !__builtin_sub_overflow(*x, *y, &rest)) return Value{rest};
    return real(real_of(pair.a) - real_of(pair.b));
  }
  KIMBERLITE_TRY(const auto exact, decimals(pair.a, pair.b));
  if (exact) return text(Decimal::subtract(exact->a, exact->b));
  return subtract_times(pair.a, pair.b);
}

Result<Value> multiply(const ValueView& a, const ValueView& b) {
  KIMBERLITE_TRY(const Pair pair, pair_of(a, b));
  if (pair.null) return Value{};
  if (is_number(pair.a) && is_number(pair.b)) {
    const auto* x = as<std::int64_t>(pair.a);
    const auto* y = as<std::int64_t>(pair.b);
    std::int64_t product = 0;
    if (x != nullptr && y != nullptr && !__builtin_mul_overflow(*x, *y, &product)) {
      return Value{product};
    }
    return real(real_of(pair.a) * real_of(pair.b));
  }
  for (const auto& [left, right] : {std::pair{&pair.a, &pair.b}, std::pair{&pair.b, &pair.a}}) {
    const auto* interval = as<Interval>(*left);
    if (interval == nullptr) continue;
    if (!is_number(*right) && as<Decimal>(*right) == nullptr)
      return no_arithmetic("* of these times");
    return text(scaled(*interval, real_of(*right)));
  }
  KIMBERLITE_TRY(const auto exact, decimals(pair.a, pair.b));
  if (exact) return text(Decimal::multiply(exact->a, exact->b));
  return no_arithmetic("* of these times");
}

Result<Value> divide(const ValueView& a, const ValueView& b) {
  KIMBERLITE_TRY(const Pair pair, pair_of(a, b));
  if (pair.null) return Value{};
  if (is_number(pair.a) && is_number(pair.b)) {
    const auto* x = as<std::int64_t>(pair.a);
    const auto* y = as<std::int64_t>(pair.b);
    if (real_of(pair.b) == 0) return Value{};
    const bool overflows =
        x != nullptr && y != nullptr && *y == -1 && *x == std::numeric_limits<std::int64_t>::min();
    if (x != nullptr && y != nullptr && !overflows) return Value{*x / *y};
    return real(real_of(pair.a) / real_of(pair.b));
  }
  if (const auto* interval = as<Interval>(pair.a)) {
    if (!is_number(pair.b) && as<Decimal>(pair.b) == nullptr)
      return no_arithmetic("/ of these times");
    const double divisor = real_of(pair.b);
    if (divisor == 0) return Value{};
    return text(scaled(*interval, 1.0 / divisor));
  }
  KIMBERLITE_TRY(const auto exact, decimals(pair.a, pair.b));
  if (!exact) return no_arithmetic("/ of these times");
  if (exact->b.is_zero()) return Value{};
  return text(Decimal::divide(exact->a, exact->b));
}

Result<Value> modulo(const ValueView& a, const ValueView& b) {
  KIMBERLITE_TRY(const Pair pair, pair_of(a, b));
  if (pair.null) return Value{};
  if (is_number(pair.a) && is_number(pair.b)) {
    const auto integer =
        [](const Operand& operand) {  // as SQLite's CAST: cut off, held at the ends
          if (const auto* exact = as<std::int64_t>(operand)) return *exact;
          const double value = std::get<double>(operand);
          if (value >= 0x1p63) return std::numeric_limits<std::int64_t>::max();
          if (!(value > -0x1p63)) return std::numeric_limits<std::int64_t>::min();
          return static_cast<std::int64_t>(value);
        };
    const std::int64_t divisor = integer(pair.b);
    if (divisor == 0) return Value{};
    const std::int64_t rest = divisor == -1 ? 0 : integer(pair.a) % divisor;
    const bool integers =
        as<std::int64_t>(pair.a) != nullptr && as<std::int64_t>(pair.b) != nullptr;
    return integers ? Value{rest} : Value{static_cast<double>(rest)};
  }
  KIMBERLITE_TRY(const auto exact, decimals(pair.a, pair.b));
  if (!exact) return no_arithmetic("% of these times");
  if (exact->b.is_zero()) return Value{};
  return text(Decimal::remainder(exact->a, exact->b));
}

Result<Value> negate(const ValueView& a) {
  if (is_null(a)) return Value{};
  KIMBERLITE_TRY(const Operand operand, operand_of(a));
  if (const auto* integer = as<std::int64_t>(operand)) {
    if (*integer == std::numeric_limits<std::int64_t>::min()) return Value{0x1p63};
    return Value{-*integer};
  }
  if (const auto* number = as<double>(operand)) return Value{-*number};
  if (const auto* number = as<Decimal>(operand)) return Value{number->negated().text()};
  if (const auto* interval = as<Interval>(operand)) return Value{text_of(negated(*interval))};
  return no_arithmetic("- of a time");
}

}  // namespace kimberlite::sql
