#include "record/signed_head.hpp"

#include <fmt/format.h>

#include "base/assert.hpp"
#include "proof_text.hpp"
#include "record/proof.hpp"

namespace kimberlite::record {
namespace {

constexpr std::string_view consistency_line = "kimberlite/consistency@v1";

Error no_head(std::string_view why) {
  return Error{Code::integrity_head, "what is signed is not the head of a tree"}.why("{}", why);
}

Error not_consistent(std::string_view why) {
  return Error{Code::integrity_consistency, "the proof of consistency does not hold"}.why("{}",
                                                                                          why);
}

}  // namespace

std::string origin_of(const Id128& log_id) { return "kimberlite/" + to_hex(log_id); }

std::string to_text(const TreeHead& head) {
  return fmt::format("{}\n{}\n{}\n", head.origin, head.size, to_base64(head.root));
}

Result<TreeHead> parse_head(std::string_view text) {
  const auto origin = take_line(text);
  const auto size = take_line(text);
  const auto root = take_line(text);
  if (!origin || !size || !root || !text.empty()) return no_head("it has not three lines");
  TreeHead head{.origin = std::string{*origin}};
  if (!is_note_name(head.origin)) return no_head("its first line is no name of a log");
  const auto number = parse_decimal(*size);
  if (!number || *number == 0) return no_head("its second line is no size from 1 to 2^63 - 1");
  head.size = *number;
  const auto hash = parse_hash(*root);
  if (!hash) return no_head("its third line is no hash in base64");
  head.root = *hash;
  return head;
}

std::string sign_head(const TreeHead& head, const crypto::SigningKey& key) {
  KIMBERLITE_ASSERT(head.size > 0 && head.size <= tree_size_max);
  SignedNote note{.text = to_text(head), .signatures = {}};
  note.signatures.push_back(sign_note(note.text, head.origin, key));
  return note.to_text();
}

Result<SignedHead> check_head(std::string_view note, const VerifierKey& log_key) {
  KIMBERLITE_TRY(SignedNote parsed, SignedNote::parse(note));
  KIMBERLITE_CHECK(check_signature(parsed, log_key));
  KIMBERLITE_TRY(TreeHead head, parse_head(parsed.text));
  if (head.origin != log_key.name) return no_head("it is signed by the key of another log");
  return SignedHead{std::move(head), std::move(parsed)};
}

std::string ConsistencyProof::to_text() const {
  std::string text{consistency_line};
  text += '\n';
  append_path(text, path);
  text += '\n';
  text += older;
  text += '\n';
  text += newer;
  return text;
}

// A head's text has no empty line in it, so the empty lines part the notes.
Result<ConsistencyProof> ConsistencyProof::parse(std::string_view text) {
  if (text.size() > 3 * note_size_max) return not_consistent("it is larger than a proof may be");
  if (take_line(text) != consistency_line) {
    return not_consistent("its first line is not kimberlite/consistency@v1");
  }
  ConsistencyProof proof;
  auto path = take_path(text);
  if (!path) return not_consistent("its lines up to the first empty one are not hashes in base64");
  proof.path = *std::move(path);
  const std::size_t gap = text.find("\n\n");
  const std::size_t end = gap == std::string_view::npos ? gap : text.find("\n\n", gap + 1);
  if (end == std::string_view::npos) return not_consistent("it does not hold two heads");
  proof.older = text.substr(0, end + 1);
  proof.newer = text.substr(end + 2);
  return proof;
}

Result<ConsistentHeads> check_consistency(const ConsistencyProof& proof,
                                          const VerifierKey& log_key) {
  KIMBERLITE_TRY(SignedHead older, check_head(proof.older, log_key));
  KIMBERLITE_TRY(SignedHead newer, check_head(proof.newer, log_key));
  const TreeHead& from = older.tree();
  const TreeHead& to = newer.tree();
  if (from.size > to.size) return not_consistent("the older head is of the larger tree");
  if (!verify_consistency(from.size, from.root, to.size, to.root, proof.path)) {
    return not_consistent("the newer tree does not begin with the older one");
  }
  return ConsistentHeads{.older = std::move(older), .newer = std::move(newer)};
}

}  // namespace kimberlite::record
