// record/frame_core.hpp: a frame's extent never reaches outside what there is, recovery never
// writes over a complete frame of other content, a segment never outgrows its limit.
#include "record/frame_core.hpp"

#include "prover.hpp"

using namespace kimberlite::record;

// The seeded fault: sums that wrap.
static bool next_segment(uint64_t segment, uint64_t frame, bool empty, uint64_t most) {
#ifdef KIMBERLITE_BREAK
  return !empty && segment + frame > most;
#else
  return starts_next_segment(segment, frame, empty, most);
#endif
}

extern "C" {
void prove_extent() {
  const uint64_t available = nondet_u64();
  const uint32_t size = nondet_u32();
  const Extent extent = frame_extent(available, size);
  if (extent == Extent::inside) {
    __ESBMC_assert(size <= available, "inside");
    __ESBMC_assert(size >= frame_at_body && size <= frame_size_max, "a frame's size");
  }
  __ESBMC_assert((extent == Extent::none) == (available == 0), "none");
}

void prove_header_comes_back() {
  const FrameHeader header{nondet_u32(), nondet_u32(), nondet_u64(), nondet_u32()};
  uint8_t bytes[frame_header_size];
  encode_frame_header(header, bytes);
  const FrameHeader back = decode_frame_header(bytes);
  __ESBMC_assert(back.size == header.size && back.crc == header.crc && back.op == header.op &&
                     back.index == header.index,
                 "the same header");
  __ESBMC_assert(zero_run(bytes + frame_at_zero, 4), "padding is written");
}

void prove_rewrite() {
  const bool equal = nondet_bool();
  const bool complete = nondet_bool();
  const bool alarm = decide_rewrite(equal, complete) == Rewrite::alarm;
  __ESBMC_assert(alarm == (complete && !equal), "an alarm exactly for other complete content");
}

void prove_segment_limit() {
  const uint64_t segment = nondet_u64();
  const uint64_t frame = nondet_u64();
  const uint64_t most = nondet_u64();
  const bool empty = nondet_bool();
  const bool next = next_segment(segment, frame, empty, most);
  if (!next && !empty) {
    __ESBMC_assert(segment <= UINT64_MAX - frame && segment + frame <= most, "it fits");
  }
  if (next) __ESBMC_assert(!empty, "an empty segment takes any frame");
}
}
