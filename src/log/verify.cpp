#include "log/verify.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "anchors_check.hpp"
#include "base/assert.hpp"
#include "crypto/blake3.hpp"
#include "crypto/crc32c.hpp"
#include "derived.hpp"
#include "heads_check.hpp"
#include "record/body.hpp"
#include "record/frame.hpp"
#include "record/frontier.hpp"
#include "segment_reader.hpp"

namespace kimberlite::log {
namespace {

constexpr std::uint64_t progress_step = std::uint64_t{1} << 20;
constexpr std::size_t seal_step = std::size_t{16} << 10;

// The findings, bounded.
class Findings {
 public:
  Findings(VerifyReport& report, std::size_t most) : report_(report), most_(most) {}

  void add(Finding finding) {
    ++report_.findings_total;
    if (report_.findings.size() < most_) report_.findings.push_back(std::move(finding));
  }
  void add(const Error& error, std::string file, std::uint64_t offset, Position position) {
    add({error.code(), std::move(file), offset, position,
         error.why().empty() ? error.what() : fmt::format("{}: {}", error.what(), error.why()), "",
         ""});
  }

 private:
  VerifyReport& report_;
  std::size_t most_;
};

// A derived file that is read beside the segments and compared with what they give.
class DerivedFile {
 public:
  DerivedFile(env::Storage& storage, std::string path, std::size_t entry_size, Code code)
      : path_(std::move(path)), entry_size_(entry_size), code_(code) {
    auto file = storage.open(path_, env::Open::read);
    if (!file) return;  // not there, which is harmless
    const auto size = (*file)->size();
    if (!size) return;
    file_ = *std::move(file);
    size_ = *size;
    reader_.emplace(*file_, 0, size_);
  }

  // Passes over entries that are not looked at.
  void pass(std::uint64_t entries) {
    if (reader_) reader_.emplace(*file_, std::min(entries * entry_size_, size_), size_);
  }
  // Entry `index` as it stands there; nothing if the file does not hold it.
  std::optional<Hash> hash_at(std::uint64_t index) {
    Hash hash{};
    if (file_ == nullptr || (index + 1) * entry_size_ > size_) return std::nullopt;
    const auto got = file_->read_at(index * entry_size_, hash);
    if (!got || *got != hash.size()) return std::nullopt;
    return hash;
  }

  // Compares the next entry; false if the file holds no more.
  bool check(Bytes expected, Position position, Findings& findings) {
    if (!reader_ || reader_->left() < entry_size_) return false;
    const auto found = reader_->peek(entry_size_);
    if (!found) {
      findings.add(found.error(), path_, reader_->at(), position);
      reader_.reset();
      return false;
    }
    if (!equal(*found, expected)) {
      findings.add({code_, path_, reader_->at(), position,
                    "a derived file differs from the segments", to_hex(expected), to_hex(*found)});
    }
    reader_->skip(entry_size_);
    return true;
  }

  // What is behind the last entry checked, in a log that ends there.
  void check_end(Findings& findings, Position next) {
    if (!reader_ || reader_->left() == 0) return;
    findings.add({code_, path_, reader_->at(), next,
                  fmt::format("{} bytes behind the last record's", reader_->left()), "", ""});
  }

 private:
  std::string path_;
  std::size_t entry_size_;
  Code code_;
  std::unique_ptr<env::File> file_;
  std::uint64_t size_ = 0;
  std::optional<SegmentReader> reader_;
};

class Verifier {
 public:
  Verifier(env::Storage& storage, LogName name, const VerifyOptions& options, VerifyReport& report)
      : storage_(storage),
        lane_(name.lane),
        directory_(directory_of(name)),
        options_(options),
        report_(report),
        findings_(report, options.findings_max),
        offsets_(storage, fmt::format("{}/{}", directory_, offsets_name), offset_size,
                 Code::integrity_offsets),
        heads_(storage, directory_, options.log_key ? &*options.log_key : nullptr,
               options.proofs ? std::optional{options.proofs->heads} : std::nullopt,
               [this](Finding finding) { findings_.add(std::move(finding)); }) {
    for (std::uint32_t step = 0; step < height_count; ++step) {
      tree_.emplace_back(storage,
                         fmt::format("{}/{}", directory_, tree_file_name(step * height_step)),
                         hash_size, Code::integrity_tile);
    }
  }

