#include "crypto/sha256.hpp"

#include <utility>

#include "openssl.hpp"

namespace kimberlite::crypto {
namespace {

// OpenSSL takes about as long to be called as to hash a block, so short parts are put together
// first: an entry, an item's header, two nodes.
constexpr std::size_t gathered_max = 256;

EVP_MD_CTX* new_context() {
  EVP_MD_CTX* context = required(EVP_MD_CTX_new(), "a SHA-256 context");
  required(EVP_DigestInit_ex2(context, sha256_algorithm(), nullptr), "SHA-256");
  return context;
}

EVP_MD_CTX* thread_context() {
  thread_local const Owned<EVP_MD_CTX> context{new_context()};
  return context.get();
}

void update(EVP_MD_CTX* context, Bytes bytes) {
  required(EVP_DigestUpdate(context, bytes.data(), bytes.size()), "SHA-256");
}

}  // namespace

Hash sha256_of(std::span<const Bytes> parts) {
  EVP_MD_CTX* const context = thread_context();
  // No algorithm named: the context keeps the one it has, and is only reset.
  required(EVP_DigestInit_ex2(context, nullptr, nullptr), "SHA-256");

  std::array<std::byte, gathered_max> gathered;
  std::size_t held = 0;
  for (const Bytes part : parts) {
    if (part.size() <= gathered.size() - held) {
      copy_bytes(MutBytes{gathered}.subspan(held), part);
      held += part.size();
      continue;
    }
    if (held > 0) update(context, Bytes{gathered}.first(held));
    held = 0;
    update(context, part);
  }
  if (held > 0) update(context, Bytes{gathered}.first(held));

  Hash hash;
  required(EVP_DigestFinal_ex(context, octets(MutBytes{hash}), nullptr), "SHA-256");
  return hash;
}

struct Sha256::State {
  Owned<EVP_MD_CTX> context{new_context()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(Bytes bytes) { crypto::update(state_->context.get(), bytes); }

Hash Sha256::finish() {
  Hash hash;
  required(EVP_DigestFinal_ex(state_->context.get(), octets(MutBytes{hash}), nullptr), "SHA-256");
  required(EVP_DigestInit_ex2(state_->context.get(), nullptr, nullptr), "SHA-256");
  return hash;
}

}  // namespace kimberlite::crypto
