#include "consensus/superblock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "crypto/blake3.hpp"
#include "support/node.hpp"

namespace kimberlite::consensus {
namespace {

using File = std::vector<std::byte>;
using FileView = std::span<const std::byte, superblock_size>;

File encoded(const Superblock& superblock) {
  File file(superblock_size);
  encode_superblock(superblock, std::span<std::byte, superblock_size>(file));
  return file;
}

// A superblock with every field in use.
Superblock sample() {
  Genesis genesis = testing::genesis();
  genesis.configuration = testing::group_of(3, 2);
  genesis.replica = 2;
  Superblock superblock = first_superblock(genesis);
  superblock.sequence = 9;
  superblock.parent.fill(std::byte{0x99});
  superblock.configuration.epoch = 4;
  superblock.incarnation = 6;
  for (std::size_t i = 0; i < members_max; ++i)
    superblock.lives_seen[i] = {.incarnation = 100 + i, .token = 200 + i};
  superblock.view = ViewNumber{8};
  superblock.log_view = ViewNumber{7};
  superblock.sync_from = OpNumber{3};
  superblock.sync_to = OpNumber{5};
  superblock.checkpoint.op = OpNumber{40};
  superblock.checkpoint.next_timestamp = TimestampUs{123'456};
  superblock.checkpoint.ring_offset = 5 * sector_size;
  PrepareHeader header = root_prepare(genesis.cluster);
  for (std::uint64_t op = 1; op <= view_headers_max; ++op) {
    header.parent = header.checksum;
    header.op = OpNumber{op};
    header.view = ViewNumber{op / 4};
    header.timestamp = next_timestamp(header);
    header.size = prepare_header_size + 100;
    header.commands = 1;
    std::array<std::byte, prepare_header_size> bytes;
    encode_prepare(header, bytes);
    superblock.view_headers.push_back(header);
  }
  return superblock;
}

TEST(Superblock, WhatIsWrittenIsRead) {
  const Superblock superblock = sample();
  const File file = encoded(superblock);
  const auto read = read_superblock(FileView(file));
  ASSERT_TRUE(read.has_value()) << to_string(read.error());
  EXPECT_EQ(read->superblock, superblock);
  EXPECT_EQ(read->order, healthy_order);
  EXPECT_TRUE(read->findings.empty());
}

// No byte of any copy is without meaning, and one damaged copy is named to the byte.
TEST(Superblock, EveryFlippedByteIsFoundAndTheOthersStillCount) {
  const Superblock superblock = sample();
  File file = encoded(superblock);
  for (std::size_t i = 0; i < file.size(); i += i % sector_size < 512 ? 1U : 7U) {
    file[i] ^= std::byte{0x10};
    const auto read = read_superblock(FileView(file));
    ASSERT_TRUE(read.has_value()) << "byte " << i;
    ASSERT_EQ(read->superblock, superblock) << "byte " << i;
    ASSERT_EQ(read->findings.size(), 1U) << "byte " << i;
    EXPECT_EQ(read->findings[0].offset, i);
    EXPECT_EQ(read->findings[0].size, 1U);
    EXPECT_EQ(read->findings[0].severity, Severity::damage);
    EXPECT_EQ(read->findings[0].error.where(),
              fmt::format("superblock, byte {}, copy {}", i, i / sector_size));
    EXPECT_EQ(read->findings[0].error.what(), "a copy of the superblock is damaged");
    EXPECT_EQ(read->order[0], i / sector_size) << "the damaged copy is written first";
    file[i] ^= std::byte{0x10};
  }
}

// Bytes that carry the right checksum and are yet not what is ever written.
TEST(Superblock, OnlyTheCanonicalFormIsACopy) {
  const File file = encoded(sample());
  const auto altered = [&](std::size_t at, std::byte value) {
    Superblock superblock = sample();
    superblock.view_headers.resize(3);
    File copy = encoded(superblock);
    copy[at] = value;
    const Hash checksum = crypto::blake3(Bytes(copy).subspan(32, sector_size - 32));
    std::ranges::copy(checksum, copy.begin());
    return decode_superblock_copy(std::span<const std::byte, sector_size>(copy.data(), sector_size),
                                  0);
  };
  EXPECT_TRUE(altered(48, std::byte{9}).has_value()) << "unchanged";
  for (const std::size_t at :
       {43U, 46U, 47U, 176U, 183U, 32U, 35U, 672U + 3 * 192, 3751U, 3753U, 4080U, 4095U}) {
    EXPECT_EQ(altered(at, std::byte{7}).error().code(), Code::integrity_superblock) << at;
  }
  EXPECT_EQ(altered(42, std::byte{0}).error().code(), Code::integrity_superblock) << "nobody votes";
  EXPECT_EQ(altered(43, std::byte{1}).error().code(), Code::integrity_superblock)
      << "who is no member votes";
  EXPECT_EQ(altered(44, std::byte{13}).error().code(), Code::integrity_superblock);
  EXPECT_EQ(altered(45, std::byte{17}).error().code(), Code::integrity_superblock);
  EXPECT_EQ(altered(40, std::byte{0}).error().code(), Code::integrity_superblock);
  EXPECT_EQ(altered(40, std::byte{2}).error().code(), Code::unavailable_version);
  EXPECT_EQ(altered(120, std::byte{6}).error().code(), Code::integrity_superblock)
      << "log_view beyond view";
}

TEST(Superblock, RefusesWhatIsNone) {
  File file(superblock_size);
  EXPECT_EQ(read_superblock(FileView(file)).error().code(), Code::usage_not_ours);
  file = encoded(sample());
  for (std::size_t copy = 0; copy < 3; ++copy) file[copy * sector_size + 100] ^= std::byte{1};
  const auto read = read_superblock(FileView(file));
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), Code::integrity_superblock) << "one copy is no quorum";
}

TEST(Superblock, NoticesCopiesPutBackFromAnOlderTime) {
  Superblock superblock = sample();
  File file = encoded(superblock);
  Superblock newer = superblock;
  newer.sequence += 2;
  const File ahead = encoded(newer);
  std::copy_n(ahead.begin() + 3 * sector_size, sector_size, file.begin() + 3 * sector_size);
  EXPECT_EQ(read_superblock(FileView(file)).error().code(), Code::integrity_rollback);
}

// ---- crashes ----------------------------------------------------------------------------------

// A copy on disk, for the search below: torn, or of sequence s; `id` tells those of different
// writers apart.
struct Cell {
  int sequence = 0;  // 0: torn
  int id = 0;
  auto operator<=>(const Cell&) const = default;
};
using Cells = std::array<Cell, superblock_copies>;

// The superblocks there are: each life writes its own after the one it read.
struct World {
  std::map<Cell, Superblock> made;
  std::map<std::pair<Cell, int>, Cell> successor;

