#include "disk_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/limits.hpp"
#include "consensus/journal.hpp"
#include "consensus/superblock.hpp"

namespace kimberlite::vopr {
namespace {

std::string_view word_of(CallKind kind) {
  switch (kind) {
    case CallKind::create:
      return "create";
    case CallKind::read:
    case CallKind::device_read:
      return "read";
    case CallKind::write:
    case CallKind::device_write:
      return "write";
    case CallKind::device_done:
      return "done";
    case CallKind::sync:
    case CallKind::sync_all:
      return "sync";
    case CallKind::truncate:
      return "truncate";
    case CallKind::rename:
      return "rename";
    case CallKind::remove:
      return "remove";
    case CallKind::lock:
      return "";
  }
  return "";
}

// Files whose names end in a number, by that number.
std::uint64_t number_in(std::string_view path) {
  const std::size_t end = path.find_last_of("0123456789");
  if (end == std::string_view::npos) return 0;
  const std::size_t begin = path.substr(0, end + 1).find_last_not_of("0123456789") + 1;
  std::uint64_t number = 0;
  std::from_chars(path.data() + begin, path.data() + end + 1, number);
  return number;
}

// A machine may never have had it: a spare, a disk that was wiped.
Status check_there(const DiskImage& image, std::string_view file, std::uint64_t size_min) {
  if (image.contains(file) && image.size(file) >= size_min) return {};
  return Error{Code::not_found_file, "there is no {} on the disk", file};
}

Status check_number(std::uint64_t number, std::uint64_t count, std::string_view what) {
  if (number < count) return {};
  return Error{Code::report_failed, "there are {} 0 to {}", what, count - 1};
}

}  // namespace

std::string_view file_of(std::string_view path) {
  if (path == "journal") return "journal";
  if (path == "superblock") return "superblock";
  if (path.starts_with("snapshot-")) return "snapshot";
  if (path.starts_with("keystore-")) return "keystore";
  if (path.ends_with(".segment")) return "segment";
  if (path.ends_with("/offsets")) return "offsets";
  if (path.contains("/tiles/")) return "tiles";
  if (path.contains("/projection.db")) return "projection";
  return "";
}

void DiskScript::add(std::uint8_t machine, StrikeAction action, std::string_view call,
                     std::string_view file, std::uint64_t number) {
  waiting_[machine].push_back({.action = action, .call = call, .file = file, .left = number});
}

void DiskScript::watch(std::uint8_t machine, SimStorage& storage) {
  storage.on_call([this, machine](CallKind kind, std::string_view path) {
    return strike(machine, kind, path);
  });
}

void DiskScript::clear() {
  for (auto& waiting : waiting_) waiting.clear();
}

Strike DiskScript::strike(std::uint8_t machine, CallKind kind, std::string_view path) {
  Strike strike;
  const std::string_view word = word_of(kind);
  const std::string_view file = file_of(path);
  for (Waiting& one : waiting_[machine]) {
    // A sync of everything is one of each file.
    const bool file_fits = one.file == file || kind == CallKind::sync_all;
    if (one.call != word || !file_fits || --one.left > 0) continue;
    if (one.action == StrikeAction::crash) strike.crash = true;
    if (one.action == StrikeAction::fail) strike.failure = Failure::io;
    if (one.action == StrikeAction::lose) strike.lost = true;
    if (one.action == StrikeAction::misdirect) strike.astray = true;
  }
  std::erase_if(waiting_[machine], [](const Waiting& one) { return one.left == 0; });
  return strike;
}

Result<FramePlace> find_op(const DiskImage& image, std::string_view op) {
  KIMBERLITE_CHECK(check_there(image, "superblock", consensus::superblock_size));
  KIMBERLITE_CHECK(check_there(image, "journal", consensus::file_offset(1)));
  const Buffer copies = image.read("superblock");
  KIMBERLITE_TRY(const consensus::SuperblockRead superblock,
                 consensus::read_superblock(std::span<const std::byte, consensus::superblock_size>{
                     copies.data(), consensus::superblock_size}));
  const FileBytes& journal = image.files().find("journal")->second.bytes;
  const auto read = [&journal](std::uint64_t offset, MutBytes to) -> Status {
    journal.read(offset, to);
    return {};
  };
  const auto limits = consensus::limits_of(journal.size() - consensus::file_offset(0));
  KIMBERLITE_TRY(const consensus::JournalAudit audit,
                 consensus::audit_journal(superblock.superblock, limits, read));
  std::vector<FramePlace> live;
  for (const consensus::JournalRange& range : audit.ranges) {
    if (range.kind != consensus::RangeKind::live_frame) continue;
    live.push_back({.op = range.op, .offset = range.offset, .size = range.size});
  }
  std::ranges::sort(live, {}, &FramePlace::op);
  if (live.empty()) return Error{Code::not_found_object, "the journal has no live frame"};
  if (op == "first") return live.front();
  const bool from_head = op.starts_with("head");
  if (from_head) op.remove_prefix(op.starts_with("head-") ? 5 : 4);
  std::uint64_t number = 0;
  std::from_chars(op.data(), op.data() + op.size(), number);
  const std::uint64_t head = live.back().op.value();
  const std::uint64_t wanted = from_head ? head - std::min(head, number) : number;
  const auto found = std::ranges::find(live, OpNumber{wanted}, &FramePlace::op);
  if (found != live.end()) return *found;
  return Error{Code::not_found_object, "the journal has no op {}", wanted}.why(
      "it has {} to {}", live.front().op.value(), live.back().op.value());
}

Result<std::string> find_file(const DiskImage& image, std::string_view file) {
  std::string newest;
  for (const std::string& path : image.paths()) {
    if (file_of(path) != file || image.size(path) == 0) continue;
    // A projection's beside files are not it.
    if (file == "projection" && !path.ends_with(".db")) continue;
    if (newest.empty() || number_in(path) >= number_in(newest)) newest = path;
  }
  if (newest.empty()) return Error{Code::not_found_file, "there is no {} on the disk", file};
  return newest;
}

Result<FramePlace> rot_op(DiskImage& image, std::string_view op) {
  KIMBERLITE_TRY(const FramePlace place, find_op(image, op));
  image.flip("journal", place.offset + consensus::frame_header_size + 10);
  return place;
}

Result<FramePlace> blank_op(DiskImage& image, std::string_view op, std::size_t keep) {
  KIMBERLITE_TRY(const FramePlace place, find_op(image, op));
  DiskImage::File journal = image.files().find("journal")->second;
  journal.bytes.write(place.offset + keep, Buffer(static_cast<std::size_t>(place.size) - keep));
  image.put("journal", std::move(journal));
  return place;
}

Status rot_mark(DiskImage& image, std::uint64_t mark) {
  KIMBERLITE_CHECK(check_there(image, "journal", consensus::marks_size));
  KIMBERLITE_CHECK(check_number(mark, consensus::marks_size / consensus::mark_size, "marks"));
  image.flip("journal", mark * consensus::mark_size + 40);
  return {};
}

Status rot_copy(DiskImage& image, std::uint64_t copy) {
  KIMBERLITE_CHECK(check_there(image, "superblock", consensus::superblock_size));
  KIMBERLITE_CHECK(check_number(copy, consensus::superblock_copies, "copies"));
  image.flip("superblock", copy * sector_size + 120);
  return {};
}

Status put_copy_back(DiskImage& image, const DiskImage& old, std::uint64_t copy) {
  for (const DiskImage* one : {&std::as_const(image), &old}) {
    KIMBERLITE_CHECK(check_there(*one, "superblock", consensus::superblock_size));
  }
  KIMBERLITE_CHECK(check_number(copy, consensus::superblock_copies, "copies"));
  Buffer bytes = image.read("superblock");
  const Buffer before = old.read("superblock");
  const auto at = static_cast<std::ptrdiff_t>(copy * sector_size);
  std::copy_n(before.begin() + at, sector_size, bytes.begin() + at);
  image.write("superblock", bytes);
  return {};
}

void put_files_back(DiskImage& image, const DiskImage& old, std::string_view file) {
  for (const std::string& path : image.paths()) {
    if (file_of(path) == file) image.remove(path);
  }
  for (const auto& [path, content] : old.files()) {
    if (file_of(path) == file) image.put(path, content);
  }
}

}  // namespace kimberlite::vopr
