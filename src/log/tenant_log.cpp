#include "log/tenant_log.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/limits.hpp"
#include "record/frame.hpp"
#include "segment_reader.hpp"
#include "tenant_log_state.hpp"

namespace kimberlite::log {
namespace {

constexpr std::size_t buffer_flushed_at = std::size_t{256} << 10;
// A buffer that one huge record made larger than this is given back.
constexpr std::size_t buffer_kept_max = std::size_t{1} << 20;

}  // namespace

Error at_place(const Error& error, std::string_view file, std::uint64_t offset, Position position) {
  Error placed{error.code(), "{}", error.what()};
  Error whole = position == Position{0}
                    ? Error{std::move(placed).where("{}, byte {}", file, offset)}
                    : Error{std::move(placed).where("{}, byte {}, position {}", file, offset,
                                                    position.value())};
  return std::move(whole).why("{}", error.why()).next("{}", error.next());
}

TenantLog::State::State(env::Storage& storage, LogName name, const Id128& log_id,
                        const record::Head& head)
    : storage_(storage),
      name_(name),
      directory_(directory_of(name)),
      log_id_(log_id),
      head_(head),
      derived_(storage, directory_) {}

std::string TenantLog::State::path(Position first) const {
  return fmt::format("{}/{}", directory_, segment_file_name(first));
}

Status TenantLog::State::open() {
  auto names = storage_.list(directory_);
  if (!names && names.error().code() != Code::not_found_directory) return names.error();
  if (names) {
    for (const std::string& name : *names) {
      const std::optional<Position> first = segment_of_file_name(name);
      if (!first) continue;  // `verify` names what does not belong here
      (*first <= head_.position ? segments_ : stale_).push_back(*first);
    }
  }
  KIMBERLITE_CHECK(derived_.open(head_.position.value()));
  if (head_.position == Position{0}) return {};
  if (segments_.empty()) {
    return Error{Code::integrity_missing_file, "the log's segments are missing"}
        .where("{}", directory_)
        .why("its newest record is position {}", head_.position.value());
  }
  KIMBERLITE_CHECK(open_current(segments_.back()));
  return check_newest();
}

// Opens the segment the head lies in.
Status TenantLog::State::open_current(Position first) {
  const std::string file_path = path(first);
  Current current;
  KIMBERLITE_TRY(current.file, storage_.open(file_path, env::Open::write));
  auto header = read_header(*current.file);
  if (!header) return at_place(header.error(), file_path, 0, Position{0});
  if (header->first != first || header->lane != name_.lane || header->log_id != log_id_) {
    return Error{Code::integrity_foreign_file, "a segment of another log"}.where("{}", file_path);
  }
  KIMBERLITE_TRY(current.stale_end, current.file->size());
  if (header->bytes_before > head_.bytes ||
      segment_header_size + (head_.bytes - header->bytes_before) > current.stale_end) {
    return Error{Code::integrity_segment, "a segment is shorter than what was made durable"}
        .where("{}, byte {}", file_path, current.stale_end)
        .why("the log has {} bytes of frames at position {}", head_.bytes, head_.position.value())
        .next("restore the file from a replica or a backup, then run kimberlite verify");
  }
  current.header = *header;
  current.flushed = head_.bytes - header->bytes_before;
  current_ = std::move(current);
  return {};
}

// The newest record must be the head's own: a cheap look that finds a log rolled back or replaced.
// Without good offsets it would cost a walk through the segment, and is left to `verify`.
Status TenantLog::State::check_newest() {
  if (!derived_.complete()) return {};
  KIMBERLITE_TRY(const std::uint64_t offset, derived_.offset(head_.position));
  if (offset < current_->header.bytes_before || offset >= head_.bytes) return derived_.reset();
  const std::uint64_t at = segment_header_size + (offset - current_->header.bytes_before);
  SegmentReader reader{*current_->file, at, end_of_file()};
  const auto frame = reader.peek_frame();
  if (!frame || !record_of(**frame, head_.position, current_->header)) {
    // It has rotted; or it is the offset that is wrong, as the record before it says. If that one
    // cannot be read either, it is not the offsets.
    return is_behind_the_one_before(offset, head_.position).value_or(true) ? Status{}
                                                                           : derived_.reset();
  }
  if (record::leaf_hash((*frame)->entry_bytes.first<record::entry_size>()) != head_.leaf) {
    return Error{Code::integrity_chain, "the newest record is not the one the head names"}.where(
        "{}, byte {}, position {}", path(current_->header.first), at, head_.position.value());
  }
  return {};
}

Status TenantLog::State::append(OpNumber op, std::uint32_t index, const record::Entry& entry,
                                Bytes body, const record::Head& after) {
  const std::uint64_t size = record::frame_size(body.size());
  KIMBERLITE_ASSERT(entry.position.value() == head_.position.value() + 1);
  KIMBERLITE_ASSERT(entry.previous == head_.leaf);
  KIMBERLITE_ASSERT(after.position == entry.position && after.bytes == head_.bytes + size);

  // Whatever can fail comes first, so that a failure leaves the record out altogether.
  if (!current_) {
    KIMBERLITE_CHECK(start_segment(entry.log_id));
  } else if (entry.log_id != current_->header.log_id ||
             record::starts_next_segment(end_of_file() + buffer_.size(), size,
                                         current_->flushed + buffer_.size() == 0,
                                         segment_size_max)) {
    KIMBERLITE_CHECK(rotate(entry.log_id));
  } else if (buffer_.size() >= buffer_flushed_at || derived_.worth_flushing()) {
    KIMBERLITE_CHECK(flush());
  }

  buffered_.push_back(static_cast<std::uint32_t>(buffer_.size()));
  record::append_frame(buffer_, op, index, entry, body);
  if (current_->seal) {
    current_->seal->update(Bytes{buffer_}.subspan(buffered_.back(), record::frame_header_size));
  }
  const bool is_other = is_planted(Canary::skip_leaf) && after.position.value() % 8 == 0;
  if (derived_.complete()) {
    derived_.append(head_.bytes, is_other ? head_.leaf : after.leaf, head_.frontier);
  }
  head_ = after;
  return {};
}

Status TenantLog::State::flush() {
  if (!buffer_.empty()) {
    KIMBERLITE_CHECK(check_rewrite());
    KIMBERLITE_CHECK(current_->file->write_at(end_of_file(), buffer_));
    current_->flushed += buffer_.size();
    buffer_.clear();
    buffered_.clear();
    if (buffer_.capacity() > buffer_kept_max) buffer_.shrink_to_fit();
  }
  if (derived_.complete()) KIMBERLITE_CHECK(derived_.flush());
  return {};
}

// Keeps (L3): holds the frames about to be written against what stands in their place.
Status TenantLog::State::check_rewrite() {
  if (end_of_file() >= current_->stale_end) return {};
  SegmentReader reader{*current_->file, end_of_file(), current_->stale_end};
  for (std::size_t i = 0; i < buffered_.size() && reader.left() > 0; ++i) {
    const std::size_t end = i + 1 < buffered_.size() ? buffered_[i + 1] : buffer_.size();
    const Bytes frame = Bytes{buffer_}.subspan(buffered_[i], end - buffered_[i]);
    KIMBERLITE_TRY(const Bytes there, reader.peek(frame.size()));
    const bool equal = base::equal(there, frame);
    KIMBERLITE_TRY(const bool complete,
                   equal ? Result<bool>{true} : complete_frame_at(*current_->file, reader.at()));
    if (record::decide_rewrite(equal, complete) == record::Rewrite::alarm) {
      const std::uint64_t position = head_.position.value() - (buffered_.size() - 1 - i);
      return Error{Code::integrity_frame, "a record differs from what the journal says it is"}
          .where("{}, byte {}, position {}", path(current_->header.first), reader.at(), position)
          .why("a complete frame with other content stands in its place")
          .next("keep the directory as it is, and run kimberlite verify");
    }
    reader.skip(there.size());
  }
  return {};
}

// A complete frame there was committed once, since nothing else is ever written.
Status TenantLog::State::nothing_behind(env::File& file, const std::string& file_path,
                                        std::uint64_t offset) {
  KIMBERLITE_TRY(const bool complete, complete_frame_at(file, offset));
  if (!complete) return {};
  return Error{Code::integrity_journal_lost, "a committed record is not in the journal any more"}
      .where("{}, byte {}, behind position {}", file_path, offset, head_.position.value())
      .next("keep the directory as it is; a replica or a backup may have the journal's end");
}

Status TenantLog::State::rotate(const Id128& log_id) {
  KIMBERLITE_CHECK(flush());
  KIMBERLITE_CHECK(seal_current());
  return start_segment(log_id);
}

Status TenantLog::State::seal_current() {
  SegmentFooter footer;
  footer.records = head_.position.value() - current_->header.first.value() + 1;
  footer.frame_bytes = current_->flushed;
  footer.last = head_.position;
  footer.bytes = head_.bytes;
  footer.leaf = head_.leaf;
  footer.root = head_.frontier.root();
  KIMBERLITE_TRY(footer.seal, seal_hash());

  const std::uint64_t end = end_of_file() + segment_footer_size;
  if (end_of_file() < current_->stale_end) {
    KIMBERLITE_CHECK(nothing_behind(*current_->file, path(current_->header.first), end_of_file()));
  }
  KIMBERLITE_CHECK(current_->file->write_at(end_of_file(), encode(footer)));
  if (current_->stale_end > end) KIMBERLITE_CHECK(current_->file->truncate(end));
  return {};
}

// From the hash kept while appending, or, where another run wrote the segment's beginning, from the
// file. It is one of frame headers: a record that has rotted is for `verify` to name, and does not
// keep the log from growing.
Result<Hash> TenantLog::State::seal_hash() {
  crypto::Blake3 hash;
  if (current_->seal) {
    // `finish` would start it anew, and sealing may have to be tried again.
    hash = current_->seal->duplicate();
    return hash.finish();
  }
  SegmentReader reader{*current_->file, 0, end_of_file()};
  KIMBERLITE_TRY(const Bytes header, reader.peek(segment_header_size));
  hash.update(header);
  reader.skip(segment_header_size);
  Position position = current_->header.first;
  for (; reader.left() > 0; position = Position{position.value() + 1}) {
    KIMBERLITE_TRY(const Bytes frame_header, reader.peek(record::frame_header_size));
    hash.update(frame_header);
    const auto frame = reader.peek_frame();
    if (frame) {
      reader.skip((*frame)->size);  // its header is all that is hashed: on to the next one
      continue;
    }
    const auto behind = class_of(frame.error().code()) == ErrorClass::integrity
                            ? behind_rotten(reader.at(), position)
                            : Result<std::optional<std::uint64_t>>{frame.error()};
    if (!behind) return behind.error();
    if (!*behind) {
      return at_place(frame.error(), path(current_->header.first), reader.at(), position);
    }
    reader = SegmentReader{*current_->file, **behind, end_of_file()};
  }
  if (position.value() == head_.position.value() + 1) return hash.finish();
  return Error{Code::integrity_segment, "a segment has fewer records than the log"}.where(
      "{}, position {}", path(current_->header.first), position.value());
}

// Where the frame behind that of `position`, which is not whole, begins: where its size says, if
// that is where a frame is, or where the offsets say.
Result<std::optional<std::uint64_t>> TenantLog::State::behind_rotten(std::uint64_t at,
                                                                     Position position) {
  SegmentReader reader{*current_->file, at, end_of_file()};
  KIMBERLITE_TRY(const Bytes header, reader.peek(record::frame_header_size));
  if (header.size() == record::frame_header_size) {
    const std::uint32_t size = record::decode_frame_header(header.data()).size;
    if (record::frame_extent(reader.left(), size) == record::Extent::inside) {
      KIMBERLITE_TRY(const bool is_frame, complete_frame_at(*current_->file, at + size));
      if (is_frame || at + size == end_of_file()) return std::optional{at + size};
    }
  }
  if (!derived_.complete()) return std::optional<std::uint64_t>{};
  std::uint64_t behind = end_of_file();
  if (position < head_.position) {
    KIMBERLITE_TRY(const std::uint64_t offset, derived_.offset(Position{position.value() + 1}));
    behind = segment_header_size + (offset - current_->header.bytes_before);
  }
  if (behind <= at || behind > end_of_file()) return std::optional<std::uint64_t>{};
  return std::optional{behind};
}

Status TenantLog::State::start_segment(const Id128& log_id) {
  const Position first{head_.position.value() + 1};
  Current next;
  next.header = SegmentHeader{name_.lane, log_id, first, head_.bytes, head_.leaf};
  KIMBERLITE_TRY(next.file, storage_.open(path(first), env::Open::create));
  KIMBERLITE_TRY(next.stale_end, next.file->size());
  const SegmentHeaderBytes header = encode(next.header);
  KIMBERLITE_CHECK(next.file->write_at(0, header));
  next.seal.emplace();
  next.seal->update(header);

  current_ = std::move(next);
  log_id_ = log_id;
  segments_.push_back(first);
  std::erase(stale_, first);
  return {};
}

Status TenantLog::State::settle() {
  KIMBERLITE_CHECK(flush());
  if (current_ && current_->stale_end > end_of_file()) {
    KIMBERLITE_CHECK(nothing_behind(*current_->file, path(current_->header.first), end_of_file()));
    KIMBERLITE_CHECK(current_->file->truncate(end_of_file()));
    current_->stale_end = end_of_file();
  }
  while (!stale_.empty()) {
    const std::string file_path = path(stale_.back());
    KIMBERLITE_TRY(auto file, storage_.open(file_path, env::Open::read));
    KIMBERLITE_CHECK(nothing_behind(*file, file_path, segment_header_size));
    file.reset();
    KIMBERLITE_CHECK(storage_.remove(file_path));
    stale_.pop_back();
  }
  if (derived_.complete()) KIMBERLITE_CHECK(derived_.cut());
  return {};
}

TenantLog::TenantLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
TenantLog::~TenantLog() = default;

Result<std::unique_ptr<TenantLog>> TenantLog::open(env::Storage& storage, LogName name,
                                                   const Id128& log_id, const record::Head& head) {
  auto state = std::make_unique<State>(storage, name, log_id, head);
  KIMBERLITE_CHECK(state->open());
  return std::unique_ptr<TenantLog>{new TenantLog(std::move(state))};
}

Status TenantLog::append(OpNumber op, std::uint32_t index, const record::Entry& entry, Bytes body,
                         const record::Head& after) {
  return state_->append(op, index, entry, body, after);
}
Status TenantLog::flush() { return state_->flush(); }
Status TenantLog::settle() { return state_->settle(); }
const record::Head& TenantLog::head() const { return state_->head(); }
Result<RecordView> TenantLog::read(Position position, Buffer& scratch) {
  return state_->read(position, scratch);
}
Result<Scan> TenantLog::scan(Position from) { return state_->scan(from); }
Result<std::vector<Hash>> TenantLog::prove_inclusion(Position position, const Tree& in) {
  return state_->prove_inclusion(position, in);
}
Result<std::vector<Hash>> TenantLog::prove_consistency(const Tree& older, const Tree& newer) {
  return state_->prove_consistency(older, newer);
}
Result<Hash> TenantLog::root_at(std::uint64_t size) { return state_->root_at(size); }
Result<Buffer> TenantLog::tile(const record::TileName& name, const Tree& in) {
  return state_->tile(name, in);
}
Result<std::optional<Position>> TenantLog::first_damaged(Position position) {
  return state_->first_damaged(position);
}
Status TenantLog::mend(OpNumber op, std::uint32_t index, const record::Entry& entry, Bytes body) {
  return state_->mend(op, index, entry, body);
}

}  // namespace kimberlite::log
