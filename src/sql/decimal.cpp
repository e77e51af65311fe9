#include "sql/decimal.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/assert.hpp"

namespace kimberlite::sql {
namespace {

constexpr std::array<std::uint32_t, 10> powers_of_ten{
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Error too_large() {
  return Error{Code::type_range, "a DECIMAL result has more than {} digits", Decimal::digits_max}
      .next("round the operands first, or CAST to DOUBLE");
}

}  // namespace

void Decimal::assign(const Decimal& other) {
  negative_ = other.negative_;
  scale_ = other.scale_;
  size_ = other.size_;
  std::copy_n(other.words_.begin(), size_, words_.begin());
}

void Decimal::trim() {
  while (size_ > 0 && words_[size_ - 1] == 0) --size_;
  if (size_ == 0) negative_ = false;
}

Decimal::Decimal(std::int64_t value) {
  negative_ = value < 0;
  std::uint64_t rest =
      negative_ ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
  for (; rest != 0; rest /= base) words_[size_++] = static_cast<std::uint32_t>(rest % base);
}

std::uint32_t Decimal::digits() const {
  if (size_ == 0) return 0;
  std::uint32_t in_last = 1;
  while (in_last < word_digits && words_[size_ - 1] >= powers_of_ten[in_last]) ++in_last;
  return (size_ - 1) * word_digits + in_last;
}

Result<Decimal> Decimal::checked(Decimal value) {
  if (value.digits() > digits_max || value.scale_ > digits_max) return too_large();
  return value;
}

std::optional<Decimal> Decimal::parse(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  Decimal value;
  std::size_t at = 0;
  bool negative = false;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) negative = text[at++] == '-';

  // The digits go in as one number; where the point stood is the scale.
  const std::size_t digits_begin = at;
  std::size_t point = std::string_view::npos;
  std::size_t digit_count = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && point == std::string_view::npos) {
      point = at;
    } else if (is_digit(text[at])) {
      ++digit_count;
    } else {
      break;
    }
  }
  const std::size_t digits_end = at;
  if (digit_count == 0) return std::nullopt;

  std::int64_t exponent = 0;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    const bool down = at < text.size() && text[at] == '-';
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (at == text.size() || text.size() - at > 6) return std::nullopt;
    for (; at < text.size() && is_digit(text[at]); ++at)
      exponent = exponent * 10 + (text[at] - '0');
    if (down) exponent = -exponent;
  }
  if (at != text.size()) return std::nullopt;

  const auto fraction =
      static_cast<std::int64_t>(point == std::string_view::npos ? 0 : digits_end - point - 1);
  std::size_t first = digits_begin;
  while (first < digits_end && (text[first] == '0' || text[first] == '.')) ++first;
  if (digits_end - first > digits_max + 1 || fraction > digits_max) return std::nullopt;

  std::uint32_t word = 0;
  std::uint32_t in_word = 0;
  std::size_t at_digit = digits_end;
  while (at_digit > first) {
    const char c = text[--at_digit];
    if (c == '.') continue;
    word += static_cast<std::uint32_t>(c - '0') * powers_of_ten[in_word];
    if (++in_word == word_digits) {
      value.words_[value.size_++] = word;
      word = 0;
      in_word = 0;
    }
  }
  if (in_word != 0) value.words_[value.size_++] = word;
  value.negative_ = negative;
  value.trim();

  const std::int64_t scale = fraction - exponent;
  if (scale > digits_max || scale < -static_cast<std::int64_t>(digits_max)) {
    return value.is_zero() ? std::optional{Decimal{}} : std::nullopt;
  }
  if (scale >= 0) {
    value.scale_ = static_cast<std::uint32_t>(scale);
  } else if (!value.is_zero() && !value.scale_up(static_cast<std::uint32_t>(-scale))) {
    return std::nullopt;
  }
  if (scale < 0) value.scale_ = 0;
  if (value.digits() > digits_max) return std::nullopt;
  return value;
}

void Decimal::multiply_small(std::uint32_t factor, std::uint32_t carry) {
  std::uint64_t rest = carry;
  for (std::uint32_t i = 0; i < size_; ++i) {
    rest += std::uint64_t{words_[i]} * factor;
    words_[i] = static_cast<std::uint32_t>(rest % base);
    rest /= base;
  }
  if (rest != 0) {
    KIMBERLITE_ASSERT(size_ < words_max);
    words_[size_++] = static_cast<std::uint32_t>(rest);
  }
}

