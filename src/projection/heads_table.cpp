#include "heads_table.hpp"

#include <algorithm>

namespace kimberlite::projection {
namespace {

constexpr const char* declaration =
    "CREATE TABLE x(size INTEGER, root BLOB, timestamp TEXT, state_digest BLOB, signatures TEXT, "
    "witnesses INTEGER, anchors INTEGER, last_anchor_age_s INTEGER)";

// The order of the declaration.
enum HeadColumn : int {
  hd_size,
  hd_root,
  hd_timestamp,
  hd_state_digest,
  hd_signatures,
  hd_witnesses,
  hd_anchors,
  hd_last_anchor_age,
};

struct Table : sqlite3_vtab {
  explicit Table(Context& of) : sqlite3_vtab{}, context(of) {}
  Context& context;
};

class HeadsCursor : public sqlite3_vtab_cursor {
 public:
  explicit HeadsCursor(Context& context) : sqlite3_vtab_cursor{}, context_(context) {}

  [[nodiscard]] Status begin() {
    if (context_.log == nullptr) {
      return Error{Code::unavailable_closed, "the log cannot be read here"};
    }
    KIMBERLITE_TRY(heads_, context_.log->heads());
    index_ = 0;
    return read();
  }
  [[nodiscard]] Status advance() {
    ++index_;
    return read();
  }
  [[nodiscard]] bool at_end() const { return heads_ == nullptr || index_ >= heads_->count(); }
  [[nodiscard]] std::uint64_t index() const { return index_; }
  void column(sqlite3_context* result, int column) const;

 private:
  [[nodiscard]] Status read() {
    if (at_end()) return {};
    KIMBERLITE_TRY(head_, heads_->read(index_));
    return {};
  }

  Context& context_;
  std::unique_ptr<LogHeads> heads_;
  std::uint64_t index_ = 0;
  LogHead head_;
};

void HeadsCursor::column(sqlite3_context* result, int column) const {
  const auto give_number = [&](std::uint64_t number) {
    sqlite3_result_int64(result, static_cast<sqlite3_int64>(number));
  };
  switch (column) {
    case hd_size:
      return give_number(head_.size);
    case hd_root:
      return give_result(result, Bytes{head_.root});
    case hd_timestamp:
      return give_result(result, time_text(head_.signed_at));
    case hd_signatures:
      return give_result(result, head_.signatures);
    case hd_witnesses:
      return give_number(head_.witnesses);
    case hd_anchors:
      return give_number(head_.anchors);
    case hd_last_anchor_age: {
      if (!head_.last_anchor) return;
      constexpr std::uint64_t second = 1'000'000;
      const std::uint64_t now = std::max(context_.now, *head_.last_anchor).value();
      return give_number((now - head_.last_anchor->value()) / second);
    }
    default:  // NULL: what is signed says nothing of the state
      return;
  }
}

// ---- SQLite's side --------------------------------------------------------------------------

Context& context_of(sqlite3_vtab* table) { return static_cast<Table*>(table)->context; }
HeadsCursor& cursor_of(sqlite3_vtab_cursor* cursor) { return *static_cast<HeadsCursor*>(cursor); }

int report(sqlite3_vtab* table, const Status& status) {
  if (status) return SQLITE_OK;
  Context& context = context_of(table);
  if (!context.failure) context.failure = status.error();
  sqlite3_free(table->zErrMsg);
  table->zErrMsg = sqlite3_mprintf("the signed heads could not be read");
  return SQLITE_ERROR;
}

int connect(sqlite3* db, void* context, int /*count*/, const char* const* /*arguments*/,
            sqlite3_vtab** table, char** /*error*/) {
  const int rc = sqlite3_declare_vtab(db, declaration);
  if (rc != SQLITE_OK) return rc;
  sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  *table = new Table(*static_cast<Context*>(context));
  return SQLITE_OK;
}

int disconnect(sqlite3_vtab* table) {
  delete static_cast<Table*>(table);
  return SQLITE_OK;
}

int best_index(sqlite3_vtab* /*table*/, sqlite3_index_info* info) {
  info->estimatedCost = 1e4;
  info->estimatedRows = 1000;
  return SQLITE_OK;
}

int open_cursor(sqlite3_vtab* table, sqlite3_vtab_cursor** cursor) {
  *cursor = new HeadsCursor(context_of(table));
  return SQLITE_OK;
}

int close_cursor(sqlite3_vtab_cursor* cursor) {
  delete &cursor_of(cursor);
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int /*plan*/, const char* /*name*/, int /*count*/,
           sqlite3_value** /*values*/) {
  return report(cursor->pVtab, cursor_of(cursor).begin());
}

int next(sqlite3_vtab_cursor* cursor) { return report(cursor->pVtab, cursor_of(cursor).advance()); }

int at_end(sqlite3_vtab_cursor* cursor) { return cursor_of(cursor).at_end() ? 1 : 0; }

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* result, int index) {
  cursor_of(cursor).column(result, index);
  return SQLITE_OK;
}

int rowid(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(cursor_of(cursor).index());
  return SQLITE_OK;
}

// No xCreate: the table is there without being made. No xUpdate: it is not written.
constexpr sqlite3_module methods = [] {
  sqlite3_module m{};
  m.xConnect = connect;
  m.xBestIndex = best_index;
  m.xDisconnect = disconnect;
  m.xDestroy = disconnect;
  m.xOpen = open_cursor;
  m.xClose = close_cursor;
  m.xFilter = filter;
  m.xNext = next;
  m.xEof = at_end;
  m.xColumn = column;
  m.xRowid = rowid;
  return m;
}();

}  // namespace

Status register_heads_table(Connection& connection, Context& context) {
  const int rc = sqlite3_create_module_v2(connection.db(), "__heads", &methods, &context, nullptr);
  if (rc != SQLITE_OK) return error_of(connection.db(), rc);
  // Connected now: within a statement the authoriser refuses the declaration.
  return connection.execute("SELECT 1 FROM __heads LIMIT 0");
}

}  // namespace kimberlite::projection
