// What an exported package holds, as its writer and its checker both have to know it
// (docs/proofs.md, Package): the manifest, the names of files, the columns that are recorded, and
// what older rows have in a column that is younger than they.
//
// Thread rule: values and pure functions. `parse_manifest` and `parse_receipt_line` accept exactly
// what is written: they write it again and compare.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/value.hpp"
#include "catalog/schema.hpp"

namespace kimberlite::cli {

struct PackageColumn {
  std::uint64_t id = 0;
  std::string name;
  std::string type;
  friend bool operator==(const PackageColumn&, const PackageColumn&) = default;
};

struct PackageTable {
  std::string name;
  std::string file;  // the stem of its two files
  std::uint64_t table = 0;
  std::vector<PackageColumn> columns;  // those recorded
  std::vector<std::uint64_t> primary_key;
  std::uint64_t rows = 0;
  friend bool operator==(const PackageTable&, const PackageTable&) = default;
};
// All of it but the rows.
[[nodiscard]] PackageTable described_table(const catalog::Table& table);

struct PackageManifest {
  struct File {
    std::string name;
    std::string sha256;
  };
  std::string log;
  std::uint64_t position = 0;
  std::uint64_t tree_size = 0;
  std::vector<PackageTable> tables;
  std::vector<File> files;

  // One line.
  [[nodiscard]] std::string to_text() const;
};
// `integrity.export`; `unavailable.version` for a later format.
[[nodiscard]] Result<PackageManifest> parse_manifest(std::string_view text);

struct ReceiptLine {
  std::uint64_t position = 0;
  std::string receipt;

  [[nodiscard]] std::string to_text() const;
};
[[nodiscard]] Result<ReceiptLine> parse_receipt_line(std::string_view line);

// What does not hold of a package.
[[nodiscard]] Error wrong_package(std::string_view why);

// A table's name may hold anything, and be that of another file of the package.
[[nodiscard]] std::string file_stem(const catalog::Table& table);
// Generated columns are in no record: there is nothing to prove them with.
[[nodiscard]] std::vector<const catalog::Column*> recorded_columns(const catalog::Table& table);
// The constant that a default in its stored, canonical spelling is; nothing if it is more than one.
[[nodiscard]] std::optional<Value> constant_of(const catalog::Column& column);
// Whether two values are stored alike.
[[nodiscard]] bool same_bytes(const ValueView& a, const ValueView& b);

}  // namespace kimberlite::cli
