// A group of shipped replicas for tests: disks and a network in memory under one random generator,
// and a model of what must hold whatever happens to them.
//
// Faults: messages lost, doubled, late, out of order, said again long after, damaged, cut, too long
// or of another cluster; one-way partitions, isolation; crashes that lose or tear writes in flight,
// of one or of all; processes that pause, disks that are slow, wall clocks that step; frames that
// rot, writes a device acknowledged and did not make, sectors that cannot be read; disks that are
// lost altogether, or put back as they once were; and members that vote or no longer do. A fault
// atlas
// bounds all damage: at most f voters have some at any time, and frames only if what they hold is
// on a quorum of other disks or said by a mark to be durable. What no mark names yet may look like
// the torn write of a crash; hence writes are lost only where the replicas are `strict`.
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
  bool changes = false;  // who votes; then no more than one member has damage at any time
  ReplicaOptions replica;
  // Chances in a thousand, of each message.
  std::uint32_t lost = 0;
  std::uint32_t doubled = 0;
  std::uint32_t replayed = 0;  // that some older message of any kind arrives once more
  std::uint32_t spoilt = 0;    // that it arrives as no member would send it
  std::uint64_t delay_max_ns = 2'000'000;
  // Chances in a thousand, of each write and read of a prepare.
  std::uint32_t lost_writes = 0;  // only where the replicas are `strict`
  std::uint32_t failed_reads = 0;
};

struct Counts {
  std::uint64_t of_five = 0;       // lives with five voters at first; the others have three
  std::uint64_t simulated_ms = 0;  // how long they lasted
  std::uint64_t events = 0;
  std::uint64_t messages = 0;
  std::uint64_t commits = 0;  // operations of the group
  std::uint64_t views = 0;    // that some replica became primary of
  std::uint64_t crashes = 0;
  std::uint64_t rots = 0;
  std::uint64_t syncs = 0;
  std::uint64_t reads = 0;
  std::uint64_t truncated = 0;  // operations some replica gave up
  std::uint64_t replays = 0;
  std::uint64_t spoilt = 0;  // messages that arrived and were dropped
  std::uint64_t pauses = 0;
  std::uint64_t clock_steps = 0;
  std::uint64_t lost_writes = 0;
  std::uint64_t failed_reads = 0;
  std::uint64_t lost_disks = 0;
  std::uint64_t old_disks = 0;  // put back
  std::uint64_t changes = 0;    // of the group

  void add(const Counts& other);
};

class Cluster {
 public:
  Cluster(std::uint64_t seed, const ClusterOptions& options);

  // One thing happens: a message arrives, a write ends, or time moves on to the next that does.
  void step();
  void run_for(std::uint64_t ns);
  // Until every replica has committed the same head and nothing committed is missing; false after
  // `ns`.
  [[nodiscard]] bool converge(std::uint64_t ns);

  // Proposes at whoever is primary; false if nobody takes it.
  bool propose(std::size_t size);
  bool read_index();
  // Asks whoever is primary that one member votes from now on, or no more; false if he does not.
  bool change_group();
  void crash(std::uint8_t replica);
  void start(std::uint8_t replica);
  void cut(std::uint8_t from, std::uint8_t to, bool is_cut);
  void join_all();
  // Cut off from everyone, both ways.
  void isolate(std::uint8_t replica);
  // The process stands still: what ends or arrives meanwhile waits for it, a part of it in vain.
  void pause(std::uint8_t replica, std::uint64_t ns);
  // Its writes take so many times as long from now on.
  void slow_down(std::uint8_t replica, std::uint64_t factor);
  // Its wall clock is off by that much from now on; it is right from now on if otherwise more than
  // a minority of the voters' were wrong.
  void step_clock(std::uint8_t replica, std::int64_t us);
  // It crashes, and comes back on an empty disk, made anew as its member; false if the atlas
  // forbids it.
  bool lose_disk(std::uint8_t replica);
  // The same, whatever the atlas says.
  void make_anew(std::uint8_t replica);
  // Of a crashed one: its disk as it is is kept; and later put back, if so many others know of a
  // later life that they cannot but notice.
  void copy_disk(std::uint8_t replica);
  bool put_back_disk(std::uint8_t replica);
  // No more faults, and everyone is up.
  void heal();
  // One frame of that replica's journal changes on disk; false if the atlas forbids it, or there is
  // none.
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
  struct Read {
    std::uint64_t due_ns = 0;
    ReadPrepare what;
  };
  struct Packet {
    std::uint8_t from = 0;
    std::uint8_t to = 0;
    Buffer bytes;
    bool spoilt = false;
  };
  struct Node {
    std::unique_ptr<Disk> disk;
    std::unique_ptr<BlockPool> pool;
    std::unique_ptr<Replica> replica;
    std::vector<Write> writes;
    std::vector<Read> reads;
    std::optional<WriteSuperblock> superblock;
    std::size_t copies_left = 0;
    bool second_half = false;
    std::optional<std::uint64_t> checkpoint_at;
    OpNumber checkpoint_op;
    std::optional<std::uint64_t> sync_at;
    std::uint8_t sync_from = 0;
    OpNumber applied;
    OpNumber commit;  // of this life
    std::uint64_t paused_until_ns = 0;
    std::deque<Packet> waiting;  // for the end of the pause
    std::uint64_t slow = 1;
    std::int64_t clock_us = 0;
    // Of the superblock on disk: what must not go back.
    ViewNumber view;
    ViewNumber log_view;
    OpNumber checkpoint;
    std::uint64_t incarnation = 0;
    OpNumber view_durable;
    std::map<std::uint64_t, Hash> on_disk;  // op: the prepare last written there
    std::unique_ptr<Disk> copy;
    std::uint64_t copied_in = 0;  // incarnation
    bool is_lost = false;         // by its superblock: its disk is new, and nothing is there yet
    std::set<std::pair<std::uint64_t, Hash>> had;  // on the disks that were lost
    bool is_old = false;  // its disk was put back, and it has not noticed yet
    LifeId forgotten;     // its last one before that
    OpNumber lost_until;  // damage cost it the end of its log, which it has not again yet
    std::map<std::uint64_t, bool> damaged;  // op: whether anything on disk says it was durable
    // What the last open could not know of, for damage before it that looked like a torn write.
    // The damage may be made good before it is.
    std::set<std::uint64_t> hidden;
  };
  struct Known {
    Hash checksum{};
    TimestampUs timestamp;
    std::uint32_t commands = 0;
  };

