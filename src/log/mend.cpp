// A record that has rotted, put back from a copy of it: the same bytes where they stood before.
#include "base/assert.hpp"
#include "log/tenant_log.hpp"
#include "record/body.hpp"
#include "record/frame.hpp"
#include "record/proof.hpp"
#include "tenant_log_state.hpp"

namespace kimberlite::log {
namespace {

// Of records beside each other, as a lost sector or page leaves them.
constexpr std::uint64_t run_max = 256;

Error not_the_record(Position position, std::string_view why) {
  return Error{Code::integrity_inclusion, "what was given is not the record at position {}",
               position.value()}
      .why("{}", why);
}

}  // namespace

Result<std::optional<Position>> TenantLog::State::first_damaged(Position position) {
  if (position == Position{0} || position > head_.position) return std::optional<Position>{};
  KIMBERLITE_CHECK(flush());
  Buffer scratch;
  const auto is_damaged = [&](Position at) -> Result<bool> {
    // By the offsets as they are: making them anew reads the whole log.
    const auto record = [&]() -> Result<RecordView> {
      if (!derived_.complete()) return read(at, scratch);
      KIMBERLITE_TRY(const std::uint64_t offset, derived_.offset(at));
      return read_at(offset, at, scratch);
    }();
    if (record) return false;
    if (class_of(record.error().code()) != ErrorClass::integrity) return record.error();
    return true;
  };
  KIMBERLITE_TRY(bool damaged, is_damaged(position));
  if (!damaged) return std::optional<Position>{};
  // Without offsets nothing behind it is found.
  if (!derived_.complete() && rotten_at_ != Position{0}) return std::optional{rotten_at_};
  for (std::uint64_t back = 0; position > Position{1} && back < run_max; ++back) {
    const Position before{position.value() - 1};
    KIMBERLITE_TRY(damaged, is_damaged(before));
    if (!damaged) break;
    position = before;
  }
  return std::optional{position};
}

// Where its frame begins, of which more is known than what the offsets say: nothing is written over
// another record.
Result<std::uint64_t> TenantLog::State::place_of(Position position) {
  if (derived_.complete()) {
    KIMBERLITE_TRY(const std::uint64_t offset, derived_.offset(position));
    if (is_behind_the_one_before(offset, position).value_or(false)) return offset;
  }
  KIMBERLITE_TRY(const Reading* const segment, segment_of(position));
  const SegmentHeader header = segment->header;
  std::uint64_t offset = header.bytes_before;
  KIMBERLITE_TRY(Scan before, scan(header.first));
  for (std::uint64_t at = header.first.value(); at < position.value(); ++at) {
    KIMBERLITE_TRY(const auto record, before.next());
    KIMBERLITE_ASSERT(record.has_value());
    offset += record::frame_size(record->entry.body_size);
  }
  return offset;
}

// That the record with this leaf is the one at `position`: the one behind it names it, or else the
// tree does. `behind`: where the next frame begins.
Status TenantLog::State::check_leaf(Position position, const Hash& leaf, std::uint64_t behind) {
  const auto named = [&]() -> Result<Hash> {
    if (position == head_.position) return head_.leaf;
    const Position next{position.value() + 1};
    KIMBERLITE_TRY(const Reading* const segment, segment_of(next));
    if (segment->header.first == next) return segment->header.previous;
    Buffer scratch;
    KIMBERLITE_TRY(const RecordView record, read_at(behind, next, scratch));
    return record.entry.previous;
  }();
  if (named) {
    return *named == leaf ? Status{}
                          : not_the_record(position, "the record behind it names another");
  }
  if (!derived_.complete()) return named.error();
  KIMBERLITE_TRY(const std::vector<Hash> path,
                 record::prove_inclusion(*this, position.value() - 1, head_.position.value()));
  if (record::verify_inclusion(leaf, position.value() - 1, head_.position.value(), path,
                               head_.frontier.root())) {
    return {};
  }
  return not_the_record(position, "its leaf does not lead to the log's root");
}

Status TenantLog::State::mend(OpNumber op, std::uint32_t index, const record::Entry& entry,
                              Bytes body) {
  const Position position = entry.position;
  if (position == Position{0} || position > head_.position) {
    return Error{Code::not_found_position, "there is no position {}", position.value()}.why(
        "the log ends at {}", head_.position.value());
  }
  KIMBERLITE_CHECK(flush());
  KIMBERLITE_TRY(const std::vector<record::ItemView> items, record::split_body(body));
  if (entry.body_size != body.size() || record::body_commitment(items) != entry.body_commitment) {
    return not_the_record(position, "its body is not the one its entry commits to");
  }
  KIMBERLITE_TRY(const Reading* const segment, segment_of(position));
  const SegmentHeader header = segment->header;
  if (entry.log_id != header.log_id) return not_the_record(position, "it is of another log");
  KIMBERLITE_TRY(const std::uint64_t offset, place_of(position));
  const std::uint64_t size = record::frame_size(body.size());
  if (size > head_.bytes - offset) return not_the_record(position, "it is longer than the log");
  KIMBERLITE_CHECK(check_leaf(position, record::leaf_hash(record::encode(entry)), offset + size));

  Buffer frame;
  record::append_frame(frame, op, index, entry, body);
  KIMBERLITE_TRY(const auto file, storage_.open(path(header.first), env::Open::write));
  KIMBERLITE_CHECK(file->write_at(segment_header_size + (offset - header.bytes_before), frame));
  KIMBERLITE_CHECK(file->sync());
  Buffer scratch;
  KIMBERLITE_TRY(const RecordView there, read_at(offset, position, scratch));
  KIMBERLITE_ASSERT(there.entry == entry);
  rotten_.reset();  // it may have been this one
  return {};
}

}  // namespace kimberlite::log