// The quotient stays, the remainder is returned.
std::uint32_t Decimal::divide_small(std::uint32_t divisor) {
  std::uint64_t rest = 0;
  for (std::uint32_t i = size_; i-- > 0;) {
    rest = rest * base + words_[i];
    words_[i] = static_cast<std::uint32_t>(rest / divisor);
    rest %= divisor;
  }
  while (size_ > 0 && words_[size_ - 1] == 0) --size_;
  return static_cast<std::uint32_t>(rest);
}

// Multiplies by 10^digits and adds them to the scale; false if there is no room.
bool Decimal::scale_up(std::uint32_t digits) {
  scale_ += digits;
  if (size_ == 0 || digits == 0) return true;
  const std::uint32_t words = digits / word_digits;
  if (size_ + words + 2 > words_max) return false;  // division wants one word more
  if (words > 0) {
    std::copy_backward(words_.begin(), words_.begin() + size_, words_.begin() + size_ + words);
    std::fill_n(words_.begin(), words, 0);
    size_ += words;
  }
  multiply_small(powers_of_ten[digits % word_digits], 0);
  return true;
}

// Divides by 10^digits and takes them off the scale (which may be fewer: the caller sets it then).
void Decimal::drop_digits(std::uint32_t digits, bool round) {
  scale_ -= std::min(scale_, digits);
  if (digits == 0 || size_ == 0) return;
  const std::uint32_t words = (digits - 1) / word_digits;
  const std::uint32_t rest = digits - words * word_digits;  // 1 to 9
  if (words >= size_) {
    size_ = 0;
    trim();
    return;
  }
  std::copy(words_.begin() + words, words_.begin() + size_, words_.begin());
  size_ -= words;
  // Half away from zero looks at the first digit dropped alone.
  const std::uint32_t dropped = divide_small(powers_of_ten[rest]);
  if (round && dropped >= powers_of_ten[rest] / 2) {
    if (size_ == 0) words_[size_++] = 0;
    std::uint32_t i = 0;
    while (i < size_ && words_[i] == base - 1) words_[i++] = 0;
    if (i == size_) words_[size_++] = 0;
    ++words_[i];
  }
  trim();
}

Decimal Decimal::negated() const {
  Decimal result = *this;
  result.negative_ = !negative_ && size_ != 0;
  return result;
}

Decimal Decimal::absolute() const {
  Decimal result = *this;
  result.negative_ = false;
  return result;
}

Result<Decimal> Decimal::rounded(std::uint32_t scale) const {
  if (scale > digits_max) return too_large();
  Decimal result = *this;
  if (scale >= scale_) {
    if (!result.scale_up(scale - scale_)) return too_large();
  } else {
    result.drop_digits(scale_ - scale, true);
    result.scale_ = scale;
  }
  return checked(result);
}

Result<Decimal> Decimal::rounded_to_tens(std::uint32_t places) const {
  if (places > digits_max) return Decimal{};
  Decimal result = *this;
  result.drop_digits(scale_ + places, true);
  result.scale_ = 0;
  if (!result.scale_up(places)) return too_large();
  result.scale_ = 0;
  return checked(result);
}

Decimal Decimal::trimmed(std::uint32_t scale_min) const {
  Decimal result = *this;
  if (result.size_ == 0) {
    result.scale_ = std::min(result.scale_, scale_min);
    return result;
  }
  while (result.scale_ > scale_min) {
    if (result.words_[0] % 10 != 0) break;
    result.drop_digits(1, false);
  }
  return result;
}

std::optional<std::int64_t> Decimal::to_integer() const {
  Decimal whole = *this;
  whole.drop_digits(scale_, true);
  // Three words and at most 9 in the third: below 10^19, which 64 bits hold.
  if (whole.size_ > 3 || (whole.size_ == 3 && whole.words_[2] > 9)) return std::nullopt;
  std::uint64_t magnitude = 0;
  for (std::uint32_t i = whole.size_; i-- > 0;) magnitude = magnitude * base + whole.words_[i];
  const std::uint64_t limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (magnitude > limit + (whole.negative_ ? 1 : 0)) return std::nullopt;
  return static_cast<std::int64_t>(whole.negative_ ? ~magnitude + 1 : magnitude);
}

