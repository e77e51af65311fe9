#include "statement_runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/interrupt.hpp"
#include "sql/datetime.hpp"
#include "sql/statement.hpp"

namespace kimberlite::cli {
namespace {

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (bad != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "line 2, column 5" of a statement that begins at `place` of a script, as a place of the script.
std::string shifted(std::string_view where, sql::Place place) {
  constexpr std::string_view line_word = "line ";
  constexpr std::string_view column_word = ", column ";
  const std::size_t comma = where.find(column_word);
  if (!where.starts_with(line_word) || comma == std::string_view::npos) return std::string{where};
  const auto line = number_of(where.substr(line_word.size(), comma - line_word.size()));
  const std::string_view rest = where.substr(comma + column_word.size());
  const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  const auto column = number_of(rest.substr(0, digits));
  if (!line || !column) return std::string{where};
  return fmt::format("line {}, column {}{}", *line + place.line - 1,
                     *line == 1 ? *column + place.column - 1 : *column, rest.substr(digits));
}

Error with_where(const Error& error, std::string where) {
  Error copy{error.code(), "{}", error.what()};
  return std::move(copy).where("{}", where).why("{}", error.why()).next("{}", error.next());
}

std::vector<Column> columns_of(const std::vector<engine::ColumnInfo>& columns) {
  std::vector<Column> out;
  out.reserve(columns.size());
  for (const engine::ColumnInfo& column : columns) out.push_back({column.name, column.type});
  return out;
}

}  // namespace

Result<engine::AsOf> parse_as_of(std::string_view text) {
  if (text == "latest") return engine::AsOf{};
  if (const auto position = number_of(text)) return engine::AsOf{Position{*position}};
  if (const auto time = sql::parse_timestamp(text)) {
    return engine::AsOf{TimestampUs{static_cast<std::uint64_t>(time->us)}};
  }
  return Error{Code::usage_option, "this is neither a position nor a time"}.next(
      "write a position (42), a time (2026-11-22T20:07:11Z) or latest");
}

StatementRunner::StatementRunner(App& app, engine::Session& session)
    : app_(app), session_(session), format_(app.format()) {
  timeout_ns_ = app.timeout_ns().value_or(0);
  make_writer();
}

void StatementRunner::make_writer() {
  WriterOptions options = app_.writer_options();
  options.format = format_;
  options.quiet = options.quiet || !timing_;
  writer_ = make_result_writer(options, app_.out(), app_.messages());
}

void StatementRunner::change_format(Format format) {
  format_ = format;
  make_writer();
}

void StatementRunner::show_timing(bool on) {
  timing_ = on;
  make_writer();
}

Result<bool> StatementRunner::failed(const Error& error, std::optional<sql::Place> place) {
  if (exit_status_ == 0) exit_status_ = base::exit_status(class_of(error.code()));
  const std::string request = write_.idempotency_key.value_or("");
  if (!place) {
    KIMBERLITE_CHECK(writer_->fail(error, request));
    return false;
  }
  const std::string own = error.where().empty()
                              ? fmt::format("line {}, column {}", place->line, place->column)
                              : shifted(error.where(), *place);
  KIMBERLITE_CHECK(
      writer_->fail(with_where(error, fmt::format("statement {}, {}", number_, own)), request));
  return false;
}

std::uint64_t StatementRunner::elapsed_us(std::uint64_t begun_ns) const {
  return (app_.clock().monotonic_ns() - begun_ns) / 1000;
}

engine::Why StatementRunner::why(const std::string& key) const {
  engine::Why why;
  why.idempotency_key = key;
  if (write_.reason) why.reason = *write_.reason;
  if (write_.correlation_id) why.correlation = *write_.correlation_id;
  return why;
}

Result<bool> StatementRunner::run(std::string_view sql, const std::vector<Value>& values,
                                  std::optional<sql::Place> place) {
  ++number_;
  const std::uint64_t begun = app_.clock().monotonic_ns();
  // One key names one request: the script's second write is another.
  std::string key = write_.idempotency_key.value_or("");
  if (!key.empty() && number_ > 1) key += fmt::format("#{}", number_);
  Result<engine::Reply> reply = session_.run(
      {sql, values}, why(key), {.deadline_ns = timeout_ns_, .cancelled = &interrupt_flag()});
  if (!reply) return failed(reply.error(), place);
  Status written;
  if (reply->cursor) {
    written = write_cursor(*reply->cursor, begun);
  } else if (reply->outcome) {
    written = write_outcome(*reply->outcome, begun);
  } else {
    if (!reply->message.empty()) app_.say(reply->message);
    written = writer_->end({.elapsed_us = elapsed_us(begun)});
  }
  if (written) return true;
  // Output that nobody takes ends the command; anything else is the statement's own error.
  if (written.error().code() == Code::unavailable_io) return written.error();
  return failed(written.error(), place);
}

Status StatementRunner::write_cursor(engine::Cursor& cursor, std::uint64_t begun_ns) {
  KIMBERLITE_CHECK(writer_->begin(columns_of(cursor.columns())));
  Summary summary{.position = cursor.position(), .timestamp = cursor.timestamp()};
  while (true) {
    KIMBERLITE_TRY(const bool more, cursor.next());
    if (!more) break;
    KIMBERLITE_CHECK(writer_->row(cursor.row()));
    ++summary.rows;
  }
  summary.elapsed_us = elapsed_us(begun_ns);
  return writer_->end(summary);
}

Status StatementRunner::write_outcome(const engine::Outcome& outcome, std::uint64_t begun_ns) {
  for (const std::string& notice : outcome.notices) app_.say("notice: " + notice);
  if (outcome.replayed) app_.say("this request was done before; the answer is that of then");
  const Summary summary{outcome.rows, outcome.position, outcome.timestamp, elapsed_us(begun_ns)};
  if (outcome.returning.columns.empty()) return writer_->end(summary);
  return write_rows(*writer_, columns_of(outcome.returning.columns), outcome.returning.rows,
                    summary);
}

// `:name` by name, `$1` and `?` by number.
Result<std::vector<Value>> StatementRunner::values_for(std::string_view sql) const {
  std::vector<Value> values;
  if (parameters_.empty()) return values;
  KIMBERLITE_TRY(const sql::Statement statement, sql::parse(sql));
  values.resize(statement.parameters.count);
  for (std::uint32_t i = 0; i < statement.parameters.count; ++i) {
    const bool named = i < statement.parameters.names.size();
    const std::string wanted = named ? statement.parameters.names[i] : std::to_string(i + 1);
    const auto given =
        std::ranges::find(parameters_, wanted, &std::pair<std::string, std::string>::first);
    if (given == parameters_.end()) {
      return Error{Code::not_found_parameter, "the parameter {} has no value", wanted}.next(
          "give it: --param {}=VALUE", wanted);
    }
    values[i] = given->second;
  }
  return values;
}

Result<bool> StatementRunner::run(const sql::Piece& piece) {
  if (piece.oversize) {
    ++number_;
    return failed(Error{Code::limit_statement, "the statement is longer than {} bytes",
                        sql::statement_size_max},
                  piece.place);
  }
  Result<std::vector<Value>> values = values_for(piece.text);
  if (!values) {
    ++number_;
    return failed(values.error(), piece.place);
  }
  return run(piece.text, *values, piece.place);
}

Result<bool> StatementRunner::run_atomic(const std::vector<sql::Piece>& pieces) {
  std::vector<std::vector<Value>> values(pieces.size());
  std::vector<engine::Statement> statements;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    number_ = i + 1;
    if (pieces[i].oversize) {
      return failed(Error{Code::limit_statement, "the statement is longer than {} bytes",
                          sql::statement_size_max},
                    pieces[i].place);
    }
    Result<std::vector<Value>> found = values_for(pieces[i].text);
    if (!found) return failed(found.error(), pieces[i].place);
    values[i] = *std::move(found);
    statements.push_back({pieces[i].text, values[i]});
  }
  const std::uint64_t begun = app_.clock().monotonic_ns();
  const std::string key = write_.idempotency_key.value_or("");
  const Result<engine::Outcome> outcome = session_.execute(statements, why(key));
  if (!outcome) return failed(outcome.error(), std::nullopt);
  KIMBERLITE_CHECK(write_outcome(*outcome, begun));
  return true;
}

}  // namespace kimberlite::cli
