// The head of a log: all that is needed to append to it, and to know it again.
//
// Source: storage.md, Record. Thread rule: a value.
#pragma once

#include <cstdint>

#include "base/codec.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/entry.hpp"
#include "record/frontier.hpp"

namespace kimberlite::record {

struct Head {
  Position position;        // of the newest record; 0: none yet
  std::uint64_t bytes = 0;  // of all frames
  Hash leaf{};              // of the newest record; zeros if there is none
  Frontier frontier;        // frontier.size() == position.value()

  bool operator==(const Head&) const = default;
};

// The head after `entry`, which must be the next: its position one more, its `previous` this leaf.
[[nodiscard]] Head advance(const Head& head, const Entry& entry);
// The same in place; returns the new leaf.
Hash advance_in_place(Head& head, const Entry& entry);
// The same where the leaf is known already.
void advance_in_place(Head& head, const Hash& leaf, std::uint32_t body_size);

// position u64 · bytes u64 · leaf · the frontier's roots, as many as position has set bits.
void encode(Writer& to, const Head& head);
// Fails the reader unless it is the canonical form of a head.
[[nodiscard]] Head decode_head(Reader& from);

}  // namespace kimberlite::record
