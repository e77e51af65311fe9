// The scan of a journal: marks, then the walk along the log, then a sweep over everything else.
//
// One class behind `recover_journal` and `audit_journal`. Errors of reading end it; whatever else
// is wrong becomes a finding, and `fatal` those that forbid an open. Thread rule: one thread.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "consensus/block.hpp"
#include "consensus/core/recovery.hpp"
#include "consensus/core/ring.hpp"
#include "consensus/journal.hpp"

namespace kimberlite::consensus {

// A stretch of the journal file read ahead, so that many small frames cost few reads.
class Window {
 public:
  Window(const JournalLimits& limits, const ReadAt& read);
  // Bytes of the ring, valid until the next call; the range lies inside the ring and is not longer
  // than the largest prepare.
  Result<Bytes> view(std::uint64_t ring_offset, std::uint64_t size);

 private:
  const ReadAt& read_;
  std::uint64_t ring_size_;
  Block block_;
  std::uint64_t begin_ = 0;
  std::uint64_t size_ = 0;
};

enum class ScanFor : std::uint8_t { open, audit };  // only an audit says what every byte is

class Scan {
 public:
  Scan(const Superblock& superblock, const JournalLimits& limits, const ReadAt& read,
       ScanFor purpose);

  // The whole scan, once.
  Status run();

  // The first finding that forbids an open.
  [[nodiscard]] const std::optional<Error>& fatal() const { return fatal_; }
  // What was found, moved out.
  [[nodiscard]] JournalRecovery take_recovery();
  [[nodiscard]] JournalAudit take_audit();

 private:
  struct Claim {
    OpNumber durable;
    std::uint64_t offset = 0;  // in the file, of the frame or mark that says so
  };

  Status read_marks();
  void judge_marks();
  Status walk();
  // The frame that goes on with the log, if there is one.
  Result<std::optional<FrameHead>> next_frame();
  // The head of a frame at `at` that can go on with the log, its body not yet looked at.
  [[nodiscard]] std::optional<FrameHead> admissible(const FrameHead& head) const;
  Result<bool> body_is_whole(const FrameHead& head);
  Status look_for_damaged_head();
  void accept(const FrameHead& head);
  Status sweep();
  Status sweep_range(std::uint64_t begin, std::uint64_t end);
  void sweep_sector(std::uint64_t at, Bytes sector);
  void conclude();
  [[nodiscard]] std::uint64_t place_of(OpNumber missing) const;
  void check_against(const std::vector<PrepareHeader>& headers, std::string_view whose);
  void claim(OpNumber durable, std::uint64_t offset);
  void add_range(std::uint64_t ring_offset, std::uint64_t size, RangeKind kind, OpNumber op);
  void find(Severity severity, std::uint64_t offset, std::uint64_t size, Error error);
  void forbid(std::uint64_t offset, std::uint64_t size, Error error);
  // Forbids where there is nobody to fetch it from.
  void lose(std::uint64_t offset, std::uint64_t size, Error error);

  [[nodiscard]] OpNumber head() const;
  [[nodiscard]] core::Ring ring() const { return {limits_.ring_size}; }

  const Superblock& superblock_;
  JournalLimits limits_;
  const ReadAt& read_;
  ScanFor purpose_;
  Window window_;
  core::Adopted adopted_;

  std::array<std::optional<Mark>, 2> marks_;
  std::array<bool, 2> mark_damaged_{};

  // The walk: what the next frame must be.
  Hash parent_{};
  TimestampUs earliest_;
  ViewNumber view_;
  std::optional<FrameHead> at_begin_;  // the frame at ring offset 0, read once
  bool begin_read_ = false;
  std::optional<Error> missing_why_;  // why the frame expected next is not there
  // Where it stands if its head is there and its body is not.
  std::optional<std::uint64_t> torn_at_;
  std::array<PrepareHeader, view_headers_max> newest_{};

  // The sweep.
  std::uint64_t covered_until_ = 0;  // end of the stale frame the sweep is inside of
  JournalRange covering_;
  bool beyond_ = false;  // a frame of this log beyond its end

  Claim claim_;
  JournalRecovery recovery_;
  JournalAudit audit_;
  std::optional<Error> fatal_;
};

}  // namespace kimberlite::consensus
