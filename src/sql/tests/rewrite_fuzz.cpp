// Any bytes: the door answers or refuses, and what it answers tokenizes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "sql/rewrite.hpp"
#include "sql/statement.hpp"

namespace {

using namespace kimberlite;

const catalog::Catalog& schema() {
  static const catalog::Catalog all = [] {
    catalog::Catalog catalog;
    catalog::Table table;
    table.id = ObjectId{1};
    table.name = "t";
    const auto add = [&table](const char* name, catalog::TypeKind kind, std::uint16_t precision = 0,
                              std::uint16_t scale = 0) {
      catalog::Column column;
      column.id = ColumnId{static_cast<std::uint32_t>(table.columns.size() + 1)};
      column.name = name;
      column.type = {kind, precision, scale};
      table.columns.push_back(column);
    };
    add("id", catalog::TypeKind::bigint);
    add("amount", catalog::TypeKind::decimal, 12, 2);
    add("at", catalog::TypeKind::timestamp);
    add("word", catalog::TypeKind::text);
    if (!catalog.apply(catalog::CreateTable{table}, Position{1})) std::abort();
    catalog::View view{ObjectId{2}, "v", {}, "SELECT id, amount FROM t", {ObjectId{1}}};
    if (!catalog.apply(catalog::CreateView{view}, Position{2})) std::abort();
    return catalog;
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto statement = sql::parse(text);
  if (!statement) return 0;
  const std::int64_t one = 1;
  const std::vector<ValueView> parameters{one, std::string_view{"2024-01-15"}};
  sql::Context context;
  context.catalog = &schema();
  context.head = Position{10};
  context.now = TimestampUs{1'705'314'600'000'000};
  context.parameters = parameters;
  context.verify = statement->verify;
  const auto rewritten = sql::rewrite(text, statement->tokens, context);
  if (rewritten && !sql::tokenize(rewritten->sql)) std::abort();
  return 0;
}
