#include "log/tenant_log.hpp"

#include <gtest/gtest.h>

#include "made_log.hpp"
#include "record/proof.hpp"

namespace kimberlite::log {
namespace {

using made::Heads;

void expect_record(const RecordView& found, const record::Head& before, const made::Shape& shape) {
  const made::Record wanted = made::record_after(before, 0, shape);
  EXPECT_EQ(found.entry, wanted.entry);
  EXPECT_TRUE(equal(found.body, wanted.body));
  EXPECT_EQ(found.op, OpNumber{wanted.entry.position.value() * 2});
  EXPECT_EQ(found.index, 3U);
}

void expect_all(TenantLog& log, const Heads& heads, const made::Shape& shape = {}) {
  Buffer scratch;
  const std::uint64_t size = log.head().position.value();
  for (std::uint64_t p = 1; p <= size; ++p) {
    const auto record = log.read(Position{p}, scratch);
    ASSERT_TRUE(record.has_value()) << to_string(record.error());
    expect_record(*record, heads[p - 1], shape);
  }
  for (const std::uint64_t from : {std::uint64_t{1}, size / 2 + 1, size, size + 1}) {
    if (from == 0) continue;
    auto scan = log.scan(Position{from});
    ASSERT_TRUE(scan.has_value()) << to_string(scan.error());
    for (std::uint64_t p = from; p <= size; ++p) {
      const auto record = scan->next();
      ASSERT_TRUE(record.has_value()) << to_string(record.error());
      ASSERT_TRUE(record->has_value());
      expect_record(**record, heads[p - 1], shape);
    }
    const auto end = scan->next();
    ASSERT_TRUE(end.has_value());
    EXPECT_FALSE(end->has_value());
  }
}

TEST(TenantLog, WritesNothingBeforeItsFirstRecord) {
  vopr::SimEnv world{1};
  const auto log = made::open(world.storage());
  EXPECT_TRUE(log->settle().has_value());
  EXPECT_TRUE(world.storage().image().paths().empty());
  Buffer scratch;
  EXPECT_EQ(log->read(Position{1}, scratch).error().code(), Code::not_found_position);
  EXPECT_FALSE(log->scan(Position{1})->next()->has_value());
  made::expect_clean(world.storage(), {});
}

TEST(TenantLog, ReadsWhatWasAppendedWhetherFlushedOrNot) {
  vopr::SimEnv world{1};
  const auto log = made::open(world.storage());
  Heads heads{{}};
  Buffer scratch;
  ASSERT_TRUE(made::extend(*log, heads, 10).has_value());
  ASSERT_TRUE(log->flush().has_value());
  ASSERT_TRUE(made::extend(*log, heads, 15).has_value());
  for (std::uint64_t p = 1; p <= 15; ++p) {
    const auto record = log->read(Position{p}, scratch);
    ASSERT_TRUE(record.has_value());
    expect_record(*record, heads[p - 1], {});
  }
  expect_all(*log, heads);
  EXPECT_EQ(log->read(Position{16}, scratch).error().code(), Code::not_found_position);
  EXPECT_EQ(log->read(Position{0}, scratch).error().code(), Code::not_found_position);
}

TEST(TenantLog, IsTheSameBytesHoweverItIsFlushedAndReopened) {
  const made::Shape shape{.epoch_records = 400};
  vopr::SimEnv once{1};
  Heads heads{{}};
  {
    const auto log = made::open(once.storage());
    ASSERT_TRUE(made::extend(*log, heads, 1000, 0, shape).has_value());
    ASSERT_TRUE(log->settle().has_value());
    expect_all(*log, heads, shape);
  }
  vopr::SimEnv often{2};
  for (std::uint64_t size = 0; size < 1000;) {
    const auto log = made::open(often.storage(), heads[size], shape);
    size = std::min<std::uint64_t>(1000, size + 37 + size % 90);
    for (std::uint64_t p = heads.size(); p <= size; p += 5) {
      ASSERT_TRUE(log->flush().has_value());
    }
    ASSERT_TRUE(made::extend(*log, heads, size, 0, shape).has_value());
    ASSERT_TRUE(log->settle().has_value());
  }
  EXPECT_EQ(often.storage().image().digest(), once.storage().image().digest());
  made::expect_clean(often.storage(), heads.back());
  EXPECT_EQ(made::verified(often.storage()).epochs, 3U);
  EXPECT_EQ(made::verified(often.storage()).offsets, 1000U);
  EXPECT_EQ(made::verified(often.storage()).tile_hashes, 1000U + 62 + 3);
}

// Six records of 6 MiB less a bit fill a segment to more than half; the eleventh starts the next.
TEST(TenantLog, RotatesByBytesAndSealsWhatItLeaves) {
  constexpr std::uint32_t blocks = (6U << 20U) / 64 - 2;
  const made::Shape shape{.items_max = 1, .item_blocks = blocks};
  vopr::SimEnv world{1};
  Heads heads{{}};
  {
    const auto log = made::open(world.storage());
    ASSERT_TRUE(made::extend(*log, heads, 4, 0, shape).has_value());
    ASSERT_TRUE(log->settle().has_value());
  }
  const auto log = made::open(world.storage(), heads.back(), shape);  // so its seal is read back
  ASSERT_TRUE(made::extend(*log, heads, 24, 0, shape).has_value());
  ASSERT_TRUE(log->settle().has_value());

  const vopr::DiskImage image = world.storage().image();
  const std::string first = "tenants/7/data/00000000000000000001.segment";
  const std::string second = "tenants/7/data/00000000000000000011.segment";
  const std::string third = "tenants/7/data/00000000000000000021.segment";
  ASSERT_TRUE(image.contains(first) && image.contains(second) && image.contains(third));
  const std::uint64_t frames = heads[10].bytes;
  EXPECT_EQ(image.size(first), segment_header_size + frames + segment_footer_size);
  EXPECT_LE(segment_header_size + frames, std::uint64_t{64} << 20U);
  EXPECT_GT(segment_header_size + heads[11].bytes, std::uint64_t{64} << 20U);
  made::expect_clean(world.storage(), heads.back());
  EXPECT_EQ(made::verified(world.storage()).segments, 3U);
  Buffer scratch;
  for (const std::uint64_t p : {1U, 10U, 11U, 20U, 21U, 24U}) {
    const auto record = log->read(Position{p}, scratch);
    ASSERT_TRUE(record.has_value()) << to_string(record.error());
    EXPECT_EQ(record->entry.position, Position{p});
  }
}

class Derived : public testing::TestWithParam<int> {};

// Missing, short, wrong and too long offsets and tiles.
TEST_P(Derived, FilesMayBeDamagedAndAreMadeAgain) {
  const made::Shape shape{.epoch_records = 250};
  vopr::SimEnv world{1};
  Heads heads{{}};
  {
    const auto log = made::open(world.storage());
    ASSERT_TRUE(made::extend(*log, heads, 700, 0, shape).has_value());
    ASSERT_TRUE(log->settle().has_value());
  }
  const vopr::DiskImage whole = world.storage().image();
  vopr::DiskImage image = whole;
  const std::string offsets = "tenants/7/data/offsets";
  const std::string leaves = "tenants/7/data/tiles/0";
  const std::string nodes = "tenants/7/data/tiles/1";
  switch (GetParam()) {
    case 0:
      image.remove(offsets);
      break;
    case 1:
      image.remove(leaves);
      break;
    case 2:
      image.remove(nodes);
      break;
    case 3:
      image.truncate(offsets, 699UL * 8);
      break;
    case 4:
      image.truncate(leaves, 100);
      break;
    case 5:
      image.flip(offsets, 300UL * 8);
      break;
    case 6:
      image.flip(offsets, 699UL * 8 + 5);
      break;
    case 7:
      image.flip(leaves, 32UL * 3);
      break;
    case 8:
      image.flip(nodes, 33);
      break;
    default:
      image.remove(offsets), image.remove(leaves), image.remove(nodes);
      break;
  }
  vopr::SimEnv damaged{2, image};
  const auto log = made::open(damaged.storage(), heads.back(), shape);
  ASSERT_NE(log, nullptr);
  expect_all(*log, heads, shape);
  for (std::uint64_t p = 1; p <= 700; p += 23) {
    const auto path = log->prove_inclusion(Position{p}, tree_of(log->head()));
    ASSERT_TRUE(path.has_value()) << to_string(path.error());
    EXPECT_TRUE(
        record::verify_inclusion(heads[p].leaf, p - 1, 700, *path, heads.back().frontier.root()));
    const auto extends = log->prove_consistency(tree_of(heads[p]), tree_of(log->head()));
    ASSERT_TRUE(extends.has_value()) << to_string(extends.error());
    EXPECT_TRUE(record::verify_consistency(p, heads[p].frontier.root(), 700,
                                           heads.back().frontier.root(), *extends));
  }
  // One that lies about another record is found by `verify`, or was made again.
  ASSERT_TRUE(made::extend(*log, heads, 800, 0, shape).has_value());
  ASSERT_TRUE(log->settle().has_value());
  made::expect_clean(damaged.storage(), heads.back());
  EXPECT_EQ(made::verified(damaged.storage()).offsets, 800U);
}
INSTANTIATE_TEST_SUITE_P(AllDamages, Derived, testing::Range(0, 10));

// A disk with a log of 700 records.
vopr::DiskImage disk_of_700(Heads& heads) {
  vopr::SimEnv world{1};
  const auto log = made::open(world.storage());
  EXPECT_TRUE(made::extend(*log, heads, 700).has_value());
  EXPECT_TRUE(log->settle().has_value());
  return world.storage().image();
}

Status put_back(TenantLog& log, const Heads& heads, Position position) {
  const made::Record good = made::record_after(heads[position.value() - 1], 0, {});
  return log.mend(OpNumber{2 * position.value()}, 3, good.entry, good.body);
}

// One record of a segment rots, and the log goes on: every other record is read and proved, before
// and after the log is opened again.
class Rotten : public testing::TestWithParam<std::tuple<std::uint64_t, std::uint64_t>> {
 protected:
  const std::uint64_t rotten_ = std::get<0>(GetParam());
  static constexpr std::string_view segment = "tenants/7/data/00000000000000000001.segment";

