#include "analyze_expression.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "sql/functions.hpp"
#include "sql/rewrite.hpp"
#include "sql/types.hpp"
#include "statement_cursor.hpp"

namespace kimberlite::sql {
namespace {

std::string_view spelled(ExpressionUse use) {
  switch (use) {
    case ExpressionUse::default_value:
      return "a DEFAULT";
    case ExpressionUse::check:
      return "a CHECK";
    case ExpressionUse::generated:
      return "a generated column";
  }
  return "an expression";
}

// Words that are operators wherever they stand without quotes.
bool is_operator(Keyword keyword) {
  switch (keyword) {
    case Keyword::and_:
    case Keyword::or_:
    case Keyword::not_:
    case Keyword::is:
    case Keyword::isnull:
    case Keyword::notnull:
    case Keyword::in:
    case Keyword::like:
    case Keyword::ilike:
    case Keyword::glob:
    case Keyword::between:
    case Keyword::escape:
    case Keyword::distinct:
    case Keyword::from:
    case Keyword::collate:
    case Keyword::case_:
    case Keyword::when:
    case Keyword::then:
    case Keyword::else_:
      return true;
    default:
      return false;
  }
}

// Words that are values.
bool is_constant(Keyword keyword) {
  return keyword == Keyword::null || keyword == Keyword::true_ || keyword == Keyword::false_ ||
         keyword == Keyword::end;
}

bool is_current(Keyword keyword) {
  return keyword == Keyword::current_date || keyword == Keyword::current_time ||
         keyword == Keyword::current_timestamp;
}

bool begins_query(Keyword keyword) {
  return keyword == Keyword::select || keyword == Keyword::with || keyword == Keyword::values ||
         keyword == Keyword::exists;
}

// Types that may stand before a text as its type: DATE '2024-01-15'.
bool is_type_word(Keyword keyword) {
  return keyword == Keyword::date || keyword == Keyword::time || keyword == Keyword::timestamp ||
         keyword == Keyword::timestamptz || keyword == Keyword::interval ||
         keyword == Keyword::uuid || keyword == Keyword::json;
}

bool contains_name(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::any_of(names, [&](std::string_view each) { return same_name(each, name); });
}

// Functions that may give another value each time.
bool is_volatile(std::string_view name) {
  static constexpr std::array<std::string_view, 13> names{
      "now",       "random",   "randomblob", "date",    "time",          "datetime",
      "julianday", "strftime", "unixepoch",  "changes", "total_changes", "last_insert_rowid",
      "raise"};
  return contains_name(names, name);
}

class ExpressionStore {
 public:
  ExpressionStore(const Names& names, TokenRange range, const catalog::Table& table,
                  ExpressionUse use)
      : names_(names),
        tokens_(names.statement().tokens),
        table_(table),
        use_(use),
        at_(range.first),
        end_(range.end) {}

  Result<std::string> store() {
    while (at_ < end_) {
      const Token& token = now();
      if (token.is_name()) {
        KIMBERLITE_CHECK(take_name());
      } else if (token.is(TokenKind::double_colon)) {
        put("::", false);
        ++at_;
        KIMBERLITE_CHECK(take_type());
      } else {
        take_symbol();
      }
    }
    return std::move(out_);
  }

 private:
  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return at_ + 1 < end_ ? tokens_[at_ + 1] : tokens_.back(); }

  Error refuse(const Token& token, std::string_view what, std::string_view next_step) const {
    return names_.error(Code::sql_misuse, token.offset,
                        fmt::format("{} may not stand in {}", what, spelled(use_)), next_step);
  }

  // Adds `text`, after a space unless this or what stands before it wants none. `ends_operand`: a
  // sign after it is an operator of two operands.
  void put(std::string_view text, bool ends_operand) {
    const bool closes = text == ")" || text == "," || text == "::";
    const bool calls = text == "(" && after_function_;
    if (!out_.empty() && !closes && !calls && !glued_) out_ += ' ';
    out_ += text;
    glued_ = text == "(" || text == "::";
    after_function_ = false;
    operand_ended_ = ends_operand;
  }

