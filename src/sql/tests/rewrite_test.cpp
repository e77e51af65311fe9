#include "sql/rewrite.hpp"

#include <gtest/gtest.h>

#include "support/miniature.hpp"

namespace kimberlite::sql {
namespace {

class Rewrite : public ::testing::Test {
 protected:
  Rewrite() {
    db.create("patients", "id BIGINT, name TEXT, born DATE, active BOOLEAN");  // 1
    db.create("bills",
              "id BIGINT, patient BIGINT, amount DECIMAL(10,2), at TIMESTAMP, rate DOUBLE");
    db.create("notes", "text TEXT", 0);  // 3
    ok("INSERT INTO patients VALUES (1, 'Ann', '1980-02-29', true), (2, 'Ben', '1990-05-01', "
       "'no')");
    ok("INSERT INTO bills VALUES (1, 1, 77.5, '2024-01-15 10:30', 0.5), (2, 1, 9, '2024-01-16', "
       "1.5), "
       "(3, 2, '100.10', '2024-02-01T00:00:00Z', 2)");
    ok("INSERT INTO notes VALUES ('first'), ('second')");  // 6
  }
  void ok(const std::string& sql, const std::vector<Value>& parameters = {}) {
    const Answer answer = db.run(sql, parameters);
    ASSERT_EQ(answer.error, "") << sql << "\n" << answer.rewritten.sql;
  }
  // The answer's rows, or the code of the error.
  std::string rows(const std::string& sql, const std::vector<Value>& parameters = {}) {
    last = db.run(sql, parameters);
    return last.text();
  }
  // Where and what of an error.
  std::string fault_of(const std::string& sql) { return db.run(sql).error; }

