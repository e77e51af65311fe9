#include "sql/datetime.hpp"

#include <array>
#include <cmath>

namespace kimberlite::sql {
namespace {

constexpr std::int64_t months_max = 20'000LL * 12;
constexpr std::int64_t days_max = 7'305'000;
constexpr std::int64_t us_max = days_max * us_per_day;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// Walks a text; a step that does not fit leaves it where it was and says so.
class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) {}
  [[nodiscard]] bool done() const { return at_ == text_.size(); }
  [[nodiscard]] char next() const { return done() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (done() || lower(text_[at_]) != c) return false;
    ++at_;
    return true;
  }
  void blanks() {
    while (take(' ')) {
    }
  }
  // Exactly `count` digits.
  std::optional<std::int64_t> digits(std::size_t count) {
    if (text_.size() - at_ < count) return std::nullopt;
    std::int64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_digit(text_[at_ + i])) return std::nullopt;
      value = value * 10 + (text_[at_ + i] - '0');
    }
    at_ += count;
    return value;
  }
  // One to `most` digits.
  std::optional<std::int64_t> number(std::size_t most) {
    std::size_t count = 0;
    while (at_ + count < text_.size() && is_digit(text_[at_ + count])) ++count;
    if (count == 0 || count > most) return std::nullopt;
    return digits(count);
  }
  // After a point: one to six digits, as microseconds; 0 without a point.
  std::optional<std::int64_t> fraction() {
    if (!take('.')) return 0;
    const std::size_t begin = at_;
    auto value = number(6);
    if (!value) return std::nullopt;
    for (std::size_t i = at_ - begin; i < 6; ++i) *value *= 10;
    return value;
  }
  std::string_view word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && lower(text_[at_]) >= 'a' && lower(text_[at_]) <= 'z') ++at_;
    return text_.substr(begin, at_ - begin);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

std::string_view stripped(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<Date> walk_date(Walk& walk) {
  const auto year = walk.digits(4);
  if (!year || !walk.take('-')) return std::nullopt;
  const auto month = walk.digits(2);
  if (!month || !walk.take('-')) return std::nullopt;
  const auto day = walk.digits(2);
  if (!day || *year < 1 || *month < 1 || *month > 12 || *day < 1) return std::nullopt;
  const auto in_month = static_cast<unsigned>(*month);
  if (*day > days_in_month(*year, in_month)) return std::nullopt;
  return date_of(CivilDate{*year, in_month, static_cast<unsigned>(*day)});
}

std::optional<TimeOfDay> walk_time(Walk& walk) {
  const auto hour = walk.digits(2);
  if (!hour || *hour > 23 || !walk.take(':')) return std::nullopt;
  const auto minute = walk.digits(2);
  if (!minute || *minute > 59) return std::nullopt;
  std::int64_t us = (*hour * 60 + *minute) * 60 * us_per_second;
  if (walk.take(':')) {
    const auto second = walk.digits(2);
    if (!second || *second > 59) return std::nullopt;
    const auto fraction = walk.fraction();
    if (!fraction) return std::nullopt;
    us += *second * us_per_second + *fraction;
  }
  return TimeOfDay{us};
}

// What is to be taken off the local time; nothing if this is no zone. No zone is UTC.
std::optional<std::int64_t> walk_zone(Walk& walk) {
  walk.blanks();
  if (walk.done()) return 0;
  if (walk.take('z')) return 0;
  if (walk.take('u'))
    return walk.take('t') && walk.take('c') ? std::optional{std::int64_t{0}} : std::nullopt;
  const bool west = walk.next() == '-';
  if (!walk.take('+') && !walk.take('-')) return std::nullopt;
  const auto hours = walk.digits(2);
  if (!hours || *hours > 15) return std::nullopt;
  std::int64_t minutes = 0;
  if (walk.take(':') || is_digit(walk.next())) {
    const auto given = walk.digits(2);
    if (!given || *given > 59) return std::nullopt;
    minutes = *given;
  }
  const std::int64_t offset = (*hours * 60 + minutes) * 60 * us_per_second;
  return west ? -offset : offset;
}

void put_number(std::string& to, std::int64_t value, unsigned digits) {
  const std::size_t begin = to.size();
  to.append(digits, '0');
  for (std::size_t i = begin + digits; i-- > begin; value /= 10) {
    to[i] = static_cast<char>('0' + value % 10);
  }
}

void put_fraction(std::string& to, std::int64_t us) {
  if (us == 0) return;
  to.push_back('.');
  put_number(to, us, 6);
  while (to.back() == '0') to.pop_back();
}

void put_date(std::string& to, Date date) {
  const CivilDate civil = civil_of(date);
  put_number(to, civil.year, 4);
  to.push_back('-');
  put_number(to, civil.month, 2);
  to.push_back('-');
  put_number(to, civil.day, 2);
}

void put_time(std::string& to, TimeOfDay time) {
  const std::int64_t seconds = time.us / us_per_second;
  put_number(to, seconds / 3600, 2);
  to.push_back(':');
  put_number(to, seconds / 60 % 60, 2);
  to.push_back(':');
  put_number(to, seconds % 60, 2);
  put_fraction(to, time.us % us_per_second);
}

}  // namespace

