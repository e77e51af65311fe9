#include "consensus/message.hpp"

#include <gtest/gtest.h>

#include "base/checked.hpp"
#include "crypto/blake3.hpp"
#include "support/node.hpp"

namespace kimberlite::consensus {
namespace {

const Id128 cluster = testing::genesis().cluster;

PrepareHeader header_after(const PrepareHeader& before) {
  PrepareHeader header{.parent = before.checksum,
                       .cluster = cluster,
                       .view = ViewNumber{3},
                       .op = OpNumber{before.op.value() + 1},
                       .commit = before.op,
                       .timestamp = next_timestamp(before)};
  std::array<std::byte, prepare_header_size> bytes;
  header.body_checksum = crypto::blake3(Bytes{});
  encode_prepare(header, bytes);
  return header;
}

Suffix suffix_of(std::size_t count) {
  const PrepareHeader root = root_prepare(cluster);
  Suffix suffix{.base = {}, .base_checksum = root.checksum, .headers = {}};
  PrepareHeader before = root;
  for (std::size_t i = 0; i < count; ++i) {
    suffix.headers.push_back(header_after(before));
    before = suffix.headers.back();
  }
  return suffix;
}

std::vector<Message> samples() {
  Configuration group = testing::group_of(3, 1);
  group.epoch = 4;
  std::vector<Payload> payloads{
      PrepareOk{.op = OpNumber{5}, .checkpoint = OpNumber{2}, .checksum = {}},
      Heartbeat{.round = 7, .op = OpNumber{9}, .released = OpNumber{1}, .lives = {{{7, 1}}}},
      HeartbeatOk{.round = 7, .checkpoint = OpNumber{1}, .lives = {{{}, {9, 2}}}},
      StartViewChange{.current = ViewNumber{2}},
      DoViewChange{.log_view = ViewNumber{2},
                   .present = 0b011,
                   .nacked = 0b100,
                   .lives = {{{7, 1}, {}, {9, 2}}},
                   .suffix = suffix_of(3)},
      DoViewChange{.log_view = ViewNumber{2}, .present = 0, .nacked = 0, .suffix = suffix_of(16)},
      StartView{.nonce = {}, .suffix = suffix_of(0)},
      StartView{.nonce = cluster, .suffix = suffix_of(2)},
      RequestStartView{.nonce = cluster, .lost = true},
      RequestPrepares{.from = OpNumber{3}, .to = OpNumber{8}},
      Gone{.op = OpNumber{3}, .checkpoint = OpNumber{80}},
      RecoveryAnswer{.nonce = cluster, .lost = true, .lives = {{{18, 19}, {}, {20, 21}}}},
      Hello{.seen = {.incarnation = 7, .token = 0x1234},
            .answered = true,
            .lost = true,
            .tokens = {1, 2, 3},
            .format = 4,
            .configuration = group},
      Ping{.round = 5},
      Pong{.round = 5, .wall = TimestampUs{1'700'000'000'000'000}}};
  std::vector<Message> messages;
  messages.reserve(payloads.size());
  for (Payload& payload : payloads) {
    messages.push_back({.from = 2,
                        .life = {.incarnation = 5, .token = 6},
                        .epoch = static_cast<std::uint32_t>(group.epoch),
                        .view = ViewNumber{3},
                        .commit = OpNumber{4},
                        .payload = std::move(payload)});
  }
  return messages;
}

// A prepare with a body of 300 bytes, as a frame.
std::vector<std::byte> frame(PrepareHeader& header) {
  std::vector<std::byte> bytes(sector_size, std::byte{0x5A});
  FrameHead head{.ring_offset = 0, .durable = {}, .prepare = header_after(root_prepare(cluster))};
  head.prepare.size = prepare_header_size + 300;
  head.prepare.commands = 1;
  seal_frame(head, bytes);
  header = head.prepare;
  return bytes;
}

TEST(Message, WhatIsWrittenIsRead) {
  BlockPool pool;
  for (const Message& message : samples()) {
    const Buffer bytes = encode_message(message, cluster, pool);
    const auto read = decode_message(bytes->bytes(), cluster);
    ASSERT_TRUE(read.has_value()) << name(message.payload) << ": " << to_string(read.error());
    EXPECT_EQ(*read, message) << name(message.payload);
  }
  PrepareHeader header;
  const std::vector<std::byte> whole = frame(header);
  const Message prepare{
      .from = 1, .view = ViewNumber{4}, .commit = OpNumber{}, .payload = Prepare{header}};
  const Buffer bytes = encode_prepare_message(prepare, whole, pool);
  ASSERT_EQ(bytes->size(), frame_header_size + 300);
  const auto read = decode_message(bytes->bytes(), cluster);
  ASSERT_TRUE(read.has_value()) << to_string(read.error());
  EXPECT_EQ(*read, prepare);
  EXPECT_TRUE(equal(bytes->bytes().subspan(frame_header_size),
                    Bytes(whole).subspan(frame_header_size, 300)));
}

TEST(Message, EveryFlippedByteAndEveryLengthIsRefused) {
  BlockPool pool;
  PrepareHeader header;
  const std::vector<std::byte> whole = frame(header);
  std::vector<Buffer> all{encode_prepare_message(
      {.from = 1, .view = ViewNumber{4}, .commit = OpNumber{}, .payload = Prepare{header}}, whole,
      pool)};
  for (const Message& message : samples()) all.push_back(encode_message(message, cluster, pool));
  for (const Buffer& bytes : all) {
    std::vector<std::byte> changed(bytes->bytes().begin(), bytes->bytes().end());
    for (std::byte& byte : changed) {
      byte ^= std::byte{0x04};
      ASSERT_EQ(decode_message(changed, cluster).error().code(), Code::integrity_encoding);
      byte ^= std::byte{0x04};
    }
    for (std::size_t size = 0; size < changed.size(); ++size) {
      ASSERT_FALSE(decode_message(Bytes(changed).first(size), cluster).has_value()) << size;
    }
    changed.push_back(std::byte{0});
    EXPECT_FALSE(decode_message(changed, cluster).has_value()) << "a byte too many";
    changed.pop_back();
    Id128 other = cluster;
    other[0] ^= std::byte{1};
    EXPECT_FALSE(decode_message(changed, other).has_value()) << "another cluster";
  }
}

// The checksum is no secret: a forger can set it, and what then contradicts itself is still
// refused.
TEST(Message, AForgedChecksumDoesNotMakeNonsenseRight) {
  BlockPool pool;
  const auto forged = [&](std::size_t sample, std::size_t at, std::byte value) {
    const Buffer bytes = encode_message(samples()[sample], cluster, pool);
    std::vector<std::byte> changed(bytes->bytes().begin(), bytes->bytes().end());
    changed[at] = value;
    std::ranges::copy(crypto::blake3(Bytes(changed).subspan(32)), changed.begin());
    return decode_message(changed, cluster).has_value();
  };
  const std::size_t dvc = 4;
  const std::size_t hello = 12;
  EXPECT_TRUE(forged(dvc, 104, std::byte{0b011})) << "unchanged";
  EXPECT_FALSE(forged(dvc, 104, std::byte{0b1011})) << "a bit for a header that is not there";
  EXPECT_FALSE(forged(dvc, 104, std::byte{0b111})) << "present and nacked";
  EXPECT_FALSE(forged(dvc, 320, std::byte{1})) << "headers that do not follow their base";
  EXPECT_FALSE(forged(dvc, 328, std::byte{1})) << "another base checksum";
  EXPECT_FALSE(forged(dvc, 360, std::byte{2})) << "fewer headers than there are";
  EXPECT_FALSE(forged(dvc, 360, std::byte{17})) << "more than a message may have";
  EXPECT_FALSE(forged(dvc, 36, std::byte{0}));
  EXPECT_FALSE(forged(dvc, 36, std::byte{1})) << "called a prepare";
  EXPECT_FALSE(forged(dvc, 36, std::byte{13}));
  EXPECT_FALSE(forged(dvc, 38, std::byte{2})) << "another version";
  EXPECT_FALSE(forged(hello, 44, std::byte{5})) << "another epoch than its configuration's";
}

// What a message brings is kept, and a view that ends the count of views would be the last one.
TEST(Message, WhatWouldNotOpenAgainIsRefused) {
  BlockPool pool;
  const auto is_read = [&](ViewNumber view, const Payload& payload) {
    const Message message{.from = 1, .life = {}, .view = view, .commit = {}, .payload = payload};
    return decode_message(encode_message(message, cluster, pool)->bytes(), cluster).has_value();
  };
  // The headers of `suffix_of` are of view 3.
  const StartView start{.nonce = {}, .suffix = suffix_of(2)};
  EXPECT_TRUE(is_read(ViewNumber{3}, start));
  EXPECT_FALSE(is_read(ViewNumber{2}, start)) << "the log of view 2 holds a prepare of view 3";
  EXPECT_FALSE(is_read(ViewNumber{2}, DoViewChange{.log_view = {}, .suffix = suffix_of(2)}));
  EXPECT_TRUE(is_read(ViewNumber{2}, DoViewChange{.log_view = ViewNumber{2}}));
  EXPECT_FALSE(is_read(ViewNumber{2}, DoViewChange{.log_view = ViewNumber{3}}));
  const ViewNumber beyond{view_max + 1};
  EXPECT_TRUE(is_read(ViewNumber{view_max}, RequestStartView{}));
  EXPECT_FALSE(is_read(beyond, RequestStartView{}));
  EXPECT_FALSE(is_read(beyond, DoViewChange{}));
  EXPECT_FALSE(is_read({}, StartViewChange{.current = beyond}));
}

TEST(Message, APrepareIsOfNoLaterViewAndAConfigurationIsOne) {
  BlockPool pool;
  PrepareHeader header;
  std::vector<std::byte> whole = frame(header);
  const auto is_read = [&](ViewNumber view) {
    const Message message{.from = 1, .view = view, .commit = {}, .payload = Prepare{header}};
    return decode_message(encode_prepare_message(message, whole, pool)->bytes(), cluster)
        .has_value();
  };
  EXPECT_TRUE(is_read(ViewNumber{3}));
  EXPECT_FALSE(is_read(ViewNumber{2}));
  const auto configures = [&](const Configuration& to) {
    FrameHead head{.ring_offset = 0, .durable = {}, .prepare = header_after(root_prepare(cluster))};
    head.prepare.size = prepare_header_size + configuration_size;
    head.prepare.configures = true;
    encode_configuration(to, MutBytes(whole).subspan<frame_header_size, configuration_size>());
    seal_frame(head, whole);
    header = head.prepare;
    return is_read(ViewNumber{3});
  };
  Configuration group = testing::group_of(3, 1);
  group.op = OpNumber{1};
  EXPECT_TRUE(configures(group));
  group.op = OpNumber{2};
  EXPECT_FALSE(configures(group)) << "it says that another operation made it";
  group.op = OpNumber{1};
  group.voters = 0;
  EXPECT_FALSE(configures(group)) << "nobody votes";
}

}  // namespace
}  // namespace kimberlite::consensus
