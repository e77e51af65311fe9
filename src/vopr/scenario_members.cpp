// Who is in the group of a story.
#include "scenario_runner.hpp"

namespace kimberlite::vopr {

Status ScenarioRunner::change_group(const std::function<Status()>& ask) {
  Status last;
  const bool done = wait_for([&] {
    last = ask();
    return last || class_of(last.error().code()) != ErrorClass::unavailable ||
           last.error().code() == Code::unavailable_outcome_unknown;
  });
  if (done || last) return last;
  return wrong("it is not done within 20 s: {}", to_string(last.error()));
}

Status ScenarioRunner::change_refused(const Status& changed, const Argument& code) {
  if (changed) return wrong("it is done");
  note("  " + to_string(changed.error()));
  if (is_code(changed.error(), code.text)) return {};
  return wrong("it is refused otherwise: {}", to_string(changed.error()));
}

Status ScenarioRunner::add(Args args) {
  const std::uint8_t index = replica(args[0]);
  if (group_->is_up(index)) return wrong("it is on; crash it first");
  KIMBERLITE_CHECK(change_group([&] { return group_->add(index); }));
  return start_one(index);
}

Status ScenarioRunner::add_expect(Args args) {
  return change_refused(group_->add(replica(args[0])), args[1]);
}

Status ScenarioRunner::expect_voters(Args args) {
  if (!group_->is_up(replica(args[1]))) return wrong("it is off");
  KIMBERLITE_TRY(const engine::StatusReport now, group_->status(replica(args[1])));
  const auto voters = std::ranges::count(now.group.members, true, &engine::Member::votes);
  if (voters == args[0].number) return {};
  return wrong("there are {}", voters);
}

}  // namespace kimberlite::vopr
