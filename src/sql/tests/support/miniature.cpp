#include "support/miniature.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "sql/datetime.hpp"
#include "sql/ddl.hpp"
#include "sql/functions.hpp"
#include "sql/types.hpp"

namespace kimberlite::sql {
namespace {

ValueView value_of(sqlite3_value* value) {
  const auto size = static_cast<std::size_t>(sqlite3_value_bytes(value));
  switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_value_int64(value));
    case SQLITE_FLOAT:
      return sqlite3_value_double(value);
    case SQLITE_TEXT:
      return std::string_view{reinterpret_cast<const char*>(sqlite3_value_text(value)), size};
    case SQLITE_BLOB:
      return Bytes{static_cast<const std::byte*>(sqlite3_value_blob(value)), size};
    default:
      return Null{};
  }
}

void give(sqlite3_context* context, const Result<Value>& result) {
  if (!result) {
    sqlite3_result_error(context, std::string{name(result.error().code())}.c_str(), -1);
  } else if (const auto* integer = std::get_if<std::int64_t>(&*result)) {
    sqlite3_result_int64(context, *integer);
  } else if (const auto* real = std::get_if<double>(&*result)) {
    sqlite3_result_double(context, *real);
  } else if (const auto* text = std::get_if<std::string>(&*result)) {
    sqlite3_result_text(context, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
  } else {
    sqlite3_result_null(context);
  }
}

void call_scalar(sqlite3_context* context, int count, sqlite3_value** values) {
  std::vector<ValueView> arguments;
  arguments.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) arguments.push_back(value_of(values[i]));
  give(context, static_cast<const ScalarFunction*>(sqlite3_user_data(context))->call(arguments));
}

struct Held {
  std::unique_ptr<Accumulator>* accumulator = nullptr;
};
Accumulator& held(sqlite3_context* context) {
  auto* slot = static_cast<Held*>(sqlite3_aggregate_context(context, sizeof(Held)));
  if (slot->accumulator == nullptr) {
    const auto* made = static_cast<const Aggregate*>(sqlite3_user_data(context));
    slot->accumulator = new std::unique_ptr<Accumulator>{made->make()};
  }
  return **slot->accumulator;
}
void call_step(sqlite3_context* context, int, sqlite3_value** values) {
  if (const auto done = held(context).step(value_of(values[0])); !done) give(context, done.error());
}
void call_inverse(sqlite3_context* context, int, sqlite3_value** values) {
  if (const auto done = held(context).inverse(value_of(values[0])); !done)
    give(context, done.error());
}
void call_value(sqlite3_context* context) { give(context, held(context).value()); }
void call_final(sqlite3_context* context) {
  give(context, held(context).value());
  delete static_cast<Held*>(sqlite3_aggregate_context(context, sizeof(Held)))->accumulator;
}

int call_compare(void* order, int size_a, const void* a, int size_b, const void* b) {
  return compare(*static_cast<const Order*>(order),
                 {static_cast<const char*>(a), static_cast<std::size_t>(size_a)},
                 {static_cast<const char*>(b), static_cast<std::size_t>(size_b)});
}

Miniature& self(sqlite3_context* context) {
  return *static_cast<Miniature*>(sqlite3_user_data(context));
}

std::string column_ddl(const catalog::Column& column) {
  std::string text = fmt::format("{} {}", quote_name(column.name), storage_class(column.type));
  const std::string_view collation = collation_name(column.type);
  if (!collation.empty()) text += fmt::format(" COLLATE {}", collation);
  const std::string check = check_expression(column.type, quote_name(column.name));
  if (!check.empty()) text += fmt::format(" CHECK ({})", check);
  return text;
}

std::string history_column(const catalog::Column& column) {
  const std::string_view collation = collation_name(column.type);
  return fmt::format("c{} {}{}", column.id.value(), storage_class(column.type),
                     collation.empty() ? "" : fmt::format(" COLLATE {}", collation));
}

}  // namespace

std::string Answer::text() const {
  if (!error.empty()) return error.substr(0, error.find(' '));
  std::string text;
  for (const auto& row : rows) {
    if (!text.empty()) text += '\n';
    for (std::size_t i = 0; i < row.size(); ++i) text += (i == 0 ? "" : " ") + row[i];
  }
  return text;
}

