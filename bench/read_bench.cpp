// Reading one row by its key, now and as of an earlier position.
#include <fmt/format.h>

#include "database.hpp"
#include "plain.hpp"

namespace kimberlite::bench {
namespace {

constexpr std::uint64_t rows = 100'000;
constexpr std::uint64_t rows_a_record = 1000;
constexpr std::uint64_t reads_a_round = 40'000;

// Each row of both has been changed once: ours keeps the older version too.
class Tables {
 public:
  Status open(const Settings& settings) {
    KIMBERLITE_TRY(ours_, open_database(settings.scratch + "/read"));
    KIMBERLITE_TRY(theirs_, PlainSqlite::open(settings.scratch + "/read.sqlite"));
    KIMBERLITE_CHECK(execute(*ours_.session,
                             "CREATE TABLE t (id BIGINT PRIMARY KEY, city TEXT, visits BIGINT)"));
    KIMBERLITE_CHECK(
        theirs_->execute("CREATE TABLE t (id INTEGER PRIMARY KEY, city TEXT, visits INTEGER)"));
    for (std::uint64_t first = 1; first <= rows; first += rows_a_record) {
      std::string text = "INSERT INTO t VALUES ";
      for (std::uint64_t id = first; id < first + rows_a_record; ++id) {
        text += fmt::format("{}({}, 'Boston', {})", id == first ? "" : ", ", id, id % 7);
      }
      KIMBERLITE_TRY(const Commit done, ours_.session->execute({}, Sql::trusted(text)));
      past_ = done.position;
      KIMBERLITE_CHECK(theirs_->execute(text));
    }
    for (std::uint64_t first = 1; first <= rows; first += rows_a_record) {
      const std::string text =
          fmt::format("UPDATE t SET visits = visits + 1 WHERE id BETWEEN {} AND {}", first,
                      first + rows_a_record - 1);
      KIMBERLITE_TRY(const Commit done, ours_.session->execute({}, Sql::trusted(text)));
      past_time_ = done.timestamp;
      KIMBERLITE_CHECK(theirs_->execute(text));
    }
    KIMBERLITE_TRY(their_select_, theirs_->prepare("SELECT city, visits FROM t WHERE id = $1"));
    return {};
  }

  // All in one read transaction: less work than ours, which take a snapshot each, but the most that
  // SQLite can do.
  Result<double> theirs_in_one() {
    KIMBERLITE_CHECK(theirs_->execute("BEGIN"));
    Result<double> rate = theirs();
    KIMBERLITE_CHECK(theirs_->execute("COMMIT"));
    return rate;
  }

  // Reads a second: each a bound key, one row, both its columns, a transaction of its own as ours.
  Result<double> theirs() {
    const std::uint64_t begun = now_ns();
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < reads_a_round; ++i) {
      const std::int64_t id = scattered(i, rows);
      their_select_->bind(1, id);
      sqlite3_stmt* statement = their_select_->get();
      if (sqlite3_step(statement) != SQLITE_ROW) {
        return Error{Code::internal_bug, "a row is not there"};
      }
      sum += static_cast<std::uint64_t>(sqlite3_column_bytes(statement, 0));
      if (sqlite3_column_int64(statement, 1) != id % 7 + 1) {
        return Error{Code::internal_bug, "a row is another"};
      }
      KIMBERLITE_CHECK(their_select_->run());
    }
    return rate(begun, sum);
  }

  template <class Query>
  Result<double> ours(std::int64_t added, const Query& query) {
    const std::uint64_t begun = now_ns();
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < reads_a_round; ++i) {
      const std::int64_t id = scattered(i, rows);
      KIMBERLITE_TRY(Cursor cursor, query(*ours_.session, id));
      KIMBERLITE_TRY(const std::optional<RowView> row, cursor.next());
      if (!row) return Error{Code::internal_bug, "a row is not there"};
      sum += std::get<std::string_view>((*row)[0]).size();
      if (std::get<std::int64_t>((*row)[1]) != id % 7 + added) {
        return Error{Code::internal_bug, "a row is another"};
      }
      KIMBERLITE_TRY(const std::optional<RowView> end, cursor.next());
      if (end) return Error{Code::internal_bug, "a key has two rows"};
    }
    return rate(begun, sum);
  }

