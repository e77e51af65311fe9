// Last words of a process that an assertion ends.
//
// Between `say_at_abort` and `say_nothing_at_abort` a failed assertion, after its own line, calls
// `more`, if given, then writes `text` to standard error and ends the process with `status`,
// without a core. Texts of more than 64 KiB are cut. What `more` is to do may not end, in a process
// that is broken: it has 20 s, and an assertion that fails in it ends it; `text` is written all the
// same, unless it says that `text` is not needed.
//
// Thread rule: one thread at a time; the assertion may fail in any.
#pragma once

#include <functional>
#include <string_view>

namespace kimberlite::cli {

// True if all is said.
using LastWords = std::function<bool()>;

void say_at_abort(std::string_view text, int status, LastWords more = {});
void say_nothing_at_abort();

}  // namespace kimberlite::cli
