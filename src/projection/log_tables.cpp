#include "log_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <climits>
#include <type_traits>
#include <variant>

#include "base/assert.hpp"
#include "lookups.hpp"
#include "schema.hpp"
#include "sql/types.hpp"
#include "versions.hpp"

namespace kimberlite::projection {
namespace {

enum class Kind : std::uint8_t { events, schema };

// The order of `events_columns` in the declaration.
enum EventColumn : int {
  ev_position,
  ev_change,
  ev_item,
  ev_timestamp,
  ev_stream,
  ev_sequence,
  ev_operation,
  ev_kind,
  ev_actor,
  ev_session,
  ev_reason,
  ev_correlation,
  ev_request,
  ev_version,
  ev_key,
  ev_old,
  ev_new,
  ev_payload,
  ev_erased,
  ev_hash,
  ev_previous,
};
enum SchemaColumn : int {
  sc_position,
  sc_timestamp,
  sc_actor,
  sc_approver,
  sc_object,
  sc_version,
  sc_ddl,
  sc_reason,
};

struct LogTable {
  const char* name;
  const char* declaration;
  Kind kind;
};
constexpr std::array log_tables{
    LogTable{"__events",
             "CREATE TABLE x(position INTEGER, change INTEGER, item INTEGER, timestamp TEXT, "
             "stream TEXT, sequence INTEGER, operation TEXT, kind TEXT, actor TEXT, session TEXT, "
             "reason TEXT, correlation_id TEXT, request_id TEXT, schema_version INTEGER, key TEXT, "
             "old TEXT, new TEXT, payload, erased INTEGER, hash BLOB, previous_hash BLOB)",
             Kind::events},
    LogTable{"__schema_history",
             "CREATE TABLE x(position INTEGER, timestamp TEXT, actor TEXT, approver TEXT, "
             "object TEXT, version INTEGER, ddl TEXT, reason TEXT)",
             Kind::schema},
};

// What xBestIndex tells xFilter its values are: one letter each. Strict bounds count as others:
// SQLite checks every row again.
constexpr char position_is = '=';
constexpr char position_from = '>';
constexpr char position_to = '<';
constexpr char stream_is = 's';
constexpr char sequence_is = 'e';
constexpr char sequence_from = 'g';
constexpr char sequence_to = 'l';

struct Module {
  const LogTable* table;
  Connection* connection;
  Context* context;
  const std::shared_ptr<const catalog::Catalog>* catalog;
};

struct Table : sqlite3_vtab {
  explicit Table(const Module& of) : sqlite3_vtab{}, module(of) {}
  const Module& module;
};

// ---- JSON -----------------------------------------------------------------------------------

void put_json_text(std::string& to, std::string_view text) {
  to += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      to += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      to += c;
    }
  }
  to += '"';
}

constexpr std::int64_t exact_in_doubles = 1LL << 53;

// Numbers that JSON's readers would round, and times, are texts; a JSON value stands as it is.
void put_json(std::string& to, const ValueView& value, const catalog::Type& type) {
  if (is_null(value)) {
    to += "null";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value);
             type.kind == catalog::TypeKind::boolean || type.kind == catalog::TypeKind::json ||
             (integer != nullptr && *integer >= -exact_in_doubles &&
              *integer <= exact_in_doubles)) {
    to += sql::print(value, type);
  } else if (const auto* real = std::get_if<double>(&value);
             real != nullptr && *real - *real == 0.0) {  // finite
    to += sql::print_double(*real);
  } else {
    put_json_text(to, sql::print(value, type));
  }
}

std::string json_of(const Layout& layout, std::span<const ValueView> values, bool only_key) {
  std::string json = "{";
  const std::size_t count = only_key ? layout.key.size() : layout.image.size();
  for (std::size_t i = 0; i < std::min(count, values.size()); ++i) {
    const ColumnLayout& column = layout.image[only_key ? layout.key[i] : i];
    if (i > 0) json += ',';
    put_json_text(json, column.name);
    json += ':';
    put_json(json, values[i], column.type);
  }
  if (only_key && layout.hidden_key && !values.empty()) {
    json += "\"__row\":";
    put_json(json, values[0], {catalog::TypeKind::bigint});
  }
  return json += '}';
}

// ---- Cursor ---------------------------------------------------------------------------------

// One row of `__events`: the change `part` of item `item` of the record.
struct EventRow {
  std::size_t item = 0;
  std::size_t part = 0;
  std::uint64_t change = 0;  // counted over the record
};