  void feed(std::uint8_t index, const Event& event);
  void carry_out(std::uint8_t index, const std::vector<Action>& actions);
  void send(std::uint8_t from, const Send& send);
  void check_sent(std::uint8_t from, const Message& message);
  void check_storm();
  [[nodiscard]] std::optional<LifeId> life_seen(std::uint8_t by, std::uint8_t of) const;
  void check_stamp(std::uint8_t from, const PrepareHeader& header);
  void deliver(const Packet& packet);
  void spoil(Packet& packet);
  // `needed`: on how many other disks it must be, if a mark or strictness sees to the rest.
  [[nodiscard]] bool may_damage_any(std::uint8_t index);
  [[nodiscard]] bool may_damage(std::uint8_t index, OpNumber op, const Hash& checksum,
                                std::uint32_t needed);
  [[nodiscard]] std::uint32_t damaged_besides(std::uint8_t index);
  // How many may have some, and whether that one may be among them.
  [[nodiscard]] std::uint32_t damaged_max() const {
    return options_.changes ? 1 : (options_.voters - 1U) / 2;
  }
  [[nodiscard]] bool is_voter(std::uint8_t index) const {
    return options_.changes || index < options_.voters;
  }
  // True if at least a quorum of the voters, or so many, fulfil it, whichever configuration counts.
  template <class Holds>
  [[nodiscard]] bool holds_at(const Holds& holds, std::optional<std::uint32_t> needed) const;
  void saw_configuration(const Commit& commit);
  static void forget_disk(Node& node);
  [[nodiscard]] static bool may_know(const Node& node, OpNumber op);
  [[nodiscard]] Genesis genesis_of(std::uint8_t replica) const;
  [[nodiscard]] bool has_written(const Node& node, OpNumber op, const Hash& checksum) const;
  void write(std::uint8_t index, Write write);
  void superblock_half(std::uint8_t index);
  [[nodiscard]] bool step(std::uint8_t index);
  [[nodiscard]] bool may_lose(std::uint8_t index, const Write& write);
  void end_write(std::uint8_t index, std::size_t which);
  void end_read(std::uint8_t index, std::size_t which);
  void saw(std::uint8_t index, const Commit& commit);
  void check(std::uint8_t index);
  void finish_sync(std::uint8_t index);
  void note(std::string text);
  [[nodiscard]] Now now(std::uint8_t index) const;
  std::vector<std::byte>& file(Node& node, Target target) {
    return target == Target::superblock ? node.disk->superblock : node.disk->journal;
  }

  ClusterOptions options_;
  Rng rng_;
  std::vector<Node> nodes_;
  std::multimap<std::uint64_t, Packet> packets_;    // by arrival
  std::map<std::size_t, std::deque<Packet>> sent_;  // by kind, the last ones, to be replayed
  std::uint64_t sent_in_ = 0;                       // the millisecond of the last message
  std::uint64_t sent_then_ = 0;                     // messages in it
  std::set<std::pair<std::uint8_t, std::uint8_t>> cuts_;
  std::uint64_t now_ns_ = 1'000'000'000;
  std::uint64_t next_ticket_ = 1;
  std::map<std::uint64_t, OpNumber> reads_;          // ticket: what was committed when it was asked
  std::map<std::uint64_t, Known> known_;             // every op ever committed anywhere
  std::map<std::uint64_t, std::uint8_t> primaries_;  // of each view
  std::map<std::uint64_t, Configuration> configurations_;  // committed, by epoch
  std::vector<Configuration> plausible_;  // the newest one, that before, and what may follow
  std::map<std::pair<std::uint64_t, std::uint64_t>, Hash> prepares_;  // of each view and op
  OpNumber committed_;
  Counts counts_;
  Hash digest_{};
  std::deque<std::string> story_;
  std::string wrong_;
};

}  // namespace kimberlite::consensus::testing
