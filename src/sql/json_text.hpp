// Is this text JSON? RFC 8259, nesting bounded; nothing is built.
#pragma once

#include <cstddef>
#include <string_view>

namespace kimberlite::sql {

inline constexpr std::size_t json_depth_max = 1000;  // SQLite's own functions go to 2,000

[[nodiscard]] bool is_json(std::string_view text);

}  // namespace kimberlite::sql
