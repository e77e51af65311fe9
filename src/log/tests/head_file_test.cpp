#include "log/head_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/crc32c.hpp"
#include "made_log.hpp"
#include "record/signed_head.hpp"

namespace kimberlite::log {
namespace {

using made::Heads;

const std::string directory = "tenants/7/data/";
const std::string heads_path = directory + "heads";

crypto::SigningKey key_of(unsigned epoch) {
  return crypto::SigningKey{
      crypto::Key256{record::sample::counting<std::array<std::byte, 32>>(epoch + 1)}};
}
StoredHead head_at(const Heads& heads, std::uint64_t size, unsigned epoch = 0) {
  return sign(made::log_id(epoch), tree_of(heads[size]), TimestampUs{size * 1'000'000},
              key_of(epoch));
}

// A log of 40 records that signed the trees of 1, 10, 25 and 40.
class HeadFileTest : public testing::Test {
 protected:
  static constexpr std::array<std::uint64_t, 4> sizes{1, 10, 25, 40};
  void SetUp() override {
    vopr::SimEnv world{1};
    const auto log = made::open(world.storage());
    HeadFile file = HeadFile::open(world.storage(), made::name).value();
    EXPECT_EQ(file.count(), 0U);
    for (const std::uint64_t size : sizes) {
      ASSERT_TRUE(made::extend(*log, heads_, size).has_value());
      ASSERT_TRUE(file.append(head_at(heads_, size)).has_value());
    }
    ASSERT_TRUE(log->settle().has_value());
    whole_ = world.storage().image();
  }
  [[nodiscard]] static VerifyReport verified(const vopr::DiskImage& image,
                                             const VerifyOptions& options = {}) {
    vopr::SimEnv world{2, image};
    return made::verified(world.storage(), options);
  }
  // The only finding's code.
  [[nodiscard]] static Code found(const vopr::DiskImage& image, const VerifyOptions& options = {}) {
    const VerifyReport report = verified(image, options);
    EXPECT_EQ(report.findings_total, 1U) << made::describe(report);
    return report.findings.empty() ? Code::internal_bug : report.findings[0].code;
  }
  // The image with record `index` replaced.
  [[nodiscard]] vopr::DiskImage with(std::size_t index, const StoredHead& head) const {
    Buffer bytes = whole_.read(heads_path);
    std::ranges::copy(encode(head), bytes.begin() + static_cast<std::ptrdiff_t>(index * 256));
    vopr::DiskImage image = whole_;
    image.write(heads_path, bytes);
    return image;
  }

