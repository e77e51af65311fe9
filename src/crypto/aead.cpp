#include "crypto/aead.hpp"

#include <limits>

#include "base/assert.hpp"
#include "crypto/sha256.hpp"
#include "openssl.hpp"

namespace kimberlite::crypto {
namespace {

constexpr std::size_t block_size = 16;
using Block = std::array<std::byte, block_size>;

EVP_CIPHER_CTX* new_context(const char* name, bool encrypt) {
  const Owned<EVP_CIPHER> algorithm{required(EVP_CIPHER_fetch(nullptr, name, nullptr), name)};
  EVP_CIPHER_CTX* context = required(EVP_CIPHER_CTX_new(), name);
  required(EVP_CipherInit_ex2(context, algorithm.get(), nullptr, nullptr, encrypt ? 1 : 0, nullptr),
           name);
  return context;
}

// Sets key and nonce and takes in the associated data.
void begin(EVP_CIPHER_CTX* context, const Key256& key, const GcmNonce& nonce, Bytes associated,
           std::size_t text_size) {
  constexpr std::size_t step_max = std::numeric_limits<int>::max();
  KIMBERLITE_ASSERT(text_size <= step_max && associated.size() <= step_max);
  required(EVP_CipherInit_ex2(context, nullptr, octets(Bytes{key.expose()}), octets(Bytes{nonce}),
                              -1, nullptr),
           "AES-256-GCM");
  int size = 0;
  if (!associated.empty()) {
    required(EVP_CipherUpdate(context, nullptr, &size, octets(associated),
                              static_cast<int>(associated.size())),
             "AES-256-GCM");
  }
}

void transform(EVP_CIPHER_CTX* context, MutBytes text) {
  if (text.empty()) return;
  int size = 0;
  required(
      EVP_CipherUpdate(context, octets(text), &size, octets(text), static_cast<int>(text.size())),
      "AES-256-GCM");
}

// `blocks` under AES-256, each on its own; in place.
template <std::size_t count>
void encrypt_blocks(EVP_CIPHER_CTX* context, std::array<std::byte, count>& blocks) {
  static_assert(count % block_size == 0);
  int size = 0;
  required(EVP_EncryptUpdate(context, octets(MutBytes{blocks}), &size, octets(MutBytes{blocks}),
                             static_cast<int>(count)),
           "AES-256-ECB");
  KIMBERLITE_ASSERT(size == static_cast<int>(count));
}

// The first subkey of CMAC (NIST SP 800-38B §6.1): E(0) doubled in GF(2^128).
Block doubled(const Block& block) {
  Block out;
  unsigned carry = 0;
  for (std::size_t i = block_size; i-- > 0;) {
    const unsigned value = std::to_integer<unsigned>(block[i]) << 1U | carry;
    out[i] = static_cast<std::byte>(value & 0xFFU);
    carry = value >> 8U;
  }
  // No branch on the carry: it is a bit of a secret.
  out[block_size - 1] ^= static_cast<std::byte>(0x87U * carry);
  return out;
}

}  // namespace

Tag gcm_seal(const Key256& key, const GcmNonce& nonce, Bytes associated, MutBytes text) {
  thread_local const Owned<EVP_CIPHER_CTX> context{new_context("AES-256-GCM", true)};
  begin(context.get(), key, nonce, associated, text.size());
  transform(context.get(), text);
  Tag tag;
  int size = 0;
  required(EVP_CipherFinal_ex(context.get(), octets(MutBytes{tag}), &size), "AES-256-GCM");
  required(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_size, tag.data()),
           "AES-256-GCM");
  return tag;
}

bool gcm_open(const Key256& key, const GcmNonce& nonce, Bytes associated, MutBytes text,
              const Tag& tag) {
  thread_local const Owned<EVP_CIPHER_CTX> context{new_context("AES-256-GCM", false)};
  begin(context.get(), key, nonce, associated, text.size());
  transform(context.get(), text);
  Tag expected = tag;  // OpenSSL wants it writable
  required(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_size, expected.data()),
           "AES-256-GCM");
  int size = 0;
  if (EVP_CipherFinal_ex(context.get(), octets(MutBytes{expected}), &size) == 1) return true;
  wipe(text);
  return false;
}

// C2SP XAES-256-GCM: CMAC over one full block with the counter in front, twice (NIST SP 800-108r1).
Key256 xaes_message_key(const Key256& key, const XaesNonce& nonce) {
  thread_local const Owned<EVP_CIPHER_CTX> context{new_context("AES-256-ECB", true)};
  required(
      EVP_CipherInit_ex2(context.get(), nullptr, octets(Bytes{key.expose()}), nullptr, -1, nullptr),
      "AES-256-ECB");
  EVP_CIPHER_CTX_set_padding(context.get(), 0);

  Block zero{};
  encrypt_blocks(context.get(), zero);
  Block subkey = doubled(zero);

  std::array<std::byte, 2 * block_size> derived{};
  for (std::size_t half = 0; half < 2; ++half) {
    const MutBytes block = MutBytes{derived}.subspan(half * block_size, block_size);
    block[1] = static_cast<std::byte>(half + 1);
    block[2] = std::byte{'X'};
    copy_bytes(block.subspan(4), Bytes{nonce}.first(gcm_nonce_size));
    for (std::size_t i = 0; i < block_size; ++i) block[i] ^= subkey[i];
  }
  encrypt_blocks(context.get(), derived);

  Key256 message_key{std::span<const std::byte, Key256::size>{derived}};
  wipe(derived);
  wipe(subkey);
  wipe(zero);
  return message_key;
}

GcmNonce xaes_message_nonce(const XaesNonce& nonce) {
  GcmNonce second_half;
  copy_bytes(second_half, Bytes{nonce}.subspan(gcm_nonce_size));
  return second_half;
}

Tag xaes_seal(const Key256& key, const XaesNonce& nonce, Bytes associated, MutBytes text) {
  return gcm_seal(xaes_message_key(key, nonce), xaes_message_nonce(nonce), associated, text);
}

bool xaes_open(const Key256& key, const XaesNonce& nonce, Bytes associated, MutBytes text,
               const Tag& tag) {
  return gcm_open(xaes_message_key(key, nonce), xaes_message_nonce(nonce), associated, text, tag);
}

Hash key_commitment(const Key256& message_key) {
  constexpr std::array domain{std::byte{0x12}};
  std::array<std::byte, 1 + Key256::size> input;
  input[0] = domain[0];
  copy_bytes(MutBytes{input}.subspan(1), message_key.expose());
  const Hash commitment = sha256(Bytes{input});
  wipe(input);
  return commitment;
}

}  // namespace kimberlite::crypto
