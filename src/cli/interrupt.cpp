#include "cli/interrupt.hpp"

#include <csignal>

namespace kimberlite::cli {
namespace {

std::atomic<bool> interrupt_seen{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler takes no lock");

extern "C" void on_interrupt(int signal) {
  if (!interrupt_seen.exchange(true)) return;
  // The second one: end as if we had never caught it, so that the shell sees the signal.
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

void install_interrupt() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() { return interrupt_seen.load(std::memory_order_relaxed); }

void clear_interrupt() { interrupt_seen.store(false); }

const std::atomic<bool>& interrupt_flag() { return interrupt_seen; }

}  // namespace kimberlite::cli
