// Signed tree heads: how large a log is and what its root is, under the log's key; and the proof
// that one of them extends another.
//
//   head        = signed note over: "kimberlite/" log id in hexadecimal, tree size, root in base64,
//                 a line each
//   consistency = "kimberlite/consistency@v1" · one hash a line, in base64 · empty line ·
//                 the older head · empty line · the newer head
//
// A head says nothing until `check_head` has given a `SignedHead`: its fields cannot be had without
// the log's key. Size = position of the newest record; an empty log is not signed.
//
// Errors: those of signed_note.hpp; `integrity.head` for a text that is no head,
// `integrity.consistency` where the proof does not hold. Thread rule: values.
// Source: C2SP tlog-checkpoint v1; RFC 9162 §2.1.4.2; proofs.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/signed_note.hpp"

namespace kimberlite::record {

inline constexpr std::uint64_t tree_size_max = (1ULL << 63U) - 1;

struct TreeHead {
  std::string origin;  // which log: the name of its key
  std::uint64_t size = 0;
  Hash root{};
  bool operator==(const TreeHead&) const = default;
};

// "kimberlite/" and the id in hexadecimal: the origin of a log's heads.
[[nodiscard]] std::string origin_of(const Id128& log_id);

[[nodiscard]] std::string to_text(const TreeHead& head);
[[nodiscard]] Result<TreeHead> parse_head(std::string_view text);

// The note, signed under the head's origin. The caller sees to it that no other tree is signed:
// never a smaller one, never another root of the same size.
[[nodiscard]] std::string sign_head(const TreeHead& head, const crypto::SigningKey& key);

// A head whose signature was checked.
class SignedHead {
 public:
  [[nodiscard]] const TreeHead& tree() const { return tree_; }
  [[nodiscard]] const SignedNote& note() const { return note_; }

 private:
  friend Result<SignedHead> check_head(std::string_view note, const VerifierKey& log_key);
  SignedHead(TreeHead tree, SignedNote note) : tree_(std::move(tree)), note_(std::move(note)) {}
  TreeHead tree_;
  SignedNote note_;
};
// `log_key` is pinned: it came another way than the note.
[[nodiscard]] Result<SignedHead> check_head(std::string_view note, const VerifierKey& log_key);

struct ConsistencyProof {
  std::vector<Hash> path;
  std::string older;  // notes
  std::string newer;

  [[nodiscard]] static Result<ConsistencyProof> parse(std::string_view text);
  [[nodiscard]] std::string to_text() const;
};

struct ConsistentHeads {
  SignedHead older;
  SignedHead newer;
};
// Both heads are of the log of `log_key`, and the newer tree begins with the older.
[[nodiscard]] Result<ConsistentHeads> check_consistency(const ConsistencyProof& proof,
                                                        const VerifierKey& log_key);

}  // namespace kimberlite::record
