// What goes wrong in a story: network, processes, disks, clocks.
#include <algorithm>

#include "base/limits.hpp"
#include "scenario_runner.hpp"
#include "scenario_words.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::uint64_t deaf_ns = 800'000'000;  // longer than any replica waits for its primary
constexpr std::size_t torn_at = 512;

// As an argument: each of them.
Argument anyone() { return {.text = "all", .number = -1}; }

}  // namespace

// ---- network ------------------------------------------------------------------------------------

Status ScenarioRunner::cut(Args args) {
  each_pair(args[0], args[1], [this](auto from, auto to) { world().cut(from, to); });
  return {};
}

Status ScenarioRunner::join(Args args) {
  each_pair(args[0], args[1], [this](auto from, auto to) { world().join(from, to); });
  return {};
}

Status ScenarioRunner::partition(Args args) {
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

Status ScenarioRunner::isolate(Args args) {
  each_pair(args[0], anyone(), [this](auto from, auto to) { world().cut(from, to); });
  each_pair(anyone(), args[0], [this](auto from, auto to) { world().cut(from, to); });
  return {};
}

Status ScenarioRunner::heal(Args) {
  world().join_all();
  world().set_network({});
  frames_->clear();
  return {};
}

Status ScenarioRunner::network(Args args) {
  world().set_network({.lost = static_cast<std::uint32_t>(args[0].number),
                       .doubled = static_cast<std::uint32_t>(args[1].number),
                       .delay_spread_ns = unsigned_of(args[2])});
  return {};
}

void ScenarioRunner::rule(FrameAction action, const Argument& kind, const Argument& from,
                          const Argument& to, std::uint64_t number,
                          std::optional<std::uint64_t> left) {
  const auto& kinds = frame_kinds();
  frames_->add({.action = action,
                .kind = *std::ranges::find(kinds, std::string_view{kind.text}),
                .from = who(from),
                .to = who(to),
                .left = left,
                .number = number});
}

Status ScenarioRunner::clog(Args args) {
  rule(FrameAction::clog, {.text = std::string{every_frame}}, args[0], args[1],
       unsigned_of(args[2]));
  return {};
}

Status ScenarioRunner::drop_next(Args args) {
  rule(FrameAction::drop, args[1], args[2], args[3], 0, unsigned_of(args[0]));
  return {};
}

Status ScenarioRunner::forge(Args args) {
  rule(FrameAction::forge, args[0], args[1], args[2], unsigned_of(args[3]));
  return {};
}

Status ScenarioRunner::garbage(Args args) {
  Prng noise(scenario_.seed, 99);
  Buffer frame(static_cast<std::size_t>(args[0].number));
  for (std::byte& one : frame) one = static_cast<std::byte>(noise.next());
  each_pair(args[1], args[2], [&](auto from, auto to) { world().inject(from, to, Bytes{frame}); });
  return {};
}

Status ScenarioRunner::timeout(Args args) {
  each_pair(anyone(), args[0], [this](auto from, auto to) { world().cut(from, to); });
  world().run_for(deaf_ns);
  each_pair(anyone(), args[0], [this](auto from, auto to) { world().join(from, to); });
  return {};
}

// ---- processes ----------------------------------------------------------------------------------

Status ScenarioRunner::crash(Args args) {
  if (!group_->is_up(replica(args[0]))) return wrong("it is off already");
  group_->kill(replica(args[0]));
  return {};
}

std::string_view ScenarioRunner::word(std::span<const std::string_view> words,
                                      const Argument& argument) {
  return *std::ranges::find(words, std::string_view{argument.text});
}

void ScenarioRunner::strike(const Argument& on, StrikeAction action, const Argument& call,
                            const Argument& number, const Argument& file) {
  disks_.add(replica(on), action, word(call_words, call), word(file_words, file),
             std::max<std::uint64_t>(1, unsigned_of(number)));
}

Status ScenarioRunner::crash_at(Args args) {
  strike(args[0], StrikeAction::crash, args[1], args[2], args[3]);
  return {};
}

Status ScenarioRunner::start_one(std::uint8_t index) {
  if (group_->is_up(index)) return wrong("it is on already");
  if (group_->is_busy(index)) return wrong("a client's call at it has not ended yet");
  world().power_on(index, {.capacity = full_.contains(index) ? 0 : Faults{}.capacity});
  disks_.watch(index, world().storage(index));
  return group_->start(index);
}

Status ScenarioRunner::start(Args args) {
  Status started = start_one(replica(args[0]));
  // It was to die while it opens.
  if (!started && started.error().code() == Code::unavailable_io &&
      disks_.all_struck(replica(args[0])) && !group_->is_up(replica(args[0]))) {
    note(to_string(started.error()));
    return {};
  }
  return started;
}

Status ScenarioRunner::start_refused(Args args) {
  const Status started = start_one(replica(args[0]));
  if (started) return wrong("it opens");
  note(to_string(started.error()));
  if (is_code(started.error(), args[1].text)) return {};
  return wrong("it refuses otherwise: {}", to_string(started.error()));
}

Status ScenarioRunner::pause(Args args) {
  if (group_->is_busy(replica(args[0]))) return wrong("a client's call is under way at it");
  world().pause(replica(args[0]));
  return {};
}

Status ScenarioRunner::resume(Args args) {
  world().resume(replica(args[0]));
  return {};
}

// ---- disks --------------------------------------------------------------------------------------

Status ScenarioRunner::slow_disk(Args args) {
  world().storage(replica(args[0])).slow_down(unsigned_of(args[1]));
  return {};
}

Status ScenarioRunner::disk_full(Args args) {
  full_.insert(replica(args[0]));
  world().storage(replica(args[0])).set_faults({.capacity = 0});
  return {};
}

Status ScenarioRunner::disk_has_room(Args args) {
  full_.erase(replica(args[0]));
  if (group_->is_up(replica(args[0]))) world().storage(replica(args[0])).set_faults({});
  return {};
}

Result<DiskImage*> ScenarioRunner::image(const Argument& argument) {
  if (group_->is_up(replica(argument))) return wrong("it is on; crash it first");
  return &world().disk(replica(argument));
}

Status ScenarioRunner::noted(const Result<FramePlace>& place) {
  if (!place) return place.error();
  note(fmt::format("op {} is at byte {}", place->op.value(), place->offset));
  return {};
}

Status ScenarioRunner::latent(Args args) {
  const std::uint8_t index = replica(args[1]);
  if (!group_->is_up(index)) return wrong("it is off");
  KIMBERLITE_TRY(const FramePlace place, find_op(world().storage(index).image(), args[0].text));
  world().storage(index).fail_sector("journal", place.offset);
  return noted(place);
}

Status ScenarioRunner::rot_op(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  return noted(vopr::rot_op(*disk, args[0].text));
}

Status ScenarioRunner::tear_op(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  return noted(blank_op(*disk, args[0].text, torn_at));
}

Status ScenarioRunner::lose_op(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  return noted(blank_op(*disk, args[0].text, 0));
}

Status ScenarioRunner::rot_mark(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  return vopr::rot_mark(*disk, unsigned_of(args[0]));
}

Status ScenarioRunner::rot_copy(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  return vopr::rot_copy(*disk, unsigned_of(args[0]));
}

Status ScenarioRunner::lose_copy(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  KIMBERLITE_TRY(const Mark* mark, find_mark(args[2]));
  return put_copy_back(*disk, mark->disks[replica(args[1])], unsigned_of(args[0]));
}

Status ScenarioRunner::rot_file(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  KIMBERLITE_TRY(const std::string path, find_file(*disk, args[0].text));
  note(fmt::format("{}, {} bytes", path, disk->size(path)));
  disk->flip(path, disk->size(path) / 2);
  return {};
}

Status ScenarioRunner::remove_file(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  KIMBERLITE_TRY(const std::string path, find_file(*disk, args[0].text));
  note(path);
  disk->remove(path);
  return {};
}

Status ScenarioRunner::wipe(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[0]));
  *disk = {};
  return {};
}

