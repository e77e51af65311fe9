#include "vopr/disk_image.hpp"

#include <gtest/gtest.h>

#include "vopr/prng.hpp"

namespace kimberlite::vopr {
namespace {

TEST(FileBytes, EqualsAPlainBufferUnderRandomOperations) {
  Prng prng{7, 0};
  FileBytes sparse;
  Buffer plain;
  for (int step = 0; step < 3000; ++step) {
    const auto at = static_cast<std::size_t>(prng.below(40'000));
    const auto size = static_cast<std::size_t>(prng.below(9'000));
    if (prng.below(5) == 0) {
      sparse.resize(at);
      plain.resize(at);
    } else {
      const Buffer bytes(size, static_cast<std::byte>(prng.next()));
      sparse.write(at, bytes);
      if (plain.size() < at + size) plain.resize(at + size);
      std::copy(bytes.begin(), bytes.end(), plain.begin() + static_cast<std::ptrdiff_t>(at));
    }
    ASSERT_EQ(sparse.size(), plain.size());
    Buffer read(plain.size() + 10);
    ASSERT_EQ(sparse.read(0, read), plain.size());
    read.resize(plain.size());
    ASSERT_EQ(read, plain) << "step " << step;
  }
}

TEST(DiskImage, ACopyDoesNotFollowItsSource) {
  DiskImage image;
  image.write("a/b", bytes_of("hello"));
  const DiskImage copy = image;
  const Hash before = copy.digest();
  EXPECT_EQ(image.digest(), before);
  image.flip("a/b", 4);
  EXPECT_EQ(copy.at("a/b", 4), std::byte{'o'});
  EXPECT_EQ(image.at("a/b", 4), std::byte{'n'});
  EXPECT_EQ(copy.digest(), before);
  EXPECT_NE(image.digest(), before);
  image.flip("a/b", 4);
  EXPECT_EQ(image.digest(), before);
}

TEST(DiskImage, TheDigestSeesNamesSizesAndZeros) {
  DiskImage image;
  image.write("a", bytes_of("x"));
  const Hash one = image.digest();
  image.write("b", {});
  const Hash two = image.digest();
  EXPECT_NE(one, two);
  image.truncate("b", 10);
  EXPECT_NE(image.digest(), two);
  image.remove("b");
  EXPECT_EQ(image.digest(), one);
  EXPECT_EQ(image.paths(), std::vector<std::string>{"a"});
}

TEST(DiskImage, FindsATextAcrossTheBorderOfChunks) {
  DiskImage image;
  Buffer bytes(10'000);
  const Bytes canary = bytes_of("canary");
  std::ranges::copy(canary, bytes.begin() + 4093);
  image.write("x", bytes);
  image.write("y", bytes_of("cana"));
  EXPECT_EQ(image.paths_containing(canary), std::vector<std::string>{"x"});
  EXPECT_TRUE(image.paths_containing(bytes_of("canaries")).empty());
  EXPECT_TRUE(image.is_zero_sector("x", 8192));
  EXPECT_FALSE(image.is_zero_sector("x", 4096));
}

}  // namespace
}  // namespace kimberlite::vopr
