// Reading a log: one record, all from a position on, and the nodes of its tree.
#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "log/tenant_log.hpp"
#include "record/frame.hpp"
#include "segment_reader.hpp"
#include "tenant_log_state.hpp"

namespace kimberlite::log {
namespace {

// Most records are read with one call.
constexpr std::size_t first_read = 4096;
// Records of a large log that are asked for here and there lie in many segments; opening one costs
// more than the record. 64 of them hold 4 GiB.
constexpr std::size_t readings_max = 64;

// The last segment that begins at or before `position`.
std::vector<Position>::const_iterator holding(const std::vector<Position>& segments,
                                              Position position) {
  const auto behind = std::ranges::upper_bound(segments, position);
  KIMBERLITE_ASSERT(behind != segments.begin());
  return std::prev(behind);
}

// Of 2^n nodes of one level, beside each other.
Hash root_of_perfect(std::vector<Hash> hashes) {
  for (std::size_t count = hashes.size() / 2; count > 0; count /= 2) {
    for (std::size_t i = 0; i < count; ++i) {
      hashes[i] = record::node_hash(hashes[2 * i], hashes[2 * i + 1]);
    }
  }
  return hashes.front();
}

}  // namespace

Result<RecordView> record_of(const record::FrameView& frame, Position position,
                             const SegmentHeader& header) {
  KIMBERLITE_TRY(const record::Entry entry,
                 record::decode(frame.entry_bytes.first<record::entry_size>()));
  if (entry.position != position || entry.body_size != frame.body.size()) {
    return Error{Code::integrity_entry, "the record found is that of position {}, with {} bytes",
                 entry.position.value(), entry.body_size}
        .why("the frame has {} bytes of body", frame.body.size());
  }
  if (entry.log_id != header.log_id) {
    return Error{Code::integrity_foreign_file, "the record found is of another log"};
  }
  return RecordView{frame.op, frame.index, entry, frame.body};
}

Result<RecordView> TenantLog::State::read(Position position, Buffer& scratch) {
  if (position == Position{0} || position > head_.position) {
    return Error{Code::not_found_position, "there is no position {}", position.value()}.why(
        "the log ends at {}", head_.position.value());
  }
  if (position.value() > head_.position.value() - buffered_.size()) {
    return read_buffered(position, scratch);
  }
  const bool fresh = !derived_.complete();
  if (fresh) KIMBERLITE_CHECK(rebuild_derived());
  KIMBERLITE_TRY(std::uint64_t offset, derived_.offset(position));
  auto found = read_at(offset, position, scratch);
  if (found || fresh || class_of(found.error().code()) != ErrorClass::integrity) return found;

  // The offset may be what is wrong; it is derived, so the segments say.
  if (rotten_ || is_behind_the_one_before(offset, position).value_or(false)) return found;
  KIMBERLITE_CHECK(rebuild_derived());
  KIMBERLITE_TRY(offset, derived_.offset(position));
  return read_at(offset, position, scratch);
}

// Whether the record before says that `position` begins at `offset`; nothing if it cannot be read.
std::optional<bool> TenantLog::State::is_behind_the_one_before(std::uint64_t offset,
                                                               Position position) {
  const auto segment = segment_of(position);
  if (!segment) return std::nullopt;
  if (position == (*segment)->header.first) return offset == (*segment)->header.bytes_before;
  const Position before{position.value() - 1};
  const auto begin = derived_.offset(before);
  if (!begin) return std::nullopt;
  Buffer scratch;
  const auto record = read_at(*begin, before, scratch);
  if (!record) return std::nullopt;
  return *begin + record::frame_size(record->entry.body_size) == offset;
}

Result<RecordView> TenantLog::State::read_buffered(Position position, Buffer& scratch) {
  const std::uint64_t first = head_.position.value() - buffered_.size() + 1;
  const Bytes rest = Bytes{buffer_}.subspan(buffered_[position.value() - first]);
  const std::uint32_t size = record::decode_frame_header(rest.data()).size;
  // Copied, since the next append may move the buffer.
  scratch.assign(rest.begin(), rest.begin() + size);
  KIMBERLITE_TRY(const record::FrameView frame, record::parse_frame(scratch));
  return record_of(frame, position, current_->header);
}

Result<RecordView> TenantLog::State::read_at(std::uint64_t offset, Position position,
                                             Buffer& scratch) {
  KIMBERLITE_TRY(const Reading* const segment, segment_of(position));
  const std::string file_path = path(segment->header.first);
  const std::uint64_t before = segment->header.bytes_before;
  if (offset < before || offset >= head_.bytes) {
    return Error{Code::integrity_offsets, "an offset outside the segment of its record"}.where(
        "{}/{}, position {}", directory_, offsets_name, position.value());
  }
  const std::uint64_t at = segment_header_size + (offset - before);
  scratch.resize(first_read);
  KIMBERLITE_TRY(std::size_t got, segment->file->read_at(at, scratch));
  if (got >= record::frame_header_size) {
    const std::uint32_t size = record::decode_frame_header(scratch.data()).size;
    if (size > got && size <= record::frame_size_max) {
      scratch.resize(size);
      KIMBERLITE_TRY(const std::size_t more,
                     segment->file->read_at(at + got, MutBytes{scratch}.subspan(got)));
      got += more;
    }
  }
  const auto frame = record::parse_frame(Bytes{scratch}.first(got));
  if (!frame) return at_place(frame.error(), file_path, at, position);
  auto record = record_of(*frame, position, segment->header);
  if (!record) return at_place(record.error(), file_path, at, position);
  return record;
}

Result<TenantLog::State::Reading*> TenantLog::State::segment_of(Position position) {
  const Position first = *holding(segments_, position);
  const auto known =
      std::ranges::find(readings_, first, [](const Reading& of) { return of.header.first; });
  if (known != readings_.end()) {
    readings_.splice(readings_.begin(), readings_, known);
    return &readings_.front();
  }
  if (readings_.size() == readings_max) readings_.pop_back();
  const std::string file_path = path(first);
  Reading opened;
  auto file = storage_.open(file_path, env::Open::read);
  if (!file && !readings_.empty()) {
    // The process may have too many files open, and these are the ones it can do without.
    readings_.clear();
    file = storage_.open(file_path, env::Open::read);
  }
  KIMBERLITE_TRY(opened.file, std::move(file));
  auto header = read_header(*opened.file);
  if (!header) return at_place(header.error(), file_path, 0, Position{0});
  if (header->first != first || header->lane != name_.lane) {
    return Error{Code::integrity_foreign_file, "a segment of another log"}.where("{}", file_path);
  }
  opened.header = *header;
  readings_.push_front(std::move(opened));
  return &readings_.front();
}

// Makes offsets and tiles again, from the first byte of the first segment. What cannot be made,
// since a record has rotted, leaves them as they were: they are right about all the others.
// Tried once: it reads the whole log.
Status TenantLog::State::rebuild_derived() {
  if (rotten_) return *rotten_;
  KIMBERLITE_CHECK(flush());
  const bool were_complete = derived_.complete();
  Status made = fill_derived();
  if (made) return made;
  if (class_of(made.error().code()) == ErrorClass::integrity) rotten_ = made.error();
  if (were_complete) KIMBERLITE_CHECK(derived_.open(head_.position.value()));
  return made;
}

Status TenantLog::State::fill_derived() {
  rotten_at_ = {};
  KIMBERLITE_CHECK(derived_.reset());
  if (head_.position == Position{0}) {
    derived_.rebuilt();
    return {};
  }
  KIMBERLITE_TRY(Scan scan, this->scan(Position{1}));
  record::Head at;
  while (true) {
    const auto next = scan.next();
    if (!next) {
      rotten_at_ = Position{at.position.value() + 1};
      return next.error();
    }
    const std::optional<RecordView>& record = *next;
    if (!record) break;
    const Hash leaf = record::leaf_hash(record::encode(record->entry));
    derived_.append(at.bytes, leaf, at.frontier);
    record::advance_in_place(at, leaf, record->entry.body_size);
    if (derived_.worth_flushing()) KIMBERLITE_CHECK(derived_.flush());
  }
  if (at != head_) {
    return Error{Code::integrity_tree, "the log's records do not lead to its head"}
        .where("{}, position {}", directory_, head_.position.value())
        .next("run kimberlite verify");
  }
  derived_.rebuilt();
  return derived_.cut();
}

Result<Hash> TenantLog::State::node(record::TreeNode node) { return derived_.node(node); }

namespace {

// The tree from its tiles alone: what others are given must lead to the root by itself.
class TilesAlone final : public record::HashSource {
 public:
  explicit TilesAlone(Derived& derived) : derived_(derived) {}
  Result<Hash> node(record::TreeNode node) override {
    const record::TilePlace place = record::tile_place(node);
    std::vector<Hash> hashes(std::size_t{1} << place.height);
    KIMBERLITE_CHECK(
        derived_.hashes(place.level, place.tile * record::tile_width + place.first, hashes));
    return root_of_perfect(std::move(hashes));
  }

