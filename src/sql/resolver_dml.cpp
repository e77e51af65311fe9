// INSERT, UPDATE, DELETE and TRUNCATE: what they write, in what columns, and what they give back.
#include <algorithm>

#include "resolver.hpp"

namespace kimberlite::sql {

using catalog::Column;

Status Resolver::bind_target() {
  Dml& dml = shape_.dml;
  KIMBERLITE_TRY(target_, door_.target(unit_, shape_.sources[dml.target]));
  Source& source = shape_.sources[dml.target];
  source.facts = Door::facts_of(*target_, true);
  exact_ = std::ranges::any_of(target_->columns, [](const Column& c) { return is_exact(c.type); });
  unit_.edits.replace(source.name.first, "main." + quote_name(target_->name));
  if (!dml.conflicts.empty()) {
    Source excluded;
    excluded.kind = SourceKind::excluded;
    excluded.alias = "excluded";
    excluded.facts = Door::facts_of(*target_, false);
    shape_.scopes[0].cores[0].sources.push_back(static_cast<std::uint32_t>(shape_.sources.size()));
    shape_.sources.push_back(std::move(excluded));
  }
  if (dml.kind == DmlKind::truncate) {
    unit_.edits.remove(dml.verb);
    unit_.edits.replace(dml.verb.first, "DELETE FROM");
  }
  return dml.kind == DmlKind::insert ? insert_columns() : Status{};
}

Result<const Column*> Resolver::settable(std::uint32_t token) const {
  const std::string name = name_of(unit_.at(token));
  if (name.starts_with("__")) {
    return fault(unit_, token, Code::denied_object, "{} is never set", name)
        .why("it is given by the database");
  }
  const Column* column = catalog::Catalog::column(*target_, name);
  if (column == nullptr) {
    Error error = fault(unit_, token, Code::not_found_column, "{} has no column {}",
                        display_name(target_->name), display_name(name));
    const std::string near = catalog::Catalog::nearest_column(*target_, name);
    if (near.empty()) return error;
    return std::move(error).next("did you mean {}?", display_name(near));
  }
  if (column->generated) {
    return fault(unit_, token, Code::sql_misuse, "{} is a generated column", display_name(name))
        .next("leave it out");
  }
  return column;
}

// An INSERT without columns gets the list: `__from` and the like are not for it.
Status Resolver::insert_columns() {
  const Dml& dml = shape_.dml;
  if (dml.columns) {
    for (const std::uint32_t token : *dml.columns) {
      KIMBERLITE_TRY(const Column* column, settable(token));
      insert_into_.push_back(column);
    }
    return {};
  }
  std::string list;
  for (const Column& column : target_->columns) {
    if (column.generated) continue;
    insert_into_.push_back(&column);
    list += fmt::format("{}{}", list.empty() ? "" : ", ", quote_name(column.name));
  }
  if (dml.body != no_index) unit_.edits.after(dml.head_end, fmt::format(" ({})", list));
  return {};
}

Status Resolver::assign_body(Typing& typing, std::vector<Term>& results) {
  if (results.size() != insert_into_.size()) {
    return fault(unit_, results.empty() ? shape_.dml.body_end : results.front().first,
                 Code::sql_misuse, "{} values for {} columns of {}", results.size(),
                 insert_into_.size(), display_name(target_->name));
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].form == Form::none) continue;
    KIMBERLITE_CHECK(typing.assign(results[i], *insert_into_[i]));
  }
  return {};
}

Status Resolver::type_dml(Typing& typing) {
  const Dml& dml = shape_.dml;
  if (dml.set != no_token) KIMBERLITE_CHECK(type_assignments(typing, dml.assignments, dml.set));
  KIMBERLITE_CHECK(type_conflicts(typing));
  // ON of joins in FROM, arguments of json_each.
  std::vector<Range> conditions = shape_.scopes[0].cores[0].conditions;
  if (!dml.where.empty()) conditions.push_back(dml.where);
  for (const Range& condition : conditions) {
    KIMBERLITE_TRY([[maybe_unused]] const Term term, typing.read_all(condition, {0, 0, false}));
  }
  put_row_filter();
  KIMBERLITE_CHECK(type_returning(typing));
  return typing.read_pending();
}

