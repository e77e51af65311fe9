#include "sql/decimal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace kimberlite::sql {
namespace {

__extension__ using Wide = __int128;

Decimal number(std::string_view text) {
  const auto parsed = Decimal::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed.value_or(Decimal{});
}

std::string text_of_wide(Wide value, unsigned scale) {
  const bool negative = value < 0;
  if (negative) value = -value;
  std::string digits;
  for (unsigned i = 0; value != 0 || i <= scale; ++i, value /= 10) {
    if (i == scale && scale > 0) digits.push_back('.');
    digits.push_back(static_cast<char>('0' + static_cast<int>(value % 10)));
  }
  if (negative) digits.push_back('-');
  std::ranges::reverse(digits);
  return digits;
}

Wide power(unsigned n) {
  Wide p = 1;
  while (n-- > 0) p *= 10;
  return p;
}

// What school taught: scaled integers of 127 bits, one rule each.
struct Model {
  Wide value = 0;
  unsigned scale = 0;
  [[nodiscard]] std::string text() const { return text_of_wide(value, scale); }
};

TEST(Decimal, EqualsScaledIntegersOnRandomNumbers) {
  std::mt19937_64 random{20240115};
  const auto any = [&random] {
    Model m;
    m.scale = static_cast<unsigned>(random() % 7);
    const unsigned digits = 1 + static_cast<unsigned>(random() % 18);
    m.value = static_cast<Wide>(random()) % power(digits);
    if (random() % 2 == 0) m.value = -m.value;
    if (random() % 20 == 0) m.value = 0;
    return m;
  };
  for (int round = 0; round < 50'000; ++round) {
    const Model a = any();
    const Model b = any();
    const Decimal x = number(a.text());
    const Decimal y = number(b.text());
    ASSERT_EQ(x.text(), a.text());
    const unsigned scale = std::max(a.scale, b.scale);
    const Wide left = a.value * power(scale - a.scale);
    const Wide right = b.value * power(scale - b.scale);
    ASSERT_EQ(Decimal::add(x, y)->text(), text_of_wide(left + right, scale));
    ASSERT_EQ(Decimal::subtract(x, y)->text(), text_of_wide(left - right, scale));
    ASSERT_EQ(Decimal::multiply(x, y)->text(), text_of_wide(a.value * b.value, a.scale + b.scale));
    const int order = left < right ? -1 : (left > right ? 1 : 0);
    ASSERT_EQ(Decimal::compare(x, y), order) << a.text() << " " << b.text();
    ASSERT_EQ(compare_decimal_text(a.text(), b.text()), order) << a.text() << " " << b.text();
    if (b.value != 0) {
      ASSERT_EQ(Decimal::remainder(x, y)->text(), text_of_wide(left % right, scale));
    }
    const unsigned to = static_cast<unsigned>(random() % 7);
    Wide rounded = a.value;
    if (to < a.scale) {
      const Wide unit = power(a.scale - to);
      rounded = (a.value + (a.value < 0 ? -unit / 2 : unit / 2)) / unit;
    } else {
      rounded *= power(to - a.scale);
    }
    ASSERT_EQ(x.rounded(to)->text(), text_of_wide(rounded, to)) << a.text() << " to " << to;
  }
}

TEST(Decimal, DividesToSixteenDigitsHalfAwayFromZero) {
  const auto quotient = [](std::string_view a, std::string_view b) {
    return Decimal::divide(number(a), number(b))->text();
  };
  EXPECT_EQ(quotient("1", "3"), "0.3333333333333333");
  EXPECT_EQ(quotient("-2", "3"), "-0.6666666666666667");
  EXPECT_EQ(quotient("10", "4"), "2.5");
  EXPECT_EQ(quotient("77.50", "2"), "38.75");
  EXPECT_EQ(quotient("0.00", "7"), "0.00");
  EXPECT_EQ(quotient("1", "80000000000000000"), "0");                     // 1.25e-17
  EXPECT_EQ(quotient("-4", "80000000000000000"), "-0.0000000000000001");  // -5e-17
}

// q * b + r = a for operands far beyond the fast model.
TEST(Decimal, LongDivisionFitsTogetherAgain) {
  std::mt19937_64 random{7};
  const auto digits = [&random](std::size_t count) {
    std::string text(count, '0');
    for (char& c : text) {
      const auto pick = random() % 12;  // runs of nines and zeros are where long division errs
      c = static_cast<char>('0' + (pick > 9 ? (pick == 10 ? 9 : 0) : pick));
    }
    if (text[0] == '0') text[0] = '1';
    return text;
  };
  for (int round = 0; round < 3'000; ++round) {
    const Decimal b = number(digits(1 + random() % 200));
    const Decimal q = number(digits(1 + random() % 200));
    const Decimal rest = *Decimal::remainder(number(digits(1 + random() % 200)), b);
    const Decimal a = *Decimal::add(*Decimal::multiply(q, b), rest);
    ASSERT_EQ(Decimal::remainder(a, b)->text(), rest.text());
    ASSERT_EQ(Decimal::divide(*Decimal::multiply(q, b), b)->text(), q.text());
  }
}

TEST(Decimal, ReadsWhatNumbersLookLikeAndNothingElse) {
  EXPECT_EQ(number("1e3").text(), "1000");
  EXPECT_EQ(number("1.5e-3").text(), "0.0015");
  EXPECT_EQ(number("+007.50").text(), "7.50");
  EXPECT_EQ(number(".5").text(), "0.5");
  EXPECT_EQ(number("5.").text(), "5");
  EXPECT_EQ(number("-0.00").text(), "0.00");
  EXPECT_EQ(number(" 12 ").text(), "12");
  EXPECT_EQ(number("0e999").text(), "0");
  for (const char* bad : {"", ".", "-", "1..2", "1e", "e5", "0x10", "1 2", "NaN", "Infinity",
                          "1e99999", "1_000", "1,5", "--1"}) {
    EXPECT_FALSE(Decimal::parse(bad).has_value()) << bad;
  }
}

TEST(Decimal, RefusesWhatDoesNotFitIntoAThousandDigits) {
  const std::string most(1000, '9');
  EXPECT_EQ(number(most).text(), most);
  EXPECT_FALSE(Decimal::parse(most + "9").has_value());
  EXPECT_EQ(Decimal::multiply(number(most), number(most)).error().code(), Code::type_range);
  EXPECT_EQ(Decimal::add(number(most), number("1")).error().code(), Code::type_range);
  EXPECT_EQ(number(most).rounded(1).error().code(), Code::type_range);
  EXPECT_EQ(Decimal::divide(number(most), number("0.1")).error().code(), Code::type_range);
  EXPECT_EQ(compare_decimal_text(most, "0." + std::string(998, '1')), 1);
}

TEST(Decimal, RoundsToTensAndToIntegers) {
  EXPECT_EQ(number("1250").rounded_to_tens(2)->text(), "1300");
  EXPECT_EQ(number("-1249.99").rounded_to_tens(2)->text(), "-1200");
  EXPECT_EQ(number("49").rounded_to_tens(2)->text(), "0");
  EXPECT_EQ(number("50").rounded_to_tens(2)->text(), "100");
  EXPECT_EQ(number("9223372036854775807.4").to_integer(), INT64_MAX);
  EXPECT_EQ(number("9223372036854775807.5").to_integer(), std::nullopt);
  EXPECT_EQ(number("-9223372036854775808").to_integer(), INT64_MIN);
  EXPECT_EQ(number("-0.5").to_integer(), -1);
  EXPECT_EQ(Decimal{INT64_MIN}.text(), "-9223372036854775808");
  EXPECT_EQ(number("0.1").to_double(), 0.1);
  EXPECT_EQ(number("2.500").trimmed().text(), "2.5");
  EXPECT_EQ(number("100").trimmed().text(), "100");
}

}  // namespace
}  // namespace kimberlite::sql
