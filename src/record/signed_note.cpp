#include "record/signed_note.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "crypto/sha256.hpp"

namespace kimberlite::record {
namespace {

constexpr std::string_view dash = "\u2014 ";
constexpr std::size_t key_id_size = 4;
constexpr std::size_t time_size = 8;
constexpr std::uint64_t time_max = (1ULL << 63U) - 1;

// White space by the Unicode Character Database, beyond the control characters.
constexpr std::array<std::string_view, 19> unicode_spaces{
    " ",      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
    "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009",
    "\u200a", "\u2028", "\u2029", "\u202f", "\u205f"};
constexpr std::string_view ideographic_space = "\u3000";

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20; }

std::uint64_t load_be(Bytes bytes) {
  std::uint64_t value = 0;
  for (const std::byte b : bytes) value = value << 8U | std::to_integer<std::uint64_t>(b);
  return value;
}

void append_be(Buffer& to, std::uint64_t value, std::size_t size) {
  for (std::size_t i = size; i > 0; --i) {
    to.push_back(static_cast<std::byte>(value >> (8 * (i - 1)) & 0xFFU));
  }
}

std::uint32_t key_id(std::string_view name, NoteKeyType type, const crypto::PublicKey& key) {
  const std::array separator{std::byte{0x0A}, static_cast<std::byte>(type)};
  const Hash hash = crypto::sha256(bytes_of(name), separator, key);
  return static_cast<std::uint32_t>(load_be(Bytes{hash}.first(key_id_size)));
}

std::string cosigned_message(std::string_view text, std::uint64_t seconds) {
  return fmt::format("cosignature/v1\ntime {}\n{}", seconds, text);
}

Error no_note(std::string_view why) {
  return Error{Code::integrity_note, "this is not a signed note"}.why("{}", why);
}

Error unsigned_by(const VerifierKey& key, std::string_view why) {
  return Error{Code::integrity_signature, "the note is not signed by the key that was given"}
      .where("signature of {}", key.name)
      .why("{}", why)
      .next("compare the key line with the one you were given when the database was made");
}

Result<NoteSignature> parse_line(std::string_view line) {
  if (!line.starts_with(dash)) return no_note("a signature line begins with a dash and a space");
  line.remove_prefix(dash.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return no_note("a signature line lacks its signature");
  NoteSignature signature;
  signature.name = line.substr(0, space);
  if (!is_note_name(signature.name)) return no_note("a signature's name is not one");
  auto bytes = from_base64(line.substr(space + 1));
  if (!bytes || bytes->size() <= key_id_size) return no_note("a signature is not in base64");
  signature.key_id = static_cast<std::uint32_t>(load_be(Bytes{*bytes}.first(key_id_size)));
  bytes->erase(bytes->begin(), bytes->begin() + key_id_size);
  signature.bytes = *std::move(bytes);
  return signature;
}

// The one signature by this name and key id.
Result<Bytes> signature_by(const SignedNote& note, const VerifierKey& key, NoteKeyType type,
                           std::size_t size) {
  if (key.type != type) return unsigned_by(key, "the key is of another type");
  const std::uint32_t id = key.id();
  const auto found = std::ranges::find_if(note.signatures, [&](const NoteSignature& s) {
    return s.name == key.name && s.key_id == id;
  });
  if (found == note.signatures.end()) return unsigned_by(key, "there is no signature by it");
  if (found->bytes.size() != size) return unsigned_by(key, "its signature has another size");
  return Bytes{found->bytes};
}

crypto::Signature signature_of(Bytes bytes) {
  crypto::Signature signature;
  std::ranges::copy(bytes, signature.begin());
  return signature;
}

}  // namespace

bool is_note_name(std::string_view name) {
  if (name.empty() || !is_utf8_text(name) || name.contains('+')) return false;
  if (std::ranges::any_of(name, is_control) || name.contains(ideographic_space)) return false;
  return std::ranges::none_of(unicode_spaces,
                              [&](std::string_view space) { return name.contains(space); });
}

std::uint32_t VerifierKey::id() const { return key_id(name, type, key); }

std::string VerifierKey::to_text() const {
  Buffer bytes{static_cast<std::byte>(type)};
  append(bytes, key);
  return fmt::format("{}+{:08x}+{}", name, id(), to_base64(bytes));
}

Result<VerifierKey> VerifierKey::parse(std::string_view line) {
  const auto refused = [](std::string_view why) {
    return Error{Code::usage_key, "this is not the line of a log key"}.why("{}", why).next(
        "a key line looks like kimberlite/<log id>+<8 digits>+<base64>");
  };
  const std::size_t first = line.find('+');
  const std::size_t second = first == std::string_view::npos ? first : line.find('+', first + 1);
  if (second == std::string_view::npos) return refused("it has not three parts with + between");
  VerifierKey key;
  key.name = line.substr(0, first);
  if (!is_note_name(key.name)) return refused("its name is not one");
  const auto bytes = from_base64(line.substr(second + 1));
  if (!bytes || bytes->size() != 1 + key.key.size()) return refused("its key is not 33 bytes");
  key.type = static_cast<NoteKeyType>(bytes->front());
  if (key.type != NoteKeyType::signature && key.type != NoteKeyType::cosignature) {
    return refused("its type is neither 1, a signature, nor 4, a witness's cosignature");
  }
  std::ranges::copy(Bytes{*bytes}.subspan(1), key.key.begin());
  if (key.to_text() != line) return refused("its key id is not that of its name and key");
  return key;
}

Result<SignedNote> SignedNote::parse(std::string_view note) {
  if (note.size() > note_size_max) return no_note("it is larger than a note may be");
  if (!is_utf8_text(note)) return no_note("it is not UTF-8 text");
  if (std::ranges::any_of(note, [](char c) { return is_control(c) && c != '\n'; })) {
    return no_note("it holds a control character");
  }
  const std::size_t gap = note.rfind("\n\n");
  if (gap == std::string_view::npos) return no_note("it has no empty line before its signatures");
  SignedNote parsed;
  parsed.text = note.substr(0, gap + 1);
  std::string_view rest = note.substr(gap + 2);
  if (rest.empty()) return no_note("it has no signature");
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return no_note("its last line does not end");
    if (parsed.signatures.size() == note_signatures_max) return no_note("too many signatures");
    KIMBERLITE_TRY(NoteSignature signature, parse_line(rest.substr(0, end)));
    const bool twice = std::ranges::any_of(parsed.signatures, [&](const NoteSignature& other) {
      return other.name == signature.name && other.key_id == signature.key_id;
    });
    if (twice) return no_note("one key signed it twice");
    parsed.signatures.push_back(std::move(signature));
    rest.remove_prefix(end + 1);
  }
  return parsed;
}

