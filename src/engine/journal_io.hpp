// Carries out the replica's reads and writes on the superblock and journal devices, and reports
// their end.
//
// Thread rule: `poll` by one thread at a time, any; everything else on the core's strand. A buffer
// is held until its write has ended.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "consensus/replica.hpp"
#include "env/env.hpp"

namespace kimberlite::engine {

class JournalIo {
 public:
  // Makes both files, zero-written, the first superblock in all its copies. Durable on return.
  [[nodiscard]] static Status create(env::Storage& storage, const consensus::Superblock& superblock,
                                     std::uint64_t ring_size);
  // Opens both devices and reads what they hold.
  [[nodiscard]] Result<consensus::Recovered> open(env::Storage& storage);
  [[nodiscard]] std::uint64_t ring_size() const;
  [[nodiscard]] consensus::JournalLimits limits() const {
    return consensus::limits_of(ring_size());
  }

  void write(const consensus::WritePrepare& action);
  void write(const consensus::WriteMark& action);
  void write(const consensus::WriteSuperblock& action);
  void read(const consensus::ReadPrepare& action, consensus::BlockPool& pool);

  [[nodiscard]] bool in_flight() const { return in_flight_.load() > 0; }
  // Waits at most `wait_ns` for one to end. True: `take_events` has something.
  [[nodiscard]] bool poll(std::uint64_t wait_ns);
  // What has ended since the last call.
  [[nodiscard]] std::vector<consensus::Event> take_events();

 private:
  struct Write {
    consensus::Event event;        // when all of it has ended
    consensus::Buffer buffer;      // held until then, if no event holds it
    std::size_t left = 0;          // device writes of this phase
    bool second_half_due = false;  // of a superblock
    consensus::CopyOrder order{};
    Status status{};
  };

  void issue(env::SectorDevice& device, std::uint64_t id, std::uint64_t offset, Bytes bytes);
  void issue_superblock_half(std::uint64_t id, Write& write, std::size_t first);

  std::unordered_map<std::uint64_t, Write> writes_;
  std::uint64_t next_id_ = 1;
  std::atomic<std::size_t> in_flight_ = 0;
  std::atomic<std::size_t> superblock_in_flight_ = 0;
  std::mutex mutex_;  // of `done_`
  std::vector<env::IoDone> done_;
  // Last: they end what is under way before what it uses ends.
  std::unique_ptr<env::SectorDevice> superblock_;
  std::unique_ptr<env::SectorDevice> journal_;
};

// How a journal on `device` is read; the device outlives it.
[[nodiscard]] consensus::ReadAt reader_of(env::SectorDevice& device);

// Reads whole sectors of a device, waiting for them.
[[nodiscard]] Status read_sectors(env::SectorDevice& device, std::uint64_t offset,
                                  MutBytes sectors);

}  // namespace kimberlite::engine
