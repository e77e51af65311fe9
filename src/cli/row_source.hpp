// The rows of a file to be imported, whatever its format: CSV by header, NDJSON by member.
//
// Thread rule: one thread. The file outlives the source. Errors: those of the readers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/csv_reader.hpp"
#include "cli/json_lines_reader.hpp"
#include "env/env.hpp"

namespace kimberlite::cli {

struct Cell {
  std::string_view text;
  bool null = false;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  // The columns of every row. Of NDJSON they are known only when the whole file was read once.
  [[nodiscard]] virtual const std::vector<std::string>& columns() const = 0;
  // The next row; false at the end. After an error the next call goes on behind it.
  [[nodiscard]] virtual Result<bool> next() = 0;
  // As many as `columns()`; valid until the next call of `next`.
  [[nodiscard]] virtual std::span<const Cell> cells() const = 0;
  [[nodiscard]] virtual std::string_view raw() const = 0;
  [[nodiscard]] virtual std::uint64_t line() const = 0;
  // Of the row: where it starts and ends in the file.
  [[nodiscard]] virtual std::uint64_t offset() const = 0;
  [[nodiscard]] virtual std::uint64_t end_offset() const = 0;
};

[[nodiscard]] bool is_json_lines(std::string_view path);

// `path` decides the format by its ending: .ndjson and .jsonl, else CSV.
[[nodiscard]] Result<std::unique_ptr<RowSource>> open_rows(env::File& file, std::string_view path);

}  // namespace kimberlite::cli
