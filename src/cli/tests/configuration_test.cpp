#include "cli/configuration.hpp"

#include <gtest/gtest.h>

namespace kimberlite::cli {
namespace {

ConfigFile project(std::string text) {
  return {Origin::project_file, "/srv/app/kimberlite.toml", std::move(text)};
}

std::string refused(const ConfigSources& sources) {
  auto loaded = Configuration::load(sources);
  if (loaded) {
    ADD_FAILURE() << "accepted";
    return {};
  }
  EXPECT_EQ(loaded.error().code(), Code::usage_config);
  return to_string(loaded.error());
}

TEST(Configuration, HasDefaultsAndSaysSo) {
  const auto loaded = Configuration::load({}).value();
  EXPECT_EQ(loaded.get("tenant").value, "main");
  EXPECT_EQ(loaded.get("output.format").value, "table");
  EXPECT_EQ(loaded.get("repl.history").value, "off");
  EXPECT_EQ(loaded.get("target").value, "");
  EXPECT_EQ(loaded.get("tenant").origin, Origin::fallback);
}

// Each layer says `tenant`; taking away the topmost uncovers the next.
TEST(Configuration, TakesTheNearestOrigin) {
  ConfigSources sources;
  sources.files = {{Origin::user_file, "/u.toml", "tenant = 'user'"},
                   project("\ntenant = 'project'"),
                   {Origin::system_file, "/s.toml", "tenant = 'system'"}};
  sources.environment = {{"KIMBERLITE_TENANT", "environment"}};
  sources.options = {{"tenant", "option"}};
  const auto tenant = [&] { return Configuration::load(sources).value().get("tenant"); };
  EXPECT_EQ(tenant().value, "option");
  EXPECT_EQ(tenant().place, "--tenant");
  sources.options.clear();
  EXPECT_EQ(tenant().value, "environment");
  EXPECT_EQ(tenant().place, "KIMBERLITE_TENANT");
  sources.environment["KIMBERLITE_TENANT"] = "";
  EXPECT_EQ(tenant().value, "project");
  EXPECT_EQ(tenant().place, "/srv/app/kimberlite.toml, line 2");
  sources.files.erase(sources.files.begin() + 1);
  EXPECT_EQ(tenant().value, "user");
  sources.files.erase(sources.files.begin());
  EXPECT_EQ(tenant().value, "system");
}

TEST(Configuration, ReadsTheExampleOfTheManual) {
  const auto loaded = Configuration::load({.files = {project(R"(
target = "@clinic"
[context.clinic]
url = "kimberlite://db.example.org:7654"
tenant = "main"
api_key_file = "clinic.key"
log_key = "kimberlite/5e90c2+8d02a1c4+AQx"
[output]
format = "json"
[repl]
history = "memory"
)")},
                                           .environment = {},
                                           .options = {}})
                          .value();
  EXPECT_EQ(loaded.get("target").value, "@clinic");
  EXPECT_EQ(loaded.get("output.format").value, "json");
  EXPECT_EQ(loaded.get("repl.history").value, "memory");
  const Context clinic = loaded.context("clinic").value();
  EXPECT_EQ(clinic.url, "kimberlite://db.example.org:7654");
  EXPECT_EQ(clinic.api_key_file, "/srv/app/clinic.key");
  EXPECT_EQ(clinic.tenant, "main");
  const auto missing = loaded.context("clnic");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), Code::usage_target);
  EXPECT_EQ(missing.error().next(), "did you mean @clinic?");
}

TEST(Configuration, RefusesWhatItDoesNotKnow) {
  const auto file = [](std::string text) {
    return ConfigSources{.files = {project(std::move(text))}, .environment = {}, .options = {}};
  };
  std::string said = refused(file("\ntenat = 'main'"));
  EXPECT_NE(said.find("/srv/app/kimberlite.toml, line 2"), std::string::npos) << said;
  said = refused(file("tenat = 'main'"));
  EXPECT_NE(said.find("did you mean tenant?"), std::string::npos) << said;
  EXPECT_NE(refused(file("[output]\ncolour = 'yes'")).find("output.colour"), std::string::npos);
  EXPECT_NE(refused(file("[context.a]\nkey = 'x'")).find("line 2"), std::string::npos);
  EXPECT_NE(refused(file("tenant = 3")).find("must be a text"), std::string::npos);
  EXPECT_NE(refused(file("context = 3")).find("must be tables"), std::string::npos);
  EXPECT_NE(refused(file("context.a = 3")).find("must be a table"), std::string::npos);
  EXPECT_NE(refused(file("tenant = ")).find("not TOML"), std::string::npos);
  EXPECT_NE(refused(file("[output]\nformat = 'xml'")).find("table|json|jsonl|csv"),
            std::string::npos);
  EXPECT_NE(refused({.files = {}, .environment = {{"KIMBERLITE_FORMAT", "xml"}}, .options = {}})
                .find("KIMBERLITE_FORMAT"),
            std::string::npos);
}

TEST(Configuration, HeadsFileIsAPathOrOff) {
  const auto heads_file = [](std::string text, std::map<std::string, std::string> environment) {
    const auto loaded = Configuration::load({.files = {project(std::move(text))},
                                             .environment = std::move(environment),
                                             .options = {}});
    return loaded.value().get("heads_file").value;
  };
  EXPECT_EQ(heads_file("", {}), "");
  EXPECT_EQ(heads_file("heads_file = 'heads'", {}), "/srv/app/heads");
  EXPECT_EQ(heads_file("heads_file = 'off'", {}), "off") << "a word, not a file of that name";
  EXPECT_EQ(heads_file("heads_file = './off'", {}), "/srv/app/./off");
  EXPECT_EQ(heads_file("heads_file = 'heads'", {{"KIMBERLITE_HEADS_FILE", "off"}}), "off");
}

TEST(KeyFile, IsLookedForWhereItWasSaidThenAtHome) {
  const std::map<std::string, std::string> home{{"HOME", "/home/ann"}};
  const auto path = [&](const ConfigSources& sources, const std::optional<Context>& context,
                        const std::map<std::string, std::string>& environment) {
    return key_file_path(Configuration::load(sources).value(), context, environment, "7c1f");
  };
  Context context;
  context.key_file = "/context.key";
  EXPECT_EQ(path({}, {}, home).value(), "/home/ann/.config/kimberlite/keys/7c1f.key");
  EXPECT_EQ(path({}, {}, {{"XDG_CONFIG_HOME", "/x"}, {"HOME", "/h"}}).value(),
            "/x/kimberlite/keys/7c1f.key");
  EXPECT_EQ(path({}, context, home).value(), "/context.key");
  ConfigSources file{.files = {project("key_file = 'k.key'")}, .environment = {}, .options = {}};
  EXPECT_EQ(path(file, {}, home).value(), "/srv/app/k.key");
  EXPECT_EQ(path(file, context, home).value(), "/context.key");
  file.environment = {{"KIMBERLITE_KEY_FILE", "/e.key"}};
  EXPECT_EQ(path(file, context, home).value(), "/e.key");
  file.options = {{"key_file", "/o.key"}};
  EXPECT_EQ(path(file, context, home).value(), "/o.key");
  EXPECT_EQ(path({}, {}, {}).error().code(), Code::unavailable_key);
}

}  // namespace
}  // namespace kimberlite::cli
