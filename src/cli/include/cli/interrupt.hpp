// Ctrl-C as a flag that long work looks at.
//
// The first SIGINT (or SIGTERM) sets the flag; the second ends the process at once, as the shell
// expects. SIGPIPE is ignored: a reader of our output that goes away is an error of a write, not an
// end without a word. Thread rule: `install` once, before threads; the rest from any thread.
#pragma once

#include <atomic>

namespace kimberlite::cli {

void install_interrupt();
[[nodiscard]] bool interrupted();
// So that one Ctrl-C cancels one statement of a session.
void clear_interrupt();
// What engine calls look at while they run; the same flag.
[[nodiscard]] const std::atomic<bool>& interrupt_flag();

}  // namespace kimberlite::cli
