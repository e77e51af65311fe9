// The open of a journal in every small state a crash or a fault can leave it in.
#include "consensus/journal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <set>

#include "consensus/core/ring.hpp"
#include "support/node.hpp"

namespace kimberlite::consensus {
namespace {

using testing::Node;
using Fate = Node::Fate;

ReplicaOptions small_options() {
  return {.journal = {.ring_size = 40 * sector_size, .prepare_size_max = 4 * sector_size}};
}

constexpr std::size_t body_of_sectors(std::size_t sectors) {
  return sectors * sector_size - frame_header_size - 100;
}

void close(Node& node) {
  node.step(Close{});
  node.end_all_writes();
  ASSERT_TRUE(node.replica().closed());
  node.crash({});
}

// Eight prepares in flight, every subset of them on disk: the log is the longest prefix, and
// nothing written afterwards brings back what was beyond it.
TEST(JournalRecovery, EverySubsetOfThePipelineSurviving) {
  for (std::uint32_t subset = 0; subset < 256; ++subset) {
    Node node(small_options());
    ASSERT_TRUE(node.open_fully().has_value());
    node.propose(300);
    node.end_all_writes();
    std::vector<Node::Death> deaths;
    for (std::size_t i = 0; i < 8; ++i) {
      node.propose(body_of_sectors(1 + i % 3));
      deaths.push_back({.fate = (subset >> i & 1U) != 0 ? Fate::whole : Fate::lost});
    }
    node.crash(deaths);
    const auto prefix = static_cast<std::uint64_t>(std::countr_one(subset));
    ASSERT_TRUE(node.open_fully().has_value()) << subset;
    ASSERT_EQ(node.replica().commit(), OpNumber{1 + prefix}) << subset;
    EXPECT_EQ(node.recovered().torn.has_value(), (subset >> prefix) != 0) << subset;
    for (int i = 0; i < 3; ++i) node.propose(body_of_sectors(1));
    node.end_all_writes();
    ASSERT_EQ(node.replica().commit(), OpNumber{4 + prefix});
    node.crash({});
    ASSERT_TRUE(node.open_fully().has_value());
    ASSERT_EQ(node.replica().commit(), OpNumber{4 + prefix}) << subset;
    ASSERT_EQ(node.wrong(), "") << subset;
  }
}

// A frame of two sectors, every subset of its sixteen 512-byte pieces on disk.
TEST(JournalRecovery, EveryTearOfAFrame) {
  for (std::uint32_t pieces = 0; pieces < (1U << 16U); pieces += pieces < 65'400 ? 331 : 1) {
    Node node(small_options());
    ASSERT_TRUE(node.open_fully().has_value());
    node.propose(body_of_sectors(2));
    node.propose(300);
    node.crash({{.fate = Fate::torn, .pieces = pieces}, {.fate = Fate::whole}});
    ASSERT_TRUE(node.open_fully().has_value());
    // The last piece holds zeros only beyond byte 7,992, so pieces 0..14 and the rest of the body.
    const bool whole = pieces == 0xFFFF;
    ASSERT_EQ(node.replica().commit(), OpNumber{whole ? 2U : 0U}) << pieces;
    ASSERT_EQ(node.wrong(), "");
  }
}

TEST(JournalRecovery, ALostDurableOperationForbidsTheOpenAndIsNamed) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  for (int i = 0; i < 5; ++i) {
    node.propose(300);
    node.end_all_writes();
  }
  close(node);
  node.disk().journal[file_offset(2 * sector_size) + 300] ^= std::byte{1};
  const Status opened = node.open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), Code::integrity_journal_lost);
  EXPECT_NE(opened.error().what().find("operation 3"), std::string::npos);
  EXPECT_NE(opened.error().what().find("ring offset 8192"), std::string::npos);
  EXPECT_EQ(opened.error().where(), "journal, byte 16384");
}

