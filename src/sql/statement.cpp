#include "sql/statement.hpp"

#include <array>
#include <map>

#include "statement_cursor.hpp"

namespace kimberlite::sql {
namespace {

// First words of statements that others have and we do not, with what to do instead.
struct Foreign {
  std::string_view word;
  std::string_view next;
};
constexpr std::array foreign{
    Foreign{"abort", "ROLLBACK undoes the transaction"},
    Foreign{"analyze", "statistics are kept without it; EXPLAIN shows the plan"},
    Foreign{"attach", "a session sees one tenant; open another session for another"},
    Foreign{"call", "there are no stored procedures; run the statements themselves"},
    Foreign{"checkpoint", "checkpoints are taken by the engine"},
    Foreign{"cluster", "rows are kept in key order"},
    Foreign{"comment", "COMMENT ON comes with a later version"},
    Foreign{"copy", "kimberlite import and kimberlite export move files"},
    Foreign{"deallocate", "statements are cached by their text; just run them"},
    Foreign{"declare", "the API's cursor() reads row by row"},
    Foreign{"detach", "a session sees one tenant"},
    Foreign{"discard", "close the session"},
    Foreign{"do", "run the statements themselves"},
    Foreign{"execute", "statements are cached by their text; just run them with parameters"},
    Foreign{"fetch", "the API's cursor() reads row by row"},
    Foreign{"grant", "roles are managed by kimberlite role"},
    Foreign{"listen", "the API's subscribe() follows a stream"},
    Foreign{"load", "kimberlite import reads files"},
    Foreign{"lock", "a transaction is the only writer of its tenant"},
    Foreign{"merge", "INSERT … ON CONFLICT … DO UPDATE"},
    Foreign{"notify", "append an event to a stream"},
    Foreign{"pragma",
            "settings are kimberlite config; SHOW TABLES and SHOW COLUMNS FROM t describe "
            "tables"},
    Foreign{"prepare", "statements are cached by their text; just run them with parameters"},
    Foreign{"reassign", "objects have no owner"},
    Foreign{"refresh", "views are always current"},
    Foreign{"reindex",
            "kimberlite verify --projection checks indexes; they are rebuilt with the "
            "projection"},
    Foreign{"reset", "settings are kimberlite config"},
    Foreign{"revoke", "roles are managed by kimberlite role"},
    Foreign{"security", "classes and subjects are given by WITH (class = …) at CREATE TABLE"},
    Foreign{"unlisten", "end the subscription"},
    Foreign{"use", "a session is bound to its tenant; open another one"},
    Foreign{"vacuum", "the projection's pages are reused; there is nothing to reclaim by hand"},
};

Error unknown_statement(const Cursor& cursor) {
  const Token& token = cursor.now();
  if (token.kind == TokenKind::word) {
    for (const Foreign& each : foreign) {
      if (!same_name(token.text, each.word)) continue;
      std::string upper{each.word};
      for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
      return cursor.unsupported(token, upper, each.next);
    }
  }
  return cursor.error(
      Code::sql_syntax, token, fmt::format("a statement does not begin with {}", describe(token)),
      "it begins with SELECT, VALUES, WITH, INSERT, UPDATE, DELETE, TRUNCATE, "
      "CREATE, ALTER, DROP, BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, SET AS OF, "
      "SHOW, DESCRIBE, VERIFY or EXPLAIN");
}

std::optional<StatementKind> verb_of(Keyword keyword) {
  switch (keyword) {
    case Keyword::select:
    case Keyword::values:
      return StatementKind::select;
    case Keyword::insert:
    case Keyword::replace:
      return StatementKind::insert;
    case Keyword::update:
      return StatementKind::update;
    case Keyword::delete_:
      return StatementKind::remove;
    default:
      return std::nullopt;
  }
}

// WITH a AS (…), b AS (…) verb: the verb is the first one outside parentheses that follows one. A
// CTE may well be named `replace`, but nothing else can stand there after a parenthesis.
Result<StatementKind> kind_of_with(const Cursor& start) {
  Cursor cursor = start;
  std::uint32_t depth = 0;
  bool after_parenthesis = false;
  for (; !cursor.at_end(); cursor.move()) {
    if (cursor.is(TokenKind::left_parenthesis)) ++depth;
    const bool closes = cursor.is(TokenKind::right_parenthesis);
    if (closes && depth == 0) return cursor.expected("a common table expression");
    if (closes) --depth;
    if (depth == 0 && after_parenthesis) {
      if (const auto kind = verb_of(cursor.now().keyword)) return *kind;
    }
    after_parenthesis = closes && depth == 0;
  }
  return cursor.expected("SELECT, VALUES, INSERT, UPDATE or DELETE after WITH");
}

bool is_parameter(const Token& token) {
  return token.is(TokenKind::parameter) || token.is(TokenKind::dollar_parameter) ||
         token.is(TokenKind::named_parameter);
}

// Finds `WITH REASON x` at the end of the tokens and takes it off. A CTE named `reason` is
// followed by AS or by its columns.
Status take_reason(std::string_view text, Statement& statement) {
  std::vector<Token>& tokens = statement.tokens;
  const std::size_t count = tokens.size() - 1;  // without `end`
  const auto stands_at = [&](std::size_t i) {
    return tokens[i].is(Keyword::with) && tokens[i + 1].is(Keyword::reason) &&
           !tokens[i + 2].is(Keyword::as) && !tokens[i + 2].is(TokenKind::left_parenthesis);
  };
  for (std::size_t i = 0; i + 1 < count; ++i) {
    if (!stands_at(i)) continue;
    const Cursor cursor{text, tokens, i};
    const Token& value = tokens[i + 2];
    const bool literal = value.is(TokenKind::string);
    if (!literal && !is_parameter(value)) {
      return cursor.error(Code::sql_syntax, value, "the reason is a text or a parameter",
                          "WITH REASON 'why'");
    }
    if (i + 3 < count && tokens[i + 3].is(Keyword::with)) {
      return cursor.error(Code::sql_misuse, tokens[i + 3], "the reason is given twice",
                          "a statement has one reason, its last tokens");
    }
    if (i + 3 < count) {
      return cursor.error(Code::sql_syntax, tokens[i], "WITH REASON stands at the end",
                          "make it the last tokens of the statement");
    }
    statement.reason = Reason{.text = literal ? string_of(value) : std::string{},
                              .parameter = 0,
                              .offset = tokens[i].offset};
    if (literal && statement.reason->text.empty()) {
      return cursor.error(Code::sql_misuse, value, "the reason is empty",
                          "say why, or leave WITH REASON out");
    }
    tokens[i] = Token{.text = tokens[i].text.substr(0, 0), .offset = tokens[i].offset};
    tokens.resize(i + 1);
    return {};
  }
  return {};
}

// The number of the reason's parameter, which is the last one of the text.
void number_reason(Statement& statement) {
  if (!statement.reason || !statement.reason->text.empty()) return;
  statement.reason->parameter = statement.parameters.uses.back().number;
}

Status check_end(std::string_view text, std::vector<Token>& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].is(TokenKind::semicolon)) continue;
    for (std::size_t j = i; j + 1 < tokens.size(); ++j) {
      if (tokens[j].is(TokenKind::semicolon)) continue;
      return Cursor{text, tokens, j}.error(Code::sql_syntax, tokens[j],
                                           "there is text after the statement",
                                           "give one statement at a time, or a list of them");
    }
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(i), tokens.end() - 1);
    return {};
  }
  return {};
}

