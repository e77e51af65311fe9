// VERIFY SELECT: what can be proved row by row, and what comes with each row for it.
#include <algorithm>

#include "resolver.hpp"

namespace kimberlite::sql {
namespace {

constexpr std::size_t columns_max = 2000;  // of a result, as SQLite is set
constexpr std::string_view whole_table = "VERIFY TABLE proves all rows of a table at once";

// Outside the parentheses of the range.
std::uint32_t find_word(const Unit& unit, Range range, Keyword word) {
  for (std::uint32_t i = range.first; i < range.end; ++i) {
    if (unit.at(i).is(word)) return i;
    if (unit.at(i).is(TokenKind::left_parenthesis)) i = unit.match[i];
  }
  return no_token;
}

}  // namespace

// (D5). Aggregates are found when expressions are read.
Status Resolver::check_verified() const {
  const Scope& top = shape_.scopes[0];
  const Core& core = top.cores[0];
  const auto refuse = [&](std::uint32_t token, std::string_view what) {
    return unsupported(unit_, token, fmt::format("{} in VERIFY SELECT", what), whole_table);
  };
  if (top.cores.size() > 1) {
    return refuse(top.cores[1].range.first - 1, "UNION, INTERSECT or EXCEPT");
  }
  if (core.values) return refuse(core.range.first, "VALUES");
  const std::uint32_t behind_select = core.range.first + 1;
  if (unit_.at(behind_select).is(Keyword::distinct)) return refuse(behind_select, "DISTINCT");
  if (!core.groups.empty()) return refuse(core.groups[0].first, "GROUP BY");
  const std::uint32_t having = find_word(unit_, core.range, Keyword::having);
  if (having != no_token) return refuse(having, "HAVING");
  if (core.sources.empty()) {
    return fault(unit_, core.range.first, Code::sql_misuse,
                 "VERIFY SELECT reads no table, so there is nothing to verify")
        .next("SELECT alone");
  }
  // A value from rows that are not returned, and an aggregate of them it may be, would stand among
  // the verified ones.
  for (std::uint32_t s = 1; s < shape_.scopes.size(); ++s) {
    const Scope& scope = shape_.scopes[s];
    if (scope.parent != 0 || scope.role != Role::expression) continue;
    const auto within = [&](Range range) {
      return range.first <= scope.range.first && scope.range.end <= range.end;
    };
    for (const Item& item : core.items) {
      if (within(item.range)) {
        return refuse(scope.range.first, "a subquery among the columns");
      }
    }
    for (const Range& order : top.orders) {
      if (within(order)) return refuse(scope.range.first, "a subquery in ORDER BY");
    }
  }
  return {};
}

Status Resolver::check_verified(const Source& source) const {
  const auto refuse = [&](std::string_view what) {
    return unsupported(unit_, source.name.first,
                       fmt::format("{} in the FROM of VERIFY SELECT", what),
                       "VERIFY SELECT of the tables it reads, or VERIFY TABLE");
  };
  if (source.cte != no_index) return refuse("a common table expression");
  switch (source.kind) {
    case SourceKind::derived:
      return refuse("a subquery");
    case SourceKind::json:
      return refuse("a table function");
    case SourceKind::history:
      return refuse("HISTORY");
    case SourceKind::diff:
      return refuse("DIFF");
    case SourceKind::named:
    case SourceKind::target:
    case SourceKind::excluded:
      return {};
  }
  return {};
}

// Behind the last of the user's columns, whose places ORDER BY may name.
Status Resolver::put_verified() {
  std::string list;
  std::size_t columns = shape_.scopes[0].facts.size();
  const std::vector<VerifiedTable>& tables = door_.result().verified;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    columns += tables[t].width();
    for (std::size_t i = 0; i < tables[t].width(); ++i) {
      list += fmt::format(", {}", verified_name(t + 1, i));
    }
  }
  const bool wide = std::ranges::any_of(
      tables, [](const VerifiedTable& table) { return 2 * table.width() > columns_max; });
  const Core& core = shape_.scopes[0].cores[0];
  if (wide || columns > columns_max) {
    return fault(unit_, core.range.first, Code::limit_columns,
                 "the tables of this VERIFY SELECT have too many columns")
        .why("each is read twice, to be shown and to be compared; {} are allowed", columns_max)
        .next("{}", whole_table);
  }
  unit_.edits.after(core.items.back().range.end - 1, std::move(list));
  return {};
}

}  // namespace kimberlite::sql
