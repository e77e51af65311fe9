#include "versions.hpp"

#include <fmt/format.h>

#include "record/items.hpp"

namespace kimberlite::projection {

Result<Buffer> Versions::find(const Layout& layout, Bytes key, std::uint64_t from) {
  KIMBERLITE_TRY(const record::ValueList list, record::decode_values(key));
  list.values(values_);
  std::string names;
  for (const ColumnLayout& column : layout.image) {
    names += fmt::format("{}{}", names.empty() ? "" : ",", quoted(history_column(column.id)));
  }
  const std::string sql = fmt::format("SELECT {} FROM main.{} WHERE {} AND __from = ?{}", names,
                                      quoted(history_name(layout.table)),
                                      key_predicate(layout, 1, true), values_.size() + 1);
  std::shared_ptr<Prepared> statement = statements_.find(sql);
  if (statement == nullptr) {
    KIMBERLITE_TRY(Prepared prepared, connection_.prepare(sql, true));
    statement = std::make_shared<Prepared>(std::move(prepared));
    statements_.add(sql, statement);
  }
  const Running running{*statement};
  int parameter = 1;
  for (const ValueView& value : values_) statement->bind(parameter++, value);
  statement->bind(parameter, Position{from});
  KIMBERLITE_TRY(const bool found, statement->step());
  if (!found) return Buffer{};
  values_.clear();
  for (int i = 0; i < statement->columns(); ++i) values_.push_back(statement->column(i));
  Writer image;
  record::encode_values(image, std::span<const ValueView>{values_});
  return std::move(image).take();
}

}  // namespace kimberlite::projection
