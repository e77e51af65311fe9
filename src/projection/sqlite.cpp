#include "sqlite.hpp"

#include <climits>

#include "base/assert.hpp"

namespace kimberlite::projection {
namespace {

std::string doubled(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += c;
    out += c;
  }
  return out += quote;
}

// The part of SQLite's message behind its first ": ", which names columns or a constraint.
std::string_view names_of(std::string_view message) {
  const std::size_t at = message.find(": ");
  return at == std::string_view::npos ? std::string_view{} : message.substr(at + 2);
}

// "t.a, t.b" without the hidden columns.
Error unique_error(std::string_view names) {
  if (names.find(".__row") != std::string_view::npos ||
      names.find("__h_") != std::string_view::npos) {
    return Error{Code::internal_bug, "a hidden key of the projection is not unique"};
  }
  return Error{Code::constraint_unique, "a row with this value is already there: {}", names}.next(
      "use other values, or ON CONFLICT");
}

Error check_error(std::string_view name) {
  return Error{Code::constraint_check, "CHECK constraint {} is not met", name};
}

Error constraint_error(int extended, std::string_view message) {
  const std::string_view names = names_of(message);
  switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
      return unique_error(names);
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: {
      Error error = unique_error(names);
      if (error.code() == Code::internal_bug) return error;
      return Error{Code::constraint_primary_key, "a row with this key is already there: {}", names}
          .next("use another key, or ON CONFLICT");
    }
    case SQLITE_CONSTRAINT_NOTNULL:
      return Error{Code::constraint_not_null, "a value is missing: {} is NOT NULL", names};
    case SQLITE_CONSTRAINT_CHECK:
      return check_error(names);
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return Error{
          Code::constraint_foreign_key,
          "a foreign key is not met: the row referred to is missing, or still referred to"};
    case SQLITE_CONSTRAINT_DATATYPE: {
      // "cannot store TEXT value in INTEGER column t.a"
      const std::size_t at = message.rfind("column ");
      return Error{Code::type_mismatch, "a value does not have the type of column {}",
                   at == std::string_view::npos ? std::string_view{} : message.substr(at + 7)};
    }
    default:
      return Error{Code::internal_bug, "an unknown constraint of the projection failed ({})",
                   extended};
  }
}

}  // namespace

std::string quoted(std::string_view name) { return doubled(name, '"'); }
std::string quoted_text(std::string_view text) { return doubled(text, '\''); }

ValueView view_of(sqlite3_value* value) {
  switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
      return sqlite3_value_int64(value);
    case SQLITE_FLOAT:
      return sqlite3_value_double(value);
    case SQLITE_TEXT: {
      const unsigned char* text = sqlite3_value_text(value);
      return std::string_view{reinterpret_cast<const char*>(text),
                              static_cast<std::size_t>(sqlite3_value_bytes(value))};
    }
    case SQLITE_BLOB: {
      const void* blob = sqlite3_value_blob(value);
      return Bytes{static_cast<const std::byte*>(blob),
                   static_cast<std::size_t>(sqlite3_value_bytes(value))};
    }
    default:
      return Null{};
  }
}

void give_result(sqlite3_context* context, const ValueView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    sqlite3_result_int64(context, *integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    sqlite3_result_double(context, *real);
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    sqlite3_result_text64(context, text->data() == nullptr ? "" : text->data(), text->size(),
                          SQLITE_TRANSIENT, SQLITE_UTF8);
  } else if (const auto* blob = std::get_if<Bytes>(&value)) {
    sqlite3_result_blob64(context,
                          blob->data() == nullptr ? "" : static_cast<const void*>(blob->data()),
                          blob->size(), SQLITE_TRANSIENT);
  } else {
    sqlite3_result_null(context);
  }
}

