// What the files of this layer share of POSIX: owned descriptors, errors, whole transfers.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace kimberlite::platform {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// `action` completes "cannot …"; `number` is an errno.
[[nodiscard]] Error posix_error(int number, std::string_view action, std::string_view path);
[[nodiscard]] Error posix_error(int number, std::string_view action, std::string_view path,
                                std::uint64_t offset);

// open(2) with O_CLOEXEC, retried when interrupted. On failure the result is not open() and errno
// says why.
[[nodiscard]] Descriptor open_retrying(const std::string& path, int flags, mode_t mode = 0);

// The whole of `to` unless the file ends first; the whole of `from`.
[[nodiscard]] Result<std::size_t> pread_all(int fd, std::uint64_t offset, MutBytes to,
                                            std::string_view path);
[[nodiscard]] Status pwrite_all(int fd, std::uint64_t offset, Bytes from, std::string_view path);

[[nodiscard]] Status fsync_directory(const std::string& path);
// The path without its last component; "." for a bare name.
[[nodiscard]] std::string parent_of(const std::string& path);
// Makes `directory` and its missing parents, each 0700 and durable.
[[nodiscard]] Status make_directories(const std::string& directory);

}  // namespace kimberlite::platform
