// Deliberately wrong, never built: scripts/check-tidy must find the fault in this header, or its
// silence about all other headers would mean nothing.
#pragma once

namespace kimberlite::canary {

inline int BadlyNamed(int depth) { return depth == 0 ? 0 : BadlyNamed(depth - 1); }

}  // namespace kimberlite::canary