  void SetUp() override {
    image_ = disk_of_700(heads_);
    image_.flip(segment, segment_header_size + heads_[rotten_ - 1].bytes + std::get<1>(GetParam()));
  }
  // All but the rotten_ one.
  void expect_the_others(TenantLog& log) {
    Buffer scratch;
    for (const std::uint64_t p : {rotten_, 1UL, rotten_ - 1, rotten_, 650UL, 699UL}) {
      const auto record = log.read(Position{p}, scratch);
      ASSERT_EQ(record.has_value(), p != rotten_) << p;
      if (record) expect_record(*record, heads_[p - 1], {});
      if (p == rotten_) {
        EXPECT_EQ(class_of(record.error().code()), ErrorClass::integrity);
      }
    }
    for (const std::uint64_t p : {100UL, rotten_, 650UL}) {
      const auto root = log.root_at(p);
      ASSERT_TRUE(root.has_value()) << to_string(root.error());
      EXPECT_EQ(*root, heads_[p].frontier.root());
    }
  }

  Heads heads_{{}};
  vopr::DiskImage image_;
};

TEST_P(Rotten, RecordIsTheOnlyOneThatIsNotRead) {
  vopr::SimEnv world{2, image_};
  {
    const auto log = made::open(world.storage(), heads_.back());
    expect_the_others(*log);
    ASSERT_TRUE(made::extend(*log, heads_, 701).has_value());
    expect_the_others(*log);
    ASSERT_TRUE(log->settle().has_value());
  }
  const auto log = made::open(world.storage(), heads_.back());
  expect_the_others(*log);
}

TEST_P(Rotten, RecordDoesNotKeepItsSegmentFromBeingSealed) {
  const made::Shape shape{.epoch_records = 720};
  vopr::SimEnv world{2, image_};
  {
    const auto log = made::open(world.storage(), heads_.back());
    const Status grown = made::extend(*log, heads_, 800, 0, shape);
    ASSERT_TRUE(grown.has_value()) << to_string(grown.error());
    ASSERT_TRUE(log->settle().has_value());
    expect_the_others(*log);
  }
  const auto log = made::open(world.storage(), heads_.back(), shape);
  expect_the_others(*log);
  // `verify` names it.
  const VerifyReport report = made::verified(world.storage());
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.front().code, Code::integrity_frame);
}

// A copy of it is put back where it stood, and nothing else is.
TEST_P(Rotten, RecordIsPutBack) {
  for (const bool has_offsets : {true, false}) {
    vopr::SimEnv world{2, image_};
    if (!has_offsets) {
      ASSERT_TRUE(world.storage().remove("tenants/7/data/offsets").has_value());
    }
    const auto log = made::open(world.storage(), heads_.back());
    const auto is_damaged = [&](std::uint64_t p) {
      const auto first = log->first_damaged(Position{p});
      EXPECT_TRUE(first.has_value()) << to_string(first.error());
      EXPECT_TRUE(!first || !*first || **first == Position{rotten_}) << (*first)->value();
      return first && first->has_value();
    };
    EXPECT_TRUE(is_damaged(rotten_));
    EXPECT_EQ(is_damaged(5), !has_offsets);

    const made::Record good = made::record_after(heads_[rotten_ - 1], 0, {});
    made::Record other = good;
    other.entry.actor[0] ^= std::byte{1};
    made::Record cut = good;
    cut.body.resize(cut.body.size() / 2);
    for (const made::Record& wrong : {other, cut, made::record_after(heads_[10], 1, {})}) {
      const vopr::DiskImage before = world.storage().image();
      EXPECT_FALSE(log->mend(OpNumber{1}, 0, wrong.entry, wrong.body).has_value());
      EXPECT_TRUE(before.read(segment) == world.storage().image().read(segment));
    }
    const Status mended = put_back(*log, heads_, Position{rotten_});
    ASSERT_TRUE(mended.has_value()) << to_string(mended.error());
    EXPECT_FALSE(is_damaged(rotten_));
    EXPECT_FALSE(is_damaged(5));
    made::expect_clean(world.storage(), heads_.back());
  }
}

// A sector of zeros: several records beside each other.
TEST(TenantLog, GoesOnWithoutAWholeSector) {
  Heads heads{{}};
  const std::string segment = "tenants/7/data/00000000000000000001.segment";
  vopr::DiskImage image = disk_of_700(heads);
  Buffer bytes = image.read(segment);
  constexpr std::uint64_t begin = 25UL * 4096;
  constexpr std::uint64_t end = begin + 4096;
  std::ranges::fill(MutBytes{bytes}.subspan(begin, end - begin), std::byte{0});
  image.write(segment, bytes);

  vopr::SimEnv world{2, image};
  const auto log = made::open(world.storage(), heads.back());
  const made::Shape shape{.epoch_records = 720};
  const Status grown = made::extend(*log, heads, 800, 0, shape);
  ASSERT_TRUE(grown.has_value()) << to_string(grown.error());
  Buffer scratch;
  std::uint64_t lost = 0;
  for (std::uint64_t p = 1; p <= 800; ++p) {
    const bool is_hit = segment_header_size + heads[p].bytes > begin &&
                        segment_header_size + heads[p - 1].bytes < end;
    const auto record = log->read(Position{p}, scratch);
    EXPECT_EQ(record.has_value(), !is_hit) << p;
    lost += is_hit ? 1 : 0;
  }
  EXPECT_GT(lost, 2U);

  // Put back before the segment is sealed, they are as if they had never been lost.
  vopr::SimEnv third{3, image};
  const auto mended = made::open(third.storage(), heads[700]);
  Position last{700};
  while (mended->read(last, scratch)) last = Position{last.value() - 1};
  for (std::uint64_t i = 0; i < lost; ++i) {
    const auto first = mended->first_damaged(last);
    ASSERT_TRUE(first.has_value() && first->has_value()) << i;
    EXPECT_EQ((*first)->value(), last.value() - lost + 1 + i);
    const Status put = put_back(*mended, heads, **first);
    ASSERT_TRUE(put.has_value()) << to_string(put.error());
  }
  made::expect_clean(third.storage(), heads[700]);
}

// What an open looks at is damaged, and what stands before it too: the offsets are still good.
TEST(TenantLog, PutsItsLastRecordsBack) {
  Heads heads{{}};
  vopr::DiskImage image = disk_of_700(heads);
  for (const std::uint64_t p : {699UL, 700UL}) {
    image.flip("tenants/7/data/00000000000000000001.segment",
               segment_header_size + heads[p - 1].bytes + 40);
  }
  vopr::SimEnv world{2, image};
  const auto log = made::open(world.storage(), heads[700]);
  for (const std::uint64_t p : {699UL, 700UL}) {
    const auto first = log->first_damaged(Position{700});
    ASSERT_TRUE(first.has_value() && first->has_value());
    EXPECT_EQ((*first)->value(), p);
    const Status put = put_back(*log, heads, **first);
    ASSERT_TRUE(put.has_value()) << to_string(put.error());
  }
  made::expect_clean(world.storage(), heads[700]);
}

// In the middle, and the newest one, which each open looks at. Of its frame: size, checksum, op, an
// entry's byte, one of its body.
INSTANTIATE_TEST_SUITE_P(Bytes, Rotten,
                         testing::Combine(testing::Values(300, 700),
                                          testing::Values(0, 5, 8, 40, 230)));

TEST(TenantLog, RefusesFilesThatAreNotItsOwn) {
  vopr::SimEnv world{1};
  Heads heads{{}};
  {
    const auto log = made::open(world.storage());
    ASSERT_TRUE(made::extend(*log, heads, 20).has_value());
    ASSERT_TRUE(log->settle().has_value());
  }
  const vopr::DiskImage whole = world.storage().image();
  const std::string segment = "tenants/7/data/00000000000000000001.segment";
  const auto refusal = [&](const vopr::DiskImage& image, const record::Head& head) {
    vopr::SimEnv other{2, image};
    const auto log = TenantLog::open(other.storage(), made::name, made::log_id(0), head);
    return log ? Code::internal_bug : log.error().code();
  };
  EXPECT_EQ(refusal(whole, heads.back()), Code::internal_bug);  // it opens

  vopr::DiskImage image = whole;
  image.remove(segment);
  EXPECT_EQ(refusal(image, heads.back()), Code::integrity_missing_file);
  image = whole;
  image.truncate(segment, whole.size(segment) - 1);
  EXPECT_EQ(refusal(image, heads.back()), Code::integrity_segment);
  image = whole;
  image.flip(segment, 20);
  EXPECT_EQ(refusal(image, heads.back()), Code::integrity_segment);
  record::Head rewritten = heads.back();
  rewritten.leaf[0] ^= std::byte{1};
  EXPECT_EQ(refusal(whole, rewritten), Code::integrity_chain);
  vopr::SimEnv other{2, whole};
  EXPECT_EQ(
      TenantLog::open(other.storage(), made::name, made::log_id(5), heads.back()).error().code(),
      Code::integrity_foreign_file);
}

}  // namespace
}  // namespace kimberlite::log
