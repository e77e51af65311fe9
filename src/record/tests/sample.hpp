// Records for tests: every field has a value of its own, so that a swapped one is seen.
#pragma once

#include <algorithm>

#include "record/body.hpp"
#include "record/entry.hpp"
#include "record/head.hpp"

namespace kimberlite::record::sample {

template <class Array>
Array counting(unsigned from) {
  Array run;
  for (std::byte& byte : run) byte = static_cast<std::byte>(from++);
  return run;
}

inline Entry entry() {
  Entry entry;
  entry.kind = 0x0102;
  entry.flags = 0x03040506;
  entry.catalog_version = 0x0708090A;
  entry.body_size = 0x0B0C0D0E;
  entry.item_count = 0x0F101112;
  entry.log_id = counting<Id128>(0x20);
  entry.position = Position{0x1314151617181920};
  entry.timestamp = TimestampUs{0x2122232425262728};
  entry.actor = counting<Id128>(0x30);
  entry.session = counting<Id128>(0x40);
  entry.request_id = counting<Id128>(0x50);
  entry.correlation = counting<Id128>(0x60);
  entry.body_commitment = counting<Hash>(0x70);
  entry.previous = counting<Hash>(0xA0);
  return entry;
}

inline ItemHeader item_header() {
  ItemHeader header;
  header.kind = ItemKind::events;
  header.flags = item_flag_meta;
  header.count = 0x01020304;
  header.size = 16 + 128;
  header.key = KeyId{0x05060708090A0B0C};
  header.stream = StreamId{0x0D0E0F1011121314};
  header.first_sequence = Sequence{0x15161718191A1B1C};
  header.nonce = counting<std::array<std::byte, 24>>(0x20);
  header.key_commitment = counting<Hash>(0x40);
  return header;
}

// An item whose sealed bytes are made up: what seals them is another layer.
inline Buffer item(unsigned seed, std::uint32_t size = 16 + 64) {
  ItemHeader header;
  header.kind = ItemKind::rows;
  header.count = 1;
  header.size = size;
  header.key = KeyId{3};
  header.nonce = counting<std::array<std::byte, 24>>(seed);
  header.key_commitment = counting<Hash>(seed + 1);
  Buffer whole;
  append(whole, encode(header));
  std::array<std::byte, 256> pattern;
  for (unsigned i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<std::byte>(seed + i * 7);
  for (std::size_t left = size; left > 0;) {
    const std::size_t step = std::min(left, pattern.size());
    append(whole, Bytes{pattern}.first(step));
    left -= step;
  }
  return whole;
}

// The entry that comes after `head`, with this body.
inline Entry next_entry(const Head& head, Bytes body) {
  const auto items = split_body(body).value();
  Entry entry;
  entry.kind = 1;
  entry.body_size = static_cast<std::uint32_t>(body.size());
  entry.item_count = static_cast<std::uint32_t>(items.size());
  entry.log_id = counting<Id128>(0x77);
  entry.position = Position{head.position.value() + 1};
  entry.timestamp = TimestampUs{1'000'000 + head.position.value()};
  entry.body_commitment = body_commitment(items);
  entry.previous = head.leaf;
  return entry;
}

}  // namespace kimberlite::record::sample
