// How operators treat values of each type.
#include <algorithm>

#include "sql/datetime.hpp"
#include "sql/decimal.hpp"
#include "sql/functions.hpp"
#include "typing.hpp"

namespace kimberlite::sql {

using catalog::Type;
using catalog::TypeKind;

namespace {

// A type as arithmetic sees it.
enum class Kin : std::uint8_t {
  unknown,
  integer,
  real,
  decimal,
  date,
  timestamp,
  time,
  interval,
  none
};

Kin kin_of(const Type& type) {
  switch (type.kind) {
    case TypeKind::smallint:
    case TypeKind::integer:
    case TypeKind::bigint:
    case TypeKind::boolean:
      return Kin::integer;
    case TypeKind::real:
    case TypeKind::double_precision:
      return Kin::real;
    case TypeKind::decimal:
      return Kin::decimal;
    case TypeKind::date:
      return Kin::date;
    case TypeKind::timestamp:
      return Kin::timestamp;
    case TypeKind::time:
      return Kin::time;
    case TypeKind::interval:
      return Kin::interval;
    case TypeKind::uuid:
    case TypeKind::bytes:
      return Kin::none;
    default:
      return Kin::unknown;  // what a text spells is known when it is there
  }
}

bool is_exact_kin(Kin kin) { return kin >= Kin::decimal && kin <= Kin::interval; }

Type type_of(Order order) {
  switch (order) {
    case Order::decimal:
      return {TypeKind::decimal, 0, 0};
    case Order::timestamp:
      return {TypeKind::timestamp, 0, 0};
    case Order::time:
      return {TypeKind::time, 0, 0};
    case Order::interval:
      return {TypeKind::interval, 0, 0};
    case Order::uuid:
      return {TypeKind::uuid, 0, 0};
    default:
      return {TypeKind::text, 0, 0};
  }
}

// Decimal text of an integer literal, hexadecimal ones too; nothing if it is no 64-bit integer.
std::optional<std::string> integer_text(std::string_view literal) {
  if (!literal.starts_with("0x") && !literal.starts_with("0X")) return std::string{literal};
  std::uint64_t value = 0;
  if (literal.size() > 18) return std::nullopt;
  for (const char c : literal.substr(2)) {
    const char lower = static_cast<char>(c | 0x20);
    const int digit = c <= '9' ? c - '0' : lower - 'a' + 10;
    value = value << 4U | static_cast<std::uint64_t>(digit);
  }
  return std::to_string(static_cast<std::int64_t>(value));
}

}  // namespace

Order Typing::order_of_term(const Term& term) const {
  return term.type ? order_of(*term.type) : Order::binary;
}

void Typing::wrap(Term& term, std::string before, std::string after) {
  unit_.edits.before(term.first, std::move(before));
  unit_.edits.after(term.last, std::move(after));
  term.form = Form::expression;
  term.carries = false;
  term.column = false;
  term.atomic = true;
  term.chain = no_index;
}

void Typing::collate(Term& term) {
  if (term.carries || order_of_term(term) == Order::binary) return;
  if (!term.atomic) wrap(term, "(", ")");
  unit_.edits.after(term.last, fmt::format(" COLLATE {}", collation_name(*term.type)));
  term.carries = true;
  term.chain = no_index;
}

// The literal, its sign with it, becomes that text.
void Typing::textify(Term& term, std::string text) {
  std::erase(long_literals_, term.literal);
  if (term.minus != no_token) {
    unit_.edits.replace(term.minus, "");
    text.insert(text.begin(), '-');
  }
  unit_.edits.replace(term.literal, quote_string(text));
  term.form = Form::expression;
  term.type = type_of(Order::decimal);
  term.atomic = true;
}

Status Typing::coerce_literal(Term& term, Order order) {
  const std::string type = type_name(type_of(order));
  if (term.form == Form::string_literal) {
    const std::string text = string_of(unit_.at(term.literal));
    const auto canonical = canonicalise(ValueView{std::string_view{text}}, type_of(order));
    if (!canonical) {
      return fault(unit_, term.literal, Code::type_format, "the text spells no {}", type)
          .next("{}", canonical.error().next());
    }
    unit_.edits.replace(term.literal, quote_string(std::get<std::string>(*canonical)));
    term.form = Form::expression;
    term.type = type_of(order);
    return {};
  }
  if (order != Order::decimal) {
    return fault(unit_, term.literal, Code::type_mismatch, "a number stands against a {}", type)
        .next("quote it, if it is one");
  }
  const auto text = integer_text(unit_.at(term.literal).text);
  const auto number = text ? Decimal::parse(*text) : std::nullopt;
  if (!number) return fault(unit_, term.literal, Code::type_range, "the number is outside DECIMAL");
  textify(term, number->text());
  return {};
}

Status Typing::coerce(Term& term, Order order) {
  const Type wanted = type_of(order);
  switch (term.form) {
    case Form::null_literal:
    case Form::none:
      return {};
    case Form::integer_literal:
    case Form::point_literal:
    case Form::string_literal:
      return coerce_literal(term, order);
    default:
      break;
  }
  const Kin kin = term.type ? kin_of(*term.type) : Kin::unknown;
  if (order_of_term(term) == order) return {};
  if (order == Order::decimal && kin == Kin::real) {
    return fault(unit_, term.first, Code::type_mismatch, "a DECIMAL stands against a double")
        .why("a double is not exact")
        .next("CAST one of them: CAST(… AS DECIMAL(18,2)), or AS DOUBLE");
  }
  const bool number = kin == Kin::integer && term.type->kind != TypeKind::boolean;
  if (order == Order::decimal && number) {
    wrap(term, "CAST(", " AS TEXT)");
  } else if (kin == Kin::unknown) {
    wrap(term, "kmb_operand(", fmt::format(", {})", static_cast<int>(order)));
  } else {
    return fault(unit_, term.first, Code::type_mismatch, "a {} stands against a {}",
                 type_name(*term.type), type_name(wanted))
        .next("CAST one of them");
  }
  term.type = wanted;
  return {};
}

Status Typing::compare(Term& a, Term& b, std::uint32_t op) {
  if (a.form == Form::row || b.form == Form::row) {
    if (a.form != b.form) return {};  // a subquery of as many columns; SQLite says if not
    if (rows_[a.row].size() != rows_[b.row].size()) {
      return fault(unit_, op, Code::sql_misuse, "rows of {} and {} values are compared",
                   rows_[a.row].size(), rows_[b.row].size());
    }
    for (std::size_t i = 0; i < rows_[a.row].size(); ++i) {
      Term& left = rows_[a.row][i];
      Term& right = rows_[b.row][i];
      if (left.form != Form::row && right.form != Form::row)
        KIMBERLITE_CHECK(compare_values(left, right, op));
    }
    return {};
  }
  return compare_values(a, b, op);
}

Status Typing::compare_values(Term& a, Term& b, std::uint32_t op) {
  const Order left = order_of_term(a);
  const Order right = order_of_term(b);
  if (left == Order::binary && right == Order::binary) {
    const auto boolean = [](const Term& term) {
      return term.type && term.type->kind == TypeKind::boolean;
    };
    if (boolean(a) && b.form == Form::string_literal) return boolean_literal(b);
    if (boolean(b) && a.form == Form::string_literal) return boolean_literal(a);
    return {};
  }
  if (left != Order::binary && right != Order::binary && left != right) {
    return fault(unit_, op, Code::type_mismatch, "a {} stands against a {}", type_name(*a.type),
                 type_name(*b.type))
        .next("CAST one of them");
  }
  if (left == Order::binary) KIMBERLITE_CHECK(coerce(a, right));
  if (right == Order::binary) KIMBERLITE_CHECK(coerce(b, left));
  collate(a.form == Form::null_literal ? b : a);
  return {};
}

Status Typing::boolean_literal(Term& term) {
  const std::string text = string_of(unit_.at(term.literal));
  const auto value = canonicalise(ValueView{std::string_view{text}}, of(TypeKind::boolean));
  if (!value) {
    return fault(unit_, term.literal, Code::type_format, "the text spells no BOOLEAN")
        .next("write true or false");
  }
  unit_.edits.replace(term.literal, std::get<std::int64_t>(*value) != 0 ? "1" : "0");
  term.form = Form::expression;
  term.type = of(TypeKind::boolean);
  return {};
}

namespace {

// By what a term is; of a text literal by what it spells.
Kin kin_of_term(const Unit& unit, const Term& term) {
  switch (term.form) {
    case Form::integer_literal:
      return Kin::integer;
    case Form::string_literal: {
      const std::string text = string_of(unit.at(term.literal));
      if (Decimal::parse(text)) return Kin::decimal;
      if (parse_date(text)) return Kin::date;
      if (parse_timestamp(text)) return Kin::timestamp;
      if (parse_time(text)) return Kin::time;
      if (parse_interval(text)) return Kin::interval;
      return Kin::unknown;
    }
    default:
      return term.type ? kin_of(*term.type) : Kin::unknown;
  }
}

bool is_number(Kin kin) { return kin == Kin::integer || kin == Kin::real || kin == Kin::decimal; }
bool is_day(Kin kin) { return kin == Kin::date || kin == Kin::timestamp; }

// Of two times, or a time and a number; `none`: there is no such arithmetic.
Kin times_kin(Kin a, Kin b, TokenKind op) {
  if (op == TokenKind::star || op == TokenKind::slash) {
    if (a == Kin::interval && (is_number(b) || b == Kin::unknown)) return Kin::interval;
    if (op == TokenKind::star && b == Kin::interval && (is_number(a) || a == Kin::unknown)) {
      return Kin::interval;
    }
    return Kin::none;
  }
  if (op == TokenKind::plus) {
    if (a == Kin::unknown || b == Kin::unknown) {
      const Kin known = a == Kin::unknown ? b : a;
      return is_day(known) ? Kin::timestamp : known == Kin::time ? Kin::time : Kin::unknown;
    }
    if (a == Kin::interval && b == Kin::interval) return Kin::interval;
    if (a == Kin::interval) std::swap(a, b);
    if (b == Kin::interval)
      return is_day(a) ? Kin::timestamp : a == Kin::time ? Kin::time : Kin::none;
    if (a != Kin::date) std::swap(a, b);
    if (a == Kin::date && b == Kin::time) return Kin::timestamp;
    if (a == Kin::date && (b == Kin::integer || b == Kin::decimal)) return Kin::date;
    return Kin::none;
  }
  if (op != TokenKind::minus) return Kin::none;
  if (a == Kin::unknown || b == Kin::unknown) return Kin::unknown;
  if (b == Kin::interval)
    return a == Kin::interval ? a : is_day(a) ? Kin::timestamp : a == Kin::time ? a : Kin::none;
  if (a == Kin::date && b == Kin::date) return Kin::integer;
  if (is_day(a) && is_day(b)) return Kin::interval;
  if (a == Kin::time && b == Kin::time) return Kin::interval;
  if (a == Kin::date && (b == Kin::integer || b == Kin::decimal)) return Kin::date;
  return Kin::none;
}

std::optional<Type> type_of(Kin kin) {
  switch (kin) {
    case Kin::integer:
      return Type{TypeKind::bigint, 0, 0};
    case Kin::real:
      return Type{TypeKind::double_precision, 0, 0};
    case Kin::decimal:
      return Type{TypeKind::decimal, 0, 0};
    case Kin::date:
      return Type{TypeKind::date, 0, 0};
    case Kin::timestamp:
      return Type{TypeKind::timestamp, 0, 0};
    case Kin::time:
      return Type{TypeKind::time, 0, 0};
    case Kin::interval:
      return Type{TypeKind::interval, 0, 0};
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<std::optional<Type>> Typing::arithmetic_type(const Term& a, const Term& b,
                                                    std::uint32_t op) const {
  Kin left = kin_of_term(unit_, a);
  Kin right = kin_of_term(unit_, b);
  // A literal with a point is what stands beside it: exact, unless that is a double.
  if (a.form == Form::point_literal) left = right == Kin::real ? Kin::real : Kin::decimal;
  if (b.form == Form::point_literal) right = left == Kin::real ? Kin::real : Kin::decimal;
  const TokenKind sign = unit_.at(op).kind;
  const auto none = [&] {
    return fault(unit_, op, Code::type_mismatch, "there is no {} of these types", unit_.at(op).text)
        .next("CAST one of them");
  };
  if (left == Kin::none || right == Kin::none) return none();
  const auto is_time = [](Kin kin) { return is_exact_kin(kin) && kin != Kin::decimal; };
  if (is_time(left) || is_time(right)) {
    const Kin kin = times_kin(left, right, sign);
    if (kin == Kin::none) return none();
    return type_of(kin);
  }
  if ((left == Kin::decimal && right == Kin::real) ||
      (left == Kin::real && right == Kin::decimal)) {
    return fault(unit_, op, Code::type_mismatch, "a DECIMAL does not compute with a double")
        .why("the result could not be exact")
        .next("CAST one of them, or quote the number: '1.1'");
  }
  if (left == Kin::decimal || right == Kin::decimal) return type_of(Kin::decimal);
  if (left == Kin::unknown || right == Kin::unknown) return std::optional<Type>{};
  return type_of(left == Kin::real || right == Kin::real ? Kin::real : Kin::integer);
}

// a + b + c becomes one call: nested ones would not pass SQLite's parser beyond some thirty.
void Typing::chain(Term& result, const Term& a, const Term& b, std::uint32_t op,
                   std::string_view name) {
  const TokenKind sign = unit_.at(op).kind;
  unit_.edits.replace(op, ",");
  result.chain_of = sign;
  if (a.chain != no_index && a.chain_of == sign &&
      a.chain_length + 2 <= function_arguments_max - 1) {
    unit_.edits.set(a.chain, "");
    result.chain_length = a.chain_length + 1;
  } else {
    unit_.edits.before(a.first, fmt::format("{}(", name));
    result.chain_length = 1;
  }
  result.chain = unit_.edits.after(b.last, ")");
  const bool joins = sign == TokenKind::plus || sign == TokenKind::star;
  if (!joins) result.chain = no_index;
}

Result<Term> Typing::arithmetic(Term a, Term b, std::uint32_t op) {
  const auto plain_number = [&](const Term& term) {
    const Kin kin = term.form == Form::string_literal ? Kin::unknown : kin_of_term(unit_, term);
    return term.form != Form::point_literal && (kin == Kin::integer || kin == Kin::real);
  };
  const auto exact_type = [](const Term& term) {
    return term.type && is_exact_kin(kin_of(*term.type));
  };
  const auto real = [](const Term& term) { return term.type && kin_of(*term.type) == Kin::real; };
  bool by_value = exact_type(a) || exact_type(b);
  if (!by_value && exact_) {
    const bool point_with_real =
        (a.form == Form::point_literal && real(b)) || (b.form == Form::point_literal && real(a));
    by_value = !point_with_real && (!plain_number(a) || !plain_number(b));
  }
  Term result{.first = a.first, .last = b.last, .atomic = false};
  if (!by_value) {
    const bool known = plain_number(a) && plain_number(b);
    if (known)
      result.type = real(a) || real(b) ? of(TypeKind::double_precision) : of(TypeKind::bigint);
    return result;
  }
  KIMBERLITE_TRY(result.type, arithmetic_type(a, b, op));
  for (Term* term : {&a, &b}) {
    if (term->form != Form::point_literal) continue;
    KIMBERLITE_CHECK(coerce_literal(*term, Order::decimal));
  }
  std::string_view name;
  switch (unit_.at(op).kind) {
    case TokenKind::plus:
      name = "kmb_add";
      break;
    case TokenKind::minus:
      name = "kmb_sub";
      break;
    case TokenKind::star:
      name = "kmb_mul";
      break;
    case TokenKind::slash:
      name = "kmb_div";
      break;
    default:
      name = "kmb_mod";
  }
  result.atomic = true;
  chain(result, a, b, op, name);
  return result;
}

Result<Term> Typing::negation(Term a, std::uint32_t op) {
  const bool literal = a.form == Form::integer_literal || a.form == Form::point_literal;
  if (literal && a.minus == no_token) {
    a.minus = op;
    a.first = op;
    a.atomic = false;
    return a;
  }
  if (a.form == Form::point_literal && exact_) KIMBERLITE_CHECK(coerce_literal(a, Order::decimal));
  const Kin kin = kin_of_term(unit_, a);
  Term result{.first = op, .last = a.last, .type = a.type, .atomic = false};
  const bool by_value = is_exact_kin(kin) || (exact_ && kin == Kin::unknown && !literal);
  if (!by_value) return result;
  if (kin != Kin::decimal && kin != Kin::interval && kin != Kin::unknown) {
    return fault(unit_, op, Code::type_mismatch, "there is no - of a {}",
                 a.type ? type_name(*a.type) : "time");
  }
  unit_.edits.replace(op, "kmb_neg(");
  unit_.edits.after(a.last, ")");
  result.atomic = true;
  result.type = type_of(kin);
  return result;
}

// What is not known to be canonical is made so as it is written: RETURNING shows what is stored.
void Typing::store(Term& term, const Type& type) {
  const bool plain_kind = order_of(type) == Order::binary && type.kind != TypeKind::boolean &&
                          type.kind != TypeKind::bytes;
  const bool known =
      term.type && *term.type == type && (term.carries || order_of(type) == Order::binary);
  if (plain_kind || known || term.form == Form::null_literal || term.form == Form::row) return;
  wrap(term, "kmb_store(",
       fmt::format(", {}, {}, {})", static_cast<int>(type.kind), type.precision, type.scale));
  term.type = type;
  term.carries = true;
}

Status Typing::assign(Term& term, const catalog::Column& column) {
  const bool text_kind = column.type.kind == TypeKind::text ||
                         column.type.kind == TypeKind::varchar ||
                         column.type.kind == TypeKind::character;
  const bool decimal = column.type.kind == TypeKind::decimal;
  const bool number = term.form == Form::integer_literal || term.form == Form::point_literal;
  const bool spelled = term.form == Form::string_literal && !text_kind;
  if (!spelled && !(number && decimal)) {
    store(term, column.type);
    return {};
  }
  std::string text;
  if (term.form == Form::string_literal) {
    text = string_of(unit_.at(term.literal));
  } else {
    const auto digits = integer_text(unit_.at(term.literal).text);
    if (!digits) return {};
    text = term.minus != no_token ? "-" + *digits : *digits;
  }
  const auto stored = canonicalise(ValueView{std::string_view{text}}, column.type);
  if (!stored) {
    const Error& error = stored.error();
    return fault(unit_, term.literal, error.code(), "column {}: {}", display_name(column.name),
                 error.what())
        .next("{}", error.next());
  }
  std::erase(long_literals_, term.literal);
  if (term.minus != no_token) unit_.edits.replace(term.minus, "");
  std::string replaced;
  if (const auto* canonical = std::get_if<std::string>(&*stored)) {
    replaced = quote_string(*canonical);
  } else if (const auto* bytes = std::get_if<Buffer>(&*stored)) {
    replaced = fmt::format("x'{}'", to_hex(*bytes));
  } else {
    replaced = print(view(*stored));
  }
  unit_.edits.replace(term.literal, std::move(replaced));
  term.form = Form::expression;
  term.type = column.type;
  return {};
}

Result<std::optional<Type>> Typing::unify(std::span<Term*> terms) {
  Order order = Order::binary;
  for (const Term* term : terms) {
    if (order == Order::binary) order = order_of_term(*term);
  }
  if (order != Order::binary) {
    for (Term* term : terms) {
      if (order_of_term(*term) == order) continue;
      if (order_of_term(*term) != Order::binary) {
        return fault(unit_, term->first, Code::type_mismatch, "a {} stands beside a {}",
                     type_name(*term->type), type_name(type_of(order)))
            .next("CAST one of them");
      }
      KIMBERLITE_CHECK(coerce(*term, order));
    }
  }
  std::optional<Type> common;
  for (const Term* term : terms) {
    if (term->form == Form::null_literal) continue;
    std::optional<Type> type = term->type;
    if (term->form == Form::integer_literal) type = of(TypeKind::bigint);
    if (term->form == Form::string_literal) type = of(TypeKind::text);
    if (!type) return std::optional<Type>{};
    if (!common) {
      common = type;
    } else if (*common != *type) {
      const Kin left = kin_of(*common);
      const Kin right = kin_of(*type);
      const bool booleans = common->kind == TypeKind::boolean || type->kind == TypeKind::boolean;
      if (order != Order::binary) {
        common = order == Order::timestamp && common->kind == type->kind ? common : type_of(order);
      } else if (left == Kin::integer && right == Kin::integer && !booleans) {
        common = of(TypeKind::bigint);
      } else if (is_number(left) && is_number(right) && !booleans) {
        common = of(TypeKind::double_precision);
      } else {
        return std::optional<Type>{};
      }
    }
  }
  return common;
}

}  // namespace kimberlite::sql
