// The frame of a story, its clients, and what is waited for and expected.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "scenario_runner.hpp"
#include "statements.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;
constexpr std::uint64_t refusal_ns = 5 * second;

std::string text_of(const std::optional<std::int64_t>& value) {
  return value ? fmt::format("{}", *value) : "none";
}

}  // namespace

ScenarioResult ScenarioRunner::run() {
  Status status = begin();
  for (std::size_t i = 0; status && i < scenario_.steps.size(); ++i) {
    const ScenarioStep& one = scenario_.steps[i];
    status = is_stopped() ? Error{Code::interrupted_signal, "it was stopped"} : step(one);
    if (!status) result_.wrong = fmt::format("line {}, `{}`: ", one.line, one.text);
  }
  if (status) {
    status = end();
    if (!status) result_.wrong = "in the end: ";
  }
  result_.passed = status.has_value();
  if (!status) result_.wrong += to_string(status.error());
  if (!status && group_) result_.wrong += group_->picture();
  if (group_) {
    group_->world().between(nullptr);
    result_.digest = Prng(group_->world().digest(), client_ ? client_->acknowledged() : 0).next();
  }
  return std::move(result_);
}

// ---- the frame of a story -----------------------------------------------------------------------

void ScenarioRunner::note(const std::string& what) {
  const std::uint64_t now = group_ ? world().clock().now_ns() : 0;
  result_.events.push_back(fmt::format("{:9.3f} s  {}", static_cast<double>(now) / 1e9, what));
}

Status ScenarioRunner::begin() {
  const GroupPlan plan{.voters = scenario_.replicas,
                       .standbys = scenario_.standbys,
                       .spares = scenario_.spares,
                       .ring_size = scenario_.ring_size,
                       .checkpoint_commands = scenario_.checkpoint_commands,
                       .quorum_timeout_ns = 2 * second};
  KIMBERLITE_TRY(group_, Group::make(scenario_.seed, plan));
  frames_.emplace(world());
  client_.emplace(*group_);
  for (std::uint8_t i = 0; i < group_->size(); ++i) {
    if (group_->is_up(i)) disks_.watch(i, world().storage(i));
  }
  KIMBERLITE_CHECK(client_->begin());
  KIMBERLITE_CHECK(converge({}));
  world().between([this] { meanwhile(); });
  return {};
}

Status ScenarioRunner::step(const ScenarioStep& step) {
  if (step.later_ns > 0) {
    later_.push_back({.at_ns = world().clock().now_ns() + step.later_ns, .step = &step});
    return {};
  }
  note(step.text);
  Status done = carry_out(step);
  meanwhile();
  if (done && !trouble_) return {};
  return done ? Status{*trouble_} : done;
}

void ScenarioRunner::meanwhile() {
  for (std::uint8_t i = 0; i < group_->size(); ++i) {
    if (!group_->is_up(i) || !world().storage(i).frozen()) continue;
    note(fmt::format("the power of {} fails", i));
    group_->kill(i);
  }
  while (!later_.empty()) {
    const auto next = std::ranges::min_element(later_, {}, &Later::at_ns);
    if (next->at_ns > world().clock().now_ns()) return;
    const ScenarioStep* step = next->step;
    later_.erase(next);
    note(step->text);
    if (Status done = carry_out(*step); !done && !trouble_) trouble_ = done.error();
  }
}

// ---- the client ---------------------------------------------------------------------------------

Status ScenarioRunner::told(const Result<engine::Outcome>& outcome) {
  if (!outcome) return outcome.error();
  note(fmt::format("  acknowledged at position {}{}", outcome->position.value(),
                   outcome->replayed ? ", once more" : ""));
  return {};
}

Status ScenarioRunner::refused(const Result<engine::Outcome>& outcome, const Argument& code) {
  if (outcome) return wrong("it is acknowledged");
  note("  " + to_string(outcome.error()));
  if (is_code(outcome.error(), code.text)) return {};
  return wrong("it is refused otherwise: {}", to_string(outcome.error()));
}

