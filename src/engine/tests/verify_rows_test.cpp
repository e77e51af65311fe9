// VERIFY SELECT, VERIFY TABLE and `verify` of a projection, over a real log: what they accept, and
// what they find when projection or log are changed behind the database's back, the projection with
// the right page key, the log with the right checksums.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "consensus/superblock.hpp"
#include "engine/verify.hpp"
#include "files.hpp"
#include "journal_io.hpp"
#include "keystore/keystore.hpp"
#include "log/segment.hpp"
#include "platform/env.hpp"
#include "projection/table_check.hpp"
#include "projection/vfs.hpp"
#include "record/frame.hpp"
#include "record/receipt.hpp"
#include "support/script.hpp"
#include "tenant_files.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

constexpr TenantId main_tenant{1};

class VerifyRows : public ::testing::Test {
 protected:
  void SetUp() override {
    auto key = keystore::FileMasterKey::create(keys_, "key", world_.env().random);
    ASSERT_TRUE(key) << to_string(key.error());
    key_ = *std::move(key);
    CreateOptions options;
    options.free_bytes_reserve = 0;
    const auto made = Database::create(world_.env(), *key_, options);
    ASSERT_TRUE(made) << to_string(made.error());
    log_key_ = record::VerifierKey::parse(made->logs.front().log_key).value();
    open();
    write("CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT, city TEXT)");  // 2
    write("INSERT INTO patients VALUES (1, 'Ann', 'Lynn'), (2, 'Bob', 'Salem')");   // 3
    write("UPDATE patients SET city = 'Boston' WHERE id = 2");                      // 4
    write("CREATE TABLE notes (text TEXT)");                                        // 5
    write("INSERT INTO notes VALUES ('first'), ('second')");                        // 6
    write("UPDATE patients SET name = 'Anna' WHERE id = 1");                        // 7
  }
  void open() {
    Options options;
    options.free_bytes_reserve = 0;
    auto opened = Database::open(world_.env(), *key_, options);
    ASSERT_TRUE(opened) << to_string(opened.error());
    database_ = *std::move(opened);
    session_ = *database_->session("main");
  }
  void close() {
    session_.reset();
    if (database_ == nullptr) return;
    EXPECT_TRUE(database_->close());
    database_.reset();
  }
  void write(std::string_view sql) {
    const Statement statement{sql, {}};
    const auto outcome = session_->execute(std::span{&statement, 1}, {});
    EXPECT_TRUE(outcome) << sql << "\n" << to_string(outcome.error());
  }
  static std::string show(const ValueView& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
    if (const auto* text = std::get_if<std::string_view>(&value)) return std::string{*text};
    return "null";
  }
  // "a|b;c|d", without receipts, or "code: where" of the error.
  std::string ask(std::string_view sql, const AsOf& as_of = {}, const ReadLimits& limits = {}) {
    auto cursor = session_->query({sql, {}}, as_of, limits);
    if (!cursor) return fmt::format("{}: {}", name(cursor.error().code()), cursor.error().where());
    std::string text;
    while (true) {
      const auto more = (*cursor)->next();
      if (!more) return fmt::format("{}: {}", name(more.error().code()), more.error().where());
      if (!*more) return text;
      if (!text.empty()) text += ';';
      std::string line;
      for (std::size_t i = 0; i < (*cursor)->row().size(); ++i) {
        if ((*cursor)->columns()[i].name.ends_with("__receipt")) continue;
        if (!line.empty()) line += '|';
        line += show((*cursor)->row()[i]);
      }
      text += line;
    }
  }

