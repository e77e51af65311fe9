// Signed notes: text and the signatures under it, in a form that people can read and stock tools
// check.
//
//   text ending in a newline · empty line · one line a signature:
//   "— " name " " base64(key id, 4 bytes || signature)
//   key id = first 4 bytes of SHA-256(name || 0x0A || type || public key)
//   key line (vkey) = name "+" key id in hexadecimal "+" base64(type || public key)
//
// Parsing is strict: what is accepted is exactly what `to_text` writes of it. Nothing of a note may
// be believed before a signature under a key that was pinned beforehand has been checked.
//
// Errors: `integrity.note` for text that is no note, `integrity.signature` if the pinned key did
// not sign it, `usage.key` for a line that is no key. Thread rule: values.
// Source: C2SP signed-note v1, tlog-cosignature v1 (Ed25519 types 0x01 and 0x04).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "crypto/ed25519.hpp"

namespace kimberlite::record {

inline constexpr std::size_t note_size_max = std::size_t{256} << 10U;  // bytes
inline constexpr std::size_t note_signatures_max = 64;

enum class NoteKeyType : std::uint8_t {
  signature = 0x01,    // over the note's text
  cosignature = 0x04,  // over a time and the text: a witness saw this tree then, and none larger
};

// The public half of a key, with the name it signs under.
struct VerifierKey {
  std::string name;
  NoteKeyType type = NoteKeyType::signature;
  crypto::PublicKey key{};

  [[nodiscard]] static Result<VerifierKey> parse(std::string_view line);
  // One line, without its newline.
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] std::uint32_t id() const;
  bool operator==(const VerifierKey&) const = default;
};
// Not empty, UTF-8, and without spaces of any kind, control characters and '+'.
[[nodiscard]] bool is_note_name(std::string_view name);

struct NoteSignature {
  std::string name;
  std::uint32_t key_id = 0;
  Buffer bytes;
  bool operator==(const NoteSignature&) const = default;
};

struct SignedNote {
  std::string text;  // with its last newline
  std::vector<NoteSignature> signatures;

  // Also refuses two signatures of one name and key id.
  [[nodiscard]] static Result<SignedNote> parse(std::string_view note);
  [[nodiscard]] std::string to_text() const;
};

// Adds a signature by `key` under `name`; `text` must end in a newline.
[[nodiscard]] NoteSignature sign_note(std::string_view text, std::string_view name,
                                      const crypto::SigningKey& key);
// The same as a witness does it, who says when he saw it: seconds since 1970.
[[nodiscard]] NoteSignature cosign_note(std::string_view text, std::string_view name,
                                        const crypto::SigningKey& key, std::uint64_t seconds);

// `integrity.signature` unless `key`, of type `signature`, signed the text.
[[nodiscard]] Status check_signature(const SignedNote& note, const VerifierKey& key);
// When the witness `key`, of type `cosignature`, saw it: seconds since 1970.
[[nodiscard]] Result<std::uint64_t> check_cosignature(const SignedNote& note,
                                                      const VerifierKey& key);

}  // namespace kimberlite::record
