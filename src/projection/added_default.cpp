#include "added_default.hpp"

#include <fmt/format.h>

#include "base/assert.hpp"
#include "sql/rewrite.hpp"
#include "sql/types.hpp"

namespace kimberlite::projection {
namespace {

// Whatever calls a function may answer otherwise tomorrow, or on another machine.
bool calls_function(std::string_view expression) {
  const Result<std::vector<sql::Token>> tokens = sql::tokenize(expression);
  if (!tokens) return true;
  for (std::size_t i = 1; i < tokens->size(); ++i) {
    if ((*tokens)[i].is(sql::TokenKind::left_parenthesis) && (*tokens)[i - 1].is_name())
      return true;
  }
  return false;
}

}  // namespace

// SQLite gives rows that are there the default as it is spelled, without any of our rules: so it is
// computed here, once, and must be the same everywhere.
Result<Value> added_default(Connection& connection, const catalog::Table& table,
                            const catalog::Column& column) {
  if (!column.default_value || column.generated) return Value{Null{}};
  if (calls_function(*column.default_value)) {
    return Error{Code::sql_unsupported,
                 "the default of an added column must be a constant: it is given to the rows that "
                 "are there"}
        .where("column {}.{}", table.name, column.name)
        .next("add the column with a constant default, then UPDATE");
  }
  KIMBERLITE_TRY(const std::string expression,
                 sql::rewrite_expression(*column.default_value, table));
  KIMBERLITE_TRY(Prepared compute, connection.prepare(fmt::format("SELECT ({})", expression)));
  KIMBERLITE_TRY(const bool row, compute.step());
  KIMBERLITE_ASSERT(row);
  const Running running{compute};
  return sql::canonicalise(compute.column(0), column.type);
}

}  // namespace kimberlite::projection