  struct Received {
    std::vector<std::int64_t> positions;  // as the rows say them, one a table
    std::vector<std::string> receipts;
  };
  // The last two columns of each table's part of each row; a table without a row has neither.
  Received receive(std::string_view sql, const AsOf& as_of = {}) {
    Received all;
    const auto cursor = session_->query({sql, {}}, as_of, {});
    EXPECT_TRUE(cursor) << to_string(cursor.error());
    for (;;) {
      const auto more = (*cursor)->next();
      EXPECT_TRUE(more) << to_string(more.error());
      if (!more || !*more) return all;
      for (std::size_t i = 0; i < (*cursor)->row().size(); ++i) {
        if (!(*cursor)->columns()[i].name.ends_with("__receipt")) continue;
        const auto* position = std::get_if<std::int64_t>(&(*cursor)->row()[i - 1]);
        const auto* text = std::get_if<std::string_view>(&(*cursor)->row()[i]);
        EXPECT_EQ(position == nullptr, text == nullptr);
        if (position == nullptr || text == nullptr) continue;
        all.positions.push_back(*position);
        all.receipts.emplace_back(*text);
      }
    }
  }
  // The size of the one tree that all of them prove their record to be in, checked with nothing but
  // the log's key; 0 if one does not.
  std::uint64_t tree_of(const Received& received) {
    std::set<std::string> heads;
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < received.receipts.size(); ++i) {
      const auto receipt = record::Receipt::parse(received.receipts[i]);
      if (!receipt) return 0;
      const auto record = record::verify(*receipt, log_key_);
      if (!record) return 0;
      EXPECT_EQ(static_cast<std::int64_t>(record->entry().position.value()), received.positions[i]);
      EXPECT_FALSE(record->opened().has_value());
      heads.insert(receipt->head);
      size = record->tree().size;
    }
    EXPECT_EQ(heads.size(), 1U);
    return size;
  }

  // Runs `sql` on the closed projection. kmb_position() is 0, so that no history is kept of it.
  void tamper(const std::string& sql) {
    close();
    const auto device = world_.env().storage.open_device(files::superblock, 0);
    ASSERT_TRUE(device);
    consensus::Block block{consensus::superblock_size};
    block.resize(consensus::superblock_size);
    ASSERT_TRUE(read_sectors(**device, 0, block.bytes()));
    const auto superblock = consensus::read_superblock(
        std::span<const std::byte, consensus::superblock_size>{block.bytes()});
    ASSERT_TRUE(superblock);
    const auto file =
        read_whole(world_.env().storage, files::keystore(superblock->superblock.checkpoint.op));
    ASSERT_TRUE(file);
    const auto keys = keystore::Keystore::decode(*file, *key_);
    ASSERT_TRUE(keys) << to_string(keys.error());
    auto page_key = keys->page_key(main_tenant);
    ASSERT_TRUE(page_key);
    const auto vfs = projection::Vfs::make(world_.env(), projection_path(main_tenant),
                                           *std::move(page_key), projection_file_id(main_tenant));
    ASSERT_TRUE(vfs);
    sqlite3* db = nullptr;
    ASSERT_EQ(
        sqlite3_open_v2((*vfs)->path().c_str(), &db, SQLITE_OPEN_READWRITE, (*vfs)->name().c_str()),
        SQLITE_OK);
    sqlite3_create_function(
        db, "kmb_position", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, nullptr,
        [](sqlite3_context* call, int, sqlite3_value**) { sqlite3_result_int64(call, 0); }, nullptr,
        nullptr);
    char* message = nullptr;
    EXPECT_EQ(
        sqlite3_exec(db, ("PRAGMA temp_store=MEMORY;" + sql).c_str(), nullptr, nullptr, &message),
        SQLITE_OK)
        << message;
    EXPECT_GT(sqlite3_total_changes(db), 0);
    sqlite3_free(message);
    EXPECT_EQ(sqlite3_close(db), SQLITE_OK);
  }

  // Of the closed directory: "code table position change | …", then the notes.
  std::string verified() {
    close();
    VerifyOptions options;
    options.master = key_.get();
    options.projection = true;
    report_ = VerifyReport{};
    auto report = verify(world_.env().storage, options);
    EXPECT_TRUE(report) << to_string(report.error());
    if (!report) return "error";
    report_ = *std::move(report);
    std::string text;
    for (const VerifyFinding& finding : report_.findings) {
      text +=
          fmt::format("{} {} {} {}; ", name(finding.code), finding.table, finding.position.value(),
                      finding.change ? std::to_string(*finding.change) : "-");
    }
    return text;
  }

  platform::MemoryEnv world_{platform::ExecutorOptions{}};
  platform::MemoryStorage keys_;
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
  record::VerifierKey log_key_;
  VerifyReport report_;
};

