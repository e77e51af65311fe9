#include "support/sim_crowd.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace kimberlite::vopr {
namespace {

// Of the client whose thread this is.
thread_local std::function<void()> hand_back;

}  // namespace

SimCrowd::SimCrowd(SimGroup& world) : world_(world) {
  world_.instead_of_waiting([] {
    if (!hand_back) return false;
    hand_back();
    return true;
  });
}

SimCrowd::~SimCrowd() {
  KIMBERLITE_ASSERT(done());
  for (const auto& client : clients_) client->thread.join();
  world_.instead_of_waiting(nullptr);
}

void SimCrowd::add(std::function<void()> what) {
  Client& client = *clients_.emplace_back(std::make_unique<Client>());
  client.thread = std::thread{[&client, what = std::move(what)] {
    client.goes_on.acquire();
    hand_back = [&client] {
      client.has_stopped.release();
      client.goes_on.acquire();
    };
    what();
    hand_back = nullptr;
    client.done = true;
    client.has_stopped.release();
  }};
}

void SimCrowd::turn(std::size_t index) {
  Client& client = *clients_[index];
  if (client.done) return;
  client.goes_on.release();
  client.has_stopped.acquire();
}

bool SimCrowd::done() const {
  return std::ranges::all_of(clients_, [](const auto& client) { return client->done; });
}

void SimCrowd::sleep(std::uint64_t ns) {
  const std::uint64_t until = world_.clock().now_ns() + ns;
  while (world_.clock().now_ns() < until) hand_back();
}

}  // namespace kimberlite::vopr