Status ScenarioRunner::write(Args args) {
  client_->prepare_write(args[0].text, args[1].number, 0);
  return told(client_->send(args[0].text, ScenarioClient::patience_ns));
}

Status ScenarioRunner::write_expect(Args args) {
  client_->prepare_write(args[0].text, args[1].number, 0);
  return refused(client_->send(args[0].text, refusal_ns), args[2]);
}

Status ScenarioRunner::write_at(Args args) {
  if (!group_->is_up(replica(args[2]))) return wrong("it is off");
  client_->prepare_write(args[0].text, args[1].number, 0);
  return told(client_->send_to(replica(args[2]), args[0].text));
}

Status ScenarioRunner::write_at_expect(Args args) {
  if (!group_->is_up(replica(args[2]))) return wrong("it is off");
  client_->prepare_write(args[0].text, args[1].number, 0);
  return refused(client_->send_to(replica(args[2]), args[0].text), args[3]);
}

Status ScenarioRunner::write_big(Args args) {
  client_->prepare_write(args[0].text, args[1].number, static_cast<std::size_t>(args[2].number));
  return told(client_->send(args[0].text, ScenarioClient::patience_ns));
}

Status ScenarioRunner::write_big_at_expect(Args args) {
  if (!group_->is_up(replica(args[3]))) return wrong("it is off");
  client_->prepare_write(args[0].text, args[1].number, static_cast<std::size_t>(args[2].number));
  return refused(client_->send_to(replica(args[3]), args[0].text), args[4]);
}

Status ScenarioRunner::write_rows(Args args) {
  for (std::int64_t i = 0; i < args[0].number; ++i) {
    const std::string name = fmt::format("row{}", ++rows_);
    client_->prepare_write(name, i, 0);
    if (auto done = client_->send(name, ScenarioClient::patience_ns); !done) return done.error();
  }
  return {};
}

Status ScenarioRunner::again(Args args) {
  if (!client_->has_written(args[0].text)) return wrong("it was never written");
  return told(client_->send(args[0].text, ScenarioClient::patience_ns));
}

Status ScenarioRunner::answered(const Result<Value64>& value, const Argument& wanted) {
  const bool wants_code = wanted.text != "none" && text_of(wanted.number) != wanted.text;
  if (!value) {
    note("  " + to_string(value.error()));
    if (wants_code && is_code(value.error(), wanted.text)) return {};
    return value.error();
  }
  if (!wants_code && text_of(*value) == wanted.text) return {};
  return wrong("it is {}", text_of(*value));
}

Status ScenarioRunner::read_at(Args args) {
  if (!group_->is_up(replica(args[1]))) return wrong("it is off");
  return answered(client_->ask(replica(args[1]), args[0].text, {}), args[2]);
}

Status ScenarioRunner::read_as_of(Args args) {
  KIMBERLITE_TRY(const Mark* mark, find_mark(args[1]));
  return answered(client_->ask_anyone(args[0].text, mark->position), args[2]);
}

Status ScenarioRunner::stream_has(Args args) {
  KIMBERLITE_TRY(const std::size_t found, client_->count_events(args[0].text));
  if (found == unsigned_of(args[1])) return {};
  return wrong("it has {}", found);
}

// ---- waiting and expecting ----------------------------------------------------------------------

Status ScenarioRunner::run(Args args) {
  std::uint64_t left = unsigned_of(args[0]);
  while (left > 0 && !is_stopped()) {
    const std::uint64_t piece = std::min(left, second);
    world().run_for(piece);
    left -= piece;
  }
  return {};
}

Status ScenarioRunner::wait_primary(Args) {
  if (wait_for([this] { return group_->primary().has_value(); })) return {};
  return wrong("there is none within 20 s");
}

Status ScenarioRunner::wait_primary_is(Args args) {
  if (wait_for([&] { return group_->primary() == replica(args[0]); })) return {};
  return wrong("it is not the primary within 20 s");
}

