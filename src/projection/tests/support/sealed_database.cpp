#include "support/sealed_database.hpp"

#include <algorithm>
#include <array>

namespace kimberlite::projection {

crypto::Key256 test_key(std::byte fill) {
  std::array<std::byte, crypto::Key256::size> bytes{};
  bytes.fill(fill);
  return crypto::Key256{bytes};
}

std::unique_ptr<Vfs> test_vfs(env::Env env, std::byte key) {
  return Vfs::make(env, test_path, test_key(key), test_file_id).value();
}

SealedConnection::SealedConnection(const Vfs* vfs, int flags) {
  opened_ =
      sqlite3_open_v2(vfs == nullptr ? ":memory:" : vfs->path().c_str(), &database_,
                      flags | SQLITE_OPEN_NOMUTEX, vfs == nullptr ? nullptr : vfs->name().c_str());
  sqlite3_extended_result_codes(database_, 1);
  if (opened_ == SQLITE_OK) opened_ = run("PRAGMA temp_store=MEMORY; PRAGMA synchronous=NORMAL");
}

SealedConnection::~SealedConnection() { sqlite3_close(database_); }

int SealedConnection::run(const std::string& sql) {
  return sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
}

std::string SealedConnection::query(const std::string& sql) {
  std::string text;
  const auto add_row = [](void* to, int count, char** values, char** /*names*/) {
    auto& out = *static_cast<std::string*>(to);
    for (int i = 0; i < count; ++i) {
      if (i > 0) out += '|';
      out += values[i] == nullptr ? "NULL" : values[i];
    }
    out += '\n';
    return 0;
  };
  if (sqlite3_exec(database_, sql.c_str(), add_row, &text, nullptr) != SQLITE_OK) {
    return sqlite3_errmsg(database_);
  }
  return text;
}

}  // namespace kimberlite::projection
