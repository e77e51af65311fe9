#include "shell.hpp"

#include <editline/readline.h>
#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "cli/interrupt.hpp"
#include "cli/options.hpp"
#include "kimberlite/local.hpp"
#include "sql/analyze.hpp"
#include "statement_runner.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::string_view help_text =
    "Statements end with a semicolon. Also:\n"
    "  .tables             tables and views          .schema [TABLE]     their definition\n"
    "  .describe TABLE     its columns               .history TABLE KEY  every version of a row\n"
    "  .asof POSITION|TIME|latest                    .reason TEXT        of the writes that "
    "follow\n"
    "  .purpose NAME       of the reads that follow  .format F           table, json, jsonl, csv\n"
    "  .timing on|off      the line below results    .read FILE          run a script\n"
    "  .whoami  .help  .quit\n";

struct FreeLine {
  void operator()(char* line) const {
    std::free(line);
  }  // NOLINT(cppcoreguidelines-no-malloc): libedit's
};

// Words of the catalogue and the dialect, for completion; libedit's interface has no room for an
// object.
std::vector<std::string>& completion_words() {
  static std::vector<std::string> words;
  return words;
}

char* next_completion(const char* text, int state) {
  static std::size_t next = 0;
  if (state == 0) next = 0;
  const std::string_view wanted{text};
  while (next < completion_words().size()) {
    const std::string& word = completion_words()[next++];
    if (word.starts_with(wanted)) return strdup(word.c_str());
  }
  return nullptr;
}

class Shell {
 public:
  Shell(App& app, engine::Session& session, const SqlOptions& options)
      : app_(app), session_(session), runner_(app, session), write_(options.write) {
    runner_.set_write(write_);
    runner_.set_parameters(options.parameters);
  }

  Result<int> run() {
    app_.say(fmt::format("kimberlite {}   .help helps, .quit ends", version_text));
    rl_completion_entry_function = next_completion;
    while (!ended_) {
      learn_words();
      clear_interrupt();
      const std::unique_ptr<char, FreeLine> line{readline(prompt().c_str())};
      if (line == nullptr) break;
      const std::string_view text{line.get()};
      if (app_.configuration().get("repl.history").value != "off" && !text.empty())
        add_history(line.get());
      if (!pending_.incomplete() && (text.starts_with('.') || text.starts_with('\\'))) {
        KIMBERLITE_CHECK(command(text));
        continue;
      }
      pending_.feed(std::string{text} + "\n");
      while (auto piece = pending_.next()) {
        clear_interrupt();
        KIMBERLITE_TRY(const bool done, runner_.run(*piece));
        static_cast<void>(done);  // the shell goes on
      }
    }
    KIMBERLITE_CHECK(runner_.finish());
    if (session_.in_transaction())
      app_.say("warning: the transaction was still open; it is rolled back");
    return 0;
  }

 private:
  std::string prompt() {
    if (pending_.incomplete()) return "   ...> ";
    std::string text = app_.tenant();
    if (session_.in_transaction()) text += '*';
    if (const auto* position = std::get_if<Position>(&session_.as_of())) {
      text += fmt::format("@{}", position->value());
    }
    if (const auto* time = std::get_if<TimestampUs>(&session_.as_of()))
      text += "@" + timestamp_text(*time);
    return text + "> ";
  }

  void learn_words() {
    const auto catalog = session_.catalog();
    if (!catalog) return;
    std::vector<std::string>& words = completion_words();
    words = {"SELECT",          "INSERT INTO", "UPDATE",      "DELETE FROM",   "CREATE TABLE",
             "ALTER TABLE",     "FROM",        "WHERE",       "ORDER BY",      "AS OF POSITION",
             "AS OF TIMESTAMP", "HISTORY(",    "DIFF(",       "WITH REASON",   "BEGIN",
             "COMMIT",          "ROLLBACK",    "SHOW TABLES", "VERIFY SELECT", "VERIFY TABLE"};
    for (const catalog::Table* table : (*catalog)->tables()) {
      words.push_back(table->name);
      for (const catalog::Column& column : table->columns) words.push_back(column.name);
    }
  }

  Status statement(std::string_view sql, const std::vector<Value>& values = {}) {
    KIMBERLITE_TRY(const bool done, runner_.run(sql, values));
    static_cast<void>(done);
    return {};
  }