Status parse_begin(Cursor& cursor, Statement& statement) {
  statement.kind = StatementKind::begin;
  const bool start = cursor.is(Keyword::start);
  cursor.move();
  if (start) KIMBERLITE_CHECK(cursor.want(Keyword::transaction));
  if (!start && !cursor.take(Keyword::transaction) && !cursor.take(Keyword::work) &&
      (cursor.is(Keyword::deferred) || cursor.is(Keyword::immediate) ||
       cursor.is(Keyword::exclusive))) {
    return cursor.unsupported(cursor.now(), "a kind of transaction",
                              "BEGIN alone: a transaction is the only writer of its tenant");
  }
  if (cursor.at_end()) return {};
  return cursor.unsupported(cursor.now(), "an option of BEGIN",
                            "BEGIN alone: transactions are serializable");
}

Status parse_name(Cursor& cursor, Statement& statement, StatementKind kind, std::string_view what) {
  statement.kind = kind;
  KIMBERLITE_TRY(statement.name, cursor.name(what));
  return cursor.want_end();
}

Status parse_commit(Cursor& cursor, Statement& statement) {
  statement.kind = StatementKind::commit;
  cursor.move();
  if (!cursor.take(Keyword::transaction)) static_cast<void>(cursor.take(Keyword::work));
  return cursor.want_end();
}

Status parse_rollback(Cursor& cursor, Statement& statement) {
  statement.kind = StatementKind::rollback;
  cursor.move();
  if (!cursor.take(Keyword::transaction)) static_cast<void>(cursor.take(Keyword::work));
  if (!cursor.take(Keyword::to)) return cursor.want_end();
  static_cast<void>(cursor.take(Keyword::savepoint));
  return parse_name(cursor, statement, StatementKind::rollback_to, "the name of a savepoint");
}