// Source: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms: years begin in March, so
// that the leap day is the last of its year; 400 years are 146,097 days.
Date date_of(const CivilDate& civil) {
  const std::int64_t year = civil.month <= 2 ? civil.year - 1 : civil.year;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t of_era = year - era * 400;
  const std::int64_t month = (civil.month + 9) % 12;
  const std::int64_t of_year = (153 * month + 2) / 5 + civil.day - 1;
  return Date{era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468};
}

CivilDate civil_of(Date date) {
  const std::int64_t days = date.days + 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const std::int64_t of_era = days - era * 146'097;
  const std::int64_t year = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
  const std::int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  const std::int64_t month = (5 * of_year + 2) / 153;
  const auto day = static_cast<unsigned>(of_year - (153 * month + 2) / 5 + 1);
  const auto civil_month = static_cast<unsigned>(month < 10 ? month + 3 : month - 9);
  return CivilDate{year + era * 400 + (civil_month <= 2 ? 1 : 0), civil_month, day};
}

unsigned days_in_month(std::int64_t year, unsigned month) {
  constexpr std::array<unsigned, 12> days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : days.at(month - 1);
}

bool in_range(Date date) {
  static constexpr std::int64_t first = -719'162;  // 0001-01-01
  static constexpr std::int64_t last = 2'932'896;  // 9999-12-31
  return date.days >= first && date.days <= last;
}

bool in_range(Timestamp timestamp) { return in_range(date_of(timestamp)); }

bool in_range(const Interval& interval) {
  const auto within = [](std::int64_t value, std::int64_t most) {
    return value >= -most && value <= most;
  };
  return within(interval.months, months_max) && within(interval.days, days_max) &&
         within(interval.us, us_max);
}

Date date_of(Timestamp timestamp) {
  const std::int64_t days = timestamp.us / us_per_day;
  return Date{timestamp.us % us_per_day < 0 ? days - 1 : days};
}

TimeOfDay time_of(Timestamp timestamp) {
  const std::int64_t us = timestamp.us % us_per_day;
  return TimeOfDay{us < 0 ? us + us_per_day : us};
}

std::optional<Date> parse_date(std::string_view text) {
  Walk walk{stripped(text)};
  const auto date = walk_date(walk);
  if (!date || !walk.done()) return std::nullopt;
  return date;
}

std::optional<TimeOfDay> parse_time(std::string_view text) {
  Walk walk{stripped(text)};
  const auto time = walk_time(walk);
  if (!time || !walk.done()) return std::nullopt;
  return time;
}

