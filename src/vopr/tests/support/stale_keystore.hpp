// A story that is told of the program and of one with a seeded bug.
#pragma once

#include <string>

namespace kimberlite::vopr {

// A directory whose keystore was put back as it was before its newest key: whole, of this cluster,
// and sealed under its master key. What was wrong; empty if it was refused.
[[nodiscard]] std::string a_stale_keystore_is_refused();

}  // namespace kimberlite::vopr