Status Resolver::type_assignments(Typing& typing, const std::vector<Assignment>& assignments,
                                  std::uint32_t set) {
  unit_.edits.after(set, " \"__from\" = kmb_position(),");
  for (const Assignment& assignment : assignments) {
    std::vector<const Column*> columns;
    for (const std::uint32_t token : assignment.columns) {
      KIMBERLITE_TRY(const Column* column, settable(token));
      columns.push_back(column);
    }
    KIMBERLITE_TRY(Term term, typing.read_all(assignment.value, {0, 0, false}));
    if (columns.size() == 1) {
      KIMBERLITE_CHECK(typing.assign(term, *columns[0]));
    } else if (term.form == Form::row) {
      std::vector<Term> parts = typing.row_of(term);
      for (std::size_t i = 0; i < parts.size() && i < columns.size(); ++i) {
        KIMBERLITE_CHECK(typing.assign(parts[i], *columns[i]));
      }
    }
  }
  return {};
}

Status Resolver::type_conflicts(Typing& typing) {
  const Dml& dml = shape_.dml;
  // SQLite would take the ON for that of a join.
  if (!dml.conflicts.empty() && dml.conflict_follows_from) {
    unit_.edits.after(dml.body_end, " WHERE true");
  }
  const std::string filter =
      door_.context().policy == nullptr ? "" : door_.context().policy->row_filter(*target_);
  for (const Conflict& conflict : dml.conflicts) {
    for (const std::uint32_t token : conflict.columns) {
      KIMBERLITE_TRY([[maybe_unused]] const Column* column, settable(token));
    }
    if (conflict.set == no_token) continue;
    KIMBERLITE_CHECK(type_assignments(typing, conflict.assignments, conflict.set));
    for (const Range& condition : conflict.conditions) {
      KIMBERLITE_TRY([[maybe_unused]] const Term term, typing.read_all(condition, {0, 0, false}));
      if (filter.empty()) continue;
      unit_.edits.before(condition.first, "(");
      unit_.edits.after(condition.end - 1, fmt::format(") AND ({})", filter));
    }
    if (!filter.empty() && conflict.conditions.empty()) {
      unit_.edits.after(conflict.assignments.back().value.end - 1,
                        fmt::format(" WHERE ({})", filter));
    }
  }
  return {};
}

void Resolver::put_row_filter() {
  const Dml& dml = shape_.dml;
  if (door_.context().policy == nullptr || dml.kind == DmlKind::insert) return;
  const std::string filter = door_.context().policy->row_filter(*target_);
  if (filter.empty()) return;
  if (dml.where.empty()) {
    const std::uint32_t last = dml.where_before == no_token ? dml.head_end : dml.where_before - 1;
    unit_.edits.after(last, fmt::format(" WHERE ({})", filter));
    return;
  }
  unit_.edits.before(dml.where.first, "(");
  unit_.edits.after(dml.where.end - 1, fmt::format(") AND ({})", filter));
}

Status Resolver::type_returning(Typing& typing) {
  for (Item& item : shape_.dml.returning) {
    if (item.star) {
      std::string list;
      for (const Column& column : target_->columns) {
        list += fmt::format("{}{}", list.empty() ? "" : ", ", quote_name(column.name));
        returned_.push_back({column.name, column.type, false});
      }
      unit_.edits.remove(item.range);
      unit_.edits.replace(item.range.first, std::move(list));
      continue;
    }
    std::uint32_t stop = 0;
    KIMBERLITE_TRY(Term term, typing.read(item.expression, {0, 0, false}, stop));
    if (stop < item.expression.end) {
      const bool alias = stop + 1 == item.expression.end && item.alias_at == no_token &&
                         is_plain_name(unit_.at(stop));
      if (!alias) return unexpected(unit_, stop, "an operator or a comma");
      item.alias_at = stop;
      item.expression.end = stop;
    }
    returned_.push_back({item.alias_at != no_token ? name_of(unit_.at(item.alias_at))
                         : term.column             ? term.name
                                                   : std::string{unit_.source(item.expression)},
                         term.type, false});
    finish_item(typing, &item, term);
  }
  return {};
}

}  // namespace kimberlite::sql
