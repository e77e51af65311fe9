// A `SectorDevice` on a Linux file.
//
// An operation waits in a queue until a thread takes it: the poller itself (a lone writer makes no
// thread hop), or, once a second operation is outstanding, a worker of a small pool started then. A
// caller that polls only with 0 makes progress too: an operation that a second such call in a row
// finds waiting is given to the pool.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "env/env.hpp"
#include "posix.hpp"

namespace kimberlite::platform {

class LinuxDevice final : public env::SectorDevice {
 public:
  static Result<std::unique_ptr<env::SectorDevice>> open(const std::string& path,
                                                         std::uint64_t size);
  LinuxDevice(Descriptor file, std::string path, std::uint64_t size);
  // Waits for operations under way; those not begun are dropped.
  ~LinuxDevice() override;
  LinuxDevice(const LinuxDevice&) = delete;
  LinuxDevice& operator=(const LinuxDevice&) = delete;

  void write(std::uint64_t tag, std::uint64_t offset, Bytes sectors) override;
  void read(std::uint64_t tag, std::uint64_t offset, MutBytes sectors) override;
  std::size_t poll(std::span<env::IoDone> out, std::uint64_t wait_ns) override;
  [[nodiscard]] std::uint64_t size() const override { return size_; }

 private:
  struct Operation {
    std::uint64_t tag;
    std::uint64_t offset;
    Bytes from;   // of a write
    MutBytes to;  // of a read
  };
  using Guard = std::unique_lock<std::mutex>;

  void submit(Operation operation);
  void give_to_pool();
  void run_one(Guard& guard);
  Status perform(const Operation& operation) const;
  void worker();

  static constexpr std::size_t workers_max = 4;

  const Descriptor file_;
  const std::string path_;
  const std::uint64_t size_;

  std::mutex mutex_;
  std::condition_variable work_cv_;  // workers wait for `for_pool_`
  std::condition_variable done_cv_;  // the poller waits for `done_`
  std::deque<Operation> pending_;
  std::deque<env::IoDone> done_;
  std::size_t for_pool_ = 0;  // of the pending operations, how many workers may take
  std::size_t active_ = 0;    // being performed
  std::size_t idle_workers_ = 0;
  bool polled_in_vain_ = false;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace kimberlite::platform
