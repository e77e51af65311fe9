// SQLite's files on `env::Storage`, every page sealed: an SQLite VFS for one projection file.
//
//   auto vfs = Vfs::make(env, "tenants/1/projection.db", std::move(key), file_id);
//   sqlite3_open_v2((*vfs)->path().c_str(), &db, flags, (*vfs)->name().c_str());
//
// It knows two files, the database and its write-ahead log ("…-wal"), and refuses every other one,
// temporary files and rollback journals too: connections set `temp_store=MEMORY` first of all. An
// empty database is born in WAL mode with 4 KiB pages, so neither pragma is needed and no rollback
// journal is ever written. WAL shared memory and locks live in the process heap, shared by all
// connections of this object; the directory's lock keeps other processes out.
//
// Sealing: XAES-256-GCM under the file's key, a random nonce a write. On disk the last 56 bytes of
// a page, which SQLite leaves alone ("reserved"), are
//      0 nonce 24   24 tag 16   40 wal generation 8   48 wal frames u32   52 zero u32
// The associated data binds a database page to file, page number and the last 16 bytes; a WAL page
// to file, frame number, WAL generation (the salts of the WAL header) and the page number and
// commit size of its frame header. Frame headers and the WAL header are SQLite's, in the clear, and
// hold no user's byte.
//
// A page that does not authenticate is never handed to SQLite: the call fails with
// SQLITE_IOERR_DATA and `take_error` says which file, byte and page. What the first open after a
// crash does to the WAL stands at `recover` in vfs_recovery.hpp. An older version of the same page,
// put back by someone, is not noticed here: pages are no Merkle tree. The projection is derived
// from the log, and every error here means: `remove_files`, then rebuild.
//
// Ownership: the object owns the key and outlives every connection opened through it; destroying it
// earlier is a bug and aborts. Thread rule: `make` and the destructor while no other thread uses
// this object; connections on any threads, each used by one at a time, as SQLite's multi-thread
// mode has it. Needs SQLite ≥ 3.32.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "crypto/key.hpp"
#include "env/env.hpp"

namespace kimberlite::projection {

class VfsState;

class Vfs {
 public:
  // Registers the VFS; touches no file. `path` is the database's, relative to the storage's root.
  [[nodiscard]] static Result<std::unique_ptr<Vfs>> make(env::Env env, std::string path,
                                                         crypto::Key256 page_key, Id128 file_id);
  ~Vfs();
  Vfs(const Vfs&) = delete;
  Vfs& operator=(const Vfs&) = delete;

  // The unique name it is registered under: the last argument of `sqlite3_open_v2`.
  [[nodiscard]] const std::string& name() const;
  // The only file name it opens: the first argument of `sqlite3_open_v2`.
  [[nodiscard]] const std::string& path() const;

  // The first error since the last call, if one happened: what stands behind an SQLITE_IOERR_*,
  // SQLITE_FULL or SQLITE_CANTOPEN. `integrity.projection` if bytes were not what was sealed.
  [[nodiscard]] std::optional<Error> take_error();
  // Called once, on the thread that meets it, when a page or frame is not what was sealed; when all
  // connections are closed the WAL is removed then, so that the next open does not take the
  // database for whole. Set while one thread uses this object.
  void on_damage(std::function<void(const Error&)> hook);

  // Removes the database and its WAL, where they are there. No connection may be open.
  [[nodiscard]] static Status remove_files(env::Storage& storage, const std::string& path);

 private:
  explicit Vfs(std::unique_ptr<VfsState> state);

  std::unique_ptr<VfsState> state_;
};

// A run of bytes that no reader will take for data.
struct UnusedBytes {
  std::string file;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::string_view why;
};

// Where bytes are not what was sealed, and the error that says so.
struct Damage {
  std::string file;
  std::uint64_t offset = 0;
  Error error;
};

struct Scrub {
  std::uint64_t pages = 0;   // of the database that count, authenticated
  std::uint64_t frames = 0;  // of the WAL, authenticated and live
  // `integrity.projection`, each naming the page or frame.
  std::vector<Damage> damaged;
  // Committed frames that do not follow from those before them: damage, or a power failure, after
  // which the next open cuts them off. Never after a clean close, which empties the WAL, nor after
  // the end of a process alone.
  std::vector<Damage> suspect;
  std::vector<UnusedBytes> unused;
};

// Authenticates every page of a database that no connection has open, and its WAL; writes nothing.
// Fails only if a file cannot be read; `not_found.file` if there is no database.
[[nodiscard]] Result<Scrub> scrub(env::Storage& storage, const std::string& path,
                                  const crypto::Key256& page_key, const Id128& file_id);

}  // namespace kimberlite::projection
