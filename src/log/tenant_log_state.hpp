// The inside of a `TenantLog`.
//
//            open                  append (first, or no room, or new log id)
//   files ---------> current_ ------------------------------------------------> next current_
//                      |  ^                         rotate: flush, footer, create
//              append  v  | flush
//                    buffer_
//
// (L1) The current segment's frames end at file byte end_of_file(); behind it stand buffer_'s
// frames,
//      not yet written.                                            [kept: append, flush]
// (L2) head_ is the head with buffer_'s frames.                    [kept: append]
// (L3) What stands on disk behind end_of_file() is the tail of a run before this one: no frame of
// it
//      is overwritten by another (check_rewrite) or cut off (settle).
// (L4) If derived_.complete(), it has exactly head_.position entries.   [kept: append, rebuild]
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/blake3.hpp"
#include "derived.hpp"
#include "env/env.hpp"
#include "log/segment.hpp"
#include "log/tenant_log.hpp"
#include "record/proof.hpp"
#include "segment_reader.hpp"

namespace kimberlite::log {

class TenantLog::State final : private record::HashSource {
 public:
  State(env::Storage& storage, LogName name, const Id128& log_id, const record::Head& head);

  [[nodiscard]] Status open();
  [[nodiscard]] Status append(OpNumber op, std::uint32_t index, const record::Entry& entry,
                              Bytes body, const record::Head& after);
  [[nodiscard]] Status flush();
  [[nodiscard]] Status settle();
  [[nodiscard]] const record::Head& head() const { return head_; }
  [[nodiscard]] Result<RecordView> read(Position position, Buffer& scratch);
  [[nodiscard]] Result<Scan> scan(Position from);
  [[nodiscard]] Result<std::vector<Hash>> prove_inclusion(Position position, const Tree& in);
  [[nodiscard]] Result<std::vector<Hash>> prove_consistency(const Tree& older, const Tree& newer);
  [[nodiscard]] Result<Hash> root_at(std::uint64_t size);
  [[nodiscard]] Result<Buffer> tile(const record::TileName& name, const Tree& in);
  // mend.cpp
  [[nodiscard]] Result<std::optional<Position>> first_damaged(Position position);
  [[nodiscard]] Status mend(OpNumber op, std::uint32_t index, const record::Entry& entry,
                            Bytes body);

 private:
  // The segment that is appended to.
  struct Current {
    SegmentHeader header;
    std::unique_ptr<env::File> file;
    std::uint64_t flushed = 0;    // bytes of its frames in the file
    std::uint64_t stale_end = 0;  // size of the file when it was opened: (L3) holds up to there
    std::optional<crypto::Blake3> seal;  // of all so far, if this object wrote all of it
  };
  // An open segment that is read.
  struct Reading {
    SegmentHeader header;
    std::unique_ptr<env::File> file;
  };

  [[nodiscard]] std::string path(Position first) const;
  [[nodiscard]] std::uint64_t end_of_file() const {
    return segment_header_size + current_->flushed;
  }
  [[nodiscard]] std::uint64_t buffer_offset() const {
    return current_->header.bytes_before + current_->flushed;
  }
  [[nodiscard]] Status open_current(Position first);
  [[nodiscard]] Status check_newest();
  [[nodiscard]] Status check_rewrite();
  [[nodiscard]] Status nothing_behind(env::File& file, const std::string& file_path,
                                      std::uint64_t offset);
  [[nodiscard]] Status rotate(const Id128& log_id);
  [[nodiscard]] Status seal_current();
  [[nodiscard]] Result<Hash> seal_hash();
  [[nodiscard]] Result<std::optional<std::uint64_t>> behind_rotten(std::uint64_t at,
                                                                   Position position);
  [[nodiscard]] Status start_segment(const Id128& log_id);

  [[nodiscard]] Result<RecordView> read_buffered(Position position, Buffer& scratch);
  [[nodiscard]] Result<RecordView> read_at(std::uint64_t offset, Position position,
                                           Buffer& scratch);
  [[nodiscard]] Result<Reading*> segment_of(Position position);
  [[nodiscard]] std::optional<bool> is_behind_the_one_before(std::uint64_t offset,
                                                             Position position);
  [[nodiscard]] Result<std::uint64_t> place_of(Position position);
  [[nodiscard]] Status check_leaf(Position position, const Hash& leaf, std::uint64_t behind);
  [[nodiscard]] Status rebuild_derived();
  [[nodiscard]] Status fill_derived();
  [[nodiscard]] Result<Hash> node(record::TreeNode node) override;
  [[nodiscard]] Result<std::vector<Hash>> tile_hashes_of(const record::TileName& name);
  [[nodiscard]] Result<bool> leads_to_root(record::TileName name, std::vector<Hash> hashes,
                                           const Tree& in);
  template <class Make, class Holds>
  [[nodiscard]] auto prove(Make make, Holds holds) -> decltype(make());

  env::Storage& storage_;
  LogName name_;
  std::string directory_;
  Id128 log_id_;  // of the newest record, or of the first to come
  record::Head head_;
  std::vector<Position> segments_;  // first positions, ascending; the last is current_'s
  std::vector<Position> stale_;     // of files a run before left behind the head
  std::optional<Current> current_;  // nothing before the first record
  std::list<Reading> readings_;     // segments records were read from, the last one first
  Buffer buffer_;
  std::vector<std::uint32_t> buffered_;  // where each record's frame begins in buffer_
  Derived derived_;
  std::optional<Error> rotten_;  // the record that kept derived_ from being made again
  Position rotten_at_;           // which one, if it was one
};

// Decodes and checks what every reader of a frame checks.
[[nodiscard]] Result<RecordView> record_of(const record::FrameView& frame, Position position,
                                           const SegmentHeader& header);

// "tenants/1/data/….segment, byte 77, position 5"
[[nodiscard]] Error at_place(const Error& error, std::string_view file, std::uint64_t offset,
                             Position position);

// What is left of a log to be passed over by a `Scan`.
struct Scan::State {
  [[nodiscard]] Status start(std::uint64_t hint);
  [[nodiscard]] Status open_next();
  [[nodiscard]] Result<std::optional<RecordView>> next();

  env::Storage* storage = nullptr;
  std::string directory;
  std::vector<Position> segments;  // the one with `position`, and those behind it
  std::size_t opened = 0;          // of them
  Position position;               // of the next record
  Position last;                   // of the newest record
  std::uint64_t bytes = 0;         // of all frames up to `last`
  SegmentHeader header;
  std::unique_ptr<env::File> file;
  std::optional<SegmentReader> reader;
  std::uint64_t passed = 0;  // of the frame the last view is of
};

}  // namespace kimberlite::log
