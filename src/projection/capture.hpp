// Capture: what a statement did to the rows, taken from SQLite's preupdate hook.
//
// (C1) The hook is set before any statement is prepared and never unset; `suspended` switches what
//      it does, not whether it is called.                              [kept: attach]
// (C2) Events are those of catalog tables, at any depth; history is counted, all else ignored.
//                                                                      [kept: on_event]
// (C3) Aborted work never stays: `cut` goes back to a `Mark` taken before it.
// (C4) Every superseded version is in history once: the keys and count of history rows written
//      equal those of the rows superseded.                             [held: settle]
// (C5) Images and keys are canonical, whatever the statement spelled; rows that are spelled
//      otherwise are named by `respell`.                               [kept: put_values]
// (C6) An update that leaves a row as it was is no change: it is named by `restore`, so that the
//      row's `__from` and its history are put back.                    [kept: on_update, settle]
//
// Source: sql.md, Capture. Thread rule: that of the connection.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "record/items.hpp"
#include "schema.hpp"

namespace kimberlite::projection {

class Capture {
 public:
  // One event; `key` and `image` are value lists (record/items.hpp) in `bytes()`.
  struct Event {
    const Layout* layout = nullptr;
    record::Operation operation = record::Operation::insert;
    std::uint64_t previous = 0;
    std::size_t key_at = 0;
    std::size_t image_at = 0;
    std::size_t end = 0;
  };
  struct Mark {
    std::size_t events = 0;
    std::size_t bytes = 0;
  };
  // A row an update left as it was.
  struct Untouched {
    const Layout* layout = nullptr;
    std::uint64_t from = 0;  // of the version that stays; the request's position: only respell
    Buffer key;
    Buffer image;           // empty unless the row is now spelled otherwise
    std::size_t after = 0;  // events before it
  };

  void attach(sqlite3* db);
  // The tables that stand; forgets all layouts handed out before.
  void set_tables(const catalog::Catalog& catalog);
  // What rows that were there hold in a column added later; before the `set_tables` that brings it.
  void know_default(ObjectId table, ColumnId column, Value value);
  [[nodiscard]] const Layout* layout(ObjectId table) const;

  void begin(Position position);
  void suspend(bool suspended) { suspended_ = suspended; }
  [[nodiscard]] Mark mark() const { return {events_.size(), writer_.size()}; }
  // Forgets all since `mark`, and what the statement left open.
  void cut(const Mark& mark);

  // Why the statement under way cannot succeed, if that is known before its end: it was interrupted
  // if it gathers more than any command can hold.
  [[nodiscard]] const std::optional<Error>& refused() const { return refused_; }
  // A statement has succeeded: fails with `internal.bug` or `type.*` if it broke a rule above; then
  // it must be undone. Fills `respell` (events whose row is to be written canonically) and
  // `restore`.
  [[nodiscard]] Status settle(const Mark& begun);
  [[nodiscard]] const std::vector<std::size_t>& respell() const { return respell_; }
  [[nodiscard]] const std::vector<Untouched>& restore() const { return untouched_; }
  // Identity values given by hand through an update of the key: AUTOINCREMENT has not seen them.
  struct Raise {
    const Layout* layout = nullptr;
    std::int64_t value = 0;
  };
  [[nodiscard]] const std::vector<Raise>& raise() const { return raise_; }
  // What `settle` asked for is done.
  void settled() { respell_.clear(), untouched_.clear(), raise_.clear(); }

  [[nodiscard]] const std::vector<Event>& events() const { return events_; }
  [[nodiscard]] Bytes key_of(const Event& event) const;
  [[nodiscard]] Bytes image_of(const Event& event) const;
  // The request's bytes, for keeping; the capture is empty afterwards.
  [[nodiscard]] Buffer take();

 private:
  // Sum of hashes of keys, and how many: equal multisets have equal sums.
  struct Tally {
    std::uint64_t sum = 0;
    std::uint64_t count = 0;
    void add(Bytes key);
    friend bool operator==(const Tally&, const Tally&) = default;
  };
  struct Raised {  // a cascade's row, awaiting its `__from`
    const Layout* layout = nullptr;
    Buffer key;
  };
  enum class Side : std::uint8_t { before, after };

  static void hook(void* self, sqlite3* db, int operation, const char* database, const char* table,
                   sqlite3_int64 old_rowid, sqlite3_int64 new_rowid);
  void on_event(int operation, const char* table);
  void on_insert(const Layout& layout);
  void on_remove(const Layout& layout);
  void on_update(const Layout& layout);
  void on_history(const Layout& layout);
  const Layout* find(const char* table);
  sqlite3_value* value(Side side, int hook_index);
  int index_of(const Layout& layout, const ColumnLayout& column, Side side) const;
  std::uint64_t from_of(Side side);
  void put_key(Writer& to, const Layout& layout, Side side);
  // True if a value was spelled otherwise than canonically.
  bool put_image(Writer& to, const Layout& layout, Side side);
  void put_old_image(Writer& to, const Layout& layout, std::uint64_t from);
  bool put_value(Writer& to, const ColumnLayout& column, sqlite3_value* value);
  void unchanged(const Event& event, std::uint64_t new_from, bool respelled);
  void drop_touched_again();
  void keep_last_spelling(const Mark& begun);

  sqlite3* db_ = nullptr;
  // By name, as SQLite spells it; a history table's name leads to its table's layout.
  std::map<std::string, Layout, std::less<>> layouts_;
  std::map<std::string, const Layout*, std::less<>> histories_;
  std::map<std::pair<ObjectId, ColumnId>, Value> defaults_;
  std::map<ObjectId, const Layout*> by_id_;
  const Layout* last_ = nullptr;  // of the last event: most come in runs
  std::uint64_t position_ = 0;
  int operation_ = 0;  // SQLite's, of the event at hand
  bool suspended_ = true;

  std::vector<Event> events_;
  Writer writer_;
  Writer scratch_;
  Tally superseded_;
  Tally kept_;
  std::vector<std::size_t> respell_;
  std::vector<Untouched> untouched_;
  std::vector<Raised> raised_;
  std::vector<Raise> raise_;
  std::optional<Error> refused_;
};

}  // namespace kimberlite::projection
