// A group of shipped replicas for tests: disks and a network in memory under one random generator,
// and a model of what must hold whatever happens to them.
//
// Faults: messages lost, doubled, late, out of order, one-way partitions; crashes that lose or tear
// writes in flight; frames of the journal that rot. How many disks may lose what they acknowledged
// is the caller's to bound: `rot` refuses to damage more copies of an operation than the group can
// miss.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "consensus/replica.hpp"
#include "support/node.hpp"

namespace kimberlite::consensus::testing {

struct ClusterOptions {
  std::uint8_t voters = 3;
  std::uint8_t standbys = 0;
  ReplicaOptions replica;
  // Chances in a thousand, of each message.
  std::uint32_t lost = 0;
  std::uint32_t doubled = 0;
  std::uint64_t delay_max_ns = 2'000'000;
};

struct Counts {
  std::uint64_t events = 0;
  std::uint64_t messages = 0;
  std::uint64_t commits = 0;  // operations of the group
  std::uint64_t views = 0;    // that some replica became primary of
  std::uint64_t crashes = 0;
  std::uint64_t rots = 0;
  std::uint64_t syncs = 0;
  std::uint64_t reads = 0;
  std::uint64_t truncated = 0;  // operations some replica gave up
};

class Cluster {
 public:
  Cluster(std::uint64_t seed, const ClusterOptions& options);

  // One thing happens: a message arrives, a write ends, or time moves on to the next that does.
  void step();
  void run_for(std::uint64_t ns);
  // Until every open replica has committed the same head; false after `ns`.
  [[nodiscard]] bool converge(std::uint64_t ns);

  // Proposes at whoever is primary; false if nobody takes it.
  bool propose(std::size_t size);
  bool read_index();
  void crash(std::uint8_t replica);
  void start(std::uint8_t replica);
  void cut(std::uint8_t from, std::uint8_t to, bool is_cut);
  void heal();
  // One frame of that replica's journal changes on disk; false if that would take more than the
  // group can miss, or there is none.
  bool rot(std::uint8_t replica);

  [[nodiscard]] bool is_up(std::uint8_t replica) const {
    return nodes_[replica].replica != nullptr;
  }
  [[nodiscard]] Replica& replica(std::uint8_t index) { return *nodes_[index].replica; }
  [[nodiscard]] std::optional<std::uint8_t> primary() const;
  [[nodiscard]] std::uint8_t members() const { return static_cast<std::uint8_t>(nodes_.size()); }
  [[nodiscard]] OpNumber committed() const { return committed_; }
  [[nodiscard]] Rng& rng() { return rng_; }
  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  // Equal for equal seeds and calls.
  [[nodiscard]] const Hash& digest() const { return digest_; }
  // The last things that happened.
  [[nodiscard]] std::string story() const;
  // Where each replica stands, a line each.
  [[nodiscard]] std::string picture() const;
  void complain(const std::string& what);

 private:
  enum class Target : std::uint8_t { prepare, mark, superblock };
  struct Write {
    std::uint64_t due_ns = 0;
    Target target = Target::prepare;
    std::uint64_t offset = 0;
    Buffer bytes;
    std::size_t from = 0;
    std::size_t size = 0;
    OpNumber op;
    Hash checksum{};
    std::uint64_t sequence = 0;
  };
  struct Node {
    std::unique_ptr<Disk> disk;
    std::unique_ptr<BlockPool> pool;
    std::unique_ptr<Replica> replica;
    std::vector<Write> writes;
    std::optional<WriteSuperblock> superblock;
    std::size_t copies_left = 0;
    bool second_half = false;
    std::optional<std::uint64_t> checkpoint_at;
    OpNumber checkpoint_op;
    std::optional<std::uint64_t> sync_at;
    std::uint8_t sync_from = 0;
    OpNumber applied;
    std::map<std::uint64_t, Checkpoint> states;  // what each checkpoint made so far is of
    // What must not go back.
    ViewNumber view;
    ViewNumber log_view;
    std::uint64_t incarnation = 0;
  };
  struct Packet {
    std::uint8_t from = 0;
    std::uint8_t to = 0;
    Buffer bytes;
  };
  struct Known {
    Hash checksum{};
    TimestampUs timestamp;
    std::uint32_t commands = 0;
  };

  void feed(std::uint8_t index, const Event& event);
  void carry_out(std::uint8_t index, const std::vector<Action>& actions);
  void send(std::uint8_t from, const Send& send);
  void write(std::uint8_t index, Write write);
  void superblock_half(std::uint8_t index);
  void end_write(std::uint8_t index, std::size_t which);
  void saw(std::uint8_t index, const Commit& commit);
  void check(std::uint8_t index);
  void finish_sync(std::uint8_t index);
  void note(std::string text);
  [[nodiscard]] Now now() const {
    return {now_ns_, TimestampUs{1'700'000'000'000'000 + now_ns_ / 1000}};
  }
  std::vector<std::byte>& file(Node& node, Target target) {
    return target == Target::superblock ? node.disk->superblock : node.disk->journal;
  }

  ClusterOptions options_;
  Rng rng_;
  std::vector<Node> nodes_;
  std::multimap<std::uint64_t, Packet> packets_;  // by arrival
  std::set<std::pair<std::uint8_t, std::uint8_t>> cuts_;
  std::uint64_t now_ns_ = 1'000'000'000;
  std::uint64_t next_ticket_ = 1;
  std::map<std::uint64_t, OpNumber> reads_;  // ticket: what was committed when it was asked
  std::map<std::uint64_t, Known> known_;     // every op ever committed anywhere
  std::set<std::uint64_t> primaries_;        // views
  OpNumber committed_;
  Counts counts_;
  Hash digest_{};
  std::deque<std::string> story_;
  std::string wrong_;
};

}  // namespace kimberlite::consensus::testing
