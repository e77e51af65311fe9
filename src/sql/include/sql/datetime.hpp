// Dates, times and durations: reading, writing and the calendar between them.
//
// The calendar is the proleptic Gregorian one, years 0001 to 9999; a day has 86,400 seconds (no
// leap seconds: POSIX time); times are UTC. Every function that could leave that range says so.
//
//   DATE ± INTERVAL        a DATE, or a TIMESTAMP if the interval has a time part
//   DATE ± integer         days later or earlier
//   DATE - DATE            integer, days
//   TIMESTAMP ± INTERVAL   months first (the 31st becomes the month's last day), then days, then
//   time TIMESTAMP - TIMESTAMP  INTERVAL in days and time; a DATE among them is its midnight TIME ±
//   INTERVAL        TIME, round the clock; only the time part counts TIME - TIME INTERVAL DATE +
//   TIME            TIMESTAMP INTERVAL ± INTERVAL, INTERVAL * number, INTERVAL / number
//
// Thread rule: pure functions. Source: RFC 3339; ISO 8601; PostgreSQL's manual, Date/Time
// Functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kimberlite::sql {

inline constexpr std::int64_t us_per_second = 1'000'000;
inline constexpr std::int64_t us_per_day = 86'400 * us_per_second;

// Days since 1970-01-01.
struct Date {
  std::int64_t days = 0;
};
// Microseconds since midnight, below us_per_day.
struct TimeOfDay {
  std::int64_t us = 0;
};
// Microseconds since 1970-01-01T00:00:00Z.
struct Timestamp {
  std::int64_t us = 0;
};
// Three parts that no rule turns into each other: a month has 28 to 31 days.
struct Interval {
  std::int64_t months = 0;
  std::int64_t days = 0;
  std::int64_t us = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

struct CivilDate {
  std::int64_t year = 1970;
  unsigned month = 1;
  unsigned day = 1;
};
[[nodiscard]] Date date_of(const CivilDate& civil);
[[nodiscard]] CivilDate civil_of(Date date);
[[nodiscard]] unsigned days_in_month(std::int64_t year, unsigned month);
[[nodiscard]] bool in_range(Date date);
[[nodiscard]] bool in_range(Timestamp timestamp);
[[nodiscard]] bool in_range(const Interval& interval);  // parts of 20,000 years each way
[[nodiscard]] Date date_of(Timestamp timestamp);
[[nodiscard]] TimeOfDay time_of(Timestamp timestamp);

// The spellings `canonicalise` (types.hpp) accepts; nothing for all else and what is out of range.
// `parse_timestamp` takes a date alone too: its midnight.
[[nodiscard]] std::optional<Date> parse_date(std::string_view text);
[[nodiscard]] std::optional<TimeOfDay> parse_time(std::string_view text);
[[nodiscard]] std::optional<Timestamp> parse_timestamp(std::string_view text);
[[nodiscard]] std::optional<Interval> parse_interval(std::string_view text);

// The canonical spellings.
[[nodiscard]] std::string text_of(Date date);
[[nodiscard]] std::string text_of(TimeOfDay time);
[[nodiscard]] std::string text_of(Timestamp timestamp);
[[nodiscard]] std::string text_of(const Interval& interval);

// Nothing if the result is out of range.
[[nodiscard]] std::optional<Timestamp> add(Timestamp timestamp, const Interval& interval);
[[nodiscard]] std::optional<Interval> add(const Interval& a, const Interval& b);
[[nodiscard]] Interval negated(const Interval& interval);
// Fractions of a month become days (of 30), fractions of a day microseconds, as in PostgreSQL.
[[nodiscard]] std::optional<Interval> scaled(const Interval& interval, double factor);
[[nodiscard]] Interval difference(Timestamp a, Timestamp b);

// A month counts as 30 days, a day as 24 hours, for order alone.
[[nodiscard]] int compare(const Interval& a, const Interval& b);

}  // namespace kimberlite::sql
