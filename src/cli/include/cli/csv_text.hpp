// Writing CSV that `CsvReader` reads back as it was: RFC 4180, LF, quotes only where needed.
#pragma once

#include <string>
#include <string_view>

namespace kimberlite::cli {

// One field: NULL is nothing, the empty text "". Commas and line ends are the caller's.
inline void append_csv_null(std::string& /*to*/) {}
inline void append_csv_text(std::string& to, std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    to += text;
    return;
  }
  to += '"';
  for (const char c : text) {
    to += c;
    if (c == '"') to += c;
  }
  to += '"';
}

}  // namespace kimberlite::cli
