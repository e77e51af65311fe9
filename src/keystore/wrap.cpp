#include "wrap.hpp"

#include <algorithm>

#include "base/codec.hpp"

namespace kimberlite::keystore {
namespace {

Buffer associated_data(const KeyName& name) {
  Writer to;
  to.bytes(bytes_of("kimberlite wrapped key 1"));
  to.bytes(name.cluster);
  to.id(name.tenant);
  to.id(name.key);
  return std::move(to).take();
}

}  // namespace

crypto::Key256 new_key(env::Random& random) {
  std::array<std::byte, crypto::Key256::size> secret{};
  random.fill(secret);
  crypto::Key256 key{secret};
  crypto::wipe(secret);
  return key;
}

WrappedKey wrap_key(const crypto::Key256& under, const KeyName& name, const crypto::Key256& key,
                    env::Random& random) {
  crypto::XaesNonce nonce;
  random.fill(nonce);
  WrappedKey wrapped;
  std::ranges::copy(nonce, wrapped.begin());
  const MutBytes text = MutBytes{wrapped}.subspan(crypto::xaes_nonce_size, crypto::Key256::size);
  std::ranges::copy(key.expose(), text.begin());
  const crypto::Tag tag = crypto::xaes_seal(under, nonce, associated_data(name), text);
  std::ranges::copy(tag, wrapped.end() - crypto::tag_size);
  return wrapped;
}

std::optional<crypto::Key256> unwrap_key(const crypto::Key256& under, const KeyName& name,
                                         const WrappedKey& wrapped) {
  Reader from{wrapped};
  const auto nonce = from.array<crypto::xaes_nonce_size>();
  auto secret = from.array<crypto::Key256::size>();
  const auto tag = from.array<crypto::tag_size>();
  if (!crypto::xaes_open(under, nonce, associated_data(name), secret, tag)) return std::nullopt;
  std::optional<crypto::Key256> key{std::in_place, secret};
  crypto::wipe(secret);
  return key;
}

}  // namespace kimberlite::keystore
