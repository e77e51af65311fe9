#include "door.hpp"

#include <algorithm>

#include "sql/types.hpp"

namespace kimberlite::sql {

using catalog::Table;
using catalog::Type;
using catalog::TypeKind;

bool is_exact(const Type& type) {
  const Order order = order_of(type);
  return order != Order::binary && order != Order::uuid;
}

std::string history_name(ObjectId table) { return fmt::format("main.\"__h_{}\"", table.value()); }

std::string verified_name(std::size_t number, std::size_t i) {
  return fmt::format("\"__p{}_{}\"", number, i);
}

namespace {

std::string main_name(std::string_view table) { return "main." + quote_name(table); }

void append_listed(std::string& list, std::string_view part) {
  if (!list.empty()) list += ", ";
  list += part;
}

// "a", "b": the table's own names.
std::string column_list(const Table& table) {
  std::string list;
  for (const auto& column : table.columns) append_listed(list, quote_name(column.name));
  return list;
}

bool has_hidden_row(const Table& table) { return table.primary_key.empty(); }

// As the column holds it: with its storage class and collation, or a comparison with a value of
// another type would go another way than on the current rows.
std::string computed(const catalog::Column& column) {
  const std::string_view collation = collation_name(column.type);
  return fmt::format("(CAST(({}) AS {}){}{})", *column.generated, storage_class(column.type),
                     collation.empty() ? "" : " COLLATE ", collation);
}

// A generated column's expression over the history's columns: "@3" becomes "c3", or, where column 3
// is generated too, its expression; each round replaces one level.
Result<std::string> over_history(const Table& table, const catalog::Column& column) {
  static constexpr int rounds_max = 20;
  std::string text = computed(column);
  for (int round = 0; round < rounds_max; ++round) {
    KIMBERLITE_TRY(const auto tokens, tokenize(text));
    const Unit unit{text, tokens};
    Edits edits{tokens.size()};
    bool again = false;
    for (std::uint32_t i = 0; i < tokens.size(); ++i) {
      if (!tokens[i].is(TokenKind::quoted_name)) continue;
      const std::string name = name_of(tokens[i]);
      if (!name.starts_with('@')) continue;
      const ColumnId id{static_cast<std::uint32_t>(std::strtoul(name.c_str() + 1, nullptr, 10))};
      const auto* used = catalog::Catalog::column(table, id);
      if (used != nullptr && used->generated) {
        edits.replace(i, computed(*used));
        again = true;
      } else {
        edits.replace(i, fmt::format("\"c{}\"", id.value()));
      }
    }
    text = edits.emit(tokens, {0, static_cast<std::uint32_t>(tokens.size() - 1)});
    if (!again) return text;
  }
  return Error{Code::limit_depth, "generated columns refer to one another more than {} deep",
               rounds_max};
}

}  // namespace

// ---- Parameters
// -----------------------------------------------------------------------------------

Status Door::number(std::string_view text, std::span<const Token> tokens) {
  KIMBERLITE_TRY(parameters_, number_parameters(text, tokens));
  result_.caller_parameters = parameters_.count;
  result_.parameter_names = parameters_.names;
  caller_binds_.assign(parameters_.count + 1, 0);
  return {};
}

Result<std::uint32_t> Door::caller_parameter(const Unit& unit, std::uint32_t token) const {
  const std::uint32_t offset = unit.at(token).offset;
  if (unit.name.empty()) {
    const auto use = std::ranges::lower_bound(parameters_.uses, offset, {}, &ParameterUse::offset);
    if (use != parameters_.uses.end() && use->offset == offset) return use->number;
  }
  return fault(unit, token, Code::sql_misuse, "a parameter cannot stand here");
}

std::uint32_t Door::bind_caller(std::uint32_t number) {
  std::uint32_t& bind = caller_binds_[number];
  if (bind == 0) {
    result_.binds.emplace_back().caller = number;
    bind = static_cast<std::uint32_t>(result_.binds.size());
  }
  return bind;
}

std::uint32_t Door::bind_value(Value value) {
  result_.binds.emplace_back().value = std::move(value);
  return static_cast<std::uint32_t>(result_.binds.size());
}

std::uint32_t Door::bind_position(Position position) {
  const Value value{static_cast<std::int64_t>(position.value())};
  // A literal of the same value is another matter: it stays where the position moves.
  for (std::size_t i = 0; i < result_.binds.size(); ++i) {
    const Bind& bind = result_.binds[i];
    if (bind.position && bind.value == value) return static_cast<std::uint32_t>(i + 1);
  }
  Bind& bind = result_.binds.emplace_back();
  bind.value = value;
  bind.position = true;
  return static_cast<std::uint32_t>(result_.binds.size());
}

Result<Value> Door::parameter_value(const Unit& unit, std::uint32_t token) const {
  KIMBERLITE_TRY(const std::uint32_t number, caller_parameter(unit, token));
  if (number == 0 || number > context_.parameters.size()) {
    return fault(unit, token, Code::not_found_parameter, "parameter {} was not given", number);
  }
  return own(context_.parameters[number - 1]);
}

// ---- Tables
// ---------------------------------------------------------------------------------------

bool Door::is_object(std::string_view name) const {
  return context_.catalog->table(name) != nullptr || context_.catalog->view(name) != nullptr ||
         system_table(name) != nullptr;
}

Error Door::unknown(const Unit& unit, const Source& source, std::optional<Position> at) const {
  const auto& catalog = *context_.catalog;
  const std::string shown = display_name(source.table);
  if (at && (catalog.table(source.table) != nullptr || catalog.view(source.table) != nullptr)) {
    return fault(unit, source.name.first, Code::not_found_then, "{} did not exist at position {}",
                 shown, at->value())
        .next("kimberlite history, or SELECT * FROM __schema_history, shows when it came");
  }
  Error error =
      fault(unit, source.name.first, Code::not_found_table, "there is no table {}", shown);
  const std::string near = catalog.nearest_table(source.table);
  if (near.empty()) return error;
  return std::move(error).next("did you mean {}?", display_name(near));
}

std::vector<Fact> Door::facts_of(const Table& table, bool with_row) {
  std::vector<Fact> facts;
  facts.reserve(table.columns.size() + 1);
  for (const auto& column : table.columns) facts.push_back({column.name, column.type, false});
  if (with_row && has_hidden_row(table)) {
    facts.push_back({"__row", Type{TypeKind::bigint, 0, 0}, true});
  }
  return facts;
}

std::string Door::generated(std::string_view what) {
  return fmt::format("__{}_{}", what, ++generated_);
}

void Door::read(ObjectId table, std::optional<Position> at) {
  const TableRead read{table, at.value_or(catalog::still_valid)};
  if (std::ranges::find(result_.reads, read) == result_.reads.end()) result_.reads.push_back(read);
  if (!at) {
    reads_now_ = true;
  } else if (reads_at_ && *reads_at_ != *at) {
    reads_several_ = true;
  } else {
    reads_at_ = at;
  }
}

void Door::finish_as_of() {
  if (reads_at_ && !reads_now_ && !reads_several_) result_.as_of = reads_at_;
  if (!moves_ || !moved_by_ || !reads_at_ || reads_several_) return;
  // Before its last change the schema was another, and so would be what is written for it.
  const Position first = context_.catalog->last_change();
  if (*reads_at_ >= first) result_.moving = Moving{*moved_by_, first};
}

void move(Rewritten& rewritten, Position to) {
  for (Bind& bind : rewritten.binds) {
    if (bind.position) bind.value = static_cast<std::int64_t>(to.value());
  }
  for (TableRead& read : rewritten.reads) {
    if (read.at != catalog::still_valid) read.at = to;
  }
  if (rewritten.as_of) rewritten.as_of = to;
}

Reference Door::add(Cte cte, std::string_view own_name) {
  Reference reference{cte.name, cte.name != own_name, cte.facts, cte.exact, no_index};
  ctes_.push_back(std::move(cte));
  return reference;
}

std::string Door::cte_list() const {
  std::string list;
  for (const Cte& cte : ctes_) {
    append_listed(list, fmt::format("{}{} AS NOT MATERIALIZED ({})", quote_name(cte.name),
                                    cte.columns, cte.text));
  }
  return list;
}

Result<Reference> Door::named(const Unit& unit, const Source& source, std::optional<Position> at,
                              bool with_row) {
  if (const SystemTable* known = system_table(source.table))
    return system(unit, source, *known, at);
  const auto& catalog = *context_.catalog;
  const Table* found = at ? catalog.table_at(source.table, *at) : catalog.table(source.table);
  if (found != nullptr) return table(unit, source, *found, at, with_row && has_hidden_row(*found));
  const catalog::View* seen = at ? catalog.view_at(source.table, *at) : catalog.view(source.table);
  if (seen != nullptr) return view(*seen, at);
  return unknown(unit, source, at);
}

std::string Door::masked(const Table& table, std::string_view leading, std::string select) const {
  if (context_.policy == nullptr) return select;
  std::string columns{leading};
  bool changed = false;
  for (const auto& column : table.columns) {
    const std::string mask = context_.policy->mask(table, column);
    changed = changed || !mask.empty();
    const std::string name = quote_name(column.name);
    append_listed(columns, mask.empty() ? name : fmt::format("({}) AS {}", mask, name));
  }
  const std::string filter = context_.policy->row_filter(table);
  if (!changed && filter.empty()) return select;
  return fmt::format("SELECT {} FROM ({}){}", columns, select,
                     filter.empty() ? "" : fmt::format(" WHERE ({})", filter));
}

Result<Reference> Door::table(const Unit&, const Source& source, const Table& table,
                              std::optional<Position> at, bool with_row) {
  read(table.id, at);
  for (const Cte& cte : ctes_) {
    if (cte.kind == CteKind::table && cte.object == table.id.value() && cte.at == at &&
        cte.with_row == with_row) {
      return Reference{cte.name, !same_name(cte.name, source.table), cte.facts, cte.exact,
                       no_index};
    }
  }
  Cte cte{.object = table.id.value(),
          .at = at,
          .with_row = with_row,
          .name = at         ? generated("asof")
                  : with_row ? generated("rows")
                             : table.name,
          .text = "",
          .facts = facts_of(table, with_row)};
  cte.exact = std::ranges::any_of(table.columns, [](const auto& c) { return is_exact(c.type); });
  const std::string row = with_row ? "\"__row\"" : "";
  if (at) {
    KIMBERLITE_TRY(std::string rows, rows_as_of(table, bind_position(*at), with_row));
    cte.text = masked(table, row, std::move(rows));
  } else {
    std::string columns = column_list(table);
    if (with_row) append_listed(columns, row);
    cte.text = masked(table, row, fmt::format("SELECT {} FROM {}", columns, main_name(table.name)));
  }
  // The CTE is spelled as the catalog has it; a reference in another case means the same to SQLite.
  const std::string own{at || with_row ? std::string_view{} : std::string_view{cte.name}};
  return add(std::move(cte), own);
}

Result<std::string> Door::rows_as_of(const Table& then, std::uint32_t bind, bool with_row,
                                     std::size_t verified) const {
  const Table* now = context_.catalog->table(then.id);
  std::string current;
  std::string past;
  std::string current_copies;
  std::string past_copies;
  std::size_t copies = 0;
  const auto copy = [&](std::string_view from_current, std::string_view from_past) {
    if (verified == 0) return;
    const std::string as = verified_name(verified, copies++);
    append_listed(current_copies, fmt::format("{} AS {}", from_current, as));
    append_listed(past_copies, fmt::format("{} AS {}", from_past, as));
  };
  copy("\"__from\"", "\"__from\"");
  if (has_hidden_row(then)) copy("\"__row\"", "\"__row\"");
  for (const auto& column : then.columns) {
    const std::string name = quote_name(column.name);
    const auto* today = now == nullptr ? nullptr : catalog::Catalog::column(*now, column.id);
    // Dropped since: the drop closed every row, so what is current began later.
    if (today == nullptr) now = nullptr;
    if (today != nullptr)
      append_listed(current, fmt::format("{} AS {}", quote_name(today->name), name));
    if (column.generated) {
      KIMBERLITE_TRY(const std::string expression, over_history(then, column));
      append_listed(past, fmt::format("{} AS {}", expression, name));
    } else {
      const std::string kept = fmt::format("\"c{}\"", column.id.value());
      append_listed(past, fmt::format("{} AS {}", kept, name));
      copy(today == nullptr ? "NULL" : quote_name(today->name), kept);
    }
  }
  if (with_row) {
    append_listed(current, "\"__row\"");
    append_listed(past, "\"__row\"");
  }
  if (copies > 0) {
    append_listed(current, current_copies);
    append_listed(past, past_copies);
  }
  std::string history = fmt::format("SELECT {} FROM {} WHERE \"__from\" <= ?{} AND ?{} < \"__to\"",
                                    past, history_name(then.id), bind, bind);
  if (now == nullptr) return history;
  return fmt::format("SELECT {} FROM {} WHERE \"__from\" <= ?{} UNION ALL {}", current,
                     main_name(now->name), bind, history);
}

// Each reference has a CTE of its own: names that no other has, so that neither NATURAL nor `*` nor
// two references to one table mix them up.
Result<Reference> Door::verified(const Unit& unit, const Source& source, std::optional<Position> at,
                                 bool with_row) {
  const auto& catalog = *context_.catalog;
  const std::uint32_t place = source.name.first;
  constexpr std::string_view instead = "VERIFY SELECT of the tables it reads, or VERIFY TABLE";
  if (system_table(source.table) != nullptr) {
    return unsupported(unit, place, "a system table in the FROM of VERIFY SELECT",
                       "VERIFY SELECT of tables; the log itself is proved by kimberlite verify");
  }
  const Table* found = at ? catalog.table_at(source.table, *at) : catalog.table(source.table);
  if (found == nullptr) {
    const auto* seen = at ? catalog.view_at(source.table, *at) : catalog.view(source.table);
    if (seen == nullptr) return unknown(unit, source, at);
    return unsupported(unit, place, "a view in the FROM of VERIFY SELECT", instead);
  }
  const Table& table = *found;
  read(table.id, at);
  VerifiedTable verified{
      .table = table.id, .called = source.called(), .hidden_key = has_hidden_row(table)};
  const std::size_t number = result_.verified.size() + 1;
  const bool row = with_row && verified.hidden_key;
  std::string copies = fmt::format("\"__from\" AS {}", verified_name(number, 0));
  std::string names = verified_name(number, 0);
  const auto copy = [&](std::string_view what) {
    const std::string as = verified_name(number, verified.width() - 1);
    append_listed(copies, fmt::format("{} AS {}", what, as));
    append_listed(names, as);
  };
  if (verified.hidden_key) copy("\"__row\"");
  for (const auto& column : table.columns) {
    if (column.generated) continue;
    verified.columns.push_back(column.id);
    copy(quote_name(column.name));
  }
  Cte cte{.kind = CteKind::verified,
          .object = table.id.value(),
          .at = at,
          .with_row = row,
          .name = generated("verify"),
          .facts = facts_of(table, row)};
  cte.exact = std::ranges::any_of(table.columns, [](const auto& c) { return is_exact(c.type); });
  // A mask changes what is shown, never what is checked.
  const std::string leading = row ? fmt::format("\"__row\", {}", names) : names;
  std::string rows;
  if (at) {
    KIMBERLITE_TRY(rows, rows_as_of(table, bind_position(*at), row, number));
  } else {
    std::string columns = column_list(table);
    if (row) append_listed(columns, "\"__row\"");
    rows = fmt::format("SELECT {}, {} FROM {}", columns, copies, main_name(table.name));
  }
  cte.text = masked(table, leading, std::move(rows));
  result_.verified.push_back(std::move(verified));
  return add(std::move(cte), "");
}

Result<Reference> Door::view(const catalog::View& view, std::optional<Position> at) {
  for (std::uint32_t i = 0; i < ctes_.size(); ++i) {
    const Cte& cte = ctes_[i];
    if (cte.kind == CteKind::view && cte.object == view.id.value() && cte.at == at) {
      return Reference{cte.name, at.has_value(), cte.facts, cte.exact, i};
    }
  }
  const auto index = static_cast<std::uint32_t>(ctes_.size());
  views_.push_back({&view, at, index});
  Cte cte{.kind = CteKind::view, .object = view.id.value(), .at = at};
  cte.name = at ? generated("asof") : view.name;
  Reference reference{cte.name, at.has_value(), {}, false, index};
  ctes_.push_back(std::move(cte));
  return reference;
}

void Door::finish_view(const PendingView& pending, std::string text, std::vector<Fact> facts) {
  Cte& cte = ctes_[pending.cte];
  cte.text = std::move(text);
  cte.facts = std::move(facts);
  for (std::size_t i = 0; i < pending.view->column_names.size(); ++i) {
    append_listed(cte.columns, quote_name(pending.view->column_names[i]));
    if (i < cte.facts.size()) cte.facts[i].name = pending.view->column_names[i];
  }
  if (!cte.columns.empty()) cte.columns = fmt::format("({})", cte.columns);
}

Result<const Table*> Door::target(const Unit& unit, const Source& source) const {
  if (context_.session_as_of) {
    return fault(unit, source.name.first, Code::sql_read_only, "the past cannot be written")
        .why("SET AS OF holds for this session")
        .next("SET AS OF LATEST");
  }
  const Table* table = context_.catalog->table(source.table);
  if (table != nullptr) return table;
  if (system_table(source.table) != nullptr) {
    return fault(unit, source.name.first, Code::sql_read_only, "{} is read-only", source.table)
        .why("the database makes it itself");
  }
  if (context_.catalog->view(source.table) != nullptr) {
    return fault(unit, source.name.first, Code::sql_read_only, "{} is a view",
                 display_name(source.table))
        .next("write to its tables");
  }
  return unknown(unit, source, std::nullopt);
}

// ---- HISTORY and DIFF
// -----------------------------------------------------------------------------

namespace {

// `prefix."a" = other."c1"` for every key column, by AND.
struct Key {
  std::vector<std::string> current;
  std::vector<std::string> past;
};

Key key_of(const Table& table) {
  Key key;
  for (const ColumnId id : table.primary_key) {
    const auto* column = catalog::Catalog::column(table, id);
    if (column == nullptr) continue;
    key.current.push_back(quote_name(column->name));
    key.past.push_back(fmt::format("\"c{}\"", id.value()));
  }
  if (key.current.empty()) {
    key.current.emplace_back("\"__row\"");
    key.past.emplace_back("\"__row\"");
  }
  return key;
}

std::string same_key(std::string_view left, const std::vector<std::string>& a,
                     std::string_view right, const std::vector<std::string>& b) {
  std::string text;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (i > 0) text += " AND ";
    text += fmt::format("{}.{} = {}.{}", left, a[i], right, b[i]);
  }
  return text;
}

}  // namespace

