// What a scenario does to the frames of its group, by kind and pair.
//
// The first rule that fits a frame acts on it. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "vopr/sim_group.hpp"

namespace kimberlite::vopr {

enum class FrameAction : std::uint8_t {
  drop,
  hold,
  copy,
  duplicate,
  corrupt,
  enlarge,
  forge,
  clog
};

struct FrameRule {
  FrameAction action = FrameAction::drop;
  std::string_view kind;                   // of `frame_kinds()`
  std::optional<std::uint8_t> from;        // nothing: everyone
  std::optional<std::uint8_t> to;          //
  std::optional<std::uint64_t> left = {};  // how many more it acts on
  std::uint64_t number = 0;                // whom it is forged as from; how long it is clogged
};

// The kind of a frame, as `frame_kinds()` has it; "" if it is none of ours.
[[nodiscard]] std::string_view kind_of(Bytes frame);

class FrameScript {
 public:
  // Is the filter of `world` from now on, which it must outlive.
  explicit FrameScript(SimGroup& world);

  void add(const FrameRule& rule) { rules_.push_back(rule); }
  void clear() { rules_.clear(); }
  // What was held and copied.
  void deliver(bool reversed);

 private:
  struct Held {
    std::uint8_t from = 0;
    std::uint8_t to = 0;
    Buffer bytes;
  };
  bool take(std::uint8_t from, std::uint8_t to, Bytes frame);

  SimGroup& world_;
  std::vector<FrameRule> rules_;
  std::vector<Held> held_;
};

}  // namespace kimberlite::vopr
