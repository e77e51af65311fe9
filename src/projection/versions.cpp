#include "versions.hpp"

#include <fmt/format.h>

#include "record/items.hpp"

namespace kimberlite::projection {
namespace {

std::size_t keys_of(const Layout& layout) { return layout.hidden_key ? 1 : layout.key.size(); }

}  // namespace

Result<std::shared_ptr<Prepared>> Versions::run(const std::string& sql, Bytes key,
                                                std::uint64_t position) {
  KIMBERLITE_TRY(const record::ValueList list, record::decode_values(key));
  list.values(values_);
  std::shared_ptr<Prepared> statement = statements_.find(sql);
  if (statement == nullptr) {
    KIMBERLITE_TRY(Prepared prepared, connection_.prepare(sql, true));
    statement = std::make_shared<Prepared>(std::move(prepared));
    statements_.add(sql, statement);
  }
  int parameter = 1;
  for (const ValueView& value : values_) statement->bind(parameter++, value);
  statement->bind(parameter, Position{position});
  return statement;
}

Result<Buffer> Versions::find(const Layout& layout, Bytes key, std::uint64_t from) {
  std::string names;
  for (const ColumnLayout& column : layout.image) {
    names += fmt::format("{}{}", names.empty() ? "" : ",", quoted(history_column(column.id)));
  }
  const std::string sql = fmt::format("SELECT {} FROM main.{} WHERE {} AND __from = ?{}", names,
                                      quoted(history_name(layout.table)),
                                      key_predicate(layout, 1, true), keys_of(layout) + 1);
  KIMBERLITE_TRY(const std::shared_ptr<Prepared> statement, run(sql, key, from));
  const Running running{*statement};
  KIMBERLITE_TRY(const bool found, statement->step());
  if (!found) return Buffer{};
  values_.clear();
  for (int i = 0; i < statement->columns(); ++i) values_.push_back(statement->column(i));
  Writer image;
  record::encode_values(image, std::span<const ValueView>{values_});
  return std::move(image).take();
}

Result<std::optional<Position>> Versions::began(const Layout& layout, Bytes key, std::uint64_t to) {
  const std::string sql = fmt::format("SELECT __from FROM main.{} WHERE {} AND __to = ?{}",
                                      quoted(history_name(layout.table)),
                                      key_predicate(layout, 1, true), keys_of(layout) + 1);
  KIMBERLITE_TRY(const std::shared_ptr<Prepared> statement, run(sql, key, to));
  const Running running{*statement};
  KIMBERLITE_TRY(const bool found, statement->step());
  if (!found || statement->integer(0) < 0) return std::optional<Position>{};
  return std::optional{Position{static_cast<std::uint64_t>(statement->integer(0))}};
}

}  // namespace kimberlite::projection
