#include "cli/configuration.hpp"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.hpp"
#include "cli/options.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::array setting_table{
    SettingInfo{"target", "--target", "KIMBERLITE_TARGET", "", "", false},
    SettingInfo{"tenant", "--tenant", "KIMBERLITE_TENANT", "main", "", false},
    SettingInfo{"key_file", "--key-file", "KIMBERLITE_KEY_FILE", "", "", true},
    SettingInfo{"heads_file", "", "KIMBERLITE_HEADS_FILE", "", "", true, "off"},
    SettingInfo{"timeout", "--timeout", "KIMBERLITE_TIMEOUT", "", "", false},
    SettingInfo{"output.format", "--format", "KIMBERLITE_FORMAT", "table", "table|json|jsonl|csv",
                false},
    SettingInfo{"repl.history", "", "KIMBERLITE_REPL_HISTORY", "off", "off|memory|file", false},
};

const SettingInfo* find_setting(std::string_view setting) {
  const auto* found = std::ranges::find(setting_table, setting, &SettingInfo::name);
  return found == setting_table.end() ? nullptr : found;
}

std::vector<std::string> setting_names() {
  std::vector<std::string> names;
  names.reserve(setting_table.size());
  for (const SettingInfo& info : setting_table) names.emplace_back(info.name);
  return names;
}

