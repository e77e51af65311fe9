// The only nondeterminism of the product: storage, network, clock, randomness, scheduling.
//
// Two implementations exist: `platform` on Linux (and one in memory), and the simulated one in
// `vopr`. Nothing else opens a file, reads a clock or draws a random number; a check of the object
// files' symbols holds that. Paths are relative to the root the implementation was made with,
// `/`-separated. Interfaces are not owned through `Env`: whoever made them outlives all users.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

namespace kimberlite::env {

// A blocking file: SQLite, segments, snapshots, keystore. Used by one thread at a time.
class File {
 public:
  virtual ~File() = default;
  // Bytes read; fewer than asked for only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, MutBytes to) = 0;
  // All of `from`, or an error. Volatile until `sync` or `Storage::sync_all`.
  virtual Status write_at(std::uint64_t offset, Bytes from) = 0;
  virtual Status sync() = 0;
  virtual Status truncate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> size() = 0;
};

struct IoDone {
  std::uint64_t tag = 0;
  Status status;
};

// Journal and superblock: a file of fixed size, zero-written at creation; a write is durable when
// it completes. Offsets, sizes and buffers are multiples of 4 KiB; several operations may be in
// flight and complete in any order. Buffers live until their completion was polled.
class SectorDevice {
 public:
  virtual ~SectorDevice() = default;
  virtual void write(std::uint64_t tag, std::uint64_t offset, Bytes sectors) = 0;
  virtual void read(std::uint64_t tag, std::uint64_t offset, MutBytes sectors) = 0;
  // Completions into `out`; waits at most `wait_ns` for the first one, never with 0. The caller's
  // own thread may do the I/O inside this call.
  virtual std::size_t poll(std::span<IoDone> out, std::uint64_t wait_ns) = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
};

// `create` makes missing parents, opens for writing too, mode 0600, and is durable when it returns;
// an existing file is opened as it is. `create_new` is the same, but for an existing file, which is
// `constraint.exists`: of several that try at once, one makes it.
enum class Open : std::uint8_t { read, write, create, create_new };

// The answer of `create_new`.
[[nodiscard]] inline Error already_there(std::string_view path) {
  return Error{Code::constraint_exists, "there is a file already"}
      .where("{}", path)
      .next("name another file; this one is left as it is");
}

// Held until destroyed.
class Lock {
 public:
  virtual ~Lock() = default;
};

class Storage {
 public:
  virtual ~Storage() = default;
  // One holder in the world at a time; `unavailable.in_use` names the one there is by the text it
  // gave.
  virtual Result<std::unique_ptr<Lock>> lock(std::string_view path, std::string_view holder) = 0;
  // `not_found.file` if it is not there and `create` was not asked for.
  virtual Result<std::unique_ptr<File>> open(std::string_view path, Open mode) = 0;
  // Size 0: the file must be there, and keeps its size. Otherwise it is created with that size,
  // zero-written and durable, unless it is there, when it must have that size.
  virtual Result<std::unique_ptr<SectorDevice>> open_device(std::string_view path,
                                                            std::uint64_t size) = 0;
  virtual Status rename(std::string_view from, std::string_view to) = 0;  // atomic and durable
  virtual Status remove(std::string_view path) = 0;                       // durable
  // Names in a directory, sorted; directories end in '/'. A missing directory is
  // `not_found.directory`.
  virtual Result<std::vector<std::string>> list(std::string_view directory) = 0;
  // Every completed write of every file is durable when this returns.
  virtual Status sync_all() = 0;
  virtual Result<std::uint64_t> free_bytes() = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::uint64_t monotonic_ns() = 0;
  virtual TimestampUs realtime() = 0;
};

// Cryptographically strong on the platform, seeded in the simulator.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(MutBytes to) = 0;
};

// Frames between the replicas of a group, each named by its index among the members. A frame comes
// once, late, twice or never, but never changed and never from another than the one named: whoever
// implements this authenticates both ends.
class Network {
 public:
  using Receiver = std::function<void(std::uint8_t from, Bytes frame)>;
  virtual ~Network() = default;
  virtual void send(std::uint8_t replica, Bytes frame) = 0;
  // From now on whatever arrives is handed to `receiver`, on any thread, one frame at a time; the
  // bytes live until it returns. An empty one: no more, and none is under way when this returns.
  virtual void listen(Receiver receiver) = 0;
};

using Task = std::move_only_function<void()>;

// A strand runs its tasks in order, never two at once.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::uint64_t strand, Task task) = 0;
  virtual void post_after(std::uint64_t delay_ns, std::uint64_t strand, Task task) = 0;
  // The caller lends its thread: runs one due task if there is one within `wait_ns`; false if not.
  virtual bool run_one(std::uint64_t wait_ns) = 0;
  // One caller that waits in `run_one` leaves it with false; if none does, the next one that would.
  virtual void wake() = 0;
};

struct Env {
  Storage& storage;
  Network& network;
  Clock& clock;
  Random& random;
  Executor& executor;
};

}  // namespace kimberlite::env
