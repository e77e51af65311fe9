#include "kimberlite/local.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/bytes.hpp"
#include "kimberlite/head_memory.hpp"

namespace kimberlite {
namespace {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read only
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string{value};
}

// XDG_CONFIG_HOME, else HOME/.config; relative to the working directory where there is neither.
std::string user_configuration() {
  if (const auto configured = environment("XDG_CONFIG_HOME")) return *configured;
  if (const auto home = environment("HOME")) return *home + "/.config";
  return ".config";
}

std::string wanted_path(const std::optional<std::string>& asked, const Id128& cluster) {
  if (asked) return *asked;
  if (const auto named = environment("KIMBERLITE_KEY_FILE")) return *named;
  return default_key_path(cluster);
}

}  // namespace

std::string local_actor() {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  const uid_t user = geteuid();
  if (getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return fmt::format("os:{}", entry.pw_name);
  }
  return fmt::format("os:{}", user);
}

std::string holder_text(std::string_view program) {
  return fmt::format("pid {}, {}", getpid(), program);
}

std::string default_key_path(const Id128& cluster) {
  return fmt::format("{}/kimberlite/keys/{}.key", user_configuration(), to_hex(cluster));
}

std::string default_heads_path(const Id128& cluster) {
  return fmt::format("{}/kimberlite/heads/{}", user_configuration(), to_hex(cluster));
}

Result<FoundKey> find_key(env::Storage& files, env::Random& random,
                          const std::optional<std::string>& asked, const Id128& cluster) {
  std::string path = wanted_path(asked, cluster);
  auto key = keystore::FileMasterKey::load(files, path, random);
  if (!key) return key.error();
  return FoundKey{std::move(path), *std::move(key)};
}

Result<FoundKey> make_key(env::Storage& files, env::Random& random,
                          const std::optional<std::string>& asked, const Id128& cluster) {
  std::string path = wanted_path(asked, cluster);
  KIMBERLITE_TRY(auto key, keystore::FileMasterKey::create(files, path, random));
  return FoundKey{std::move(path), std::move(key)};
}

}  // namespace kimberlite
