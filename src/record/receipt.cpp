#include "record/receipt.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/codec.hpp"
#include "crypto/aead.hpp"
#include "crypto/key.hpp"
#include "proof_text.hpp"
#include "record/proof.hpp"

namespace kimberlite::record {
namespace {

constexpr std::string_view first_line = "c2sp.org/tlog-proof@v1";
constexpr std::string_view extra_word = "extra ";
constexpr std::string_view index_word = "index ";
constexpr std::uint16_t extra_version = 1;
constexpr std::uint16_t flag_item = 1;
// A disclosed item is at most a row of 1 MiB and its record's meta; in base64 a third more.
constexpr std::size_t receipt_size_max = std::size_t{16} << 20U;

Error no_receipt(std::string_view why) {
  return Error{Code::integrity_receipt, "this is not a receipt"}.why("{}", why);
}

Error not_included(std::string_view what, std::string_view why) {
  return Error{Code::integrity_inclusion, "{} is not in the tree", what}.why("{}", why);
}

Buffer encode_extra(const Receipt& receipt) {
  Writer to;
  to.u16(extra_version);
  to.u16(receipt.item ? flag_item : 0);
  to.u32(0);
  to.bytes(receipt.entry);
  if (receipt.item) {
    to.u32(receipt.item->index);
    to.u32(static_cast<std::uint32_t>(receipt.item->path.size()));
    to.bytes(receipt.item->key);
    for (const Hash& hash : receipt.item->path) to.bytes(hash);
    to.bytes(receipt.item->bytes);
  }
  return std::move(to).take();
}

Status decode_extra(Bytes bytes, Receipt& receipt) {
  Reader from{bytes};
  const std::uint16_t version = from.u16();
  if (version > extra_version) {
    return Error{Code::unavailable_version, "a receipt of a later version"}.next(
        "check it with a newer program");
  }
  if (version != extra_version) return no_receipt("its extra line has no version");
  const std::uint16_t flags = from.u16();
  if (from.u32() != 0 || (flags | flag_item) != flag_item) {
    return no_receipt("its extra line has flags or padding that is not zero");
  }
  receipt.entry = from.array<entry_size>();
  if ((flags & flag_item) != 0) {
    DisclosedItem item;
    item.index = from.u32();
    const std::uint32_t hashes = from.u32();
    item.key = from.array<32>();
    if (from.failed() || hashes > path_hashes_max) return no_receipt("its item's path is too long");
    for (std::uint32_t i = 0; i < hashes; ++i) item.path.push_back(from.array<32>());
    const Bytes rest = from.bytes(from.left());
    if (from.failed() || rest.size() <= item_header_size) return no_receipt("its item is cut off");
    item.bytes.assign(rest.begin(), rest.end());
    receipt.item = std::move(item);
  }
  if (!from.finished()) return no_receipt("its extra line has not the right size");
  return {};
}

Result<VerifiedItem> open_item(const Entry& entry, const DisclosedItem& item) {
  const Bytes whole = item.bytes;
  if (whole.size() <= item_header_size + crypto::tag_size) return no_receipt("its item is cut off");
  KIMBERLITE_TRY(const ItemHeader header, decode_item_header(whole.first<item_header_size>()));
  if (header.size != whole.size() - item_header_size) {
    return no_receipt("its item has not the size its header gives");
  }
  if (!verify_inclusion(item_commitment(whole), item.index, entry.item_count, item.path,
                        entry.body_commitment)) {
    return not_included(fmt::format("item {}", item.index),
                        "its path does not lead to what the record commits to");
  }
  const crypto::Key256 key{item.key};
  const auto sealed_otherwise = [](std::string_view why) {
    return Error{Code::integrity_seal, "the item does not open"}.why("{}", why);
  };
  if (crypto::key_commitment(key) != header.key_commitment) {
    return sealed_otherwise("the key that came with it is not the one the record commits to");
  }
  VerifiedItem opened{.index = item.index, .header = header, .plaintext = {}};
  const Bytes text = whole.subspan(item_header_size).first(header.size - crypto::tag_size);
  crypto::Tag tag;
  std::ranges::copy(whole.last(crypto::tag_size), tag.begin());
  opened.plaintext.assign(text.begin(), text.end());
  if (!crypto::gcm_open(key, crypto::xaes_message_nonce(header.nonce),
                        associated_data(entry.log_id, header), opened.plaintext, tag)) {
    return sealed_otherwise("its bytes, its header or its log are not those it was sealed with");
  }
  KIMBERLITE_CHECK(decode_plaintext(header, opened.plaintext));
  return opened;
}

}  // namespace

std::string Receipt::to_text() const {
  std::string text{first_line};
  text += '\n';
  text += extra_word;
  append_base64(text, encode_extra(*this));
  text += '\n';
  text += index_word;
  text += fmt::format("{}\n", index);
  append_path(text, path);
  text += '\n';
  text += head;
  return text;
}

Result<Receipt> Receipt::parse(std::string_view text) {
  if (text.size() > receipt_size_max) return no_receipt("it is larger than a receipt may be");
  if (take_line(text) != first_line)
    return no_receipt("its first line is not c2sp.org/tlog-proof@v1");
  const auto extra = take_line(text);
  if (!extra || !extra->starts_with(extra_word)) return no_receipt("it has no extra line");
  const auto bytes = from_base64(extra->substr(extra_word.size()));
  if (!bytes) return no_receipt("its extra line is not in base64");
  Receipt receipt;
  KIMBERLITE_CHECK(decode_extra(*bytes, receipt));
  const auto index = take_line(text);
  if (!index || !index->starts_with(index_word)) return no_receipt("it has no index line");
  const auto number = parse_decimal(index->substr(index_word.size()));
  if (!number) return no_receipt("its index is no number below 2^63");
  receipt.index = *number;
  auto path = take_path(text);
  if (!path) return no_receipt("its lines up to the first empty one are not hashes in base64");
  receipt.path = *std::move(path);
  receipt.head = text;
  KIMBERLITE_TRY(const SignedNote note, SignedNote::parse(text));
  KIMBERLITE_CHECK(parse_head(note.text));
  return receipt;
}

Result<VerifiedRecord> verify(const Receipt& receipt, const VerifierKey& log_key) {
  KIMBERLITE_TRY(SignedHead head, check_head(receipt.head, log_key));
  KIMBERLITE_TRY(const Entry entry, decode(receipt.entry));
  if (receipt.index >= tree_size_max || entry.position.value() != receipt.index + 1) {
    return not_included("the record", "it has another position than its index says");
  }
  const Hash leaf = leaf_hash(receipt.entry);
  if (!verify_inclusion(leaf, receipt.index, head.tree().size, receipt.path, head.tree().root)) {
    return not_included("the record", "its path does not lead to the signed root");
  }
  std::optional<VerifiedItem> opened;
  if (receipt.item) {
    KIMBERLITE_TRY(opened, open_item(entry, *receipt.item));
  }
  return VerifiedRecord{entry, leaf, std::move(head), std::move(opened)};
}

}  // namespace kimberlite::record
