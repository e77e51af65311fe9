// The incidents of a life: what happens to machines, network and disks between any two events, and
// what is seen there.
//
// Thread rule: one thread. Group, plan and report outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "atlas.hpp"
#include "vopr/group.hpp"
#include "vopr/life.hpp"
#include "vopr/plan.hpp"

namespace kimberlite::vopr {

class Trouble {
 public:
  // `read_beside`: another client reads at that replica.
  Trouble(Group& group, const Plan& plan, LifeReport& report,
          std::function<void(std::uint8_t replica, std::uint64_t choice)> read_beside);

  // The clients begin the step of this number; its incidents are due from now on.
  void begin_step(std::uint32_t number);
  // Between any two events.
  void look();
  // What goes on ends; what is off comes back.
  void calm();
  // No more incidents, on a good network; every machine is up, if it opens at all, but for some
  // that a majority can do without until `end_absence`.
  void make_peace();
  void end_absence();

  void note(std::string text, std::optional<std::uint8_t> replica = std::nullopt,
            std::optional<IncidentKind> incident = std::nullopt);
  [[nodiscard]] bool is_unread(std::uint8_t replica, const engine::VerifyFinding& finding) {
    return atlas_.is_unread(replica, finding);
  }
  // The first finding counts.
  void fail(Invariant invariant, const std::string& text);

 private:
  [[nodiscard]] std::uint64_t now() { return group_.world().clock().now_ns(); }
  void strike(const Incident& incident);
  [[nodiscard]] std::optional<std::string> strike_network(const Incident& incident);
  [[nodiscard]] std::optional<std::string> strike_link(const Incident& incident, std::uint8_t one);
  [[nodiscard]] std::optional<std::string> strike_machine(const Incident& incident,
                                                          std::uint8_t one);
  [[nodiscard]] std::optional<std::string> strike_disk(const Incident& incident, std::uint8_t one);
  [[nodiscard]] std::optional<std::string> strike_at_rest(const Incident& incident,
                                                          std::uint8_t one);
  [[nodiscard]] bool has_died(std::uint8_t machine) const;
  void kill(std::uint8_t machine, std::uint64_t for_ns);
  void later(std::uint64_t for_ns, std::function<void()> what);
  void draw_absent();
  void start_due();
  void start(std::uint8_t machine);
  [[nodiscard]] Status open(std::uint8_t machine, std::uint64_t crash_at);
  void observe(std::uint8_t machine);
  void observe_checkpoint(std::uint8_t machine);
  [[nodiscard]] std::uint8_t whom(std::uint64_t choice) const;

  Group& group_;
  const Plan& plan_;
  LifeReport& report_;
  std::function<void(std::uint8_t, std::uint64_t)> read_beside_;
  Atlas atlas_;
  NetworkFaults network_;
  std::size_t next_ = 0;  // of the incidents
  std::int64_t step_ = -1;
  std::uint64_t step_events_ = 0;
  std::multimap<std::uint64_t, std::function<void()>> ends_;
  struct Seen {
    std::optional<std::uint64_t> back_at_ns;  // a machine that is off, or is to be started again
    std::uint64_t view = 0;
    OpNumber committed;
    std::uint64_t shown_ns = 0;
    OpNumber shown_commit;
    OpNumber checkpoint;
    std::string state;
    bool primary = false;
    bool bad_disk = false;
    bool off = false;                   // as far as has been noted
    bool lost_disk = false;             // and it is still off
    std::uint64_t off_for_ns = 0;       // when its power fails in a call
    std::uint64_t open_crashes_at = 0;  // the call of its next open
    std::uint64_t failures = 0;         // opens that did not succeed
  };
  std::vector<Seen> seen_;
  std::set<std::uint64_t> views_;
  std::map<OpNumber, consensus::Checkpoint> checkpoints_;  // as the first replica has them
  std::set<std::uint8_t> absent_;
  bool peace_ = false;
};

}  // namespace kimberlite::vopr