  Heads heads_{{}};
  vopr::DiskImage whole_;
};

TEST_F(HeadFileTest, GivesBackWhatWasSigned) {
  vopr::SimEnv world{2, whole_};
  const HeadFile file = HeadFile::open(world.storage(), made::name).value();
  ASSERT_EQ(file.count(), sizes.size());
  EXPECT_EQ(file.newest()->tree.size, 40U);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const StoredHead head = file.read(i).value();
    EXPECT_EQ(head.tree.size, sizes.at(i));
    EXPECT_EQ(head.signed_at, TimestampUs{sizes.at(i) * 1'000'000});
    const auto checked = record::check_head(head.note(), head.verifier_key());
    ASSERT_TRUE(checked.has_value()) << to_string(checked.error());
    EXPECT_EQ(checked->tree().root, heads_[sizes.at(i)].frontier.root());
    EXPECT_EQ(checked->tree().origin, record::origin_of(made::log_id(0)));
  }
  const auto first_with = [&](std::uint64_t size) {
    const auto head = file.first_with(made::log_id(0), size).value();
    return head ? head->tree.size : 0;
  };
  EXPECT_EQ(first_with(1), 1U);
  EXPECT_EQ(first_with(2), 10U);
  EXPECT_EQ(first_with(10), 10U);
  EXPECT_EQ(first_with(11), 25U);
  EXPECT_EQ(first_with(40), 40U);
  EXPECT_EQ(first_with(41), 0U);
  EXPECT_FALSE(file.first_with(made::log_id(1), 1).value().has_value());
}

TEST_F(HeadFileTest, IsVerifiedWithTheLog) {
  VerifyReport report = verified(whole_);
  EXPECT_TRUE(report.clean()) << made::describe(report);
  EXPECT_EQ(report.heads, 4U);
  EXPECT_EQ(report.heads_pinned, 0U);
  ASSERT_TRUE(report.newest_head.has_value());
  EXPECT_EQ(report.newest_head->tree.size, 40U);

  VerifyOptions options;
  options.log_key = head_at(heads_, 1).verifier_key();
  report = verified(whole_, options);
  EXPECT_TRUE(report.clean()) << made::describe(report);
  EXPECT_EQ(report.heads_pinned, 4U);
  options.log_key->key = key_of(1).public_key();
  report = verified(whole_, options);
  EXPECT_EQ(report.findings_total, 4U);
  EXPECT_EQ(report.findings[0].code, Code::integrity_signature);
  EXPECT_EQ(report.findings[0].file, heads_path);
}

TEST_F(HeadFileTest, EveryFlippedByteIsFound) {
  for (std::uint64_t at = 0; at < whole_.size(heads_path); ++at) {
    vopr::DiskImage image = whole_;
    image.flip(heads_path, at, static_cast<std::byte>(1U << (at % 8)));
    const VerifyReport report = verified(image);
    ASSERT_FALSE(report.clean()) << at;
    EXPECT_EQ(report.findings[0].file, heads_path) << at;
    EXPECT_EQ(report.findings[0].offset, at / 256 * 256) << at;
    vopr::SimEnv world{2, image};
    const auto opened = HeadFile::open(world.storage(), made::name);
    EXPECT_EQ(opened.has_value(), at < 768) << "the newest is read at once";
    if (!opened && (at & 0xFFU) / 2 != 2) {
      EXPECT_EQ(opened.error().code(), Code::integrity_head) << at;
    }
  }
}

// Whoever can make the checksums right again has no key to sign with.
TEST_F(HeadFileTest, NamesWhatIsWrongWithASoundRecord) {
  StoredHead head = head_at(heads_, 25);
  head.signature[3] ^= std::byte{1};
  EXPECT_EQ(found(with(2, head)), Code::integrity_signature);
  head = head_at(heads_, 25);
  head.tree.root[0] ^= std::byte{1};
  VerifyReport report = verified(with(2, head));
  EXPECT_EQ(report.findings_total, 2U) << made::describe(report);
  EXPECT_EQ(report.findings[0].code, Code::integrity_signature);
  EXPECT_EQ(report.findings[1].code, Code::integrity_consistency);
  EXPECT_EQ(report.findings[1].position, Position{25});

  // The key itself was used: what is signed is not what is there.
  Tree other = tree_of(heads_[25]);
  other.root[0] ^= std::byte{1};
  EXPECT_EQ(found(with(2, sign(made::log_id(0), other, TimestampUs{1}, key_of(0)))),
            Code::integrity_consistency);
  EXPECT_EQ(found(with(2, sign(made::log_id(0), tree_of(heads_[10]), TimestampUs{1}, key_of(0)))),
            Code::integrity_head)
      << "not larger than the one before";
  EXPECT_EQ(found(with(3, sign(made::log_id(0), {41, other.root}, TimestampUs{1}, key_of(0)))),
            Code::integrity_rollback);
  report = verified(with(3, sign(made::log_id(3), tree_of(heads_[40]), TimestampUs{1}, key_of(0))));
  EXPECT_EQ(report.findings_total, 1U) << made::describe(report);
  EXPECT_EQ(report.findings[0].code, Code::integrity_foreign_file);
  // Another key, all of it right: only a pinned key tells.
  report = verified(with(3, sign(made::log_id(0), tree_of(heads_[40]), TimestampUs{1}, key_of(1))));
  EXPECT_EQ(report.findings_total, 1U) << made::describe(report);
  EXPECT_EQ(report.findings[0].code, Code::integrity_signature);
}

TEST_F(HeadFileTest, RefusesWhatIsNoRecord) {
  const HeadRecordBytes good = encode(head_at(heads_, 25));
  const auto refused = [](HeadRecordBytes bytes) {
    Writer crc;
    crc.u32(crypto::crc32c(Bytes{bytes}.first(252)));
    std::ranges::copy(crc.buffer(), bytes.begin() + 252);
    const auto head = decode_head_record(bytes);
    return head ? Code::internal_bug : head.error().code();
  };
  EXPECT_EQ(refused(good), Code::internal_bug);
  for (const std::size_t at : {0U, 3U, 6U, 168U, 251U}) {
    HeadRecordBytes bytes = good;
    bytes.at(at) ^= std::byte{1};
    EXPECT_EQ(refused(bytes), Code::integrity_head) << at;
  }
  HeadRecordBytes bytes = good;
  bytes[4] = std::byte{2};
  EXPECT_EQ(refused(bytes), Code::unavailable_version);
  bytes = good;
  std::fill_n(bytes.begin() + 24, 8, std::byte{0});
  EXPECT_EQ(refused(bytes), Code::integrity_head) << "size 0";
  bytes[31] = std::byte{0x80};
  EXPECT_EQ(refused(bytes), Code::integrity_head) << "size 2^63";
}

// What a crash leaves of an append was seen by nobody.
TEST_F(HeadFileTest, GoesOnBehindAnUnfinishedRecord) {
  for (const bool zeros : {false, true}) {
    vopr::DiskImage image = whole_;
    Buffer bytes = whole_.read(heads_path);
    bytes.resize(bytes.size() + (zeros ? 256 : 100),
                 std::byte{zeros ? std::uint8_t{0} : std::uint8_t{7}});
    image.write(heads_path, bytes);
    const VerifyReport report = verified(image);
    EXPECT_TRUE(report.clean()) << made::describe(report);
    EXPECT_EQ(report.heads_tail_bytes, zeros ? 256U : 100U);

    vopr::SimEnv world{2, image};
    HeadFile file = HeadFile::open(world.storage(), made::name).value();
    EXPECT_EQ(file.newest()->tree.size, 40U);
    ASSERT_EQ(file.count(), 4U);
    const auto log = made::open(world.storage(), heads_.back());
    Heads heads = heads_;
    ASSERT_TRUE(made::extend(*log, heads, 41).has_value());
    ASSERT_TRUE(log->settle().has_value());
    ASSERT_TRUE(file.append(head_at(heads, 41)).has_value());
    const VerifyReport after = made::verified(world.storage());
    EXPECT_TRUE(after.clean()) << made::describe(after);
    EXPECT_EQ(after.heads, 5U);
  }
}

// Crashed at every call, the file has what was appended before, or that and the next one.
TEST_F(HeadFileTest, SurvivesACrashAtAnyCall) {
  std::uint64_t recoveries = 0;
  for (std::uint64_t call = 1; call < 40; ++call) {
    vopr::SimEnv world{call};
    world.storage().set_faults({.crash_at = call});
    std::uint64_t acknowledged = 0;
    {
      auto file = HeadFile::open(world.storage(), made::name);
      for (std::size_t i = 0; file && i < sizes.size(); ++i) {
        // Behind the crash, what runs still writes nowhere.
        if (!file->append(head_at(heads_, sizes.at(i))) || world.storage().frozen()) break;
        acknowledged = sizes.at(i);
      }
    }
    if (!world.storage().frozen()) break;
    vopr::SimEnv again{call + 1, world.storage().crash()};
    const auto file = HeadFile::open(again.storage(), made::name);
    ASSERT_TRUE(file.has_value()) << to_string(file.error());
    const std::uint64_t newest = file->newest() ? file->newest()->tree.size : 0;
    EXPECT_GE(newest, acknowledged) << call;
    ++recoveries;
  }
  EXPECT_GE(recoveries, 8U);
}

TEST(VerifySince, BeginsBehindWhatWasCheckedBefore) {
  // A segment for every five records.
  const made::Shape shape{.items_max = 2, .blocks_max = 2, .epoch_records = 5};
  vopr::SimEnv world{1};
  Heads heads{{}};
  {
    const auto log = made::open(world.storage());
    ASSERT_TRUE(made::extend(*log, heads, 600, 0, shape).has_value());
    ASSERT_TRUE(log->settle().has_value());
  }
  const vopr::DiskImage whole = world.storage().image();
  const auto report_since = [](const vopr::DiskImage& image, const Tree& since) {
    vopr::SimEnv other{2, image};
    VerifyOptions options;
    options.since = since;
    return made::verified(other.storage(), options);
  };
  for (const std::uint64_t size : {1U, 5U, 6U, 7U, 255U, 256U, 257U, 300U, 511U, 599U, 600U}) {
    const VerifyReport report = report_since(whole, tree_of(heads[size]));
    EXPECT_TRUE(report.clean()) << size << "\n" << made::describe(report);
    EXPECT_EQ(report.head, heads.back());
    EXPECT_LE(report.from.value(), size);
    EXPECT_GE(report.from.value() + 5, size) << "no more than its segment is read again";
    EXPECT_EQ(report.records, 600 - report.from.value() + 1);
    EXPECT_EQ(report.offsets, report.records);

    Tree other = tree_of(heads[size]);
    other.root[5] ^= std::byte{1};
    const VerifyReport refused = report_since(whole, other);
    EXPECT_EQ(refused.findings_total, 1U) << made::describe(refused);
    EXPECT_EQ(refused.findings[0].code, Code::integrity_consistency);
    EXPECT_EQ(refused.findings[0].position, Position{size});
  }
  EXPECT_EQ(report_since(whole, {601, {}}).findings[0].code, Code::integrity_rollback);

  // Damage behind it is found; damage before it was for the run that checked that.
  const std::string late = directory + "00000000000000000551.segment";
  vopr::DiskImage image = whole;
  image.flip(late, 500);
  EXPECT_FALSE(report_since(image, tree_of(heads[300])).clean());
  EXPECT_TRUE(report_since(image, tree_of(heads[590])).clean());
  // Tiles that lie do not lead to the root.
  image = whole;
  image.flip(directory + "tiles/1", 3);
  EXPECT_FALSE(report_since(image, tree_of(heads[300])).clean());
  // Without them everything is read.
  image = whole;
  image.remove(directory + "tiles/0");
  const VerifyReport all = report_since(image, tree_of(heads[300]));
  EXPECT_TRUE(all.clean()) << made::describe(all);
  EXPECT_EQ(all.from, Position{1});
}

}  // namespace
}  // namespace kimberlite::log
