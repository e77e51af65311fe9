#include "journal_io.hpp"

#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "files.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint64_t read_wait_ns = 1'000'000'000;

void set_status(consensus::Event& event, Status status) {
  std::visit(
      [&](auto& alternative) {
        if constexpr (requires { alternative.status; }) alternative.status = std::move(status);
      },
      event);
}

Status write_and_wait(env::SectorDevice& device, std::uint64_t offset, Bytes sectors) {
  device.write(1, offset, sectors);
  std::array<env::IoDone, 1> done;
  while (device.poll(done, read_wait_ns) == 0) {
  }
  return std::move(done[0].status);
}

}  // namespace

Status read_sectors(env::SectorDevice& device, std::uint64_t offset, MutBytes sectors) {
  device.read(1, offset, sectors);
  std::array<env::IoDone, 1> done;
  while (device.poll(done, read_wait_ns) == 0) {
  }
  return std::move(done[0].status);
}

consensus::ReadAt reader_of(env::SectorDevice& device) {
  return [&device](std::uint64_t offset, MutBytes sectors) {
    return read_sectors(device, offset, sectors);
  };
}

Status JournalIo::create(env::Storage& storage, const consensus::Superblock& superblock,
                         std::uint64_t ring_size) {
  if (ring_size < journal_ring_min) {
    return Error{Code::usage_config, "a journal ring of {} bytes cannot be used", ring_size}
        .where("ring_size")
        .why("it must have at least {} bytes", journal_ring_min);
  }
  KIMBERLITE_CHECK(consensus::check_limits(consensus::limits_of(ring_size)));
  KIMBERLITE_TRY(auto journal,
                 storage.open_device(files::journal, consensus::journal_size(ring_size)));
  // The superblock is last: a directory without one was never finished.
  KIMBERLITE_TRY(auto device, storage.open_device(files::superblock, consensus::superblock_size));
  consensus::Block block{consensus::superblock_size};
  block.resize(consensus::superblock_size);
  consensus::encode_superblock(superblock,
                               std::span<std::byte, consensus::superblock_size>{block.bytes()});
  return write_and_wait(*device, 0, block.bytes());
}

Result<consensus::Recovered> JournalIo::open(env::Storage& storage) {
  KIMBERLITE_TRY(superblock_, storage.open_device(files::superblock, 0));
  if (superblock_->size() != consensus::superblock_size) {
    return Error{Code::usage_not_ours, "the superblock has {} bytes, not {}", superblock_->size(),
                 consensus::superblock_size}
        .where("{}", files::superblock);
  }
  consensus::Block block{consensus::superblock_size};
  block.resize(consensus::superblock_size);
  KIMBERLITE_CHECK(read_sectors(*superblock_, 0, block.bytes()));
  KIMBERLITE_TRY(auto superblock,
                 consensus::read_superblock(
                     std::span<const std::byte, consensus::superblock_size>{block.bytes()}));
  KIMBERLITE_TRY(journal_, storage.open_device(files::journal, 0));
  if (journal_->size() <= consensus::marks_size) {
    return Error{Code::integrity_journal, "the journal has {} bytes and no room for a ring",
                 journal_->size()}
        .where("{}", files::journal);
  }
  KIMBERLITE_TRY(auto journal,
                 consensus::recover_journal(superblock.superblock, limits(), reader_of(*journal_)));
  return consensus::Recovered{std::move(superblock), std::move(journal)};
}

std::uint64_t JournalIo::ring_size() const { return journal_->size() - consensus::marks_size; }

void JournalIo::issue(env::SectorDevice& device, std::uint64_t id, std::uint64_t offset,
                      Bytes bytes) {
  if (&device == superblock_.get()) superblock_in_flight_.fetch_add(1, std::memory_order_release);
  in_flight_.fetch_add(1);
  device.write(id, offset, bytes);
}

void JournalIo::write(const consensus::WritePrepare& action) {
  const std::uint64_t id = next_id_++;
  writes_.emplace(id,
                  Write{.event = consensus::PrepareWritten{action.op, action.header_checksum, {}},
                        .buffer = action.frame,
                        .left = 1});
  issue(*journal_, id, consensus::file_offset(action.ring_offset), action.frame->bytes());
}

void JournalIo::write(const consensus::WriteMark& action) {
  const std::uint64_t id = next_id_++;
  writes_.emplace(id, Write{.event = consensus::MarkWritten{action.sequence, {}},
                            .buffer = action.bytes,
                            .left = 1});
  issue(*journal_, id, action.sector * sector_size, action.bytes->bytes());
}

void JournalIo::write(const consensus::WriteSuperblock& action) {
  const std::uint64_t id = next_id_++;
  Write& write = writes_
                     .emplace(id, Write{.event = consensus::SuperblockWritten{action.sequence, {}},
                                        .buffer = action.bytes,
                                        .second_half_due = true,
                                        .order = action.order})
                     .first->second;
  issue_superblock_half(id, write, 0);
}

void JournalIo::issue_superblock_half(std::uint64_t id, Write& write, std::size_t first) {
  write.left = 2;
  for (std::size_t i = first; i < first + 2; ++i) {
    const std::size_t offset = write.order[i] * sector_size;
    issue(*superblock_, id, offset, write.buffer->bytes().subspan(offset, sector_size));
  }
}

void JournalIo::read(const consensus::ReadPrepare& action, consensus::BlockPool& pool) {
  const std::uint64_t id = next_id_++;
  consensus::MutableBuffer block = pool.take(action.size);
  const MutBytes bytes = block->bytes();
  writes_.emplace(id,
                  Write{.event = consensus::PrepareRead{.op = action.op,
                                                        .header_checksum = action.header_checksum,
                                                        .status = {},
                                                        .frame = std::move(block)},
                        .left = 1});
  in_flight_.fetch_add(1);
  journal_->read(id, consensus::file_offset(action.ring_offset), bytes);
}

bool JournalIo::poll(std::uint64_t wait_ns) {
  std::array<env::IoDone, 16> done;
  std::size_t count = 0;
  if (superblock_in_flight_.load(std::memory_order_acquire) > 0) {
    count = superblock_->poll(done, wait_ns);
    superblock_in_flight_.fetch_sub(count, std::memory_order_acq_rel);
    wait_ns = 0;
  }
  const std::span rest = std::span{done}.subspan(count);
  if (in_flight() && !rest.empty()) count += journal_->poll(rest, count > 0 ? 0 : wait_ns);
  if (count == 0) return false;
  in_flight_.fetch_sub(count, std::memory_order_acq_rel);
  const std::scoped_lock lock{mutex_};
  for (std::size_t i = 0; i < count; ++i) done_.push_back(std::move(done[i]));
  return true;
}

std::vector<consensus::Event> JournalIo::take_events() {
  std::vector<env::IoDone> done;
  {
    const std::scoped_lock lock{mutex_};
    done.swap(done_);
  }
  std::vector<consensus::Event> events;
  for (env::IoDone& io : done) {
    const auto found = writes_.find(io.tag);
    KIMBERLITE_ASSERT(found != writes_.end() && found->second.left > 0);
    Write& write = found->second;
    if (!io.status && write.status) write.status = std::move(io.status);
    if (--write.left > 0) continue;
    if (write.status && write.second_half_due) {
      write.second_half_due = false;
      issue_superblock_half(io.tag, write, 2);
      continue;
    }
    set_status(write.event, std::move(write.status));
    events.push_back(std::move(write.event));
    writes_.erase(found);
  }
  return events;
}

}  // namespace kimberlite::engine
