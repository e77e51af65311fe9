// What a case measures: a figure of the product beside its limit, measured in the same run.
//
// Both are measured in turns, round after round, since a machine's speed drifts; a line's ratio is
// the median of the rounds' ratios, its figure and limit the medians of theirs. Thread rule: one
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace kimberlite::bench {

[[nodiscard]] std::uint64_t now_ns();
// Seconds since `begun`, of `now_ns`.
[[nodiscard]] double seconds_since(std::uint64_t begun);
// What this process made the disk read so far; what was in memory does not count.
[[nodiscard]] std::uint64_t bytes_read_from_disk();
[[nodiscard]] double median(std::vector<double> samples);  // not of none

// Which side of the target is good.
enum class Bound : std::uint8_t { at_most, at_least };

// What stands in a line beside its numbers.
struct Subject {
  std::string name;    // of the case, with a suffix where it has several lines: "as_of/position"
  std::string figure;  // what was measured
  std::string limit;   // against what
  std::string unit;    // of both
  Bound bound = Bound::at_least;
  double target = 0;  // of the ratio figure / limit
};

class Series {
 public:
  explicit Series(Subject subject) : subject_(std::move(subject)) {}

  void add(double figure, double limit);
  // Another fact of the line, a number: "records".
  void note(std::string_view name, double value);
  [[nodiscard]] double ratio() const;
  [[nodiscard]] bool met() const;
  // One JSON object without its braces.
  [[nodiscard]] std::string json() const;
  // For a person, on one line.
  [[nodiscard]] std::string text() const;

 private:
  Subject subject_;
  std::vector<double> figures_;
  std::vector<double> limits_;
  std::vector<std::pair<std::string, double>> notes_;
};

// What the cases are told.
struct Settings {
  std::string scratch;     // a directory that is the program's own
  std::string kimberlite;  // the binary, for what is measured of a whole process
  std::uint64_t rounds = 5;
  std::uint64_t records = 0;  // of the open after a crash
  std::uint64_t import_rows = 0;
};

using Case = std::function<Result<std::vector<Series>>(const Settings&)>;

struct NamedCase {
  std::string_view name;
  Case run;
};

[[nodiscard]] std::vector<NamedCase> write_cases();
[[nodiscard]] std::vector<NamedCase> read_cases();
[[nodiscard]] std::vector<NamedCase> log_cases();
[[nodiscard]] std::vector<NamedCase> proof_cases();
[[nodiscard]] std::vector<NamedCase> group_cases();
[[nodiscard]] std::vector<NamedCase> process_cases();

// The child process of the open after a crash: fills `directory` and waits to be killed.
[[nodiscard]] Status fill_and_wait(const std::string& directory, std::uint64_t records);

}  // namespace kimberlite::bench
