#include <fmt/format.h>

#include <map>

#include "command_line.hpp"

namespace kimberlite::cli {
namespace {

struct Completions {
  // By the path of commands so far ("", "head", "head show"): the commands or options that may
  // follow.
  std::map<std::string, std::vector<const CLI::App*>> commands;
  std::map<std::string, std::vector<const CLI::Option*>> options;
};

void collect(const CLI::App& app, const std::string& path, Completions& to) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    to.commands[path].push_back(command);
  }
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_lnames().empty()) to.options[path].push_back(option);
  }
}

Completions collect_all(const CLI::App& app) {
  Completions all;
  collect(app, "", all);
  const auto top = all.commands[""];
  for (const CLI::App* command : top) {
    collect(*command, command->get_name(), all);
    const auto nested = all.commands.find(command->get_name());
    if (nested == all.commands.end()) continue;
    for (const CLI::App* inner : nested->second) {
      collect(*inner, command->get_name() + " " + inner->get_name(), all);
    }
  }
  return all;
}

std::string words_after(const Completions& all, const std::string& path) {
  std::string words;
  const auto append = [&words](const std::string& word) {
    words += words.empty() ? word : " " + word;
  };
  if (const auto commands = all.commands.find(path); commands != all.commands.end()) {
    for (const CLI::App* command : commands->second) append(command->get_name());
  }
  if (const auto options = all.options.find(path); options != all.options.end()) {
    for (const CLI::Option* option : options->second) append("--" + option->get_lnames()[0]);
  }
  return words;
}

std::string bash_script(const Completions& all) {
  std::string steps;
  std::string cases;
  for (const auto& [path, commands] : all.commands) {
    for (const CLI::App* command : commands) {
      steps += fmt::format("{}'{} {}'", steps.empty() ? "" : "|", path, command->get_name());
    }
  }
  for (const auto& [path, options] : all.options) {
    cases += fmt::format("    '{}') words='{}' ;;\n", path, words_after(all, path));
  }
  return fmt::format(R"(_kimberlite() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} path= word words=
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
      {}) path="${{path:+$path }}$word" ;;
    esac
  done
  case "$path" in
{}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _kimberlite kimberlite
)",
                     steps, cases);
}

// Within single quotes of fish.
std::string fish_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

// "head show": both must have been typed; "head": it alone, so that its commands are offered.
std::string fish_condition(const Completions& all, const std::string& path) {
  if (path.empty()) return "__fish_use_subcommand";
  const std::size_t space = path.find(' ');
  if (space != std::string::npos) {
    return fmt::format("__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from {}",
                       path.substr(0, space), path.substr(space + 1));
  }
  std::string condition = "__fish_seen_subcommand_from " + path;
  if (const auto inner = all.commands.find(path); inner != all.commands.end()) {
    condition += "; and not __fish_seen_subcommand_from";
    for (const CLI::App* command : inner->second) condition += " " + command->get_name();
  }
  return condition;
}

std::string fish_script(const Completions& all) {
  std::string script;
  for (const auto& [path, commands] : all.commands) {
    for (const CLI::App* command : commands) {
      script += fmt::format("complete -c kimberlite -n {} -a {} -d {}\n",
                            fish_quoted(fish_condition(all, path)), command->get_name(),
                            fish_quoted(command->get_description()));
    }
  }
  for (const auto& [path, options] : all.options) {
    for (const CLI::Option* option : options) {
      script += fmt::format("complete -c kimberlite -n {} -l {} -d {}\n",
                            fish_quoted(fish_condition(all, path)), option->get_lnames()[0],
                            fish_quoted(option->get_description()));
    }
  }
  return script;
}

}  // namespace

Result<std::string> completion_script(std::string_view shell) {
  const CommandLine line;
  const Completions all = collect_all(line.app());
  if (shell == "bash") return bash_script(all);
  if (shell == "zsh") return "autoload -U +X bashcompinit && bashcompinit\n" + bash_script(all);
  if (shell == "fish") return fish_script(all);
  return Error{Code::usage_option, "no completion for {}", shell}.next("bash, zsh or fish");
}

}  // namespace kimberlite::cli
