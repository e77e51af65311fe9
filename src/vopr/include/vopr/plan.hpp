// What will happen in one life of a group: its shape, the steps of its clients, and the incidents
// in the middle of them. All of it follows from a seed; a life is then told by its plan alone, so a
// plan with some steps or incidents left out is a life too, and can be made smaller (minimise.hpp).
//
// Each plan has a few kinds of incidents only, so that one does not drown what another would show.
//
// Thread rule: values and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "vopr/group.hpp"

namespace kimberlite::vopr {

inline constexpr std::uint8_t tenants_in_a_life = 3;
inline constexpr std::uint64_t steps_in_a_life = 110;

enum class StepKind : std::uint8_t {
  insert,        // a row that is new, or one that is there, which is refused
  upsert,        //
  update,        //
  remove,        //
  list,          // an atomic list of statements
  transaction,   // BEGIN … COMMIT
  append,        // events to a stream, some at a sequence that is wrong
  add_column,    //
  make_index,    //
  other_table,   // made, or dropped
  rotate_key,    // the tenant's data key
  duplicate,     // an earlier request once more
  read,          // the whole present
  read_past,     // at an earlier position or time
  read_stream,   //
  sign,          // a signed head and a receipt that hold
  verify_table,  //
  idle,          //
  change_group,  // a standby is to vote, or a voter not to
};
inline constexpr std::array<std::string_view, 19> step_names{
    "insert",      "upsert",       "update",     "remove",      "list",
    "transaction", "append",       "add column", "make index",  "table",
    "rotate key",  "duplicate",    "read",       "read past",   "read stream",
    "sign",        "verify table", "idle",       "change group"};
static_assert(step_names.size() == static_cast<std::size_t>(StepKind::change_group) + 1);

struct Step {
  StepKind kind = StepKind::idle;
  std::uint8_t tenant = 0;
  std::uint64_t choice = 0;  // what else is to be chosen follows from it
};

enum class IncidentKind : std::uint8_t {
  loss,            // of the network, for the whole life: frames are lost,
  doubles,         // come twice,
  delay,           // late and out of order,
  replay,          // once more long after,
  spoilt_frames,   // damaged, cut or too long
  kill,            // a machine loses its power, mostly the one just asked
  power_cut,       // all do
  cut,             // one way between two
  isolation,       // of one from all, one way or both
  clog,            // a link holds everything back
  pause,           // a machine stands still
  slow_disk,       //
  clock_step,      // a wall clock jumps by up to an hour
  clock_drift,     // or goes wrong
  journal_rot,     // a byte of a prepare on disk changes
  unreadable,      // a sector of a prepare cannot be read
  lost_write,      // a disk says that it wrote what it did not
  superblock_rot,  // of a machine that is off: one copy,
  mark_rot,        // one mark of the journal,
  snapshot_rot,    // the state's snapshot,
  projection_rot,  // or the derived rows change
  lost_disk,       // it is empty, and the replica is made anew on it
  io_errors,       // a disk refuses calls for a while
  full_disk,       // a disk has no room for a while
  read_beside,     // another client reads from another replica, meanwhile
  power_in_call,   // a machine loses its power in the middle of a turn, or while it opens
};
inline constexpr std::array<std::string_view, 26> incident_names{
    "loss",           "doubles",        "delay",       "replay",
    "spoilt frames",  "kill",           "power cut",   "cut",
    "isolation",      "clog",           "pause",       "slow disk",
    "clock step",     "clock drift",    "journal rot", "unreadable sector",
    "lost write",     "superblock rot", "mark rot",    "snapshot rot",
    "projection rot", "lost disk",      "io errors",   "full disk",
    "read beside",    "power in a call"};
static_assert(incident_names.size() == static_cast<std::size_t>(IncidentKind::power_in_call) + 1);
[[nodiscard]] constexpr std::string_view name(IncidentKind kind) {
  return incident_names[static_cast<std::size_t>(kind)];
}

struct Incident {
  IncidentKind kind = IncidentKind::loss;
  std::uint32_t step = 0;    // in the middle of this step of the clients,
  std::uint32_t after = 0;   // so many events after its begin
  std::uint64_t for_ns = 0;  // of simulated time; then its effect ends
  std::uint64_t choice = 0;  // whom it strikes and how hard
};

struct Plan {
  std::uint64_t seed = 0;
  // More is damaged than the redundancy covers: the group may then refuse to go on, and must not
  // guess.
  bool beyond = false;
  GroupPlan group;  // with standbys: one that changes
  std::vector<Step> steps;
  std::vector<Incident> incidents;  // by step, then by `after`
  // Which of the seed's steps and incidents these are.
  std::vector<std::uint32_t> step_numbers;
  std::vector<std::uint32_t> incident_numbers;
};

struct PlanOptions {
  std::optional<std::uint8_t> replicas;  // 3 or 5; else the seed chooses
  bool beyond = false;
};

[[nodiscard]] Plan make_plan(std::uint64_t seed, const PlanOptions& options);
// The steps and incidents of `plan` that have these numbers.
[[nodiscard]] Plan part_of(const Plan& plan, const std::vector<std::uint32_t>& steps,
                           const std::vector<std::uint32_t>& incidents);

// "0-4,7,9": numbers as ranges, and back; `usage.option`.
[[nodiscard]] std::string ranges_text(const std::vector<std::uint32_t>& numbers);
[[nodiscard]] Result<std::vector<std::uint32_t>> parse_ranges(std::string_view text);

// One line of a plan, for people.
[[nodiscard]] std::string describe(const Step& step);
[[nodiscard]] std::string describe(const Incident& incident);
// The command that lives this plan again.
[[nodiscard]] std::string repro_command(const Plan& plan);

}  // namespace kimberlite::vopr
