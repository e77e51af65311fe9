#include "trouble.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::int64_t hour_us = 3'600'000'000;
constexpr std::int64_t right_us = 500'000;  // what drift alone comes to
// What one client, and one beside it, can have asked at a replica, with what was given up before.
constexpr std::uint64_t waiting_max = 8;
constexpr std::uint64_t opens_max = 40;  // of a replica that does not

}  // namespace

std::uint64_t LifeReport::incidents_total() const {
  std::uint64_t all = 0;
  for (const std::uint64_t count : incidents) all += count;
  return all;
}

Trouble::Trouble(Group& group, const Plan& plan, LifeReport& report,
                 std::function<void(std::uint8_t, std::uint64_t)> read_beside)
    : group_(group),
      plan_(plan),
      report_(report),
      read_beside_(std::move(read_beside)),
      atlas_(group, plan),
      seen_(group.size()) {}

void Trouble::note(std::string text, std::optional<std::uint8_t> replica,
                   std::optional<IncidentKind> incident) {
  if (incident) ++report_.incidents[static_cast<std::size_t>(*incident)];
  report_.story.push_back({now(), replica, incident, std::move(text)});
}

void Trouble::fail(Invariant invariant, const std::string& text) {
  if (report_.finding) return;
  note(fmt::format("FINDING {}: {}", name(invariant), text));
  report_.finding = {invariant, text + group_.picture()};
}

void Trouble::begin_step(std::uint32_t number) {
  step_ = number;
  step_events_ = 0;
}

void Trouble::look() {
  if (report_.finding) return;
  ++step_events_;
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    if (has_died(i)) kill(i, seen_[i].off_for_ns);
    observe(i);
  }
  while (!ends_.empty() && ends_.begin()->first <= now()) {
    const auto end = std::move(ends_.begin()->second);
    ends_.erase(ends_.begin());
    end();
  }
  while (!peace_ && next_ < plan_.incidents.size()) {
    const Incident& next = plan_.incidents[next_];
    const bool due = next.step < step_ || (next.step == step_ && next.after <= step_events_);
    if (!due) break;
    ++next_;
    strike(next);
  }
  start_due();
}

void Trouble::observe(std::uint8_t machine) {
  Seen& seen = seen_[machine];
  const auto glance = group_.glance(machine);
  const std::string_view state = glance ? glance->state : "down";
  if (atlas_.has_lost(machine)) {
    note(fmt::format("replica {} lost a write", machine), machine, IncidentKind::lost_write);
  }
  if (glance) {
    if (glance->view < seen.view) {
      fail(Invariant::view_monotone,
           fmt::format("replica {} went from view {} to {}", machine, seen.view, glance->view));
    }
    if (glance->committed < seen.committed) {
      fail(Invariant::commit_monotone,
           fmt::format("replica {} went from commit {} to {}", machine, seen.committed.value(),
                       glance->committed.value()));
    }
    if (glance->waiting > waiting_max) {
      fail(Invariant::queue_bounded,
           fmt::format("{} batches and reads wait at replica {}", glance->waiting, machine));
    }
    if (glance->checkpoint != seen.checkpoint) observe_checkpoint(machine);
    seen.checkpoint = glance->checkpoint;
    if (glance->primary && views_.insert(glance->view).second) ++report_.views;
    seen.committed = glance->committed;
    report_.commits = std::max(report_.commits, glance->committed.value());
    if (state == "failed" && !seen.back_at_ns) {
      note(fmt::format("replica {} stopped by itself and is to be started again", machine),
           machine);
      seen.back_at_ns = now() + 200 * ms;
    }
  }
  const bool primary = glance && glance->primary;
  const std::uint64_t view = glance ? glance->view : 0;
  const bool changed = state != seen.state || primary != seen.primary || view != seen.view;
  const bool moved =
      glance && seen.shown_commit != glance->committed && now() >= seen.shown_ns + 10 * ms;
  if (changed || moved) {
    report_.lanes.push_back({now(), machine, std::string{state}, primary, view,
                             glance ? glance->committed.value() : 0});
    seen.shown_ns = now();
    if (glance) seen.shown_commit = glance->committed;
  }
  seen.state = state;
  seen.primary = primary;
  seen.view = view;
}

