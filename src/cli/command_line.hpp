// The grammar of the command line, held by CLI11; seen by options.cpp and completion.cpp only.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cli/options.hpp"

namespace kimberlite::cli {

// The words a command takes behind its target.
struct Shape {
  std::size_t words_min = 0;
  std::size_t words_max = 0;
  std::string_view usage;       // how help shows target and words; empty: it takes none
  std::string_view words_name;  // what is missing if there are too few
};

struct Parsed {
  Invocation invocation;
  std::vector<std::string> words;  // without a dash, target included
};

// Builds the grammar; what it parses goes into members, so it is neither copied nor moved.
class CommandLine {
 public:
  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  [[nodiscard]] CLI::App& app() { return app_; }
  [[nodiscard]] const CLI::App& app() const { return app_; }
  // "sql", "head show"; empty if no command was understood.
  [[nodiscard]] std::string chosen() const;
  // What was parsed, with the chosen command's options in it, and that command's shape.
  [[nodiscard]] Parsed& take();
  [[nodiscard]] Shape shape() const;
  // Of the command chosen, or of all.
  [[nodiscard]] std::string help() const;
  [[nodiscard]] std::vector<std::string> command_names() const;

 private:
  struct Leaf {
    CLI::App* app = nullptr;
    Shape shape;
    std::unique_ptr<CommandOptions> options;  // CLI11 writes into it
  };

  // A command that does something, with the common options. `words` is how help shows its words.
  template <class Options>
  Options& add(CLI::App& parent, const std::string& name, const std::string& summary, Shape shape);
  // Of the command added last.
  CLI::App& last() { return *leaves_.back().app; }
  void examples(const std::string& text);
  void setting(const std::string& option, const std::string& name, const std::string& help);
  void common();
  void write(WriteOptions& options);

  void add_sql();
  void add_import();
  void add_export_and_init();
  void add_evidence();
  void add_anchor(CLI::App& head);
  void add_operation();
  void add_proofs();
  void add_backups();
  void add_vopr();

  [[nodiscard]] const CLI::App* deepest() const;
  [[nodiscard]] const Leaf* leaf() const;

  CLI::App app_;
  Parsed parsed_;
  std::vector<Leaf> leaves_;
};

}  // namespace kimberlite::cli
