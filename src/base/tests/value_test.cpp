#include "base/value.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace kimberlite::base {
namespace {

TEST(Value, ReadsBackEveryKind) {
  const Row row{Null{}, std::int64_t{-5}, 2.5, std::string{"naïve"},
                Buffer{std::byte{0}, std::byte{255}}};
  Writer writer;
  for (const Value& value : row) encode(writer, view(value));
  Reader reader{writer.buffer()};
  for (const Value& value : row) EXPECT_EQ(own(decode_value(reader)), value);
  EXPECT_TRUE(reader.finished());
}

TEST(Value, NegativeZeroIsStoredAsZero) {
  Writer writer;
  encode(writer, -0.0);
  EXPECT_EQ(to_hex(writer.buffer()), "020000000000000000");
}

TEST(Value, RefusesWhatIsNotCanonical) {
  for (const char* hex : {"05", "020000000000000080", "02000000000000f87f", "0301000000ff",
                          "030100000000", "0102", "0405000000aa"}) {
    const Buffer bytes = *from_hex(hex);
    Reader reader{bytes};
    (void)decode_value(reader);
    EXPECT_TRUE(reader.failed()) << hex;
  }
}

}  // namespace
}  // namespace kimberlite::base