 private:
  Derived& derived_;
};

}  // namespace

Result<std::vector<Hash>> TenantLog::State::tile_hashes_of(const record::TileName& name) {
  std::vector<Hash> hashes(name.width);
  KIMBERLITE_CHECK(derived_.hashes(name.level, name.number * record::tile_width, hashes));
  return hashes;
}

// A full tile is one hash of the tile above it. It ends at a partial one at the latest on the
// highest level, and of the partial ones the root is made.
Result<bool> TenantLog::State::leads_to_root(record::TileName name, std::vector<Hash> hashes,
                                             const Tree& in) {
  while (name.width == record::tile_width) {
    const Hash root = root_of_perfect(std::move(hashes));
    const std::uint64_t above = name.number / record::tile_width;
    const std::uint64_t at = name.number % record::tile_width;
    name = {name.level + 1, above, record::tile_width_in(in.size, name.level + 1, above)};
    KIMBERLITE_ASSERT(at < name.width);
    KIMBERLITE_TRY(hashes, tile_hashes_of(name));
    if (hashes[at] != root) return false;
  }
  TilesAlone tiles{derived_};
  KIMBERLITE_TRY(const Hash root, record::root_of(tiles, in.size));
  return root == in.root;
}

Result<Buffer> TenantLog::State::tile(const record::TileName& name, const Tree& in) {
  if (in.size == 0 || in.size > head_.position.value() || name.level >= record::tile_levels ||
      name.width == 0 || name.width != record::tile_width_in(in.size, name.level, name.number)) {
    return Error{Code::not_found_position, "a tree of {} has no such tile", in.size}
        .where("level {}, tile {}, {} hashes", name.level, name.number, name.width)
        .why("the log ends at {}", head_.position.value());
  }
  KIMBERLITE_TRY(const std::vector<Hash> hashes, prove([&] { return tile_hashes_of(name); },
                                                       [&](const std::vector<Hash>& found) {
                                                         return leads_to_root(name, found, in);
                                                       }));
  const Bytes bytes = std::as_bytes(std::span{hashes});
  return Buffer{bytes.begin(), bytes.end()};
}

// Tiles are derived and may be wrong; what does not hold is made once more from new ones.
template <class Make, class Holds>
auto TenantLog::State::prove(Make make, Holds holds) -> decltype(make()) {
  if (derived_.complete()) {
    KIMBERLITE_TRY(auto made, make());
    KIMBERLITE_TRY(const bool good, holds(made));
    if (good) return made;
  }
  KIMBERLITE_CHECK(rebuild_derived());
  KIMBERLITE_TRY(auto made, make());
  KIMBERLITE_TRY(const bool good, holds(made));
  if (good) return made;
  return Error{Code::integrity_tree, "a proof does not lead to the root it should"}.where(
      "{}", directory_);
}

Result<std::vector<Hash>> TenantLog::State::prove_inclusion(Position position, const Tree& in) {
  if (position == Position{0} || position.value() > in.size || in.size > head_.position.value()) {
    return Error{Code::not_found_position, "there is no position {} in a tree of {}",
                 position.value(), in.size}
        .why("the log ends at {}", head_.position.value());
  }
  const std::uint64_t index = position.value() - 1;
  return prove([&] { return record::prove_inclusion(*this, index, in.size); },
               [&](const std::vector<Hash>& path) -> Result<bool> {
                 KIMBERLITE_TRY(const Hash leaf, node({0, index}));
                 return record::verify_inclusion(leaf, index, in.size, path, in.root);
               });
}

Result<std::vector<Hash>> TenantLog::State::prove_consistency(const Tree& older,
                                                              const Tree& newer) {
  if (older.size == 0 || older.size > newer.size || newer.size > head_.position.value()) {
    return Error{Code::not_found_position, "a tree of {} does not begin one of {}", older.size,
                 newer.size}
        .why("the log ends at {}", head_.position.value());
  }
  return prove([&] { return record::prove_consistency(*this, older.size, newer.size); },
               [&](const std::vector<Hash>& path) -> Result<bool> {
                 return record::verify_consistency(older.size, older.root, newer.size, newer.root,
                                                   path);
               });
}

Result<Hash> TenantLog::State::root_at(std::uint64_t size) {
  if (size == 0 || size > head_.position.value()) {
    return Error{Code::not_found_position, "there is no tree of {}", size}.why(
        "the log ends at {}", head_.position.value());
  }
  return prove([&] { return record::root_of(*this, size); },
               [&](const Hash& root) -> Result<bool> {
                 KIMBERLITE_TRY(const std::vector<Hash> path,
                                record::prove_consistency(*this, size, head_.position.value()));
                 return record::verify_consistency(size, root, head_.position.value(),
                                                   head_.frontier.root(), path);
               });
}

Result<Scan> TenantLog::State::scan(Position from) {
  KIMBERLITE_ASSERT(from > Position{0} && from.value() <= head_.position.value() + 1);
  KIMBERLITE_CHECK(flush());
  auto state = std::make_unique<Scan::State>();
  state->storage = &storage_;
  state->directory = directory_;
  state->position = from;
  state->last = head_.position;
  state->bytes = head_.bytes;
  if (from <= head_.position) {
    state->segments.assign(holding(segments_, from), segments_.cend());
    std::uint64_t hint = 0;
    if (derived_.complete()) {
      KIMBERLITE_TRY(hint, derived_.offset(from));
    }
    KIMBERLITE_CHECK(state->start(hint));
  }
  return Scan{std::move(state)};
}

// Opens the first segment and goes to the first record wanted: at the offset `hint` if it is there,
// or by passing over those before it.
Status Scan::State::start(std::uint64_t hint) {
  const Position wanted = position;
  position = segments.front();
  KIMBERLITE_CHECK(open_next());
  if (wanted == position) return {};
  const std::uint64_t end = reader->at() + reader->left();
  const std::uint64_t at = segment_header_size + (hint - header.bytes_before);
  if (hint >= header.bytes_before && at < end) {
    SegmentReader there{*file, at, end};
    const auto frame = there.peek_frame();
    if (frame && *frame && record_of(**frame, wanted, header)) {
      position = wanted;
      reader.emplace(*file, at, end);
      return {};
    }
  }
  while (position < wanted) {
    KIMBERLITE_TRY(const auto record, next());
    KIMBERLITE_ASSERT(record.has_value());
  }
  return {};
}

// Opens the next segment, which must begin at `position`.
Status Scan::State::open_next() {
  if (opened == segments.size() || segments[opened] != position) {
    return Error{Code::integrity_missing_file, "the segment that begins at position {} is missing",
                 position.value()}
        .where("{}", directory);
  }
  const std::string path = fmt::format("{}/{}", directory, segment_file_name(position));
  reader.reset();
  KIMBERLITE_TRY(file, storage->open(path, env::Open::read));
  auto found = read_header(*file);
  if (!found) return at_place(found.error(), path, 0, Position{0});
  if (found->first != position || found->bytes_before > bytes) {
    return Error{Code::integrity_foreign_file, "a segment of another log"}.where("{}", path);
  }
  header = *found;
  KIMBERLITE_TRY(std::uint64_t end, file->size());
  if (opened + 1 < segments.size()) {
    // Sealed: its frames end where the footer begins.
    if (end < segment_header_size + segment_footer_size) {
      return Error{Code::integrity_segment, "a sealed segment without a footer"}.where("{}", path);
    }
    end -= segment_footer_size;
  } else {
    const std::uint64_t frames_end = segment_header_size + (bytes - header.bytes_before);
    if (end < frames_end) {
      return Error{Code::integrity_segment, "a segment is shorter than the log"}.where(
          "{}, byte {}", path, end);
    }
    end = frames_end;
  }
  ++opened;
  reader.emplace(*file, segment_header_size, end);
  return {};
}

Result<std::optional<RecordView>> Scan::State::next() {
  if (position > last) return std::optional<RecordView>{};
  reader->skip(std::exchange(passed, 0));
  if (reader->left() == 0) KIMBERLITE_CHECK(open_next());
  const auto fail = [&](const Error& error) {
    return at_place(error, fmt::format("{}/{}", directory, segment_file_name(header.first)),
                    reader->at(), position);
  };
  const auto frame = reader->peek_frame();
  if (!frame) return fail(frame.error());
  KIMBERLITE_ASSERT(frame->has_value());
  auto record = record_of(**frame, position, header);
  if (!record) return fail(record.error());
  passed = (*frame)->size;
  position = Position{position.value() + 1};
  return std::optional{*record};
}

Scan::Scan(std::unique_ptr<State> state) : state_(std::move(state)) {}
Scan::~Scan() = default;
Scan::Scan(Scan&&) noexcept = default;
Scan& Scan::operator=(Scan&&) noexcept = default;

Result<std::optional<RecordView>> Scan::next() { return state_->next(); }

}  // namespace kimberlite::log
