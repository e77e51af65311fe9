#include "ddl_table.hpp"

#include <array>
#include <utility>

#include "catalog/catalog.hpp"

namespace kimberlite::sql {
namespace {

constexpr std::uint32_t depth_max = 100;  // SQLite's parser gives up soon after
constexpr std::size_t constraints_max = 1000;

// Words that begin the next constraint of a column, and so end a DEFAULT without parentheses.
bool begins_constraint(const Cursor& cursor) {
  switch (cursor.now().keyword) {
    case Keyword::not_:
    case Keyword::null:
    case Keyword::default_:
    case Keyword::check:
    case Keyword::unique:
    case Keyword::primary:
    case Keyword::references:
    case Keyword::constraint:
    case Keyword::generated:
    case Keyword::collate:
    case Keyword::autoincrement:
    case Keyword::as:
    case Keyword::with:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<std::vector<Identifier>> parse_name_list(Cursor& cursor, std::string_view what) {
  KIMBERLITE_CHECK(cursor.want(TokenKind::left_parenthesis, "("));
  std::vector<Identifier> names;
  do {
    KIMBERLITE_TRY(Identifier name, cursor.name(what));
    names.push_back(std::move(name));
  } while (cursor.take(TokenKind::comma));
  KIMBERLITE_CHECK(cursor.want(TokenKind::right_parenthesis, ", or )"));
  return names;
}

Result<TokenRange> parse_parenthesised(Cursor& cursor) {
  const Token& open = cursor.now();
  KIMBERLITE_CHECK(cursor.want(TokenKind::left_parenthesis, "("));
  TokenRange range{.first = cursor.at(), .end = cursor.at()};
  std::uint32_t depth = 1;
  for (; !cursor.at_end(); cursor.move()) {
    if (cursor.is(TokenKind::left_parenthesis) && ++depth > depth_max) {
      return cursor.error(Code::limit_depth, cursor.now(),
                          fmt::format("parentheses more than {} deep", depth_max),
                          "write the expression flatter");
    }
    if (cursor.is(TokenKind::right_parenthesis) && --depth == 0) break;
  }
  if (cursor.at_end()) {
    return cursor.error(Code::sql_syntax, open, "this parenthesis is not closed",
                        "close it with )");
  }
  range.end = cursor.at();
  cursor.move();
  if (range.first == range.end) {
    return cursor.error(Code::sql_syntax, open, "an expression is missing here",
                        "write one between the parentheses");
  }
  return range;
}

Error TableParser::refuse_twice(const Token& token, std::string_view what) const {
  return cursor_.error(Code::sql_syntax, token, fmt::format("{} is given twice", what),
                       "say it once");
}

Status TableParser::parse_body() {
  if (cursor_.is(Keyword::as)) {
    return cursor_.unsupported(cursor_.now(), "CREATE TABLE AS",
                               "CREATE TABLE with its columns, then INSERT … SELECT");
  }
  KIMBERLITE_CHECK(cursor_.want(TokenKind::left_parenthesis, "("));
  do KIMBERLITE_CHECK(parse_element());
  while (cursor_.take(TokenKind::comma));
  KIMBERLITE_CHECK(cursor_.want(TokenKind::right_parenthesis, ", or )"));
  if (table_.columns.empty()) {
    return Error(Code::sql_syntax, "a table has at least one column")
        .where("{}", where(cursor_.text(), table_.name.offset))
        .next("CREATE TABLE t (id BIGINT PRIMARY KEY)");
  }
  return parse_after_body();
}

// A column may be called `check` only in quotes, but `like` or `key` begin nothing we know.
bool TableParser::at_table_constraint() const {
  switch (cursor_.now().keyword) {
    case Keyword::constraint:
    case Keyword::primary:
    case Keyword::unique:
    case Keyword::check:
    case Keyword::foreign:
      return true;
    default:
      return false;
  }
}

Status TableParser::parse_element() {
  const Token& token = cursor_.now();
  if (at_table_constraint()) return parse_table_constraint();
  if (cursor_.is(Keyword::exclude) &&
      (cursor_.ahead(1).is(Keyword::using_) || cursor_.ahead(1).is(TokenKind::left_parenthesis))) {
    return cursor_.unsupported(token, "EXCLUDE", "UNIQUE, or CHECK");
  }
  if (cursor_.is(Keyword::like) && cursor_.ahead(1).is_name()) {
    return cursor_.unsupported(token, "CREATE TABLE … (LIKE …)", "write the columns");
  }
  return parse_column();
}

Status TableParser::parse_column() {
  if (table_.columns.size() >= catalog::Catalog::columns_max) {
    return cursor_.error(Code::limit_columns, cursor_.now(),
                         fmt::format("more than {} columns", catalog::Catalog::columns_max),
                         "split the table");
  }
  ColumnSpec column;
  KIMBERLITE_TRY(column.name, cursor_.name("the name of a column"));
  KIMBERLITE_CHECK(parse_column_type(column));
  bool more = true;
  while (more) {
    KIMBERLITE_TRY(more, parse_column_constraint(column));
  }
  table_.columns.push_back(std::move(column));
  return {};
}

Status TableParser::parse_column_type(ColumnSpec& column) {
  struct Serial {
    std::string_view word;
    catalog::TypeKind kind;
  };
  static constexpr std::array serials{
      Serial{"serial", catalog::TypeKind::integer},
      Serial{"serial2", catalog::TypeKind::smallint},
      Serial{"serial4", catalog::TypeKind::integer},
      Serial{"serial8", catalog::TypeKind::bigint},
      Serial{"bigserial", catalog::TypeKind::bigint},
      Serial{"smallserial", catalog::TypeKind::smallint},
  };
  if (cursor_.is(TokenKind::comma) || cursor_.is(TokenKind::right_parenthesis) ||
      cursor_.at_end() || begins_constraint(cursor_)) {
    return cursor_.expected("the type of the column");
  }
  for (const Serial& serial : serials) {
    if (!cursor_.is(TokenKind::word) || !same_name(cursor_.now().text, serial.word)) continue;
    cursor_.move();
    column.type.kind = serial.kind;
    column.identity = true;
    column.not_null = true;
    return {};
  }
  KIMBERLITE_TRY(column.type, cursor_.type());
  return {};
}

// One constraint of the column; false at the end of its definition.
Result<bool> TableParser::parse_column_constraint(ColumnSpec& column) {
  std::string name;
  const Token& first = cursor_.now();
  if (cursor_.take(Keyword::constraint)) {
    KIMBERLITE_TRY(Identifier given, cursor_.name("the name of a constraint"));
    name = std::move(given.name);
  }
  const Token& token = cursor_.now();
  const std::vector<Identifier> self{column.name};
  if (cursor_.take_all(Keyword::not_, Keyword::null)) {
    column.not_null = true;
    KIMBERLITE_CHECK(refuse_conflict_clause());
  } else if (cursor_.take(Keyword::null)) {
    if (column.not_null) return refuse_twice(token, "whether the column may be NULL");
  } else if (cursor_.take(Keyword::default_)) {
    KIMBERLITE_CHECK(parse_default(column));
  } else if (cursor_.is(Keyword::check)) {
    KIMBERLITE_CHECK(parse_check(std::move(name)));
  } else if (cursor_.take(Keyword::unique)) {
    KIMBERLITE_CHECK(parse_unique(std::move(name), self, token.offset));
  } else if (cursor_.take_all(Keyword::primary, Keyword::key)) {
    if (cursor_.is(Keyword::desc)) {
      return cursor_.unsupported(cursor_.now(), "PRIMARY KEY DESC", "PRIMARY KEY alone");
    }
    static_cast<void>(cursor_.take(Keyword::asc));
    KIMBERLITE_CHECK(parse_primary_key(std::move(name), self, token.offset));
    if (cursor_.take(Keyword::autoincrement)) column.identity = true;
  } else if (cursor_.is(Keyword::references)) {
    KIMBERLITE_CHECK(parse_references(std::move(name), self));
  } else if (cursor_.take(Keyword::generated)) {
    KIMBERLITE_CHECK(parse_generated(column));
  } else if (cursor_.is(Keyword::as)) {
    KIMBERLITE_CHECK(parse_computed(column));
  } else if (cursor_.is(Keyword::collate)) {
    return cursor_.unsupported(token, "COLLATE of a column",
                               "the type's own order; COLLATE may stand in a query");
  } else if (cursor_.is(Keyword::comment)) {
    return cursor_.unsupported(token, "COMMENT", "it comes with a later version");
  } else if (cursor_.is(Keyword::autoincrement)) {
    return cursor_.error(Code::sql_syntax, token, "AUTOINCREMENT stands after PRIMARY KEY",
                         "id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY");
  } else if (first.offset != token.offset) {
    return cursor_.expected("a constraint after its name");
  } else if (cursor_.is(TokenKind::comma) || cursor_.is(TokenKind::right_parenthesis) ||
             cursor_.at_end()) {
    return false;
  } else {
    return cursor_.expected("a constraint of the column, a comma or )");
  }
  return true;
}

// DEFAULT expression: to the next constraint, comma or closing parenthesis.
Status TableParser::parse_default(ColumnSpec& column) {
  const Token& start = cursor_.now();
  if (column.default_value) return refuse_twice(start, "DEFAULT");
  TokenRange range{.first = cursor_.at(), .end = cursor_.at()};
  bool first = true;
  for (; !cursor_.at_end(); first = false) {
    if (cursor_.is(TokenKind::comma) || cursor_.is(TokenKind::right_parenthesis)) break;
    if (!(first && cursor_.is(Keyword::null)) && begins_constraint(cursor_)) break;
    if (cursor_.is(TokenKind::left_parenthesis) &&
        cursor_.ahead(1).is(TokenKind::right_parenthesis)) {
      cursor_.move();  // now()
      cursor_.move();
    } else if (cursor_.is(TokenKind::left_parenthesis)) {
      KIMBERLITE_TRY(const TokenRange inside, parse_parenthesised(cursor_));
      static_cast<void>(inside);
    } else {
      cursor_.move();
    }
  }
  range.end = cursor_.at();
  if (range.first == range.end) return cursor_.expected("a value after DEFAULT");
  column.default_value = range;
  return {};
}

// After GENERATED: ALWAYS AS (expression) [VIRTUAL], or ALWAYS | BY DEFAULT AS IDENTITY.
Status TableParser::parse_generated(ColumnSpec& column) {
  const Token& token = cursor_.now();
  const bool always = cursor_.take(Keyword::always);
  if (!always && !cursor_.take_all(Keyword::by, Keyword::default_)) {
    return cursor_.expected("ALWAYS or BY DEFAULT");
  }
  if (!cursor_.is(Keyword::as)) return cursor_.expected("AS");
  if (!cursor_.ahead(1).is(Keyword::identity)) {
    if (always) return parse_computed(column);
    cursor_.move();
    return cursor_.expected("IDENTITY");
  }
  cursor_.move();
  cursor_.move();
  if (column.identity) return refuse_twice(token, "IDENTITY");
  if (cursor_.is(TokenKind::left_parenthesis)) {
    return cursor_.unsupported(cursor_.now(), "an option of IDENTITY",
                               "IDENTITY alone: it counts from 1 and never gives a number twice");
  }
  column.identity = true;
  column.always = always;
  column.not_null = true;
  return {};
}

// AS (expression) [VIRTUAL]
Status TableParser::parse_computed(ColumnSpec& column) {
  const Token& token = cursor_.now();
  if (column.generated) return refuse_twice(token, "the column's expression");
  cursor_.move();
  KIMBERLITE_TRY(column.generated, parse_parenthesised(cursor_));
  if (cursor_.is(Keyword::stored)) {
    return cursor_.unsupported(cursor_.now(), "a STORED generated column",
                               "VIRTUAL: it is computed when it is read");
  }
  static_cast<void>(cursor_.take(Keyword::virtual_));
  return {};
}

Status TableParser::parse_table_constraint() {
  std::string name;
  if (cursor_.take(Keyword::constraint)) {
    KIMBERLITE_TRY(Identifier given, cursor_.name("the name of a constraint"));
    name = std::move(given.name);
  }
  const Token& token = cursor_.now();
  if (cursor_.take_all(Keyword::primary, Keyword::key)) {
    KIMBERLITE_TRY(auto columns, parse_name_list(cursor_, "the name of a column"));
    return parse_primary_key(std::move(name), std::move(columns), token.offset);
  }
  if (cursor_.take(Keyword::unique)) {
    KIMBERLITE_TRY(auto columns, parse_name_list(cursor_, "the name of a column"));
    return parse_unique(std::move(name), std::move(columns), token.offset);
  }
  if (cursor_.is(Keyword::check)) return parse_check(std::move(name));
  if (cursor_.take_all(Keyword::foreign, Keyword::key)) {
    KIMBERLITE_TRY(auto columns, parse_name_list(cursor_, "the name of a column"));
    return parse_references(std::move(name), std::move(columns));
  }
  if (cursor_.is(Keyword::exclude)) {
    return cursor_.unsupported(token, "EXCLUDE", "UNIQUE, or CHECK");
  }
  return cursor_.expected("PRIMARY KEY, UNIQUE, CHECK or FOREIGN KEY");
}

Status TableParser::parse_primary_key(std::string name, std::vector<Identifier> columns,
                                      std::uint32_t offset) {
  if (table_.primary_key) {
    return Error(Code::sql_syntax, "the table has two primary keys")
        .where("{}", where(cursor_.text(), offset))
        .next("PRIMARY KEY (a, b) for one of several columns, UNIQUE for another key");
  }
  KIMBERLITE_CHECK(refuse_conflict_clause());
  table_.primary_key =
      KeySpec{.name = std::move(name), .columns = std::move(columns), .offset = offset};
  return {};
}

Status TableParser::parse_unique(std::string name, std::vector<Identifier> columns,
                                 std::uint32_t offset) {
  KIMBERLITE_CHECK(refuse_conflict_clause());
  if (cursor_.is(Keyword::nulls)) {
    return cursor_.unsupported(cursor_.now(), "UNIQUE NULLS …",
                               "NOT NULL, if NULL must not repeat");
  }
  table_.uniques.push_back(
      {.name = std::move(name), .columns = std::move(columns), .offset = offset});
  if (table_.uniques.size() <= constraints_max) return {};
  return cursor_.error(Code::limit_columns, cursor_.now(), "too many UNIQUE constraints",
                       fmt::format("a table has at most {}", constraints_max));
}

Status TableParser::parse_check(std::string name) {
  KIMBERLITE_CHECK(cursor_.want(Keyword::check));
  KIMBERLITE_TRY(const TokenRange expression, parse_parenthesised(cursor_));
  KIMBERLITE_CHECK(refuse_conflict_clause());
  table_.checks.push_back({.name = std::move(name), .expression = expression});
  if (table_.checks.size() <= constraints_max) return {};
  return cursor_.error(Code::limit_columns, cursor_.now(), "too many CHECK constraints",
                       fmt::format("a table has at most {}", constraints_max));
}

Status TableParser::parse_references(std::string name, std::vector<Identifier> columns) {
  KIMBERLITE_CHECK(cursor_.want(Keyword::references));
  ForeignKeySpec key;
  key.name = std::move(name);
  key.columns = std::move(columns);
  KIMBERLITE_TRY(key.parent, cursor_.name("the name of a table"));
  if (cursor_.is(TokenKind::left_parenthesis)) {
    KIMBERLITE_TRY(key.parent_columns, parse_name_list(cursor_, "the name of a column"));
  }
  bool deleted = false;
  bool updated = false;
  while (true) {
    const Token& token = cursor_.now();
    if (cursor_.take_all(Keyword::on, Keyword::delete_)) {
      if (std::exchange(deleted, true)) return refuse_twice(token, "ON DELETE");
      KIMBERLITE_TRY(key.on_delete, parse_action());
    } else if (cursor_.take_all(Keyword::on, Keyword::update)) {
      if (std::exchange(updated, true)) return refuse_twice(token, "ON UPDATE");
      KIMBERLITE_TRY(key.on_update, parse_action());
    } else if (cursor_.take(Keyword::match)) {
      if (!cursor_.is(TokenKind::word) || !same_name(cursor_.now().text, "simple")) {
        return cursor_.unsupported(token, "MATCH FULL", "NOT NULL on the columns");
      }
      cursor_.move();
    } else {
      break;
    }
  }
  KIMBERLITE_CHECK(parse_deferrable(key));
  table_.foreign_keys.push_back(std::move(key));
  if (table_.foreign_keys.size() <= constraints_max) return {};
  return cursor_.error(Code::limit_columns, cursor_.now(), "too many foreign keys",
                       fmt::format("a table has at most {}", constraints_max));
}

Result<catalog::ForeignKeyAction> TableParser::parse_action() {
  using enum catalog::ForeignKeyAction;
  if (cursor_.take(Keyword::cascade)) return cascade;
  if (cursor_.take(Keyword::restrict)) return restrict;
  if (cursor_.take_all(Keyword::no, Keyword::action)) return no_action;
  if (cursor_.take_all(Keyword::set, Keyword::null)) return set_null;
  if (cursor_.take_all(Keyword::set, Keyword::default_)) return set_default;
  return cursor_.expected("CASCADE, RESTRICT, NO ACTION, SET NULL or SET DEFAULT");
}

// [NOT] DEFERRABLE [INITIALLY DEFERRED | IMMEDIATE]: there is no SET CONSTRAINTS, so what matters
// is how a transaction begins.
Status TableParser::parse_deferrable(ForeignKeySpec& key) {
  if (cursor_.is(Keyword::not_) && cursor_.ahead(1).is(Keyword::deferrable)) {
    cursor_.move();
    cursor_.move();
    if (!cursor_.is(Keyword::initially)) return {};
    cursor_.move();
    return cursor_.want(Keyword::immediate);
  }
  if (!cursor_.take(Keyword::deferrable)) return {};
  if (!cursor_.take(Keyword::initially)) return {};
  if (cursor_.take(Keyword::immediate)) return {};
  KIMBERLITE_CHECK(cursor_.want(Keyword::deferred, "DEFERRED or IMMEDIATE"));
  key.deferred = true;
  return {};
}

Status TableParser::refuse_conflict_clause() const {
  if (!cursor_.is(Keyword::on) || !cursor_.ahead(1).is(Keyword::conflict)) return {};
  return cursor_.unsupported(cursor_.now(), "ON CONFLICT of a constraint",
                             "INSERT … ON CONFLICT … in the statement");
}

Status TableParser::parse_after_body() {
  while (!cursor_.at_end()) {
    const Token& token = cursor_.now();
    if (cursor_.is(Keyword::with)) {
      KIMBERLITE_CHECK(parse_options());
      return cursor_.want_end();
    }
    if (cursor_.is(Keyword::without)) {
      return cursor_.unsupported(token, "WITHOUT ROWID",
                                 "leave it out: a table is kept by its primary key");
    }
    if (cursor_.is(Keyword::as)) {
      return cursor_.unsupported(token, "CREATE TABLE AS",
                                 "CREATE TABLE with its columns, then INSERT … SELECT");
    }
    if (cursor_.is(Keyword::partition)) {
      return cursor_.unsupported(token, "PARTITION BY", "leave it out");
    }
    if (cursor_.is(Keyword::inherits)) {
      return cursor_.unsupported(token, "INHERITS", "write the columns");
    }
    // STRICT is what every table is.
    if (!cursor_.take(Keyword::strict)) break;
    if (cursor_.take(TokenKind::comma) && cursor_.at_end()) return cursor_.expected("an option");
  }
  return cursor_.want_end();
}

Status TableParser::parse_options() {
  cursor_.move();
  KIMBERLITE_CHECK(cursor_.want(TokenKind::left_parenthesis, "( after WITH"));
  do KIMBERLITE_CHECK(parse_option());
  while (cursor_.take(TokenKind::comma));
  return cursor_.want(TokenKind::right_parenthesis, ", or )");
}

Status TableParser::parse_option() {
  const Token& token = cursor_.now();
  if (cursor_.take(Keyword::class_)) {
    if (table_.data_class != catalog::DataClass::none) return refuse_twice(token, "class");
    return parse_class();
  }
  if (cursor_.take(Keyword::subject)) {
    if (table_.subject) return refuse_twice(token, "subject");
    return parse_subject();
  }
  if (cursor_.take(Keyword::retention)) {
    if (!table_.retention.empty()) return refuse_twice(token, "retention");
    return parse_retention();
  }
  return cursor_.unsupported(token, fmt::format("the option {}", describe(token)),
                             "options are class, subject and retention");
}

Status TableParser::parse_class() {
  struct Class {
    std::string_view word;
    catalog::DataClass data_class;
  };
  using enum catalog::DataClass;
  static constexpr std::array classes{
      Class{"phi", phi},
      Class{"pii", pii},
      Class{"pci", pci},
      Class{"financial", financial},
      Class{"confidential", confidential},
      Class{"public", public_data},
  };
  KIMBERLITE_CHECK(cursor_.want(TokenKind::equal, "= after class"));
  const Token& token = cursor_.now();
  std::string given;
  if (token.is_name()) given = name_of(token);
  if (token.is(TokenKind::string)) given = string_of(token);
  for (const Class& each : classes) {
    if (!same_name(each.word, given)) continue;
    table_.data_class = each.data_class;
    cursor_.move();
    return {};
  }
  return cursor_.error(Code::sql_syntax, token, "there is no such class",
                       "class is phi, pii, pci, financial, confidential or public");
}

// subject = patient(id), or none.
Status TableParser::parse_subject() {
  KIMBERLITE_CHECK(cursor_.want(TokenKind::equal, "= after subject"));
  KIMBERLITE_TRY(Identifier type, cursor_.name("a kind of person and a column, or none"));
  SubjectSpec subject;
  if (!cursor_.is(TokenKind::left_parenthesis)) {
    if (!same_name(type.name, "none")) return cursor_.expected("( and the person's column");
    subject.none = true;
    table_.subject = subject;
    return {};
  }
  cursor_.move();
  subject.type = std::move(type.name);
  KIMBERLITE_TRY(subject.column, cursor_.name("the name of a column"));
  KIMBERLITE_CHECK(cursor_.want(TokenKind::right_parenthesis, ")"));
  table_.subject = std::move(subject);
  return {};
}

// retention = '7 years': a number and a unit.
Status TableParser::parse_retention() {
  KIMBERLITE_CHECK(cursor_.want(TokenKind::equal, "= after retention"));
  const Token& token = cursor_.now();
  if (!token.is(TokenKind::string)) return cursor_.expected("a text such as '7 years'");
  const std::string given = string_of(token);
  const std::size_t space = given.find(' ');
  const std::string_view number = std::string_view{given}.substr(0, std::min(space, given.size()));
  const std::string_view unit =
      space == std::string::npos ? std::string_view{} : std::string_view{given}.substr(space + 1);
  bool digits = !number.empty() && number.size() <= 4 && number.front() != '0';
  for (const char c : number) digits = digits && c >= '0' && c <= '9';
  bool known = false;
  for (const std::string_view each :
       {"day", "days", "week", "weeks", "month", "months", "year", "years"}) {
    known = known || same_name(unit, each);
  }
  if (!digits || !known) {
    return cursor_.error(Code::type_format, token, "this is no time to keep something",
                         "a number and days, weeks, months or years: retention = '7 years'");
  }
  table_.retention = lower_case(given);
  cursor_.move();
  return {};
}

}  // namespace kimberlite::sql
