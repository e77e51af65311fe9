// What a directory opened without a server takes from its surroundings: the operating system's
// user, the place of the master key.
//
// Thread rule: safe from any thread, as long as nobody changes the environment.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "env/env.hpp"
#include "keystore/master_key.hpp"

namespace kimberlite {

// "os:ann": the effective user's name, else its number.
[[nodiscard]] std::string local_actor();
// "pid 4711, started as kimberlite": what a second opener of a directory is told.
[[nodiscard]] std::string holder_text(std::string_view program);
// <user configuration>/kimberlite/keys/<cluster id>.key, by XDG_CONFIG_HOME, else HOME/.config;
// relative to the working directory where there is neither.
[[nodiscard]] std::string default_key_path(const Id128& cluster);

struct FoundKey {
  std::string path;
  std::unique_ptr<keystore::MasterKey> key;
};
// Looks at `asked`, then at KIMBERLITE_KEY_FILE, then at the default place. `files` reads paths as
// the operating system does. `unavailable.key` names every place that was looked at.
[[nodiscard]] Result<FoundKey> find_key(env::Storage& files, env::Random& random,
                                        const std::optional<std::string>& asked,
                                        const Id128& cluster);
// The same places in the same order; the first one that is named gets the new key.
[[nodiscard]] Result<FoundKey> make_key(env::Storage& files, env::Random& random,
                                        const std::optional<std::string>& asked,
                                        const Id128& cluster);

}  // namespace kimberlite
