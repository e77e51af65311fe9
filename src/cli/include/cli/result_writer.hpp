// Results of statements in the four formats, row by row.
//
// Usage, for each statement: `begin` once if it gives rows, `row` for each, then `end`; or `fail`
// in place of whatever was to come. `finish` once at the very end. Text goes to `Output` in pieces
// of about 64 KiB; nothing else is kept but the first `sample_rows` of a table, whose widths are
// taken from them.
//
//   table  for people; may change. Rows to stdout, the line below them to `messages`.
//   json   one document
//   {"version":1,"command":…,"data":{"statements":[{"columns":[{"name","type"}],
//          "rows":[{…}],"summary":{…}} or {…,"error":{…}}]},"ok":…,"error":…}; `error` is the last.
//   jsonl  an object a row, and after each statement {"summary":{"rows","position","timestamp",
//          "elapsed_us"}} or {"error":{…}}
//   csv    a header and the rows of each statement that gives rows (RFC 4180, LF), an empty line
//          between two; NULL is empty, the empty text "". Errors go to `messages`.
//
// In json and jsonl BOOLEAN is true or false, DECIMAL and integers beyond 2^53 are strings, BYTES
// base64, a double that is no number a string, JSON the text as it was stored; columns that bear
// the same name get _2, _3 added. Thread rule: one thread. Errors: those of `Output`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/value.hpp"
#include "catalog/schema.hpp"

namespace kimberlite::cli {

enum class Format : std::uint8_t { table, json, jsonl, csv };

[[nodiscard]] std::optional<Format> format_of(std::string_view text);

// Where text goes: stdout, a file, a string in tests.
class Output {
 public:
  virtual ~Output() = default;
  virtual Status write(std::string_view text) = 0;
};

struct Column {
  std::string name;
  std::optional<catalog::Type> type;  // nothing: computed
};

// What a statement came to. `position` and `timestamp` are its record's; a read's are those it was
// answered at; 0 where there is no record yet.
struct Summary {
  std::uint64_t rows = 0;  // given, or touched
  Position position;
  TimestampUs timestamp;
  std::uint64_t elapsed_us = 0;
};

// How a table may look.
struct TableStyle {
  std::size_t width_max = 0;  // of a cell; 0: as wide as it is (not a terminal)
  bool dim_null = false;
};

class ResultWriter {
 public:
  virtual ~ResultWriter() = default;
  virtual Status begin(std::span<const Column> columns) = 0;
  virtual Status row(std::span<const ValueView> values) = 0;
  virtual Status end(const Summary& summary) = 0;
  // Of the statement that failed, `begin` or not.
  virtual Status fail(const Error& error, std::string_view request) = 0;
  virtual Status finish() = 0;
};

struct WriterOptions {
  Format format = Format::table;
  std::string command = {};  // for json
  TableStyle style = {};
  bool quiet = false;   // no line below a table
  bool colour = false;  // of errors on `messages`
};

// Neither output is owned; both outlive the writer. `messages` is stderr.
[[nodiscard]] std::unique_ptr<ResultWriter> make_result_writer(const WriterOptions& options,
                                                               Output& data, Output& messages);

// A value as JSON, as a field of CSV, as a cell: as `ResultWriter` writes it.
void append_json_value(std::string& to, const ValueView& value,
                       const std::optional<catalog::Type>& type);
void append_csv_value(std::string& to, const ValueView& value,
                      const std::optional<catalog::Type>& type);
[[nodiscard]] std::string text_value(const ValueView& value,
                                     const std::optional<catalog::Type>& type);

// "2 rows, 0.4 ms, position 3"
[[nodiscard]] std::string summary_line(const Summary& summary);
// RFC 3339, UTC, microseconds: "2026-11-22T20:07:11.402113Z".
[[nodiscard]] std::string timestamp_text(TimestampUs time);

}  // namespace kimberlite::cli
