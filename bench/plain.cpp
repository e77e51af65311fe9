#include "plain.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

namespace kimberlite::bench {
namespace {

constexpr std::uint64_t sector = 4096;
constexpr std::uint64_t zero_step = std::uint64_t{4} << 20;

Error disk_error(std::string_view what) {
  return Error{Code::unavailable_io, "{}: {}", what, std::strerror(errno)};
}

Error sqlite_error(sqlite3* database) {
  return Error{Code::unavailable_io, "SQLite: {}", sqlite3_errmsg(database)};
}

}  // namespace

Result<RawDisk> RawDisk::make(const std::string& path, std::uint64_t size) {
  const int plain = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (plain < 0) return disk_error("making the raw file");
  const std::vector<char> zeros(zero_step);
  for (std::uint64_t at = 0; at < size; at += zero_step) {
    const std::uint64_t step = std::min(zero_step, size - at);
    if (::pwrite(plain, zeros.data(), step, static_cast<off_t>(at)) != static_cast<ssize_t>(step)) {
      ::close(plain);
      return disk_error("writing the raw file");
    }
  }
  const bool synced = ::fsync(plain) == 0;
  ::close(plain);
  if (!synced) return disk_error("syncing the raw file");
  const int file = ::open(path.c_str(), O_WRONLY | O_DIRECT | O_DSYNC);
  if (file < 0) return disk_error("opening the raw file for direct writes");
  return RawDisk{file, size};
}

RawDisk::RawDisk(RawDisk&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      size_(other.size_),
      at_(other.at_),
      buffer_(std::exchange(other.buffer_, nullptr)),
      buffer_size_(other.buffer_size_) {}

RawDisk::~RawDisk() {
  if (file_ >= 0) ::close(file_);
  std::free(buffer_);  // NOLINT(cppcoreguidelines-no-malloc): aligned for direct I/O
}

Status RawDisk::write(std::uint64_t bytes) {
  if (bytes > buffer_size_) {
    std::free(buffer_);  // NOLINT(cppcoreguidelines-no-malloc)
    buffer_ = std::aligned_alloc(sector, bytes);
    buffer_size_ = bytes;
    std::memset(buffer_, 7, bytes);
  }
  if (at_ + bytes > size_) at_ = 0;
  if (::pwrite(file_, buffer_, bytes, static_cast<off_t>(at_)) != static_cast<ssize_t>(bytes)) {
    return disk_error("a raw write");
  }
  at_ += bytes;
  return {};
}

Status PlainStatement::run() {
  int rc = SQLITE_ROW;
  while (rc == SQLITE_ROW) rc = sqlite3_step(get());
  sqlite3_reset(get());
  if (rc != SQLITE_DONE) return sqlite_error(sqlite3_db_handle(get()));
  return {};
}

Result<PlainSqlite> PlainSqlite::open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int rc = sqlite3_open(path.c_str(), &raw);
  PlainSqlite database{raw};
  if (rc != SQLITE_OK) return sqlite_error(raw);
  KIMBERLITE_CHECK(
      database.execute("PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                       "PRAGMA cache_size=-32768"));
  return database;
}

Status PlainSqlite::execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return sqlite_error(database_.get());
  }
  return {};
}

Result<PlainStatement> PlainSqlite::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return sqlite_error(database_.get());
  }
  return PlainStatement{statement};
}

Status make_empty(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (!error) std::filesystem::create_directories(directory, error);
  if (error) return Error{Code::unavailable_io, "{}: {}", directory, error.message()};
  return {};
}

}  // namespace kimberlite::bench
