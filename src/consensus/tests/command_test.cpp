#include "consensus/command.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace kimberlite::consensus {
namespace {

CommandHeader sample(std::uint32_t items, std::uint32_t body, std::uint32_t sidecar) {
  CommandHeader header{.kind = 7,
                       .lane = 1,
                       .flags = 0x01020304,
                       .item_count = items,
                       .tenant = TenantId{3},
                       .base = Position{41},
                       .access_version = 9,
                       .body_size = body,
                       .sidecar_size = sidecar};
  header.actor.fill(std::byte{0xA1});
  header.session.fill(std::byte{0xA2});
  header.request_id.fill(std::byte{0xA3});
  header.correlation.fill(std::byte{0xA4});
  return header;
}

// A body of `headers`, each part filled with the command's number.
MutableBuffer build(BlockPool& pool, const std::vector<CommandHeader>& headers) {
  BodyBuilder builder(pool, 0);
  std::uint8_t fill = 1;
  for (const CommandHeader& header : headers) {
    const auto room = builder.add(header);
    if (!room) return nullptr;
    std::ranges::fill(*room, std::byte{fill++});
  }
  return builder.take();
}

Bytes body_of(const Block& block) { return block.bytes().subspan(frame_header_size); }

TEST(Command, WhatIsBuiltIsRead) {
  BlockPool pool;
  const std::vector<CommandHeader> headers{sample(1, 96, 0), sample(2, 300, 70),
                                           sample(3, 70'000, 1), sample(1, 97, 3)};
  const MutableBuffer block = build(pool, headers);
  ASSERT_NE(block, nullptr);
  CommandReader reader(body_of(*block), 4);
  for (std::size_t i = 0; i < headers.size(); ++i) {
    auto command = reader.next();
    ASSERT_TRUE(command.has_value() && command->has_value()) << i;
    EXPECT_EQ((*command)->header, headers[i]);
    EXPECT_EQ((*command)->items.size(), headers[i].body_size);
    EXPECT_EQ((*command)->sidecar.size(), headers[i].sidecar_size);
    for (const std::byte b : (*command)->items) ASSERT_EQ(std::to_integer<std::size_t>(b), i + 1);
  }
  const auto end = reader.next();
  ASSERT_TRUE(end.has_value());
  EXPECT_FALSE(end->has_value());
}

TEST(Command, TheHeaderIsLaidOutAsDocumented) {
  BlockPool pool;
  const MutableBuffer block = build(pool, {sample(2, 200, 5)});
  const Bytes header = body_of(*block).first(command_header_size);
  EXPECT_EQ(to_hex(header),
            "3d010000"  // size 317
            "0700"
            "0100"              // kind, lane
            "04030201"          // flags
            "02000000"          // item_count
            "0300000000000000"  // tenant
            "2900000000000000"  // base
            "09000000"          // access_version
            "c8000000"
            "05000000"  // body_size, sidecar_size
            "00000000"  // zero
            "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            "a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2"
            "a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3"
            "a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4");
}

TEST(Command, NothingButWholeCommandsIsABody) {
  BlockPool pool;
  const MutableBuffer block = build(pool, {sample(1, 96, 0), sample(2, 300, 70)});
  const Bytes body = body_of(*block);
  for (std::size_t size = 0; size < body.size(); ++size) {
    CommandReader reader(body.first(size), 2);
    auto first = reader.next();
    if (first) first = reader.next();
    ASSERT_FALSE(first.has_value()) << "cut to " << size;
    EXPECT_EQ(first.error().code(), Code::integrity_command);
  }
  CommandReader too_few(body, 1);
  ASSERT_TRUE(too_few.next().has_value());
  EXPECT_EQ(too_few.next().error().code(), Code::integrity_command);
  CommandReader none({}, 0);
  EXPECT_FALSE(none.next()->has_value());
}

// Every changed byte of the first 48 either changes a field that is passed on or is refused.
TEST(Command, NoByteOfTheWordsIsIgnored) {
  BlockPool pool;
  const CommandHeader original = sample(2, 200, 5);
  const MutableBuffer block = build(pool, {original});
  std::vector<std::byte> bytes(body_of(*block).begin(), body_of(*block).end());
  for (std::size_t i = 0; i < core::command_header_size; ++i) {
    bytes[i] ^= std::byte{0x80};
    CommandReader reader(bytes, 1);
    const auto command = reader.next();
    if (command) {
      EXPECT_NE((*command)->header, original) << "byte " << i;
    }
    bytes[i] ^= std::byte{0x80};
  }
}

TEST(Command, LimitsAreKeptWhenWritingAndWhenReading) {
  BlockPool pool;
  BodyBuilder builder(pool, 0);
  EXPECT_EQ(builder.add(sample(1, command_size_max, 0)).error().code(), Code::limit_command);
  EXPECT_EQ(builder.add(sample(1, UINT32_MAX, UINT32_MAX)).error().code(), Code::limit_command);
  EXPECT_EQ(builder.add(sample(0, 96, 0)).error().code(), Code::limit_command);
  EXPECT_EQ(builder.add(sample(2, 191, 0)).error().code(), Code::limit_command);
  EXPECT_EQ(builder.commands(), 0U);
  EXPECT_EQ(builder.body_size(), 0U);
  const auto largest = static_cast<std::uint32_t>(command_size_max - command_header_size);
  ASSERT_TRUE(builder.add(sample(1, largest, 0)).has_value());
  EXPECT_EQ(builder.add(sample(1, largest, 0)).error().code(), Code::limit_request);
  EXPECT_FALSE(builder.fits(command_size_max));
  const std::uint64_t left = body_size_max - builder.body_size();
  EXPECT_TRUE(builder.fits(left));
  EXPECT_FALSE(builder.fits(left + 1));
  const auto rest = static_cast<std::uint32_t>(left - command_header_size);
  ASSERT_TRUE(builder.add(sample(1, rest, 0)).has_value());
  EXPECT_EQ(builder.take()->size(), prepare_size_max);

  std::array<std::byte, command_header_size> bytes{};
  core::store_command_words(
      bytes.data(), core::CommandWords{.size = static_cast<std::uint32_t>(command_size_max + 1),
                                       .item_count = 1,
                                       .body_size = static_cast<std::uint32_t>(
                                           command_size_max + 1 - command_header_size)});
  core::CommandWords words;
  EXPECT_EQ(core::load_command_words(bytes.data(), prepare_size_max, words),
            core::CommandFault::limit);
}

TEST(Block, IsAlignedAndReused) {
  BlockPool pool(1U << 20U);
  const std::byte* memory = nullptr;
  {
    const MutableBuffer block = pool.take(5000);
    memory = block->bytes().data();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % sector_size, 0U);
    EXPECT_EQ(block->size(), 5000U);
    EXPECT_EQ(block->capacity(), 8192U);
  }
  EXPECT_EQ(pool.cached_bytes(), 8192U);
  EXPECT_EQ(pool.take(8192)->bytes().data(), memory);
  {
    const MutableBuffer large = pool.take(2U << 20U);
  }
  EXPECT_EQ(pool.cached_bytes(), 8192U) << "more than the pool may keep is given back at once";
}

TEST(Block, OutlivesItsPool) {
  auto pool = std::make_unique<BlockPool>();
  const MutableBuffer block = pool->take(4096);
  pool.reset();
  std::ranges::fill(block->bytes(), std::byte{1});
  EXPECT_EQ(block->bytes()[4095], std::byte{1});
}

}  // namespace
}  // namespace kimberlite::consensus
