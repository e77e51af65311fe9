// The file of a `FileMasterKey`:
//
//   kimberlite master key 1
//   <the key, 64 hexadecimal digits>
//   <first 8 bytes of SHA-256 of both lines with their line feeds, 16 digits>
//
// What it wraps: version u16 · zero 6 · fingerprint 8 · nonce 24 · ciphertext · tag 16, the first
// 16 bytes being associated data.
#include "keystore/master_key.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/codec.hpp"
#include "crypto/aead.hpp"
#include "crypto/hmac.hpp"
#include "crypto/sha256.hpp"
#include "wrap.hpp"

namespace kimberlite::keystore {
namespace {

constexpr std::string_view first_line = "kimberlite master key ";
constexpr std::string_view file_version = "1";
constexpr std::size_t file_size_max = 4096;
constexpr std::size_t checksum_size = 8;

constexpr std::uint16_t wrap_version = 1;
constexpr std::size_t fingerprint_size = 8;
constexpr std::size_t wrap_header_size = 8 + fingerprint_size;
constexpr std::size_t wrap_overhead = wrap_header_size + crypto::xaes_nonce_size + crypto::tag_size;

using Fingerprint = std::array<std::byte, fingerprint_size>;

Fingerprint fingerprint_of(const crypto::Key256& key) {
  const Hash hash = crypto::hmac_sha256(key, bytes_of("kimberlite master key fingerprint"));
  Fingerprint fingerprint;
  std::copy_n(hash.begin(), fingerprint.size(), fingerprint.begin());
  return fingerprint;
}

void wipe_text(std::string& text) {
  crypto::wipe(std::as_writable_bytes(std::span{text.data(), text.size()}));
}

std::string checksum_of(std::string_view lines) {
  const Hash hash = crypto::sha256(bytes_of(lines));
  return to_hex(Bytes{hash}.first(checksum_size));
}

std::string render(const crypto::Key256& key) {
  std::string text;
  text.reserve(file_size_max);  // never moved, so no copy of the key is left behind
  text.append(first_line).append(file_version).push_back('\n');
  std::string digits = to_hex(key.expose());
  text.append(digits).push_back('\n');
  wipe_text(digits);
  text.append(checksum_of(text)).push_back('\n');
  return text;
}

Error no_key(std::string_view path, std::string_view what) {
  return Error{Code::unavailable_key, "{}", what}
      .where("{}", path)
      .why("without the master key nothing in the directory can be read")
      .next("point to the right file with --key-file or KIMBERLITE_KEY_FILE");
}

// The lines of `text` without what editors put at their ends.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Result<crypto::Key256> parse(std::string_view text, std::string_view path) {
  const std::vector<std::string_view> lines = lines_of(text);
  if (lines.empty() || !lines[0].starts_with(first_line)) {
    return no_key(path, "this is not a master key file");
  }
  if (lines[0].substr(first_line.size()) != file_version) {
    return Error{Code::unavailable_version, "the master key file has a newer format"}
        .where("{}", path)
        .next("use the version of kimberlite that wrote it");
  }
  std::optional<Buffer> secret = lines.size() == 3 ? from_hex(lines[1]) : std::nullopt;
  if (!secret || secret->size() != crypto::Key256::size) {
    return no_key(path, "the master key file is not whole");
  }
  crypto::Key256 key{std::span<const std::byte, crypto::Key256::size>{*secret}};
  crypto::wipe(*secret);
  std::string canonical = render(key);
  const bool whole = lines_of(canonical)[2] == lines[2];
  wipe_text(canonical);
  if (!whole) return no_key(path, "the master key file is damaged: its checksum does not fit");
  return key;
}

Result<std::string> read_text(env::File& file) {
  KIMBERLITE_TRY(const std::uint64_t size, file.size());
  std::string text(std::min<std::uint64_t>(size, file_size_max), '\0');
  KIMBERLITE_TRY(const std::size_t got,
                 file.read_at(0, std::as_writable_bytes(std::span{text.data(), text.size()})));
  text.resize(got);
  return text;
}

}  // namespace

