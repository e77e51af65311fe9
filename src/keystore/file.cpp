#include "file.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/codec.hpp"
#include "crypto/aead.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::keystore {
namespace {

constexpr std::string_view magic = "KMBKEYST";
constexpr std::uint16_t file_version = 1;
constexpr std::size_t header_size = 88;
constexpr std::size_t nonce_at = 64;
constexpr std::size_t checksum_size = sizeof(Hash);
constexpr std::size_t file_size_min = header_size + crypto::tag_size + checksum_size;

Error damaged(std::uint64_t at, std::string_view what) {
  return Error{Code::integrity_keystore, "{}", what}
      .where("byte {}", at)
      .next(
          "without a whole keystore the directory can only be verified: restore it from a backup");
}

}  // namespace

Result<FileHeader> read_header(Bytes file) {
  if (file.size() < file_size_min) {
    return damaged(file.size(), "the keystore file is cut short");
  }
  const Bytes checked = file.first(file.size() - checksum_size);
  const Hash checksum = crypto::blake3(checked);
  if (!equal(checksum, file.last(checksum_size))) {
    return Error{Code::integrity_keystore, "the keystore file is not as it was written"}
        .where("bytes 0 to {}", file.size())
        .why("its checksum is {}, and {} is on disk", to_hex(checksum),
             to_hex(file.last(checksum_size)))
        .next("without a whole keystore the directory can only be verified");
  }
  Reader from{checked};
  if (text_of(from.bytes(magic.size())) != magic) {
    return damaged(0, "this is not a keystore file");
  }
  const std::uint16_t version = from.u16();
  if (version > file_version) {
    return Error{Code::unavailable_version, "the keystore file has the format {}", version}
        .why("this program knows formats up to {}", file_version)
        .next("use the version of kimberlite that wrote it");
  }
  if (version != file_version) return damaged(8, "the keystore file has no known format");
  from.zeros(2);
  FileHeader header;
  header.wrapped_size = from.u32();
  header.op = from.id<OpNumber>();
  header.cluster = from.array<16>();
  header.epoch_key = from.array<16>();
  header.sealed_size = from.u64();
  if (from.failed()) return damaged(from.at(), "the keystore file's padding is not zero");
  header.wrapped_at = header_size;
  header.sealed_at = header_size + header.wrapped_size;
  if (header.wrapped_size > MasterKey::wrapped_max || header.sealed_at > checked.size() ||
      header.sealed_size != checked.size() - header.sealed_at ||
      header.sealed_size < crypto::tag_size) {
    return damaged(12, "the sizes in the keystore file do not fit it");
  }
  return header;
}

Buffer seal_file(OpNumber op, const Id128& cluster, const EpochKey& epoch, Buffer secrets,
                 env::Random& random) {
  KIMBERLITE_ASSERT(epoch.wrapped.size() <= MasterKey::wrapped_max);
  crypto::XaesNonce nonce;
  random.fill(nonce);
  Writer to;
  to.bytes(bytes_of(magic));
  to.u16(file_version);
  to.zeros(2);
  to.u32(static_cast<std::uint32_t>(epoch.wrapped.size()));
  to.id(op);
  to.bytes(cluster);
  to.bytes(epoch.id);
  to.u64(secrets.size() + crypto::tag_size);
  to.bytes(nonce);
  KIMBERLITE_ASSERT(to.size() == header_size);
  to.bytes(epoch.wrapped);
  const crypto::Tag tag = crypto::xaes_seal(epoch.key, nonce, to.buffer(), secrets);
  to.bytes(secrets);
  to.bytes(tag);
  const Hash checksum = crypto::blake3(to.buffer());
  to.bytes(checksum);
  return std::move(to).take();
}

Result<OpenedFile> open_file(Bytes file, MasterKey& master) {
  KIMBERLITE_TRY(const FileHeader header, read_header(file));
  const Bytes wrapped = file.subspan(header.wrapped_at, header.wrapped_size);
  KIMBERLITE_TRY(Buffer secret, master.unwrap(wrapped));
  if (secret.size() != crypto::Key256::size) {
    crypto::wipe(secret);
    return damaged(header.wrapped_at, "the epoch key in the keystore file is not a key");
  }
  EpochKey epoch{header.epoch_key,
                 crypto::Key256{std::span<const std::byte, crypto::Key256::size>{secret}},
                 {wrapped.begin(), wrapped.end()}};
  crypto::wipe(secret);

  crypto::XaesNonce nonce;
  std::ranges::copy(file.subspan(nonce_at, nonce.size()), nonce.begin());
  const Bytes sealed = file.subspan(header.sealed_at, header.sealed_size);
  crypto::Tag tag;
  std::ranges::copy(sealed.last(crypto::tag_size), tag.begin());
  Buffer secrets{sealed.begin(), sealed.end() - crypto::tag_size};
  if (!crypto::xaes_open(epoch.key, nonce, file.first(header.sealed_at), secrets, tag)) {
    return damaged(header.sealed_at, "the sealed part of the keystore file does not open");
  }
  return OpenedFile{header, std::move(epoch), std::move(secrets)};
}

namespace {

Buffer local_context(const Id128& cluster) {
  Buffer context;
  append(context, bytes_of("kimberlite local file"));
  append(context, cluster);
  return context;
}

}  // namespace

Buffer seal_local(const Id128& cluster, const EpochKey& epoch, Bytes plaintext,
                  env::Random& random) {
  crypto::XaesNonce nonce;
  random.fill(nonce);
  Buffer sealed;
  sealed.reserve(nonce.size() + plaintext.size() +
                 crypto::tag_size);  // moved, it would leave a copy
  append(sealed, nonce);
  append(sealed, plaintext);
  const crypto::Tag tag = crypto::xaes_seal(epoch.key, nonce, local_context(cluster),
                                            MutBytes{sealed}.subspan(nonce.size()));
  append(sealed, tag);
  return sealed;
}

Result<Buffer> open_local(const Id128& cluster, const EpochKey& epoch, Bytes sealed) {
  crypto::XaesNonce nonce;
  crypto::Tag tag;
  if (sealed.size() >= nonce.size() + tag.size()) {
    std::ranges::copy(sealed.first(nonce.size()), nonce.begin());
    std::ranges::copy(sealed.last(tag.size()), tag.begin());
    const Bytes text = sealed.subspan(nonce.size(), sealed.size() - nonce.size() - tag.size());
    Buffer plaintext{text.begin(), text.end()};
    if (crypto::xaes_open(epoch.key, nonce, local_context(cluster), plaintext, tag)) {
      return plaintext;
    }
  }
  return Error{Code::integrity_seal, "what was sealed by the epoch key does not open"};
}

}  // namespace kimberlite::keystore
