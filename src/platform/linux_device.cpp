#include "linux_device.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"

namespace kimberlite::platform {
namespace {

constexpr std::uint64_t zero_chunk_size = 1U << 20U;

bool aligned(std::uint64_t value) { return value % sector_size == 0; }

// Every block is written, not merely allocated: the first synced write into an unwritten extent
// would have to wait for the file system's journal too.
Status write_zeros(int fd, std::uint64_t size, const std::string& path) {
  const std::vector<std::byte> zeros(static_cast<std::size_t>(std::min(size, zero_chunk_size)));
  for (std::uint64_t at = 0; at < size; at += zero_chunk_size) {
    const auto count = static_cast<std::size_t>(std::min(size - at, zero_chunk_size));
    KIMBERLITE_CHECK(pwrite_all(fd, at, Bytes{zeros}.first(count), path));
  }
  if (::fsync(fd) != 0) return posix_error(errno, "sync", path);
  return {};
}

// Under another name first, so that a crash leaves no device of the wrong size behind.
Status create(const std::string& path, std::uint64_t size) {
  KIMBERLITE_CHECK(make_directories(parent_of(path)));
  const std::string unfinished = path + ".new";
  {
    const Descriptor file = open_retrying(unfinished, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!file.open()) return posix_error(errno, "create", unfinished);
    if (Status written = write_zeros(file.get(), size, unfinished); !written) {
      ::unlink(unfinished.c_str());
      return written;
    }
  }
  if (::rename(unfinished.c_str(), path.c_str()) != 0) return posix_error(errno, "create", path);
  return fsync_directory(parent_of(path));
}

Descriptor open_synchronous(const std::string& path) {
  Descriptor direct = open_retrying(path, O_RDWR | O_DIRECT | O_DSYNC);
  if (direct.open() || errno != EINVAL) return direct;
  return open_retrying(path, O_RDWR | O_DSYNC);  // tmpfs, some network file systems
}

}  // namespace

Result<std::unique_ptr<env::SectorDevice>> LinuxDevice::open(const std::string& path,
                                                             std::uint64_t size) {
  KIMBERLITE_ASSERT(aligned(size));
  Descriptor file = open_synchronous(path);
  if (!file.open() && errno == ENOENT && size != 0) {
    KIMBERLITE_CHECK(create(path, size));
    file = open_synchronous(path);
  }
  if (!file.open()) return posix_error(errno, "open", path);

  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return posix_error(errno, "measure", path);
  const auto found = static_cast<std::uint64_t>(info.st_size);
  if (!aligned(found) || found == 0 || (size != 0 && found != size)) {
    return Error{Code::integrity_foreign_file, "{} does not have the size it was made with", path}
        .where("{}", path)
        .why("it is {} bytes, not {}", found,
             size != 0 ? fmt::format("{}", size) : "a multiple of 4096")
        .next("restore the file from a backup");
  }
  return std::make_unique<LinuxDevice>(std::move(file), path, found);
}

LinuxDevice::LinuxDevice(Descriptor file, std::string path, std::uint64_t size)
    : file_(std::move(file)), path_(std::move(path)), size_(size) {}

LinuxDevice::~LinuxDevice() {
  {
    const Guard guard{mutex_};
    stopping_ = true;
    pending_.clear();
    for_pool_ = 0;
  }
  work_cv_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void LinuxDevice::write(std::uint64_t tag, std::uint64_t offset, Bytes sectors) {
  submit({.tag = tag, .offset = offset, .from = sectors, .to = {}});
}

void LinuxDevice::read(std::uint64_t tag, std::uint64_t offset, MutBytes sectors) {
  submit({.tag = tag, .offset = offset, .from = {}, .to = sectors});
}

void LinuxDevice::submit(Operation operation) {
  const Bytes buffer = operation.from.empty() ? Bytes{operation.to} : operation.from;
  KIMBERLITE_ASSERT(!buffer.empty() && aligned(buffer.size()) && aligned(operation.offset));
  KIMBERLITE_ASSERT(aligned(reinterpret_cast<std::uintptr_t>(buffer.data())));
  KIMBERLITE_ASSERT(operation.offset <= size_ && buffer.size() <= size_ - operation.offset);

  const Guard guard{mutex_};
  pending_.push_back(operation);
  polled_in_vain_ = false;
  if (pending_.size() + active_ > 1) give_to_pool();
}

void LinuxDevice::give_to_pool() {
  for_pool_ = pending_.size();
  if (idle_workers_ == 0 && workers_.size() < workers_max) {
    workers_.emplace_back([this] { worker(); });
  }
  work_cv_.notify_one();
}

std::size_t LinuxDevice::poll(std::span<env::IoDone> out, std::uint64_t wait_ns) {
  if (out.empty()) return 0;
  Guard guard{mutex_};
  if (done_.empty() && wait_ns > 0) {
    if (!pending_.empty()) {
      run_one(guard);
    } else if (active_ > 0) {
      done_cv_.wait_for(guard, std::chrono::nanoseconds{wait_ns},
                        [this] { return !done_.empty(); });
    }
  } else if (done_.empty() && !pending_.empty()) {
    if (polled_in_vain_) give_to_pool();
    polled_in_vain_ = true;
  }
  const std::size_t count = std::min(out.size(), done_.size());
  std::move(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count), out.begin());
  done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

// Performs the oldest pending operation on the calling thread, unlocked meanwhile.
void LinuxDevice::run_one(Guard& guard) {
  const Operation operation = pending_.front();
  pending_.pop_front();
  for_pool_ = std::min(for_pool_, pending_.size());
  ++active_;
  guard.unlock();
  Status status = perform(operation);
  guard.lock();
  --active_;
  done_.push_back({.tag = operation.tag, .status = std::move(status)});
  done_cv_.notify_one();
}

Status LinuxDevice::perform(const Operation& operation) const {
  if (!operation.from.empty()) {
    return pwrite_all(file_.get(), operation.offset, operation.from, path_);
  }
  KIMBERLITE_TRY(const std::size_t got,
                 pread_all(file_.get(), operation.offset, operation.to, path_));
  if (got != operation.to.size()) {
    return Error{Code::unavailable_io, "cannot read {}", path_}
        .where("{}, byte {}", path_, operation.offset + got)
        .why("the file ends there, though it was {} bytes when opened", size_)
        .next("something else truncated it: restore the file from a backup");
  }
  return {};
}

void LinuxDevice::worker() {
  Guard guard{mutex_};
  while (!stopping_) {
    if (for_pool_ > 0) {
      // Another worker may take the rest while this one writes.
      if (for_pool_ > 1) {
        if (idle_workers_ > 0) {
          work_cv_.notify_one();
        } else if (workers_.size() < workers_max) {
          workers_.emplace_back([this] { worker(); });
        }
      }
      run_one(guard);
    } else {
      ++idle_workers_;
      work_cv_.wait(guard);
      --idle_workers_;
    }
  }
}

}  // namespace kimberlite::platform
