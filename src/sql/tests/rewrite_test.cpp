#include "sql/rewrite.hpp"

#include <gtest/gtest.h>

#include "support/miniature.hpp"

namespace kimberlite::sql {
namespace {

class Rewrite : public ::testing::Test {
 protected:
  Rewrite() {
    db.create("patients", "id BIGINT, name TEXT, born DATE, active BOOLEAN");
    db.create("bills",
              "id BIGINT, patient BIGINT, amount DECIMAL(10,2), at TIMESTAMP, rate DOUBLE");
    db.create("notes", "text TEXT", 0);
    ok("INSERT INTO patients VALUES (1, 'Ann', '1980-02-29', true), (2, 'Ben', '1990-05-01', "
       "'no')");
    ok("INSERT INTO bills VALUES (1, 1, 77.5, '2024-01-15 10:30', 0.5), (2, 1, 9, '2024-01-16', "
       "1.5), "
       "(3, 2, '100.10', '2024-02-01T00:00:00Z', 2)");
    ok("INSERT INTO notes VALUES ('first'), ('second')");
  }
  void ok(const std::string& sql) {
    const Answer answer = db.run(sql);
    ASSERT_EQ(answer.error, "") << sql << "\n" << answer.rewritten.sql;
  }
  // The answer's rows, or the code of the error.
  std::string rows(const std::string& sql, const std::vector<Value>& parameters = {}) {
    last = db.run(sql, parameters);
    if (!last.error.empty()) message = last.error;
    return last.text();
  }
  Miniature db;
  Answer last;
  std::string message;
};

#define EXPECT_ROWS(query, expected) \
  EXPECT_EQ(rows(query), expected) << last.rewritten.sql << message

TEST_F(Rewrite, Smoke) {
  EXPECT_ROWS("SELECT * FROM patients", "1 Ann 1980-02-29 true\n2 Ben 1990-05-01 false");
  EXPECT_ROWS("SELECT sum(amount), avg(amount), max(amount) FROM bills", "186.60 62.20 100.10");
  EXPECT_ROWS("SELECT id FROM bills WHERE amount * 1.1 > 85 ORDER BY amount * 2", "1\n3");
  EXPECT_ROWS("SELECT * FROM bills AS OF POSITION 4 b", "");
  EXPECT_ROWS("UPDATE bills SET amount = amount + 0.005, rate = 2 WHERE id = 1 RETURNING amount",
              "77.51");
}

}  // namespace
}  // namespace kimberlite::sql
