// Settings and where each came from: option > environment > ./kimberlite.toml > user's file >
// system's file > default.
//
// Pure: the caller reads the files and the environment and passes texts. An unknown key, a value of
// a wrong kind, or a file that is no TOML is `usage.config`, with file and line. Secrets stand in
// files only: settings hold their paths; a relative path in a configuration file is meant from that
// file's directory. Thread rule: a value; shared only const.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace kimberlite::cli {

enum class Origin : std::uint8_t {
  fallback,
  system_file,
  user_file,
  project_file,
  environment,
  option
};
[[nodiscard]] std::string_view name(Origin origin);

struct SettingValue {
  std::string value;
  Origin origin = Origin::fallback;
  std::string
      place;  // "kimberlite.toml, line 3", "KIMBERLITE_TENANT", "--tenant"; empty: a default
};

// [context.clinic], used as @clinic.
struct Context {
  std::optional<std::string> url;  // a directory or a server
  std::optional<std::string> tenant;
  std::optional<std::string> key_file;
  std::optional<std::string> api_key_file;
  std::optional<std::string> log_key;
  std::string place;
};

struct ConfigFile {
  Origin origin = Origin::project_file;
  std::string path;
  std::string text;
};

struct ConfigSources {
  std::vector<ConfigFile> files;                   // any order
  std::map<std::string, std::string> environment;  // KIMBERLITE_* only are looked at
  std::map<std::string, std::string> options;      // by the setting's name
};

class Configuration {
 public:
  [[nodiscard]] static Result<Configuration> load(const ConfigSources& sources);

  // Of a setting of `settings()`; empty where nobody said anything and there is no default.
  [[nodiscard]] const SettingValue& get(std::string_view setting) const;
  [[nodiscard]] const std::map<std::string, SettingValue, std::less<>>& all() const {
    return values_;
  }
  [[nodiscard]] const std::map<std::string, Context, std::less<>>& contexts() const {
    return contexts_;
  }
  // `usage.target` with the nearest name if there is none.
  [[nodiscard]] Result<Context> context(std::string_view name) const;

 private:
  Status read_file(const ConfigFile& file);
  Status set(std::string_view setting, SettingValue value);

  std::map<std::string, SettingValue, std::less<>> values_;
  std::map<std::string, Context, std::less<>> contexts_;
};

struct SettingInfo {
  std::string_view name;         // as in a file: output.format
  std::string_view option;       // --format; empty: none
  std::string_view environment;  // KIMBERLITE_FORMAT
  std::string_view fallback;
  std::string_view accepts;  // "table|json|jsonl|csv"; empty: any text
  bool path = false;
  std::string_view word = {};  // of a path: what stands for no path
};
[[nodiscard]] std::span<const SettingInfo> settings();

// <user configuration>: XDG_CONFIG_HOME, else HOME/.config; empty if neither is set.
[[nodiscard]] std::string user_config_directory(
    const std::map<std::string, std::string>& environment);

// Where the master key of a cluster is looked for: the setting alone if there is one, else
// <user configuration>/kimberlite/keys/<cluster id>.key. `unavailable.key` if there is no place.
[[nodiscard]] Result<std::string> key_file_path(
    const Configuration& configuration, const std::optional<Context>& context,
    const std::map<std::string, std::string>& environment, std::string_view cluster_id);

}  // namespace kimberlite::cli
