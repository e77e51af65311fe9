// Expressions: read with SQLite's precedences, typed, and rewritten where SQLite would compute or
// compare otherwise than by value.
//
// The reader is an operator-precedence one on explicit stacks: terms, operators, and a frame for
// each open parenthesis, CASE or call. A *term* is a stretch of tokens with what is known of its
// type. A column whose type has an order of its own *carries* its collation through CTEs,
// subqueries and compounds; any other expression of such a type gets a COLLATE where it is
// compared, sorted or becomes a result, so that results carry it again.
//
// Edits of a term are made before those of the term it becomes part of; then they nest.
#pragma once

#include <optional>
#include <vector>

#include "door.hpp"
#include "shape.hpp"
#include "sql/types.hpp"

namespace kimberlite::sql {

enum class Form : std::uint8_t {
  expression,
  integer_literal,
  point_literal,  // 1.5, 1e3
  string_literal,
  null_literal,
  parameter,
  row,   // (a, b)
  none,  // stands for the columns of a `*`
};

struct Term {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  Form form = Form::expression;
  std::optional<catalog::Type> type = {};
  bool carries = false;
  bool column = false;  // nothing but a column: its name is the result's
  bool atomic = true;   // COLLATE may follow without parentheses
  std::uint32_t literal = no_token;
  std::uint32_t minus = no_token;  // in front of the literal
  // Of a chain a + b + c, one call of many arguments: the edit that closes it.
  std::uint32_t chain = no_index;
  TokenKind chain_of = TokenKind::end;
  std::uint32_t chain_length = 0;
  std::uint32_t row = no_index;
  std::string name = {};  // of a column
};

// Whose names an expression sees.
struct Sight {
  std::uint32_t scope = 0;
  std::uint32_t core = 0;
  bool results = false;  // ORDER BY: the names of the results first
};

class Typing {
 public:
  // `exact`: a table of the unit has a column that `+ - * / %` must not be SQLite's for.
  Typing(Unit& unit, Shape& shape, Door& door, bool exact)
      : unit_(unit), shape_(shape), door_(door), exact_(exact) {}

  // Reads one expression; `stop` is the first token that does not belong to it.
  [[nodiscard]] Result<Term> read(Range range, Sight sight, std::uint32_t& stop);
  // Reads all of the range.
  [[nodiscard]] Result<Term> read_all(Range range, Sight sight);
  // A member of ORDER BY, GROUP BY or PARTITION BY: ASC, DESC, NULLS may follow.
  [[nodiscard]] Status read_sorted(Range range, Sight sight);
  // The inside of OVER (…) or of WINDOW w AS (…).
  [[nodiscard]] Status read_window(Range range, Sight sight);
  // FILTER and OVER parts met on the way.
  [[nodiscard]] Status read_pending();
  // Literals of over 15 digits that would have become doubles.
  [[nodiscard]] Status check_literals() const;

  // Gives the term its collation, unless it carries it or needs none.
  void collate(Term& term);
  // As a value of the column: literals become what is stored.
  [[nodiscard]] Status assign(Term& term, const catalog::Column& column);
  // Makes several alternatives (CASE, COALESCE, UNION) one type.
  [[nodiscard]] Result<std::optional<catalog::Type>> unify(std::span<Term*> terms);
  // The first aggregate of the outermost SELECT itself that no window makes one value a row of.
  [[nodiscard]] std::uint32_t top_aggregate() const { return top_aggregate_; }
  [[nodiscard]] const std::vector<Term>& row_of(const Term& term) const { return rows_[term.row]; }

 private:
  enum class Operator : std::uint8_t {
    or_,
    and_,
    not_,
    compare,
    is,
    between_open,
    between,
    like,
    ilike,
    escape,
    bits,
    arithmetic,
    concatenate,
    arrow,
    minus,
    plus,
    invert,
  };
  struct Pushed {
    Operator what;
    std::uint8_t precedence;
    std::uint32_t first;  // tokens of the operator
    std::uint32_t last;
    bool negated = false;
  };
  enum class FrameKind : std::uint8_t { root, group, call, cast, extract, list, when };
  struct Frame {
    FrameKind kind = FrameKind::root;
    std::uint32_t operators = 0;  // height of the stacks below it
    std::uint32_t terms = 0;
    std::uint32_t first = 0;
    std::uint32_t close = no_token;  // its parenthesis
    bool negated = false;            // NOT IN
    bool distinct = false;
    // CASE: what the term being read is, and those read.
    enum class Part : std::uint8_t { operand, condition, result, otherwise };
    Part part = Part::operand;
    std::optional<std::uint32_t> operand = {};  // of the terms: CASE x WHEN
    std::vector<std::uint32_t> conditions = {};
    std::vector<std::uint32_t> results = {};
  };

