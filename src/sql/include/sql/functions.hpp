// The SQL functions of the dialect that SQLite does not have, as pure functions over values.
//
// The rewriter (rewrite.hpp) writes calls of these; every connection registers all of
// `scalar_functions()` and `aggregates()` under the names they have here, deterministic and
// innocuous (SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS), an error becoming the error of the
// statement. A connection also provides those that depend on its state:
//
//   kmb_position()          the position of the request, or of the answer in a reader
//   kmb_row()               position * 2^20 + the row's number in its record
//   kmb_now()               the statement's time as TIMESTAMP text; likewise kmb_today() DATE and
//                           kmb_time_of_day() TIME
//   kmb_record_time(p)      TIMESTAMP text of the record at position p; NULL for NULL
//   kmb_record_actor(p)     who wrote it, as shown to people
//   kmb_record_reason(p)    its reason, read from the log; NULL if it has none or it is erased
//
// and sets PRAGMA case_sensitive_like (LIKE is case-sensitive, ILIKE is kmb_ilike).
//
// Thread rule: pure functions. Errors: `type.*`, `sql.misuse` (a field EXTRACT does not know).
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/result.hpp"
#include "base/value.hpp"

namespace kimberlite::sql {

// Arithmetic by the values: NULL gives NULL; integers and doubles as SQLite computes them (integer
// overflow becomes a double, x / 0 is NULL); DECIMAL text exactly (`/` to 16 digits after the
// point, half away from zero; division by zero is NULL too); times by the calendar (see
// datetime.hpp). DECIMAL with a double, and text that is neither, are errors.
[[nodiscard]] Result<Value> add(const ValueView& a, const ValueView& b);
[[nodiscard]] Result<Value> subtract(const ValueView& a, const ValueView& b);
[[nodiscard]] Result<Value> multiply(const ValueView& a, const ValueView& b);
[[nodiscard]] Result<Value> divide(const ValueView& a, const ValueView& b);
[[nodiscard]] Result<Value> modulo(const ValueView& a, const ValueView& b);
[[nodiscard]] Result<Value> negate(const ValueView& a);

// No call written by the rewriter has more.
inline constexpr std::uint32_t function_arguments_max = 8;

struct ScalarFunction {
  const char* name;
  int arguments;  // one entry for each number of arguments that is allowed; -1: any
  Result<Value> (*call)(std::span<const ValueView> arguments);
};
// kmb_add kmb_mul (2 and more, from left to right), kmb_sub kmb_div kmb_mod (2), kmb_neg kmb_abs
// (1), kmb_round (1, 2), kmb_store(value, kind, precision, scale): `canonicalise`, kmb_valid(value,
// kind, precision, scale), for CHECK: 1, or the `type` error that says why not, kmb_cast(value,
// kind, precision, scale), kmb_operand(value, order): the value as a comparison with a column of
// that order needs it, kmb_ilike(text, pattern[, escape]), kmb_extract(field, value),
// date_part(field, value), date_trunc(field, value).
[[nodiscard]] std::span<const ScalarFunction> scalar_functions();

// One group's, or window frame's, running value.
class Accumulator {
 public:
  virtual ~Accumulator() = default;
  [[nodiscard]] virtual Status step(const ValueView& value) = 0;
  // Takes back a value that was stepped (window frames).
  [[nodiscard]] virtual Status inverse(const ValueView& value) = 0;
  [[nodiscard]] virtual Result<Value> value() const = 0;
};

struct Aggregate {
  const char* name;
  int arguments;
  std::unique_ptr<Accumulator> (*make)();
};
// kmb_sum and kmb_avg (1): exact for DECIMAL and integers, INTERVAL by its parts, doubles as SQLite
// does. NULLs are passed over; of none the result is NULL.
[[nodiscard]] std::span<const Aggregate> aggregates();

// The names a user may call (in lower case; table-valued json_each, json_tree included). The
// authoriser allows these and all that start with `kmb_`, which a user's text cannot spell.
[[nodiscard]] bool is_allowed_function(std::string_view lower_case_name);
// Always makes one value of many rows; in any case of letters. `min` and `max`, which do so with
// one argument, are not among them.
[[nodiscard]] bool is_aggregate(std::string_view name);

}  // namespace kimberlite::sql