// What a checkpoint says that follows from the log alone.
void Trouble::observe_checkpoint(std::uint8_t machine) {
  const auto here = atlas_.checkpoint(machine);
  if (!here) return;
  const auto& there = checkpoints_.emplace(here->op, *here).first->second;
  if (here->header_checksum == there.header_checksum &&
      here->next_timestamp == there.next_timestamp && here->heads == there.heads &&
      here->state == there.state) {
    return;
  }
  fail(Invariant::checkpoints_equal,
       fmt::format("the checkpoint of operation {} at replica {} is another than an earlier one",
                   here->op.value(), machine));
}

// Whom an incident strikes: half of the time the one that is asked something, whom it hurts.
std::uint8_t Trouble::whom(std::uint64_t choice) const {
  const auto busy = group_.busy();
  if (busy && (choice >> 40U) % 2 == 0) return *busy;
  return static_cast<std::uint8_t>(choice % group_.size());
}

void Trouble::strike(const Incident& incident) {
  const std::uint8_t one = whom(incident.choice);
  if (incident.kind == IncidentKind::read_beside) {
    const auto reader = static_cast<std::uint8_t>(incident.choice % group_.size());
    if (!group_.glance(reader) || group_.world().is_waiting(reader)) return;
    note(fmt::format("another client reads at replica {}", reader), reader, incident.kind);
    return read_beside_(reader, incident.choice >> 8U);
  }
  std::optional<std::string> done;
  std::optional<std::uint8_t> replica = one;
  if (incident.kind <= IncidentKind::spoilt_frames) {
    done = strike_network(incident);
    replica.reset();
  } else if (incident.kind <= IncidentKind::power_cut || incident.kind == IncidentKind::pause ||
             incident.kind == IncidentKind::clock_step ||
             incident.kind == IncidentKind::clock_drift ||
             incident.kind == IncidentKind::power_in_call) {
    done = strike_machine(incident, one);
  } else if (incident.kind <= IncidentKind::clog) {
    done = strike_link(incident, one);
  } else if (incident.kind >= IncidentKind::superblock_rot &&
             incident.kind <= IncidentKind::lost_disk) {
    done = strike_at_rest(incident, one);
  } else {
    done = strike_disk(incident, one);
  }
  // One that is to be lost counts when it is.
  if (done && incident.kind == IncidentKind::lost_write) return note(*done, one);
  if (done) note(*done, replica, incident.kind);
}

