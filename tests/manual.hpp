// Tables of the manual, for tests that hold the product to what a page says of it.
//
// Thread rule: pure functions. Errors: a page that is not there has no rows.
#pragma once

#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace kimberlite::test {

// The cells of a line of a table, without backticks and spaces around them; none: no such line.
inline std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  for (std::size_t at = line.find('|'); at != std::string_view::npos;) {
    const std::size_t end = line.find('|', at + 1);
    if (end == std::string_view::npos) break;
    std::string cell{line.substr(at + 1, end - at - 1)};
    cell.erase(0, cell.find_first_not_of(" `"));
    cell.erase(cell.find_last_not_of(" `") + 1);
    cells.push_back(std::move(cell));
    at = end;
  }
  return cells;
}

// The lines of all tables of so many columns of docs/`page`, their heads among them.
inline std::vector<std::vector<std::string>> rows_of(std::string_view page, std::size_t columns) {
  std::ifstream file{std::string{KIMBERLITE_SOURCE_DIR} + "/docs/" + std::string{page}};
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    std::vector<std::string> cells = cells_of(line);
    if (cells.size() == columns) rows.push_back(std::move(cells));
  }
  return rows;
}

// 0: the cell is no number, and so no seed.
inline std::uint64_t seed_in(std::string_view cell) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), seed);
  return error == std::errc{} && end == cell.data() + cell.size() ? seed : 0;
}

}  // namespace kimberlite::test