Status ScenarioRunner::recover(Args args) {
  KIMBERLITE_CHECK(image(args[0]));
  return group_->recover(replica(args[0]));
}

Status ScenarioRunner::mark(Args args) {
  Mark mark{.disks = {}, .position = client_->newest()};
  for (std::uint8_t i = 0; i < group_->size(); ++i) {
    mark.disks.push_back(group_->is_up(i) ? world().storage(i).image() : world().disk(i));
  }
  marks_.insert_or_assign(args[0].text, std::move(mark));
  return {};
}

Result<const ScenarioRunner::Mark*> ScenarioRunner::find_mark(const Argument& argument) {
  const auto found = marks_.find(argument.text);
  if (found == marks_.end()) return wrong("there is no mark {}", argument.text);
  return &found->second;
}

Status ScenarioRunner::restore_disk(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[0]));
  KIMBERLITE_TRY(const Mark* mark, find_mark(args[1]));
  *disk = mark->disks[replica(args[0])];
  return {};
}

Status ScenarioRunner::restore_file(Args args) {
  KIMBERLITE_TRY(DiskImage * disk, image(args[1]));
  KIMBERLITE_TRY(const Mark* mark, find_mark(args[2]));
  put_files_back(*disk, mark->disks[replica(args[1])], args[0].text);
  return {};
}

// ---- clocks -------------------------------------------------------------------------------------

Status ScenarioRunner::step_clock(Args args) {
  world().step_clock(replica(args[0]), args[1].number / 1000);
  return {};
}

Status ScenarioRunner::drift_clock(Args args) {
  world().drift_clock(replica(args[0]), args[1].number);
  return {};
}

}  // namespace kimberlite::vopr