TEST_F(VerifyRows, WhatIsAsWrittenIsAccepted) {
  EXPECT_EQ(ask("VERIFY SELECT * FROM patients ORDER BY id"), "1|Anna|Lynn|7;2|Bob|Boston|4");
  EXPECT_EQ(ask("VERIFY SELECT name FROM patients ORDER BY id", Position{3}), "Ann|3;Bob|3");
  EXPECT_EQ(ask("VERIFY SELECT city FROM patients AS OF TIMESTAMP NOW() WHERE id = 2"), "Boston|4");
  ASSERT_TRUE(session_->run({"SET AS OF POSITION 3", {}}, {}, {}));
  EXPECT_EQ(ask("VERIFY SELECT city FROM patients WHERE id = 2"), "Salem|3");
  EXPECT_TRUE(ask("VERIFY TABLE patients").starts_with("patients|3|2|3|"));
  EXPECT_EQ(ask("VERIFY SELECT city FROM patients AS OF LATEST WHERE id = 2"), "Boston|4");
  ASSERT_TRUE(session_->run({"SET AS OF LATEST", {}}, {}, {}));
  const std::string now = ask("VERIFY TABLE patients");
  EXPECT_TRUE(now.starts_with("patients|7|2|7|")) << now;
  EXPECT_EQ(now.size(), std::string_view{"patients|7|2|7|"}.size() + 64);
  // What a table holds has one digest, whenever and however it came about.
  const std::string then = ask("VERIFY TABLE patients AS OF POSITION 3");
  EXPECT_TRUE(then.starts_with("patients|3|2|3|")) << then;
  EXPECT_NE(then.substr(then.rfind('|')), now.substr(now.rfind('|')));
  write("UPDATE patients SET city = 'Salem' WHERE id = 2");
  write("UPDATE patients SET name = 'Ann' WHERE id = 1");
  const std::string again = ask("VERIFY TABLE patients");
  EXPECT_TRUE(again.starts_with("patients|9|2|9|")) << again;
  EXPECT_EQ(again.substr(again.rfind('|')), then.substr(then.rfind('|')));
  EXPECT_EQ(ask("VERIFY TABLE patients", Position{3}), then);
  EXPECT_EQ(ask("VERIFY TABLE Patients AS OF TIMESTAMP NOW()"), again);
  EXPECT_EQ(ask("VERIFY TABLE patients AS OF LATEST", Position{3}), again);
  EXPECT_TRUE(ask("VERIFY TABLE notes").starts_with("notes|9|2|9|"));
  EXPECT_EQ(verified(), "");
  EXPECT_TRUE(report_.clean());
  EXPECT_TRUE(report_.notes.empty());
  // Two patients and two notes, and the four versions superseded.
  EXPECT_EQ(report_.rows, 8U);
}

TEST_F(VerifyRows, WhatCannotBeVerifiedIsSaid) {
  write("CREATE VIEW v AS SELECT id FROM patients");
  EXPECT_EQ(ask("VERIFY TABLE v"), "sql.unsupported: line 1, column 14");
  EXPECT_EQ(ask("VERIFY TABLE __events"), "sql.unsupported: line 1, column 14");
  EXPECT_EQ(ask("VERIFY TABLE patient"), "not_found.table: line 1, column 14");
  EXPECT_EQ(ask("VERIFY TABLE notes AS OF POSITION 4"), "not_found.then: line 1, column 14");
  EXPECT_EQ(ask("VERIFY TABLE notes AS OF POSITION 0"), "not_found.then: line 1, column 14");
  EXPECT_EQ(ask("VERIFY TABLE notes AS OF POSITION 99"), "not_found.position: line 1, column 35");
  const std::atomic<bool> cancelled{true};
  for (int i = 0; i < 70; ++i) write("INSERT INTO notes VALUES ('more')");
  EXPECT_TRUE(
      ask("VERIFY TABLE notes", {}, {.cancelled = &cancelled}).starts_with("interrupted.signal"));
  EXPECT_TRUE(ask("VERIFY SELECT text FROM notes", {}, {.cancelled = &cancelled})
                  .starts_with("interrupted.signal"));
  ASSERT_TRUE(session_->begin({}));
  EXPECT_TRUE(ask("VERIFY SELECT id FROM patients").starts_with("sql.transaction"));
  EXPECT_TRUE(ask("VERIFY TABLE patients").starts_with("sql.transaction"));
  EXPECT_FALSE(session_->run({"VERIFY TABLE patients", {}}, {}, {}));
  EXPECT_TRUE(session_->rollback());
  EXPECT_EQ(ask("VERIFY SELECT id FROM patients WHERE id = 2"), "2|4");
}

