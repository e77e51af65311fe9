#include "crypto/hmac.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "openssl.hpp"

namespace kimberlite::crypto {
namespace {

EVP_MAC_CTX* new_context() {
  const Owned<EVP_MAC> algorithm{required(EVP_MAC_fetch(nullptr, "HMAC", nullptr), "HMAC")};
  EVP_MAC_CTX* context = required(EVP_MAC_CTX_new(algorithm.get()), "an HMAC context");
  char digest[] = "SHA2-256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_END};
  required(EVP_MAC_CTX_set_params(context, parameters), "HMAC-SHA-256");
  return context;
}

}  // namespace

Hash hmac_sha256_of(Bytes key, std::span<const Bytes> parts) {
  thread_local const Owned<EVP_MAC_CTX> context{new_context()};
  // OpenSSL takes a null key for "the one before".
  static constexpr unsigned char nothing = 0;
  const unsigned char* const secret = key.empty() ? &nothing : octets(key);
  required(EVP_MAC_init(context.get(), secret, key.size(), nullptr), "HMAC-SHA-256");
  for (const Bytes part : parts) {
    required(EVP_MAC_update(context.get(), octets(part), part.size()), "HMAC-SHA-256");
  }
  Hash hash;
  std::size_t size = 0;
  required(EVP_MAC_final(context.get(), octets(MutBytes{hash}), &size, hash.size()),
           "HMAC-SHA-256");
  return hash;
}

}  // namespace kimberlite::crypto
