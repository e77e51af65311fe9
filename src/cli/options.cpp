#include "cli/options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <numeric>

#include "command_line.hpp"

namespace kimberlite::cli {
namespace {

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

bool looks_like_target(std::string_view word) {
  return word.starts_with("kimberlite://") || word.starts_with('@') || word == ":memory:";
}

Error usage(std::string_view command, std::string what) {
  return Error{Code::usage_option, "{}", what}.next("kimberlite {} --help", command);
}

// What CLI11 found wrong, as our error. `command` is what was understood so far.
Error refused(const CLI::ParseError& error, const std::string& command,
              std::span<const std::string> arguments, const CommandLine& line) {
  const bool knows_command = !command.empty();
  if (!knows_command && !arguments.empty() && !arguments[0].starts_with('-')) {
    const std::string near = nearest(arguments[0], line.command_names());
    Error unknown{Code::usage_command, "no command {}", arguments[0]};
    if (near.empty()) return std::move(unknown).next("kimberlite --help lists them");
    return std::move(unknown).next("did you mean: kimberlite {}", near);
  }
  return Error{Code::usage_option, "{}", error.what()}.next("kimberlite {}{}--help", command,
                                                            knows_command ? " " : "");
}

// Takes the target off the front of `words`. Where a table or file may stand first, only a word
// that can be nothing else, or names a data directory, is one; `others_min` words must be left.
void take_target(Parsed& parsed, std::size_t others_min, std::size_t others_max,
                 const std::function<bool(std::string_view)>& is_directory) {
  std::vector<std::string>& words = parsed.words;
  if (words.empty() || parsed.invocation.settings.contains("target")) return;
  const std::string& first = words.front();
  const bool spare = words.size() > others_min;
  const bool only_a_target = others_max == 0;
  if (looks_like_target(first) || (spare && (only_a_target || is_directory(first)))) {
    parsed.invocation.settings["target"] = first;
    words.erase(words.begin());
  }
}

// The words behind the target, into the options of the command. A visitor with one case a shape.
struct PlaceWords {
  Parsed& parsed;

  Status operator()(InitOptions& init) const {
    init.directory = take();
    return {};
  }
  Status operator()(ImportOptions& import) const {
    import.files = std::move(parsed.words);
    parsed.words.clear();
    if (import.table && import.files.size() > 1) {
      return usage("import", "--table names one table, but there are several files");
    }
    if (import.rejects && import.on_error == OnError::stop) {
      return usage("import", "--rejects is written only with --on-error skip");
    }
    return {};
  }
  Status operator()(ExportOptions& chosen) const {
    const int kinds = (chosen.table ? 1 : 0) + (chosen.statement ? 1 : 0) + (chosen.all ? 1 : 0);
    if (kinds != 1) return usage("export", "say exactly one of --table, -c and --all");
    if (chosen.receipts && chosen.statement) {
      return usage("export", "--receipts proves the rows of tables: it goes with --table or --all");
    }
    if (chosen.receipts && chosen.output == "-") {
      return usage("export", "--receipts writes a directory: -o names it");
    }
    return {};
  }
  Status operator()(HistoryOptions& history) const {
    history.table = take();
    history.key = std::move(parsed.words);
    parsed.words.clear();
    return {};
  }
  Status operator()(InspectOptions& inspect) const {
    inspect.file = take();
    return {};
  }
  Status operator()(ReceiptOptions& receipt) const {
    (receipt.action == ReceiptAction::get ? receipt.position : receipt.file) = take();
    return {};
  }
  Status operator()(HeadOptions& head) const {
    if (head.action != HeadAction::prove) return {};
    head.older = take();
    if (!parsed.words.empty()) head.newer = take();
    return {};
  }
  Status operator()(BackupOptions& backup) const {
    backup.repository = take();
    return {};
  }
  Status operator()(RestoreOptions& restore) const {
    restore.repository = take();
    restore.directory = take();
    return {};
  }
  Status operator()(TenantOptions& tenant) const {
    if (!parsed.words.empty()) tenant.name = take();
    if (tenant.action != TenantAction::list && !tenant.name) {
      return usage(parsed.invocation.command, "which tenant? its name is missing");
    }
    return {};
  }
  Status operator()(CompletionOptions& completion) const {
    completion.shell = take();
    return {};
  }
  template <class Other>
  Status operator()(Other& /*has no words*/) const {
    return {};
  }

 private:
  [[nodiscard]] std::string take() const {
    std::string word = std::move(parsed.words.front());
    parsed.words.erase(parsed.words.begin());
    return word;
  }
};

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  const std::string* best = nullptr;
  std::size_t best_distance = word.size() / 3 + 2;  // beyond this a guess is noise
  for (const std::string& candidate : candidates) {
    const std::size_t d = distance(word, candidate);
    if (d < best_distance) {
      best = &candidate;
      best_distance = d;
    }
  }
  return best == nullptr ? std::string{} : *best;
}

Result<std::uint64_t> parse_duration_ms(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t ms;
  };
  constexpr std::array units{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000},
                             Unit{"h", 3'600'000}, Unit{"", 1000}};
  std::uint64_t count = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit_name = text.substr(static_cast<std::size_t>(end - text.data()));
  const auto unit = std::ranges::find(units, unit_name, &Unit::name);
  if (failed != std::errc{} || unit == units.end() ||
      count > std::numeric_limits<std::uint64_t>::max() / unit->ms) {
    return Error{Code::usage_option, "{} is no duration", text}.next("500ms, 30s, 5m, 2h");
  }
  return count * unit->ms;
}

Result<std::variant<Invocation, Help>> parse_options(
    std::span<const std::string> arguments,
    const std::function<bool(std::string_view)>& is_directory) {
  using Outcome = std::variant<Invocation, Help>;
  CommandLine line;
  if (arguments.empty()) return Outcome{Help{line.help()}};
  try {
    // CLI11 takes its words from the back.
    line.app().parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    return Outcome{Help{line.help()}};
  } catch (const CLI::ParseError& error) {
    return refused(error, line.chosen(), arguments, line);
  }
  Parsed& parsed = line.take();
  const Shape shape = line.shape();
  if (!shape.usage.empty()) {
    take_target(parsed, shape.words_min, shape.words_max, is_directory);
  }
  if (parsed.words.size() < shape.words_min) {
    return usage(parsed.invocation.command, fmt::format("{} is missing", shape.words_name));
  }
  if (parsed.words.size() > shape.words_max) {
    return usage(parsed.invocation.command,
                 fmt::format("one word too many: {}", parsed.words[shape.words_max]));
  }
  KIMBERLITE_CHECK(std::visit(PlaceWords{parsed}, parsed.invocation.options));
  return Outcome{std::move(parsed.invocation)};
}

}  // namespace kimberlite::cli
