#include "seal.hpp"

#include "base/limits.hpp"

namespace kimberlite::engine {

void seal_item(SealedCommand& command, const keystore::ItemKey& key, const Id128& log_id,
               record::PlaintextWriter&& plaintext, StreamId stream, Sequence first_sequence,
               env::Random& random) {
  record::ItemHeader header;
  header.kind = plaintext.kind();
  header.flags = plaintext.flags();
  header.count = plaintext.count();
  header.stream = stream;
  header.first_sequence = first_sequence;
  const Buffer text = std::move(plaintext).finish();
  key.seal_behind(log_id, header, text, random, command.items);
  ++command.header.item_count;
}

Status finish(SealedCommand& command, std::uint64_t size_max) {
  const std::uint64_t size =
      consensus::command_header_size + command.items.size() + command.sidecar.size();
  if (size > size_max) {
    return Error{Code::limit_command, "the request changes {} bytes; one record may hold {}", size,
                 size_max}
        .next("split it into several requests");
  }
  command.header.body_size = static_cast<std::uint32_t>(command.items.size());
  command.header.sidecar_size = static_cast<std::uint32_t>(command.sidecar.size());
  return {};
}

}  // namespace kimberlite::engine
