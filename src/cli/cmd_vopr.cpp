// kimberlite vopr: the simulator, driving the whole product from seeds.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "app.hpp"
#include "base/probe.hpp"
#include "cli/abort.hpp"
#include "cli/error_text.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "stop.hpp"
#include "vopr/life.hpp"
#include "vopr/live_apart.hpp"
#include "vopr/minimise.hpp"
#include "vopr/probes.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr int exit_finding = 3;
constexpr std::uint64_t told_every_ns = 200'000'000;
constexpr std::size_t last_events = 40;
constexpr unsigned longest_life_s = 600;  // of those that are made smaller
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
    const bool is_elsewhere =
        std::ranges::find(vopr::taken_elsewhere, probe.name, &vopr::TakenElsewhere::probe) !=
        vopr::taken_elsewhere.end();
    if (probe.hits == 0 && !is_elsewhere) names.emplace_back(probe.name);
  }
  return names;
}

class Vopr {
 public:
  Vopr(App& app, const VoprOptions& options)
      : app_(app), options_(options), stop_(app), begun_ns_(app.clock().monotonic_ns()) {}

  Result<int> run() {
    const auto found = [this](const vopr::LifeReport& life) -> Result<int> {
      KIMBERLITE_CHECK(write_total(error_of(life), {}));
      KIMBERLITE_CHECK(tell_finding(life));
      return exit_finding;
    };
    KIMBERLITE_TRY(const std::optional<vopr::LifeReport> bad, many(true, found));
    if (bad) return found(*bad);
    std::optional<Error> error;
    std::vector<std::string> missed;
    if (stop_.is_over()) {
      error = stopped_after();
    } else if (options_.require_probes) {
      missed = probes_never_hit();
    }
    if (!missed.empty()) {
      error = Error{Code::integrity_state, "{} never taken", plural(missed.size(), "probe")};
    }
    KIMBERLITE_CHECK(write_total(error, missed));
    for (const std::string& name : missed) {
      KIMBERLITE_CHECK(tell(fmt::format("never taken: {}\n", name)));
    }
    if (!error) return 0;
    if (!stop_.is_over()) return exit_finding;
    app_.say(error->what());
    return exit_status(class_of(error->code()));
  }

  Result<int> stats() {
    const auto found = [this](const vopr::LifeReport& life) -> Result<int> {
      KIMBERLITE_CHECK(write_probes());
      KIMBERLITE_CHECK(tell_finding(life));
      return exit_finding;
    };
    KIMBERLITE_TRY(const std::optional<vopr::LifeReport> bad, many(false, found));
    if (bad) return found(*bad);
    if (stop_.is_over()) return stopped_after();
    KIMBERLITE_CHECK(write_probes());
    return 0;
  }

  Result<int> repro() {
    KIMBERLITE_TRY(const vopr::Plan plan, chosen_plan());
    const auto told = [&](const vopr::LifeReport& life) { return tell_life(plan, life); };
    const vopr::LifeReport life = lived(plan, told);
    return stop_.is_over() ? stopped_within() : told(life);
  }

  Result<int> minimise() {
    const vopr::Plan plan = plan_of(options_.seed);
    KIMBERLITE_TRY(vopr::LifeReport whole, lived_apart(plan));
    if (stop_.is_over()) return stopped_within();
    if (!vopr::has_an_end(whole)) {
      app_.say(fmt::format("the life of seed {} has no finding: there is nothing to look for",
                           options_.seed));
      if (is_json()) KIMBERLITE_CHECK(write_document(std::nullopt, R"({"end":null})"));
      return 0;
    }
    Status lives;
    const vopr::Minimised smallest = vopr::minimise(
        plan, std::move(whole), options_.lives,
        [&](const vopr::Plan& part) {
          Result<vopr::LifeReport> life = lived_apart(part);
          if (life) return *std::move(life);
          lives = std::move(life).error();
          return vopr::LifeReport{};
        },
        [&](const vopr::Minimised& so_far) {
          progress(fmt::format("{} tried   {} steps and {} incidents left", so_far.lives,
                               so_far.plan.steps.size(), so_far.plan.incidents.size()));
          return lives && stop_.go_on();
        });
    end_progress();
    KIMBERLITE_CHECK(std::move(lives));
    KIMBERLITE_CHECK(write_smallest(plan, smallest));
    if (stop_.is_over()) return stopped_within();
    const bool ends = !smallest.report.finding || smallest.report.finding->text != vopr::endless;
    if (options_.svg && ends) {
      const auto drawn = [this](const vopr::LifeReport& life) -> Result<int> {
        KIMBERLITE_CHECK(draw(life));
        return exit_finding;
      };
      const vopr::LifeReport life = lived(smallest.plan, drawn);
      if (stop_.is_over()) return stopped_within();
      KIMBERLITE_CHECK(draw(life));
    }
    return smallest.report.finding ? exit_finding : 0;
  }

