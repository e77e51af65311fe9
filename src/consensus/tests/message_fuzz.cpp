// Any bytes as a message of a peer: refused, or exactly what its encoder writes. The first byte
// chooses whether the checksum is made right first, so that the fuzzer gets past it.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "consensus/message.hpp"
#include "crypto/blake3.hpp"

using namespace kimberlite;
using namespace kimberlite::consensus;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 + message_head_size) return 0;
  const Id128 cluster{};
  std::vector<std::byte> bytes(size - 1);
  std::transform(data + 1, data + size, bytes.begin(), [](std::uint8_t b) { return std::byte{b}; });
  if ((data[0] & 1U) != 0) {
    const bool prepare = bytes[36] == std::byte{1} && bytes.size() >= frame_header_size;
    const Bytes covered =
        Bytes(bytes).subspan(32, (prepare ? frame_header_size : bytes.size()) - 32);
    std::ranges::copy(crypto::blake3(covered), bytes.begin());
  }
  const auto message = decode_message(bytes, cluster);
  if (!message) return 0;
  BlockPool pool{0};
  const consensus::Buffer again = std::holds_alternative<Prepare>(message->payload)
                                      ? encode_prepare_message(*message, bytes, pool)
                                      : encode_message(*message, cluster, pool);
  if (!equal(again->bytes(), bytes)) std::abort();
  return 0;
}
