#include "resolver.hpp"

#include <algorithm>
#include <array>

namespace kimberlite::sql {

using catalog::Type;
using catalog::TypeKind;

Status Resolver::bind() {
  KIMBERLITE_CHECK(check_ctes());
  if (verify_) KIMBERLITE_CHECK(check_verified());
  if (shape_.dml.kind != DmlKind::none) KIMBERLITE_CHECK(bind_target());
  return bind_references();
}

// A CTE of the user's may hide nothing of ours.
Status Resolver::check_ctes() const {
  for (const Cte& cte : shape_.ctes) {
    const std::string name = name_of(unit_.at(cte.name));
    const bool function = same_name(name, "json_each") || same_name(name, "json_tree");
    if (!door_.is_object(name) && !function) continue;
    return fault(unit_, cte.name, Code::constraint_exists, "a table or view is named {} already",
                 display_name(name))
        .next("choose another name for the common table expression");
  }
  return {};
}

// Of the WITH clauses around a scope, the innermost one's.
std::uint32_t Resolver::cte_in_sight(std::uint32_t scope, std::string_view name) const {
  for (std::uint32_t s = scope; s != no_index; s = shape_.scopes[s].parent) {
    for (const std::uint32_t cte : shape_.scopes[s].ctes) {
      if (same_name(name_of(unit_.at(shape_.ctes[cte].name)), name)) return cte;
    }
  }
  return no_index;
}

// Names in FROM first, all of them: whether arithmetic is exact depends on every table.
Status Resolver::bind_references() {
  for (std::uint32_t s = 0; s < shape_.scopes.size(); ++s) {
    for (const Core& core : shape_.scopes[s].cores) {
      for (const std::uint32_t index : core.sources) {
        Source& source = shape_.sources[index];
        if (source.kind == SourceKind::named) source.cte = cte_in_sight(s, source.table);
        const bool verified = verify_ && s == 0;
        if (verified) KIMBERLITE_CHECK(check_verified(source));
        KIMBERLITE_CHECK(bind(source, verified));
      }
    }
  }
  return {};
}

Status Resolver::bind(Source& source, bool verified) {
  if (source.cte != no_index && source.as_of.kind != AsOfKind::none) {
    return unsupported(unit_, source.as_of.clause.first, "AS OF behind a common table expression",
                       "put it behind the tables inside");
  }
  if (source.cte != no_index || source.kind == SourceKind::derived ||
      source.kind == SourceKind::target || source.kind == SourceKind::excluded) {
    return {};
  }
  if (source.kind == SourceKind::json) {
    const Type text{TypeKind::text, 0, 0};
    const Type bigint{TypeKind::bigint, 0, 0};
    source.facts = {{"key", {}},    {"value", {}},      {"type", text},    {"atom", {}},
                    {"id", bigint}, {"parent", bigint}, {"fullkey", text}, {"path", text}};
    return {};
  }
  std::optional<Position> at = at_;
  if (source.as_of.kind != AsOfKind::none) {
    KIMBERLITE_TRY(at, door_.resolve(unit_, source.as_of));
  } else if (at && unit_.name.empty()) {
    door_.moved_by(0);
  }
  Result<Reference> reference = source.kind == SourceKind::history
                                    ? door_.history(unit_, source, at, with_row_)
                                : source.kind == SourceKind::diff ? door_.diff(unit_, source, at)
                                : verified ? door_.verified(unit_, source, at, with_row_)
                                           : door_.named(unit_, source, at, with_row_);
  if (!reference) return std::move(reference).error();
  exact_ = exact_ || reference->exact;
  source.facts = reference->facts;
  source.view = reference->view;
  put_reference(source, *reference);
  return {};
}

void Resolver::put_reference(const Source& source, const Reference& reference) {
  unit_.edits.remove(source.as_of.clause);
  if (!reference.renamed) return;
  unit_.edits.remove(source.name);
  std::string text = quote_name(reference.name);
  // The name of the table goes on naming its columns.
  if (source.alias.empty()) {
    const std::size_t dot = source.table.find('.');
    const bool qualified = source.table.starts_with("information_schema.");
    text +=
        fmt::format(" AS {}", quote_name(qualified ? source.table.substr(dot + 1) : source.table));
  }
  unit_.edits.replace(source.name.first, std::move(text));
}

// ---- The order of work --------------------------------------------------------------------------

Status Resolver::type() {
  for (const Source& source : shape_.sources) {
    if (source.view == no_index) continue;
    for (const Fact& fact : door_.view_facts(source.view)) {
      exact_ = exact_ || (fact.type && is_exact(*fact.type));
    }
  }
  Typing typing{unit_, shape_, door_, exact_};
  children_.resize(shape_.scopes.size());
  for (std::uint32_t s = 1; s < shape_.scopes.size(); ++s) {
    if (shape_.scopes[s].role != Role::cte) children_[shape_.scopes[s].parent].push_back(s);
  }
  work_.push_back({0, Step::children});
  while (!work_.empty()) {
    const Work next = work_.back();
    work_.pop_back();
    switch (next.step) {
      case Step::children:
        work_.push_back({next.scope, Step::sources});
        push_children(next.scope, false);
        break;
      case Step::sources:
        KIMBERLITE_CHECK(bind_scope(next.scope));
        work_.push_back({next.scope, Step::expressions});
        push_children(next.scope, true);
        break;
      case Step::expressions:
        KIMBERLITE_CHECK(type_scope(typing, next.scope));
        break;
    }
  }
  if (verify_) {
    if (typing.top_aggregate() != no_token) {
      return unsupported(unit_, typing.top_aggregate(), "an aggregate in VERIFY SELECT",
                         "VERIFY TABLE proves all rows of a table at once");
    }
    KIMBERLITE_CHECK(put_verified());
  }
  return typing.check_literals();
}

// On the stack, so that the first of them comes first.
void Resolver::push_children(std::uint32_t scope, bool expressions) {
  std::vector<std::uint32_t> children;
  if (!expressions) {
    for (const std::uint32_t cte : shape_.scopes[scope].ctes) {
      children.push_back(shape_.ctes[cte].scope);
    }
  }
  for (const std::uint32_t child : children_[scope]) {
    const bool of_expression = shape_.scopes[child].role == Role::expression;
    if (of_expression == expressions) children.push_back(child);
  }
  for (std::size_t i = children.size(); i-- > 0;) work_.push_back({children[i], Step::children});
}

Status Resolver::bind_scope(std::uint32_t scope) {
  for (const Core& core : shape_.scopes[scope].cores) {
    for (const std::uint32_t index : core.sources) {
      Source& source = shape_.sources[index];
      if (source.kind == SourceKind::derived) source.facts = shape_.scopes[source.scope].facts;
      if (source.cte != no_index) source.facts = shape_.scopes[shape_.ctes[source.cte].scope].facts;
      if (source.view != no_index) source.facts = door_.view_facts(source.view);
    }
  }
  return {};
}

// ---- One scope ----------------------------------------------------------------------------------

Status Resolver::type_scope(Typing& typing, std::uint32_t scope) {
  if (scope == 0 && shape_.dml.kind != DmlKind::none) return type_dml(typing);
  const bool body = shape_.dml.body == scope;
  std::vector<std::vector<Term>> results(shape_.scopes[scope].cores.size());
  for (std::uint32_t c = 0; c < results.size(); ++c) {
    KIMBERLITE_CHECK(type_core(typing, scope, c, results[c]));
    if (body && !shape_.scopes[scope].cores[c].values) {
      KIMBERLITE_CHECK(assign_body(typing, results[c]));
    }
    if (c > 0) continue;
    // A recursive CTE reads what its first part gave.
    Scope& own = shape_.scopes[scope];
    own.facts = own.cores[0].results;
    for (Cte& cte : shape_.ctes) {
      if (cte.scope != scope) continue;
      for (std::size_t i = 0; i < cte.columns.size() && i < own.facts.size(); ++i) {
        own.facts[i].name = cte.columns[i];
      }
      for (Core& core : own.cores) {
        for (const std::uint32_t index : core.sources) {
          Source& source = shape_.sources[index];
          if (source.cte != no_index && shape_.ctes[source.cte].scope == scope)
            source.facts = own.facts;
        }
      }
    }
  }
  if (!body) KIMBERLITE_CHECK(unify_cores(typing, scope, results));
  Scope& own = shape_.scopes[scope];
  for (std::size_t c = 0; c < results.size(); ++c) {
    Core& core = own.cores[c];
    for (std::size_t i = 0, item = 0; i < results[c].size(); ++i) {
      if (results[c][i].form == Form::none) continue;
      while (item < core.items.size() && core.items[item].star) ++item;
      finish_item(typing, core.values ? nullptr : &core.items[item], results[c][i]);
      ++item;
    }
  }
  const Sight sight{scope, 0, true};
  for (const Range& order : own.orders) KIMBERLITE_CHECK(typing.read_sorted(order, sight));
  for (const Range& limit : own.limits) {
    KIMBERLITE_TRY([[maybe_unused]] const Term term, typing.read_all(limit, sight));
  }
  return typing.read_pending();
}

Status Resolver::type_core(Typing& typing, std::uint32_t scope, std::uint32_t core,
                           std::vector<Term>& results) {
  Core& own = shape_.scopes[scope].cores[core];
  const Sight sight{scope, core, false};
  if (own.values) return type_values(typing, scope, own, results);
  for (Item& item : own.items) {
    if (item.star) {
      KIMBERLITE_CHECK(expand_star(own, item, results));
      continue;
    }
    std::uint32_t stop = 0;
    KIMBERLITE_TRY(Term term, typing.read(item.expression, sight, stop));
    if (stop < item.expression.end) {
      // A name behind it is its alias.
      const bool alias = stop + 1 == item.expression.end && item.alias_at == no_token &&
                         is_plain_name(unit_.at(stop));
      if (!alias) return unexpected(unit_, stop, "an operator, a comma or FROM");
      item.alias_at = stop;
      item.expression.end = stop;
    }
    Fact fact{item.alias_at != no_token ? name_of(unit_.at(item.alias_at))
              : term.column             ? term.name
                                        : std::string{unit_.source(item.expression)},
              term.type, false};
    if (term.form == Form::string_literal) fact.type = Type{TypeKind::text, 0, 0};
    if (term.form == Form::integer_literal) fact.type = Type{TypeKind::bigint, 0, 0};
    own.results.push_back(std::move(fact));
    results.push_back(std::move(term));
  }
  for (const Range& condition : own.conditions) {
    KIMBERLITE_TRY([[maybe_unused]] const Term term, typing.read_all(condition, sight));
  }
  for (const Range& group : own.groups) {
    KIMBERLITE_TRY(Term term, typing.read_all(group, sight));
    typing.collate(term);
  }
  for (const Range& window : own.windows) KIMBERLITE_CHECK(typing.read_window(window, sight));
  return typing.read_pending();
}

Status Resolver::type_values(Typing& typing, std::uint32_t scope, Core& core,
                             std::vector<Term>& results) {
  const bool body = shape_.dml.body == scope;
  std::vector<std::vector<Term>> rows;
  for (const Range& row : core.rows) {
    std::vector<Term> terms;
    for (const Range& part : split_at_commas(unit_, row)) {
      if (body && part.end - part.first == 1 && unit_.at(part.first).is(Keyword::default_)) {
        return unsupported(unit_, part.first, "DEFAULT among values", "leave the column out");
      }
      KIMBERLITE_TRY(Term term, typing.read_all(part, {scope, no_index, false}));
      terms.push_back(std::move(term));
    }
    if (body) {
      // Written column by column as the target has them: nothing to make alike.
      KIMBERLITE_CHECK(assign_body(typing, terms));
      if (!rows.empty()) continue;
    }
    if (!rows.empty() && terms.size() != rows.front().size()) {
      return fault(unit_, row.first, Code::sql_misuse, "this row has {} values, the first one {}",
                   terms.size(), rows.front().size());
    }
    rows.push_back(std::move(terms));
  }
  for (std::size_t c = 0; c < rows.front().size(); ++c) {
    std::optional<Type> type;
    if (!body) {
      std::vector<Term*> column;
      column.reserve(rows.size());
      for (auto& row : rows) column.push_back(&row[c]);
      KIMBERLITE_TRY(type, typing.unify(column));
      for (auto& row : rows) typing.collate(row[c]);
    }
    core.results.push_back({fmt::format("column{}", c + 1), type, false});
  }
  if (!body) results = std::move(rows.front());
  return typing.read_pending();
}

// NATURAL and USING show a column once: in the source that has it first.
bool Resolver::merged(const Core& core, std::size_t source, const std::string& name) const {
  const Source& own = shape_.sources[core.sources[source]];
  const bool joined = own.natural || std::ranges::any_of(own.joined_by, [&](const std::string& by) {
                        return same_name(by, name);
                      });
  if (!joined) return false;
  for (std::size_t i = 0; i < source; ++i) {
    for (const Fact& fact : shape_.sources[core.sources[i]].facts) {
      if (same_name(fact.name, name)) return true;
    }
  }
  return false;
}

// `*` stays as it is, but where a hidden column would show through it.
Status Resolver::expand_star(Core& core, const Item& item, std::vector<Term>& results) {
  const std::string qualifier = item.qualifier == no_token ? "" : name_of(unit_.at(item.qualifier));
  std::string list;
  // What is verified stands behind the columns, and `*` would show it.
  bool hidden = verify_ && &core == &shape_.scopes[0].cores[0];
  bool known = false;
  bool merges = false;
  for (std::size_t i = 0; i < core.sources.size(); ++i) {
    const Source& source = shape_.sources[core.sources[i]];
    if (!qualifier.empty() && !same_name(source.called(), qualifier)) continue;
    known = true;
    for (const Fact& fact : source.facts) {
      hidden = hidden || fact.hidden;
      if (fact.hidden) continue;
      if (qualifier.empty() && merged(core, i, fact.name)) {
        merges = true;
        continue;
      }
      core.results.push_back({fact.name, fact.type, false});
      Term term{.first = item.range.first, .last = item.range.end - 1, .form = Form::none};
      term.type = fact.type;
      results.push_back(std::move(term));
      if (!list.empty()) list += ", ";
      if (!source.called().empty()) list += quote_name(source.called()) + ".";
      list += quote_name(fact.name);
    }
  }
  if (!known && !qualifier.empty()) {
    return fault(unit_, item.qualifier, Code::not_found_table, "there is no table {} in this FROM",
                 display_name(qualifier));
  }
  if (!known) return fault(unit_, item.range.first, Code::sql_syntax, "* without FROM");
  // Of columns made one, a RIGHT or FULL JOIN takes the value from either side.
  const bool either_side =
      merges && verify_ &&
      std::any_of(
          unit_.tokens.begin() + core.range.first, unit_.tokens.begin() + core.range.end,
          [](const Token& token) { return token.is(Keyword::right) || token.is(Keyword::full); });
  if (hidden && merges && (with_row_ || either_side)) {
    return unsupported(unit_, item.range.first,
                       verify_
                           ? "VERIFY SELECT * over NATURAL or USING of a RIGHT or FULL JOIN, or "
                             "beside __row"
                           : "* over NATURAL or USING beside __row",
                       "name the columns");
  }
  if (hidden) {
    unit_.edits.remove(item.range);
    unit_.edits.replace(item.range.first, std::move(list));
  }
  return {};
}

Status Resolver::unify_cores(Typing& typing, std::uint32_t scope,
                             std::vector<std::vector<Term>>& results) {
  Scope& own = shape_.scopes[scope];
  const std::size_t columns = results[0].size();
  for (std::size_t c = 1; c < results.size(); ++c) {
    if (results[c].size() == columns) continue;
    return fault(unit_, own.cores[c].range.first, Code::sql_misuse,
                 "this SELECT has {} columns, the one before it {}", results[c].size(), columns);
  }
  if (results.size() == 1) return {};
  for (std::size_t i = 0; i < columns; ++i) {
    std::vector<Term*> terms;
    bool star = false;
    bool same = true;
    for (auto& core : results) {
      terms.push_back(&core[i]);
      star = star || core[i].form == Form::none;
      same = same && core[i].type == results[0][i].type;
    }
    std::optional<Type> type = results[0][i].type;
    if (star && !same) {
      // What stands in a `*` cannot be changed: it has to fit.
      for (const Term* term : terms) {
        const Order order = term->type ? order_of(*term->type) : Order::binary;
        const Order first = type ? order_of(*type) : Order::binary;
        if (order == first) continue;
        return fault(unit_, term->first, Code::type_mismatch,
                     "column {} of this SELECT has another type than before", i + 1)
            .next("name the columns and CAST this one");
      }
      type.reset();
    } else if (!star) {
      KIMBERLITE_TRY(type, typing.unify(terms));
    }
    for (Term* term : terms) term->type = term->form == Form::none ? term->type : type;
    own.facts[i].type = type;
    own.cores[0].results[i].type = type;
  }
  return {};
}

// A result carries its collation; what was rewritten keeps the name it would have had.
void Resolver::finish_item(Typing& typing, const Item* item, Term& term) {
  typing.collate(term);
  if (item == nullptr || item->alias_at != no_token || term.column) return;
  if (!unit_.edits.touched(item->expression)) return;
  unit_.edits.after(item->expression.end - 1,
                    fmt::format(" AS {}", quote_name(unit_.source(item->expression))));
}

}  // namespace kimberlite::sql