std::optional<Timestamp> parse_timestamp(std::string_view text) {
  Walk walk{stripped(text)};
  const auto date = walk_date(walk);
  if (!date) return std::nullopt;
  if (walk.done()) return Timestamp{date->days * us_per_day};
  if (!walk.take('t') && !walk.take(' ')) return std::nullopt;
  const auto time = walk_time(walk);
  if (!time) return std::nullopt;
  const auto offset = walk_zone(walk);
  if (!offset || !walk.done()) return std::nullopt;
  const Timestamp timestamp{date->days * us_per_day + time->us - *offset};
  if (!in_range(timestamp)) return std::nullopt;
  return timestamp;
}

namespace {

enum class Unit : std::uint8_t { us, ms, second, minute, hour, day, week, month, year };

std::optional<Unit> unit_of(std::string_view word) {
  struct Named {
    std::string_view name;
    Unit unit;
  };
  // Without a plural s.
  static constexpr std::array<Named, 24> names{{
      {"us", Unit::us},     {"usec", Unit::us},    {"microsecond", Unit::us},
      {"ms", Unit::ms},     {"msec", Unit::ms},    {"millisecond", Unit::ms},
      {"s", Unit::second},  {"sec", Unit::second}, {"second", Unit::second},
      {"m", Unit::minute},  {"min", Unit::minute}, {"minute", Unit::minute},
      {"h", Unit::hour},    {"hr", Unit::hour},    {"hour", Unit::hour},
      {"d", Unit::day},     {"day", Unit::day},    {"w", Unit::week},
      {"week", Unit::week}, {"mon", Unit::month},  {"month", Unit::month},
      {"y", Unit::year},    {"yr", Unit::year},    {"year", Unit::year},
  }};
  const auto find = [&word](std::size_t length) -> std::optional<Unit> {
    for (const Named& named : names) {
      bool same = named.name.size() == length;
      for (std::size_t i = 0; same && i < length; ++i) same = lower(word[i]) == named.name[i];
      if (same) return named.unit;
    }
    return std::nullopt;
  };
  if (const auto exact = find(word.size())) return exact;
  const bool plural = word.size() > 2 && lower(word.back()) == 's';
  return plural ? find(word.size() - 1) : std::nullopt;
}

// Adds `whole` and `fraction` (in millionths) of `unit`; false if it leaves the range, or a
// fraction stands where there is no smaller unit of fixed length.
bool add_unit(Interval& to, Unit unit, std::int64_t whole, std::int64_t fraction) {
  static constexpr std::int64_t minute = 60 * us_per_second;
  switch (unit) {
    case Unit::us:
      to.us += whole;
      return fraction == 0 && in_range(to);
    case Unit::ms:
      to.us += whole * 1000 + fraction / 1000;
      return in_range(to);
    case Unit::second:
      to.us += whole * us_per_second + fraction;
      return in_range(to);
    case Unit::minute:
      to.us += whole * minute + fraction * 60;
      return in_range(to);
    case Unit::hour:
      to.us += whole * 60 * minute + fraction * 3600;
      return in_range(to);
    case Unit::day:
      to.days += whole;
      to.us += fraction * 86'400;
      return in_range(to);
    case Unit::week:
      to.days += whole * 7;
      return fraction == 0 && in_range(to);
    case Unit::month:
      to.months += whole;
      return fraction == 0 && in_range(to);
    case Unit::year:
      to.months += whole * 12;
      return fraction == 0 && in_range(to);
  }
  return false;
}

struct Quantity {
  std::int64_t whole = 0;
  std::int64_t fraction = 0;  // millionths, of the same sign
  bool negative = false;
};

// At most eleven digits: multiplied by the longest unit in microseconds it still fits 64 bits.
std::optional<Quantity> walk_quantity(Walk& walk) {
  Quantity quantity;
  quantity.negative = walk.next() == '-';
  if (!walk.take('-')) walk.take('+');
  if (walk.next() != '.') {
    const auto whole = walk.number(18);
    if (!whole) return std::nullopt;
    quantity.whole = *whole;
  }
  const auto fraction = walk.fraction();
  if (!fraction) return std::nullopt;
  quantity.fraction = *fraction;
  if (quantity.negative) {
    quantity.whole = -quantity.whole;
    quantity.fraction = -quantity.fraction;
  }
  return quantity;
}

// A bound by unit that keeps the arithmetic of `add_unit` inside 64 bits.
bool multiplies(Unit unit, std::int64_t whole) {
  const std::int64_t most = unit == Unit::us   ? us_max
                            : unit == Unit::ms ? us_max / 1000
                                               : us_max / us_per_second;
  const std::int64_t hours = us_max / us_per_second / 3600;
  const std::int64_t limit = unit == Unit::hour ? hours : unit == Unit::minute ? hours * 60 : most;
  return whole >= -limit && whole <= limit;
}

// P1Y2M3DT4H5M6.5S; the P is taken already.
std::optional<Interval> walk_iso(Walk& walk, bool negative) {
  Interval interval;
  bool time = false;
  int parts = 0;
  while (!walk.done()) {
    if (!time && walk.take('t')) {
      time = true;
      if (walk.done()) return std::nullopt;
    }
    const auto quantity = walk_quantity(walk);
    if (!quantity) return std::nullopt;
    Unit unit{};
    if (!time && walk.take('y')) {
      unit = Unit::year;
    } else if (!time && walk.take('w')) {
      unit = Unit::week;
    } else if (!time && walk.take('d')) {
      unit = Unit::day;
    } else if (walk.take('m')) {
      unit = time ? Unit::minute : Unit::month;
    } else if (time && walk.take('h')) {
      unit = Unit::hour;
    } else if (time && walk.take('s')) {
      unit = Unit::second;
    } else {
      return std::nullopt;
    }
    const std::int64_t sign = negative ? -1 : 1;
    if (!multiplies(unit, quantity->whole)) return std::nullopt;
    if (!add_unit(interval, unit, sign * quantity->whole, sign * quantity->fraction)) {
      return std::nullopt;
    }
    ++parts;
  }
  if (parts == 0) return std::nullopt;
  return interval;
}

// '1 year 2 days -03:04:05.5 ago'.
std::optional<Interval> walk_words(Walk& walk) {
  Interval interval;
  bool ago = false;
  int parts = 0;
  for (walk.blanks(); !walk.done(); walk.blanks()) {
    if (ago) return std::nullopt;
    if (parts > 0 && lower(walk.next()) == 'a') {
      const std::string_view word = walk.word();
      if (word.size() != 3 || lower(word[1]) != 'g' || lower(word[2]) != 'o') return std::nullopt;
      ago = true;
      continue;
    }
    const auto quantity = walk_quantity(walk);
    if (!quantity) return std::nullopt;
    if (quantity->fraction == 0 && walk.take(':')) {
      const auto minutes = walk.digits(2);
      if (!minutes || *minutes > 59) return std::nullopt;
      std::int64_t us = *minutes * 60 * us_per_second;
      if (walk.take(':')) {
        const auto seconds = walk.digits(2);
        const auto fraction = walk.fraction();
        if (!seconds || *seconds > 59 || !fraction) return std::nullopt;
        us += *seconds * us_per_second + *fraction;
      }
      if (!multiplies(Unit::hour, quantity->whole)) return std::nullopt;
      if (!add_unit(interval, Unit::hour, quantity->whole, 0)) return std::nullopt;
      interval.us += quantity->negative ? -us : us;
    } else {
      walk.blanks();
      const auto unit = unit_of(walk.word());
      if (!unit || !multiplies(*unit, quantity->whole)) return std::nullopt;
      if (!add_unit(interval, *unit, quantity->whole, quantity->fraction)) return std::nullopt;
    }
    ++parts;
  }
  if (parts == 0) return std::nullopt;
  return ago ? negated(interval) : interval;
}

}  // namespace

