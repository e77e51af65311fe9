// A value as arithmetic sees it: text is the number, time or interval it spells.
#pragma once

#include <string_view>
#include <variant>

#include "base/result.hpp"
#include "base/value.hpp"
#include "sql/datetime.hpp"
#include "sql/decimal.hpp"

namespace kimberlite::sql {

using Operand =
    std::variant<Null, std::int64_t, double, Decimal, Date, Timestamp, TimeOfDay, Interval>;

// `type.mismatch` for bytes, and text that spells none of these.
[[nodiscard]] Result<Operand> operand_of(const ValueView& value);

[[nodiscard]] Error decimal_with_double();
[[nodiscard]] Error no_arithmetic(std::string_view what);

}  // namespace kimberlite::sql
