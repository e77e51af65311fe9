// Kimberlite in a C++ program: open a directory, write with a reason, read any past.
//
//   auto db = Database::open("clinic", {.create = true, .key = KeyFile{"clinic.key"}});
//   auto s = (*db)->local_session();
//   auto c = (*s)->execute(Write{.reason = "moved, form 88"},
//                          "UPDATE patients SET city = $1 WHERE id = $2", "Salem", 7);
//   auto r = (*s)->receipt(c->position);
//   auto ok = verify(*r, LogKey::parse(line));  // needs no database
//
// Ownership: a `Database` outlives its sessions; a `Session` its cursors, snapshots and
// transactions. Thread rule: `Database` is thread-safe; the others are used by one thread at a
// time. Nothing throws. Errors: `Result<T>`; what may fail must be looked at, the compiler sees to
// it.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/database.hpp"
#include "record/receipt.hpp"

namespace kimberlite {

class HeadMemory;

using engine::ColumnInfo;
using engine::ResultSet;
using engine::StoredEvent;
using record::VerifiedItem;
using record::VerifiedRecord;

// The file that holds the master key. It does not belong into the data directory.
struct KeyFile {
  std::string path;
};

struct OpenOptions {
  bool create = false;          // make the directory, and the key file, if they are not there
  std::optional<KeyFile> key;   // else KIMBERLITE_KEY_FILE, then the user's configuration
  std::string tenant = "main";  // the first tenant of a new directory
  std::uint64_t ring_size = journal_ring_embedded;
  bool strict_journal = false;
  // The file where the newest head of each log is remembered, outside of the directory; empty:
  // nothing is. One file may serve several directories.
  std::string heads_file = {};
  // Once a second, if a log has changed, the trees of all that did are signed at once, in a head of
  // the cluster's own log. For a program that stays and uses the database all the time.
  bool cluster_heads = false;
};

// SQL text that was in the program when it was compiled, so no value can have been pasted into it.
// Text made at run time says so: `Sql::trusted`.
class Sql {
 public:
  template <std::size_t N>
  consteval Sql(const char (&text)[N])
      : text_(text, N - 1) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] static Sql trusted(std::string_view text) { return Sql{text, 0}; }
  [[nodiscard]] std::string_view text() const { return text_; }

 private:
  Sql(std::string_view text, int) : text_(text) {}
  std::string_view text_;
};

struct Write {
  std::string reason;
  std::string idempotency_key;
  std::string correlation_id;
  std::optional<Position> expected_position;
};

struct Read {
  std::string purpose;
};

struct Commit {
  Position position;
  TimestampUs timestamp;
  Hash hash{};
  std::uint64_t row_count = 0;
  ResultSet returning;
  bool replayed = false;
};

struct Event {
  std::string kind;
  std::string payload;
};

// What an append expects of its stream: the sequence its first event will get, or anything.
class Expect {
 public:
  [[nodiscard]] static Expect sequence(std::uint64_t next) { return Expect{Sequence{next}}; }
  [[nodiscard]] static Expect any() { return Expect{std::nullopt}; }
  [[nodiscard]] const std::optional<Sequence>& value() const { return value_; }

 private:
  explicit Expect(std::optional<Sequence> value) : value_(value) {}
  std::optional<Sequence> value_;
};

struct From {
  Sequence sequence;
};

struct Limit {
  std::size_t events = 1000;
};

// The public key of a log, by the line that was given out when the database was made. A receipt is
// worth what the key is worth that it is checked with: never take that from the receipt.
using LogKey = record::VerifierKey;

// Discloses an item of the record, from 0: whoever has the receipt can read it, for ever.
struct Disclose {
  std::uint32_t item = 0;
};

// A record and its place in a tree that its log signed, as somebody gave it. What it says can be
// had from `verify` alone.
class Receipt {
 public:
  explicit Receipt(record::Receipt receipt) : receipt_(std::move(receipt)) {}
  // `integrity.receipt` unless `text` is exactly what `to_text` gives.
  [[nodiscard]] static Result<Receipt> parse(std::string_view text);
  [[nodiscard]] std::string to_text() const { return receipt_.to_text(); }

