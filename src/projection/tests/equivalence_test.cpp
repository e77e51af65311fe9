// The acceptance test of the projection (sql.md, Capture): random statements on a leader, replay by
// key on a second database; what was seen at every position is seen again, later and on both,
// through dumps and through `AS OF` in every spelling.
//
//   projection_tests --gtest_filter='Equivalence*' --seeds=1000 [--first=17] [--show=1]
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "sql/datetime.hpp"
#include "support/random_sql.hpp"
#include "support/world.hpp"

namespace kimberlite::projection::test {
namespace {

std::uint64_t option(std::string_view name, std::uint64_t otherwise) {
  for (const std::string& argument : ::testing::internal::GetArgvs()) {
    if (argument.starts_with(name)) {
      return std::strtoull(argument.c_str() + name.size(), nullptr, 10);
    }
  }
  return otherwise;
}

struct Statistics {
  std::uint64_t committed = 0;
  std::uint64_t refused = 0;
  std::uint64_t empty = 0;
  std::uint64_t ddl = 0;
  std::uint64_t probes = 0;
  std::uint64_t probes_with_rows = 0;
};

// A question asked while its position was the newest, and the answer.
struct Probe {
  Position position;
  TimestampUs time;
  std::string table;
  std::string condition;
  std::vector<std::string> answer;
  Code error = Code::internal_bug;  // if it was refused
};

struct Life {
  World world;
  RandomSql sql;
  Statistics& statistics;
  std::vector<Probe> probes;
  std::string sought;  // the last statement, for messages

  Life(std::uint64_t seed, Statistics& into) : sql(seed), statistics(into) {
    world.keep_dumps = true;
  }

  [[nodiscard]] static std::vector<std::string> sorted(std::vector<std::string> rows) {
    std::ranges::sort(rows);
    return rows;
  }

  void probe() {
    const auto catalog = world.projection().catalog();
    for (const catalog::Table* table : catalog->tables()) {
      if (!sql.chance(40)) continue;
      Probe probe{world.head(),
                  world.log.records.back().entry.timestamp,
                  "\"" + table->name + "\"",
                  sql.predicate(*table),
                  {}};
      ReadContext context;
      context.now = TimestampUs{probe.time.value() + 1};
      auto rows = rows_of(world.reader(),
                          fmt::format("SELECT * FROM {} WHERE {}", probe.table, probe.condition),
                          {}, context);
      if (rows) {
        probe.answer = sorted(*std::move(rows));
        statistics.probes_with_rows += probe.answer.empty() ? 0U : 1U;
      } else {
        probe.error = rows.error().code();
        EXPECT_EQ(class_of(probe.error), ErrorClass::type) << to_string(rows.error());
      }
      ++statistics.probes;
      probes.push_back(std::move(probe));
    }
  }

  void show() const {
    if (option("--show=", 0) != 0) fmt::print("{}: {}\n", world.head().value(), sought);
  }

  void change_schema() {
    sought = sql.ddl(*world.projection().catalog());
    show();
    const Status done = world.attempt_ddl(sought);
    if (done) {
      ++statistics.ddl;
      return probe();
    }
    EXPECT_NE(done.error().code(), Code::internal_bug) << to_string(done.error()) << "\n" << sought;
  }

  void request() {
    const auto statements = sql.request(*world.projection().catalog());
    sought = fmt::format("{}", fmt::join(statements, ";\n"));
    show();
    const auto done = world.attempt(statements);
    if (done) {
      ++(*done == 0 ? statistics.empty : statistics.committed);
      return probe();
    }
    ++statistics.refused;
    const ErrorClass refused = class_of(done.error().code());
    EXPECT_TRUE(refused == ErrorClass::constraint || refused == ErrorClass::type)
        << to_string(done.error()) << "\n"
        << sought;
  }

  void live(int steps) {
    for (int i = 0; i < 3; ++i) {
      sought = sql.create_table();
      show();
      world.ddl(sought);
    }
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
      if (sql.chance(7)) {
        change_schema();
      } else {
        request();
      }
    }
  }