// Without a mark the frames themselves remember: one eight later was issued after it was durable.
TEST(JournalRecovery, LaterFramesRememberWhatWasDurable) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  for (int i = 0; i < 5; ++i) {
    node.propose(300);
    node.end_all_writes();
  }
  node.crash({});
  node.disk().journal[file_offset(1 * sector_size) + 10] ^= std::byte{1};
  EXPECT_EQ(node.open().error().code(), Code::integrity_journal_lost);
  node.disk().journal[file_offset(1 * sector_size) + 10] ^= std::byte{1};
  // The last one nobody remembers: it is taken for torn. `strict` is for who must not risk that.
  node.disk().journal[file_offset(4 * sector_size) + frame_header_size] ^= std::byte{1};
  ASSERT_TRUE(node.open().has_value());
  EXPECT_EQ(node.recovered().frames.size(), 4U);
}

// A crash leaves the head of the last frame whole or not there, so a changed one is damage.
TEST(JournalRecovery, ADamagedHeadOfTheLastFrameIsNotTakenForTorn) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  for (int i = 0; i < 3; ++i) {
    node.propose(300);
    node.end_all_writes();
  }
  node.crash({});
  const std::uint64_t last = file_offset(2 * sector_size);
  for (std::uint64_t i = 0; i < frame_header_size; ++i) {
    for (const std::byte mask : {std::byte{1}, std::byte{0xFF}}) {
      node.disk().journal[last + i] ^= mask;
      const Status opened = node.open();
      ASSERT_FALSE(opened.has_value()) << "byte " << i;
      EXPECT_EQ(opened.error().code(), Code::integrity_journal_lost);
      EXPECT_NE(opened.error().what().find("operation 3"), std::string::npos);
      const auto audit = node.audit();
      ASSERT_TRUE(audit.has_value());
      ASSERT_FALSE(audit->findings.empty());
      EXPECT_EQ(audit->findings.front().offset, last);
      node.disk().journal[last + i] ^= mask;
    }
  }
  // What another operation left behind in that place is none.
  std::fill_n(node.disk().journal.begin() + static_cast<std::ptrdiff_t>(last), sector_size,
              std::byte{0});
  ASSERT_TRUE(node.open().has_value());
  EXPECT_EQ(node.recovered().frames.size(), 2U);
}

TEST(JournalRecovery, StrictNoticesTheLossOfTheLastWrite) {
  ReplicaOptions options = small_options();
  options.strict = true;
  Node node(options);
  ASSERT_TRUE(node.open_fully().has_value());
  node.propose(300);
  node.end_all_writes();
  ASSERT_EQ(node.acknowledged(), OpNumber{1});
  node.crash({});
  std::fill_n(node.disk().journal.begin() + static_cast<std::ptrdiff_t>(file_offset(0)),
              sector_size, std::byte{0});
  EXPECT_EQ(node.open().error().code(), Code::integrity_journal_lost);
}

// The superblock of the open before is as good as a mark.
TEST(JournalRecovery, TheAdoptedHeadIsRemembered) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  node.propose(300);
  node.end_all_writes();
  node.crash({});
  ASSERT_TRUE(node.open_fully().has_value());
  node.crash({});
  std::fill_n(node.disk().journal.begin() + static_cast<std::ptrdiff_t>(file_offset(0)),
              sector_size, std::byte{0});
  EXPECT_EQ(node.open().error().code(), Code::integrity_journal_lost);
}

// A frame that could not be read when the log was adopted without it never comes back.
TEST(JournalRecovery, WhatWasGivenUpStaysGivenUp) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  node.propose(300);
  node.propose(300);
  node.crash({{.fate = Fate::whole}, {.fate = Fate::whole}});
  const std::size_t at = file_offset(sector_size) + frame_header_size;
  node.disk().journal[at] ^= std::byte{1};
  ASSERT_TRUE(node.open_fully().has_value());
  ASSERT_EQ(node.replica().commit(), OpNumber{1});
  node.crash({});
  node.disk().journal[at] ^= std::byte{1};  // the sector reads well again
  ASSERT_TRUE(node.open_fully().has_value());
  EXPECT_EQ(node.replica().commit(), OpNumber{1});
  EXPECT_EQ(node.wrong(), "");
}

