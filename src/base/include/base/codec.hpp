// Checked little-endian reading and writing of byte strings.
//
// `Writer` appends to a buffer it owns. `Reader` walks bytes it does not own and never reads past
// them: the first read that does not fit sets `failed()`, and every read from then on gives zeros,
// so a decoder reads all its fields and asks once at the end. Thread rule: values of one thread.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/le.hpp"

namespace kimberlite::base {

class Writer {
 public:
  Writer() = default;
  explicit Writer(Buffer buffer) : buffer_(std::move(buffer)) {}

  void u8(std::uint8_t v) { buffer_.push_back(static_cast<std::byte>(v)); }
  void u16(std::uint16_t v) { word(v); }
  void u32(std::uint32_t v) { word(v); }
  void u64(std::uint64_t v) { word(v); }
  void bytes(Bytes v) { append(buffer_, v); }
  void zeros(std::size_t count) { buffer_.resize(buffer_.size() + count); }
  template <class Tag, class Rep>
  void id(Strong<Tag, Rep> v) {
    word(v.value());
  }
  // A u32 size, then the bytes.
  void sized(Bytes v) {
    u32(static_cast<std::uint32_t>(v.size()));
    bytes(v);
  }
  void text(std::string_view v) { sized(bytes_of(v)); }

  [[nodiscard]] std::size_t size() const { return buffer_.size(); }
  [[nodiscard]] const Buffer& buffer() const { return buffer_; }
  [[nodiscard]] Buffer take() && { return std::move(buffer_); }

 private:
  template <class T>
  void word(T v) {
    const std::size_t at = buffer_.size();
    buffer_.resize(at + sizeof(T));
    store_le(buffer_.data() + at, v);
  }

  Buffer buffer_;
};

class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}

  std::uint8_t u8() { return word<std::uint8_t>(); }
  std::uint16_t u16() { return word<std::uint16_t>(); }
  std::uint32_t u32() { return word<std::uint32_t>(); }
  std::uint64_t u64() { return word<std::uint64_t>(); }
  template <class Id>
  Id id() {
    return Id{word<decltype(Id{}.value())>()};
  }
  // A view into what the reader walks; empty once failed.
  Bytes bytes(std::size_t size) {
    if (failed_ || !fits(bytes_.size(), at_, size)) {
      failed_ = true;
      return {};
    }
    const Bytes view = bytes_.subspan(at_, size);
    at_ += size;
    return view;
  }
  template <std::size_t N>
  std::array<std::byte, N> array() {
    std::array<std::byte, N> copy{};
    copy_bytes(copy, bytes(N));
    return copy;
  }
  // A u32 size, then that many bytes.
  Bytes sized() { return bytes(u32()); }
  std::string_view text() { return text_of(sized()); }
  // Fails unless the next `count` bytes are zero.
  void zeros(std::size_t count) {
    if (!all_zero(bytes(count))) failed_ = true;
  }
  void fail() { failed_ = true; }

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  // What has not been read yet.
  [[nodiscard]] Bytes rest() const { return bytes_.subspan(at_); }
  [[nodiscard]] bool failed() const { return failed_; }
  // Everything read fitted and nothing is left over.
  [[nodiscard]] bool finished() const { return !failed_ && left() == 0; }

 private:
  template <class T>
  T word() {
    const Bytes view = bytes(sizeof(T));
    return view.empty() ? T{0} : load_le<T>(view.data());
  }

  Bytes bytes_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace kimberlite::base

namespace kimberlite {
using namespace base;
}