 private:
  friend Result<VerifiedRecord> verify(const Receipt& receipt, const Result<LogKey>& log_key);
  record::Receipt receipt_;
};
// Needs no database: `verify(receipt, LogKey::parse(line))`. `integrity.signature` if another key
// signed it, `integrity.inclusion` if the record is not in that tree; `usage.key` for a line that
// is no key. It proves what was recorded, not that it is the latest.
[[nodiscard]] Result<VerifiedRecord> verify(const Receipt& receipt, const Result<LogKey>& log_key);

namespace detail {

template <class T>
Value to_value(T&& value) {
  using Plain = std::remove_cvref_t<T>;
  if constexpr (std::is_same_v<Plain, Value>) {
    return std::forward<T>(value);
  } else if constexpr (std::is_same_v<Plain, std::nullopt_t> ||
                       std::is_same_v<Plain, std::nullptr_t>) {
    return Null{};
  } else if constexpr (std::is_same_v<Plain, bool> || std::is_integral_v<Plain>) {
    static_assert(sizeof(Plain) < 8 || std::is_signed_v<Plain>,
                  "an unsigned 64-bit value may not fit BIGINT");
    return static_cast<std::int64_t>(value);
  } else if constexpr (std::is_floating_point_v<Plain>) {
    return static_cast<double>(value);
  } else if constexpr (std::is_convertible_v<T, std::string_view>) {
    return std::string{std::string_view{value}};
  } else if constexpr (std::is_convertible_v<T, Bytes>) {
    const Bytes bytes = value;
    return Buffer{bytes.begin(), bytes.end()};
  } else {
    return value ? to_value(*value) : Value{Null{}};  // std::optional
  }
}

// Fails with `type.mismatch` if `from` is no T; the column is named in the error.
Result<std::int64_t> get_integer(const ValueView& from, std::string_view column);
Result<double> get_real(const ValueView& from, std::string_view column);
Result<std::string> get_text(const ValueView& from, std::string_view column);
Result<Buffer> get_bytes(const ValueView& from, std::string_view column);

template <class T>
struct Get;
template <class T>
struct Get<std::optional<T>> {
  static Result<std::optional<T>> from(const ValueView& value, std::string_view column) {
    if (is_null(value)) return std::optional<T>{};
    KIMBERLITE_TRY(T inner, Get<T>::from(value, column));
    return std::optional<T>{std::move(inner)};
  }
};
template <>
struct Get<std::int64_t> {
  static Result<std::int64_t> from(const ValueView& value, std::string_view column) {
    return get_integer(value, column);
  }
};
template <>
struct Get<bool> {
  static Result<bool> from(const ValueView& value, std::string_view column) {
    KIMBERLITE_TRY(const std::int64_t number, get_integer(value, column));
    return number != 0;
  }
};
template <>
struct Get<double> {
  static Result<double> from(const ValueView& value, std::string_view column) {
    return get_real(value, column);
  }
};
template <>
struct Get<std::string> {
  static Result<std::string> from(const ValueView& value, std::string_view column) {
    return get_text(value, column);
  }
};
template <>
struct Get<Buffer> {
  static Result<Buffer> from(const ValueView& value, std::string_view column) {
    return get_bytes(value, column);
  }
};

// `type.mismatch` unless a row of `columns` has `wanted` values.
Status expect_columns(std::size_t columns, std::size_t wanted);

}  // namespace detail

// One row of a cursor; valid until the next one is asked for.
class RowView {
 public:
  RowView(const engine::Cursor& cursor)
      : cursor_(&cursor) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] std::size_t size() const { return cursor_->row().size(); }
  [[nodiscard]] const ValueView& operator[](std::size_t column) const {
    return cursor_->row()[column];
  }
  template <class T>
  [[nodiscard]] Result<T> get(std::size_t column) const {
    KIMBERLITE_CHECK(detail::expect_columns(size() > column ? column + 1 : size(), column + 1));
    return detail::Get<T>::from(cursor_->row()[column], cursor_->columns()[column].name);
  }

 private:
  const engine::Cursor* cursor_;
};

