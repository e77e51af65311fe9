// What stands behind AS OF, and which position it means.
#include <limits>

#include "door.hpp"
#include "sql/decimal.hpp"
#include "sql/types.hpp"

namespace kimberlite::sql {
namespace {

bool is_parameter(const Token& token) {
  return token.is(TokenKind::parameter) || token.is(TokenKind::dollar_parameter) ||
         token.is(TokenKind::named_parameter);
}

Error no_position(const Unit& unit, std::uint32_t token) {
  return unexpected(unit, token, "a position: a number, HEAD, HEAD - a number, or a parameter");
}

}  // namespace

std::optional<Position> position_of(const ValueView& parameter) {
  const auto integer = canonicalise(parameter, {catalog::TypeKind::bigint, 0, 0});
  if (!integer || is_null(*integer)) return std::nullopt;
  const std::int64_t position = std::get<std::int64_t>(*integer);
  if (position < 0) return std::nullopt;
  return Position{static_cast<std::uint64_t>(position)};
}

void Door::moved_by(std::uint32_t caller) {
  moves_ = moves_ && moved_by_.value_or(caller) == caller;
  moved_by_ = caller;
}

Result<Position> Door::checked(const Unit& unit, std::uint32_t token, std::int64_t position) const {
  if (position < 0) {
    return fault(unit, token, Code::not_found_position, "there is no position before 0");
  }
  const Position wanted{static_cast<std::uint64_t>(position)};
  if (wanted > context_.head) {
    return fault(unit, token, Code::not_found_position, "position {} is beyond the head, {}",
                 position, context_.head.value());
  }
  return wanted;
}

// number | HEAD [± number] | parameter
Result<Position> Door::resolve_position(const Unit& unit, Range range) {
  std::uint32_t at = range.first;
  const auto number = [&](std::uint32_t token) -> Result<std::int64_t> {
    const Token& here = unit.at(token);
    if (token >= range.end) return no_position(unit, token);
    if (here.is(TokenKind::integer)) {
      const auto value = Decimal::parse(here.text);
      const auto integer = value ? value->to_integer() : std::nullopt;
      if (!integer) return no_position(unit, token);
      return *integer;
    }
    if (!is_parameter(here)) return no_position(unit, token);
    result_.cacheable = false;
    KIMBERLITE_TRY(const Value value, parameter_value(unit, token));
    const auto integer = canonicalise(base::view(value), {catalog::TypeKind::bigint, 0, 0});
    if (!integer || is_null(*integer)) {
      return fault(unit, token, Code::type_mismatch, "the parameter is no position");
    }
    return std::get<std::int64_t>(*integer);
  };
  std::int64_t position = 0;
  if (at < range.end && unit.at(at).is(Keyword::head)) {
    result_.cacheable = false;
    position = static_cast<std::int64_t>(context_.head.value());
    ++at;
    if (at < range.end) {
      const bool back = unit.at(at).is(TokenKind::minus);
      if (!back) return no_position(unit, at);
      KIMBERLITE_TRY(const std::int64_t by, number(at + 1));
      if (by < 0 || by > position) {
        return fault(unit, at + 1, Code::not_found_position, "there is no position before 0");
      }
      position -= by;
      at += 2;
    }
  } else {
    KIMBERLITE_TRY(position, number(at));
    ++at;
  }
  if (at != range.end) return no_position(unit, at);
  return checked(unit, range.first, position);
}

// 'time' | TIMESTAMP 'time' | NOW() | CURRENT_TIMESTAMP | parameter
Result<Timestamp> Door::time_operand(const Unit& unit, std::uint32_t& at) {
  if (unit.at(at).is(Keyword::timestamp)) ++at;
  const Token& here = unit.at(at);
  std::optional<Timestamp> time;
  if (here.is(TokenKind::string)) {
    time = parse_timestamp(string_of(here));
  } else if (is_parameter(here)) {
    result_.cacheable = false;
    KIMBERLITE_TRY(const Value value, parameter_value(unit, at));
    if (const auto* text = std::get_if<std::string>(&value)) time = parse_timestamp(*text);
  } else if (here.is(Keyword::current_timestamp) || here.is(Keyword::now)) {
    result_.cacheable = false;
    if (here.is(Keyword::now)) {
      if (!unit.at(at + 1).is(TokenKind::left_parenthesis) || unit.match[at + 1] != at + 2) {
        return unexpected(unit, at + 1, "( )");
      }
      at += 2;
    }
    time = Timestamp{static_cast<std::int64_t>(context_.now.value())};
  } else {
    return unexpected(unit, at, "a time: '2024-01-15 10:30:00', NOW() or a parameter");
  }
  if (!time) {
    return fault(unit, at, Code::type_format, "the text spells no TIMESTAMP")
        .next("write it like this: '2024-01-15 10:30:00'");
  }
  ++at;
  return *time;
}

// INTERVAL '1 day' | '1 day' | parameter
Result<Interval> Door::interval_operand(const Unit& unit, std::uint32_t& at) {
  if (unit.at(at).is(Keyword::interval)) ++at;
  std::optional<Interval> interval;
  if (unit.at(at).is(TokenKind::string)) {
    interval = parse_interval(string_of(unit.at(at)));
  } else if (is_parameter(unit.at(at))) {
    result_.cacheable = false;
    KIMBERLITE_TRY(const Value value, parameter_value(unit, at));
    if (const auto* text = std::get_if<std::string>(&value)) interval = parse_interval(*text);
  } else {
    return unexpected(unit, at, "an interval: INTERVAL '1 day'");
  }
  if (!interval) {
    return fault(unit, at, Code::type_format, "the text spells no INTERVAL")
        .next("write it like this: INTERVAL '1 day 02:00:00'");
  }
  ++at;
  return *interval;
}

Result<Position> Door::resolve_timestamp(const Unit& unit, Range range) {
  result_.reads_time = true;
  result_.cacheable = false;  // a record may still come to stand there
  std::uint32_t at = range.first;
  if (range.empty()) return unexpected(unit, at, "a time");
  KIMBERLITE_TRY(Timestamp time, time_operand(unit, at));
  while (at < range.end) {
    const bool back = unit.at(at).is(TokenKind::minus);
    if (!back && !unit.at(at).is(TokenKind::plus))
      return unexpected(unit, at, "+ or - and an interval");
    ++at;
    KIMBERLITE_TRY(const Interval by, interval_operand(unit, at));
    const auto moved = sql::add(time, back ? negated(by) : by);
    if (!moved) return fault(unit, at - 1, Code::type_range, "the time is outside the calendar");
    time = *moved;
  }
  const std::uint32_t place = range.first;
  if (time.us > static_cast<std::int64_t>(context_.now.value())) {
    return fault(unit, place, Code::not_found_time, "the time is after now");
  }
  if (time.us < 0) return Position{0};  // before any record could be
  if (context_.times == nullptr)
    return unsupported(unit, place, "AS OF TIMESTAMP here", "use a position");
  auto position = context_.times->position_at(TimestampUs{static_cast<std::uint64_t>(time.us)});
  if (!position) return position.error();
  return *position;
}

Result<std::optional<Position>> Door::resolve(const Unit& unit, const AsOf& as_of) {
  switch (as_of.kind) {
    case AsOfKind::none:
      return context_.session_as_of;
    case AsOfKind::latest:
      return std::optional<Position>{};
    case AsOfKind::position: {
      const std::uint32_t first = as_of.expression.first;
      KIMBERLITE_TRY(const Position position, resolve_position(unit, as_of.expression));
      if (is_parameter(unit.at(first))) {
        KIMBERLITE_TRY(const std::uint32_t number, caller_parameter(unit, first));
        moved_by(number);
      } else {
        moves_ = false;
      }
      return std::optional{position};
    }
    case AsOfKind::timestamp: {
      moves_ = false;
      KIMBERLITE_TRY(const Position position, resolve_timestamp(unit, as_of.expression));
      return std::optional{position};
    }
  }
  return std::optional<Position>{};
}

}  // namespace kimberlite::sql
