// What a client remembers of the logs it has seen, in a file of its own outside the data directory,
// and refuses for it: a log that was rolled back, rewritten, or replaced.
//
// (H1) A head is remembered once its log has committed and signed it, and its signature was
//      checked; what a crash loses is memory, never more.                        [kept: remember]
// (H2) A remembered head gives way only to one that is proven to extend it, under the remembered
//      key; to a log of another id by `trust` alone.                             [kept: remember]
// (H3) The file is replaced as a whole. One that is damaged is refused, and never begun anew.
//                                                                                [kept: load, save]
//
// The answers of a session are not believed: what it says of the log's past is proven to a head
// that was kept here. Two processes that remember different clusters in one file at the same moment
// may cost one of them its newest head (H1).
//
// Errors: `integrity.rollback` for a log that has fewer records than were seen,
// `integrity.split_view` for one with another past, `integrity.new_epoch` for one of another id;
// `integrity.head` for a damaged file; `unavailable.…` for one that cannot be read or replaced.
// Thread rule: thread-safe, but for callers' threads only, as sessions are. Source: proofs.md,
// Consistency, Epochs; record/known_heads.hpp.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "engine/database.hpp"
#include "env/env.hpp"
#include "record/known_heads.hpp"

namespace kimberlite {

// <user configuration>/kimberlite/heads/<cluster id>, by the rules of `default_key_path`.
[[nodiscard]] std::string default_heads_path(const Id128& cluster);

// A log that stands where another one was known.
struct NewEpoch {
  record::TreeHead known;  // of the log that was
  log::StoredHead now;
  Position begins;  // the first record under the new id
};

class HeadMemory {
 public:
  // `files` takes paths as the operating system does; both outlive this. The file at `path` need
  // not be there.
  HeadMemory(env::Storage& files, env::Random& random, std::string path, const Id128& cluster)
      : files_(files), random_(random), path_(std::move(path)), cluster_(cluster) {}

  [[nodiscard]] const std::string& path() const { return path_; }

  // Whether the tenant's log goes on from what is remembered of it. Signs only if the newest signed
  // head is smaller than that.
  [[nodiscard]] Status check(engine::Session& session, std::string_view tenant);
  // Remembers the log as it is now, if it has grown since; signs then.
  [[nodiscard]] Status remember(engine::Session& session, std::string_view tenant);
  // What it means that the session of a tenant failed: one whose log was seen cannot be absent.
  [[nodiscard]] Error explain(const Error& failed, std::string_view tenant);

  // What `integrity.new_epoch` is about; nothing if the log goes on from what is remembered, or
  // nothing is.
  [[nodiscard]] Result<std::optional<NewEpoch>> new_epoch(engine::Session& session,
                                                          std::string_view tenant);
  // Remembers the log that `shown` is of in the place of the one that was.
  [[nodiscard]] Status trust(engine::Session& session, std::string_view tenant,
                             const NewEpoch& shown);

 private:
  [[nodiscard]] Result<record::KnownHeads> load();
  [[nodiscard]] Status save(const record::KnownHeads& heads);
  [[nodiscard]] Result<record::SignedHead> prove(engine::Session& session, std::string_view tenant,
                                                 const record::KnownHead& known,
                                                 const log::StoredHead& now);
  // `error`, about the tenant, with the place of the memory.
  [[nodiscard]] Error about(std::string_view tenant, Error&& error) const;

  env::Storage& files_;
  env::Random& random_;
  std::string path_;
  Id128 cluster_;
  std::mutex mutex_;  // of the file
};

}  // namespace kimberlite
