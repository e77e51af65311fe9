// consensus/core/command_codec.hpp: what is stored is loaded, and what loads lies inside the body.
#include "consensus/core/command_codec.hpp"

#include "prover.hpp"

using namespace kimberlite::consensus::core;

// The seeded fault: a command may reach one byte past the body.
static CommandFault load(const uint8_t* from, uint64_t available, CommandWords& words) {
#ifdef KIMBERLITE_BREAK
  return load_command_words(from, available == 0 ? 0 : available + 1, words);
#else
  return load_command_words(from, available, words);
#endif
}

extern "C" {

void prove_round_trip() {
  CommandWords words;
  words.size = nondet_u32();
  words.kind = nondet_u16();
  words.lane = nondet_u16();
  words.flags = nondet_u32();
  words.item_count = nondet_u32();
  words.tenant = nondet_u64();
  words.base = nondet_u64();
  words.access_version = nondet_u32();
  words.body_size = nondet_u32();
  words.sidecar_size = nondet_u32();
  __ESBMC_assume(command_fault(words, 0, words.size) == CommandFault::none);
  uint8_t bytes[command_header_size];
  store_command_words(bytes, words);
  CommandWords back;
  __ESBMC_assert(load(bytes, words.size, back) == CommandFault::none, "it loads");
  __ESBMC_assert(back.size == words.size && back.kind == words.kind && back.lane == words.lane &&
                     back.flags == words.flags && back.item_count == words.item_count &&
                     back.tenant == words.tenant && back.base == words.base &&
                     back.access_version == words.access_version &&
                     back.body_size == words.body_size && back.sidecar_size == words.sidecar_size,
                 "every word is the one stored");
}

void prove_what_loads_fits() {
  uint8_t bytes[command_header_size];
  for (size_t i = 0; i < 12; ++i) {  // the words that matter, any values
    const uint32_t word = nondet_u32();
    kimberlite::base::store_le(bytes + 4 * i, word);
  }
  const uint64_t available = nondet_u64();
  __ESBMC_assume(available <= (uint64_t{8} << 20));
  CommandWords words;
  if (load(bytes, available, words) == CommandFault::none) {
    __ESBMC_assert(words.size <= available, "inside the body");
    __ESBMC_assert(words.size >= command_header_size, "it advances, so a walk ends");
    __ESBMC_assert(words.size <= command_bytes_max, "within the limit");
    __ESBMC_assert(
        uint64_t{command_header_size} + words.body_size + words.sidecar_size == words.size,
        "its parts are all of it");
    __ESBMC_assert(uint64_t{words.item_count} * item_header_size <= words.body_size,
                   "its items have room");
  }
}
}
