#include "cli/infer.hpp"

#include <algorithm>

#include "base/value.hpp"
#include "sql/types.hpp"

namespace kimberlite::cli {
namespace {

using catalog::Type;
using catalog::TypeKind;

constexpr std::uint16_t decimal_precision = 18;
// No spelling of any candidate is longer: a text that is need not be tried.
constexpr std::size_t spelling_size_max = 40;

bool prints_back(std::string_view text, const Type& type) {
  const Result<Value> stored = sql::canonicalise(ValueView{text}, type);
  return stored.has_value() && sql::print(view(*stored), type) == text;
}

// Digits behind the point; a DECIMAL has at least one here, or BIGINT says the same.
std::uint16_t scale_of(std::string_view text) {
  const std::size_t point = text.find('.');
  return point == std::string_view::npos ? 0 : static_cast<std::uint16_t>(text.size() - point - 1);
}

}  // namespace

ColumnInference::ColumnInference()
    : candidates_{TypeKind::boolean,   TypeKind::bigint, TypeKind::decimal,         TypeKind::date,
                  TypeKind::timestamp, TypeKind::uuid,   TypeKind::double_precision} {}

void ColumnInference::see(std::string_view text) {
  if (candidates_.empty()) return;
  if (!seen_) scale_ = scale_of(text.substr(0, spelling_size_max));
  seen_ = true;
  std::erase_if(candidates_, [&](TypeKind kind) {
    if (text.size() > spelling_size_max) return true;
    if (kind != TypeKind::decimal) return !prints_back(text, Type{kind, 0, 0});
    const bool possible = scale_ > 0 && scale_ <= decimal_precision;
    return !possible || !prints_back(text, Type{kind, decimal_precision, scale_});
  });
}

Type ColumnInference::type() const {
  if (!seen_ || candidates_.empty()) return Type{TypeKind::text, 0, 0};
  const TypeKind kind = candidates_.front();
  return kind == TypeKind::decimal ? Type{kind, decimal_precision, scale_} : Type{kind, 0, 0};
}

}  // namespace kimberlite::cli
