#include "log/verify.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/crc32c.hpp"
#include "made_log.hpp"
#include "record/frame.hpp"

namespace kimberlite::log {
namespace {

using made::Heads;

constexpr made::Shape shape{.items_max = 2, .blocks_max = 2, .epoch_records = 5};
constexpr std::uint64_t size = 12;

const std::string directory = "tenants/7/data/";
const std::string first = directory + "00000000000000000001.segment";
const std::string second = directory + "00000000000000000006.segment";
const std::string third = directory + "00000000000000000011.segment";

class Verify : public testing::Test {
 protected:
  void SetUp() override {
    vopr::SimEnv world{1};
    heads_ = {{}};
    const auto log = made::open(world.storage());
    ASSERT_TRUE(made::extend(*log, heads_, size, 0, shape).has_value());
    ASSERT_TRUE(log->settle().has_value());
    whole_ = world.storage().image();
    options_.at_least = heads_.back();
    options_.log_id = made::log_id(2);
  }

  [[nodiscard]] VerifyReport verified(const vopr::DiskImage& image) const {
    vopr::SimEnv world{2, image};
    return made::verified(world.storage(), options_);
  }
  [[nodiscard]] static bool has(const VerifyReport& report, Code code, const std::string& file) {
    return std::ranges::any_of(report.findings, [&](const Finding& finding) {
      return finding.code == code && finding.file == file;
    });
  }

