#include "vopr/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;

struct Weight {
  StepKind kind;
  std::uint64_t weight;
};
constexpr std::array step_weights{
    Weight{StepKind::insert, 18},      Weight{StepKind::upsert, 10},
    Weight{StepKind::update, 14},      Weight{StepKind::remove, 8},
    Weight{StepKind::list, 6},         Weight{StepKind::transaction, 8},
    Weight{StepKind::append, 8},       Weight{StepKind::add_column, 2},
    Weight{StepKind::make_index, 1},   Weight{StepKind::other_table, 3},
    Weight{StepKind::rotate_key, 1},   Weight{StepKind::duplicate, 7},
    Weight{StepKind::read, 6},         Weight{StepKind::read_past, 6},
    Weight{StepKind::read_stream, 2},  Weight{StepKind::sign, 1},
    Weight{StepKind::verify_table, 1}, Weight{StepKind::idle, 5},
};

// How many of a kind a life may have that has it, and how long each lasts.
struct Usual {
  IncidentKind kind;
  std::uint64_t most;
  std::uint64_t longest_ms;
};
constexpr std::array usual_incidents{
    Usual{IncidentKind::kill, 16, 3000},         Usual{IncidentKind::power_cut, 4, 1500},
    Usual{IncidentKind::cut, 14, 4000},          Usual{IncidentKind::isolation, 8, 4000},
    Usual{IncidentKind::clog, 8, 2000},          Usual{IncidentKind::pause, 6, 2500},
    Usual{IncidentKind::slow_disk, 4, 5000},     Usual{IncidentKind::clock_step, 6, 0},
    Usual{IncidentKind::clock_drift, 4, 0},      Usual{IncidentKind::journal_rot, 10, 800},
    Usual{IncidentKind::unreadable, 8, 0},       Usual{IncidentKind::lost_write, 6, 0},
    Usual{IncidentKind::superblock_rot, 4, 800}, Usual{IncidentKind::mark_rot, 4, 800},
    Usual{IncidentKind::snapshot_rot, 4, 800},   Usual{IncidentKind::projection_rot, 4, 800},
    Usual{IncidentKind::lost_disk, 1, 2000},     Usual{IncidentKind::io_errors, 4, 1500},
    Usual{IncidentKind::full_disk, 3, 3000},     Usual{IncidentKind::read_beside, 30, 0},
    Usual{IncidentKind::power_in_call, 12, 800},
};
constexpr std::array network_incidents{IncidentKind::loss, IncidentKind::doubles,
                                       IncidentKind::delay, IncidentKind::replay,
                                       IncidentKind::spoilt_frames};

StepKind any_step(Prng& choices) {
  std::uint64_t all = 0;
  for (const Weight& one : step_weights) all += one.weight;
  std::uint64_t left = choices.below(all);
  for (const Weight& one : step_weights) {
    if (left < one.weight) return one.kind;
    left -= one.weight;
  }
  return StepKind::idle;
}

void add_incidents(Plan& plan, Prng& choices) {
  for (const IncidentKind kind : network_incidents) {
    if (!choices.coin()) continue;
    plan.incidents.push_back(
        {.kind = kind, .step = 0, .after = 0, .for_ns = 0, .choice = choices.next()});
  }
  for (const Usual& usual : usual_incidents) {
    // Where a write may be lost, only what a mark names is acknowledged.
    const bool possible = usual.kind != IncidentKind::lost_write || plan.group.strict;
    const bool has = choices.below(5) < 3 && possible;
    const std::uint64_t count = 1 + choices.below(usual.most);
    for (std::uint64_t i = 0; has && i < count; ++i) {
      // Most strike while a call is under way, which is tens of events long; a power cut of all
      // also right after an answer.
      const auto after = static_cast<std::uint32_t>(choices.below(choices.coin() ? 40 : 400));
      const bool at_once = usual.kind == IncidentKind::power_cut && choices.coin();
      plan.incidents.push_back(
          {.kind = usual.kind,
           .step = static_cast<std::uint32_t>(choices.below(plan.steps.size())),
           .after = at_once ? 0 : after,
           .for_ns = usual.longest_ms == 0 ? 0 : (1 + choices.below(usual.longest_ms)) * ms,
           .choice = choices.next()});
    }
  }
  if (plan.beyond) {
    for (int i = 0; i < 12; ++i) {
      plan.incidents.push_back(
          {.kind = IncidentKind::journal_rot,
           .step = static_cast<std::uint32_t>(plan.steps.size() / 2 + choices.below(8)),
           .after = static_cast<std::uint32_t>(choices.below(40)),
           .for_ns = (1 + choices.below(800)) * ms,
           .choice = choices.next()});
    }
  }
  std::ranges::stable_sort(plan.incidents, {},
                           [](const Incident& one) { return std::pair{one.step, one.after}; });
}