Status parse_savepoint(Cursor& cursor, Statement& statement) {
  const bool release = cursor.is(Keyword::release);
  cursor.move();
  if (release) static_cast<void>(cursor.take(Keyword::savepoint));
  return parse_name(cursor, statement, release ? StatementKind::release : StatementKind::savepoint,
                    "the name of a savepoint");
}

// SET AS OF …: what follows is left to resolve_as_of(), which knows the clock and the head.
Status parse_set(Cursor& cursor, Statement& statement) {
  const Token& set = cursor.now();
  cursor.move();
  if (!cursor.take_all(Keyword::as, Keyword::of)) {
    return cursor.unsupported(set, "SET of a variable",
                              "SET AS OF POSITION n, SET AS OF TIMESTAMP '…' or SET AS OF LATEST; "
                              "settings are kimberlite config");
  }
  if (cursor.take(Keyword::latest)) {
    statement.kind = StatementKind::set_latest;
    return cursor.want_end();
  }
  if (!cursor.is(Keyword::position) && !cursor.is(Keyword::timestamp)) {
    return cursor.expected("POSITION, TIMESTAMP or LATEST");
  }
  if (cursor.ahead(1).is(TokenKind::end)) {
    cursor.move();
    return cursor.expected("a position or a time");
  }
  statement.kind = StatementKind::set_as_of;
  statement.tokens.erase(statement.tokens.begin(), statement.tokens.begin() + cursor.at());
  return {};
}

Status parse_show(Cursor& cursor, Statement& statement) {
  const Token& show = cursor.now();
  cursor.move();
  if (cursor.take(Keyword::tables)) {
    statement.kind = StatementKind::show_tables;
    return cursor.want_end();
  }
  if (cursor.take(Keyword::columns)) {
    if (!cursor.take(Keyword::in)) KIMBERLITE_CHECK(cursor.want(Keyword::from));
    return parse_name(cursor, statement, StatementKind::show_columns, "the name of a table");
  }
  return cursor.unsupported(show, cursor.at_end() ? "SHOW alone" : "this SHOW",
                            "SHOW TABLES, or SHOW COLUMNS FROM t; more is in information_schema");
}

Status parse_describe(Cursor& cursor, Statement& statement) {
  cursor.move();
  static_cast<void>(cursor.take(Keyword::table));
  return parse_name(cursor, statement, StatementKind::show_columns, "the name of a table");
}

// VERIFY TABLE t [[FOR SYSTEM_TIME] AS OF …]: what follows is left to resolve_as_of().
Status parse_verify_table(Cursor& cursor, Statement& statement) {
  statement.kind = StatementKind::verify_table;
  cursor.move();
  KIMBERLITE_CHECK(cursor.want(Keyword::table));
  KIMBERLITE_TRY(statement.name, cursor.name("the name of a table"));
  const bool standard = cursor.take(Keyword::for_);
  if (standard) KIMBERLITE_CHECK(cursor.want(Keyword::system_time));
  if (standard || !cursor.at_end()) {
    KIMBERLITE_CHECK(cursor.want(Keyword::as));
    KIMBERLITE_CHECK(cursor.want(Keyword::of));
    if (!cursor.is(Keyword::position) && !cursor.is(Keyword::timestamp) &&
        !cursor.is(Keyword::latest)) {
      return cursor.expected("POSITION, TIMESTAMP or LATEST");
    }
    if (cursor.is(Keyword::latest) && !cursor.ahead(1).is(TokenKind::end)) {
      cursor.move();
      return cursor.want_end();
    }
  }
  statement.tokens.erase(statement.tokens.begin(), statement.tokens.begin() + cursor.at());
  return {};
}

Status parse_truncate(Cursor& cursor, Statement& statement) {
  statement.kind = StatementKind::truncate;
  cursor.move();
  static_cast<void>(cursor.take(Keyword::table));
  KIMBERLITE_TRY(statement.name, cursor.name("the name of a table"));
  if (cursor.is(TokenKind::comma)) {
    return cursor.unsupported(cursor.now(), "TRUNCATE of several tables", "one statement for each");
  }
  if (!cursor.at_end()) {
    return cursor.unsupported(cursor.now(), "an option of TRUNCATE", "TRUNCATE t alone");
  }
  return {};
}