std::optional<std::string> Trouble::strike_network(const Incident& incident) {
  Prng choices{incident.choice, 21};
  std::string text;
  switch (incident.kind) {
    case IncidentKind::loss:
      network_.lost = static_cast<std::uint32_t>(1 + choices.below(100'000));
      text = fmt::format("{} frames in a million are lost", network_.lost);
      break;
    case IncidentKind::doubles:
      network_.doubled = static_cast<std::uint32_t>(1 + choices.below(80'000));
      text = fmt::format("{} frames in a million come twice", network_.doubled);
      break;
    case IncidentKind::delay:
      network_.delay_min_ns = 20'000 + choices.below(2 * ms);
      network_.delay_spread_ns = 1 + choices.below(25 * ms);
      text = fmt::format("frames take {} to {} us", network_.delay_min_ns / 1000,
                         (network_.delay_min_ns + network_.delay_spread_ns) / 1000);
      break;
    case IncidentKind::replay:
      network_.replayed = static_cast<std::uint32_t>(1 + choices.below(80'000));
      text = fmt::format("{} in a million: an earlier frame comes again", network_.replayed);
      break;
    default:
      network_.spoilt = static_cast<std::uint32_t>(1 + choices.below(30'000));
      text = fmt::format("{} frames in a million come spoilt", network_.spoilt);
  }
  group_.world().set_network(network_);
  return text;
}

std::optional<std::string> Trouble::strike_link(const Incident& incident, std::uint8_t one) {
  SimGroup& world = group_.world();
  const auto two = static_cast<std::uint8_t>(
      (one + 1 + (incident.choice >> 16U) % (group_.size() - 1U)) % group_.size());
  const bool both = (incident.choice >> 24U) % 2 == 0;
  if (incident.kind == IncidentKind::clog) {
    world.clog(one, two, now() + incident.for_ns);
    return fmt::format("what {} sends to {} is held back for {} ms", one, two,
                       incident.for_ns / ms);
  }
  if (incident.kind == IncidentKind::cut) {
    world.cut(one, two);
    if (both) world.cut(two, one);
    later(incident.for_ns, [&world, one, two, both] {
      world.join(one, two);
      if (both) world.join(two, one);
    });
    return fmt::format("{} no longer hears {}{} for {} ms", two, one, both ? ", nor it it" : "",
                       incident.for_ns / ms);
  }
  const bool says = both || (incident.choice >> 25U) % 2 == 0;
  const bool hears = both || !says;
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    if (i == one) continue;
    if (says) world.cut(one, i);
    if (hears) world.cut(i, one);
  }
  later(incident.for_ns, [&world, one, size = group_.size()] {
    for (std::uint8_t i = 0; i < size; ++i) {
      world.join(one, i);
      world.join(i, one);
    }
  });
  return fmt::format("{} is cut off{} for {} ms", one,
                     both   ? ""
                     : says ? ", but hears the others"
                            : ", but is heard by the others",
                     incident.for_ns / ms);
}

std::optional<std::string> Trouble::strike_machine(const Incident& incident, std::uint8_t one) {
  SimGroup& world = group_.world();
  Prng choices{incident.choice, 22};
  switch (incident.kind) {
    case IncidentKind::kill:
      if (!group_.is_up(one)) return std::nullopt;
      kill(one, incident.for_ns);
      return fmt::format("replica {} loses its power for {} ms", one, incident.for_ns / ms);
    case IncidentKind::power_cut:
      for (std::uint8_t i = 0; i < group_.size(); ++i) {
        if (group_.is_up(i)) kill(i, 1 + choices.below(incident.for_ns));
      }
      return fmt::format("all replicas lose their power");
    case IncidentKind::power_in_call: {
      // A turn is a few calls long, a checkpoint tens, an open hundreds.
      const std::uint64_t calls = 1 + choices.below(2ULL << choices.below(6));
      seen_[one].off_for_ns = incident.for_ns;
      if (choices.coin()) seen_[one].open_crashes_at = 1 + choices.below(2ULL << choices.below(9));
      if (!group_.is_up(one)) return std::nullopt;
      world.storage(one).crash_after(calls);
      return fmt::format("replica {} loses its power at the {}. call from now", one, calls);
    }
    case IncidentKind::pause:
      world.pause(one, now() + incident.for_ns);
      return fmt::format("replica {} stands still for {} ms", one, incident.for_ns / ms);
    case IncidentKind::clock_step: {
      const auto us =
          static_cast<std::int64_t>(choices.below(2 * static_cast<std::uint64_t>(hour_us))) -
          hour_us;
      std::size_t wrong = 0;
      for (std::uint8_t i = 0; i < group_.size(); ++i) {
        if (i != one && std::abs(world.clock_off_us(i)) > right_us) ++wrong;
      }
      // Of a majority that is wrong nobody could say so.
      if (wrong < atlas_.minority()) {
        world.step_clock(one, us);
        return fmt::format("the wall clock of replica {} jumps by {} s", one, us / 1'000'000);
      }
      world.step_clock(one, -world.clock_off_us(one));
      return fmt::format("the wall clock of replica {} is set right", one);
    }
    default: {
      const auto millionths = static_cast<std::int64_t>(choices.below(2001)) - 1000;
      world.drift_clock(one, millionths);
      return fmt::format("the wall clock of replica {} goes wrong by {} in a million", one,
                         millionths);
    }
  }
}

std::optional<std::string> Trouble::strike_disk(const Incident& incident, std::uint8_t one) {
  SimGroup& world = group_.world();
  Prng choices{incident.choice, 23};
  if (incident.kind == IncidentKind::journal_rot) {
    // What is only in memory still hides it: mostly it shows in the next life.
    auto done = atlas_.strike_prepare(one, incident.choice, false);
    if (done && group_.is_up(one) && choices.below(3) != 0) kill(one, incident.for_ns);
    return done;
  }
  if (!group_.is_up(one)) return std::nullopt;
  switch (incident.kind) {
    case IncidentKind::unreadable:
      return atlas_.strike_prepare(one, incident.choice, true);
    case IncidentKind::lost_write:
      if (!atlas_.lose_write(one)) return std::nullopt;
      return fmt::format("the disk of replica {} will lose its next prepare", one);
    case IncidentKind::slow_disk: {
      const std::uint64_t longer_us = 250 + 50 * choices.below(100);
      const bool all = choices.coin();
      for (std::uint8_t i = 0; i < group_.size(); ++i) {
        if ((i != one && !all) || !group_.is_up(i)) continue;
        world.storage(i).slow_down(longer_us * 1000);
        later(incident.for_ns, [&world, i] { world.storage(i).slow_down(0); });
      }
      return fmt::format("{} {} us longer for {} ms",
                         all ? "all disks take" : fmt::format("the disk of replica {} takes", one),
                         longer_us, incident.for_ns / ms);
    }
    default:
      break;
  }
  Faults faults;
  if (incident.kind == IncidentKind::full_disk) {
    faults.capacity = world.storage(one).used_bytes() + choices.below(200'000);
  } else {
    faults.write_failures = static_cast<std::uint32_t>(choices.below(60'000));
    faults.read_failures = static_cast<std::uint32_t>(choices.below(20'000));
  }
  world.storage(one).set_faults(faults);
  seen_[one].bad_disk = true;
  later(incident.for_ns, [this, one] {
    if (group_.is_up(one)) group_.world().storage(one).set_faults({});
    seen_[one].bad_disk = false;
  });
  return fmt::format("the disk of replica {} {} for {} ms", one,
                     incident.kind == IncidentKind::full_disk ? "is full" : "refuses calls",
                     incident.for_ns / ms);
}

std::optional<std::string> Trouble::strike_at_rest(const Incident& incident, std::uint8_t one) {
  if (!group_.is_up(one)) return std::nullopt;
  if (incident.kind == IncidentKind::lost_disk && !atlas_.lose_disk(one)) return std::nullopt;
  kill(one, incident.for_ns);
  switch (incident.kind) {
    case IncidentKind::lost_disk:
      seen_[one].lost_disk = true;
      return fmt::format("the disk of replica {} is lost", one);
    case IncidentKind::superblock_rot:
      return atlas_.strike_superblock(one, incident.choice);
    case IncidentKind::mark_rot:
      return atlas_.strike_mark(one, incident.choice);
    case IncidentKind::snapshot_rot:
      return atlas_.strike_snapshot(one, incident.choice);
    default:
      return atlas_.strike_projection(one, incident.choice);
  }
}

// ---- off and on -------------------------------------------------------------------------------

// Unnoticed so far. What a machine without power still does nobody sees.
bool Trouble::has_died(std::uint8_t machine) const {
  return group_.is_up(machine) ? group_.world().storage(machine).frozen() : !seen_[machine].off;
}

void Trouble::kill(std::uint8_t machine, std::uint64_t for_ns) {
  static_cast<void>(atlas_.has_lost(machine));
  group_.kill(machine);
  static_cast<void>(atlas_.has_lost(machine));
  Seen& seen = seen_[machine];
  seen.off = true;
  seen.committed = {};
  seen.view = 0;
  seen.back_at_ns = now() + for_ns;
  observe(machine);
}

void Trouble::later(std::uint64_t for_ns, std::function<void()> what) {
  ends_.emplace(now() + for_ns, std::move(what));
}

void Trouble::start_due() {
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    Seen& seen = seen_[i];
    if (!seen.back_at_ns || *seen.back_at_ns > now()) continue;
    if (group_.is_up(i)) {
      kill(i, 50 * ms);  // it stopped by itself
      continue;
    }
    if (!group_.world().is_waiting(i) && !group_.is_busy(i)) start(i);
  }
}

void Trouble::start(std::uint8_t machine) {
  Seen& seen = seen_[machine];
  seen.back_at_ns.reset();
  const std::uint64_t crash_at = peace_ ? 0 : std::exchange(seen.open_crashes_at, 0);
  const Status started = open(machine, crash_at);
  if (started) {
    seen.off = false;
    note(fmt::format("replica {} is back", machine), machine);
    return;
  }
  if (crash_at > 0 && group_.world().storage(machine).calls() >= crash_at) {
    note(fmt::format("replica {} loses its power while it opens", machine), machine);
    group_.kill(machine);
    seen.back_at_ns = now() + seen.off_for_ns;
    return;
  }
  const std::string why = to_string(started.error());
  note(fmt::format("replica {} does not open: {}", machine, why), machine);
  group_.kill(machine);
  if (!seen.bad_disk && !plan_.beyond) {
    fail(Invariant::opens_again, fmt::format("replica {}: {}", machine, why));
  }
  // Its disk may be better later.
  if (++seen.failures < opens_max && !peace_) seen.back_at_ns = now() + 500 * ms;
}

Status Trouble::open(std::uint8_t machine, std::uint64_t crash_at) {
  if (std::exchange(seen_[machine].lost_disk, false)) {
    group_.world().disk(machine) = {};
    KIMBERLITE_CHECK(group_.recover(machine));
  }
  if (crash_at > 0) group_.world().power_on(machine, {.crash_at = crash_at});
  return group_.start(machine);
}

void Trouble::calm() {
  for (auto& [at, end] : std::exchange(ends_, {})) end();
  group_.world().join_all();
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    group_.world().pause(i, 0);
    if (!group_.is_up(i) && !absent_.contains(i)) seen_[i].back_at_ns = now();
  }
}

void Trouble::make_peace() {
  note("peace");
  peace_ = true;
  calm();
  network_ = {};
  group_.world().set_network(network_);
  for (std::uint8_t i = 0; i < group_.size() && !report_.finding; ++i) {
    group_.world().drift_clock(i, 0);
    group_.world().step_clock(i, -group_.world().clock_off_us(i));
    if (group_.is_up(i)) group_.world().storage(i).set_faults({});
    const auto glance = group_.glance(i);
    if (has_died(i) || (glance && glance->state == "failed")) kill(i, 0);
  }
  draw_absent();
  for (std::uint8_t i = 0; i < group_.size() && !report_.finding; ++i) {
    if (!group_.is_up(i) && !absent_.contains(i)) start(i);
  }
}

// A majority has to go on without the others; not without one that may alone have whole what is
// damaged elsewhere.
void Trouble::draw_absent() {
  if (plan_.beyond) return;
  std::uint32_t spared = atlas_.minority();
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    if (spared > 0 && atlas_.is_sick(i)) --spared;
  }
  Prng choices{plan_.seed, 81};
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    if (spared == 0 || choices.below(2) == 0 || atlas_.is_sick(i)) continue;
    kill(i, 0);  // it may be off already
    seen_[i].back_at_ns.reset();
    absent_.insert(i);
    --spared;
    note(fmt::format("replica {} stays away", i), i);
  }
}

void Trouble::end_absence() {
  for (const std::uint8_t i : std::exchange(absent_, {})) {
    if (!report_.finding && !group_.is_up(i)) start(i);
  }
}

}  // namespace kimberlite::vopr
