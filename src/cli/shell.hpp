// The interactive shell: a line editor around `StatementRunner`.
#pragma once

#include "app.hpp"

namespace kimberlite::cli {

// Until .quit or the end of the input. Needs a terminal.
[[nodiscard]] Result<int> run_shell(App& app, engine::Session& session, const SqlOptions& options);

}  // namespace kimberlite::cli
