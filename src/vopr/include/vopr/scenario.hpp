// Stories of faults as text, told to a group of whole databases.
//
// A scenario is a file one can read aloud: a header (what goes wrong where a rule is not kept, how
// many replicas, which seed), then one step a line. docs/internals-scenarios.md lists the
// statements; `statements()` is that list. The seed chooses the rest: arrival times, the order of
// what is ready, what a disk keeps when its power goes.
//
//   name: the-primary-dies
//   story: A primary is lost with what it has acknowledged only to itself ...
//   about: process: crash
//   replicas: 3
//   seed: 1
//   steps:
//   write a = 1
//   crash 0
//   write a = 2
//
// Every run ends in peace, unless the header says whose peace it is to be: faults end, the machines
// named start, all of them come to the same state, logs and rows, every acknowledged write is there
// once, `AS OF` its position answers what it answered, and the directories verify.
//
// Thread rule: values; `run_scenario` uses one thread. Errors: `parse_scenario` fails with
// `usage.command` and names file, line and column, and what was expected there.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace kimberlite::vopr {

// What a statement's slot holds: its words as written, and their number if they are one: of
// durations nanoseconds, of per cent parts in a million.
struct Argument {
  std::string text;
  std::int64_t number = 0;
};

struct ScenarioStep {
  std::size_t line = 0;
  std::string text;
  std::size_t statement = 0;   // index in `statements()`
  std::uint64_t later_ns = 0;  // `in 300 ms …`: it happens then, and the story goes on meanwhile
  std::vector<Argument> arguments;
};

struct Scenario {
  std::string name;
  std::string story;
  std::vector<std::string> about;  // "rule 3", "disk: torn write"
  std::uint8_t replicas = 3;       // voters
  std::uint8_t standbys = 0;       // numbered after them
  std::uint8_t spares = 0;         // machines of members to come, numbered after all
  std::uint64_t seed = 1;
  std::uint64_t checkpoint_commands = 1'000'000;
  std::uint64_t ring_size = std::uint64_t{64} << 20;
  std::vector<std::uint8_t> peace;  // who takes part in the peace at the end; nobody: no peace
  std::vector<ScenarioStep> steps;

  [[nodiscard]] std::uint8_t members() const {
    return static_cast<std::uint8_t>(replicas + standbys);
  }
  [[nodiscard]] std::uint8_t machines() const {
    return static_cast<std::uint8_t>(replicas + standbys + spares);
  }
};

// `file` is for errors.
[[nodiscard]] Result<Scenario> parse_scenario(std::string_view text, std::string_view file);

// Words, and slots in `<>`.
struct StatementInfo {
  std::string_view pattern;
  std::string_view meaning;
};
[[nodiscard]] std::span<const StatementInfo> statements();

struct ScenarioResult {
  bool passed = false;
  std::string wrong;                // which step failed and why, and how the replicas stood then
  std::vector<std::string> events;  // what happened, with simulated times
  std::uint64_t digest = 0;         // of everything: equal for equal scenarios
};

// `go_on` is asked now and then; false ends the story early, as one that does not hold.
[[nodiscard]] ScenarioResult run_scenario(const Scenario& scenario,
                                          const std::function<bool()>& go_on = {});

}  // namespace kimberlite::vopr
