// What replicas say to each other, byte for byte.
//
// A message is a head of 64 bytes and a payload. The head of a prepare has the size of a frame's
// local header, so the receiver writes that over it and the message becomes the frame it journals.
// Integers are little-endian; every byte not named is zero and checked as zero; BLAKE3-256.
//
//   head, 64 bytes
//       0 checksum 32   of bytes 32..63 and the payload; of a prepare only its header: the body has
//                       a checksum of its own
//      32 magic u32     "KBN1"
//      36 kind u8 · 37 from u8 · 38 version u16, 1
//      40 size u32      of the message
//      44 epoch u32     of the newest configuration the sender knows
//      48 view u64      the sender's
//      56 commit u64    the sender has it, it is committed, and so is everything before it
//
//   payloads; all but that of a prepare begin with cluster 16 · the sender's incarnation u64 ·
//   token u64
//     prepare             prepare header 192 · body
//     prepare_ok          op u64 · checkpoint u64 · header checksum 32
//     heartbeat           round u64 · op u64 · released u64 · lives
//     heartbeat_ok        round u64 · checkpoint u64 · lives
//     start_view_change   view u64: the sender's; the head's is the one it votes for
//     do_view_change      log view u64 · present u32 · nacked u32 · lives · suffix
//     start_view          nonce 16 · suffix
//     request_start_view  nonce 16 · disk lost u64, 0 or 1
//     request_prepares    from op u64 · to op u64
//     gone                op asked for u64 · checkpoint u64
//     recovery_answer     nonce 16 · disk lost too u64, 0 or 1 · lives, its own at its place
//     hello               the receiver's life seen last: incarnation u64 · token u64 · u64, bit 0:
//                         answered, bit 1: the sender's disk is lost · tokens of the sender's
//                         newest incarnations u64, of n in n % 24; 0: not known · newest format of
//                         directory and messages it can write u64 · configuration 232, of the
//                         head's epoch
//     ping                round u64
//     pong                round u64 · wall clock u64, µs
//
//   lives: of each member, 13 of them, the life seen last: incarnation u64 · token u64
//   suffix: base u64 · base checksum 32 · count u32 · zero u32 · `count` prepare headers, chained
//
// Thread rule: values and pure functions. Source: design, consensus.md; Liskov and Cowling 2012.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "consensus/block.hpp"
#include "consensus/frame.hpp"
#include "consensus/superblock.hpp"

namespace kimberlite::consensus {

inline constexpr std::size_t message_head_size = 64;
static_assert(message_head_size == local_header_size);
// Room for the largest prepare; nothing longer is read from a peer.
inline constexpr std::size_t message_size_max = base::prepare_size_max;

// No group gets there; a message that names a later one is none.
inline constexpr std::uint64_t view_max = std::uint64_t{1} << 62U;

// The end of a log: what stands behind `base`, oldest first. `base` itself is committed.
struct Suffix {
  OpNumber base;
  Hash base_checksum{};                // of its prepare header
  std::vector<PrepareHeader> headers;  // at most `view_headers_max`, the first one of base + 1

