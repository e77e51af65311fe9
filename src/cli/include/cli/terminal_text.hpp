// Text as a terminal shows it: how wide it is, and what must not reach it raw.
//
// Widths follow Unicode's East Asian Width for the common blocks (UAX #11), two columns for wide
// characters and emoji, none for combining marks; that is what terminals do, not all of the
// standard. Thread rule: pure functions. Input is UTF-8; bytes that are not are shown escaped.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kimberlite::cli {

// Columns that `text` takes.
[[nodiscard]] std::size_t display_width(std::string_view text);

// `text` with every control character, direction override and byte that is not UTF-8 as an escape
// (\n, \t, \x1b, \u202e): a stored value cannot move the cursor, recolour or reorder the screen.
[[nodiscard]] std::string printable(std::string_view text);

// At most `width` columns of `text`, the last one an ellipsis if anything was cut. `width` >= 1.
[[nodiscard]] std::string truncated(std::string_view text, std::size_t width);

}  // namespace kimberlite::cli