Miniature::Miniature() {
  sqlite3_open(":memory:", &db_);
  static constexpr int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
  for (const Collation& collation : collations()) {
    sqlite3_create_collation_v2(db_, collation.name, SQLITE_UTF8,
                                const_cast<Order*>(&collation.order), call_compare, nullptr);
  }
  for (const ScalarFunction& function : scalar_functions()) {
    sqlite3_create_function_v2(db_, function.name, function.arguments, flags,
                               const_cast<ScalarFunction*>(&function), call_scalar, nullptr,
                               nullptr, nullptr);
  }
  for (const Aggregate& function : aggregates()) {
    sqlite3_create_window_function(db_, function.name, function.arguments, flags,
                                   const_cast<Aggregate*>(&function), call_step, call_final,
                                   call_value, call_inverse, nullptr);
  }
  const auto own = [this](const char* name, int arguments,
                          void (*call)(sqlite3_context*, int, sqlite3_value**)) {
    sqlite3_create_function_v2(db_, name, arguments, SQLITE_UTF8, this, call, nullptr, nullptr,
                               nullptr);
  };
  own("kmb_position", 0, [](sqlite3_context* c, int, sqlite3_value**) {
    sqlite3_result_int64(c, static_cast<sqlite3_int64>(self(c).position));
  });
  own("kmb_row", 0, [](sqlite3_context* c, int, sqlite3_value**) {
    sqlite3_result_int64(c, static_cast<std::int64_t>(self(c).position << 20U | self(c).row++));
  });
  own("kmb_now", 0, [](sqlite3_context* c, int, sqlite3_value**) {
    give(c, Value{text_of(Timestamp{static_cast<std::int64_t>(self(c).now)})});
  });
  own("kmb_today", 0, [](sqlite3_context* c, int, sqlite3_value**) {
    give(c, Value{text_of(date_of(Timestamp{static_cast<std::int64_t>(self(c).now)}))});
  });
  own("kmb_time_of_day", 0, [](sqlite3_context* c, int, sqlite3_value**) {
    give(c, Value{text_of(time_of(Timestamp{static_cast<std::int64_t>(self(c).now)}))});
  });
  own("kmb_record_time", 1, [](sqlite3_context* c, int, sqlite3_value** v) {
    if (sqlite3_value_type(v[0]) == SQLITE_NULL) return sqlite3_result_null(c);
    give(c, Value{text_of(Timestamp{sqlite3_value_int64(v[0]) * us_per_second})});
  });
  own("kmb_record_actor", 1,
      [](sqlite3_context* c, int, sqlite3_value**) { give(c, Value{"os:ann"}); });
  own("kmb_record_reason", 1, [](sqlite3_context* c, int, sqlite3_value** v) {
    if (sqlite3_value_type(v[0]) == SQLITE_NULL) return sqlite3_result_null(c);
    give(c, Value{fmt::format("why{}", sqlite3_value_int64(v[0]))});
  });
  execute("PRAGMA recursive_triggers=ON; PRAGMA case_sensitive_like=ON");
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  execute(
      "CREATE TABLE __records(position INTEGER PRIMARY KEY, timestamp INTEGER, kind INTEGER, "
      "actor BLOB, request_id BLOB, digest BLOB)");
}

Miniature::~Miniature() { sqlite3_close(db_); }

void Miniature::execute(const std::string& sql) {
  char* message = nullptr;
  const int rc = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &message);
  EXPECT_EQ(rc, SQLITE_OK) << sql << ": " << (message == nullptr ? "" : message);
  sqlite3_free(message);
}

catalog::Column Miniature::column(const std::string& text, std::uint32_t id) {
  const auto tokens = tokenize(text);
  std::size_t next = 1;
  catalog::Column column;
  column.id = ColumnId{id};
  column.name = name_of((*tokens)[0]);
  column.type = *parse_type(text, *tokens, next);
  return column;
}

void Miniature::change(const catalog::Change& change) {
  position = ++head;
  const auto done = catalog.apply(change, Position{head});
  EXPECT_TRUE(done.has_value()) << to_string(done.error());
}

