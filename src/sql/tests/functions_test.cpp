#include "sql/functions.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "sql/types.hpp"

namespace kimberlite::sql {
namespace {

using Text = std::string_view;
using Operation = Result<Value> (*)(const ValueView&, const ValueView&);

std::string shown(const Result<Value>& result) {
  if (!result) return std::string{name(result.error().code())};
  return is_null(*result) ? "NULL" : print(view(*result));
}

std::string call(std::string_view function, std::vector<ValueView> arguments) {
  for (const ScalarFunction& candidate : scalar_functions()) {
    if (candidate.name == function &&
        (candidate.arguments == -1 || candidate.arguments == static_cast<int>(arguments.size()))) {
      return shown(candidate.call(arguments));
    }
  }
  return "no such function";
}

std::string aggregate(std::string_view function, const std::vector<ValueView>& values,
                      std::size_t taken_back = 0) {
  for (const Aggregate& candidate : aggregates()) {
    if (candidate.name != function) continue;
    const auto state = candidate.make();
    for (const ValueView& value : values) {
      if (const auto done = state->step(value); !done)
        return std::string{name(done.error().code())};
    }
    for (std::size_t i = 0; i < taken_back; ++i) EXPECT_TRUE(state->inverse(values[i]).has_value());
    return shown(state->value());
  }
  return "no such aggregate";
}

TEST(Operators, AreExactForDecimals) {
  EXPECT_EQ(shown(multiply(Text{"77.49"}, Text{"1.1"})), "85.239");
  EXPECT_EQ(shown(add(Text{"0.1"}, Text{"0.2"})), "0.3");
  EXPECT_EQ(shown(subtract(std::int64_t{10}, Text{"0.01"})), "9.99");
  EXPECT_EQ(shown(divide(Text{"10.00"}, std::int64_t{3})), "3.3333333333333333");
  EXPECT_EQ(shown(modulo(Text{"10.25"}, std::int64_t{3})), "1.25");
  EXPECT_EQ(shown(divide(Text{"1"}, Text{"0.00"})), "NULL");
  EXPECT_EQ(shown(negate(Text{"77.50"})), "-77.50");
  EXPECT_EQ(shown(multiply(Text{"77.49"}, 1.1)), "type.mismatch");
  EXPECT_EQ(shown(add(Text{"abc"}, std::int64_t{1})), "type.mismatch");
  EXPECT_EQ(shown(add(Text{"abc"}, Null{})), "NULL");
  EXPECT_EQ(shown(add(Bytes{}, std::int64_t{1})), "type.mismatch");
}

TEST(Operators, GoByTheCalendarForTimes) {
  EXPECT_EQ(shown(add(Text{"2024-01-31"}, Text{"1 month"})), "2024-02-29");
  EXPECT_EQ(shown(add(Text{"2024-01-31"}, Text{"PT1H"})), "2024-01-31T01:00:00Z");
  EXPECT_EQ(shown(subtract(Text{"2024-01-15T10:30:00Z"}, Text{"1 day"})), "2024-01-14T10:30:00Z");
  EXPECT_EQ(shown(subtract(Text{"2024-03-01"}, Text{"2024-02-01"})), "29");
  EXPECT_EQ(shown(add(std::int64_t{30}, Text{"2024-01-31"})), "2024-03-01");
  EXPECT_EQ(shown(subtract(Text{"2024-01-31"}, std::int64_t{31})), "2023-12-31");
  EXPECT_EQ(shown(subtract(Text{"2024-01-02T00:00:00Z"}, Text{"2024-01-01"})), "P1D");
  EXPECT_EQ(shown(add(Text{"23:30"}, Text{"01:00:00"})), "type.mismatch");
  EXPECT_EQ(shown(add(Text{"23:30"}, Text{"PT1H"})), "00:30:00");
  EXPECT_EQ(shown(subtract(Text{"00:30"}, Text{"1 hour"})), "23:30:00");
  EXPECT_EQ(shown(subtract(Text{"10:00"}, Text{"11:30"})), "PT-1H-30M");
  EXPECT_EQ(shown(add(Text{"2024-01-15"}, Text{"10:30"})), "2024-01-15T10:30:00Z");
  EXPECT_EQ(shown(multiply(Text{"1 day"}, std::int64_t{3})), "P3D");
  EXPECT_EQ(shown(multiply(Text{"0.5"}, Text{"1 day"})), "PT12H");
  EXPECT_EQ(shown(divide(Text{"1 day"}, std::int64_t{2})), "PT12H");
  EXPECT_EQ(shown(divide(Text{"1 day"}, std::int64_t{0})), "NULL");
  EXPECT_EQ(shown(subtract(Text{"P1Y"}, Text{"P1M"})), "P11M");
  EXPECT_EQ(shown(add(Text{"9999-12-31"}, std::int64_t{1})), "type.range");
  EXPECT_EQ(shown(add(Text{"2024-01-01"}, Text{"2024-01-01"})), "type.mismatch");
  EXPECT_EQ(shown(multiply(Text{"2024-01-01"}, std::int64_t{2})), "type.mismatch");
  EXPECT_EQ(shown(subtract(Text{"2024-01-01"}, std::numeric_limits<std::int64_t>::min())),
            "type.range");
}

// On integers and doubles the functions are SQLite's operators, ends of the ranges included.
TEST(Operators, EqualSqliteOnPlainNumbers) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
  struct Case {
    const char* sql;
    Operation ours;
  };
  const std::vector<Case> cases{{"SELECT ?1 + ?2", &add},
                                {"SELECT ?1 - ?2", &subtract},
                                {"SELECT ?1 * ?2", &multiply},
                                {"SELECT ?1 / ?2", &divide},
                                {"SELECT ?1 % ?2", &modulo}};
  const std::vector<ValueView> special{std::int64_t{0},
                                       std::int64_t{1},
                                       std::int64_t{-1},
                                       std::numeric_limits<std::int64_t>::min(),
                                       std::numeric_limits<std::int64_t>::max(),
                                       0.0,
                                       0.5,
                                       -2.5,
                                       1e300,
                                       -1e19,
                                       0x1p63};
  std::mt19937_64 random{5};
  const auto any = [&]() -> ValueView {
    if (random() % 3 == 0) return special[random() % special.size()];
    const auto value = static_cast<std::int64_t>(random()) >> (random() % 60);
    if (random() % 2 == 0) return value;
    return static_cast<double>(value) / 8;
  };
  for (const Case& tried : cases) {
    sqlite3_stmt* statement = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(db, tried.sql, -1, &statement, nullptr), SQLITE_OK);
    for (int round = 0; round < 4'000; ++round) {
      const std::array<ValueView, 2> values{any(), any()};
      for (int i = 0; i < 2; ++i) {
        const auto& value = values.at(static_cast<std::size_t>(i));
        if (const auto* integer = std::get_if<std::int64_t>(&value)) {
          sqlite3_bind_int64(statement, i + 1, *integer);
        } else {
          sqlite3_bind_double(statement, i + 1, std::get<double>(value));
        }
      }
      ASSERT_EQ(sqlite3_step(statement), SQLITE_ROW);
      Value expected;
      if (sqlite3_column_type(statement, 0) == SQLITE_INTEGER) {
        expected = static_cast<std::int64_t>(sqlite3_column_int64(statement, 0));
      } else if (sqlite3_column_type(statement, 0) == SQLITE_FLOAT) {
        expected = sqlite3_column_double(statement, 0);
      }
      const auto ours = tried.ours(values[0], values[1]);
      ASSERT_TRUE(ours.has_value());
      ASSERT_EQ(*ours, expected) << tried.sql << " of " << print(values[0]) << ", "
                                 << print(values[1]) << ": " << print(view(*ours));
      sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
  }
  sqlite3_close(db);
}

TEST(Functions, RoundAndAbsAreExact) {
  EXPECT_EQ(call("kmb_round", {Text{"2.675"}, std::int64_t{2}}), "2.68");
  EXPECT_EQ(call("kmb_round", {Text{"-2.5"}}), "-3");
  EXPECT_EQ(call("kmb_round", {Text{"1250"}, std::int64_t{-2}}), "1300");
  EXPECT_EQ(call("kmb_round", {2.5}), "3.0");
  EXPECT_EQ(call("kmb_round", {1.25, std::int64_t{1}}), "1.3");
  EXPECT_EQ(call("kmb_round", {2.675, std::int64_t{2}}), "2.68");
  EXPECT_EQ(call("kmb_round", {-1e-300, std::int64_t{2}}), "0.0");
  EXPECT_EQ(call("kmb_round", {std::int64_t{5}}), "5.0");
  EXPECT_EQ(call("kmb_abs", {Text{"-77.50"}}), "77.50");
  EXPECT_EQ(call("kmb_abs", {std::numeric_limits<std::int64_t>::min()}), "type.range");
  EXPECT_EQ(call("kmb_abs", {Null{}}), "NULL");
}

TEST(Functions, SumsAreExactAndCanBeTakenBack) {
  EXPECT_EQ(aggregate("kmb_sum", {Text{"0.10"}, Text{"0.20"}, Null{}, std::int64_t{1}}), "1.30");
  EXPECT_EQ(aggregate("kmb_avg", {Text{"1.00"}, Text{"2.00"}, Text{"2.00"}}), "1.6666666666666667");
  EXPECT_EQ(aggregate("kmb_avg", {Text{"1.00"}, Text{"2.00"}}), "1.50");
  EXPECT_EQ(aggregate("kmb_sum", {Text{"5.00"}, Text{"0.25"}, Text{"0.50"}}, 1), "0.75");
  EXPECT_EQ(aggregate("kmb_sum", {1.5, std::int64_t{2}}), "3.5");
  EXPECT_EQ(aggregate("kmb_sum", {1.5, Text{"2"}}), "type.mismatch");
  EXPECT_EQ(aggregate("kmb_sum", {std::int64_t{2}, std::int64_t{3}}), "5");
  EXPECT_EQ(aggregate("kmb_avg", {std::int64_t{2}, std::int64_t{3}}), "2.5");
  EXPECT_EQ(aggregate("kmb_sum", {Null{}}), "NULL");
  EXPECT_EQ(aggregate("kmb_sum", {}), "NULL");
  EXPECT_EQ(aggregate("kmb_sum", {std::numeric_limits<std::int64_t>::max(), std::int64_t{1}}),
            "type.range");
  EXPECT_EQ(aggregate("kmb_sum", {std::numeric_limits<std::int64_t>::max(), std::int64_t{1}}, 1),
            "1");
  EXPECT_EQ(aggregate("kmb_sum", {Text{"1 day"}, Text{"2 hours"}}), "P1DT2H");
  EXPECT_EQ(aggregate("kmb_avg", {Text{"1 day"}, Text{"2 days"}}), "P1DT12H");
  EXPECT_EQ(aggregate("kmb_sum", {Text{"2024-01-01"}}), "type.mismatch");
}

TEST(Functions, IlikeIgnoresCaseAndLeavesTheRestToLike) {
  const auto like = [](Text text, Text pattern) { return call("kmb_ilike", {text, pattern}); };
  EXPECT_EQ(like("Müller", "mÜLL%"), "1");
  EXPECT_EQ(like("Ωmega", "ωME_A"), "1");
  EXPECT_EQ(like("Иван", "иВА_"), "1");
  EXPECT_EQ(like("Łukasz", "łUK%sz"), "1");
  EXPECT_EQ(like("abc", "a%b"), "0");
  EXPECT_EQ(like("aXbXb", "a%b"), "1");
  EXPECT_EQ(like("", "%"), "1");
  EXPECT_EQ(like("", "_"), "0");
  EXPECT_EQ(like("é", "_"), "1");
  EXPECT_EQ(call("kmb_ilike", {Text{"50%"}, Text{"50!%"}, Text{"!"}}), "1");
  EXPECT_EQ(call("kmb_ilike", {Text{"501"}, Text{"50!%"}, Text{"!"}}), "0");
  EXPECT_EQ(call("kmb_ilike", {Text{"a"}, Text{"a"}, Text{"!!"}}), "sql.misuse");
  EXPECT_EQ(call("kmb_ilike", {Text{"a"}, Null{}}), "NULL");
  const std::string many = std::string(2'000, 'a');
  std::string pattern;
  for (int i = 0; i < 300; ++i) pattern += "%a";
  EXPECT_EQ(like(many, pattern + "%b"), "0");  // no exponential search
}

TEST(Functions, FieldsOfTimes) {
  const auto field = [](Text name, Text value) { return call("kmb_extract", {name, value}); };
  EXPECT_EQ(field("YEAR", "2024-01-15"), "2024");
  EXPECT_EQ(field("quarter", "2024-05-15T10:30:00Z"), "2");
  EXPECT_EQ(field("second", "2024-05-15T10:30:07.25Z"), "7.25");
  EXPECT_EQ(field("hour", "10:30"), "10");
  EXPECT_EQ(field("dow", "2024-01-14"), "0");
  EXPECT_EQ(field("isodow", "2024-01-14"), "7");
  EXPECT_EQ(field("doy", "2024-12-31"), "366");
  EXPECT_EQ(field("week", "2021-01-03"), "53");
  EXPECT_EQ(field("isoyear", "2021-01-03"), "2020");
  EXPECT_EQ(field("epoch", "1970-01-02T00:00:00.5Z"), "86400.5");
  EXPECT_EQ(field("epoch", "P1DT1S"), "86401");
  EXPECT_EQ(field("minute", "PT-90M"), "-30");
  EXPECT_EQ(field("fortnight", "2024-01-15"), "sql.misuse");
  EXPECT_EQ(field("year", "10:30"), "sql.misuse");
  EXPECT_EQ(field("year", "77.50"), "type.mismatch");
  EXPECT_EQ(call("date_trunc", {Text{"month"}, Text{"2024-05-15T10:30:00Z"}}),
            "2024-05-01T00:00:00Z");
  EXPECT_EQ(call("date_trunc", {Text{"week"}, Text{"2024-01-14"}}), "2024-01-08T00:00:00Z");
  EXPECT_EQ(call("date_trunc", {Text{"hour"}, Text{"1969-12-31T23:59:59Z"}}),
            "1969-12-31T23:00:00Z");
}

TEST(Functions, CheckAndCastCarryTheTypeInTheirArguments) {
  EXPECT_EQ(call("kmb_valid", {Text{"77.5"}, std::int64_t{6}, std::int64_t{10}, std::int64_t{2}}),
            "1");
  EXPECT_EQ(call("kmb_valid", {Text{"x"}, std::int64_t{6}, std::int64_t{10}, std::int64_t{2}}),
            "type.format");
  EXPECT_EQ(call("kmb_valid", {Null{}, std::int64_t{6}, std::int64_t{10}, std::int64_t{2}}), "1");
  EXPECT_EQ(call("kmb_cast", {77.5, std::int64_t{6}, std::int64_t{10}, std::int64_t{2}}), "77.50");
  EXPECT_EQ(call("kmb_cast", {77.5, std::int64_t{99}, std::int64_t{0}, std::int64_t{0}}),
            "sql.misuse");
  EXPECT_EQ(call("kmb_store", {77.5, std::int64_t{6}, std::int64_t{10}, std::int64_t{2}}), "77.50");
  EXPECT_EQ(call("kmb_add", {Text{"0.1"}, Text{"0.2"}, std::int64_t{1}}), "1.3");
  EXPECT_EQ(call("kmb_operand", {std::int64_t{5}, std::int64_t{1}}), "5");
  EXPECT_EQ(call("kmb_operand", {Text{"2024-01-15 10:30"}, std::int64_t{2}}),
            "2024-01-15T10:30:00Z");
  EXPECT_EQ(call("kmb_operand", {Text{"soon"}, std::int64_t{2}}), "type.format");
}

TEST(Functions, TheAllowListNamesNothingThatReachesAround) {
  for (const char* good : {"count", "json_extract", "lower", "date_trunc", "random"}) {
    EXPECT_TRUE(is_allowed_function(good)) << good;
  }
  for (const char* bad :
       {"load_extension", "kmb_position", "sqlite_version", "changes", "last_insert_rowid",
        "pragma_table_info", "fts5", "randomblob", "zeroblob", "readfile", "edit", ""}) {
    EXPECT_FALSE(is_allowed_function(bad)) << bad;
  }
}

}  // namespace
}  // namespace kimberlite::sql