// Is `value` one of "a|b|c"?
bool one_of(std::string_view value, std::string_view choices) {
  while (true) {
    const std::size_t bar = choices.find('|');
    if (choices.substr(0, bar) == value) return true;
    if (bar == std::string_view::npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

std::string place_of(const ConfigFile& file, const toml::node& node) {
  return fmt::format("{}, line {}", file.path, node.source().begin.line);
}

Error unknown_key(const ConfigFile& file, const toml::node& node, std::string_view key,
                  std::span<const std::string> known) {
  Error error = Error{Code::usage_config, "no setting {}", key}.where("{}", place_of(file, node));
  const std::string near = nearest(key, known);
  if (near.empty()) return std::move(error).next("kimberlite config show lists them");
  return std::move(error).next("did you mean {}?", near);
}

// A path as written in `file`: relative ones are meant from where the file is.
std::string from_directory_of(const ConfigFile& file, const std::string& path) {
  const std::size_t slash = file.path.rfind('/');
  if (path.empty() || path[0] == '/' || slash == std::string::npos) return path;
  return file.path.substr(0, slash + 1) + path;
}

Result<std::string> text_of_node(const ConfigFile& file, std::string_view key,
                                 const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  return Error{Code::usage_config, "{} must be a text", key}
      .where("{}", place_of(file, node))
      .next("put it in quotes");
}

Result<Context> read_context(const ConfigFile& file, std::string_view context_name,
                             const toml::table& table) {
  static const std::vector<std::string> known{"url", "tenant", "key_file", "api_key_file",
                                              "log_key"};
  Context context;
  context.place = place_of(file, table);
  for (const auto& [key, node] : table) {
    const std::string full = fmt::format("context.{}.{}", context_name, key.str());
    const auto at = std::ranges::find(known, key.str());
    if (at == known.end()) return unknown_key(file, node, key.str(), known);
    KIMBERLITE_TRY(std::string value, text_of_node(file, full, node));
    if (key.str().ends_with("_file")) value = from_directory_of(file, value);
    const std::array members{&context.url, &context.tenant, &context.key_file,
                             &context.api_key_file, &context.log_key};
    *members[static_cast<std::size_t>(at - known.begin())] = std::move(value);
  }
  return context;
}

Result<SettingValue> read_setting(const ConfigFile& file, std::string_view setting,
                                  const toml::node& node) {
  const SettingInfo* info = find_setting(setting);
  if (info == nullptr) return unknown_key(file, node, setting, setting_names());
  KIMBERLITE_TRY(std::string value, text_of_node(file, setting, node));
  if (info->path && value != info->word) value = from_directory_of(file, value);
  return SettingValue{std::move(value), file.origin, place_of(file, node)};
}

Status read_contexts(const ConfigFile& file, const toml::node& node,
                     std::map<std::string, Context, std::less<>>& contexts) {
  const auto* table = node.as_table();
  if (table == nullptr) {
    return Error{Code::usage_config, "context must be tables"}
        .where("{}", place_of(file, node))
        .next("[context.clinic], then url = \"...\"");
  }
  for (const auto& [key, inner] : *table) {
    const auto* context = inner.as_table();
    if (context == nullptr) {
      return Error{Code::usage_config, "context.{} must be a table", key.str()}
          .where("{}", place_of(file, inner))
          .next("[context.{}], then url = \"...\"", key.str());
    }
    KIMBERLITE_TRY(contexts[std::string{key.str()}], read_context(file, key.str(), *context));
  }
  return {};
}

}  // namespace

std::string_view name(Origin origin) {
  switch (origin) {
    case Origin::fallback:
      return "default";
    case Origin::system_file:
      return "system file";
    case Origin::user_file:
      return "user file";
    case Origin::project_file:
      return "project file";
    case Origin::environment:
      return "environment";
    case Origin::option:
      return "option";
  }
  return "default";
}

std::span<const SettingInfo> settings() { return setting_table; }

Result<Configuration> Configuration::load(const ConfigSources& sources) {
  Configuration loaded;
  for (const SettingInfo& info : setting_table) {
    loaded.values_[std::string{info.name}].value = info.fallback;
  }
  std::vector<const ConfigFile*> files;
  files.reserve(sources.files.size());
  for (const ConfigFile& file : sources.files) files.push_back(&file);
  std::ranges::stable_sort(files, {}, [](const ConfigFile* file) { return file->origin; });
  for (const ConfigFile* file : files) KIMBERLITE_CHECK(loaded.read_file(*file));
  for (const SettingInfo& info : setting_table) {
    const auto variable = sources.environment.find(std::string{info.environment});
    // An empty variable is one that is not set, as is the custom of shells.
    if (variable != sources.environment.end() && !variable->second.empty()) {
      KIMBERLITE_CHECK(loaded.set(
          info.name, {variable->second, Origin::environment, std::string{info.environment}}));
    }
    const auto option = sources.options.find(std::string{info.name});
    if (option != sources.options.end()) {
      KIMBERLITE_CHECK(
          loaded.set(info.name, {option->second, Origin::option, std::string{info.option}}));
    }
  }
  return loaded;
}

Status Configuration::read_file(const ConfigFile& file) {
  const toml::parse_result parsed = toml::parse(file.text, file.path);
  if (!parsed) {
    const auto& begin = parsed.error().source().begin;
    return Error{Code::usage_config, "this is not TOML: {}", parsed.error().description()}.where(
        "{}, line {}, column {}", file.path, begin.line, begin.column);
  }
  // Settings have one or two levels, contexts three.
  for (const auto& [key, node] : parsed.table()) {
    const auto* section = node.as_table();
    if (key.str() == "context") {
      KIMBERLITE_CHECK(read_contexts(file, node, contexts_));
    } else if (section == nullptr) {
      KIMBERLITE_TRY(SettingValue value, read_setting(file, key.str(), node));
      KIMBERLITE_CHECK(set(key.str(), std::move(value)));
    } else {
      for (const auto& [inner_key, inner] : *section) {
        const std::string setting = fmt::format("{}.{}", key.str(), inner_key.str());
        KIMBERLITE_TRY(SettingValue value, read_setting(file, setting, inner));
        KIMBERLITE_CHECK(set(setting, std::move(value)));
      }
    }
  }
  return {};
}

Status Configuration::set(std::string_view setting, SettingValue value) {
  const SettingInfo* info = find_setting(setting);
  KIMBERLITE_ASSERT(info != nullptr);
  if (!info->accepts.empty() && !one_of(value.value, info->accepts)) {
    return Error{Code::usage_config, "{} cannot be {}", setting, value.value}
        .where("{}", value.place)
        .next("{}", info->accepts);
  }
  values_.find(setting)->second = std::move(value);
  return {};
}

const SettingValue& Configuration::get(std::string_view setting) const {
  const auto found = values_.find(setting);
  KIMBERLITE_ASSERT(found != values_.end());
  return found->second;
}

Result<Context> Configuration::context(std::string_view context_name) const {
  const auto found = contexts_.find(context_name);
  if (found != contexts_.end()) return found->second;
  std::vector<std::string> known;
  known.reserve(contexts_.size());
  for (const auto& [known_name, context] : contexts_) known.push_back(known_name);
  Error error{Code::usage_target, "no context @{} in the configuration", context_name};
  const std::string near = nearest(context_name, known);
  if (near.empty()) return std::move(error).next("kimberlite config show lists them");
  return std::move(error).next("did you mean @{}?", near);
}

std::string user_config_directory(const std::map<std::string, std::string>& environment) {
  const auto value_of = [&](const char* variable) {
    const auto found = environment.find(variable);
    return found == environment.end() ? std::string{} : found->second;
  };
  // The XDG base directory specification has relative paths ignored.
  if (const std::string xdg = value_of("XDG_CONFIG_HOME"); xdg.starts_with('/')) return xdg;
  const std::string home = value_of("HOME");
  return home.empty() ? std::string{} : home + "/.config";
}

Result<std::string> key_file_path(const Configuration& configuration,
                                  const std::optional<Context>& context,
                                  const std::map<std::string, std::string>& environment,
                                  std::string_view cluster_id) {
  const SettingValue& setting = configuration.get("key_file");
  // What was said for this run goes before what a file says of the target, that before the rest.
  const bool of_this_run = setting.origin >= Origin::environment;
  if (of_this_run) return setting.value;
  if (context && context->key_file) return *context->key_file;
  if (!setting.value.empty()) return setting.value;
  const std::string user = user_config_directory(environment);
  if (user.empty()) {
    return Error{Code::unavailable_key, "there is no place to look for the master key"}
        .why("neither XDG_CONFIG_HOME nor HOME is set")
        .next("say where it is: --key-file FILE");
  }
  return fmt::format("{}/kimberlite/keys/{}.key", user, cluster_id);
}

}  // namespace kimberlite::cli