std::optional<std::vector<engine::StatusReport>> ScenarioRunner::everyone() {
  std::vector<engine::StatusReport> all;
  for (std::uint8_t i = 0; i < group_->size(); ++i) {
    if (!group_->is_up(i) || world().is_paused(i)) continue;
    auto status = group_->status(i);
    if (!status) return std::nullopt;
    all.push_back(*std::move(status));
  }
  return all;
}

bool ScenarioRunner::committed_alike(bool of_normal_only) {
  const auto all = everyone();
  if (!all || all->empty()) return false;
  return std::ranges::all_of(*all, [&](const engine::StatusReport& one) {
    return one.committed == all->front().committed && (one.state == "normal" || !of_normal_only) &&
           one.state_digest == all->front().state_digest;
  });
}

Status ScenarioRunner::wait_commit(Args) {
  if (wait_for([this] { return committed_alike(false); })) return {};
  return wrong("they have not committed the same within 20 s");
}

Status ScenarioRunner::wait_checkpoint(Args args) {
  KIMBERLITE_TRY(const engine::StatusReport before, group_->status(replica(args[0])));
  const bool came = wait_for([&] {
    const auto now = group_->status(replica(args[0]));
    return now && now->checkpoint > before.checkpoint;
  });
  if (came) return {};
  return wrong("it has none but {} within 20 s", before.checkpoint.value());
}

Status ScenarioRunner::wait_state(Args args) {
  const bool came = wait_for([&] {
    const auto now = group_->status(replica(args[0]));
    return now && now->state == args[1].text;
  });
  if (came) return {};
  return wrong("it is not within 20 s");
}

Status ScenarioRunner::expect_primary(Args args) {
  const auto primary = group_->primary();
  if (primary == replica(args[0])) return {};
  return wrong("{} is", primary ? fmt::format("replica {}", *primary) : "nobody");
}

Status ScenarioRunner::expect_no_primary(Args) {
  const auto primary = group_->primary();
  if (!primary) return {};
  return wrong("replica {} is", *primary);
}

Status ScenarioRunner::expect_view(Args args) {
  KIMBERLITE_TRY(const engine::StatusReport now, group_->status(replica(args[0])));
  const std::uint64_t wanted = unsigned_of(args[2]);
  const bool holds = args[1].text == "="   ? now.view == wanted
                     : args[1].text == "<" ? now.view < wanted
                                           : now.view > wanted;
  if (holds) return {};
  return wrong("it is {}", now.view);
}

Status ScenarioRunner::expect_state(Args args) {
  if (!group_->is_up(replica(args[0]))) return wrong("it is off");
  KIMBERLITE_TRY(const engine::StatusReport now, group_->status(replica(args[0])));
  if (now.state == args[1].text) return {};
  return wrong("it is {}", now.state);
}

Status ScenarioRunner::expect_refused_reads(Args args) {
  if (!group_->is_up(replica(args[0]))) return wrong("it is off");
  const auto read = client_->ask(replica(args[0]), "a", {});
  if (read) return wrong("it answers {}", text_of(*read));
  note("  " + to_string(read.error()));
  return {};
}

Status ScenarioRunner::expect_failed(Args args) {
  if (!group_->is_up(replica(args[0]))) return wrong("it is off");
  const auto now = group_->status(replica(args[0]));
  if (!now || now->state == "failed") return {};
  return wrong("it is {}", now->state);
}

Status ScenarioRunner::expect_off(Args args) {
  if (!group_->is_up(replica(args[0]))) return {};
  return wrong("it is on");
}

Status ScenarioRunner::expect_struck(Args args) {
  if (disks_.all_struck(replica(args[0]))) return {};
  return wrong("no such call has come yet");
}

Status ScenarioRunner::expect_note(Args args) {
  KIMBERLITE_TRY(const engine::StatusReport now, group_->status(replica(args[0])));
  for (const std::string& one : now.notes) {
    if (one.contains(args[1].text)) return {};
  }
  return wrong("its notes are: {}", fmt::join(now.notes, "; "));
}

