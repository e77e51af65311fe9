// kimberlite history, log, audit: who did what, when and why.
#include <fmt/format.h>

#include <algorithm>

#include "app.hpp"
#include "cli/interrupt.hpp"
#include "sql/datetime.hpp"
#include "sql/token.hpp"
#include "statement_runner.hpp"

namespace kimberlite::cli {
namespace {

const std::optional<catalog::Type> text_type = catalog::Type{catalog::TypeKind::text};
const std::optional<catalog::Type> integer_type = catalog::Type{catalog::TypeKind::bigint};
const std::optional<catalog::Type> timestamp_type = catalog::Type{catalog::TypeKind::timestamp};

constexpr std::size_t records_at_once = 1000;
constexpr std::uint64_t follow_every_ns = 200'000'000;

std::string name_list(const catalog::Table& table, bool keys_too) {
  std::string list;
  for (const catalog::Column& column : table.columns) {
    const bool is_key = std::ranges::find(table.primary_key, column.id) != table.primary_key.end();
    if (is_key && !keys_too) continue;
    list += ", " + sql::quote_name(column.name);
  }
  return list;
}

// A position, or a time: what --since and --until take.
struct Bound {
  std::optional<std::uint64_t> position;
  std::optional<TimestampUs> time;

  [[nodiscard]] bool at_or_after(const engine::RecordInfo& record) const {
    if (position) return record.position.value() >= *position;
    return !time || record.timestamp >= *time;
  }
  [[nodiscard]] bool at_or_before(const engine::RecordInfo& record) const {
    if (position) return record.position.value() <= *position;
    return !time || record.timestamp <= *time;
  }
};

Result<Bound> parse_bound(const std::optional<std::string>& text) {
  Bound bound;
  if (!text) return bound;
  KIMBERLITE_TRY(const engine::AsOf as_of, parse_as_of(*text));
  if (const auto* position = std::get_if<Position>(&as_of)) bound.position = position->value();
  if (const auto* time = std::get_if<TimestampUs>(&as_of)) bound.time = *time;
  return bound;
}

std::string joined(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

Value text_or_null(const std::string& text) {
  if (text.empty()) return Null{};
  return text;
}

struct Trail {
  std::vector<Column> columns;
  std::function<bool(const engine::RecordInfo&)> wanted;
  std::function<Row(const engine::RecordInfo&)> row;
  Bound since;
  Bound until;
  bool follow = false;
};

// Records in order through the writer, from the first wanted one to the last; with `follow` for
// ever.
Result<int> write_trail(App& app, engine::Session& session, const Trail& trail) {
  WriterOptions options = app.writer_options();
  options.quiet = true;
  const auto writer = make_result_writer(options, app.out(), app.messages());
  KIMBERLITE_CHECK(writer->begin(trail.columns));
  Summary summary;
  platform::ThreadExecutor idle{platform::ExecutorOptions{}};
  std::uint64_t next = trail.since.position.value_or(1);
  while (!interrupted()) {
    KIMBERLITE_TRY(const std::vector<engine::RecordInfo> records,
                   session.records(Position{next}, records_at_once));
    for (const engine::RecordInfo& record : records) {
      next = record.position.value() + 1;
      if (!trail.since.at_or_after(record) || !trail.until.at_or_before(record) ||
          !trail.wanted(record)) {
        continue;
      }
      const Row row = trail.row(record);
      std::vector<ValueView> views;
      for (const Value& value : row) views.push_back(view(value));
      KIMBERLITE_CHECK(writer->row(views));
      ++summary.rows;
      summary.position = record.position;
      summary.timestamp = record.timestamp;
    }
    if (records.size() == records_at_once) continue;
    if (!trail.follow) break;
    static_cast<void>(idle.run_one(follow_every_ns));  // nothing is ever posted: it waits
  }
  KIMBERLITE_CHECK(writer->end(summary));
  KIMBERLITE_CHECK(writer->finish());
  return 0;
}

}  // namespace

Result<int> run_history(App& app, const HistoryOptions& options) {
  KIMBERLITE_TRY(auto opened, app.open());
  engine::Session& session = opened->session();
  KIMBERLITE_TRY(const auto catalog, session.catalog());
  const catalog::Table* table = catalog->table(options.table);
  if (table == nullptr) {
    const std::string near = catalog->nearest_table(options.table);
    return Error{Code::not_found_table, "there is no table {}", options.table}.next(
        "{}", near.empty() ? "SHOW TABLES lists them" : "did you mean " + near + "?");
  }
  const std::size_t key_columns = std::max<std::size_t>(1, table->primary_key.size());
  if (!options.key.empty() && options.key.size() != key_columns) {
    return Error{Code::usage_option, "the key of {} has {} columns, {} values were given",
                 options.table, key_columns, options.key.size()}
        .next("kimberlite history {} without a key shows all rows", options.table);
  }
  // A person reads "now", a program NULL.
  const bool for_people = app.format() == Format::table;
  std::string sql = fmt::format(
      "SELECT valid_from AS \"from\", {} AS \"to\", from_time AS \"when\", actor AS who, "
      "reason AS why, "
      "operation AS change{} FROM HISTORY({})",
      for_people ? "coalesce(CAST(valid_to AS TEXT), 'now')" : "valid_to",
      name_list(*table, options.key.empty()), sql::quote_name(table->name));
  std::vector<Value> values;
  for (std::size_t i = 0; i < options.key.size(); ++i) {
    const std::string column = table->primary_key.empty()
                                   ? std::string{"__row"}
                                   : catalog::Catalog::column(*table, table->primary_key[i])->name;
    sql += fmt::format("{} {} = ${}", i == 0 ? " WHERE" : " AND",
                       table->primary_key.empty() ? column : sql::quote_name(column), i + 1);
    values.emplace_back(options.key[i]);
  }
  sql += " ORDER BY valid_from, valid_to";
  StatementRunner runner{app, session};
  KIMBERLITE_TRY(const bool done, runner.run(sql, values));
  KIMBERLITE_CHECK(runner.finish());
  return done ? 0 : runner.exit_status();
}

Result<int> run_log(App& app, const LogOptions& options) {
  KIMBERLITE_TRY(auto opened, app.open());
  engine::Session& session = opened->session();
  if (options.stream) {
    const std::string sql =
        "SELECT position, sequence, timestamp, kind, payload, actor, reason FROM __events "
        "WHERE stream = $1 ORDER BY position, sequence";
    StatementRunner runner{app, session};
    KIMBERLITE_TRY(const bool done, runner.run(sql, {*options.stream}));
    KIMBERLITE_CHECK(runner.finish());
    return done ? 0 : runner.exit_status();
  }
  Trail trail;
  trail.columns = {{"position", integer_type}, {"timestamp", timestamp_type},
                   {"kind", text_type},        {"object", text_type},
                   {"rows", integer_type},     {"actor", text_type},
                   {"reason", text_type},      {"hash", text_type}};
  KIMBERLITE_TRY(trail.since, parse_bound(options.since));
  KIMBERLITE_TRY(trail.until, parse_bound(options.until));
  trail.follow = options.follow;
  trail.wanted = [](const engine::RecordInfo&) { return true; };
  trail.row = [](const engine::RecordInfo& record) -> Row {
    return {static_cast<std::int64_t>(record.position.value()),
            timestamp_text(record.timestamp),
            record.kind,
            text_or_null(joined(record.objects)),
            static_cast<std::int64_t>(record.rows),
            record.actor,
            text_or_null(record.reason),
            to_hex(record.leaf)};
  };
  return write_trail(app, session, trail);
}

Result<int> run_audit(App& app, const AuditOptions& options) {
  KIMBERLITE_TRY(auto opened, app.open());
  engine::Session& session = opened->session();
  Trail trail;
  trail.columns = {{"position", integer_type}, {"timestamp", timestamp_type}, {"actor", text_type},
                   {"method", text_type},      {"action", text_type},         {"object", text_type},
                   {"class", text_type},       {"rows", integer_type},        {"reason", text_type},
                   {"detail", text_type},      {"request_id", text_type}};
  KIMBERLITE_TRY(trail.since, parse_bound(options.since));
  KIMBERLITE_TRY(trail.until, parse_bound(options.until));
  trail.wanted = [&](const engine::RecordInfo& record) {
    if (options.actor && record.actor != *options.actor) return false;
    return !options.data_class ||
           std::ranges::find(record.classes, *options.data_class) != record.classes.end();
  };
  trail.row = [](const engine::RecordInfo& record) -> Row {
    return {static_cast<std::int64_t>(record.position.value()),
            timestamp_text(record.timestamp),
            record.actor,
            std::string{"local"},
            record.kind,
            text_or_null(joined(record.objects)),
            text_or_null(joined(record.classes)),
            static_cast<std::int64_t>(record.rows),
            text_or_null(record.reason),
            text_or_null(record.statement),
            to_uuid(record.request_id)};
  };
  return write_trail(app, session, trail);
}

}  // namespace kimberlite::cli
