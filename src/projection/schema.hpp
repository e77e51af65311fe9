// The SQLite schema of a tenant's tables: DDL text made from the catalog, never the user's.
//
// Physical layout, shared with the rewriter (sql/rewrite.hpp):
//   "<name>"      the current rows: `__from` first, `__row` second where there is no primary key,
//                 then the user's columns by ascending id; STRICT
//   "__h_<id>"    the versions superseded, valid in [__from, __to): every column the table ever
//                 had as "c<column id>", unconstrained, WITHOUT ROWID
//   "__i_<id>" "__hi_<id>"  an index on both; "__u_<id>" "__d_<id>" "__c_<id>" the triggers
// Thread rule: pure functions.
#pragma once

#include <string>
#include <vector>

#include "catalog/catalog.hpp"
#include "sqlite.hpp"

namespace kimberlite::projection {

inline constexpr int hook_index_from = 0;  // of `__from`, as the preupdate hook counts columns
inline constexpr int hook_index_row = 1;   // of `__row`, where there is one

// One column of an image.
struct ColumnLayout {
  ColumnId id;
  std::string name;
  catalog::Type type;
  int hook_index = 0;      // as the preupdate hook counts columns: without generated ones
  int declared_index = 0;  // with them
  bool spelled = false;    // text with one canonical spelling among several accepted
  bool real = false;       // the hook shows an integer 1 where the column holds 1.0
  bool integer = false;
  // Added to rows that were there, by the change at this position; 0: as old as the table. The hook
  // shows NULL for the default of a row that was not written since.
  Position added_at;
};

// How the rows of one table are captured and applied.
struct Layout {
  ObjectId table;
  std::string name;
  bool hidden_key = false;          // the key is `__row`
  bool identity = false;            // AUTOINCREMENT
  bool cascades = false;            // a foreign key may change its rows
  bool any_spelled = false;         // a column is `spelled`
  std::vector<ColumnLayout> image;  // all but generated ones, by ascending id
  std::vector<std::size_t> key;     // indices into `image`; empty if `hidden_key`
  std::vector<int> history_key;     // hook indices of the key in the history table
  [[nodiscard]] bool is_key(std::size_t image_index) const;
  [[nodiscard]] bool only_key() const { return key.size() == image.size(); }
};
[[nodiscard]] Layout layout_of(const catalog::Catalog& catalog, const catalog::Table& table);

[[nodiscard]] std::string history_name(ObjectId table);     // "__h_7"
[[nodiscard]] std::string history_column(ColumnId column);  // "c3"
[[nodiscard]] std::string index_name(ObjectId index);

// The condition that names a row by its key, with parameters from `first` on, in key order.
[[nodiscard]] std::string key_predicate(const Layout& layout, int first, bool history);

// What a failed CHECK means, from SQLite's message: of a column's type, or of a table's nameless
// one, which are named by ids so that a rename never touches them. Nothing if it is another.
[[nodiscard]] std::optional<Error> type_error(const catalog::Catalog& catalog,
                                              std::string_view message);

// Each a list of statements, to be executed in order.
using Script = std::vector<std::string>;
[[nodiscard]] Result<Script> create_table(const catalog::Catalog& catalog,
                                          const catalog::Table& table);
// The history stays.
[[nodiscard]] Script drop_table(const catalog::Table& table);
[[nodiscard]] Script create_triggers(const catalog::Table& table);
[[nodiscard]] Script drop_triggers(ObjectId table);
[[nodiscard]] Script create_index(const catalog::Table& table, const catalog::Index& index);
[[nodiscard]] Script drop_index(ObjectId index);
// `literal`: the column's default in rows that are there already; empty: NULL.
[[nodiscard]] Result<Script> add_column(const catalog::Catalog& catalog,
                                        const catalog::Table& table,
                                        const catalog::AddColumn& added,
                                        const std::string& literal);
[[nodiscard]] Script rename_table(const catalog::Table& before, const catalog::Table& after);
[[nodiscard]] Script rename_column(const catalog::Table& before, const catalog::Table& after,
                                   ColumnId column);
// All current rows are closed into history first, at kmb_position(), and live on from there.
[[nodiscard]] Script drop_column(const catalog::Table& before, const catalog::Table& after,
                                 ColumnId column);

// The projection's own tables.
[[nodiscard]] Script system_tables();

}  // namespace kimberlite::projection
