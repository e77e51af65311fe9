// Tells a scenario to a group: one handler a statement, then peace and what must hold in it.
//
// scenario_run.cpp: the frame of a story, clients, waiting; scenario_faults.cpp: what goes wrong;
// scenario_members.cpp: who is in the group. Thread rule: one thread.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "disk_script.hpp"
#include "frame_script.hpp"
#include "scenario_client.hpp"
#include "vopr/group.hpp"
#include "vopr/scenario.hpp"

namespace kimberlite::vopr {

inline constexpr std::uint64_t story_patience_ns = 20'000'000'000;

template <class... Parts>
Error wrong(fmt::format_string<Parts...> text, Parts&&... parts) {
  return Error{Code::report_failed, text, std::forward<Parts>(parts)...};
}

inline std::uint8_t replica(const Argument& argument) {
  return static_cast<std::uint8_t>(argument.number);
}
inline std::optional<std::uint8_t> who(const Argument& argument) {
  if (argument.number < 0) return std::nullopt;
  return replica(argument);
}
inline std::uint64_t unsigned_of(const Argument& argument) {
  return static_cast<std::uint64_t>(argument.number);
}

// `unavailable` is every code of the class.
inline bool is_code(const Error& error, std::string_view wanted) {
  return name(error.code()) == wanted || name(class_of(error.code())) == wanted;
}

class ScenarioRunner {
 public:
  // Neither argument is owned; both outlive it.
  ScenarioRunner(const Scenario& scenario, const std::function<bool()>& go_on)
      : scenario_(scenario), go_on_(go_on), disks_(scenario.machines()) {}

  ScenarioResult run();

 private:
  using Args = std::span<const Argument>;
  using Value64 = std::optional<std::int64_t>;
  friend struct ScenarioHandlers;
  struct Mark {
    std::vector<DiskImage> disks;
    Position position;
  };

  // ---- the frame of a story ---------------------------------------------------------------------

  SimGroup& world() { return group_->world(); }
  [[nodiscard]] bool is_stopped() const { return go_on_ && !go_on_(); }

  void note(const std::string& what);

  Status begin();

  Status step(const ScenarioStep& step);

  Status carry_out(const ScenarioStep& step);

  // Between any two things that happen: what was to happen later is due, and a machine whose power
  // failed in a call dies.
  void meanwhile();

  template <class Holds>
  bool wait_for(Holds holds) {
    const std::uint64_t end = world().clock().now_ns() + story_patience_ns;
    while (!holds()) {
      if (world().clock().now_ns() >= end || is_stopped()) return false;
      world().run_for(20'000'000);
    }
    return true;
  }

  // ---- network ----------------------------------------------------------------------------------

  template <class Do>
  void each_pair(const Argument& from, const Argument& to, Do act) {
    for (std::uint8_t a = 0; a < group_->size(); ++a) {
      for (std::uint8_t b = 0; b < group_->size(); ++b) {
        if (a != b && who(from).value_or(a) == a && who(to).value_or(b) == b) act(a, b);
      }
    }
  }

  Status cut(Args args);
  Status join(Args args);
  Status partition(Args args);
  Status isolate(Args args);
  Status heal(Args);
  Status network(Args args);
  void rule(FrameAction action, const Argument& kind, const Argument& from, const Argument& to,
            std::uint64_t number = 0, std::optional<std::uint64_t> left = {});
  Status clog(Args args);
  Status drop_next(Args args);
  Status forge(Args args);
  template <FrameAction action>
  Status plain_rule(Args args) {
    rule(action, args[0], args[1], args[2]);
    return {};
  }
  template <bool reversed>
  Status deliver(Args) {
    frames_->deliver(reversed);
    return {};
  }
  Status garbage(Args args);
  Status timeout(Args args);

  // ---- processes --------------------------------------------------------------------------------

  Status crash(Args args);
  std::string_view word(std::span<const std::string_view> words, const Argument& argument);
  void strike(const Argument& on, StrikeAction action, const Argument& call, const Argument& number,
              const Argument& file);
  Status crash_at(Args args);
  Status start_one(std::uint8_t index);
  Status start(Args args);
  Status start_refused(Args args);
  Status pause(Args args);
  Status resume(Args args);

  // ---- disks ------------------------------------------------------------------------------------

