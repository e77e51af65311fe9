// Taking a backup of an open database.
//
// Thread rule: as `Prover`: a caller's thread, not a strand's task.
#pragma once

#include <string>

#include "engine/backup.hpp"

namespace kimberlite::engine {

class Core;

// `integrity.backup`, and nothing was written, if the repository holds another history;
// `usage.not_empty` if it holds something else. `integrity.frame` and its like: a record that no
// backup has yet cannot be read, and no backup was made.
[[nodiscard]] Result<BackupReport> back_up(Core& core, env::Storage& to, const std::string& holder);

}  // namespace kimberlite::engine
