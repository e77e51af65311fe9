// A script cut into statements at its top-level semicolons, fed in pieces of any size.
//
// For `-c`, `-f`, stdin and the shell: a semicolon in a quote, a comment or the body of a CREATE
// TRIGGER does not end a statement (the trigger is refused later, as a whole: its body must never
// run as statements of its own). Cutting knows no grammar; what is between the cuts may be wrong.
//
//   StatementReader reader;
//   reader.feed(block);
//   while (auto piece = reader.next()) …      // none: feed more, or finish()
//   reader.finish();
//   while (auto piece = reader.next()) …      // the last one may lack its semicolon
//
// Memory: one statement, at most `statement_size_max`, and one fed block. Thread rule: one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql/token.hpp"

namespace kimberlite::sql {

// One statement: from its first token to its last, without the semicolon.
struct Piece {
  std::string text;
  Place place;               // of its first character in the script
  std::uint64_t offset = 0;  // likewise, in bytes
  bool terminated = false;   // a semicolon followed
  // Longer than `statement_size_max`: `text` is empty, the statement was skipped.
  bool oversize = false;
};

class StatementReader {
 public:
  void feed(std::string_view text);
  // No more will be fed: what is left is a statement, if it holds a token.
  void finish() { finished_ = true; }
  // The next whole statement, or nothing until more is fed. Statements without a token (`;;`) are
  // passed over.
  [[nodiscard]] std::optional<Piece> next();
  // True if what was fed so far ends inside a statement, quote or comment.
  [[nodiscard]] bool incomplete();

 private:
  // How far a CREATE TRIGGER has been read: its statement ends only at `; END ;`.
  enum class Trigger : std::uint8_t {
    none,       // no token yet
    explain,    // EXPLAIN [QUERY PLAN]
    create,     // CREATE
    temporary,  // CREATE TEMP
    body,       // CREATE [TEMP] TRIGGER …
    semicolon,  // … ;
    end,        // … ; END
    other,      // another statement
  };

  [[nodiscard]] std::optional<Scanned> scan_next();
  void shrink_open_token();
  void begin_statement();
  void take(const Scanned& scanned);
  [[nodiscard]] bool ends_statement(const Scanned& token);
  [[nodiscard]] Piece cut(bool terminated);
  void drop_read();

  // (R1) buffer_[0, scanned_) is cut into tokens; what lies before `start_` is no longer needed.
  // (R2) offset_ and place_ are those of buffer_[scanned_] in the script.
  // (R3) `start_` is the first token of the statement being read, `last_` the end of its last one,
  //      both in buffer_; no statement is being read if `start_` is empty.
  std::string buffer_;
  std::size_t scanned_ = 0;
  std::optional<std::size_t> start_;
  std::size_t last_ = 0;
  std::uint64_t offset_ = 0;
  Place place_;
  Place start_place_;
  std::uint64_t start_offset_ = 0;
  // Where a token that is not closed yet was looked for in vain: nothing before it need be read
  // again unless what was fed since holds its closing character.
  std::size_t searched_ = 0;
  bool oversize_ = false;
  bool finished_ = false;
  Trigger trigger_ = Trigger::none;
};

// All statements of a whole text.
[[nodiscard]] std::vector<Piece> split(std::string_view text);

}  // namespace kimberlite::sql
