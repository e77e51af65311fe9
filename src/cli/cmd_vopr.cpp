// kimberlite vopr: the simulator, driving the whole product from seeds.
#include <fmt/format.h>

#include <algorithm>

#include "app.hpp"
#include "base/probe.hpp"
#include "cli/interrupt.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "vopr/life.hpp"
#include "vopr/minimise.hpp"
#include "vopr/scenario.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr int exit_finding = 3;
constexpr int exit_interrupted = 9;
constexpr std::uint64_t told_every_ns = 200'000'000;
constexpr std::size_t last_events = 40;
constexpr std::string_view back_and_erase = "\r\x1b[K";

std::uint64_t faults_of(const vopr::LifeReport& life) {
  return life.incidents_total() -
         life.incidents[static_cast<std::size_t>(vopr::IncidentKind::read_beside)];
}

// What the lives of many seeds came to.
struct Total {
  std::uint64_t seeds = 0;
  std::uint64_t events = 0;
  std::uint64_t faults = 0;
  std::uint64_t simulated_ns = 0;
  std::uint64_t views = 0;
  std::uint64_t commits = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t compared = 0;
  std::uint64_t refused = 0;
  std::uint64_t digest = 0;
  std::array<std::uint64_t, vopr::incident_names.size()> incidents{};

  void add(const vopr::LifeReport& life) {
    ++seeds;
    events += life.events;
    faults += faults_of(life);
    simulated_ns += life.simulated_ns;
    views += life.views;
    commits += life.commits;
    acknowledged += life.acknowledged;
    compared += life.compared;
    refused += life.refused ? 1 : 0;
    digest = vopr::Prng(digest ^ life.digest, life.seed).next();
    for (std::size_t i = 0; i < incidents.size(); ++i) incidents[i] += life.incidents[i];
  }
};

std::string hex(std::uint64_t digest) { return fmt::format("{:016x}", digest); }

void append_counts(JsonObject& object, const Total& total) {
  object.number("seeds", total.seeds);
  object.number("events", total.events);
  object.number("faults", total.faults);
  object.text("digest", hex(total.digest));
  object.number("simulated_ms", total.simulated_ns / 1'000'000);
  object.number("views", total.views);
  object.number("commits", total.commits);
  object.number("acknowledged", total.acknowledged);
  object.number("compared", total.compared);
  object.number("refused", total.refused);
}

void append_incidents(std::string& to,
                      const std::array<std::uint64_t, vopr::incident_names.size()>& incidents) {
  JsonObject object{to};
  for (std::size_t i = 0; i < incidents.size(); ++i) {
    object.number(vopr::incident_names[i], incidents[i]);
  }
}

void append_life(std::string& to, const vopr::LifeReport& life, const std::string& command) {
  JsonObject object{to};
  object.number("seed", life.seed);
  object.number("replicas", life.replicas);
  object.number("events", life.events);
  object.number("faults", faults_of(life));
  object.text("digest", hex(life.digest));
  object.number("simulated_ms", life.simulated_ns / 1'000'000);
  object.number("views", life.views);
  object.number("commits", life.commits);
  object.number("acknowledged", life.acknowledged);
  object.number("compared", life.compared);
  object.boolean("refused", life.refused);
  object.member("incidents");
  append_incidents(to, life.incidents);
  object.member("finding");
  if (life.finding) {
    JsonObject finding{to};
    finding.text("invariant", vopr::name(life.finding->invariant));
    finding.text("text", life.finding->text);
    finding.text("repro", command);
  } else {
    to += "null";
  }
}

void append_probes(std::string& to) {
  JsonObject object{to};
  for (const base::ProbeCount& probe : base::probe_counts()) object.number(probe.name, probe.hits);
}

std::vector<std::string> probes_never_hit() {
  std::vector<std::string> names;
  for (const base::ProbeCount& probe : base::probe_counts()) {
    if (probe.hits == 0) names.emplace_back(probe.name);
  }
  return names;
}

class Vopr {
 public:
  Vopr(App& app, const VoprOptions& options)
      : app_(app), options_(options), begun_ns_(app.clock().monotonic_ns()) {}

  Result<int> run() {
    if (!options_.scenarios.empty()) return tell_stories();
    KIMBERLITE_TRY(std::optional<vopr::LifeReport> bad, many(true));
    if (interrupted()) return exit_interrupted;
    const std::vector<std::string> missed =
        options_.require_probes ? probes_never_hit() : std::vector<std::string>{};
    KIMBERLITE_CHECK(write_total(!bad && missed.empty(), missed));
    if (bad) {
      KIMBERLITE_CHECK(tell_finding(*bad));
      return exit_finding;
    }
    for (const std::string& name : missed) app_.say(fmt::format("never taken: {}", name));
    return missed.empty() ? 0 : exit_finding;
  }

