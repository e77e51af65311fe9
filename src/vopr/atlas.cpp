#include "atlas.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "consensus/core/quorum.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::string_view journal_file = "journal";
constexpr std::string_view superblock_file = "superblock";
constexpr std::size_t projection_page = 4096;

consensus::ReadAt reader_of(const FileBytes& bytes) {
  return [&bytes](std::uint64_t offset, MutBytes to) -> Status {
    if (bytes.read(offset, to) != to.size()) {
      return Error{Code::unavailable_io, "the journal is shorter"};
    }
    return {};
  };
}

consensus::JournalLimits limits_of(const FileBytes& bytes) {
  return consensus::limits_of(bytes.size() - consensus::marks_size);
}

std::optional<consensus::Superblock> superblock_of(const FileBytes& bytes) {
  std::array<std::byte, consensus::superblock_size> all{};
  if (bytes.read(0, all) != all.size()) return std::nullopt;
  auto read = consensus::read_superblock(all);
  if (!read) return std::nullopt;
  return read->superblock;
}

std::byte one_bit(Prng& choices) { return static_cast<std::byte>(1U << choices.below(8)); }

}  // namespace

const FileBytes* Atlas::journal(std::uint8_t machine) const {
  SimGroup& world = group_.world();
  if (world.is_on(machine)) {
    return world.storage(machine).contains(journal_file)
               ? &world.storage(machine).bytes(journal_file)
               : nullptr;
  }
  const auto& files = world.disk(machine).files();
  const auto found = files.find(journal_file);
  return found == files.end() ? nullptr : &found->second.bytes;
}

std::optional<consensus::Superblock> Atlas::superblock(std::uint8_t machine) const {
  SimGroup& world = group_.world();
  if (world.is_on(machine)) return superblock_of(world.storage(machine).bytes(superblock_file));
  const auto& files = world.disk(machine).files();
  const auto found = files.find(superblock_file);
  return found == files.end() ? std::nullopt : superblock_of(found->second.bytes);
}

std::optional<consensus::Checkpoint> Atlas::checkpoint(std::uint8_t machine) const {
  auto found = superblock(machine);
  if (!found) return std::nullopt;
  return found->checkpoint;
}

std::optional<Atlas::Found> Atlas::look(std::uint8_t machine) const {
  const FileBytes* bytes = journal(machine);
  if (bytes == nullptr) return std::nullopt;
  auto superblock = this->superblock(machine);
  if (!superblock) return std::nullopt;
  auto recovered = consensus::recover_journal(*superblock, limits_of(*bytes), reader_of(*bytes));
  if (!recovered) return std::nullopt;
  return Found{*std::move(superblock), *std::move(recovered)};
}

// A running replica knows nothing of what stands behind damage on its disk, though that was made
// good since: it is no copy before it was sent again, or found by the next open.
bool Atlas::knows(std::uint8_t machine, OpNumber op) const {
  if (!group_.world().is_on(machine)) return true;
  const auto glance = group_.glance(machine);
  return glance && glance->head >= op;
}

bool Atlas::is_sick(std::uint8_t machine) {
  Sick& sick = sick_[machine];
  if (sick.losing) return true;
  if (sick.anew) {
    const auto here = superblock(machine);
    const auto glance = group_.glance(machine);
    if (!here || here->standing != consensus::Standing::member || !glance ||
        glance->state != "normal") {
      return true;
    }
    sick.anew = false;
  }
  if (!sick.until) return false;
  const auto found = look(machine);
  if (!found || found->journal.lost ||
      found->superblock.standing == consensus::Standing::headless) {
    return true;
  }
  bool whole = found->superblock.checkpoint.op >= *sick.until;
  if (!whole && !sick.unreadable) {
    const FileBytes& bytes = *journal(machine);
    const auto audit =
        consensus::audit_journal(found->superblock, limits_of(bytes), reader_of(bytes));
    whole = audit && audit->findings.empty() && audit->head >= *sick.until &&
            knows(machine, *sick.until);
  }
  if (whole) {
    sick.until.reset();
    sick.unreadable = false;
  }
  return !whole;
}

bool Atlas::may_strike(std::uint8_t machine) {
  if (beyond_) return true;
  std::uint32_t others = 0;
  for (std::uint8_t i = 0; i < group_.size(); ++i) others += i != machine && is_sick(i) ? 1U : 0U;
  return others < minority();
}