  // ---- Reading: typing.cpp
  [[nodiscard]] Status step(bool& stopped);
  [[nodiscard]] Status operand();
  [[nodiscard]] Status operand_word();
  [[nodiscard]] Status name_or_call();
  [[nodiscard]] Status literal();
  [[nodiscard]] Status typed_literal(catalog::TypeKind kind);
  [[nodiscard]] Status parenthesis();
  [[nodiscard]] Status open_case();
  [[nodiscard]] Status open_call();
  [[nodiscard]] Status open_cast();
  [[nodiscard]] Status open_extract();
  [[nodiscard]] Status exists();
  [[nodiscard]] Status operator_at(bool& stopped);
  [[nodiscard]] Status operator_word(bool& stopped);
  [[nodiscard]] Status binary(Operator what, std::uint8_t precedence, std::uint32_t tokens = 1,
                              bool negated = false);
  [[nodiscard]] Status and_word();
  [[nodiscard]] Status is_word();
  [[nodiscard]] Status negated_word();
  [[nodiscard]] Status in_word(bool negated);
  [[nodiscard]] Status postfix_null(std::uint32_t tokens);
  [[nodiscard]] Status collate_word();
  [[nodiscard]] Status double_colon();
  [[nodiscard]] Status close_parenthesis(bool& stopped);
  [[nodiscard]] Status close_list();
  [[nodiscard]] Status case_word(bool& stopped);
  [[nodiscard]] Status close_case();
  [[nodiscard]] Status cast_type();
  [[nodiscard]] Status reduce(std::uint8_t precedence);
  [[nodiscard]] Status reduce_one();

  // ---- Rules: typing_rules.cpp
  [[nodiscard]] Result<Term> arithmetic(Term a, Term b, std::uint32_t op);
  [[nodiscard]] Result<Term> negation(Term a, std::uint32_t op);
  [[nodiscard]] Status compare(Term& a, Term& b, std::uint32_t op);
  [[nodiscard]] Status compare_values(Term& a, Term& b, std::uint32_t op);
  [[nodiscard]] Status boolean_literal(Term& term);
  [[nodiscard]] Status coerce(Term& term, Order order);
  [[nodiscard]] Status coerce_literal(Term& term, Order order);
  void store(Term& term, const catalog::Type& type);
  void textify(Term& term, std::string text);
  void wrap(Term& term, std::string before, std::string after);
  void chain(Term& result, const Term& a, const Term& b, std::uint32_t op, std::string_view name);
  [[nodiscard]] Result<std::optional<catalog::Type>> arithmetic_type(const Term& a, const Term& b,
                                                                     std::uint32_t op) const;
  [[nodiscard]] Order order_of_term(const Term& term) const;

  // ---- Calls: typing_calls.cpp
  [[nodiscard]] Status close_call();
  [[nodiscard]] Result<bool> after_call(Term& result);
  [[nodiscard]] Result<std::optional<catalog::Type>> call_type(std::string_view name,
                                                               std::span<Term> arguments,
                                                               const Frame& frame);
  [[nodiscard]] Result<std::optional<catalog::Type>> number_call(std::string_view name,
                                                                 std::span<Term> arguments,
                                                                 const Frame& frame);
  [[nodiscard]] Result<Term> column(std::uint32_t qualifier, std::uint32_t name);

  [[nodiscard]] const Token& token(std::uint32_t ahead = 0) const {
    return unit_.at(std::min(at_ + ahead, unit_.size() - 1));
  }
  [[nodiscard]] bool done() const { return at_ >= end_; }
  void push(Term term) {
    terms_.push_back(std::move(term));
    want_operand_ = false;
  }
  [[nodiscard]] static catalog::Type of(catalog::TypeKind kind) { return {kind, 0, 0}; }

  Unit& unit_;
  Shape& shape_;
  Door& door_;
  bool exact_;

  Sight sight_;
  std::uint32_t at_ = 0;
  std::uint32_t end_ = 0;
  bool want_operand_ = true;
  std::vector<Term> terms_;
  std::vector<Pushed> operators_;
  std::vector<Frame> frames_;
  std::vector<std::vector<Term>> rows_;
  struct Pending {
    Range range;
    Sight sight;
    bool window;
  };
  std::vector<Pending> pending_;
  std::vector<std::uint32_t> long_literals_;  // not yet passed as text
  std::uint32_t top_aggregate_ = no_token;
};

}  // namespace kimberlite::sql