Status ScenarioRunner::converge(Args) {
  if (wait_for([this] { return committed_alike(true); })) return {};
  return wrong("they do not within 20 s");
}

Status ScenarioRunner::agree(Args) {
  const std::string differences = group_->differences(ScenarioClient::tenant);
  if (differences.empty()) return {};
  return wrong("{}", differences);
}

// ---- the end ------------------------------------------------------------------------------------

Status ScenarioRunner::end() {
  if (!later_.empty()) return wrong("`{}` has not happened yet", later_.front().step->text);
  disks_.clear();
  if (scenario_.peace.empty()) return {};
  note("peace");
  KIMBERLITE_CHECK(heal({}));
  full_.clear();
  for (std::uint8_t i = 0; i < group_->size(); ++i) {
    if (world().is_paused(i)) world().resume(i);
    if (group_->is_up(i)) {
      world().storage(i).set_faults({});
      world().storage(i).slow_down(0);
      const auto status = group_->status(i);
      if (!status || status->state == "failed") group_->kill(i);
    }
    const bool takes_part = std::ranges::find(scenario_.peace, i) != scenario_.peace.end();
    if (!takes_part && group_->is_up(i)) group_->kill(i);
    if (takes_part && !group_->is_up(i)) KIMBERLITE_CHECK(start_one(i));
  }
  KIMBERLITE_CHECK(converge({}));
  KIMBERLITE_CHECK(agree({}));
  KIMBERLITE_CHECK(client_->check());
  client_->prepare_write("peace", 1, 0);
  if (auto last = client_->send("peace", story_patience_ns); !last) return last.error();
  return verify();
}

Status ScenarioRunner::verify() {
  for (const std::uint8_t i : scenario_.peace) {
    group_->kill(i);
    KIMBERLITE_TRY(const engine::VerifyReport report, group_->verify(i));
    if (report.clean()) continue;
    const engine::VerifyFinding& first = report.findings.front();
    return wrong("verify finds {} things at replica {}", report.findings_total, i)
        .where("{}, byte {}", first.file, first.offset)
        .why("{}", first.what);
  }
  return {};
}

