// What all connections of one projection file share: the locks and shared memory that SQLite's own
// VFS keeps in the file system, and the WAL's state.
//
// Thread rule: every method from any thread.
#pragma once

#include <sqlite3.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "env/env.hpp"
#include "vfs_recovery.hpp"
#include "vfs_seal.hpp"

namespace kimberlite::projection {

// One connection's hold on the database file.
struct Hold {
  int level = SQLITE_LOCK_NONE;
  bool shared_memory = false;
  std::uint32_t shared_slots = 0;     // bit masks over the WAL's lock slots
  std::uint32_t exclusive_slots = 0;  //
};

// The five lock levels of SQLite's file locking (sqlite.org/lockingv3.html), among connections of
// this process. In WAL mode only SHARED, and EXCLUSIVE at the last close, are taken.
class FileLocks {
 public:
  [[nodiscard]] int lock(Hold& hold, int level);
  void unlock(Hold& hold, int level);
  [[nodiscard]] bool reserved();

 private:
  std::mutex mutex_;
  // (L1) shared_ is the number of holds at SHARED or above.      [kept: lock, unlock]
  // (L2) writer_ is the one hold above SHARED, if there is one.  [kept: lock, unlock]
  std::uint32_t shared_ = 0;
  Hold* writer_ = nullptr;
};

// The WAL index in the heap, and its lock slots (sqlite.org/walformat.html §2.3).
class SharedMemory {
 public:
  static constexpr std::size_t region_size = 32'768;

  // Null if the region is not there and `extend` is false.
  [[nodiscard]] volatile void* map(Hold& hold, std::size_t region, bool extend);
  [[nodiscard]] int lock(Hold& hold, int first, int count, int flags);
  // What a connection wrote before its barrier is seen by whoever passes one after it.
  void barrier() { const std::lock_guard guard{mutex_}; }
  // The last hold to go takes the memory with it.
  void unmap(Hold& hold);

 private:
  void release(Hold& hold, std::uint32_t slots);

  std::mutex mutex_;
  std::vector<std::unique_ptr<std::byte[]>> regions_;
  std::uint32_t users_ = 0;
  static constexpr int exclusive = -1;
  std::array<int, SQLITE_SHM_NLOCK> slots_{};  // holders of each, or `exclusive`
};

// Where the WAL stands, as far as its pages' sealing needs it.
class WalState {
 public:
  void recovered(const Recovered& found);
  void header_written(Generation generation);
  void frame_written(std::uint32_t frame, bool commits);
  [[nodiscard]] Generation generation() const { return generation_.load(); }
  // Frames up to the last commit; hand to `synced` once a sync begun later has ended.
  [[nodiscard]] Origin committed();
  void synced(const Origin& durable);
  // What a checkpoint's page rests on.
  [[nodiscard]] Origin durable();

 private:
  std::mutex mutex_;
  std::atomic<Generation> generation_{0};  // changed under the mutex, read by every page read
  std::uint32_t committed_frames_ = 0;
  std::uint32_t durable_frames_ = 0;
};

class VfsState {
 public:
  VfsState(env::Env the_env, std::string the_path, crypto::Key256 key, const Id128& file_id);

  const env::Env env;
  const std::string path;
  const std::string wal;
  const std::string name;
  const PageSealer sealer;

  FileLocks locks;
  SharedMemory shared_memory;
  WalState wal_state;

  // Counts a connection in, having recovered the files if it is the first and made them if there
  // are none and `create` says so.
  [[nodiscard]] Status enter(bool create);
  void leave();
  [[nodiscard]] bool in_use();

  void remember(Error error);
  [[nodiscard]] std::optional<Error> take_error();
  // Some of it is not what was sealed, as `error` says. When the last connection has gone the WAL
  // is removed, so that the next open does not take the database for whole.
  void condemn(const Error& error);
  std::function<void(const Error&)> on_damage;  // once; set before there are several threads

  sqlite3_vfs vfs{};

 private:
  std::mutex mutex_;  // guards the two below; held through a recovery
  std::uint32_t connections_ = 0;
  std::optional<Error> error_;
  std::mutex error_mutex_;
  std::atomic<bool> condemned_{false};
};

}  // namespace kimberlite::projection
