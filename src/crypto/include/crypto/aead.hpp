// Authenticated encryption: AES-256-GCM (NIST SP 800-38D) and XAES-256-GCM (C2SP), over OpenSSL.
//
// All of them work in place on the caller's buffer and draw no randomness: the nonce is passed in,
// and the caller never uses one twice under a key. Thread rule: safe from any thread (each has its
// own contexts, made once). A text is at most 2^31 - 1 bytes.
#pragma once

#include <array>
#include <cstddef>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/key.hpp"

namespace kimberlite::crypto {

inline constexpr std::size_t tag_size = 16;
inline constexpr std::size_t gcm_nonce_size = 12;
inline constexpr std::size_t xaes_nonce_size = 24;

using Tag = std::array<std::byte, tag_size>;
using GcmNonce = std::array<std::byte, gcm_nonce_size>;
using XaesNonce = std::array<std::byte, xaes_nonce_size>;

// Encrypts `text` in place; `associated` is authenticated with it, but stands elsewhere.
[[nodiscard]] Tag gcm_seal(const Key256& key, const GcmNonce& nonce, Bytes associated,
                           MutBytes text);

// Decrypts `text` in place. False: it is not what was sealed so, and `text` is now all zeros.
[[nodiscard]] bool gcm_open(const Key256& key, const GcmNonce& nonce, Bytes associated,
                            MutBytes text, const Tag& tag);

// XAES-256-GCM: a random 24-byte nonce is safe for as many messages as one can send. Its first half
// chooses a key of the message's own, under which AES-256-GCM runs with the second half.
[[nodiscard]] Key256 xaes_message_key(const Key256& key, const XaesNonce& nonce);
[[nodiscard]] GcmNonce xaes_message_nonce(const XaesNonce& nonce);

[[nodiscard]] Tag xaes_seal(const Key256& key, const XaesNonce& nonce, Bytes associated,
                            MutBytes text);
[[nodiscard]] bool xaes_open(const Key256& key, const XaesNonce& nonce, Bytes associated,
                             MutBytes text, const Tag& tag);

// SHA-256(0x12 || message key): binds a ciphertext to the one key that may open it, which GCM alone
// does not (storage.md, Record).
[[nodiscard]] Hash key_commitment(const Key256& message_key);

}  // namespace kimberlite::crypto