 private:
  [[nodiscard]] Error stopped_after() const {
    return stop_.error(fmt::format("after {} of {} seeds", total_.seeds, options_.count));
  }
  [[nodiscard]] Error stopped_within() const {
    return stop_.error(fmt::format("within a life of seed {}", options_.seed));
  }

  [[nodiscard]] bool is_json() const {
    return app_.format() == Format::json || app_.format() == Format::jsonl;
  }
  [[nodiscard]] vopr::Plan plan_of(std::uint64_t seed) const {
    vopr::PlanOptions how{.replicas = {}, .beyond = options_.beyond};
    if (options_.replicas) how.replicas = static_cast<std::uint8_t>(*options_.replicas);
    return vopr::make_plan(seed, how);
  }

  // The numbers of a whole plan go from 0 on.
  [[nodiscard]] Status check_numbers(std::string_view option,
                                     const std::vector<std::uint32_t>& asked,
                                     std::size_t count) const {
    const auto beyond =
        std::ranges::find_if(asked, [&](std::uint32_t number) { return number >= count; });
    if (beyond == asked.end()) return {};
    return Error{Code::usage_option, "{}: the life of seed {} has none numbered {}", option,
                 options_.seed, *beyond}
        .next("it has {}; kimberlite vopr repro --seed {} tells it", count, options_.seed);
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
    KIMBERLITE_CHECK(check_numbers("--steps", steps, plan.step_numbers.size()));
    KIMBERLITE_CHECK(check_numbers("--incidents", incidents, plan.incident_numbers.size()));
    return vopr::part_of(plan, steps, incidents);
  }

  // What is done with a life that has ended: the exit status.
  using Ended = std::function<Result<int>(const vopr::LifeReport&)>;

  // An assertion that fails in it ends the process, with what is done with any life that has a
  // finding: `broken_off`.
  vopr::LifeReport lived(const vopr::Plan& plan, const Ended& broken_off) {
    vopr::LifeReport life;
    say_at_abort(fmt::format("finding: an assertion of the product failed\n  again:    {}\n",
                             vopr::repro_command(plan)),
                 exit_finding, [&] {
                   vopr::break_off(life);
                   return broken_off(life).has_value();
                 });
    vopr::live(plan, life, [this] { return stop_.go_on(); });
    say_nothing_at_abort();
    return life;
  }
  // In a process of its own.
  Result<vopr::LifeReport> lived_apart(const vopr::Plan& plan) {
    const auto more = [this] { return stop_.go_on(); };
    KIMBERLITE_TRY(vopr::LifeReport life,
                   vopr::live_apart([&] { return vopr::live(plan, more); }, longest_life_s, more));
    life.seed = plan.seed;
    life.replicas = plan.group.voters;
    return life;
  }