consensus::Configuration Atlas::configuration() const {
  consensus::Configuration newest;
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    const auto here = superblock(i);
    if (here && (newest.voters == 0 || here->configuration.epoch > newest.epoch)) {
      newest = here->configuration;
    }
  }
  return newest;
}

// On how many whole disks of voters besides.
std::uint32_t Atlas::stands_elsewhere(std::uint8_t machine, const consensus::LiveFrame& frame) {
  const consensus::Configuration group = configuration();
  std::uint32_t have = 0;
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    if (i == machine || !group.votes(i) || is_sick(i)) continue;
    const auto there = look(i);
    if (!there) continue;
    const bool has =
        there->superblock.checkpoint.op >= frame.op ||
        (knows(i, frame.op) &&
         std::ranges::any_of(there->journal.frames, [&](const consensus::LiveFrame& other) {
           return other.op == frame.op && other.checksum == frame.checksum;
         }));
    have += has ? 1U : 0U;
  }
  return have;
}

std::optional<Atlas::Frame> Atlas::choose(std::uint8_t machine, std::uint64_t choice) {
  Prng choices{choice, 9};
  const auto here = look(machine);
  if (!here || here->journal.frames.empty() || !may_strike(machine)) return std::nullopt;
  const auto& frames = here->journal.frames;
  // The newest ones are those that matter.
  const std::uint64_t back =
      choices.below(choices.coin() ? frames.size() : std::min<std::size_t>(frames.size(), 3));
  const consensus::LiveFrame& frame = frames[frames.size() - 1 - back];
  const bool claimed = here->journal.durable_seen >= frame.op;
  if (beyond_ && !claimed) return std::nullopt;
  const bool hides = !claimed && !strict_;
  // What it hides may still be on its way, and be acknowledged then.
  if (hides && group_.world().is_on(machine)) return std::nullopt;
  // Of a group that changes, all the others: a quorum of the next one may be among them.
  const consensus::Configuration group = configuration();
  const std::uint32_t others = group.voter_count() - (group.votes(machine) ? 1U : 0U);
  const std::uint32_t quorum =
      changes_ ? others : consensus::core::replication_quorum(group_.size());
  const std::uint32_t needed = hides ? quorum : beyond_ ? 0 : 1;
  const std::size_t first = frames.size() - 1 - back;
  for (std::size_t at = first; at < (hides ? frames.size() : first + 1); ++at) {
    if (stands_elsewhere(machine, frames[at]) < needed) return std::nullopt;
  }
  return Frame{frame.op, consensus::file_offset(frame.ring_offset), frame.size,
               std::max(frames.back().op, here->journal.durable_seen)};
}

std::optional<std::string> Atlas::strike_prepare(std::uint8_t machine, std::uint64_t choice,
                                                 bool unreadable) {
  SimGroup& world = group_.world();
  if (unreadable && !world.is_on(machine)) return std::nullopt;
  const auto frame = choose(machine, choice);
  if (!frame) return std::nullopt;
  Prng choices{choice, 10};
  const std::uint64_t at = frame->offset + choices.below(frame->size);
  if (unreadable) {
    world.storage(machine).fail_sector(journal_file, at / sector_size * sector_size);
  } else if (world.is_on(machine)) {
    world.storage(machine).flip(journal_file, at, one_bit(choices));
  } else {
    world.disk(machine).flip(journal_file, at, one_bit(choices));
  }
  Sick& sick = sick_[machine];
  sick.until = std::max(sick.until.value_or(OpNumber{}), frame->head);
  sick.unreadable = sick.unreadable || unreadable;
  return fmt::format("{} prepare {} on the disk of replica {}",
                     unreadable ? "cannot read" : "rot in", frame->op.value(), machine);
}

std::optional<std::string> Atlas::strike_superblock(std::uint8_t machine, std::uint64_t choice) {
  Prng choices{choice, 11};
  DiskImage& image = group_.world().disk(machine);
  const auto file = image.files().find(superblock_file);
  if (file == image.files().end()) return std::nullopt;
  const auto before = superblock_of(file->second.bytes);
  const std::uint64_t at = choices.below(consensus::superblock_size);
  const std::byte mask = one_bit(choices);
  image.flip(superblock_file, at, mask);
  const auto after = superblock_of(image.files().find(superblock_file)->second.bytes);
  if (!before || !after || *before != *after) {
    image.flip(superblock_file, at, mask);
    return std::nullopt;
  }
  return fmt::format("rot in copy {} of the superblock of replica {}", at / sector_size, machine);
}

