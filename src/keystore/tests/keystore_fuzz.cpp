// Files and sidecars of any bytes: nothing is read outside of them, and a header that is accepted
// describes the file it was read from. The first byte chooses; a file's checksum is made right.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "crypto/blake3.hpp"
#include "keystore/keystore.hpp"
#include "sidecar.hpp"

namespace kimberlite::keystore {
namespace {

void file(Bytes input) {
  Buffer bytes{input.begin(), input.end()};
  if (bytes.size() >= sizeof(Hash)) {
    const Hash checksum = crypto::blake3(Bytes{bytes}.first(bytes.size() - sizeof(Hash)));
    std::ranges::copy(checksum, bytes.end() - sizeof(Hash));
  }
  const Result<FileHeader> header = read_header(bytes);
  if (!header) return;
  KIMBERLITE_ASSERT(header->wrapped_at + header->wrapped_size == header->sealed_at);
  KIMBERLITE_ASSERT(header->sealed_at + header->sealed_size + sizeof(Hash) == bytes.size());
}

void sidecar(Bytes input) {
  const Result<std::vector<SidecarEntry>> entries = decode_sidecar(input);
  if (entries) KIMBERLITE_ASSERT(equal(encode_sidecar(*entries), input));
}

}  // namespace
}  // namespace kimberlite::keystore

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kimberlite::keystore;
  if (size == 0) return 0;
  const auto input = std::as_bytes(std::span{data, size}).subspan(1);
  if (data[0] % 2 == 0) {
    file(input);
  } else {
    sidecar(input);
  }
  return 0;
}
