#include "package_format.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "base/codec.hpp"
#include "catalog/catalog.hpp"
#include "cli/json.hpp"
#include "sql/types.hpp"

namespace kimberlite::cli {
namespace {

using catalog::TypeKind;
using simdjson::dom::element;

constexpr std::string_view format_name = "kimberlite/export@v1";
constexpr std::string_view format_prefix = "kimberlite/export@v";
constexpr std::size_t name_size_max = 100;  // of a table, as that of a file

template <class T, class Append>
void append_list(std::string& to, const std::vector<T>& values, Append append) {
  to += '[';
  for (const T& value : values) {
    if (&value != values.data()) to += ',';
    append(value);
  }
  to += ']';
}

void append_table(std::string& to, const PackageTable& table) {
  JsonObject object{to};
  object.text("name", table.name);
  object.text("file", table.file);
  object.number("table", table.table);
  object.member("columns");
  append_list(to, table.columns, [&](const PackageColumn& column) {
    JsonObject entry{to};
    entry.number("id", column.id);
    entry.text("name", column.name);
    entry.text("type", column.type);
  });
  object.member("primary_key");
  append_list(to, table.primary_key, [&](std::uint64_t id) { append_json_unsigned(to, id); });
  object.number("rows", table.rows);
}

// ---- Reading: what is missing or of another type reads as nothing, which is then not what is
// written again. ----

std::string text_of(element from, std::string_view name) {
  std::string_view text;
  return from[name].get(text) == simdjson::SUCCESS ? std::string{text} : std::string{};
}

std::uint64_t number_of(element from, std::string_view name) {
  std::uint64_t number = 0;
  return from[name].get(number) == simdjson::SUCCESS ? number : 0;
}

template <class Take>
void take_list(element from, std::string_view name, Take take) {
  simdjson::dom::array values;
  if (from[name].get(values) != simdjson::SUCCESS) return;
  for (const element value : values) take(value);
}

PackageTable read_table(element from) {
  PackageTable table{.name = text_of(from, "name"),
                     .file = text_of(from, "file"),
                     .table = number_of(from, "table"),
                     .columns = {},
                     .primary_key = {},
                     .rows = number_of(from, "rows")};
  take_list(from, "columns", [&](element column) {
    table.columns.push_back(
        {number_of(column, "id"), text_of(column, "name"), text_of(column, "type")});
  });
  take_list(from, "primary_key", [&](element id) {
    std::uint64_t number = 0;
    if (id.get(number) == simdjson::SUCCESS) table.primary_key.push_back(number);
  });
  return table;
}

}  // namespace

std::string PackageManifest::to_text() const {
  std::string text;
  {
    JsonObject object{text};
    object.text("format", format_name);
    object.text("log", log);
    object.number("position", position);
    object.number("tree_size", tree_size);
    object.member("tables");
    append_list(text, tables, [&](const PackageTable& table) { append_table(text, table); });
    object.member("files");
    append_list(text, files, [&](const File& file) {
      JsonObject entry{text};
      entry.text("name", file.name);
      entry.text("sha256", file.sha256);
    });
  }
  text += '\n';
  return text;
}

Result<PackageManifest> parse_manifest(std::string_view text) {
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS) {
    return wrong_package("the manifest is not JSON");
  }
  const std::string format = text_of(root, "format");
  if (format.starts_with(format_prefix) && format != format_name) {
    return Error{Code::unavailable_version, "the package is of a later version"};
  }
  PackageManifest manifest{.log = text_of(root, "log"),
                           .position = number_of(root, "position"),
                           .tree_size = number_of(root, "tree_size"),
                           .tables = {},
                           .files = {}};
  take_list(root, "tables", [&](element table) { manifest.tables.push_back(read_table(table)); });
  take_list(root, "files", [&](element file) {
    manifest.files.push_back({text_of(file, "name"), text_of(file, "sha256")});
  });
  if (manifest.to_text() != text) return wrong_package("the manifest is not in its one form");
  return manifest;
}

std::string ReceiptLine::to_text() const {
  std::string text;
  {
    JsonObject object{text};
    object.number("position", position);
    object.text("receipt", receipt);
  }
  text += '\n';
  return text;
}

Result<ReceiptLine> parse_receipt_line(std::string_view line) {
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(line.data(), line.size()).get(root) != simdjson::SUCCESS) {
    return wrong_package("a line of receipts is not JSON");
  }
  ReceiptLine parsed{.position = number_of(root, "position"), .receipt = text_of(root, "receipt")};
  if (parsed.to_text() != line) return wrong_package("a line of receipts is not in its one form");
  return parsed;
}

Error wrong_package(std::string_view why) {
  return Error{Code::integrity_export, "the package is not what its log says"}.why("{}", why);
}

PackageTable described_table(const catalog::Table& table) {
  PackageTable described{.name = table.name,
                         .file = file_stem(table),
                         .table = table.id.value(),
                         .columns = {},
                         .primary_key = {}};
  for (const catalog::Column* column : recorded_columns(table)) {
    described.columns.push_back({column->id.value(), column->name, sql::type_name(column->type)});
  }
  for (const ColumnId id : table.primary_key) described.primary_key.push_back(id.value());
  return described;
}

std::string file_stem(const catalog::Table& table) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  const bool taken =
      catalog::same_name(table.name, "schema") || catalog::same_name(table.name, "receipts");
  if (!taken && table.name.size() <= name_size_max && std::ranges::all_of(table.name, plain)) {
    return table.name;
  }
  return fmt::format("table-{}", table.id.value());
}

std::vector<const catalog::Column*> recorded_columns(const catalog::Table& table) {
  std::vector<const catalog::Column*> recorded;
  for (const catalog::Column& column : table.columns) {
    if (!column.generated) recorded.push_back(&column);
  }
  return recorded;
}

std::optional<Value> constant_of(const catalog::Column& column) {
  if (!column.default_value || *column.default_value == "NULL") return Value{Null{}};
  const std::string& text = *column.default_value;
  const char* const end = text.data() + text.size();
  const std::string_view stored_as = sql::storage_class(column.type);
  if (column.type.kind == TypeKind::boolean) {
    if (text == "TRUE") return Value{std::int64_t{1}};
    if (text == "FALSE") return Value{std::int64_t{0}};
    return std::nullopt;
  }
  if (stored_as == "INTEGER") {
    std::int64_t value = 0;
    const auto [at, failed] = std::from_chars(text.data(), end, value);
    return failed == std::errc{} && at == end ? std::optional{Value{value}} : std::nullopt;
  }
  if (stored_as == "REAL") {
    double value = 0;
    const auto [at, failed] = std::from_chars(text.data(), end, value);
    const bool whole = failed == std::errc{} && at == end && sql::print_double(value) == text;
    return whole ? std::optional{Value{value}} : std::nullopt;
  }
  if (stored_as != "TEXT" || text.size() < 2 || !text.starts_with('\'')) return std::nullopt;
  // Within, a quote stands only doubled.
  std::string value;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\'') {
      ++i;
      if (i + 1 == text.size() || text[i] != '\'') return std::nullopt;
    }
    value += text[i];
  }
  return text.ends_with('\'') ? std::optional{Value{std::move(value)}} : std::nullopt;
}

bool same_bytes(const ValueView& a, const ValueView& b) {
  Writer left;
  Writer right;
  encode(left, a);
  encode(right, b);
  return left.buffer() == right.buffer();
}

}  // namespace kimberlite::cli
