#include "log/anchor_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "crypto/crc32c.hpp"
#include "golden.hpp"
#include "made_log.hpp"
#include "record/signed_head.hpp"
#include "record/witness.hpp"

namespace kimberlite::log {
namespace {

using made::Heads;

const std::string anchors_path = "tenants/7/data/anchors";
const std::string heads_path = "tenants/7/data/heads";

crypto::SigningKey key_of(unsigned seed) {
  return crypto::SigningKey{
      crypto::Key256{record::sample::counting<std::array<std::byte, 32>>(seed)}};
}
StoredHead head_at(const Heads& heads, std::uint64_t size) {
  return sign(made::log_id(0), tree_of(heads[size]), TimestampUs{size * 1'000'000}, key_of(1));
}
record::VerifierKey witness_key(std::string_view name = "witness.example/w1") {
  return {.name = std::string{name},
          .type = record::NoteKeyType::cosignature,
          .key = key_of(9).public_key()};
}

Anchor in_file(const StoredHead& head, std::uint64_t at = 1) {
  return {.kind = AnchorKind::file,
          .log_id = head.log_id,
          .tree = head.tree,
          .stored_at = TimestampUs{at},
          .attested_at = {},
          .target = "directory",
          .evidence = {}};
}
Anchor witnessed(const StoredHead& head, std::uint64_t seconds,
                 std::string_view name = "witness.example/w1") {
  record::SignedNote note = record::SignedNote::parse(head.note()).value();
  note.signatures = {record::cosign_note(note.text, name, key_of(9), seconds)};
  const std::string line = note.to_text().substr(note.text.size() + 1);
  Anchor anchor = in_file(head, (seconds + 5) * 1'000'000);
  anchor.kind = AnchorKind::witness;
  anchor.attested_at = TimestampUs{seconds * 1'000'000};
  anchor.target = name;
  const std::string evidence = witness_key(name).to_text() + "\n" + line;
  const Bytes bytes = bytes_of(evidence);
  anchor.evidence.assign(bytes.begin(), bytes.end());
  return anchor;
}

// A log of 40 records that signed the trees of 10, 25 and 40, each anchored, one of them twice.
class AnchorFileTest : public testing::Test {
 protected:
  void SetUp() override {
    vopr::SimEnv world{1};
    const auto log = made::open(world.storage());
    HeadFile heads = HeadFile::open(world.storage(), made::name).value();
    AnchorFile file = AnchorFile::open(world.storage(), made::name).value();
    EXPECT_EQ(file.count(), 0U);
    EXPECT_FALSE(file.newest().has_value());
    for (const std::uint64_t size : {10U, 25U, 40U}) {
      ASSERT_TRUE(made::extend(*log, heads_, size));
      ASSERT_TRUE(heads.append(head_at(heads_, size)));
    }
    ASSERT_TRUE(log->settle());
    anchors_ = {in_file(head_at(heads_, 10)), witnessed(head_at(heads_, 25), 77),
                in_file(head_at(heads_, 10), 3), witnessed(head_at(heads_, 40), 70, "other")};
    for (const Anchor& anchor : anchors_) ASSERT_TRUE(file.append(anchor));
    whole_ = world.storage().image();
  }
  [[nodiscard]] static VerifyReport verified(const vopr::DiskImage& image) {
    vopr::SimEnv world{2, image};
    return made::verified(world.storage());
  }
  // The image with these anchors and no others.
  [[nodiscard]] vopr::DiskImage with(const std::vector<Anchor>& anchors) const {
    Buffer bytes;
    for (const Anchor& anchor : anchors) append(bytes, encode(anchor));
    vopr::DiskImage image = whole_;
    image.write(anchors_path, bytes);
    return image;
  }
  [[nodiscard]] std::vector<Code> found(const std::vector<Anchor>& anchors) const {
    const VerifyReport report = verified(with(anchors));
    std::vector<Code> codes;
    for (const Finding& finding : report.findings) {
      EXPECT_EQ(finding.file, anchors_path);
      codes.push_back(finding.code);
    }
    return codes;
  }