  Status run();

 private:
  // How a segment ends.
  enum class End : std::uint8_t { whole, tail, broken, cancelled };

  Status list(std::vector<Position>& segments);
  void list_tree();
  void start_since(std::vector<Position>& segments);
  Status start_alone(Position first);
  std::optional<record::Head> head_before(Position first);
  void check_since();
  std::uint64_t size_of(std::span<const Position> segments);
  End segment(Position first, bool newest);
  std::optional<End> begin_segment(env::File& file, Position first);
  End frames(SegmentReader& reader, bool newest);
  std::optional<End> frame(SegmentReader& reader);
  bool goes_on(SegmentReader& reader, std::uint64_t size);
  void record(Bytes frame);
  void body(const record::Entry& entry, Bytes bytes, std::uint64_t at);
  void advance(std::uint32_t body_size, Bytes entry_bytes);
  End footer(Bytes bytes, std::uint64_t at);
  void flush_seal() {
    seal_.update(unsealed_);
    unsealed_.clear();
  }
  void begin_epoch(const Id128& log_id);
  void suspect_checkpoint();
  void pass_checkpoint();
  void compare(Code code, std::uint64_t at, std::string_view what, Bytes expected, Bytes found);
  void compare(Code code, std::uint64_t at, std::string_view what, std::uint64_t expected,
               std::uint64_t found);
  void check_at_least();
  void finish();
  bool keep_going(std::uint64_t bytes);

  [[nodiscard]] Position next_position() const {
    return Position{report_.head.position.value() + 1};
  }
  // Everything up to the head a checkpoint recorded was synced with it.
  [[nodiscard]] bool may_be_torn() const {
    return options_.at_least && report_.head.position >= options_.at_least->position;
  }

  env::Storage& storage_;
  std::uint16_t lane_;
  std::string directory_;
  const VerifyOptions& options_;
  VerifyReport& report_;
  Findings findings_;
  DerivedFile offsets_;
  std::vector<DerivedFile> tree_;  // by height / height_step
  HeadsCheck heads_;

