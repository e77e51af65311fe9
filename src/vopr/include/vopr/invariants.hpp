// What must hold of a group of databases whatever happens to it: the names a finding is given.
//
// Thread rule: constants. Source: design, verification.md; docs/internals-simulator.md shows the
// table to readers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kimberlite::vopr {

enum class Invariant : std::uint8_t {
  acknowledged_kept,
  exactly_once,
  duplicate_alike,
  as_of_stable,
  read_fresh,
  refusal_right,
  tenants_apart,
  stamp_true,
  state_equal,
  heads_equal,
  rows_equal,
  replay_equal,
  checkpoints_equal,
  nonce_once,
  disk_verifies,
  commit_monotone,
  view_monotone,
  queue_bounded,
  opens_again,
  convergence,
  progress,
  assertion,
};

struct InvariantInfo {
  std::string_view name;
  std::string_view what;
};

inline constexpr std::array invariants{
    InvariantInfo{"acknowledged-kept", "what was acknowledged is there, and nothing else is"},
    InvariantInfo{"exactly-once", "a request stands in the log once, where its answer said"},
    InvariantInfo{"duplicate-alike", "a request asked again is answered as the first time"},
    InvariantInfo{"as-of-stable", "the past reads as it read when it was the present"},
    InvariantInfo{"read-fresh", "a read sees all that was acknowledged before it was asked"},
    InvariantInfo{"refusal-right",
                  "a valid request is refused as unavailable or not at all, and "
                  "an invalid one as what it is"},
    InvariantInfo{"tenants-apart", "no answer holds a byte of another tenant"},
    InvariantInfo{"stamp-true",
                  "a record's time is what a majority's clocks said when it was written"},
    InvariantInfo{"state-equal", "replicas that applied the same have the same state digest"},
    InvariantInfo{"heads-equal", "replicas that applied the same have the same log roots"},
    InvariantInfo{"rows-equal", "replicas that applied the same have the same rows"},
    InvariantInfo{"replay-equal", "the rows are what the log, replayed, says they are"},
    InvariantInfo{"checkpoints-equal",
                  "checkpoints of one operation name the same state and heads"},
    InvariantInfo{"nonce-once", "no two items of a tenant are sealed under one key and nonce"},
    InvariantInfo{"disk-verifies", "chain, tree, heads and files of every disk verify"},
    InvariantInfo{"commit-monotone", "the commit number of a running replica never goes back"},
    InvariantInfo{"view-monotone", "the view of a running replica never goes back"},
    InvariantInfo{"queue-bounded", "no more waits at a replica than its clients asked"},
    InvariantInfo{"opens-again", "a replica opens after any crash, and after damage within bounds"},
    InvariantInfo{"convergence", "in peace all replicas come to the same within a minute"},
    InvariantInfo{"progress", "in peace a write is acknowledged within half a minute"},
    InvariantInfo{"assertion", "no assertion of the product fails"},
};
static_assert(invariants.size() == static_cast<std::size_t>(Invariant::assertion) + 1);

[[nodiscard]] constexpr std::string_view name(Invariant invariant) {
  return invariants[static_cast<std::size_t>(invariant)].name;
}

}  // namespace kimberlite::vopr