  [[nodiscard]] OpNumber head() const { return OpNumber{base.value() + headers.size()}; }
  friend bool operator==(const Suffix&, const Suffix&) = default;
};

// Of each member the newest life the sender has seen; zeros for itself.
using Lives = std::array<LifeId, members_max>;

// The sender has it and all before it on disk, in the log of its view. `checkpoint`: the op its
// state outside the journal is durable up to.
struct PrepareOk {
  OpNumber op;
  OpNumber checkpoint;
  Hash checksum{};
  friend bool operator==(const PrepareOk&, const PrepareOk&) = default;
};
// `op`: the primary's newest. `released`: a quorum has a checkpoint there or later. `lives`, here
// and in the answer: on the sender's disk.
struct Heartbeat {
  std::uint64_t round = 0;
  OpNumber op;
  OpNumber released;
  Lives lives{};
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};
struct HeartbeatOk {
  std::uint64_t round = 0;
  OpNumber checkpoint;
  Lives lives{};
  friend bool operator==(const HeartbeatOk&, const HeartbeatOk&) = default;
};
struct StartViewChange {
  ViewNumber current;
  friend bool operator==(const StartViewChange&, const StartViewChange&) = default;
};
// Bit i of `present` and `nacked` speaks of headers[i]: it is whole on the sender's disk; it never
// was. Neither: it may have been there.
struct DoViewChange {
  ViewNumber log_view;
  std::uint32_t present = 0;
  std::uint32_t nacked = 0;
  Lives lives{};
  Suffix suffix;
  friend bool operator==(const DoViewChange&, const DoViewChange&) = default;
};
// Zeros for a nonce: sent to all when the view begins.
struct StartView {
  Id128 nonce{};
  Suffix suffix;
  friend bool operator==(const StartView&, const StartView&) = default;
};
// `lost`: the sender has to hear from a quorum of others in which view they are; everyone answers,
// its primary as ever by a start-view.
struct RequestStartView {
  Id128 nonce{};
  bool lost = false;
  friend bool operator==(const RequestStartView&, const RequestStartView&) = default;
};
struct RequestPrepares {
  OpNumber from;
  OpNumber to;
  friend bool operator==(const RequestPrepares&, const RequestPrepares&) = default;
};
// The prepare asked for is no longer kept; the sender's checkpoint is `checkpoint`.
struct Gone {
  OpNumber op;
  OpNumber checkpoint;
  friend bool operator==(const Gone&, const Gone&) = default;
};
// To who lost his disk. `lost`: the sender did so too, and can tell him nothing.
struct RecoveryAnswer {
  Id128 nonce{};
  bool lost = false;
  Lives lives{};
  friend bool operator==(const RecoveryAnswer&, const RecoveryAnswer&) = default;
};
// To everyone once in a while, and to whoever speaks in another life than the newest one seen of
// him. A later life is taken from this only, since it says what went before it.
struct Hello {
  LifeId seen;
  bool answered = false;  // the receiver has confirmed the sender's life; else it is to
  bool lost = false;      // the sender lost its disk: what it has not seen confirms nobody's life
  std::array<std::uint64_t, lives_kept> tokens{};
  std::uint64_t format = format_version;
  Configuration configuration;
  friend bool operator==(const Hello&, const Hello&) = default;
};
// From voter to voter, for the cluster's time (clock.hpp). They say nothing of a view: neither
// waits for one to be durable.
struct Ping {
  std::uint64_t round = 0;
  friend bool operator==(const Ping&, const Ping&) = default;
};
// `wall`: by the sender's own clock, when it answered.
struct Pong {
  std::uint64_t round = 0;
  TimestampUs wall;
  friend bool operator==(const Pong&, const Pong&) = default;
};
// The body follows the header in the message.
struct Prepare {
  PrepareHeader header;
  friend bool operator==(const Prepare&, const Prepare&) = default;
};

using Payload = std::variant<Prepare, PrepareOk, Heartbeat, HeartbeatOk, StartViewChange,
                             DoViewChange, StartView, RequestStartView, RequestPrepares, Gone,
                             RecoveryAnswer, Hello, Ping, Pong>;
// As in `Payload`, from 1; for texts and counts.
[[nodiscard]] std::string_view name(const Payload& payload);

struct Message {
  std::uint8_t from = 0;
  LifeId life{};  // of the sender; a prepare does not say
  std::uint32_t epoch = 0;
  ViewNumber view;
  OpNumber commit;
  Payload payload;

  friend bool operator==(const Message&, const Message&) = default;
};

// Anything but a prepare.
[[nodiscard]] Buffer encode_message(const Message& message, const Id128& cluster, BlockPool& pool);
// A prepare from a frame: its prepare header and body are copied.
[[nodiscard]] Buffer encode_prepare_message(const Message& message, Bytes frame, BlockPool& pool);
// Fails with `integrity.encoding` unless the bytes are what the two above write, of this cluster;
// of a prepare the body's checksum is checked too. Nothing in it is of a later view than it is, and
// the body of a prepare that configures is a configuration: what it brings is kept.
[[nodiscard]] Result<Message> decode_message(Bytes bytes, const Id128& cluster);

}  // namespace kimberlite::consensus
