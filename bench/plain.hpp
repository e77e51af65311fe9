// The limits: the disk without a database, and SQLite as it comes.
//
// Thread rule: one thread an object.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace kimberlite::bench {

// A zero-written file opened O_DIRECT | O_DSYNC, written in order from its beginning and round
// again.
class RawDisk {
 public:
  // `size` and every write are multiples of 4 KiB.
  [[nodiscard]] static Result<RawDisk> make(const std::string& path, std::uint64_t size);
  RawDisk(RawDisk&& other) noexcept;
  RawDisk& operator=(RawDisk&&) = delete;
  RawDisk(const RawDisk&) = delete;
  RawDisk& operator=(const RawDisk&) = delete;
  ~RawDisk();

  // Durable when it returns.
  [[nodiscard]] Status write(std::uint64_t bytes);

 private:
  RawDisk(int file, std::uint64_t size) : file_(file), size_(size) {}
  int file_;
  std::uint64_t size_;
  std::uint64_t at_ = 0;
  void* buffer_ = nullptr;
  std::uint64_t buffer_size_ = 0;
};

// One prepared statement.
class PlainStatement {
 public:
  explicit PlainStatement(sqlite3_stmt* statement) : statement_(statement, &sqlite3_finalize) {}
  [[nodiscard]] sqlite3_stmt* get() const { return statement_.get(); }
  // Parameters from `$1`, in order.
  void bind(int at, std::int64_t value) { sqlite3_bind_int64(get(), at, value); }
  void bind(int at, double value) { sqlite3_bind_double(get(), at, value); }
  // `value` stays as it is until the statement is reset.
  void bind(int at, std::string_view value) {
    sqlite3_bind_text(get(), at, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  }
  // Runs it to its end, and makes it ready for other values.
  [[nodiscard]] Status run();

 private:
  std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement_;
};

// WAL, synchronous=NORMAL, the cache a reader of ours has, 4 KiB pages.
class PlainSqlite {
 public:
  [[nodiscard]] static Result<PlainSqlite> open(const std::string& path);
  [[nodiscard]] Status execute(const std::string& sql);
  [[nodiscard]] Result<PlainStatement> prepare(std::string_view sql);

 private:
  explicit PlainSqlite(sqlite3* database) : database_(database, &sqlite3_close_v2) {}
  std::unique_ptr<sqlite3, int (*)(sqlite3*)> database_;
};

// Makes `directory` anew, empty.
[[nodiscard]] Status make_empty(const std::string& directory);

}  // namespace kimberlite::bench