  Heads heads_;
  vopr::DiskImage whole_;
  VerifyOptions options_;
};

TEST_F(Verify, FindsNothingInAGoodLog) {
  const VerifyReport report = verified(whole_);
  EXPECT_TRUE(report.clean()) << made::describe(report);
  EXPECT_EQ(report.head, heads_.back());
  EXPECT_EQ(report.log_id, made::log_id(2));
  EXPECT_EQ(report.segments, 3U);
  EXPECT_EQ(report.epochs, 3U);
  EXPECT_EQ(report.records, size);
  EXPECT_GT(report.items, size);
  EXPECT_EQ(report.bytes, whole_.size(first) + whole_.size(second) + whole_.size(third));
  EXPECT_EQ(report.tail_bytes, 0U);
  EXPECT_EQ(report.offsets, size);
  EXPECT_EQ(report.tile_hashes, size);
}

// Each byte of each file, one at a time: found, and the file is named; in a segment the first
// finding is not behind the byte, and at most a frame before it.
TEST_F(Verify, FindsEveryFlippedByte) {
  for (const bool with_head : {true, false}) {
    if (!with_head) options_.at_least.reset();
    for (const std::string& path : whole_.paths()) {
      for (std::uint64_t at = 0; at < whole_.size(path); at += with_head ? 1 : 3) {
        vopr::DiskImage image = whole_;
        image.flip(path, at, static_cast<std::byte>(1U << (at % 8)));
        const VerifyReport report = verified(image);
        ASSERT_FALSE(report.clean()) << path << " byte " << at;
        const Finding& finding = report.findings.front();
        ASSERT_EQ(finding.file, path) << "byte " << at << "\n" << made::describe(report);
        ASSERT_LE(finding.offset, at) << path << "\n" << made::describe(report);
        ASSERT_LE(at - finding.offset, 2000U) << path << "\n" << made::describe(report);
      }
    }
  }
}

TEST_F(Verify, FindsWhatIsCutOffAndWhatIsMissing) {
  for (std::uint64_t left = 0; left < whole_.size(third); left += 7) {
    vopr::DiskImage image = whole_;
    image.truncate(third, left);
    EXPECT_FALSE(verified(image).clean()) << left;
  }
  for (const std::string& path : {first, second, third}) {
    vopr::DiskImage image = whole_;
    image.remove(path);
    const VerifyReport report = verified(image);
    EXPECT_GE(report.findings_total, 1U) << path;
    EXPECT_TRUE(std::ranges::any_of(report.findings, [](const Finding& finding) {
      return finding.code == Code::integrity_missing_file;
    })) << made::describe(report);
  }
  EXPECT_TRUE(has(verified({}), Code::integrity_missing_file, "tenants/7/data"));
}

TEST_F(Verify, FindsWhatDoesNotBelongThere) {
  vopr::DiskImage image = whole_;
  image.write(directory + "stray", bytes_of("x"));
  image.write(directory + "tiles/9", bytes_of("x"));
  image.write(directory + "1.segment", bytes_of("x"));
  const VerifyReport report = verified(image);
  EXPECT_TRUE(has(report, Code::integrity_foreign_file, directory + "stray"));
  EXPECT_TRUE(has(report, Code::integrity_foreign_file, directory + "tiles/9"));
  EXPECT_TRUE(has(report, Code::integrity_foreign_file, directory + "1.segment"));
  EXPECT_EQ(report.findings_total, 3U);

  image = whole_;
  Buffer longer = image.read(second);
  longer.resize(longer.size() + 5);
  image.write(second, longer);
  EXPECT_TRUE(has(verified(image), Code::integrity_frame, second));
}

// Another log's segment, whole and in order in itself, in place of this one's.
TEST_F(Verify, FindsASegmentOfAnotherLog) {
  vopr::SimEnv other{1};
  Heads heads{{}};
  const auto log = made::open(other.storage());
  ASSERT_TRUE(made::extend(*log, heads, size, /*seed=*/9, shape).has_value());
  ASSERT_TRUE(log->settle().has_value());
  for (const std::string& path : {first, second, third}) {
    vopr::DiskImage image = whole_;
    image.write(path, other.storage().image().read(path));
    EXPECT_FALSE(verified(image).clean()) << path;
  }
  // All of it, consistently: only a head from elsewhere tells.
  EXPECT_FALSE(verified(other.storage().image()).clean());
  options_.at_least.reset();
  EXPECT_TRUE(verified(other.storage().image()).clean());
}

// An attacker who knows the format repairs checksums; what he cannot repair is found.
TEST_F(Verify, FindsChangesUnderGoodChecksums) {
  const std::uint64_t begins = segment_header_size + heads_[2].bytes;
  const std::uint64_t frame_size = heads_[3].bytes - heads_[2].bytes;
  std::size_t tried = 0;
  for (std::uint64_t at = record::frame_at_op; at < frame_size; at += 5) {
    vopr::DiskImage image = whole_;
    Buffer bytes = image.read(first);
    const MutBytes frame = MutBytes{bytes}.subspan(begins, frame_size);
    frame[at] ^= std::byte{0x40};
    store_le(frame.data() + record::frame_at_crc,
             crypto::crc32c(frame.subspan(record::frame_checked_from)));
    image.write(first, bytes);
    const VerifyReport report = verified(image);
    ASSERT_FALSE(report.clean()) << "byte " << at;
    ASSERT_TRUE(std::ranges::any_of(report.findings, [](const Finding& finding) {
      return finding.file == first;
    })) << made::describe(report);
    ++tried;
  }
  EXPECT_GT(tried, 50U);
}

TEST_F(Verify, TakesASegmentByItself) {
  const auto alone = [](const Buffer& bytes) {
    vopr::SimEnv scratch{3};
    return verify_segment(scratch.storage(), bytes, "copy.segment");
  };
  for (const std::string& path : {first, second, third}) {
    const Buffer bytes = whole_.read(path);
    const VerifyReport report = alone(bytes).value();
    EXPECT_TRUE(report.clean()) << path << "\n" << made::describe(report);
    EXPECT_EQ(report.records, path == third ? 2U : 5U);
    for (std::size_t at = 0; at < bytes.size(); at += 5) {
      Buffer changed = bytes;
      changed[at] ^= std::byte{4};
      const auto damaged = alone(changed);
      if (!damaged) continue;  // no header
      // Of what the header says is before it, nothing can be known here, but for the chain.
      const bool told = at >= 16 && at < 32;
      EXPECT_TRUE(!damaged->clean() || told) << path << " byte " << at;
      if (damaged->clean()) continue;
      EXPECT_EQ(damaged->findings[0].file, "copy.segment");
    }
    EXPECT_FALSE(alone(Buffer(bytes.begin(), bytes.begin() + 100)).has_value());
  }
}

TEST_F(Verify, FindsSwappedAndDroppedRecords) {
  const auto frame = [&](const Buffer& bytes, std::uint64_t p) {
    const std::uint64_t begins = segment_header_size + heads_[p - 1].bytes;
    return Bytes{bytes}.subspan(begins, heads_[p].bytes - heads_[p - 1].bytes);
  };
  const Buffer bytes = whole_.read(first);
  Buffer swapped{bytes.begin(), bytes.begin() + segment_header_size};
  Buffer dropped = swapped;
  for (const std::uint64_t p : {1U, 3U, 2U, 4U, 5U}) {
    append(swapped, frame(bytes, p));
    if (p != 3) append(dropped, frame(bytes, p));
  }
  const Bytes footer = Bytes{bytes}.last(segment_footer_size);
  append(swapped, footer);
  append(dropped, footer);
  ASSERT_EQ(swapped.size(), bytes.size());
  vopr::DiskImage image = whole_;
  image.write(first, swapped);
  EXPECT_TRUE(has(verified(image), Code::integrity_chain, first));
  image.write(first, dropped);
  EXPECT_TRUE(has(verified(image), Code::integrity_chain, first));
}

TEST_F(Verify, ReportsDamageInSeveralPlacesAndBoundsTheList) {
  vopr::DiskImage image = whole_;
  image.flip(first, segment_header_size + heads_[1].bytes + 300);
  image.flip(second, segment_header_size + heads_[7].bytes - heads_[5].bytes + 300);
  image.flip(directory + "offsets", 11UL * 8);
  const VerifyReport report = verified(image);
  EXPECT_TRUE(has(report, Code::integrity_frame, first)) << made::describe(report);
  EXPECT_TRUE(has(report, Code::integrity_frame, second));
  EXPECT_TRUE(has(report, Code::integrity_offsets, directory + "offsets"));
  EXPECT_EQ(report.records, size);  // it went on behind each

  options_.findings_max = 1;
  const VerifyReport bounded = verified(image);
  EXPECT_EQ(bounded.findings.size(), 1U);
  EXPECT_EQ(bounded.findings_total, report.findings_total);
}

TEST_F(Verify, NamesAFileThatCannotBeRead) {
  vopr::SimEnv world{2, whole_};
  world.storage().fail_sector(second, 0);
  const VerifyReport report = made::verified(world.storage(), options_);
  EXPECT_TRUE(has(report, Code::unavailable_io, second)) << made::describe(report);
}

TEST_F(Verify, StopsWhenAsked) {
  std::uint64_t calls = 0;
  options_.progress = [&](const VerifyProgress& progress) {
    EXPECT_GT(progress.bytes_total, 0U);
    return ++calls < 1;
  };
  const VerifyReport report = verified(whole_);
  EXPECT_TRUE(report.cancelled);
  EXPECT_FALSE(report.clean());
  EXPECT_EQ(calls, 1U);
}

}  // namespace
}  // namespace kimberlite::log
