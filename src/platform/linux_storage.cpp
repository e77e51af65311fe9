#include "platform/linux_storage.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <optional>
#include <utility>

#include "linux_device.hpp"
#include "posix.hpp"

namespace kimberlite::platform {
namespace {

struct OpenFile {
  Descriptor file;
  std::string path;
  std::atomic<std::uint64_t> dirty_epoch{0};  // the epoch of DirtyFiles it is listed in
};

}  // namespace

// The files written since the last `sync_all`.
//
// A write is marked after it was made: whoever then syncs the epoch it was marked in syncs the
// write. Files are kept open until then, up to a few; past that only their number matters, since
// one syncfs costs less than many fdatasyncs.
class DirtyFiles {
 public:
  void mark(const std::shared_ptr<OpenFile>& file) {
    if (file->dirty_epoch.load(std::memory_order_acquire) == epoch_.load()) return;
    const std::lock_guard guard{mutex_};
    if (file->dirty_epoch.load() == epoch_.load()) return;
    file->dirty_epoch.store(epoch_.load());
    if (files_.size() < few_files_max) {
      files_.push_back(file);
    } else {
      many_ = true;
    }
  }

  Status sync(const std::string& root) {
    KIMBERLITE_CHECK(failed_before());
    std::vector<std::shared_ptr<OpenFile>> files;
    bool many = false;
    {
      const std::lock_guard guard{mutex_};
      epoch_.fetch_add(1);
      files.swap(files_);
      many = std::exchange(many_, false);
    }
    return remember(many ? sync_file_system(root) : sync_each(files));
  }

  Status sync(const OpenFile& file) {
    KIMBERLITE_CHECK(failed_before());
    return remember(sync_one(file));
  }

 private:
  static constexpr std::size_t few_files_max = 32;

  static Status sync_one(const OpenFile& file) {
    if (::fdatasync(file.file.get()) != 0) return posix_error(errno, "sync", file.path);
    return {};
  }

  static Status sync_each(const std::vector<std::shared_ptr<OpenFile>>& files) {
    for (const auto& file : files) KIMBERLITE_CHECK(sync_one(*file));
    return {};
  }

  static Status sync_file_system(const std::string& root) {
    const Descriptor directory = open_retrying(root, O_RDONLY | O_DIRECTORY);
    if (!directory.open()) return posix_error(errno, "open the directory", root);
    if (::syncfs(directory.get()) != 0) {
      return posix_error(errno, "sync the file system of", root);
    }
    return {};
  }

  Status failed_before() {
    const std::lock_guard guard{mutex_};
    if (failure_) return *failure_;
    return {};
  }

  Status remember(Status status) {
    if (!status) {
      const std::lock_guard guard{mutex_};
      if (!failure_) failure_ = status.error();
    }
    return status;
  }

  std::mutex mutex_;
  std::atomic<std::uint64_t> epoch_{1};
  std::vector<std::shared_ptr<OpenFile>> files_;
  bool many_ = false;
  std::optional<Error> failure_;
};

namespace {

class LinuxFile final : public env::File {
 public:
  LinuxFile(std::shared_ptr<OpenFile> file, DirtyFiles& dirty)
      : file_(std::move(file)), dirty_(dirty) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutBytes to) override {
    return pread_all(file_->file.get(), offset, to, file_->path);
  }

  Status write_at(std::uint64_t offset, Bytes from) override {
    Status written = pwrite_all(file_->file.get(), offset, from, file_->path);
    dirty_.mark(file_);  // after a failure too: some of it may have been written
    return written;
  }

  Status sync() override { return dirty_.sync(*file_); }

  Status truncate(std::uint64_t size) override {
    int result = -1;
    do {
      result = ::ftruncate(file_->file.get(), static_cast<off_t>(size));
    } while (result != 0 && errno == EINTR);
    if (result != 0) return posix_error(errno, "truncate", file_->path, size);
    dirty_.mark(file_);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat info{};
    if (::fstat(file_->file.get(), &info) != 0) return posix_error(errno, "measure", file_->path);
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  std::shared_ptr<OpenFile> file_;
  DirtyFiles& dirty_;
};

class HeldLock final : public env::Lock {
 public:
  explicit HeldLock(Descriptor file) : file_(std::move(file)) {}

