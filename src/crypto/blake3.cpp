#include "crypto/blake3.hpp"

#include <blake3.h>

#include <utility>

namespace kimberlite::crypto {
namespace {

Hash finalize(const blake3_hasher& hasher) {
  Hash hash;
  static_assert(sizeof hash == BLAKE3_OUT_LEN);
  blake3_hasher_finalize(&hasher, reinterpret_cast<std::uint8_t*>(hash.data()), hash.size());
  return hash;
}

// The library finds out what the processor can do in its first call and keeps it in a plain
// variable: without this, the first calls of two threads would race. Runs before main.
[[maybe_unused]] const bool detected = [] {
  const std::array<std::byte, 2048> input{};
  return blake3(Bytes{input}) != Hash{};
}();

}  // namespace

Hash blake3_of(std::span<const Bytes> parts) {
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  for (const Bytes part : parts) blake3_hasher_update(&hasher, part.data(), part.size());
  return finalize(hasher);
}

struct Blake3::State {
  State() { blake3_hasher_init(&hasher); }
  blake3_hasher hasher;
};

Blake3::Blake3() : state_(std::make_unique<State>()) {}
Blake3::~Blake3() = default;
Blake3::Blake3(Blake3&&) noexcept = default;
Blake3& Blake3::operator=(Blake3&&) noexcept = default;

void Blake3::update(Bytes bytes) {
  blake3_hasher_update(&state_->hasher, bytes.data(), bytes.size());
}

Hash Blake3::finish() {
  const Hash hash = finalize(state_->hasher);
  blake3_hasher_init(&state_->hasher);
  return hash;
}

Blake3 Blake3::duplicate() const {
  Blake3 other;
  other.state_->hasher = state_->hasher;
  return other;
}

}  // namespace kimberlite::crypto