// EXPLAIN and EXPLAIN QUERY PLAN ask for the same plan.
Status take_explain(Cursor& cursor, Statement& statement) {
  if (!cursor.take(Keyword::explain)) return {};
  if (cursor.is(Keyword::analyze)) {
    return cursor.unsupported(cursor.now(), "EXPLAIN ANALYZE",
                              "EXPLAIN shows the plan; \".timing on\" in the shell measures");
  }
  if (cursor.is(TokenKind::left_parenthesis)) {
    return cursor.unsupported(cursor.now(), "an option of EXPLAIN", "EXPLAIN and the statement");
  }
  static_cast<void>(cursor.take_all(Keyword::query, Keyword::plan));
  statement.explain = true;
  return {};
}

// VERIFY stands before a SELECT and is taken off, or before TABLE.
Status take_verify(Cursor& cursor, Statement& statement) {
  if (!cursor.is(Keyword::verify)) return {};
  if (statement.explain) {
    return cursor.unsupported(cursor.now(), "EXPLAIN of VERIFY", "EXPLAIN of the SELECT alone");
  }
  if (cursor.ahead(1).is(Keyword::table)) return {};
  cursor.move();
  if (!cursor.is(Keyword::select) && !cursor.is(Keyword::with)) {
    return cursor.expected("SELECT, or TABLE and a name, after VERIFY");
  }
  statement.verify = true;
  return {};
}

Status parse_words(Cursor& cursor, Statement& statement) {
  switch (cursor.now().keyword) {
    case Keyword::create:
    case Keyword::alter:
    case Keyword::drop: {
      statement.kind = StatementKind::ddl;
      KIMBERLITE_TRY(statement.ddl, parse_ddl(statement.text, statement.tokens));
      return {};
    }
    case Keyword::begin:
    case Keyword::start:
      return parse_begin(cursor, statement);
    case Keyword::commit:
    case Keyword::end:
      return parse_commit(cursor, statement);
    case Keyword::rollback:
      return parse_rollback(cursor, statement);
    case Keyword::savepoint:
    case Keyword::release:
      return parse_savepoint(cursor, statement);
    case Keyword::set:
      return parse_set(cursor, statement);
    case Keyword::show:
      return parse_show(cursor, statement);
    case Keyword::describe:
    case Keyword::desc:
      return parse_describe(cursor, statement);
    case Keyword::verify:
      return parse_verify_table(cursor, statement);
    default:
      return unknown_statement(cursor);
  }
}

// Queries and DML are taken whole; what they say is the door's to read.
Result<bool> classify(Cursor& cursor, Statement& statement) {
  if (const auto kind = verb_of(cursor.now().keyword)) {
    statement.kind = *kind;
    return true;
  }
  if (cursor.is(Keyword::with)) {
    KIMBERLITE_TRY(statement.kind, kind_of_with(cursor));
    if (statement.verify && statement.kind != StatementKind::select) {
      return cursor.unsupported(cursor.now(), "VERIFY of a write",
                                "VERIFY SELECT or VERIFY TABLE: they read what was written");
    }
    return true;
  }
  if (cursor.is(Keyword::truncate)) {
    KIMBERLITE_CHECK(parse_truncate(cursor, statement));
    return true;
  }
  return false;
}

Status check_reason(const Statement& statement) {
  if (!statement.reason || (is_write(statement.kind) && !statement.explain)) return {};
  return Error(Code::sql_misuse, "only a statement that writes has a reason")
      .where("{}", where(statement.text, statement.reason->offset))
      .next("leave WITH REASON out; in a transaction it stands on a write");
}

Status check_parameters(const Statement& statement) {
  const bool allowed = statement.kind == StatementKind::select || is_dml(statement.kind) ||
                       statement.kind == StatementKind::set_as_of ||
                       statement.kind == StatementKind::verify_table;
  for (const ParameterUse& use : statement.parameters.uses) {
    if (allowed || (statement.reason && use.offset > statement.reason->offset)) continue;
    return Error(Code::sql_misuse, "a parameter may not stand in this statement")
        .where("{}", where(statement.text, use.offset))
        .next("write the value itself");
  }
  return {};
}

}  // namespace

namespace {

// Gives the parameters of one statement their numbers.
class Numbering {
 public:
  explicit Numbering(Parameters& parameters) : parameters_(parameters) {}

  // 0 if the number the token has is none.
  std::uint32_t number_of(const Token& token) {
    if (token.is(TokenKind::named_parameter)) {
      const std::string_view name = token.text.substr(1);
      const auto next = static_cast<std::uint32_t>(numbers_.size() + 1);
      const auto [found, is_new] = numbers_.emplace(name, next);
      if (is_new) parameters_.names.emplace_back(name);
      return found->second;
    }
    if (token.text == "?") return parameters_.count + 1;
    std::uint32_t number = 0;
    for (const char c : token.text.substr(1)) {
      number = number * 10 + static_cast<std::uint32_t>(c - '0');
      if (number > Parameters::number_max) return number;
    }
    return number;
  }