class LogCursor : public sqlite3_vtab_cursor {
 public:
  explicit LogCursor(const Module& module)
      : sqlite3_vtab_cursor{},
        module_(module),
        lookups_(*module.connection),
        versions_(*module.connection) {}

  [[nodiscard]] Status filter(std::string_view plan, bool descending,
                              std::span<sqlite3_value*> values);
  [[nodiscard]] Status advance();
  [[nodiscard]] bool at_end() const { return ended_; }
  [[nodiscard]] Status column(sqlite3_context* result, int index);
  [[nodiscard]] sqlite3_int64 rowid() const {
    return static_cast<std::int64_t>((record_.entry.position.value() << 20U) + row_);
  }

 private:
  [[nodiscard]] Status choose_positions();
  [[nodiscard]] Result<bool> next_record();
  [[nodiscard]] Status collect_rows();
  [[nodiscard]] Status event_column(sqlite3_context* result, int index);
  [[nodiscard]] Status change_column(sqlite3_context* result, int index);
  [[nodiscard]] Status schema_column(sqlite3_context* result, int index);
  [[nodiscard]] std::string object_name(const OpenedItem& item, const EventRow& row);
  [[nodiscard]] Result<std::optional<std::string>> old_image(const RowChange& change,
                                                             const Layout& layout);
  [[nodiscard]] Result<Layout> layout_of_change(const RowChange& change) const;
  [[nodiscard]] const record::Meta* meta() const;
  [[nodiscard]] const catalog::Catalog& catalog() const { return **module_.catalog; }

  const Module& module_;
  Lookups lookups_;
  Versions versions_;
  // Positions come from a statement of this connection, or are counted.
  Prepared positions_;
  std::uint64_t low_ = 1;
  std::uint64_t high_ = 0;
  std::uint64_t next_ = 0;
  std::optional<std::string> stream_;
  std::int64_t sequence_low_ = 0;
  std::int64_t sequence_high_ = 0;
  bool descending_ = false;
  bool ended_ = true;

  OpenedRecord record_;
  std::vector<EventRow> rows_;
  std::size_t row_ = 0;
  std::map<StreamId, std::string> stream_names_;
};

// A bound that is no integer bounds nothing here: SQLite checks every row again.
template <class T>
void raise(T& low, sqlite3_value* value) {
  if (sqlite3_value_type(value) != SQLITE_INTEGER) return;
  low = std::max(low, static_cast<T>(std::max<sqlite3_int64>(0, sqlite3_value_int64(value))));
}
template <class T>
void lower(T& high, sqlite3_value* value) {
  if (sqlite3_value_type(value) != SQLITE_INTEGER) return;
  high = std::min(high, static_cast<T>(std::max<sqlite3_int64>(0, sqlite3_value_int64(value))));
}

Status LogCursor::filter(std::string_view plan, bool descending, std::span<sqlite3_value*> values) {
  if (module_.context->log == nullptr) {
    return Error{Code::unavailable_closed, "the log cannot be read here"};
  }
  KIMBERLITE_ASSERT(plan.size() == values.size());
  KIMBERLITE_TRY(const At head, lookups_.head());
  low_ = 1;
  high_ = head.position.value();
  stream_.reset();
  sequence_low_ = 0;
  sequence_high_ = LLONG_MAX;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const char is = plan[i];
    if (is == position_is || is == position_from) raise(low_, values[i]);
    if (is == position_is || is == position_to) lower(high_, values[i]);
    if (is == sequence_is || is == sequence_from) raise(sequence_low_, values[i]);
    if (is == sequence_is || is == sequence_to) lower(sequence_high_, values[i]);
    if (is != stream_is) continue;
    const ValueView name = view_of(values[i]);
    if (const auto* text = std::get_if<std::string_view>(&name)) stream_ = std::string{*text};
  }
  descending_ = descending;
  next_ = descending_ ? high_ : low_;
  ended_ = low_ > high_;
  rows_.clear();
  row_ = 0;
  positions_ = Prepared{};
  if (!ended_) KIMBERLITE_CHECK(choose_positions());
  return advance();
}