  std::string file_;      // being read
  SegmentHeader header_;  // its
  bool checkpoint_passed_ = false;
  bool log_id_known_ = false;  // or it is taken from the next record, where the header is damaged
  crypto::Blake3 seal_;        // of it so far
  Buffer unsealed_;  // what the seal is still to be given: large pieces are hashed much faster
  std::uint64_t record_at_ = 0;  // where the newest frame begins in the file
  bool rooted_ = true;           // the frontier is that of all records: nothing had to be left out
  std::uint64_t bytes_total_ = 0;
  std::uint64_t bytes_before_ = 0;  // of the segments before this one
  std::uint64_t progress_at_ = 0;
};

void Verifier::compare(Code code, std::uint64_t at, std::string_view what, Bytes expected,
                       Bytes found) {
  if (equal(expected, found)) return;
  findings_.add(
      {code, file_, at, next_position(), std::string{what}, to_hex(expected), to_hex(found)});
}

void Verifier::compare(Code code, std::uint64_t at, std::string_view what, std::uint64_t expected,
                       std::uint64_t found) {
  if (expected == found) return;
  findings_.add({code, file_, at, next_position(), std::string{what}, fmt::format("{}", expected),
                 fmt::format("{}", found)});
}

Status Verifier::run() {
  std::vector<Position> segments;
  KIMBERLITE_CHECK(list(segments));
  list_tree();
  if (options_.since) start_since(segments);
  if (options_.alone) KIMBERLITE_CHECK(start_alone(*options_.alone));
  if (options_.progress) bytes_total_ = size_of(segments);
  check_at_least();
  for (std::size_t i = 0; i < segments.size() && !report_.cancelled; ++i) {
    const End end = segment(segments[i], i + 1 == segments.size());
    if (end == End::broken) rooted_ = false;
    if (end == End::tail) {
      report_.tail_bytes += size_of(std::span{segments}.subspan(i + 1));
      break;
    }
  }
  if (!report_.cancelled) finish();
  return {};
}

Status Verifier::list(std::vector<Position>& segments) {
  const auto names = storage_.list(directory_);
  if (!names) {
    if (names.error().code() == Code::not_found_directory) return {};
    return names.error();
  }
  for (const std::string& name : *names) {
    if (const auto first = segment_of_file_name(name)) {
      segments.push_back(*first);
    } else if (name != offsets_name && name != heads_name && name != anchors_name &&
               name != fmt::format("{}/", tiles_name) && name != fmt::format("{}/", nodes_name)) {
      findings_.add({Code::integrity_foreign_file, fmt::format("{}/{}", directory_, name), 0,
                     Position{0}, "a file that is no part of a log", "", ""});
    }
  }
  return {};
}

void Verifier::list_tree() {
  for (const std::string_view folder : {tiles_name, nodes_name}) {
    const auto names = storage_.list(fmt::format("{}/{}", directory_, folder));
    if (!names) continue;  // not there, which is harmless
    for (const std::string& name : *names) {
      const std::string path = fmt::format("{}/{}", folder, name);
      bool known = false;
      for (std::uint32_t step = 0; step < height_count && !known; ++step) {
        known = path == tree_file_name(step * height_step);
      }
      if (known) continue;
      findings_.add({Code::integrity_foreign_file, fmt::format("{}/{}", directory_, path), 0,
                     Position{0}, "a file that is no part of a log", "", ""});
    }
  }
}

// Begins with the segment that holds the last record of the tree that is known. The tiles say what
// is before it: they are believed only as far as they lead to the known root.
void Verifier::start_since(std::vector<Position>& segments) {
  const auto behind = std::ranges::upper_bound(segments, Position{options_.since->size});
  if (behind == segments.begin() || std::prev(behind) == segments.begin()) return;
  const auto start = std::prev(behind);
  const std::optional<record::Head> before = head_before(*start);
  if (!before) return;  // without them, everything is read
  report_.head = *before;
  report_.from = *start;
  offsets_.pass(before->position.value());
  for (std::uint32_t step = 0; step < tree_.size(); ++step) {
    tree_[step].pass(nodes_of_height(before->position.value(), step * height_step));
  }
  segments.erase(segments.begin(), start);
}

Status Verifier::start_alone(Position first) {
  KIMBERLITE_TRY(
      const auto file,
      storage_.open(fmt::format("{}/{}", directory_, segment_file_name(first)), env::Open::read));
  KIMBERLITE_TRY(const SegmentHeader header, read_header(*file));
  report_.from = header.first;
  report_.head.position = Position{header.first.value() - 1};
  report_.head.bytes = header.bytes_before;
  report_.head.leaf = header.previous;
  // Of the first one the tree is known: it is empty.
  rooted_ = header.first == Position{1};
  return {};
}

// The head before the record `first`, which begins a segment: from its header and the tiles.
std::optional<record::Head> Verifier::head_before(Position first) {
  const auto file =
      storage_.open(fmt::format("{}/{}", directory_, segment_file_name(first)), env::Open::read);
  if (!file) return std::nullopt;
  const auto header = read_header(**file);
  if (!header || header->first != first) return std::nullopt;
  const std::uint64_t size = first.value() - 1;
  std::vector<Hash> roots;
  std::uint64_t before = 0;
  for (std::uint32_t bit = 64; bit-- > 0;) {
    if ((size >> bit & 1U) == 0) continue;
    const record::TilePlace place = record::tile_place({bit, before >> bit});
    std::vector<Hash> hashes(std::size_t{1} << place.height);
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const auto hash = tree_[std::size_t{2} * place.level].hash_at(
          place.tile * record::tile_width + place.first + i);
      if (!hash) return std::nullopt;
      hashes[i] = *hash;
    }
    record::Frontier subtree;
    for (const Hash& hash : hashes) subtree.append(hash);
    roots.push_back(subtree.root());
    before += std::uint64_t{1} << bit;
  }
  const auto frontier = record::Frontier::restore(size, roots);
  if (!frontier) return std::nullopt;
  return record::Head{Position{size}, header->bytes_before, header->previous, *frontier};
}

void Verifier::check_since() {
  if (!options_.since || report_.head.position.value() != options_.since->size || !rooted_) return;
  const Hash root = report_.head.frontier.root();
  if (root == options_.since->root) return;
  findings_.add({Code::integrity_consistency, file_, record_at_, report_.head.position,
                 "the log does not extend the head that was given", to_hex(options_.since->root),
                 to_hex(root)});
}

// Of the files that can be opened.
std::uint64_t Verifier::size_of(std::span<const Position> segments) {
  std::uint64_t total = 0;
  for (const Position first : segments) {
    auto file =
        storage_.open(fmt::format("{}/{}", directory_, segment_file_name(first)), env::Open::read);
    if (file) total += (*file)->size().value_or(0);
  }
  return total;
}

bool Verifier::keep_going(std::uint64_t bytes) {
  if (bytes < progress_at_) return true;
  progress_at_ = bytes + progress_step;
  if (options_.progress && !options_.progress({bytes, bytes_total_, report_.records})) {
    report_.cancelled = true;
  }
  return !report_.cancelled;
}

Verifier::End Verifier::segment(Position first, bool newest) {
  file_ = fmt::format("{}/{}", directory_, segment_file_name(first));
  record_at_ = 0;
  auto file = storage_.open(file_, env::Open::read);
  auto size = file ? (*file)->size() : Result<std::uint64_t>{0};
  if (!file || !size) {
    findings_.add(file ? size.error() : file.error(), file_, 0, first);
    return End::broken;
  }
  ++report_.segments;
  if (*size < segment_header_size) {
    report_.tail_bytes = *size;
    if (may_be_torn()) return End::tail;
    findings_.add(
        {Code::integrity_segment, file_, 0, first, "a segment without its header", "", ""});
    return End::broken;
  }
  if (const auto end = begin_segment(**file, first)) {
    if (*end == End::tail) report_.tail_bytes = *size;
    return *end;
  }
  SegmentReader reader{**file, segment_header_size, *size};
  const End end = frames(reader, newest);
  report_.bytes += reader.at();
  bytes_before_ += reader.at();
  if (end == End::tail) report_.tail_bytes = reader.left();
  return end;
}

// Checks the header and that it goes on where the segment before ended.
std::optional<Verifier::End> Verifier::begin_segment(env::File& file, Position first) {
  SegmentHeaderBytes bytes{};
  const auto got = file.read_at(0, bytes);
  const auto header = got ? decode_header(bytes) : Result<SegmentHeader>{got.error()};
  if (!header && may_be_torn()) return End::tail;
  log_id_known_ = header.has_value();
  if (!header) {
    findings_.add(header.error(), file_, 0, first);
    if (first != next_position()) return End::broken;
    // The name says where it begins, and the chain what comes next.
    header_ = {lane_, report_.log_id, first, report_.head.bytes, report_.head.leaf};
  } else {
    header_ = *header;
  }
  seal_ = crypto::Blake3{};
  unsealed_.assign(bytes.begin(), bytes.end());

  compare(Code::integrity_segment, 10, "the lane of a segment", lane_, header_.lane);
  compare(Code::integrity_segment, 32, "the first position, against the file's name", first.value(),
          header_.first.value());
  if (header_.first != next_position()) {
    compare(Code::integrity_missing_file, 32, "the position a segment should begin at",
            next_position().value(), header_.first.value());
    rooted_ = false;
    report_.head.position = Position{header_.first.value() - 1};
    report_.head.bytes = header_.bytes_before;
    report_.head.leaf = header_.previous;
  }
  compare(Code::integrity_segment, 40, "bytes of frames before a segment", report_.head.bytes,
          header_.bytes_before);
  compare(Code::integrity_chain, 48, "the leaf before a segment", report_.head.leaf,
          header_.previous);
  if (log_id_known_) begin_epoch(header_.log_id);
  return std::nullopt;
}

void Verifier::begin_epoch(const Id128& log_id) {
  if (report_.epochs > 0 && log_id == report_.log_id) return;
  ++report_.epochs;
  report_.log_id = log_id;
}

Verifier::End Verifier::frames(SegmentReader& reader, bool newest) {
  while (keep_going(bytes_before_ + reader.at())) {
    if (reader.left() == segment_footer_size) {
      const auto bytes = reader.peek(segment_footer_size);
      // Less than any frame: a footer, or a torn end.
      if (bytes && (looks_like_footer(*bytes) || !may_be_torn())) {
        const End end = footer(*bytes, reader.at());
        if (end == End::whole) reader.skip(segment_footer_size);
        return end;
      }
    }
    if (reader.left() == 0) {
      if (newest) return End::whole;
      if (may_be_torn()) return End::tail;
      findings_.add({Code::integrity_segment, file_, reader.at(), next_position(),
                     "a sealed segment without its footer", "", ""});
      return End::whole;
    }
    if (const auto end = frame(reader)) return *end;
  }
  return End::cancelled;
}

// Checks one frame and passes over it; or says how the segment ends here.
std::optional<Verifier::End> Verifier::frame(SegmentReader& reader) {
  const auto broken = [&](std::string what) {
    if (may_be_torn()) return End::tail;
    suspect_checkpoint();
    findings_.add(
        {Code::integrity_frame, file_, reader.at(), next_position(), std::move(what), "", ""});
    return End::broken;
  };
  auto bytes = reader.peek(record::frame_header_size);
  if (bytes && bytes->size() < record::frame_header_size) {
    return broken(fmt::format("{} bytes where a frame begins", bytes->size()));
  }
  record::FrameHeader header{};
  if (bytes) {
    header = record::decode_frame_header(bytes->data());
    if (record::frame_extent(reader.left(), header.size) != record::Extent::inside) {
      return broken(fmt::format("a frame that says it has {} bytes, where {} are left", header.size,
                                reader.left()));
    }
    bytes = reader.peek(header.size);
  }
  if (!bytes) {
    findings_.add(bytes.error(), file_, reader.at(), next_position());
    return End::broken;
  }

  const std::uint32_t crc = crypto::crc32c(bytes->subspan(record::frame_checked_from));
  if (crc != header.crc) {
    // Its size may be what is wrong; then what follows is no frame, and nothing more can be said.
    if (may_be_torn()) return End::tail;
    suspect_checkpoint();
    const bool goes_on = this->goes_on(reader, header.size);
    findings_.add({Code::integrity_frame, file_, reader.at(), next_position(),
                   "the checksum of a frame does not hold", fmt::format("{:08x}", header.crc),
                   fmt::format("{:08x}", crc)});
    if (!goes_on) return End::broken;
    bytes = reader.peek(header.size);
    if (!bytes) return End::broken;
  } else if (!record::zero_run(bytes->data() + record::frame_at_zero, 4)) {
    findings_.add({Code::integrity_frame, file_, reader.at() + record::frame_at_zero,
                   next_position(), "padding of a frame that is not zero", "", ""});
  }
  append(unsealed_, bytes->first(record::frame_header_size));
  if (unsealed_.size() >= seal_step) flush_seal();
  record_at_ = reader.at();
  record(*bytes);
  reader.skip(header.size);
  return std::nullopt;
}

// Whether a frame, a footer or the end follows a frame of `size` bytes.
bool Verifier::goes_on(SegmentReader& reader, std::uint64_t size) {
  const std::uint64_t left = reader.left() - size;
  if (left == 0 || left == segment_footer_size) return true;
  auto bytes = reader.peek(size + record::frame_header_size);
  if (!bytes || bytes->size() < size + record::frame_header_size) return false;
  const std::uint32_t next = record::decode_frame_header(bytes->data() + size).size;
  if (record::frame_extent(left, next) != record::Extent::inside) return false;
  bytes = reader.peek(size + next);
  return bytes && record::complete_frame(bytes->subspan(size));
}

void Verifier::record(Bytes frame) {
  const std::uint64_t at = record_at_;
  if (!checkpoint_passed_ && options_.checkpoint &&
      OpNumber{record::decode_frame_header(frame.data()).op} > *options_.checkpoint) {
    pass_checkpoint();
  }
  const Bytes entry_bytes = frame.subspan(record::frame_at_entry, record::entry_size);
  const Bytes body_bytes = frame.subspan(record::frame_at_body);
  const auto entry = record::decode(entry_bytes.first<record::entry_size>());
  ++report_.records;
  if (!entry) {
    findings_.add(entry.error(), file_, at + record::frame_at_entry, next_position());
    // The leaf is that of the bytes that are there, so that the next record's `previous` is held
    // against it.
    advance(static_cast<std::uint32_t>(body_bytes.size()), entry_bytes);
    return;
  }
  if (!log_id_known_) {
    header_.log_id = entry->log_id;
    log_id_known_ = true;
    begin_epoch(entry->log_id);
  }
  const std::uint64_t entry_at = at + record::frame_at_entry;
  compare(Code::integrity_entry, entry_at + record::entry_at_position, "the position of a record",
          next_position().value(), entry->position.value());
  compare(Code::integrity_foreign_file, entry_at + record::entry_at_log_id,
          "the log id of a record", header_.log_id, entry->log_id);
  compare(Code::integrity_chain, entry_at + record::entry_at_previous,
          "the leaf a record says is before it", report_.head.leaf, entry->previous);
  compare(Code::integrity_entry, entry_at + record::entry_at_body_size,
          "the size of a body, against its frame", body_bytes.size(), entry->body_size);
  body(*entry, body_bytes, at);
  advance(static_cast<std::uint32_t>(body_bytes.size()), entry_bytes);
}

// The operation in a damaged frame is not to be believed. Taking it for one behind the checkpoint
// errs on no side: if it is before it, the heads do not give the checkpoint's digest.
void Verifier::suspect_checkpoint() {
  if (!checkpoint_passed_ && options_.checkpoint) pass_checkpoint();
}

void Verifier::pass_checkpoint() {
  checkpoint_passed_ = true;
  report_.at_checkpoint = {report_.head, report_.log_id};
}

// As `record::split_body` and `body_commitment`, but without a view of each item: nothing here is
// hotter.
void Verifier::body(const record::Entry& entry, Bytes bytes, std::uint64_t at) {
  const std::uint64_t body_at = at + record::frame_at_body;
  record::Frontier commitments;
  Hash only{};
  std::uint64_t items = 0;
  for (std::size_t from = 0; from < bytes.size(); ++items) {
    const Bytes rest = bytes.subspan(from);
    record::ItemNumbers header{};
    if (rest.size() < record::item_header_size ||
        record::decode_numbers(rest.data(), header) != record::Malformed::none ||
        header.size > rest.size() - record::item_header_size) {
      findings_.add({Code::integrity_item, file_, body_at + from, next_position(),
                     "no item where one should begin", "", ""});
      return;
    }
    const Bytes whole = rest.first(record::item_header_size + header.size);
    if (items > 0) commitments.append(only);
    only = record::item_commitment(whole);
    from += whole.size();
  }
  report_.items += items;
  compare(Code::integrity_entry, at + record::frame_at_entry + record::entry_at_item_count,
          "the number of items, against the body", items, entry.item_count);
  Hash commitment = only;
  if (items > 1) {
    commitments.append(only);
    commitment = commitments.root();
  }
  compare(Code::integrity_body, body_at, "the commitment of a body", entry.body_commitment,
          commitment);
}

// One record further; holds the derived files against it.
void Verifier::advance(std::uint32_t body_size, Bytes entry_bytes) {
  record::Head& head = report_.head;
  const Hash leaf = record::leaf_hash(entry_bytes.first<record::entry_size>());
  const Position position = next_position();
  if (rooted_ && !(options_.at_least && position > options_.at_least->position)) {
    std::array<std::byte, offset_size> offset;
    store_le(offset.data(), head.bytes);
    if (offsets_.check(offset, position, findings_)) ++report_.offsets;
    if (tree_[0].check(leaf, position, findings_)) ++report_.tile_hashes;
    const std::uint32_t steps = record::trailing_zeros(position.value()) / height_step;
    for (std::uint32_t step = 1; step <= steps && step < tree_.size(); ++step) {
      const Hash node = head.frontier.completed(leaf, step * height_step);
      if (tree_[step].check(node, position, findings_)) ++report_.tile_hashes;
    }
  }
  if (rooted_) {
    record::advance_in_place(head, leaf, body_size);
  } else {
    head.position = position;
    head.bytes += record::frame_size(body_size);
    head.leaf = leaf;
  }
  heads_.pass(head, header_.log_id, rooted_);
  check_since();
  check_at_least();
}

Verifier::End Verifier::footer(Bytes bytes, std::uint64_t at) {
  flush_seal();
  const Hash seal = seal_.finish();
  const auto footer = decode_footer(bytes.first<segment_footer_size>());
  if (!footer) {
    if (may_be_torn()) return End::tail;
    findings_.add(footer.error(), file_, at, Position{0});
    return End::whole;
  }
  const record::Head& head = report_.head;
  const std::uint64_t frame_bytes = at - segment_header_size;
  compare(Code::integrity_segment, at + 16, "the records a footer counts",
          head.position.value() + 1 - header_.first.value(), footer->records);
  compare(Code::integrity_segment, at + 24, "the bytes a footer counts", frame_bytes,
          footer->frame_bytes);
  compare(Code::integrity_segment, at + 32, "the last position of a footer", head.position.value(),
          footer->last.value());
  compare(Code::integrity_segment, at + 40, "the log's bytes in a footer", head.bytes,
          footer->bytes);
  compare(Code::integrity_chain, at + 48, "the leaf in a footer", head.leaf, footer->leaf);
  if (rooted_) {
    compare(Code::integrity_tree, at + 80, "the root in a footer", head.frontier.root(),
            footer->root);
  }
  compare(Code::integrity_segment, at + 112, "the seal of a segment", seal, footer->seal);
  return End::whole;
}

// When the head the caller knows of is reached, it must be that one.
void Verifier::check_at_least() {
  if (!options_.at_least || report_.head.position != options_.at_least->position) return;
  const record::Head& expected = *options_.at_least;
  const record::Head& found = report_.head;
  const auto add = [&](Code code, std::string_view what, std::string want, std::string is) {
    findings_.add({code, file_.empty() ? directory_ : file_, record_at_, found.position,
                   std::string{what}, std::move(want), std::move(is)});
  };
  if (expected.bytes != found.bytes) {
    add(Code::integrity_state, "bytes of the log, against the checkpoint",
        fmt::format("{}", expected.bytes), fmt::format("{}", found.bytes));
  }
  if (expected.leaf != found.leaf) {
    add(Code::integrity_state, "the newest leaf, against the checkpoint", to_hex(expected.leaf),
        to_hex(found.leaf));
  }
  if (rooted_ && expected.frontier != found.frontier) {
    add(Code::integrity_tree, "the root, against the checkpoint", to_hex(expected.frontier.root()),
        to_hex(found.frontier.root()));
  }
}

void Verifier::finish() {
  heads_.finish(report_.head, report_);
  check_anchors(
      storage_, directory_, options_.proofs,
      [this](Finding finding) { findings_.add(std::move(finding)); }, report_);
  if (options_.since && report_.head.position.value() < options_.since->size) {
    findings_.add({Code::integrity_rollback, file_.empty() ? directory_ : file_, 0, next_position(),
                   "the log ends before the head that was given",
                   fmt::format("{}", options_.since->size),
                   fmt::format("{}", report_.head.position.value())});
  }
  if (!checkpoint_passed_) report_.at_checkpoint = {report_.head, report_.log_id};
  if (options_.at_least && report_.head.position < options_.at_least->position) {
    findings_.add({Code::integrity_missing_file, file_.empty() ? directory_ : file_, 0,
                   next_position(), "the log ends before the position its checkpoint recorded",
                   fmt::format("{}", options_.at_least->position.value()),
                   fmt::format("{}", report_.head.position.value())});
  }
  if (options_.log_id && report_.records > 0 && *options_.log_id != report_.log_id) {
    findings_.add({Code::integrity_foreign_file, directory_, 0, report_.head.position, "the log id",
                   to_hex(*options_.log_id), to_hex(report_.log_id)});
  }
  // Behind a checkpoint's head a crash may have left anything in derived files; they are cut there
  // when the log is opened.
  if (rooted_ && !options_.at_least && !checkpoint_passed_) {
    offsets_.check_end(findings_, next_position());
    for (DerivedFile& file : tree_) file.check_end(findings_, next_position());
  }
}

}  // namespace

