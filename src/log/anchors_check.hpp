// The anchors of a log, held against the heads it signed.
//
// Thread rule: one thread.
#pragma once

#include <functional>
#include <string>

#include "env/env.hpp"
#include "log/verify.hpp"

namespace kimberlite::log {

// Fills the anchors' part of `report`. Both files are read once, and what an anchor has as evidence
// once more; no further than `bytes`, if it is given.
void check_anchors(env::Storage& storage, const std::string& directory,
                   const std::optional<VerifyOptions::ProofBytes>& bytes,
                   const std::function<void(Finding)>& found, VerifyReport& report);

}  // namespace kimberlite::log
