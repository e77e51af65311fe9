#include "log/segment.hpp"

#include <gtest/gtest.h>

#include "crypto/crc32c.hpp"
#include "golden.hpp"
#include "log/head_file.hpp"
#include "made_log.hpp"

namespace kimberlite::log {
namespace {

using record::sample::counting;

SegmentHeader header() {
  return {1, counting<Id128>(0x10), Position{0x0102030405060708}, 0x1112131415161718,
          counting<Hash>(0x40)};
}
SegmentFooter footer() {
  return {0x0102,
          0x2122232425262728,
          Position{0x0102030405060708},
          0x3132333435363738,
          counting<Hash>(0x40),
          counting<Hash>(0x60),
          counting<Hash>(0x80)};
}

TEST(Segment, HeaderAndFooterComeBackAndRefuseEveryFlip) {
  SegmentHeaderBytes head = encode(header());
  EXPECT_EQ(decode_header(head).value(), header());
  for (std::size_t bit = 0; bit < head.size() * 8; ++bit) {
    head[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_FALSE(decode_header(head).has_value()) << bit;
    head[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
  SegmentFooterBytes foot = encode(footer());
  EXPECT_EQ(decode_footer(foot).value(), footer());
  EXPECT_TRUE(looks_like_footer(foot));
  for (std::size_t bit = 0; bit < foot.size() * 8; ++bit) {
    foot[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_FALSE(decode_footer(foot).has_value()) << bit;
    foot[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
}

// Under a good checksum: what the code makes never has it, so it is refused all the same.
TEST(Segment, RefusesOtherFormsUnderAGoodChecksum) {
  const auto refused = [](std::size_t at) {
    SegmentHeaderBytes bytes = encode(header());
    bytes[at] ^= std::byte{0x80};
    store_le(bytes.data() + 124, crypto::crc32c(Bytes{bytes}.first(124)));
    return !decode_header(bytes).has_value();
  };
  for (const std::size_t at : {0U, 8U, 11U, 12U, 15U, 80U, 123U}) EXPECT_TRUE(refused(at)) << at;
  EXPECT_FALSE(refused(16));  // another log id is another header
  SegmentHeaderBytes later = encode(header());
  later[8] = std::byte{2};
  store_le(later.data() + 124, crypto::crc32c(Bytes{later}.first(124)));
  EXPECT_EQ(decode_header(later).error().code(), Code::unavailable_version);

  SegmentHeader begins{0, {}, Position{1}, 0, {}};
  EXPECT_TRUE(decode_header(encode(begins)).has_value());
  begins.bytes_before = 5;
  EXPECT_FALSE(decode_header(encode(begins)).has_value());
}

TEST(Segment, NamesAndNumbersAreEachOthers) {
  EXPECT_EQ(segment_file_name(Position{1}), "00000000000000000001.segment");
  for (const std::uint64_t first : {std::uint64_t{1}, std::uint64_t{123'456}, UINT64_MAX}) {
    EXPECT_EQ(segment_of_file_name(segment_file_name(Position{first})), Position{first});
  }
  for (const std::string_view name :
       {"", "1.segment", "00000000000000000000.segment", "0000000000000000000x.segment",
        "99999999999999999999.segment", "00000000000000000001.segmenT",
        "00000000000000000001.segment ", "+0000000000000000001.segment"}) {
    EXPECT_FALSE(segment_of_file_name(name).has_value()) << name;
  }
  EXPECT_EQ(directory_of({TenantId{7}, 0}), "tenants/7/data");
  EXPECT_EQ(directory_of({TenantId{0}, 1}), "tenants/0/access");
}

TEST(Golden, Log) {
  golden::File file{"log.txt"};
  file.comment("Formats of the log layer. Made by log_tests, Golden.Log.");
  file.check("segment_header", encode(header()));
  file.check("segment_footer", encode(footer()));
  const crypto::SigningKey key{
      crypto::Key256{record::sample::counting<std::array<std::byte, 32>>(1)}};
  file.check("head_record", encode(sign(made::log_id(0), {300, record::sample::counting<Hash>(9)},
                                        TimestampUs{1'700'000'000'000'000}, key)));
  vopr::SimEnv world{1};
  made::Heads heads{{}};
  const auto log = made::open(world.storage());
  const made::Shape shape{.items_max = 2, .blocks_max = 2, .epoch_records = 2};
  ASSERT_TRUE(made::extend(*log, heads, 3, 0, shape).has_value());
  ASSERT_TRUE(log->settle().has_value());
  const vopr::DiskImage image = world.storage().image();
  for (const std::string& path : image.paths()) file.check(path, image.read(path));
}

}  // namespace
}  // namespace kimberlite::log
