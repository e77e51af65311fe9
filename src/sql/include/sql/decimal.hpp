// Exact decimal numbers: a sign, up to 1,000 digits, and how many of them stand after the point.
//
// No operation goes through a double. Results that would need more than `digits_max` digits are
// `type.range`; nothing wraps. Rounding is half away from zero, as people and PostgreSQL do it.
// No heap: a value is a fixed block of which only the used part is ever touched. Thread rule: a
// value.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace kimberlite::sql {

class Decimal {
 public:
  static constexpr std::uint32_t digits_max = 1000;

  // Zero.
  Decimal() = default;
  Decimal(const Decimal& other) { assign(other); }
  Decimal& operator=(const Decimal& other) {
    if (this != &other) assign(other);
    return *this;
  }
  ~Decimal() = default;

  explicit Decimal(std::int64_t value);
  // [+-] digits [. digits] [e [+-] digits], blanks around it allowed; nothing for all else, and for
  // more than `digits_max` digits.
  [[nodiscard]] static std::optional<Decimal> parse(std::string_view text);

  [[nodiscard]] bool is_zero() const { return size_ == 0; }
  [[nodiscard]] bool is_negative() const { return negative_; }
  // Digits after the point.
  [[nodiscard]] std::uint32_t scale() const { return scale_; }
  // Digits in all, leading zeros not counted.
  [[nodiscard]] std::uint32_t digits() const;

  [[nodiscard]] Decimal negated() const;
  [[nodiscard]] Decimal absolute() const;
  // With exactly `scale` digits after the point.
  [[nodiscard]] Result<Decimal> rounded(std::uint32_t scale) const;
  // To a multiple of 10^places, for ROUND(x, -places).
  [[nodiscard]] Result<Decimal> rounded_to_tens(std::uint32_t places) const;
  // Without zeros at the end of the fraction, but `scale_min` digits after the point at least if it
  // has them.
  [[nodiscard]] Decimal trimmed(std::uint32_t scale_min = 0) const;
  // Half away from zero; nothing if it does not fit.
  [[nodiscard]] std::optional<std::int64_t> to_integer() const;
  [[nodiscard]] double to_double() const;
  // "-77.50": a digit before the point always; zero has no sign.
  [[nodiscard]] std::string text() const;

  // Scale: of the sum and the remainder the larger one, of the product the sum.
  [[nodiscard]] static Result<Decimal> add(const Decimal& a, const Decimal& b);
  [[nodiscard]] static Result<Decimal> subtract(const Decimal& a, const Decimal& b);
  [[nodiscard]] static Result<Decimal> multiply(const Decimal& a, const Decimal& b);
  // Rounded to max(division_digits, scales) digits after the point, then trimmed to the larger
  // scale. `b` is not zero.
  [[nodiscard]] static Result<Decimal> divide(const Decimal& a, const Decimal& b);
  // The sign of `a`. `b` is not zero.
  [[nodiscard]] static Result<Decimal> remainder(const Decimal& a, const Decimal& b);
  static constexpr std::uint32_t division_digits = 16;

  // By value: 1.5 and 1.50 are equal.
  [[nodiscard]] static int compare(const Decimal& a, const Decimal& b);

 private:
  // (N1) words_[0, size_) are the digits in base 10^9, the least significant first; the last one is
  //      not zero, and zero has none.                                                [kept: trim]
  // (N2) size_ <= words_max, and digits() <= digits_max in every value handed out.   [kept:
  // checked] (N3) zero is not negative. [kept: trim]
  static constexpr std::uint32_t word_digits = 9;
  static constexpr std::uint32_t base = 1'000'000'000;
  // Room for a product of two values, or a dividend scaled up for division.
  static constexpr std::uint32_t words_max = 2 * (digits_max / word_digits + 1) + 4;

  void assign(const Decimal& other);
  void trim();
  [[nodiscard]] static Result<Decimal> checked(Decimal value);
  void multiply_small(std::uint32_t factor, std::uint32_t carry);
  std::uint32_t divide_small(std::uint32_t divisor);
  [[nodiscard]] bool scale_up(std::uint32_t digits);
  void drop_digits(std::uint32_t digits, bool round);
  [[nodiscard]] static int compare_magnitude(const Decimal& a, const Decimal& b);
  static void add_magnitude(Decimal& a, const Decimal& b);
  static void subtract_magnitude(Decimal& a, const Decimal& b);
  static Decimal divide_magnitude(const Decimal& a, const Decimal& b, Decimal& remainder);

  bool negative_ = false;
  std::uint32_t scale_ = 0;
  std::uint32_t size_ = 0;
  // Only words_[0, size_) is initialised: clearing a kilobyte for every sum would cost more than
  // it.
  std::array<std::uint32_t, words_max> words_;  // NOLINT(cppcoreguidelines-pro-type-member-init)
};

// Compares two texts by value where both are plain numbers, without building them if they are as
// DECIMAL columns hold them; nothing if either is no number.
[[nodiscard]] std::optional<int> compare_decimal_text(std::string_view a, std::string_view b);

}  // namespace kimberlite::sql
