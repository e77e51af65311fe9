// kimberlite export: tables, or the answer of a query, into CSV or NDJSON files.
#include <fmt/format.h>

#include "app.hpp"
#include "cli/csv_text.hpp"
#include "cli/interrupt.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "export_package.hpp"
#include "row_source.hpp"
#include "sql/token.hpp"
#include "statement_runner.hpp"

namespace kimberlite::cli {
namespace {

constexpr int exit_interrupted = 9;
constexpr std::size_t piece_size = 1U << 18U;

// A new file, or the one there is from its beginning.
class FileOutput final : public Output {
 public:
  [[nodiscard]] static Result<std::unique_ptr<FileOutput>> open(env::Storage& files,
                                                                const std::string& path) {
    KIMBERLITE_TRY(auto file, files.open(path, env::Open::create));
    KIMBERLITE_CHECK(file->truncate(0));
    auto output = std::make_unique<FileOutput>();
    output->file_ = std::move(file);
    return output;
  }
  Status write(std::string_view text) override {
    KIMBERLITE_CHECK(file_->write_at(size_, bytes_of(text)));
    size_ += text.size();
    return {};
  }
  Status sync() { return file_->sync(); }

 private:
  std::unique_ptr<env::File> file_;
  std::uint64_t size_ = 0;
};

class Export {
 public:
  Export(App& app, engine::Session& session, engine::AsOf as_of, bool json)
      : app_(app), session_(session), as_of_(as_of), json_(json) {}

  // Rows of a query into `path`; false: it was stopped.
  Result<bool> write(std::string_view label, std::string_view sql, const std::string& path) {
    KIMBERLITE_TRY(const auto cursor,
                   session_.query({sql, {}}, as_of_, {.cancelled = &interrupt_flag()}));
    if (path == "-") return rows(label, *cursor, app_.out());
    KIMBERLITE_TRY(const auto output, FileOutput::open(app_.files(), path));
    KIMBERLITE_TRY(const bool whole, rows(label, *cursor, *output));
    KIMBERLITE_CHECK(output->sync());
    return whole;
  }

  // All rows of a table in the order of its key; without one, as they came.
  static std::string query_of(const catalog::Table& table) {
    std::string list;
    for (const catalog::Column& column : table.columns) {
      list += (list.empty() ? "" : ", ") + sql::quote_name(column.name);
    }
    return fmt::format("SELECT {} FROM {} ORDER BY {}", list, sql::quote_name(table.name),
                       order_of(table));
  }

 private:
  Result<bool> rows(std::string_view label, engine::Cursor& cursor, Output& to) {
    const std::uint64_t begun = app_.clock().monotonic_ns();
    ProgressLine progress{std::string{label}, app_.invocation().quiet ? 0 : app_.terminal().width,
                          begun};
    std::string text;
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    if (!json_) {
      for (const engine::ColumnInfo& column : cursor.columns()) {
        if (&column != cursor.columns().data()) text += ',';
        append_csv_value(text, ValueView{std::string_view{column.name}}, std::nullopt);
      }
      text += '\n';
    }
    while (!interrupted()) {
      KIMBERLITE_TRY(const bool more, cursor.next());
      if (!more) break;
      ++count;
      append_row(text, cursor);
      if (text.size() < piece_size) continue;
      KIMBERLITE_CHECK(to.write(text));
      bytes += text.size();
      text.clear();
      if (const std::uint64_t now = app_.clock().monotonic_ns(); progress.due(now)) {
        static_cast<void>(
            app_.messages().write(progress.update({count, bytes, 0}, now)).has_value());
      }
    }
    KIMBERLITE_CHECK(to.write(text));
    static_cast<void>(app_.messages().write(progress.clear()).has_value());
    app_.say(fmt::format("{}   {} rows   position {}", label, grouped(count),
                         cursor.position().value()));
    return !interrupted();
  }

  void append_row(std::string& text, const engine::Cursor& cursor) const {
    const std::span<const ValueView> row = cursor.row();
    if (!json_) {
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (i > 0) text += ',';
        append_csv_value(text, row[i], cursor.columns()[i].type);
      }
      text += '\n';
      return;
    }
    append_json_row(text, cursor.columns(), row);
  }

  App& app_;
  engine::Session& session_;
  engine::AsOf as_of_;
  bool json_;
};

}  // namespace

void append_json_row(std::string& to, std::span<const engine::ColumnInfo> columns,
                     std::span<const ValueView> row) {
  to += '{';
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) to += ',';
    append_json_string(to, columns[i].name);
    to += ':';
    append_json_value(to, row[i], columns[i].type);
  }
  to += "}\n";
}

std::string order_of(const catalog::Table& table) {
  std::string order;
  for (const ColumnId id : table.primary_key) {
    order +=
        (order.empty() ? "" : ", ") + sql::quote_name(catalog::Catalog::column(table, id)->name);
  }
  return order.empty() ? "__row" : order;
}

Result<int> run_export(App& app, const ExportOptions& options) {
  const int asked = (options.table ? 1 : 0) + (options.statement ? 1 : 0) + (options.all ? 1 : 0);
  if (asked != 1) {
    return Error{Code::usage_option, "what is to be exported is not said once"}.next(
        "give one of --table T, -c SQL, --all");
  }
  KIMBERLITE_TRY(auto opened, app.open());
  engine::Session& session = opened->session();
  engine::AsOf as_of;
  if (options.as_of) {
    KIMBERLITE_TRY(as_of, parse_as_of(*options.as_of));
  }
  const bool json = is_json_lines(options.output) || app.format() == Format::jsonl ||
                    app.format() == Format::json;
  Export out{app, session, as_of, json};
  if (options.statement) {
    KIMBERLITE_TRY(const bool whole, out.write("query", *options.statement, options.output));
    return whole ? 0 : exit_interrupted;
  }
  // The tables as they were then: their names and columns may be others now.
  Position at;
  {
    KIMBERLITE_CHECK(session.set_as_of(as_of));
    KIMBERLITE_TRY(const auto head, session.query({"SELECT 1", {}}, as_of, {}));
    at = head->position();
    KIMBERLITE_CHECK(session.set_as_of({}));
  }
  KIMBERLITE_TRY(const auto catalog, session.catalog());
  std::vector<const catalog::Table*> tables;
  for (const auto& [id, versions] : catalog->table_versions()) {
    const catalog::Table* table = catalog->table_at(id, at);
    if (table != nullptr && (!options.table || sql::same_name(table->name, *options.table))) {
      tables.push_back(table);
    }
  }
  if (options.table && tables.empty()) {
    if (catalog->table(*options.table) != nullptr) {
      return Error{Code::not_found_then, "{} did not exist at position {}", *options.table,
                   at.value()}
          .next("SELECT * FROM __schema_history shows when it came");
    }
    const std::string near = catalog->nearest_table(*options.table);
    return Error{Code::not_found_table, "there is no table {} at position {}", *options.table,
                 at.value()}
        .next("{}", near.empty() ? "SHOW TABLES lists those there are now"
                                 : "did you mean " + near + "?");
  }
  if (options.receipts) {
    KIMBERLITE_TRY(const bool whole, write_package(app, session, at, tables, options.output));
    return whole ? 0 : exit_interrupted;
  }
  for (const catalog::Table* table : tables) {
    const std::string path =
        options.all ? fmt::format("{}/{}.{}", options.output, table->name, json ? "jsonl" : "csv")
                    : options.output;
    KIMBERLITE_TRY(const bool whole, out.write(table->name, Export::query_of(*table), path));
    if (!whole) return exit_interrupted;
  }
  return 0;
}

}  // namespace kimberlite::cli
