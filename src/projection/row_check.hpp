// Whether the rows a VERIFY SELECT reads are what the log says they are.
//
// A row is held against the image in the record that wrote it, by column id: columns the image has
// under the entry's catalog version as they stand there, those added later with what the change of
// the schema gave them. Values are compared by type and bytes. It proves that the row was recorded
// so, neither that it is the latest nor that none is missing.
// Thread rule: that of the connection. Errors: `integrity.projection` names table, position, change
// and column, never a value; those of the log source.
#pragma once

#include "catalog/catalog.hpp"
#include "origins.hpp"
#include "sql/rewrite.hpp"

namespace kimberlite::projection {

class RowCheck {
 public:
  RowCheck(Connection& connection, Context& context)
      : connection_(connection), origins_(connection, context) {}

  // `read` are the values the door asked for; the position of the record that says them, nothing if
  // there is no row.
  [[nodiscard]] Result<std::optional<Position>> check(
      const std::shared_ptr<const catalog::Catalog>& catalog, const sql::VerifiedTable& table,
      std::span<const ValueView> read);
  // The statement has ended.
  void forget() { origins_.forget(); }

 private:
  // How images made under one catalog version are read.
  using Shape = std::pair<ObjectId, std::uint32_t>;
  [[nodiscard]] Result<const Layout*> layout_in(ObjectId table, std::uint32_t version);
  [[nodiscard]] Result<const Value*> added(ObjectId table, ColumnId column);
  [[nodiscard]] Status compare(const sql::VerifiedTable& table, const Layout& now,
                               const Origins::Change& origin, std::span<const ValueView> values);

  Connection& connection_;
  Origins origins_;
  std::shared_ptr<const catalog::Catalog> catalog_;  // what `layouts_` and `added_` are made from
  std::map<Shape, Layout> layouts_;
  std::map<std::pair<ObjectId, ColumnId>, Value> added_;
  std::vector<ValueView> key_;
  std::vector<ValueView> image_;
};

// The same type and the same bytes: 0.0 is not -0.0, and 1 is not 1.0.
[[nodiscard]] bool same_value(const ValueView& a, const ValueView& b);

}  // namespace kimberlite::projection