FileMasterKey::FileMasterKey(crypto::Key256 key, env::Random& random)
    : key_(std::move(key)), random_(random) {}

Result<std::unique_ptr<FileMasterKey>> FileMasterKey::create(env::Storage& storage,
                                                             std::string_view path,
                                                             env::Random& random) {
  const auto existing = storage.open(path, env::Open::read);
  if (existing) {
    return Error{Code::constraint_exists, "there is a file already where the key is to be"}
        .where("{}", path)
        .why("a key is never overwritten: what it protects would be lost")
        .next("give another path, or move the file away");
  }
  if (existing.error().code() != Code::not_found_file) return existing.error();

  const crypto::Key256 key = new_key(random);
  std::string text = render(key);
  const Status written = [&]() -> Status {
    KIMBERLITE_TRY(const std::unique_ptr<env::File> file, storage.open(path, env::Open::create));
    KIMBERLITE_CHECK(file->write_at(0, bytes_of(text)));
    return file->sync();
  }();
  wipe_text(text);
  KIMBERLITE_CHECK(written);
  return load(storage, path, random);
}

Result<std::unique_ptr<FileMasterKey>> FileMasterKey::load(env::Storage& storage,
                                                           std::string_view path,
                                                           env::Random& random) {
  auto file = storage.open(path, env::Open::read);
  if (!file && file.error().code() == Code::not_found_file) {
    return no_key(path, "the master key file is not there");
  }
  if (!file) return file.error();
  KIMBERLITE_TRY(std::string text, read_text(**file));
  Result<crypto::Key256> key = parse(text, path);
  wipe_text(text);
  if (!key) return key.error();
  return std::unique_ptr<FileMasterKey>{new FileMasterKey(*std::move(key), random)};
}

Result<Buffer> FileMasterKey::wrap(Bytes key) {
  crypto::XaesNonce nonce;
  random_.fill(nonce);
  Buffer wrapped(key.size() + wrap_overhead);
  store_le(wrapped.data(), wrap_version);
  std::ranges::copy(fingerprint_of(key_), wrapped.begin() + 8);
  std::ranges::copy(nonce, wrapped.begin() + wrap_header_size);
  const MutBytes text = MutBytes{wrapped}.subspan(wrap_header_size + nonce.size(), key.size());
  std::ranges::copy(key, text.begin());
  const crypto::Tag tag =
      crypto::xaes_seal(key_, nonce, Bytes{wrapped}.first(wrap_header_size), text);
  std::ranges::copy(tag, wrapped.end() - crypto::tag_size);
  return wrapped;
}

Result<Buffer> FileMasterKey::unwrap(Bytes wrapped) {
  Reader from{wrapped};
  const std::uint16_t version = from.u16();
  from.zeros(6);
  const auto fingerprint = from.array<fingerprint_size>();
  const auto nonce = from.array<crypto::xaes_nonce_size>();
  if (from.failed() || version != wrap_version || from.left() < crypto::tag_size) {
    return Error{Code::integrity_keystore, "a key is not wrapped as a master key file wraps"}.where(
        "byte {} of {}", from.at(), wrapped.size());
  }
  if (fingerprint != fingerprint_of(key_)) {
    return Error{Code::unavailable_wrong_key, "this is not the master key of this directory"}
        .why("it is {}, the directory was made with {}", this->fingerprint(), to_hex(fingerprint))
        .next("point to the right file with --key-file or KIMBERLITE_KEY_FILE");
  }
  const Bytes text = from.bytes(from.left() - crypto::tag_size);
  const auto tag = from.array<crypto::tag_size>();
  Buffer key{text.begin(), text.end()};
  if (!crypto::xaes_open(key_, nonce, wrapped.first(wrap_header_size), key, tag)) {
    return Error{Code::integrity_keystore, "a key wrapped by the master key does not open"}.why(
        "its bytes are not those that were written");
  }
  return key;
}

std::string FileMasterKey::fingerprint() const { return to_hex(fingerprint_of(key_)); }

}  // namespace kimberlite::keystore
