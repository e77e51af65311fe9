#include "cli/result_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <unordered_set>

#include "base/assert.hpp"
#include "cli/csv_text.hpp"
#include "cli/error_text.hpp"
#include "cli/json.hpp"
#include "cli/terminal_text.hpp"
#include "sql/datetime.hpp"
#include "sql/types.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::size_t piece_size = 64U << 10U;
constexpr std::size_t sample_rows = 1000;

// Text on its way to an `Output`.
class Piece {
 public:
  explicit Piece(Output& to) : to_(to) {}
  std::string& text() { return text_; }
  Status flush_if_large() { return text_.size() < piece_size ? Status{} : flush(); }
  Status flush() {
    if (text_.empty()) return {};
    Status written = to_.write(text_);
    text_.clear();
    return written;
  }

 private:
  Output& to_;
  std::string text_;
};

void append_summary_json(std::string& to, const Summary& summary) {
  JsonObject object{to};
  object.number("rows", summary.rows);
  object.number("position", summary.position.value());
  if (summary.timestamp == TimestampUs{}) {
    object.null("timestamp");
  } else {
    object.text("timestamp", timestamp_text(summary.timestamp));
  }
  object.number("elapsed_us", summary.elapsed_us);
}

// Names that are keys of one object: a second `a` is `a_2`, or the next that is free.
std::vector<std::string> unique_names(std::span<const Column> columns) {
  std::unordered_set<std::string> taken;
  for (const Column& column : columns) taken.insert(column.name);
  std::unordered_set<std::string> given;
  std::vector<std::string> names;
  for (const Column& column : columns) {
    std::string unique = column.name;
    for (int n = 2; given.contains(unique) || (n > 2 && taken.contains(unique)); ++n) {
      unique = fmt::format("{}_{}", column.name, n);
    }
    given.insert(unique);
    names.push_back(unique);
  }
  return names;
}

// "{"name":value,…}", with what stands before each value made once.
class RowObjects {
 public:
  explicit RowObjects(std::span<const Column> columns) {
    for (const std::string& unique : unique_names(columns)) {
      std::string& key = keys_.emplace_back(keys_.empty() ? "{" : ",");
      append_json_string(key, unique);
      key += ':';
    }
    for (const Column& column : columns) types_.push_back(column.type);
  }

  void append(std::string& to, std::span<const ValueView> values) const {
    KIMBERLITE_ASSERT(values.size() == keys_.size());
    if (values.empty()) to += '{';
    for (std::size_t i = 0; i < values.size(); ++i) {
      to += keys_[i];
      append_json_value(to, values[i], types_[i]);
    }
    to += '}';
  }

 private:
  std::vector<std::string> keys_;
  std::vector<std::optional<catalog::Type>> types_;
};

class JsonLinesWriter final : public ResultWriter {
 public:
  explicit JsonLinesWriter(Output& data) : piece_(data) {}

  Status begin(std::span<const Column> columns) override {
    rows_ = RowObjects{columns};
    return {};
  }
  Status row(std::span<const ValueView> values) override {
    rows_.append(piece_.text(), values);
    piece_.text() += '\n';
    return piece_.flush_if_large();
  }
  // Whoever reads along sees the statement's outcome at once.
  Status end(const Summary& summary) override {
    piece_.text() += R"({"summary":)";
    append_summary_json(piece_.text(), summary);
    piece_.text() += "}\n";
    return piece_.flush();
  }
  Status fail(const Error& error, std::string_view request) override {
    piece_.text() += R"({"error":)";
    append_error_json(piece_.text(), error, request);
    piece_.text() += "}\n";
    return piece_.flush();
  }
  Status finish() override { return piece_.flush(); }

 private:
  Piece piece_;
  RowObjects rows_{{}};
};

class JsonWriter final : public ResultWriter {
 public:
  JsonWriter(Output& data, std::string_view command) : piece_(data) {
    piece_.text() += R"({"version":1,"command":)";
    append_json_string(piece_.text(), command);
    piece_.text() += R"(,"data":{"statements":[)";
  }

