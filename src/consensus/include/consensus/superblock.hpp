// The superblock: who this replica is, in which view, and from where its state is rebuilt.
//
// The file is four copies of one sector each. A copy counts if its checksum holds; the superblock
// is the newest one that at least two copies agree on. Writing the next one overwrites two copies,
// waits, then the other two, damaged ones first, so that at every moment two copies agree and a
// crash at any point leaves the old or the new one (S1). The next one is not begun before all four
// copies of this one are on disk (S2): a copy that is ahead by more than one says that the others
// were put back from an older time.
//
//   copy, 4096 bytes, integers little-endian, every byte not named zero and checked as zero
//       0 checksum 32          BLAKE3-256 of bytes 32..4095
//      32 copy u32             0..3; all else is the same in all four
//      36 magic u32            "KBS1"
//      40 version u16          format version of the directory, 1
//      42 voters u16, bit i: member i · 44 replica u8 · 45 view headers u8 · 46 standing u8
//      47 zero
//      48 sequence u64         from 1, one more at every write
//      56 parent 32            the identity of sequence - 1, zeros for the first
//      88 cluster 16
//     104 configuration epoch u64
//     112 incarnation u64      raised at every open
//     120 view u64 · 128 log view u64
//     136 sync from op u64 · 144 sync to op u64
//     152 checkpoint: op u64 · next timestamp u64 · ring offset u64 · zero 8 · epoch key id 16 ·
//         header checksum 32 · snapshot 32 · keystore 32 · heads digest 32 · state digest 32
//     360 members, 16 bytes each, 13 of them, zeros where there is none
//     568 incarnations seen of each member, u64 each, 13 of them
//     672 view headers, 192 bytes each, at most 16, the oldest first
//    3744 view durable u64 · 3752 words from view u64
//    3760 tokens of these incarnations, u64 each, 13 of them
//    3864 tokens of this one's own incarnations, u64 each, of n in n % 24
//    4056 configuration op u64 · 4064 its own id 16 · 4080 zero 16
//
// The identity of a superblock is BLAKE3-256 of bytes 36..4095 of any of its copies. Thread rule:
// values and pure functions.
//
// Source: design, storage.md "Superblock"; consensus.md rules 1 to 4.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "consensus/configuration.hpp"
#include "consensus/finding.hpp"
#include "consensus/frame.hpp"

namespace kimberlite::consensus {

inline constexpr std::size_t superblock_copies = 4;
inline constexpr std::size_t superblock_quorum = 2;
inline constexpr std::size_t superblock_size = superblock_copies * sector_size;
inline constexpr std::uint16_t format_version = 1;
inline constexpr std::size_t view_headers_max = 16;
inline constexpr std::size_t lives_kept = 24;
// A member that begins anew, and hears of a life it had before, goes on so far ahead of it.
inline constexpr std::uint64_t lives_gap = std::uint64_t{1} << 20;
static_assert(lives_gap > lives_kept);

// The state on disk up to `op`: everything before the journal's live part.
struct Checkpoint {
  OpNumber op;
  Hash header_checksum{};       // of the prepare header of `op`; for op 0 that of the root
  TimestampUs next_timestamp;   // the earliest time the next prepare may have
  std::uint64_t ring_offset{};  // the byte after the frame of `op`
  Hash snapshot{};              // of snapshot-<op>
  Hash keystore{};              // of keystore-<op>
  Id128 epoch_key{};            // the key keystore-<op> is sealed under
  Hash heads{};                 // heads digest
  Hash state{};                 // state digest

  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// From one open of a member's directory to the next. The number is raised by one at every open; two
// lives of the same number are of two copies of a disk, and have another token.
struct LifeId {
  std::uint64_t incarnation = 0;
  std::uint64_t token = 0;  // random
  friend bool operator==(const LifeId&, const LifeId&) = default;
};

enum class Standing : std::uint8_t {
  member,
  lost,         // all of it was lost with its disk, and what its group has is not here yet
  rolled_back,  // it is an old copy, and has been told so: it is opened no more
  headless,     // what it acknowledged last was lost, and what its group has is not here yet
};

struct Superblock {
  std::uint64_t sequence = 0;
  Hash parent{};
  Id128 cluster{};
  Configuration configuration;  // the newest one committed, as far as this replica knows
  std::uint8_t replica = 0;     // this one's index; once it is removed, the one it had
  Id128 self{};                 // and its id
  std::uint64_t incarnation = 0;
  // Of the newest incarnations, of n in n % 8; 0: not on this disk. A peer that remembers another
  // one of these numbers knows another disk.
  std::array<std::uint64_t, lives_kept> tokens{};
  std::array<LifeId, members_max> lives_seen{};  // the newest one of each member
  Standing standing = Standing::member;
  ViewNumber view;
  ViewNumber log_view;
  // The newest headers of the log as it was when view or log_view last changed, chained, the oldest
  // first; none if it ended at the checkpoint. The last ones may be of prepares not yet here.
  std::vector<PrepareHeader> view_headers;
  OpNumber view_durable;  // every op up to it was on this disk when this was written
  // What frames and marks of earlier views say of operations behind the checkpoint does not count:
  // the log they stood in turned out not to be the group's.
  ViewNumber words_from;
  OpNumber sync_from;
  OpNumber sync_to;
  Checkpoint checkpoint;

  friend bool operator==(const Superblock&, const Superblock&) = default;
};

// What a new directory's superblock needs; the digests are those of snapshot 0 and keystore 0.
struct Genesis {
  Id128 cluster{};
  Configuration configuration;  // of which it is a member
  std::uint8_t replica = 0;
  Hash snapshot{};
  Hash keystore{};
  Hash heads{};
  Hash state{};
  Id128 epoch_key{};
  // Of a directory that is restored: what its logs hold already, and the earliest time that is
  // left.
  OpNumber op;
  TimestampUs next_timestamp;
  // The member was there before, and its disk is lost: the wall clock, now. Its lives are numbered
  // from there in µs, so that what is made anew later is ahead of what was made anew before.
  std::optional<TimestampUs> anew;
};

// The superblock of sequence 1: checkpoint `op`, view 0, incarnation 0. The prepare that follows
// names as its parent the cluster's root, or, behind a restore, a number of the restored state.
[[nodiscard]] Superblock first_superblock(const Genesis& genesis);

// All four copies, in order.
void encode_superblock(const Superblock& superblock, std::span<std::byte, superblock_size> to);
[[nodiscard]] Hash superblock_identity(const Superblock& superblock);

// One copy. Fails with `integrity.superblock`, or `unavailable.version` if it is whole and of a
// newer format.
[[nodiscard]] Result<Superblock> decode_superblock_copy(std::span<const std::byte, sector_size>,
                                                        std::uint32_t copy);

// The order copies are written in: the first two together, then, when both are on disk, the others.
using CopyOrder = std::array<std::uint8_t, superblock_copies>;
inline constexpr CopyOrder healthy_order{0, 1, 2, 3};

struct SuperblockRead {
  Superblock superblock;
  CopyOrder order = healthy_order;  // of the next write
  std::vector<Finding> findings;    // a copy damaged, or of a write a crash interrupted
};

// Decides which superblock the file holds. Fails with `usage.not_ours` if no copy has ever been
// one, `integrity.superblock` if no two copies agree, `integrity.rollback` if a copy is ahead of
// those that agree by more than one, `unavailable.version` for a newer format.
[[nodiscard]] Result<SuperblockRead> read_superblock(std::span<const std::byte, superblock_size>);

}  // namespace kimberlite::consensus
