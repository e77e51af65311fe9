// Anchors of a log: the heads of it that were put where whoever controls the directory does not,
// each with the evidence that came back.
//
//   tenants/<id>/<lane>/anchors = records, each at a multiple of 512, one behind the other
//   record = header · target · evidence · zeros up to a multiple of 512
//   header, 128 bytes:
//      0 "KBAN"    4 version u16    6 kind u16    8 log id 16    24 size of the tree u64    32 root
//     32    64 stored at u64 (µs since 1970)    72 attested at u64 (the same; 0: nothing attests a
//     time)    80 size of target u32    84 size of evidence u32    88 crc32c u32 (of all that
//     follows the header)    92 zero 32    124 crc32c u32 (of the 124 bytes before)
//
//   kind          target                  evidence                                     attested at
//   1 file        "file", "directory"     none                                         0
//   2 timestamp   policy of the authority TimeStampResp in DER (RFC 3161 §2.4.2)       its genTime
//   3 witness     name of its key         its key line, its signature line             its time
//
// The head is one of `heads`; its note is made again from there. A target holds no path, address or
// person: those are the operator's, and may be personal.
//
// What follows a header is durable before the header is written, and a header is within a sector:
// so a crash leaves a whole record or none, and what is behind the last header is nobody's. A
// record is there or its bytes are all zero up to the end of what a crash may have left.
//
// Errors: `integrity.anchor` with file and byte, `unavailable.version` for a later format. Thread
// rule: values; an `AnchorFile` is used by one thread at a time. Source: proofs.md, Anchors.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "env/env.hpp"
#include "log/head_file.hpp"
#include "log/segment.hpp"
#include "log/tenant_log.hpp"

namespace kimberlite::log {

inline constexpr std::string_view anchors_name = "anchors";
inline constexpr std::size_t anchor_header_size = 128;
inline constexpr std::size_t anchor_alignment = 512;
inline constexpr std::size_t anchor_target_max = 512;
inline constexpr std::size_t anchor_evidence_max = std::size_t{64} << 10U;

enum class AnchorKind : std::uint16_t { file = 1, timestamp = 2, witness = 3 };
// "file", "timestamp", "witness".
[[nodiscard]] std::string_view name(AnchorKind kind);

struct Anchor {
  AnchorKind kind = AnchorKind::file;
  Id128 log_id{};
  Tree tree;
  TimestampUs stored_at;
  TimestampUs attested_at;  // 0: nothing attests a time
  std::string target;
  Buffer evidence;

  // When the head was out there: as attested, else when it was put there. Never after it was stored
  // by this machine's clock: another's that is wrong must not make an anchor young for ever.
  [[nodiscard]] TimestampUs time() const {
    return attested_at == TimestampUs{} ? stored_at : std::min(attested_at, stored_at);
  }
};

// The whole record, a multiple of 512.
[[nodiscard]] Buffer encode(const Anchor& anchor);
// What a header says of the record it begins.
struct AnchorHeader {
  Anchor anchor;  // but for target and evidence
  std::uint32_t target_size = 0;
  std::uint32_t evidence_size = 0;
  std::uint32_t crc = 0;  // of all that follows the header

  [[nodiscard]] std::uint64_t record_size() const;
};
[[nodiscard]] Result<AnchorHeader> decode_anchor_header(
    std::span<const std::byte, anchor_header_size> bytes);
// `bytes`: a record as `encode` makes them, no more and no less.
[[nodiscard]] Result<Anchor> decode_anchor(Bytes bytes);

// Whether the evidence says what the anchor says of it, for that head: an authority's imprint is
// that of the note, a witness's key signed it, and the times are those. Not whether the authority
// or witness is one to be believed: that needs its certificate or key from elsewhere.
[[nodiscard]] Status check_evidence(const Anchor& anchor, const StoredHead& head);

// The records in the first `size` bytes of a file in order, with the byte each begins at. Damage is
// `damaged`'s, and what can be read behind it is given all the same. Returns the bytes of an
// unfinished record at the end.
struct AnchorScan {
  std::uint64_t end = 0;         // behind the last whole record
  std::uint64_t tail_bytes = 0;  // from there to `size`
};
[[nodiscard]] Result<AnchorScan> scan_anchors(
    env::File& file, std::uint64_t size,
    const std::function<void(std::uint64_t at, const Anchor& anchor)>& found,
    const std::function<void(std::uint64_t at, const Error& error)>& damaged);

class AnchorFile {
 public:
  // A log that was never anchored has no file, and gets none by being opened. Reads all of it, and
  // shows each to `found`: an anchor that is damaged is an error.
  [[nodiscard]] static Result<AnchorFile> open(
      env::Storage& storage, LogName name, const std::function<void(const Anchor&)>& found = {});

  [[nodiscard]] std::uint64_t count() const { return count_; }
  // Bytes of all of them.
  [[nodiscard]] std::uint64_t size() const { return end_; }
  // The one whose time is the latest.
  [[nodiscard]] const std::optional<Anchor>& newest() const { return newest_; }
  // The size of the largest tree of `log_id` that a witness of this name has cosigned; 0 if none.
  [[nodiscard]] std::uint64_t witnessed(const Id128& log_id, std::string_view witness) const;
  // Durable on return.
  [[nodiscard]] Status append(const Anchor& anchor);

 private:
  struct Witnessed {
    Id128 log_id{};
    std::string witness;
    std::uint64_t size = 0;
  };
  AnchorFile(env::Storage& storage, std::string path)
      : storage_(&storage), path_(std::move(path)) {}
  void take(const Anchor& anchor);

  env::Storage* storage_;
  std::string path_;
  std::unique_ptr<env::File> file_;  // none: there is no file yet
  std::uint64_t end_ = 0;
  std::uint64_t count_ = 0;
  std::optional<Anchor> newest_;
  std::vector<Witnessed> witnessed_;  // one a witness and log id: few
};

}  // namespace kimberlite::log