  void take_symbol() {
    const Token& token = now();
    const bool sign =
        token.is(TokenKind::minus) || token.is(TokenKind::plus) || token.is(TokenKind::tilde);
    const bool unary = sign && !operand_ended_;
    const bool operand = token.is(TokenKind::string) || token.is(TokenKind::blob) ||
                         token.is(TokenKind::integer) || token.is(TokenKind::floating) ||
                         token.is(TokenKind::right_parenthesis);
    put(token.text, operand);
    // Two signs must not become a comment.
    if (unary) glued_ = !next().is(TokenKind::minus);
    ++at_;
  }

  Status take_type() {
    std::size_t type_at = at_;
    KIMBERLITE_TRY(const catalog::Type type, parse_type(names_.statement().text, tokens_, type_at));
    at_ = static_cast<std::uint32_t>(type_at);
    put(type_name(type), true);
    return {};
  }

  Status take_name() {
    const Token& token = now();
    const Keyword keyword = token.keyword;
    const bool called = next().is(TokenKind::left_parenthesis);
    if (begins_query(keyword)) return refuse(token, "a subquery", "write the values, or CASE");
    if (keyword == Keyword::over || keyword == Keyword::filter) {
      if (tokens_[at_ - 1].is(TokenKind::right_parenthesis)) {
        return refuse(token, "a window", "compute it in a view");
      }
    }
    const bool as_function =
        called && !operand_ended_ && (keyword == Keyword::like || keyword == Keyword::glob);
    if (is_operator(keyword) && !as_function) {
      put(spelling(keyword), false);
      ++at_;
      if (keyword == Keyword::collate) put_plain_word();
      return {};
    }
    if (is_constant(keyword)) {
      put(spelling(keyword), true);
      ++at_;
      return {};
    }
    if (keyword == Keyword::as) {
      put("AS", false);
      ++at_;
      return take_type();
    }
    if (is_current(keyword)) return take_current();
    if (called && token.kind == TokenKind::word) return take_function();
    if (is_type_word(keyword) && next().is(TokenKind::string)) {
      put(spelling(keyword), false);
      ++at_;
      return {};
    }
    return take_column();
  }

  // The name of a collation, or the field of EXTRACT.
  void put_plain_word() {
    if (at_ >= end_ || now().kind != TokenKind::word) return;
    std::string upper = lower_case(now().text);
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    put(upper, false);
    ++at_;
  }

  Status take_current() {
    if (use_ != ExpressionUse::default_value) {
      return refuse(now(), describe(now()), "what it is today it would not be tomorrow");
    }
    put(spelling(now().keyword), true);
    ++at_;
    return {};
  }

  Status take_function() {
    const Token& token = now();
    if (is_aggregate(token.text)) {
      return refuse(token, fmt::format("the aggregate {}", token.text), "compute it in a view");
    }
    if (use_ != ExpressionUse::default_value && is_volatile(token.text)) {
      return refuse(token, fmt::format("{}()", token.text),
                    "what it is today it would not be tomorrow");
    }
    put(token.is(Keyword::cast) ? "CAST" : lower_case(token.text), false);
    after_function_ = true;
    ++at_;
    if (!same_name(token.text, "extract")) return {};
    put("(", false);
    ++at_;
    if (next().is(Keyword::from)) put_plain_word();
    return {};
  }

  // A long expression on a wide table names the same columns over and over.
  Result<ColumnId> column(const Token& token) {
    const auto known = known_columns_.find(token.text);
    if (known != known_columns_.end()) return known->second;
    KIMBERLITE_TRY(const ColumnId id,
                   names_.column(table_, {.name = name_of(token), .offset = token.offset}));
    known_columns_.emplace(token.text, id);
    return id;
  }

  Status take_column() {
    if (next().is(TokenKind::dot)) {
      if (!same_name(name_of(now()), table_.name)) {
        return names_.error(
            Code::not_found_table, now().offset,
            fmt::format("{} can speak of {} only", spelled(use_), display_name(table_.name)),
            "name the column alone");
      }
      at_ += 2;
      if (at_ >= end_ || !now().is_name()) {
        return names_.error(Code::sql_syntax, tokens_[at_].offset, "a column's name is missing",
                            "name the column alone");
      }
    }
    const Token& token = now();
    KIMBERLITE_TRY(const ColumnId id, column(token));
    if (use_ == ExpressionUse::default_value) {
      return refuse(token, fmt::format("the column {}", token.text),
                    "a generated column is computed from others");
    }
    if (use_ == ExpressionUse::generated && catalog::Catalog::column(table_, id)->generated) {
      return refuse(token, fmt::format("the generated column {}", token.text),
                    "name columns that are stored");
    }
    put(fmt::format("\"@{}\"", id.value()), true);
    ++at_;
    return {};
  }