Result<Reference> Door::history(const Unit& unit, const Source& source, std::optional<Position> at,
                                bool with_row) {
  const std::uint32_t place = source.name.first;
  if (at) return unsupported(unit, place, "HISTORY as of an earlier position", "SET AS OF LATEST");
  const Table* table = context_.catalog->table(source.table);
  if (table == nullptr) {
    if (context_.catalog->view(source.table) != nullptr || system_table(source.table) != nullptr) {
      return unsupported(unit, place, "HISTORY of what is not a table");
    }
    return unknown(unit, source, std::nullopt);
  }
  read(table->id, std::nullopt);
  const bool hidden = with_row && has_hidden_row(*table);
  const Key key = key_of(*table);
  std::string current;
  std::string past;
  std::string gone;
  for (const auto& column : table->columns) {
    const std::string name = quote_name(column.name);
    append_listed(current, fmt::format("v.{}", name));
    if (column.generated) {
      KIMBERLITE_TRY(const std::string expression, over_history(*table, column));
      append_listed(past, fmt::format("{} AS {}", expression, name));
      append_listed(gone, "NULL");
      continue;
    }
    append_listed(past, fmt::format("v.\"c{}\" AS {}", column.id.value(), name));
    const bool in_key =
        std::ranges::find(table->primary_key, column.id) != table->primary_key.end();
    append_listed(gone, in_key ? fmt::format("v.\"c{}\"", column.id.value()) : "NULL");
  }
  const std::string history = history_name(table->id);
  const std::string main = main_name(table->name);
  const auto head = [hidden](std::string_view from, std::string_view to,
                             std::string_view operation) {
    return fmt::format(
        "SELECT {0} AS \"valid_from\", {1} AS \"valid_to\", kmb_record_time({0}) COLLATE "
        "kmb_timestamp "
        "AS \"from_time\", kmb_record_time({1}) COLLATE kmb_timestamp AS \"to_time\", "
        "kmb_record_actor({0}) AS \"actor\", {2} AS \"operation\", kmb_record_reason({0}) AS "
        "\"reason\"{3}",
        from, to, operation, hidden ? ", v.\"__row\" AS \"__row\"" : "");
  };
  // A version that begins where another one of the same key ends is an update.
  const auto operation = [&](const std::vector<std::string>& own) {
    return fmt::format(
        "CASE WHEN EXISTS (SELECT 1 FROM {} p WHERE {} AND p.\"__to\" = v.\"__from\") THEN "
        "'update' "
        "ELSE 'insert' END",
        history, same_key("p", key.past, "v", own));
  };
  std::string text = fmt::format(
      "{}, {} FROM {} v", head("v.\"__from\"", "NULL", operation(key.current)), current, main);
  text += fmt::format(" UNION ALL {}, {} FROM {} v",
                      head("v.\"__from\"", "v.\"__to\"", operation(key.past)), past, history);
  text += fmt::format(
      " UNION ALL {}, {} FROM {} v WHERE NOT EXISTS (SELECT 1 FROM {} n WHERE {} AND n.\"__from\" "
      "= "
      "v.\"__to\") AND NOT EXISTS (SELECT 1 FROM {} n WHERE {} AND n.\"__from\" = v.\"__to\")",
      head("v.\"__to\"", "v.\"__to\"", "'delete'"), gone, history, history,
      same_key("n", key.past, "v", key.past), main, same_key("n", key.current, "v", key.past));

  Cte cte{.name = generated("history")};
  cte.text = masked(*table,
                    std::string{"\"valid_from\", \"valid_to\", \"from_time\", \"to_time\", "
                                "\"actor\", \"operation\", \"reason\""} +
                        (hidden ? ", \"__row\"" : ""),
                    std::move(text));
  const Type bigint{TypeKind::bigint, 0, 0};
  const Type timestamp{TypeKind::timestamp, 0, 0};
  const Type words{TypeKind::text, 0, 0};
  cte.facts = {{"valid_from", bigint}, {"valid_to", bigint}, {"from_time", timestamp},
               {"to_time", timestamp}, {"actor", words},     {"operation", words},
               {"reason", words}};
  if (hidden) cte.facts.push_back({"__row", bigint, true});
  std::ranges::move(facts_of(*table, false), std::back_inserter(cte.facts));
  cte.exact = true;
  return add(std::move(cte), "");
}

