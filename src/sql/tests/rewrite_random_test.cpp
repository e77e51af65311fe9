// The door against the truth: random writes, and for every position what the table held then.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "sql/statement.hpp"
#include "support/miniature.hpp"

namespace kimberlite::sql {
namespace {

std::string pick(std::mt19937_64& random, std::initializer_list<const char*> from) {
  return *(from.begin() + random() % from.size());
}

std::string random_write(std::mt19937_64& random) {
  const std::string id = std::to_string(random() % 12);
  const std::string amount = pick(random, {"77.5", "9", "'100.10'", "-3.333", "NULL", "0"});
  switch (random() % 9) {
    case 0:
      return "INSERT INTO t VALUES (" + id + ", " + amount + ", 'a')";
    case 1:
      return "INSERT OR REPLACE INTO t (id, amount) VALUES (" + id + ", " + amount + ")";
    case 2:
      return "INSERT INTO t (id, amount) VALUES (" + id + ", " + amount +
             ") ON CONFLICT (id) DO UPDATE SET amount = t.amount + excluded.amount, word = 'up'";
    case 3:
      return "UPDATE t SET amount = amount * 1.1 WHERE id > " + id;
    case 4:
      return "UPDATE t SET id = id + 20 WHERE id = " + id;
    case 5:
      return "DELETE FROM t WHERE amount < " + pick(random, {"9.0", "50", "'77.50'"});
    case 6:
      return "INSERT INTO t SELECT id + 40, -amount, word FROM t WHERE id < 20 AND amount > 9 ON "
             "CONFLICT DO "
             "NOTHING";
    case 7:
      return "UPDATE t SET word = 'w' || id WHERE amount IN (9, 77.5, 100.1)";
    default:
      return "INSERT INTO t VALUES (" + id + ", 1, 'x'), (" + id + ", 2, 'y')";  // fails whole
  }
}

TEST(RewriteRandom, EveryPastAnswerIsTheDumpOfItsTime) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    std::mt19937_64 random{seed};
    Miniature db;
    db.create("t", "id BIGINT, amount DECIMAL(12,2), word TEXT");
    std::vector<std::string> dumps(db.head + 1);
    const auto dump = [&] { return db.raw("SELECT id, amount, word FROM t ORDER BY id").text(); };
    dumps[db.head] = dump();
    for (int i = 0; i < 40; ++i) {
      const std::string sql = random_write(random);
      const Answer answer = db.run(sql);
      const bool expected = answer.error.empty() || answer.error.starts_with("UNIQUE") ||
                            answer.error.starts_with("type.range");
      ASSERT_TRUE(expected) << sql << ": " << answer.error << "\n" << answer.rewritten.sql;
      dumps.resize(db.head + 1);
      dumps[db.head] = dump();
    }
    for (std::size_t p = 1; p < dumps.size(); ++p) {
      const std::string at = std::to_string(p);
      ASSERT_EQ(
          db.run("SELECT id, amount, word FROM t AS OF POSITION " + at + " ORDER BY id").text(),
          dumps[p])
          << "seed " << seed << " position " << p;
      // Predicates of every kind select the same rows then as they do from a copy.
      for (const char* where :
           {"amount > 9", "amount = 77.5", "id = 3", "amount * 2 < 20.5", "word = 'a'",
            "amount IN (9, 100.1)", "amount BETWEEN -4 AND '9.00'", "id = '3'", "amount = '9.000'",
            "word = 5"}) {
        const std::string then =
            db.run("SELECT id FROM t AS OF POSITION " + at + " WHERE " + where + " ORDER BY id")
                .text();
        const std::string copy = db.run("SELECT id FROM (SELECT * FROM t AS OF POSITION " + at +
                                        " LIMIT -1) WHERE " + where + " ORDER BY id")
                                     .text();
        ASSERT_EQ(then, copy) << "seed " << seed << " position " << p << " WHERE " << where;
      }
      // DIFF from p - 1 turns the dump of p - 1 into that of p.
      if (p < 2) continue;
      const std::string undone =
          db.run(fmt::format("SELECT id, amount, word FROM t AS OF POSITION {0} WHERE id NOT IN "
                             "(SELECT id FROM DIFF(t, {0}, {1}) WHERE change = '-') UNION ALL "
                             "SELECT id, amount, word FROM DIFF(t, {0}, {1}) WHERE change = '+' "
                             "ORDER BY id",
                             p - 1, at))
              .text();
      ASSERT_EQ(undone, dumps[p]) << "seed " << seed << " position " << p;
    }
  }
}

// Whatever the words, the door answers with a text SQLite accepts, or with an error of its own, and
// never names what is not its own.
TEST(RewriteRandom, AnySoupOfTokensIsAnsweredOrRefused) {
  std::mt19937_64 random{99};
  Miniature db;
  db.create("t", "id BIGINT, amount DECIMAL(12,2), at TIMESTAMP, word TEXT");
  db.create("u", "x TEXT", 0);
  db.create_view("v", "SELECT id, amount FROM t");
  const std::vector<std::string> seeds{
      "SELECT t.id, sum(amount) AS s FROM t AS OF POSITION 2 JOIN u ON u.x = t.word WHERE amount > "
      "5 AND at < "
      "NOW() - INTERVAL '1 day' GROUP BY t.id HAVING s > 3 ORDER BY s DESC LIMIT 3",
      "INSERT INTO t (id, amount) VALUES (1, 2.5), (2, -3) ON CONFLICT (id) DO UPDATE SET amount = "
      "excluded.amount RETURNING *",
      "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3) SELECT CASE n "
      "WHEN 1 THEN "
      "amount ELSE 0 END, sum(n) OVER (PARTITION BY n ORDER BY amount) FROM c, v WHERE amount "
      "BETWEEN 1 AND 2",
      "UPDATE t SET amount = CAST(word AS DECIMAL(5,2)) * 2, word = 'x'::text WHERE id IN (SELECT "
      "id FROM "
      "HISTORY(t)) OR EXISTS (SELECT * FROM DIFF(t, 1, 2)) RETURNING amount + 1 AS more",
      "DELETE FROM u WHERE x ILIKE 'a%' ESCAPE '!' AND __row > 5 AND EXTRACT(YEAR FROM DATE "
      "'2024-01-01') = 3"};
  std::vector<std::string> words;
  for (const std::string& seed : seeds) {
    const auto tokens = *tokenize(seed);
    for (const Token& token : tokens) words.emplace_back(token.text);
  }
  int accepted = 0;
  for (int round = 0; round < 8'000; ++round) {
    const auto tokens = *tokenize(seeds[random() % seeds.size()]);
    std::string sql;
    for (const Token& token : tokens) {
      const auto choice = random() % 40;
      if (choice == 0) continue;
      if (choice == 1) sql += words[random() % words.size()] + " ";
      sql += choice == 2 ? words[random() % words.size()] : std::string{token.text};
      sql += ' ';
    }
    const auto read = tokenize(sql);
    if (!read) continue;
    const auto statement = parse(sql);
    if (!statement) continue;
    Context context = db.context();
    const auto rewritten = rewrite(sql, statement->tokens, context);
    if (!rewritten) {
      ASSERT_NE(rewritten.error().code(), Code::internal_bug) << sql;
      continue;
    }
    ++accepted;
    const auto emitted = tokenize(rewritten->sql);
    ASSERT_TRUE(emitted.has_value()) << sql << "\n" << rewritten->sql;
  }
  EXPECT_GT(accepted, 300);
}

}  // namespace
}  // namespace kimberlite::sql
