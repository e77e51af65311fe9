// Binds the names of one text and has its expressions typed, scope by scope.
//
// A scope is worked through in three steps: its CTEs and derived tables first, then its own sources
// are bound, then the subqueries of its expressions (which see those sources), then its
// expressions. Scopes wait for one another on an explicit stack.
#pragma once

#include "door.hpp"
#include "typing.hpp"

namespace kimberlite::sql {

class Resolver {
 public:
  // `at`: what a reference without AS OF of its own means; none: now.
  // `verify`: the rows its outermost SELECT reads are to come with what they were read as.
  Resolver(Unit& unit, Shape& shape, Door& door, std::optional<Position> at, bool with_row,
           bool verify)
      : unit_(unit), shape_(shape), door_(door), at_(at), with_row_(with_row), verify_(verify) {}

  // Names in FROM and the target. Views met are left to the door: they are to be bound too, and
  // those of lower ids typed, before `type`.
  [[nodiscard]] Status bind();
  // Expressions, and the columns of the answer.
  [[nodiscard]] Status type();
  // The answer's columns, of a query.
  [[nodiscard]] const std::vector<Fact>& facts() const { return shape_.scopes[0].facts; }
  // Those of RETURNING.
  [[nodiscard]] const std::vector<Fact>& returned() const { return returned_; }

 private:
  [[nodiscard]] Status bind_references();
  [[nodiscard]] Status bind(Source& source, bool verified);
  void put_reference(const Source& source, const Reference& reference);
  [[nodiscard]] Status check_ctes() const;
  [[nodiscard]] std::uint32_t cte_in_sight(std::uint32_t scope, std::string_view name) const;

  void push_children(std::uint32_t scope, bool expressions);
  [[nodiscard]] Status bind_scope(std::uint32_t scope);
  [[nodiscard]] Status type_scope(Typing& typing, std::uint32_t scope);
  [[nodiscard]] Status type_core(Typing& typing, std::uint32_t scope, std::uint32_t core,
                                 std::vector<Term>& results);
  [[nodiscard]] Status type_values(Typing& typing, std::uint32_t scope, Core& core,
                                   std::vector<Term>& results);
  [[nodiscard]] Status expand_star(Core& core, const Item& item, std::vector<Term>& results);
  [[nodiscard]] bool merged(const Core& core, std::size_t source, const std::string& name) const;
  [[nodiscard]] Status unify_cores(Typing& typing, std::uint32_t scope,
                                   std::vector<std::vector<Term>>& results);
  void finish_item(Typing& typing, const Item* item, Term& term);
  [[nodiscard]] Status assign_body(Typing& typing, std::vector<Term>& results);

  // ---- VERIFY SELECT: resolver_verify.cpp
  [[nodiscard]] Status check_verified() const;
  [[nodiscard]] Status check_verified(const Source& source) const;
  [[nodiscard]] Status put_verified();

  // ---- DML: resolver_dml.cpp
  [[nodiscard]] Status bind_target();
  [[nodiscard]] Status type_dml(Typing& typing);
  [[nodiscard]] Status insert_columns();
  [[nodiscard]] Status type_assignments(Typing& typing, const std::vector<Assignment>& assignments,
                                        std::uint32_t set);
  [[nodiscard]] Status type_conflicts(Typing& typing);
  [[nodiscard]] Status type_returning(Typing& typing);
  [[nodiscard]] Result<const catalog::Column*> settable(std::uint32_t token) const;
  void put_row_filter();

  Unit& unit_;
  Shape& shape_;
  Door& door_;
  std::optional<Position> at_;
  bool with_row_;
  bool verify_;
  bool exact_ = false;
  enum class Step : std::uint8_t { children, sources, expressions };
  struct Work {
    std::uint32_t scope;
    Step step;
  };
  std::vector<Work> work_;
  std::vector<std::vector<std::uint32_t>> children_;  // of each scope, CTEs left out
  const catalog::Table* target_ = nullptr;
  std::vector<const catalog::Column*> insert_into_;
  std::vector<Fact> returned_;
};

}  // namespace kimberlite::sql