 private:
  Descriptor file_;  // closing it releases the lock
};

Result<Descriptor> open_existing(const std::string& path, int flags) {
  Descriptor file = open_retrying(path, flags);
  if (!file.open()) return posix_error(errno, "open", path);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return posix_error(errno, "measure", path);
  if (S_ISDIR(info.st_mode)) return posix_error(EISDIR, "open", path);
  return file;
}

// The file, made with its parents and durable if it was not there; if it was, and may be, as it is.
Result<Descriptor> open_or_create(const std::string& path, bool may_exist) {
  Descriptor file = open_retrying(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (!file.open() && errno == ENOENT) {
    KIMBERLITE_CHECK(make_directories(parent_of(path)));
    file = open_retrying(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  }
  if (!file.open()) {
    if (errno != EEXIST) return posix_error(errno, "create", path);
    if (!may_exist) return env::already_there(path);
    return open_existing(path, O_RDWR);
  }
  if (::fsync(file.get()) != 0) return posix_error(errno, "sync", path);
  KIMBERLITE_CHECK(fsync_directory(parent_of(path)));
  return file;
}

constexpr std::size_t holder_size_max = 1024;

std::string holder_in(int fd, const std::string& path) {
  std::array<std::byte, holder_size_max> text{};
  const auto got = pread_all(fd, 0, text, path);
  if (!got || *got == 0) return "another process";
  return std::string{text_of(Bytes{text}.first(*got))};
}

Result<bool> is_directory(const std::string& path, const struct dirent& entry) {
  if (entry.d_type != DT_UNKNOWN && entry.d_type != DT_LNK) return entry.d_type == DT_DIR;
  struct stat info{};
  const std::string full = path + "/" + &entry.d_name[0];
  if (::stat(full.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;  // a dangling link, or gone meanwhile
    return posix_error(errno, "look at", full);
  }
  return S_ISDIR(info.st_mode);
}

}  // namespace

LinuxStorage::LinuxStorage(std::string root)
    : root_(std::move(root)), dirty_(std::make_unique<DirtyFiles>()) {
  while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
}

LinuxStorage::~LinuxStorage() = default;

std::string LinuxStorage::full(std::string_view path) const {
  if (root_.empty()) return path.empty() ? "." : std::string{path};
  if (path.empty()) return root_;
  std::string joined = root_;
  joined += '/';
  joined += path;
  while (joined.back() == '/') joined.pop_back();
  return joined;
}

bool LinuxStorage::exists() const {
  struct stat info{};
  return ::stat(full("").c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<std::unique_ptr<env::Lock>> LinuxStorage::lock(std::string_view path,
                                                      std::string_view holder) {
  const std::string name = full(path);
  bool writable = true;
  Result<Descriptor> file = open_or_create(name, true);
  if (!file && (file.error().code() == Code::unavailable_read_only ||
                file.error().code() == Code::unavailable_permission)) {
    writable = false;
    if (Result<Descriptor> readable = open_existing(name, O_RDONLY)) file = std::move(readable);
  }
  if (!file) return std::move(file).error();

  const int fd = file->get();
  int held = -1;
  do {
    held = ::flock(fd, LOCK_EX | LOCK_NB);
  } while (held != 0 && errno == EINTR);
  if (held != 0 && errno == EWOULDBLOCK) {
    return Error{Code::unavailable_in_use, "{} is in use by {}", parent_of(name),
                 holder_in(fd, name)}
        .where("{}", name)
        .why("one process at a time may hold it")
        .next("stop that process, or wait until it ends");
  }
  if (held != 0) return posix_error(errno, "lock", name);
  if (writable) {
    if (::ftruncate(fd, 0) != 0) return posix_error(errno, "truncate", name);
    KIMBERLITE_CHECK(pwrite_all(fd, 0, bytes_of(holder.substr(0, holder_size_max)), name));
  }
  return std::make_unique<HeldLock>(*std::move(file));
}

Result<std::unique_ptr<env::File>> LinuxStorage::open(std::string_view path, env::Open mode) {
  auto file = std::make_shared<OpenFile>();
  file->path = full(path);
  switch (mode) {
    case env::Open::read: {
      KIMBERLITE_TRY(file->file, open_existing(file->path, O_RDONLY));
      break;
    }
    case env::Open::write: {
      KIMBERLITE_TRY(file->file, open_existing(file->path, O_RDWR));
      break;
    }
    case env::Open::create:
    case env::Open::create_new: {
      KIMBERLITE_TRY(file->file, open_or_create(file->path, mode == env::Open::create));
      break;
    }
  }
  return std::make_unique<LinuxFile>(std::move(file), *dirty_);
}

Result<std::unique_ptr<env::SectorDevice>> LinuxStorage::open_device(std::string_view path,
                                                                     std::uint64_t size) {
  return LinuxDevice::open(full(path), size);
}

Status LinuxStorage::rename(std::string_view from, std::string_view to) {
  const std::string old_name = full(from);
  const std::string new_name = full(to);
  if (::rename(old_name.c_str(), new_name.c_str()) != 0) {
    return posix_error(errno, "rename", old_name);
  }
  KIMBERLITE_CHECK(fsync_directory(parent_of(new_name)));
  if (parent_of(old_name) == parent_of(new_name)) return {};
  return fsync_directory(parent_of(old_name));
}

Status LinuxStorage::remove(std::string_view path) {
  const std::string name = full(path);
  if (::remove(name.c_str()) != 0) return posix_error(errno, "remove", name);
  return fsync_directory(parent_of(name));
}

Result<std::vector<std::string>> LinuxStorage::list(std::string_view directory) {
  const std::string name = full(directory);
  DIR* stream = ::opendir(name.c_str());
  if (stream == nullptr) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return Error{Code::not_found_directory, "there is no directory {}", name};
    }
    return posix_error(errno, "list", name);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> closer{stream, ::closedir};
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(stream);
    if (entry == nullptr) break;
    std::string text{&entry->d_name[0]};
    if (text == "." || text == "..") continue;
    KIMBERLITE_TRY(const bool nested, is_directory(name, *entry));
    if (nested) text += '/';
    names.push_back(std::move(text));
  }
  if (errno != 0) return posix_error(errno, "list", name);
  std::ranges::sort(names);
  return names;
}

Status LinuxStorage::sync_all() { return dirty_->sync(full("")); }

Result<std::uint64_t> LinuxStorage::free_bytes() {
  std::string at = full("");
  struct statvfs info{};
  while (::statvfs(at.c_str(), &info) != 0) {
    const std::string up = parent_of(at);
    if (errno != ENOENT || up == at) return posix_error(errno, "measure the free space of", at);
    at = up;
  }
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace kimberlite::platform
