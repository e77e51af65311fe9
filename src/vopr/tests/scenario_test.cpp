// Every file of tests/scenarios is told to a group of whole databases; the language, and that the
// manual's tables are what the parser and the files say.
#include "vopr/scenario.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

namespace kimberlite::vopr {
namespace {

const std::filesystem::path source{KIMBERLITE_SOURCE_DIR};
const std::filesystem::path folder = source / "tests/scenarios";

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path};
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator{
           std::filesystem::path{KIMBERLITE_SOURCE_DIR} / "tests/scenarios"}) {
    if (entry.path().extension() == ".scn") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Scenario load(const std::string& name) {
  auto scenario = parse_scenario(text_of(folder / (name + ".scn")), name + ".scn");
  EXPECT_TRUE(scenario) << to_string(scenario.error());
  return scenario ? *std::move(scenario) : Scenario{};
}

// ---- the scenarios ------------------------------------------------------------------------------

class Scenarios : public testing::TestWithParam<std::string> {};

TEST_P(Scenarios, Holds) {
  const Scenario scenario = load(GetParam());
  EXPECT_EQ(scenario.name, GetParam()) << "the file is named after it";
  const ScenarioResult result = run_scenario(scenario);
  EXPECT_TRUE(result.passed) << result.wrong << '\n'
                             << fmt::format("{}", fmt::join(result.events, "\n"));
}

INSTANTIATE_TEST_SUITE_P(Files, Scenarios, testing::ValuesIn(files()), [](const auto& one) {
  std::string name = one.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Scenario, EveryRuleAndFaultHasOne) {
  std::set<std::string> wanted{"beyond redundancy", "standby", "membership"};
  for (int rule = 1; rule <= 18; ++rule) wanted.insert(fmt::format("rule {}", rule));
  for (const char* fault :
       {"loss", "delay", "duplication", "reordering", "symmetric partition", "asymmetric partition",
        "clogging", "malformed", "oversized", "forged"}) {
    wanted.insert(fmt::format("network: {}", fault));
  }
  for (const char* fault : {"crash", "crash in a prepare", "crash in the superblock",
                            "crash in a checkpoint", "crash in a state sync", "pause", "slow"}) {
    wanted.insert(fmt::format("process: {}", fault));
  }
  for (const char* fault :
       {"torn write", "lost write", "misdirected write", "misdirected read", "latent sector error",
        "bit rot in the head", "bit rot in the middle", "bit rot in the tail",
        "bit rot in the marks", "bit rot in the superblock", "bit rot in a segment",
        "bit rot in a snapshot", "bit rot in the keystore", "bit rot in a projection", "I/O error",
        "slow", "full", "an old copy restored", "lost disk"}) {
    wanted.insert(fmt::format("disk: {}", fault));
  }
  for (const char* fault : {"drift", "step", "leap", "one hour", "minority", "apart"}) {
    wanted.insert(fmt::format("clock: {}", fault));
  }
  std::set<std::string> found;
  for (const std::string& name : files()) {
    for (const std::string& about : load(name).about) {
      EXPECT_TRUE(wanted.contains(about)) << name << " is about nothing known: " << about;
      found.insert(about);
    }
  }
  for (const std::string& one : wanted) EXPECT_TRUE(found.contains(one)) << "none: " << one;
  EXPECT_GE(files().size(), 46U);
}

TEST(Scenario, TheSameTwiceIsTheSame) {
  for (const char* name : {"frames-overtake-each-other", "crash-while-a-state-is-taken"}) {
    const Scenario scenario = load(name);
    const ScenarioResult once = run_scenario(scenario);
    const ScenarioResult twice = run_scenario(scenario);
    EXPECT_EQ(once.digest, twice.digest) << name;
    EXPECT_EQ(once.events, twice.events) << name;
    Scenario other = scenario;
    ++other.seed;
    EXPECT_NE(run_scenario(other).digest, once.digest) << name;
  }
}

// ---- the language -------------------------------------------------------------------------------

constexpr std::string_view header =
    "name: one\n"
    "story: Two lines\n"
    "  of it.\n"
    "about: rule 1, disk: slow\n"
    "replicas: 3\n"
    "seed: 7\n";

Result<Scenario> parse(const std::string& steps, const std::string& more = "") {
  return parse_scenario(std::string{header} + more + "steps:\n" + steps, "one.scn");
}

TEST(Scenario, IsRead) {
  const auto scenario = parse(
      "# a remark\n"
      "write a = 1   # and another\n"
      "\n"
      "in 300 ms partition 0 | 1 2\n"
      "run 1 h\n",
      "checkpoint: 20\nring: 128 MiB\npeace: 0 2\n");
  ASSERT_TRUE(scenario) << to_string(scenario.error());
  EXPECT_EQ(scenario->name, "one");
  EXPECT_EQ(scenario->story, "Two lines of it.");
  EXPECT_EQ(scenario->about, (std::vector<std::string>{"rule 1", "disk: slow"}));
  EXPECT_EQ(scenario->replicas, 3);
  EXPECT_EQ(scenario->seed, 7U);
  EXPECT_EQ(scenario->checkpoint_commands, 20U);
  EXPECT_EQ(scenario->ring_size, std::uint64_t{128} << 20);
  EXPECT_EQ(scenario->peace, (std::vector<std::uint8_t>{0, 2}));
  ASSERT_EQ(scenario->steps.size(), 3U);
  EXPECT_EQ(scenario->steps[0].line, 12U);
  EXPECT_EQ(scenario->steps[0].arguments[1].number, 1);
  EXPECT_EQ(scenario->steps[1].later_ns, 300'000'000U);
  EXPECT_EQ(scenario->steps[1].arguments[0].text, "0 | 1 2");
  EXPECT_EQ(scenario->steps[2].arguments[0].number, 3'600'000'000'000);
  EXPECT_EQ(parse("heal\n")->peace.size(), 3U) << "all of them";
  EXPECT_TRUE(parse("heal\n", "peace: none\n")->peace.empty());
}

struct Bad {
  std::string steps;
  std::string where;  // line and column; the first step is in line 8
  std::string expected;
};

TEST(Scenario, SaysWhatIsWrong) {
  const std::vector<Bad> all{
      {"crush 1\n", "8:1", "`crash`"},
      {"crash 3\n", "8:7", "a replica (0 to 2)"},
      {"crash\n", "8:6", "a replica (0 to 2)"},
      {"crash 1 now\n", "8:9", "the end of the line, or `at`"},
      {"crash 1 at think 2 of journal\n", "8:12", "a call (write, done,"},
      {"crash 1 at write 2 of diary\n", "8:23", "a file (journal,"},
      {"heal\n\n  cut 0 > 1\n", "10:9", "`->`"},
      {"drop letters 0 -> 1\n", "8:6", "a kind of frame (prepare,"},
      {"partition 0 | 1\n", "8:11", "every replica on one side"},
      {"partition 0 | 1 2 |\n", "8:11", "every replica on one side"},
      {"partition 0 1 2\n", "8:11", "every replica on one side"},
      {"run 5 parsecs\n", "8:5", "a duration"},
      {"run 99999999 h\n", "8:5", "a duration"},
      {"run -1 s\n", "8:5", "a duration"},
      {"network loses -5% doubles 0% delays up to 1 ms\n", "8:15", "a percentage"},
      {"in 5 ms write a = 1\n", "8:9", "a fault"},
      {"in 5 ms\n", "8:8", "what happens then"},
      {"in soon heal\n", "8:4", "a duration"},
      {"write a = much\n", "8:11", "a whole number"},
      {"write 9 = 1\n", "8:9", "`rows`"},
      {"start 0 expect trouble\n", "8:16", "an error code"},
      {"read a expect maybe\n", "8:15", "a whole number, none or an error code"},
      {"expect state 0 asleep\n", "8:16", "a state (normal,"},
      {"expect view of 0 >= 3\n", "8:18", "=, < or >"},
      {"rot op tail on 0\n", "8:8", "an op"},
      {"clock of 0 drifts 150%\n", "8:19", "a percentage"},
      {"", "8:1", "a step"},
  };
  for (const Bad& one : all) {
    const auto scenario = parse(one.steps);
    ASSERT_FALSE(scenario) << one.steps;
    EXPECT_EQ(scenario.error().code(), Code::usage_command);
    EXPECT_EQ(scenario.error().where(), "one.scn:" + one.where) << one.steps;
    EXPECT_NE(scenario.error().why().find("expected "), std::string::npos);
    EXPECT_NE(scenario.error().why().find(one.expected), std::string::npos)
        << one.steps << scenario.error().why();
  }
}

TEST(Scenario, SaysWhatIsWrongInTheHeader) {
  const auto why = [](std::string_view text) {
    const auto scenario = parse_scenario(text, "one.scn");
    return scenario ? "nothing" : scenario.error().where() + " " + scenario.error().why();
  };
  EXPECT_EQ(why(""), "one.scn:1:1 expected `steps:` and what happens");
  EXPECT_EQ(why("name: one\n"), "one.scn:1:1 expected `steps:` and what happens");
  EXPECT_EQ(why("name: one\nsteps:\nheal\n"), "one.scn:2:1 expected `story:` before the steps");
  EXPECT_EQ(why("replicas: 4\n"), "one.scn:1:11 expected 3 or 5");
  EXPECT_EQ(why("standbys: 7\n"), "one.scn:1:11 expected 1 to 6");
  EXPECT_EQ(why("spares: 4\n"), "one.scn:1:9 expected 1 to 3");
  EXPECT_EQ(why("seed: 0\n"), "one.scn:1:7 expected a number from 1");
  EXPECT_EQ(why("ring: 1 MiB\n"), "one.scn:1:7 expected 64 MiB to 1024 MiB");
  EXPECT_EQ(why("name:\n"), "one.scn:1:7 expected something behind the colon");
  EXPECT_EQ(why("name: a\nname: b\n"), "one.scn:2:1 expected `name:` only once");
  EXPECT_EQ(why("peace: 5\n"), "one.scn:1:8 expected none, or a replica (0 to 2)");
  EXPECT_EQ(why("colour: red\n"),
            "one.scn:1:1 expected one of name, story, about, replicas, standbys, spares, "
            "seed, checkpoint, ring, peace");
}

// ---- a scenario can fail ------------------------------------------------------------------------

TEST(Scenario, FailsWhereItsExpectationIsWrong) {
  for (const char* steps : {"write a = 1\nread a expect 2\n",
                            "write a = 1\nread a expect none\n",
                            "read a expect 1\n",
                            "expect primary 0\n",
                            "expect no primary\n",
                            "expect view of 0 > 1\n",
                            "expect state 0 syncing\n",
                            "expect off 0\n",
                            "crash 0\nexpect state 0 normal\n",
                            "expect failed 0\n",
                            "expect note 0 torn\n",
                            "expect 4 voters at 0\n",
                            "promote 0\n",
                            "demote 0 expect unavailable\n",
                            "add 0\n",
                            "crash 0 at write 1 of snapshot\nexpect struck 0\n",
                            "write a = 1 expect unavailable\n",
                            "isolate 1\nwrite a = 1 at 1 expect integrity\n",
                            "append s 1\nstream s has 2 events\n",
                            "crash 0\nstart 0 expect integrity\n",
                            "start 0\n",
                            "again a\n",
                            "write a = 1\nexpect no answer at 1\n",
                            "crash 0\nwrite a = 1\nstart 0\nagree\n",
                            "rot op head on 0\n",
                            "crash 0\nrot op 99 on 0\n",
                            "restore disk of 0 as of never\n",
                            "read a as of never expect 1\n",
                            "isolate 0\nwait for primary 0\n",
                            "in 1 ms crash 0\nin 2 ms crash 0\nrun 5 ms\n",
                            "crash 0\nexpect view of 0 = 1\n",
                            "crash 0\nexpect note 0 torn\n",
                            "crash 0\nwait for checkpoint on 0\n",
                            "crash 0\nwait for state 0 normal\n",
                            "recover 0\n",
                            "in 5 ms recover 0\nrun 1 s\n",
                            "crash 0\nrot op head-99 on 0\n",
                            "crash 0\nwipe 0\nrot op first on 0\n",
                            "crash 0\nwipe 0\nrot mark 0 on 0\n",
                            "crash 0\nwipe 0\nrot superblock copy 0 on 0\n",
                            "mark m\ncrash 0\nwipe 0\nput back superblock copy 0 of 0 as of m\n"}) {
    const auto scenario = parse(steps);
    ASSERT_TRUE(scenario) << steps << to_string(scenario.error());
    const ScenarioResult result = run_scenario(*scenario);
    EXPECT_FALSE(result.passed) << steps;
    EXPECT_TRUE(result.wrong.starts_with("line ")) << steps << result.wrong;
  }
}

TEST(Scenario, FailsWhereSomethingNeverCame) {
  const auto scenario = parse("in 1 h crash 0\nrun 1 s\n");
  ASSERT_TRUE(scenario);
  const ScenarioResult result = run_scenario(*scenario);
  EXPECT_FALSE(result.passed);
  EXPECT_NE(result.wrong.find("has not happened yet"), std::string::npos) << result.wrong;
}

TEST(Scenario, EndsWhenItIsTold) {
  const auto scenario = parse("run 1000000 h\nwait for primary 0\n");
  ASSERT_TRUE(scenario);
  std::uint64_t asked = 0;
  const ScenarioResult result = run_scenario(*scenario, [&asked] { return ++asked < 100; });
  EXPECT_FALSE(result.passed);
  EXPECT_LT(asked, 200U);
}

TEST(Scenario, FailsWhereNoPeaceIsPossible) {
  // Nobody heals a disk: two of three are empty, and the third cannot go on alone.
  const auto scenario = parse("crash 0\nwipe 0\ncrash 1\nwipe 1\n");
  ASSERT_TRUE(scenario);
  const ScenarioResult result = run_scenario(*scenario);
  EXPECT_FALSE(result.passed);
  EXPECT_TRUE(result.wrong.starts_with("in the end: usage.not_ours")) << result.wrong;
}

// What was acknowledged and is not there: three disks are put back to before it.
TEST(Scenario, FailsWhereAnAcknowledgedWriteIsGone) {
  const auto scenario = parse(
      "write a = 1\nconverge\nmark before\nwrite a = 2\nconverge\ncrash 0\ncrash 1\ncrash 2\n"
      "restore disk of 0 as of before\nrestore disk of 1 as of before\n"
      "restore disk of 2 as of before\n");
  ASSERT_TRUE(scenario);
  const ScenarioResult result = run_scenario(*scenario);
  EXPECT_FALSE(result.passed);
  EXPECT_TRUE(result.wrong.starts_with("in the end: report.failed: a is 1")) << result.wrong;
}

// ---- the manual ---------------------------------------------------------------------------------

TEST(Scenario, TheManualListsStatementsAndScenarios) {
  const std::string manual = text_of(source / "docs/internals-scenarios.md");
  std::string wanted;
  for (const StatementInfo& one : statements()) {
    std::string pattern;
    for (const char c : one.pattern) pattern += c == '|' ? std::string{"\\|"} : std::string{c};
    wanted += fmt::format("| `{}` | {} |\n", pattern, one.meaning);
  }
  EXPECT_NE(manual.find(wanted), std::string::npos) << "the table of statements is\n" << wanted;
  wanted.clear();
  for (const std::string& name : files()) {
    const Scenario scenario = load(name);
    wanted += fmt::format("| `{}` | {} | {} |\n", name, fmt::join(scenario.about, ", "),
                          scenario.replicas);
  }
  EXPECT_NE(manual.find(wanted), std::string::npos) << "the table of scenarios is\n" << wanted;
}

}  // namespace
}  // namespace kimberlite::vopr
