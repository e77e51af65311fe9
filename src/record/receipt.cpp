#include "record/receipt.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/codec.hpp"
#include "cbor.hpp"
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

Buffer encode_extra(const Recorded& recorded) {
  Writer to;
  to.u16(extra_version);
  to.u16(recorded.item ? flag_item : 0);
  to.u32(0);
  to.bytes(recorded.entry);
  if (recorded.item) {
    to.u32(recorded.item->index);
    to.u32(static_cast<std::uint32_t>(recorded.item->path.size()));
    to.bytes(recorded.item->key);
    for (const Hash& hash : recorded.item->path) to.bytes(hash);
    to.bytes(recorded.item->bytes);
  }
  return std::move(to).take();
}

Result<Recorded> decode_extra(Bytes bytes) {
  Recorded recorded;
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
  recorded.entry = from.array<entry_size>();
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
    recorded.item = std::move(item);
  }
  if (!from.finished()) return no_receipt("its extra line has not the right size");
  return recorded;
}

Result<std::optional<VerifiedItem>> open_item(const Entry& entry, const Recorded& recorded) {
  if (!recorded.item) return std::optional<VerifiedItem>{};
  const DisclosedItem& item = *recorded.item;
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
  return std::optional{std::move(opened)};
}

Error path_leads_elsewhere() {
  return not_included("the record", "its path does not lead to the signed root");
}

// Where a record stands, and the root its path leads to: to be compared with what is signed.
struct Placed {
  Entry entry;
  Hash leaf{};
  Hash root{};
};
Result<Placed> place(const Recorded& recorded, std::uint64_t index, std::uint64_t size,
                     std::span<const Hash> path) {
  KIMBERLITE_TRY(const Entry entry, decode(recorded.entry));
  if (index >= tree_size_max || entry.position.value() != index + 1) {
    return not_included("the record", "it has another position than its index says");
  }
  const Hash leaf = leaf_hash(recorded.entry);
  const auto root = root_of_inclusion(leaf, index, size, path);
  if (!root) return path_leads_elsewhere();
  return Placed{.entry = entry, .leaf = leaf, .root = *root};
}

}  // namespace

