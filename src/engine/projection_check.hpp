// A tenant's projection held against its log, all tables and all versions of their rows: what
// `verify` adds, where it has the master key, to authenticating the pages.
//
// The log's own bytes were verified before. Nothing is written: what opening either would write
// stays in memory. Thread rule: the directory's lock is held.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/verify.hpp"
#include "keystore/keystore.hpp"
#include "record/head.hpp"

namespace kimberlite::engine {

struct ProjectionToCheck {
  env::Storage& storage;
  const keystore::Keystore& keys;
  TenantId tenant;
  Id128 log_id{};
  record::Head head;             // of the data lane, as it is on disk
  bool journal_goes_on = false;  // there may be records, and keys, that only the journal has yet
  std::function<bool(std::uint64_t records)> progress;  // now and then; false: stop
};

struct ProjectionCheck {
  std::vector<VerifyFinding> findings;  // one a row that differs, so many a table at most
  std::uint64_t findings_total = 0;     // with those not named
  std::vector<std::string> notes;
  std::uint64_t rows = 0;  // compared, superseded versions too
  bool cancelled = false;
};

// Fails if a file cannot be read.
[[nodiscard]] Result<ProjectionCheck> check_projection(const ProjectionToCheck& what);

}  // namespace kimberlite::engine