struct ScenarioHandlers {
  using Handler = Status (ScenarioRunner::*)(std::span<const Argument>);
  using R = ScenarioRunner;
  using enum FrameAction;
  struct Row {
    Verb verb;
    Handler handler;
  };
  static constexpr auto all = std::to_array<Row>({
      {Verb::cut, &R::cut},
      {Verb::join, &R::join},
      {Verb::partition, &R::partition},
      {Verb::isolate, &R::isolate},
      {Verb::heal, &R::heal},
      {Verb::network, &R::network},
      {Verb::clog, &R::clog},
      {Verb::drop, &R::plain_rule<drop>},
      {Verb::drop_next, &R::drop_next},
      {Verb::hold, &R::plain_rule<hold>},
      {Verb::copy, &R::plain_rule<copy>},
      {Verb::deliver, &R::deliver<false>},
      {Verb::deliver_reversed, &R::deliver<true>},
      {Verb::duplicate, &R::plain_rule<duplicate>},
      {Verb::corrupt, &R::plain_rule<corrupt>},
      {Verb::enlarge, &R::plain_rule<enlarge>},
      {Verb::forge, &R::forge},
      {Verb::garbage, &R::garbage},
      {Verb::timeout, &R::timeout},
      {Verb::crash, &R::crash},
      {Verb::crash_at, &R::crash_at},
      {Verb::start, &R::start},
      {Verb::start_refused, &R::start_refused},
      {Verb::pause, &R::pause},
      {Verb::resume, &R::resume},
      {Verb::slow_disk, &R::slow_disk},
      {Verb::fail, &R::strike_call<StrikeAction::fail>},
      {Verb::lose, &R::strike_call<StrikeAction::lose>},
      {Verb::misdirect, &R::strike_call<StrikeAction::misdirect>},
      {Verb::disk_full, &R::disk_full},
      {Verb::disk_has_room, &R::disk_has_room},
      {Verb::latent, &R::latent},
      {Verb::rot_op, &R::rot_op},
      {Verb::tear_op, &R::tear_op},
      {Verb::lose_op, &R::lose_op},
      {Verb::rot_mark, &R::rot_mark},
      {Verb::rot_copy, &R::rot_copy},
      {Verb::lose_copy, &R::lose_copy},
      {Verb::rot_file, &R::rot_file},
      {Verb::remove_file, &R::remove_file},
      {Verb::wipe, &R::wipe},
      {Verb::recover, &R::recover},
      {Verb::mark, &R::mark},
      {Verb::restore_disk, &R::restore_disk},
      {Verb::restore_file, &R::restore_file},
      {Verb::step_clock, &R::step_clock},
      {Verb::drift_clock, &R::drift_clock},
      {Verb::add, &R::add},
      {Verb::add_expect, &R::add_expect},
      {Verb::promote, &R::change<engine::Promote>},
      {Verb::promote_expect, &R::change_expect<engine::Promote>},
      {Verb::demote, &R::change<engine::Demote>},
      {Verb::demote_expect, &R::change_expect<engine::Demote>},
      {Verb::remove, &R::change<engine::Remove>},
      {Verb::remove_expect, &R::change_expect<engine::Remove>},
      {Verb::create_tenant, &R::create_tenant},
      {Verb::write, &R::write},
      {Verb::write_expect, &R::write_expect},
      {Verb::write_at, &R::write_at},
      {Verb::write_at_expect, &R::write_at_expect},
      {Verb::write_big, &R::write_big},
      {Verb::write_big_at_expect, &R::write_big_at_expect},
      {Verb::write_rows, &R::write_rows},
      {Verb::again, &R::again},
      {Verb::append, &R::append},
      {Verb::append_again, &R::append_again},
      {Verb::read, &R::read},
      {Verb::read_at, &R::read_at},
      {Verb::read_as_of, &R::read_as_of},
      {Verb::stream_has, &R::stream_has},
      {Verb::run, &R::run},
      {Verb::wait_primary, &R::wait_primary},
      {Verb::wait_primary_is, &R::wait_primary_is},
      {Verb::wait_commit, &R::wait_commit},
      {Verb::wait_checkpoint, &R::wait_checkpoint},
      {Verb::wait_state, &R::wait_state},
      {Verb::expect_primary, &R::expect_primary},
      {Verb::expect_no_primary, &R::expect_no_primary},
      {Verb::expect_view, &R::expect_view},
      {Verb::expect_state, &R::expect_state},
      {Verb::expect_refused_reads, &R::expect_refused_reads},
      {Verb::expect_failed, &R::expect_failed},
      {Verb::expect_off, &R::expect_off},
      {Verb::expect_struck, &R::expect_struck},
      {Verb::expect_note, &R::expect_note},
      {Verb::expect_voters, &R::expect_voters},
      {Verb::expect_time_order, &R::expect_time_order},
      {Verb::expect_times_right, &R::expect_times_right},
      {Verb::converge, &R::converge},
      {Verb::agree, &R::agree},
  });
};

namespace {

constexpr const auto& handlers = ScenarioHandlers::all;
static_assert(handlers.size() == statement_rows.size());
constexpr bool handlers_in_order() {
  for (std::size_t i = 0; i < handlers.size(); ++i) {
    if (handlers[i].verb != statement_rows[i].verb) return false;
  }
  return true;
}
static_assert(handlers_in_order());

}  // namespace

Status ScenarioRunner::carry_out(const ScenarioStep& step) {
  return (this->*handlers[step.statement].handler)(step.arguments);
}

ScenarioResult run_scenario(const Scenario& scenario, const std::function<bool()>& go_on) {
  return ScenarioRunner{scenario, go_on}.run();
}

}  // namespace kimberlite::vopr
