// Checks an exported package (docs/proofs.md, Package) with the log's public key and nothing else:
// the hashes, the head, every receipt, the schema from its changes, and of each row that its record
// says just this.
//
// It proves that each row was recorded so; not that none is missing, nor that it is the latest.
//
// Errors: `integrity.export` for what the package itself does not hold to, those of receipts and
// heads for what is not proved, `unavailable.version` for a later format, `interrupted.signal` if
// `progress` said to stop. Memory: the places of all items, some opened items, one row; never a
// file. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "cli/progress.hpp"
#include "env/env.hpp"
#include "record/signed_head.hpp"

namespace kimberlite::cli {

struct CheckedPackage {
  record::TreeHead tree;
  Position position;
  std::uint64_t tables = 0;
  std::uint64_t rows = 0;
  std::uint64_t items = 0;            // opened
  std::vector<std::string> left_out;  // columns that are computed, and in no record
};

// Whether there is one in the directory.
[[nodiscard]] bool is_package(env::Storage& files, const std::string& directory);

// `progress` is told how far it is, and says whether to go on.
[[nodiscard]] Result<CheckedPackage> check_package(
    env::Storage& files, const std::string& directory, const record::VerifierKey& log_key,
    const std::function<bool(const ProgressState&)>& progress);

}  // namespace kimberlite::cli
