// kimberlite vopr run --scenario, vopr scenarios: stories of faults, told to whole groups.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app.hpp"
#include "cli/abort.hpp"
#include "cli/progress.hpp"
#include "stop.hpp"
#include "vopr/scenario.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr int exit_finding = 3;

Result<vopr::Scenario> read_scenario(App& app, const std::string& file) {
  KIMBERLITE_TRY(const std::string text, read_text(app.files(), file));
  return vopr::parse_scenario(text, file);
}

// An assertion that fails in it ends the process, saying which story it was.
vopr::ScenarioResult told(const vopr::Scenario& scenario, const std::string& again, Stop& stop) {
  say_at_abort(fmt::format("finding: an assertion of the product failed\n  again:    {}\n", again),
               exit_finding);
  vopr::ScenarioResult result = vopr::run_scenario(scenario, [&] { return stop.go_on(); });
  say_nothing_at_abort();
  return result;
}

}  // namespace

Result<int> list_stories(App& app, const VoprOptions& options) {
  auto names = app.files().list(options.directory);
  if (!names) return std::move(names).error().next("--directory DIR says where the stories are");
  std::vector<Row> rows;
  for (const std::string& name : *names) {
    if (!name.ends_with(".scn")) continue;
    KIMBERLITE_TRY(const vopr::Scenario scenario,
                   read_scenario(app, fmt::format("{}/{}", options.directory, name)));
    rows.push_back({scenario.name, std::int64_t{scenario.replicas},
                    fmt::format("{}", fmt::join(scenario.about, ", ")), scenario.story});
  }
  KIMBERLITE_CHECK(write_facts(app,
                               {{"scenario", catalog::Type{catalog::TypeKind::text}},
                                {"replicas", catalog::Type{catalog::TypeKind::bigint}},
                                {"about", catalog::Type{catalog::TypeKind::text}},
                                {"story", catalog::Type{catalog::TypeKind::text}}},
                               rows));
  return 0;
}

Result<int> tell_stories(App& app, const VoprOptions& options) {
  std::vector<vopr::Scenario> scenarios;
  for (const std::string& file : options.scenarios) {
    KIMBERLITE_TRY(vopr::Scenario scenario, read_scenario(app, file));
    scenarios.push_back(std::move(scenario));
  }
  Stop stop{app};
  std::vector<Row> rows;
  std::string events;
  std::optional<Error> error;  // of the first that does not hold
  for (std::size_t i = 0; i < scenarios.size() && stop.go_on(); ++i) {
    const std::string again =
        fmt::format("kimberlite vopr run --scenario {}", options.scenarios[i]);
    const vopr::ScenarioResult result = told(scenarios[i], again, stop);
    if (stop.is_over()) break;
    rows.push_back({scenarios[i].name, std::int64_t{scenarios[i].replicas}, result.passed,
                    static_cast<std::int64_t>(result.events.size()),
                    fmt::format("{:016x}", result.digest)});
    if (result.passed) continue;
    for (const std::string& event : result.events) events += event + "\n";
    events += fmt::format("{}: {}\n  again:    {}\n", scenarios[i].name, result.wrong, again);
    if (!error) {
      error = Error{Code::integrity_state, "the story {} does not hold", scenarios[i].name}
                  .where("{}", options.scenarios[i])
                  .why("{}", result.wrong)
                  .next("{}", again);
    }
  }
  int status = error ? exit_finding : 0;
  if (stop.is_over() && !error) {
    error = stop.error(fmt::format("after {} of {} stories", rows.size(), scenarios.size()));
    status = exit_status(class_of(error->code()));
  }
  KIMBERLITE_CHECK(app.messages().write(events));
  KIMBERLITE_CHECK(write_facts(app,
                               {{"scenario", catalog::Type{catalog::TypeKind::text}},
                                {"replicas", catalog::Type{catalog::TypeKind::bigint}},
                                {"holds", catalog::Type{catalog::TypeKind::boolean}},
                                {"events", catalog::Type{catalog::TypeKind::bigint}},
                                {"digest", catalog::Type{catalog::TypeKind::text}}},
                               rows, error));
  return status;
}

}  // namespace kimberlite::cli