TEST_F(VerifyRows, EveryRowComesWithAReceiptThatHoldsAnywhere) {
  EXPECT_EQ(session_->signed_heads(9)->size(), 0U);
  const Received both = receive("VERIFY SELECT * FROM patients ORDER BY id");
  EXPECT_EQ(both.positions, (std::vector<std::int64_t>{7, 4}));
  EXPECT_EQ(tree_of(both), 7U);
  EXPECT_EQ(session_->signed_heads(9)->size(), 1U);  // for all rows, and it is kept
  // A record is where it says, not one place further on; and no other log's key checks it.
  Received moved = both;
  moved.receipts[1] = moved.receipts[0];
  moved.positions[1] = 7;
  EXPECT_EQ(tree_of(moved), 7U);
  const std::size_t index = moved.receipts[1].find("index 6");
  ASSERT_NE(index, std::string::npos);
  moved.receipts[1][index + 6] = '5';
  EXPECT_EQ(tree_of(moved), 0U);

  write("INSERT INTO notes VALUES ('third')");  // 8
  const Received joined = receive(
      "VERIFY SELECT p.name, n.text FROM notes n LEFT JOIN patients p ON p.name = 'Bob' AND "
      "n.text = 'third' ORDER BY n.text");
  EXPECT_EQ(joined.positions, (std::vector<std::int64_t>{6, 6, 8, 4}));
  EXPECT_EQ(tree_of(joined), 8U);
  // The past asks for no new head where a signed one holds it.
  write("INSERT INTO notes VALUES ('fourth')");  // 9
  EXPECT_EQ(tree_of(receive("VERIFY SELECT name FROM patients", Position{7})), 8U);
  EXPECT_EQ(tree_of(receive("VERIFY SELECT a.name FROM patients a, patients AS OF POSITION 9 b",
                            Position{3})),
            9U);
  // Rows that are handed out while others write stay in one tree.
  const auto cursor = session_->query({"VERIFY SELECT text FROM notes ORDER BY text", {}}, {}, {});
  ASSERT_TRUE(cursor);
  Received slow;
  while (*(*cursor)->next()) {
    const std::span<const ValueView> row = (*cursor)->row();
    slow.positions.push_back(std::get<std::int64_t>(row[1]));
    slow.receipts.emplace_back(std::get<std::string_view>(row[2]));
    write("UPDATE patients SET city = city || '.' WHERE id = 1");
    ASSERT_TRUE(session_->signed_head(Position{}));
  }
  EXPECT_EQ(slow.positions, (std::vector<std::int64_t>{6, 9, 6, 8}));
  EXPECT_EQ(tree_of(slow), 9U);
  EXPECT_EQ(receive("VERIFY SELECT name FROM patients WHERE id = 99").receipts.size(), 0U);
}

// Each is unseen by a plain SELECT, found by VERIFY SELECT where the row is returned, and always by
// VERIFY TABLE and `verify`, which name it.
TEST_F(VerifyRows, AChangedValue) {
  tamper("UPDATE patients SET city = 'Rome' WHERE id = 2");
  EXPECT_EQ(verified(), "integrity.projection patients 4 0; ");
  EXPECT_EQ(report_.findings[0].file, "tenants/1/projection.db");
  EXPECT_EQ(report_.findings[0].what,
            "table patients: a row is not what the log says it is, column city");
  open();
  EXPECT_EQ(ask("SELECT city FROM patients WHERE id = 2"), "Rome");
  EXPECT_EQ(ask("VERIFY SELECT id FROM patients WHERE id = 2"),
            "integrity.projection: table patients, position 4, change 0, column city");
  EXPECT_EQ(ask("VERIFY SELECT id FROM patients WHERE id = 1"), "1|7");
  EXPECT_EQ(ask("VERIFY TABLE patients"),
            "integrity.projection: table patients, position 4, change 0, column city");
  EXPECT_TRUE(ask("VERIFY TABLE patients AS OF POSITION 3").starts_with("patients|3|2|3|"));
  EXPECT_TRUE(ask("VERIFY TABLE notes").starts_with("notes|7|2|7|"));
}

