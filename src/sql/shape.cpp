#include "shape.hpp"

#include <algorithm>

namespace kimberlite::sql {
namespace {

bool begins_scope(const Token& token) {
  return token.is(Keyword::select) || token.is(Keyword::values) || token.is(Keyword::with);
}

bool is_join_word(Keyword keyword) {
  switch (keyword) {
    case Keyword::join:
    case Keyword::natural:
    case Keyword::left:
    case Keyword::right:
    case Keyword::full:
    case Keyword::inner:
    case Keyword::outer:
    case Keyword::cross:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool is_plain_name(const Token& token) {
  if (token.is(TokenKind::quoted_name)) return true;
  return token.is(TokenKind::word) && !is_reserved(token.keyword) && !is_join_word(token.keyword);
}

std::vector<Range> split_at_commas(const Unit& unit, Range range) {
  std::vector<Range> parts;
  std::uint32_t begin = range.first;
  for (std::uint32_t i = range.first; i < range.end; ++i) {
    if (unit.at(i).is(TokenKind::left_parenthesis)) {
      i = unit.match[i];
    } else if (unit.at(i).is(TokenKind::comma)) {
      parts.push_back({begin, i});
      begin = i + 1;
    }
  }
  if (!range.empty()) parts.push_back({begin, range.end});
  return parts;
}

namespace {

class Parser {
 public:
  explicit Parser(const Unit& unit) : unit_(unit) {}
  Result<Shape> run();

 private:
  [[nodiscard]] const Token& token() const { return unit_.at(std::min(at_, unit_.size() - 1)); }
  [[nodiscard]] const Token& ahead(std::uint32_t n = 1) const {
    return unit_.at(std::min(at_ + n, unit_.size() - 1));
  }
  [[nodiscard]] bool done() const { return at_ >= end_; }
  [[nodiscard]] bool is(Keyword keyword) const { return !done() && token().is(keyword); }
  [[nodiscard]] bool is(TokenKind kind) const { return !done() && token().is(kind); }
  bool take(Keyword keyword) {
    if (!is(keyword)) return false;
    ++at_;
    return true;
  }
  bool take(TokenKind kind) {
    if (!is(kind)) return false;
    ++at_;
    return true;
  }
  Status want(Keyword keyword) {
    if (take(keyword)) return {};
    return unexpected(unit_, at_, spelling(keyword));
  }
  Result<std::uint32_t> want_name(std::string_view what) {
    if (done() || !is_plain_name(token())) return unexpected(unit_, at_, what);
    return at_++;
  }

  [[nodiscard]] bool at_window_clause() const {
    return is(Keyword::window) && is_plain_name(ahead()) && ahead(2).is(Keyword::as) &&
           ahead(3).is(TokenKind::left_parenthesis);
  }
  [[nodiscard]] bool ends_expression() const;
  Range expression();
  [[nodiscard]] Status find_scopes();
  [[nodiscard]] Status statement();
  [[nodiscard]] Status body(std::uint32_t scope);
  [[nodiscard]] Status with(std::uint32_t scope);
  [[nodiscard]] Status core(std::uint32_t scope);
  [[nodiscard]] Status select_rest(Core& core);
  [[nodiscard]] Status values_rest(Core& core);
  [[nodiscard]] Result<std::vector<Item>> items();
  [[nodiscard]] Status from(Core& core);
  [[nodiscard]] Status source(Core& core);
  [[nodiscard]] Status table_function(Source& source, Core& core);
  [[nodiscard]] Status as_of(Source& source);
  [[nodiscard]] Status alias(Source& source);
  [[nodiscard]] Status join_constraint(Core& core);
  [[nodiscard]] Status order_and_limit(Scope& scope);

  [[nodiscard]] Status dml();
  [[nodiscard]] Status target(bool may_have_alias);
  [[nodiscard]] Status insert();
  [[nodiscard]] Status conflicts();
  [[nodiscard]] Status update();
  [[nodiscard]] Status remove();
  [[nodiscard]] Status dml_tail();
  [[nodiscard]] Status or_action();
  [[nodiscard]] Result<std::vector<Assignment>> assignments();
  [[nodiscard]] Result<std::vector<std::uint32_t>> name_list();

  const Unit& unit_;
  Shape shape_;
  std::uint32_t at_ = 0;
  std::uint32_t end_ = 0;
};

// The expression ends before the word, unless the word belongs to it.
bool Parser::ends_expression() const {
  const Token& next = token();
  if (next.is(TokenKind::comma) || next.is(TokenKind::right_parenthesis)) return true;
  if (!next.is(TokenKind::word)) return false;
  switch (next.keyword) {
    case Keyword::from:  // IS [NOT] DISTINCT FROM
      return at_ == 0 || !unit_.at(at_ - 1).is(Keyword::distinct);
    case Keyword::window:
      return at_window_clause();
    case Keyword::where:
    case Keyword::group:
    case Keyword::having:
    case Keyword::order:
    case Keyword::limit:
    case Keyword::union_:
    case Keyword::intersect:
    case Keyword::except:
    case Keyword::returning:
    case Keyword::on:
    case Keyword::using_:
    case Keyword::as:
    case Keyword::set:
      return true;
    default:
      return is_join_word(next.keyword);
  }
}

Range Parser::expression() {
  const std::uint32_t first = at_;
  while (!done() && !ends_expression()) {
    at_ = token().is(TokenKind::left_parenthesis) ? unit_.match[at_] + 1 : at_ + 1;
  }
  return {first, at_};
}

// Every parenthesis that opens a SELECT is a scope, its parent the one around it.
Status Parser::find_scopes() {
  shape_.scope_at.assign(unit_.size(), no_index);
  Scope top;
  top.range = {0, unit_.size() - 1};
  top.role = Role::top;
  shape_.scopes.push_back(std::move(top));
  std::vector<std::uint32_t> around{0};
  std::vector<std::uint32_t> closes{unit_.size()};
  for (std::uint32_t i = 0; i + 1 < unit_.size(); ++i) {
    if (i == closes.back()) {
      closes.pop_back();
      around.pop_back();
    }
    if (!unit_.at(i).is(TokenKind::left_parenthesis) || !begins_scope(unit_.at(i + 1))) continue;
    Scope scope;
    scope.range = {i + 1, unit_.match[i]};
    scope.parent = around.back();
    shape_.scope_at[i] = static_cast<std::uint32_t>(shape_.scopes.size());
    around.push_back(shape_.scope_at[i]);
    closes.push_back(unit_.match[i]);
    shape_.scopes.push_back(std::move(scope));
  }
  return {};
}

Result<Shape> Parser::run() {
  KIMBERLITE_CHECK(find_scopes());
  end_ = unit_.size() - 1;
  KIMBERLITE_CHECK(statement());
  if (!done()) return unexpected(unit_, at_, "the end of the statement");
  // INSERT's own SELECT is behind the scopes of its parentheses: it is read by `statement`.
  const std::size_t nested = shape_.scopes.size();
  for (std::uint32_t s = 1; s < nested; ++s) {
    if (s == shape_.dml.body) continue;
    at_ = shape_.scopes[s].range.first;
    end_ = shape_.scopes[s].range.end;
    KIMBERLITE_CHECK(body(s));
    if (!done()) return unexpected(unit_, at_, "a closing parenthesis");
  }
  return std::move(shape_);
}

Status Parser::statement() {
  if (is(Keyword::with)) {
    shape_.with = at_;
    KIMBERLITE_CHECK(with(0));
  }
  if (is(Keyword::select) || is(Keyword::values)) return body(0);
  return dml();
}

Status Parser::body(std::uint32_t scope) {
  if (is(Keyword::with)) KIMBERLITE_CHECK(with(scope));
  for (;;) {
    KIMBERLITE_CHECK(core(scope));
    if (take(Keyword::union_)) {
      take(Keyword::all);
    } else if (!take(Keyword::intersect) && !take(Keyword::except)) {
      break;
    }
  }
  return order_and_limit(shape_.scopes[scope]);
}

Status Parser::with(std::uint32_t scope) {
  ++at_;
  const bool recursive = take(Keyword::recursive);
  if (scope == 0) shape_.recursive = recursive;
  do {
    Cte cte;
    KIMBERLITE_TRY(cte.name, want_name("the name of a common table expression"));
    if (is(TokenKind::left_parenthesis)) {
      KIMBERLITE_TRY(const auto names, name_list());
      for (const std::uint32_t name : names) cte.columns.push_back(name_of(unit_.at(name)));
    }
    KIMBERLITE_CHECK(want(Keyword::as));
    if (take(Keyword::not_)) {
      KIMBERLITE_CHECK(want(Keyword::materialized));
    } else {
      take(Keyword::materialized);
    }
    if (!is(TokenKind::left_parenthesis)) return unexpected(unit_, at_, "( SELECT … )");
    cte.scope = shape_.scope_at[at_];
    if (cte.scope == no_index) return unexpected(unit_, at_ + 1, "SELECT, VALUES or WITH");
    shape_.scopes[cte.scope].role = Role::cte;
    at_ = unit_.match[at_] + 1;
    shape_.scopes[scope].ctes.push_back(static_cast<std::uint32_t>(shape_.ctes.size()));
    shape_.ctes.push_back(std::move(cte));
  } while (take(TokenKind::comma));
  return {};
}

Status Parser::core(std::uint32_t scope) {
  Core core;
  core.range.first = at_;
  if (take(Keyword::values)) {
    core.values = true;
    KIMBERLITE_CHECK(values_rest(core));
  } else {
    KIMBERLITE_CHECK(want(Keyword::select));
    KIMBERLITE_CHECK(select_rest(core));
  }
  core.range.end = at_;
  shape_.scopes[scope].cores.push_back(std::move(core));
  return {};
}

Status Parser::values_rest(Core& core) {
  do {
    if (!is(TokenKind::left_parenthesis)) return unexpected(unit_, at_, "( values )");
    core.rows.push_back({at_ + 1, unit_.match[at_]});
    if (core.rows.back().empty()) return unexpected(unit_, at_ + 1, "a value");
    at_ = unit_.match[at_] + 1;
  } while (take(TokenKind::comma));
  return {};
}

Result<std::vector<Item>> Parser::items() {
  std::vector<Item> items;
  do {
    Item item;
    item.range.first = at_;
    if (take(TokenKind::star)) {
      item.star = true;
    } else if (!done() && token().is_name() && ahead().is(TokenKind::dot) &&
               ahead(2).is(TokenKind::star)) {
      item.star = true;
      item.qualifier = at_;
      at_ += 3;
    } else {
      item.expression = expression();
      if (item.expression.empty()) return unexpected(unit_, at_, "an expression");
      if (take(Keyword::as)) {
        if (done() || !token().is_name()) return unexpected(unit_, at_, "a name");
        item.alias_at = at_++;
      }
    }
    item.range.end = at_;
    items.push_back(item);
  } while (take(TokenKind::comma));
  return items;
}

Status Parser::select_rest(Core& core) {
  if (!take(Keyword::distinct)) take(Keyword::all);
  if (core.range.first + 1 != at_ && is(Keyword::on)) {
    return unsupported(unit_, at_, "DISTINCT ON", "use GROUP BY, or row_number() in a subquery");
  }
  KIMBERLITE_TRY(core.items, items());
  if (take(Keyword::from)) KIMBERLITE_CHECK(from(core));
  core.has_where_or_later = !done() && !is(TokenKind::right_parenthesis) && !is(Keyword::on);
  if (take(Keyword::where)) core.conditions.push_back(expression());
  if (take(Keyword::group)) {
    KIMBERLITE_CHECK(want(Keyword::by));
    do {
      core.groups.push_back(expression());
    } while (take(TokenKind::comma));
  }
  if (take(Keyword::having)) core.conditions.push_back(expression());
  if (at_window_clause()) {
    do {
      ++at_;
      KIMBERLITE_TRY([[maybe_unused]] const auto name, want_name("the name of a window"));
      KIMBERLITE_CHECK(want(Keyword::as));
      if (!is(TokenKind::left_parenthesis)) return unexpected(unit_, at_, "( a window )");
      core.windows.push_back({at_ + 1, unit_.match[at_]});
      at_ = unit_.match[at_] + 1;
    } while (is(TokenKind::comma));
  }
  for (const Range& part : core.conditions) {
    if (part.empty()) return unexpected(unit_, part.first, "an expression");
  }
  for (const Range& part : core.groups) {
    if (part.empty()) return unexpected(unit_, part.first, "an expression");
  }
  return {};
}

Status Parser::order_and_limit(Scope& scope) {
  if (scope.cores.back().values && (is(Keyword::order) || is(Keyword::limit))) {
    return unsupported(unit_, at_, "ORDER BY or LIMIT behind VALUES",
                       "write SELECT * FROM (VALUES …) ORDER BY …");
  }
  if (take(Keyword::order)) {
    KIMBERLITE_CHECK(want(Keyword::by));
    do {
      scope.orders.push_back(expression());
      if (scope.orders.back().empty()) return unexpected(unit_, at_, "an expression");
    } while (take(TokenKind::comma));
  }
  if (take(Keyword::limit)) {
    Range limit = expression();
    // LIMIT a OFFSET b, or LIMIT b, a.
    for (std::uint32_t i = limit.first; i < limit.end; ++i) {
      if (!unit_.at(i).is(Keyword::offset)) continue;
      scope.limits.push_back({i + 1, limit.end});
      limit.end = i;
    }
    scope.limits.push_back(limit);
    if (take(TokenKind::comma)) scope.limits.push_back(expression());
    for (const Range& part : scope.limits) {
      if (part.empty()) return unexpected(unit_, part.first, "a number of rows");
    }
  }
  if (is(Keyword::for_))
    return unsupported(unit_, at_, "FOR UPDATE or FOR SHARE", "leave it out: reads never block");
  return {};
}

// table-or-subquery [, | join table-or-subquery [ON | USING]] …; parentheses group joins.
Status Parser::from(Core& core) {
  std::vector<std::uint32_t> open;
  bool want_table = true;
  bool natural = false;
  for (;;) {
    if (want_table) {
      if (is(Keyword::lateral))
        return unsupported(unit_, at_, "LATERAL", "use a correlated subquery");
      if (is(TokenKind::left_parenthesis) && shape_.scope_at[at_] == no_index) {
        open.push_back(unit_.match[at_]);
        ++at_;
        continue;
      }
      KIMBERLITE_CHECK(source(core));
      shape_.sources.back().natural = natural;
      natural = false;
      want_table = false;
      continue;
    }
    if (!open.empty() && at_ == open.back()) {
      open.pop_back();
      ++at_;
      continue;
    }
    if (take(TokenKind::comma)) {
      want_table = true;
      continue;
    }
    if (!done() && is_join_word(token().keyword) && token().is(TokenKind::word)) {
      natural = take(Keyword::natural);
      if (take(Keyword::left) || take(Keyword::right) || take(Keyword::full)) {
        take(Keyword::outer);
      } else if (!take(Keyword::inner)) {
        take(Keyword::cross);
      }
      KIMBERLITE_CHECK(want(Keyword::join));
      want_table = true;
      continue;
    }
    const bool upsert = is(Keyword::on) && ahead().is(Keyword::conflict);
    if ((is(Keyword::on) && !upsert) || is(Keyword::using_)) {
      KIMBERLITE_CHECK(join_constraint(core));
      continue;
    }
    if (!open.empty()) return unexpected(unit_, at_, "a join or a closing parenthesis");
    return {};
  }
}

Status Parser::join_constraint(Core& core) {
  if (take(Keyword::on)) {
    core.conditions.push_back(expression());
    if (core.conditions.back().empty()) return unexpected(unit_, at_, "an expression");
    return {};
  }
  ++at_;
  KIMBERLITE_TRY(const auto names, name_list());
  for (const std::uint32_t name : names) {
    shape_.sources.back().joined_by.push_back(name_of(unit_.at(name)));
  }
  return {};
}

Status Parser::source(Core& core) {
  Source source;
  source.name.first = at_;
  if (is(TokenKind::left_parenthesis)) {
    source.kind = SourceKind::derived;
    source.scope = shape_.scope_at[at_];
    shape_.scopes[source.scope].role = Role::derived;
    at_ = unit_.match[at_] + 1;
    source.name.end = at_;
  } else {
    KIMBERLITE_TRY(const std::uint32_t name, want_name("a table, a view or ( SELECT … )"));
    source.table = name_of(unit_.at(name));
    if (is(TokenKind::dot)) {
      if (!same_name(source.table, "information_schema")) {
        return unsupported(unit_, name, "a schema before a table's name", "name the table alone");
      }
      ++at_;
      KIMBERLITE_TRY(const std::uint32_t second, want_name("a table of information_schema"));
      source.table = "information_schema." + name_of(unit_.at(second));
    } else if (is(TokenKind::left_parenthesis)) {
      KIMBERLITE_CHECK(table_function(source, core));
    }
    source.name.end = at_;
    KIMBERLITE_CHECK(as_of(source));
  }
  KIMBERLITE_CHECK(alias(source));
  if (is(Keyword::indexed) || (is(Keyword::not_) && ahead().is(Keyword::indexed))) {
    return unsupported(unit_, at_, "INDEXED BY");
  }
  core.sources.push_back(static_cast<std::uint32_t>(shape_.sources.size()));
  shape_.sources.push_back(std::move(source));
  return {};
}

Status Parser::table_function(Source& source, Core& core) {
  const std::uint32_t name = source.name.first;
  const Range inside{at_ + 1, unit_.match[at_]};
  at_ = unit_.match[at_] + 1;
  source.arguments = split_at_commas(unit_, inside);
  const bool word = unit_.at(name).is(TokenKind::word);
  if (word && same_name(source.table, "history")) {
    source.kind = SourceKind::history;
  } else if (word && same_name(source.table, "diff")) {
    source.kind = SourceKind::diff;
  } else if (same_name(source.table, "json_each") || same_name(source.table, "json_tree")) {
    source.kind = SourceKind::json;
    for (const Range& argument : source.arguments) {
      if (argument.empty()) return unexpected(unit_, argument.first, "an expression");
      core.conditions.push_back(argument);
    }
    return {};
  } else {
    return fault(unit_, name, Code::not_found_function, "there is no table function {}",
                 display_name(source.table))
        .next("there are HISTORY(t), DIFF(t, from, to), json_each(…) and json_tree(…)");
  }
  const std::size_t wanted = source.kind == SourceKind::history ? 1 : 3;
  if (source.arguments.size() != wanted) {
    return fault(unit_, name, Code::sql_misuse, "{} takes {} argument{}", source.table, wanted,
                 wanted == 1 ? "" : "s");
  }
  const Range table = source.arguments[0];
  if (table.end - table.first != 1 || !is_plain_name(unit_.at(table.first))) {
    return unexpected(unit_, table.first, "the name of a table");
  }
  source.table = name_of(unit_.at(table.first));
  return {};
}

// AS OF POSITION e, AS OF TIMESTAMP e, AS OF LATEST; FOR SYSTEM_TIME before it too.
Status Parser::as_of(Source& source) {
  AsOf& as_of = source.as_of;
  as_of.clause.first = at_;
  const bool standard = is(Keyword::for_) && ahead().is(Keyword::system_time);
  const std::uint32_t skip = standard ? 2 : 0;
  if (!ahead(skip).is(Keyword::as) || !ahead(skip + 1).is(Keyword::of)) {
    if (standard) return unexpected(unit_, at_ + 2, "AS OF");
    return {};
  }
  const Token& word = ahead(skip + 2);
  const bool worded =
      word.is(Keyword::position) || word.is(Keyword::timestamp) || word.is(Keyword::latest);
  if (!worded && !standard) return {};  // an alias named "of"
  if (word.is(Keyword::position)) {
    as_of.kind = AsOfKind::position;
  } else if (word.is(Keyword::latest)) {
    as_of.kind = AsOfKind::latest;
  } else {
    as_of.kind = AsOfKind::timestamp;  // the standard has no word before the time
  }
  at_ += skip + (worded ? 3 : 2);
  as_of.expression.first = at_;
  if (as_of.kind != AsOfKind::latest) {
    // One operand, then + or - and another: where it ends is where neither goes on.
    for (bool operand = true; !done();) {
      if (!operand) {
        if (!is(TokenKind::plus) && !is(TokenKind::minus)) break;
        ++at_;
        operand = true;
        continue;
      }
      if (is(Keyword::interval) || is(Keyword::timestamp)) ++at_;
      if (done()) break;
      ++at_;
      if (is(TokenKind::left_parenthesis)) at_ = unit_.match[at_] + 1;
      operand = false;
    }
    if (as_of.expression.first == at_) return unexpected(unit_, at_, "a position or time");
  }
  as_of.expression.end = at_;
  as_of.clause.end = at_;
  if (source.kind != SourceKind::named && source.kind != SourceKind::target) {
    return unsupported(unit_, as_of.clause.first, "AS OF behind a function",
                       "HISTORY has all versions, DIFF takes positions");
  }
  return {};
}

Status Parser::alias(Source& source) {
  if (take(Keyword::as)) {
    KIMBERLITE_TRY(const std::uint32_t name, want_name("a name"));
    source.alias = name_of(unit_.at(name));
  } else if (!done() && is_plain_name(token()) && !at_window_clause() && !is(Keyword::indexed) &&
             !(is(Keyword::returning) && token().is(TokenKind::word)) && !is(Keyword::for_)) {
    source.alias = name_of(token());
    ++at_;
  }
  return {};
}

Result<std::vector<std::uint32_t>> Parser::name_list() {
  if (!take(TokenKind::left_parenthesis)) return unexpected(unit_, at_, "( names )");
  std::vector<std::uint32_t> names;
  do {
    KIMBERLITE_TRY(const std::uint32_t name, want_name("a column"));
    names.push_back(name);
  } while (take(TokenKind::comma));
  if (!take(TokenKind::right_parenthesis)) return unexpected(unit_, at_, ", or )");
  return names;
}

// ---- INSERT, UPDATE, DELETE, TRUNCATE -----------------------------------------------------------

Status Parser::dml() {
  shape_.dml.verb.first = at_;
  shape_.scopes[0].cores.emplace_back();
  if (is(Keyword::insert) || is(Keyword::replace)) return insert();
  if (is(Keyword::update)) return update();
  if (is(Keyword::delete_)) return remove();
  if (take(Keyword::truncate)) {
    shape_.dml.kind = DmlKind::truncate;
    take(Keyword::table);
    shape_.dml.verb.end = at_;
    KIMBERLITE_CHECK(target(false));
    if (is(TokenKind::comma)) return unsupported(unit_, at_, "TRUNCATE of several tables");
    return {};
  }
  return unexpected(unit_, at_, "SELECT, VALUES, INSERT, UPDATE, DELETE or TRUNCATE");
}

// [OR ABORT | IGNORE | REPLACE]
Status Parser::or_action() {
  if (!take(Keyword::or_)) return {};
  if (take(Keyword::abort) || take(Keyword::ignore) || take(Keyword::replace)) return {};
  if (is(Keyword::rollback) || is(Keyword::fail)) {
    return unsupported(unit_, at_, is(Keyword::fail) ? "OR FAIL" : "OR ROLLBACK",
                       "a failing statement has no effect at all");
  }
  return unexpected(unit_, at_, "ABORT, IGNORE or REPLACE");
}

Status Parser::target(bool may_have_alias) {
  Source source;
  source.kind = SourceKind::target;
  source.name.first = at_;
  KIMBERLITE_TRY(const std::uint32_t name, want_name("the name of a table"));
  source.table = name_of(unit_.at(name));
  source.name.end = at_;
  if (is(TokenKind::dot)) {
    return unsupported(unit_, name, "a schema before a table's name", "name the table alone");
  }
  KIMBERLITE_CHECK(as_of(source));
  if (source.as_of.kind != AsOfKind::none) {
    return fault(unit_, source.as_of.clause.first, Code::sql_read_only,
                 "the past cannot be written")
        .next("leave AS OF out");
  }
  if (may_have_alias && !is(Keyword::set) && !is(Keyword::default_)) {
    KIMBERLITE_CHECK(alias(source));
  }
  shape_.dml.head_end = at_ - 1;
  shape_.dml.target = static_cast<std::uint32_t>(shape_.sources.size());
  shape_.scopes[0].cores[0].sources.push_back(shape_.dml.target);
  shape_.sources.push_back(std::move(source));
  return {};
}

Status Parser::insert() {
  Dml& dml = shape_.dml;
  dml.kind = DmlKind::insert;
  if (take(Keyword::insert)) {
    KIMBERLITE_CHECK(or_action());
  } else {
    ++at_;
  }
  KIMBERLITE_CHECK(want(Keyword::into));
  // `INSERT INTO t (a)`: an alias needs AS.
  KIMBERLITE_CHECK(target(false));
  if (is(Keyword::as)) {
    KIMBERLITE_CHECK(alias(shape_.sources[dml.target]));
    dml.head_end = at_ - 1;
  }
  if (is(TokenKind::left_parenthesis) && shape_.scope_at[at_] == no_index) {
    KIMBERLITE_TRY(dml.columns, name_list());
  }
  if (is(Keyword::default_)) {
    ++at_;
    KIMBERLITE_CHECK(want(Keyword::values));
  } else if (is(Keyword::select) || is(Keyword::values) || is(Keyword::with)) {
    dml.body = static_cast<std::uint32_t>(shape_.scopes.size());
    const std::uint32_t first = at_;
    Scope opened;
    opened.range = {at_, end_};
    opened.parent = 0;
    opened.role = Role::derived;
    shape_.scopes.push_back(std::move(opened));
    KIMBERLITE_CHECK(body(dml.body));
    Scope& scope = shape_.scopes[dml.body];
    scope.range.end = at_;
    for (std::uint32_t s = 1; s < dml.body; ++s) {
      Scope& nested = shape_.scopes[s];
      const bool inside = nested.range.first > first && nested.range.end <= at_;
      if (inside && nested.parent == 0) nested.parent = dml.body;
    }
    const Core& last = scope.cores.back();
    dml.conflict_follows_from =
        !last.values && !last.has_where_or_later && scope.orders.empty() && scope.limits.empty();
    dml.body_end = at_ - 1;
  } else {
    return unexpected(unit_, at_, "VALUES, SELECT or DEFAULT VALUES");
  }
  KIMBERLITE_CHECK(conflicts());
  return dml_tail();
}

Status Parser::conflicts() {
  while (take(Keyword::on)) {
    KIMBERLITE_CHECK(want(Keyword::conflict));
    Conflict conflict;
    if (is(TokenKind::left_parenthesis)) {
      KIMBERLITE_TRY(conflict.columns, name_list());
    } else if (is(Keyword::on)) {
      return unsupported(unit_, at_, "ON CONFLICT ON CONSTRAINT",
                         "name the columns in parentheses");
    }
    if (is(Keyword::where)) return unsupported(unit_, at_, "a partial index");
    KIMBERLITE_CHECK(want(Keyword::do_));
    if (!take(Keyword::nothing)) {
      KIMBERLITE_CHECK(want(Keyword::update));
      conflict.set = at_;
      KIMBERLITE_CHECK(want(Keyword::set));
      KIMBERLITE_TRY(conflict.assignments, assignments());
      if (take(Keyword::where)) conflict.conditions.push_back(expression());
    }
    shape_.dml.conflicts.push_back(std::move(conflict));
  }
  return {};
}

Result<std::vector<Assignment>> Parser::assignments() {
  std::vector<Assignment> list;
  do {
    Assignment assignment;
    if (is(TokenKind::left_parenthesis)) {
      KIMBERLITE_TRY(assignment.columns, name_list());
    } else {
      KIMBERLITE_TRY(const std::uint32_t column, want_name("a column"));
      assignment.columns.push_back(column);
    }
    if (is(TokenKind::dot)) return unexpected(unit_, at_, "= (a column to set has no qualifier)");
    if (!take(TokenKind::equal)) return unexpected(unit_, at_, "=");
    assignment.value = expression();
    if (assignment.value.empty()) return unexpected(unit_, at_, "an expression");
    list.push_back(std::move(assignment));
  } while (take(TokenKind::comma));
  return list;
}

Status Parser::update() {
  Dml& dml = shape_.dml;
  dml.kind = DmlKind::update;
  ++at_;
  KIMBERLITE_CHECK(or_action());
  KIMBERLITE_CHECK(target(true));
  dml.set = at_;
  KIMBERLITE_CHECK(want(Keyword::set));
  KIMBERLITE_TRY(dml.assignments, assignments());
  if (take(Keyword::from)) KIMBERLITE_CHECK(from(shape_.scopes[0].cores[0]));
  return dml_tail();
}

Status Parser::remove() {
  shape_.dml.kind = DmlKind::remove;
  ++at_;
  KIMBERLITE_CHECK(want(Keyword::from));
  KIMBERLITE_CHECK(target(true));
  if (is(Keyword::using_)) {
    return unsupported(unit_, at_, "DELETE … USING", "use WHERE … IN (SELECT …)");
  }
  return dml_tail();
}

Status Parser::dml_tail() {
  Dml& dml = shape_.dml;
  dml.where_before = at_;
  if (dml.kind != DmlKind::insert && take(Keyword::where)) {
    dml.where = expression();
    if (dml.where.empty()) return unexpected(unit_, at_, "an expression");
  }
  if (is(Keyword::order) || is(Keyword::limit)) {
    return unsupported(unit_, at_, "ORDER BY or LIMIT of a write",
                       "choose the rows by WHERE … IN (SELECT …)");
  }
  if (take(Keyword::returning)) {
    KIMBERLITE_TRY(dml.returning, items());
  }
  return {};
}

}  // namespace

Result<Shape> read_shape(const Unit& unit) { return Parser{unit}.run(); }

}  // namespace kimberlite::sql
