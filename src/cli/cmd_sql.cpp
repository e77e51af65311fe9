// kimberlite sql: statements from -c, -f, standard input, or the shell.
#include <fmt/format.h>

#include "app.hpp"
#include "cli/interrupt.hpp"
#include "shell.hpp"
#include "sql/script.hpp"
#include "statement_runner.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr int exit_interrupted = 9;

// Where a script's text comes from, a piece at a time: bounded memory for scripts of any length.
class ScriptSource {
 public:
  [[nodiscard]] static Result<ScriptSource> open(App& app, const SqlOptions& options) {
    ScriptSource source;
    if (!options.statements.empty()) {
      for (const std::string& statement : options.statements)
        source.texts_.push_back(statement + "\n;");
      return source;
    }
    if (options.file) {
      KIMBERLITE_TRY(std::string text, read_text(app.files(), *options.file));
      source.texts_.push_back(std::move(text));
      return source;
    }
    source.stdin_ = true;
    return source;
  }

  // The next statement; nothing at the end. -c texts are scripts of their own: each counts lines
  // from 1.
  [[nodiscard]] Result<std::optional<sql::Piece>> next() {
    while (true) {
      if (auto piece = reader_.next()) return piece;
      if (ended_) return std::optional<sql::Piece>{};
      KIMBERLITE_CHECK(feed());
    }
  }

 private:
  Status feed() {
    if (!stdin_) {
      reader_ = sql::StatementReader{};
      if (next_text_ < texts_.size()) {
        reader_.feed(texts_[next_text_++]);
        reader_.finish();
      } else {
        ended_ = true;
      }
      return {};
    }
    KIMBERLITE_TRY(const std::string piece, InputSource::next());
    if (piece.empty()) {
      reader_.finish();
      ended_ = true;
    } else {
      reader_.feed(piece);
    }
    return {};
  }

  sql::StatementReader reader_;
  std::vector<std::string> texts_;
  std::size_t next_text_ = 0;
  bool stdin_ = false;
  bool ended_ = false;
};

}  // namespace

Result<int> run_sql(App& app, const SqlOptions& options) {
  const bool shell = options.statements.empty() && !options.file && app.terminal().input;
  KIMBERLITE_TRY(auto opened, app.open());
  engine::Session& session = opened->session();
  if (options.as_of) {
    KIMBERLITE_TRY(const engine::AsOf as_of, parse_as_of(*options.as_of));
    KIMBERLITE_CHECK(session.set_as_of(as_of));
  }
  if (shell) return run_shell(app, session, options);

  StatementRunner runner{app, session};
  runner.set_write(options.write);
  runner.set_parameters(options.parameters);
  KIMBERLITE_TRY(ScriptSource source, ScriptSource::open(app, options));
  std::vector<sql::Piece> atomic;
  while (!interrupted()) {
    KIMBERLITE_TRY(std::optional<sql::Piece> piece, source.next());
    if (!piece) break;
    if (options.atomic) {
      atomic.push_back(*std::move(piece));
      continue;
    }
    KIMBERLITE_TRY(const bool done, runner.run(*piece));
    if (!done && options.on_error == OnError::stop) break;
  }
  if (options.atomic && !interrupted() && !atomic.empty()) {
    KIMBERLITE_TRY(const bool done, runner.run_atomic(atomic));
    static_cast<void>(done);
  }
  KIMBERLITE_CHECK(runner.finish());
  if (session.in_transaction())
    app.say("warning: the transaction was still open; it is rolled back");
  if (interrupted()) {
    app.say("stopped; no write was in flight");
    return exit_interrupted;
  }
  return runner.exit_status();
}

}  // namespace kimberlite::cli
