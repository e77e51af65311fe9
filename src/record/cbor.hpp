// CBOR as receipts need it: deterministic encoding (RFC 8949 §4.2), definite lengths.
//
// The reader takes what is expected and nothing else; the first thing that is not fails it, and all
// that follows reads as nothing. It does not ask for the shortest form of a number: whoever needs
// the one encoding writes what was read again and compares. Thread rule: values of one thread.
#pragma once

#include <string_view>
#include <utility>

#include "base/bytes.hpp"

namespace kimberlite::record {

enum class CborMajor : std::uint8_t {
  unsigned_integer = 0,
  negative = 1,
  bytes = 2,
  text = 3,
  array = 4,
  map = 5,
  tag = 6,
  simple = 7,
};
inline constexpr std::byte cbor_null{0xF6};

class CborWriter {
 public:
  void unsigned_integer(std::uint64_t value) { head(CborMajor::unsigned_integer, value); }
  void integer(std::int64_t value) {
    if (value >= 0) return unsigned_integer(static_cast<std::uint64_t>(value));
    head(CborMajor::negative, static_cast<std::uint64_t>(-1 - value));
  }
  void bytes(Bytes value) {
    head(CborMajor::bytes, value.size());
    append(buffer_, value);
  }
  void text(std::string_view value) {
    head(CborMajor::text, value.size());
    append(buffer_, bytes_of(value));
  }
  void array(std::uint64_t count) { head(CborMajor::array, count); }
  void map(std::uint64_t pairs) { head(CborMajor::map, pairs); }
  void tag(std::uint64_t number) { head(CborMajor::tag, number); }
  void null() { buffer_.push_back(cbor_null); }
  [[nodiscard]] Buffer take() && { return std::move(buffer_); }

 private:
  void head(CborMajor major, std::uint64_t value) {
    const auto first = static_cast<unsigned>(major) << 5U;
    if (value < 24) {
      buffer_.push_back(static_cast<std::byte>(first | value));
      return;
    }
    unsigned width = 0;  // 1 << width bytes
    while (width < 3 && value >> (8U << width) != 0) ++width;
    buffer_.push_back(static_cast<std::byte>(first | (24 + width)));
    for (unsigned i = 1U << width; i > 0; --i) {
      buffer_.push_back(static_cast<std::byte>(value >> (8 * (i - 1)) & 0xFFU));
    }
  }

  Buffer buffer_;
};

class CborReader {
 public:
  explicit CborReader(Bytes bytes) : rest_(bytes) {}

  std::uint64_t unsigned_integer() { return head(CborMajor::unsigned_integer); }
  // Fails unless it is this one.
  void integer(std::int64_t wanted) {
    const bool negative = wanted < 0;
    const auto value = static_cast<std::uint64_t>(negative ? -1 - wanted : wanted);
    expect(head(negative ? CborMajor::negative : CborMajor::unsigned_integer), value);
  }
  // A view into what the reader walks.
  Bytes bytes() {
    const std::uint64_t size = head(CborMajor::bytes);
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    const Bytes view = rest_.first(size);
    rest_ = rest_.subspan(size);
    return view;
  }
  std::uint64_t array() { return head(CborMajor::array); }
  void array(std::uint64_t count) { expect(head(CborMajor::array), count); }
  void map(std::uint64_t pairs) { expect(head(CborMajor::map), pairs); }
  void tag(std::uint64_t number) { expect(head(CborMajor::tag), number); }
  void null() {
    if (failed_ || rest_.empty() || rest_.front() != cbor_null) {
      failed_ = true;
      return;
    }
    rest_ = rest_.subspan(1);
  }

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool finished() const { return !failed_ && rest_.empty(); }

 private:
  void expect(std::uint64_t value, std::uint64_t wanted) {
    if (value != wanted) failed_ = true;
  }
  std::uint64_t head(CborMajor major) {
    if (failed_ || rest_.empty()) {
      failed_ = true;
      return 0;
    }
    const auto first = std::to_integer<unsigned>(rest_.front());
    rest_ = rest_.subspan(1);
    const unsigned low = first & 0x1FU;
    if (first >> 5U != static_cast<unsigned>(major) || low > 27) {
      failed_ = true;
      return 0;
    }
    if (low < 24) return low;
    const std::size_t width = std::size_t{1} << (low - 24);
    if (rest_.size() < width) {
      failed_ = true;
      return 0;
    }
    std::uint64_t value = 0;
    for (const std::byte b : rest_.first(width)) {
      value = value << 8U | std::to_integer<std::uint64_t>(b);
    }
    rest_ = rest_.subspan(width);
    return value;
  }

  Bytes rest_;
  bool failed_ = false;
};

}  // namespace kimberlite::record
