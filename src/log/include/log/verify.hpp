// Verification of one log, from bytes to root, without any key.
//
// Checked are: names of files, segment headers and footers, every frame's size, checksum and
// padding, entries, the log id, positions, the chain, item headers, item commitments, body
// commitments, leaves, the tree's root, seals, of the derived files every offset and every hash
// that is there, of the signed heads signature, key, order and root, and of the anchors that each
// is of a head signed here and its evidence says so. Each byte is read once; memory does not grow
// with the log, but for some bytes an anchor.
//
// Source: proofs.md, Verifier. Thread rule: nothing else may write the log meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "env/env.hpp"
#include "log/anchor_file.hpp"
#include "log/head_file.hpp"
#include "log/segment.hpp"
#include "record/head.hpp"

namespace kimberlite::log {

struct Finding {
  Code code = Code::integrity_segment;
  std::string file;          // relative to the data directory
  std::uint64_t offset = 0;  // byte in the file
  Position position;         // of the record concerned, or the first that would be; 0 if none
  std::string what;
  std::string expected;  // both empty where there is nothing to compare
  std::string found;
};

struct VerifyProgress {
  std::uint64_t bytes = 0;  // read so far, of segments
  std::uint64_t bytes_total = 0;
  std::uint64_t records = 0;
};

struct VerifyOptions {
  // Of the newest epoch, where the caller knows it.
  std::optional<Id128> log_id;
  // What must at least be there: the head a checkpoint recorded. Behind it an unfinished frame at
  // the very end is the torn tail of a crash, and no finding; without it, it is one.
  std::optional<record::Head> at_least;
  // Where a checkpoint stood: `at_checkpoint` is then the head after its last record.
  std::optional<OpNumber> checkpoint;
  // The log's public key, from elsewhere: heads of its log must be signed by it. Without it they
  // are held against the key each of them names.
  std::optional<record::VerifierKey> log_key;
  // A tree that was checked before, or is signed: what lies in segments before its last record is
  // not read again. The root must be this one when that record is reached.
  std::optional<Tree> since;
  // How many bytes of `heads` and `anchors` are looked at, all of which must be there: whole
  // records. Without it, all there are, and what is unfinished at the end is no finding.
  struct ProofBytes {
    std::uint64_t heads = 0;
    std::uint64_t anchors = 0;
  };
  std::optional<ProofBytes> proofs;
  // Begin with this segment, as if nothing were known of what is before it.
  std::optional<Position> alone;
  std::size_t findings_max = 100;  // later ones are only counted
  // Called about once a MiB; false stops the verification.
  std::function<bool(const VerifyProgress&)> progress;
};

struct VerifyReport {
  record::Head head;  // the last record that was reached
  Id128 log_id{};     // of that record
  struct LogAt {
    record::Head head;
    Id128 log_id{};
  };
  LogAt at_checkpoint;
  std::uint64_t records = 0;
  std::uint64_t items = 0;
  std::uint64_t segments = 0;
  std::uint64_t epochs = 0;
  std::uint64_t bytes = 0;             // of segment files, read
  std::uint64_t tail_bytes = 0;        // behind the last whole record, of an unfinished one
  std::uint64_t offsets = 0;           // checked; derived files may lag behind or be missing
  std::uint64_t tile_hashes = 0;       // checked
  Position from{1};                    // the first record that was read
  std::uint64_t heads = 0;             // signed and stored, all checked
  std::uint64_t heads_pinned = 0;      // of them, signed by `log_key`
  std::uint64_t heads_tail_bytes = 0;  // of an unfinished one, behind the last
  std::optional<StoredHead> newest_head;
  std::uint64_t anchors = 0;             // all checked: of a stored head, with evidence that holds
  std::uint64_t anchors_tail_bytes = 0;  // of an unfinished one, behind the last
  std::optional<Anchor> newest_anchor;   // by its time
  std::vector<Finding> findings;         // the first `findings_max`
  std::uint64_t findings_total = 0;
  bool cancelled = false;

  [[nodiscard]] bool clean() const { return findings_total == 0 && !cancelled; }
};

// The log id that the newest segment names; nothing if no segment can be read.
[[nodiscard]] std::optional<Id128> newest_log_id(env::Storage& storage, LogName name);

// One segment alone, the bytes of its file as they are wherever they lie: everything in it, and
// that its records chain; not what is before and behind it, nor the tree's root. `label` names it
// in findings. The storage is nobody's else.
[[nodiscard]] Result<VerifyReport> verify_segment(env::Storage& scratch, Bytes segment,
                                                  std::string_view label);

// An error only if the directory cannot be listed; a file that cannot be read is a finding. A log
// without files is clean, unless `at_least` says otherwise.
[[nodiscard]] Result<VerifyReport> verify(env::Storage& storage, LogName name,
                                          const VerifyOptions& options);

}  // namespace kimberlite::log