 public:
  Miniature db;
  Answer last;
};

struct Case {
  const char* sql;
  const char* expected;
};

#define EXPECT_CASES(...)                                              \
  for (const Case& tried : std::initializer_list<Case>{__VA_ARGS__}) { \
    EXPECT_EQ(rows(tried.sql), tried.expected) << tried.sql << "\n"    \
                                               << last.error << "\n"   \
                                               << last.rewritten.sql;  \
  }

TEST_F(Rewrite, ExactTypesCompareByValue) {
  EXPECT_CASES(
      {"SELECT id FROM bills WHERE amount = 77.5", "1"},
      {"SELECT id FROM bills WHERE 9 = amount", "2"},
      {"SELECT id FROM bills WHERE amount = '9.0'", "2"},
      {"SELECT id FROM bills WHERE amount > 10 ORDER BY id", "1\n3"},
      {"SELECT id FROM bills WHERE amount > -1.5 AND amount < 1e1", "2"},
      {"SELECT id FROM bills WHERE amount IN (9, 100.1) ORDER BY id", "2\n3"},
      {"SELECT id FROM bills WHERE amount NOT IN (9, 100.1)", "1"},
      {"SELECT id FROM bills WHERE amount BETWEEN 9 AND 77.50 ORDER BY 1", "1\n2"},
      {"SELECT id FROM bills WHERE NOT amount BETWEEN 9 AND 77.50 OR id = 2 AND amount = 9 ORDER "
       "BY 1",
       "2\n3"},
      {"SELECT id FROM bills WHERE amount IS 9", "2"},
      {"SELECT id FROM bills WHERE amount IS NOT DISTINCT FROM 9", "2"},
      {"SELECT id FROM bills WHERE amount = id + 8 - 1", "2"},
      {"SELECT id FROM bills WHERE (amount, id) = (9, 2)", "2"},
      {"SELECT id FROM bills WHERE amount * 1 = 77.5", "1"},
      {"SELECT id FROM bills WHERE amount = (SELECT max(amount) FROM bills)", "3"},
      {"SELECT id FROM bills WHERE amount IN (SELECT amount FROM bills WHERE id < 3) ORDER BY id",
       "1\n2"},
      {"SELECT id FROM bills WHERE CASE WHEN id = 1 THEN amount ELSE 0 END > 70", "1"},
      {"SELECT id FROM bills WHERE CASE amount WHEN 9 THEN true ELSE false END", "2"},
      {"SELECT id FROM bills WHERE coalesce(amount, 0) < 10", "2"},
      {"SELECT id FROM bills WHERE at >= '2024-01-16' ORDER BY id", "2\n3"},
      {"SELECT id FROM bills WHERE at = '2024-01-15T11:30:00+01:00'", "1"},
      {"SELECT id FROM bills WHERE at > DATE '2024-01-31'", "3"},
      {"SELECT name FROM patients WHERE born < '1985-01-01'", "Ann"},
      {"SELECT name FROM patients WHERE active = 'true'", "Ann"},
      {"SELECT name FROM patients WHERE NOT active", "Ben"},
      {"SELECT b.id FROM bills b JOIN bills c ON b.amount = c.amount AND c.amount <= 9.00", "2"});
}

TEST_F(Rewrite, ParametersCompareByValueToo) {
  const std::string by_amount = "SELECT id FROM bills WHERE amount = $1";
  EXPECT_EQ(rows(by_amount, {Value{9.0}}), "2");
  EXPECT_EQ(rows(by_amount, {Value{std::int64_t{9}}}), "2");
  EXPECT_EQ(rows(by_amount, {Value{std::string{"9.000"}}}), "2");
  EXPECT_EQ(rows(by_amount, {Value{std::string{"nine"}}}), "type.format");
  EXPECT_EQ(rows(by_amount, {Value{}}), "");
  EXPECT_EQ(rows("SELECT id FROM bills WHERE at < ? ORDER BY id LIMIT ?",
                 {Value{std::string{"2024-01-31 00:00"}}, Value{std::int64_t{1}}}),
            "1");
  EXPECT_EQ(rows("SELECT id FROM bills WHERE id = :id OR amount = :id", {Value{std::int64_t{9}}}),
            "2");
  EXPECT_EQ(last.rewritten.parameter_names, std::vector<std::string>{"id"});
  EXPECT_EQ(last.rewritten.caller_parameters, 1U);
}

TEST_F(Rewrite, ExactTypesSortGroupAndAggregateByValue) {
  EXPECT_CASES(
      {"SELECT amount FROM bills ORDER BY amount", "9.00\n77.50\n100.10"},
      {"SELECT amount FROM bills ORDER BY -amount", "100.10\n77.50\n9.00"},
      {"SELECT amount * 2 AS twice FROM bills ORDER BY twice DESC", "200.20\n155.00\n18.00"},
      {"SELECT amount * 2 FROM bills ORDER BY 1", "18.00\n155.00\n200.20"},
      {"SELECT sum(amount), avg(amount), min(amount), max(amount) FROM bills",
       "186.60 62.20 9.00 100.10"},
      {"SELECT max(amount * 2), min(amount - 1), sum(abs(-amount)) FROM bills WHERE id < 3",
       "155.00 8.00 86.50"},
      {"SELECT round(amount * 1.015, 2) FROM bills WHERE id = 1", "78.66"},
      {"SELECT patient, sum(amount) AS s FROM bills GROUP BY patient HAVING sum(amount) > 90 ORDER "
       "BY s",
       "2 100.10"},
      {"SELECT count(DISTINCT amount * 1.0) FROM bills", "3"},
      {"SELECT DISTINCT amount * 0 FROM bills", "0.00"},
      {"SELECT sum(amount) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM bills",
       "77.50\n86.50\n109.10"},
      {"SELECT sum(amount) FILTER (WHERE amount > 10) FROM bills", "177.60"},
      {"SELECT lag(amount, 1, 0) OVER (ORDER BY amount) FROM bills", "0\n9.00\n77.50"},
      {"SELECT first_value(id) OVER w FROM bills WINDOW w AS (PARTITION BY patient ORDER BY "
       "amount) "
       "ORDER BY id",
       "2\n2\n3"},
      {"SELECT m FROM (SELECT max(amount) AS m FROM bills GROUP BY patient) WHERE m > 80",
       "100.10"},
      {"WITH t AS (SELECT amount + 1 AS a FROM bills) SELECT a FROM t WHERE a > 9.5 ORDER BY a",
       "10.00\n78.50\n101.10"},
      {"SELECT 5 AS x UNION ALL SELECT amount FROM bills ORDER BY x", "5\n9.00\n77.50\n100.10"},
      {"SELECT amount FROM bills UNION SELECT 9.00 ORDER BY 1", "9.00\n77.50\n100.10"},
      {"SELECT * FROM (VALUES (1, 'a'), (2, 'b')) ORDER BY 1 DESC", "2 b\n1 a"},
      {"WITH RECURSIVE n(i, d) AS (SELECT 1, amount FROM bills WHERE id = 2 UNION ALL SELECT i + "
       "1, d * 2 "
       "FROM n WHERE i < 4) SELECT d FROM n WHERE d > 10 ORDER BY d",
       "18.00\n36.00\n72.00"},
      {"SELECT total(rate), sum(rate), avg(id), sum(id) FROM bills", "4.0 4.0 2.0 6"});
}

TEST_F(Rewrite, ArithmeticGoesByTheValues) {
  EXPECT_CASES({"SELECT amount * 1.1 FROM bills WHERE id = 1", "85.250"},
               {"SELECT amount / 3 FROM bills WHERE id = 2", "3.00"},
               {"SELECT 7 / 2, 7 % 4, -id FROM bills WHERE id = 2", "3 3 -2"},
               {"SELECT rate * 1.5 + id FROM bills WHERE id = 1", "1.75"},
               {"SELECT -amount + 1, -(-77.5) * amount FROM bills WHERE id = 2", "-8.00 697.500"},
               {"SELECT 1 + 2 * 3 - 4, (1 + 2) * 3, 2 * 3 % 4 FROM bills WHERE id = 1", "3 9 2"},
               {"SELECT amount + 1 + 2 - 3 * 2 FROM bills WHERE id = 2", "6.00"},
               {"SELECT born + INTERVAL '1 year', born + 1, born - DATE '1980-01-01' FROM patients "
                "WHERE id = 1",
                "1981-02-28 1980-03-01 59"},
               {"SELECT at - INTERVAL '1 day' FROM bills WHERE id = 1", "2024-01-14T10:30:00Z"},
               {"SELECT max(at) - min(at) FROM bills", "P16DT13H30M"},
               {"SELECT NOW() - INTERVAL '1' HOUR, CURRENT_DATE, CURRENT_TIME",
                "2024-01-15T09:30:00Z 2024-01-15 10:30:00"},
               {"SELECT EXTRACT(YEAR FROM born), extract(second from at) FROM patients p JOIN "
                "bills b ON b.id = p.id",
                "1980 0\n1990 0"},
               {"SELECT date_trunc('month', at) FROM bills WHERE id = 3", "2024-02-01T00:00:00Z"},
               {"SELECT count(*) FROM bills WHERE at > NOW()", "2"});
  std::string chain = "SELECT amount";
  for (int i = 0; i < 150; ++i) chain += " + 0.01";
  EXPECT_EQ(rows(chain + " FROM bills WHERE id = 2"), "10.50") << last.error;
}

TEST_F(Rewrite, TheDialectOfPostgresWhereItIsClear) {
  EXPECT_CASES(
      {"SELECT '12'::int + 1, 2.5::integer, '1.005'::decimal(5,2), 5::text || 'x'", "13 3 1.01 5x"},
      {"SELECT CAST('2024-01-15 10:30' AS timestamp), CAST('YES' AS boolean)",
       "2024-01-15T10:30:00Z true"},
      {"SELECT '2024-01-15T10:30:00Z'::date, '1.10'::numeric + 1", "2024-01-15 2.1"},
      {"SELECT name FROM patients WHERE name ILIKE 'a%'", "Ann"},
      {"SELECT name FROM patients WHERE name NOT ILIKE 'a%' ", "Ben"},
      {"SELECT name FROM patients WHERE name ILIKE 'b!en' ESCAPE '!'", "Ben"},
      {"SELECT name FROM patients WHERE name LIKE 'a%'", ""},
      {"SELECT TRUE, FALSE, NULL, 1 = 1, 2 IS NULL", "true false - true false"},
      {"SELECT id > 1 FROM patients", "false\ntrue"},
      {"SELECT name || '!' loud, id \"the id\" FROM patients LIMIT 1 OFFSET 1", "Ben! 2"},
      {"SELECT value FROM json_each('[1,2]')", "1\n2"},
      {"SELECT p.name, (SELECT count(*) FROM bills b WHERE b.patient = p.id) AS n FROM patients p",
       "Ann 2\nBen 1"},
      {"SELECT name FROM patients p WHERE EXISTS (SELECT 1 FROM bills WHERE patient = p.id AND "
       "amount > 90)",
       "Ben"},
      {"SELECT * FROM patients NATURAL JOIN (SELECT 1 AS id, 'x' AS extra)",
       "1 Ann 1980-02-29 true x"},
      {"SELECT * FROM patients JOIN (SELECT 2 AS id, 'x' AS extra) USING (id)",
       "2 Ben 1990-05-01 false x"},
      {"SELECT name FROM (patients p LEFT JOIN bills b ON b.patient = p.id AND b.amount > 90) "
       "WHERE b.id "
       "IS NULL",
       "Ann"});
  EXPECT_EQ(db.run("SELECT amount + 1, count(*) FROM bills GROUP BY 1").columns,
            (std::vector<std::string>{"amount + 1", "count(*)"}));
}

TEST_F(Rewrite, HiddenColumnsStayHidden) {
  EXPECT_CASES(
      {"SELECT * FROM notes", "first\nsecond"},
      {"SELECT __row, text FROM notes", "6291456 first\n6291457 second"},
      {"SELECT *, __row FROM notes WHERE __row = 6291457", "second 6291457"},
      {"SELECT n.* FROM notes n WHERE n.__row > 0 LIMIT 1", "first"},
      {"SELECT __row FROM notes AS OF POSITION 6", "6291456\n6291457"},
      {"SELECT __row FROM patients", "not_found.column"},
      {"SELECT __from FROM patients", "denied.object"},
      {"SELECT rowid FROM patients", "not_found.column"},
      {"SELECT \"__to\" FROM notes", "denied.object"}, {"SELECT * FROM __h_1", "denied.object"},
      {"SELECT * FROM sqlite_schema", "denied.object"},
      {"SELECT * FROM [sqlite_master]", "denied.object"}, {"SELECT 1 AS __x", "denied.object"},
      {"SELECT * FROM main.patients", "sql.unsupported"},
      {"SELECT main.patients.id FROM patients", "sql.unsupported"},
      {"SELECT * FROM 'patients'", "sql.syntax"},
      {"WITH patients AS (SELECT 1) SELECT * FROM patients", "constraint.exists"},
      {"WITH bills(x) AS (SELECT 1) SELECT * FROM patients", "constraint.exists"},
      {"WITH json_each AS (SELECT 1) SELECT 1", "constraint.exists"},
      {"WITH __events AS (SELECT 1) SELECT 1", "constraint.exists"});
}

TEST_F(Rewrite, WritesGoToTheTableItself) {
  EXPECT_CASES(
      {"UPDATE bills SET amount = amount + 0.005, rate = 2 WHERE id = 1 RETURNING amount, rate",
       "77.51 2.0"},
      {"UPDATE bills AS b SET (amount, rate) = (1, 2.5) WHERE b.id = 2 RETURNING *",
       "2 1 1.00 2024-01-16T00:00:00Z 2.5"},
      {"UPDATE bills SET amount = amount * 2 FROM patients p WHERE p.id = bills.patient AND p.name "
       "= 'Ben' "
       "RETURNING bills.id, amount",
       "3 200.20"},
      {"INSERT INTO bills (id, amount) VALUES (3, 5.555) ON CONFLICT (id) DO UPDATE SET amount = "
       "excluded.amount + bills.amount WHERE excluded.amount > 5 RETURNING id, amount",
       "3 205.76"},
      {"INSERT INTO bills (id, amount) VALUES (3, 1) ON CONFLICT DO NOTHING RETURNING id", ""},
      {"INSERT OR REPLACE INTO patients VALUES (2, 'Bea', DATE '1991-01-01', TRUE) RETURNING *",
       "2 Bea 1991-01-01 true"},
      {"REPLACE INTO patients (id, name) VALUES (2, 'Bob') RETURNING born", "-"},
      {"INSERT INTO notes SELECT name FROM patients WHERE id = 1 RETURNING text AS said", "Ann"},
      {"INSERT INTO patients SELECT id + 10, name, born, active FROM patients ON CONFLICT (id) DO "
       "NOTHING "
       "RETURNING id",
       "11\n12"},
      {"WITH x AS (SELECT 20 AS i) INSERT INTO patients (id) SELECT i FROM x RETURNING *",
       "20 - - -"},
      {"DELETE FROM patients WHERE id IN (SELECT id FROM patients WHERE id > 10) RETURNING id",
       "11\n12\n20"},
      {"DELETE FROM notes WHERE __row = 6291456 RETURNING text", "first"},
      {"SELECT count(*) FROM notes", "2"}, {"TRUNCATE TABLE notes", ""},
      {"SELECT count(*) FROM notes", "0"});
  EXPECT_EQ(rows("INSERT INTO bills VALUES ($1, $2, $3, $4, $5) RETURNING *",
                 {Value{std::int64_t{9}}, Value{std::int64_t{1}}, Value{12.3456},
                  Value{std::string{"2024-03-01"}}, Value{std::int64_t{4}}}),
            "9 1 12.35 2024-03-01T00:00:00Z 4.0");
  EXPECT_EQ(last.rewritten.target, db.catalog.table("bills")->id);
  EXPECT_EQ(last.rewritten.statement_class, StatementClass::insert);
  EXPECT_EQ(db.raw("SELECT DISTINCT typeof(amount), typeof(at), typeof(rate) FROM bills").text(),
            "text text real");
}

TEST_F(Rewrite, WritesThatAreRefused) {
  EXPECT_CASES({"INSERT INTO patients VALUES (1, 'x')", "sql.misuse"},
               {"INSERT INTO patients (id, nome) VALUES (3, 'x')", "not_found.column"},
               {"INSERT INTO notes (__row, text) VALUES (3, 'x')", "denied.object"},
               {"UPDATE notes SET __row = 3", "denied.object"},
               {"UPDATE notes SET __from = 3", "denied.object"},
               {"UPDATE patients SET rowid = 3", "not_found.column"},
               {"UPDATE patients AS OF POSITION 3 SET name = 'x'", "sql.read_only"},
               {"INSERT OR ROLLBACK INTO patients VALUES (9, 'x', NULL, NULL)", "sql.unsupported"},
               {"UPDATE OR FAIL patients SET id = 1", "sql.unsupported"},
               {"INSERT INTO bills VALUES (7, 1, 'dear', NULL, NULL)", "type.format"},
               {"INSERT INTO bills VALUES (7, 1, 123456789, NULL, NULL)", "type.range"},
               {"INSERT INTO bills VALUES (7, 1, 1, 'soon', NULL)", "type.format"},
               {"INSERT INTO patients VALUES (7, 'x', '2024-02-30', NULL)", "type.format"},
               {"INSERT INTO patients VALUES (DEFAULT, 'x', NULL, NULL)", "sql.unsupported"},
               {"INSERT INTO __records VALUES (1)", "sql.read_only"},
               {"UPDATE nobody SET x = 1", "not_found.table"},
               {"DELETE FROM patients WHERE id = 1 LIMIT 1", "sql.unsupported"},
               {"DELETE FROM patients USING bills WHERE true", "sql.unsupported"},
               {"TRUNCATE patients CASCADE", "sql.syntax"},
               {"INSERT INTO patients (id) VALUES (1) ON CONFLICT ON CONSTRAINT pk DO NOTHING",
                "sql.unsupported"});
  EXPECT_EQ(fault_of("INSERT INTO bills VALUES (7, 1,\n 'dear', NULL, NULL)").substr(0, 33),
            "type.format line 2, column 2: col");
  EXPECT_EQ(fault_of("INSERT INTO bills VALUES (7, 1, 'dear', NULL, NULL)").find("dear"),
            std::string::npos);
}

TEST_F(Rewrite, ReadsThatAreRefused) {
  EXPECT_CASES(
      {"SELECT * FROM patient", "not_found.table"},
      {"SELECT nome FROM patients", "not_found.column"},
      {"SELECT x.id FROM patients p", "not_found.table"},
      {"SELECT patients.id FROM patients p", "not_found.table"},
      {"SELECT load_extension('x')", "not_found.function"},
      {"SELECT kmb_position()", "not_found.function"}, {"SELECT sqlite_version()", "denied.object"},
      {"SELECT * FROM pragma_table_info('patients')", "not_found.function"},
      {"SELECT * FROM generate_series(1, 2)", "not_found.function"},
      {"SELECT amount + rate FROM bills", "type.mismatch"},
      {"SELECT * FROM bills WHERE amount > rate", "type.mismatch"},
      {"SELECT * FROM bills WHERE amount = at", "type.mismatch"},
      {"SELECT * FROM bills WHERE amount = 'dear'", "type.format"},
      {"SELECT * FROM bills WHERE at = 5", "type.mismatch"},
      {"SELECT at * 2 FROM bills", "type.mismatch"}, {"SELECT at + at FROM bills", "type.mismatch"},
      {"SELECT 1.2345678901234567 FROM bills", "type.range"},
      {"SELECT sqrt(amount) FROM bills", "type.mismatch"},
      {"SELECT DATE '2024-02-30'", "type.format"}, {"SELECT raise(abort, 'x')", "sql.unsupported"},
      {"SELECT a.id FROM patients a, LATERAL (SELECT 1)", "sql.unsupported"},
      {"SELECT DISTINCT ON (id) id FROM patients", "sql.unsupported"},
      {"SELECT * FROM patients FOR UPDATE", "sql.unsupported"},
      {"SELECT * FROM patients INDEXED BY x", "sql.unsupported"},
      {"SELECT 1 WHERE x MATCH 'y'", "not_found.column"},
      {"SELECT 'a' MATCH 'y'", "sql.unsupported"},
      {"SELECT name COLLATE kmb_decimal FROM patients", "not_found.object"},
      {"VALUES (1) ORDER BY 1", "sql.unsupported"}, {"SELECT 1 +", "sql.syntax"},
      {"SELECT (1", "sql.syntax"}, {"SELECT 1)", "sql.syntax"},
      {"SELECT CASE WHEN 1 THEN 2", "sql.syntax"}, {"SELECT 1 BETWEEN 2", "sql.syntax"},
      {"SELECT FROM patients", "sql.syntax"}, {"SELECT * FROM", "sql.syntax"},
      {"SELECT * FROM patients WHERE", "sql.syntax"},
      {"SELECT id name x FROM patients", "sql.syntax"}, {"SELECT (SELECT 1", "sql.syntax"},
      {"SELECT 1 ESCAPE 'x'", "sql.syntax"},
      {"SELECT id FROM patients UNION SELECT id, name FROM patients", "sql.misuse"},
      {"SELECT \"Ann\" FROM patients", "not_found.column"});
  EXPECT_EQ(rows("SELECT " + std::string(95, '(') + "1" + std::string(95, ')')), "limit.depth");
}

// ---- Time travel --------------------------------------------------------------------------------

TEST_F(Rewrite, AsOfStandsBehindAnyTable) {
  ok("UPDATE patients SET name = 'Anna' WHERE id = 1");    // 7
  ok("DELETE FROM patients WHERE id = 2");                 // 8
  ok("INSERT INTO patients (id, name) VALUES (3, 'Cy')");  // 9
  EXPECT_CASES(
      {"SELECT id, name FROM patients ORDER BY id", "1 Anna\n3 Cy"},
      {"SELECT id, name FROM patients AS OF POSITION 6 ORDER BY id", "1 Ann\n2 Ben"},
      {"SELECT id, name FROM patients AS OF POSITION 7 AS p ORDER BY p.id", "1 Anna\n2 Ben"},
      {"SELECT p.name FROM patients AS OF POSITION HEAD - 2 p ORDER BY 1", "Anna\nBen"},
      {"SELECT patients.name FROM patients AS OF POSITION HEAD ORDER BY 1", "Anna\nCy"},
      {"SELECT name FROM patients FOR SYSTEM_TIME AS OF POSITION 6 WHERE id = 1", "Ann"},
      {"SELECT name FROM patients FOR SYSTEM_TIME AS OF '1970-01-01T00:00:06.5Z' WHERE id = 1",
       "Ann"},
      {"SELECT name FROM patients AS OF TIMESTAMP '1970-01-01 00:00:07' WHERE id = 1", "Anna"},
      {"SELECT name FROM patients AS OF TIMESTAMP NOW() - INTERVAL '54 years 14 days 10:29:50' "
       "WHERE id = 1",
       "Anna"},
      {"SELECT a.name, b.name FROM patients AS OF POSITION 6 a JOIN patients AS OF POSITION 9 b ON "
       "a.id = b.id",
       "Ann Anna"},
      {"SELECT n FROM (SELECT count(*) AS n FROM patients AS OF POSITION 8)", "1"},
      {"SELECT name FROM patients AS OF POSITION 6 UNION SELECT name FROM patients ORDER BY 1",
       "Ann\nAnna\nBen\nCy"},
      {"WITH old AS (SELECT * FROM patients AS OF POSITION 6) SELECT name FROM old WHERE id NOT IN "
       "(SELECT id "
       "FROM patients)",
       "Ben"},
      {"SELECT name FROM patients WHERE id = 1 AND name NOT IN (SELECT name FROM patients AS OF "
       "POSITION 6)",
       "Anna"},
      {"SELECT * FROM patients AS OF POSITION 10", "not_found.position"},
      {"SELECT * FROM patients AS OF POSITION HEAD - 99", "not_found.position"},
      {"SELECT * FROM patients AS OF POSITION -1", "sql.syntax"},
      {"SELECT * FROM patients AS OF POSITION 0", "not_found.then"},
      {"SELECT * FROM bills AS OF POSITION 1", "not_found.then"},
      {"SELECT * FROM nobody AS OF POSITION 1", "not_found.table"},
      {"SELECT * FROM patients AS OF TIMESTAMP '2999-01-01'", "not_found.time"},
      {"SELECT * FROM patients AS OF TIMESTAMP 'then'", "type.format"},
      {"SELECT * FROM patients AS OF POSITION 'x'", "sql.syntax"},
      {"WITH x AS (SELECT 1) SELECT * FROM x AS OF POSITION 3", "sql.unsupported"},
      {"SELECT id FROM patients AS of WHERE of.id = 1", "1"});
  EXPECT_EQ(rows("SELECT name FROM patients AS OF POSITION $1 WHERE id = $2",
                 {Value{std::int64_t{6}}, Value{std::int64_t{1}}}),
            "Ann");
  EXPECT_EQ(last.rewritten.as_of, Position{6});
  EXPECT_FALSE(last.rewritten.cacheable);
  EXPECT_EQ(rows("SELECT name FROM patients AS OF POSITION $1"), "not_found.parameter");
  EXPECT_EQ(rows("SELECT name FROM patients AS OF TIMESTAMP $1 WHERE id = 1",
                 {Value{std::string{"1970-01-01 00:00:06"}}}),
            "Ann");
  db.session_as_of = Position{6};
  EXPECT_CASES({"SELECT name FROM patients ORDER BY 1", "Ann\nBen"},
               {"SELECT name FROM patients AS OF LATEST ORDER BY 1", "Anna\nCy"},
               {"DELETE FROM patients", "sql.read_only"},
               {"SELECT * FROM HISTORY(patients)", "sql.unsupported"});
}

TEST_F(Rewrite, ThePastHasTheNamesAndColumnsOfItsTime) {
  ok("UPDATE bills SET amount = 10 WHERE id = 1");                 // 7
  db.rename_column("bills", "amount", "price");                    // 8
  ok("UPDATE bills SET price = 11 WHERE id = 1");                  // 9
  db.add_column("bills", "note TEXT");                             // 10
  ok("UPDATE bills SET note = 'new' WHERE id = 1");                // 11
  db.drop_column("bills", "rate");                                 // 12
  ok("UPDATE bills SET price = 12, note = 'newer' WHERE id = 1");  // 13
  db.rename_table("bills", "invoices");                            // 14
  ok("DELETE FROM invoices WHERE id = 2");                         // 15
  EXPECT_CASES(
      {"SELECT * FROM invoices WHERE id = 1", "1 1 12.00 2024-01-15T10:30:00Z newer"},
      {"SELECT * FROM bills AS OF POSITION 5 WHERE id = 1", "1 1 77.50 2024-01-15T10:30:00Z 0.5"},
      {"SELECT amount FROM bills AS OF POSITION 7 WHERE id = 1", "10.00"},
      {"SELECT amount FROM bills AS OF POSITION 9", "not_found.column"},
      {"SELECT price, rate FROM bills AS OF POSITION 9 WHERE price = 11.0", "11.00 0.5"},
      {"SELECT note, price, rate FROM bills AS OF POSITION 11 WHERE id = 1", "new 11.00 0.5"},
      {"SELECT rate FROM bills AS OF POSITION 12", "not_found.column"},
      {"SELECT note, price FROM bills AS OF POSITION 12 WHERE id = 1", "new 11.00"},
      {"SELECT count(*) FROM bills AS OF POSITION 13", "3"},
      {"SELECT count(*) FROM invoices AS OF POSITION 13", "not_found.then"},
      {"SELECT count(*) FROM invoices AS OF POSITION 14", "3"},
      {"SELECT * FROM bills", "not_found.table"});
  db.drop_table("invoices");  // 16
  EXPECT_CASES(
      {"SELECT * FROM invoices", "not_found.table"},
      {"SELECT sum(price) FROM invoices AS OF POSITION 15", "112.10"},
      {"SELECT * FROM bills AS OF POSITION 5 WHERE id = 1", "1 1 77.50 2024-01-15T10:30:00Z 0.5"});
}

TEST_F(Rewrite, HistoryHasEveryVersionOfARow) {
  ok("UPDATE patients SET name = 'Anna' WHERE id = 1");   // 7
  ok("DELETE FROM patients WHERE id = 1");                // 8
  ok("INSERT INTO patients (id, name) VALUES (1, 'A')");  // 9
  EXPECT_CASES(
      {"SELECT valid_from, valid_to, operation, reason, id, name FROM HISTORY(patients) WHERE id = "
       "1 ORDER BY "
       "valid_from",
       "4 7 insert why4 1 Ann\n7 8 update why7 1 Anna\n8 8 delete why8 1 -\n9 - insert why9 1 A"},
      {"SELECT h.from_time FROM history(patients) AS h WHERE h.from_time > '1970-01-01 00:00:08'",
       "1970-01-01T00:00:09Z"},
      {"SELECT count(*) FROM HISTORY(notes)", "2"},
      {"SELECT __row, valid_from, text FROM HISTORY(notes) WHERE __row = 6291457",
       "6291457 6 second"},
      {"SELECT * FROM HISTORY(nobody)", "not_found.table"},
      {"SELECT * FROM HISTORY(patients, 1)", "sql.misuse"},
      {"SELECT * FROM HISTORY(patients) AS OF POSITION 3", "sql.unsupported"});
  EXPECT_EQ(db.run("SELECT * FROM HISTORY(notes) WHERE __row > 0").columns.size(), 8U);
}

TEST_F(Rewrite, DiffShowsWhatChangedBetweenTwoPositions) {
  ok("UPDATE patients SET name = 'Anna' WHERE id = 1");   // 7
  ok("UPDATE patients SET name = 'Ann' WHERE id = 1");    // 8: as it was
  ok("DELETE FROM patients WHERE id = 2");                // 9
  ok("INSERT INTO patients (id, name) VALUES (3, 'C')");  // 10
  ok("INSERT INTO notes VALUES ('third')");               // 11
  EXPECT_CASES(
      {"SELECT change, id, name FROM DIFF(patients, 6, 7) ORDER BY change DESC",
       "- 1 Ann\n+ 1 Anna"},
      {"SELECT * FROM DIFF(patients, 6, 8)", ""},
      {"SELECT change, id FROM DIFF(patients, 6, HEAD) ORDER BY id", "- 2\n+ 3"},
      {"SELECT change, id, name FROM DIFF(patients, 3, 6) ORDER BY id", "+ 1 Ann\n+ 2 Ben"},
      {"SELECT * FROM DIFF(notes, 6, 11)", "+ third"}, {"SELECT * FROM DIFF(patients, 8, 8)", ""},
      {"SELECT * FROM DIFF(patients, 8, 6)", "sql.misuse"},
      {"SELECT * FROM DIFF(patients, 8, 99)", "not_found.position"});
  db.drop_column("patients", "active");  // 12: every row begins a new version, none has changed
  EXPECT_CASES({"SELECT * FROM DIFF(patients, 11, 12)", ""});
  EXPECT_EQ(rows("SELECT change, id FROM DIFF(patients, $1, $2)",
                 {Value{std::int64_t{9}}, Value{std::int64_t{10}}}),
            "+ 3");
}

// ---- Views, system tables, policies -------------------------------------------------------------

TEST_F(Rewrite, ViewsReadThroughTheSameDoor) {
  db.create_view("dear", "SELECT id, amount * 2 AS twice FROM bills WHERE amount > 10");  // 7
  db.create_view("dearest", "SELECT max(twice) FROM dear", {"most"});                     // 8
  db.create_view("names", "WITH x AS (SELECT name FROM patients) SELECT x.name FROM x");  // 9
  ok("UPDATE bills SET amount = 500 WHERE id = 1");                                       // 10
  EXPECT_CASES(
      {"SELECT * FROM dear WHERE twice > 300", "1 1000.00"}, {"SELECT * FROM dearest", "1000.00"},
      {"SELECT most FROM dearest AS OF POSITION 9 WHERE most > 9", "200.20"},
      {"SELECT * FROM dear AS OF POSITION 8 d ORDER BY d.twice", "1 155.00\n3 200.20"},
      {"SELECT d.most, b.amount FROM dearest d, bills b WHERE b.id = 1", "1000.00 500.00"},
      {"WITH x AS (SELECT 1 AS name) SELECT names.name, x.name FROM names, x LIMIT 1", "Ann 1"},
      {"SELECT * FROM dear AS OF POSITION 6", "not_found.then"},
      {"DELETE FROM dear", "sql.read_only"},
      {"WITH dear AS (SELECT 1) SELECT 1", "constraint.exists"});
  EXPECT_EQ(last.rewritten.reads.size(), 0U);
  rows("SELECT 1 FROM dearest");
  ASSERT_EQ(last.rewritten.reads.size(), 1U);
  EXPECT_EQ(last.rewritten.reads[0].table, db.catalog.table("bills")->id);
}

TEST_F(Rewrite, SystemTablesAreDocumentedOnes) {
  db.raw(
      "INSERT INTO __records VALUES (1, 0, 1, x'00', NULL, NULL), (2, 0, 1, x'00', x'ABCD', NULL)");
  EXPECT_CASES({"SELECT position, timestamp, actor, request_id FROM __records WHERE timestamp > "
                "'1970-01-01 00:00:01'",
                "2 1970-01-01T00:00:02Z os:ann abcd"},
               {"SELECT count(*) FROM __records AS OF POSITION 1", "1"},
               {"SELECT table_name, table_type FROM information_schema.tables ORDER BY 1",
                "bills BASE TABLE\nnotes BASE TABLE\npatients BASE TABLE"},
               {"SELECT c.column_name, data_type, primary_key FROM information_schema.columns c "
                "WHERE table_name = "
                "'patients' ORDER BY ordinal_position",
                "id BIGINT 1\nname TEXT -\nborn DATE -\nactive BOOLEAN -"},
               {"SELECT count(*) FROM __tables AS OF POSITION 2", "2"},
               {"SELECT * FROM __streams AS OF POSITION 1", "sql.unsupported"},
               {"SELECT * FROM information_schema.secrets", "not_found.table"},
               {"SELECT * FROM __nothing", "denied.object"});
  rows("SELECT 1 FROM __records");
  EXPECT_EQ(last.rewritten.system_reads, std::vector<std::string_view>{"__records"});
}

class Clinic : public Policy {
 public:
  std::string mask(const catalog::Table& table, const catalog::Column& column) const override {
    return table.name == "patients" && column.name == "name" ? "'***'" : "";
  }
  std::string row_filter(const catalog::Table& table) const override {
    return table.name == "patients" ? "\"id\" < 2" : "";
  }
};

TEST_F(Rewrite, MasksAndFiltersStandBetweenATableAndAllThatReadsIt) {
  ok("UPDATE patients SET name = 'Anna' WHERE id = 1");
  const Clinic clinic;
  db.policy = &clinic;
  EXPECT_CASES({"SELECT id, name FROM patients", "1 ***"},
               {"SELECT id FROM patients WHERE name = 'Anna'", ""},
               {"SELECT id, name FROM patients AS OF POSITION 6", "1 ***"},
               {"SELECT valid_from, name FROM HISTORY(patients) ORDER BY 1", "4 ***\n7 ***"},
               {"SELECT change, name FROM DIFF(patients, 3, 7)", "+ ***"},
               {"DELETE FROM patients WHERE id = 2 OR true RETURNING id", "1"},
               {"UPDATE patients SET active = true RETURNING id", ""});
  db.policy = nullptr;
  EXPECT_CASES({"SELECT id FROM patients", "2"});
}

TEST_F(Rewrite, WhatIsVerifiedStandsBehindTheAnswer) {
  ok("UPDATE patients SET name = 'Anna' WHERE id = 1");  // 7
  db.verify = true;
  // __from, then the columns once more.
  EXPECT_CASES({"SELECT name FROM patients ORDER BY id",
                "Anna 7 1 Anna 1980-02-29 1\nBen 4 2 Ben 1990-05-01 0"},
               {"SELECT * FROM patients AS OF POSITION 6 WHERE id = 1",
                "1 Ann 1980-02-29 true 4 1 Ann 1980-02-29 1"},
               {"SELECT text FROM notes WHERE text = 'first'", "first 6 6291456 first"},
               {"SELECT p.id, b.id FROM bills b LEFT JOIN patients p ON p.id = b.id AND p.id > 1 "
                "WHERE b.id < 3 ORDER BY 2",
                "- 1 5 1 1 77.50 2024-01-15T10:30:00Z 0.5 - - - - -\n"
                "2 2 5 2 1 9.00 2024-01-16T00:00:00Z 1.5 4 2 Ben 1990-05-01 0"});
  const Rewritten& joined = last.rewritten;
  ASSERT_EQ(joined.columns.size(), 2U);
  ASSERT_EQ(joined.verified.size(), 2U);
  EXPECT_EQ(joined.verified[0].called, "b");
  EXPECT_EQ(joined.verified[0].width(), 6U);
  EXPECT_EQ(joined.verified[1].table, db.catalog.table("patients")->id);
  // A mask changes what is shown, not what is checked; a filter leaves out both.
  const Clinic clinic;
  db.policy = &clinic;
  EXPECT_CASES({"SELECT id, name FROM patients", "1 *** 7 1 Anna 1980-02-29 1"},
               {"SELECT name FROM patients AS OF POSITION 6", "*** 4 1 Ann 1980-02-29 1"},
               {"SELECT id FROM patients WHERE name = 'Anna'", ""});
  // What stands there has no name a text could give.
  EXPECT_EQ(rows("SELECT __p1_0 FROM patients"), "denied.object");
}

// ---- What the caller learns ---------------------------------------------------------------------

TEST_F(Rewrite, TypesOfTheAnswerAreKnown) {
  const auto types = [&](const std::string& sql) {
    std::string text;
    for (const OutputColumn& column : db.run(sql).rewritten.columns) {
      text +=
          (text.empty() ? "" : ", ") + (column.type ? std::string{column.name + " "} : column.name);
    }
    return text;
  };
  EXPECT_EQ(types("SELECT *, amount > 1 AS dear, lower('x'), json('1') FROM bills"),
            "id , patient , amount , at , rate , dear , lower('x') , json('1')");
  EXPECT_TRUE(db.run("SELECT 1 FROM bills").rewritten.cacheable);
  EXPECT_TRUE(db.run("SELECT 1 FROM bills AS OF POSITION 5 WHERE at < NOW()").rewritten.cacheable);
  EXPECT_FALSE(db.run("SELECT 1 FROM bills AS OF POSITION HEAD").rewritten.cacheable);
  EXPECT_FALSE(db.run("SELECT 1 FROM bills AS OF TIMESTAMP NOW()").rewritten.cacheable);
  const auto moving = [&](const std::string& sql) {
    const auto values = std::vector<Value>{std::int64_t{5}, std::int64_t{5}};
    return db.run(sql, values).rewritten.moving.has_value();
  };
  EXPECT_TRUE(moving("SELECT 5 FROM bills AS OF POSITION $1 WHERE id < $2"));
  EXPECT_TRUE(moving("SELECT $2 FROM bills AS OF POSITION $1, patients AS OF POSITION $1"));
  EXPECT_TRUE(moving("SELECT $2 FROM bills AS OF POSITION $1, patients"));
  EXPECT_FALSE(moving("SELECT 1 FROM bills AS OF POSITION $1, patients AS OF POSITION $2"));
  EXPECT_FALSE(moving("SELECT $2 FROM bills AS OF POSITION $1, patients AS OF POSITION 5"));
  EXPECT_FALSE(moving("SELECT $1, $2 FROM bills AS OF POSITION 5"));
  EXPECT_FALSE(moving("SELECT * FROM DIFF(bills, $1, $2)"));
  EXPECT_FALSE(moving("SELECT $2 FROM bills AS OF POSITION HEAD - $1"));
  db.session_as_of = Position{5};
  EXPECT_TRUE(moving("SELECT $1, $2 FROM bills"));
  EXPECT_TRUE(moving("SELECT $2 FROM bills AS OF POSITION $1"));
  EXPECT_FALSE(moving("SELECT $2 FROM bills AS OF POSITION $1, patients"));
  EXPECT_FALSE(moving("SELECT $1, $2 FROM bills AS OF LATEST"));
  db.session_as_of.reset();
  const Answer two = db.run("SELECT 1 FROM bills AS OF POSITION 5 JOIN patients AS OF POSITION 4");
  EXPECT_EQ(two.rewritten.as_of, std::nullopt);
  EXPECT_EQ(two.rewritten.reads.size(), 2U);
}

TEST_F(Rewrite, ExpressionsOfTheSchemaAreRewrittenForItsTables) {
  const catalog::Table& bills = *db.catalog.table("bills");
  EXPECT_EQ(*rewrite_expression("\"@3\" > 0 AND \"@3\" * 1.1 < 1e6", bills),
            "\"amount\" > '0' AND kmb_mul(\"amount\" , '1.1') COLLATE kmb_decimal < '1000000'");
  EXPECT_EQ(*rewrite_expression("NOW()", bills), "kmb_now ()");
  EXPECT_EQ(*rewrite_expression("5", bills), "5");
  EXPECT_EQ(rewrite_expression("\"@99\" > 0", bills).error().code(), Code::not_found_column);
  EXPECT_EQ(rewrite_expression("(SELECT 1)", bills).error().code(), Code::sql_syntax);
  EXPECT_EQ(rewrite_expression("$1", bills).error().code(), Code::sql_misuse);
  EXPECT_EQ(rewrite_expression("amount > rate", bills).error().code(), Code::type_mismatch);
}

TEST_F(Rewrite, SetAsOfMeansAPosition) {
  const auto resolve = [&](const std::string& text) -> std::string {
    const auto tokens = tokenize(text);
    const Context context = db.context();
    const auto position = resolve_as_of(text, *tokens, context);
    return position ? std::to_string(position->value())
                    : std::string{name(position.error().code())};
  };
  EXPECT_EQ(resolve("POSITION 3"), "3");
  EXPECT_EQ(resolve("POSITION HEAD - 1"), "5");
  EXPECT_EQ(resolve("TIMESTAMP '1970-01-01 00:00:02'"), "2");
  EXPECT_EQ(resolve("TIMESTAMP NOW() - INTERVAL '1 day'"), "6");
  EXPECT_EQ(resolve("POSITION 3 4"), "sql.syntax");
  EXPECT_EQ(resolve("3"), "sql.syntax");
  EXPECT_EQ(resolve("POSITION"), "sql.syntax");
}

// The plans are those of plain SQL: a key finds its row in the table and in its history.
TEST_F(Rewrite, PredicatesReachTheTablesBehindTheDoor) {
  const auto plan = [&](const std::string& sql) {
    const bool given = sql.find('$') != std::string::npos;
    const Answer answer =
        db.run(sql, given ? std::vector<Value>{Value{50.0}} : std::vector<Value>{});
    std::string statement = answer.rewritten.sql;
    return db.raw("EXPLAIN QUERY PLAN " + statement).text();
  };
  EXPECT_NE(plan("SELECT * FROM bills WHERE id = 1").find("SEARCH main.bills USING"),
            std::string::npos);
  EXPECT_NE(
      plan("SELECT * FROM bills AS OF POSITION 6 WHERE id = 1").find("SEARCH main.bills USING"),
      std::string::npos);
  db.raw("CREATE INDEX by_amount ON bills(amount)");
  EXPECT_NE(plan("SELECT id FROM bills WHERE amount = 77.5").find("by_amount"), std::string::npos);
  EXPECT_NE(plan("SELECT id FROM bills WHERE amount > 10 AND amount < $1").find("by_amount"),
            std::string::npos);
  EXPECT_NE(plan("SELECT id FROM bills WHERE amount IN (1, 2.5)").find("by_amount"),
            std::string::npos);
}

}  // namespace
}  // namespace kimberlite::sql
