// The fault atlas: which damage to the disks of a group its redundancy covers, and doing it.
//
// A prepare may be damaged on a replica if no more than a minority of the replicas is damaged then,
// and the prepare stands whole on another disk, and something on this one says that it was durable;
// else it would look like the torn write of a crash, which is nobody's to repair, and it and all
// behind it, which it hides, must stand on a quorum of the others. Of a group that changes one
// replica is damaged at a time, whoever votes, and only disks of voters count. What a replica has
// several of, or makes again (superblock copies, marks, snapshots, projections), may lose as much
// as leaves the shipped reader with the same answer. `beyond` lifts the bound on how many, and
// damages only what is known to be durable.
//
// Thread rule: one thread. The group outlives it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "consensus/journal.hpp"
#include "consensus/superblock.hpp"
#include "vopr/group.hpp"
#include "vopr/plan.hpp"

namespace kimberlite::vopr {

class Atlas {
 public:
  Atlas(Group& group, const Plan& plan)
      : group_(group),
        beyond_(plan.beyond),
        strict_(plan.group.strict),
        changes_(plan.group.standbys > 0),
        sick_(group.size()) {}

  // How many may be damaged, or have a wrong clock, at a time.
  [[nodiscard]] std::uint32_t minority() const { return changes_ ? 1U : (group_.size() - 1U) / 2; }

  // Each says what was done, or nothing if it may not be.
  // A byte of a prepare on disk changes, or its sector cannot be read any more; on or off.
  [[nodiscard]] std::optional<std::string> strike_prepare(std::uint8_t machine,
                                                          std::uint64_t choice, bool unreadable);
  // Of a machine that is off.
  [[nodiscard]] std::optional<std::string> strike_superblock(std::uint8_t machine,
                                                             std::uint64_t choice);
  [[nodiscard]] std::optional<std::string> strike_mark(std::uint8_t machine, std::uint64_t choice);
  [[nodiscard]] std::optional<std::string> strike_snapshot(std::uint8_t machine,
                                                           std::uint64_t choice);
  [[nodiscard]] std::optional<std::string> strike_projection(std::uint8_t machine,
                                                             std::uint64_t choice);
  // What `verify` found is what a projection was struck with, and stands as it was then: nobody has
  // read that page since, or the projection would have been derived anew.
  [[nodiscard]] bool is_unread(std::uint8_t machine, const engine::VerifyFinding& finding);
  // All of its disk goes; it is made anew when it starts.
  [[nodiscard]] bool lose_disk(std::uint8_t machine);
  // Its next write of a prepare is lost.
  [[nodiscard]] bool lose_write(std::uint8_t machine);
  // To be asked after each event and before a machine loses its power: true once for each write
  // that was lost.
  [[nodiscard]] bool has_lost(std::uint8_t machine);
  // It is damaged, or the group has not told it yet what it lost.
  [[nodiscard]] bool is_sick(std::uint8_t machine);
  // What the superblock on its disk names.
  [[nodiscard]] std::optional<consensus::Checkpoint> checkpoint(std::uint8_t machine) const;

 private:
  struct Found {
    consensus::Superblock superblock;
    consensus::JournalRecovery journal;
  };
  struct Frame {
    OpNumber op;
    std::uint64_t offset = 0;  // in the file
    std::uint32_t size = 0;
    OpNumber head;  // of that journal: with the frame all behind it may be lost to an open
  };

  [[nodiscard]] const FileBytes* journal(std::uint8_t machine) const;
  [[nodiscard]] std::optional<consensus::Superblock> superblock(std::uint8_t machine) const;
  [[nodiscard]] std::optional<Found> look(std::uint8_t machine) const;
  [[nodiscard]] bool knows(std::uint8_t machine, OpNumber op) const;
  [[nodiscard]] bool may_strike(std::uint8_t machine);
  // By the newest configuration on any disk.
  [[nodiscard]] consensus::Configuration configuration() const;
  [[nodiscard]] std::uint32_t stands_elsewhere(std::uint8_t machine,
                                               const consensus::LiveFrame& frame);
  [[nodiscard]] std::optional<Frame> choose(std::uint8_t machine, std::uint64_t choice);

  Group& group_;
  bool beyond_;
  bool strict_;
  bool changes_;
  struct Sick {
    std::optional<OpNumber> until;  // whole again once its checkpoint or whole log is there
    bool unreadable = false;        // a sector is, though its bytes on the image are good
    bool anew = false;              // its disk was lost, and the group has not told it all yet
    bool losing = false;            // a write is to be lost, and was not yet
  };
  std::vector<Sick> sick_;
  struct Struck {
    std::uint8_t machine = 0;
    std::string file;
    std::uint64_t offset = 0;  // of a page
    Buffer page;               // as it is since
  };
  std::vector<Struck> struck_;  // projections
};

}  // namespace kimberlite::vopr
