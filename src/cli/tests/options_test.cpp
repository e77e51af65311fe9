#include "cli/options.hpp"

#include <gtest/gtest.h>

namespace kimberlite::cli {
namespace {

bool only_clinic(std::string_view word) { return word == "clinic"; }

Result<std::variant<Invocation, Help>> parse(const std::vector<std::string>& words) {
  return parse_options(words, only_clinic);
}

Invocation parsed(const std::vector<std::string>& words) {
  auto result = parse(words);
  if (!result) {
    ADD_FAILURE() << to_string(result.error());
    return {};
  }
  if (!std::holds_alternative<Invocation>(*result)) {
    ADD_FAILURE() << "help was shown";
    return {};
  }
  return std::get<Invocation>(*std::move(result));
}

std::string refused(const std::vector<std::string>& words) {
  auto result = parse(words);
  if (result) {
    ADD_FAILURE() << "accepted: " << words[0];
    return {};
  }
  return to_string(result.error()) + " | " + result.error().next();
}

std::string help(const std::vector<std::string>& words) {
  auto result = parse(words);
  if (!result || !std::holds_alternative<Help>(*result)) {
    ADD_FAILURE() << "no help was shown";
    return {};
  }
  return std::get<Help>(*result).text;
}

template <class Options>
Options of(const Invocation& invocation) {
  const auto* options = std::get_if<Options>(&invocation.options);
  if (options == nullptr) {
    ADD_FAILURE() << "another command: " << invocation.command;
    return {};
  }
  return *options;
}

TEST(Options, TakesTheFirstTenMinutes) {
  EXPECT_EQ(of<InitOptions>(parsed({"init", "clinic"})).directory, "clinic");

  const Invocation import = parsed({"import", "clinic", "patients.csv", "--create", "--primary-key",
                                    "id", "--class", "phi", "--subject", "patient=id"});
  const auto importing = of<ImportOptions>(import);
  EXPECT_EQ(import.settings.at("target"), "clinic");
  EXPECT_EQ(importing.files, std::vector<std::string>{"patients.csv"});
  EXPECT_TRUE(importing.create);
  EXPECT_EQ(importing.primary_key, std::vector<std::string>{"id"});
  EXPECT_EQ(importing.data_class, "phi");
  EXPECT_EQ(importing.subject, "patient=id");

  const Invocation sql = parsed({"sql", "clinic", "-c", "SELECT 1", "--format", "csv"});
  EXPECT_EQ(of<SqlOptions>(sql).statements, std::vector<std::string>{"SELECT 1"});
  EXPECT_EQ(sql.settings.at("output.format"), "csv");

  const auto history = of<HistoryOptions>(parsed({"history", "clinic", "patients", "7"}));
  EXPECT_EQ(history.table, "patients");
  EXPECT_EQ(history.key, std::vector<std::string>{"7"});

  EXPECT_EQ(parsed({"verify", "clinic"}).settings.at("target"), "clinic");
  EXPECT_EQ(parsed({"head", "show", "clinic"}).command, "head show");
  const Invocation trusted = parsed({"head", "trust", "clinic", "--yes"});
  EXPECT_EQ(of<HeadOptions>(trusted).action, HeadAction::trust);
  EXPECT_TRUE(trusted.yes);
  const Invocation receipt = parsed({"receipt", "check", "a.receipt", "--log-key", "clinic.vkey"});
  EXPECT_EQ(receipt.command, "receipt check");
  EXPECT_EQ(std::get<ReceiptOptions>(receipt.options).file, "a.receipt");
  EXPECT_EQ(std::get<ReceiptOptions>(receipt.options).log_key, "clinic.vkey");
  EXPECT_EQ(parsed({"receipt", "show", "a.receipt"}).command, "receipt show");
}

TEST(Options, TellsATargetFromATableOrFile) {
  // Left out: the first word is no data directory.
  Invocation history = parsed({"history", "patients", "7"});
  EXPECT_FALSE(history.settings.contains("target"));
  EXPECT_EQ(of<HistoryOptions>(history).table, "patients");
  // A word that can only be a table is one, even where it is also a directory.
  history = parsed({"history", "clinic"});
  EXPECT_EQ(of<HistoryOptions>(history).table, "clinic");
  // These cannot be tables.
  EXPECT_EQ(parsed({"history", "@north", "patients"}).settings.at("target"), "@north");
  EXPECT_EQ(parsed({"import", ":memory:", "a.csv", "b.csv"}).settings.at("target"), ":memory:");
  // Said outright.
  history = parsed({"history", "clinic", "7", "--target", "@north"});
  EXPECT_EQ(history.settings.at("target"), "@north");
  EXPECT_EQ(of<HistoryOptions>(history).table, "clinic");
  // Where only a target may stand, any word is one.
  EXPECT_EQ(parsed({"sql", "clnic"}).settings.at("target"), "clnic");
}

TEST(Options, KeepsRepeatedOptionsInOrder) {
  const auto sql = of<SqlOptions>(parsed({"sql", "-c", "A", "-c", "B", "clinic", "--param", "a=1",
                                          "--param", "b=x=y", "--on-error", "continue"}));
  EXPECT_EQ(sql.statements, (std::vector<std::string>{"A", "B"}));
  EXPECT_EQ(sql.parameters,
            (std::vector<std::pair<std::string, std::string>>{{"a", "1"}, {"b", "x=y"}}));
  EXPECT_EQ(sql.on_error, OnError::go_on);
  EXPECT_EQ(of<ImportOptions>(parsed({"import", "a.csv", "--primary-key", "a,b", "--create"}))
                .primary_key,
            (std::vector<std::string>{"a", "b"}));
}

TEST(Options, TakesTheCommonOptionsEverywhere) {
  for (const std::string command :
       {"sql", "verify", "status", "doctor", "audit", "log", "version"}) {
    const Invocation got = parsed({command, "--tenant", "north", "--quiet", "--yes", "--dry-run",
                                   "--timeout", "5s", "--config", "k.toml"});
    EXPECT_EQ(got.settings.at("tenant"), "north") << command;
    EXPECT_EQ(got.settings.at("timeout"), "5s") << command;
    EXPECT_TRUE(got.quiet && got.yes && got.dry_run) << command;
    EXPECT_EQ(got.config_file, "k.toml") << command;
  }
}

TEST(Options, TakesAValueThatBeginsWithADashBehindAnEqualsSign) {
  EXPECT_EQ(of<SqlOptions>(parsed({"sql", "--reason=-v-"})).write.reason, "-v-");
}

TEST(Options, TakesAnchors) {
  const auto got = of<AnchorOptions>(parsed({"head", "anchor", "clinic", "--witness-request", "a",
                                             "--witness-key", "w+1+x", "--witness-size", "12"}));
  EXPECT_EQ(got.witness_request, "a");
  EXPECT_EQ(got.witness_key, "w+1+x");
  EXPECT_EQ(got.witness_size, 12U);
  EXPECT_FALSE(got.witness_response || got.directory || got.file || got.timestamp_request);
  EXPECT_NE(refused({"head", "anchor", "--witness-size", "-1"}).find("usage.option"),
            std::string::npos);
  EXPECT_EQ(of<HeadOptions>(parsed({"head", "publish", "--tiles", "public"})).tiles, "public");
}

TEST(Options, NamesTheNearestCommand) {
  EXPECT_NE(refused({"improt", "x"}).find("did you mean: kimberlite import"), std::string::npos);
  EXPECT_NE(refused({"improt", "x"}).find("usage.command"), std::string::npos);
  EXPECT_NE(refused({"zzzzzz"}).find("--help lists them"), std::string::npos);
}

TEST(Options, RefusesWhatItDoesNotUnderstand) {
  EXPECT_NE(refused({"sql", "--fromat", "csv"}).find("usage.option"), std::string::npos);
  EXPECT_NE(refused({"sql", "--fromat", "csv"}).find("kimberlite sql --help"), std::string::npos);
  EXPECT_NE(refused({"sql", "a", "b"}).find("one word too many: b"), std::string::npos);
  EXPECT_NE(refused({"init"}).find("the directory to make is missing"), std::string::npos);
  EXPECT_NE(refused({"import", "--create"}).find("the file to import is missing"),
            std::string::npos);
  EXPECT_NE(refused({"export", "clinic", "-o", "x"}).find("exactly one of"), std::string::npos);
  EXPECT_NE(refused({"export", "-c", "SELECT 1", "--receipts", "-o", "x"}).find("rows of tables"),
            std::string::npos);
  EXPECT_NE(refused({"export", "--all", "--receipts", "-o", "-"}).find("a directory"),
            std::string::npos);
  EXPECT_NE(refused({"export", "--all", "--table", "t", "-o", "x"}).find("exactly one of"),
            std::string::npos);
  EXPECT_NE(refused({"import", "a.csv", "b.csv", "--table", "t"}).find("several files"),
            std::string::npos);
  EXPECT_NE(refused({"import", "a.csv", "--rejects", "r"}).find("--on-error skip"),
            std::string::npos);
  EXPECT_NE(refused({"sql", "--param", "novalue"}).find("usage.option"), std::string::npos);
  EXPECT_NE(refused({"sql", "--on-error", "panic"}).find("usage.option"), std::string::npos);
  EXPECT_NE(refused({"init", "x", "--profile", "fast"}).find("usage.option"), std::string::npos);
  EXPECT_NE(refused({"tenant", "create"}).find("its name is missing"), std::string::npos);
  EXPECT_NE(refused({"head"}).find("usage.option"), std::string::npos);
}

TEST(Options, HelpShowsExamplesOfEachCommand) {
  EXPECT_NE(help({}).find("kimberlite init clinic"), std::string::npos);
  EXPECT_NE(help({"--help"}).find("import"), std::string::npos);
  EXPECT_NE(help({"import", "--help"}).find("--on-error skip --rejects bad.csv"),
            std::string::npos);
  EXPECT_NE(help({"head", "show", "--help"}).find("kimberlite head show clinic"),
            std::string::npos);
}

TEST(Options, ReadsDurations) {
  EXPECT_EQ(parse_duration_ms("500ms").value(), 500U);
  EXPECT_EQ(parse_duration_ms("30s").value(), 30'000U);
  EXPECT_EQ(parse_duration_ms("30").value(), 30'000U);
  EXPECT_EQ(parse_duration_ms("2h").value(), 7'200'000U);
  for (const char* wrong :
       {"", "s", "-1s", "5d", "5 s", "99999999999999999999", "18446744073709551615h"}) {
    EXPECT_FALSE(parse_duration_ms(wrong).has_value()) << wrong;
  }
}

TEST(Completion, OffersCommandsAndOptions) {
  const std::string bash = completion_script("bash").value();
  EXPECT_NE(bash.find("'head show'"), std::string::npos);
  EXPECT_NE(bash.find("--primary-key"), std::string::npos);
  EXPECT_NE(completion_script("zsh").value().find("bashcompinit"), std::string::npos);
  EXPECT_NE(completion_script("fish").value().find("-l primary-key"), std::string::npos);
  EXPECT_EQ(completion_script("tcsh").error().code(), Code::usage_option);
}

}  // namespace
}  // namespace kimberlite::cli
