// A node for tests: the shipped replica on a disk in memory whose writes are in flight until the
// test ends or tears them, and a model of what must hold whatever the test does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "consensus/command.hpp"
#include "consensus/journal.hpp"
#include "consensus/replica.hpp"
#include "consensus/superblock.hpp"

namespace kimberlite::consensus::testing {

using Rng = std::mt19937_64;

// Uniform in [0, bound), the same on every platform.
inline std::uint64_t below(Rng& rng, std::uint64_t bound) { return rng() % bound; }

Genesis genesis();
Configuration group_of(std::uint8_t voters, std::uint8_t standbys);
// A body of one command, `size` bytes in all and at least 208, filled from `fill`.
MutableBuffer body(BlockPool& pool, std::size_t size, std::uint64_t fill);

struct Disk {
  std::vector<std::byte> superblock;
  std::vector<std::byte> journal;

  explicit Disk(std::uint64_t ring_size);
  [[nodiscard]] ReadAt reader() const;
};

// Writes one frame straight to a ring, as some replica of view `view` would.
PrepareHeader put_frame(Disk& disk, const PrepareHeader& parent, std::uint64_t view,
                        std::uint64_t ring_offset, std::size_t sectors);

class Node {
 public:
  explicit Node(ReplicaOptions options);

  // Reads the disk and opens the replica; its actions are carried out up to starting the writes.
  [[nodiscard]] Status open();
  // `open`, then every write ended: ready for proposals.
  [[nodiscard]] Status open_fully();

  // Proposes a body of `size` bytes; returns its ticket.
  std::uint64_t propose(std::size_t size);
  void step(const Event& event);
  void advance_ns(std::uint64_t ns) { now_.monotonic_ns += ns; }
  void set_realtime(TimestampUs time) { now_.realtime = time; }

  [[nodiscard]] std::size_t writes_in_flight() const { return writes_.size(); }
  // Ends write i successfully, or with an error that leaves the disk as it is.
  void end_write(std::size_t i);
  void fail_write(std::size_t i);
  void end_all_writes();
  // What was asked for by StartCheckpoint and not answered yet.
  [[nodiscard]] std::optional<OpNumber> checkpoint_due() const { return checkpoint_due_; }
  void finish_checkpoint();

  enum class Fate : std::uint8_t { lost, whole, torn };
  // The process dies: every write in flight meets its fate, a torn one keeps the 512-byte pieces
  // whose bit in `pieces` is set.
  struct Death {
    Fate fate = Fate::lost;
    std::uint64_t pieces = 0;
  };
  void crash(const std::vector<Death>& deaths);
  void crash(Rng& rng);
  // Writes in flight, oldest first: their offset in the journal, or nothing for the superblock's.
  [[nodiscard]] std::optional<std::uint64_t> journal_offset(std::size_t i) const;

  [[nodiscard]] Replica& replica() { return *replica_; }
  [[nodiscard]] bool is_open() const { return replica_ != nullptr; }
  [[nodiscard]] Disk& disk() { return disk_; }
  [[nodiscard]] const ReplicaOptions& options() const { return options_; }
  [[nodiscard]] const JournalRecovery& recovered() const { return recovered_; }
  [[nodiscard]] BlockPool& pool() { return pool_; }
  // Highest op a Commit was seen for, over all lives.
  [[nodiscard]] OpNumber acknowledged() const { return acknowledged_; }
  [[nodiscard]] const std::vector<std::uint64_t>& abandoned() const { return abandoned_; }
  // All actions and events so far, as text: equal for equal seeds.
  [[nodiscard]] const std::string& trace() const { return trace_; }
  // What was found to be wrong; empty is good.
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

  [[nodiscard]] Result<JournalAudit> audit() const;

 private:
  enum class Target : std::uint8_t { prepare, mark, superblock };
  struct Write {
    Target target = Target::prepare;
    std::uint64_t offset = 0;  // in its file
    Buffer bytes;
    std::size_t from = 0;  // of `bytes`
    std::size_t size = 0;
    OpNumber op;
    Hash checksum{};
    std::uint64_t sequence = 0;
  };
  struct Known {
    Hash checksum{};
    TimestampUs timestamp;
    std::uint32_t commands = 0;
  };

  void carry_out(const std::vector<Action>& actions);
  void start(const WritePrepare& action);
  void start(const ReadPrepare& action);
  void start(const WriteMark& action);
  void start(const WriteSuperblock& action);
  void start_copies(std::size_t first);
  void saw(const Commit& commit);
  void complain(const std::string& what);
  void apply(const Write& write, Death death);
  std::vector<std::byte>& file(Target target) {
    return target == Target::superblock ? disk_.superblock : disk_.journal;
  }

  ReplicaOptions options_;
  Disk disk_;
  BlockPool pool_;
  std::unique_ptr<Replica> replica_;
  JournalRecovery recovered_;
  Now now_{.monotonic_ns = 1'000'000'000, .realtime = TimestampUs{1'700'000'000'000'000}};
  std::vector<Write> writes_;
  std::vector<PrepareRead> reads_;
  std::optional<WriteSuperblock> superblock_;  // in flight
  std::size_t copies_left_ = 0;                // of its phase
  bool second_phase_ = false;
  std::optional<OpNumber> checkpoint_due_;
  std::uint64_t next_ticket_ = 1;

  // The model.
  std::map<std::uint64_t, Known> known_;  // every op ever committed
  OpNumber acknowledged_;
  OpNumber committed_in_life_;
  Checkpoint checkpoint_;  // of the superblock last known durable
  std::uint64_t view_ = 0;
  std::uint64_t incarnation_ = 0;
  // Where the frames stand that a crash may need: op -> (ring offset, padded size).
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> live_;
  std::vector<std::uint64_t> abandoned_;
  std::string trace_;
  std::string wrong_;
};

}  // namespace kimberlite::consensus::testing
