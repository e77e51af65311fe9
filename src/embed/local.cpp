#include "kimberlite/local.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/bytes.hpp"

namespace kimberlite {
namespace {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read only
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string{value};
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
  std::string directory = ".config";
  if (const auto configured = environment("XDG_CONFIG_HOME")) {
    directory = *configured;
  } else if (const auto home = environment("HOME")) {
    directory = *home + "/.config";
  }
  return fmt::format("{}/kimberlite/keys/{}.key", directory, to_hex(cluster));
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
