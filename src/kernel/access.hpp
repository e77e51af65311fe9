// The one way into a state for those who may change it.
#pragma once

#include "kernel/state.hpp"

namespace kimberlite::kernel {

struct Access {
  using Slot = State::Slot;

  static State empty(const Id128& cluster) {
    State state;
    state.cluster_ = cluster;
    return state;
  }
  static std::deque<Slot>& slots(State& state) { return state.slots_; }
  static const std::deque<Slot>& slots(const State& state) { return state.slots_; }

  // The tenant, about to be changed: its blob and digest are out of date from here on.
  static TenantState& touch(State& state, TenantId id) {
    Slot& slot = state.slots_[id.value()];
    slot.dirty = true;
    slot.blob.reset();
    return slot.state;
  }
};

// Text that names an actor or a method: UTF-8 without NUL, 1 to `size_max` bytes.
[[nodiscard]] bool is_label(std::string_view text, std::size_t size_max);
[[nodiscard]] bool is_actor(const Id128& id, const Actor& actor);

}  // namespace kimberlite::kernel
