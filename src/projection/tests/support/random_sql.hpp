// Random statements over whatever tables a catalog holds: most of them valid, some refused.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "catalog/catalog.hpp"

namespace kimberlite::projection::test {

class RandomSql {
 public:
  explicit RandomSql(std::uint64_t seed) : random_(seed) {}

  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }

  // A table to begin with.
  [[nodiscard]] std::string create_table();
  [[nodiscard]] std::string ddl(const catalog::Catalog& catalog);
  [[nodiscard]] std::string dml(const catalog::Catalog& catalog);
  // The statements of one request: one, or a list with savepoints in it.
  [[nodiscard]] std::vector<std::string> request(const catalog::Catalog& catalog);
  // "<column> <op> <literal>", the literal often of another type; "1" if there is nothing to ask.
  [[nodiscard]] std::string predicate(const catalog::Table& table);

 private:
  [[nodiscard]] const catalog::Table* some_table(const catalog::Catalog& catalog);
  [[nodiscard]] const catalog::Column& some_column(const catalog::Table& table);
  [[nodiscard]] std::string literal(const catalog::Column& column, bool key);
  [[nodiscard]] std::string column_definition(unsigned number);
  [[nodiscard]] std::string insert(const catalog::Table& table);
  [[nodiscard]] std::string update(const catalog::Table& table);
  [[nodiscard]] std::string where(const catalog::Table& table);

  std::mt19937_64 random_;
  unsigned names_ = 0;
  std::string parent_;  // a table others may refer to
};

}  // namespace kimberlite::projection::test
