// The walk over two sides of the same keys (table_check.hpp).
#pragma once

#include <functional>

#include "crypto/sha256.hpp"
#include "projection/table_check.hpp"

namespace kimberlite::projection {

// Whose words are used for what is found.
enum class Noun : std::uint8_t { row, version };

struct Walk {
  Noun noun = Noun::row;
  // Names the record of a row by its encoded key and the position it begins at.
  std::function<Result<std::optional<RowOrigin>>(Bytes key, Position from)> origin;
  std::function<Status()> progress;  // now and then
  crypto::Sha256* digest = nullptr;  // of the values of `shown`
  std::size_t named_max = differences_named_max;
};

struct Walked {
  std::uint64_t rows = 0;  // of `shown`
  std::uint64_t differences = 0;
  std::vector<Difference> named;  // the first of them
};

// `derived` is what the log says.
[[nodiscard]] Result<Walked> walk(KeptRows& shown, KeptRows& derived, const Walk& how);

}  // namespace kimberlite::projection