std::string SignedNote::to_text() const {
  std::string note = text;
  note += '\n';
  for (const NoteSignature& signature : signatures) {
    Buffer bytes;
    append_be(bytes, signature.key_id, key_id_size);
    append(bytes, signature.bytes);
    note += dash;
    note += signature.name;
    note += ' ';
    append_base64(note, bytes);
    note += '\n';
  }
  return note;
}

NoteSignature sign_note(std::string_view text, std::string_view name,
                        const crypto::SigningKey& key) {
  KIMBERLITE_ASSERT(text.ends_with('\n') && is_note_name(name));
  const crypto::Signature signature = key.sign(bytes_of(text));
  return {.name = std::string{name},
          .key_id = key_id(name, NoteKeyType::signature, key.public_key()),
          .bytes = Buffer{signature.begin(), signature.end()}};
}

NoteSignature cosign_note(std::string_view text, std::string_view name,
                          const crypto::SigningKey& key, std::uint64_t seconds) {
  KIMBERLITE_ASSERT(text.ends_with('\n') && is_note_name(name) && seconds <= time_max);
  const crypto::Signature signature = key.sign(bytes_of(cosigned_message(text, seconds)));
  NoteSignature made{.name = std::string{name},
                     .key_id = key_id(name, NoteKeyType::cosignature, key.public_key()),
                     .bytes = {}};
  append_be(made.bytes, seconds, time_size);
  append(made.bytes, signature);
  return made;
}

Status check_signature(const SignedNote& note, const VerifierKey& key) {
  KIMBERLITE_TRY(const Bytes bytes,
                 signature_by(note, key, NoteKeyType::signature, sizeof(crypto::Signature)));
  if (!crypto::verify(key.key, bytes_of(note.text), signature_of(bytes))) {
    return unsigned_by(key, "its signature does not fit the text");
  }
  return {};
}

Result<std::uint64_t> check_cosignature(const SignedNote& note, const VerifierKey& key) {
  KIMBERLITE_TRY(const Bytes bytes, signature_by(note, key, NoteKeyType::cosignature,
                                                 time_size + sizeof(crypto::Signature)));
  const std::uint64_t seconds = load_be(bytes.first(time_size));
  if (seconds > time_max) return unsigned_by(key, "its time is none");
  const std::string message = cosigned_message(note.text, seconds);
  if (!crypto::verify(key.key, bytes_of(message), signature_of(bytes.subspan(time_size)))) {
    return unsigned_by(key, "its signature does not fit the text and its time");
  }
  return seconds;
}

}  // namespace kimberlite::record
