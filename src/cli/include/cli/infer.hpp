// The type of a column to be created, from all its values: the first of BOOLEAN, BIGINT,
// DECIMAL(18,s), DATE, TIMESTAMP, UUID, DOUBLE in which every value prints back as the same text,
// else TEXT. A column without a value is TEXT. NULL says nothing.
//
// Takes each value once and keeps none, so a file of any size is read through. Thread rule: values.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "catalog/schema.hpp"

namespace kimberlite::cli {

class ColumnInference {
 public:
  ColumnInference();

  // A value that is not NULL, as the file spells it.
  void see(std::string_view text);
  [[nodiscard]] catalog::Type type() const;

 private:
  // The types still possible, in the order of preference; only ever fewer.
  std::vector<catalog::TypeKind> candidates_;
  bool seen_ = false;
  std::uint16_t scale_ = 0;  // of the DECIMAL, fixed by the first value
};

}  // namespace kimberlite::cli
