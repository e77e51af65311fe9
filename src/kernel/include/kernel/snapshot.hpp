// Canonical snapshots and digests of the state.
//
// One blob a tenant, tenant 0 first; equal states have equal bytes, and `decode` accepts nothing
// else. Files, sealing and which blobs a snapshot holds are the engine's. Thread rule: as the
// state.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "kernel/state.hpp"

namespace kimberlite::kernel {

struct Blob {
  TenantId tenant;
  Bytes bytes;
};
using BlobSink = std::function<void(TenantId, Bytes)>;

// In order of tenant; the bytes are valid during the call only.
void encode_all(const State& state, const BlobSink& out);
// Only tenants changed since `mark_clean`; all of a new state.
void encode_dirty(const State& state, const BlobSink& out);
void mark_clean(State& state);

// From one blob of every tenant of this cluster, in order; nothing in it is dirty. Total:
// `integrity.snapshot` names the tenant for whatever is not canonical, `unavailable.version` for a
// newer format.
[[nodiscard]] Result<State> decode(const Id128& cluster, std::span<const Blob> blobs);

// BLAKE3 over (tenant, blob digest) in order; encodes only tenants changed since the last call.
[[nodiscard]] Hash digest(const State& state);

// The newest record of a log. `verify` fills these from segments alone.
struct LogHead {
  Id128 log_id{};  // of the newest record
  Position position;
  std::uint64_t bytes = 0;
  Hash leaf{};
};
// BLAKE3 over (log id, position, bytes, leaf), in the order given: by tenant, then lane. Logs
// without a record are left out, as nothing on disk tells of them.
[[nodiscard]] Hash heads_digest(std::span<const LogHead> heads);
[[nodiscard]] Hash heads_digest(const State& state);

}  // namespace kimberlite::kernel
