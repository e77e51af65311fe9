// A streaming reader of CSV as RFC 4180 has it, strict where a guess would change data.
//
// The first record is the header. Records end in LF or CRLF (the last may end with the file), a
// byte order mark at the start is skipped, a quoted field may hold commas, doubled quotes and line
// ends. An unquoted empty field is NULL, "" is the empty text. Refused with `usage.csv`, line and
// column: another number of fields than the header has, a quote inside an unquoted field, anything
// but a comma or line end after a closing quote, a quote never closed, a lone carriage return, NUL,
// text that is not UTF-8, a header with an empty or repeated name. In a file of one column an empty
// line is a record of one NULL; in all others it is a ragged line. Memory: one record and one
// piece, whatever the file's size.
//
// After a refusal the reader goes on with the next line, so that a caller may skip bad records.
// Thread rule: one thread. The source outlives the reader.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/byte_source.hpp"

namespace kimberlite::cli {

struct CsvField {
  std::string_view text;
  bool quoted = false;
  // NULL, as opposed to the empty text.
  [[nodiscard]] bool null() const { return text.empty() && !quoted; }
};

class CsvReader {
 public:
  static constexpr std::size_t record_size_max = 4U << 20U;
  static constexpr std::size_t columns_max = 1000;

  // Reads the header.
  [[nodiscard]] static Result<CsvReader> open(ByteSource& source);

  [[nodiscard]] const std::vector<std::string>& header() const { return header_; }

  // Reads the next record; false at the end. After an error `raw()` is what was refused, and the
  // next call goes on behind it.
  [[nodiscard]] Result<bool> next();
  // As many as the header has; valid until the next call of `next`.
  [[nodiscard]] std::span<const CsvField> fields() const { return fields_; }
  // The record as it stands in the file, without its line end; likewise.
  [[nodiscard]] std::string_view raw() const;
  // Of the record: its first line, from 1, and where it starts and ends in the file.
  [[nodiscard]] std::uint64_t line() const { return record_line_; }
  [[nodiscard]] std::uint64_t offset() const { return base_ + record_begin_; }
  [[nodiscard]] std::uint64_t end_offset() const { return base_ + position_; }

 private:
  // A field's place in the buffer, quotes left out.
  struct Place {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool quoted = false;
    bool doubled = false;  // has doubled quotes
  };
  // What reading one record came to; `at` is where a fault is.
  enum class Scan : std::uint8_t {
    record,
    end_of_file,
    more_needed,
    quote_in_field,
    text_after_quote,
    quote_never_closed,
    lone_carriage_return,
    too_many_fields,
  };
  struct Scanned {
    Scan what = Scan::record;
    std::size_t at = 0;
  };

  explicit CsvReader(ByteSource& source) : source_(&source) {}

  Status read_header();
  Result<Scanned> find_record();
  Scanned scan();
  Scanned scan_quoted(std::size_t& at, Place& place) const;
  Scanned scan_unquoted(std::size_t& at, Place& place) const;
  Status fill();
  Status take_fields();
  Status skip_line_of(std::size_t at);
  Error refuse(std::size_t at, std::string what, std::string next) const;
  Error refuse(const Scanned& scanned) const;
  Status check_text() const;

  // (C1) buffer_[record_begin_, position_) is the record that was read last with its line end.
  //                                            [kept: next, skip_line_of]
  // (C2) The byte buffer_[0] is byte base_ of the file.                          [kept: fill]
  ByteSource* source_;
  std::vector<char> buffer_;
  std::size_t filled_ = 0;
  bool source_ended_ = false;
  std::uint64_t base_ = 0;
  std::size_t position_ = 0;
  std::size_t record_begin_ = 0;
  std::size_t record_end_ = 0;  // without the line end
  std::uint64_t record_line_ = 1;
  std::uint64_t next_line_ = 1;
  std::vector<Place> places_;
  std::vector<CsvField> fields_;
  std::string unquoted_;  // texts of fields with doubled quotes
  std::vector<std::string> header_;
};

}  // namespace kimberlite::cli