  Status command(std::string_view text) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    std::string_view rest =
        space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
    while (rest.ends_with(' ')) rest.remove_suffix(1);
    if (word == ".quit" || word == "\\q") {
      ended_ = true;
      return {};
    }
    if (word == ".help") return app_.messages().write(help_text);
    if (word == ".tables" || word == "\\dt" || (word == "\\d" && rest.empty()))
      return statement("SHOW TABLES");
    if (word == ".describe" || word == "\\d") return statement(fmt::format("DESCRIBE {}", rest));
    if (word == ".schema") return schema(rest);
    if (word == ".asof") return as_of(rest);
    if (word == ".reason") {
      write_.reason = rest.empty() ? std::nullopt : std::optional<std::string>{rest};
      runner_.set_write(write_);
      return {};
    }
    if (word == ".format") {
      if (const auto format = format_of(rest)) {
        runner_.change_format(*format);
      } else {
        app_.say("formats are table, json, jsonl and csv");
      }
      return {};
    }
    if (word == ".read") return read_script(rest);
    if (word == ".history") return history(rest);
    if (word == ".whoami") {
      app_.say(fmt::format("{}, local, tenant {}", session_.actor_name(), app_.tenant()));
      return {};
    }
    if (word == ".timing") {
      runner_.show_timing(rest != "off");
      return {};
    }
    if (word == ".purpose") {
      app_.say("reads are not recorded by this version, so a purpose has nowhere to go");
      return {};
    }
    app_.say(fmt::format("there is no {}; .help lists what there is", word));
    return {};
  }

  Status as_of(std::string_view text) {
    const Result<engine::AsOf> where = parse_as_of(text);
    const Status set = where ? session_.set_as_of(*where) : Status{where.error()};
    if (!set) app_.say(to_string(set.error()));
    return {};
  }

  Status schema(std::string_view name) {
    KIMBERLITE_TRY(const auto catalog, session_.catalog());
    KIMBERLITE_TRY(const Position head, session_.head());
    for (const catalog::Table* table : catalog->tables()) {
      if (!name.empty() && !sql::same_name(table->name, name)) continue;
      KIMBERLITE_CHECK(app_.out().write(sql::render(*table, *catalog, head) + ";\n"));
      for (const catalog::Index* index : catalog->indexes_of(table->id)) {
        KIMBERLITE_CHECK(app_.out().write(sql::render(*index, *catalog, head) + ";\n"));
      }
    }
    for (const catalog::View* found : catalog->views()) {
      if (!name.empty() && !sql::same_name(found->name, name)) continue;
      KIMBERLITE_CHECK(app_.out().write(sql::render(*found) + ";\n"));
    }
    return {};
  }

  Status history(std::string_view text) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos) {
      app_.say(".history TABLE KEY");
      return {};
    }
    KIMBERLITE_TRY(const auto catalog, session_.catalog());
    const catalog::Table* table = catalog->table(text.substr(0, space));
    if (table == nullptr || table->primary_key.size() != 1) {
      app_.say("there is no such table with a key of one column");
      return {};
    }
    const std::string key = catalog::Catalog::column(*table, table->primary_key.front())->name;
    return statement(fmt::format("SELECT * FROM HISTORY({}) WHERE {} = $1 ORDER BY valid_from",
                                 sql::quote_name(table->name), sql::quote_name(key)),
                     {std::string{text.substr(space + 1)}});
  }

  Status read_script(std::string_view path) {
    const Result<std::string> text = read_text(app_.files(), path);
    if (!text) {
      app_.say(to_string(text.error()));
      return {};
    }
    for (const sql::Piece& piece : sql::split(*text)) {
      KIMBERLITE_TRY(const bool done, runner_.run(piece));
      if (!done || interrupted()) break;
    }
    return {};
  }

  App& app_;
  engine::Session& session_;
  StatementRunner runner_;
  WriteOptions write_;
  sql::StatementReader pending_;
  bool ended_ = false;
};

}  // namespace

Result<int> run_shell(App& app, engine::Session& session, const SqlOptions& options) {
  return Shell{app, session, options}.run();
}

}  // namespace kimberlite::cli
