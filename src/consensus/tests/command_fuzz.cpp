// Any bytes as a prepare's body: refused, or commands that, built again, are the same bytes.
#include <algorithm>
#include <cstdlib>

#include "consensus/command.hpp"

using namespace kimberlite;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > consensus::body_size_max) return 0;
  const std::uint32_t count = data[0];
  const Bytes body = std::as_bytes(std::span{data + 1, size - 1});
  static consensus::BlockPool pool;
  consensus::BodyBuilder builder(pool, body.size());
  consensus::CommandReader reader(body, count);
  for (std::uint32_t i = 0; i <= count; ++i) {
    const auto command = reader.next();
    if (!command) {
      if (command.error().code() != Code::integrity_command) std::abort();
      return 0;
    }
    if (!*command) break;
    const auto room = builder.add((*command)->header);
    if (!room) std::abort();
    const auto sidecar = std::ranges::copy((*command)->items, room->begin()).out;
    std::ranges::copy((*command)->sidecar, sidecar);
  }
  if (builder.commands() != count) std::abort();
  const auto rebuilt = builder.take();
  if (!equal(rebuilt->bytes().subspan(consensus::frame_header_size), body)) std::abort();
  return 0;
}
