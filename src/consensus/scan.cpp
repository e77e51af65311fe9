#include "scan.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "consensus/core/marks.hpp"

namespace kimberlite::consensus {
namespace {

constexpr std::uint64_t read_ahead = 1ULL << 20U;

using HeadBytes = std::span<const std::byte, frame_header_size>;

core::Adopted adopted_of(const Superblock& superblock) {
  OpNumber op = superblock.checkpoint.op;
  if (!superblock.view_headers.empty()) op = std::max(op, superblock.view_headers.back().op);
  return {.view = superblock.view.value(),
          .log_view = std::max(superblock.log_view, superblock.words_from).value(),
          .op = op.value()};
}

Error rolled_back(ViewNumber found, ViewNumber known) {
  return Error{Code::integrity_rollback, "the superblock is older than the journal"}
      .why("the journal holds view {}, the superblock knows views up to {}", found.value(),
           known.value())
      .next("restore the whole directory from one backup");
}

}  // namespace

Window::Window(const JournalLimits& limits, const ReadAt& read)
    : read_(read),
      ring_size_(limits.ring_size),
      block_(static_cast<std::size_t>(
          std::min(limits.ring_size, std::max(read_ahead, limits.prepare_size_max)))) {}

Result<Bytes> Window::view(std::uint64_t ring_offset, std::uint64_t size) {
  KIMBERLITE_ASSERT(core::inside({ring_size_}, ring_offset, size) && size <= block_.capacity());
  if (ring_offset < begin_ || ring_offset - begin_ > size_ ||
      size > size_ - (ring_offset - begin_)) {
    const std::uint64_t wanted = std::min(std::max(size, read_ahead), block_.capacity());
    size_ = 0;
    const std::uint64_t length = std::min(wanted, ring_size_ - ring_offset);
    block_.resize(static_cast<std::size_t>(length));
    KIMBERLITE_CHECK(read_(file_offset(ring_offset), block_.bytes()));
    begin_ = ring_offset;
    size_ = length;
  }
  return Bytes(block_.bytes()).subspan(ring_offset - begin_, size);
}

Scan::Scan(const Superblock& superblock, const JournalLimits& limits, const ReadAt& read,
           ScanFor purpose)
    : superblock_(superblock),
      limits_(limits),
      read_(read),
      purpose_(purpose),
      window_(limits, read),
      adopted_(adopted_of(superblock)),
      parent_(superblock.checkpoint.header_checksum),
      earliest_(superblock.checkpoint.next_timestamp) {
  recovery_.next_offset = superblock.checkpoint.ring_offset;
  claim_ = {.durable = std::max(superblock.checkpoint.op, superblock.view_durable), .offset = 0};
}

OpNumber Scan::head() const {
  return OpNumber{superblock_.checkpoint.op.value() + recovery_.frames.size()};
}

void Scan::find(Severity severity, std::uint64_t offset, std::uint64_t size, Error error) {
  audit_.findings.push_back(
      {.severity = severity, .offset = offset, .size = size, .error = std::move(error)});
}

void Scan::forbid(std::uint64_t offset, std::uint64_t size, Error error) {
  const Error placed = std::move(error).where("journal, byte {}", offset);
  if (!fatal_) fatal_ = placed;
  find(Severity::damage, offset, size, placed);
}

void Scan::lose(std::uint64_t offset, std::uint64_t size, Error error) {
  if (superblock_.configuration.voter_count() == 1) return forbid(offset, size, std::move(error));
  const Error placed = std::move(error).where("journal, byte {}", offset);
  if (!recovery_.lost) recovery_.lost = placed;
  find(Severity::damage, offset, size, placed);
}

Status Scan::run() {
  if (superblock_.checkpoint.ring_offset >= limits_.ring_size) {
    forbid(marks_size, limits_.ring_size,
           Error{Code::integrity_journal, "the journal is smaller than the superblock says"}.why(
               "the checkpoint ends at ring offset {}, the ring has {} bytes",
               superblock_.checkpoint.ring_offset, limits_.ring_size));
    return {};
  }
  KIMBERLITE_CHECK(read_marks());
  judge_marks();
  KIMBERLITE_CHECK(walk());
  KIMBERLITE_CHECK(sweep());
  conclude();
  return {};
}

// ---- marks ------------------------------------------------------------------------------------

Status Scan::read_marks() {
  Block block(marks_size);
  block.resize(marks_size);
  KIMBERLITE_CHECK(read_(0, block.bytes()));
  for (std::uint32_t i = 0; i < core::mark_sectors; ++i) {
    const Bytes sector = Bytes(block.bytes()).subspan(i * mark_size, mark_size);
    audit_.ranges.push_back(
        {.offset = i * mark_size, .size = mark_size, .kind = RangeKind::mark, .op = {}});
    if (all_zero(sector)) continue;
    auto mark = decode_mark(sector.first<mark_size>());
    if (mark && core::mark_sector(mark->sequence) == i) {
      audit_.ranges.back().op = mark->durable;
      marks_[i] = *std::move(mark);
      continue;
    }
    mark_damaged_[i] = true;
    find(Severity::damage, i * mark_size, mark_size,
         Error{Code::integrity_journal, "a mark of the journal is damaged"}
             .where("journal, bytes {}..{}", i * mark_size, (i + 1) * mark_size - 1)
             .why("{}", mark ? "it stands in the other one's sector" : mark.error().what())
             .next("if a crash tore it, the next open writes it again"));
  }
  return {};
}

void Scan::judge_marks() {
  const auto sequence = [&](std::size_t i) { return marks_[i] ? marks_[i]->sequence : 0; };
  const bool whole = !mark_damaged_[0] && !mark_damaged_[1];
  if (whole && !core::is_mark_pair(sequence(0), sequence(1))) {
    const std::size_t older = sequence(0) < sequence(1) ? 0 : 1;
    mark_damaged_[older] = true;
    find(Severity::damage, older * mark_size, mark_size,
         Error{Code::integrity_journal, "a mark of the journal is of another time"}
             .where("journal, bytes {}..{}", older * mark_size, (older + 1) * mark_size - 1)
             .why("the two marks have the numbers {} and {}", sequence(0), sequence(1)));
  }
  // Mark 1 is in sector 1, so a crash can have torn that one alone while sector 0 is still zero.
  if (!marks_[0] && !marks_[1] && mark_damaged_[0]) {
    lose(0, marks_size,
         Error{Code::integrity_journal, "both marks of the journal are damaged"}
             .why("what was durable last cannot be known")
             .next("restore a backup"));
  }
  recovery_.mark_damaged = mark_damaged_[0] || mark_damaged_[1];
  recovery_.mark_sequence = core::newest_mark(sequence(0), sequence(1));
  for (std::size_t i = 0; i < marks_.size(); ++i) {
    if (!marks_[i]) continue;
    const Mark& mark = *marks_[i];
    if (mark.cluster != superblock_.cluster) {
      forbid(i * mark_size, mark_size,
             Error{Code::integrity_foreign_file, "the journal is of another cluster"}.why(
                 "its mark names {}, the superblock {}", to_uuid(mark.cluster),
                 to_uuid(superblock_.cluster)));
    } else if (mark.view > superblock_.view) {
      forbid(i * mark_size, mark_size, rolled_back(mark.view, superblock_.view));
    } else if (core::word_binds(adopted_, mark.view.value())) {
      claim(mark.durable, i * mark_size);
    }
    if (mark.sequence == recovery_.mark_sequence) recovery_.mark_durable = mark.durable;
  }
}

void Scan::claim(OpNumber durable, std::uint64_t offset) {
  if (durable > claim_.durable) claim_ = {.durable = durable, .offset = offset};
}

// ---- the walk along the log -------------------------------------------------------------------

Status Scan::walk() {
  // Each frame takes a sector at least, and (R1) keeps them from meeting.
  for (std::uint64_t i = 0; i < limits_.ring_size / sector_size; ++i) {
    KIMBERLITE_TRY(const std::optional<FrameHead> frame, next_frame());
    if (!frame) return {};
    accept(*frame);
  }
  return {};
}

std::optional<FrameHead> Scan::admissible(const FrameHead& frame) const {
  const PrepareHeader& prepare = frame.prepare;
  const std::uint64_t size = core::padded(frame_size(prepare));
  const std::uint64_t next = recovery_.next_offset;
  if (prepare.cluster != superblock_.cluster || prepare.op.value() != head().value() + 1 ||
      prepare.parent != parent_ || prepare.view < view_ || prepare.timestamp < earliest_ ||
      size > limits_.prepare_size_max || core::place(ring(), next, size) != frame.ring_offset ||
      !core::has_room(ring(), superblock_.checkpoint.ring_offset, next, size)) {
    return std::nullopt;
  }
  // Where a log was adopted that this disk did not hold yet, another's prepare may stand here.
  const auto adopted = std::ranges::find(superblock_.view_headers, prepare.op, &PrepareHeader::op);
  if (adopted != superblock_.view_headers.end() && adopted->checksum != prepare.checksum) {
    return std::nullopt;
  }
  if (core::standing(adopted_, prepare.view.value(), prepare.op.value()) ==
          core::Standing::superseded &&
      !is_planted(Canary::keep_superseded)) {
    return std::nullopt;
  }
  return frame;
}

Result<bool> Scan::body_is_whole(const FrameHead& frame) {
  const std::uint64_t size = core::padded(frame_size(frame.prepare));
  KIMBERLITE_TRY(const Bytes bytes, window_.view(frame.ring_offset, size));
  const auto body = frame_body(frame, bytes);
  if (!body) {
    missing_why_ = body.error();
    torn_at_ = frame.ring_offset;
  }
  return body.has_value();
}

Result<std::optional<FrameHead>> Scan::next_frame() {
  const std::uint64_t next = recovery_.next_offset;
  missing_why_.reset();
  torn_at_.reset();
  if (!begin_read_) {
    KIMBERLITE_TRY(const Bytes bytes, window_.view(0, sector_size));
    if (auto frame = decode_frame_head(bytes.first<frame_header_size>(), 0)) at_begin_ = *frame;
    begin_read_ = true;
  }
  KIMBERLITE_TRY(const Bytes bytes, window_.view(next, sector_size));
  std::optional<FrameHead> here;
  if (auto frame = decode_frame_head(bytes.first<frame_header_size>(), next)) {
    here = admissible(*frame);
    if (!here) {
      missing_why_ = Error{Code::integrity_journal, "a frame of op {}, view {} stands there",
                           frame->prepare.op.value(), frame->prepare.view.value()};
    }
  } else {
    missing_why_ = frame.error();
  }
  std::optional<FrameHead> there;
  if (next != 0 && at_begin_) there = admissible(*at_begin_);

  bool here_whole = false;
  bool there_whole = false;
  if (here) {
    KIMBERLITE_TRY(here_whole, body_is_whole(*here));
  }
  if (there) {
    KIMBERLITE_TRY(there_whole, body_is_whole(*there));
  }
  std::uint64_t here_view = here ? here->prepare.view.value() : 0;
  std::uint64_t there_view = there ? there->prepare.view.value() : 0;
  if (is_planted(Canary::lower_view_wins)) std::swap(here_view, there_view);
  switch (core::choose(here_whole, here_view, there_whole, there_view)) {
    case core::Branch::none:
      KIMBERLITE_CHECK(look_for_damaged_head());
      return std::optional<FrameHead>{};
    case core::Branch::first:
      return here;
    case core::Branch::second:
      return there;
    case core::Branch::equivocation:
      break;
  }
  forbid(file_offset(next), sector_size,
         Error{Code::integrity_journal, "two prepares of one view stand for operation {}",
               head().value() + 1}
             .why("the other one is at byte {}", marks_size));
  return std::optional<FrameHead>{};
}

// Where the log ends because a head is damaged, and not because a crash kept a frame from being
// written, an operation that may have been acknowledged would be given up.
Status Scan::look_for_damaged_head() {
  const OpNumber missing{head().value() + 1};
  for (const std::uint64_t at : {recovery_.next_offset, std::uint64_t{0}}) {
    KIMBERLITE_TRY(const Bytes bytes, window_.view(at, sector_size));
    if (!is_damaged_head(bytes.first<frame_header_size>(), at, superblock_.cluster, missing)) {
      continue;
    }
    if (superblock_.configuration.voter_count() > 1) claim(missing, file_offset(at));
    lose(file_offset(at), sector_size,
         Error{Code::integrity_journal_lost,
               "operation {} was written, and the head of its frame is damaged: ring offset {}",
               missing.value(), at}
             .why("a power failure leaves a head whole or not at all")
             .next("restore a backup"));
    return {};
  }
  return {};
}

void Scan::accept(const FrameHead& frame) {
  const PrepareHeader& prepare = frame.prepare;
  if (prepare.view > superblock_.view) {
    forbid(file_offset(frame.ring_offset), frame_size(prepare),
           rolled_back(prepare.view, superblock_.view));
  }
  recovery_.frames.push_back({.op = prepare.op,
                              .view = prepare.view,
                              .timestamp = prepare.timestamp,
                              .ring_offset = frame.ring_offset,
                              .checksum = prepare.checksum,
                              .size = static_cast<std::uint32_t>(frame_size(prepare)),
                              .commands = prepare.commands,
                              .configures = prepare.configures});
  newest_[prepare.op.value() % newest_.size()] = prepare;
  const std::uint64_t size = core::padded(frame_size(prepare));
  recovery_.next_offset = core::after(ring(), frame.ring_offset, size);
  parent_ = prepare.checksum;
  earliest_ = next_timestamp(prepare);
  view_ = prepare.view;
}

// ---- the sweep over everything else -----------------------------------------------------------

void Scan::add_range(std::uint64_t ring_offset, std::uint64_t size, RangeKind kind, OpNumber op) {
  const std::uint64_t offset = file_offset(ring_offset);
  JournalRange& last = audit_.ranges.back();
  if (last.kind == kind && last.op == op && last.offset + last.size == offset) {
    last.size += size;
  } else {
    audit_.ranges.push_back({.offset = offset, .size = size, .kind = kind, .op = op});
  }
}

Status Scan::sweep() {
  std::vector<const LiveFrame*> live;
  live.reserve(recovery_.frames.size());
  for (const LiveFrame& frame : recovery_.frames) live.push_back(&frame);
  std::ranges::sort(live, {}, &LiveFrame::ring_offset);
  std::uint64_t at = 0;
  for (const LiveFrame* frame : live) {
    KIMBERLITE_CHECK(sweep_range(at, frame->ring_offset));
    add_range(frame->ring_offset, core::padded(frame->size), RangeKind::live_frame, frame->op);
    at = frame->ring_offset + core::padded(frame->size);
  }
  return sweep_range(at, limits_.ring_size);
}

Status Scan::sweep_range(std::uint64_t begin, std::uint64_t end) {
  covered_until_ = begin;
  for (std::uint64_t at = begin; at < end; at += sector_size) {
    KIMBERLITE_TRY(const Bytes sector, window_.view(at, sector_size));
    sweep_sector(at, sector);
  }
  return {};
}

void Scan::sweep_sector(std::uint64_t at, Bytes sector) {
  const HeadBytes start = sector.first<frame_header_size>();
  std::optional<FrameHead> frame;
  if (may_start_frame(start)) {
    if (auto decoded = decode_frame_head(start, at)) frame = *decoded;
  }
  if (frame && frame->prepare.cluster == superblock_.cluster) {
    const PrepareHeader& prepare = frame->prepare;
    if (prepare.view > superblock_.view && !fatal_) {
      forbid(file_offset(at), frame_size(prepare), rolled_back(prepare.view, superblock_.view));
    }
    const bool binds = core::word_binds(adopted_, prepare.view.value());
    if (binds) claim(frame->durable, file_offset(at));
    const bool beyond = binds && prepare.op > head();
    beyond_ = beyond_ || beyond;
    covering_.kind = beyond ? RangeKind::unreached : RangeKind::stale_frame;
    covering_.op = prepare.op;
    covered_until_ = at + core::padded(frame_size(prepare));
  }
  if (purpose_ == ScanFor::open) return;
  if (at < covered_until_) {
    add_range(at, sector_size, covering_.kind, covering_.op);
  } else {
    add_range(at, sector_size, all_zero(sector) ? RangeKind::unused : RangeKind::stale_bytes, {});
  }
}

// ---- the verdict ------------------------------------------------------------------------------

void Scan::check_against(const std::vector<PrepareHeader>& headers, std::string_view whose) {
  const std::uint64_t first = superblock_.checkpoint.op.value();
  for (const PrepareHeader& header : headers) {
    const std::uint64_t op = header.op.value();
    if (op < first || op > head().value()) continue;
    const LiveFrame* frame = op == first ? nullptr : &recovery_.frames[op - first - 1];
    const Hash& there = frame == nullptr ? superblock_.checkpoint.header_checksum : frame->checksum;
    if (there == header.checksum) continue;
    forbid(
        file_offset(frame == nullptr ? superblock_.checkpoint.ring_offset : frame->ring_offset),
        frame == nullptr ? 0 : frame->size,
        Error{Code::integrity_journal, "operation {} is not the one {} speaks of", op, whose}.why(
            "{} is expected, {} was found", to_hex(Bytes(header.checksum).first(8)),
            to_hex(Bytes(there).first(8))));
    return;
  }
}

// The ring offset of the operation after the head. Where the ring's end is near it depends on its
// size, which the head of its own frame, the superblock or a mark may tell.
std::uint64_t Scan::place_of(OpNumber missing) const {
  if (torn_at_) return *torn_at_;
  const auto by_header = [&](const std::vector<PrepareHeader>& headers) {
    const auto known = std::ranges::find(headers, missing, &PrepareHeader::op);
    return known == headers.end()
               ? recovery_.next_offset
               : core::place(ring(), recovery_.next_offset, core::padded(frame_size(*known)));
  };
  std::uint64_t at = by_header(superblock_.view_headers);
  for (const auto& mark : marks_) {
    if (mark && core::word_binds(adopted_, mark->view.value())) {
      at = std::min(at, by_header(mark->headers));
    }
  }
  return at;
}

void Scan::conclude() {
  check_against(superblock_.view_headers, "the superblock");
  // With other voters a mark may be of a log that was given up since: its word is still taken for
  // what was durable, which can only make this replica more careful.
  for (const auto& mark : marks_) {
    if (mark && superblock_.configuration.voter_count() == 1 &&
        core::word_binds(adopted_, mark->view.value())) {
      check_against(mark->headers, "a mark");
    }
  }
  recovery_.durable_seen = claim_.durable;
  const OpNumber missing{head().value() + 1};
  const std::uint64_t next = place_of(missing);
  const core::Verdict verdict = core::judge(false, missing.value(), recovery_.durable_seen.value());
  if (verdict == core::Verdict::lost && recovery_.lost) {
    // Said already, by whoever found it.
  } else if (verdict == core::Verdict::lost) {
    const std::string why =
        superblock_.view_durable == claim_.durable
            ? fmt::format("the superblock knows operations up to {}", claim_.durable.value())
            : fmt::format("byte {} says that operations up to {} were durable", claim_.offset,
                          claim_.durable.value());
    lose(file_offset(next), sector_size,
         Error{Code::integrity_journal_lost,
               "operation {} was durable and is not in the journal: ring offset {}",
               missing.value(), next}
             .why("{}; {}", missing_why_ ? missing_why_->what() : "no frame stands there", why)
             .next("restore a backup"));
  } else if (torn_at_ || beyond_) {
    recovery_.torn = TornTail{.op = missing, .ring_offset = next};
    find(Severity::note, file_offset(next), sector_size,
         Error{Code::integrity_journal, "the journal ends before operation {}", missing.value()}
             .where("journal, byte {}", file_offset(next))
             .why("a crash interrupted its writing; it was never acknowledged"));
  }
}

JournalRecovery Scan::take_recovery() {
  const std::uint64_t first = superblock_.checkpoint.op.value();
  const std::uint64_t last = head().value();
  const std::uint64_t count = std::min<std::uint64_t>(last - first, newest_.size());
  for (std::uint64_t op = last - count + 1; op <= last; ++op) {
    recovery_.newest.push_back(newest_[op % newest_.size()]);
  }
  return std::move(recovery_);
}

JournalAudit Scan::take_audit() {
  audit_.head = head();
  audit_.live_frames = recovery_.frames.size();
  return std::move(audit_);
}

}  // namespace kimberlite::consensus
