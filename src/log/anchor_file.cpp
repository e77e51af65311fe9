#include "log/anchor_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "base/codec.hpp"
#include "crypto/crc32c.hpp"
#include "crypto/sha256.hpp"
#include "crypto/timestamp.hpp"
#include "record/signed_head.hpp"
#include "record/witness.hpp"

namespace kimberlite::log {
namespace {

constexpr std::array<std::byte, 4> anchor_magic{std::byte{'K'}, std::byte{'B'}, std::byte{'A'},
                                                std::byte{'N'}};
constexpr std::uint16_t anchor_version = 1;
constexpr std::size_t at_header_crc = 124;
constexpr std::size_t header_unused = 32;

std::uint64_t aligned(std::uint64_t size) {
  return (size + anchor_alignment - 1) / anchor_alignment * anchor_alignment;
}

Error no_anchor(std::string_view why) {
  return Error{Code::integrity_anchor, "an anchor that was stored is damaged"}.why("{}", why);
}

bool is_kind(std::uint16_t kind) {
  return kind >= static_cast<std::uint16_t>(AnchorKind::file) &&
         kind <= static_cast<std::uint16_t>(AnchorKind::witness);
}

// The key line and the signature line of a witness.
Status check_witness(const Anchor& anchor, const StoredHead& head) {
  const std::string_view evidence = text_of(anchor.evidence);
  const std::size_t split = evidence.find('\n');
  if (split == std::string_view::npos) return no_anchor("a witness's key and signature");
  KIMBERLITE_TRY(const record::VerifierKey key,
                 record::VerifierKey::parse(evidence.substr(0, split)));
  if (key.name != anchor.target) return no_anchor("the name of the witness is not that of its key");
  const std::string_view line = evidence.substr(split + 1);
  KIMBERLITE_TRY(const record::Cosignature found, record::find_cosignature(head.note(), line, key));
  if (found.line != line) return no_anchor("it holds more than the witness's signature");
  if (TimestampUs{found.seconds * 1'000'000} != anchor.attested_at) {
    return no_anchor("the witness signed another time");
  }
  return {};
}

Status check_timestamp_evidence(const Anchor& anchor, const StoredHead& head) {
  KIMBERLITE_TRY(const crypto::Timestamp stamp, crypto::read_timestamp(anchor.evidence));
  if (stamp.imprint != crypto::sha256(bytes_of(head.note()))) {
    return no_anchor("what the authority stamped is not the head");
  }
  if (stamp.policy != anchor.target || TimestampUs{stamp.time_us} != anchor.attested_at) {
    return no_anchor("the authority's time or policy is another");
  }
  return {};
}

// Whether a header can be read at `at`.
Result<bool> header_at(env::File& file, std::uint64_t at) {
  std::array<std::byte, anchor_header_size> bytes{};
  KIMBERLITE_TRY(const std::size_t got, file.read_at(at, bytes));
  return got == bytes.size() && decode_anchor_header(bytes).has_value();
}

// Where the next record begins that can be told to be one, from `at` on; `size` if none does.
Result<std::uint64_t> next_header(env::File& file, std::uint64_t at, std::uint64_t size) {
  for (at = aligned(at); at < size; at += anchor_alignment) {
    KIMBERLITE_TRY(const bool here, header_at(file, at));
    if (here) return at;
  }
  return size;
}

}  // namespace

std::string_view name(AnchorKind kind) {
  switch (kind) {
    case AnchorKind::file:
      return "file";
    case AnchorKind::timestamp:
      return "timestamp";
    case AnchorKind::witness:
      return "witness";
  }
  return "";
}

Buffer encode(const Anchor& anchor) {
  KIMBERLITE_ASSERT(anchor.target.size() <= anchor_target_max);
  KIMBERLITE_ASSERT(anchor.evidence.size() <= anchor_evidence_max);
  KIMBERLITE_ASSERT(anchor.tree.size > 0 && anchor.tree.size <= record::tree_size_max);
  Buffer rest;
  append(rest, bytes_of(anchor.target));
  append(rest, anchor.evidence);
  rest.resize(aligned(anchor_header_size + rest.size()) - anchor_header_size);
  Writer to;
  to.bytes(anchor_magic);
  to.u16(anchor_version);
  to.u16(static_cast<std::uint16_t>(anchor.kind));
  to.bytes(anchor.log_id);
  to.u64(anchor.tree.size);
  to.bytes(anchor.tree.root);
  to.id(anchor.stored_at);
  to.id(anchor.attested_at);
  to.u32(static_cast<std::uint32_t>(anchor.target.size()));
  to.u32(static_cast<std::uint32_t>(anchor.evidence.size()));
  to.u32(crypto::crc32c(rest));
  to.zeros(header_unused);
  to.u32(crypto::crc32c(to.buffer()));
  KIMBERLITE_ASSERT(to.size() == anchor_header_size);
  to.bytes(rest);
  return std::move(to).take();
}

std::uint64_t AnchorHeader::record_size() const {
  return aligned(anchor_header_size + std::uint64_t{target_size} + evidence_size);
}

Result<AnchorHeader> decode_anchor_header(std::span<const std::byte, anchor_header_size> bytes) {
  Reader from{bytes};
  AnchorHeader header;
  const auto magic = from.array<anchor_magic.size()>();
  const std::uint16_t version = from.u16();
  const std::uint16_t kind = from.u16();
  header.anchor.log_id = from.array<16>();
  header.anchor.tree.size = from.u64();
  header.anchor.tree.root = from.array<32>();
  header.anchor.stored_at = from.id<TimestampUs>();
  header.anchor.attested_at = from.id<TimestampUs>();
  header.target_size = from.u32();
  header.evidence_size = from.u32();
  header.crc = from.u32();
  from.zeros(header_unused);
  const std::uint32_t crc = from.u32();
  if (magic != anchor_magic) return no_anchor("it does not begin as one");
  if (crc != crypto::crc32c(bytes.first<at_header_crc>())) {
    return no_anchor("the checksum of its header is another");
  }
  if (version != anchor_version) {
    return Error{Code::unavailable_version, "an anchor of format {}", version}.next(
        "use a newer kimberlite");
  }
  if (!from.finished() || !is_kind(kind) || header.anchor.tree.size == 0 ||
      header.anchor.tree.size > record::tree_size_max || header.target_size > anchor_target_max ||
      header.evidence_size > anchor_evidence_max) {
    return no_anchor("its header is not in its canonical form");
  }
  header.anchor.kind = static_cast<AnchorKind>(kind);
  return header;
}

Result<Anchor> decode_anchor(Bytes bytes) {
  if (bytes.size() < anchor_header_size) return no_anchor("it is cut off");
  KIMBERLITE_TRY(AnchorHeader header, decode_anchor_header(bytes.first<anchor_header_size>()));
  if (header.record_size() != bytes.size()) return no_anchor("it is cut off, or too long");
  const Bytes rest = bytes.subspan(anchor_header_size);
  if (crypto::crc32c(rest) != header.crc) return no_anchor("its checksum is another");
  const Bytes target = rest.first(header.target_size);
  const Bytes evidence = rest.subspan(header.target_size, header.evidence_size);
  if (!all_zero(rest.subspan(target.size() + evidence.size()))) {
    return no_anchor("it is not in its canonical form");
  }
  header.anchor.target = text_of(target);
  header.anchor.evidence.assign(evidence.begin(), evidence.end());
  return std::move(header.anchor);
}

Status check_evidence(const Anchor& anchor, const StoredHead& head) {
  KIMBERLITE_ASSERT(anchor.log_id == head.log_id && anchor.tree.size == head.tree.size);
  if (anchor.tree.root != head.tree.root) return no_anchor("the log signed another root");
  switch (anchor.kind) {
    case AnchorKind::file:
      if (anchor.evidence.empty() && anchor.attested_at == TimestampUs{}) return {};
      return no_anchor("a file attests nothing");
    case AnchorKind::timestamp:
      return check_timestamp_evidence(anchor, head);
    case AnchorKind::witness:
      return check_witness(anchor, head);
  }
  return no_anchor("it is of no kind");
}

Result<AnchorScan> scan_anchors(env::File& file, std::uint64_t size,
                                const std::function<void(std::uint64_t, const Anchor&)>& found,
                                const std::function<void(std::uint64_t, const Error&)>& damaged) {
  Buffer record;
  std::uint64_t at = 0;
  while (at < size) {
    std::array<std::byte, anchor_header_size> bytes{};
    KIMBERLITE_TRY(const std::size_t got, file.read_at(at, bytes));
    // A record whose header was never written; unless there is one behind it, that then must have
    // been written after it.
    if (all_zero(Bytes{bytes}.first(got))) {
      KIMBERLITE_TRY(const std::uint64_t next, next_header(file, at + 1, size));
      if (next == size) return AnchorScan{at, size - at};
      damaged(at, no_anchor("there is none where one should begin"));
      at = next;
      continue;
    }
    const auto header = got == bytes.size() ? decode_anchor_header(bytes)
                                            : Result<AnchorHeader>{no_anchor("it is cut off")};
    if (!header) {
      damaged(at, header.error());
      KIMBERLITE_TRY(at, next_header(file, at + 1, size));
      continue;
    }
    record.resize(std::min(header->record_size(), size - at));
    KIMBERLITE_TRY(const std::size_t read, file.read_at(at, record));
    const auto anchor = decode_anchor(Bytes{record}.first(read));
    if (anchor) {
      found(at, *anchor);
    } else {
      damaged(at, anchor.error());
    }
    at += record.size();
  }
  return AnchorScan{at, 0};
}

Result<AnchorFile> AnchorFile::open(env::Storage& storage, LogName name,
                                    const std::function<void(const Anchor&)>& found) {
  AnchorFile opened{storage, fmt::format("{}/{}", directory_of(name), anchors_name)};
  auto file = storage.open(opened.path_, env::Open::write);
  if (!file) {
    const Code code = file.error().code();
    if (code == Code::not_found_file || code == Code::not_found_directory) return opened;
    return file.error();
  }
  opened.file_ = *std::move(file);
  KIMBERLITE_TRY(const std::uint64_t size, opened.file_->size());
  std::optional<Error> wrong;
  KIMBERLITE_TRY(const AnchorScan scan,
                 scan_anchors(
                     *opened.file_, size,
                     [&](std::uint64_t, const Anchor& anchor) {
                       opened.take(anchor);
                       if (found) found(anchor);
                     },
                     [&](std::uint64_t at, const Error& error) {
                       if (wrong) return;
                       wrong = Error{error}
                                   .where("{}, byte {}", opened.path_, at)
                                   .next("keep the directory as it is, and run kimberlite verify");
                     }));
  if (wrong) return *wrong;
  opened.end_ = scan.end;
  return opened;
}

void AnchorFile::take(const Anchor& anchor) {
  ++count_;
  if (!newest_ || newest_->time() <= anchor.time()) newest_ = anchor;
  if (anchor.kind != AnchorKind::witness) return;
  const auto known = std::ranges::find_if(witnessed_, [&](const Witnessed& each) {
    return each.log_id == anchor.log_id && each.witness == anchor.target;
  });
  if (known == witnessed_.end()) {
    witnessed_.push_back({anchor.log_id, anchor.target, anchor.tree.size});
  } else {
    known->size = std::max(known->size, anchor.tree.size);
  }
}

std::uint64_t AnchorFile::witnessed(const Id128& log_id, std::string_view witness) const {
  const auto known = std::ranges::find_if(witnessed_, [&](const Witnessed& each) {
    return each.log_id == log_id && each.witness == witness;
  });
  return known == witnessed_.end() ? 0 : known->size;
}

Status AnchorFile::append(const Anchor& anchor) {
  if (file_ == nullptr) {
    KIMBERLITE_TRY(file_, storage_->open(path_, env::Open::create));
  }
  const Buffer record = encode(anchor);
  // What a crash left behind the last record must not be taken for a part of this one.
  KIMBERLITE_CHECK(file_->truncate(end_));
  KIMBERLITE_CHECK(
      file_->write_at(end_ + anchor_header_size, Bytes{record}.subspan(anchor_header_size)));
  KIMBERLITE_CHECK(file_->sync());
  KIMBERLITE_CHECK(file_->write_at(end_, Bytes{record}.first(anchor_header_size)));
  KIMBERLITE_CHECK(file_->sync());
  end_ += record.size();
  take(anchor);
  return {};
}

}  // namespace kimberlite::log
