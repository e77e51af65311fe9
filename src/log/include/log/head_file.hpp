// The heads a log has signed: what may never be unsaid.
//
//   tenants/<id>/<lane>/heads = records, one behind the other
//   record, 256 bytes:
//      0 "KBHD"    4 version u16    6 zero u16    8 log id 16    24 size u64    32 root 32
//     64 signed at u64 (µs since 1970)    72 public key 32    104 signature 64
//    168 zero 84    252 crc32c u32 (of the 252 bytes before)
//
// A record is durable before its signature is given to anyone, so the newest one is the largest
// tree ever signed, and a log that does not extend it was rolled back or rewritten. Sizes rise from
// record to record; a new log id (an epoch) may begin at any size. 256 bytes never straddle a
// sector: what a crash leaves of an append is nothing, or zeros.
//
// Source: proofs.md, Signed head; record/signed_head.hpp. Thread rule: values; a `HeadFile` is used
// by one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "crypto/ed25519.hpp"
#include "env/env.hpp"
#include "log/segment.hpp"
#include "log/tenant_log.hpp"
#include "record/signed_note.hpp"

namespace kimberlite::log {

inline constexpr std::string_view heads_name = "heads";
inline constexpr std::size_t head_record_size = 256;

struct StoredHead {
  Id128 log_id{};
  Tree tree;
  TimestampUs signed_at;  // the signer's clock: no part of what is signed
  crypto::PublicKey key{};
  crypto::Signature signature{};

  // The signed note, and the key line that checks it.
  [[nodiscard]] std::string note() const;
  [[nodiscard]] record::VerifierKey verifier_key() const;
  [[nodiscard]] bool signature_holds() const;
};

// Signs the tree as that of `log_id`. For `HeadFile::append`: until that has returned, the
// signature is nobody's to see.
[[nodiscard]] StoredHead sign(const Id128& log_id, const Tree& tree, TimestampUs now,
                              const crypto::SigningKey& key);

using HeadRecordBytes = std::array<std::byte, head_record_size>;
[[nodiscard]] HeadRecordBytes encode(const StoredHead& head);
// `integrity.head` unless the bytes are canonical, `unavailable.version` for a later format. Does
// not check the signature.
[[nodiscard]] Result<StoredHead> decode_head_record(
    std::span<const std::byte, head_record_size> bytes);

class HeadFile {
 public:
  // A log that has signed nothing has no file, and gets none by being opened. `integrity.head` with
  // file and byte if its newest record is damaged.
  [[nodiscard]] static Result<HeadFile> open(env::Storage& storage, LogName name);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] const std::optional<StoredHead>& newest() const { return newest_; }
  // Number `index`, 0 to count() - 1, the oldest first.
  [[nodiscard]] Result<StoredHead> read(std::uint64_t index) const;
  // The oldest head of `log_id` that holds at least `size` records; nothing if there is none.
  [[nodiscard]] Result<std::optional<StoredHead>> first_with(const Id128& log_id,
                                                             std::uint64_t size) const;
  // Durable on return. The tree must be larger than the newest one of its log id.
  [[nodiscard]] Status append(const StoredHead& head);

 private:
  HeadFile(env::Storage& storage, std::string path) : storage_(&storage), path_(std::move(path)) {}
  [[nodiscard]] Status find_end();

  env::Storage* storage_;
  std::string path_;
  std::unique_ptr<env::File> file_;  // none: there is no file yet
  std::uint64_t count_ = 0;
  std::optional<StoredHead> newest_;
};

}  // namespace kimberlite::log
