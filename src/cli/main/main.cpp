// The `kimberlite` command.
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "app.hpp"
#include "cli/error_text.hpp"
#include "cli/interrupt.hpp"
#include "cli/json.hpp"
#include "whole_text.hpp"

extern char** environ;  // NOLINT(readability-identifier-naming): POSIX

namespace kimberlite::cli {
namespace {

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      all.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return all;
}

Result<Configuration> load_configuration(const Invocation& invocation) {
  ConfigSources sources;
  sources.environment = environment();
  sources.options = invocation.settings;
  platform::LinuxStorage files{""};
  const auto add = [&](Origin origin, const std::string& path, bool must) -> Status {
    Result<std::string> text = read_text(files, path);
    if (text) {
      sources.files.push_back({origin, path, *std::move(text)});
      return {};
    }
    const Code code = text.error().code();
    if (!must && (code == Code::not_found_file || code == Code::not_found_directory)) return {};
    return text.error();
  };
  KIMBERLITE_CHECK(add(Origin::system_file, "/etc/kimberlite/kimberlite.toml", false));
  const std::string user = user_config_directory(sources.environment);
  if (!user.empty())
    KIMBERLITE_CHECK(add(Origin::user_file, user + "/kimberlite/kimberlite.toml", false));
  const bool named = invocation.config_file.has_value();
  KIMBERLITE_CHECK(
      add(Origin::project_file, named ? *invocation.config_file : "kimberlite.toml", named));
  return Configuration::load(sources);
}

struct Dispatch {
  App& app;
  Result<int> operator()(const InitOptions& options) { return run_init(app, options); }
  Result<int> operator()(const SqlOptions& options) { return run_sql(app, options); }
  Result<int> operator()(const ImportOptions& options) { return run_import(app, options); }
  Result<int> operator()(const ExportOptions& options) { return run_export(app, options); }
  Result<int> operator()(const LogOptions& options) { return run_log(app, options); }
  Result<int> operator()(const HistoryOptions& options) { return run_history(app, options); }
  Result<int> operator()(const VerifyOptions& options) { return run_verify(app, options); }
  Result<int> operator()(const AuditOptions& options) { return run_audit(app, options); }
  Result<int> operator()(const BackupOptions& options) { return run_backup(app, options); }
  Result<int> operator()(const RestoreOptions& options) { return run_restore(app, options); }
  Result<int> operator()(const HeadOptions& options) { return run_head(app, options); }
  Result<int> operator()(const AnchorOptions& options) { return run_anchor(app, options); }
  Result<int> operator()(const InspectOptions& options) { return run_inspect(app, options); }
  Result<int> operator()(const ReceiptOptions& options) { return run_receipt(app, options); }
  Result<int> operator()(const TenantOptions& options) { return run_tenant(app, options); }
  Result<int> operator()(const KeyOptions& options) { return run_key(app, options); }
  Result<int> operator()(const StatusOptions& options) { return run_status(app, options); }
  Result<int> operator()(const DoctorOptions& options) { return run_doctor(app, options); }
  Result<int> operator()(const ConfigOptions& options) { return run_config(app, options); }
  Result<int> operator()(const CompletionOptions& options) { return run_completion(app, options); }
  Result<int> operator()(const VersionOptions& options) { return run_version(app, options); }
  Result<int> operator()(const BenchOptions& options) { return run_bench(app, options); }
  Result<int> operator()(const VoprOptions& options) { return run_vopr(app, options); }
};

// An error of the command as a whole, in the form that was asked for.
int report(const Error& error, Format format, std::string_view command, bool colour) {
  StreamOutput out{STDOUT_FILENO};
  StreamOutput messages{STDERR_FILENO};
  if (format == Format::json || format == Format::jsonl) {
    std::string text;
    if (format == Format::json) {
      text = "{\"version\":1,\"command\":";
      append_json_string(text, command);
      text += ",\"ok\":false,\"data\":null,\"error\":";
      append_error_json(text, error, "");
      text += "}\n";
    } else {
      text = "{\"error\":";
      append_error_json(text, error, "");
      text += "}\n";
    }
    static_cast<void>(out.write(text).has_value());
  } else {
    static_cast<void>(messages.write(error_layout(error, "", colour)).has_value());
  }
  return exit_status(class_of(error.code()));
}

int run(const std::vector<std::string>& arguments) {
  const Terminal terminal = look_at_terminal();
  const auto is_directory = [](std::string_view word) {
    platform::LinuxStorage storage{std::string{word}};
    return engine::Database::cluster_of(storage).has_value();
  };
  auto parsed = parse_options(arguments, is_directory);
  if (!parsed) return report(parsed.error(), Format::table, "", terminal.colour);
  if (const auto* help = std::get_if<Help>(&*parsed)) {
    StreamOutput out{STDOUT_FILENO};
    return out.write(help->text) ? 0 : exit_status(ErrorClass::unavailable);
  }
  Invocation& invocation = std::get<Invocation>(*parsed);
  const std::string command = invocation.command;
  Result<Configuration> configuration = load_configuration(invocation);
  if (!configuration) return report(configuration.error(), Format::table, command, terminal.colour);
  const CommandOptions options = invocation.options;
  App app{std::move(invocation), *std::move(configuration)};
  // Read at once: a command that does not use it must not take one that means nothing.
  if (const auto timeout = app.timeout_ns(); !timeout) {
    return report(timeout.error(), app.format(), command, terminal.colour);
  }
  const Result<int> status = std::visit(Dispatch{app}, options);
  if (!status) return report(status.error(), app.format(), command, terminal.colour);
  // The answer has been given on stdout, and holds; so this is said on stderr in every format.
  if (const std::optional<Error>& why = app.unremembered()) {
    const int unremembered = report(*why, Format::table, command, terminal.colour);
    if (*status == 0) return unremembered;
  }
  return *status;
}

}  // namespace
}  // namespace kimberlite::cli

int main(int count, char** values) {
  kimberlite::cli::install_interrupt();
  return kimberlite::cli::run({values + 1, values + count});
}