void Miniature::create(const std::string& name, const std::string& columns, std::size_t keys) {
  catalog::Table table;
  table.id = catalog.next_object();
  table.name = name;
  std::string rest = columns;
  std::string ddl;
  std::string history;
  for (std::uint32_t id = 1; !rest.empty(); ++id) {
    std::size_t end = 0;
    for (int depth = 0; end < rest.size() && (rest[end] != ',' || depth > 0); ++end) {
      depth += rest[end] == '(' ? 1 : (rest[end] == ')' ? -1 : 0);
    }
    table.columns.push_back(column(rest.substr(0, end), id));
    rest = end < rest.size() ? rest.substr(end + 1) : "";
    if (id <= keys) table.primary_key.push_back(ColumnId{id});
    ddl += column_ddl(table.columns.back()) + ", ";
    history += history_column(table.columns.back()) + ", ";
  }
  ddl += "__from INTEGER NOT NULL DEFAULT (kmb_position())";
  std::string key;
  for (std::size_t i = 0; i < keys; ++i) {
    key += (i == 0 ? "" : ", ") + quote_name(table.columns[i].name);
  }
  if (keys == 0) {
    ddl += ", __row INTEGER NOT NULL PRIMARY KEY DEFAULT (kmb_row())";
    history += "__row INTEGER, ";
  } else {
    ddl += fmt::format(", PRIMARY KEY ({})", key);
  }
  execute(fmt::format("CREATE TABLE {} ({}) STRICT{}", quote_name(name), ddl,
                      keys == 0 ? ", WITHOUT ROWID" : ""));
  execute(fmt::format("CREATE TABLE __h_{} ({}__from INTEGER, __to INTEGER) STRICT",
                      table.id.value(), history));
  triggers(table);
  change(catalog::CreateTable{table});
}

void Miniature::triggers(const catalog::Table& table) {
  std::string to;
  std::string from;
  for (const auto& column : table.columns) {
    to += fmt::format("c{}, ", column.id.value());
    from += fmt::format("OLD.{}, ", quote_name(column.name));
  }
  if (table.primary_key.empty()) {
    to += "__row, ";
    from += "OLD.__row, ";
  }
  for (const char* event : {"UPDATE", "DELETE"}) {
    execute(fmt::format("DROP TRIGGER IF EXISTS __{}_{}", event, table.id.value()));
    execute(
        fmt::format("CREATE TRIGGER __{0}_{1} AFTER {0} ON {2} WHEN OLD.__from < kmb_position() "
                    "BEGIN INSERT INTO __h_{1} ({3}__from, __to) VALUES ({4}OLD.__from, "
                    "kmb_position()); END",
                    event, table.id.value(), quote_name(table.name), to, from));
  }
}

// What a drop does first: every row's version ends here, and another one begins.
void Miniature::close_rows(const catalog::Table& table) {
  execute(fmt::format("UPDATE {} SET __from = kmb_position()", quote_name(table.name)));
}

void Miniature::create_view(const std::string& name, const std::string& select,
                            std::vector<std::string> columns) {
  change(catalog::CreateView{{catalog.next_object(), name, std::move(columns), select, {}}});
}

