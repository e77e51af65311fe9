// What ESBMC offers a harness.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {
uint64_t nondet_u64();
uint32_t nondet_u32();
uint16_t nondet_u16();
uint8_t nondet_u8();
bool nondet_bool();
size_t nondet_size();
void __ESBMC_assume(bool);
void __ESBMC_assert(bool, const char*);
}
