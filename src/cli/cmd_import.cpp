// kimberlite import: files into tables, in batches that can be resumed.
#include <fmt/format.h>

#include <algorithm>

#include "app.hpp"
#include "cli/infer.hpp"
#include "cli/interrupt.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "crypto/sha256.hpp"
#include "row_source.hpp"
#include "sql/statement.hpp"
#include "sql/types.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::size_t batch_rows_max = 1000;
constexpr std::uint64_t batch_bytes_max = 1ULL << 20;
constexpr int exit_interrupted = 9;

std::string file_stem(std::string_view path) {
  const std::string_view name = path.substr(path.find_last_of('/') + 1);
  return std::string{name.substr(0, name.find_last_of('.'))};
}

Error at(const Error& error, std::string_view where) {
  Error placed{error.code(), "{}", error.what()};
  return std::move(placed).where("{}", where).why("{}", error.why()).next("{}", error.next());
}

Result<std::string> digest_of(env::File& file) {
  crypto::Sha256 digest;
  Buffer piece(1U << 20U);
  std::uint64_t at = 0;
  while (true) {
    KIMBERLITE_TRY(const std::size_t size, file.read_at(at, piece));
    if (size == 0) break;
    digest.update(Bytes{piece}.first(size));
    at += size;
  }
  return to_hex(digest.finish());
}

// What became of one file.
struct Imported {
  std::string table;
  std::uint64_t rows = 0;
  std::uint64_t rejected = 0;
  std::uint64_t replayed_batches = 0;
  std::size_t columns = 0;
  Position first;
  Position last;
};

// One file on its way into its table.
class Import {
 public:
  Import(App& app, engine::Session& session, const ImportOptions& options, std::string path)
      : app_(app), session_(session), options_(options), path_(std::move(path)) {}

  Result<Imported> run();
  [[nodiscard]] const Imported& so_far() const { return done_; }

 private:
  Status create_table();
  Status map_columns();
  Status take_rows();
  Status take_row();
  Status reject(const Error& error);
  Status flush();
  Status write(std::span<const engine::Statement> statements, const std::string& key);
  [[nodiscard]] std::string insert_text(std::size_t rows) const;
  [[nodiscard]] std::string reason() const { return options_.write.reason.value_or("import"); }
  void show_progress();

  App& app_;
  engine::Session& session_;
  const ImportOptions& options_;
  std::string path_;
  std::unique_ptr<env::File> file_;
  std::unique_ptr<env::File> rejects_;
  std::uint64_t rejects_size_ = 0;
  std::uint64_t file_size_ = 0;
  std::string digest_;
  std::unique_ptr<RowSource> rows_;
  std::vector<catalog::Type> types_;
  std::vector<std::string> names_;
  std::size_t rows_a_statement_ = 1;
  std::vector<Value> batch_;
  std::size_t batch_rows_ = 0;
  std::uint64_t batch_offset_ = 0;
  std::uint64_t batch_line_ = 0;
  std::uint64_t last_line_ = 0;
  std::optional<ProgressLine> progress_;
  Imported done_;
};

Result<Imported> Import::run() {
  done_.table = options_.table.value_or(file_stem(path_));
  KIMBERLITE_TRY(file_, app_.files().open(path_, env::Open::read));
  KIMBERLITE_TRY(file_size_, file_->size());
  KIMBERLITE_TRY(digest_, digest_of(*file_));
  progress_.emplace(done_.table, app_.invocation().quiet ? 0 : app_.terminal().width,
                    app_.clock().monotonic_ns());
  if (options_.create) KIMBERLITE_CHECK(create_table());
  if (app_.invocation().dry_run) return done_;
  KIMBERLITE_TRY(rows_, open_rows(*file_, path_));
  KIMBERLITE_CHECK(map_columns());
  if (options_.atomic) {
    engine::Why why;
    const std::string text = reason();
    const std::string key = fmt::format("import:{}:{}:all", done_.table, digest_);
    KIMBERLITE_TRY(const std::optional<engine::Outcome> earlier, session_.outcome_under(key));
    if (earlier) {
      done_.rows = earlier->rows;
      done_.first = done_.last = earlier->position;
      done_.replayed_batches = 1;
      return done_;
    }
    why.reason = text;
    why.idempotency_key = key;
    KIMBERLITE_CHECK(session_.begin(why));
  }
  Status taken = take_rows();
  static_cast<void>(app_.messages().write(progress_->clear()).has_value());
  if (options_.atomic) {
    if (!taken || interrupted()) {
      static_cast<void>(session_.rollback().has_value());
      done_.rows = 0;
    } else {
      KIMBERLITE_TRY(const engine::Outcome outcome, session_.commit());
      done_.first = done_.last = outcome.position;
    }
  }
  if (!taken) return taken.error();
  return done_;
}

