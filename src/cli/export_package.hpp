// A package: exported tables in a directory, with what proves each row to somebody who has the
// log's public key and nothing else (docs/proofs.md, Package).
//
//   head              the signed head that all receipts lead to
//   as-of.receipt     the record at the position: which version the schema had there
//   schema.jsonl      receipts of every change of the schema up to there, opened
//   NAME.jsonl        a table's rows, as the plain export writes them, in the order of the key
//   NAME.proofs       a line a row: position, item, change
//   receipts.jsonl    receipts of the items that hold those changes, opened
//   manifest.json     what all that is, and its hashes; written last
//
// Memory: a set of the items disclosed, and the changes of some records; never rows.
// Thread rule: that of the session.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app.hpp"

namespace kimberlite::cli {

// A row as a line of JSON lines, of its first `columns.size()` values.
void append_json_row(std::string& to, std::span<const engine::ColumnInfo> columns,
                     std::span<const ValueView> row);
// What a table's rows are ordered by: its key; without one, as they came.
[[nodiscard]] std::string order_of(const catalog::Table& table);

// Writes `tables` as of `at` to `directory`, which must be empty or not there (`usage.not_empty`).
// False: it was stopped, and there is no manifest.
// Errors: those of VERIFY SELECT and of receipts; `sql.unsupported` for a row that is older than
// one of its columns, if what that has for it is not plain from the schema.
[[nodiscard]] Result<bool> write_package(App& app, engine::Session& session, Position at,
                                         std::span<const catalog::Table* const> tables,
                                         const std::string& directory);

}  // namespace kimberlite::cli
