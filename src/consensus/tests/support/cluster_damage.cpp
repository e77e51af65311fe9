// Damage to the disks of a group, and the atlas that bounds it.
#include <algorithm>

#include "consensus/core/quorum.hpp"
#include "support/cluster.hpp"

namespace kimberlite::consensus::testing {

bool Cluster::has_written(const Node& node, OpNumber op, const Hash& checksum) const {
  if (op <= node.checkpoint) return true;
  const auto written = node.on_disk.find(op.value());
  return written != node.on_disk.end() && written->second == checksum;
}

template <class Holds>
bool Cluster::holds_at(const Holds& holds, std::optional<std::uint32_t> needed) const {
  return std::ranges::all_of(plausible_, [&](const Configuration& one) {
    std::uint32_t have = 0;
    for (std::uint8_t i = 0; i < members(); ++i) have += one.votes(i) && holds(i) ? 1U : 0U;
    return have >= needed.value_or(core::replication_quorum(one.voter_count()));
  });
}

// Voters that have some damage.
std::uint32_t Cluster::damaged_besides(std::uint8_t index) {
  std::uint32_t damaged = 0;
  for (std::uint8_t i = 0; i < members(); ++i) {
    Node& node = nodes_[i];
    std::erase_if(node.damaged,
                  [&](const auto& damage) { return damage.first <= node.checkpoint.value(); });
    if (i == index || !is_voter(i)) continue;
    if (!node.damaged.empty() || node.lost_until > OpNumber{} || node.is_old) ++damaged;
  }
  return damaged;
}

// What the model remembers of a disk that is no more.
void Cluster::forget_disk(Node& node) {
  node.view = node.log_view = {};
  node.checkpoint = node.view_durable = {};
  node.incarnation = 0;
  node.had.insert(node.on_disk.begin(), node.on_disk.end());
  node.on_disk.clear();
  node.damaged.clear();
  node.hidden.clear();
}

// Without damage before it that looks like a torn write.
bool Cluster::may_know(const Node& node, OpNumber op) {
  return !node.hidden.contains(op.value()) &&
         std::ranges::none_of(node.damaged, [&](const auto& damage) {
           return damage.first <= op.value() && !damage.second;
         });
}

void Cluster::make_anew(std::uint8_t index) {
  Node& node = nodes_[index];
  crash(index);
  *node.disk = Disk{options_.replica.journal.ring_size};
  Genesis genesis = genesis_of(index);
  // Whoever does it may know of no change yet.
  if (!configurations_.empty() && below(rng_, 2) == 0) {
    genesis.configuration = configurations_.rbegin()->second;
  }
  genesis.anew = TimestampUs{now_ns_ / 1000};
  encode_superblock(first_superblock(genesis),
                    std::span<std::byte, superblock_size>(node.disk->superblock));
  forget_disk(node);
  node.is_old = false;
  node.copy.reset();
  note(fmt::format("the disk of {} is lost", index));
  start(index);
}

bool Cluster::lose_disk(std::uint8_t index) {
  if (!is_voter(index)) return false;
  if (nodes_[index].is_old || damaged_besides(index) >= damaged_max()) return false;
  ++counts_.lost_disks;
  make_anew(index);
  return true;
}

void Cluster::copy_disk(std::uint8_t index) {
  Node& node = nodes_[index];
  if (node.replica != nullptr || node.is_old || node.lost_until > OpNumber{}) return;
  const auto read =
      read_superblock(std::span<const std::byte, superblock_size>(node.disk->superblock));
  if (!read || read->superblock.standing == Standing::lost) return;
  node.copy = std::make_unique<Disk>(*node.disk);
  node.copied_in = read->superblock.incarnation;
}

// What stands on the disk of `by`.
std::optional<LifeId> Cluster::life_seen(std::uint8_t by, std::uint8_t of) const {
  const auto read =
      read_superblock(std::span<const std::byte, superblock_size>(nodes_[by].disk->superblock));
  if (!read) return std::nullopt;
  return read->superblock.lives_seen[of];
}

bool Cluster::put_back_disk(std::uint8_t index) {
  Node& node = nodes_[index];
  if (node.copy == nullptr || node.is_old || !is_voter(index)) return false;
  if (damaged_besides(index) >= damaged_max()) return false;
  const auto knows = [&](std::uint8_t i) {
    const auto seen = life_seen(i, index);
    return i != index && seen && seen->incarnation > node.copied_in &&
           seen->incarnation == node.incarnation;
  };
  if (!holds_at(knows, std::nullopt)) return false;
  // Nor may another old copy lose with it those who know better.
  for (std::uint8_t old = 0; old < members(); ++old) {
    if (!nodes_[old].is_old) continue;
    const auto knows_that_one = [&](std::uint8_t i) {
      return i != index && i != old && life_seen(i, old) == nodes_[old].forgotten;
    };
    if (!holds_at(knows_that_one, std::nullopt)) return false;
  }
  crash(index);
  for (std::uint8_t i = 0; i < members(); ++i) {
    if (knows(i)) node.forgotten = *life_seen(i, index);
  }
  ++counts_.old_disks;
  note(fmt::format("the disk of {} is put back as it was", index));
  *node.disk = *node.copy;
  node.copy.reset();
  forget_disk(node);
  node.is_old = true;
  start(index);
  return true;
}

bool Cluster::may_damage_any(std::uint8_t index) {
  return is_voter(index) && !nodes_[index].is_old && damaged_besides(index) < damaged_max();
}

// The atlas. True records the damage.
bool Cluster::may_damage(std::uint8_t index, OpNumber op, const Hash& checksum,
                         std::uint32_t needed) {
  if (!may_damage_any(index)) return false;
  const auto others = [&](OpNumber of, const Hash& as, std::optional<std::uint32_t> at_least) {
    const auto has = [&](std::uint8_t i) {
      const Node& node = nodes_[i];
      const bool is_whole = node.damaged.empty() && node.lost_until == OpNumber{} && !node.is_old;
      return i != index && is_whole && has_written(node, of, as);
    };
    return holds_at(has, at_least);
  };
  const auto superblock =
      read_superblock(std::span<const std::byte, superblock_size>(nodes_[index].disk->superblock));
  if (!superblock) return false;
  const auto journal = recover_journal(superblock->superblock, options_.replica.journal,
                                       nodes_[index].disk->reader());
  if (!journal) return false;
  const bool claimed = journal->durable_seen >= op;
  if (!others(op, checksum, needed)) return false;
  if (!claimed && !options_.replica.strict) {
    // It hides what stands behind it, and what is still being written there.
    const Node& node = nodes_[index];
    for (auto hidden = node.on_disk.find(op.value()); hidden != node.on_disk.end(); ++hidden) {
      if (!others(OpNumber{hidden->first}, hidden->second, std::nullopt)) return false;
    }
    for (const Write& write : node.writes) {
      if (write.target == Target::prepare && write.op > op) return false;
    }
  }
  nodes_[index].damaged[op.value()] = claimed;
  return true;
}

bool Cluster::rot(std::uint8_t index) {
  Node& node = nodes_[index];
  if (node.replica == nullptr || !is_voter(index)) return false;
  const Replica& replica = *node.replica;
  const std::uint64_t first = replica.checkpoint().op.value() + 1;
  if (replica.durable().value() < first) return false;
  // The newest ones are those that matter.
  const std::uint64_t count = replica.durable().value() - first + 1;
  const OpNumber op{replica.durable().value() -
                    below(rng_, below(rng_, 2) == 0 ? count : std::min<std::uint64_t>(count, 3))};
  const auto checksum = replica.checksum_at(op);
  if (!checksum || !may_damage_any(index)) return false;
  const auto superblock =
      read_superblock(std::span<const std::byte, superblock_size>(node.disk->superblock));
  if (!superblock) return false;
  const auto journal =
      recover_journal(superblock->superblock, options_.replica.journal, node.disk->reader());
  if (!journal) return false;
  for (const LiveFrame& frame : journal->frames) {
    if (frame.op != op || frame.checksum != *checksum) continue;
    if (!may_damage(index, op, *checksum, 1)) return false;
    const std::uint64_t at = file_offset(frame.ring_offset) + below(rng_, frame.size);
    node.disk->journal[at] ^= std::byte{0x10};
    ++counts_.rots;
    note(fmt::format("rot {}: op {} of view {}{}", index, op.value(), frame.view.value(),
                     node.damaged[op.value()] ? "" : ", which nothing says was durable"));
    return true;
  }
  return false;
}

}  // namespace kimberlite::consensus::testing