Result<Reference> Door::diff(const Unit& unit, const Source& source, std::optional<Position> at) {
  if (at) {
    return unsupported(unit, source.name.first, "DIFF as of an earlier position",
                       "name two positions");
  }
  moves_ = false;
  KIMBERLITE_TRY(const Position from, resolve_position(unit, source.arguments[1]));
  KIMBERLITE_TRY(const Position to, resolve_position(unit, source.arguments[2]));
  if (to < from) {
    return fault(unit, source.arguments[1].first, Code::sql_misuse,
                 "DIFF goes from an earlier position to a later one");
  }
  const Table* table = context_.catalog->table_at(source.table, to);
  if (table == nullptr) return unknown(unit, source, to);
  read(table->id, from);
  read(table->id, to);
  const std::uint32_t a = bind_position(from);
  const std::uint32_t b = bind_position(to);
  const bool hidden = has_hidden_row(*table);
  const Table* now = context_.catalog->table(table->id);
  for (const auto& column : table->columns) {
    if (now != nullptr && catalog::Catalog::column(*now, column.id) == nullptr) now = nullptr;
  }
  KIMBERLITE_TRY(const std::string before, rows_as_of(*table, a, hidden));
  KIMBERLITE_TRY(const std::string after, rows_as_of(*table, b, hidden));
  // Versions that end in (a, b] may have gone, those that begin there may have come; what is the
  // same on both sides has not changed.
  std::string past;
  std::string current;
  std::string same = hidden ? "o.\"__row\" = v.\"__row\"" : "";
  std::string own;
  for (const auto& column : table->columns) {
    const std::string name = quote_name(column.name);
    append_listed(own, fmt::format("v.{}", name));
    if (now != nullptr) {
      append_listed(current,
                    fmt::format("{} AS {}",
                                quote_name(catalog::Catalog::column(*now, column.id)->name), name));
    }
    std::string kept = fmt::format("\"c{}\"", column.id.value());
    if (column.generated) {
      KIMBERLITE_TRY(kept, over_history(*table, column));
    }
    append_listed(past, fmt::format("{} AS {}", kept, name));
    const bool in_key =
        std::ranges::find(table->primary_key, column.id) != table->primary_key.end();
    if (!same.empty()) same += " AND ";
    same += fmt::format("o.{0} {1} v.{0}", name, in_key ? "=" : "IS");
  }
  if (hidden) {
    append_listed(past, "\"__row\"");
    append_listed(current, "\"__row\"");
  }
  const std::string history = history_name(table->id);
  std::string text = fmt::format(
      "SELECT '-' AS \"change\", {0} FROM (SELECT {1} FROM {2} WHERE \"__from\" <= ?{3} AND ?{3} < "
      "\"__to\" AND \"__to\" <= ?{4}) v WHERE NOT EXISTS (SELECT 1 FROM ({5}) o WHERE {6})",
      own, past, history, a, b, after, same);
  std::string came = fmt::format(
      "SELECT {0} FROM {1} WHERE ?{2} < \"__from\" AND \"__from\" <= ?{3} AND ?{3} < \"__to\"",
      past, history, a, b);
  if (now != nullptr) {
    came =
        fmt::format("SELECT {} FROM {} WHERE ?{} < \"__from\" AND \"__from\" <= ?{} UNION ALL {}",
                    current, main_name(now->name), a, b, came);
  }
  text += fmt::format(
      " UNION ALL SELECT '+', {} FROM ({}) v WHERE NOT EXISTS (SELECT 1 FROM ({}) o WHERE {})", own,
      came, before, same);
  Cte cte{.name = generated("diff")};
  cte.text = masked(*table, "\"change\"", std::move(text));
  cte.facts = {{"change", Type{TypeKind::text, 0, 0}}};
  std::ranges::move(facts_of(*table, false), std::back_inserter(cte.facts));
  cte.exact = std::ranges::any_of(table->columns, [](const auto& c) { return is_exact(c.type); });
  return add(std::move(cte), "");
}

}  // namespace kimberlite::sql
