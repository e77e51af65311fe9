// The master key: the one secret a directory cannot be opened without, kept outside of it.
//
// A provider wraps and unwraps other keys and never hands out its own. Thread rule: a provider is
// used by one thread at a time and outlives the keystores made with it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/key.hpp"
#include "env/env.hpp"

namespace kimberlite::keystore {

class MasterKey {
 public:
  virtual ~MasterKey() = default;
  // Opaque bytes, at most `wrapped_max`, that only `unwrap` of the same master key opens.
  virtual Result<Buffer> wrap(Bytes key) = 0;
  // `unavailable.wrong_key`: wrapped by another master key. `integrity.keystore`: by this one, but
  // damaged. The caller wipes what he gets.
  virtual Result<Buffer> unwrap(Bytes wrapped) = 0;

  static constexpr std::size_t wrapped_max = 4096;
};

// A key in a file of three lines of text: what it is, 64 hexadecimal digits, a checksum against
// typing errors. Whoever can read the file has the key.
class FileMasterKey final : public MasterKey {
 public:
  // Draws a key and writes it durably, mode 0600, then reads it back. `constraint.exists` if there
  // is a file already: a key is never overwritten.
  [[nodiscard]] static Result<std::unique_ptr<FileMasterKey>> create(env::Storage& storage,
                                                                     std::string_view path,
                                                                     env::Random& random);
  // `unavailable.key`: no such file, or not a whole key file. `unavailable.version`: a newer one.
  // `random` is drawn from by `wrap` and outlives the key.
  [[nodiscard]] static Result<std::unique_ptr<FileMasterKey>> load(env::Storage& storage,
                                                                   std::string_view path,
                                                                   env::Random& random);

  Result<Buffer> wrap(Bytes key) override;
  Result<Buffer> unwrap(Bytes wrapped) override;

  // 16 hexadecimal digits that tell keys apart and tell nothing else about them.
  [[nodiscard]] std::string fingerprint() const;

 private:
  FileMasterKey(crypto::Key256 key, env::Random& random);

  crypto::Key256 key_;
  env::Random& random_;
};

}  // namespace kimberlite::keystore
