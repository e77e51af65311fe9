#include "capture.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "sql/types.hpp"

namespace kimberlite::projection {
namespace {

// Of one request, before what cancels out is left out: ten times what a command can hold.
constexpr std::uint64_t gathered_max = std::uint64_t{64} << 20U;

void truncate(Writer& writer, std::size_t size) {
  Buffer buffer = std::move(writer).take();
  buffer.resize(size);
  writer = Writer(std::move(buffer));
}

// Spread well enough that a sum over keys betrays a missing, a doubled or a wrong one.
std::uint64_t hash_of(Bytes bytes) {
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15ULL;
  std::uint64_t hash = odd ^ bytes.size();
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    hash = (std::rotl(hash, 23) ^ load_le<std::uint64_t>(bytes.data() + at)) * odd;
  }
  for (; at < bytes.size(); ++at) {
    hash = (std::rotl(hash, 23) ^ static_cast<std::uint64_t>(bytes[at])) * odd;
  }
  return hash ^ (hash >> 29U);
}

}  // namespace

void Capture::Tally::add(Bytes key) {
  sum += hash_of(key);
  ++count;
}

void Capture::attach(sqlite3* db) {
  db_ = db;
  sqlite3_preupdate_hook(db, &Capture::hook, this);
}

void Capture::set_tables(const catalog::Catalog& catalog) {
  KIMBERLITE_ASSERT(events_.empty());
  last_ = nullptr;
  layouts_.clear();
  histories_.clear();
  by_id_.clear();
  for (const catalog::Table* table : catalog.tables()) {
    const auto [at, fresh] = layouts_.emplace(table->name, layout_of(catalog, *table));
    KIMBERLITE_ASSERT(fresh);
    histories_.emplace(history_name(table->id), &at->second);
    by_id_.emplace(table->id, &at->second);
  }
}

void Capture::know_default(ObjectId table, ColumnId column, Value value) {
  defaults_[{table, column}] = std::move(value);
}

const Layout* Capture::layout(ObjectId table) const {
  const auto found = by_id_.find(table);
  return found == by_id_.end() ? nullptr : found->second;
}

void Capture::begin(Position position) {
  KIMBERLITE_ASSERT(events_.empty() && writer_.size() == 0);
  position_ = position.value();
}

void Capture::cut(const Mark& mark) {
  KIMBERLITE_ASSERT(mark.events <= events_.size() && mark.bytes <= writer_.size());
  events_.resize(mark.events);
  truncate(writer_, mark.bytes);
  superseded_ = {};
  kept_ = {};
  respell_.clear();
  untouched_.clear();
  raised_.clear();
  raise_.clear();
  refused_.reset();
}

Buffer Capture::take() {
  events_.clear();
  return std::exchange(writer_, Writer{}).take();
}

Bytes Capture::key_of(const Event& event) const {
  return Bytes{writer_.buffer()}.subspan(event.key_at, event.image_at - event.key_at);
}

Bytes Capture::image_of(const Event& event) const {
  return Bytes{writer_.buffer()}.subspan(event.image_at, event.end - event.image_at);
}

// ---- Events ---------------------------------------------------------------------------------

void Capture::hook(void* self, sqlite3* /*db*/, int operation, const char* /*database*/,
                   const char* table, sqlite3_int64 /*old_rowid*/, sqlite3_int64 /*new_rowid*/) {
  auto& capture = *static_cast<Capture*>(self);
  if (!capture.suspended_) capture.on_event(operation, table);
}

const Layout* Capture::find(const char* table) {
  if (last_ != nullptr && last_->name == table) return last_;
  const auto found = layouts_.find(std::string_view{table});
  if (found == layouts_.end()) return nullptr;
  last_ = &found->second;
  return last_;
}

void Capture::on_event(int operation, const char* table) {
  if (refused_) return;  // the statement will be undone
  operation_ = operation;
  if (table[0] == '_' && table[1] == '_') {
    const auto history = histories_.find(std::string_view{table});
    if (history != histories_.end() && operation == SQLITE_INSERT) on_history(*history->second);
    return;
  }
  const Layout* layout = find(table);
  if (layout == nullptr) return;
  if (operation == SQLITE_INSERT) {
    on_insert(*layout);
  } else if (operation == SQLITE_DELETE) {
    on_remove(*layout);
  } else {
    on_update(*layout);
  }
  const std::uint64_t gathered = writer_.size() + events_.size() * sizeof(Event);
  if (refused_ || gathered <= gathered_max) return;
  refused_ = Error{Code::limit_command, "the changes of one request take more than {} MiB",
                   gathered_max >> 20U}
                 .why("a command holds {} MiB", command_size_max >> 20U)
                 .next("split the request");
  sqlite3_interrupt(db_);
}

sqlite3_value* Capture::value(Side side, int hook_index) {
  sqlite3_value* value = nullptr;
  const int rc = side == Side::before ? sqlite3_preupdate_old(db_, hook_index, &value)
                                      : sqlite3_preupdate_new(db_, hook_index, &value);
  if (rc != SQLITE_OK || value == nullptr) {
    refused_ = error_of(nullptr, rc == SQLITE_OK ? SQLITE_INTERNAL : rc);
  }
  return value;
}