TEST_F(VerifyRows, AChangedPosition) {
  tamper("UPDATE patients SET __from = 3 WHERE id = 2");
  EXPECT_EQ(verified(), "integrity.projection patients 4 0; ");
  open();
  EXPECT_EQ(ask("SELECT city FROM patients AS OF POSITION 4 WHERE id = 2"), "Boston");
  EXPECT_EQ(ask("VERIFY SELECT id FROM patients WHERE id = 2"),
            "integrity.projection: table patients, position 3, change 1, column city");
  EXPECT_EQ(ask("VERIFY TABLE patients"),
            "integrity.projection: table patients, position 4, change 0");
}

TEST_F(VerifyRows, ADeletedRow) {
  tamper("DELETE FROM notes WHERE text = 'first'");
  EXPECT_EQ(verified(), "integrity.projection notes 6 0; ");
  open();
  EXPECT_EQ(ask("VERIFY SELECT text FROM notes"), "second|6");
  EXPECT_EQ(ask("VERIFY TABLE notes"), "integrity.projection: table notes, position 6, change 0");
}

TEST_F(VerifyRows, AnAddedRow) {
  tamper("INSERT INTO patients (id, name, __from) VALUES (3, 'Eve', 4)");
  EXPECT_EQ(verified(), "integrity.projection patients 4 -; ");
  EXPECT_EQ(report_.findings[0].what, "table patients: a row is there that no record wrote");
  open();
  EXPECT_EQ(ask("SELECT name FROM patients WHERE id = 3"), "Eve");
  EXPECT_EQ(ask("VERIFY SELECT id FROM patients WHERE id = 3"),
            "integrity.projection: table patients, position 4");
  EXPECT_EQ(ask("VERIFY TABLE patients"), "integrity.projection: table patients, position 4");
}

TEST_F(VerifyRows, AChangedPast) {
  tamper("UPDATE __h_1 SET c2 = 'Zoe' WHERE c1 = 1");
  EXPECT_EQ(verified(), "integrity.projection patients 3 0; ");
  EXPECT_EQ(report_.findings[0].what,
            "table patients: a superseded version is not what the log says it is, column name");
  open();
  EXPECT_EQ(ask("SELECT name FROM patients AS OF POSITION 5 WHERE id = 1"), "Zoe");
  EXPECT_EQ(ask("VERIFY SELECT name FROM patients AS OF POSITION 5 WHERE id = 1"),
            "integrity.projection: table patients, position 3, change 0, column name");
  EXPECT_EQ(ask("VERIFY SELECT name FROM patients WHERE id = 1"), "Anna|7");
  EXPECT_EQ(ask("VERIFY TABLE patients"),
            "integrity.projection: table patients, position 3, change 0, column name");
}

TEST_F(VerifyRows, EachRowIsNamed) {
  tamper(
      "UPDATE patients SET city = 'Rome'; DELETE FROM notes WHERE text = 'first'; "
      "UPDATE __h_1 SET c2 = 'Zoe' WHERE c1 = 1 AND __from = 3");
  EXPECT_EQ(verified(),
            "integrity.projection patients 7 0; integrity.projection patients 4 0; "
            "integrity.projection patients 3 0; integrity.projection notes 6 0; ");
  EXPECT_EQ(report_.findings_total, 4U);
  for (const std::size_t row : {0U, 1U}) {
    EXPECT_EQ(report_.findings[row].what,
              "table patients: a row is not what the log says it is, column city");
  }
}

// One table that differs as a whole does not hide another.
TEST_F(VerifyRows, OfManyRowsTheFirstAreNamed) {
  constexpr std::size_t more = 30;
  constexpr std::size_t most = projection::differences_named_max;
  std::string values = "(3)";
  for (std::size_t i = 1; i < most + more; ++i) values += fmt::format(", ({})", i + 3);
  write("INSERT INTO patients (id) VALUES " + values);
  tamper("UPDATE patients SET city = 'Rome' WHERE id > 2; DELETE FROM notes WHERE text = 'first'");
  EXPECT_TRUE(verified().ends_with("integrity.projection notes 6 0; "));
  ASSERT_EQ(report_.findings.size(), most + 1);
  EXPECT_EQ(report_.findings_total, most + more + 1);
  EXPECT_EQ(report_.findings[0].change, 0U);
  EXPECT_EQ(report_.findings[most - 1].change, most - 1);
  EXPECT_TRUE(report_.findings[most - 1].what.ends_with(
      ", column city; and 30 more differences of this table"))
      << report_.findings[most - 1].what;
}