std::optional<Interval> parse_interval(std::string_view text) {
  text = stripped(text);
  Walk walk{text};
  const bool minus = walk.next() == '-';
  Walk sign{text};
  if (!sign.take('-')) sign.take('+');
  std::optional<Interval> interval;
  if (sign.take('p')) {
    interval = walk_iso(sign, minus);
  } else {
    interval = walk_words(walk);
  }
  if (!interval || !in_range(*interval)) return std::nullopt;
  return interval;
}

std::string text_of(Date date) {
  std::string text;
  put_date(text, date);
  return text;
}

std::string text_of(TimeOfDay time) {
  std::string text;
  put_time(text, time);
  return text;
}

std::string text_of(Timestamp timestamp) {
  std::string text;
  text.reserve(27);
  put_date(text, date_of(timestamp));
  text.push_back('T');
  put_time(text, time_of(timestamp));
  text.push_back('Z');
  return text;
}

std::string text_of(const Interval& interval) {
  std::string text = "P";
  const auto put = [&text](std::int64_t value, char unit) {
    if (value != 0) (text += std::to_string(value)).push_back(unit);
  };
  put(interval.months / 12, 'Y');
  put(interval.months % 12, 'M');
  put(interval.days, 'D');
  if (interval.us != 0) {
    text.push_back('T');
    const std::int64_t seconds = interval.us / us_per_second;
    put(seconds / 3600, 'H');
    put(seconds / 60 % 60, 'M');
    const std::int64_t rest = interval.us % (60 * us_per_second);
    if (rest != 0) {
      if (rest < 0) text.push_back('-');
      const std::int64_t magnitude = rest < 0 ? -rest : rest;
      text += std::to_string(magnitude / us_per_second);
      put_fraction(text, magnitude % us_per_second);
      text.push_back('S');
    }
  }
  return text.size() == 1 ? "PT0S" : text;
}