// In a part of the lives the group changes. Choices of its own: the other lives stay as they are.
void let_group_change(Plan& plan) {
  Prng choices{plan.seed, 80};
  if (plan.beyond || choices.below(4) != 0) return;
  plan.group.standbys = static_cast<std::uint8_t>(1 + choices.below(2));
  for (Step& step : plan.steps) {
    if (choices.below(8) != 0) continue;
    step = {.kind = StepKind::change_group, .tenant = step.tenant, .choice = choices.next()};
  }
}

}  // namespace

Plan make_plan(std::uint64_t seed, const PlanOptions& options) {
  Prng choices{seed, 77};
  Plan plan{.seed = seed, .beyond = options.beyond};
  const std::uint8_t drawn = choices.below(4) == 0 ? 5 : 3;
  plan.group.voters = options.replicas.value_or(drawn);
  // Small ones wrap in a life.
  plan.group.ring_size = journal_ring_min << choices.below(3);
  const bool often = choices.below(3) != 0;
  const std::uint64_t commands = 4 + choices.below(50);
  if (often) plan.group.checkpoint_commands = commands;
  plan.group.quorum_timeout_ns = (1 + choices.below(8)) * 1000 * ms;
  plan.group.strict = choices.below(4) == 0;
  plan.group.forward = choices.below(3) == 0;
  for (std::uint64_t i = 0; i < steps_in_a_life; ++i) {
    const StepKind kind = any_step(choices);
    const auto tenant = static_cast<std::uint8_t>(choices.below(tenants_in_a_life));
    plan.steps.push_back({.kind = kind, .tenant = tenant, .choice = choices.next()});
  }
  add_incidents(plan, choices);
  let_group_change(plan);
  plan.step_numbers.resize(plan.steps.size());
  std::iota(plan.step_numbers.begin(), plan.step_numbers.end(), 0U);
  plan.incident_numbers.resize(plan.incidents.size());
  std::iota(plan.incident_numbers.begin(), plan.incident_numbers.end(), 0U);
  return plan;
}

Plan part_of(const Plan& plan, const std::vector<std::uint32_t>& steps,
             const std::vector<std::uint32_t>& incidents) {
  Plan part{.seed = plan.seed, .beyond = plan.beyond, .group = plan.group};
  const auto take = [](const auto& from, const std::vector<std::uint32_t>& has,
                       const std::vector<std::uint32_t>& wanted, auto& to, auto& numbers) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (std::ranges::find(wanted, has[i]) == wanted.end()) continue;
      to.push_back(from[i]);
      numbers.push_back(has[i]);
    }
  };
  take(plan.steps, plan.step_numbers, steps, part.steps, part.step_numbers);
  take(plan.incidents, plan.incident_numbers, incidents, part.incidents, part.incident_numbers);
  return part;
}

std::string ranges_text(const std::vector<std::uint32_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += text.empty() ? "" : ",";
    text += end - i == 1 ? fmt::format("{}", numbers[i])
                         : fmt::format("{}-{}", numbers[i], numbers[end - 1]);
    i = end;
  }
  return text.empty() ? "none" : text;
}

Result<std::vector<std::uint32_t>> parse_ranges(std::string_view text) {
  constexpr std::uint32_t number_max = 100'000;
  std::vector<std::uint32_t> numbers;
  if (text == "none") return numbers;
  const Error wrong =
      Error{Code::usage_option, "{} is no list of numbers", text}.next("write 0-4,7, or none");
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    std::uint32_t first = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc{}) return wrong;
    std::uint32_t last = first;
    if (parsed.ptr != end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
      if (parsed.ec != std::errc{}) return wrong;
    }
    if (last < first || last > number_max) return wrong;
    for (std::uint32_t number = first; number <= last; ++number) numbers.push_back(number);
    if (parsed.ptr == end) return numbers;
    if (*parsed.ptr != ',') return wrong;
    at = parsed.ptr + 1;
  }
}

std::string describe(const Step& step) {
  return fmt::format("{} in tenant t{}", step_names[static_cast<std::size_t>(step.kind)],
                     step.tenant);
}

std::string describe(const Incident& incident) {
  return fmt::format(
      "in step {}, event {}: {}{}", incident.step, incident.after, name(incident.kind),
      incident.for_ns == 0 ? std::string{} : fmt::format(", for {} ms", incident.for_ns / ms));
}

std::string repro_command(const Plan& plan) {
  std::string command =
      fmt::format("kimberlite vopr repro --seed {} --replicas {}", plan.seed, plan.group.voters);
  if (plan.beyond) command += " --beyond";
  const Plan whole = make_plan(plan.seed, {.replicas = plan.group.voters, .beyond = plan.beyond});
  if (plan.step_numbers != whole.step_numbers) {
    command += fmt::format(" --steps {}", ranges_text(plan.step_numbers));
  }
  if (plan.incident_numbers != whole.incident_numbers) {
    command += fmt::format(" --incidents {}", ranges_text(plan.incident_numbers));
  }
  return command;
}

}  // namespace kimberlite::vopr