TEST(JournalRecovery, NoticesASuperblockOlderThanTheJournal) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  const std::vector<std::byte> old = node.disk().superblock;
  node.crash({});
  ASSERT_TRUE(node.open_fully().has_value());
  node.propose(300);
  node.end_all_writes();
  node.crash({});
  node.disk().superblock = old;
  EXPECT_EQ(node.open().error().code(), Code::integrity_rollback);
}

TEST(JournalRecovery, NoticesTheJournalOfAnotherCluster) {
  Node node(small_options());
  ASSERT_TRUE(node.open_fully().has_value());
  node.propose(300);
  node.end_all_writes();
  close(node);
  Genesis other = testing::genesis();
  other.cluster.fill(std::byte{0xEE});
  encode_superblock(first_superblock(other),
                    std::span<std::byte, superblock_size>(node.disk().superblock));
  EXPECT_EQ(node.open().error().code(), Code::integrity_foreign_file);
}

// A frame that stands where (J1) would not have put it does not count.
TEST(JournalRecovery, AFrameMustStandWhereItBelongs) {
  const JournalLimits limits = small_options().journal;
  testing::Disk disk(limits.ring_size);
  Superblock superblock = first_superblock(testing::genesis());
  superblock.view = ViewNumber{1};
  superblock.log_view = ViewNumber{1};
  superblock.checkpoint.ring_offset = 8 * sector_size;
  testing::put_frame(disk, root_prepare(superblock.cluster), 1, 0, 1);
  const auto journal = recover_journal(superblock, limits, disk.reader());
  ASSERT_TRUE(journal.has_value());
  EXPECT_TRUE(journal->frames.empty()) << "it fits at the checkpoint's end";
}

TEST(JournalRecovery, NoticesALogOtherThanTheAdoptedOne) {
  const JournalLimits limits = small_options().journal;
  testing::Disk disk(limits.ring_size);
  Superblock superblock = first_superblock(testing::genesis());
  superblock.view = ViewNumber{2};
  superblock.log_view = ViewNumber{2};
  const PrepareHeader root = root_prepare(superblock.cluster);
  superblock.view_headers = {testing::put_frame(disk, root, 1, 0, 2)};
  testing::put_frame(disk, root, 1, 0, 1);
  const auto never_here = recover_journal(superblock, limits, disk.reader());
  ASSERT_TRUE(never_here.has_value());
  EXPECT_TRUE(never_here->frames.empty()) << "another view's prepare is not the adopted one";
  superblock.view_durable = OpNumber{1};
  EXPECT_EQ(recover_journal(superblock, limits, disk.reader()).error().code(),
            Code::integrity_journal_lost);
}

TEST(JournalRecovery, WithOtherVotersALossIsReportedAndTheOpenGoesOn) {
  const JournalLimits limits = small_options().journal;
  testing::Disk disk(limits.ring_size);
  Genesis genesis = testing::genesis();
  genesis.configuration = testing::group_of(3, 0);
  Superblock superblock = first_superblock(genesis);
  const PrepareHeader root = root_prepare(superblock.cluster);
  const PrepareHeader first = testing::put_frame(disk, root, 0, 0, 1);
  superblock.view_headers = {first};
  superblock.view_durable = OpNumber{1};
  disk.journal[file_offset(300)] ^= std::byte{1};
  const auto recovered = recover_journal(superblock, limits, disk.reader());
  ASSERT_TRUE(recovered.has_value());
  ASSERT_TRUE(recovered->lost.has_value());
  EXPECT_EQ(recovered->lost->code(), Code::integrity_journal_lost);
  EXPECT_EQ(recovered->durable_seen, OpNumber{1});
  EXPECT_TRUE(recovered->frames.empty());
}

