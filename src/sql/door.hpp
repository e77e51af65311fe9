// What all texts of one rewriting share: the CTEs written for them and the values to bind.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "shape.hpp"
#include "sql/datetime.hpp"
#include "sql/rewrite.hpp"
#include "sql/statement.hpp"
#include "sql/system_tables.hpp"

namespace kimberlite::sql {

// How a reference to a table stands in the text.
struct Reference {
  std::string name;      // of the CTE
  bool renamed = false;  // not the table's own name
  std::vector<Fact> facts;
  bool exact = false;             // has a column whose arithmetic is not SQLite's
  std::uint32_t view = no_index;  // its CTE: facts come later
};

// A view to be rewritten as a text of its own, and the CTE it becomes.
struct PendingView {
  const catalog::View* view = nullptr;
  std::optional<Position> at;
  std::uint32_t cte = 0;
};

class Door {
 public:
  explicit Door(const Context& context) : context_(context) {}

  [[nodiscard]] const Context& context() const { return context_; }
  Rewritten& result() { return result_; }

  // ---- Parameters
  // Numbers the parameters of the user's text; views have none.
  [[nodiscard]] Status number(std::string_view text, std::span<const Token> tokens);
  [[nodiscard]] Result<std::uint32_t> caller_parameter(const Unit& unit, std::uint32_t token) const;
  std::uint32_t bind_caller(std::uint32_t number);
  std::uint32_t bind_value(Value value);
  std::uint32_t bind_position(Position position);

  // ---- Time
  // Which position the clause asks for; nothing for LATEST.
  [[nodiscard]] Result<std::optional<Position>> resolve(const Unit& unit, const AsOf& as_of);
  [[nodiscard]] Result<Position> resolve_position(const Unit& unit, Range range);
  [[nodiscard]] Result<Position> resolve_timestamp(const Unit& unit, Range range);
  // Something stands as of a position of this source: a caller's parameter, by number, or 0 for
  // the session's.
  void moved_by(std::uint32_t caller);

  // ---- References: each makes its CTE if it is not there yet
  // A table, view or system table. `at`: as of then; none: now.
  [[nodiscard]] Result<Reference> named(const Unit& unit, const Source& source,
                                        std::optional<Position> at, bool with_row);
  // A table of the outermost FROM of VERIFY SELECT; nothing else can be verified row by row.
  [[nodiscard]] Result<Reference> verified(const Unit& unit, const Source& source,
                                           std::optional<Position> at, bool with_row);
  [[nodiscard]] Result<Reference> history(const Unit& unit, const Source& source,
                                          std::optional<Position> at, bool with_row);
  [[nodiscard]] Result<Reference> diff(const Unit& unit, const Source& source,
                                       std::optional<Position> at);
  // What DML writes.
  [[nodiscard]] Result<const catalog::Table*> target(const Unit& unit, const Source& source) const;
  [[nodiscard]] static std::vector<Fact> facts_of(const catalog::Table& table, bool with_row);

  // ---- Views met, one after the other until there are no more
  [[nodiscard]] bool has_view() const { return next_view_ < views_.size(); }
  PendingView next_view() { return views_[next_view_++]; }
  void finish_view(const PendingView& pending, std::string text, std::vector<Fact> facts);
  [[nodiscard]] const std::vector<Fact>& view_facts(std::uint32_t cte) const {
    return ctes_[cte].facts;
  }

  // "name AS NOT MATERIALIZED (…), …"; empty if there are none.
  [[nodiscard]] std::string cte_list() const;
  // Is `name` that of a table, a view or a documented system table?
  [[nodiscard]] bool is_object(std::string_view name) const;
  // All tables read were asked as of this position, if it is the same; and whether it may be
  // another.
  void finish_as_of();

 private:
  enum class CteKind : std::uint8_t { table, view, system, verified };
  struct Cte {
    CteKind kind = CteKind::table;
    std::uint32_t object = 0;  // id; of a system table its number
    std::optional<Position> at = {};
    bool with_row = false;
    std::string name = {};
    std::string columns = {};  // of a view that renames them
    std::string text = {};
    std::vector<Fact> facts = {};
    bool exact = false;
  };
  [[nodiscard]] Result<Reference> table(const Unit& unit, const Source& source,
                                        const catalog::Table& table, std::optional<Position> at,
                                        bool with_row);
  [[nodiscard]] Result<Reference> view(const catalog::View& view, std::optional<Position> at);
  [[nodiscard]] Result<Reference> system(const Unit& unit, const Source& source,
                                         const SystemTable& table, std::optional<Position> at);
  [[nodiscard]] Error unknown(const Unit& unit, const Source& source,
                              std::optional<Position> at) const;
  [[nodiscard]] std::string generated(std::string_view what);
  [[nodiscard]] Reference add(Cte cte, std::string_view own_name);
  void read(ObjectId table, std::optional<Position> at);
  // SELECT … of the rows of `then`, valid at a position bound as ?bind.
  // `verified`: with what stands behind the columns of the VerifiedTable of that number; 0:
  // without.
  [[nodiscard]] Result<std::string> rows_as_of(const catalog::Table& then, std::uint32_t bind,
                                               bool with_row, std::size_t verified = 0) const;
  // The policy's masks and filter around a select of `leading` columns and the table's.
  [[nodiscard]] std::string masked(const catalog::Table& table, std::string_view leading,
                                   std::string select) const;
  [[nodiscard]] std::string catalog_rows(const SystemTable& table, std::optional<Position> at);
  [[nodiscard]] Result<Value> parameter_value(const Unit& unit, std::uint32_t token) const;
  [[nodiscard]] Result<Timestamp> time_operand(const Unit& unit, std::uint32_t& at);
  [[nodiscard]] Result<Interval> interval_operand(const Unit& unit, std::uint32_t& at);
  [[nodiscard]] Result<Position> checked(const Unit& unit, std::uint32_t token,
                                         std::int64_t position) const;

  const Context& context_;
  Rewritten result_;
  Parameters parameters_;
  std::vector<std::uint32_t> caller_binds_;  // by number: its ?n, 0 while it has none
  std::vector<Cte> ctes_;
  std::vector<PendingView> views_;
  std::size_t next_view_ = 0;
  std::uint32_t generated_ = 0;
  bool reads_now_ = false;
  std::optional<Position> reads_at_;
  bool reads_several_ = false;
  std::optional<std::uint32_t> moved_by_;
  bool moves_ = true;  // nothing but `moved_by_` says as of what
};

[[nodiscard]] bool is_exact(const catalog::Type& type);
[[nodiscard]] std::string history_name(ObjectId table);
// What column `i` of the VerifiedTable number `number` (from 1) is called in the text, quoted.
[[nodiscard]] std::string verified_name(std::size_t number, std::size_t i);

}  // namespace kimberlite::sql
