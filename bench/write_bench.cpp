// Writing rows: one at a time, by many threads, in bulk.
#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "database.hpp"
#include "plain.hpp"

namespace kimberlite::bench {
namespace {

constexpr std::uint64_t raw_file_size = std::uint64_t{64} << 20;

// Five columns, so that a row is not nothing.
constexpr Sql our_table =
    "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT, city TEXT, weight DOUBLE, visits BIGINT)";
constexpr std::string_view their_table =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, city TEXT, weight REAL, visits INTEGER)";
constexpr std::string_view insert_text = "INSERT INTO t VALUES ($1, $2, $3, $4, $5)";

std::string name_of(std::int64_t id) { return fmt::format("Patient number {}", id); }
constexpr std::string_view city = "Boston";
double weight_of(std::int64_t id) { return 40.5 + static_cast<double>(id % 100); }

Status insert_row(Session& session, std::int64_t id) {
  KIMBERLITE_TRY(const Commit done, session.execute({}, "INSERT INTO t VALUES ($1, $2, $3, $4, $5)",
                                                    id, name_of(id), city, weight_of(id), id % 7));
  static_cast<void>(done);
  return {};
}

// ---- one client ---------------------------------------------------------------------------------

Result<std::vector<Series>> insert_one(const Settings& settings) {
  constexpr int samples_a_round = 300;
  Series series{{.name = "insert_one",
                 .figure = "one-row durable INSERT, p50",
                 .limit = "one O_DIRECT|O_DSYNC 4 KiB write, p50",
                 .unit = "us",
                 .bound = Bound::at_most,
                 .target = 2.5}};
  KIMBERLITE_TRY(RawDisk disk, RawDisk::make(settings.scratch + "/raw", raw_file_size));
  KIMBERLITE_TRY(Opened ours, open_database(settings.scratch + "/one"));
  KIMBERLITE_CHECK(execute(*ours.session, our_table));
  std::int64_t id = 0;
  for (std::uint64_t round = 0; round < 2 * settings.rounds; ++round) {
    std::vector<double> raw;
    for (int i = 0; i < samples_a_round; ++i) {
      const std::uint64_t begun = now_ns();
      KIMBERLITE_CHECK(disk.write(sector_size));
      raw.push_back(seconds_since(begun) * 1e6);
    }
    std::vector<double> inserts;
    for (int i = 0; i < samples_a_round; ++i) {
      const std::uint64_t begun = now_ns();
      KIMBERLITE_CHECK(insert_row(*ours.session, ++id));
      inserts.push_back(seconds_since(begun) * 1e6);
    }
    series.add(median(std::move(inserts)), median(std::move(raw)));
  }
  return std::vector{series};
}

// ---- many clients -------------------------------------------------------------------------------

// Rows a second of `clients` threads, each with a session of its own, for about `seconds`.
Result<double> insert_rate(Database& database, std::size_t clients, double seconds,
                           std::atomic<std::int64_t>& next_id) {
  std::vector<std::unique_ptr<Session>> sessions;
  for (std::size_t i = 0; i < clients; ++i) {
    KIMBERLITE_TRY(auto session, database.local_session());
    sessions.push_back(std::move(session));
  }
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> rows = 0;
  std::vector<Status> ends(clients);
  std::vector<std::thread> threads;
  threads.reserve(clients);
  const std::uint64_t begun = now_ns();
  for (std::size_t i = 0; i < clients; ++i) {
    threads.emplace_back([&, i] {
      while (ends[i] && !stop.load(std::memory_order_relaxed)) {
        ends[i] = insert_row(*sessions[i], next_id.fetch_add(1) + 1);
        rows.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>{seconds});
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const double rate = static_cast<double>(rows) / seconds_since(begun);
  for (Status& end : ends) KIMBERLITE_CHECK(std::move(end));
  return rate;
}

Result<std::vector<Series>> insert_64(const Settings& settings) {
  constexpr double seconds = 2;
  Series series{{.name = "insert_64",
                 .figure = "one-row durable INSERT, 64 threads, one tenant",
                 .limit = "the same, one thread",
                 .unit = "rows/s",
                 .bound = Bound::at_least,
                 .target = 15}};
  KIMBERLITE_TRY(Opened ours, open_database(settings.scratch + "/many"));
  KIMBERLITE_CHECK(execute(*ours.session, our_table));
  std::atomic<std::int64_t> id = 0;
  for (std::uint64_t round = 0; round < settings.rounds; ++round) {
    KIMBERLITE_TRY(const double one, insert_rate(*ours.database, 1, seconds, id));
    KIMBERLITE_TRY(const double many, insert_rate(*ours.database, 64, seconds, id));
    series.add(many, one);
  }
  return std::vector{series};
}

// ---- bulk ---------------------------------------------------------------------------------------

// The same rows to both, in transactions of a thousand, as statements of `rows_a_statement`.
class Bulk {
 public:
  static constexpr std::size_t rows_a_transaction = 1000;
  static constexpr std::size_t transactions_a_round = 40;
  static constexpr double rows_a_round = rows_a_transaction * transactions_a_round;

  explicit Bulk(std::size_t rows_a_statement) : rows_a_statement_(rows_a_statement) {
    text_ = "INSERT INTO t VALUES ";
    for (std::size_t row = 0; row < rows_a_statement; ++row) {
      text_ += row == 0 ? "(" : ", (";
      for (std::size_t column = 1; column <= 5; ++column) {
        text_ += fmt::format("{}${}", column == 1 ? "" : ", ", row * 5 + column);
      }
      text_ += ')';
    }
  }

  Status open(const Settings& settings) {
    const std::string base = fmt::format("{}/bulk{}", settings.scratch, rows_a_statement_);
    KIMBERLITE_TRY(ours_, open_database(base));
    KIMBERLITE_CHECK(execute(*ours_.session, our_table));
    KIMBERLITE_TRY(theirs_, PlainSqlite::open(base + ".sqlite"));
    KIMBERLITE_CHECK(theirs_->execute(std::string{their_table}));
    KIMBERLITE_TRY(their_insert_, theirs_->prepare(text_));
    return {};
  }

  // Rows a second.
  Result<double> ours() {
    const std::uint64_t begun = now_ns();
    for (std::size_t i = 0; i < transactions_a_round; ++i) KIMBERLITE_CHECK(our_transaction());
    return rows_a_round / seconds_since(begun);
  }

  Result<double> theirs() {
    const std::uint64_t begun = now_ns();
    for (std::size_t i = 0; i < transactions_a_round; ++i) KIMBERLITE_CHECK(their_transaction());
    return rows_a_round / seconds_since(begun);
  }

 private:
  // One record: a list of statements, each with its values.
  Status our_transaction() {
    const std::size_t count = rows_a_transaction / rows_a_statement_;
    std::vector<std::vector<Value>> values(count);
    std::vector<engine::Statement> statements;
    statements.reserve(count);
    for (std::vector<Value>& of_one : values) {
      of_one.reserve(rows_a_statement_ * 5);
      for (std::size_t row = 0; row < rows_a_statement_; ++row) {
        const std::int64_t id = ++our_id_;
        of_one.emplace_back(id);
        of_one.emplace_back(name_of(id));
        of_one.emplace_back(std::string{city});
        of_one.emplace_back(weight_of(id));
        of_one.emplace_back(id % 7);
      }
      statements.push_back({text_, of_one});
    }
    KIMBERLITE_TRY(const engine::Outcome done,
                   ours_.session->engine().execute(statements, engine::Why{}));
    if (done.rows != rows_a_transaction) {
      return Error{Code::internal_bug, "{} rows were inserted, not all", done.rows};
    }
    return {};
  }

  Status their_transaction() {
    KIMBERLITE_CHECK(theirs_->execute("BEGIN"));
    std::vector<std::string> names(rows_a_statement_);
    for (std::size_t i = 0; i < rows_a_transaction; i += rows_a_statement_) {
      int at = 0;
      for (std::string& name : names) {
        const std::int64_t id = ++their_id_;
        name = name_of(id);
        their_insert_->bind(++at, id);
        their_insert_->bind(++at, name);
        their_insert_->bind(++at, city);
        their_insert_->bind(++at, weight_of(id));
        their_insert_->bind(++at, id % 7);
      }
      KIMBERLITE_CHECK(their_insert_->run());
    }
    return theirs_->execute("COMMIT");
  }

  std::size_t rows_a_statement_;
  std::string text_;
  Opened ours_;
  std::optional<PlainSqlite> theirs_;
  std::optional<PlainStatement> their_insert_;
  std::int64_t our_id_ = 0;
  std::int64_t their_id_ = 0;
};

Result<std::vector<Series>> bulk_insert(const Settings& settings) {
  std::vector<Series> all;
  for (const std::size_t rows_a_statement : {100UL, 1UL}) {
    Bulk bulk{rows_a_statement};
    KIMBERLITE_CHECK(bulk.open(settings));
    Series series{{.name = rows_a_statement == 1 ? "bulk_insert/one_row" : "bulk_insert/100_rows",
                   .figure = fmt::format("INSERT of 5 columns, {} a statement, 1,000 a record",
                                         rows_a_statement == 1 ? "one row" : "100 rows"),
                   .limit = "plain SQLite, WAL and NORMAL, the same statements and transactions",
                   .unit = "rows/s",
                   .bound = Bound::at_least,
                   .target = 0.5}};
    for (std::uint64_t round = 0; round < 2 * settings.rounds; ++round) {
      KIMBERLITE_TRY(const double theirs, bulk.theirs());
      KIMBERLITE_TRY(const double ours, bulk.ours());
      series.add(ours, theirs);
    }
    all.push_back(std::move(series));
  }
  return all;
}

}  // namespace

std::vector<NamedCase> write_cases() {
  return {{"insert_one", insert_one}, {"insert_64", insert_64}, {"bulk_insert", bulk_insert}};
}

}  // namespace kimberlite::bench
