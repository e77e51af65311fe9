// How an error reaches its reader: the layout of the manual's page "errors", or one JSON object.
//
// Thread rule: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace kimberlite::cli {

// The error and, where there is one, the id a retry or a question to support needs.
//
//   error[constraint.unique]: a row with this key is already in patients
//     where: statement 3, line 7, column 1
//     why:   UNIQUE (ssn)
//     next:  add ON CONFLICT
//     request: 01JD8Z6Q3M
//
// Parts that are empty are left out; further lines of a part are indented under its first. Ends
// with a newline. `colour`: for a terminal.
[[nodiscard]] std::string error_layout(const Error& error, std::string_view request, bool colour);

// {"code":…,"message":…,"where":…,"why":…,"next":…,"request":…,"exit":…}; empty parts are left out.
void append_error_json(std::string& to, const Error& error, std::string_view request);

}  // namespace kimberlite::cli
