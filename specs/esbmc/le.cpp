// base/le.hpp: a word stored is the word loaded, its bytes are in little-endian order, and `fits`
// never lies.
#include "base/le.hpp"

#include "prover.hpp"

using namespace kimberlite::base;

// The seeded fault: a store that loses the highest byte's lowest bit.
template <class T>
static void store(uint8_t* to, T value) {
  store_le(to, value);
#ifdef KIMBERLITE_BREAK
  to[sizeof(T) - 1] = static_cast<uint8_t>(to[sizeof(T) - 1] & 0xFE);
#endif
}

template <class T>
static void round_trip(T value) {
  uint8_t bytes[sizeof(T) + 2];
  bytes[0] = 0xA5;
  bytes[sizeof(T) + 1] = 0x5A;
  store<T>(bytes + 1, value);
  __ESBMC_assert(bytes[0] == 0xA5 && bytes[sizeof(T) + 1] == 0x5A,
                 "writes nothing beside the word");
  __ESBMC_assert(load_le<T>(bytes + 1) == value, "what was stored is loaded");
  for (size_t i = 0; i < sizeof(T); ++i) {
    __ESBMC_assert(bytes[1 + i] == static_cast<uint8_t>(value >> (8 * i)),
                   "least significant first");
  }
}

extern "C" {

void prove_round_trip_8() { round_trip<uint8_t>(nondet_u8()); }
void prove_round_trip_16() { round_trip<uint16_t>(nondet_u16()); }
void prove_round_trip_32() { round_trip<uint32_t>(nondet_u32()); }
void prove_round_trip_64() { round_trip<uint64_t>(nondet_u64()); }

void prove_fits() {
  const size_t total = nondet_size();
  const size_t at = nondet_size();
  const size_t size = nondet_size();
  const unsigned __int128 end = static_cast<unsigned __int128>(at) + size;
  __ESBMC_assert(fits(total, at, size) == (end <= total),
                 "true exactly if the end, without wrapping, is inside");
}
}
