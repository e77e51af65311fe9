// A streaming reader of NDJSON: one object a line, its members the columns of a row.
//
// Values are given as the text a column takes: a string without its quotes and escapes, a number
// exactly as it is spelled (no detour through a double), true and false by these words, an object
// or array as its JSON text. Blank lines are skipped. Refused with `usage.json` and the line: what
// is no JSON (RFC 8259), a line that is no object, a member named twice; with `limit.row` a line
// above `line_size_max`. A number beyond 64-bit integers and doubles must be put in quotes.
//
// After a refusal the reader goes on with the next line. Thread rule: one thread. The source
// outlives the reader.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/byte_source.hpp"

namespace kimberlite::cli {

enum class JsonKind : std::uint8_t { null, boolean, number, string, nested };

struct JsonMember {
  std::string name;
  JsonKind kind = JsonKind::null;
  std::string text;
};

class JsonLinesReader {
 public:
  static constexpr std::size_t line_size_max = 4U << 20U;

  explicit JsonLinesReader(ByteSource& source);
  ~JsonLinesReader();
  JsonLinesReader(const JsonLinesReader&) = delete;
  JsonLinesReader& operator=(const JsonLinesReader&) = delete;

  // Reads the next object; false at the end.
  [[nodiscard]] Result<bool> next();
  // In the order of the line; valid until the next call of `next`.
  [[nodiscard]] std::span<const JsonMember> members() const {
    return {members_.data(), member_count_};
  }
  // The line as it stands in the file, without its line end; likewise.
  [[nodiscard]] std::string_view raw() const;
  [[nodiscard]] std::uint64_t line() const { return line_; }
  [[nodiscard]] std::uint64_t offset() const { return base_ + line_begin_; }
  [[nodiscard]] std::uint64_t end_offset() const { return base_ + position_; }

 private:
  struct Parser;

  // The next line into [line_begin_, line_end_); false at the end.
  Result<bool> find_line();
  Status fill();
  Status read_members();

  ByteSource& source_;
  std::unique_ptr<Parser> parser_;
  std::vector<char> buffer_;
  std::size_t filled_ = 0;
  bool source_ended_ = false;
  std::uint64_t base_ = 0;    // the file offset of buffer_[0]
  std::size_t position_ = 0;  // where the next line begins
  std::size_t line_begin_ = 0;
  std::size_t line_end_ = 0;
  std::uint64_t line_ = 0;
  std::vector<JsonMember>
      members_;  // kept from line to line, so that their texts keep their memory
  std::size_t member_count_ = 0;
};

}  // namespace kimberlite::cli
