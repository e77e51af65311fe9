// A sealed SQLite file and connections to it, for tests.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>

#include "env/env.hpp"
#include "projection/vfs.hpp"

namespace kimberlite::projection {

inline constexpr const char* test_path = "tenants/1/projection.db";

[[nodiscard]] crypto::Key256 test_key(std::byte fill);
inline constexpr Id128 test_file_id{std::byte{7}};

class SealedConnection {
 public:
  // Plain SQLite in memory if `vfs` is null.
  explicit SealedConnection(const Vfs* vfs, int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  ~SealedConnection();
  SealedConnection(const SealedConnection&) = delete;
  SealedConnection& operator=(const SealedConnection&) = delete;

  // The extended result code.
  int run(const std::string& sql);
  // Every row's columns as text, `|` between columns and a newline after each row; the error's text
  // if it failed.
  std::string query(const std::string& sql);
  [[nodiscard]] int opened() const { return opened_; }
  [[nodiscard]] sqlite3* get() const { return database_; }

 private:
  sqlite3* database_ = nullptr;
  int opened_ = 0;
};

[[nodiscard]] std::unique_ptr<Vfs> test_vfs(env::Env env, std::byte key = std::byte{1});

}  // namespace kimberlite::projection