std::optional<Id128> newest_log_id(env::Storage& storage, LogName name) {
  const std::string directory = directory_of(name);
  const auto names = storage.list(directory);
  if (!names) return std::nullopt;
  for (auto path = names->rbegin(); path != names->rend(); ++path) {
    if (!segment_of_file_name(*path)) continue;
    const auto file = storage.open(fmt::format("{}/{}", directory, *path), env::Open::read);
    if (!file) continue;
    if (const auto header = read_header(**file)) return header->log_id;
  }
  return std::nullopt;
}

Result<VerifyReport> verify_segment(env::Storage& scratch, Bytes segment, std::string_view label) {
  if (segment.size() < segment_header_size) {
    return Error{Code::integrity_segment, "the file is shorter than a segment's header"}.where(
        "{}", label);
  }
  const auto header = decode_header(segment.first<segment_header_size>());
  if (!header) return Error{header.error()}.where("{}", label);
  const LogName name{TenantId{}, header->lane};
  const std::string path =
      fmt::format("{}/{}", directory_of(name), segment_file_name(header->first));
  KIMBERLITE_TRY(const auto file, scratch.open(path, env::Open::create));
  KIMBERLITE_CHECK(file->write_at(0, segment));
  VerifyOptions options;
  options.alone = header->first;
  KIMBERLITE_TRY(VerifyReport report, verify(scratch, name, options));
  for (Finding& finding : report.findings) finding.file = label;
  return report;
}

Result<VerifyReport> verify(env::Storage& storage, LogName name, const VerifyOptions& options) {
  VerifyReport report;
  Verifier verifier{storage, name, options, report};
  KIMBERLITE_CHECK(verifier.run());
  return report;
}

}  // namespace kimberlite::log