void Miniature::rename_column(const std::string& table, const std::string& from,
                              const std::string& to) {
  const catalog::Table* found = catalog.table(table);
  const ColumnId id = catalog::Catalog::column(*found, from)->id;
  execute(fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", table, from, to));
  change(catalog::RenameColumn{found->id, id, to});
  triggers(*catalog.table(table));
}

void Miniature::rename_table(const std::string& from, const std::string& to) {
  execute(fmt::format("ALTER TABLE {} RENAME TO {}", from, to));
  change(catalog::RenameTable{catalog.table(from)->id, to});
}

void Miniature::drop_column(const std::string& table, const std::string& column) {
  const catalog::Table before = *catalog.table(table);
  change(catalog::DropColumn{before.id, catalog::Catalog::column(before, column)->id});
  close_rows(before);
  execute(fmt::format("DROP TRIGGER __UPDATE_{0}; DROP TRIGGER __DELETE_{0}", before.id.value()));
  execute(fmt::format("ALTER TABLE {} DROP COLUMN {}", table, column));
  triggers(*catalog.table(table));
}

void Miniature::add_column(const std::string& table, const std::string& text) {
  const catalog::Table before = *catalog.table(table);
  const catalog::Column added = column(text, catalog.next_column(before.id).value());
  execute(fmt::format("ALTER TABLE {} ADD COLUMN {}", table, column_ddl(added)));
  execute(
      fmt::format("ALTER TABLE __h_{} ADD COLUMN {}", before.id.value(), history_column(added)));
  change(catalog::AddColumn{before.id, added, {}, {}});
  triggers(*catalog.table(table));
}

void Miniature::drop_table(const std::string& table) {
  const catalog::Table before = *catalog.table(table);
  change(catalog::DropTable{before.id});
  execute(fmt::format("DELETE FROM {}", quote_name(table)));
  execute(fmt::format("DROP TABLE {}", quote_name(table)));
}

Context Miniature::context() const {
  Context context;
  context.catalog = &catalog;
  context.head = Position{head};
  context.now = TimestampUs{now};
  context.times = this;
  context.session_as_of = session_as_of;
  context.policy = policy;
  context.verify = verify;
  return context;
}

// Record p is stamped p seconds after 1970.
Result<Position> Miniature::position_at(TimestampUs time) const {
  return Position{std::min<std::uint64_t>(head, time.value() / 1'000'000)};
}

Answer Miniature::run(const std::string& sql, const std::vector<Value>& parameters) {
  Answer answer;
  const auto tokens = tokenize(sql);
  if (!tokens) {
    answer.error = to_string(tokens.error());
    return answer;
  }
  std::vector<ValueView> views;
  views.reserve(parameters.size());
  for (const Value& value : parameters) views.push_back(view(value));
  Context door = context();
  door.parameters = views;
  auto rewritten = rewrite(sql, *tokens, door);
  if (!rewritten) {
    answer.error = fmt::format("{} {}: {}", name(rewritten.error().code()),
                               rewritten.error().where(), rewritten.error().what());
    return answer;
  }
  answer.rewritten = *std::move(rewritten);
  position = head + 1;
  row = 0;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, answer.rewritten.sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    answer.error = fmt::format("sqlite: {} in {}", sqlite3_errmsg(db_), answer.rewritten.sql);
    return answer;
  }
  EXPECT_LE(sqlite3_bind_parameter_count(statement),
            static_cast<int>(answer.rewritten.binds.size()));
  for (std::size_t i = 0; i < answer.rewritten.binds.size(); ++i) {
    const Bind& bind = answer.rewritten.binds[i];
    const Value value = bind.caller == 0 ? bind.value : parameters.at(bind.caller - 1);
    const int at = static_cast<int>(i + 1);
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      sqlite3_bind_int64(statement, at, *integer);
    } else if (const auto* real = std::get_if<double>(&value)) {
      sqlite3_bind_double(statement, at, *real);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      sqlite3_bind_text(statement, at, text->data(), static_cast<int>(text->size()),
                        SQLITE_TRANSIENT);
    }
  }
  step(statement, answer);
  if (answer.error.empty() && answer.rewritten.statement_class != StatementClass::read)
    head = position;
  return answer;
}

void Miniature::step(sqlite3_stmt* statement, Answer& answer) {
  const int count = sqlite3_column_count(statement);
  for (int i = 0; i < count; ++i) answer.columns.emplace_back(sqlite3_column_name(statement, i));
  if (answer.rewritten.sql.size() > 0) {
    std::vector<std::string> declared;
    declared.reserve(answer.rewritten.columns.size());
    for (const OutputColumn& column : answer.rewritten.columns) declared.push_back(column.name);
    for (std::size_t t = 0; t < answer.rewritten.verified.size(); ++t) {
      for (std::size_t i = 0; i < answer.rewritten.verified[t].width(); ++i) {
        declared.push_back(fmt::format("__p{}_{}", t + 1, i));
      }
    }
    EXPECT_EQ(answer.columns, declared) << answer.rewritten.sql;
  }
  int rc = 0;
  while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
    answer.rows.emplace_back();
    for (int i = 0; i < count; ++i) {
      const ValueView value = value_of(sqlite3_column_value(statement, i));
      const auto column = static_cast<std::size_t>(i);
      const auto& types = answer.rewritten.columns;
      const bool typed = column < types.size() && types[column].type;
      answer.rows.back().push_back(is_null(value) ? "-"
                                   : typed        ? print(value, *types[column].type)
                                                  : print(value));
    }
  }
  if (rc != SQLITE_DONE) answer.error = fmt::format("{} (sqlite)", sqlite3_errmsg(db_));
  sqlite3_finalize(statement);
}

Answer Miniature::raw(const std::string& sql) {
  Answer answer;
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db_) << ": " << sql;
  step(statement, answer);
  return answer;
}

}  // namespace kimberlite::sql
