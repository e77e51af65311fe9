// Tells a scenario: one handler a statement, then peace and what must hold in it.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "consensus/superblock.hpp"
#include "disk_script.hpp"
#include "frame_script.hpp"
#include "scenario_client.hpp"
#include "scenario_words.hpp"
#include "statements.hpp"
#include "vopr/group.hpp"

namespace kimberlite::vopr {
namespace {

using Args = std::span<const Argument>;
using Value64 = std::optional<std::int64_t>;

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;
constexpr std::uint64_t patience_ns = 20 * second;
constexpr std::uint64_t refusal_ns = 5 * second;
constexpr std::uint64_t deaf_ns = 800 * ms;  // longer than any replica waits for its primary
constexpr std::size_t torn_at = 512;

template <class... Parts>
Error wrong(fmt::format_string<Parts...> text, Parts&&... parts) {
  return Error{Code::report_failed, text, std::forward<Parts>(parts)...};
}

std::uint8_t replica(const Argument& argument) {
  return static_cast<std::uint8_t>(argument.number);
}
std::optional<std::uint8_t> who(const Argument& argument) {
  if (argument.number < 0) return std::nullopt;
  return replica(argument);
}
// As an argument: each of them.
Argument anyone() { return {.text = "all", .number = -1}; }
std::uint64_t unsigned_of(const Argument& argument) {
  return static_cast<std::uint64_t>(argument.number);
}

std::string text_of(const Value64& value) { return value ? fmt::format("{}", *value) : "none"; }

// `unavailable` is every code of the class.
bool is_code(const Error& error, std::string_view wanted) {
  return name(error.code()) == wanted || name(class_of(error.code())) == wanted;
}

struct Mark {
  std::vector<DiskImage> disks;
  Position position;
};

class Runner {
 public:
  explicit Runner(const Scenario& scenario) : scenario_(scenario), disks_(scenario.members()) {}

