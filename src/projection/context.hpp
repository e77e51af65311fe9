// What the SQL functions and hooks of one connection see of the request they run in.
//
// Thread rule: that of its connection, which it outlives.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "projection/log_source.hpp"
#include "projection/projection.hpp"
#include "sqlite.hpp"

namespace kimberlite::projection {

class Context {
 public:
  explicit Context(env::Clock& clock) : clock_(clock) {}

  Position position;                // kmb_position()
  TimestampUs now;                  // kmb_now()
  std::uint64_t rows_numbered = 0;  // kmb_row() calls of this request
  LogSource* log = nullptr;         // for kmb_record_reason(), kmb_record_actor()
  Vfs* sealed = nullptr;            // knows what was behind an I/O error
  // The error of the function that failed: SQLite's own message is only its echo.
  std::optional<Error> failure;

  // Bounds what runs until `unbound`. Read by the progress handler.
  void bound(const Budget& budget);
  void unbound() { budget_ = nullptr; }
  // Non-zero: stop, and `failure` says why.
  [[nodiscard]] int progress();

  // There is one.
  [[nodiscard]] Error take_failure() {
    Error taken = *failure;
    failure.reset();
    return taken;
  }

  // The row of `__records`, on this connection.
  [[nodiscard]] Result<std::optional<KnownRecord>> record_at(std::int64_t number);
  [[nodiscard]] std::string actor_text(const Id128& actor);
  // Why the record was written, from the log. What one statement asked for is kept until `forget`,
  // as a record of many rows is asked for with each of them.
  [[nodiscard]] Result<std::optional<std::string>> reason_of(Position at);
  void forget() {
    reasons_.clear();
    reasons_size_ = 0;
  }
  void use(Connection& connection) { connection_ = &connection; }
  // Before the connection is closed.
  void release() { record_by_position_ = Prepared{}; }

 private:
  env::Clock& clock_;
  Connection* connection_ = nullptr;
  Prepared record_by_position_;
  std::map<Position, std::optional<std::string>> reasons_;
  std::size_t reasons_size_ = 0;  // bytes, about
  const Budget* budget_ = nullptr;
  std::int64_t memory_before_ = 0;  // SQLite's, when `budget_` began to bind
};

// kmb_row() = position * 2^20 + number: as many rows without a key fit one record.
inline constexpr std::uint64_t rows_numbered_max = 1ULL << 20;

// Registers every function, aggregate and collation of the dialect, the progress handler, the
// limits and the settings of sql.md, Capture. `context` outlives the connection.
[[nodiscard]] Status prepare_connection(Connection& connection, Context& context);

// Makes SQLite connect the virtual tables the door uses while nothing is guarded: it declares them
// by what looks like DDL to the authoriser. Again after the schema was read anew.
[[nodiscard]] Status connect_virtual_tables(Connection& connection);

// `error_of`, unless a function of ours, the VFS or the catalog says it better. `catalog` may be
// null.
[[nodiscard]] Error take_error(Context& context, const catalog::Catalog* catalog, sqlite3* db,
                               int rc);

// RFC 3339, UTC, with the fraction it has: a TIMESTAMP's canonical text.
[[nodiscard]] std::string time_text(TimestampUs time);

// From a row of (timestamp, kind, actor, digest).
[[nodiscard]] KnownRecord known_record(const Prepared& row, std::int64_t position);

}  // namespace kimberlite::projection