double Decimal::to_double() const {
  const std::string digits = text();
  double value = 0;
  // The nearest double; out of range only beyond 10^308, where the result says so.
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec == std::errc::result_out_of_range) {
    value = digits_max > 0 && this->digits() > scale_
                ? std::numeric_limits<double>::infinity() * (negative_ ? -1 : 1)
                : 0.0;
  }
  return value;
}

std::string Decimal::text() const {
  std::string digits;
  digits.reserve(std::max(size_ * word_digits, scale_) + 3);
  // Least significant first, then turned round.
  for (std::uint32_t i = 0; i < size_; ++i) {
    std::uint32_t word = words_[i];
    for (std::uint32_t d = 0; d < word_digits; ++d, word /= 10) {
      if (digits.size() == scale_ && scale_ > 0) digits.push_back('.');
      digits.push_back(static_cast<char>('0' + word % 10));
    }
  }
  const std::size_t point = scale_ > 0 ? 1 : 0;
  // Leading zeros of the last word go; those the point needs come.
  const std::size_t least = scale_ + 1 + point;
  while (digits.size() > least && digits.back() == '0') digits.pop_back();
  while (digits.size() < least) {
    if (digits.size() == scale_ && scale_ > 0) digits.push_back('.');
    digits.push_back('0');
  }
  if (negative_) digits.push_back('-');
  std::ranges::reverse(digits);
  return digits;
}

int Decimal::compare_magnitude(const Decimal& a, const Decimal& b) {
  if (a.size_ != b.size_) return a.size_ < b.size_ ? -1 : 1;
  for (std::uint32_t i = a.size_; i-- > 0;) {
    if (a.words_[i] != b.words_[i]) return a.words_[i] < b.words_[i] ? -1 : 1;
  }
  return 0;
}

void Decimal::add_magnitude(Decimal& a, const Decimal& b) {
  std::uint32_t carry = 0;
  for (std::uint32_t i = 0; i < b.size_ || carry != 0; ++i) {
    if (i == a.size_) {
      KIMBERLITE_ASSERT(a.size_ < words_max);
      a.words_[a.size_++] = 0;
    }
    const std::uint32_t sum = a.words_[i] + (i < b.size_ ? b.words_[i] : 0) + carry;
    carry = sum >= base ? 1 : 0;
    a.words_[i] = sum - carry * base;
  }
}

// |a| >= |b|.
void Decimal::subtract_magnitude(Decimal& a, const Decimal& b) {
  std::uint32_t borrow = 0;
  for (std::uint32_t i = 0; i < a.size_ && (i < b.size_ || borrow != 0); ++i) {
    const std::uint32_t take = (i < b.size_ ? b.words_[i] : 0) + borrow;
    borrow = a.words_[i] < take ? 1 : 0;
    a.words_[i] += borrow * base - take;
  }
  KIMBERLITE_ASSERT(borrow == 0);
  while (a.size_ > 0 && a.words_[a.size_ - 1] == 0) --a.size_;
}

Result<Decimal> Decimal::add(const Decimal& a, const Decimal& b) {
  Decimal left = a;
  Decimal right = b;
  const std::uint32_t scale = std::max(a.scale_, b.scale_);
  if (!left.scale_up(scale - a.scale_) || !right.scale_up(scale - b.scale_)) return too_large();
  if (left.negative_ == right.negative_) {
    add_magnitude(left, right);
  } else if (compare_magnitude(left, right) >= 0) {
    subtract_magnitude(left, right);
  } else {
    subtract_magnitude(right, left);
    left = right;
  }
  left.scale_ = scale;
  left.trim();
  return checked(left);
}

Result<Decimal> Decimal::subtract(const Decimal& a, const Decimal& b) {
  return add(a, b.negated());
}

