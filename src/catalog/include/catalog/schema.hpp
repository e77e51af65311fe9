// Schema objects of one tenant as values: what a table is, not where its rows are.
//
// Ids are dense per tenant, given by the executor, never used twice; names may change, ids do not.
// An object is valid in [from, to) of positions; `to` is `still_valid` while it stands. Expressions
// (DEFAULT, CHECK, generated columns) are kept as SQL text in which a column is written "@<column
// id>" (a quoted identifier), so that a rename never touches them. Thread rule: values.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace kimberlite::catalog {

inline constexpr Position still_valid{std::numeric_limits<std::uint64_t>::max()};

enum class TypeKind : std::uint8_t {
  smallint = 1,
  integer,
  bigint,
  real,
  double_precision,
  decimal,
  text,
  varchar,
  character,
  boolean,
  date,
  time,
  timestamp,
  interval,
  uuid,
  json,
  bytes,
};

// `precision` is p of DECIMAL(p,s) and n of VARCHAR(n), CHAR(n); `scale` is s. Zero where it has no
// meaning.
struct Type {
  TypeKind kind = TypeKind::text;
  std::uint16_t precision = 0;
  std::uint16_t scale = 0;
  friend bool operator==(const Type&, const Type&) = default;
};

enum class DataClass : std::uint8_t { none, phi, pii, pci, financial, confidential, public_data };
// "phi", …, "public"; empty for none.
[[nodiscard]] constexpr std::string_view class_name(DataClass data_class) {
  constexpr std::array<std::string_view, 7> names{"",          "phi",          "pii",   "pci",
                                                  "financial", "confidential", "public"};
  return names[static_cast<std::size_t>(data_class)];
}

struct Column {
  ColumnId id;
  std::string name;
  Type type;
  bool not_null = false;
  bool identity = false;                     // GENERATED … AS IDENTITY, SERIAL
  std::optional<std::string> default_value;  // an expression
  std::optional<std::string> generated;      // an expression; VIRTUAL, never in an image
  friend bool operator==(const Column&, const Column&) = default;
};

struct Check {
  std::string name;  // may be empty
  std::string expression;
  friend bool operator==(const Check&, const Check&) = default;
};

struct Unique {
  std::string name;  // may be empty
  std::vector<ColumnId> columns;
  friend bool operator==(const Unique&, const Unique&) = default;
};

enum class ForeignKeyAction : std::uint8_t { no_action, restrict, cascade, set_null, set_default };

struct ForeignKey {
  std::string name;  // may be empty
  std::vector<ColumnId> columns;
  ObjectId parent;
  std::vector<ColumnId> parent_columns;
  ForeignKeyAction on_delete = ForeignKeyAction::no_action;
  ForeignKeyAction on_update = ForeignKeyAction::no_action;
  bool deferred = false;
  friend bool operator==(const ForeignKey&, const ForeignKey&) = default;
};

// WITH (subject = patient(id)): the person a row is about; `none` is said, not left out.
struct Subject {
  bool none = false;
  std::string type;
  ColumnId column;
  friend bool operator==(const Subject&, const Subject&) = default;
};

// The `primary_key` is empty for a table without one, whose key is the hidden `__row`.
struct Table {
  ObjectId id;
  std::string name;
  std::vector<Column> columns;  // live ones, in the order of their creation (ids ascend)
  std::vector<ColumnId> primary_key;
  std::vector<Unique> uniques;
  std::vector<Check> checks;
  std::vector<ForeignKey> foreign_keys;
  DataClass data_class = DataClass::none;
  std::optional<Subject> subject;
  std::string retention;  // as written, '7 years'; empty: none
  friend bool operator==(const Table&, const Table&) = default;
};

struct IndexColumn {
  ColumnId column;
  bool descending = false;
  friend bool operator==(const IndexColumn&, const IndexColumn&) = default;
};

struct Index {
  ObjectId id;
  std::string name;
  ObjectId table;
  bool unique = false;
  std::vector<IndexColumn> columns;
  friend bool operator==(const Index&, const Index&) = default;
};

// `select` is the text of the query; `uses` the tables and views it names, which may not be renamed
// or dropped while the view stands.
struct View {
  ObjectId id;
  std::string name;
  std::vector<std::string> column_names;  // may be empty: those of the query
  std::string select;
  std::vector<ObjectId> uses;
  friend bool operator==(const View&, const View&) = default;
};

}  // namespace kimberlite::catalog