TEST_F(VerifyRows, ATableThatIsGone) {
  tamper("DELETE FROM notes; DROP TABLE notes");
  EXPECT_EQ(verified(), "integrity.projection notes 0 -; integrity.projection sqlite_schema 0 -; ");
}

TEST_F(VerifyRows, ItsOwnTablesAndItsSchema) {
  tamper("UPDATE __records SET timestamp = timestamp - 1 WHERE position = 4");
  EXPECT_EQ(verified(), "integrity.projection __records 4 -; ");
  // The catalog of an empty database: nothing of the tables is left.
  tamper("UPDATE __projection SET value = zeroblob(length(value)) WHERE name = 'catalog'");
  EXPECT_NE(verified().find("integrity."), std::string::npos);
}

TEST_F(VerifyRows, AProjectionBehindItsLogIsComparedAsOfWhereItIs) {
  close();
  const auto storage = [&]() -> env::Storage& { return world_.env().storage; };
  const auto old = read_whole(storage(), projection_path(main_tenant));
  ASSERT_TRUE(old);
  open();
  write("DELETE FROM patients WHERE id = 1");
  close();
  ASSERT_TRUE(write_whole(storage(), projection_path(main_tenant), *old));
  EXPECT_EQ(verified(), "");
  ASSERT_EQ(report_.notes.size(), 1U);
  EXPECT_EQ(
      report_.notes[0],
      "tenants/1/projection.db: is at position 7, its log at 8; compared as of 7, and the next "
      "open brings it up");
  // Nothing was written: it still is where it was, byte for byte.
  EXPECT_EQ(*read_whole(storage(), projection_path(main_tenant)), *old);
  EXPECT_EQ(report_.rows, 6U);
  open();
  EXPECT_EQ(ask("SELECT id FROM patients"), "2");
  EXPECT_EQ(verified(), "");
  EXPECT_TRUE(report_.notes.empty());
}

TEST_F(VerifyRows, ChangedRowsOfAProjectionThatIsBehindAreFoundToo) {
  tamper("UPDATE patients SET city = 'Rome' WHERE id = 2");
  const auto old = read_whole(world_.env().storage, projection_path(main_tenant));
  ASSERT_TRUE(old);
  open();
  write("INSERT INTO notes VALUES ('third')");
  close();
  ASSERT_TRUE(write_whole(world_.env().storage, projection_path(main_tenant), *old));
  EXPECT_EQ(verified(), "integrity.projection patients 4 0; ");
  EXPECT_EQ(report_.notes.size(), 1U);
}

// Puts another record in the place of the one at `position`, with a frame that is sound.
template <class Change>
void forge(env::Storage& storage, Position position, const Change& change) {
  const std::string path = files::lane(main_tenant, "data/00000000000000000001.segment");
  auto segment = read_whole(storage, path);
  ASSERT_TRUE(segment) << to_string(segment.error());
  std::size_t at = log::segment_header_size;
  for (;;) {
    const auto frame = record::parse_frame(Bytes{*segment}.subspan(at));
    ASSERT_TRUE(frame) << to_string(frame.error());
    record::Entry entry = *record::decode(frame->entry_bytes.first<record::entry_size>());
    if (entry.position != position) {
      at += frame->size;
      continue;
    }
    Buffer body{frame->body.begin(), frame->body.end()};
    change(entry, body);
    Buffer forged;
    record::append_frame(forged, frame->op, frame->index, entry, body);
    ASSERT_EQ(forged.size(), frame->size);
    std::ranges::copy(forged, segment->begin() + static_cast<std::ptrdiff_t>(at));
    ASSERT_TRUE(write_whole(storage, path, *segment));
    return;
  }
}

