#include "record/head.hpp"

#include <bit>

#include "base/assert.hpp"
#include "record/frame_core.hpp"

namespace kimberlite::record {

void advance_in_place(Head& head, const Hash& leaf, std::uint32_t body_size) {
  head.position = Position{head.position.value() + 1};
  head.bytes += frame_size(body_size);
  head.leaf = leaf;
  head.frontier.append(leaf);
  KIMBERLITE_ASSERT(head.frontier.size() == head.position.value());
}

Hash advance_in_place(Head& head, const Entry& entry) {
  KIMBERLITE_ASSERT(entry.position.value() == head.position.value() + 1);
  KIMBERLITE_ASSERT(entry.previous == head.leaf);
  const Hash leaf = leaf_hash(encode(entry));
  advance_in_place(head, leaf, entry.body_size);
  return leaf;
}

Head advance(const Head& head, const Entry& entry) {
  Head next = head;
  advance_in_place(next, entry);
  return next;
}

void encode(Writer& to, const Head& head) {
  to.id(head.position);
  to.u64(head.bytes);
  to.bytes(head.leaf);
  for (const Hash& root : head.frontier.roots()) to.bytes(root);
}

Head decode_head(Reader& from) {
  Head head;
  head.position = from.id<Position>();
  head.bytes = from.u64();
  head.leaf = from.array<32>();
  std::vector<Hash> roots;
  roots.reserve(static_cast<std::size_t>(std::popcount(head.position.value())));
  for (int i = 0; i < std::popcount(head.position.value()); ++i) roots.push_back(from.array<32>());
  auto frontier = Frontier::restore(head.position.value(), roots);
  KIMBERLITE_ASSERT(frontier.has_value());
  head.frontier = *std::move(frontier);
  const bool empty = head.position.value() == 0;
  if (empty != (head.bytes == 0) || (empty && head.leaf != Hash{})) from.fail();
  return from.failed() ? Head{} : head;
}

}  // namespace kimberlite::record
