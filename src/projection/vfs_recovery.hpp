// What an open does before SQLite reads a byte, and what a scrub finds; both from the same facts.
//
// Facts about files this VFS wrote, none of which needs trust in what a crash left:
//   (R1) A database page is written only by a checkpoint, after the WAL was synced; its origin says
//        how many committed frames were durable then.                          [vfs.cpp:
//        write_page]
//   (R2) The WAL is never removed while there is a database: cut to nothing when all of it has been
//        checkpointed, it stays as an empty file. So a missing WAL was taken away.  [vfs.cpp:
//        remove]
//   (R3) The WAL's header is durable before the first frame after it (SQLite), and shares one
//   sector. (R4) Every page up to the database's size stands in the file or in a live frame.
// Hence: frames behind the last commit may be lost without harm, unless a database page's origin
// counts on them; that, a damaged header, a missing WAL and a missing page are damage. A page that
// fails to authenticate is not, if a live frame has it: a checkpoint was cut short.
//
// Thread rule: no connection is open, and none opens meanwhile.
#pragma once

#include <string>

#include "base/result.hpp"
#include "env/env.hpp"
#include "projection/vfs.hpp"
#include "vfs_seal.hpp"

namespace kimberlite::projection {

[[nodiscard]] std::string wal_path(const std::string& path);

// `integrity.projection` at `offset` of `file`.
[[nodiscard]] Damage damage(const std::string& file, std::uint64_t offset, std::string_view what,
                            std::string_view why);

// An empty database in WAL mode and its empty WAL, durable; appears whole or not at all.
[[nodiscard]] Status create_database(env::Storage& storage, const std::string& path,
                                     const PageSealer& sealer, env::Random& random);

// The WAL's state as SQLite will find it.
struct Recovered {
  Generation generation = 0;
  std::uint32_t frames = 0;  // all of them live
};

// Cuts the WAL behind its last commit, so that from here on a frame that does not authenticate is
// damage, and writes page 1 from its live frame if a checkpoint left it torn (SQLite reads it
// before it looks at the WAL). `not_found.file` if there is no database.
[[nodiscard]] Result<Recovered> recover(env::Storage& storage, const std::string& path,
                                        const PageSealer& sealer, env::Random& random);

[[nodiscard]] Result<Scrub> scrub_files(env::Storage& storage, const std::string& path,
                                        const PageSealer& sealer);

}  // namespace kimberlite::projection
