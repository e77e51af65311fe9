// What ends a parenthesis, a CASE, a call; and what an operator makes of its terms.
#include <algorithm>

#include "typing.hpp"

namespace kimberlite::sql {

using catalog::TypeKind;

// ---- Closing what is open -----------------------------------------------------------------------

Status Typing::close_parenthesis(bool& stopped) {
  Frame& frame = frames_.back();
  if (frame.close != at_) {
    if (frame.kind == FrameKind::when) return unexpected(unit_, at_, "END");
    stopped = true;
    return {};
  }
  if (!want_operand_) {
    KIMBERLITE_CHECK(reduce(0));
    if (operators_.size() > frame.operators) return unexpected(unit_, at_, "AND (of BETWEEN)");
  }
  switch (frame.kind) {
    case FrameKind::list:
      return close_list();
    case FrameKind::call:
      return close_call();
    case FrameKind::cast:
      return unexpected(unit_, at_, "AS and a type");
    case FrameKind::extract: {
      const bool exact = std::ranges::any_of(
          std::initializer_list<std::string_view>{"second", "epoch"},
          [&](std::string_view field) { return same_name(unit_.at(frame.first + 2).text, field); });
      const Term term{.first = frame.first,
                      .last = at_,
                      .type = of(exact ? TypeKind::decimal : TypeKind::bigint)};
      terms_.resize(frame.terms);
      frames_.pop_back();
      ++at_;
      push(term);
      return {};
    }
    default:
      break;
  }
  const std::size_t count = terms_.size() - frame.terms;
  if (count == 1) {
    Term& term = terms_.back();
    term.first = frame.first;
    term.last = at_;
    term.atomic = true;
    term.chain = no_index;
  } else {
    Term row{.first = frame.first, .last = at_, .form = Form::row, .type = {}};
    row.row = static_cast<std::uint32_t>(rows_.size());
    rows_.emplace_back(terms_.begin() + frame.terms, terms_.end());
    terms_.resize(frame.terms);
    terms_.push_back(std::move(row));
  }
  frames_.pop_back();
  ++at_;
  return {};
}

Status Typing::close_list() {
  const Frame frame = frames_.back();
  frames_.pop_back();
  Term& left = terms_[frame.terms - 1];
  for (std::size_t i = frame.terms; i < terms_.size(); ++i) {
    KIMBERLITE_CHECK(compare(left, terms_[i], frame.first));
  }
  // IN compares by the left side's collation, whatever the list has.
  collate(left);
  const Term result{
      .first = left.first, .last = at_, .type = of(TypeKind::boolean), .atomic = false};
  terms_.resize(frame.terms - 1);
  ++at_;
  push(result);
  return {};
}

// WHEN, THEN, ELSE, END: each ends what was being read.
Status Typing::case_word(bool& stopped) {
  Frame& frame = frames_.back();
  if (frame.kind != FrameKind::when) {
    stopped = true;
    return {};
  }
  KIMBERLITE_CHECK(reduce(0));
  if (operators_.size() > frame.operators) return unexpected(unit_, at_, "AND (of BETWEEN)");
  using Part = Frame::Part;
  const auto last = static_cast<std::uint32_t>(terms_.size() - 1);
  const Keyword word = token().keyword;
  const bool fits = (frame.part == Part::operand && word == Keyword::when) ||
                    (frame.part == Part::condition && word == Keyword::then) ||
                    (frame.part == Part::result && word != Keyword::then) ||
                    (frame.part == Part::otherwise && word == Keyword::end);
  if (!fits) return unexpected(unit_, at_, "WHEN … THEN … [ELSE …] END");
  switch (frame.part) {
    case Part::operand:
      frame.operand = last;
      break;
    case Part::condition:
      frame.conditions.push_back(last);
      break;
    default:
      frame.results.push_back(last);
  }
  if (word == Keyword::end) return close_case();
  frame.part = word == Keyword::when   ? Part::condition
               : word == Keyword::then ? Part::result
                                       : Part::otherwise;
  ++at_;
  want_operand_ = true;
  return {};
}

Status Typing::close_case() {
  const Frame frame = std::move(frames_.back());
  frames_.pop_back();
  if (frame.operand) {
    Term& operand = terms_[*frame.operand];
    for (const std::uint32_t condition : frame.conditions) {
      KIMBERLITE_CHECK(compare(operand, terms_[condition], frame.first));
    }
    collate(operand);
  }
  std::vector<Term*> results;
  results.reserve(frame.results.size());
  for (const std::uint32_t result : frame.results) results.push_back(&terms_[result]);
  KIMBERLITE_TRY(const auto type, unify(results));
  terms_.resize(frame.terms);
  push({.first = frame.first, .last = at_, .type = type});
  ++at_;
  return {};
}

// ---- Reducing -----------------------------------------------------------------------------------

// Applies the frame's operators that bind at least as tight; a BETWEEN that waits for its AND is
// like an open parenthesis.
Status Typing::reduce(std::uint8_t precedence) {
  while (operators_.size() > frames_.back().operators &&
         operators_.back().what != Operator::between_open &&
         operators_.back().precedence >= precedence) {
    KIMBERLITE_CHECK(reduce_one());
  }
  return {};
}

Status Typing::reduce_one() {
  const Pushed op = operators_.back();
  operators_.pop_back();
  Term b = std::move(terms_.back());
  terms_.pop_back();
  const auto boolean = [&](std::uint32_t first) {
    return Term{.first = first, .last = b.last, .type = of(TypeKind::boolean), .atomic = false};
  };
  switch (op.what) {
    case Operator::not_:
      terms_.push_back(boolean(op.first));
      return {};
    case Operator::minus: {
      KIMBERLITE_TRY(Term result, negation(std::move(b), op.first));
      terms_.push_back(std::move(result));
      return {};
    }
    case Operator::plus:
    case Operator::invert: {
      Term result{.first = op.first, .last = b.last, .type = b.type, .atomic = false};
      if (op.what == Operator::invert) result.type = of(TypeKind::bigint);
      terms_.push_back(std::move(result));
      return {};
    }
    default:
      break;
  }
  Term a = std::move(terms_.back());
  terms_.pop_back();
  switch (op.what) {
    case Operator::arithmetic: {
      KIMBERLITE_TRY(Term result, arithmetic(std::move(a), std::move(b), op.first));
      terms_.push_back(std::move(result));
      return {};
    }
    case Operator::compare:
    case Operator::is:
      KIMBERLITE_CHECK(compare(a, b, op.first));
      break;
    case Operator::between: {
      Term x = std::move(terms_.back());
      terms_.pop_back();
      KIMBERLITE_CHECK(compare(x, a, op.first));
      KIMBERLITE_CHECK(compare(x, b, op.first));
      terms_.push_back(boolean(x.first));
      return {};
    }
    case Operator::ilike:
      unit_.edits.before(a.first, op.negated ? "(NOT kmb_ilike(" : "kmb_ilike(");
      unit_.edits.remove({op.first, op.last});
      unit_.edits.replace(op.last, ",");
      unit_.edits.after(b.last, op.negated ? "))" : ")");
      break;
    case Operator::escape: {
      // Becomes part of the pattern; of ILIKE it is an argument.
      const bool ilike = !operators_.empty() && operators_.back().what == Operator::ilike;
      if (!ilike && (operators_.empty() || operators_.back().what != Operator::like)) {
        return unexpected(unit_, op.first, "LIKE before ESCAPE");
      }
      if (ilike) unit_.edits.replace(op.first, ",");
      terms_.push_back({.first = a.first, .last = b.last, .atomic = false});
      return {};
    }
    case Operator::bits:
      terms_.push_back(
          {.first = a.first, .last = b.last, .type = of(TypeKind::bigint), .atomic = false});
      return {};
    case Operator::concatenate:
      terms_.push_back(
          {.first = a.first, .last = b.last, .type = of(TypeKind::text), .atomic = false});
      return {};
    case Operator::arrow:
      terms_.push_back({.first = a.first, .last = b.last, .atomic = false});
      return {};
    default:
      break;
  }
  terms_.push_back(boolean(a.first));
  return {};
}

}  // namespace kimberlite::sql