  Status slow_disk(Args args);
  template <StrikeAction action>
  Status strike_call(Args args) {
    strike(args[3], action, args[0], args[1], args[2]);
    return {};
  }
  Status disk_full(Args args);
  Status disk_has_room(Args args);
  Result<DiskImage*> image(const Argument& argument);
  Status noted(const Result<FramePlace>& place);
  Status latent(Args args);
  Status rot_op(Args args);
  Status tear_op(Args args);
  Status lose_op(Args args);
  Status rot_mark(Args args);
  Status rot_copy(Args args);
  Status lose_copy(Args args);
  Status rot_file(Args args);
  Status remove_file(Args args);
  Status wipe(Args args);
  Status recover(Args args);
  Status mark(Args args);
  Result<const Mark*> find_mark(const Argument& argument);
  Status restore_disk(Args args);
  Status restore_file(Args args);

  // ---- clocks -----------------------------------------------------------------------------------

  Status step_clock(Args args);
  Status drift_clock(Args args);

  // ---- the client -------------------------------------------------------------------------------

  Status told(const Result<engine::Outcome>& outcome);
  Status refused(const Result<engine::Outcome>& outcome, const Argument& code);
  Status create_tenant(Args args) { return group_->create_tenant(args[0].text, story_patience_ns); }
  Status write(Args args);
  Status write_expect(Args args);
  Status write_at(Args args);
  Status write_at_expect(Args args);
  Status write_big(Args args);
  Status write_big_at_expect(Args args);
  Status write_rows(Args args);
  Status again(Args args);
  Status append(Args args) { return client_->append(args[0].text, args[1].number); }
  Status append_again(Args args) { return client_->append_again(args[0].text); }
  Status answered(const Result<Value64>& value, const Argument& wanted);
  Status read(Args args) { return answered(client_->ask_anyone(args[0].text, {}), args[1]); }
  Status read_at(Args args);
  Status read_as_of(Args args);
  Status stream_has(Args args);

  // ---- waiting and expecting --------------------------------------------------------------------

  Status run(Args args);
  Status wait_primary(Args);
  Status wait_primary_is(Args args);
  // Of those up and not paused, every one's; nothing while one of them cannot say.
  std::optional<std::vector<engine::StatusReport>> everyone();
  bool committed_alike(bool of_normal_only);
  Status wait_commit(Args);
  Status wait_checkpoint(Args args);
  Status wait_state(Args args);
  Status expect_primary(Args args);
  Status expect_no_primary(Args);
  Status expect_view(Args args);
  Status expect_state(Args args);
  Status expect_refused_reads(Args args);
  Status expect_failed(Args args);
  Status expect_off(Args args);
  Status expect_struck(Args args);
  Status expect_note(Args args);
  Status expect_time_order(Args) { return client_->check_times(); }
  Status expect_times_right(Args) { return client_->check_right_times(); }
  Status converge(Args);
  Status agree(Args);

  // ---- who is in the group ----------------------------------------------------------------------

  Status add(Args args);
  Status add_expect(Args args);
  template <class Change>
  Status change(Args args) {
    return change_group([&] { return group_->change(Change{replica(args[0])}); });
  }
  template <class Change>
  Status change_expect(Args args) {
    return change_refused(group_->change(Change{replica(args[0])}), args[1]);
  }
  // Asked until it may be.
  Status change_group(const std::function<Status()>& ask);
  Status change_refused(const Status& changed, const Argument& code);
  Status expect_voters(Args args);

  // ---- the end ----------------------------------------------------------------------------------

  Status end();

  // Every byte of every directory, as it is after a power failure.
  Status verify();

  struct Later {
    std::uint64_t at_ns = 0;
    const ScenarioStep* step = nullptr;
  };

  const Scenario& scenario_;
  const std::function<bool()>& go_on_;
  ScenarioResult result_;
  std::unique_ptr<Group> group_;
  DiskScript disks_;
  std::optional<FrameScript> frames_;
  std::optional<ScenarioClient> client_;
  std::map<std::string, Mark, std::less<>> marks_;
  std::set<std::uint8_t> full_;
  std::vector<Later> later_;
  std::optional<Error> trouble_;  // of what happened meanwhile
  std::uint64_t rows_ = 0;
};

}  // namespace kimberlite::vopr
