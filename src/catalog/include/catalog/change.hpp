// A change of the schema as a value: what a DDL record's control item holds.
//
// The executor has chosen all ids and resolved all names; applying one is total and never guesses.
#pragma once

#include <variant>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "catalog/schema.hpp"

namespace kimberlite::catalog {

struct CreateTable {
  Table table;
  friend bool operator==(const CreateTable&, const CreateTable&) = default;
};
struct DropTable {
  ObjectId table;
  friend bool operator==(const DropTable&, const DropTable&) = default;
};
struct RenameTable {
  ObjectId table;
  std::string name;
  friend bool operator==(const RenameTable&, const RenameTable&) = default;
};
struct AddColumn {
  ObjectId table;
  Column column;
  std::vector<Check> checks;  // those of the new column
  std::vector<ForeignKey> foreign_keys;
  friend bool operator==(const AddColumn&, const AddColumn&) = default;
};
struct DropColumn {
  ObjectId table;
  ColumnId column;
  friend bool operator==(const DropColumn&, const DropColumn&) = default;
};
struct RenameColumn {
  ObjectId table;
  ColumnId column;
  std::string name;
  friend bool operator==(const RenameColumn&, const RenameColumn&) = default;
};
struct CreateIndex {
  Index index;
  friend bool operator==(const CreateIndex&, const CreateIndex&) = default;
};
struct DropIndex {
  ObjectId index;
  friend bool operator==(const DropIndex&, const DropIndex&) = default;
};
struct CreateView {
  View view;
  friend bool operator==(const CreateView&, const CreateView&) = default;
};
struct DropView {
  ObjectId view;
  friend bool operator==(const DropView&, const DropView&) = default;
};

using Change = std::variant<CreateTable, DropTable, RenameTable, AddColumn, DropColumn,
                            RenameColumn, CreateIndex, DropIndex, CreateView, DropView>;

// Canonical bytes; `decode_change` accepts exactly what `encode_change` gives
// (`integrity.encoding`).
[[nodiscard]] Buffer encode_change(const Change& change);
[[nodiscard]] Result<Change> decode_change(Bytes bytes);

// What the change does, for messages and `__schema_history`.
[[nodiscard]] std::string_view verb(const Change& change);  // "CREATE TABLE", …

}  // namespace kimberlite::catalog
