#include "openssl.hpp"

#include <openssl/err.h>

#include <cstdio>
#include <cstdlib>

namespace kimberlite::crypto {

void openssl_failed(const char* what) noexcept {
  std::fprintf(stderr, "kimberlite: the installed OpenSSL does not offer or failed at: %s\n", what);
  ERR_print_errors_fp(stderr);
  std::abort();
}

const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const fetched =
      required(EVP_MD_fetch(nullptr, "SHA2-256", nullptr), "SHA-256");
  return fetched;
}

}  // namespace kimberlite::crypto