  const Names& names_;
  std::span<const Token> tokens_;
  const catalog::Table& table_;
  ExpressionUse use_;
  std::uint32_t at_;
  std::uint32_t end_;
  std::map<std::string_view, ColumnId> known_columns_;
  std::string out_;
  bool glued_ = false;
  bool after_function_ = false;
  bool operand_ended_ = false;
};

// Without the parentheses around all of it.
TokenRange without_parentheses(std::span<const Token> tokens, TokenRange range) {
  while (range.end - range.first > 2 && tokens[range.first].is(TokenKind::left_parenthesis)) {
    std::uint32_t depth = 0;
    std::uint32_t closes = range.first;
    for (std::uint32_t i = range.first; i < range.end; ++i) {
      if (tokens[i].is(TokenKind::left_parenthesis)) ++depth;
      if (tokens[i].is(TokenKind::right_parenthesis) && --depth == 0) {
        closes = i;
        break;
      }
    }
    if (closes + 1 != range.end) break;
    range = {.first = range.first + 1, .end = range.end - 1};
  }
  return range;
}

// The value of a number as written, with its sign; text where it is too large or wanted exactly.
Value number_value(const Token& token, bool negative, bool exact) {
  std::string text = (negative ? "-" : "") + std::string{token.text};
  if (token.is(TokenKind::integer)) {
    const bool hex = token.text.size() > 2 && (token.text[1] == 'x' || token.text[1] == 'X');
    std::uint64_t bits = 0;
    const char* first = token.text.data() + (hex ? 2 : 0);
    const char* last = token.text.data() + token.text.size();
    if (hex && std::from_chars(first, last, bits, 16).ec == std::errc{}) {
      const auto value = static_cast<std::int64_t>(bits);
      if (!negative) return value;
      if (value != std::numeric_limits<std::int64_t>::min()) return -value;
    }
    std::int64_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && stop == text.data() + text.size()) return value;
    return text;
  }
  if (exact) return text;
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && stop == text.data() + text.size()) return value;
  return text;
}

Value blob_value(const Token& token) {
  auto bytes = from_hex(token.text.substr(2, token.text.size() - 3));
  KIMBERLITE_ASSERT(bytes);  // the tokenizer saw pairs of hexadecimal digits
  return *std::move(bytes);
}

// [sign] literal [:: type], or TYPE 'text': nothing if tokens[range] is something else.
class ConstantReader {
 public:
  ConstantReader(const Names& names, TokenRange range, const catalog::Type& type)
      : names_(names),
        tokens_(names.statement().tokens),
        at_(range.first),
        end_(range.end),
        exact_(type.kind == catalog::TypeKind::decimal) {}

  Result<std::optional<Value>> read() {
    KIMBERLITE_TRY(std::optional<Value> value, read_literal());
    while (value && at_ < end_ && tokens_[at_].is(TokenKind::double_colon)) {
      ++at_;
      KIMBERLITE_TRY(value, read_cast(*value));
    }
    if (at_ != end_) return std::optional<Value>{};
    return value;
  }

 private:
  Result<std::optional<Value>> read_cast(const Value& value) {
    KIMBERLITE_TRY(const catalog::Type type, parse_type(names_.statement().text, tokens_, at_));
    KIMBERLITE_TRY(Value converted, cast(view(value), type));
    return std::optional{std::move(converted)};
  }

