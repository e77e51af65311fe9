#include "golden.hpp"

#include <gtest/gtest.h>

#include "consensus/command.hpp"
#include "consensus/frame.hpp"
#include "consensus/message.hpp"
#include "consensus/superblock.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::consensus {
namespace {

template <class T>
T filled(std::uint8_t with) {
  T value;
  std::uint8_t next = with;
  for (std::byte& b : value) b = std::byte{next++};
  return value;
}

Bytes without_zeros(Bytes bytes) {
  while (!bytes.empty() && bytes.back() == std::byte{0}) bytes = bytes.first(bytes.size() - 1);
  return bytes;
}

TEST(Golden, Consensus) {
  golden::File file{"consensus.txt"};
  file.comment("Formats of the consensus layer, zeros at the end of a sector left out.");
  const Id128 cluster = filled<Id128>(0x10);
  const PrepareHeader root = root_prepare(cluster);
  file.check("root_checksum", root.checksum);

  BlockPool pool;
  BodyBuilder builder(pool, 0);
  CommandHeader command{.kind = 2,
                        .lane = 1,
                        .flags = 0x0A0B0C0D,
                        .item_count = 1,
                        .tenant = TenantId{0x1112131415161718},
                        .base = Position{0x2122232425262728},
                        .access_version = 0x31323334,
                        .body_size = 100,
                        .sidecar_size = 7};
  command.actor = filled<Id128>(0x40);
  command.session = filled<Id128>(0x50);
  command.request_id = filled<Id128>(0x60);
  command.correlation = filled<Id128>(0x70);
  const auto room = builder.add(command);
  ASSERT_TRUE(room.has_value());
  std::ranges::fill(*room, std::byte{0xCC});
  const MutableBuffer frame = builder.take();
  const auto size = static_cast<std::uint32_t>(frame->size());
  file.check("command_header", frame->bytes().subspan(frame_header_size, command_header_size));
  frame->resize(sector_size);
  FrameHead head{.ring_offset = 0x3000,
                 .durable = OpNumber{0},
                 .prepare = {.checksum = {},
                             .body_checksum = {},
                             .parent = root.checksum,
                             .cluster = cluster,
                             .view = ViewNumber{0x0102030405060708},
                             .op = OpNumber{1},
                             .commit = OpNumber{0},
                             .timestamp = TimestampUs{1'700'000'000'123'456},
                             .size = size - static_cast<std::uint32_t>(local_header_size),
                             .commands = 1}};
  seal_frame(head, frame->bytes());
  file.check("frame", without_zeros(frame->bytes()));

  // The same three checksums by hand, over the ranges the format names.
  const Bytes bytes = frame->bytes();
  EXPECT_TRUE(equal(bytes.subspan(96, 32), crypto::blake3(bytes.subspan(256, size - 256))));
  EXPECT_TRUE(equal(bytes.subspan(64, 32), crypto::blake3(bytes.subspan(96, 160))));
  EXPECT_TRUE(equal(bytes.first(32), crypto::blake3(bytes.subspan(32, 224))));

  std::array<std::byte, mark_size> mark;
  encode_mark({.sequence = 5,
               .durable = OpNumber{1},
               .view = ViewNumber{0x0102030405060709},
               .cluster = cluster,
               .headers = {head.prepare}},
              mark);
  file.check("mark", without_zeros(mark));

  Superblock superblock =
      first_superblock({.cluster = cluster,
                        .configuration = {.voters = 1, .members = {filled<Id128>(0x20)}},
                        .replica = 0,
                        .snapshot = filled<Hash>(0x30),
                        .keystore = filled<Hash>(0x50),
                        .heads = filled<Hash>(0x70),
                        .state = filled<Hash>(0x90),
                        .epoch_key = filled<Id128>(0xB0)});
  file.check("first_identity", superblock_identity(superblock));
  superblock.parent = superblock_identity(superblock);
  superblock.sequence = 2;
  superblock.configuration.epoch = 0x03030303;
  superblock.incarnation = 0x0404040404040404;
  superblock.lives_seen[12] = {.incarnation = 0x0505050505050505, .token = 0x0A0A0A0A0A0A0A0A};
  superblock.standing = Standing::lost;
  superblock.tokens[7] = 0x0B0B0B0B0B0B0B0B;
  superblock.view = ViewNumber{0x0606060606060606};
  superblock.log_view = ViewNumber{0x0606060606060605};
  superblock.sync_from = OpNumber{7};
  superblock.sync_to = OpNumber{8};
  superblock.view_headers = {head.prepare};
  superblock.view_durable = head.prepare.op;
  std::array<std::byte, superblock_size> copies;
  encode_superblock(superblock, copies);
  file.check("superblock_copy_3", without_zeros(Bytes(copies).subspan(3 * sector_size)));

  const Suffix suffix{
      .base = OpNumber{0}, .base_checksum = root.checksum, .headers = {head.prepare}};
  const auto message = [&](const std::string& name, Payload payload) {
    file.check("message_" + name, encode_message({.from = 2,
                                                  .life = {.incarnation = 16, .token = 17},
                                                  .epoch = 0x21222324,
                                                  .view = ViewNumber{0x0102030405060708},
                                                  .commit = OpNumber{0x1112131415161718},
                                                  .payload = std::move(payload)},
                                                 cluster, pool)
                                      ->bytes());
  };
  message("prepare_ok",
          PrepareOk{.op = OpNumber{1}, .checkpoint = OpNumber{2}, .checksum = filled<Hash>(1)});
  message("heartbeat",
          Heartbeat{.round = 3, .op = OpNumber{4}, .released = OpNumber{5}, .lives = {{{22, 23}}}});
  message("heartbeat_ok",
          HeartbeatOk{.round = 6, .checkpoint = OpNumber{7}, .lives = {{{24, 25}}}});
  message("start_view_change", StartViewChange{.current = ViewNumber{8}});
  message("do_view_change",
          DoViewChange{.log_view = ViewNumber{9}, .present = 1, .nacked = 0, .suffix = suffix});
  message("start_view", StartView{.nonce = filled<Id128>(2), .suffix = suffix});
  message("request_start_view", RequestStartView{.nonce = filled<Id128>(3), .lost = true});
  message("request_prepares", RequestPrepares{.from = OpNumber{10}, .to = OpNumber{11}});
  message("gone", Gone{.op = OpNumber{12}, .checkpoint = OpNumber{13}});
  message("recovery_answer", RecoveryAnswer{.nonce = {}, .lost = true, .lives = {{{18, 19}}}});
  message("hello", Hello{.seen = {.incarnation = 14, .token = 15},
                         .answered = true,
                         .tokens = {1, 2, 3},
                         .format = 4,
                         .configuration = {
                             .epoch = 0x21222324, .voters = 1, .members = {filled<Id128>(0x20)}}});
  message("ping", Ping{.round = 16});
  message("pong", Pong{.round = 17, .wall = TimestampUs{18}});
  file.check("message_prepare", encode_prepare_message({.from = 2,
                                                        .view = head.prepare.view,
                                                        .commit = OpNumber{15},
                                                        .payload = Prepare{head.prepare}},
                                                       frame->bytes(), pool)
                                    ->bytes());
}

}  // namespace
}  // namespace kimberlite::consensus