 private:
  Parameters& parameters_;
  std::map<std::string_view, std::uint32_t> numbers_;
};

ParameterStyle style_of(const Token& token) {
  if (token.is(TokenKind::named_parameter)) return ParameterStyle::named;
  if (token.is(TokenKind::dollar_parameter)) return ParameterStyle::dollar;
  return token.text == "?" ? ParameterStyle::question : ParameterStyle::numbered;
}

}  // namespace

Result<Parameters> number_parameters(std::string_view text, std::span<const Token> tokens) {
  Parameters out;
  Numbering numbering{out};
  for (const Token& token : tokens) {
    if (!is_parameter(token)) continue;
    const auto refuse = [&](std::string_view what, std::string_view next) {
      return Error(Code::sql_misuse, "{}", what)
          .where("{}", where(text, token.offset))
          .next("{}", next);
    };
    const ParameterStyle style = style_of(token);
    if (out.style != ParameterStyle::none && out.style != style) {
      return refuse("two styles of parameters in one statement",
                    "use one of ?, ?1, $1 and :name throughout");
    }
    out.style = style;
    const std::uint32_t number = numbering.number_of(token);
    if (number == 0) return refuse("parameters are numbered from 1", "begin with $1");
    if (number > Parameters::number_max) {
      return refuse(fmt::format("there are at most {} parameters", Parameters::number_max),
                    "split the statement");
    }
    out.uses.push_back({.offset = token.offset, .number = number});
    out.count = std::max(out.count, number);
  }
  return out;
}

Result<Statement> parse(std::string_view text) {
  Statement statement;
  statement.text = text;
  KIMBERLITE_TRY(statement.tokens, tokenize(text));
  KIMBERLITE_CHECK(check_end(text, statement.tokens));
  KIMBERLITE_TRY(statement.parameters, number_parameters(text, statement.tokens));
  if (statement.tokens.size() == 1) {
    return Error(Code::sql_syntax, "the statement is empty").next("write a statement");
  }
  KIMBERLITE_CHECK(take_reason(text, statement));
  number_reason(statement);
  Cursor start{text, statement.tokens};
  KIMBERLITE_CHECK(take_explain(start, statement));
  KIMBERLITE_CHECK(take_verify(start, statement));
  statement.tokens.erase(statement.tokens.begin(), statement.tokens.begin() + start.at());
  Cursor cursor{text, statement.tokens};
  KIMBERLITE_TRY(const bool classified, classify(cursor, statement));
  if (!classified && statement.explain) {
    return cursor.unsupported(cursor.now(), fmt::format("EXPLAIN of {}", describe(cursor.now())),
                              "SELECT, VALUES, INSERT, UPDATE, DELETE and TRUNCATE have a plan");
  }
  if (!classified) KIMBERLITE_CHECK(parse_words(cursor, statement));
  KIMBERLITE_CHECK(check_reason(statement));
  KIMBERLITE_CHECK(check_parameters(statement));
  return statement;
}

Result<std::string> without_literals(std::string_view text) {
  KIMBERLITE_TRY(const std::vector<Token> tokens, tokenize(text));
  std::string out;
  out.reserve(text.size());
  std::uint32_t end = 0;
  for (const Token& token : tokens) {
    // White space stays; a comment may say anything, and becomes a space.
    for (std::size_t at = end; at < token.offset;) {
      const Scanned gap = scan(text, at);
      out += gap.scan == ScanKind::space ? text.substr(at, gap.length) : " ";
      at += gap.length;
    }
    const bool literal = token.is(TokenKind::string) || token.is(TokenKind::blob) ||
                         token.is(TokenKind::integer) || token.is(TokenKind::floating);
    out += literal ? "?" : token.text;
    end = token.end_offset();
  }
  return out;
}

bool says_when(const Statement& statement) {
  const std::vector<Token>& tokens = statement.tokens;
  const auto is_time = [](const Token& token) {
    return !token.is(Keyword::position) && !token.is(Keyword::latest) && !token.is(TokenKind::end);
  };
  // Of these what stands before is no part of the tokens any more.
  if (statement.kind == StatementKind::set_as_of || statement.kind == StatementKind::verify_table) {
    return !tokens.empty() && is_time(tokens.front());
  }
  for (std::size_t i = 2; i < tokens.size(); ++i) {
    if (tokens[i - 2].is(Keyword::as) && tokens[i - 1].is(Keyword::of) && is_time(tokens[i])) {
      return true;
    }
  }
  return false;
}

}  // namespace kimberlite::sql
