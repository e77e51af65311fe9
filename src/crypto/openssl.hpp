// What the sources of this layer share about OpenSSL: pointers that free, algorithms fetched once,
// and bytes as it wants them.
#pragma once

#include <openssl/evp.h>

#include <memory>

#include "base/bytes.hpp"

namespace kimberlite::crypto {

struct Free {
  void operator()(EVP_MD* p) const { EVP_MD_free(p); }
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
  void operator()(EVP_CIPHER* p) const { EVP_CIPHER_free(p); }
  void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }
  void operator()(EVP_MAC* p) const { EVP_MAC_free(p); }
  void operator()(EVP_MAC_CTX* p) const { EVP_MAC_CTX_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// The process ends, naming what was asked for: OpenSSL is broken or configured without it.
[[noreturn]] void openssl_failed(const char* what) noexcept;

template <class T>
T* required(T* made, const char* what) {
  if (made == nullptr) openssl_failed(what);
  return made;
}
inline void required(int one_is_good, const char* what) {
  if (one_is_good != 1) openssl_failed(what);
}

inline const unsigned char* octets(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
inline unsigned char* octets(MutBytes bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

// Fetched at first use; lives as long as the process.
[[nodiscard]] const EVP_MD* sha256_algorithm();

}  // namespace kimberlite::crypto