TEST(JournalRecovery, PassesOnWhatReadingFailsWith) {
  Node node(small_options());
  const auto superblock =
      read_superblock(std::span<const std::byte, superblock_size>(node.disk().superblock));
  for (std::uint64_t bad : {std::uint64_t{0}, file_offset(0), file_offset(39 * sector_size)}) {
    const ReadAt broken = [&](std::uint64_t offset, MutBytes to) -> Status {
      if (offset <= bad && bad < offset + to.size()) {
        return Error{Code::unavailable_io, "a bad sector"};
      }
      return node.disk().reader()(offset, to);
    };
    EXPECT_EQ(
        recover_journal(superblock->superblock, small_options().journal, broken).error().code(),
        Code::unavailable_io);
  }
}

TEST(JournalRecovery, RefusesARingItCannotUse) {
  const auto status = [](std::uint64_t ring, std::uint64_t prepare) {
    return check_limits({.ring_size = ring, .prepare_size_max = prepare});
  };
  EXPECT_TRUE(status(journal_ring_embedded, prepare_size_max).has_value());
  EXPECT_TRUE(status(journal_ring_server, prepare_size_max).has_value());
  using Pair = std::pair<std::uint64_t, std::uint64_t>;
  for (const auto& [ring, prepare] :
       {Pair{0, 4096}, Pair{7 * 4096, 4096}, Pair{8 * 4096 + 1, 4096}, Pair{1 << 30, 0},
        Pair{1ULL << 40U, 2 * prepare_size_max}, Pair{UINT64_MAX - 4095, 4096}}) {
    EXPECT_EQ(status(ring, prepare).error().code(), Code::usage_config) << ring;
  }
}

TEST(JournalRecovery, ARingSaysHowLargeAPrepareMayBe) {
  EXPECT_EQ(limits_of(journal_ring_embedded).prepare_size_max, prepare_size_max);
  EXPECT_EQ(limits_of(journal_ring_server).prepare_size_max, prepare_size_max);
  EXPECT_EQ(limits_of(journal_ring_min).prepare_size_max, journal_ring_min / 8);
  for (std::uint64_t sectors = 8; sectors < 100; ++sectors) {
    EXPECT_TRUE(check_limits(limits_of(sectors * sector_size))) << sectors;
  }
  EXPECT_FALSE(check_limits(limits_of(7 * sector_size)));
  EXPECT_FALSE(check_limits(limits_of(8 * sector_size + 1)));
}

// ---- marks ------------------------------------------------------------------------------------

// Every subset of the pieces of a mark's write, on top of every older pair.
TEST(Marks, EveryTearOfAMark) {
  for (std::uint32_t before = 0; before < 3; ++before) {
    for (std::uint32_t pieces = 0; pieces < 256; pieces += 5) {
      Node node(small_options());
      ASSERT_TRUE(node.open_fully().has_value());
      for (std::uint32_t i = 0; i <= before; ++i) {
        node.propose(300);
        node.end_all_writes();
        node.advance_ns(mark_idle_ns);
        node.step(Tick{});
        if (i < before) node.end_all_writes();
      }
      ASSERT_EQ(node.writes_in_flight(), 1U);
      node.crash({{.fate = Fate::torn, .pieces = pieces}});
      ASSERT_TRUE(node.open().has_value());
      const bool torn = node.recovered().mark_damaged;
      node.end_all_writes();
      ASSERT_EQ(node.replica().commit(), OpNumber{before + 1});
      node.crash({});
      ASSERT_TRUE(node.open_fully().has_value());
      EXPECT_FALSE(node.recovered().mark_damaged) << "the open after it wrote it again";
      if (pieces == 0) {
        EXPECT_FALSE(torn);
      }
      ASSERT_EQ(node.wrong(), "");
    }
  }
}

// ---- audit ------------------------------------------------------------------------------------

