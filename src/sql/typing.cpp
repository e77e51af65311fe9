#include "typing.hpp"

#include <algorithm>

#include "sql/ddl.hpp"
#include "sql/functions.hpp"

namespace kimberlite::sql {

using catalog::Type;
using catalog::TypeKind;

namespace {

// SQLite's grammar, loosest first.
constexpr std::uint8_t precedence_or = 1;
constexpr std::uint8_t precedence_and = 2;
constexpr std::uint8_t precedence_not = 3;
constexpr std::uint8_t precedence_equality = 4;
constexpr std::uint8_t precedence_order = 5;
constexpr std::uint8_t precedence_escape = 6;
constexpr std::uint8_t precedence_bits = 7;
constexpr std::uint8_t precedence_sum = 8;
constexpr std::uint8_t precedence_product = 9;
constexpr std::uint8_t precedence_concatenate = 10;
constexpr std::uint8_t precedence_collate = 11;
constexpr std::uint8_t precedence_unary = 12;

}  // namespace

Result<Term> Typing::read_all(Range range, Sight sight) {
  std::uint32_t stop = 0;
  KIMBERLITE_TRY(Term term, read(range, sight, stop));
  if (stop != range.end) return unexpected(unit_, stop, "an operator or the end of the expression");
  return term;
}

Result<Term> Typing::read(Range range, Sight sight, std::uint32_t& stop) {
  sight_ = sight;
  at_ = range.first;
  end_ = range.end;
  want_operand_ = true;
  terms_.clear();
  operators_.clear();
  frames_.assign(1, Frame{});
  bool stopped = false;
  while (!done() && !stopped) KIMBERLITE_CHECK(step(stopped));
  if (want_operand_) return unexpected(unit_, at_, "an expression");
  if (frames_.size() != 1)
    return unexpected(unit_, at_, frames_.back().kind == FrameKind::when ? "END" : ")");
  KIMBERLITE_CHECK(reduce(0));
  if (!operators_.empty()) return unexpected(unit_, at_, "AND (of BETWEEN)");
  stop = at_;
  return std::move(terms_.back());
}

Status Typing::read_pending() {
  // Each one holds fewer parentheses than the one it stood in.
  while (!pending_.empty()) {
    const Pending next = pending_.back();
    pending_.pop_back();
    if (next.window) {
      KIMBERLITE_CHECK(read_window(next.range, next.sight));
    } else {
      KIMBERLITE_TRY([[maybe_unused]] const Term term, read_all(next.range, next.sight));
    }
  }
  return {};
}

Status Typing::read_sorted(Range range, Sight sight) {
  std::uint32_t stop = 0;
  KIMBERLITE_TRY(Term term, read(range, sight, stop));
  collate(term);
  if (stop < range.end && (unit_.at(stop).is(Keyword::asc) || unit_.at(stop).is(Keyword::desc)))
    ++stop;
  if (stop + 1 < range.end && unit_.at(stop).is(Keyword::nulls) &&
      (unit_.at(stop + 1).is(Keyword::first) || unit_.at(stop + 1).is(Keyword::last))) {
    stop += 2;
  }
  if (stop != range.end) return unexpected(unit_, stop, "ASC, DESC, NULLS FIRST or NULLS LAST");
  return {};
}

// [base] [PARTITION BY …] [ORDER BY …] [frame]
Status Typing::read_window(Range range, Sight sight) {
  const auto is = [&](std::uint32_t i, Keyword keyword) {
    return i < range.end && unit_.at(i).is(keyword);
  };
  const auto frame_begins = [&](std::uint32_t i) {
    return is(i, Keyword::rows) || is(i, Keyword::range) || is(i, Keyword::groups);
  };
  std::uint32_t i = range.first;
  const bool words = is(i, Keyword::partition) || is(i, Keyword::order) || frame_begins(i);
  if (i < range.end && !words) {
    if (!is_plain_name(unit_.at(i)))
      return unexpected(unit_, i, "PARTITION BY, ORDER BY or a frame");
    ++i;
  }
  for (const Keyword clause : {Keyword::partition, Keyword::order}) {
    if (!is(i, clause)) continue;
    if (!is(i + 1, Keyword::by)) return unexpected(unit_, i + 1, "BY");
    i += 2;
    for (bool more = true; more;) {
      std::uint32_t end = i;
      while (end < range.end && !unit_.at(end).is(TokenKind::comma) && !is(end, Keyword::order) &&
             !(frame_begins(end) && end > i)) {
        end = unit_.at(end).is(TokenKind::left_parenthesis) ? unit_.match[end] + 1 : end + 1;
      }
      KIMBERLITE_CHECK(read_sorted({i, end}, sight));
      more = end < range.end && unit_.at(end).is(TokenKind::comma);
      i = more ? end + 1 : end;
    }
  }
  // A frame's offsets are numbers; SQLite checks its words.
  for (; i < range.end; ++i) {
    const Token& part = unit_.at(i);
    const bool offset = part.is(TokenKind::integer) || part.is(TokenKind::floating);
    if (offset || (part.is(TokenKind::word) && part.keyword != Keyword::none)) continue;
    return unexpected(unit_, i,
                      "a frame of numbers, like ROWS BETWEEN 6 PRECEDING AND CURRENT ROW");
  }
  return {};
}

Status Typing::check_literals() const {
  if (!exact_ || long_literals_.empty()) return {};
  return fault(unit_, long_literals_.front(), Code::type_range,
               "a number with more than 15 digits would become a double here")
      .next("quote it, '1.2345678901234567', or CAST it to DOUBLE or DECIMAL");
}

Status Typing::step(bool& stopped) { return want_operand_ ? operand() : operator_at(stopped); }

// ---- Operands -----------------------------------------------------------------------------------

Status Typing::operand() {
  const Token& here = token();
  switch (here.kind) {
    case TokenKind::left_parenthesis:
      return parenthesis();
    case TokenKind::minus:
      operators_.push_back({Operator::minus, precedence_unary, at_, at_});
      ++at_;
      return {};
    case TokenKind::plus:
      operators_.push_back({Operator::plus, precedence_unary, at_, at_});
      ++at_;
      return {};
    case TokenKind::tilde:
      operators_.push_back({Operator::invert, precedence_unary, at_, at_});
      ++at_;
      return {};
    case TokenKind::integer:
    case TokenKind::floating:
    case TokenKind::string:
    case TokenKind::blob:
    case TokenKind::parameter:
    case TokenKind::dollar_parameter:
    case TokenKind::named_parameter:
      return literal();
    case TokenKind::quoted_name:
      return name_or_call();
    case TokenKind::word:
      return operand_word();
    case TokenKind::right_parenthesis: {
      // f(), IN ()
      const Frame& frame = frames_.back();
      const bool nothing_yet = terms_.size() == frame.terms && operators_.size() == frame.operators;
      const bool may = frame.kind == FrameKind::call || frame.kind == FrameKind::list;
      if (!may || !nothing_yet || !unit_.at(at_ - 1).is(TokenKind::left_parenthesis)) break;
      bool stopped = false;
      return close_parenthesis(stopped);
    }
    case TokenKind::star: {
      // count(*)
      const Frame& frame = frames_.back();
      if (frame.kind != FrameKind::call || frame.close != at_ + 1 ||
          !unit_.at(at_ - 1).is(TokenKind::left_parenthesis)) {
        break;
      }
      push({.first = at_, .last = at_, .form = Form::none, .type = {}});
      ++at_;
      return {};
    }
    default:
      break;
  }
  return unexpected(unit_, at_, "an expression");
}

Status Typing::literal() {
  const Token& here = token();
  Term term{.first = at_, .last = at_, .literal = at_};
  switch (here.kind) {
    case TokenKind::integer:
      term.form = Form::integer_literal;
      break;
    case TokenKind::floating: {
      term.form = Form::point_literal;
      const auto digits = std::ranges::count_if(here.text.substr(0, here.text.find_first_of("eE")),
                                                [](char c) { return c >= '0' && c <= '9'; });
      if (digits > 15) long_literals_.push_back(at_);
      break;
    }
    case TokenKind::string:
      term.form = Form::string_literal;
      break;
    case TokenKind::blob:
      term.type = of(TypeKind::bytes);
      break;
    default: {
      term.form = Form::parameter;
      KIMBERLITE_TRY(const std::uint32_t number, door_.caller_parameter(unit_, at_));
      unit_.edits.replace(at_, fmt::format("?{}", door_.bind_caller(number)));
    }
  }
  ++at_;
  push(std::move(term));
  return {};
}

Status Typing::operand_word() {
  const bool calls = token(1).is(TokenKind::left_parenthesis);
  switch (token().keyword) {
    case Keyword::not_:
      operators_.push_back({Operator::not_, precedence_not, at_, at_});
      ++at_;
      return {};
    case Keyword::exists:
      return exists();
    case Keyword::case_:
      return open_case();
    case Keyword::cast:
      if (calls) return open_cast();
      break;
    case Keyword::null:
      push({.first = at_, .last = at_, .form = Form::null_literal, .type = {}});
      ++at_;
      return {};
    case Keyword::true_:
    case Keyword::false_:
      push({.first = at_, .last = at_, .type = of(TypeKind::boolean)});
      ++at_;
      return {};
    case Keyword::current_timestamp:
    case Keyword::current_date:
    case Keyword::current_time: {
      const bool date = token().is(Keyword::current_date);
      const bool time = token().is(Keyword::current_time);
      unit_.edits.replace(at_, date ? "kmb_today()" : time ? "kmb_time_of_day()" : "kmb_now()");
      push({.first = at_,
            .last = at_,
            .type = of(date   ? TypeKind::date
                       : time ? TypeKind::time
                              : TypeKind::timestamp)});
      ++at_;
      return {};
    }
    case Keyword::date:
      if (token(1).is(TokenKind::string)) return typed_literal(TypeKind::date);
      break;
    case Keyword::time:
      if (token(1).is(TokenKind::string)) return typed_literal(TypeKind::time);
      break;
    case Keyword::timestamp:
      if (token(1).is(TokenKind::string)) return typed_literal(TypeKind::timestamp);
      break;
    case Keyword::interval:
      if (token(1).is(TokenKind::string)) return typed_literal(TypeKind::interval);
      break;
    case Keyword::raise:
      return unsupported(unit_, at_, "RAISE");
    case Keyword::row:
      if (calls) return unsupported(unit_, at_, "ROW(…)", "write (a, b)");
      break;
    default:
      break;
  }
  return name_or_call();
}

Status Typing::typed_literal(TypeKind kind) {
  const std::uint32_t text = at_ + 1;
  std::string spelled = string_of(unit_.at(text));
  std::uint32_t last = text;
  if (kind == TypeKind::interval && text + 1 < end_) {  // INTERVAL '1' DAY
    switch (unit_.at(text + 1).keyword) {
      case Keyword::year:
      case Keyword::month:
      case Keyword::day:
      case Keyword::hour:
      case Keyword::minute:
      case Keyword::second:
        last = text + 1;
        spelled += fmt::format(" {}", lower_case(unit_.at(last).text));
        unit_.edits.replace(last, "");
        break;
      default:
        break;
    }
  }
  const auto canonical = canonicalise(ValueView{std::string_view{spelled}}, of(kind));
  if (!canonical) {
    return fault(unit_, text, Code::type_format, "the text spells no {}", type_name(of(kind)))
        .next("{}", canonical.error().next());
  }
  unit_.edits.replace(at_, "");
  unit_.edits.replace(text, quote_string(std::get<std::string>(*canonical)));
  push({.first = at_, .last = last, .type = of(kind)});
  at_ = last + 1;
  return {};
}

Status Typing::name_or_call() {
  if (token(1).is(TokenKind::left_parenthesis) && token().is(TokenKind::word)) return open_call();
  if (!is_plain_name(token())) return unexpected(unit_, at_, "an expression");
  std::uint32_t qualifier = no_token;
  std::uint32_t name = at_;
  if (token(1).is(TokenKind::dot)) {
    qualifier = at_;
    name = at_ + 2;
    if (!token(2).is_name()) return unexpected(unit_, name, "a column");
    if (token(3).is(TokenKind::dot)) {
      return unsupported(unit_, qualifier, "a schema before a table's name",
                         "name the table alone");
    }
  }
  KIMBERLITE_TRY(Term term, column(qualifier, name));
  at_ = name + 1;
  push(std::move(term));
  return {};
}

Status Typing::parenthesis() {
  const std::uint32_t scope = shape_.scope_at[at_];
  const std::uint32_t close = unit_.match[at_];
  if (scope != no_index) {
    const Scope& inner = shape_.scopes[scope];
    Term term{.first = at_, .last = close, .type = {}};
    if (inner.facts.size() == 1) term.type = inner.facts[0].type;
    at_ = close + 1;
    push(std::move(term));
    return {};
  }
  frames_.push_back({.kind = FrameKind::group,
                     .operators = static_cast<std::uint32_t>(operators_.size()),
                     .terms = static_cast<std::uint32_t>(terms_.size()),
                     .first = at_,
                     .close = close});
  ++at_;
  return {};
}

Status Typing::exists() {
  if (!token(1).is(TokenKind::left_parenthesis) || shape_.scope_at[at_ + 1] == no_index) {
    return unexpected(unit_, at_ + 1, "( SELECT … )");
  }
  const std::uint32_t close = unit_.match[at_ + 1];
  push({.first = at_, .last = close, .type = of(TypeKind::boolean)});
  at_ = close + 1;
  return {};
}

namespace {
template <class Frame, class Kind>
Frame opened(Kind kind, std::size_t operators, std::size_t terms, std::uint32_t first,
             std::uint32_t close) {
  Frame frame;
  frame.kind = kind;
  frame.operators = static_cast<std::uint32_t>(operators);
  frame.terms = static_cast<std::uint32_t>(terms);
  frame.first = first;
  frame.close = close;
  return frame;
}
}  // namespace

Status Typing::open_case() {
  if (frames_.size() > parentheses_max) {
    return fault(unit_, at_, Code::limit_depth, "CASE inside CASE, more than {} deep",
                 parentheses_max);
  }
  Frame frame = opened<Frame>(FrameKind::when, operators_.size(), terms_.size(), at_, no_token);
  ++at_;
  if (token().is(Keyword::when)) {
    frame.part = Frame::Part::condition;
    ++at_;
  }
  frames_.push_back(std::move(frame));
  return {};
}

Status Typing::open_call() {
  if (same_name(token().text, "extract")) return open_extract();
  Frame frame =
      opened<Frame>(FrameKind::call, operators_.size(), terms_.size(), at_, unit_.match[at_ + 1]);
  at_ += 2;
  if (token().is(Keyword::distinct)) {
    frame.distinct = true;
    ++at_;
  }
  frames_.push_back(std::move(frame));
  return {};
}

Status Typing::open_cast() {
  frames_.push_back(
      opened<Frame>(FrameKind::cast, operators_.size(), terms_.size(), at_, unit_.match[at_ + 1]));
  at_ += 2;
  return {};
}

// EXTRACT(field FROM value)
Status Typing::open_extract() {
  if (!token(2).is(TokenKind::word) || !token(3).is(Keyword::from)) {
    return unexpected(unit_, at_ + 2, "field FROM value, like YEAR FROM born");
  }
  Frame frame = opened<Frame>(FrameKind::extract, operators_.size(), terms_.size(), at_,
                              unit_.match[at_ + 1]);
  unit_.edits.replace(at_, "kmb_extract");
  unit_.edits.replace(at_ + 2, quote_string(lower_case(token(2).text)));
  unit_.edits.replace(at_ + 3, ",");
  at_ += 4;
  frames_.push_back(std::move(frame));
  return {};
}

// ---- Operators ----------------------------------------------------------------------------------

Status Typing::operator_at(bool& stopped) {
  switch (token().kind) {
    case TokenKind::right_parenthesis:
      return close_parenthesis(stopped);
    case TokenKind::comma: {
      const FrameKind kind = frames_.back().kind;
      if (kind != FrameKind::group && kind != FrameKind::call && kind != FrameKind::list) break;
      KIMBERLITE_CHECK(reduce(0));
      ++at_;
      want_operand_ = true;
      return {};
    }
    case TokenKind::equal:
    case TokenKind::not_equal:
      return binary(Operator::compare, precedence_equality);
    case TokenKind::less:
    case TokenKind::less_equal:
    case TokenKind::greater:
    case TokenKind::greater_equal:
      return binary(Operator::compare, precedence_order);
    case TokenKind::ampersand:
    case TokenKind::bar:
    case TokenKind::shift_left:
    case TokenKind::shift_right:
      return binary(Operator::bits, precedence_bits);
    case TokenKind::plus:
    case TokenKind::minus:
      return binary(Operator::arithmetic, precedence_sum);
    case TokenKind::star:
    case TokenKind::slash:
    case TokenKind::percent:
      return binary(Operator::arithmetic, precedence_product);
    case TokenKind::concatenate:
      return binary(Operator::concatenate, precedence_concatenate);
    case TokenKind::arrow:
    case TokenKind::double_arrow:
      return binary(Operator::arrow, precedence_concatenate);
    case TokenKind::double_colon:
      return double_colon();
    case TokenKind::word:
      return operator_word(stopped);
    default:
      break;
  }
  stopped = true;
  return {};
}

Status Typing::operator_word(bool& stopped) {
  switch (token().keyword) {
    case Keyword::and_:
      return and_word();
    case Keyword::or_:
      return binary(Operator::or_, precedence_or);
    case Keyword::is:
      return is_word();
    case Keyword::not_:
      return negated_word();
    case Keyword::in:
      return in_word(false);
    case Keyword::between:
      return binary(Operator::between_open, precedence_equality);
    case Keyword::like:
    case Keyword::glob:
      return binary(Operator::like, precedence_equality);
    case Keyword::ilike:
      return binary(Operator::ilike, precedence_equality);
    case Keyword::escape:
      return binary(Operator::escape, precedence_escape);
    case Keyword::isnull:
    case Keyword::notnull:
      return postfix_null(1);
    case Keyword::collate:
      return collate_word();
    case Keyword::when:
    case Keyword::then:
    case Keyword::else_:
    case Keyword::end:
      return case_word(stopped);
    case Keyword::as:
      if (frames_.back().kind == FrameKind::cast) return cast_type();
      break;
    case Keyword::match:
    case Keyword::regexp:
    case Keyword::similar:
      return unsupported(unit_, at_, spelling(token().keyword), "use LIKE, ILIKE or GLOB");
    default:
      break;
  }
  stopped = true;
  return {};
}

Status Typing::binary(Operator what, std::uint8_t precedence, std::uint32_t tokens, bool negated) {
  KIMBERLITE_CHECK(reduce(precedence));
  operators_.push_back({what, precedence, at_, at_ + tokens - 1, negated});
  at_ += tokens;
  want_operand_ = true;
  return {};
}

// Of BETWEEN, if one is waiting for it.
Status Typing::and_word() {
  KIMBERLITE_CHECK(reduce(precedence_and + 1));
  const bool own = operators_.size() > frames_.back().operators;
  if (own && operators_.back().what == Operator::between_open) {
    operators_.back().what = Operator::between;
    ++at_;
    want_operand_ = true;
    return {};
  }
  return binary(Operator::and_, precedence_and);
}

// IS [NOT] [DISTINCT FROM]
Status Typing::is_word() {
  std::uint32_t tokens = 1;
  if (token(tokens).is(Keyword::not_)) ++tokens;
  if (token(tokens).is(Keyword::distinct) && token(tokens + 1).is(Keyword::from)) tokens += 2;
  return binary(Operator::is, precedence_equality, tokens);
}

Status Typing::negated_word() {
  switch (token(1).keyword) {
    case Keyword::null:
      return postfix_null(2);
    case Keyword::between:
      return binary(Operator::between_open, precedence_equality, 2);
    case Keyword::in:
      return in_word(true);
    case Keyword::like:
    case Keyword::glob:
      return binary(Operator::like, precedence_equality, 2);
    case Keyword::ilike:
      return binary(Operator::ilike, precedence_equality, 2, true);
    default:
      return unexpected(unit_, at_ + 1, "NULL, BETWEEN, IN, LIKE or ILIKE");
  }
}

Status Typing::postfix_null(std::uint32_t tokens) {
  KIMBERLITE_CHECK(reduce(precedence_equality));
  Term& term = terms_.back();
  term = {.first = term.first,
          .last = at_ + tokens - 1,
          .type = of(TypeKind::boolean),
          .atomic = false};
  at_ += tokens;
  return {};
}

Status Typing::in_word(bool negated) {
  KIMBERLITE_CHECK(reduce(precedence_equality));
  const std::uint32_t open = at_ + (negated ? 2 : 1);
  if (open >= end_ || !unit_.at(open).is(TokenKind::left_parenthesis)) {
    return unexpected(unit_, open, "( values ) or ( SELECT … )");
  }
  const std::uint32_t close = unit_.match[open];
  const std::uint32_t scope = shape_.scope_at[open];
  if (scope == no_index) {
    Frame frame = opened<Frame>(FrameKind::list, operators_.size(), terms_.size(), at_, close);
    frame.negated = negated;
    frames_.push_back(std::move(frame));
    at_ = open + 1;
    want_operand_ = true;
    return {};
  }
  Term& left = terms_.back();
  const auto& facts = shape_.scopes[scope].facts;
  if (left.form != Form::row && facts.size() == 1) {
    const Order ours = order_of_term(left);
    const Order theirs = facts[0].type ? order_of(*facts[0].type) : Order::binary;
    if (ours != theirs && ours != Order::binary && facts[0].type) {
      return fault(unit_, at_, Code::type_mismatch, "{} IN a list of {}", type_name(*left.type),
                   type_name(*facts[0].type))
          .next("CAST the subquery's column");
    }
    if (ours != theirs && theirs != Order::binary) KIMBERLITE_CHECK(coerce(left, theirs));
    collate(left);
  }
  left = {.first = left.first, .last = close, .type = of(TypeKind::boolean), .atomic = false};
  at_ = close + 1;
  return {};
}

Status Typing::collate_word() {
  KIMBERLITE_CHECK(reduce(precedence_collate));
  if (at_ + 1 >= end_ || !unit_.at(at_ + 1).is_name())
    return unexpected(unit_, at_ + 1, "a collation");
  const std::string name = name_of(unit_.at(at_ + 1));
  if (!same_name(name, "nocase") && !same_name(name, "binary") && !same_name(name, "rtrim")) {
    return fault(unit_, at_ + 1, Code::not_found_object, "there is no collation {}",
                 display_name(name))
        .next("there are BINARY, NOCASE and RTRIM");
  }
  Term& term = terms_.back();
  // The user's own order: not by value any more.
  term.last = at_ + 1;
  term.carries = true;
  term.form = Form::expression;
  if (order_of_term(term) != Order::binary) term.type = of(TypeKind::text);
  term.column = false;
  at_ += 2;
  return {};
}

namespace {
std::string cast_call_end(const Type& type) {
  return fmt::format(", {}, {}, {})", static_cast<int>(type.kind), type.precision, type.scale);
}
}  // namespace

// x::type
Status Typing::double_colon() {
  std::size_t next = at_ + 1;
  KIMBERLITE_TRY(const Type type, parse_type(unit_.text, unit_.tokens, next));
  Term& term = terms_.back();
  if (term.literal != no_token) std::erase(long_literals_, term.literal);
  if (term.form == Form::point_literal && type.kind == TypeKind::decimal) {
    textify(term, std::string{unit_.at(term.literal).text});
  }
  wrap(term, "kmb_cast(", "");
  unit_.edits.remove({at_, static_cast<std::uint32_t>(next)});
  term.last = static_cast<std::uint32_t>(next - 1);
  unit_.edits.after(term.last, cast_call_end(type));
  term.type = type;
  at_ = static_cast<std::uint32_t>(next);
  return {};
}

// CAST(x AS type): the type is behind AS.
Status Typing::cast_type() {
  KIMBERLITE_CHECK(reduce(0));
  const Frame frame = frames_.back();
  std::size_t next = at_ + 1;
  KIMBERLITE_TRY(const Type type, parse_type(unit_.text, unit_.tokens, next));
  if (next != frame.close) {
    return unexpected(unit_, static_cast<std::uint32_t>(next), "the end of CAST");
  }
  Term& value = terms_.back();
  if (value.literal != no_token) std::erase(long_literals_, value.literal);
  if (value.form == Form::point_literal && type.kind == TypeKind::decimal) {
    textify(value, std::string{unit_.at(value.literal).text});
  }
  unit_.edits.replace(frame.first, "kmb_cast");
  unit_.edits.remove({at_, frame.close});
  unit_.edits.replace(frame.close, cast_call_end(type));
  frames_.pop_back();
  terms_.back() = {.first = frame.first, .last = frame.close, .type = type};
  at_ = frame.close + 1;
  return {};
}

}  // namespace kimberlite::sql
