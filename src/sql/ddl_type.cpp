#include <array>
#include <limits>

#include "sql/ddl.hpp"
#include "sql/decimal.hpp"
#include "statement_cursor.hpp"

namespace kimberlite::sql {
namespace {

using catalog::Type;
using catalog::TypeKind;

constexpr std::uint16_t decimal_precision_max = Decimal::digits_max;
constexpr std::uint16_t length_max = std::numeric_limits<std::uint16_t>::max();

// What may stand in parentheses after a type's name.
enum class Argument : std::uint8_t { none, length, precision_scale, float_bits, zone };

struct TypeName {
  std::string_view word;
  TypeKind kind;
  Argument argument;
};

// The dialect's names and PostgreSQL's, in the order in which they are suggested.
constexpr std::array type_names{
    TypeName{"smallint", TypeKind::smallint, Argument::none},
    TypeName{"integer", TypeKind::integer, Argument::none},
    TypeName{"bigint", TypeKind::bigint, Argument::none},
    TypeName{"real", TypeKind::real, Argument::none},
    TypeName{"double", TypeKind::double_precision, Argument::none},
    TypeName{"decimal", TypeKind::decimal, Argument::precision_scale},
    TypeName{"text", TypeKind::text, Argument::none},
    TypeName{"varchar", TypeKind::varchar, Argument::length},
    TypeName{"char", TypeKind::character, Argument::length},
    TypeName{"boolean", TypeKind::boolean, Argument::none},
    TypeName{"date", TypeKind::date, Argument::none},
    TypeName{"time", TypeKind::time, Argument::zone},
    TypeName{"timestamp", TypeKind::timestamp, Argument::zone},
    TypeName{"interval", TypeKind::interval, Argument::none},
    TypeName{"uuid", TypeKind::uuid, Argument::none},
    TypeName{"json", TypeKind::json, Argument::none},
    TypeName{"bytes", TypeKind::bytes, Argument::none},
    TypeName{"bool", TypeKind::boolean, Argument::none},
    TypeName{"bytea", TypeKind::bytes, Argument::none},
    TypeName{"character", TypeKind::character, Argument::length},
    TypeName{"dec", TypeKind::decimal, Argument::precision_scale},
    TypeName{"float", TypeKind::double_precision, Argument::float_bits},
    TypeName{"float4", TypeKind::real, Argument::none},
    TypeName{"float8", TypeKind::double_precision, Argument::none},
    TypeName{"int", TypeKind::integer, Argument::none},
    TypeName{"int2", TypeKind::smallint, Argument::none},
    TypeName{"int4", TypeKind::integer, Argument::none},
    TypeName{"int8", TypeKind::bigint, Argument::none},
    TypeName{"jsonb", TypeKind::json, Argument::none},
    TypeName{"numeric", TypeKind::decimal, Argument::precision_scale},
    TypeName{"timestamptz", TypeKind::timestamp, Argument::none},
};

// Types of other databases, with the dialect's nearest.
struct ForeignType {
  std::string_view word;
  std::string_view next;
};
constexpr std::array foreign_types{
    ForeignType{"bit", "BOOLEAN, or BYTES"},
    ForeignType{"blob", "BYTES"},
    ForeignType{"binary", "BYTES"},
    ForeignType{"bpchar", "CHAR(n)"},
    ForeignType{"citext", "TEXT, compared with ILIKE or lower()"},
    ForeignType{"clob", "TEXT"},
    ForeignType{"datetime", "TIMESTAMP"},
    ForeignType{"datetime2", "TIMESTAMP"},
    ForeignType{"enum", "TEXT with CHECK (… IN (…))"},
    ForeignType{"geometry", "two DOUBLE columns"},
    ForeignType{"hstore", "JSON"},
    ForeignType{"inet", "TEXT"},
    ForeignType{"longtext", "TEXT"},
    ForeignType{"mediumint", "INTEGER"},
    ForeignType{"money", "DECIMAL(18,2)"},
    ForeignType{"nchar", "CHAR(n): all text is Unicode"},
    ForeignType{"number", "DECIMAL(p,s)"},
    ForeignType{"nvarchar", "VARCHAR(n): all text is Unicode"},
    ForeignType{"point", "two DOUBLE columns"},
    ForeignType{"string", "TEXT"},
    ForeignType{"timetz", "TIME, with the zone in a column of its own"},
    ForeignType{"tinyint", "SMALLINT"},
    ForeignType{"tsvector", "TEXT"},
    ForeignType{"uniqueidentifier", "UUID"},
    ForeignType{"varbinary", "BYTES"},
    ForeignType{"varchar2", "VARCHAR(n)"},
    ForeignType{"xml", "TEXT"},
};

class TypeParser {
 public:
  explicit TypeParser(Cursor& cursor) : cursor_(cursor), first_(cursor.now()) {}

  Result<Type> parse() {
    const TypeName* name = find();
    if (name == nullptr) return unknown();
    cursor_.move();
    Type type{.kind = name->kind};
    Argument argument = name->argument;
    if (type.kind == TypeKind::double_precision && first_.is(Keyword::double_)) {
      static_cast<void>(cursor_.take(Keyword::precision));
    }
    if (type.kind == TypeKind::character && cursor_.take(Keyword::varying)) {
      type.kind = TypeKind::varchar;
    }
    KIMBERLITE_CHECK(parse_argument(argument, type));
    KIMBERLITE_CHECK(refuse_array());
    return type;
  }

 private:
  const TypeName* find() const {
    if (first_.kind != TokenKind::word) return nullptr;
    for (const TypeName& each : type_names) {
      if (same_name(first_.text, each.word)) return &each;
    }
    return nullptr;
  }

