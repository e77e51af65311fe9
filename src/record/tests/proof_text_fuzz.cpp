// Key lines, notes, heads, receipts (as text and as COSE), consistency proofs, remembered heads and
// what a witness is sent: what is accepted is written again to the same bytes, and nothing but what
// the log's key signed is ever verified. The first byte chooses the format.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/assert.hpp"
#include "crypto/sha256.hpp"
#include "made_proofs.hpp"
#include "record/known_heads.hpp"
#include "record/witness.hpp"

namespace kimberlite::record {
namespace {

void key_line(std::string_view text) {
  const auto key = VerifierKey::parse(text);
  if (key) KIMBERLITE_ASSERT(key->to_text() == text);
}

void note(std::string_view text) {
  const auto parsed = SignedNote::parse(text);
  if (parsed) KIMBERLITE_ASSERT(parsed->to_text() == text);
}

void head(std::string_view text) {
  const auto parsed = parse_head(text);
  if (parsed) KIMBERLITE_ASSERT(to_text(*parsed) == text);
}

const VerifierKey& log_key() {
  static const VerifierKey key = sample::MadeLog{1}.log_key();
  return key;
}

void receipt(std::string_view text) {
  const auto parsed = Receipt::parse(text);
  if (!parsed) return;
  KIMBERLITE_ASSERT(parsed->to_text() == text);
  const auto record = verify(*parsed, log_key());
  if (record) KIMBERLITE_ASSERT(record->entry().position.value() <= record->tree().size);
}

void cose(std::string_view text) {
  const auto parsed = CoseReceipt::parse(bytes_of(text));
  if (!parsed) return;
  KIMBERLITE_ASSERT(equal(parsed->to_bytes(), bytes_of(text)));
  const auto record = verify(*parsed, log_key());
  if (record) KIMBERLITE_ASSERT(record->entry().position.value() <= record->tree().size);
}

void consistency(std::string_view text) {
  const auto parsed = ConsistencyProof::parse(text);
  if (!parsed) return;
  KIMBERLITE_ASSERT(parsed->to_text() == text);
  const auto heads = check_consistency(*parsed, log_key());
  if (heads) KIMBERLITE_ASSERT(heads->older.tree().size <= heads->newer.tree().size);
}

void known_heads(std::string_view text) {
  const auto parsed = KnownHeads::parse(text);
  if (!parsed) return;
  KIMBERLITE_ASSERT(parsed->to_text() == text);
  const auto head = parsed->find(Id128{}, "main");
  if (head && *head) KIMBERLITE_ASSERT((*head)->head.tree().origin == (*head)->key.name);
}

void witness_request(std::string_view text) {
  const auto parsed = WitnessRequest::parse(text);
  if (!parsed) return;
  KIMBERLITE_ASSERT(parsed->to_text() == text);
  // As the witness's: no text that a fuzzer finds is signed by it.
  VerifierKey witness = log_key();
  witness.type = NoteKeyType::cosignature;
  KIMBERLITE_ASSERT(!find_cosignature(parsed->head, text, witness).has_value());
}

}  // namespace
}  // namespace kimberlite::record

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kimberlite;
  using namespace kimberlite::record;
  if (size == 0) return 0;
  const std::string_view text = text_of(std::as_bytes(std::span{data, size}).subspan(1));
  // What it covers with a hash: a mutation rarely keeps it, so the hash is put right first.
  if (data[0] == 7) {
    constexpr std::size_t hash_size = 65;
    std::string whole{text.substr(0, text.size() - std::min(text.size(), hash_size))};
    known_heads(text);
    known_heads(whole + to_hex(crypto::sha256(bytes_of(whole))) + "\n");
    return 0;
  }
  switch (data[0] % 7) {
    case 0:
      key_line(text);
      break;
    case 1:
      note(text);
      break;
    case 2:
      head(text);
      break;
    case 3:
      receipt(text);
      break;
    case 4:
      consistency(text);
      break;
    case 6:
      witness_request(text);
      break;
    default:
      cose(text);
  }
  return 0;
}