Result<Decimal> Decimal::multiply(const Decimal& a, const Decimal& b) {
  Decimal result;
  KIMBERLITE_ASSERT(a.size_ + b.size_ <= words_max);
  result.size_ = a.size_ + b.size_;
  std::fill_n(result.words_.begin(), result.size_, 0);
  for (std::uint32_t i = 0; i < a.size_; ++i) {
    std::uint64_t carry = 0;
    for (std::uint32_t j = 0; j < b.size_ || carry != 0; ++j) {
      const std::uint64_t product = j < b.size_ ? std::uint64_t{a.words_[i]} * b.words_[j] : 0;
      const std::uint64_t sum = result.words_[i + j] + product + carry;
      result.words_[i + j] = static_cast<std::uint32_t>(sum % base);
      carry = sum / base;
    }
  }
  result.negative_ = a.negative_ != b.negative_;
  result.scale_ = a.scale_ + b.scale_;
  result.trim();
  return checked(result);
}

// Knuth, The Art of Computer Programming 2, 4.3.1, Algorithm D, in base 10^9. Magnitudes only; the
// quotient's scale is left 0.
Decimal Decimal::divide_magnitude(const Decimal& a, const Decimal& b, Decimal& remainder) {
  Decimal quotient;
  remainder = a;
  remainder.negative_ = false;
  if (compare_magnitude(a, b) < 0) return quotient;
  if (b.size_ == 1) {
    const std::uint32_t rest = remainder.divide_small(b.words_[0]);
    quotient = remainder;
    remainder.size_ = 0;
    if (rest != 0) remainder.words_[remainder.size_++] = rest;
    return quotient;
  }
  // Normalised, so that the divisor's first word is at least base / 2.
  const std::uint32_t shift = base / (b.words_[b.size_ - 1] + 1);
  Decimal divisor = b;
  divisor.multiply_small(shift, 0);
  remainder.multiply_small(shift, 0);
  const std::uint32_t n = divisor.size_;
  if (remainder.size_ == a.size_) remainder.words_[remainder.size_++] = 0;
  const std::uint32_t m = remainder.size_ - n;
  quotient.size_ = m;
  for (std::uint32_t j = m; j-- > 0;) {
    auto& u = remainder.words_;
    const std::uint64_t top = std::uint64_t{u[j + n]} * base + u[j + n - 1];
    std::uint64_t guess = top / divisor.words_[n - 1];
    std::uint64_t rest = top % divisor.words_[n - 1];
    while (guess >= base || guess * divisor.words_[n - 2] > rest * base + u[j + n - 2]) {
      --guess;
      rest += divisor.words_[n - 1];
      if (rest >= base) break;
    }
    std::int64_t borrow = 0;
    std::uint64_t carry = 0;
    for (std::uint32_t i = 0; i <= n; ++i) {
      const std::uint64_t product = (i < n ? guess * divisor.words_[i] : 0) + carry;
      carry = product / base;
      std::int64_t word =
          std::int64_t{u[i + j]} - static_cast<std::int64_t>(product % base) - borrow;
      borrow = word < 0 ? 1 : 0;
      word += borrow * std::int64_t{base};
      u[i + j] = static_cast<std::uint32_t>(word);
    }
    if (borrow != 0) {  // the guess was one too large
      --guess;
      std::uint32_t over = 0;
      for (std::uint32_t i = 0; i <= n; ++i) {
        const std::uint32_t sum = u[i + j] + (i < n ? divisor.words_[i] : 0) + over;
        over = sum >= base ? 1 : 0;
        u[i + j] = sum - over * base;
      }
    }
    quotient.words_[j] = static_cast<std::uint32_t>(guess);
  }
  quotient.trim();
  remainder.trim();
  remainder.divide_small(shift);
  return quotient;
}

Result<Decimal> Decimal::divide(const Decimal& a, const Decimal& b) {
  KIMBERLITE_ASSERT(!b.is_zero());
  const std::uint32_t scale_min = std::max(a.scale_, b.scale_);
  const std::uint32_t scale = std::max(division_digits, scale_min);
  // One digit more than is kept, to round by.
  Decimal dividend = a;
  if (!dividend.scale_up(scale + 1 + b.scale_ - a.scale_)) return too_large();
  Decimal rest;
  Decimal quotient = divide_magnitude(dividend, b, rest);
  quotient.scale_ = scale + 1;
  quotient.drop_digits(1, true);
  quotient.scale_ = scale;
  quotient.negative_ = a.negative_ != b.negative_;
  quotient.trim();
  return checked(quotient.trimmed(scale_min));
}

