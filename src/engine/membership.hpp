// Who is in a group, as the database's callers and as consensus say it.
//
// Thread rule: pure functions.
#pragma once

#include "consensus/configuration.hpp"
#include "engine/database.hpp"

namespace kimberlite::engine {

[[nodiscard]] Membership membership_of(const consensus::Configuration& group);
// Fails with `usage.config` if there is no such group.
[[nodiscard]] Result<consensus::Configuration> to_configuration(const Membership& group);

// What follows. Fails with `usage.config` for a change of nothing, or of a member that is not
// there; whether the group may be changed so is for consensus to say.
[[nodiscard]] Result<consensus::Configuration> changed(const consensus::Configuration& from,
                                                       const MemberChange& change);

}  // namespace kimberlite::engine
