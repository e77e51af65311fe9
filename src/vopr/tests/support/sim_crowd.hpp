// Clients that are under way at once in a simulated world, one step of one of them at a time.
//
// Each has a thread, of which only one runs: a client that waits for the database hands the world
// back, and goes on when it is given a turn. Which one is, is the caller's to say, so a run follows
// from its seed as it does with one client. A call of a client must not hold a lock of the database
// while it waits: sessions are opened by the caller, before. A machine whose power went is
// started again when no client is in a call of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include "vopr/sim_group.hpp"

namespace kimberlite::vopr {

class SimCrowd {
 public:
  explicit SimCrowd(SimGroup& world);
  // All have to be done.
  ~SimCrowd();
  SimCrowd(const SimCrowd&) = delete;
  SimCrowd& operator=(const SimCrowd&) = delete;

  // Begins at its first turn.
  void add(std::function<void()> what);
  // That client goes on until it waits again, or is done.
  void turn(std::size_t client);
  [[nodiscard]] std::size_t size() const { return clients_.size(); }
  [[nodiscard]] bool done() const;
  // Of a client itself: the others go on for so long.
  void sleep(std::uint64_t ns);

 private:
  struct Client {
    std::binary_semaphore goes_on{0};
    std::binary_semaphore has_stopped{0};
    bool done = false;
    std::thread thread;
  };

  SimGroup& world_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace kimberlite::vopr