class Audit : public ::testing::Test {
 protected:
  // A checkpoint, so that there are stale frames, then live ones of several sizes round the ring's
  // end, then a clean close.
  void SetUp() override {
    ASSERT_TRUE(node_.open_fully().has_value());
    for (int i = 0; i < 8; ++i) {
      node_.propose(body_of_sectors(4));
      node_.end_all_writes();
      if (node_.checkpoint_due()) node_.finish_checkpoint();
      node_.end_all_writes();
    }
    node_.step(RequestCheckpoint{});
    node_.finish_checkpoint();
    node_.end_all_writes();
    for (const std::size_t sectors : {1U, 2U, 2U, 4U, 1U}) {
      node_.propose(body_of_sectors(sectors));
      node_.end_all_writes();
    }
    close(node_);
  }

  Node node_{small_options()};
};

TEST_F(Audit, SaysWhatEveryByteIs) {
  const auto audit = node_.audit();
  ASSERT_TRUE(audit.has_value());
  EXPECT_TRUE(audit->findings.empty());
  EXPECT_EQ(audit->head, OpNumber{13});
  std::uint64_t at = 0;
  std::set<RangeKind> kinds;
  std::uint64_t live = 0;
  for (const JournalRange& range : audit->ranges) {
    ASSERT_EQ(range.offset, at);
    at += range.size;
    kinds.insert(range.kind);
    live += range.kind == RangeKind::live_frame ? 1 : 0;
  }
  EXPECT_EQ(at, journal_size(small_options().journal.ring_size));
  EXPECT_EQ(live, audit->live_frames);
  EXPECT_TRUE(kinds.contains(RangeKind::mark) && kinds.contains(RangeKind::live_frame) &&
              kinds.contains(RangeKind::stale_frame));
}

// Every byte of marks and live frames: the audit names it and the open refuses it, or, of a mark,
// mends it. Of the rest one byte a sector: nothing is said, nothing changes.
TEST_F(Audit, FindsEveryFlippedByteThatMatters) {
  const auto whole = node_.audit();
  ASSERT_TRUE(whole.has_value());
  std::vector<std::byte>& journal = node_.disk().journal;
  const bool every = std::getenv("KIMBERLITE_EVERY_BYTE") != nullptr;
  const auto live = std::ranges::find(whole->ranges, RangeKind::live_frame, &JournalRange::kind);
  const std::uint64_t first_live = live->offset + frame_header_size;
  for (const JournalRange& range : whole->ranges) {
    const bool matters = range.kind == RangeKind::mark || range.kind == RangeKind::live_frame;
    for (std::uint64_t i = range.offset; i < range.offset + range.size; ++i) {
      const std::uint64_t within = i - range.offset;
      // KIMBERLITE_EVERY_BYTE=1 flips all; otherwise all of one header, and samples of the rest.
      const std::uint64_t stride = !matters                                         ? sector_size
                                   : every || (i >= live->offset && i < first_live) ? 1
                                   : within < 400                                   ? 7
                                                                                    : 401;
      if (within % stride != 0 && range.size - within > 3) {
        continue;
      }
      journal[i] ^= std::byte{0x04};
      const auto audit = node_.audit();
      ASSERT_TRUE(audit.has_value());
      if (matters) {
        ASSERT_FALSE(audit->findings.empty()) << name(range.kind) << ", byte " << i;
        const Finding& finding = audit->findings.front();
        EXPECT_EQ(finding.offset, range.offset) << "byte " << i;
        EXPECT_EQ(finding.severity, Severity::damage);
        EXPECT_NE(finding.error.where().find(fmt::format("{}", range.offset)), std::string::npos);
      } else {
        ASSERT_TRUE(audit->findings.empty()) << name(range.kind) << ", byte " << i;
        ASSERT_EQ(audit->head, whole->head);
      }
      const auto superblock =
          read_superblock(std::span<const std::byte, superblock_size>(node_.disk().superblock));
      const auto opened =
          recover_journal(superblock->superblock, small_options().journal, node_.disk().reader());
      ASSERT_EQ(opened.has_value(), range.kind != RangeKind::live_frame) << "byte " << i;
      journal[i] ^= std::byte{0x04};
    }
  }
}

}  // namespace
}  // namespace kimberlite::consensus