// A stream's records are indexed, and those of the schema; a table's are among all.
Status LogCursor::choose_positions() {
  const char* direction = descending_ ? "DESC" : "ASC";
  if (module_.table->kind == Kind::schema) {
    KIMBERLITE_TRY(positions_, module_.connection->prepare(fmt::format(
                                   "SELECT position FROM main.__schema_changes WHERE position "
                                   "BETWEEN ?1 AND ?2 ORDER BY position {}",
                                   direction)));
    positions_.bind(1, Position{low_});
    positions_.bind(2, Position{high_});
    return {};
  }
  if (!stream_) return {};
  KIMBERLITE_TRY(const auto known, lookups_.find_stream(*stream_));
  if (!known) return {};
  KIMBERLITE_TRY(
      positions_,
      module_.connection->prepare(fmt::format(
          "SELECT position FROM main.__appends WHERE stream = ?1 AND first_sequence >= "
          "ifnull((SELECT max(first_sequence) FROM main.__appends WHERE stream = ?1 AND "
          "first_sequence <= ?2), 0) AND first_sequence <= ?3 AND position BETWEEN ?4 AND ?5 "
          "ORDER BY first_sequence {}",
          direction)));
  positions_.bind(1, static_cast<std::int64_t>(known->stream.value()));
  positions_.bind(2, sequence_low_);
  positions_.bind(3, sequence_high_);
  positions_.bind(4, Position{low_});
  positions_.bind(5, Position{high_});
  return {};
}

Result<bool> LogCursor::next_record() {
  Position position{next_};
  if (positions_) {
    KIMBERLITE_TRY(const bool found, positions_.step());
    if (!found) return false;
    position = Position{static_cast<std::uint64_t>(positions_.integer(0))};
  } else {
    if (next_ < low_ || next_ > high_) return false;
    next_ = descending_ ? next_ - 1 : next_ + 1;
  }
  KIMBERLITE_TRY(record_, module_.context->log->read(position));
  return true;
}

Status LogCursor::advance() {
  if (ended_) return {};
  if (row_ + 1 < rows_.size()) {
    ++row_;
    return {};
  }
  do {  // bounded by the log's head
    if (module_.context->progress() != 0) return module_.context->take_failure();
    KIMBERLITE_TRY(const bool found, next_record());
    if (!found) {
      ended_ = true;
      return {};
    }
    KIMBERLITE_CHECK(collect_rows());
  } while (rows_.empty());
  return {};
}

Status LogCursor::collect_rows() {
  rows_.clear();
  row_ = 0;
  std::uint64_t other = 0;
  for (std::size_t i = 0; i < record_.items.size(); ++i) {
    const OpenedItem& item = record_.items[i];
    const bool control = item.header.kind == record::ItemKind::control;
    if (module_.table->kind == Kind::schema && !control) continue;
    for (std::size_t part = 0; part < item.header.count; ++part) {
      // Row changes are numbered over all items; events and controls by where they stand.
      const bool numbered = item.header.kind == record::ItemKind::rows && !item.erased;
      rows_.push_back({i, part, numbered ? item.plaintext.changes[part].ordinal : other++});
    }
  }
  std::ranges::stable_sort(rows_, {}, &EventRow::change);
  if (descending_) std::ranges::reverse(rows_);
  return {};
}

const record::Meta* LogCursor::meta() const {
  for (const OpenedItem& item : record_.items) {
    if (item.plaintext.meta) return &*item.plaintext.meta;
  }
  return nullptr;
}

// ---- Columns --------------------------------------------------------------------------------

void give_text(sqlite3_context* result, const std::optional<std::string_view>& text) {
  if (text) give_result(result, *text);
}

void give_id(sqlite3_context* result, const Id128& id) {
  if (!all_zero(id)) give_result(result, to_uuid(id));
}

Status LogCursor::column(sqlite3_context* result, int index) {
  return module_.table->kind == Kind::events ? event_column(result, index)
                                             : schema_column(result, index);
}

