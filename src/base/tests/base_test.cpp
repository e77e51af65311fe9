#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "base/checked.hpp"
#include "base/codec.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"

namespace kimberlite::base {
namespace {

TEST(Codec, ReadsBackWhatItWrote) {
  Writer writer;
  writer.u8(0xAB);
  writer.u16(0x1234);
  writer.u32(0xDEADBEEF);
  writer.u64(0x0123456789ABCDEF);
  writer.text("hé");
  writer.id(Position{7});
  EXPECT_EQ(to_hex(Bytes{writer.buffer()}.first(7)), "ab3412efbeadde");
  Reader reader{writer.buffer()};
  EXPECT_EQ(reader.u8(), 0xAB);
  EXPECT_EQ(reader.u16(), 0x1234);
  EXPECT_EQ(reader.u32(), 0xDEADBEEF);
  EXPECT_EQ(reader.u64(), 0x0123456789ABCDEFU);
  EXPECT_EQ(reader.text(), "hé");
  EXPECT_EQ(reader.id<Position>(), Position{7});
  EXPECT_TRUE(reader.finished());
}

TEST(Codec, NeverReadsPastTheEnd) {
  const Buffer three(3, std::byte{0xFF});
  Reader reader{three};
  EXPECT_EQ(reader.u32(), 0U);
  EXPECT_TRUE(reader.failed());
  EXPECT_EQ(reader.u8(), 0U) << "a failed reader gives zeros";
  Reader sized{three};
  EXPECT_TRUE(sized.sized().empty());
  EXPECT_TRUE(sized.failed());
}

TEST(Codec, RefusesPaddingThatIsNotZero) {
  const Buffer padding{std::byte{0}, std::byte{1}};
  Reader reader{padding};
  reader.zeros(2);
  EXPECT_TRUE(reader.failed());
}

TEST(Bytes, ComparesAndCopiesWholeRuns) {
  const Buffer zeros(100);
  EXPECT_TRUE(all_zero({}));
  EXPECT_TRUE(all_zero(zeros));
  EXPECT_TRUE(equal({}, {}));
  EXPECT_FALSE(equal(zeros, Bytes{zeros}.first(99)));
  for (std::size_t at = 0; at < zeros.size(); ++at) {
    Buffer one = zeros;
    one[at] = std::byte{1};
    EXPECT_FALSE(all_zero(one)) << at;
    EXPECT_FALSE(equal(one, zeros)) << at;
    Buffer copy(101, std::byte{9});
    copy_bytes(copy, one);
    EXPECT_TRUE(equal(Bytes{copy}.first(100), one)) << at;
    EXPECT_EQ(copy[100], std::byte{9});
  }
}

TEST(Bytes, HexAndUuidRoundTrip) {
  EXPECT_EQ(to_hex(*from_hex("00ff10Ab")), "00ff10ab");
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("zz"));
  const std::string text = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
  EXPECT_EQ(to_uuid(*from_uuid(text)), text);
  EXPECT_FALSE(from_uuid("f81d4fae7dec11d0a76500a0c91e6bf6"));
  EXPECT_FALSE(from_uuid("f81d4fae-7dec-11d0-a765-00a0c91e6bf"));
}

// The vectors of RFC 4648 §10, and what is close to them.
TEST(Bytes, Base64HasOneSpelling) {
  for (const auto& [plain, text] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"", ""},
           {"f", "Zg=="},
           {"fo", "Zm8="},
           {"foo", "Zm9v"},
           {"foob", "Zm9vYg=="},
           {"fooba", "Zm9vYmE="},
           {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(to_base64(bytes_of(plain)), text);
    ASSERT_TRUE(from_base64(text)) << text;
    EXPECT_EQ(text_of(*from_base64(text)), plain);
  }
  const std::array high{std::byte{0xFB}, std::byte{0xFF}};
  EXPECT_EQ(to_base64(high), "+/8=");
  for (const std::string_view bad : {"Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "=Zg=", "====",
                                     "Zm9v\n", "Zm 9", "Zm9-", "_m9v", "Z===", "Zm9vYg=A"}) {
    EXPECT_FALSE(from_base64(bad)) << bad;
  }
}

TEST(Bytes, Utf8IsTheStrictOne) {
  EXPECT_TRUE(is_utf8_text(""));
  EXPECT_TRUE(is_utf8_text("a\u00e9\u20ac\U0001F600"));
  using namespace std::string_view_literals;
  for (const std::string_view bad :
       {"\0"sv, "\x80"sv, "\xC0\x80"sv, "\xE0\x80\x80"sv, "\xED\xA0\x80"sv, "\xF4\x90\x80\x80"sv,
        "\xF8\x88\x80\x80\x80"sv, "\xC3"sv}) {
    EXPECT_FALSE(is_utf8_text(bad));
  }
  // Wherever in a long text it stands.
  for (std::size_t at = 0; at < 24; ++at) {
    std::string text(24, 'a');
    text.insert(at, "\u20ac");
    EXPECT_TRUE(is_utf8_text(text)) << at;
    for (const char bad : {'\0', '\x80', '\xff'}) {
      text = std::string(24, 'a');
      text[at] = bad;
      EXPECT_FALSE(is_utf8_text(text)) << at;
    }
  }
}

TEST(Checked, KnowsWhatDoesNotFit) {
  std::uint64_t out = 0;
  EXPECT_TRUE(checked_add(UINT64_MAX - 1, 1, out));
  EXPECT_FALSE(checked_add(UINT64_MAX, 1, out));
  EXPECT_TRUE(checked_mul(UINT64_MAX / 2, 2, out));
  EXPECT_FALSE(checked_mul(UINT64_MAX / 2 + 1, 2, out));
  static_assert(round_up(1, 4096) == 4096 && round_up(4096, 4096) == 4096 &&
                round_up(0, 4096) == 0);
}

Result<int> half(int n) {
  if (n % 2 != 0)
    return Error{Code::type_range, "{} is odd", n}.where("here").next("use {}", n + 1);
  return n / 2;
}

Status both(int a, int b, int& out) {
  KIMBERLITE_TRY(const int x, half(a));
  KIMBERLITE_TRY(const int y, half(b));
  out = x + y;
  return {};
}

TEST(Result, PassesErrorsOn) {
  int out = 0;
  EXPECT_TRUE(both(2, 4, out));
  EXPECT_EQ(out, 3);
  const Status failed = both(2, 5, out);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Code::type_range);
  EXPECT_EQ(to_string(failed.error()), "type.range: 5 is odd [where: here] [next: use 6]");
}

TEST(Error, EveryClassHasItsExitStatus) {
  EXPECT_EQ(exit_status(class_of(Code::sql_syntax)), 1);
  EXPECT_EQ(exit_status(class_of(Code::usage_option)), 2);
  EXPECT_EQ(exit_status(class_of(Code::integrity_frame)), 3);
  EXPECT_EQ(exit_status(class_of(Code::unavailable_in_use)), 4);
  EXPECT_EQ(exit_status(class_of(Code::conflict_idempotency)), 6);
  EXPECT_EQ(exit_status(class_of(Code::internal_bug)), 70);
  EXPECT_EQ(name(Code::not_found_table), "not_found.table");
}

}  // namespace
}  // namespace kimberlite::base
