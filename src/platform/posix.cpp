#include "posix.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace kimberlite::platform {
namespace {

// The kernel moves at most 2 GiB − 4 KiB a call; one constant below that keeps O_DIRECT aligned.
constexpr std::size_t transfer_size_max = 1U << 30U;

Code code_of(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return Code::unavailable_disk_full;
    case EACCES:
    case EPERM:
      return Code::unavailable_permission;
    case EROFS:
      return Code::unavailable_read_only;
    case ENOENT:
      return Code::not_found_file;
    case ENOTDIR:
      return Code::not_found_directory;
    default:
      return Code::unavailable_io;
  }
}

std::string_view advice(Code code) {
  switch (code) {
    case Code::unavailable_disk_full:
      return "free space on this file system";
    case Code::unavailable_permission:
      return "run as the owner of the file, or correct its permissions";
    case Code::unavailable_read_only:
      return "mount the file system for writing";
    case Code::unavailable_io:
      return "check the disk (dmesg)";
    default:
      return "check the path";
  }
}

}  // namespace

Descriptor::~Descriptor() {
  // A failed close loses nothing that a sync had promised; Linux releases the descriptor anyway.
  if (fd_ >= 0) ::close(fd_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Error posix_error(int number, std::string_view action, std::string_view path) {
  const Code code = code_of(number);
  return Error{code, "cannot {} {}", action, path}
      .why("{}", std::generic_category().message(number))
      .next("{}", advice(code));
}

Error posix_error(int number, std::string_view action, std::string_view path,
                  std::uint64_t offset) {
  return posix_error(number, action, path).where("{}, byte {}", path, offset);
}

Descriptor open_retrying(const std::string& path, int flags, mode_t mode) {
  for (;;) {
    Descriptor opened{::open(path.c_str(), flags | O_CLOEXEC, mode)};
    if (!opened.open() && errno == EINTR) continue;
    if (!opened.open() || opened.get() > STDERR_FILENO) return opened;
    // A process started without its standard streams: the number stays free, or what is meant for
    // them would be written into this file.
    return Descriptor{::fcntl(opened.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
  }
}

Result<std::size_t> pread_all(int fd, std::uint64_t offset, MutBytes to, std::string_view path) {
  std::size_t done = 0;
  while (done < to.size()) {
    const std::size_t want = std::min(to.size() - done, transfer_size_max);
    const ssize_t got = ::pread(fd, to.data() + done, want, static_cast<off_t>(offset + done));
    if (got == 0) break;
    if (got < 0) {
      if (errno == EINTR) continue;
      return posix_error(errno, "read", path, offset + done);
    }
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Status pwrite_all(int fd, std::uint64_t offset, Bytes from, std::string_view path) {
  std::size_t done = 0;
  while (done < from.size()) {
    const std::size_t want = std::min(from.size() - done, transfer_size_max);
    const ssize_t put = ::pwrite(fd, from.data() + done, want, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    // A write of nothing would be tried for ever; no file system does it, so it is its failure.
    if (put <= 0) return posix_error(put == 0 ? EIO : errno, "write", path, offset + done);
    done += static_cast<std::size_t>(put);
  }
  return {};
}

Status fsync_directory(const std::string& path) {
  const Descriptor directory = open_retrying(path, O_RDONLY | O_DIRECTORY);
  if (!directory.open()) return posix_error(errno, "open the directory", path);
  if (::fsync(directory.get()) != 0) return posix_error(errno, "sync the directory", path);
  return {};
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status make_directories(const std::string& directory) {
  std::vector<std::string> missing;
  std::string at = directory;
  struct stat info{};
  while (::stat(at.c_str(), &info) != 0) {
    if (errno != ENOENT) return posix_error(errno, "make the directory", directory);
    missing.push_back(at);
    const std::string up = parent_of(at);
    if (up == at) break;
    at = up;
  }
  for (; !missing.empty(); missing.pop_back()) {
    const std::string& next = missing.back();
    // Another thread may have made it in between; it is there, which is all that is asked.
    if (::mkdir(next.c_str(), 0700) != 0 && errno != EEXIST) {
      return posix_error(errno, "make the directory", next);
    }
    KIMBERLITE_CHECK(fsync_directory(parent_of(next)));
  }
  return {};
}

}  // namespace kimberlite::platform