Status LogCursor::event_column(sqlite3_context* result, int index) {
  const record::Entry& entry = record_.entry;
  const EventRow& row = rows_[row_];
  const record::Meta* const meta = this->meta();
  switch (index) {
    case ev_position:
      sqlite3_result_int64(result, static_cast<sqlite3_int64>(entry.position.value()));
      return {};
    case ev_change:
      sqlite3_result_int64(result, static_cast<sqlite3_int64>(row.change));
      return {};
    case ev_item:
      sqlite3_result_int64(result, static_cast<sqlite3_int64>(row.item));
      return {};
    case ev_timestamp:
      give_result(result, time_text(entry.timestamp));
      return {};
    case ev_actor:
      give_result(result, module_.context->log->actor_name(entry.actor));
      return {};
    case ev_session:
      give_id(result, entry.session);
      return {};
    case ev_reason:
      if (meta != nullptr) give_text(result, meta->reason);
      return {};
    case ev_correlation:
      if (meta != nullptr && meta->correlation) {
        give_result(result, *meta->correlation);
      } else {
        give_id(result, entry.correlation);
      }
      return {};
    case ev_request:
      give_id(result, entry.request_id);
      return {};
    case ev_version:
      sqlite3_result_int64(result, entry.catalog_version);
      return {};
    case ev_erased:
      sqlite3_result_int(result, record_.items[row.item].erased ? 1 : 0);
      return {};
    case ev_hash:
      give_result(result, Bytes{record_.leaf});
      return {};
    case ev_previous:
      give_result(result, Bytes{entry.previous});
      return {};
    default:
      return change_column(result, index);
  }
}

std::string_view operation_name(const OpenedItem& item, std::size_t part) {
  if (item.header.kind == record::ItemKind::events) return "append";
  if (item.header.kind == record::ItemKind::control) return "control";
  if (item.erased) return "erased";
  switch (item.plaintext.changes[part].operation) {
    case record::Operation::insert:
      return "insert";
    case record::Operation::update:
      return "update";
    case record::Operation::remove:
      return "delete";
  }
  return "unknown";
}

Status LogCursor::change_column(sqlite3_context* result, int index) {
  const EventRow& row = rows_[row_];
  const OpenedItem& item = record_.items[row.item];
  if (index == ev_operation) {
    give_result(result, operation_name(item, row.part));
    return {};
  }
  if (index == ev_stream) {
    if (const std::string name = object_name(item, row); !name.empty()) give_result(result, name);
    return {};
  }
  if (item.header.kind == record::ItemKind::events) {
    if (index == ev_sequence) {
      sqlite3_result_int64(
          result, static_cast<std::int64_t>(item.header.first_sequence.value() + row.part));
    } else if (!item.erased && index == ev_kind) {
      give_result(result, item.plaintext.events[row.part].kind);
    } else if (!item.erased && index == ev_payload) {
      give_result(result, item.plaintext.events[row.part].payload);
    }
    return {};
  }
  if (item.header.kind == record::ItemKind::control) {
    if (index == ev_kind) {
      give_result(result, module_.context->log->kind_name(record_.entry.kind));
    } else if (index == ev_payload) {
      // The statement, if there was one: a control's own bytes are no text.
      const record::Meta* const meta = this->meta();
      if (meta != nullptr) give_text(result, meta->statement);
    }
    return {};
  }
  if (item.erased || (index != ev_key && index != ev_old && index != ev_new)) return {};

  const RowChange& change = item.plaintext.changes[row.part];
  KIMBERLITE_TRY(const Layout layout, layout_of_change(change));
  if (index == ev_key) {
    give_result(result, json_of(layout, change.key.values(), true));
  } else if (index == ev_new && change.operation != record::Operation::remove) {
    give_result(result, json_of(layout, change.image.values(), false));
  } else if (index == ev_old && change.operation != record::Operation::insert) {
    KIMBERLITE_TRY(const auto old, old_image(change, layout));
    if (old) give_result(result, *old);
  }
  return {};
}

Result<Layout> LogCursor::layout_of_change(const RowChange& change) const {
  const catalog::Table* table = catalog().table_in(change.table, record_.entry.catalog_version);
  if (table == nullptr) {
    return Error{Code::integrity_item, "a record changes a table that was not there"}.where(
        "position {}", record_.entry.position.value());
  }
  return layout_of(catalog(), *table);
}

// Old images are not in the log twice: the version a change replaced is in history, or was made by
// an earlier change of the same record.
Result<std::optional<std::string>> LogCursor::old_image(const RowChange& change,
                                                        const Layout& layout) {
  if (change.previous < record_.entry.position) {
    KIMBERLITE_TRY(const Buffer image,
                   versions_.find(layout, change.key.bytes(), change.previous.value()));
    if (image.empty()) return std::optional<std::string>{};
    KIMBERLITE_TRY(const record::ValueList list, record::decode_values(image));
    return std::optional{json_of(layout, list.values(), false)};
  }
  const RowChange* made_by = nullptr;
  for (const OpenedItem& item : record_.items) {
    for (const RowChange& earlier : item.plaintext.changes) {
      if (earlier.table == change.table && earlier.ordinal < change.ordinal &&
          equal(earlier.key.bytes(), change.key.bytes()) &&
          (made_by == nullptr || made_by->ordinal < earlier.ordinal)) {
        made_by = &earlier;
      }
    }
  }
  if (made_by == nullptr) return std::optional<std::string>{};
  return std::optional{json_of(layout, made_by->image.values(), false)};
}