  Result<int> stats() {
    KIMBERLITE_TRY(std::optional<vopr::LifeReport> bad, many(false));
    if (interrupted()) return exit_interrupted;
    std::vector<Row> rows;
    for (const base::ProbeCount& probe : base::probe_counts()) {
      rows.push_back({std::string{probe.name}, static_cast<std::int64_t>(probe.hits)});
    }
    KIMBERLITE_CHECK(write_facts(app_,
                                 {{"probe", catalog::Type{catalog::TypeKind::text}},
                                  {"hits", catalog::Type{catalog::TypeKind::bigint}}},
                                 rows));
    if (!bad) return 0;
    KIMBERLITE_CHECK(tell_finding(*bad));
    return exit_finding;
  }

  Result<int> scenarios() {
    KIMBERLITE_TRY(const std::vector<std::string> names, app_.files().list(options_.directory));
    std::vector<Row> rows;
    for (const std::string& name : names) {
      if (!name.ends_with(".scn")) continue;
      KIMBERLITE_TRY(const vopr::Scenario scenario,
                     read_scenario(fmt::format("{}/{}", options_.directory, name)));
      rows.push_back({scenario.name, std::int64_t{scenario.replicas},
                      fmt::format("{}", fmt::join(scenario.about, ", ")), scenario.story});
    }
    KIMBERLITE_CHECK(write_facts(app_,
                                 {{"scenario", catalog::Type{catalog::TypeKind::text}},
                                  {"replicas", catalog::Type{catalog::TypeKind::bigint}},
                                  {"about", catalog::Type{catalog::TypeKind::text}},
                                  {"story", catalog::Type{catalog::TypeKind::text}}},
                                 rows));
    return 0;
  }

  Result<int> repro() {
    KIMBERLITE_TRY(const vopr::Plan plan, chosen_plan());
    const vopr::LifeReport life = vopr::live(plan, [] { return !interrupted(); });
    if (interrupted()) return exit_interrupted;
    if (options_.svg) {
      KIMBERLITE_CHECK(write_text(app_.files(), *options_.svg, vopr::timeline_svg(life)));
    }
    total_.add(life);
    if (is_json()) {
      std::string data;
      append_life(data, life, vopr::repro_command(plan));
      KIMBERLITE_CHECK(write_document(!life.finding, data));
    } else {
      KIMBERLITE_CHECK(app_.out().write(vopr::last_of_story(life, life.story.size())));
      KIMBERLITE_CHECK(app_.out().write(summary() + "\n"));
    }
    if (!life.finding) return 0;
    KIMBERLITE_CHECK(
        tell(fmt::format("{}: {}\n", vopr::name(life.finding->invariant), life.finding->text)));
    return exit_finding;
  }

  Result<int> minimise() {
    const vopr::Plan plan = plan_of(options_.seed);
    vopr::LifeReport whole = vopr::live(plan, [] { return !interrupted(); });
    if (interrupted()) return exit_interrupted;
    if (!vopr::has_an_end(whole)) {
      app_.say(fmt::format("the life of seed {} has no finding: there is nothing to look for",
                           options_.seed));
      return 0;
    }
    const vopr::Minimised smallest =
        vopr::minimise(plan, std::move(whole), options_.lives, [&](const vopr::Minimised& so_far) {
          progress(fmt::format("{} lives   {} steps and {} incidents left", so_far.lives,
                               so_far.plan.steps.size(), so_far.plan.incidents.size()));
          return !interrupted();
        });
    end_progress();
    if (options_.svg) {
      KIMBERLITE_CHECK(
          write_text(app_.files(), *options_.svg, vopr::timeline_svg(smallest.report)));
    }
    KIMBERLITE_CHECK(write_smallest(plan, smallest));
    if (interrupted()) return exit_interrupted;
    return smallest.report.finding ? exit_finding : 0;
  }

 private:
  [[nodiscard]] bool is_json() const {
    return app_.format() == Format::json || app_.format() == Format::jsonl;
  }
  [[nodiscard]] vopr::Plan plan_of(std::uint64_t seed) const {
    vopr::PlanOptions how{.replicas = {}, .beyond = options_.beyond};
    if (options_.replicas) how.replicas = static_cast<std::uint8_t>(*options_.replicas);
    return vopr::make_plan(seed, how);
  }

