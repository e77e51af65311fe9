// What SQLite itself makes of a text: how its tokenizer splits it, observed from outside.
//
// SQLite has no public tokenizer. But after `CREATE VIRTUAL TABLE t USING m()` its grammar takes
// only the end or a semicolon, so whatever token comes next is refused by name: `near "TOKEN":
// syntax error` or `unrecognized token: "TOKEN"`, with sqlite3_error_offset() at its first byte.
// Its tokenizer keeps no state between tokens, so the first tokens of all suffixes are all it does.
#pragma once

#include <sqlite3.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kimberlite::sql::oracle {

struct FirstToken {
  enum class What { token, semicolon, illegal, end } what = What::end;
  std::size_t offset = 0;
  std::string text;
};

class Sqlite {
 public:
  Sqlite() {
    if (sqlite3_open(":memory:", &db_) != SQLITE_OK) std::abort();
  }
  ~Sqlite() { sqlite3_close(db_); }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  // The first token of `text` (no NUL in it).
  FirstToken first_token(std::string_view text) {
    const std::string prefix = "CREATE VIRTUAL TABLE t USING m()";
    const std::string sql = prefix + std::string{text};
    if (accepts(sql)) {
      // A longer text tells a semicolon, where reading stops, from a comment that ends in one.
      const std::size_t used = used_of(sql + " x");
      if (used > sql.size()) return {};
      return {FirstToken::What::semicolon, used - 1 - prefix.size(), ";"};
    }
    const std::string message = sqlite3_errmsg(db_);
    const int at = sqlite3_error_offset(db_);
    FirstToken found;
    const std::string near = "near \"";
    const std::string unrecognized = "unrecognized token: \"";
    const std::string after = "\": syntax error";
    if (message.starts_with(near) && message.ends_with(after)) {
      found.what = FirstToken::What::token;
      found.text = message.substr(near.size(), message.size() - near.size() - after.size());
    } else if (message.starts_with(unrecognized)) {
      found.what = FirstToken::What::illegal;
      found.text = message.substr(unrecognized.size(), message.size() - unrecognized.size() - 1);
    } else {
      return {};
    }
    if (at < static_cast<int>(prefix.size())) std::abort();  // the oracle's own assumption broke
    found.offset = static_cast<std::size_t>(at) - prefix.size();
    return found;
  }

  // True if `sql` prepares; otherwise `message()` says why not.
  bool accepts(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    const int code =
        sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
    sqlite3_finalize(statement);
    return code == SQLITE_OK;
  }
  std::string message() { return sqlite3_errmsg(db_); }

  // The type of `SELECT <expression>`, or nothing if it does not run.
  std::optional<int> type_of(std::string_view expression) {
    const std::string sql = "SELECT " + std::string{expression};
    sqlite3_stmt* statement = nullptr;
    std::optional<int> type;
    if (sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
      type = sqlite3_column_type(statement, 0);
    }
    sqlite3_finalize(statement);
    return type;
  }

  sqlite3* handle() { return db_; }

 private:
  // How far SQLite reads to prepare the first statement of `sql`.
  std::size_t used_of(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    const char* tail = sql.data();
    sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &statement, &tail);
    sqlite3_finalize(statement);
    return static_cast<std::size_t>(tail - sql.data());
  }

  sqlite3* db_ = nullptr;
};

}  // namespace kimberlite::sql::oracle
