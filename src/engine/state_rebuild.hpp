// The kernel's state made again from the logs alone, when its snapshot is lost: State =
// Apply(Initial, Log).
#pragma once

#include <optional>
#include <vector>

#include "base/result.hpp"
#include "env/env.hpp"
#include "kernel/command.hpp"
#include "kernel/state.hpp"
#include "keystore/keystore.hpp"

namespace kimberlite::engine {

struct RebuiltState {
  kernel::State state;
  // Where a log could not be read further. Behind `last` it may be torn; whether this was before it
  // is for the digests of the state to say.
  std::optional<Error> torn;
};
// The state after prepare `last`, all logs merged in (op, index) order. Reads every log once;
// memory is bounded by the number of logs.
[[nodiscard]] Result<RebuiltState> rebuild_state(env::Storage& storage,
                                                 const keystore::Keystore& keys,
                                                 const Id128& cluster, OpNumber last);

// The control payload of a record, opened; nothing if it has none.
[[nodiscard]] Result<std::optional<kernel::Control>> control_of(
    const keystore::Keystore& keys, TenantId tenant, const record::Entry& entry,
    const std::vector<record::ItemView>& items);

// The logs there are files of, by tenant, then lane.
[[nodiscard]] Result<std::vector<std::pair<TenantId, kernel::Lane>>> list_logs(
    env::Storage& storage);

}  // namespace kimberlite::engine
