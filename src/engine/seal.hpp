// From what a request changed to the bytes of one command: items sealed, header filled in.
//
// Thread rule: pure functions but for the randomness of nonces. Source: storage.md, Record and
// Commands.
#pragma once

#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "consensus/command.hpp"
#include "env/env.hpp"
#include "keystore/item_key.hpp"
#include "record/items.hpp"

namespace kimberlite::engine {

// A command ready to be proposed; `header`'s sizes and counts are those of the two buffers.
struct SealedCommand {
  consensus::CommandHeader header;
  Buffer items;
  Buffer sidecar;
};

// Adds one item to a command under construction.
void seal_item(SealedCommand& command, const keystore::ItemKey& key, const Id128& log_id,
               record::PlaintextWriter&& plaintext, StreamId stream, Sequence first_sequence,
               env::Random& random);

// Fails with `limit.command`, naming the limit, if the command has more than `size_max` bytes.
[[nodiscard]] Status finish(SealedCommand& command, std::uint64_t size_max);

}  // namespace kimberlite::engine
