#include "crypto/ed25519.hpp"

#include "openssl.hpp"

namespace kimberlite::crypto {

struct SigningKey::State {
  Owned<EVP_PKEY> key;
};

SigningKey::SigningKey(const Key256& seed) : state_(std::make_unique<State>()) {
  state_->key.reset(
      required(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, octets(Bytes{seed.expose()}),
                                            Key256::size),
               "an Ed25519 key"));
  std::size_t size = public_key_.size();
  required(EVP_PKEY_get_raw_public_key(state_->key.get(), octets(MutBytes{public_key_}), &size),
           "an Ed25519 public key");
}

SigningKey::~SigningKey() = default;
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;

Signature SigningKey::sign(Bytes message) const {
  const Owned<EVP_MD_CTX> context{required(EVP_MD_CTX_new(), "an Ed25519 context")};
  required(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, state_->key.get()),
           "Ed25519");
  Signature signature;
  std::size_t size = signature.size();
  required(EVP_DigestSign(context.get(), octets(MutBytes{signature}), &size, octets(message),
                          message.size()),
           "Ed25519");
  return signature;
}

bool verify(const PublicKey& key, Bytes message, const Signature& signature) {
  const Owned<EVP_PKEY> point{
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, octets(Bytes{key}), key.size())};
  if (point == nullptr) return false;
  const Owned<EVP_MD_CTX> context{required(EVP_MD_CTX_new(), "an Ed25519 context")};
  required(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, point.get()), "Ed25519");
  return EVP_DigestVerify(context.get(), octets(Bytes{signature}), signature.size(),
                          octets(message), message.size()) == 1;
}

}  // namespace kimberlite::crypto