Error error_of(sqlite3* db, int rc) {
  const int extended = db == nullptr ? rc : sqlite3_extended_errcode(db);
  const std::string_view message = db == nullptr ? std::string_view{} : sqlite3_errmsg(db);
  switch (rc & 0xFF) {
    case SQLITE_CONSTRAINT:
      return constraint_error(extended, message);
    case SQLITE_MISMATCH:
      return Error{Code::type_mismatch, "the value of an integer primary key is not an integer"};
    case SQLITE_TOOBIG:
      return Error{Code::limit_row, "a value or a row is larger than its limit"};
    case SQLITE_NOMEM:
      return Error{Code::limit_memory, "the statement needs more memory than there is"};
    case SQLITE_FULL:
      return Error{Code::unavailable_disk_full, "the projection's disk is full"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error{Code::unavailable_busy, "the projection is in use"};
    case SQLITE_INTERRUPT:
      return Error{Code::interrupted_signal, "the statement was interrupted"};
    case SQLITE_AUTH:
      return Error{Code::denied_object, "the statement reads or does what is not allowed"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Error{Code::integrity_projection, "the projection is damaged"}
          .why("SQLite: code {}", extended)
          .next("it is derived: it can be deleted and is rebuilt from the log");
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return Error{Code::unavailable_io, "the projection cannot be read or written"}.why(
          "SQLite: code {}", extended);
    case SQLITE_ERROR:
      // What ALTER TABLE finds in the rows that are there is no constraint error of SQLite's.
      if (message.starts_with("CHECK constraint failed")) {
        return Error{Code::constraint_check, "the rows that are there do not meet the constraint"};
      }
      // Parse and name errors: their texts quote names of the statement, never stored values.
      return Error{Code::sql_syntax, "{}", message};
    default:
      return Error{Code::internal_bug, "SQLite failed with code {}", extended};
  }
}

void Prepared::bind(int parameter, const ValueView& value, bool copy) {
  sqlite3_destructor_type keep = copy ? SQLITE_TRANSIENT : SQLITE_STATIC;
  int rc = SQLITE_OK;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    rc = sqlite3_bind_int64(get(), parameter, *integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    rc = sqlite3_bind_double(get(), parameter, *real);
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    rc = sqlite3_bind_text64(get(), parameter, text->data() == nullptr ? "" : text->data(),
                             text->size(), keep, SQLITE_UTF8);
  } else if (const auto* blob = std::get_if<Bytes>(&value)) {
    rc = blob->empty() ? sqlite3_bind_zeroblob(get(), parameter, 0)
                       : sqlite3_bind_blob64(get(), parameter, blob->data(), blob->size(), keep);
  } else {
    rc = sqlite3_bind_null(get(), parameter);
  }
  KIMBERLITE_ASSERT(rc == SQLITE_OK || rc == SQLITE_TOOBIG || rc == SQLITE_NOMEM);
  if (rc != SQLITE_OK) refused_ = rc;
}

Status Prepared::bound() const {
  if (refused_ == SQLITE_OK) return {};
  return error_of(sqlite3_db_handle(get()), refused_);
}

void Prepared::bind(int parameter, std::int64_t value) {
  const int rc = sqlite3_bind_int64(get(), parameter, value);
  KIMBERLITE_ASSERT(rc == SQLITE_OK);
}

void Prepared::bind(int parameter, Position value) {
  KIMBERLITE_ASSERT(value.value() <= LLONG_MAX);
  bind(parameter, static_cast<std::int64_t>(value.value()));
}

Result<bool> Prepared::step() {
  if (Status status = bound(); !status) {
    reset();
    return status.error();
  }
  const int rc = sqlite3_step(get());
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) {
    sqlite3_reset(get());
    return false;
  }
  Error error = error_of(sqlite3_db_handle(get()), rc);
  sqlite3_reset(get());
  return error;
}

Status Prepared::run() {
  for (;;) {
    KIMBERLITE_TRY(const bool row, step());
    if (!row) return {};
  }
}

void Prepared::reset() {
  sqlite3_reset(get());
  refused_ = SQLITE_OK;
}

ValueView Prepared::column(int index) const {
  switch (sqlite3_column_type(get(), index)) {
    case SQLITE_INTEGER:
      return sqlite3_column_int64(get(), index);
    case SQLITE_FLOAT:
      return sqlite3_column_double(get(), index);
    case SQLITE_TEXT:
      return text(index);
    case SQLITE_BLOB:
      return bytes(index);
    default:
      return Null{};
  }
}

Result<ValueView> Prepared::answer(int index) const {
  const ValueView value = column(index);
  if (const auto* text = std::get_if<std::string_view>(&value); text && !is_utf8_text(*text)) {
    return Error{Code::type_encoding, "column {} of the answer is not text", index + 1}
        .why("it has a NUL byte or is not UTF-8")
        .next("give it back as bytes: CAST(… AS BYTES)");
  }
  return value;
}

std::string_view Prepared::text(int index) const {
  const unsigned char* text = sqlite3_column_text(get(), index);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<std::size_t>(sqlite3_column_bytes(get(), index))};
}

Bytes Prepared::bytes(int index) const {
  const void* blob = sqlite3_column_blob(get(), index);
  return {static_cast<const std::byte*>(blob),
          static_cast<std::size_t>(sqlite3_column_bytes(get(), index))};
}

Result<Connection> Connection::open(const Location& location, Mode mode) {
  Connection connection;
  sqlite3* db = nullptr;
  const int flags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI |
      (mode == Mode::write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE);
  const int rc = sqlite3_open_v2(location.path.c_str(), &db, flags,
                                 location.vfs.empty() ? nullptr : location.vfs.c_str());
  connection.db_.reset(db);
  if (rc != SQLITE_OK) return error_of(db, rc);
  sqlite3_extended_result_codes(db, 1);
  return connection;
}

Status Connection::execute(const std::string& sql) {
  const int rc = sqlite3_exec(db(), sql.c_str(), nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return error_of(db(), rc);
  return {};
}

Result<Prepared> Connection::prepare(std::string_view sql, bool kept) {
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const int rc = sqlite3_prepare_v3(db(), sql.data(), static_cast<int>(sql.size()),
                                    kept ? SQLITE_PREPARE_PERSISTENT : 0U, &statement, &tail);
  if (rc != SQLITE_OK) return error_of(db(), rc);
  KIMBERLITE_ASSERT(statement != nullptr);
  return Prepared{statement};
}

Result<std::int64_t> Connection::integer(const std::string& sql) {
  KIMBERLITE_TRY(Prepared statement, prepare(sql));
  KIMBERLITE_TRY(const bool row, statement.step());
  if (!row) return Error{Code::integrity_projection, "a row of the projection is missing"};
  return statement.integer(0);
}

}  // namespace kimberlite::projection
