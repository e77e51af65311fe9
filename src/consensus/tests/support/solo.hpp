// One shipped replica of a group, with the test in the place of its disk, its clock and all others:
// for what a replica must do on hearing exactly this.
//
// Writes are in flight until the test ends them; a crash loses them. Reads likewise.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "consensus/message.hpp"
#include "consensus/replica.hpp"
#include "support/node.hpp"

namespace kimberlite::consensus::testing {

class Solo {
 public:
  // A prepare, as the primary of its view makes it.
  struct Made {
    PrepareHeader header;
    Buffer frame;
  };

  explicit Solo(std::uint8_t index, std::uint8_t voters = 3, std::uint64_t format = format_version);

  // From the disk; the superblock of the new life is being written.
  void open();
  void crash();
  // Its disk is lost; the next `open` is on a new one.
  void lose_disk();
  // Of a replica that is off: its disk as it is, which is put back later.
  void keep_disk() { kept_ = disk_; }
  void put_back_disk() { disk_ = *kept_; }
  // What that member says from now on, it says in this life.
  void is_in_life(std::uint8_t member, LifeId life) { lives_.at(member) = life; }
  // Those lives, and the replica's own.
  [[nodiscard]] Lives lives() const;
  // And by this configuration.
  void knows(std::uint8_t member, const Configuration& configuration) {
    known_.at(member) = configuration;
  }
  [[nodiscard]] const Configuration& configuration() const { return replica_->configuration(); }
  // The others say no hello to its next lives; they do otherwise, after its first write.
  void is_greeted(bool greeted) { is_greeted_ = greeted; }
  void hear_hello(std::uint8_t from);
  // Why it does not open; empty if it does.
  [[nodiscard]] std::string why_not_open();
  // All in flight, and what they lead to.
  void end_writes();
  // The one in flight longest, or another.
  void end_write(std::size_t which = 0);
  void end_reads();
  void end_sync(const Checkpoint& of_peer);
  // A checkpoint of what is committed now.
  void checkpoint();
  // Time passes, a tick a millisecond.
  void wait(std::uint64_t ms);
  void propose();
  void change(const Configuration& to);
  void read_index();
  // How many of its tickets were given back.
  [[nodiscard]] std::size_t abandoned() const { return abandoned_; }
  [[nodiscard]] std::size_t reads_ready() const { return reads_ready_; }
  // That member's clock is off by so much from this one's, as its answer to the last heartbeat
  // says.
  void hear_clock(std::uint8_t from, std::int64_t off_us = 0);
  // This replica's wall clock is set.
  void step_clock(std::int64_t us);

  [[nodiscard]] Made next(const PrepareHeader& parent, std::uint64_t view, std::uint64_t fill = 1,
                          std::optional<TimestampUs> timestamp = std::nullopt,
                          std::uint64_t commit = 0) const;
  [[nodiscard]] PrepareHeader root() const { return root_prepare(cluster_); }
  // All of the log up to there.
  [[nodiscard]] Suffix log_of(const std::vector<Made>& prepares) const;

  void hear(std::uint8_t from, std::uint64_t view, Payload payload, std::uint64_t commit = 0);
  // Two others ask for it; with it they are a quorum of three.
  void ask_for_view(std::uint64_t view, std::uint8_t a, std::uint8_t b);
  void hear(std::uint8_t from, std::uint64_t view, const Made& prepare, std::uint64_t commit = 0);

  // What it said since the last `forget`, oldest first.
  template <class Kind>
  [[nodiscard]] std::vector<Kind> said() const {
    std::vector<Kind> all;
    for (const Message& message : sent_) {
      if (const auto* one = std::get_if<Kind>(&message.payload)) all.push_back(*one);
    }
    return all;
  }
  [[nodiscard]] bool says_nothing_but_hello() const { return said<Hello>().size() == sent_.size(); }
  [[nodiscard]] TimestampUs wall() const { return now_.realtime; }
  void forget() { sent_.clear(); }
  // The operations committed in this life, in order.
  [[nodiscard]] const std::vector<std::uint64_t>& commits() const { return commits_; }
  // A bit of that operation's body changes on disk.
  void rot(std::uint64_t op);
  // And of both marks.
  void rot_marks();
  // So does one of the head of its frame.
  void rot_head(std::uint64_t op);
  [[nodiscard]] std::size_t writes_in_flight() const { return writes_.size(); }
  // A prepare is being written to the journal.
  [[nodiscard]] bool writes_prepare() const;

  [[nodiscard]] Replica& replica() { return *replica_; }
  void expect(bool holds, const std::string& what);
  // What did not hold; empty is good.
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  void step(const Event& event);
  void end_those_in_flight();
  void carry_out(const std::vector<Action>& actions);

  Genesis genesis_;
  Id128 cluster_{};
  std::array<LifeId, members_max> lives_{};
  std::array<Configuration, members_max> known_{};
  ReplicaOptions options_;
  Disk disk_;
  std::optional<Disk> kept_;
  BlockPool pool_;
  std::unique_ptr<Replica> replica_;
  Now now_{.monotonic_ns = 1'000'000'000, .realtime = TimestampUs{1'700'000'000'000'000}};
  std::vector<Action> writes_;
  std::vector<ReadPrepare> reads_;
  std::vector<Message> sent_;
  std::vector<std::uint64_t> commits_;
  std::optional<OpNumber> checkpointing_;
  std::map<std::uint64_t, std::uint64_t> places_;  // of each op written: its ring offset
  std::uint64_t next_ticket_ = 1;
  std::size_t abandoned_ = 0;
  std::size_t reads_ready_ = 0;
  bool is_greeted_ = true;
  std::uint64_t greeted_ = 0;  // incarnation
  std::string wrong_;
};

}  // namespace kimberlite::consensus::testing
