#include "record/entry.hpp"

#include "base/bytes.hpp"
#include "crypto/sha256.hpp"

namespace kimberlite::record {
namespace {

// Copies a run of bytes from its place in an encoded entry, or to it.
template <std::size_t N>
void put(EntryBytes& to, std::size_t at, const std::array<std::byte, N>& run) {
  copy_bytes(MutBytes{to}.subspan(at), run);
}
template <std::size_t N>
void take(std::span<const std::byte, entry_size> from, std::size_t at,
          std::array<std::byte, N>& run) {
  copy_bytes(run, from.subspan(at, N));
}

}  // namespace

EntryBytes encode(const Entry& entry) {
  EntryBytes to;
  encode_numbers(EntryNumbers{entry.kind, entry.flags, entry.catalog_version, entry.body_size,
                              entry.item_count, entry.position.value(), entry.timestamp.value()},
                 to.data());
  put(to, entry_at_log_id, entry.log_id);
  put(to, entry_at_actor, entry.actor);
  put(to, entry_at_session, entry.session);
  put(to, entry_at_request_id, entry.request_id);
  put(to, entry_at_correlation, entry.correlation);
  put(to, entry_at_body_commitment, entry.body_commitment);
  put(to, entry_at_previous, entry.previous);
  return to;
}

Result<Entry> decode(std::span<const std::byte, entry_size> bytes) {
  EntryNumbers numbers{};
  switch (decode_numbers(bytes.data(), numbers)) {
    case Malformed::none:
      break;
    case Malformed::version:
      return Error{Code::unavailable_version,
                   "an entry of format version {}; this program reads {}",
                   load_le<std::uint16_t>(bytes.data()), entry_version};
    case Malformed::padding:
      return Error{Code::integrity_entry, "padding of an entry that is not zero"};
    case Malformed::value:
      return Error{Code::integrity_entry, "an entry with position {} and {} items",
                   numbers.position, numbers.item_count};
  }
  Entry entry;
  entry.kind = numbers.kind;
  entry.flags = numbers.flags;
  entry.catalog_version = numbers.catalog_version;
  entry.body_size = numbers.body_size;
  entry.item_count = numbers.item_count;
  entry.position = Position{numbers.position};
  entry.timestamp = TimestampUs{numbers.timestamp_us};
  take(bytes, entry_at_log_id, entry.log_id);
  take(bytes, entry_at_actor, entry.actor);
  take(bytes, entry_at_session, entry.session);
  take(bytes, entry_at_request_id, entry.request_id);
  take(bytes, entry_at_correlation, entry.correlation);
  take(bytes, entry_at_body_commitment, entry.body_commitment);
  take(bytes, entry_at_previous, entry.previous);
  if (entry.position.value() == 1 && entry.previous != Hash{}) {
    return Error{Code::integrity_entry, "the first entry of a log names one before it"};
  }
  return entry;
}

Hash leaf_hash(std::span<const std::byte, entry_size> bytes) {
  constexpr std::array leaf_prefix{std::byte{0x00}};
  return crypto::sha256(leaf_prefix, bytes);
}

}  // namespace kimberlite::record
