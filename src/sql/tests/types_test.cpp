#include "sql/types.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace kimberlite::sql {
namespace {

using catalog::Type;
using catalog::TypeKind;
using Text = std::string_view;

Type of(TypeKind kind, std::uint16_t precision = 0, std::uint16_t scale = 0) {
  return Type{kind, precision, scale};
}

// The canonical form as it prints, or the name of the error.
std::string canonical(const ValueView& value, const Type& type) {
  const auto result = canonicalise(value, type);
  if (!result) return std::string{name(result.error().code())};
  EXPECT_TRUE(is_canonical(view(*result), type)) << print(view(*result), type);
  EXPECT_EQ(is_canonical(value, type), own(value) == *result) << print(value);
  const auto again = canonicalise(view(*result), type);
  EXPECT_EQ(*again, *result);
  return print(view(*result), type);
}

TEST(Types, IntegersStayInsideTheirWidth) {
  const Type small = of(TypeKind::smallint);
  EXPECT_EQ(canonical(std::int64_t{32767}, small), "32767");
  EXPECT_EQ(canonical(std::int64_t{32768}, small), "type.range");
  EXPECT_EQ(canonical(std::int64_t{2147483648}, of(TypeKind::integer)), "type.range");
  EXPECT_EQ(canonical(5.0, small), "5");
  EXPECT_EQ(canonical(5.5, small), "type.mismatch");
  EXPECT_EQ(canonical(1e300, of(TypeKind::bigint)), "type.range");
  EXPECT_EQ(canonical(0x1p63, of(TypeKind::bigint)), "type.range");
  EXPECT_EQ(canonical(Text{"-12"}, small), "-12");
  EXPECT_EQ(canonical(Text{"9223372036854775808"}, of(TypeKind::bigint)), "type.range");
  EXPECT_EQ(canonical(Text{"abc"}, small), "type.format");
  EXPECT_EQ(canonical(Bytes{}, small), "type.mismatch");
  EXPECT_EQ(canonical(Null{}, small), "");
}

TEST(Types, DoublesAreFiniteAndPrintShortest) {
  const Type type = of(TypeKind::double_precision);
  EXPECT_EQ(canonical(0.1, type), "0.1");
  EXPECT_EQ(canonical(std::int64_t{3}, type), "3.0");
  EXPECT_FALSE(std::signbit(std::get<double>(*canonicalise(-0.0, type))));
  EXPECT_EQ(canonical(1e300, type), "1e+300");
  EXPECT_EQ(canonical(std::numeric_limits<double>::quiet_NaN(), type), "type.range");
  EXPECT_EQ(canonical(std::numeric_limits<double>::infinity(), type), "type.range");
  EXPECT_EQ(canonical(Text{"1e999"}, type), "type.range");
  EXPECT_EQ(canonical(Text{"+2.5"}, type), "2.5");
  EXPECT_EQ(canonical(Text{"2.5x"}, type), "type.format");
  EXPECT_EQ(print_double(100.0), "100.0");
}

TEST(Types, DecimalsHaveTheirScale) {
  const Type money = of(TypeKind::decimal, 10, 2);
  EXPECT_EQ(canonical(Text{"77.5"}, money), "77.50");
  EXPECT_EQ(canonical(std::int64_t{77}, money), "77.00");
  EXPECT_EQ(canonical(77.49, money), "77.49");
  EXPECT_EQ(canonical(Text{"77.495"}, money), "77.50");
  EXPECT_EQ(canonical(Text{"-0.004"}, money), "0.00");
  EXPECT_EQ(canonical(Text{"99999999.99"}, money), "99999999.99");
  EXPECT_EQ(canonical(Text{"99999999.995"}, money), "type.range");
  EXPECT_EQ(canonical(Text{"1e8"}, money), "type.range");
  EXPECT_EQ(canonical(Text{"12,50"}, money), "type.format");
  EXPECT_EQ(canonical(Text{"0.05"}, of(TypeKind::decimal, 2, 2)), "0.05");
  EXPECT_EQ(canonical(Text{"1.05"}, of(TypeKind::decimal, 2, 2)), "type.range");
  EXPECT_EQ(canonical(Text{"0010.500"}, of(TypeKind::decimal)), "10.5");
  EXPECT_EQ(
      canonical(Text{"1234567890123456789012345678.123456789"}, of(TypeKind::decimal, 38, 10)),
      "1234567890123456789012345678.1234567890");
}

TEST(Types, TextsAreUtf8AndCountCharacters) {
  EXPECT_EQ(canonical(Text{"Zoë"}, of(TypeKind::varchar, 3)), "Zoë");
  EXPECT_EQ(canonical(Text{"Zoës"}, of(TypeKind::varchar, 3)), "type.range");
  EXPECT_EQ(canonical(Text{"abcd"}, of(TypeKind::character, 3)), "type.range");
  EXPECT_EQ(canonical(Text{"a\xff"}, of(TypeKind::text)), "type.encoding");
  EXPECT_EQ(canonical(Text("a\0b", 3), of(TypeKind::text)), "type.encoding");
  EXPECT_EQ(canonical(std::int64_t{5}, of(TypeKind::text)), "5");
  EXPECT_EQ(canonical(Bytes{}, of(TypeKind::text)), "type.mismatch");
}

TEST(Types, OtherSpellingsBecomeTheCanonicalOne) {
  EXPECT_EQ(canonical(Text{"YES"}, of(TypeKind::boolean)), "true");
  EXPECT_EQ(canonical(std::int64_t{0}, of(TypeKind::boolean)), "false");
  EXPECT_EQ(canonical(std::int64_t{2}, of(TypeKind::boolean)), "type.range");
  EXPECT_EQ(canonical(Text{"maybe"}, of(TypeKind::boolean)), "type.format");
  EXPECT_EQ(canonical(Text{"2024-01-15"}, of(TypeKind::date)), "2024-01-15");
  EXPECT_EQ(canonical(Text{"2024-01-15 00:00"}, of(TypeKind::date)), "type.format");
  EXPECT_EQ(canonical(Text{"10:30"}, of(TypeKind::time)), "10:30:00");
  EXPECT_EQ(canonical(Text{"10:30:00.50"}, of(TypeKind::time)), "10:30:00.5");
  EXPECT_EQ(canonical(Text{"2024-01-15 10:30"}, of(TypeKind::timestamp)), "2024-01-15T10:30:00Z");
  EXPECT_EQ(canonical(Text{"2024-01-15T10:30:00.250Z"}, of(TypeKind::timestamp)),
            "2024-01-15T10:30:00.25Z");
  EXPECT_EQ(canonical(std::int64_t{1705314600}, of(TypeKind::timestamp)), "type.mismatch");
  EXPECT_EQ(canonical(Text{"1 day"}, of(TypeKind::interval)), "P1D");
  EXPECT_EQ(canonical(Text{"{0123456789ABCDEF0123456789abcdef}"}, of(TypeKind::uuid)),
            "type.format");
  EXPECT_EQ(canonical(Text{"{01234567-89AB-cdef-0123-456789abcdef}"}, of(TypeKind::uuid)),
            "01234567-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(canonical(Text{"0123456789ABCDEF0123456789abcdef"}, of(TypeKind::uuid)),
            "01234567-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(canonical(Text{"\\xDEADbeef"}, of(TypeKind::bytes)), "3q2+7w==");
  EXPECT_EQ(canonical(Text{"3q2+7w=="}, of(TypeKind::bytes)), "3q2+7w==");
  EXPECT_EQ(canonical(Text{"3q2+7x=="}, of(TypeKind::bytes)), "type.format");  // stray bits
  EXPECT_EQ(canonical(Text{"3q2+7w="}, of(TypeKind::bytes)), "type.format");
}

TEST(Types, JsonIsRfc8259) {
  const Type json = of(TypeKind::json);
  for (const char* good : {"{}", "[]", " [1, -2.5e+3, {\"a\": [null, true, false]}] ",
                           "\"\\u00e9\\n\"", "0", "{\"a\":{\"b\":[[],{}]}}", "-0", "1E5"}) {
    EXPECT_EQ(canonical(Text{good}, json), good);
  }
  for (const char* bad :
       {"",   "{",        "[1,]", "{\"a\":1,}",  "{a:1}",  "'a'",   "01",        "1.",
        ".5", "+1",       "nul",  "\"\\x\"",     "\"\t\"", "[1 2]", "{\"a\" 1}", "1 1",
        "[}", "{\"a\":}", "\"a",  "\"\\u12g4\"", "NaN",    "\"\\",  "]"}) {
    EXPECT_EQ(canonical(Text{bad}, json), "type.format") << bad;
  }
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  EXPECT_EQ(canonical(Text{deep}, json), deep);
  const std::string deeper = "[" + deep + "]";
  EXPECT_EQ(canonical(Text{deeper}, json), "type.format");
}

TEST(Types, CastsLoseWhatTheyMustAndNoMore) {
  const auto shown = [](const ValueView& value, const Type& type) {
    const auto result = cast(value, type);
    return result ? print(view(*result), type) : std::string{name(result.error().code())};
  };
  EXPECT_EQ(shown(2.5, of(TypeKind::integer)), "3");
  EXPECT_EQ(shown(Text{"-2.5"}, of(TypeKind::integer)), "-3");
  EXPECT_EQ(shown(Text{"2024-01-15T10:30:00Z"}, of(TypeKind::date)), "2024-01-15");
  EXPECT_EQ(shown(Text{"2024-01-15T10:30:00Z"}, of(TypeKind::time)), "10:30:00");
  EXPECT_EQ(shown(Text{"2024-01-15"}, of(TypeKind::timestamp)), "2024-01-15T00:00:00Z");
  EXPECT_EQ(shown(Text{"Zoës"}, of(TypeKind::varchar, 3)), "Zoë");
  EXPECT_EQ(shown(7.0, of(TypeKind::boolean)), "true");
  EXPECT_EQ(shown(Text{"77.49"}, of(TypeKind::double_precision)), "77.49");
  EXPECT_EQ(shown(0.1, of(TypeKind::decimal, 5, 3)), "0.100");
  EXPECT_EQ(shown(Text{"x"}, of(TypeKind::date)), "type.format");
}

// Antisymmetric and transitive over valid and invalid texts mixed, or an index on it breaks.
TEST(Types, EveryCollationIsATotalOrder) {
  const std::vector<std::string> texts{"",
                                       "0",
                                       "0.00",
                                       "-0.0",
                                       "1",
                                       "1.0",
                                       "01",
                                       "1e0",
                                       "9.00",
                                       "10.00",
                                       "-9",
                                       "-10.5",
                                       "abc",
                                       "1x",
                                       "99999999999999999999",
                                       "99999999999999999999.0",
                                       "2024-01-15",
                                       "2024-01-15T00:00:00Z",
                                       "2024-01-15 01:00+01:00",
                                       "2024-01-15T00:00:00.5Z",
                                       "2024-99-99",
                                       "10:30",
                                       "10:30:00",
                                       "10:30:00.5",
                                       "25:00",
                                       "P1M",
                                       "P30D",
                                       "1 month",
                                       "PT24H",
                                       "P1D",
                                       "-1 day",
                                       "01234567-89ab-cdef-0123-456789abcdef",
                                       "01234567-89AB-CDEF-0123-456789ABCDEF",
                                       "0123456789abcdef0123456789abcdef",
                                       "zz234567-89ab-cdef-0123-456789abcdef"};
  const auto sign = [](int order) { return order < 0 ? -1 : (order > 0 ? 1 : 0); };
  for (const Collation& collation : collations()) {
    const auto order = [&](const std::string& a, const std::string& b) {
      return sign(compare(collation.order, a, b));
    };
    for (const auto& a : texts) {
      for (const auto& b : texts) {
        ASSERT_EQ(order(a, b), -order(b, a)) << collation.name << ": " << a << " " << b;
        for (const auto& c : texts) {
          if (order(a, b) <= 0 && order(b, c) <= 0) {
            ASSERT_LE(order(a, c), 0) << collation.name << ": " << a << " " << b << " " << c;
          }
        }
      }
    }
  }
  EXPECT_EQ(compare(Order::decimal, "77.5", "77.50"), 0);
  EXPECT_LT(compare(Order::decimal, "9.00", "10.00"), 0);
  EXPECT_EQ(compare(Order::timestamp, "2024-01-15", "2024-01-15 01:00+01:00"), 0);
  EXPECT_LT(compare(Order::timestamp, "2024-01-15T10:30:00Z", "2024-01-15T10:30:00.5Z"), 0);
  EXPECT_EQ(compare(Order::interval, "P1M", "P30D"), 0);
  EXPECT_EQ(compare(Order::uuid, "01234567-89AB-CDEF-0123-456789ABCDEF",
                    "01234567-89ab-cdef-0123-456789abcdef"),
            0);
}

TEST(Types, AreNamedAndCheckedAsDeclared) {
  EXPECT_EQ(type_name(of(TypeKind::decimal, 10, 2)), "DECIMAL(10,2)");
  EXPECT_EQ(type_name(of(TypeKind::varchar, 40)), "VARCHAR(40)");
  EXPECT_EQ(storage_class(of(TypeKind::boolean)), "INTEGER");
  EXPECT_EQ(collation_name(of(TypeKind::date)), "kmb_timestamp");
  EXPECT_EQ(collation_name(of(TypeKind::text)), "");
  EXPECT_EQ(check_expression(of(TypeKind::smallint), "\"n\""), "\"n\" BETWEEN -32768 AND 32767");
  EXPECT_EQ(check_expression(of(TypeKind::decimal, 10, 2), "\"a\""), "kmb_valid(\"a\", 6, 10, 2)");
}

}  // namespace
}  // namespace kimberlite::sql
