// JSON text, appended piece by piece: what streams results without building them in memory.
//
// Thread rule: pure functions. Source: RFC 8259. Text must be UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace kimberlite::cli {

// `text` in quotes, escaped; never holds a raw line break, so it may stand in a line of JSON lines.
void append_json_string(std::string& to, std::string_view text);
// A number; beyond 2^53 either way a string, because readers that use doubles would change it.
void append_json_integer(std::string& to, std::int64_t value);
void append_json_unsigned(std::string& to, std::uint64_t value);

// The members of one object, with commas where they belong:
//   { JsonObject object{to}; object.text("code", …); }   the brace closes when it is destroyed
class JsonObject {
 public:
  explicit JsonObject(std::string& to) : to_(to) { to_ += '{'; }
  ~JsonObject() { to_ += '}'; }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;

  void text(std::string_view name, std::string_view value);
  void integer(std::string_view name, std::int64_t value);
  void number(std::string_view name, std::uint64_t value);
  void boolean(std::string_view name, bool value);
  void null(std::string_view name);
  // The caller appends the value to what it gave, right after.
  void member(std::string_view name);

 private:
  std::string& to_;
  bool first_ = true;
};

}  // namespace kimberlite::cli
