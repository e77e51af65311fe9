#include "log/head_file.hpp"

#include <fmt/format.h>

#include "base/assert.hpp"
#include "base/codec.hpp"
#include "crypto/crc32c.hpp"
#include "record/signed_head.hpp"

namespace kimberlite::log {
namespace {

constexpr std::array<std::byte, 4> head_magic{std::byte{'K'}, std::byte{'B'}, std::byte{'H'},
                                              std::byte{'D'}};
constexpr std::uint16_t head_version = 1;
constexpr std::size_t at_crc = 252;
constexpr std::size_t unused_size = 84;

std::string text_of_tree(const Id128& log_id, const Tree& tree) {
  return record::to_text(record::TreeHead{record::origin_of(log_id), tree.size, tree.root});
}

Error no_record(std::string_view why) {
  return Error{Code::integrity_head, "a signed head that was stored is damaged"}.why("{}", why);
}

}  // namespace

record::VerifierKey StoredHead::verifier_key() const {
  return {.name = record::origin_of(log_id), .type = record::NoteKeyType::signature, .key = key};
}

std::string StoredHead::note() const {
  const record::VerifierKey verifier = verifier_key();
  const record::SignedNote note{
      .text = text_of_tree(log_id, tree),
      .signatures = {{verifier.name, verifier.id(), Buffer{signature.begin(), signature.end()}}}};
  return note.to_text();
}

bool StoredHead::signature_holds() const {
  return crypto::verify(key, bytes_of(text_of_tree(log_id, tree)), signature);
}

StoredHead sign(const Id128& log_id, const Tree& tree, TimestampUs now,
                const crypto::SigningKey& key) {
  KIMBERLITE_ASSERT(tree.size > 0 && tree.size <= record::tree_size_max);
  return {.log_id = log_id,
          .tree = tree,
          .signed_at = now,
          .key = key.public_key(),
          .signature = key.sign(bytes_of(text_of_tree(log_id, tree)))};
}

HeadRecordBytes encode(const StoredHead& head) {
  Writer to;
  to.bytes(head_magic);
  to.u16(head_version);
  to.zeros(2);
  to.bytes(head.log_id);
  to.u64(head.tree.size);
  to.bytes(head.tree.root);
  to.id(head.signed_at);
  to.bytes(head.key);
  to.bytes(head.signature);
  to.zeros(unused_size);
  to.u32(crypto::crc32c(to.buffer()));
  HeadRecordBytes bytes{};
  KIMBERLITE_ASSERT(to.size() == bytes.size());
  copy_bytes(bytes, to.buffer());
  return bytes;
}

Result<StoredHead> decode_head_record(std::span<const std::byte, head_record_size> bytes) {
  Reader from{bytes};
  const auto magic = from.array<head_magic.size()>();
  const std::uint16_t version = from.u16();
  from.zeros(2);
  StoredHead head;
  head.log_id = from.array<16>();
  head.tree.size = from.u64();
  head.tree.root = from.array<32>();
  head.signed_at = from.id<TimestampUs>();
  head.key = from.array<32>();
  head.signature = from.array<64>();
  from.zeros(unused_size);
  const std::uint32_t crc = from.u32();
  if (magic != head_magic) return no_record("it does not begin as one");
  if (crc != crypto::crc32c(bytes.first<at_crc>())) return no_record("its checksum is another");
  if (version != head_version) {
    return Error{Code::unavailable_version, "a signed head of format {}", version}.next(
        "use a newer kimberlite");
  }
  if (!from.finished() || head.tree.size == 0 || head.tree.size > record::tree_size_max) {
    return no_record("it is not in its canonical form");
  }
  return head;
}

Result<HeadFile> HeadFile::open(env::Storage& storage, LogName name) {
  HeadFile opened{storage, fmt::format("{}/{}", directory_of(name), heads_name)};
  auto file = storage.open(opened.path_, env::Open::write);
  if (!file) {
    const Code code = file.error().code();
    if (code == Code::not_found_file || code == Code::not_found_directory) return opened;
    return file.error();
  }
  opened.file_ = *std::move(file);
  KIMBERLITE_CHECK(opened.find_end());
  return opened;
}

// A crash in `append` leaves a piece of a record or zeros at the end; no signature of such a record
// was seen by anyone, and the next append overwrites it.
Status HeadFile::find_end() {
  KIMBERLITE_TRY(const std::uint64_t size, file_->size());
  count_ = size / head_record_size;
  while (count_ > 0) {
    HeadRecordBytes bytes{};
    const std::uint64_t at = (count_ - 1) * head_record_size;
    KIMBERLITE_TRY(const std::size_t got, file_->read_at(at, bytes));
    if (got < bytes.size())
      return Error{Code::unavailable_io, "a file became shorter"}.where("{}, byte {}", path_, at);
    if (all_zero(bytes)) {
      --count_;
      continue;
    }
    Result<StoredHead> head = decode_head_record(bytes);
    if (!head) {
      Error error = head.error();
      return std::move(error)
          .where("{}, byte {}", path_, at)
          .next("keep the directory as it is, and run kimberlite verify");
    }
    newest_ = *std::move(head);
    break;
  }
  return {};
}

Result<StoredHead> HeadFile::read(std::uint64_t index) const {
  KIMBERLITE_ASSERT(index < count_);
  HeadRecordBytes bytes{};
  const std::uint64_t at = index * head_record_size;
  KIMBERLITE_TRY(const std::size_t got, file_->read_at(at, bytes));
  Result<StoredHead> head = got == bytes.size() ? decode_head_record(bytes)
                                                : Result<StoredHead>{no_record("it is cut off")};
  if (head) return head;
  Error error = head.error();
  return std::move(error).where("{}, byte {}", path_, at);
}

// Heads of one log id stand together, those of the newest epoch last, and rise in size.
Result<std::optional<StoredHead>> HeadFile::first_with(const Id128& log_id,
                                                       std::uint64_t size) const {
  if (!newest_ || newest_->log_id != log_id || newest_->tree.size < size) {
    return std::optional<StoredHead>{};
  }
  std::uint64_t low = 0;  // every head before `low` is of an older epoch or smaller
  std::uint64_t high = count_ - 1;
  StoredHead best = *newest_;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    KIMBERLITE_TRY(const StoredHead head, read(middle));
    if (head.log_id == log_id && head.tree.size >= size) {
      high = middle;
      best = head;
    } else {
      low = middle + 1;
    }
  }
  return std::optional{best};
}

Status HeadFile::append(const StoredHead& head) {
  KIMBERLITE_ASSERT(!newest_ || newest_->log_id != head.log_id ||
                    newest_->tree.size < head.tree.size);
  if (file_ == nullptr) {
    KIMBERLITE_TRY(file_, storage_->open(path_, env::Open::create));
  }
  const HeadRecordBytes bytes = encode(head);
  KIMBERLITE_CHECK(file_->write_at(count_ * head_record_size, bytes));
  KIMBERLITE_CHECK(file_->sync());
  ++count_;
  newest_ = head;
  return {};
}

}  // namespace kimberlite::log