// SQLite 3.40.1 looks columns of a WITHOUT ROWID table up by their declared place, but for the new
// values of an update.
int Capture::index_of(const Layout& layout, const ColumnLayout& column, Side side) const {
  const bool stored = !layout.hidden_key || (operation_ == SQLITE_UPDATE && side == Side::after);
  return stored ? column.hook_index : column.declared_index;
}

std::uint64_t Capture::from_of(Side side) {
  sqlite3_value* from = value(side, hook_index_from);
  return from == nullptr ? 0 : static_cast<std::uint64_t>(sqlite3_value_int64(from));
}

bool Capture::put_value(Writer& to, const ColumnLayout& column, sqlite3_value* raw) {
  if (raw == nullptr) {
    encode(to, ValueView{Null{}});
    return false;
  }
  ValueView shown = view_of(raw);
  if (const auto* real = std::get_if<double>(&shown); real != nullptr && column.integer) {
    // The hook took the column for another one, behind a generated column: no STRICT integer
    // column holds a double.
    constexpr double beyond = 9223372036854775808.0;
    shown = *real >= beyond ? std::numeric_limits<std::int64_t>::max()
                            : static_cast<std::int64_t>(*real);
  }
  if (column.real) {
    if (const auto* integer = std::get_if<std::int64_t>(&shown)) {
      shown = static_cast<double>(*integer);
    }
    if (const auto* real = std::get_if<double>(&shown); real != nullptr && std::isnan(*real)) {
      refused_ = Error{Code::type_range, "column {} cannot hold NaN", column.name};
    }
  } else if (const auto* text = std::get_if<std::string_view>(&shown)) {
    if (!is_utf8_text(*text)) {
      refused_ = Error{Code::type_encoding, "a value of column {} is not UTF-8 text without NUL",
                       column.name};
    } else if (column.spelled && !sql::is_canonical(shown, column.type)) {
      const Result<Value> canonical = sql::canonicalise(shown, column.type);
      if (!canonical) {
        refused_ = canonical.error();
      } else {
        encode(to, view(*canonical));
        return true;
      }
    }
  }
  encode(to, shown);
  return false;
}

void Capture::put_key(Writer& to, const Layout& layout, Side side) {
  if (layout.hidden_key) {
    to.u16(1);
    sqlite3_value* row = value(side, hook_index_row);
    encode(to, row == nullptr ? ValueView{Null{}} : view_of(row));
    return;
  }
  to.u16(static_cast<std::uint16_t>(layout.key.size()));
  for (const std::size_t index : layout.key) {
    const ColumnLayout& column = layout.image[index];
    put_value(to, column, value(side, index_of(layout, column, side)));
  }
}

bool Capture::put_image(Writer& to, const Layout& layout, Side side) {
  to.u16(static_cast<std::uint16_t>(layout.image.size()));
  bool respelled = false;
  for (const ColumnLayout& column : layout.image) {
    respelled = put_value(to, column, value(side, index_of(layout, column, side))) || respelled;
  }
  return respelled;
}

void Capture::put_old_image(Writer& to, const Layout& layout, std::uint64_t from) {
  to.u16(static_cast<std::uint16_t>(layout.image.size()));
  for (const ColumnLayout& column : layout.image) {
    sqlite3_value* shown = value(Side::before, index_of(layout, column, Side::before));
    // Whatever was written since the column was added is shown as it is.
    const bool unwritten = from <= column.added_at.value() && shown != nullptr &&
                           sqlite3_value_type(shown) == SQLITE_NULL;
    const auto known = unwritten ? defaults_.find({layout.table, column.id}) : defaults_.end();
    if (known == defaults_.end()) {
      put_value(to, column, shown);
    } else {
      encode(to, view(known->second));
    }
  }
}

void Capture::on_insert(const Layout& layout) {
  Event event{&layout, record::Operation::insert, 0, writer_.size(), 0, 0};
  put_key(writer_, layout, Side::after);
  event.image_at = writer_.size();
  if (put_image(writer_, layout, Side::after)) respell_.push_back(events_.size());
  event.end = writer_.size();
  events_.push_back(event);
}

void Capture::on_remove(const Layout& layout) {
  Event event{&layout, record::Operation::remove, from_of(Side::before), writer_.size(), 0, 0};
  put_key(writer_, layout, Side::before);
  event.image_at = event.end = writer_.size();
  if (event.previous < position_) superseded_.add(key_of(event));
  events_.push_back(event);
}

