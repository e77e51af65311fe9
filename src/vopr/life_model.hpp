// What a client of a group believes there is: the tables and streams of a tenant, as text, and the
// writes that would make them something else.
//
// Thread rule: values and pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/database.hpp"
#include "vopr/plan.hpp"

namespace kimberlite::vopr {

struct TableModel {
  std::vector<std::string> columns;
  std::vector<std::string> defaults;  // of columns added later; empty of the first ones
  std::map<std::int64_t, std::vector<std::string>> rows;  // without the key, which is `id`
};

struct TenantModel {
  std::uint8_t number = 0;
  std::map<std::string, TableModel> tables;
  std::map<std::string, std::vector<std::string>> streams;
  std::uint64_t made = 0;  // names and values given out

  // All of one table as `text_of` would give the rows of `SELECT * … ORDER BY id`.
  [[nodiscard]] std::string text(const std::string& table) const;
};

// How the values of a tenant begin, and of no other.
[[nodiscard]] std::string marker(std::uint8_t tenant);
[[nodiscard]] std::string tenant_name(std::uint8_t tenant);

// One request that writes, as it can be asked any number of times under one id.
struct Write {
  std::uint8_t tenant = 0;
  std::uint64_t request = 0;  // its number; the id is made of it
  std::vector<std::string> statements;
  bool transaction = false;
  bool rotates_key = false;
  std::string stream;  // of an append
  std::vector<std::string> events;
  std::optional<std::uint64_t> expected;  // sequence
  // What it must be refused with; it then changes nothing.
  std::optional<ErrorClass> refused;
  TenantModel after;
};

// What the step writes, given what there is; nothing of a step that only reads.
[[nodiscard]] std::optional<Write> write_of(const Step& step, const TenantModel& now,
                                            std::uint64_t request);
[[nodiscard]] Id128 request_id(std::uint64_t request);
[[nodiscard]] std::string request_key(std::uint64_t request);

// Rows as text, a line each.
void append_row(std::string& to, std::span<const ValueView> row);

}  // namespace kimberlite::vopr