  Result<vopr::Plan> chosen_plan() const {
    vopr::Plan plan = plan_of(options_.seed);
    if (!options_.steps && !options_.incidents) return plan;
    std::vector<std::uint32_t> steps = plan.step_numbers;
    std::vector<std::uint32_t> incidents = plan.incident_numbers;
    if (options_.steps) {
      KIMBERLITE_TRY(steps, vopr::parse_ranges(*options_.steps));
    }
    if (options_.incidents) {
      KIMBERLITE_TRY(incidents, vopr::parse_ranges(*options_.incidents));
    }
    return vopr::part_of(plan, steps, incidents);
  }

  Result<vopr::Scenario> read_scenario(const std::string& file) {
    KIMBERLITE_TRY(const std::string text, read_text(app_.files(), file));
    return vopr::parse_scenario(text, file);
  }

  Result<int> tell_stories() {
    std::vector<Row> rows;
    std::string findings;
    for (const std::string& file : options_.scenarios) {
      KIMBERLITE_TRY(const vopr::Scenario scenario, read_scenario(file));
      const vopr::ScenarioResult result = vopr::run_scenario(scenario);
      rows.push_back({scenario.name, std::int64_t{scenario.replicas}, result.passed,
                      static_cast<std::int64_t>(result.events.size()), hex(result.digest)});
      if (result.passed) continue;
      for (const std::string& event : result.events) findings += event + "\n";
      findings += fmt::format("{}: {}\n", scenario.name, result.wrong);
    }
    KIMBERLITE_CHECK(write_facts(app_,
                                 {{"scenario", catalog::Type{catalog::TypeKind::text}},
                                  {"replicas", catalog::Type{catalog::TypeKind::bigint}},
                                  {"holds", catalog::Type{catalog::TypeKind::boolean}},
                                  {"events", catalog::Type{catalog::TypeKind::bigint}},
                                  {"digest", catalog::Type{catalog::TypeKind::text}}},
                                 rows));
    if (findings.empty()) return 0;
    KIMBERLITE_CHECK(tell(findings));
    return exit_finding;
  }

  // The lives of all seeds; the first one with a finding ends it.
  Result<std::optional<vopr::LifeReport>> many(bool show) {
    for (std::uint64_t i = 0; i < options_.count && !interrupted(); ++i) {
      const vopr::Plan plan = plan_of(options_.seed + i);
      vopr::LifeReport life = vopr::live(plan, [] { return !interrupted(); });
      if (interrupted()) break;
      total_.add(life);
      if (show) KIMBERLITE_CHECK(write_life(plan, life));
      const double seconds =
          static_cast<double>(app_.clock().monotonic_ns() - begun_ns_) / 1'000'000'000;
      progress(fmt::format("{} of {} seeds   {} events   {:.0f} a second", i + 1, options_.count,
                           grouped(total_.events),
                           static_cast<double>(total_.events) / std::max(seconds, 0.001)));
      if (life.finding) {
        end_progress();
        return std::optional{std::move(life)};
      }
    }
    end_progress();
    return std::optional<vopr::LifeReport>{};
  }