void Capture::on_update(const Layout& layout) {
  const std::uint64_t old_from = from_of(Side::before);
  const std::uint64_t new_from = from_of(Side::after);
  Event event{&layout, record::Operation::update, old_from, writer_.size(), 0, 0};
  put_key(writer_, layout, Side::before);
  event.image_at = writer_.size();
  const bool respelled = put_image(writer_, layout, Side::after);
  event.end = writer_.size();

  truncate(scratch_, 0);
  put_old_image(scratch_, layout, old_from);
  if (equal(scratch_.buffer(), image_of(event))) {
    unchanged(event, new_from, respelled);
    truncate(writer_, event.key_at);
    return;
  }
  if (old_from < position_) superseded_.add(key_of(event));
  truncate(scratch_, 0);
  put_key(scratch_, layout, Side::after);
  if (new_from != position_) raised_.push_back({&layout, scratch_.buffer()});
  if (equal(scratch_.buffer(), key_of(event))) {
    if (respelled) respell_.push_back(events_.size());
    events_.push_back(event);
    return;
  }
  // The row goes from one key to another: a removal, and an insertion behind it.
  truncate(writer_, event.image_at);
  event.operation = record::Operation::remove;
  event.end = event.image_at;
  events_.push_back(event);
  on_insert(layout);
  if (layout.identity) {
    const ColumnLayout& key = layout.image[layout.key[0]];
    sqlite3_value* number = value(Side::after, key.hook_index);
    raise_.push_back({&layout, number == nullptr ? 0 : sqlite3_value_int64(number)});
  }
}

// Either the second half of a cascade, which raises `__from` of a row whose change was captured
// before it, or an update to what was there already.
void Capture::unchanged(const Event& event, std::uint64_t new_from, bool respelled) {
  const Bytes key = key_of(event);
  for (std::size_t i = raised_.size(); i > 0; --i) {
    const Raised& raised = raised_[i - 1];
    if (raised.layout == event.layout && equal(raised.key, key)) {
      raised_.erase(raised_.begin() + static_cast<std::ptrdiff_t>(i - 1));
      return;
    }
  }
  const bool versioned = event.previous < position_ && new_from == position_;
  if (versioned) superseded_.add(key);
  if (!versioned && !respelled) return;
  Untouched row{event.layout, event.previous, Buffer(key.begin(), key.end()), {}, events_.size()};
  if (respelled) {
    const Bytes image = image_of(event);
    row.image.assign(image.begin(), image.end());
  }
  untouched_.push_back(std::move(row));
}

void Capture::on_history(const Layout& layout) {
  truncate(scratch_, 0);
  scratch_.u16(static_cast<std::uint16_t>(layout.history_key.size()));
  for (std::size_t i = 0; i < layout.history_key.size(); ++i) {
    sqlite3_value* part = value(Side::after, layout.history_key[i]);
    if (layout.hidden_key) {
      encode(scratch_, part == nullptr ? ValueView{Null{}} : view_of(part));
    } else {
      put_value(scratch_, layout.image[layout.key[i]], part);
    }
  }
  kept_.add(scratch_.buffer());
}

// ---- The end of a statement -----------------------------------------------------------------

namespace {

// A table and a key, as a map's key.
std::string row_name_of(const Layout* layout, Bytes key) {
  std::string name = std::to_string(layout->table.value());
  name += '/';
  return name += text_of(key);
}

}  // namespace

Status Capture::settle(const Mark& begun) {
  if (refused_) return *refused_;
  if (!raised_.empty() || superseded_ != kept_) {
    return Error{Code::internal_bug, "the history does not match the rows that were superseded"};
  }
  superseded_ = {};
  kept_ = {};
  if (!untouched_.empty()) drop_touched_again();
  if (!respell_.empty()) keep_last_spelling(begun);
  return {};
}

// An untouched row that the same statement changed for good afterwards keeps its history; the
// change replaced the version before the statement, not the one the first update seemed to make.
void Capture::drop_touched_again() {
  std::unordered_map<std::string, std::vector<std::size_t>> rows;
  for (std::size_t i = 0; i < untouched_.size(); ++i) {
    rows[row_name_of(untouched_[i].layout, untouched_[i].key)].push_back(i);
  }
  std::vector<bool> again(untouched_.size(), false);
  for (std::size_t at = untouched_.front().after; at < events_.size(); ++at) {
    Event& event = events_[at];
    const auto found = rows.find(row_name_of(event.layout, key_of(event)));
    if (found == rows.end()) continue;
    for (const std::size_t i : found->second) {
      if (untouched_[i].after > at) continue;
      if (event.previous == position_ && untouched_[i].from < position_ && !again[i]) {
        event.previous = untouched_[i].from;
      }
      again[i] = true;
    }
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < untouched_.size(); ++i) {
    if (!again[i]) {
      if (kept != i) untouched_[kept] = std::move(untouched_[i]);
      ++kept;
    }
  }
  untouched_.resize(kept);
}

// Only a row's last image in the statement may be written over it.
void Capture::keep_last_spelling(const Mark& begun) {
  std::unordered_map<std::string, std::size_t> last;
  for (std::size_t at = begun.events; at < events_.size(); ++at) {
    last[row_name_of(events_[at].layout, key_of(events_[at]))] = at;
  }
  std::erase_if(respell_, [&](std::size_t at) {
    return last[row_name_of(events_[at].layout, key_of(events_[at]))] != at;
  });
}

}  // namespace kimberlite::projection
