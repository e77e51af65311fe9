#include "frame_script.hpp"

#include <algorithm>

#include "base/le.hpp"
#include "consensus/message.hpp"
#include "scenario_words.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::size_t magic_at = 32;
constexpr std::size_t kind_at = 36;
constexpr std::uint32_t magic_message = 0x314E424B;  // "KBN1"
constexpr std::uint32_t magic_state = 0x3154424B;    // "KBT1"
constexpr std::uint32_t magic_record = 0x314D424B;   // "KBM1"
constexpr std::uint64_t copies_apart_ns = 300'000;

}  // namespace

std::string_view kind_of(Bytes frame) {
  if (frame.size() <= kind_at) return "";
  const auto magic = load_le<std::uint32_t>(frame.data() + magic_at);
  if (magic == magic_state) return state_frames;
  if (magic == magic_record) return record_frames;
  const auto kind = std::to_integer<std::size_t>(frame[kind_at]);
  if (magic != magic_message || kind == 0 || kind > std::variant_size_v<consensus::Payload>) {
    return "";
  }
  return frame_kinds()[kind - 1];
}

FrameScript::FrameScript(SimGroup& world) : world_(world) {
  world_.filter(
      [this](std::uint8_t from, std::uint8_t to, Bytes frame) { return take(from, to, frame); });
}

bool FrameScript::take(std::uint8_t from, std::uint8_t to, Bytes frame) {
  const std::string_view kind = kind_of(frame);
  const auto rule = std::ranges::find_if(rules_, [&](const FrameRule& one) {
    return (one.kind == kind || one.kind == every_frame) && one.from.value_or(from) == from &&
           one.to.value_or(to) == to && one.left.value_or(1) > 0;
  });
  if (rule == rules_.end()) return false;
  if (rule->left) --*rule->left;
  Buffer changed{frame.begin(), frame.end()};
  switch (rule->action) {
    case FrameAction::drop:
      return true;
    case FrameAction::hold:
    case FrameAction::copy:
      held_.push_back({.from = from, .to = to, .bytes = std::move(changed)});
      return rule->action == FrameAction::hold;
    case FrameAction::duplicate:
      for (std::uint64_t i = 1; i <= 2; ++i) world_.inject(from, to, frame, i * copies_apart_ns);
      return false;
    case FrameAction::corrupt:
      changed[changed.size() / 2] ^= std::byte{0x10};
      world_.inject(from, to, changed);
      return true;
    case FrameAction::enlarge:
      changed.resize(changed.size() + 100, std::byte{0x5A});
      world_.inject(from, to, changed);
      return true;
    case FrameAction::forge:
      world_.inject(static_cast<std::uint8_t>(rule->number), to, frame);
      return false;
    case FrameAction::clog:
      world_.inject(from, to, frame, rule->number);
      return true;
  }
  return false;
}

void FrameScript::deliver(bool reversed) {
  std::vector<Held> held = std::exchange(held_, {});
  if (reversed) std::ranges::reverse(held);
  std::uint64_t later_ns = 0;
  for (const Held& one : held) world_.inject(one.from, one.to, one.bytes, later_ns += 1'000);
}

}  // namespace kimberlite::vopr