  Status write_life(const vopr::Plan& plan, const vopr::LifeReport& life) {
    std::string text;
    if (app_.format() == Format::csv) {
      if (total_.seeds == 1) {
        text =
            "seed,replicas,events,faults,digest,simulated_ms,views,commits,acknowledged,"
            "compared,refused,finding\n";
      }
      text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{}\n", life.seed, life.replicas,
                          life.events, faults_of(life), hex(life.digest),
                          life.simulated_ns / 1'000'000, life.views, life.commits,
                          life.acknowledged, life.compared, life.refused ? "true" : "false",
                          life.finding ? vopr::name(life.finding->invariant) : "");
    } else if (is_json()) {
      append_life(text, life, vopr::repro_command(plan));
      if (app_.format() == Format::json) {
        lives_ += (lives_.empty() ? "" : ",") + text;
        return {};
      }
      text += '\n';
    }
    return text.empty() ? Status{} : app_.out().write(text);
  }

  [[nodiscard]] std::string summary() const {
    return fmt::format("{}   {} events   {} faults   digest {}", plural(total_.seeds, "seed"),
                       grouped(total_.events), grouped(total_.faults), hex(total_.digest));
  }

  Status write_document(bool ok, const std::string& data) {
    if (app_.format() == Format::jsonl) return app_.out().write(data + "\n");
    std::string text = "{\"version\":1,\"command\":";
    append_json_string(text, app_.invocation().command);
    text += fmt::format(",\"ok\":{},\"data\":{},\"error\":null}}\n", ok, data);
    return app_.out().write(text);
  }

  Status write_total(bool ok, const std::vector<std::string>& missed) {
    const double seconds =
        static_cast<double>(app_.clock().monotonic_ns() - begun_ns_) / 1'000'000'000;
    app_.say(
        fmt::format("{} simulated, {} views, {} writes acknowledged, {} answers compared, {:.0f} "
                    "events a second",
                    duration_text(total_.simulated_ns / 1'000'000'000), grouped(total_.views),
                    grouped(total_.acknowledged), grouped(total_.compared),
                    static_cast<double>(total_.events) / std::max(seconds, 0.001)));
    if (app_.format() == Format::csv) return {};
    if (!is_json()) return app_.out().write(summary() + "\n");
    std::string data;
    {
      JsonObject object{data};
      append_counts(object, total_);
      object.member("incidents");
      append_incidents(data, total_.incidents);
      object.member("probes");
      append_probes(data);
      object.member("never_taken");
      data += '[';
      for (const std::string& name : missed) {
        if (data.back() != '[') data += ',';
        append_json_string(data, name);
      }
      data += ']';
      if (app_.format() == Format::json) {
        object.member("lives");
        data += "[" + lives_ + "]";
      }
    }
    return app_.format() == Format::json ? write_document(ok, data)
                                         : app_.out().write("{\"summary\":" + data + "}\n");
  }

  Status write_smallest(const vopr::Plan& plan, const vopr::Minimised& smallest) {
    const std::string command = vopr::repro_command(smallest.plan);
    const std::string end = smallest.report.finding
                                ? std::string{vopr::name(smallest.report.finding->invariant)}
                                : "refused";
    if (is_json()) {
      std::string data;
      {
        JsonObject object{data};
        object.text("end", end);
        object.number("lives", smallest.lives);
        object.boolean("finished", smallest.finished);
        object.number("steps", smallest.plan.steps.size());
        object.number("incidents", smallest.plan.incidents.size());
        object.text("repro", command);
      }
      return write_document(!smallest.report.finding, data);
    }
    std::string text = fmt::format(
        "ends with {}: {} of {} steps and {} of {} incidents are needed{}\n", end,
        smallest.plan.steps.size(), plan.steps.size(), smallest.plan.incidents.size(),
        plan.incidents.size(), smallest.finished ? "" : " (there was no time to try all)");
    for (std::size_t i = 0; i < smallest.plan.steps.size(); ++i) {
      text += fmt::format("  step {}: {}\n", smallest.plan.step_numbers[i],
                          vopr::describe(smallest.plan.steps[i]));
    }
    for (std::size_t i = 0; i < smallest.plan.incidents.size(); ++i) {
      text += fmt::format("  incident {}: {}\n", smallest.plan.incident_numbers[i],
                          vopr::describe(smallest.plan.incidents[i]));
    }
    return app_.out().write(text + command + "\n");
  }

  // What it was, what went before, and how to see it again.
  Status tell_finding(const vopr::LifeReport& life) {
    const std::string picture = options_.svg.value_or(fmt::format("vopr-seed-{}.svg", life.seed));
    KIMBERLITE_CHECK(write_text(app_.files(), picture, vopr::timeline_svg(life)));
    return tell(fmt::format(
        "{}finding {}: {}\n  timeline: {}\n  again:    {}\n  smaller:  kimberlite vopr minimise "
        "--seed {} --replicas {}{}\n",
        vopr::last_of_story(life, last_events), vopr::name(life.finding->invariant),
        life.finding->text, picture, vopr::repro_command(plan_with(life)), life.seed, life.replicas,
        options_.beyond ? " --beyond" : ""));
  }

  [[nodiscard]] vopr::Plan plan_with(const vopr::LifeReport& life) const {
    return vopr::make_plan(life.seed, {.replicas = life.replicas, .beyond = options_.beyond});
  }

  Status tell(std::string_view text) { return app_.messages().write(text); }

  void progress(const std::string& line) {
    const std::uint64_t now = app_.clock().monotonic_ns();
    if (app_.terminal().width == 0 || now < told_ns_ + told_every_ns) return;
    told_ns_ = now;
    static_cast<void>(tell(std::string{back_and_erase} + line).has_value());
  }
  void end_progress() {
    if (told_ns_ > 0) static_cast<void>(tell(back_and_erase).has_value());
    told_ns_ = 0;
  }

  App& app_;
  const VoprOptions& options_;
  std::uint64_t begun_ns_;
  std::uint64_t told_ns_ = 0;
  Total total_;
  std::string lives_;  // of a json document
};

}  // namespace

Result<int> run_vopr(App& app, const VoprOptions& options) {
  Vopr command{app, options};
  switch (options.action) {
    case VoprAction::run:
      return command.run();
    case VoprAction::repro:
      return command.repro();
    case VoprAction::minimise:
      return command.minimise();
    case VoprAction::scenarios:
      return command.scenarios();
    case VoprAction::stats:
      return command.stats();
  }
  return 0;
}

}  // namespace kimberlite::cli