std::string Receipt::to_text() const {
  std::string text{first_line};
  text += '\n';
  text += extra_word;
  append_base64(text, encode_extra(recorded));
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
  KIMBERLITE_TRY(receipt.recorded, decode_extra(*bytes));
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

Result<DisclosedItem> disclose(std::span<const ItemView> body, std::uint32_t index,
                               const crypto::Key256& item_key) {
  if (index >= body.size()) {
    return Error{Code::not_found_object, "the record has no item {}", index}.why(
        "it has {}, counted from 0", body.size());
  }
  DisclosedItem item{.index = index};
  std::vector<Hash> commitments;
  commitments.reserve(body.size());
  for (const ItemView& view : body) commitments.push_back(item_commitment(view.whole));
  KIMBERLITE_TRY(item.path, prove_inclusion(commitments, index));
  copy_bytes(item.key, item_key.expose());
  item.bytes.assign(body[index].whole.begin(), body[index].whole.end());
  return item;
}

Result<VerifiedRecord> verify(const Receipt& receipt, const VerifierKey& log_key) {
  KIMBERLITE_TRY(const SignedHead head, check_head(receipt.head, log_key));
  KIMBERLITE_TRY(const Placed placed,
                 place(receipt.recorded, receipt.index, head.tree().size, receipt.path));
  if (placed.root != head.tree().root) return path_leads_elsewhere();
  KIMBERLITE_TRY(std::optional<VerifiedItem> opened, open_item(placed.entry, receipt.recorded));
  return VerifiedRecord{placed.entry, placed.leaf, head.tree(), std::move(opened)};
}

// ---- COSE ---------------------------------------------------------------------------------------

namespace {

// RFC 9052 §3.1, RFC 9942 §4 and §5, and labels of ours from the range for private use. RFC 9942
// signs the root alone, and trees of several sizes have paths that lead to it: so the size stands
// in the protected header too.
constexpr std::int64_t label_algorithm = 1;
constexpr std::int64_t label_key_id = 4;
constexpr std::int64_t label_structure = 395;
constexpr std::int64_t label_proofs = 396;
constexpr std::int64_t label_inclusion = -1;
constexpr std::int64_t label_recorded = -65537;
constexpr std::int64_t label_size = -65538;
constexpr std::int64_t algorithm_eddsa = -8;
constexpr std::int64_t structure_rfc9162_sha256 = 1;
constexpr std::uint64_t tag_sign1 = 18;

Buffer protected_header(std::string_view origin, std::uint64_t size) {
  CborWriter to;
  to.map(4);
  to.integer(label_algorithm);
  to.integer(algorithm_eddsa);
  to.integer(label_key_id);
  to.bytes(bytes_of(origin));
  to.integer(label_structure);
  to.integer(structure_rfc9162_sha256);
  to.integer(label_size);
  to.unsigned_integer(size);
  return std::move(to).take();
}

// What is signed: RFC 9052 §4.4, with the root as the payload that is detached.
Buffer signed_root(const TreeHead& head) {
  CborWriter to;
  to.array(4);
  to.text("Signature1");
  to.bytes(protected_header(head.origin, head.size));
  to.bytes({});
  to.bytes(head.root);
  return std::move(to).take();
}

Buffer inclusion_proof(const CoseReceipt& receipt) {
  CborWriter to;
  to.array(3);
  to.unsigned_integer(receipt.size);
  to.unsigned_integer(receipt.index);
  to.array(receipt.path.size());
  for (const Hash& hash : receipt.path) to.bytes(hash);
  return std::move(to).take();
}

Status parse_inclusion(Bytes bytes, CoseReceipt& receipt) {
  CborReader from{bytes};
  from.array(3);
  if (from.unsigned_integer() != receipt.size) return no_receipt("its two sizes differ");
  receipt.index = from.unsigned_integer();
  const std::uint64_t hashes = from.array();
  if (from.failed() || hashes > path_hashes_max) return no_receipt("its inclusion proof is none");
  for (std::uint64_t i = 0; i < hashes; ++i) {
    const Bytes hash = from.bytes();
    if (hash.size() != sizeof(Hash)) return no_receipt("its inclusion proof is none");
    copy_bytes(receipt.path.emplace_back(), hash);
  }
  if (!from.finished()) return no_receipt("its inclusion proof is none");
  return {};
}

}  // namespace

crypto::Signature sign_cose_root(const TreeHead& head, const crypto::SigningKey& key) {
  return key.sign(signed_root(head));
}

Buffer CoseReceipt::to_bytes() const {
  CborWriter to;
  to.tag(tag_sign1);
  to.array(4);
  to.bytes(protected_header(origin, size));
  to.map(2);
  to.integer(label_proofs);
  to.map(1);
  to.integer(label_inclusion);
  to.array(1);
  to.bytes(inclusion_proof(*this));
  to.integer(label_recorded);
  to.bytes(encode_extra(recorded));
  to.null();
  to.bytes(signature);
  return std::move(to).take();
}

// The one shape there is is read by what it must be; that it is the one encoding of it, by writing
// it again.
Result<CoseReceipt> CoseReceipt::parse(Bytes bytes) {
  if (bytes.size() > receipt_size_max) return no_receipt("it is larger than a receipt may be");
  CoseReceipt receipt;
  CborReader from{bytes};
  from.tag(tag_sign1);
  from.array(4);
  CborReader header{from.bytes()};
  header.map(4);
  header.integer(label_algorithm);
  header.integer(algorithm_eddsa);
  header.integer(label_key_id);
  receipt.origin = text_of(header.bytes());
  header.integer(label_structure);
  header.integer(structure_rfc9162_sha256);
  header.integer(label_size);
  receipt.size = header.unsigned_integer();
  from.map(2);
  from.integer(label_proofs);
  from.map(1);
  from.integer(label_inclusion);
  from.array(1);
  const Bytes proof = from.bytes();
  from.integer(label_recorded);
  const Bytes extra = from.bytes();
  from.null();
  const Bytes signature = from.bytes();
  if (!header.finished() || !from.finished() || signature.size() != receipt.signature.size()) {
    return no_receipt("it is no COSE_Sign1 of one inclusion proof, as RFC 9942 has it");
  }
  if (!is_note_name(receipt.origin)) return no_receipt("its key id is no name of a log");
  copy_bytes(receipt.signature, signature);
  KIMBERLITE_CHECK(parse_inclusion(proof, receipt));
  KIMBERLITE_TRY(receipt.recorded, decode_extra(extra));
  if (!equal(receipt.to_bytes(), bytes)) return no_receipt("it is not in its one encoding");
  return receipt;
}

Result<VerifiedRecord> verify(const CoseReceipt& receipt, const VerifierKey& log_key) {
  if (log_key.type != NoteKeyType::signature || receipt.origin != log_key.name) {
    return Error{Code::integrity_signature,
                 "the receipt is not of the log of the key that was given"};
  }
  if (receipt.size > tree_size_max) return no_receipt("its tree is larger than one may be");
  KIMBERLITE_TRY(const Placed placed,
                 place(receipt.recorded, receipt.index, receipt.size, receipt.path));
  TreeHead tree{.origin = receipt.origin, .size = receipt.size, .root = placed.root};
  if (!crypto::verify(log_key.key, signed_root(tree), receipt.signature)) {
    return Error{Code::integrity_signature,
                 "the root the record leads to is not signed by the key that was given"}
        .why("the record, its path, the key or the signature is not the right one");
  }
  KIMBERLITE_TRY(std::optional<VerifiedItem> opened, open_item(placed.entry, receipt.recorded));
  return VerifiedRecord{placed.entry, placed.leaf, std::move(tree), std::move(opened)};
}

}  // namespace kimberlite::record
