// The real world and its in-memory twin, each a bundle that owns all five interfaces of `env::Env`.
//
// Thread rule: every member may be used from any thread, under the rules of its interface.
#pragma once

#include <cstdint>
#include <string>

#include "env/env.hpp"
#include "platform/executor.hpp"
#include "platform/linux_storage.hpp"
#include "platform/memory_storage.hpp"

namespace kimberlite::platform {

// CLOCK_BOOTTIME and CLOCK_REALTIME.
class SystemClock final : public env::Clock {
 public:
  std::uint64_t monotonic_ns() override;
  TimestampUs realtime() override;
};

// getrandom(2), nothing kept back: a cloned machine or forked process shares no bytes with another.
class SystemRandom final : public env::Random {
 public:
  void fill(MutBytes to) override;
};

// A node that has no peers: every frame is dropped, as the interface allows.
class NoNetwork final : public env::Network {
 public:
  void send(std::uint8_t /*replica*/, Bytes /*frame*/) override {}
  void listen(Receiver /*receiver*/) override {}
};

class LinuxEnv {
 public:
  LinuxEnv(std::string root, ExecutorOptions executor)
      : storage_(std::move(root)), executor_(executor) {}

  [[nodiscard]] env::Env env() { return {storage_, network_, clock_, random_, executor_}; }
  [[nodiscard]] LinuxStorage& storage() { return storage_; }

 private:
  LinuxStorage storage_;
  NoNetwork network_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadExecutor executor_;  // last: its threads end before what they use
};

class MemoryEnv {
 public:
  explicit MemoryEnv(ExecutorOptions executor) : executor_(executor) {}

  [[nodiscard]] env::Env env() { return {storage_, network_, clock_, random_, executor_}; }
  [[nodiscard]] MemoryStorage& storage() { return storage_; }

 private:
  MemoryStorage storage_;
  NoNetwork network_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadExecutor executor_;
};

}  // namespace kimberlite::platform