std::optional<std::string> Atlas::strike_mark(std::uint8_t machine, std::uint64_t choice) {
  Prng choices{choice, 12};
  const auto before = look(machine);
  if (!before || before->journal.mark_damaged) return std::nullopt;
  DiskImage& image = group_.world().disk(machine);
  const std::uint64_t at = choices.below(consensus::marks_size);
  const std::byte mask = one_bit(choices);
  image.flip(journal_file, at, mask);
  const auto after = look(machine);
  if (!after || after->journal.durable_seen != before->journal.durable_seen ||
      after->journal.frames.size() != before->journal.frames.size() ||
      after->journal.lost.has_value() != before->journal.lost.has_value()) {
    image.flip(journal_file, at, mask);
    return std::nullopt;
  }
  return fmt::format("rot in mark {} of the journal of replica {}", at / sector_size, machine);
}

namespace {

// Where; nothing if there is no such file.
std::optional<std::uint64_t> strike_file(DiskImage& image, const std::string& path, Prng& choices) {
  if (!image.contains(path) || image.size(path) == 0) return std::nullopt;
  const std::uint64_t at = choices.below(image.size(path));
  image.flip(path, at, one_bit(choices));
  return at;
}

std::string told(const std::string& path, std::uint8_t machine) {
  return fmt::format("rot in {} of replica {}", path, machine);
}

// The page of a projection at `offset`, or what there is of it.
Buffer page_at(const DiskImage& image, const std::string& path, std::uint64_t offset) {
  Buffer page(projection_page);
  page.resize(image.files().find(path)->second.bytes.read(offset, page));
  return page;
}

}  // namespace

std::optional<std::string> Atlas::strike_snapshot(std::uint8_t machine, std::uint64_t choice) {
  Prng choices{choice, 13};
  const auto here = look(machine);
  if (!here) return std::nullopt;
  const std::string file = fmt::format("snapshot-{}", here->superblock.checkpoint.op.value());
  if (!strike_file(group_.world().disk(machine), file, choices)) return std::nullopt;
  return told(file, machine);
}

std::optional<std::string> Atlas::strike_projection(std::uint8_t machine, std::uint64_t choice) {
  Prng choices{choice, 14};
  const std::string file =
      fmt::format("tenants/{}/projection.db", 1 + choices.below(tenants_in_a_life));
  DiskImage& image = group_.world().disk(machine);
  const auto at = strike_file(image, file, choices);
  if (!at) return std::nullopt;
  const std::uint64_t offset = *at - (*at % projection_page);
  struck_.push_back({machine, file, offset, page_at(image, file, offset)});
  return told(file, machine);
}

bool Atlas::is_unread(std::uint8_t machine, const engine::VerifyFinding& finding) {
  const bool is_up = group_.is_up(machine);
  SimGroup& world = group_.world();
  const DiskImage image = is_up ? world.storage(machine).image() : world.disk(machine);
  return std::ranges::any_of(struck_, [&](const Struck& one) {
    return finding.code == Code::integrity_projection && one.machine == machine &&
           one.file == finding.file && one.offset == finding.offset && image.contains(one.file) &&
           one.page == page_at(image, one.file, one.offset);
  });
}

// Not with another damage of its own, which would not show any more.
bool Atlas::lose_disk(std::uint8_t machine) {
  if (is_sick(machine) || !may_strike(machine) || group_.size() < 3) return false;
  Sick& sick = sick_[machine];
  sick.anew = true;
  sick.until = OpNumber{};
  for (std::uint8_t i = 0; i < group_.size(); ++i) {
    if (const auto there = group_.glance(i)) sick.until = std::max(*sick.until, there->head);
  }
  return true;
}

bool Atlas::lose_write(std::uint8_t machine) {
  if (!strict_ || sick_[machine].losing || !may_strike(machine)) return false;
  group_.world().storage(machine).lose_write(journal_file, consensus::marks_size);
  sick_[machine].losing = true;
  return true;
}

bool Atlas::has_lost(std::uint8_t machine) {
  Sick& sick = sick_[machine];
  if (!sick.losing) return false;
  if (!group_.world().is_on(machine)) {
    sick.losing = false;
    return false;
  }
  if (!group_.world().storage(machine).has_lost_write()) return false;
  sick.losing = false;
  const auto seen = group_.glance(machine);
  const OpNumber head = seen ? seen->head : OpNumber{};
  sick.until = std::max(sick.until.value_or(OpNumber{}), head);
  return true;
}

}  // namespace kimberlite::vopr