class Cursor {
 public:
  explicit Cursor(std::unique_ptr<engine::Cursor> cursor) : cursor_(std::move(cursor)) {}
  // Nothing at the end.
  [[nodiscard]] Result<std::optional<RowView>> next();
  [[nodiscard]] const std::vector<ColumnInfo>& columns() const { return cursor_->columns(); }
  [[nodiscard]] Position position() const { return cursor_->position(); }
  [[nodiscard]] TimestampUs timestamp() const { return cursor_->timestamp(); }

 private:
  std::unique_ptr<engine::Cursor> cursor_;
};

// Typed rows of `query<Ts...>`.
template <class... Ts>
using Rows = std::vector<std::tuple<Ts...>>;

namespace detail {

template <class... Ts, std::size_t... I>
Result<std::tuple<Ts...>> read_row(const RowView& row, std::index_sequence<I...>) {
  std::tuple<Result<Ts>...> parts{row.get<Ts>(I)...};
  const Error* failed = nullptr;
  ((failed = failed == nullptr && !std::get<I>(parts) ? &std::get<I>(parts).error() : failed), ...);
  if (failed != nullptr) return *failed;
  return std::tuple<Ts...>{*std::move(std::get<I>(parts))...};
}

inline constexpr std::size_t rows_max = 1'000'000;  // of `query`; a cursor has no bound

template <class... Ts>
Result<Rows<Ts...>> read_rows(Cursor cursor) {
  KIMBERLITE_CHECK(expect_columns(cursor.columns().size(), sizeof...(Ts)));
  Rows<Ts...> rows;
  while (true) {
    KIMBERLITE_TRY(const std::optional<RowView> row, cursor.next());
    if (!row) return rows;
    if (rows.size() == rows_max) {
      return Error{Code::limit_rows, "the query has more than {} rows", rows_max}.next(
          "use cursor(), which has no bound, or LIMIT");
    }
    KIMBERLITE_TRY(auto values, read_row<Ts...>(*row, std::index_sequence_for<Ts...>{}));
    rows.push_back(std::move(values));
  }
}

}  // namespace detail

// Reading as of one position: what the database knew then. It cannot write, and has no `execute`.
class Snapshot {
 public:
  Snapshot(engine::Session& session, engine::AsOf as_of) : session_(&session), as_of_(as_of) {}

  template <class... Ts, class... Args>
  [[nodiscard]] Result<Rows<Ts...>> query(Sql sql, Args&&... args) {
    KIMBERLITE_TRY(Cursor rows, cursor(Read{}, sql, std::forward<Args>(args)...));
    return detail::read_rows<Ts...>(std::move(rows));
  }
  template <class... Args>
  [[nodiscard]] Result<Cursor> cursor(const Read&, Sql sql, Args&&... args) {
    const std::vector<Value> values{detail::to_value(std::forward<Args>(args))...};
    KIMBERLITE_TRY(auto rows, session_->query({sql.text(), values}, as_of_, {}));
    return Cursor{std::move(rows)};
  }

 private:
  engine::Session* session_;
  engine::AsOf as_of_;
};

