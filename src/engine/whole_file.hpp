// Files that are read and written as a whole: snapshots and keystores.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "env/env.hpp"

namespace kimberlite::engine {

// Durable on return. A crash leaves any prefix, which is why the superblock names the hash.
[[nodiscard]] inline Status write_whole(env::Storage& storage, std::string_view path, Bytes bytes) {
  KIMBERLITE_TRY(const auto file, storage.open(path, env::Open::create));
  KIMBERLITE_CHECK(file->truncate(0));
  KIMBERLITE_CHECK(file->write_at(0, bytes));
  return file->sync();
}

[[nodiscard]] inline Result<Buffer> read_whole(env::Storage& storage, std::string_view path) {
  KIMBERLITE_TRY(const auto file, storage.open(path, env::Open::read));
  KIMBERLITE_TRY(const std::uint64_t size, file->size());
  Buffer bytes(size);
  KIMBERLITE_TRY(const std::size_t read, file->read_at(0, bytes));
  bytes.resize(read);
  return bytes;
}

}  // namespace kimberlite::engine
