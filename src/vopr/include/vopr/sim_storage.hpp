// A disk that obeys `env::Storage` and nothing more: what was not synced may be lost or torn, what
// is in flight at a crash may be whole, partly or not there, and calls fail when told to.
//
// Every call that does I/O has a number, from 1 (`calls`, `kinds`). At call `Faults::crash_at` the
// power goes: the image that survives is chosen and frozen, `frozen()` turns true, and the running
// code goes on against a disk nobody will see again, so that it ends by its own ways. Whatever it
// acknowledges from then on was never acknowledged to anyone.
//
// What survives, chosen by seed for each sector (of 512 B or 4 KiB, chosen too): of the writes
// since the last sync any prefix; of a file's size any since then; of a device's writes in flight,
// the sector or its old content. Names (create, rename, remove) are durable when the call returns,
// and during it either the old or the new; a device in creation may leave its "….new" behind, as on
// Linux. Equal seed, image, faults and calls give equal bytes.
//
// Thread rule: one thread. Handles may outlive what they name, as on Unix, but not the storage.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "env/env.hpp"
#include "vopr/disk_image.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::vopr {

class SimClock;

enum class CallKind : std::uint8_t {
  create,        // of a file that was not there
  read,          // changes nothing, so a crash here is the crash at the call after it
  write,         //
  sync,          //
  truncate,      //
  device_write,  // issued; a crash here may tear it
  device_done,   // completed, not yet seen by the caller: a crash here leaves it whole
  device_read,   //
  rename,        //
  remove,        //
  sync_all,      //
  lock,          //
};

// Of calls that take no room, `Failure::disk_full` is passed over.
[[nodiscard]] bool can_be_disk_full(CallKind kind);

enum class Failure : std::uint8_t {
  io,         // EIO; of a write, any part of it may have reached the disk
  disk_full,  // ENOSPC: of a file's write a part may be there; of a read, sync or remove: none
};

// What goes wrong, beside what the seed chooses at a crash. Rates are chances in a million calls.
struct Faults {
  std::uint64_t crash_at = 0;  // 0: never
  // The call of that number fails; with `from_then_on` every later one too that can fail so.
  struct Injection {
    std::uint64_t call = 0;
    Failure failure = Failure::io;
    bool from_then_on = false;
  };
  std::vector<Injection> injections = {};
  std::uint64_t capacity = std::numeric_limits<std::uint64_t>::max() / 2;  // bytes of all files

  std::uint32_t read_failures = 0;
  std::uint32_t write_failures = 0;
  std::uint32_t latent_errors = 0;       // a written sector cannot be read until written again
  std::uint32_t bit_rot = 0;             // a written sector has one bit wrong
  std::uint32_t lost_writes = 0;         // a device acknowledges a write it did not make
  std::uint32_t misdirected_writes = 0;  // a device writes to another place of the same file
  std::uint32_t misdirected_reads = 0;   // a device reads from another place
};

// What becomes of one call, for whoever chooses call by call (`SimStorage::on_call`).
struct Strike {
  bool crash = false;   // the power goes, as at `Faults::crash_at`
  bool lost = false;    // a write is acknowledged and not made; a file's sync does nothing
  bool astray = false;  // a device reads or writes at another place of the same file
  std::optional<Failure> failure;
};

class SimStorage final : public env::Storage {
 public:
  SimStorage(std::uint64_t seed, SimClock& clock, const DiskImage& image, Faults faults);
  ~SimStorage() override;
  SimStorage(const SimStorage&) = delete;
  SimStorage& operator=(const SimStorage&) = delete;

  Result<std::unique_ptr<env::Lock>> lock(std::string_view path, std::string_view holder) override;
  Result<std::unique_ptr<env::File>> open(std::string_view path, env::Open mode) override;
  Result<std::unique_ptr<env::SectorDevice>> open_device(std::string_view path,
                                                         std::uint64_t size) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status remove(std::string_view path) override;
  Result<std::vector<std::string>> list(std::string_view directory) override;
  Status sync_all() override;
  Result<std::uint64_t> free_bytes() override;

  // I/O calls so far, and the kind of each: call n is kinds()[n - 1].
  [[nodiscard]] std::uint64_t calls() const { return kinds_.size(); }
  [[nodiscard]] const std::vector<CallKind>& kinds() const { return kinds_; }

