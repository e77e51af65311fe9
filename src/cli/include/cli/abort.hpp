// Last words of a process that an assertion ends.
//
// Between `say_at_abort` and `say_nothing_at_abort` a failed assertion, after its own line, writes
// `text` to standard error and ends the process with `status`, without a core. Texts of more than
// 64 KiB are cut. Thread rule: one thread at a time; the assertion may fail in any.
#pragma once

#include <string_view>

namespace kimberlite::cli {

void say_at_abort(std::string_view text, int status);
void say_nothing_at_abort();

}  // namespace kimberlite::cli
