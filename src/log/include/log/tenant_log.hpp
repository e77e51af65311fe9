// One log on disk: a (tenant, lane), through all its epochs.
//
// Appending is cheap and volatile: frames are gathered in memory and written in large pieces;
// nothing is durable before `flush` and then `Storage::sync_all` (the journal is what makes a
// commit durable). Reading sees everything appended.
//
// After a crash: `open` with the head the checkpoint recorded, `append` again what the journal
// regenerates, then `settle`. Bytes on disk behind the recorded head are compared with what is
// appended and rewritten: torn and zero bytes are normal there, a complete frame with other content
// is an error.
//
// `offsets` and `tiles/` are derived. Where they are missing, short or wrong they are rebuilt by
// the first call that needs them; until then appending leaves them alone.
//
// Errors: `integrity.*` with file, byte and position; what the storage gives. An `append`, `flush`
// or `settle` that failed has changed nothing and may be tried again.
//
// Thread rule: the owner's strand only. The storage outlives the log.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "env/env.hpp"
#include "log/segment.hpp"
#include "record/entry.hpp"
#include "record/head.hpp"
#include "record/tile.hpp"

namespace kimberlite::log {

struct RecordView {
  OpNumber op;
  std::uint32_t index = 0;
  record::Entry entry;
  Bytes body;
};

// The tree of the first `size` records.
struct Tree {
  std::uint64_t size = 0;
  Hash root{};
};
[[nodiscard]] inline Tree tree_of(const record::Head& head) {
  return {head.position.value(), head.frontier.root()};
}

// Records in order of position, read in large pieces; memory is bounded by the largest record. Goes
// up to the head there was when it was made, and is independent of the log from then on.
class Scan {
 public:
  ~Scan();
  Scan(Scan&&) noexcept;
  Scan& operator=(Scan&&) noexcept;
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // The next record, or nothing at the end; a view that lives until the next call. Checks frame,
  // position and log id; chain and commitments are for `verify`.
  [[nodiscard]] Result<std::optional<RecordView>> next();

 private:
  friend class TenantLog;
  struct State;
  explicit Scan(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class TenantLog {
 public:
  // The log as it was at `head`, with `log_id` that of its newest record (or of the first to come).
  // A head of position 0 is a new log; it gets its first file with its first record.
  // `integrity.missing_file`, `integrity.foreign_file` or `integrity.segment` if the files do not
  // hold what the head says.
  [[nodiscard]] static Result<std::unique_ptr<TenantLog>> open(env::Storage& storage, LogName name,
                                                               const Id128& log_id,
                                                               const record::Head& head);
  ~TenantLog();
  TenantLog(const TenantLog&) = delete;
  TenantLog& operator=(const TenantLog&) = delete;

  // The next record; `after` is the head with it (`record::advance`).
  [[nodiscard]] Status append(OpNumber op, std::uint32_t index, const record::Entry& entry,
                              Bytes body, const record::Head& after);
  // Hands everything appended to the storage.
  [[nodiscard]] Status flush();
  // Recovery is over: cuts off what the journal did not regenerate. `integrity.journal_lost` if a
  // complete frame stands there, since only committed records are ever written. Also harmless at
  // any other time.
  [[nodiscard]] Status settle();

  [[nodiscard]] const record::Head& head() const;

  // The record at `position`, 1 to head; the view lives as long as `scratch` is not touched.
  // `not_found.position` beyond the head.
  [[nodiscard]] Result<RecordView> read(Position position, Buffer& scratch);
  // From `position` (1 to head + 1) to the head.
  [[nodiscard]] Result<Scan> scan(Position from);

  // RFC 6962 proofs between trees this log had, each checked against the roots given before it is:
  // `integrity.tree` if these are not the log's. `not_found.position` beyond the head or the tree.
  [[nodiscard]] Result<std::vector<Hash>> prove_inclusion(Position position, const Tree& in);
  [[nodiscard]] Result<std::vector<Hash>> prove_consistency(const Tree& older, const Tree& newer);
  // The root there was at `size`, 1 to head.
  [[nodiscard]] Result<Hash> root_at(std::uint64_t size);
  // The hashes of a tile of `in`, a tree this log had: checked to lead, through the tiles above it,
  // to its root. `integrity.tree` if they do not, `not_found.position` if the tree has no such
  // tile.
  [[nodiscard]] Result<Buffer> tile(const record::TileName& name, const Tree& in);

  // The first of the damaged records beside each other of which one is at `position`; nothing if
  // that one is whole, or not there. Of more than 256 some one before it.
  [[nodiscard]] Result<std::optional<Position>> first_damaged(Position position);
  // Puts a damaged record back where it stood, if these are its very bytes: the record behind it,
  // or the tree, says so. Of damaged ones beside each other the first comes first.
  // `integrity.inclusion` if they are not; nothing is changed then.
  [[nodiscard]] Status mend(OpNumber op, std::uint32_t index, const record::Entry& entry,
                            Bytes body);

 private:
  class State;
  explicit TenantLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kimberlite::log
