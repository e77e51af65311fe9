// Runs statements on a session and writes their results: the common part of sql, its scripts and
// the shell.
//
// Thread rule: one thread. App and session outlive it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "app.hpp"
#include "sql/script.hpp"

namespace kimberlite::cli {

// "latest", a position, or a time (RFC 3339, or as `timestamp` columns print).
[[nodiscard]] Result<engine::AsOf> parse_as_of(std::string_view text);

class StatementRunner {
 public:
  StatementRunner(App& app, engine::Session& session);

  // Given to each write; `idempotency_key` gets the statement's number appended from the second on.
  void set_write(const WriteOptions& write) { write_ = write; }
  // Values for `:name` and, by number, `$1`.
  void set_parameters(std::vector<std::pair<std::string, std::string>> parameters) {
    parameters_ = std::move(parameters);
  }

  // One statement with its values. False: it failed, and the error was written; the result is an
  // error only if that could not be written. `place`: where in a script it begins.
  [[nodiscard]] Result<bool> run(std::string_view sql, const std::vector<Value>& values,
                                 std::optional<sql::Place> place = std::nullopt);
  // A statement of a script, its values taken from `set_parameters`.
  [[nodiscard]] Result<bool> run(const sql::Piece& piece);
  // All statements as one request: all or nothing.
  [[nodiscard]] Result<bool> run_atomic(const std::vector<sql::Piece>& pieces);
  [[nodiscard]] Status finish() { return writer_->finish(); }

  // Of the errors so far: the first one's.
  [[nodiscard]] int exit_status() const { return exit_status_; }
  void change_format(Format format);
  // The line below a table.
  void show_timing(bool on);

 private:
  [[nodiscard]] Result<bool> failed(const Error& error, std::optional<sql::Place> place);
  [[nodiscard]] Status write_cursor(engine::Cursor& cursor, std::uint64_t begun_ns);
  [[nodiscard]] Status write_outcome(const engine::Outcome& outcome, std::uint64_t begun_ns);
  [[nodiscard]] Result<std::vector<Value>> values_for(std::string_view sql) const;
  void make_writer();
  [[nodiscard]] engine::Why why(const std::string& key) const;
  [[nodiscard]] std::uint64_t elapsed_us(std::uint64_t begun_ns) const;

  App& app_;
  engine::Session& session_;
  std::unique_ptr<ResultWriter> writer_;
  WriteOptions write_;
  std::vector<std::pair<std::string, std::string>> parameters_;
  std::uint64_t timeout_ns_ = 0;
  std::uint64_t number_ = 0;  // of statements so far
  int exit_status_ = 0;
  Format format_ = Format::table;
  bool timing_ = true;
};

}  // namespace kimberlite::cli