Result<Decimal> Decimal::remainder(const Decimal& a, const Decimal& b) {
  KIMBERLITE_ASSERT(!b.is_zero());
  Decimal left = a;
  Decimal right = b;
  const std::uint32_t scale = std::max(a.scale_, b.scale_);
  if (!left.scale_up(scale - a.scale_) || !right.scale_up(scale - b.scale_)) return too_large();
  Decimal rest;
  (void)divide_magnitude(left, right, rest);
  rest.scale_ = scale;
  rest.negative_ = a.negative_;
  rest.trim();
  return checked(rest);
}

int Decimal::compare(const Decimal& a, const Decimal& b) {
  if (a.negative_ != b.negative_) return a.negative_ ? -1 : 1;
  const int sign = a.negative_ ? -1 : 1;
  if (a.scale_ == b.scale_) return sign * compare_magnitude(a, b);
  // The number of digits before the point decides, unless it is the same.
  const std::int64_t whole_a = std::int64_t{a.digits()} - a.scale_;
  const std::int64_t whole_b = std::int64_t{b.digits()} - b.scale_;
  if (a.is_zero() || b.is_zero()) return (a.is_zero() ? 0 : sign) - (b.is_zero() ? 0 : sign);
  if (whole_a != whole_b) return whole_a < whole_b ? -sign : sign;
  Decimal left = a;
  Decimal right = b;
  const std::uint32_t scale = std::max(a.scale_, b.scale_);
  const bool fits = left.scale_up(scale - a.scale_) && right.scale_up(scale - b.scale_);
  KIMBERLITE_ASSERT(fits);  // both have at most 1,000 + 1,000 digits now
  return sign * compare_magnitude(left, right);
}

namespace {

// A number as DECIMAL columns hold it: digits, perhaps a point and digits, no needless leading
// zero.
struct Plain {
  bool negative = false;
  std::string_view whole;
  std::string_view fraction;
};

std::optional<Plain> plain(std::string_view text) {
  Plain number;
  if (!text.empty() && text.front() == '-') {
    number.negative = true;
    text.remove_prefix(1);
  }
  std::size_t at = 0;
  while (at < text.size() && is_digit(text[at])) ++at;
  number.whole = text.substr(0, at);
  if (at == 0 || (at > 1 && text[0] == '0')) return std::nullopt;
  if (at < text.size()) {
    if (text[at] != '.' || at + 1 == text.size()) return std::nullopt;
    number.fraction = text.substr(at + 1);
    if (!std::ranges::all_of(number.fraction, is_digit)) return std::nullopt;
  }
  if (text.size() > Decimal::digits_max) return std::nullopt;
  if (number.whole == "0" && number.negative &&
      std::ranges::all_of(number.fraction, [](char c) { return c == '0'; })) {
    number.negative = false;
  }
  return number;
}

int compare_plain(const Plain& a, const Plain& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  const int sign = a.negative ? -1 : 1;
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -sign : sign;
  if (const int order = a.whole.compare(b.whole); order != 0) return order < 0 ? -sign : sign;
  const std::size_t common = std::min(a.fraction.size(), b.fraction.size());
  if (const int order = a.fraction.substr(0, common).compare(b.fraction.substr(0, common));
      order != 0) {
    return order < 0 ? -sign : sign;
  }
  const auto rest_is_zero = [common](std::string_view fraction) {
    return fraction.find_first_not_of('0', common) == std::string_view::npos;
  };
  if (!rest_is_zero(a.fraction)) return sign;
  if (!rest_is_zero(b.fraction)) return -sign;
  return 0;
}

}  // namespace

std::optional<int> compare_decimal_text(std::string_view a, std::string_view b) {
  const auto plain_a = plain(a);
  const auto plain_b = plain_a ? plain(b) : std::nullopt;
  if (plain_a && plain_b) return compare_plain(*plain_a, *plain_b);
  const auto value_a = Decimal::parse(a);
  if (!value_a) return std::nullopt;
  const auto value_b = Decimal::parse(b);
  if (!value_b) return std::nullopt;
  return Decimal::compare(*value_a, *value_b);
}

}  // namespace kimberlite::sql
