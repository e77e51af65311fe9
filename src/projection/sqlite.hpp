// SQLite behind RAII and `Result`: a connection and its prepared statements.
//
// Statements hold their connection's raw handle and must be destroyed before it. Error texts never
// quote SQLite's where it could hold a value: `error_of` maps every result code to one of ours and
// takes from SQLite's message only the names of tables, columns and constraints.
// Thread rule: one thread at a time (the connection is opened without SQLite's own mutex).
#pragma once

#define SQLITE_ENABLE_PREUPDATE_HOOK 1
#include <sqlite3.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/value.hpp"
#include "projection/projection.hpp"

namespace kimberlite::projection {

// `name` as a quoted SQL identifier; `text` as a quoted SQL string.
[[nodiscard]] std::string quoted(std::string_view name);
[[nodiscard]] std::string quoted_text(std::string_view text);

[[nodiscard]] ValueView view_of(sqlite3_value* value);
void give_result(sqlite3_context* context, const ValueView& value);

// What `rc` means to the caller of `what` ("INSERT INTO …" is never part of it).
[[nodiscard]] Error error_of(sqlite3* db, int rc);

class Prepared {
 public:
  Prepared() = default;
  explicit Prepared(sqlite3_stmt* statement) : statement_(statement) {}

  [[nodiscard]] sqlite3_stmt* get() const { return statement_.get(); }
  explicit operator bool() const { return statement_ != nullptr; }

  // Parameters count from 1. `copy`: the value need not outlive the call. What SQLite does not take
  // (`bound`) it would run as NULL: `step` fails instead.
  void bind(int parameter, const ValueView& value, bool copy = false);
  void bind(int parameter, std::int64_t value);
  void bind(int parameter, Position value);
  // `limit.row`, `limit.memory`: a value bound since the last reset was too large.
  [[nodiscard]] Status bound() const;
  // True: a row is there. The statement is reset when it is done or has failed.
  [[nodiscard]] Result<bool> step();
  // To the end; rows are dropped.
  [[nodiscard]] Status run();
  void reset();

  [[nodiscard]] int columns() const { return sqlite3_column_count(get()); }
  [[nodiscard]] ValueView column(int index) const;
  // As a statement of a caller gives it back: `type.encoding` for a text that functions made and
  // that is none.
  [[nodiscard]] Result<ValueView> answer(int index) const;
  [[nodiscard]] std::int64_t integer(int index) const { return sqlite3_column_int64(get(), index); }
  [[nodiscard]] std::string_view text(int index) const;
  [[nodiscard]] Bytes bytes(int index) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int refused_ = SQLITE_OK;  // by a bind
};

// Resets when the scope ends, whichever way.
class Running {
 public:
  explicit Running(Prepared& statement) : statement_(statement) {}
  ~Running() { statement_.reset(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  Prepared* operator->() { return &statement_; }

 private:
  Prepared& statement_;
};

class Connection {
 public:
  enum class Mode : std::uint8_t { write, read };
  [[nodiscard]] static Result<Connection> open(const Location& location, Mode mode);

  [[nodiscard]] sqlite3* db() const { return db_.get(); }
  [[nodiscard]] bool autocommit() const { return sqlite3_get_autocommit(db()) != 0; }
  // One statement or several, our own text only.
  [[nodiscard]] Status execute(const std::string& sql);
  // Exactly one statement; `kept`: it will be used many times.
  [[nodiscard]] Result<Prepared> prepare(std::string_view sql, bool kept = false);
  [[nodiscard]] Result<std::int64_t> integer(const std::string& sql);  // of one row and column

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace kimberlite::projection
