// A write on its way through a tenant: made by a session, owned by the thread that waits for it.
//
// The tenant's strand alone touches it between `Tenant::submit` and the setting of `done`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "driver.hpp"
#include "engine/database.hpp"
#include "kernel/command.hpp"
#include "projection/projection.hpp"
#include "sql/statement.hpp"

namespace kimberlite::engine {

// Who writes: the session's part of every command.
struct Principal {
  Id128 actor{};
  kernel::Actor description;
  Id128 session{};
  bool settled = false;  // the actor is in the log under this id
};

// The statement is the session's, which waits for the answer.
struct BoundStatement {
  const sql::Statement* statement = nullptr;
  std::string_view plain;  // its text without literals
  std::vector<ValueView> parameters;
};

enum class RequestKind : std::uint8_t {
  sql,       // DML, atomic
  ddl,       // one catalogue change, resolved on the strand
  append,    // events
  control,   // rotate a key, …
  begin,     // opens a transaction for the session
  within,    // a statement of the open transaction
  commit,    // of the open transaction
  rollback,  // of the open transaction
  settle,    // waits until all is in the projection; then `task`
};

struct Request {
  RequestKind kind = RequestKind::sql;
  const Principal* principal = nullptr;

  std::vector<BoundStatement> statements;  // sql, ddl, within
  std::string_view stream;                 // append
  std::optional<Sequence> expected_sequence;
  std::span<const Event> events;
  std::optional<kernel::Control> control;
  Buffer sidecar;  // of a control

  std::string reason;
  std::string correlation_text;
  Id128 correlation{};
  Id128 request_id{};
  Hash digest{};  // of the request as it was sent, under the pseudonym key
  // The id is its client's, who may ask again: what it was answered is to be known then.
  bool is_named = false;
  std::optional<Position> expected_position;
  // On the monotonic clock: who asked waits until then at least, and it is not begun after it.
  std::uint64_t not_after_ns = UINT64_MAX;  // `too_late`
  projection::Budget budget;
  const std::function<Status()>* task = nullptr;  // of a settle
  std::uint64_t look = 0;  // the first look at the log that began after it came

  std::optional<Position> unread;  // a record of the log that could not be read for it
  // The answer. A read inside a transaction answers with `evaluated` alone.
  std::optional<Result<Outcome>> result;
  projection::Evaluated evaluated;
  Signal done;
  // In the place of `done`, on the tenant's strand: for who does not wait. May destroy the request.
  std::move_only_function<void()> answered;
};

// Of what stands in the log beside the data: what is no text there is refused by every reader.
[[nodiscard]] inline Status check_text(std::string_view text, std::string_view what) {
  if (is_utf8_text(text)) return {};
  return Error{Code::type_encoding, "{} is not text", what}.why(
      "it has a NUL byte or is not UTF-8");
}

// The name the log knows a person or program by: before anything is written under it.
[[nodiscard]] inline Status check_actor(std::string_view name) {
  KIMBERLITE_CHECK(check_text(name, "the actor's name"));
  if (!name.empty() && name.size() <= kernel::actor_name_max) return {};
  return Error{Code::limit_name, "an actor's name has {} bytes", name.size()}.next(
      "use 1 to {} bytes of text", kernel::actor_name_max);
}

[[nodiscard]] inline Error too_late() {
  return Error{Code::unavailable_busy, "the write came to its turn too late; nothing was written"}
      .why("the replica that carried it here may no longer wait for it")
      .next("ask again");
}

}  // namespace kimberlite::engine