Status Import::create_table() {
  KIMBERLITE_TRY(const auto rows, open_rows(*file_, path_));
  std::vector<ColumnInference> inference(rows->columns().size());
  std::uint64_t rows_seen = 0;
  while (!interrupted()) {
    const Result<bool> more = rows->next();
    if (!more) {
      if (options_.on_error == OnError::go_on) continue;
      return Error{more.error()};
    }
    if (!*more) break;
    ++rows_seen;
    for (std::size_t i = 0; i < inference.size(); ++i) {
      const Cell& cell = rows->cells()[i];
      if (!cell.null) inference[i].see(cell.text);
    }
  }
  if (app_.invocation().dry_run) done_.rows = rows_seen;
  done_.columns = inference.size();
  std::string sql = fmt::format("CREATE TABLE {} (", sql::quote_name(done_.table));
  for (std::size_t i = 0; i < inference.size(); ++i) {
    sql += fmt::format("{}{} {}", i == 0 ? "" : ", ", sql::quote_name(rows->columns()[i]),
                       sql::type_name(inference[i].type()));
  }
  if (!options_.primary_key.empty()) {
    sql += ", PRIMARY KEY (";
    for (std::size_t i = 0; i < options_.primary_key.size(); ++i) {
      sql += (i == 0 ? "" : ", ") + sql::quote_name(options_.primary_key[i]);
    }
    sql += ')';
  }
  sql += ')';
  std::string with;
  if (options_.data_class) with += fmt::format("class = {}", *options_.data_class);
  if (options_.subject) {
    const std::size_t equals = options_.subject->find('=');
    if (equals == std::string::npos) {
      return Error{Code::usage_option, "--subject wants TYPE=COLUMN"}.next("--subject patient=id");
    }
    with += fmt::format("{}subject = {}({})", with.empty() ? "" : ", ",
                        options_.subject->substr(0, equals),
                        sql::quote_name(options_.subject->substr(equals + 1)));
  }
  if (!with.empty()) sql += fmt::format(" WITH ({})", with);
  if (app_.invocation().dry_run) {
    app_.say(sql + ";");
    return {};
  }
  const engine::Statement statement{sql, {}};
  const std::string key = fmt::format("import:{}:{}:create", done_.table, digest_);
  // The text is ours: a place in it says nothing to who named the file.
  if (const Status made = write(std::span{&statement, 1}, key); !made) {
    return at(made.error(), path_);
  }
  return {};
}

Status Import::map_columns() {
  KIMBERLITE_TRY(const auto catalog, session_.catalog());
  const catalog::Table* table = catalog->table(done_.table);
  if (table == nullptr) {
    const std::string near = catalog->nearest_table(done_.table);
    return Error{Code::not_found_table, "there is no table {}", done_.table}.next(
        "{}",
        near.empty() ? "--create makes it" : "did you mean " + near + "? --create makes a new one");
  }
  names_ = rows_->columns();
  if (names_.empty()) return Error{Code::usage_csv, "the file has no columns"}.where("{}", path_);
  for (const std::string& name : names_) {
    const catalog::Column* column = catalog::Catalog::column(*table, name);
    if (column == nullptr) {
      const std::string near = catalog::Catalog::nearest_column(*table, name);
      return Error{Code::not_found_column, "the table {} has no column {}", done_.table, name}
          .where("{}, header", path_)
          .next("{}", near.empty() ? "rename the column in the file, or ALTER TABLE"
                                   : "did you mean " + near + "?");
    }
    types_.push_back(column->type);
  }
  done_.columns = names_.size();
  rows_a_statement_ =
      std::clamp<std::size_t>(sql::Parameters::number_max / names_.size(), 1, batch_rows_max);
  return {};
}

