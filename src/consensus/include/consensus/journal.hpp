// The journal file as a whole: its layout, what an open finds in it, and what `verify` says of it.
//
// Pure over a callback that reads; nothing here writes. Numbered invariants:
//   (J1) The frame of op n + 1 starts where the frame of n ends, or at the ring's begin if it does
//        not fit there.                                             [kept: Replica; core/ring.hpp]
//   (J2) From the checkpoint on each frame's parent is the header checksum of the one before.
//   (J3) A frame beyond the head an open adopted, and of an older view, never counts again.
//                                           [kept: view raised at every open; core/recovery.hpp]
//   (J4) An operation that anything on disk says was durable is in the log, or a single replica's
//        open fails, and another's says so.                            [kept: recover_journal]
//
// Memory is bounded by the ring: 72 bytes a live frame, one window of 1 MiB or a frame.
// Thread rule: pure functions; `ReadAt` is called from the caller's thread.
//
// Source: design, storage.md "Journal".
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "consensus/finding.hpp"
#include "consensus/frame.hpp"
#include "consensus/superblock.hpp"

namespace kimberlite::consensus {

inline constexpr std::uint64_t marks_size = 2 * sector_size;

// Bytes of the journal file with a ring of `ring_size` bytes.
[[nodiscard]] constexpr std::uint64_t journal_size(std::uint64_t ring_size) {
  return marks_size + ring_size;
}
// Where in the file a byte of the ring is.
[[nodiscard]] constexpr std::uint64_t file_offset(std::uint64_t ring_offset) {
  return marks_size + ring_offset;
}

// Fills `sectors` (whole sectors, in memory aligned to 4 KiB) from `offset` of the journal file.
using ReadAt = std::function<Status(std::uint64_t offset, MutBytes sectors)>;

// A frame of the log, above the checkpoint.
struct LiveFrame {
  OpNumber op;
  ViewNumber view;
  TimestampUs timestamp;
  std::uint64_t ring_offset = 0;
  Hash checksum{};         // of its prepare header
  std::uint32_t size = 0;  // without the zeros at its end
  std::uint32_t commands = 0;
  bool configures = false;
};

struct TornTail {
  OpNumber op;  // the first that is not there
  std::uint64_t ring_offset = 0;
};

// What an open finds. `frames` is the log from the checkpoint on.
struct JournalRecovery {
  std::vector<LiveFrame> frames;
  std::vector<PrepareHeader> newest;  // full headers of the last 16 of `frames`, the oldest first
  std::uint64_t next_offset = 0;      // the byte after the newest frame
  OpNumber durable_seen;              // the highest op anything on disk says was durable
  std::uint64_t mark_sequence = 0;    // of the newest mark, 0 if none was ever written
  OpNumber mark_durable;              // of the newest mark
  bool mark_damaged = false;  // one of the two does not decode; the next one written heals it
  // With other voters only: what was durable and is not there, from the log's end up to
  // `durable_seen` at least. Alone a replica does not open then.
  std::optional<Error> lost;
  std::optional<TornTail> torn;  // prepares in flight at a crash, never acknowledged: to be logged
};

struct JournalLimits {
  std::uint64_t ring_size = 0;
  std::uint64_t prepare_size_max = base::prepare_size_max;  // with its headers
};

// A ring alone decides how large its prepares may be, so whoever opens it decides alike: an eighth
// of it, and no more than in any ring.
[[nodiscard]] constexpr JournalLimits limits_of(std::uint64_t ring_size) {
  return {.ring_size = ring_size,
          .prepare_size_max =
              std::min(base::prepare_size_max, ring_size / 8 / sector_size * sector_size)};
}

// Checks the limits: whole sectors, and a ring of at least 8 of the largest prepares.
[[nodiscard]] Status check_limits(const JournalLimits& limits);

// Reads marks and ring and decides what the log is. Fails with
//   integrity.journal_lost   the only voter: an operation was durable and is not there (op, ring
//                            offset, file byte)
//   integrity.rollback       the superblock is older than the journal
//   integrity.foreign_file   the journal of another cluster
//   integrity.journal        both marks damaged, two prepares of one view for one op, or a log
//   other
//                            than the one superblock or marks speak of
//   and with whatever `read` fails with.
[[nodiscard]] Result<JournalRecovery> recover_journal(const Superblock& superblock,
                                                      const JournalLimits& limits,
                                                      const ReadAt& read);

enum class RangeKind : std::uint8_t {
  mark,         // one of the two marks
  live_frame,   // part of the log
  unreached,    // a frame beyond a gap in the log, of no effect
  stale_frame,  // a frame the checkpoint has made superfluous, or of a log given up
  stale_bytes,  // what is left of such frames: of no effect
  unused,       // zeros
};
[[nodiscard]] std::string_view name(RangeKind kind);

struct JournalRange {
  std::uint64_t offset = 0;  // in the file
  std::uint64_t size = 0;
  RangeKind kind = RangeKind::unused;
  OpNumber op;  // of frames; of marks the durable op
};

struct JournalAudit {
  std::vector<Finding> findings;
  std::vector<JournalRange> ranges;  // every byte of the file, in order
  OpNumber head;                     // the last op of the log
  std::uint64_t live_frames = 0;
};

// Checks every byte of marks and live frames, and says what each byte of the rest is. Fails only
// with what `read` fails with; all else is a finding.
[[nodiscard]] Result<JournalAudit> audit_journal(const Superblock& superblock,
                                                 const JournalLimits& limits, const ReadAt& read);

}  // namespace kimberlite::consensus
