// kimberlite init: a new directory, its master key outside of it, and the key line of its log.
#include <fmt/format.h>

#include "app.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "kimberlite/local.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {

std::string vkey_path(std::string_view directory) {
  while (directory.size() > 1 && directory.ends_with('/')) directory.remove_suffix(1);
  return fmt::format("{}.vkey", directory);
}

Status check_vkey(App& app, const std::string& path) {
  if (!app.files().open(path, env::Open::read)) return {};
  return Error{Code::usage_not_empty, "there is a log key of this name already"}
      .where("{}", path)
      .next("move it away; if the database it belongs to is gone, it may go too");
}

Result<int> run_init(App& app, const InitOptions& options) {
  platform::LinuxEnv world{options.directory, platform::ExecutorOptions{}};
  const env::Env env = world.env();
  KIMBERLITE_CHECK(engine::Database::check_empty(env.storage));
  engine::CreateOptions create;
  create.tenant = app.tenant();
  create.actor = local_actor();
  create.holder = app.holder();
  if (options.production) create.ring_size = journal_ring_server;
  if (app.invocation().dry_run) {
    app.say(fmt::format("would create {}, tenant {}", options.directory, create.tenant));
    return 0;
  }
  const std::string key_line_path = vkey_path(options.directory);
  KIMBERLITE_CHECK(check_vkey(app, key_line_path));
  env.random.fill(create.cluster.emplace());
  std::optional<std::string> asked;
  if (const SettingValue& set = app.configuration().get("key_file"); !set.value.empty())
    asked = set.value;
  KIMBERLITE_TRY(const FoundKey key, make_key(app.files(), env.random, asked, *create.cluster));
  const auto made = engine::Database::create(env, *key.key, create);
  if (!made) {
    // The key of a database that does not exist opens nothing.
    static_cast<void>(app.files().remove(key.path).has_value());
    return made.error();
  }
  const std::string& key_line = made->logs.front().log_key;
  KIMBERLITE_CHECK(write_text(app.files(), key_line_path, key_line + "\n"));
  const bool beside = key.path.starts_with(options.directory + "/");
  if (app.format() == Format::table || app.format() == Format::csv) {
    KIMBERLITE_CHECK(app.out().write(fmt::format(
        "created  {}, tenant {}, one replica, {} MiB journal\n"
        "key      {}    copy it somewhere safe: no key, no data\n"
        "log key  {}    give this line to whoever will check receipts\n"
        "note     no anchor yet: someone with this machine could rewrite it whole (kimberlite head "
        "anchor)\n",
        options.directory, create.tenant, create.ring_size >> 20U, key.path, key_line_path)));
  } else {
    std::string text;
    {
      const bool whole = app.format() == Format::json;
      if (whole) text += R"({"version":1,"command":"init","ok":true,"data":)";
      {
        JsonObject object{text};
        object.text("directory", options.directory);
        object.text("cluster", to_hex(*create.cluster));
        object.text("tenant", create.tenant);
        object.text("key_file", key.path);
        object.text("log_key_file", key_line_path);
        object.text("log_key", key_line);
        object.number("journal_bytes", create.ring_size);
      }
      if (whole) text += R"(,"error":null})";
    }
    KIMBERLITE_CHECK(app.out().write(text + "\n"));
  }
  if (beside) {
    app.say(
        "warning: the master key lies inside the data directory; whoever copies the one has the "
        "other");
  }
  return 0;
}

}  // namespace kimberlite::cli