std::string Import::insert_text(std::size_t rows) const {
  std::string text = fmt::format("INSERT INTO {} (", sql::quote_name(done_.table));
  for (std::size_t i = 0; i < names_.size(); ++i) {
    text += (i == 0 ? "" : ", ") + sql::quote_name(names_[i]);
  }
  text += ") VALUES ";
  std::size_t number = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    text += row == 0 ? "(" : ", (";
    for (std::size_t i = 0; i < names_.size(); ++i)
      text += fmt::format("{}${}", i == 0 ? "" : ", ", ++number);
    text += ')';
  }
  return text;
}

void Import::show_progress() {
  const std::uint64_t now = app_.clock().monotonic_ns();
  if (!progress_->due(now)) return;
  const std::string line =
      progress_->update({done_.rows + batch_rows_, rows_->end_offset(), file_size_}, now);
  static_cast<void>(app_.messages().write(line).has_value());
}

Status Import::take_rows() {
  std::uint64_t bytes = 0;
  while (!interrupted()) {
    const Result<bool> more = rows_->next();
    if (!more) {
      KIMBERLITE_CHECK(reject(more.error()));
      continue;
    }
    if (!*more) break;
    if (batch_rows_ == 0) {
      batch_offset_ = rows_->offset();
      batch_line_ = rows_->line();
    }
    last_line_ = rows_->line();
    if (const Status taken = take_row(); !taken) {
      KIMBERLITE_CHECK(reject(taken.error()));
      continue;
    }
    bytes += rows_->end_offset() - rows_->offset();
    if (batch_rows_ == batch_rows_max || bytes >= batch_bytes_max) {
      KIMBERLITE_CHECK(flush());
      bytes = 0;
    }
    show_progress();
  }
  if (interrupted()) return {};
  return flush();
}

// The row's values in the columns' own types, behind those of the batch.
Status Import::take_row() {
  const std::size_t before = batch_.size();
  for (std::size_t i = 0; i < types_.size(); ++i) {
    const Cell& cell = rows_->cells()[i];
    if (cell.null) {
      batch_.emplace_back(Null{});
      continue;
    }
    Result<Value> value = sql::cast(ValueView{cell.text}, types_[i]);
    if (!value) {
      batch_.resize(before);
      return Error{value.error().code(), "the value of column {} is no {}", names_[i],
                   sql::type_name(types_[i])}
          .where("{}, line {}", path_, rows_->line())
          .next("mend the line, or pass over such lines: --on-error skip --rejects FILE");
    }
    batch_.push_back(*std::move(value));
  }
  ++batch_rows_;
  return {};
}

Status Import::reject(const Error& error) {
  if (options_.on_error != OnError::go_on) {
    return at(error,
              error.where().starts_with(path_) ? error.where() : path_ + ", " + error.where());
  }
  ++done_.rejected;
  if (!options_.rejects) return {};
  if (rejects_ == nullptr) {
    KIMBERLITE_TRY(rejects_, app_.files().open(*options_.rejects, env::Open::create));
    KIMBERLITE_CHECK(rejects_->truncate(0));
  }
  const std::string line = std::string{rows_->raw()} + "\n";
  KIMBERLITE_CHECK(rejects_->write_at(rejects_size_, bytes_of(line)));
  rejects_size_ += line.size();
  return {};
}