  Error unknown() const {
    if (!first_.is_name()) return cursor_.expected("a type");
    const std::string name = name_of(first_);
    for (const ForeignType& each : foreign_types) {
      if (same_name(name, each.word)) {
        return cursor_.unsupported(first_, fmt::format("the type {}", first_.text), each.next);
      }
    }
    return cursor_.unsupported(first_, fmt::format("the type {}", first_.text),
                               "types are SMALLINT, INTEGER, BIGINT, REAL, DOUBLE, DECIMAL(p,s), "
                               "TEXT, VARCHAR(n), CHAR(n), BOOLEAN, DATE, TIME, TIMESTAMP, "
                               "INTERVAL, UUID, JSON, BYTES");
  }

  Status parse_argument(Argument argument, Type& type) {
    switch (argument) {
      case Argument::none:
        return refuse_argument();
      case Argument::length:
        return parse_length(type);
      case Argument::precision_scale:
        return parse_precision_scale(type);
      case Argument::float_bits:
        return parse_float_bits(type);
      case Argument::zone:
        return parse_zone(type);
    }
    return {};
  }

  Status refuse_argument() {
    if (cursor_.is(TokenKind::left_parenthesis)) {
      return cursor_.unsupported(cursor_.now(), fmt::format("{} with a length", spelled()),
                                 fmt::format("{} alone", spelled()));
    }
    const Keyword now = cursor_.now().keyword;
    if (first_.is(Keyword::interval) &&
        (now == Keyword::year || now == Keyword::month || now == Keyword::day ||
         now == Keyword::hour || now == Keyword::minute || now == Keyword::second)) {
      return cursor_.unsupported(cursor_.now(), "INTERVAL of chosen fields", "INTERVAL alone");
    }
    return {};
  }

  // VARCHAR without a length is TEXT, CHAR without one is CHAR(1), as in PostgreSQL.
  Status parse_length(Type& type) {
    if (!cursor_.take(TokenKind::left_parenthesis)) {
      if (type.kind == TypeKind::varchar) type.kind = TypeKind::text;
      if (type.kind == TypeKind::character) type.precision = 1;
      return {};
    }
    KIMBERLITE_TRY(type.precision, number(1, length_max, "; longer text is TEXT"));
    return cursor_.want(TokenKind::right_parenthesis, ")");
  }

  // DECIMAL without (p,s) keeps any number as it is; DECIMAL(p) is DECIMAL(p,0).
  Status parse_precision_scale(Type& type) {
    if (!cursor_.take(TokenKind::left_parenthesis)) return {};
    KIMBERLITE_TRY(type.precision, number(1, decimal_precision_max, ""));
    if (cursor_.take(TokenKind::comma)) {
      KIMBERLITE_TRY(type.scale, number(0, type.precision, ", the precision"));
    }
    return cursor_.want(TokenKind::right_parenthesis, ")");
  }

  Status parse_float_bits(Type& type) {
    if (!cursor_.take(TokenKind::left_parenthesis)) return {};
    KIMBERLITE_TRY(const std::uint16_t bits, number(1, 53, ", the bits of a DOUBLE"));
    if (bits <= 24) type.kind = TypeKind::real;
    return cursor_.want(TokenKind::right_parenthesis, ")");
  }

  // Times are UTC to the microsecond; a zone in a TIMESTAMP's text is converted when it is stored.
  Status parse_zone(const Type& type) {
    if (cursor_.take(TokenKind::left_parenthesis)) {
      const Token& digits = cursor_.now();
      KIMBERLITE_TRY(const std::uint16_t fraction, number(0, 6, ", the digits of a microsecond"));
      if (fraction != 6) {
        return cursor_.unsupported(digits, "a coarser time than microseconds",
                                   fmt::format("{} alone", spelled()));
      }
      KIMBERLITE_CHECK(cursor_.want(TokenKind::right_parenthesis, ")"));
    }
    const Token& with = cursor_.now();
    if (cursor_.take_all(Keyword::without, Keyword::time, Keyword::zone)) return {};
    if (!cursor_.take_all(Keyword::with, Keyword::time, Keyword::zone)) return {};
    if (type.kind == TypeKind::timestamp) return {};
    return cursor_.unsupported(with, "TIME WITH TIME ZONE",
                               "TIME, with the zone in a column of its own");
  }

  // `TEXT[]` arrives as a name in brackets.
  Status refuse_array() const {
    if (cursor_.is(TokenKind::quoted_name) && cursor_.now().text.front() == '[') {
      return cursor_.unsupported(cursor_.now(), "an array type", "JSON, or a table of its own");
    }
    return {};
  }

  Result<std::uint16_t> number(std::uint16_t low, std::uint16_t high, std::string_view of) {
    const Token& token = cursor_.now();
    if (!token.is(TokenKind::integer)) return cursor_.expected("a number");
    std::uint32_t value = 0;
    for (const char c : token.text) {
      if (c < '0' || c > '9') return cursor_.expected("a decimal number");
      value = std::min<std::uint32_t>(value * 10 + static_cast<std::uint32_t>(c - '0'),
                                      std::uint32_t{length_max} + 1);
    }
    if (value < low || value > high) {
      return cursor_.error(
          Code::type_range, token,
          fmt::format("{} takes a number from {} to {} here", spelled(), low, high),
          fmt::format("at most {}{}", high, of));
    }
    cursor_.move();
    return static_cast<std::uint16_t>(value);
  }

  std::string spelled() const { return describe(first_); }

  Cursor& cursor_;
  const Token& first_;
};

}  // namespace

Result<Type> parse_type(std::string_view text, std::span<const Token> tokens, std::size_t& next) {
  Cursor cursor{text, tokens, next};
  KIMBERLITE_TRY(Type type, TypeParser{cursor}.parse());
  next = cursor.at();
  return type;
}

}  // namespace kimberlite::sql
