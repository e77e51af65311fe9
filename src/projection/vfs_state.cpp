#include "vfs_state.hpp"

#include <utility>

#include "base/assert.hpp"

namespace kimberlite::projection {
namespace {

std::string unique_name() {
  static std::atomic<std::uint64_t> made{0};
  return fmt::format("kimberlite-{}", ++made);
}

}  // namespace

int FileLocks::lock(Hold& hold, int level) {
  const std::lock_guard guard{mutex_};
  if (hold.level >= level) return SQLITE_OK;
  if (level == SQLITE_LOCK_SHARED) {
    // A writer that waits for readers to leave lets no new one in.
    if (writer_ != nullptr && writer_->level >= SQLITE_LOCK_PENDING) return SQLITE_BUSY;
    ++shared_;
    hold.level = level;
    return SQLITE_OK;
  }
  KIMBERLITE_ASSERT(hold.level >= SQLITE_LOCK_SHARED);
  if (writer_ != nullptr && writer_ != &hold) return SQLITE_BUSY;
  writer_ = &hold;
  if (level == SQLITE_LOCK_EXCLUSIVE && shared_ > 1) {
    hold.level = SQLITE_LOCK_PENDING;
    return SQLITE_BUSY;
  }
  hold.level = level;
  return SQLITE_OK;
}

void FileLocks::unlock(Hold& hold, int level) {
  const std::lock_guard guard{mutex_};
  if (hold.level <= level) return;
  if (writer_ == &hold) writer_ = nullptr;
  if (level == SQLITE_LOCK_NONE) --shared_;
  hold.level = level;
}

bool FileLocks::reserved() {
  const std::lock_guard guard{mutex_};
  return writer_ != nullptr;
}

volatile void* SharedMemory::map(Hold& hold, std::size_t region, bool extend) {
  const std::lock_guard guard{mutex_};
  if (!hold.shared_memory) {
    hold.shared_memory = true;
    ++users_;
  }
  if (region >= regions_.size() && !extend) return nullptr;
  while (regions_.size() <= region) {
    regions_.push_back(std::make_unique<std::byte[]>(region_size));
  }
  return regions_[region].get();
}

int SharedMemory::lock(Hold& hold, int first, int count, int flags) {
  KIMBERLITE_ASSERT(first >= 0 && count >= 1 && first + count <= SQLITE_SHM_NLOCK);
  const std::uint32_t wanted = ((1U << static_cast<unsigned>(count)) - 1U)
                               << static_cast<unsigned>(first);
  const std::lock_guard guard{mutex_};
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    release(hold, wanted);
    return SQLITE_OK;
  }
  const bool shared = (flags & SQLITE_SHM_SHARED) != 0;
  for (int slot = first; slot < first + count; ++slot) {
    const std::uint32_t bit = 1U << static_cast<unsigned>(slot);
    const int holders = slots_[static_cast<std::size_t>(slot)];
    if (((shared ? hold.shared_slots : hold.exclusive_slots) & bit) != 0) continue;
    if (shared ? holders == exclusive : holders != 0) return SQLITE_BUSY;
  }
  for (int slot = first; slot < first + count; ++slot) {
    const std::uint32_t bit = 1U << static_cast<unsigned>(slot);
    std::uint32_t& mine = shared ? hold.shared_slots : hold.exclusive_slots;
    if ((mine & bit) != 0) continue;
    mine |= bit;
    int& holders = slots_[static_cast<std::size_t>(slot)];
    holders = shared ? holders + 1 : exclusive;
  }
  return SQLITE_OK;
}

void SharedMemory::release(Hold& hold, std::uint32_t slots) {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    const std::uint32_t bit = 1U << slot;
    if ((slots & bit) == 0) continue;
    if ((hold.shared_slots & bit) != 0) --slots_[slot];
    if ((hold.exclusive_slots & bit) != 0) slots_[slot] = 0;
    hold.shared_slots &= ~bit;
    hold.exclusive_slots &= ~bit;
  }
}

void SharedMemory::unmap(Hold& hold) {
  const std::lock_guard guard{mutex_};
  if (!hold.shared_memory) return;
  release(hold, ~0U);
  hold.shared_memory = false;
  if (--users_ == 0) regions_.clear();
}

void WalState::recovered(const Recovered& found) {
  const std::lock_guard guard{mutex_};
  generation_ = found.generation;
  committed_frames_ = found.frames;
  durable_frames_ = 0;  // nobody has synced them in this process
}

void WalState::header_written(Generation generation) {
  const std::lock_guard guard{mutex_};
  generation_ = generation;
  committed_frames_ = 0;
  durable_frames_ = 0;
}

void WalState::frame_written(std::uint32_t frame, bool commits) {
  if (!commits) return;
  const std::lock_guard guard{mutex_};
  committed_frames_ = frame;
}

Origin WalState::committed() {
  const std::lock_guard guard{mutex_};
  return {.generation = generation_, .frames = committed_frames_};
}

void WalState::synced(const Origin& durable) {
  const std::lock_guard guard{mutex_};
  if (durable.generation != generation_) return;
  if (durable.frames > durable_frames_) durable_frames_ = durable.frames;
}

Origin WalState::durable() {
  const std::lock_guard guard{mutex_};
  return {.generation = generation_, .frames = durable_frames_};
}

VfsState::VfsState(env::Env the_env, std::string the_path, crypto::Key256 key, const Id128& file_id)
    : env(the_env),
      path(std::move(the_path)),
      wal(wal_path(path)),
      name(unique_name()),
      sealer(std::move(key), file_id) {}

Status VfsState::enter(bool create) {
  const std::lock_guard guard{mutex_};
  if (connections_ == 0) {
    auto found = recover(env.storage, path, sealer, env.random);
    if (!found && found.error().code() == Code::not_found_file && create) {
      KIMBERLITE_CHECK(create_database(env.storage, path, sealer, env.random));
      found = Recovered{};
    }
    if (!found) return std::move(found).error();
    wal_state.recovered(*found);
  }
  ++connections_;
  return {};
}

void VfsState::leave() {
  const std::lock_guard guard{mutex_};
  // If it cannot be removed, or the process ends otherwise, the damage is met again.
  if (--connections_ == 0 && condemned_) static_cast<void>(env.storage.remove(wal));
}

bool VfsState::in_use() {
  const std::lock_guard guard{mutex_};
  return connections_ > 0;
}

void VfsState::remember(Error error) {
  const std::lock_guard guard{error_mutex_};
  if (!error_) error_ = std::move(error);
}

void VfsState::condemn(const Error& error) {
  if (!condemned_.exchange(true) && on_damage) on_damage(error);
}

std::optional<Error> VfsState::take_error() {
  const std::lock_guard guard{error_mutex_};
  return std::exchange(error_, std::nullopt);
}

}  // namespace kimberlite::projection
