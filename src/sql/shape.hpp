// The shape of a query or DML: which SELECTs it holds, what each reads from, and where its
// expressions stand. Names are not looked up and expressions not read here.
//
// A *scope* is one SELECT with all its compound parts (*cores*) and the WITH before it. Scopes nest
// as parentheses do; they are found first, then each is read once, from its first token to its
// last, jumping over what is in parentheses: linear in all, without recursion.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalog/schema.hpp"
#include "unit.hpp"

namespace kimberlite::sql {

inline constexpr std::uint32_t no_index = std::numeric_limits<std::uint32_t>::max();

// A column as expressions see it.
struct Fact {
  std::string name;
  std::optional<catalog::Type> type;
  bool hidden = false;  // `__row`: not in `*`
};

enum class AsOfKind : std::uint8_t { none, position, timestamp, latest };
struct AsOf {
  AsOfKind kind = AsOfKind::none;
  Range clause;      // all of it
  Range expression;  // behind POSITION or TIMESTAMP
};

enum class SourceKind : std::uint8_t {
  named,     // a table, view, system table or CTE
  derived,   // a subquery
  json,      // json_each(…), json_tree(…)
  history,   // HISTORY(t)
  diff,      // DIFF(t, a, b)
  target,    // what DML writes
  excluded,  // in ON CONFLICT
};

struct Source {
  SourceKind kind = SourceKind::named;
  Range name;         // the tokens to put our own name in place of
  std::string table;  // what it names; of `information_schema.x` both parts
  AsOf as_of;
  std::string alias;                   // empty: none given
  std::uint32_t scope = no_index;      // of `derived`
  std::vector<Range> arguments;        // of a function
  bool natural = false;                // joined so to what stands before it
  std::vector<std::string> joined_by;  // USING
  // Bound by the resolver.
  std::uint32_t cte = no_index;   // of the user's
  std::uint32_t view = no_index;  // of ours
  std::vector<Fact> facts;
  [[nodiscard]] const std::string& called() const { return alias.empty() ? table : alias; }
};

// One member of a select list, or of RETURNING.
struct Item {
  Range range;  // with its alias
  bool star = false;
  std::uint32_t qualifier = no_token;  // of `t.*`
  std::uint32_t alias_at = no_token;   // the name behind AS
  Range expression;
};

// `(a, b) = …` too.
struct Assignment {
  std::vector<std::uint32_t> columns;
  Range value;
};

struct Core {
  Range range;
  bool values = false;
  std::vector<Item> items;
  std::vector<Range> rows;  // of VALUES, insides of the parentheses
  std::vector<std::uint32_t> sources;
  std::vector<Range> conditions;  // ON, WHERE, HAVING, and arguments of table functions
  std::vector<Range> groups;
  std::vector<Range> windows;  // insides of the parentheses
  bool has_where_or_later = false;
  std::vector<Fact> results;  // filled by the resolver, one by one
};

enum class Role : std::uint8_t { top, cte, derived, expression };

struct Scope {
  Range range;
  std::uint32_t parent = no_index;
  Role role = Role::expression;
  std::vector<std::uint32_t> ctes;
  std::vector<Core> cores;
  std::vector<Range> orders;
  std::vector<Range> limits;
  // Filled by the resolver.
  std::vector<Fact> facts;
  bool typed = false;
};

struct Cte {
  std::uint32_t name = no_token;
  std::vector<std::string> columns;  // may be empty
  std::uint32_t scope = no_index;
};

struct Conflict {
  std::vector<std::uint32_t> columns;
  std::vector<Range> conditions;
  std::uint32_t set = no_token;  // SET of DO UPDATE
  std::vector<Assignment> assignments;
};

enum class DmlKind : std::uint8_t { none, insert, update, remove, truncate };

// Of a statement that writes; scope 0 then holds its WITH, its FROM and its WHERE.
struct Dml {
  DmlKind kind = DmlKind::none;
  Range verb;                         // TRUNCATE [TABLE]
  std::uint32_t target = no_index;    // source
  std::uint32_t head_end = no_token;  // last token of the target with its alias
  std::optional<std::vector<std::uint32_t>> columns;
  std::uint32_t body = no_index;       // scope of INSERT's SELECT or VALUES
  bool conflict_follows_from = false;  // ON CONFLICT right behind a FROM is ambiguous
  std::uint32_t body_end = no_token;
  std::vector<Conflict> conflicts;
  std::uint32_t set = no_token;
  std::vector<Assignment> assignments;
  Range where;                            // the expression
  std::uint32_t where_before = no_token;  // where a WHERE would stand if there is none
  std::vector<Item> returning;
};

struct Shape {
  std::vector<Scope> scopes;
  std::vector<Source> sources;
  std::vector<Cte> ctes;
  std::vector<std::uint32_t> scope_at;  // by the token of its parenthesis; no_index: none
  std::uint32_t with = no_token;        // WITH of the whole statement
  bool recursive = false;
  Dml dml;
};

// `unit.match` is filled. Errors: `sql.syntax`, `sql.unsupported`.
[[nodiscard]] Result<Shape> read_shape(const Unit& unit);
// tokens[first, end) cut at the commas outside parentheses.
[[nodiscard]] std::vector<Range> split_at_commas(const Unit& unit, Range range);
// True if the token is a name that stands for itself, not a word of the grammar.
[[nodiscard]] bool is_plain_name(const Token& token);

}  // namespace kimberlite::sql
