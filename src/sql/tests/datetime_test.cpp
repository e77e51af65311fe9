#include "sql/datetime.hpp"

#include <gtest/gtest.h>

#include <random>

namespace kimberlite::sql {
namespace {

std::string timestamp(std::string_view text) {
  const auto parsed = parse_timestamp(text);
  return parsed ? text_of(*parsed) : "none";
}
std::string interval(std::string_view text) {
  const auto parsed = parse_interval(text);
  return parsed ? text_of(*parsed) : "none";
}
std::string later(std::string_view from, std::string_view by) {
  const auto sum = add(*parse_timestamp(from), *parse_interval(by));
  return sum ? text_of(*sum) : "none";
}

TEST(DateTime, EveryDayOfTenThousandYearsFollowsTheOneBefore) {
  CivilDate expected{1, 1, 1};
  for (Date date = date_of(expected); in_range(date); ++date.days) {
    const CivilDate civil = civil_of(date);
    ASSERT_EQ(civil.year, expected.year);
    ASSERT_EQ(civil.month, expected.month);
    ASSERT_EQ(civil.day, expected.day);
    ASSERT_EQ(date_of(civil).days, date.days);
    if (++expected.day > days_in_month(expected.year, expected.month)) {
      expected.day = 1;
      if (++expected.month > 12) {
        expected.month = 1;
        ++expected.year;
      }
    }
  }
  EXPECT_EQ(expected.year, 10'000);
  EXPECT_EQ(date_of(CivilDate{1970, 1, 1}).days, 0);
}

TEST(DateTime, ReadsEverySpellingOfAnInstantAsTheSame) {
  for (const char* same :
       {"2024-01-15T10:30:00Z", "2024-01-15 10:30:00", "2024-01-15T10:30", "2024-01-15t10:30:00z",
        "2024-01-15 12:30:00+02:00", "2024-01-15 05:00:00.000000 -0530", "2024-01-15 11:30:00+01",
        " 2024-01-15 10:30:00 UTC "}) {
    EXPECT_EQ(timestamp(same), "2024-01-15T10:30:00Z") << same;
  }
  EXPECT_EQ(timestamp("2024-02-29"), "2024-02-29T00:00:00Z");
  EXPECT_EQ(timestamp("1969-12-31 23:59:59.999999"), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(timestamp("2024-01-15 10:30:00.2500"), "2024-01-15T10:30:00.25Z");
  EXPECT_EQ(timestamp("2024-01-01 00:30+01:00"), "2023-12-31T23:30:00Z");
  for (const char* bad :
       {"", "2024", "2024-1-15", "2023-02-29", "2024-13-01", "2024-00-10", "0000-01-01",
        "2024-01-15T24:00:00Z", "2024-01-15 10:60", "2024-01-15 10:30:60", "2024-01-15 10:30:00.",
        "2024-01-15 10:30:00.1234567", "2024-01-15 10:30 CET", "0001-01-01 00:00+01:00",
        "9999-12-31 23:59-01:00", "2024-01-15Z", "10:30:00", "2024-01-15T10:30:00Zx"}) {
    EXPECT_EQ(timestamp(bad), "none") << bad;
  }
  EXPECT_FALSE(parse_date("2024-01-15 00:00").has_value());
  EXPECT_EQ(text_of(*parse_time("07:05")), "07:05:00");
  EXPECT_EQ(text_of(*parse_time("23:59:59.100")), "23:59:59.1");
  EXPECT_FALSE(parse_time("24:00").has_value());
}

TEST(DateTime, AnIntervalHasOneCanonicalSpelling) {
  for (const char* same :
       {"P1Y2M3DT4H5M6.5S", "1 year 2 months 3 days 04:05:06.5", "1 yr 2 mons 3 d 4 h 5 m 6.5 s",
        "P14M3DT4H306.5S", "4 hours 5 minutes 6500 ms 14 months 3 days"}) {
    EXPECT_EQ(interval(same), "P1Y2M3DT4H5M6.5S") << same;
  }
  EXPECT_EQ(interval("1 day ago"), "P-1D");
  EXPECT_EQ(interval("-1 day +03:00"), "P-1DT3H");
  EXPECT_EQ(interval("-P1DT0.5S"), "P-1DT-0.5S");
  EXPECT_EQ(interval("-00:00:01.25"), "PT-1.25S");
  EXPECT_EQ(interval("-0:05:00"), "PT-5M");
  EXPECT_EQ(interval("2 weeks"), "P14D");
  EXPECT_EQ(interval("1.5 days"), "P1DT12H");
  EXPECT_EQ(interval("0 days"), "PT0S");
  EXPECT_EQ(interval("PT0S"), "PT0S");
  EXPECT_EQ(interval("7 years"), "P7Y");
  for (const char* bad :
       {"", "P", "PT", "P1", "1", "1 fortnight", "P1H", "PT1D", "ago", "1 day ago 2", "P30000Y",
        "1.5 months", "1 day ago ago", "99999999999999999999 days", "900000000000000000 seconds",
        "900000000000000000 hours", "10:99"}) {
    EXPECT_EQ(interval(bad), "none") << bad;
  }
}

TEST(DateTime, WhatIsWrittenReadsBackTheSame) {
  std::mt19937_64 random{11};
  const auto within = [&random](std::int64_t most) {
    return static_cast<std::int64_t>(random() % (2 * static_cast<std::uint64_t>(most) + 1)) - most;
  };
  for (int round = 0; round < 50'000; ++round) {
    const Timestamp t{within(62'000'000'000'000'000)};
    ASSERT_EQ(parse_timestamp(text_of(t))->us, t.us);
    const Interval i{within(240'000), within(7'000'000), within(600'000'000'000'000'000)};
    ASSERT_EQ(parse_interval(text_of(i)), i) << text_of(i);
    const Interval small{within(14), within(3), within(5) * (round % 2 == 0 ? 1 : 900'000)};
    ASSERT_EQ(parse_interval(text_of(small)), small) << text_of(small);
  }
}

TEST(DateTime, MonthsGoByTheCalendar) {
  EXPECT_EQ(later("2024-01-31", "1 month"), "2024-02-29T00:00:00Z");
  EXPECT_EQ(later("2023-03-31 10:00", "-1 month"), "2023-02-28T10:00:00Z");
  EXPECT_EQ(later("2024-02-29", "1 year"), "2025-02-28T00:00:00Z");
  EXPECT_EQ(later("2024-12-31 23:30", "1 month 1 day 01:00"), "2025-02-02T00:30:00Z");
  EXPECT_EQ(later("9999-12-01", "1 month"), "none");
  EXPECT_EQ(later("0001-01-01", "-00:00:01"), "none");
  EXPECT_EQ(
      text_of(difference(*parse_timestamp("2024-03-01 06:00"), *parse_timestamp("2024-02-28"))),
      "P2DT6H");
  EXPECT_EQ(text_of(*scaled(*parse_interval("1 month 1 day"), 1.5)), "P1M16DT12H");
  EXPECT_EQ(compare(*parse_interval("1 month"), *parse_interval("30 days")), 0);
  EXPECT_EQ(compare(*parse_interval("1 year"), *parse_interval("365 days")), -1);
}

}  // namespace
}  // namespace kimberlite::sql