// A table or stream by the name it has today, or had last.
std::string LogCursor::object_name(const OpenedItem& item, const EventRow& row) {
  if (item.header.kind == record::ItemKind::events) {
    std::string& name = stream_names_[item.header.stream];
    if (name.empty()) {
      auto found = lookups_.stream_name(item.header.stream);
      if (found) name = *std::move(found);
    }
    return name;
  }
  if (item.header.kind == record::ItemKind::rows && !item.erased) {
    const auto& versions = catalog().table_versions();
    const auto found = versions.find(item.plaintext.changes[row.part].table);
    return found == versions.end() ? std::string{} : found->second.back().object.name;
  }
  return {};
}

// What a change is about, by the name it has today or had last.
std::string changed_name(const catalog::Catalog& catalog, const catalog::Change& change) {
  const auto table = [&](ObjectId id) {
    const auto found = catalog.table_versions().find(id);
    return found == catalog.table_versions().end() ? std::string{}
                                                   : found->second.back().object.name;
  };
  return std::visit(
      [&](const auto& c) -> std::string {
        using C = std::decay_t<decltype(c)>;
        if constexpr (std::is_same_v<C, catalog::CreateTable>) {
          return table(c.table.id);
        } else if constexpr (std::is_same_v<C, catalog::CreateIndex>) {
          return c.index.name;
        } else if constexpr (std::is_same_v<C, catalog::CreateView>) {
          return c.view.name;
        } else if constexpr (std::is_same_v<C, catalog::DropIndex>) {
          return fmt::format("index {}", c.index.value());
        } else if constexpr (std::is_same_v<C, catalog::DropView>) {
          return fmt::format("view {}", c.view.value());
        } else {
          return table(c.table);
        }
      },
      change);
}

Status LogCursor::schema_column(sqlite3_context* result, int index) {
  const record::Entry& entry = record_.entry;
  const EventRow& row = rows_[row_];
  const record::Meta* const meta = this->meta();
  switch (index) {
    case sc_position:
      sqlite3_result_int64(result, static_cast<sqlite3_int64>(entry.position.value()));
      return {};
    case sc_timestamp:
      give_result(result, time_text(entry.timestamp));
      return {};
    case sc_actor:
      give_result(result, module_.context->log->actor_name(entry.actor));
      return {};
    case sc_object: {
      const OpenedItem& item = record_.items[row.item];
      if (item.erased) return {};
      KIMBERLITE_TRY(const auto change,
                     module_.context->log->schema_change(item.plaintext.controls[row.part]));
      if (change) give_result(result, changed_name(catalog(), *change));
      return {};
    }
    case sc_version:
      sqlite3_result_int64(result, entry.catalog_version);
      return {};
    case sc_ddl:
      if (meta != nullptr) give_text(result, meta->statement);
      return {};
    case sc_reason:
      if (meta != nullptr) give_text(result, meta->reason);
      return {};
    default:
      return {};
  }
}

// ---- SQLite's side --------------------------------------------------------------------------

int report(sqlite3_vtab* table, const Module& module, const Status& status) {
  if (status) return SQLITE_OK;
  if (!module.context->failure) module.context->failure = status.error();
  sqlite3_free(table->zErrMsg);
  table->zErrMsg = sqlite3_mprintf("the log could not be read");
  return SQLITE_ERROR;
}

LogCursor& cursor_of(sqlite3_vtab_cursor* cursor) { return *static_cast<LogCursor*>(cursor); }
const Module& module_of(sqlite3_vtab* table) { return static_cast<Table*>(table)->module; }

int connect(sqlite3* db, void* module, int /*count*/, const char* const* /*arguments*/,
            sqlite3_vtab** table, char** /*error*/) {
  const auto& of = *static_cast<const Module*>(module);
  const int rc = sqlite3_declare_vtab(db, of.table->declaration);
  if (rc != SQLITE_OK) return rc;
  sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  *table = new Table(of);
  return SQLITE_OK;
}