  // The lives of all seeds; the first one with a finding ends it, and the process, with
  // `broken_off`, if it is an assertion that failed.
  Result<std::optional<vopr::LifeReport>> many(bool show, const Ended& broken_off) {
    for (std::uint64_t i = 0; i < options_.count && stop_.go_on(); ++i) {
      const vopr::Plan plan = plan_of(options_.seed + i);
      const auto count = [&](const vopr::LifeReport& life) -> Status {
        total_.add(life);
        return show ? write_life(plan, life) : Status{};
      };
      vopr::LifeReport life = lived(plan, [&](const vopr::LifeReport& broken) -> Result<int> {
        end_progress();
        KIMBERLITE_CHECK(count(broken));
        return broken_off(broken);
      });
      if (stop_.is_over()) break;
      KIMBERLITE_CHECK(count(life));
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

  // A life as `repro` tells it.
  Result<int> tell_life(const vopr::Plan& plan, const vopr::LifeReport& life) {
    total_.add(life);
    if (is_json()) {
      std::string data;
      append_life(data, life, vopr::repro_command(plan));
      KIMBERLITE_CHECK(
          write_document(life.finding ? std::optional{error_of(life)} : std::nullopt, data));
    } else {
      KIMBERLITE_CHECK(app_.out().write(vopr::last_of_story(life, life.story.size())));
      KIMBERLITE_CHECK(app_.out().write(summary() + "\n"));
    }
    if (life.finding) {
      KIMBERLITE_CHECK(tell(fmt::format("finding {}: {}\n", vopr::name(life.finding->invariant),
                                        life.finding->text)));
    }
    KIMBERLITE_CHECK(draw(life));
    return life.finding ? exit_finding : 0;
  }

  Status write_probes() {
    std::vector<Row> rows;
    for (const base::ProbeCount& probe : base::probe_counts()) {
      rows.push_back({std::string{probe.name}, static_cast<std::int64_t>(probe.hits)});
    }
    return write_facts(app_,
                       {{"probe", catalog::Type{catalog::TypeKind::text}},
                        {"hits", catalog::Type{catalog::TypeKind::bigint}}},
                       rows);
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

  [[nodiscard]] Error error_of(const vopr::LifeReport& life) const {
    return Error{Code::integrity_state, "the life of seed {} has a finding: {}", life.seed,
                 vopr::name(life.finding->invariant)}
        .why("{}", life.finding->text)
        .next("{}", vopr::repro_command(plan_with(life)));
  }

  Status write_document(const std::optional<Error>& error, const std::string& data) {
    if (app_.format() == Format::jsonl) return app_.out().write(data + "\n");
    std::string text = "{\"version\":1,\"command\":";
    append_json_string(text, app_.invocation().command);
    text += fmt::format(",\"ok\":{},\"data\":{},\"error\":", !error, data);
    if (error) {
      append_error_json(text, *error, "");
    } else {
      text += "null";
    }
    return app_.out().write(text + "}\n");
  }

  Status write_total(const std::optional<Error>& error, const std::vector<std::string>& missed) {
    const double seconds =
        static_cast<double>(app_.clock().monotonic_ns() - begun_ns_) / 1'000'000'000;
    app_.say(
        fmt::format("{} simulated, {} views, {} writes acknowledged, {} answers compared, {}{:.0f} "
                    "events a second",
                    duration_text(total_.simulated_ns / 1'000'000'000), grouped(total_.views),
                    grouped(total_.acknowledged), grouped(total_.compared),
                    options_.beyond ? fmt::format("{} refused, ", plural(total_.refused, "group"))
                                    : std::string{},
                    static_cast<double>(total_.events) / std::max(seconds, 0.001)));
    if (app_.format() == Format::csv) {
      app_.say(summary());  // no row of that table
      return {};
    }
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
    return app_.format() == Format::json ? write_document(error, data)
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
      std::optional<Error> error;
      if (smallest.report.finding) error = error_of(smallest.report).next("{}", command);
      return write_document(error, data);
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
    // A finding is told wherever pictures may not be written.
    const Status drawn = write_text(app_.files(), picture, vopr::timeline_svg(life));
    return tell(fmt::format(
        "{}finding {}: {}\n  timeline: {}\n  again:    {}\n  smaller:  kimberlite vopr minimise "
        "--seed {} --replicas {}{}\n",
        vopr::last_of_story(life, last_events), vopr::name(life.finding->invariant),
        life.finding->text, drawn ? picture : "not written: " + to_string(drawn.error()),
        vopr::repro_command(plan_with(life)), life.seed, life.replicas,
        options_.beyond ? " --beyond" : ""));
  }

  // The picture that was asked for, behind all that is told.
  Status draw(const vopr::LifeReport& life) {
    if (!options_.svg) return {};
    return write_text(app_.files(), *options_.svg, vopr::timeline_svg(life));
  }

  [[nodiscard]] vopr::Plan plan_with(const vopr::LifeReport& life) const {
    return vopr::make_plan(life.seed, {.replicas = life.replicas, .beyond = options_.beyond});
  }

  Status tell(std::string_view text) { return app_.messages().write(text); }

  void progress(const std::string& line) {
    const std::uint64_t now = app_.clock().monotonic_ns();
    const bool is_due = now >= told_ns_ + told_every_ns;
    if (app_.terminal().width == 0 || app_.invocation().quiet || !is_due) return;
    told_ns_ = now;
    static_cast<void>(tell(std::string{back_and_erase} + line).has_value());
  }
  void end_progress() {
    if (told_ns_ > 0) static_cast<void>(tell(back_and_erase).has_value());
    told_ns_ = 0;
  }

  App& app_;
  const VoprOptions& options_;
  Stop stop_;
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
      return options.scenarios.empty() ? command.run() : tell_stories(app, options);
    case VoprAction::repro:
      return command.repro();
    case VoprAction::minimise:
      return command.minimise();
    case VoprAction::scenarios:
      return list_stories(app, options);
    case VoprAction::stats:
      return command.stats();
  }
  return 0;
}

}  // namespace kimberlite::cli