  Cell next(const Cell& after, int life) {
    const Cell fresh{after.sequence + 1, static_cast<int>(made.size())};
    const auto [at, is_new] = successor.try_emplace({after, life}, fresh);
    if (is_new) {
      Superblock superblock = made.at(after);
      superblock.parent = superblock_identity(superblock);
      superblock.sequence = static_cast<std::uint64_t>(fresh.sequence);
      superblock.incarnation = static_cast<std::uint64_t>(fresh.id);
      made[fresh] = superblock;
    }
    return at->second;
  }

  File file(const Cells& cells) const {
    File file(superblock_size);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (cells[i].sequence == 0) {
        std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(i * sector_size), 600, std::byte{9});
        continue;
      }
      const File whole = encoded(made.at(cells[i]));
      std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(i * sector_size), sector_size,
                  file.begin() + static_cast<std::ptrdiff_t>(i * sector_size));
    }
    return file;
  }
};

// Every way a write can be interrupted, after every way the write before it was, three lives deep:
// at every moment the file reads as the superblock that was durable or as the one being written,
// and never again as an older one.
TEST(Superblock, IsReadableAfterEveryCrash) {
  World world;
  const Cell first{1, 0};
  Superblock superblock = first_superblock(testing::genesis());
  world.made[first] = superblock;
  struct State {
    Cells cells;
    Cell durable;  // what the file must not fall behind
    int lives = 0;
  };
  std::set<std::pair<Cells, Cell>> seen;
  std::deque<State> open{{.cells = {first, first, first, first}, .durable = first, .lives = 0}};
  std::size_t crashes = 0;
  while (!open.empty()) {
    const State state = open.front();
    open.pop_front();
    const auto read = read_superblock(FileView(world.file(state.cells)));
    ASSERT_TRUE(read.has_value()) << to_string(read.error());
    Cell found;
    for (const auto& [cell, made] : world.made) {
      if (made == read->superblock) found = cell;
    }
    ASSERT_GE(found.sequence, state.durable.sequence);
    if (found.sequence == state.durable.sequence) {
      ASSERT_EQ(found, state.durable);
    }
    if (state.lives == 3) continue;
    const int life = state.lives + 1;
    const Cell next = world.next(found, life);
    Cells cells = state.cells;
    for (const std::size_t phase : {0U, 2U}) {
      const std::size_t a = read->order[phase];
      const std::size_t b = read->order[phase + 1];
      for (const Cell& at_a : {cells[a], Cell{}, next}) {
        for (const Cell& at_b : {cells[b], Cell{}, next}) {
          Cells after = cells;
          after[a] = at_a;
          after[b] = at_b;
          ++crashes;
          // Once two copies of the new one are there, it may be what is read from then on.
          const bool moved = std::count(after.begin(), after.end(), next) >= 2;
          const Cell durable = moved ? next : found;
          if (seen.insert({after, durable}).second) {
            open.push_back({.cells = after, .durable = durable, .lives = life});
          }
        }
      }
      cells[a] = next;
      cells[b] = next;
    }
  }
  EXPECT_GT(crashes, 1000U);
}

}  // namespace
}  // namespace kimberlite::consensus
