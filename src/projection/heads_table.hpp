// `__heads`: a virtual table over the heads the log has signed. Nothing of it is kept, and it is
// read as it is when a statement begins to.
//
// It is whole in every statement: `AS OF` compares `size` with the position, as the door does for
// other tables, and leaves anchors and their age those of now. Thread rule: that of the connection.
#pragma once

#include "context.hpp"

namespace kimberlite::projection {

// Both outlive the connection's statements.
[[nodiscard]] Status register_heads_table(Connection& connection, Context& context);

}  // namespace kimberlite::projection
