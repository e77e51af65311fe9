// Anchors: the present head of a log put where whoever controls its directory does not, and what
// came back kept as evidence.
//
// A log that was written anew under its own keys verifies; only a head of it that is elsewhere
// tells. So each of these first asks the place what it has seen: a head there that the log does not
// extend is `integrity.rollback` or `integrity.consistency`, with the file that holds it, and is
// an alarm, not a failure to be repaired. Time stamp authorities and witnesses are asked over the
// network, or in two steps, a request written and an answer read, and what carries them is the
// operator's. What they answer is checked in either case before anything is stored.
//
// Files are read and written through `files`, which is not the data directory's. `now` is this
// machine's clock. Every function that returns an anchor has stored it. Thread rule: that of the
// session. Source: proofs.md, Anchors; RFC 3161; C2SP tlog-witness.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "engine/database.hpp"
#include "env/env.hpp"
#include "env/http_client.hpp"
#include "log/anchor_file.hpp"
#include "record/signed_note.hpp"

namespace kimberlite::engine {

// `directory`/<log id>/<size, 20 digits>.head, one file a size, never written twice; the newest
// head of this log there must be one that it extends.
[[nodiscard]] Result<log::Anchor> anchor_in_directory(Session& session, env::Storage& files,
                                                      std::string_view directory, TimestampUs now);
// One file, never written twice. `constraint.exists` if it holds an older head of the log.
[[nodiscard]] Result<log::Anchor> anchor_in_file(Session& session, env::Storage& files,
                                                 std::string_view path, TimestampUs now);

// A service elsewhere, and how long it has for an answer.
struct Service {
  env::HttpClient& http;
  std::string_view url;
  std::uint64_t timeout_ns = 0;
};

// Asks an authority (RFC 3161 §3.4) and takes its answer. `authority`: as below.
[[nodiscard]] Result<log::Anchor> anchor_at_authority(Session& session, env::Storage& files,
                                                      const Service& service,
                                                      std::string_view authority,
                                                      std::uint64_t nonce, TimestampUs now);
// Asks a witness at <url>/add-checkpoint, once more from where it says it stands (409), and takes
// its answer. `integrity.consistency` and `integrity.rollback` if it has seen another history.
[[nodiscard]] Result<log::Anchor> anchor_at_witness(Session& session, const Service& service,
                                                    const record::VerifierKey& witness,
                                                    TimestampUs now);

// Writes a TimeStampReq for the present head's note to `request`, and the note to `request`.head.
[[nodiscard]] Result<log::StoredHead> request_timestamp(Session& session, env::Storage& files,
                                                        std::string_view request,
                                                        std::uint64_t nonce);
// Takes the answer to it. `authority`: a file of certificates, the trust in the authority.
[[nodiscard]] Result<log::Anchor> take_timestamp(Session& session, env::Storage& files,
                                                 std::string_view request,
                                                 std::string_view response,
                                                 std::string_view authority, TimestampUs now);

// Writes what a witness is to be sent: from the tree it cosigned last, as the stored anchors say,
// or from `seen`, as it says itself. `integrity.rollback` if it has seen more than there is.
[[nodiscard]] Result<log::StoredHead> request_cosignature(Session& session, env::Storage& files,
                                                          std::string_view request,
                                                          const record::VerifierKey& witness,
                                                          std::optional<std::uint64_t> seen);
// Takes the answer to it. `conflict.position` if the witness says it has seen another size.
[[nodiscard]] Result<log::Anchor> take_cosignature(Session& session, env::Storage& files,
                                                   std::string_view request,
                                                   std::string_view response,
                                                   const record::VerifierKey& witness,
                                                   TimestampUs now);

}  // namespace kimberlite::engine
