#include "analyze_view.hpp"

#include <algorithm>
#include <set>

namespace kimberlite::sql {
namespace {

// Words that end a FROM clause at their own level of parentheses.
bool ends_from(Keyword keyword) {
  switch (keyword) {
    case Keyword::select:
    case Keyword::values:
    case Keyword::where:
    case Keyword::group:
    case Keyword::having:
    case Keyword::window:
    case Keyword::order:
    case Keyword::limit:
    case Keyword::union_:
    case Keyword::except:
    case Keyword::intersect:
      return true;
    default:
      return false;
  }
}

class QueryReader {
 public:
  QueryReader(const Names& names, TokenRange range)
      : names_(names), tokens_(names.statement().tokens), range_(range) {}

  Result<std::vector<ObjectId>> read() {
    collect_ctes();
    levels_.emplace_back();
    for (at_ = range_.first; at_ < range_.end; ++at_) KIMBERLITE_CHECK(take());
    return std::move(uses_);
  }

 private:
  // One level of parentheses.
  struct Level {
    bool in_from = false;      // between FROM and the clause after it
    bool wants_table = false;  // a table's name may stand here
  };

  const Token& token(std::uint32_t at) const {
    return at < range_.end ? tokens_[at] : tokens_.back();
  }
  const Token& now() const { return tokens_[at_]; }
  Level& level() { return levels_.back(); }

  // Where a CTE's body begins after its name at `at`: name [(columns)] AS [[NOT] MATERIALIZED] (.
  bool names_cte(std::uint32_t at) const {
    std::uint32_t i = at + 1;
    if (token(i).is(TokenKind::left_parenthesis)) {
      ++i;
      while (token(i).is_name() || token(i).is(TokenKind::comma)) ++i;
      if (!token(i++).is(TokenKind::right_parenthesis)) return false;
    }
    if (!token(i++).is(Keyword::as)) return false;
    if (token(i).is(Keyword::not_)) ++i;
    if (token(i).is(Keyword::materialized)) ++i;
    if (!token(i++).is(TokenKind::left_parenthesis)) return false;
    return token(i).is(Keyword::select) || token(i).is(Keyword::values) ||
           token(i).is(Keyword::with);
  }

  // A user's CTE never has a table's name (the door refuses that), so where it is visible does not
  // matter here.
  void collect_ctes() {
    for (std::uint32_t i = range_.first; i < range_.end; ++i) {
      const Token& before = tokens_[i - 1];
      const bool place =
          before.is(Keyword::with) || before.is(Keyword::recursive) || before.is(TokenKind::comma);
      if (place && tokens_[i].is_name() && names_cte(i)) ctes_.insert(name_of(tokens_[i]));
    }
  }

  // FROM of a clause, not of IS DISTINCT FROM or EXTRACT(field FROM …).
  bool is_clause_from() const {
    if (!now().is(Keyword::from) || tokens_[at_ - 1].is(Keyword::distinct)) return false;
    return !(at_ >= 3 && tokens_[at_ - 2].is(TokenKind::left_parenthesis) &&
             same_name(tokens_[at_ - 3].text, "extract"));
  }

  Status take() {
    const Token& token_now = now();
    if (token_now.is(TokenKind::left_parenthesis)) {
      const Level inner{.in_from = level().wants_table, .wants_table = level().wants_table};
      level().wants_table = false;
      levels_.push_back(inner);
      return {};
    }
    if (token_now.is(TokenKind::right_parenthesis)) {
      if (levels_.size() > 1) levels_.pop_back();
      return {};
    }
    if (is_clause_from() || token_now.is(Keyword::join)) {
      level() = {.in_from = true, .wants_table = true};
      return {};
    }
    if (ends_from(token_now.keyword)) {
      level() = {};
      return {};
    }
    if (token_now.is(TokenKind::comma)) {
      level().wants_table = level().in_from;
      return {};
    }
    if (!level().wants_table || token_now.is(Keyword::with)) return {};
    level().wants_table = false;
    return take_table();
  }

  Status take_table() {
    const Token& name = now();
    if (!name.is_name()) {
      return names_.error(Code::sql_syntax, name.offset, "the name of a table is missing here",
                          "FROM takes tables, views and queries in parentheses");
    }
    if (token(at_ + 1).is(TokenKind::dot)) {
      return names_.error(Code::sql_unsupported, name.offset,
                          "a schema before a name is not in the dialect of views",
                          "the name alone: a tenant has one schema");
    }
    if (token(at_ + 1).is(TokenKind::left_parenthesis)) return take_function();
    return use(name);
  }

  // HISTORY(t), DIFF(t, a, b); other functions name no table.
  Status take_function() {
    if (!same_name(now().text, "history") && !same_name(now().text, "diff")) return {};
    const Token& argument = token(at_ + 2);
    return argument.is_name() ? use(argument) : Status{};
  }

  Status use(const Token& token_used) {
    const Identifier name{.name = name_of(token_used), .offset = token_used.offset};
    if (ctes_.contains(name.name)) return {};
    if (is_system_name(name.name)) {
      return names_.error(Code::sql_unsupported, name.offset,
                          "a view of a system table is not in the dialect",
                          "query the system table itself");
    }
    ObjectId id;
    if (const catalog::View* view = names_.catalog().view(name.name)) {
      id = view->id;
    } else {
      KIMBERLITE_TRY(const catalog::Table* table, names_.table(name));
      id = table->id;
    }
    if (std::ranges::find(uses_, id) == uses_.end()) uses_.push_back(id);
    return {};
  }

  const Names& names_;
  std::span<const Token> tokens_;
  TokenRange range_;
  std::uint32_t at_ = 0;
  std::vector<Level> levels_;
  std::set<std::string, catalog::NameLess> ctes_;
  std::vector<ObjectId> uses_;
};

}  // namespace

Result<std::vector<ObjectId>> objects_of_query(const Names& names, TokenRange range) {
  return QueryReader(names, range).read();
}

std::string text_of_query(const Names& names, TokenRange range) {
  const std::string_view text = names.statement().text;
  const std::span<const Token> tokens = names.statement().tokens;
  std::string out;
  std::uint32_t end = tokens[range.first].offset;
  for (std::uint32_t i = range.first; i < range.end; ++i) {
    for (std::size_t at = end; at < tokens[i].offset;) {
      const Scanned gap = scan(text, at);
      out += gap.scan == ScanKind::space ? text.substr(at, gap.length) : " ";
      at += gap.length;
    }
    out += tokens[i].text;
    end = tokens[i].end_offset();
  }
  return out;
}

}  // namespace kimberlite::sql
