// Verification of a whole data directory, and the decoding of any file of one. Neither writes a
// byte.
//
// `verify` needs no key: superblock copies, journal, keystore and snapshot files against what the
// superblock names, every log from bytes to root, and the heads of all logs against the digest the
// last checkpoint recorded. With the master key it also authenticates every page of the
// projections, derives each again in memory, and holds all rows and all their versions against what
// the log says. A finding names file, byte and position. Thread rule: no other process may hold the
// directory; `verify` takes its lock.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "env/env.hpp"
#include "keystore/master_key.hpp"
#include "log/anchor_file.hpp"
#include "log/verify.hpp"
#include "record/signed_head.hpp"

namespace kimberlite::engine {

struct VerifyProgress {
  std::uint64_t bytes = 0;
  std::uint64_t bytes_total = 0;
  std::uint64_t records = 0;
};

struct VerifyOptions {
  std::string holder = "verify";          // what a second opener is told
  keystore::MasterKey* master = nullptr;  // for `projection`
  // Public keys of logs, from elsewhere: heads of these logs must be signed by them, and at least
  // one of each must be there. Heads of other logs are held against the key each of them names.
  std::vector<record::VerifierKey> log_keys;
  // Heads that were checked: of their logs, what was verified then is not read again.
  std::vector<record::TreeHead> since;
  bool projection = false;  // every projection too: its pages and its rows
  // Later ones are only counted; rows of projections have a bound of their own, a table.
  std::size_t findings_max = 100;
  std::function<bool(const VerifyProgress&)> progress;  // false stops: nothing is then proved
};

struct VerifyFinding {
  Code code = Code::integrity_segment;
  std::string file;
  std::uint64_t offset = 0;
  Position position;  // 0: of no record
  std::string what;
  std::string expected;  // both empty where there is nothing to compare
  std::string found;
  // Of a row of a projection that is not what the log says; `position` is then its record's.
  std::string table;
  std::optional<std::uint32_t> change;
};

// What was found of one log.
[[nodiscard]] VerifyFinding finding_of(log::Finding finding);

struct VerifiedLog {
  TenantId tenant;
  std::string lane;
  Id128 log_id{};
  Position position;
  Hash leaf{};
  Hash root{};
  std::uint64_t records = 0;
  std::uint64_t items = 0;
  std::uint64_t segments = 0;
  std::uint64_t bytes = 0;
  Position from{1};                // the first record that was read
  std::uint64_t heads = 0;         // signed and stored, all checked
  std::uint64_t heads_pinned = 0;  // of them, signed by one of `log_keys`
  std::uint64_t head_size = 0;     // of the newest one
  std::uint64_t anchors = 0;       // each of a head of this log, with evidence that holds
  std::optional<log::Anchor> newest_anchor;
};

struct VerifyReport {
  std::vector<VerifiedLog> logs;  // with at least one record
  std::vector<VerifyFinding> findings;
  std::uint64_t findings_total = 0;
  std::vector<std::string> notes;  // what a crash left behind, and the next open clears up
  std::uint64_t pages = 0;         // of projections, authenticated
  std::uint64_t rows = 0;          // of projections and their history, held against the log
  bool cancelled = false;

  [[nodiscard]] bool clean() const { return findings_total == 0 && !cancelled; }
};

// An error only where there is nothing to verify: no data directory, in use, not readable.
[[nodiscard]] Result<VerifyReport> verify(env::Storage& storage, const VerifyOptions& options);

// A run of bytes of a file and what it is.
struct FileRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::string what;
  bool unused = false;  // no reader will ever take it for data
};

struct Inspection {
  std::string kind;                                        // "superblock", "journal", "segment", …
  std::vector<std::pair<std::string, std::string>> facts;  // decoded fields that are no secret
  std::vector<FileRange> ranges;                           // every byte of the file, in order
  std::vector<VerifyFinding> findings;
};

// Decodes a file of a directory; `path` is relative to the root. What can be known without a key is
// shown; with the master key also which pages of a projection nobody reads. `usage.not_ours` for a
// file of no known kind.
[[nodiscard]] Result<Inspection> inspect(env::Storage& storage, std::string_view path,
                                         keystore::MasterKey* master = nullptr);

}  // namespace kimberlite::engine