Status Import::flush() {
  if (batch_rows_ == 0) return {};
  std::vector<std::string> texts;
  std::vector<engine::Statement> statements;
  const std::span<const Value> values{batch_};
  for (std::size_t row = 0; row < batch_rows_; row += rows_a_statement_) {
    texts.push_back(insert_text(std::min(rows_a_statement_, batch_rows_ - row)));
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::size_t row = i * rows_a_statement_;
    const std::size_t rows = std::min(rows_a_statement_, batch_rows_ - row);
    statements.push_back({texts[i], values.subspan(row * names_.size(), rows * names_.size())});
  }
  const std::string key = fmt::format("import:{}:{}:{}", done_.table, digest_, batch_offset_);
  if (const Status written = write(statements, key); !written) {
    return at(written.error(), fmt::format("{}, lines {} to {}", path_, batch_line_, last_line_));
  }
  done_.rows += batch_rows_;
  batch_.clear();
  batch_rows_ = 0;
  return {};
}

Status Import::write(std::span<const engine::Statement> statements, const std::string& key) {
  if (session_.in_transaction()) {
    for (const engine::Statement& statement : statements) {
      KIMBERLITE_TRY(const engine::Reply reply, session_.run(statement, {}, {}));
      static_cast<void>(reply);
    }
    return {};
  }
  const std::string text = reason();
  engine::Why why;
  why.reason = text;
  why.idempotency_key = key;
  if (options_.write.correlation_id) why.correlation = *options_.write.correlation_id;
  KIMBERLITE_TRY(const engine::Outcome outcome, session_.execute(statements, why));
  for (const std::string& notice : outcome.notices) app_.say("notice: " + notice);
  if (outcome.replayed) ++done_.replayed_batches;
  if (outcome.position.value() != 0) {
    if (done_.first.value() == 0) done_.first = outcome.position;
    done_.last = outcome.position;
  }
  return {};
}

Status report(App& app, const Imported& done, std::uint64_t elapsed_us) {
  if (app.format() == Format::json || app.format() == Format::jsonl) {
    std::string text;
    {
      JsonObject object{text};
      object.text("table", done.table);
      object.number("rows", done.rows);
      object.number("rejected", done.rejected);
      object.number("columns", done.columns);
      object.number("first_position", done.first.value());
      object.number("last_position", done.last.value());
      object.number("replayed_batches", done.replayed_batches);
      object.number("elapsed_us", elapsed_us);
    }
    return app.out().write(text + "\n");
  }
  std::string line =
      fmt::format("{}   {} rows   {} columns   {:.2f} s", done.table, grouped(done.rows),
                  done.columns, static_cast<double>(elapsed_us) / 1e6);
  if (done.first.value() != 0) {
    line += fmt::format("   positions {}..{}", done.first.value(), done.last.value());
  }
  if (done.rejected > 0) line += fmt::format("   {} rejected", grouped(done.rejected));
  if (done.replayed_batches > 0)
    line += fmt::format("   {} batches were in already", done.replayed_batches);
  return app.out().write(line + "\n");
}

}  // namespace

Result<int> run_import(App& app, const ImportOptions& options) {
  if (options.table && options.files.size() > 1) {
    return Error{Code::usage_option, "--table names one table, {} files were given",
                 options.files.size()}
        .next("import them one by one, or leave --table out: each file's name is its table's");
  }
  KIMBERLITE_TRY(auto opened, app.open());
  for (const std::string& path : options.files) {
    const std::uint64_t begun = app.clock().monotonic_ns();
    Import import{app, opened->session(), options, path};
    const Result<Imported> done = import.run();
    if (!done) {
      if (import.so_far().rows > 0) {
        app.say(fmt::format("{}: {} rows are in; running it again goes on behind them", path,
                            import.so_far().rows));
      }
      const std::string& where = done.error().where();
      if (where.starts_with(path)) return done.error();
      return at(done.error(), where.empty() ? path : fmt::format("{}, {}", path, where));
    }
    KIMBERLITE_CHECK(report(app, *done, (app.clock().monotonic_ns() - begun) / 1000));
    if (interrupted()) {
      app.say(fmt::format(
          "stopped: no write was in flight; {} rows of {} are in, and running the same command "
          "again goes on behind them",
          done->rows, path));
      return exit_interrupted;
    }
  }
  return 0;
}

}  // namespace kimberlite::cli
