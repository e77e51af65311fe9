#include "sql/rewrite.hpp"

#include <algorithm>
#include <memory>

#include "door.hpp"
#include "resolver.hpp"

namespace kimberlite::sql {
namespace {

// A text with everything that is known of it; its parts point at one another, so it stays in place.
struct Text {
  Text(std::string_view text, std::vector<Token> text_tokens)
      : tokens(std::move(text_tokens)), unit(text, tokens) {}
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  std::vector<Token> tokens;
  Unit unit;
  Shape shape;
  std::unique_ptr<Resolver> resolver;
  PendingView pending;
};

bool begins_with(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && same_name(name.substr(0, prefix.size()), prefix);
}

// (D1). True if `__row` is named.
Result<bool> scan_names(const Unit& unit) {
  bool row = false;
  for (std::uint32_t i = 0; i + 1 < unit.size(); ++i) {
    const Token& token = unit.at(i);
    if (!token.is_name()) continue;
    // Most names are told from these by their first two characters.
    const std::string_view text = token.text;
    const bool quoted = token.is(TokenKind::quoted_name);
    const std::string_view inside = quoted ? text.substr(1) : text;
    if (!begins_with(inside, "__") && !begins_with(inside, "sqlite_")) continue;
    const std::string name = name_of(token);
    if (same_name(name, "__row")) {
      row = true;
    } else if (system_table(name) == nullptr) {
      return fault(unit, i, Code::denied_object, "names that begin with {} are the database's own",
                   begins_with(name, "__") ? "__" : "sqlite_");
    }
  }
  return row;
}

std::vector<Token> with_end(std::string_view text, std::span<const Token> tokens) {
  std::vector<Token> all{tokens.begin(), tokens.end()};
  if (all.empty() || !all.back().is(TokenKind::end)) {
    Token end;
    end.offset = all.empty() ? static_cast<std::uint32_t>(text.size()) : all.back().end_offset();
    end.text = text.substr(end.offset, 0);
    all.push_back(end);
  }
  return all;
}

// Reads one text as far as its references.
Status open(Text& text, Door& door, std::optional<Position> at, bool verify) {
  KIMBERLITE_CHECK(match_parentheses(text.unit));
  KIMBERLITE_TRY(const bool with_row, scan_names(text.unit));
  KIMBERLITE_TRY(text.shape, read_shape(text.unit));
  text.resolver = std::make_unique<Resolver>(text.unit, text.shape, door, at, with_row, verify);
  return text.resolver->bind();
}

std::string emitted(const Text& text) {
  return text.unit.edits.emit(text.unit.tokens, {0, text.unit.size() - 1});
}

// The views a text names, those they name in turn, and so on. A view names only what was there when
// it was made, so in the order of their ids each is typed after those it reads.
Status finish_views(Door& door) {
  static constexpr std::size_t views_max = 500;
  std::vector<std::unique_ptr<Text>> views;
  while (door.has_view()) {
    const PendingView pending = door.next_view();
    if (views.size() == views_max) {
      return Error{Code::limit_depth, "a statement reads more than {} views", views_max};
    }
    const std::string_view select = pending.view->select;
    KIMBERLITE_TRY(auto tokens, tokenize(select));
    auto text = std::make_unique<Text>(select, std::move(tokens));
    text->unit.name = pending.view->name;
    text->pending = pending;
    KIMBERLITE_CHECK(open(*text, door, pending.at, false));
    views.push_back(std::move(text));
  }
  std::ranges::stable_sort(views, {}, [](const auto& text) { return text->pending.view->id; });
  for (const auto& view : views) {
    KIMBERLITE_CHECK(view->resolver->type());
    door.finish_view(view->pending, emitted(*view), view->resolver->facts());
  }
  return {};
}

StatementClass class_of_dml(DmlKind kind) {
  switch (kind) {
    case DmlKind::none:
      return StatementClass::read;
    case DmlKind::insert:
      return StatementClass::insert;
    case DmlKind::update:
      return StatementClass::update;
    case DmlKind::remove:
    case DmlKind::truncate:
      return StatementClass::remove;
  }
  return StatementClass::read;
}

// Our CTEs stand before the user's.
void put_ctes(Text& text, const Door& door) {
  const std::string list = door.cte_list();
  if (list.empty()) return;
  const std::uint32_t with = text.shape.with;
  if (with == no_token) {
    text.unit.edits.before(0, fmt::format("WITH {} ", list));
  } else {
    text.unit.edits.after(text.shape.recursive ? with + 1 : with, fmt::format(" {},", list));
  }
}

}  // namespace

Result<Rewritten> rewrite(std::string_view text, std::span<const Token> tokens,
                          const Context& context) {
  Door door{context};
  Text main{text, with_end(text, tokens)};
  KIMBERLITE_CHECK(door.number(text, main.tokens));
  KIMBERLITE_CHECK(open(main, door, context.session_as_of, context.verify));
  KIMBERLITE_CHECK(finish_views(door));
  KIMBERLITE_CHECK(main.resolver->type());
  put_ctes(main, door);

  Rewritten& result = door.result();
  result.sql = emitted(main);
  const Dml& dml = main.shape.dml;
  result.statement_class = class_of_dml(dml.kind);
  if (dml.kind != DmlKind::none) {
    result.target = context.catalog->table(main.shape.sources[dml.target].table)->id;
  }
  const std::vector<Fact>& facts =
      dml.kind == DmlKind::none ? main.resolver->facts() : main.resolver->returned();
  for (const Fact& fact : facts) result.columns.push_back({fact.name, fact.type});
  door.finish_as_of();
  return std::move(result);
}

Result<std::string> rewrite_expression(std::string_view expression, const catalog::Table& table) {
  // "@3" is column 3 by whatever name it has now.
  KIMBERLITE_TRY(const auto written, tokenize(expression));
  Edits names{written.size()};
  for (std::uint32_t i = 0; i < written.size(); ++i) {
    if (!written[i].is(TokenKind::quoted_name)) continue;
    const std::string name = name_of(written[i]);
    if (!name.starts_with('@')) continue;
    const ColumnId id{static_cast<std::uint32_t>(std::strtoul(name.c_str() + 1, nullptr, 10))};
    const auto* column = catalog::Catalog::column(table, id);
    if (column == nullptr) {
      return Error{Code::not_found_column, "an expression of {} names a column that is gone",
                   display_name(table.name)};
    }
    names.replace(i, quote_name(column->name));
  }
  const std::string text = names.emit(written, {0, static_cast<std::uint32_t>(written.size() - 1)});

  const catalog::Catalog nothing;
  Context context;
  context.catalog = &nothing;
  Door door{context};
  KIMBERLITE_TRY(auto tokens, tokenize(text));
  Text whole{text, std::move(tokens)};
  KIMBERLITE_CHECK(door.number(text, whole.tokens));
  KIMBERLITE_CHECK(match_parentheses(whole.unit));
  Source source;
  source.kind = SourceKind::target;
  source.table = table.name;
  source.facts = Door::facts_of(table, false);
  whole.shape.sources.push_back(std::move(source));
  whole.shape.scope_at.assign(whole.unit.size(), no_index);
  whole.shape.scopes.emplace_back();
  whole.shape.scopes[0].role = Role::top;
  whole.shape.scopes[0].cores.emplace_back();
  whole.shape.scopes[0].cores[0].sources.push_back(0);
  const bool exact =
      std::ranges::any_of(table.columns, [](const auto& column) { return is_exact(column.type); });
  Typing typing{whole.unit, whole.shape, door, exact};
  KIMBERLITE_TRY([[maybe_unused]] const Term term,
                 typing.read_all({0, whole.unit.size() - 1}, {0, 0, false}));
  KIMBERLITE_CHECK(typing.read_pending());
  KIMBERLITE_CHECK(typing.check_literals());
  if (!door.result().binds.empty()) {
    return Error{Code::sql_misuse, "a parameter cannot stand in an expression of the schema"};
  }
  return emitted(whole);
}

Result<Position> resolve_as_of(std::string_view text, std::span<const Token> tokens,
                               const Context& context) {
  Door door{context};
  Text whole{text, with_end(text, tokens)};
  KIMBERLITE_CHECK(door.number(text, whole.tokens));
  KIMBERLITE_CHECK(match_parentheses(whole.unit));
  const std::uint32_t end = whole.unit.size() - 1;
  const Token& word = whole.unit.at(0);
  if (word.is(Keyword::position)) return door.resolve_position(whole.unit, {1, end});
  if (word.is(Keyword::timestamp)) return door.resolve_timestamp(whole.unit, {1, end});
  return unexpected(whole.unit, 0, "POSITION or TIMESTAMP");
}

}  // namespace kimberlite::sql