  Heads heads_{{}};
  std::vector<Anchor> anchors_;
  vopr::DiskImage whole_;
};

TEST_F(AnchorFileTest, GivesBackWhatWasStored) {
  vopr::SimEnv world{2, whole_};
  const AnchorFile file = AnchorFile::open(world.storage(), made::name).value();
  EXPECT_EQ(file.count(), 4U);
  ASSERT_TRUE(file.newest().has_value());
  EXPECT_EQ(file.newest()->time(), TimestampUs{77'000'000}) << "by time, not by place";
  EXPECT_EQ(file.newest()->target, "witness.example/w1");
  EXPECT_EQ(file.witnessed(made::log_id(0), "witness.example/w1"), 25U);
  EXPECT_EQ(file.witnessed(made::log_id(0), "other"), 40U);
  EXPECT_EQ(file.witnessed(made::log_id(0), "directory"), 0U);
  EXPECT_EQ(file.witnessed(made::log_id(1), "other"), 0U);
  for (const Anchor& anchor : anchors_) {
    const Buffer bytes = encode(anchor);
    EXPECT_EQ(bytes.size() % anchor_alignment, 0U);
    const auto decoded = decode_anchor(bytes);
    ASSERT_TRUE(decoded) << to_string(decoded.error());
    EXPECT_EQ(encode(*decoded), bytes);
    EXPECT_EQ(decoded->target, anchor.target);
    EXPECT_EQ(decoded->evidence, anchor.evidence);
  }
}

TEST_F(AnchorFileTest, AClockThatIsWrongMakesNothingYoung) {
  Anchor anchor = witnessed(head_at(heads_, 10), 77);
  EXPECT_EQ(anchor.time(), TimestampUs{77'000'000});
  anchor.stored_at = TimestampUs{50'000'000};
  EXPECT_EQ(anchor.time(), TimestampUs{50'000'000});
  EXPECT_EQ(in_file(head_at(heads_, 10), 9).time(), TimestampUs{9});
}

TEST_F(AnchorFileTest, IsVerifiedWithTheLog) {
  const VerifyReport report = verified(whole_);
  EXPECT_TRUE(report.clean()) << made::describe(report);
  EXPECT_EQ(report.anchors, 4U);
  EXPECT_EQ(report.anchors_tail_bytes, 0U);
  ASSERT_TRUE(report.newest_anchor.has_value());
  EXPECT_EQ(report.newest_anchor->tree.size, 25U);
}

TEST_F(AnchorFileTest, EveryFlippedByteIsFound) {
  std::vector<std::uint64_t> begins;
  std::uint64_t end = 0;
  for (const Anchor& anchor : anchors_) {
    begins.push_back(end);
    end += encode(anchor).size();
  }
  ASSERT_EQ(end, whole_.size(anchors_path));
  for (std::uint64_t at = 0; at < end; ++at) {
    vopr::DiskImage image = whole_;
    image.flip(anchors_path, at, static_cast<std::byte>(1U << (at % 8)));
    const VerifyReport report = verified(image);
    ASSERT_FALSE(report.clean()) << at;
    EXPECT_EQ(report.findings[0].file, anchors_path);
    EXPECT_EQ(report.findings[0].offset, *std::prev(std::ranges::upper_bound(begins, at))) << at;
    EXPECT_EQ(report.anchors, 3U) << at << ": the others are read all the same";
    vopr::SimEnv world{2, image};
    EXPECT_FALSE(AnchorFile::open(world.storage(), made::name).has_value()) << at;
  }
}

// Whoever can make the checksums right again has no key to sign with.
TEST_F(AnchorFileTest, NamesWhatIsWrongWithASoundRecord) {
  EXPECT_TRUE(found(anchors_).empty());
  // Of a tree the log never signed, or never had.
  Anchor other = in_file(head_at(heads_, 11));
  EXPECT_EQ(found({other}), std::vector{Code::integrity_anchor});
  other = in_file(head_at(heads_, 10));
  other.tree.root[0] ^= std::byte{1};
  EXPECT_EQ(found({anchors_[1], other}), std::vector{Code::integrity_anchor});
  other = in_file(head_at(heads_, 10));
  other.log_id = made::log_id(4);
  EXPECT_EQ(found({other, anchors_[0]}), std::vector{Code::integrity_anchor});
  // With evidence that is of something else.
  other = witnessed(head_at(heads_, 25), 77);
  other.tree = head_at(heads_, 40).tree;
  EXPECT_EQ(found({other}), std::vector{Code::integrity_signature});
  other = witnessed(head_at(heads_, 25), 77);
  other.attested_at = TimestampUs{78'000'000};
  EXPECT_EQ(found({other}), std::vector{Code::integrity_anchor});
  other = witnessed(head_at(heads_, 25), 77);
  other.target = "another";
  EXPECT_EQ(found({other}), std::vector{Code::integrity_anchor});
  other = witnessed(head_at(heads_, 25), 77);
  append(other.evidence, bytes_of("x\n"));
  EXPECT_EQ(found({other}).size(), 1U);
  other = in_file(head_at(heads_, 10));
  other.attested_at = TimestampUs{1};
  EXPECT_EQ(found({other}), std::vector{Code::integrity_anchor});
  other = in_file(head_at(heads_, 10));
  other.kind = AnchorKind::timestamp;
  EXPECT_EQ(found({other}), std::vector{Code::integrity_anchor});
  // A good time stamp, of something else.
  std::ifstream golden{std::string{KIMBERLITE_SOURCE_DIR} + "/tests/golden/timestamp.txt"};
  other.evidence.clear();
  for (std::string line; std::getline(golden, line);) {
    if (!line.starts_with("response ")) continue;
    for (std::size_t at = line.find(' ') + 1; at + 1 < line.size(); at += 2) {
      other.evidence.push_back(static_cast<std::byte>(std::stoi(line.substr(at, 2), nullptr, 16)));
    }
  }
  ASSERT_FALSE(other.evidence.empty());
  const VerifyReport stamped = verified(with({other}));
  ASSERT_EQ(stamped.findings_total, 1U) << made::describe(stamped);
  EXPECT_EQ(stamped.findings[0].code, Code::integrity_anchor);
  EXPECT_TRUE(stamped.findings[0].what.contains("what the authority stamped is not the head"));
  // Without its heads, no anchor is of one.
  vopr::DiskImage image = whole_;
  image.remove(heads_path);
  EXPECT_EQ(verified(image).findings_total, 4U);
}

TEST_F(AnchorFileTest, RefusesWhatIsNoRecord) {
  const Buffer good = encode(anchors_[1]);
  const auto refused = [](Buffer bytes) {
    Writer crc;
    crc.u32(crypto::crc32c(Bytes{bytes}.first(124)));
    std::ranges::copy(crc.buffer(), bytes.begin() + 124);
    const auto anchor = decode_anchor(bytes);
    return anchor ? Code::internal_bug : anchor.error().code();
  };
  EXPECT_EQ(refused(good), Code::internal_bug);
  // Magic, kind, size, target and evidence sizes, padding of the header.
  for (const std::size_t at : {0U, 3U, 6U, 31U, 82U, 86U, 92U, 123U}) {
    Buffer bytes = good;
    bytes.at(at) ^= std::byte{0x80};
    EXPECT_EQ(refused(bytes), Code::integrity_anchor) << at;
  }
  Buffer bytes = good;
  bytes[4] = std::byte{2};
  EXPECT_EQ(refused(bytes), Code::unavailable_version);
  bytes = good;
  bytes.resize(bytes.size() + anchor_alignment);
  EXPECT_EQ(refused(bytes), Code::integrity_anchor) << "too long";
  bytes.resize(good.size() - 1);
  EXPECT_EQ(refused(bytes), Code::integrity_anchor) << "too short";
  // Padding behind the evidence that is not zero, with checksums that are right.
  bytes = good;
  bytes.back() = std::byte{1};
  Writer crc;
  crc.u32(crypto::crc32c(Bytes{bytes}.subspan(anchor_header_size)));
  std::ranges::copy(crc.buffer(), bytes.begin() + 88);
  EXPECT_EQ(refused(bytes), Code::integrity_anchor);
}

// What a crash leaves behind the last record is nobody's; between records it is damage.
TEST_F(AnchorFileTest, GoesOnBehindAnUnfinishedRecord) {
  for (const std::size_t left : {1U, 128U, 600U, 1500U}) {
    vopr::DiskImage image = whole_;
    Buffer bytes = whole_.read(anchors_path);
    const std::size_t end = bytes.size();
    bytes.resize(end + left);
    // All but the header may be there.
    for (std::size_t at = end + anchor_header_size; at < bytes.size(); ++at)
      bytes[at] = std::byte{7};
    image.write(anchors_path, bytes);
    const VerifyReport report = verified(image);
    EXPECT_TRUE(report.clean()) << made::describe(report);
    EXPECT_EQ(report.anchors_tail_bytes, left);
    vopr::SimEnv world{2, image};
    AnchorFile file = AnchorFile::open(world.storage(), made::name).value();
    EXPECT_EQ(file.count(), 4U);
    ASSERT_TRUE(file.append(in_file(head_at(heads_, 40), 9)));
    const VerifyReport after = made::verified(world.storage());
    EXPECT_TRUE(after.clean()) << made::describe(after);
    EXPECT_EQ(after.anchors, 5U);
    EXPECT_EQ(after.anchors_tail_bytes, 0U);
  }
  vopr::DiskImage image = whole_;
  Buffer bytes = whole_.read(anchors_path);
  std::fill_n(bytes.begin() + 512, anchor_header_size, std::byte{0});
  image.write(anchors_path, bytes);
  const VerifyReport report = verified(image);
  ASSERT_EQ(report.findings_total, 1U) << made::describe(report);
  EXPECT_EQ(report.findings[0].offset, 512U);
  EXPECT_EQ(report.anchors, 3U);
}

// Crashed at every call, the file has what was appended before, or that and the next one.
TEST_F(AnchorFileTest, SurvivesACrashAtAnyCall) {
  std::uint64_t recoveries = 0;
  for (std::uint64_t call = 1; call < 60; ++call) {
    vopr::SimEnv world{call};
    world.storage().set_faults({.crash_at = call});
    std::uint64_t acknowledged = 0;
    {
      auto file = AnchorFile::open(world.storage(), made::name);
      for (std::size_t i = 0; file && i < anchors_.size(); ++i) {
        if (!file->append(anchors_[i]) || world.storage().frozen()) break;
        acknowledged = i + 1;
      }
    }
    if (!world.storage().frozen()) break;
    vopr::SimEnv again{call + 1, world.storage().crash()};
    auto file = AnchorFile::open(again.storage(), made::name);
    ASSERT_TRUE(file.has_value()) << call << ": " << to_string(file.error());
    EXPECT_GE(file->count(), acknowledged) << call;
    EXPECT_LE(file->count(), acknowledged + 1) << call;
    ASSERT_TRUE(file->append(anchors_[1]));
    const auto reopened = AnchorFile::open(again.storage(), made::name);
    ASSERT_TRUE(reopened.has_value()) << call;
    EXPECT_EQ(reopened->count(), file->count());
    ++recoveries;
  }
  EXPECT_GE(recoveries, 12U);
}

TEST(AnchorGolden, Bytes) {
  golden::File file{"anchors.txt"};
  file.comment("Stored anchors (log/anchor_file.hpp), of a head of 300 records.");
  const Tree tree{300, record::sample::counting<Hash>(3)};
  const StoredHead head = sign(made::log_id(0), tree, TimestampUs{5}, key_of(1));
  file.check("file", encode(in_file(head, 1'795'000'000'000'000)));
  file.check("witness", encode(witnessed(head, 1'795'000'000)));
}

}  // namespace
}  // namespace kimberlite::log
