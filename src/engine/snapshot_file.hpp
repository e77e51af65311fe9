// The file `snapshot-<op>`: the kernel's state after op, sealed under the keystore's epoch key.
//
//   file = magic 8 "KBSNAP\x01\x00" · op u64 · cluster 16 · sealed size u64 · sealed · BLAKE3 of
//   all before sealed text = count u64 · per tenant: id u64, size u64, blob (kernel/snapshot.hpp)
//
// Errors: `integrity.snapshot` with the file's name; the caller rebuilds the state from the logs
// then.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "env/env.hpp"
#include "kernel/state.hpp"
#include "keystore/keystore.hpp"

namespace kimberlite::engine {

struct SnapshotHeader {
  OpNumber op;
  Id128 cluster{};
  std::uint64_t sealed_at = 0;
  std::uint64_t sealed_size = 0;
};

[[nodiscard]] Buffer encode_snapshot(const kernel::State& state, OpNumber op,
                                     const keystore::Keystore& keys, env::Random& random);
// Needs no key.
[[nodiscard]] Result<SnapshotHeader> read_snapshot_header(Bytes file);
[[nodiscard]] Result<kernel::State> decode_snapshot(Bytes file, const keystore::Keystore& keys);

}  // namespace kimberlite::engine
