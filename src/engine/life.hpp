// Tasks and timers that may outlive the object they are of.
//
// A task made here runs as long as its object's life lasts and does nothing afterwards. The end of
// a life waits for the task that is running, if one is; so whoever ends it must not be that task.
// Those of one life run one at a time, so none may wait for another. What a task is called with is
// handed on.
//
// Thread rule: anywhere.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace kimberlite::engine {

// Declared last in its object, so that it ends before anything its tasks use.
class Life {
 public:
  Life() = default;
  ~Life() { end(); }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  template <class What>
  [[nodiscard]] auto task(What what) const {
    return [gate = gate_, what = std::move(what)](auto... told) mutable {
      const std::scoped_lock lock{gate->mutex};
      if (!gate->ended) what(told...);
    };
  }
  void end() {
    const std::scoped_lock lock{gate_->mutex};
    gate_->ended = true;
  }

 private:
  struct Gate {
    std::mutex mutex;
    bool ended = false;
  };
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

}  // namespace kimberlite::engine
