#include "record/body.hpp"

#include "crypto/sha256.hpp"
#include "record/frontier.hpp"

namespace kimberlite::record {

ItemHeaderBytes encode(const ItemHeader& header) {
  ItemHeaderBytes to;
  encode_numbers(
      ItemNumbers{static_cast<std::uint8_t>(header.kind), header.flags, header.count, header.size,
                  header.key.value(), header.stream.value(), header.first_sequence.value()},
      to.data());
  copy_bytes(MutBytes{to}.subspan(item_at_nonce), header.nonce);
  copy_bytes(MutBytes{to}.subspan(item_at_key_commitment), header.key_commitment);
  return to;
}

Result<ItemHeader> decode_item_header(std::span<const std::byte, item_header_size> bytes) {
  ItemNumbers numbers{};
  switch (decode_numbers(bytes.data(), numbers)) {
    case Malformed::none:
      break;
    case Malformed::padding:
      return Error{Code::integrity_item, "padding of an item header that is not zero"};
    case Malformed::version:
    case Malformed::value:
      return Error{Code::integrity_item,
                   "an item header of kind {}, flags {}, {} parts, {} bytes under key {}",
                   numbers.kind,
                   numbers.flags,
                   numbers.count,
                   numbers.size,
                   numbers.key};
  }
  ItemHeader header;
  header.kind = static_cast<ItemKind>(numbers.kind);
  header.flags = numbers.flags;
  header.count = numbers.count;
  header.size = numbers.size;
  header.key = KeyId{numbers.key};
  header.stream = StreamId{numbers.stream};
  header.first_sequence = Sequence{numbers.first_sequence};
  copy_bytes(header.nonce, bytes.subspan(item_at_nonce, header.nonce.size()));
  copy_bytes(header.key_commitment,
             bytes.subspan(item_at_key_commitment, header.key_commitment.size()));
  return header;
}

ItemAssociated associated_data(const Id128& log_id, const ItemHeader& header) {
  ItemAssociated to;
  store_le(to.data(), entry_version);
  copy_bytes(MutBytes{to}.subspan(2), log_id);
  const ItemHeaderBytes encoded = encode(header);
  copy_bytes(MutBytes{to}.subspan(2 + 16), Bytes{encoded}.first(item_authenticated));
  return to;
}

Result<std::vector<ItemView>> split_body(Bytes body) {
  std::vector<ItemView> items;
  KIMBERLITE_CHECK(split_body(body, items));
  return items;
}

Status split_body(Bytes body, std::vector<ItemView>& items) {
  items.clear();
  std::size_t at = 0;
  while (at < body.size()) {
    const Bytes rest = body.subspan(at);
    if (rest.size() < item_header_size) {
      return Error{Code::integrity_body, "{} bytes behind the last item of a body", rest.size()}
          .where("byte {} of the body", at);
    }
    KIMBERLITE_TRY(const ItemHeader header, decode_item_header(rest.first<item_header_size>()));
    if (header.size > rest.size() - item_header_size) {
      return Error{Code::integrity_body, "an item of {} bytes where {} are left", header.size,
                   rest.size() - item_header_size}
          .where("byte {} of the body", at);
    }
    if (items.size() == item_count_max) {
      return Error{Code::integrity_body, "more than {} items in a body", item_count_max};
    }
    const Bytes whole = rest.first(item_header_size + header.size);
    items.push_back({header, whole, whole.subspan(item_header_size)});
    at += whole.size();
  }
  if (items.empty()) return Error{Code::integrity_body, "a body without items"};
  return {};
}

Hash item_commitment(Bytes whole) {
  constexpr std::array item_prefix{std::byte{0x10}};
  return crypto::sha256(item_prefix, whole);
}

Hash tree_root(std::span<const Hash> leaf_hashes) {
  if (leaf_hashes.size() == 1) return leaf_hashes.front();
  Frontier frontier;
  for (const Hash& leaf : leaf_hashes) frontier.append(leaf);
  return frontier.root();
}

Hash body_commitment(std::span<const ItemView> items) {
  if (items.size() == 1) return item_commitment(items.front().whole);
  Frontier frontier;
  for (const ItemView& item : items) frontier.append(item_commitment(item.whole));
  return frontier.root();
}

}  // namespace kimberlite::record