  // Every question again, asked of `reader` about the past, by position, time and session.
  void ask_again(Reader& reader) const {
    ReadContext now;
    now.now = TimestampUs{world.log.records.back().entry.timestamp.value() + 1};
    for (const Probe& probe : probes) {
      ReadContext session = now;
      session.as_of = probe.position;
      const std::string time =
          sql::text_of(sql::Timestamp{static_cast<std::int64_t>(probe.time.value())});
      const std::vector<std::pair<std::string, ReadContext>> ways{
          {fmt::format("SELECT * FROM {} AS OF POSITION {} WHERE {}", probe.table,
                       probe.position.value(), probe.condition),
           now},
          {fmt::format("SELECT * FROM {} AS OF TIMESTAMP '{}' WHERE {}", probe.table, time,
                       probe.condition),
           now},
          {fmt::format("SELECT * FROM {} WHERE {}", probe.table, probe.condition), session},
      };
      for (const auto& [text, context] : ways) {
        const auto rows = rows_of(reader, text, {}, context);
        if (probe.error != Code::internal_bug) {
          ASSERT_FALSE(rows.has_value()) << text;
          ASSERT_EQ(rows.error().code(), probe.error) << text;
          continue;
        }
        ASSERT_TRUE(rows.has_value()) << to_string(rows.error()) << "\n" << text;
        ASSERT_EQ(sorted(*rows), probe.answer) << text;
      }
    }
  }

  void expect_dumps(Projection& projection) const {
    for (std::uint64_t p = 1; p <= world.log.records.size(); ++p) {
      const auto dump = projection.dump(Position{p});
      ASSERT_TRUE(dump.has_value()) << to_string(dump.error());
      ASSERT_EQ(*dump, world.dump_at(Position{p})) << "position " << p;
    }
  }

  void expect_equal(Projection& replica) {
    const auto ours = world.projection().sums();
    const auto theirs = replica.sums();
    ASSERT_TRUE(ours.has_value()) << to_string(ours.error());
    ASSERT_TRUE(theirs.has_value()) << to_string(theirs.error());
    ASSERT_EQ(ours->size(), theirs->size());
    for (std::size_t i = 0; i < ours->size(); ++i) {
      ASSERT_TRUE((*ours)[i] == (*theirs)[i]) << (*ours)[i].table;
    }
  }
};

TEST(Equivalence, ThePastIsTheSameLaterAndOnAReplica) {
  const std::uint64_t first = option("--first=", 1);
  const std::uint64_t seeds = option("--seeds=", 20);
  Statistics statistics;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Life life(seed, statistics);
    life.live(60);
    ASSERT_FALSE(HasFailure()) << life.sought;

    Disk other;
    auto replica = Projection::open(other.env(), other.location(), nullptr);
    ASSERT_TRUE(replica.has_value()) << to_string(replica.error());
    replay(**replica, life.world.log, 1 + seed % 5);
    auto reader = Reader::open(other.env(), other.location(), &life.world.log);
    ASSERT_TRUE(reader.has_value()) << to_string(reader.error());

    for (Projection* projection : {&life.world.projection(), replica->get()}) {
      life.expect_dumps(*projection);
      ASSERT_FALSE(HasFailure());
    }
    for (Reader* asked : {&life.world.reader(), reader->get()}) {
      life.ask_again(*asked);
      ASSERT_FALSE(HasFailure());
    }
    life.expect_equal(**replica);
    ASSERT_FALSE(HasFailure());
  }
  // The generator must reach every kind of outcome, or the test proves little.
  EXPECT_GT(statistics.committed, seeds * 15);
  EXPECT_GT(statistics.refused, seeds);
  EXPECT_GT(statistics.empty, seeds);
  EXPECT_GT(statistics.ddl, seeds);
  EXPECT_GT(statistics.probes_with_rows, statistics.probes / 5);
}

}  // namespace
}  // namespace kimberlite::projection::test