TEST_F(VerifyRows, TheRecordItselfIsProvedOnTheWay) {
  write("INSERT INTO notes VALUES ('third')");  // the newest is looked at when the log is opened
  close();
  // Its bytes are others than its entry commits to.
  forge(world_.env().storage, Position{4},
        [](record::Entry&, Buffer& body) { body.back() ^= std::byte{1}; });
  // Its entry is another than the one in the tree, and all in itself sound.
  forge(world_.env().storage, Position{7}, [](record::Entry& entry, Buffer&) {
    entry.timestamp = TimestampUs{entry.timestamp.value() - 1};
  });
  open();
  EXPECT_EQ(ask("SELECT name, city FROM patients ORDER BY id"), "Anna|Lynn;Bob|Boston");
  EXPECT_EQ(ask("VERIFY SELECT name FROM patients WHERE id = 2"),
            "integrity.body: tenant 1, position 4");
  EXPECT_EQ(ask("VERIFY SELECT name FROM patients WHERE id = 1"),
            "integrity.inclusion: tenant 1, data, position 7");
  EXPECT_EQ(ask("VERIFY SELECT text FROM notes WHERE text = 'second'"), "second|6");
  EXPECT_EQ(ask("VERIFY TABLE notes"), "integrity.body: tenant 1, position 4");
  EXPECT_TRUE(ask("VERIFY TABLE patients AS OF POSITION 3").starts_with("patients|3|2|3|"));
  EXPECT_NE(verified().find("integrity.body"), std::string::npos);
  EXPECT_EQ(report_.rows, 0U);
  ASSERT_EQ(report_.notes.size(), 1U);
  EXPECT_EQ(report_.notes[0],
            "tenants/1/projection.db: not compared with its log, which is not whole");
}

TEST_F(VerifyRows, ABrokenChainIsFoundByVerifyTable) {
  close();
  forge(world_.env().storage, Position{4}, [](record::Entry& entry, Buffer&) {
    entry.timestamp = TimestampUs{entry.timestamp.value() + 1};
  });
  open();
  EXPECT_EQ(ask("VERIFY TABLE notes"), "integrity.chain: tenant 1, position 5");
  EXPECT_EQ(ask("VERIFY TABLE patients AS OF POSITION 4"),
            "integrity.inclusion: tenant 1, data, position 4");
}

// Random statements of several tenants, reopened and checkpointed on the way.
TEST(VerifyRowsAtRandom, WhatTheLogSaysIsAccepted) {
  const std::vector<test::Step> script = test::make_script(11, 160);
  test::Machine machine{11, test::fresh_disk(11)};
  ASSERT_TRUE(machine.open());
  for (std::size_t i = 0; i < script.size(); ++i) {
    static_cast<void>(machine.run(script[i], i).position);
  }
  std::size_t tables = 0;
  std::size_t rows = 0;
  for (const char* tenant : {"main", "second", "third"}) {
    auto session = machine.database().session(tenant);
    ASSERT_TRUE(session) << to_string(session.error());
    const Position head = *(*session)->head();
    const auto catalog = *(*session)->catalog();
    for (const catalog::Table* now : catalog->tables()) {
      for (const std::uint64_t at :
           {head.value(), head.value() * 3 / 4, head.value() / 2, head.value() / 4}) {
        const catalog::Table* table = catalog->table_at(now->id, Position{at});
        if (table == nullptr) continue;
        const std::string whole = fmt::format("VERIFY TABLE \"{}\"", table->name);
        const auto verdict = (*session)->query({whole, {}}, Position{at}, {});
        ASSERT_TRUE(verdict) << whole << " at " << at << ": " << to_string(verdict.error());
        ASSERT_TRUE(*(*verdict)->next());
        const auto counted = std::get<std::int64_t>((*verdict)->row()[2]);
        const std::string each = fmt::format("VERIFY SELECT * FROM \"{}\"", table->name);
        const auto cursor = (*session)->query({each, {}}, Position{at}, {});
        ASSERT_TRUE(cursor) << each << ": " << to_string(cursor.error());
        std::int64_t seen = 0;
        for (;; ++seen) {
          const auto more = (*cursor)->next();
          ASSERT_TRUE(more) << each << " at " << at << ": " << to_string(more.error());
          if (!*more) break;
        }
        ASSERT_EQ(seen, counted);
        ++tables;
        rows += static_cast<std::size_t>(seen);
      }
    }
  }
  EXPECT_GT(tables, 20U);
  EXPECT_GT(rows, 50U);
}

}  // namespace
}  // namespace kimberlite::engine