int disconnect(sqlite3_vtab* table) {
  delete static_cast<Table*>(table);
  return SQLITE_OK;
}

// The letter of a constraint, 0 if it does not help.
char letter_of(const LogTable& table, int column, unsigned char op) {
  const bool is = op == SQLITE_INDEX_CONSTRAINT_EQ;
  const bool from = op == SQLITE_INDEX_CONSTRAINT_GE || op == SQLITE_INDEX_CONSTRAINT_GT;
  const bool to = op == SQLITE_INDEX_CONSTRAINT_LE || op == SQLITE_INDEX_CONSTRAINT_LT;
  if (!is && !from && !to) return 0;
  if (column == ev_position) return is ? position_is : from ? position_from : position_to;
  if (table.kind != Kind::events) return 0;
  if (column == ev_stream) return is ? stream_is : '\0';
  if (column == ev_sequence) return is ? sequence_is : from ? sequence_from : sequence_to;
  return 0;
}

int best_index(sqlite3_vtab* table, sqlite3_index_info* info) {
  static_assert(int{ev_position} == int{sc_position});
  const LogTable& of = *module_of(table).table;
  std::string plan;
  bool one = false;
  bool stream = false;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& constraint = info->aConstraint[i];
    const char letter = letter_of(of, constraint.iColumn, constraint.op);
    if (letter == 0 || constraint.usable == 0) continue;
    plan += letter;
    info->aConstraintUsage[i].argvIndex = static_cast<int>(plan.size());
    one = one || letter == position_is;
    stream = stream || letter == stream_is;
  }
  // Rows come by position and, within one, by change: either way, both the same.
  bool ordered =
      info->nOrderBy >= 1 && info->nOrderBy <= 2 && info->aOrderBy[0].iColumn == ev_position;
  if (info->nOrderBy == 2) {
    ordered = ordered && of.kind == Kind::events && info->aOrderBy[1].iColumn == ev_change &&
              info->aOrderBy[1].desc == info->aOrderBy[0].desc;
  }
  info->orderByConsumed = ordered ? 1 : 0;
  info->idxNum = ordered && info->aOrderBy[0].desc != 0 ? 1 : 0;
  info->idxStr = sqlite3_mprintf("%s", plan.c_str());
  info->needToFreeIdxStr = 1;
  info->estimatedCost = one ? 10 : stream ? 1e4 : plan.empty() ? 1e8 : 1e6;
  info->estimatedRows = one ? 1 : stream ? 1000 : 1'000'000;
  return info->idxStr == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int open_cursor(sqlite3_vtab* table, sqlite3_vtab_cursor** cursor) {
  *cursor = new LogCursor(module_of(table));
  return SQLITE_OK;
}

int close_cursor(sqlite3_vtab_cursor* cursor) {
  delete &cursor_of(cursor);
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int descending, const char* plan, int count,
           sqlite3_value** values) {
  return report(cursor->pVtab, module_of(cursor->pVtab),
                cursor_of(cursor).filter(plan == nullptr ? "" : plan, descending != 0,
                                         {values, static_cast<std::size_t>(count)}));
}

int next(sqlite3_vtab_cursor* cursor) {
  return report(cursor->pVtab, module_of(cursor->pVtab), cursor_of(cursor).advance());
}

int at_end(sqlite3_vtab_cursor* cursor) { return cursor_of(cursor).at_end() ? 1 : 0; }

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* result, int index) {
  return report(cursor->pVtab, module_of(cursor->pVtab), cursor_of(cursor).column(result, index));
}

int rowid(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = cursor_of(cursor).rowid();
  return SQLITE_OK;
}

// No xCreate: the tables are there without being made, and no other can be.
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

Status register_log_tables(Connection& connection, Context& context,
                           const std::shared_ptr<const catalog::Catalog>& catalog) {
  for (const LogTable& table : log_tables) {
    auto* module = new Module{&table, &connection, &context, &catalog};
    const int rc =
        sqlite3_create_module_v2(connection.db(), table.name, &methods, module,
                                 [](void* owned) { delete static_cast<Module*>(owned); });
    if (rc != SQLITE_OK) return error_of(connection.db(), rc);
    // Connected now: SQLite would do it inside the first statement that names the table, where the
    // authoriser refuses the declaration.
    KIMBERLITE_CHECK(connection.execute(fmt::format("SELECT 1 FROM {} LIMIT 0", table.name)));
  }
  return {};
}

}  // namespace kimberlite::projection