  Result<std::optional<Value>> read_literal() {
    const Token& token = tokens_[at_];
    if (is_type_word(token.keyword) && at_ + 1 < end_ && tokens_[at_ + 1].is(TokenKind::string)) {
      const Value text = string_of(tokens_[at_ + 1]);
      KIMBERLITE_TRY(std::optional<Value> value, read_cast(text));
      ++at_;
      return value;
    }
    const bool negative = token.is(TokenKind::minus);
    if (negative || token.is(TokenKind::plus)) ++at_;
    if (at_ >= end_) return std::optional<Value>{};
    const Token& literal = tokens_[at_++];
    if (literal.is(TokenKind::integer) || literal.is(TokenKind::floating)) {
      return std::optional{number_value(literal, negative, exact_)};
    }
    if (negative || token.is(TokenKind::plus)) return std::optional<Value>{};
    if (literal.is(TokenKind::string)) return std::optional{Value{string_of(literal)}};
    if (literal.is(TokenKind::blob)) return std::optional{blob_value(literal)};
    if (literal.is(Keyword::null)) return std::optional{Value{}};
    if (literal.is(Keyword::true_)) return std::optional{Value{std::int64_t{1}}};
    if (literal.is(Keyword::false_)) return std::optional{Value{std::int64_t{0}}};
    return std::optional<Value>{};
  }

  const Names& names_;
  std::span<const Token> tokens_;
  std::size_t at_;
  std::size_t end_;
  bool exact_;
};

// A canonical value as a literal.
std::string literal_of(const Value& value, const catalog::Type& type) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    if (type.kind == catalog::TypeKind::boolean) return *integer == 0 ? "FALSE" : "TRUE";
    return fmt::format("{}", *integer);
  }
  if (const auto* real = std::get_if<double>(&value)) return print_double(*real);
  if (const auto* text = std::get_if<std::string>(&value)) return quote_string(*text);
  return fmt::format("x'{}'", to_hex(std::get<Buffer>(value)));
}

}  // namespace

Result<std::string> store_expression(const Names& names, TokenRange range,
                                     const catalog::Table& table, ExpressionUse use) {
  const std::span<const Token> tokens = names.statement().tokens;
  range = without_parentheses(tokens, range);
  KIMBERLITE_TRY(std::string stored, ExpressionStore(names, range, table, use).store());
  // The door's own reading of it: functions, types, operands.
  if (const auto rewritten = rewrite_expression(stored, table); !rewritten) {
    // Its place is one in the stored text; the user's is where the expression begins.
    const std::string place = where(names.statement().text, tokens[range.first].offset);
    Error error = Error(rewritten.error()).where("{}", place);
    if (!error.next().empty()) return error;
    return std::move(error).next(
        "{} is made of literals, operators, the functions of the manual's page \"SQL "
        "reference\"{}",
        spelled(use), use == ExpressionUse::default_value ? "" : " and columns of the table");
  }
  return stored;
}

Result<StoredDefault> store_default(const Names& names, TokenRange range,
                                    const catalog::Table& table, const catalog::Column& column) {
  const std::span<const Token> tokens = names.statement().tokens;
  range = without_parentheses(tokens, range);
  const std::uint32_t offset = tokens[range.first].offset;
  const auto refuse = [&](const Error& error) {
    return names.error(error.code(), offset,
                       fmt::format("the DEFAULT of {} is no {}", display_name(column.name),
                                   type_name(column.type)),
                       "give a value of the column's type");
  };
  const auto value = ConstantReader(names, range, column.type).read();
  if (!value) return refuse(value.error());
  if (!*value) {
    KIMBERLITE_TRY(std::string stored,
                   store_expression(names, range, table, ExpressionUse::default_value));
    return StoredDefault{.text = std::move(stored), .constant = false};
  }
  if (is_null(**value)) return StoredDefault{};
  const auto canonical = canonicalise(view(**value), column.type);
  if (!canonical) return refuse(canonical.error());
  return StoredDefault{.text = literal_of(*canonical, column.type), .constant = true};
}

std::string render_expression(std::string_view expression, const catalog::Table& table) {
  const auto tokens = tokenize(expression);
  KIMBERLITE_ASSERT(tokens);  // it was stored from tokens
  std::string out;
  std::uint32_t end = 0;
  for (const Token& token : *tokens) {
    out += expression.substr(end, token.offset - end);
    end = token.end_offset();
    std::uint32_t id = 0;
    const bool column = token.is(TokenKind::quoted_name) && token.text.starts_with("\"@");
    if (column) std::from_chars(token.text.data() + 2, token.text.data() + token.text.size(), id);
    const catalog::Column* found = column ? catalog::Catalog::column(table, ColumnId{id}) : nullptr;
    out += found == nullptr ? std::string{token.text} : display_name(found->name);
  }
  return out;
}

}  // namespace kimberlite::sql
