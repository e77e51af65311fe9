// One life of a group of whole databases, as its plan tells it: clients that write, read and ask
// again, in the middle of whatever happens to machines, network and disks; then peace, in which the
// group must come to agreement, and everything it ever answered is held against what it has.
//
// Damage to disks is bounded by an atlas: at most a minority of the replicas has any that is not
// made good again (one, if the group changes), and only of what stands on another disk too. A plan
// `beyond` that is not bound by it: then the group need not go on, but may still not answer
// wrongly.
//
// Thread rule: one thread. Errors: a life has a finding or none; it does not fail otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "vopr/invariants.hpp"
#include "vopr/plan.hpp"

namespace kimberlite::vopr {

struct Finding {
  Invariant invariant = Invariant::acknowledged_kept;
  std::string text;
};

// What a lane of the timeline shows from a moment on.
struct LaneMark {
  std::uint64_t at_ns = 0;
  std::uint8_t replica = 0;
  std::string state;  // as a status says it, "down" or "closed"
  bool primary = false;
  std::uint64_t view = 0;
  std::uint64_t committed = 0;
};
// Something that happened, and to whom; without a replica: to all, or the network.
struct StoryMark {
  std::uint64_t at_ns = 0;
  std::optional<std::uint8_t> replica;
  std::optional<IncidentKind> incident;
  std::string text;
};

struct LifeReport {
  std::uint64_t seed = 0;
  std::uint8_t replicas = 0;  // voters at its begin
  std::uint8_t machines = 0;  // theirs, and those of standbys
  std::uint64_t events = 0;
  std::uint64_t simulated_ns = 0;
  std::uint64_t views = 0;  // that had a primary
  std::uint64_t commits = 0;
  std::uint64_t acknowledged = 0;  // writes
  std::uint64_t changes = 0;       // of the group
  std::uint64_t compared = 0;      // answers held against the model
  std::uint64_t frames_lost = 0;
  std::array<std::uint64_t, incident_names.size()> incidents{};  // that took effect, by kind
  bool refused = false;      // of a life beyond: the group did not go on
  std::uint64_t digest = 0;  // of everything that happened, in order
  std::vector<Hash> images;  // of every machine's disk at the end
  std::optional<Finding> finding;
  std::vector<LaneMark> lanes;
  std::vector<StoryMark> story;

  [[nodiscard]] std::uint64_t incidents_total() const;
};

// `go_on` is asked now and then; false ends the life early, without a finding.
[[nodiscard]] LifeReport live(const Plan& plan, const std::function<bool()>& go_on = {});
// So, into a report of the caller's, which has at each moment what happened before it, and from the
// last step on its counts.
void live(const Plan& plan, LifeReport& report, const std::function<bool()>& go_on);
// Gives a life that an assertion of the product ended its end: there, with that finding.
void break_off(LifeReport& report);

// The last `lines` of the story, as text.
[[nodiscard]] std::string last_of_story(const LifeReport& report, std::size_t lines);
// The life as a picture: a lane a replica over simulated time, with views, commits and incidents.
[[nodiscard]] std::string timeline_svg(const LifeReport& report);

}  // namespace kimberlite::vopr
