#include "statement_cache.hpp"

#include <algorithm>
#include <cmath>

namespace kimberlite::projection {
namespace {

Status check_parameter(std::size_t number, const ValueView& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    if (!is_utf8_text(*text)) {
      return Error{Code::type_encoding, "parameter ${} is not UTF-8 text without NUL", number};
    }
  } else if (const auto* real = std::get_if<double>(&value); real != nullptr && std::isnan(*real)) {
    return Error{Code::type_range, "parameter ${} is NaN, which cannot be stored", number};
  }
  return {};
}

}  // namespace

std::string_view own_text(const Query& query) {
  std::size_t last = query.tokens.size();
  while (last > 0 && query.tokens[last - 1].kind == sql::TokenKind::end) --last;
  if (last == 0) return {};
  const std::size_t begin = query.tokens.front().offset;
  return query.text.substr(begin, query.tokens[last - 1].end_offset() - begin);
}

Status bind_all(Compiled& compiled, const Query& query, std::span<const ValueView> parameters,
                bool copy) {
  const std::size_t wanted = std::max(query.parameters, compiled.door.caller_parameters);
  if (parameters.size() != wanted) {
    return Error{Code::sql_misuse, "the statement has {} parameters, {} values were given", wanted,
                 parameters.size()};
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    KIMBERLITE_CHECK(check_parameter(i + 1, parameters[i]));
  }
  int number = 1;
  for (const sql::Bind& bind : compiled.door.binds) {
    if (bind.caller == 0) {
      compiled.statement.bind(number++, view(bind.value));
    } else {
      compiled.statement.bind(number++, parameters[bind.caller - 1], copy);
    }
  }
  Status bound = compiled.statement.bound();
  if (!bound) compiled.statement.reset();
  return bound;
}

}  // namespace kimberlite::projection
