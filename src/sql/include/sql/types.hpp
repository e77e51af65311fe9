// The types of the dialect: how a value of each is stored, checked, compared and shown.
//
// Every type has one canonical stored form a value, so that equal rows have equal bytes on every
// machine: integers and BOOLEAN (0, 1) are integers; REAL and DOUBLE doubles, never NaN, never
// -0.0; BYTES bytes; all others text:
//
//   DECIMAL(p,s)  -77.50                    s digits after the point, at most p in all; a value
//   with
//                                           more is rounded half away from zero, as in PostgreSQL
//   DECIMAL       77.5                      without (p,s): any number, no needless zeros
//   DATE          2024-01-15                years 0001 to 9999, proleptic Gregorian
//   TIME          10:30:00.25               no needless zeros in the fraction, at most 6 digits
//   TIMESTAMP     2024-01-15T10:30:00.25Z   RFC 3339, UTC; likewise
//   INTERVAL      P1Y2M3DT4H5M6.5S          ISO 8601; months, days and microseconds apart, each
//   with
//                                           its own sign (P1M-2D); zero is PT0S
//   UUID          lower case, 8-4-4-4-12
//   JSON          as given, if it is RFC 8259
//   TEXT, VARCHAR(n), CHAR(n)               as given; n counts characters; CHAR is not padded
//
// Thread rule: pure functions. Errors: `type.mismatch` (a value of another kind), `type.range` (an
// outsize one), `type.format` (text that spells no value), `type.encoding` (NUL, invalid UTF-8).
// No error text holds the value. Source: sql.md, Dialect; RFC 3339; ISO 8601; RFC 8259; RFC 9562.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/value.hpp"
#include "catalog/schema.hpp"

namespace kimberlite::sql {

// "DECIMAL(10,2)": as DDL spells it.
[[nodiscard]] std::string type_name(const catalog::Type& type);

// The type of the STRICT column: INTEGER, REAL, TEXT or BLOB.
[[nodiscard]] std::string_view storage_class(const catalog::Type& type);
// The collation of the column, its history column and every index on it; empty: BINARY.
[[nodiscard]] std::string_view collation_name(const catalog::Type& type);
// An expression that is true exactly for what `canonicalise` accepts and a STRICT column would let
// pass otherwise; empty if there is nothing to check. `column` stands as it is: quote it before.
// It may call `kmb_valid` (functions.hpp), whose error has the right code; where a plain CHECK
// fails the code is `type.range`.
[[nodiscard]] std::string check_expression(const catalog::Type& type, std::string_view column);

// The canonical form of any accepted spelling; NULL stays NULL. An accepted spelling of text types
// is the text; of numbers a number, or its text where nothing is lost; of BOOLEAN 0, 1, true,
// false, t, f, yes, no, on, off; of BYTES bytes, \x and hexadecimal digits, or base64; of times a
// space for T, a zone (+02:00, none is UTC), a missing fraction or seconds; of INTERVAL '1 year 2
// days 03:04:05' and '3 days ago'; of UUID any case, braces, no hyphens. A DECIMAL takes an integer
// or a double, the latter in its shortest form.
[[nodiscard]] Result<Value> canonicalise(const ValueView& value, const catalog::Type& type);
// True if `canonicalise` would give back the same value: most of the time there is nothing to copy.
[[nodiscard]] bool is_canonical(const ValueView& value, const catalog::Type& type);

// CAST(value AS type): `canonicalise`, and where that needs one a conversion that may lose: a
// TIMESTAMP to its DATE or TIME, a DATE to midnight, a number to an integer (half away from zero)
// or BOOLEAN, any value to text, text cut to VARCHAR(n).
[[nodiscard]] Result<Value> cast(const ValueView& value, const catalog::Type& type);

// For people, CSV and JSON: `true`, `77.50`, `0.1`, `3.0`, base64 of BYTES; NULL is empty. A value
// that is not of the type is shown by what it is.
[[nodiscard]] std::string print(const ValueView& value, const catalog::Type& type);
// By what it is: a computed value without a declared type.
[[nodiscard]] std::string print(const ValueView& value);
// The shortest text that reads back as the same double, `.0` if integral.
[[nodiscard]] std::string print_double(double value);

// The types a stored text compares by value in.
enum class Order : std::uint8_t { binary, decimal, timestamp, time, interval, uuid };
[[nodiscard]] Order order_of(const catalog::Type& type);  // DATE and TIMESTAMP share one

// A total order of all texts: those that spell a value come first, by value; the rest by bytes.
// Negative, zero or positive. Never fails; no allocation.
[[nodiscard]] int compare(Order order, std::string_view a, std::string_view b) noexcept;

// What each connection registers with sqlite3_create_collation_v2, as UTF-8.
struct Collation {
  const char* name;
  Order order;
};
[[nodiscard]] std::span<const Collation> collations();

}  // namespace kimberlite::sql
