// kimberlite_bench: measures the product against its limits and prints one JSON object a line.
//
//   --scratch=DIR      a directory on the disk that is measured; made anew, and removed at the end
//   --kimberlite=FILE  the binary whose import is measured
//   --case=NAME        only the cases whose name begins so; may be repeated
//   --rounds=N         rounds of each case (5); more are steadier
//   --long             10 M records before the crash, 1 M rows to import
//   --facts=JSON       members every line begins with: machine, commit, time
//
// For a person the same goes to standard error. Exit 1 if something failed; a target missed is a
// result, and no failure.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <filesystem>

#include "measure.hpp"
#include "plain.hpp"

namespace kimberlite::bench {
namespace {

constexpr std::uint64_t records_short = 200'000;
constexpr std::uint64_t records_long = 10'000'000;
constexpr std::uint64_t import_rows_short = 200'000;
constexpr std::uint64_t import_rows_long = 1'000'000;

struct Arguments {
  Settings settings{.records = records_short, .import_rows = import_rows_short};
  std::vector<std::string> cases;
  std::string facts;
  std::string fill;  // the child's
};

bool take_number(std::string_view text, std::uint64_t& into) {
  const auto end = std::from_chars(text.data(), text.data() + text.size(), into);
  return end.ec == std::errc{} && end.ptr == text.data() + text.size() && into > 0;
}

bool take(std::string_view word, Arguments& into) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view{} : word.substr(equals + 1);
  if (name == "--long" && value.empty()) {
    into.settings.records = records_long;
    into.settings.import_rows = import_rows_long;
    return true;
  }
  if (value.empty()) return false;
  if (name == "--rounds") return take_number(value, into.settings.rounds);
  if (name == "--records") return take_number(value, into.settings.records);
  if (name == "--case") {
    into.cases.emplace_back(value);
    return true;
  }
  std::string* text = name == "--scratch"      ? &into.settings.scratch
                      : name == "--kimberlite" ? &into.settings.kimberlite
                      : name == "--facts"      ? &into.facts
                      : name == "--fill"       ? &into.fill
                                               : nullptr;
  if (text == nullptr) return false;
  *text = value;
  return true;
}

bool wanted(std::string_view name, const std::vector<std::string>& cases) {
  if (cases.empty()) return true;
  for (const std::string& prefix : cases) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

// Every case has the scratch directory for itself.
Status run_case(const NamedCase& named, const Arguments& arguments) {
  KIMBERLITE_CHECK(make_empty(arguments.settings.scratch));
  const std::uint64_t begun = now_ns();
  KIMBERLITE_TRY(const std::vector<Series> all, named.run(arguments.settings));
  for (const Series& series : all) {
    fmt::print(stdout, "{{{}{}{}}}\n", arguments.facts, arguments.facts.empty() ? "" : ",",
               series.json());
    fmt::print(stderr, "{}\n", series.text());
  }
  std::fflush(stdout);
  fmt::print(stderr, "{:<24} took {:.0f} s\n", named.name, seconds_since(begun));
  return {};
}

Status run(const Arguments& arguments) {
  if (!arguments.fill.empty()) {
    return fill_and_wait(arguments.fill, arguments.settings.records);
  }
  std::size_t ran = 0;
  for (const auto& cases :
       {write_cases(), read_cases(), log_cases(), proof_cases(), group_cases(), process_cases()}) {
    for (const NamedCase& named : cases) {
      if (!wanted(named.name, arguments.cases)) continue;
      if (Status done = run_case(named, arguments); !done) {
        return Error{done.error()}.where("case {}", named.name);
      }
      ++ran;
    }
  }
  if (ran == 0) return Error{Code::usage_option, "there is no such case"};
  std::error_code ignored;
  std::filesystem::remove_all(arguments.settings.scratch, ignored);
  return {};
}

}  // namespace
}  // namespace kimberlite::bench

int main(int count, char** words) {
  using namespace kimberlite;
  bench::Arguments arguments;
  bool understood = true;
  for (int i = 1; i < count; ++i) understood = understood && bench::take(words[i], arguments);
  if (!understood || (arguments.settings.scratch.empty() && arguments.fill.empty())) {
    fmt::print(stderr, "usage: see the head of bench/main.cpp; bench/run calls this program\n");
    return 2;
  }
  const Status done = bench::run(arguments);
  if (!done) fmt::print(stderr, "{}\n", to_string(done.error()));
  return done ? 0 : 1;
}