  // True once call `crash_at` has come.
  [[nodiscard]] bool frozen() const { return frozen_.has_value(); }
  // The image that survives the power failure at `crash_at`, or one now if that has not come.
  [[nodiscard]] DiskImage crash();
  // What the operating system has: what a process finds after `kill -9` of the one before it.
  [[nodiscard]] DiskImage image() const;

  // From now on hands over, at each of `calls`, the image a power failure at that call would leave,
  // the very one of `Faults::crash_at`; and nothing happens to the run. `take` must not call back.
  using Take = std::function<void(std::uint64_t call, DiskImage image)>;
  void photograph(std::set<std::uint64_t> calls, Take take);

  // Asked at every call, with its kind and the path it is made on. `strikes` must not call back.
  using Strikes = std::function<Strike(CallKind kind, std::string_view path)>;
  void on_call(Strikes strikes) { strikes_ = std::move(strikes); }

  // When the first device operation in flight completes.
  [[nodiscard]] std::optional<std::uint64_t> next_done_ns() const;

  // The power goes at the call so many from now.
  void crash_after(std::uint64_t calls) { faults_.crash_at = this->calls() + calls; }
  // Replaces what goes wrong from the next call on; `crash_at` and injections count as before.
  void set_faults(Faults faults) { faults_ = std::move(faults); }
  // Reads of the 4 KiB sector at `offset` fail until it is written again.
  void fail_sector(std::string_view path, std::uint64_t offset);
  // A byte of a file is another from now on, on the disk too.
  void flip(std::string_view path, std::uint64_t offset, std::byte mask);
  // The next write of the device at `offset` or behind is acknowledged and not made; true since it
  // happened.
  void lose_write(std::string_view path, std::uint64_t offset);
  [[nodiscard]] bool has_lost_write() const { return write_lost_; }
  // Device operations issued from now on take so much longer.
  void slow_down(std::uint64_t ns) { slow_ns_ = ns; }
  // The bytes of a file as they are now; it is there.
  [[nodiscard]] const FileBytes& bytes(std::string_view path) const;
  [[nodiscard]] bool contains(std::string_view path) const { return nodes_.contains(path); }
  [[nodiscard]] std::uint64_t used_bytes() const;

 private:
  friend class SimFileHandle;
  friend class SimDeviceHandle;
  class HeldLock;
  struct Node;

  // What became of a call, decided before it is made.
  struct Verdict {
    bool crash = false;  // the power goes during this call, or a photograph is taken as if it did
    std::optional<Failure> failure;
    bool lost = false;
    bool astray = false;
  };
  Verdict begin(CallKind kind, std::string_view path);
  // Runs `change`, a change of names, with the power going before or after it if `crash` says so.
  template <class Change>
  void change_names(const Verdict& verdict, Change change);
  void freeze();
  [[nodiscard]] DiskImage survivors();
  [[nodiscard]] Prng fate_at(std::uint64_t call) const { return {seed_, 1000 + call}; }
  [[nodiscard]] FileBytes survivor(const Node& node);
  void make_durable(Node& node);
  Status write_file(Node& node, const std::string& path, std::uint64_t offset, Bytes from);
  Status read_sectors(const Node& node, const std::string& path, std::uint64_t offset,
                      std::size_t size);
  void after_write(Node& node, std::uint64_t offset, std::size_t size);

  std::uint64_t seed_;
  Prng choices_;   // how far a failed write came, and what was in flight when a device closed
  Prng failures_;  // when a rate strikes
  Prng fate_;      // what survives, of each call its own
  SimClock& clock_;
  Faults faults_;
  std::map<std::string, std::shared_ptr<Node>, std::less<>> nodes_;
  std::map<std::string, std::string, std::less<>> locks_;
  std::vector<CallKind> kinds_;
  std::optional<DiskImage> frozen_;
  std::optional<std::pair<std::string, std::uint64_t>> to_lose_;
  bool write_lost_ = false;
  std::uint64_t slow_ns_ = 0;
  std::set<std::uint64_t> photographed_;  // calls still to come
  Take take_;
  Strikes strikes_;
};

}  // namespace kimberlite::vopr