  [[nodiscard]] Position past() const { return past_; }
  [[nodiscard]] TimestampUs now() const { return past_time_; }

 private:
  static Result<double> rate(std::uint64_t begun, std::uint64_t sum) {
    if (sum != reads_a_round * 6) return Error{Code::internal_bug, "a city is another"};
    return static_cast<double>(reads_a_round) / seconds_since(begun);
  }

  Opened ours_;
  std::optional<PlainSqlite> theirs_;
  std::optional<PlainStatement> their_select_;
  Position past_;          // every row in its first version
  TimestampUs past_time_;  // of the newest record
};

Series series_of(std::string name, std::string figure, double target) {
  return Series{
      {.name = std::move(name),
       .figure = std::move(figure),
       .limit = "plain SQLite, prepared, equal cache, the current row, a transaction each",
       .unit = "reads/s",
       .bound = Bound::at_least,
       .target = target}};
}

template <class Query>
Result<Series> measure(Tables& tables, Series series, std::uint64_t rounds, std::int64_t added,
                       const Query& query) {
  std::vector<double> in_one;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    KIMBERLITE_TRY(const double theirs, tables.theirs());
    KIMBERLITE_TRY(const double all, tables.theirs_in_one());
    KIMBERLITE_TRY(const double ours, tables.ours(added, query));
    series.add(ours, theirs);
    in_one.push_back(ours / all);
  }
  series.note("ratio_to_one_transaction", median(std::move(in_one)));
  return series;
}

Result<std::vector<Series>> point_select(const Settings& settings) {
  Tables tables;
  KIMBERLITE_CHECK(tables.open(settings));
  KIMBERLITE_TRY(Series series,
                 measure(tables, series_of("point_select", "SELECT of one row by key", 0.8),
                         2 * settings.rounds, 1, [](Session& session, std::int64_t id) {
                           return session.cursor({}, "SELECT city, visits FROM t WHERE id = $1",
                                                 id);
                         }));
  return std::vector{series};
}

Result<std::vector<Series>> as_of(const Settings& settings) {
  Tables tables;
  KIMBERLITE_CHECK(tables.open(settings));
  const auto position = static_cast<std::int64_t>(tables.past().value());
  const std::uint64_t rounds = 2 * settings.rounds;
  std::vector<Series> all;
  KIMBERLITE_TRY(
      Series by_literal,
      measure(tables,
              series_of("as_of/literal",
                        "the same AS OF POSITION, a literal; one older version a row", 0.5),
              rounds, 0,
              [text = fmt::format("SELECT city, visits FROM t AS OF POSITION {} WHERE id = $1",
                                  position)](Session& session, std::int64_t id) {
                return session.cursor({}, Sql::trusted(text), id);
              }));
  all.push_back(std::move(by_literal));
  KIMBERLITE_TRY(Series by_parameter,
                 measure(tables, series_of("as_of/parameter", "the same AS OF POSITION $2", 0.5),
                         rounds, 0, [&](Session& session, std::int64_t id) {
                           return session.cursor(
                               {}, "SELECT city, visits FROM t AS OF POSITION $2 WHERE id = $1", id,
                               position);
                         }));
  all.push_back(std::move(by_parameter));
  KIMBERLITE_TRY(
      Series by_snapshot,
      measure(tables, series_of("as_of/snapshot", "the same through session.as_of(position)", 0.5),
              rounds, 0, [&](Session& session, std::int64_t id) {
                return session.as_of(tables.past())
                    .cursor({}, "SELECT city, visits FROM t WHERE id = $1", id);
              }));
  all.push_back(std::move(by_snapshot));
  KIMBERLITE_TRY(
      Series by_time,
      measure(tables, series_of("as_of/time", "the same through session.as_of(time)", 0.5), rounds,
              1, [&](Session& session, std::int64_t id) {
                return session.as_of(tables.now())
                    .cursor({}, "SELECT city, visits FROM t WHERE id = $1", id);
              }));
  all.push_back(std::move(by_time));
  return all;
}

}  // namespace

std::vector<NamedCase> read_cases() { return {{"point_select", point_select}, {"as_of", as_of}}; }

}  // namespace kimberlite::bench