// BEGIN … COMMIT: one record, one position. Destroyed without a commit, it is rolled back.
class Transaction {
 public:
  explicit Transaction(engine::Session& session) : session_(&session) {}
  Transaction(Transaction&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  template <class... Args>
  [[nodiscard]] Result<Commit> execute(Sql sql, Args&&... args) {
    const std::vector<Value> values{detail::to_value(std::forward<Args>(args))...};
    return run({sql.text(), values});
  }
  template <class... Ts, class... Args>
  [[nodiscard]] Result<Rows<Ts...>> query(Sql sql, Args&&... args) {
    const std::vector<Value> values{detail::to_value(std::forward<Args>(args))...};
    KIMBERLITE_TRY(auto rows, session_->query({sql.text(), values}, {}, {}));
    return detail::read_rows<Ts...>(Cursor{std::move(rows)});
  }
  [[nodiscard]] Result<Commit> commit() &&;
  [[nodiscard]] Status rollback() &&;

 private:
  [[nodiscard]] Result<Commit> run(const engine::Statement& statement);
  engine::Session* session_;
};

class Session {
 public:
  explicit Session(std::unique_ptr<engine::Session> session) : session_(std::move(session)) {}
  // `memory`, if there is one, outlives the session.
  Session(std::unique_ptr<engine::Session> session, HeadMemory* memory, std::string tenant)
      : session_(std::move(session)), memory_(memory), tenant_(std::move(tenant)) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  template <class... Args>
  [[nodiscard]] Result<Commit> execute(const Write& write, Sql sql, Args&&... args) {
    const std::vector<Value> values{detail::to_value(std::forward<Args>(args))...};
    return run(write, {sql.text(), values});
  }
  template <class... Ts, class... Args>
  [[nodiscard]] Result<Rows<Ts...>> query(Sql sql, Args&&... args) {
    return Snapshot{*session_, {}}.query<Ts...>(sql, std::forward<Args>(args)...);
  }
  template <class... Args>
  [[nodiscard]] Result<Cursor> cursor(const Read& read, Sql sql, Args&&... args) {
    return Snapshot{*session_, {}}.cursor(read, sql, std::forward<Args>(args)...);
  }
  [[nodiscard]] Snapshot as_of(Position position) { return {*session_, position}; }
  [[nodiscard]] Snapshot as_of(TimestampUs time) { return {*session_, time}; }
  [[nodiscard]] Result<Transaction> transaction(const Write& write);

  [[nodiscard]] Result<Commit> append(std::string_view stream, Expect expect,
                                      const std::vector<Event>& events, const Write& write = {});
  [[nodiscard]] Result<std::vector<StoredEvent>> read(std::string_view stream, From from,
                                                      Limit limit = {});

  // `not_found.position` beyond the end of the log, `erased.item` for an item nobody can open any
  // more.
  [[nodiscard]] Result<Receipt> receipt(Position position, std::optional<Disclose> disclosed = {});
  // What checks the receipts of this tenant: for those who will check them, another way than with a
  // receipt. `not_found.position` while the log is empty.
  [[nodiscard]] Result<LogKey> log_key();
  // Remembers the log as it is now, if the database was opened with a `heads_file`. Also done, as
  // far as possible, by the destructor.
  [[nodiscard]] Status remember();

  // What the typed calls do not cover.
  [[nodiscard]] engine::Session& engine() { return *session_; }

 private:
  [[nodiscard]] Result<Commit> run(const Write& write, const engine::Statement& statement);
  std::unique_ptr<engine::Session> session_;
  HeadMemory* memory_ = nullptr;
  std::string tenant_;
};

class Database {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Database>> open(std::string_view directory,
                                                              const OpenOptions& options = {});
  // Lives in memory and dies with the object; its master key too.
  [[nodiscard]] static Result<std::unique_ptr<Database>> in_memory();
  virtual ~Database() = default;

  // Acts as `os:<user>`, method `local`. With a `heads_file`: `integrity.rollback`, `.split_view`
  // or `.new_epoch` unless the log goes on from what is remembered of it.
  [[nodiscard]] Result<std::unique_ptr<Session>> local_session(std::string_view tenant = "main");
  // After `integrity.new_epoch`, and a person's word that it is right: the log as it is now is
  // remembered in the place of the one that was. Nothing if there is no new epoch.
  [[nodiscard]] Status trust(std::string_view tenant = "main");
  [[nodiscard]] virtual engine::Database& engine() = 0;

 private:
  [[nodiscard]] virtual HeadMemory* memory() = 0;  // none: nothing is remembered
};

}  // namespace kimberlite
