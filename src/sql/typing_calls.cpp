// Columns and function calls.
#include <algorithm>
#include <array>

#include "sql/functions.hpp"
#include "typing.hpp"

namespace kimberlite::sql {

using catalog::Type;
using catalog::TypeKind;

namespace {

struct Found {
  const Fact* fact = nullptr;
  bool source_known = false;  // the qualifier names a source
};

Found find_in_sources(const Shape& shape, const Core& core, std::string_view qualifier,
                      std::string_view name) {
  Found found;
  for (const std::uint32_t index : core.sources) {
    const Source& source = shape.sources[index];
    if (qualifier.empty() ? source.kind == SourceKind::excluded
                          : !same_name(source.called(), qualifier)) {
      continue;
    }
    found.source_known = true;
    for (const Fact& fact : source.facts) {
      if (same_name(fact.name, name)) return {&fact, true};
    }
  }
  return found;
}

// The core whose tokens hold this one; ORDER BY belongs to the first.
std::uint32_t core_around(const Scope& scope, std::uint32_t token) {
  for (std::uint32_t i = 0; i < scope.cores.size(); ++i) {
    const Range range = scope.cores[i].range;
    if (token >= range.first && token < range.end) return i;
  }
  return 0;
}

std::string nearest(const Shape& shape, const Core& core, std::string_view name) {
  catalog::Table all;  // only to ask for the nearest name
  for (const std::uint32_t index : core.sources) {
    for (const Fact& fact : shape.sources[index].facts) {
      if (!fact.hidden)
        all.columns.push_back(
            {.id = {}, .name = fact.name, .type = {}, .default_value = {}, .generated = {}});
    }
  }
  return catalog::Catalog::nearest_column(all, name);
}

}  // namespace

// Own sources, then the results' names, then what is around: as SQLite looks.
Result<Term> Typing::column(std::uint32_t qualifier_at, std::uint32_t name_at) {
  const std::string name = name_of(unit_.at(name_at));
  const std::string qualifier = qualifier_at == no_token ? "" : name_of(unit_.at(qualifier_at));
  Term term{.first = qualifier_at == no_token ? name_at : qualifier_at, .last = name_at};
  const auto found = [&](const Fact& fact) {
    term.type = fact.type;
    term.carries = fact.type && order_of(*fact.type) != Order::binary;
    term.column = true;
    term.name = fact.name;
    return term;
  };
  bool source_known = false;
  Sight sight = sight_;
  // Each round goes one scope outwards.
  for (;;) {
    const Scope& scope = shape_.scopes[sight.scope];
    if (sight.results && qualifier.empty()) {
      for (const Fact& fact : scope.facts) {
        if (same_name(fact.name, name)) return found(fact);
      }
    }
    if (sight.core < scope.cores.size()) {
      const Core& core = scope.cores[sight.core];
      const Found here = find_in_sources(shape_, core, qualifier, name);
      if (here.fact != nullptr) return found(*here.fact);
      source_known = source_known || here.source_known;
      if (qualifier.empty()) {
        for (std::size_t i = 0; i < core.results.size(); ++i) {
          if (same_name(core.results[i].name, name)) return found(core.results[i]);
        }
      }
    }
    // A derived table or CTE does not see what stands beside it.
    std::uint32_t inner = sight.scope;
    while (inner != no_index && shape_.scopes[inner].role != Role::expression) {
      inner = shape_.scopes[inner].parent;
    }
    if (inner == no_index || shape_.scopes[inner].parent == no_index) break;
    const std::uint32_t outer = shape_.scopes[inner].parent;
    sight = {outer, core_around(shape_.scopes[outer], shape_.scopes[inner].range.first), false};
  }
  if (!qualifier.empty() && !source_known) {
    return fault(unit_, qualifier_at, Code::not_found_table, "there is no table {} in this FROM",
                 display_name(qualifier));
  }
  Error error =
      fault(unit_, name_at, Code::not_found_column, "there is no column {}", display_name(name));
  if (unit_.at(name_at).is(TokenKind::quoted_name) && qualifier.empty()) {
    return std::move(error).next("if a text is meant: '{}'", "…");
  }
  const Scope& own = shape_.scopes[sight_.scope];
  if (sight_.core < own.cores.size()) {
    const std::string near = nearest(shape_, own.cores[sight_.core], name);
    if (!near.empty()) return std::move(error).next("did you mean {}?", display_name(near));
  }
  return error;
}

// ---- Calls --------------------------------------------------------------------------------------

namespace {

using Names = std::initializer_list<std::string_view>;
bool one_of(std::string_view name, Names names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

Status Typing::close_call() {
  const Frame frame = std::move(frames_.back());
  frames_.pop_back();
  const std::string name = lower_case(unit_.at(frame.first).text);
  const std::span<Term> arguments{terms_.begin() + frame.terms, terms_.end()};
  Term result{.first = frame.first, .last = frame.close};
  if (name == "now" && arguments.empty()) {
    unit_.edits.replace(frame.first, "kmb_now");
    result.type = of(TypeKind::timestamp);
  } else if (!is_allowed_function(name) || one_of(name, {"json_each", "json_tree"})) {
    return fault(unit_, frame.first, Code::not_found_function, "there is no function {}", name);
  } else {
    KIMBERLITE_TRY(result.type, call_type(name, arguments, frame));
  }
  const std::size_t arguments_given = arguments.size();
  terms_.resize(frame.terms);
  at_ = frame.close + 1;
  const bool one_of_many =
      is_aggregate(name) || (one_of(name, {"min", "max"}) && arguments_given == 1);
  KIMBERLITE_TRY(const bool windowed, after_call(result));
  if (one_of_many && !windowed && sight_.scope == 0 && top_aggregate_ == no_token) {
    top_aggregate_ = frame.first;
  }
  push(std::move(result));
  return {};
}

// [FILTER (WHERE …)] [OVER name | OVER (…)]; whether OVER is there.
Result<bool> Typing::after_call(Term& result) {
  if (at_ + 1 < end_ && token().is(Keyword::filter) && token(1).is(TokenKind::left_parenthesis)) {
    const std::uint32_t close = unit_.match[at_ + 1];
    if (!token(2).is(Keyword::where)) return unexpected(unit_, at_ + 2, "WHERE");
    pending_.push_back({{at_ + 3, close}, sight_, false});
    result.last = close;
    at_ = close + 1;
  }
  if (at_ + 1 >= end_ || !token().is(Keyword::over)) return false;
  if (token(1).is(TokenKind::left_parenthesis)) {
    const std::uint32_t close = unit_.match[at_ + 1];
    pending_.push_back({{at_ + 2, close}, sight_, true});
    result.last = close;
    at_ = close + 1;
    return true;
  }
  if (!is_plain_name(token(1))) return unexpected(unit_, at_ + 1, "a window");
  result.last = at_ + 1;
  at_ += 2;
  return true;
}

Result<std::optional<Type>> Typing::call_type(std::string_view name, std::span<Term> arguments,
                                              const Frame& frame) {
  if (one_of(name, {"count", "row_number", "rank", "dense_rank", "ntile", "length", "instr",
                    "unicode", "unixepoch", "json_array_length", "random"})) {
    for (Term& argument : arguments) {
      if (frame.distinct) collate(argument);
    }
    return std::optional{of(TypeKind::bigint)};
  }
  if (one_of(name,
             {"lower", "upper", "trim", "ltrim", "rtrim", "replace", "substr", "substring", "hex",
              "char", "typeof", "quote", "printf", "format", "strftime", "group_concat"})) {
    if (name == "substring" && arguments.size() == 1) {
      return unsupported(unit_, frame.first, "SUBSTRING(… FROM …)",
                         "write substr(text, from, length)");
    }
    return std::optional{of(TypeKind::text)};
  }
  if (name == "date") return std::optional{of(TypeKind::date)};
  if (name == "time") return std::optional{of(TypeKind::time)};
  if (name == "datetime" || name == "date_trunc") return std::optional{of(TypeKind::timestamp)};
  if (one_of(name, {"like", "glob", "json_valid"})) return std::optional{of(TypeKind::boolean)};
  if (one_of(name, {"julianday", "cume_dist", "percent_rank", "pi"})) {
    return std::optional{of(TypeKind::double_precision)};
  }
  if (one_of(name, {"coalesce", "ifnull", "nullif", "min", "max", "iif", "lag", "lead",
                    "first_value", "last_value", "nth_value"})) {
    // The arguments that may be the result; the others are conditions, offsets.
    std::vector<Term*> alternatives;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const bool offset =
          (name == "iif" && i == 0) || (one_of(name, {"lag", "lead", "nth_value"}) && i == 1);
      if (!offset) alternatives.push_back(&arguments[i]);
    }
    if (name == "nullif" && arguments.size() == 2) {
      KIMBERLITE_CHECK(compare(arguments[0], arguments[1], frame.first));
      alternatives.pop_back();
    }
    KIMBERLITE_TRY(const auto type, unify(alternatives));
    if (one_of(name, {"min", "max"}) && !arguments.empty()) collate(arguments[0]);
    return type;
  }
  if (name.starts_with("json")) return std::optional<Type>{};
  return number_call(name, arguments, frame);
}

// What computes with numbers: ours where the argument is, or may be, exact.
Result<std::optional<Type>> Typing::number_call(std::string_view name, std::span<Term> arguments,
                                                const Frame& frame) {
  if (name == "date_part") return std::optional{of(TypeKind::decimal)};
  if (arguments.empty()) return std::optional<Type>{};
  Term& first = arguments[0];
  const bool known_number = first.form == Form::integer_literal ||
                            (first.type && order_of(*first.type) == Order::binary &&
                             storage_class(*first.type) != "TEXT");
  const bool exact_argument = order_of_term(first) != Order::binary;
  const bool ours = exact_argument || (exact_ && !known_number);
  struct Own {
    std::string_view name;
    std::string_view exact;
  };
  static constexpr std::array<Own, 4> own{
      {{"sum", "kmb_sum"}, {"avg", "kmb_avg"}, {"abs", "kmb_abs"}, {"round", "kmb_round"}}};
  for (const Own& function : own) {
    if (function.name != name) continue;
    if (ours) {
      if (first.form == Form::point_literal) KIMBERLITE_CHECK(coerce(first, Order::decimal));
      if (frame.distinct) collate(first);
      unit_.edits.replace(frame.first, std::string{function.exact});
      if (!exact_argument) return std::optional<Type>{};
      // The result may have more digits than the column.
      return std::optional{of(first.type->kind)};
    }
    if (!first.type) return std::optional<Type>{};
    const bool integer = storage_class(*first.type) == "INTEGER";
    const bool stays = integer && (name == "sum" || name == "abs");
    return std::optional{of(stays ? TypeKind::bigint : TypeKind::double_precision)};
  }
  if (name == "mod" && arguments.size() == 2 && ours) {
    unit_.edits.replace(frame.first, "kmb_mod");
    if (arguments[1].form == Form::point_literal)
      KIMBERLITE_CHECK(coerce(arguments[1], Order::decimal));
    return exact_argument ? std::optional{of(TypeKind::decimal)} : std::optional<Type>{};
  }
  for (const Term& argument : arguments) {
    if (order_of_term(argument) == Order::binary) continue;
    return fault(unit_, argument.first, Code::type_mismatch, "{} is not defined for {}", name,
                 type_name(*argument.type))
        .why("it computes with doubles, which are not exact")
        .next("CAST the argument to DOUBLE, or use ROUND, ABS, SUM, AVG");
  }
  return std::optional<Type>{};
}

}  // namespace kimberlite::sql
