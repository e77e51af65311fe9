// record/entry_core.hpp: what decodes encodes to the same bytes, what encodes decodes to the same
// numbers, and padding that is not zero is refused.
#include "record/entry_core.hpp"

#include "prover.hpp"

using namespace kimberlite::record;

// The seeded fault: padding that is let pass.
static Malformed decode_entry(const uint8_t* from, EntryNumbers& numbers) {
#ifdef KIMBERLITE_BREAK
  const Malformed found = decode_numbers(from, numbers);
  return found == Malformed::padding ? Malformed::none : found;
#else
  return decode_numbers(from, numbers);
#endif
}

static bool same(const uint8_t* a, const uint8_t* b, size_t at, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (a[at + i] != b[at + i]) return false;
  }
  return true;
}

extern "C" {
// Every byte an entry's numbers and padding stand in.
void prove_entry_is_canonical() {
  uint8_t bytes[entry_size];
  EntryNumbers numbers{};
  if (decode_entry(bytes, numbers) != Malformed::none) return;
  uint8_t again[entry_size];
  encode_numbers(numbers, again);
  __ESBMC_assert(same(bytes, again, entry_at_version, 8), "version, kind, flags");
  __ESBMC_assert(same(bytes, again, entry_at_catalog_version, 8), "catalog version, body size");
  __ESBMC_assert(same(bytes, again, entry_at_item_count, 8), "item count, padding");
  __ESBMC_assert(same(bytes, again, entry_at_position, 8), "position");
  __ESBMC_assert(same(bytes, again, entry_at_timestamp, 8), "time");
  __ESBMC_assert(same(bytes, again, entry_at_tail, 8), "padding at the end");
}

void prove_entry_comes_back() {
  EntryNumbers numbers{nondet_u16(), nondet_u32(), nondet_u32(), nondet_u32(),
                       nondet_u32(), nondet_u64(), nondet_u64()};
  __ESBMC_assume(numbers.position != 0 && numbers.item_count != 0);
  uint8_t bytes[entry_size];
  encode_numbers(numbers, bytes);
  EntryNumbers back{};
  __ESBMC_assert(decode_numbers(bytes, back) == Malformed::none, "it decodes");
  __ESBMC_assert(back.kind == numbers.kind && back.flags == numbers.flags &&
                     back.catalog_version == numbers.catalog_version &&
                     back.body_size == numbers.body_size && back.item_count == numbers.item_count &&
                     back.position == numbers.position && back.timestamp_us == numbers.timestamp_us,
                 "to the same numbers");
}

void prove_item_header_is_canonical() {
  uint8_t bytes[item_header_size];
  ItemNumbers numbers{};
  if (decode_numbers(bytes, numbers) != Malformed::none) return;
  uint8_t again[item_header_size];
  encode_numbers(numbers, again);
  __ESBMC_assert(same(bytes, again, 0, 8), "kind, flags, padding, count");
  __ESBMC_assert(same(bytes, again, 8, 8), "size, padding");
  __ESBMC_assert(same(bytes, again, 16, 8), "key");
  __ESBMC_assert(same(bytes, again, 24, 8), "stream");
  __ESBMC_assert(same(bytes, again, 32, 8), "first sequence");
  __ESBMC_assert(numbers.size >= item_tag_size + item_padding, "there is a text");
}

void prove_padding() {
  const uint64_t size = nondet_u64();
  __ESBMC_assume(size <= UINT32_MAX);
  const uint64_t padded = padded_size(size);
  __ESBMC_assert(padded % item_padding == 0 && padded >= size && padded > 0, "a multiple");
  __ESBMC_assert(size == 0 || padded - size < item_padding, "and the next one");
}
}