  ScenarioResult run() {
    Status status = begin();
    for (std::size_t i = 0; status && i < scenario_.steps.size(); ++i) {
      const ScenarioStep& one = scenario_.steps[i];
      status = step(one);
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

 private:
  using Handler = Status (Runner::*)(Args);
  friend constexpr auto handlers_of();

  // ---- the frame of a story ---------------------------------------------------------------------

  SimGroup& world() { return group_->world(); }

  void note(const std::string& what) {
    const std::uint64_t now = group_ ? world().clock().now_ns() : 0;
    result_.events.push_back(fmt::format("{:9.3f} s  {}", static_cast<double>(now) / 1e9, what));
  }

  Status begin() {
    const GroupPlan plan{.voters = scenario_.replicas,
                         .standbys = scenario_.standbys,
                         .ring_size = scenario_.ring_size,
                         .checkpoint_commands = scenario_.checkpoint_commands,
                         .quorum_timeout_ns = 2 * second};
    KIMBERLITE_TRY(group_, Group::make(scenario_.seed, plan));
    frames_.emplace(world());
    client_.emplace(*group_);
    for (std::uint8_t i = 0; i < group_->size(); ++i) disks_.watch(i, world().storage(i));
    KIMBERLITE_CHECK(client_->begin());
    KIMBERLITE_CHECK(converge({}));
    world().between([this] { meanwhile(); });
    return {};
  }

  Status step(const ScenarioStep& step) {
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

  Status carry_out(const ScenarioStep& step);

  // Between any two things that happen: what was to happen later is due, and a machine whose power
  // failed in a call dies.
  void meanwhile() {
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

  template <class Holds>
  bool wait_for(Holds holds) {
    const std::uint64_t end = world().clock().now_ns() + patience_ns;
    while (!holds()) {
      if (world().clock().now_ns() >= end) return false;
      world().run_for(20 * ms);
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

  Status cut(Args args) {
    each_pair(args[0], args[1], [this](auto from, auto to) { world().cut(from, to); });
    return {};
  }
  Status join(Args args) {
    each_pair(args[0], args[1], [this](auto from, auto to) { world().join(from, to); });
    return {};
  }
  Status partition(Args args) {
    std::vector<int> side(group_->size(), 0);
    int current = 0;
    for (const char c : args[0].text) {
      if (c == '|') ++current;
      if (c >= '0' && c <= '9') side[static_cast<std::size_t>(c - '0')] = current;
    }
    for (std::uint8_t a = 0; a < group_->size(); ++a) {
      for (std::uint8_t b = 0; b < group_->size(); ++b) {
        if (side[a] != side[b]) world().cut(a, b);
      }
    }
    return {};
  }
  Status isolate(Args args) {
    each_pair(args[0], anyone(), [this](auto from, auto to) { world().cut(from, to); });
    each_pair(anyone(), args[0], [this](auto from, auto to) { world().cut(from, to); });
    return {};
  }
  Status heal(Args) {
    world().join_all();
    world().set_network({});
    frames_->clear();
    return {};
  }
  Status network(Args args) {
    world().set_network({.lost = static_cast<std::uint32_t>(args[0].number),
                         .doubled = static_cast<std::uint32_t>(args[1].number),
                         .delay_spread_ns = unsigned_of(args[2])});
    return {};
  }
  void rule(FrameAction action, const Argument& kind, const Argument& from, const Argument& to,
            std::uint64_t number = 0, std::optional<std::uint64_t> left = {}) {
    const auto& kinds = frame_kinds();
    frames_->add({.action = action,
                  .kind = *std::ranges::find(kinds, std::string_view{kind.text}),
                  .from = who(from),
                  .to = who(to),
                  .left = left,
                  .number = number});
  }
  Status clog(Args args) {
    rule(FrameAction::clog, {.text = std::string{every_frame}}, args[0], args[1],
         unsigned_of(args[2]));
    return {};
  }
  Status drop_next(Args args) {
    rule(FrameAction::drop, args[1], args[2], args[3], 0, unsigned_of(args[0]));
    return {};
  }
  Status forge(Args args) {
    rule(FrameAction::forge, args[0], args[1], args[2], unsigned_of(args[3]));
    return {};
  }
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
  Status garbage(Args args) {
    Prng noise(scenario_.seed, 99);
    Buffer frame(static_cast<std::size_t>(args[0].number));
    for (std::byte& one : frame) one = static_cast<std::byte>(noise.next());
    each_pair(args[1], args[2],
              [&](auto from, auto to) { world().inject(from, to, Bytes{frame}); });
    return {};
  }
  Status timeout(Args args) {
    each_pair(anyone(), args[0], [this](auto from, auto to) { world().cut(from, to); });
    world().run_for(deaf_ns);
    each_pair(anyone(), args[0], [this](auto from, auto to) { world().join(from, to); });
    return {};
  }

  // ---- processes --------------------------------------------------------------------------------

  Status crash(Args args) {
    if (!group_->is_up(replica(args[0]))) return wrong("it is off already");
    group_->kill(replica(args[0]));
    return {};
  }
  std::string_view word(std::span<const std::string_view> words, const Argument& argument) {
    return *std::ranges::find(words, std::string_view{argument.text});
  }
  void strike(const Argument& on, StrikeAction action, const Argument& call, const Argument& number,
              const Argument& file) {
    disks_.add(replica(on), action, word(call_words, call), word(file_words, file),
               std::max<std::uint64_t>(1, unsigned_of(number)));
  }
  Status crash_at(Args args) {
    strike(args[0], StrikeAction::crash, args[1], args[2], args[3]);
    return {};
  }
  Status start_one(std::uint8_t index) {
    if (group_->is_up(index)) return wrong("it is on already");
    if (group_->is_busy(index)) return wrong("a client's call at it has not ended yet");
    world().power_on(index, {.capacity = full_.contains(index) ? 0 : Faults{}.capacity});
    disks_.watch(index, world().storage(index));
    return group_->start(index);
  }
  Status start(Args args) {
    Status started = start_one(replica(args[0]));
    // It was to die while it opens.
    if (!started && started.error().code() == Code::unavailable_io &&
        disks_.all_struck(replica(args[0])) && !group_->is_up(replica(args[0]))) {
      note(to_string(started.error()));
      return {};
    }
    return started;
  }
  Status start_refused(Args args) {
    const Status started = start_one(replica(args[0]));
    if (started) return wrong("it opens");
    note(to_string(started.error()));
    if (is_code(started.error(), args[1].text)) return {};
    return wrong("it refuses otherwise: {}", to_string(started.error()));
  }
  Status pause(Args args) {
    if (group_->is_busy(replica(args[0]))) return wrong("a client's call is under way at it");
    world().pause(replica(args[0]));
    return {};
  }
  Status resume(Args args) {
    world().resume(replica(args[0]));
    return {};
  }

  // ---- disks ------------------------------------------------------------------------------------

  Status slow_disk(Args args) {
    world().storage(replica(args[0])).slow_down(unsigned_of(args[1]));
    return {};
  }
  template <StrikeAction action>
  Status strike_call(Args args) {
    strike(args[3], action, args[0], args[1], args[2]);
    return {};
  }
  Status disk_full(Args args) {
    full_.insert(replica(args[0]));
    world().storage(replica(args[0])).set_faults({.capacity = 0});
    return {};
  }
  Status disk_has_room(Args args) {
    full_.erase(replica(args[0]));
    if (group_->is_up(replica(args[0]))) world().storage(replica(args[0])).set_faults({});
    return {};
  }
  Result<DiskImage*> image(const Argument& argument) {
    if (group_->is_up(replica(argument))) return wrong("it is on; crash it first");
    return &world().disk(replica(argument));
  }
  Status noted(const Result<FramePlace>& place) {
    if (!place) return place.error();
    note(fmt::format("op {} is at byte {}", place->op.value(), place->offset));
    return {};
  }
  Status latent(Args args) {
    const std::uint8_t index = replica(args[1]);
    if (!group_->is_up(index)) return wrong("it is off");
    KIMBERLITE_TRY(const FramePlace place, find_op(world().storage(index).image(), args[0].text));
    world().storage(index).fail_sector("journal", place.offset);
    return noted(place);
  }
  Status rot_op(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    return noted(vopr::rot_op(*disk, args[0].text));
  }
  Status tear_op(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    return noted(blank_op(*disk, args[0].text, torn_at));
  }
  Status lose_op(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    return noted(blank_op(*disk, args[0].text, 0));
  }
  Status rot_mark(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    return vopr::rot_mark(*disk, unsigned_of(args[0]));
  }
  Status rot_copy(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    return vopr::rot_copy(*disk, unsigned_of(args[0]));
  }
  Status lose_copy(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    KIMBERLITE_TRY(const Mark* mark, find_mark(args[2]));
    return put_copy_back(*disk, mark->disks[replica(args[1])], unsigned_of(args[0]));
  }
  Status rot_file(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    KIMBERLITE_TRY(const std::string path, find_file(*disk, args[0].text));
    note(fmt::format("{}, {} bytes", path, disk->size(path)));
    disk->flip(path, disk->size(path) / 2);
    return {};
  }
  Status remove_file(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    KIMBERLITE_TRY(const std::string path, find_file(*disk, args[0].text));
    note(path);
    disk->remove(path);
    return {};
  }
  Status wipe(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[0]));
    *disk = {};
    return {};
  }
  Status recover(Args args) { return group_->recover(replica(args[0])); }
  Status mark(Args args) {
    Mark mark{.disks = {}, .position = client_->newest()};
    for (std::uint8_t i = 0; i < group_->size(); ++i) {
      mark.disks.push_back(group_->is_up(i) ? world().storage(i).image() : world().disk(i));
    }
    marks_.insert_or_assign(args[0].text, std::move(mark));
    return {};
  }
  Result<const Mark*> find_mark(const Argument& argument) {
    const auto found = marks_.find(argument.text);
    if (found == marks_.end()) return wrong("there is no mark {}", argument.text);
    return &found->second;
  }
  Status restore_disk(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[0]));
    KIMBERLITE_TRY(const Mark* mark, find_mark(args[1]));
    *disk = mark->disks[replica(args[0])];
    return {};
  }
  Status restore_file(Args args) {
    KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
    KIMBERLITE_TRY(const Mark* mark, find_mark(args[2]));
    put_files_back(*disk, mark->disks[replica(args[1])], args[0].text);
    return {};
  }

  // ---- clocks -----------------------------------------------------------------------------------

  Status step_clock(Args args) {
    world().step_clock(replica(args[0]), args[1].number / 1000);
    return {};
  }
  Status drift_clock(Args args) {
    world().drift_clock(replica(args[0]), args[1].number);
    return {};
  }

  // ---- the client -------------------------------------------------------------------------------

  Status told(const Result<engine::Outcome>& outcome) {
    if (!outcome) return outcome.error();
    note(fmt::format("  acknowledged at position {}{}", outcome->position.value(),
                     outcome->replayed ? ", once more" : ""));
    return {};
  }
  Status refused(const Result<engine::Outcome>& outcome, const Argument& code) {
    if (outcome) return wrong("it is acknowledged");
    note("  " + to_string(outcome.error()));
    if (is_code(outcome.error(), code.text)) return {};
    return wrong("it is refused otherwise: {}", to_string(outcome.error()));
  }
  Status create_tenant(Args args) { return group_->create_tenant(args[0].text, patience_ns); }
  Status write(Args args) {
    client_->prepare_write(args[0].text, args[1].number, 0);
    return told(client_->send(args[0].text, ScenarioClient::patience_ns));
  }
  Status write_expect(Args args) {
    client_->prepare_write(args[0].text, args[1].number, 0);
    return refused(client_->send(args[0].text, refusal_ns), args[2]);
  }
  Status write_at(Args args) {
    if (!group_->is_up(replica(args[2]))) return wrong("it is off");
    client_->prepare_write(args[0].text, args[1].number, 0);
    return told(client_->send_to(replica(args[2]), args[0].text));
  }
  Status write_at_expect(Args args) {
    if (!group_->is_up(replica(args[2]))) return wrong("it is off");
    client_->prepare_write(args[0].text, args[1].number, 0);
    return refused(client_->send_to(replica(args[2]), args[0].text), args[3]);
  }
  Status write_big(Args args) {
    client_->prepare_write(args[0].text, args[1].number, static_cast<std::size_t>(args[2].number));
    return told(client_->send(args[0].text, ScenarioClient::patience_ns));
  }
  Status write_big_at_expect(Args args) {
    if (!group_->is_up(replica(args[3]))) return wrong("it is off");
    client_->prepare_write(args[0].text, args[1].number, static_cast<std::size_t>(args[2].number));
    return refused(client_->send_to(replica(args[3]), args[0].text), args[4]);
  }
  Status write_rows(Args args) {
    for (std::int64_t i = 0; i < args[0].number; ++i) {
      const std::string name = fmt::format("row{}", ++rows_);
      client_->prepare_write(name, i, 0);
      if (auto done = client_->send(name, ScenarioClient::patience_ns); !done) return done.error();
    }
    return {};
  }
  Status again(Args args) {
    if (!client_->has_written(args[0].text)) return wrong("it was never written");
    return told(client_->send(args[0].text, ScenarioClient::patience_ns));
  }
  Status append(Args args) { return client_->append(args[0].text, args[1].number); }
  Status answered(const Result<Value64>& value, const Argument& wanted) {
    const bool wants_code = wanted.text != "none" && text_of(wanted.number) != wanted.text;
    if (!value) {
      note("  " + to_string(value.error()));
      if (wants_code && is_code(value.error(), wanted.text)) return {};
      return value.error();
    }
    if (!wants_code && text_of(*value) == wanted.text) return {};
    return wrong("it is {}", text_of(*value));
  }
  Status read(Args args) { return answered(client_->ask_anyone(args[0].text, {}), args[1]); }
  Status read_at(Args args) {
    if (!group_->is_up(replica(args[1]))) return wrong("it is off");
    return answered(client_->ask(replica(args[1]), args[0].text, {}), args[2]);
  }
  Status read_as_of(Args args) {
    KIMBERLITE_TRY(const Mark* mark, find_mark(args[1]));
    return answered(client_->ask_anyone(args[0].text, mark->position), args[2]);
  }
  Status stream_has(Args args) {
    KIMBERLITE_TRY(const std::size_t found, client_->count_events(args[0].text));
    if (found == unsigned_of(args[1])) return {};
    return wrong("it has {}", found);
  }

  // ---- waiting and expecting --------------------------------------------------------------------

  Status run(Args args) {
    world().run_for(unsigned_of(args[0]));
    return {};
  }
  Status wait_primary(Args) {
    if (wait_for([this] { return group_->primary().has_value(); })) return {};
    return wrong("there is none within 20 s");
  }
  Status wait_primary_is(Args args) {
    if (wait_for([&] { return group_->primary() == replica(args[0]); })) return {};
    return wrong("it is not the primary within 20 s");
  }
  // Of those up and not paused, every one's; nothing while one of them cannot say.
  std::optional<std::vector<engine::StatusReport>> everyone() {
    std::vector<engine::StatusReport> all;
    for (std::uint8_t i = 0; i < group_->size(); ++i) {
      if (!group_->is_up(i) || world().is_paused(i)) continue;
      auto status = group_->status(i);
      if (!status) return std::nullopt;
      all.push_back(*std::move(status));
    }
    return all;
  }
  bool committed_alike(bool of_normal_only) {
    const auto all = everyone();
    if (!all || all->empty()) return false;
    return std::ranges::all_of(*all, [&](const engine::StatusReport& one) {
      return one.committed == all->front().committed &&
             (one.state == "normal" || !of_normal_only) &&
             one.state_digest == all->front().state_digest;
    });
  }
  Status wait_commit(Args) {
    if (wait_for([this] { return committed_alike(false); })) return {};
    return wrong("they have not committed the same within 20 s");
  }
  Status wait_checkpoint(Args args) {
    KIMBERLITE_TRY(const engine::StatusReport before, group_->status(replica(args[0])));
    const bool came = wait_for([&] {
      const auto now = group_->status(replica(args[0]));
      return now && now->checkpoint > before.checkpoint;
    });
    if (came) return {};
    return wrong("it has none but {} within 20 s", before.checkpoint.value());
  }
  Status wait_state(Args args) {
    const bool came = wait_for([&] {
      const auto now = group_->status(replica(args[0]));
      return now && now->state == args[1].text;
    });
    if (came) return {};
    return wrong("it is not within 20 s");
  }
  Status expect_primary(Args args) {
    const auto primary = group_->primary();
    if (primary == replica(args[0])) return {};
    return wrong("{} is", primary ? fmt::format("replica {}", *primary) : "nobody");
  }
  Status expect_no_primary(Args) {
    const auto primary = group_->primary();
    if (!primary) return {};
    return wrong("replica {} is", *primary);
  }
  Status expect_view(Args args) {
    KIMBERLITE_TRY(const engine::StatusReport now, group_->status(replica(args[0])));
    const std::uint64_t wanted = unsigned_of(args[2]);
    const bool holds = args[1].text == "="   ? now.view == wanted
                       : args[1].text == "<" ? now.view < wanted
                                             : now.view > wanted;
    if (holds) return {};
    return wrong("it is {}", now.view);
  }
  Status expect_state(Args args) {
    if (!group_->is_up(replica(args[0]))) return wrong("it is off");
    KIMBERLITE_TRY(const engine::StatusReport now, group_->status(replica(args[0])));
    if (now.state == args[1].text) return {};
    return wrong("it is {}", now.state);
  }
  Status expect_refused_reads(Args args) {
    if (!group_->is_up(replica(args[0]))) return wrong("it is off");
    const auto read = client_->ask(replica(args[0]), "a", {});
    if (read) return wrong("it answers {}", text_of(*read));
    note("  " + to_string(read.error()));
    return {};
  }
  Status expect_failed(Args args) {
    if (!group_->is_up(replica(args[0]))) return wrong("it is off");
    const auto now = group_->status(replica(args[0]));
    if (!now || now->state == "failed") return {};
    return wrong("it is {}", now->state);
  }
  Status expect_off(Args args) {
    if (!group_->is_up(replica(args[0]))) return {};
    return wrong("it is on");
  }
  Status expect_struck(Args args) {
    if (disks_.all_struck(replica(args[0]))) return {};
    return wrong("no such call has come yet");
  }
  Status expect_note(Args args) {
    KIMBERLITE_TRY(const engine::StatusReport now, group_->status(replica(args[0])));
    for (const std::string& one : now.notes) {
      if (one.contains(args[1].text)) return {};
    }
    return wrong("its notes are: {}", fmt::join(now.notes, "; "));
  }
  Status expect_time_order(Args) { return client_->check_times(); }
  Status expect_times_right(Args) { return client_->check_right_times(); }
  Status converge(Args) {
    if (wait_for([this] { return committed_alike(true); })) return {};
    return wrong("they do not within 20 s");
  }
  Status agree(Args) {
    const std::string differences = group_->differences(ScenarioClient::tenant);
    if (differences.empty()) return {};
    return wrong("{}", differences);
  }

  // ---- the end ----------------------------------------------------------------------------------

  Status end() {
    later_.clear();
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
    if (auto last = client_->send("peace", patience_ns); !last) return last.error();
    return verify();
  }

  // Every byte of every directory, as it is after a power failure.
  Status verify() {
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

  struct Later {
    std::uint64_t at_ns = 0;
    const ScenarioStep* step = nullptr;
  };

  const Scenario& scenario_;
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

constexpr auto handlers_of() {
  using R = Runner;
  using enum FrameAction;
  struct Row {
    Verb verb;
    R::Handler handler;
  };
  return std::to_array<Row>({
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
      {Verb::expect_time_order, &R::expect_time_order},
      {Verb::expect_times_right, &R::expect_times_right},
      {Verb::converge, &R::converge},
      {Verb::agree, &R::agree},
  });
}

constexpr auto handlers = handlers_of();
static_assert(handlers.size() == statement_rows.size());
constexpr bool handlers_in_order() {
  for (std::size_t i = 0; i < handlers.size(); ++i) {
    if (handlers[i].verb != statement_rows[i].verb) return false;
  }
  return true;
}
static_assert(handlers_in_order());

Status Runner::carry_out(const ScenarioStep& step) {
  return (this->*handlers[step.statement].handler)(step.arguments);
}

}  // namespace

ScenarioResult run_scenario(const Scenario& scenario) { return Runner{scenario}.run(); }

}  // namespace kimberlite::vopr
