// Files of a Linux file system under one directory, as `env::Storage`.
//
// The root need not exist: nothing is made before the first `open(…, create)`, `lock` or new
// device, and what is missing is `not_found.*`. With an empty root a path means what it means to
// the operating system (absolute, or from the working directory): the way to files outside a data
// directory.
//
// Errors: `unavailable.disk_full` (ENOSPC, EDQUOT), `unavailable.io` (EIO and all that has no name
// here), `unavailable.permission`, `unavailable.read_only`, `not_found.file`,
// `not_found.directory`; each names the path and, of a read or write, the offset. After a sync has
// failed once, no sync of this object succeeds again: the kernel may have dropped the pages, so a
// later success would be a lie.
//
// Thread rule: every method from any thread; a `File` one thread at a time; a `SectorDevice` is
// given operations by one thread at a time and polled by one thread at a time, which may differ.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "env/env.hpp"

namespace kimberlite::platform {

class DirtyFiles;

class LinuxStorage final : public env::Storage {
 public:
  explicit LinuxStorage(std::string root);
  ~LinuxStorage() override;
  LinuxStorage(const LinuxStorage&) = delete;
  LinuxStorage& operator=(const LinuxStorage&) = delete;

  // True if the root is a directory now.
  [[nodiscard]] bool exists() const;

  // By flock: gone with the process, however it ends. The holder's text stands in the file. On a
  // read-only file system an existing lock file is held without writing to it.
  Result<std::unique_ptr<env::Lock>> lock(std::string_view path, std::string_view holder) override;
  Result<std::unique_ptr<env::File>> open(std::string_view path, env::Open mode) override;
  // O_DIRECT | O_DSYNC, or O_DSYNC alone where O_DIRECT is refused. A new file appears under its
  // name only when it is whole. A file of another size is `integrity.foreign_file`.
  Result<std::unique_ptr<env::SectorDevice>> open_device(std::string_view path,
                                                         std::uint64_t size) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status remove(std::string_view path) override;
  Result<std::vector<std::string>> list(std::string_view directory) override;
  // Few written files: fdatasync each; many: one syncfs.
  Status sync_all() override;
  // Of the file system that holds the root, or will.
  Result<std::uint64_t> free_bytes() override;

 private:
  [[nodiscard]] std::string full(std::string_view path) const;

  std::string root_;
  std::unique_ptr<DirtyFiles> dirty_;
};

}  // namespace kimberlite::platform