  Status begin(std::span<const Column> columns) override {
    open_statement();
    rows_ = RowObjects{columns};
    std::string& text = piece_.text();
    text += R"("columns":[)";
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) text += ',';
      JsonObject column{text};
      column.text("name", columns[i].name);
      if (columns[i].type) {
        column.text("type", sql::type_name(*columns[i].type));
      } else {
        column.null("type");
      }
    }
    text += R"(],"rows":[)";
    has_rows_ = true;
    first_row_ = true;
    return {};
  }
  Status row(std::span<const ValueView> values) override {
    if (!first_row_) piece_.text() += ',';
    first_row_ = false;
    rows_.append(piece_.text(), values);
    return piece_.flush_if_large();
  }
  Status end(const Summary& summary) override {
    close_rows();
    piece_.text() += R"("summary":)";
    append_summary_json(piece_.text(), summary);
    piece_.text() += '}';
    open_ = false;
    return piece_.flush_if_large();
  }
  Status fail(const Error& error, std::string_view request) override {
    error_.clear();
    append_error_json(error_, error, request);
    close_rows();
    piece_.text() += R"("error":)" + error_ + "}";
    open_ = false;
    return piece_.flush_if_large();
  }
  Status finish() override {
    piece_.text() +=
        error_.empty() ? R"(]},"ok":true,"error":null)" : R"(]},"ok":false,"error":)" + error_;
    piece_.text() += "}\n";
    return piece_.flush();
  }

 private:
  void open_statement() {
    piece_.text() += first_statement_ ? "{" : ",{";
    first_statement_ = false;
    open_ = true;
  }
  // After it the next member of the statement may follow.
  void close_rows() {
    if (!open_) open_statement();
    if (has_rows_) piece_.text() += "],";
    has_rows_ = false;
  }

  Piece piece_;
  RowObjects rows_{{}};
  std::string error_;  // of the statement that failed last
  bool first_statement_ = true;
  bool first_row_ = true;
  bool open_ = false;
  bool has_rows_ = false;
};

class CsvWriter final : public ResultWriter {
 public:
  CsvWriter(Output& data, Output& messages, bool colour)
      : piece_(data), messages_(messages), colour_(colour) {}

  Status begin(std::span<const Column> columns) override {
    if (!first_) piece_.text() += '\n';
    first_ = false;
    types_.clear();
    for (const Column& column : columns) {
      if (!types_.empty()) piece_.text() += ',';
      append_csv_text(piece_.text(), column.name);
      types_.push_back(column.type);
    }
    piece_.text() += '\n';
    return {};
  }
  Status row(std::span<const ValueView> values) override {
    KIMBERLITE_ASSERT(values.size() == types_.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) piece_.text() += ',';
      append_csv_value(piece_.text(), values[i], types_[i]);
    }
    piece_.text() += '\n';
    return piece_.flush_if_large();
  }
  Status end(const Summary& /*summary*/) override { return piece_.flush(); }
  Status fail(const Error& error, std::string_view request) override {
    KIMBERLITE_CHECK(piece_.flush());
    return messages_.write(error_layout(error, request, colour_));
  }
  Status finish() override { return piece_.flush(); }

 private:
  Piece piece_;
  Output& messages_;
  bool colour_;
  bool first_ = true;
  std::vector<std::optional<catalog::Type>> types_;
};

bool is_number(const catalog::Type& type) {
  using enum catalog::TypeKind;
  switch (type.kind) {
    case smallint:
    case integer:
    case bigint:
    case real:
    case double_precision:
    case decimal:
      return true;
    default:
      return false;
  }
}

class TableWriter final : public ResultWriter {
 public:
  TableWriter(Output& data, Output& messages, const WriterOptions& options)
      : piece_(data),
        messages_(messages),
        style_(options.style),
        quiet_(options.quiet),
        colour_(options.colour) {}

