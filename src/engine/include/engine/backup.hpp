// Backups: the logs of a database as of one operation, in a directory of their own.
//
//   <repository>/tenants/<id>/<lane>/<first position>.segment     as in the data directory
//   <repository>/tenants/<id>/<lane>/heads, anchors               signed heads and where they were
//                                                                 put, as there
//   <repository>/backups/<op, 20 digits>                          one text a backup
//
// A log only grows, so all backups of one history share its files: each is a text that says how far
// every log went, and the files hold at least that much. Taking one copies what came since the one
// before, beside readers and writers; it is there once its text is, which is written last. A head
// that was anchored since a backup of the same operation is added to that one. No key
// is ever in it: what a backup restores is opened with the *escrow*, a copy of the keystore that is
// kept elsewhere, so that an old backup cannot bring back what was erased.
//
//   text = "kimberlite/backup@v1" · "cluster " id · "op " number · "timestamp " µs · "state "
//   digest
//          · a line a log with records: "log " tenant " " lane " " log id " " epoch " " bytes of
//          `heads` " " bytes of `anchors` " " base64(head, record/head.hpp) · "checksum " BLAKE3 of
//          all before, in hexadecimal
//
// Restoring copies the records up to the backup, or up to an earlier moment, into an empty
// directory, with their heads and those heads' anchors, makes the state again from them, and begins
// an epoch in every log: new log ids and signing keys, and records that name the old ones. The
// superblock is written last, so a restore that was interrupted left no database.
//
// Source: proofs.md, Backups and Epochs; storage.md. Thread rule: free functions over their
// storages; nobody else writes them meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "engine/verify.hpp"
#include "env/env.hpp"
#include "keystore/master_key.hpp"
#include "record/head.hpp"

namespace kimberlite::engine {

class Database;

struct BackupLog {
  TenantId tenant;
  std::uint16_t lane = 0;
  Id128 log_id{};
  std::uint32_t epoch = 1;
  std::uint64_t heads = 0;    // bytes of the file
  std::uint64_t anchors = 0;  // the same
  record::Head head;
  bool operator==(const BackupLog&) const = default;
};

struct BackupText {
  Id128 cluster{};
  OpNumber op;                  // the newest operation in it
  TimestampUs timestamp;        // of that operation
  Hash state{};                 // the kernel's digest then
  std::vector<BackupLog> logs;  // with records; by tenant, then lane

  // `integrity.backup` unless it is exactly what `to_text` gives.
  [[nodiscard]] static Result<BackupText> parse(std::string_view text);
  [[nodiscard]] std::string to_text() const;
  bool operator==(const BackupText&) const = default;
};

struct BackupReport {
  BackupText backup;
  std::uint64_t copied = 0;  // bytes, of segments, heads and anchors
  bool made = true;          // false: nothing was written since the newest one, which this is
};

// The backups in a repository, the oldest first; none if there is no repository. A text that is
// damaged is an error that names it.
[[nodiscard]] Result<std::vector<BackupText>> list_backups(env::Storage& repository);
// The newest, or the one of `op`; `not_found.object` if there is none.
[[nodiscard]] Result<BackupText> find_backup(env::Storage& repository, std::optional<OpNumber> op);

// Every byte, hash and signature of the logs up to `backup`, every anchor, and that they are the
// logs it names.
// Needs no key. `options`: log keys, progress, findings.
[[nodiscard]] Result<VerifyReport> verify_backup(env::Storage& repository, const BackupText& backup,
                                                 const VerifyOptions& options);

// A place in a tenant's data log, or a time: what is restored ends with it.
struct RestorePosition {
  std::string tenant;  // its name
  Position position;
};
using RestoreUntil = std::variant<std::monostate, RestorePosition, TimestampUs>;

struct RestoreOptions {
  RestoreUntil until;  // nothing: all that is in the backup
  std::string actor = "os:unknown";
  std::string reason;  // stands in the records that begin the epochs
  std::string holder = "restore";
  std::uint64_t ring_size = journal_ring_embedded;
  bool simulated = false;                               // of a drill: as Options::simulated
  std::function<bool(const VerifyProgress&)> progress;  // false stops
};

struct RestoreReport {
  struct Log {
    TenantId tenant;
    std::string tenant_name;
    std::uint16_t lane = 0;
    Id128 old_log_id{};
    record::Head restored;  // what was kept
    Id128 log_id{};         // of the new epoch
    std::string log_key;    // its key line
  };
  std::vector<Log> logs;  // of all tenants and lanes
  OpNumber last;          // the newest operation that was kept
  OpNumber lost;          // the newest one in the backup that was not; 0: none
};

// Into the empty root of `into.storage`. `escrow` is a keystore, as `Database::escrow` gave it.
// `unavailable.escrow` if it is older than what is restored.
[[nodiscard]] Result<RestoreReport> restore(env::Storage& repository, const BackupText& backup,
                                            env::Env into, keystore::MasterKey& master,
                                            Bytes escrow, const RestoreOptions& options);

struct DrillReport {
  std::uint64_t logs = 0;  // restored, and found to have the backup's roots
  std::uint64_t records = 0;
  std::uint64_t tenants =
      0;  // whose tables as of the backup are, row for row, those of the database
};

// Restores into the empty root of `scratch.storage`, opens what is there, and compares it with the
// backup and with the database as of then. `integrity.backup` names what differs.
[[nodiscard]] Result<DrillReport> drill(Database& database, env::Storage& repository,
                                        const BackupText& backup, env::Env scratch,
                                        keystore::MasterKey& master, const RestoreOptions& options);

}  // namespace kimberlite::engine