std::optional<Timestamp> add(Timestamp timestamp, const Interval& interval) {
  Date date = date_of(timestamp);
  if (interval.months != 0) {
    const CivilDate civil = civil_of(date);
    const std::int64_t months = civil.year * 12 + civil.month - 1 + interval.months;
    if (months < 12 || months >= std::int64_t{10'000} * 12) return std::nullopt;
    const std::int64_t year = months / 12;
    const auto month = static_cast<unsigned>(months % 12 + 1);
    const unsigned last = days_in_month(year, month);
    date = date_of(CivilDate{year, month, civil.day < last ? civil.day : last});
  }
  const Timestamp result{(date.days + interval.days) * us_per_day + time_of(timestamp).us +
                         interval.us};
  if (!in_range(result)) return std::nullopt;
  return result;
}

std::optional<Interval> add(const Interval& a, const Interval& b) {
  const Interval sum{a.months + b.months, a.days + b.days, a.us + b.us};
  if (!in_range(sum)) return std::nullopt;
  return sum;
}

Interval negated(const Interval& interval) {
  return Interval{-interval.months, -interval.days, -interval.us};
}

std::optional<Interval> scaled(const Interval& interval, double factor) {
  const double months = static_cast<double>(interval.months) * factor;
  const double whole_months = std::trunc(months);
  const double days = static_cast<double>(interval.days) * factor + (months - whole_months) * 30;
  const double whole_days = std::trunc(days);
  // A fraction of a day that the multiplication left behind is rounded away with the microseconds.
  const double us = std::round(static_cast<double>(interval.us) * factor +
                               (days - whole_days) * static_cast<double>(us_per_day));
  const auto within = [](double value, std::int64_t most) {
    return std::abs(value) <= static_cast<double>(most);  // false for NaN too
  };
  if (!within(whole_months, months_max) || !within(whole_days, days_max) || !within(us, us_max)) {
    return std::nullopt;
  }
  return Interval{static_cast<std::int64_t>(whole_months), static_cast<std::int64_t>(whole_days),
                  static_cast<std::int64_t>(us)};
}

Interval difference(Timestamp a, Timestamp b) {
  const std::int64_t us = a.us - b.us;
  return Interval{0, us / us_per_day, us % us_per_day};
}

int compare(const Interval& a, const Interval& b) {
  const auto length = [](const Interval& interval) {
    return (interval.months * 30 + interval.days) * us_per_day + interval.us;
  };
  const std::int64_t left = length(a);
  const std::int64_t right = length(b);
  return left < right ? -1 : (left > right ? 1 : 0);
}

}  // namespace kimberlite::sql