  Status begin(std::span<const Column> columns) override {
    columns_.clear();
    for (const Column& column : columns) {
      Shown& shown = columns_.emplace_back();
      shown.name = cell_text(column.name);
      shown.type = column.type;
      shown.width = display_width(shown.name);
      // A computed column is one of numbers until something else is seen in it.
      shown.right = column.type ? is_number(*column.type) : true;
      shown.decided = column.type.has_value();
    }
    head_shown_ = columns_.empty();
    return {};
  }
  Status row(std::span<const ValueView> values) override {
    KIMBERLITE_ASSERT(values.size() == columns_.size());
    std::vector<Cell> cells;
    cells.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) cells.push_back(cell(values[i], columns_[i]));
    if (head_shown_) {
      append_row(cells);
      return piece_.flush_if_large();
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
      columns_[i].width = std::max(columns_[i].width, cells[i].width);
    }
    sample_.push_back(std::move(cells));
    return sample_.size() < sample_rows ? Status{} : show_sample();
  }
  Status end(const Summary& summary) override {
    KIMBERLITE_CHECK(show_sample());
    KIMBERLITE_CHECK(piece_.flush());
    if (quiet_) return {};
    return messages_.write(summary_line(summary) + "\n");
  }
  Status fail(const Error& error, std::string_view request) override {
    KIMBERLITE_CHECK(show_sample());
    KIMBERLITE_CHECK(piece_.flush());
    return messages_.write(error_layout(error, request, colour_));
  }
  Status finish() override { return piece_.flush(); }

 private:
  struct Shown {
    std::string name;
    std::optional<catalog::Type> type;
    std::size_t width = 0;
    bool right = false;
    bool decided = false;  // `right` no longer depends on values
  };
  struct Cell {
    std::string text;
    std::size_t width = 0;
    bool null = false;
  };

  [[nodiscard]] std::string cell_text(std::string_view text) const {
    std::string shown = printable(text);
    return style_.width_max == 0 ? shown : truncated(shown, style_.width_max);
  }
  Cell cell(const ValueView& value, Shown& column) const {
    if (is_null(value)) return {"NULL", 4, true};
    if (!column.decided && value.index() > 2) {
      column.right = false;
      column.decided = true;
    }
    Cell made{cell_text(text_value(value, column.type)), 0, false};
    made.width = display_width(made.text);
    return made;
  }
  void append_row(std::span<const Cell> cells) {
    std::string& text = piece_.text();
    for (std::size_t i = 0; i < cells.size(); ++i) {
      append_cell(cells[i], columns_[i], i + 1 == cells.size(), columns_[i].right);
      text += i + 1 == cells.size() ? "\n" : " |";
    }
  }
  void append_cell(const Cell& cell, const Shown& column, bool last, bool right) {
    std::string& text = piece_.text();
    const std::size_t pad = column.width > cell.width ? column.width - cell.width : 0;
    text += ' ';
    if (right) text.append(pad, ' ');
    if (cell.null && style_.dim_null) {
      text += "\x1b[2m" + cell.text + "\x1b[0m";
    } else {
      text += cell.text;
    }
    if (!right && !last) text.append(pad, ' ');  // no blanks at the end of a line
  }
  Status show_sample() {
    if (head_shown_) return {};
    head_shown_ = true;
    std::string rule;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const bool last = i + 1 == columns_.size();
      append_cell({columns_[i].name, display_width(columns_[i].name), false}, columns_[i], last,
                  false);
      piece_.text() += last ? "\n" : " |";
      rule.append(columns_[i].width + 2, '-');
      rule += last ? '\n' : '+';
    }
    piece_.text() += rule;
    for (const std::vector<Cell>& cells : sample_) append_row(cells);
    sample_.clear();
    return piece_.flush_if_large();
  }

  Piece piece_;
  Output& messages_;
  TableStyle style_;
  bool quiet_;
  bool colour_;
  std::vector<Shown> columns_;
  std::vector<std::vector<Cell>> sample_;
  bool head_shown_ = true;
};

}  // namespace

std::optional<Format> format_of(std::string_view text) {
  if (text == "table") return Format::table;
  if (text == "json") return Format::json;
  if (text == "jsonl") return Format::jsonl;
  if (text == "csv") return Format::csv;
  return std::nullopt;
}

std::unique_ptr<ResultWriter> make_result_writer(const WriterOptions& options, Output& data,
                                                 Output& messages) {
  switch (options.format) {
    case Format::json:
      return std::make_unique<JsonWriter>(data, options.command);
    case Format::jsonl:
      return std::make_unique<JsonLinesWriter>(data);
    case Format::csv:
      return std::make_unique<CsvWriter>(data, messages, options.colour);
    case Format::table:
      break;
  }
  return std::make_unique<TableWriter>(data, messages, options);
}

std::string text_value(const ValueView& value, const std::optional<catalog::Type>& type) {
  return type ? sql::print(value, *type) : sql::print(value);
}

void append_csv_value(std::string& to, const ValueView& value,
                      const std::optional<catalog::Type>& type) {
  if (is_null(value)) return;
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    append_csv_text(to, *text);
  } else {
    append_csv_text(to, text_value(value, type));
  }
}

void append_json_value(std::string& to, const ValueView& value,
                       const std::optional<catalog::Type>& type) {
  if (is_null(value)) {
    to += "null";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    if (type && type->kind == catalog::TypeKind::boolean) {
      to += *integer != 0 ? "true" : "false";
    } else {
      append_json_integer(to, *integer);
    }
  } else if (const auto* number = std::get_if<double>(&value)) {
    if (std::isfinite(*number)) {
      to += sql::print_double(*number);
    } else {
      append_json_string(to, sql::print_double(*number));
    }
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    append_json_string(to, *text);
  } else {
    to += '"';
    append_base64(to, std::get<Bytes>(value));
    to += '"';
  }
}

std::string timestamp_text(TimestampUs time) {
  return sql::text_of(sql::Timestamp{static_cast<std::int64_t>(time.value())});
}

std::string summary_line(const Summary& summary) {
  std::string line = fmt::format("{} row{}, ", summary.rows, summary.rows == 1 ? "" : "s");
  const double ms = static_cast<double>(summary.elapsed_us) / 1000.0;
  line += ms < 1000.0 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.2f} s", ms / 1000.0);
  if (summary.position != Position{})
    line += fmt::format(", position {}", summary.position.value());
  return line;
}

}  // namespace kimberlite::cli
