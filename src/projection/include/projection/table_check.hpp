// Holding what a projection shows against another one, derived from the log anew: VERIFY TABLE and
// `verify --projection`.
//
// Both sides are read in the binary order of their keys and compared value by value, by type and
// bytes, `__from` and `__to` too. So it is proved that no row is missing, none was added, each is
// the latest of its position, and every version before it is there. Generated columns, which are
// computed from the others, are left out. Thread rule: that of reader and projection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/value.hpp"

namespace kimberlite::projection {

enum class Kept : std::uint8_t {
  rows,      // of a table, valid at a position
  versions,  // of its rows, superseded at or before it
  // The projection's own tables, whole.
  records,
  streams,
  appends,
  schema_changes,
  schema,  // SQLite's own: tables, triggers and indexes
};

// One side: what is kept, in the order of its keys and of the positions it begins at.
class KeptRows {
 public:
  virtual ~KeptRows() = default;
  // False at the end. A row's values are valid until the next call.
  [[nodiscard]] virtual Result<bool> next() = 0;
  // The position it begins at, and the one it ends at; of the own tables the record's, and NULL.
  [[nodiscard]] virtual const ValueView& from() const = 0;
  [[nodiscard]] virtual const ValueView& to() const = 0;
  [[nodiscard]] virtual std::span<const ValueView> key() const = 0;
  // `__row` first where that is the key, then the columns by ascending id.
  [[nodiscard]] virtual std::span<const ValueView> values() const = 0;
  [[nodiscard]] virtual std::string_view column_name(std::size_t value) const = 0;
};

// Which record, and which of its changes, wrote a row.
struct RowOrigin {
  Position position;
  std::uint32_t change = 0;
};

// So many differences of a table are named at most; all are counted.
inline constexpr std::size_t differences_named_max = 100;

// Names a row by its record, never by a value: no message holds one.
struct Difference {
  std::string_view what;                // "a row is missing", …
  Position position;                    // of the record it should be from, or claims to be from
  std::optional<std::uint32_t> change;  // of that record; none where no change says it
  std::string column;                   // empty: all of the row
};

struct TableCheck {
  std::uint64_t rows = 0;         // valid at the position
  std::uint64_t versions = 0;     // superseded, and compared too
  Hash digest{};                  // SHA-256 of the rows' values, by key
  std::uint64_t differences = 0;  // 0: it is what the log says
  std::vector<Difference> named;  // the first of them, by key; rows before versions
};

struct OwnTableCheck {
  std::string_view table;
  std::uint64_t differences = 0;
  std::vector<Difference> named;
};

}  // namespace kimberlite::projection
