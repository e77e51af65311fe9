// Signed heads, receipts and proofs of consistency from a database.
#include <gtest/gtest.h>

#include <thread>

#include "engine/database.hpp"
#include "engine/verify.hpp"
#include "log/head_file.hpp"
#include "platform/env.hpp"
#include "record/items.hpp"
#include "vopr/sim_env.hpp"

namespace kimberlite::engine {
namespace {

// A database on a simulated disk that can be closed, copied, and opened elsewhere.
class ProofsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    key_ = keystore::FileMasterKey::create(keys_, "key", world().env().random).value();
    const auto made =
        Database::create(world().env(), *key_, {.free_bytes_reserve = 0, .simulated = true});
    ASSERT_TRUE(made) << to_string(made.error());
    log_key_ = record::VerifierKey::parse(made->logs.front().log_key).value();
    ASSERT_TRUE(open());
    write("CREATE TABLE patients (id BIGINT PRIMARY KEY, city TEXT)");
  }
  [[nodiscard]] vopr::SimEnv& world() { return *world_; }
  // The database, if it opens and its tenant does; else why not.
  [[nodiscard]] Status open() {
    KIMBERLITE_TRY(database_, Database::open(world().env(), *key_,
                                             {.free_bytes_reserve = 0, .simulated = true}));
    KIMBERLITE_TRY(session_, database_->session("main"));
    return {};
  }
  void close() {
    session_.reset();
    EXPECT_TRUE(database_->close());
    database_.reset();
  }
  // Puts the machine's disk to `image` and opens what is on it.
  [[nodiscard]] Status reopen(const vopr::DiskImage& image) {
    session_.reset();
    database_.reset();
    world_ = std::make_unique<vopr::SimEnv>(7, image);
    return open();
  }
  void write(std::string_view sql) {
    const Statement statement{sql, {}};
    const auto done = session_->execute(std::span{&statement, 1}, {});
    ASSERT_TRUE(done) << to_string(done.error());
  }
  std::vector<Row> ask(std::string_view sql) {
    std::vector<Row> rows;
    const auto cursor = session_->query({sql, {}}, {}, {});
    EXPECT_TRUE(cursor) << to_string(cursor.error());
    while (cursor) {
      const auto more = (*cursor)->next();
      EXPECT_TRUE(more) << to_string(more.error());
      if (!more || !*more) break;
      Row& row = rows.emplace_back();
      for (const ValueView& value : (*cursor)->row()) row.push_back(own(value));
    }
    return rows;
  }
  // Rows 1 to `count`, a record each.
  void insert(int count) {
    for (int i = 0; i < count; ++i) {
      write("INSERT INTO patients VALUES (" + std::to_string(++rows_) + ", 'Boston')");
    }
  }

  std::unique_ptr<vopr::SimEnv> world_ = std::make_unique<vopr::SimEnv>(7);
  platform::MemoryStorage keys_;
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
  record::VerifierKey log_key_;
  int rows_ = 0;
};

TEST_F(ProofsTest, GivesAReceiptOfEveryRecord) {
  insert(20);
  const Position end = session_->head().value();
  for (std::uint64_t position = 1; position <= end.value(); ++position) {
    const record::Receipt receipt = session_->receipt(Position{position}, 0).value();
    const auto checked = record::verify(receipt, log_key_);
    ASSERT_TRUE(checked) << position << " " << to_string(checked.error());
    EXPECT_EQ(checked->entry().position, Position{position});
    ASSERT_TRUE(checked->opened().has_value());
    EXPECT_TRUE(record::decode_plaintext(checked->opened()->header, checked->opened()->plaintext));
    EXPECT_EQ(record::Receipt::parse(receipt.to_text()).value(), receipt);

    const record::CoseReceipt cose = session_->cose_receipt(Position{position}, {}).value();
    EXPECT_TRUE(record::verify(cose, log_key_));
    EXPECT_FALSE(cose.recorded.item.has_value()) << "nothing is disclosed unasked";
  }
  EXPECT_EQ(session_->signed_heads(100).value().size(), 1U) << "it holds all of them";
  EXPECT_EQ(session_->receipt(Position{end.value() + 1}, {}).error().code(),
            Code::not_found_position);
  EXPECT_EQ(session_->receipt(Position{}, {}).error().code(), Code::not_found_position);
  EXPECT_EQ(session_->receipt(Position{~0ULL}, {}).error().code(), Code::not_found_position);
  EXPECT_EQ(session_->receipt(Position{1}, 5).error().code(), Code::not_found_object);
}

// What stands in it, and in the key line, is the note another can check.
TEST_F(ProofsTest, HeadsAreRowsThatCanBeChecked) {
  EXPECT_EQ(ask("SELECT * FROM __heads").size(), 0U);
  std::vector<log::StoredHead> heads;
  for (int i = 0; i < 3; ++i) {
    insert(2);
    heads.push_back(session_->signed_head(Position{}).value());
  }
  const auto rows = ask("SELECT size, root, timestamp, state_digest, signatures FROM __heads");
  ASSERT_EQ(rows.size(), 3U);
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const auto size = std::get<std::int64_t>(rows[i][0]);
    const auto root = Reader{std::get<Buffer>(rows[i][1])}.array<32>();
    EXPECT_TRUE(is_null(view(rows[i][3])));
    const std::string note =
        record::to_text(
            {.origin = log_key_.name, .size = static_cast<std::uint64_t>(size), .root = root}) +
        "\n" + std::get<std::string>(rows[i][4]);
    EXPECT_EQ(note, heads[i].note());
    EXPECT_TRUE(record::check_head(note, log_key_));
  }
  // Inside a transaction, which is evaluated on a strand, and after a restart.
  ASSERT_TRUE(session_->begin({}));
  EXPECT_EQ(ask("SELECT size FROM __heads").size(), 3U);
  ASSERT_TRUE(
      session_->run({"INSERT INTO patients SELECT -size, 'signed' FROM __heads", {}}, {}, {}));
  ASSERT_TRUE(session_->commit());
  EXPECT_EQ(ask("SELECT id FROM patients WHERE city = 'signed'").size(), 3U);
  close();
  ASSERT_TRUE(open());
  EXPECT_EQ(ask("SELECT * FROM __heads").size(), 3U);
  EXPECT_FALSE(session_->run({"DELETE FROM __heads", {}}, {}, {}));
}

TEST_F(ProofsTest, SignsNoTreeTwiceAndProvesEachExtendsTheOthers) {
  std::vector<log::StoredHead> heads;
  for (int round = 0; round < 6; ++round) {
    insert(round * 3 + 1);
    heads.push_back(session_->signed_head(Position{}).value());
    EXPECT_EQ(session_->signed_head(Position{}).value().tree.size, heads.back().tree.size);
    EXPECT_EQ(session_->signed_head(Position{1}).value().tree.size, heads.back().tree.size);
  }
  EXPECT_EQ(session_->signed_heads(100).value().size(), heads.size());
  for (std::size_t older = 0; older < heads.size(); ++older) {
    EXPECT_EQ(session_->signed_head_of_size(heads[older].tree.size).value().note(),
              heads[older].note());
    EXPECT_EQ(session_->signed_head_of_size(heads[older].tree.size - 1).error().code(),
              Code::not_found_object);
    for (std::size_t newer = older; newer < heads.size(); ++newer) {
      const record::ConsistencyProof proof =
          session_->consistency(heads[older].note(), heads[newer].note()).value();
      EXPECT_TRUE(record::check_consistency(proof, log_key_));
    }
  }
  EXPECT_EQ(session_->consistency(heads[1].note(), heads[0].note()).error().code(),
            Code::not_found_position);
  // A head of another log, and one that nobody signed.
  ASSERT_TRUE(database_->create_tenant("north", {}));
  auto north = database_->session("north").value();
  const Statement table{"CREATE TABLE t (a BIGINT PRIMARY KEY)", {}};
  ASSERT_TRUE(north->execute(std::span{&table, 1}, {}));
  const log::StoredHead other = north->signed_head(Position{}).value();
  EXPECT_EQ(session_->consistency(other.note(), heads[5].note()).error().code(),
            Code::integrity_signature);
  EXPECT_NE(other.key, heads[0].key) << "a key for each log";
}

// (P1) At every I/O call: whatever signature came out is in the file that survives.
TEST_F(ProofsTest, WhatWasSignedIsStillKnownAfterACrash) {
  insert(3);
  close();
  const vopr::DiskImage image = world().storage().image();
  std::uint64_t crashes = 0;
  bool over = false;
  for (std::uint64_t call = 1; !over; ++call) {
    world_ = std::make_unique<vopr::SimEnv>(call, image, vopr::Faults{.crash_at = call});
    std::uint64_t signed_size = 0;
    if (open()) {
      for (int round = 0; round < 2; ++round) {
        const Statement statement{"UPDATE patients SET city = city || 'x'", {}};
        if (!session_->execute(std::span{&statement, 1}, {})) break;
        const auto head = session_->signed_head(Position{});
        if (!head || world().storage().frozen()) break;
        signed_size = head->tree.size;
      }
    }
    over = !world().storage().frozen();
    session_.reset();
    database_.reset();
    if (over) break;
    ++crashes;
    const Status again = reopen(world().storage().crash());
    ASSERT_TRUE(again) << call << " " << to_string(again.error());
    const auto heads = session_->signed_heads(1).value();
    ASSERT_GE(heads.empty() ? 0 : heads[0].tree.size, signed_size) << call;
    const auto next = session_->signed_head(Position{});
    ASSERT_TRUE(next) << call << " " << to_string(next.error());
    EXPECT_TRUE(record::check_head(next->note(), log_key_));
    session_.reset();
    database_.reset();
  }
  EXPECT_GT(crashes, 40U);
}

TEST_F(ProofsTest, ALogThatLostWhatItSignedIsRefused) {
  insert(3);
  close();
  const vopr::DiskImage before = world().storage().image();
  ASSERT_TRUE(open());
  insert(4);
  const std::uint64_t size = session_->signed_head(Position{}).value().tree.size;
  close();
  const std::string path = "tenants/1/data/heads";
  const Buffer heads = world().storage().image().read(path);

  // The directory of before, but for the heads.
  vopr::DiskImage rolled_back = before;
  rolled_back.write(path, heads);
  Status opened = reopen(rolled_back);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::integrity_rollback) << to_string(opened.error());
  database_.reset();
  const VerifyReport report = verify(world().storage(), {}).value();
  ASSERT_EQ(report.findings_total, 1U);
  EXPECT_EQ(report.findings[0].code, Code::integrity_rollback);
  EXPECT_EQ(report.findings[0].file, path);
  EXPECT_EQ(report.findings[0].position, Position{size});

  // As a whole it is an older directory, and nothing in it can tell.
  ASSERT_TRUE(reopen(before));
  // Written on differently to the same size, the old head is of another tree.
  rows_ = 100;
  insert(6);
  close();
  vopr::DiskImage forked = world().storage().image();
  forked.write(path, heads);
  opened = reopen(forked);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::integrity_consistency) << to_string(opened.error());
  database_.reset();
  EXPECT_EQ(verify(world().storage(), {}).value().findings.at(0).code, Code::integrity_consistency);
}

TEST_F(ProofsTest, VerifyHoldsHeadsAgainstTheKeyItIsGiven) {
  insert(3);
  const log::StoredHead head = session_->signed_head(Position{}).value();
  insert(2);
  close();
  const auto report_with = [&](const VerifyOptions& options) {
    return verify(world().storage(), options).value();
  };
  VerifyReport report = report_with({});
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.logs[1].heads, 1U);
  EXPECT_EQ(report.logs[1].heads_pinned, 0U);
  EXPECT_EQ(report.logs[1].head_size, head.tree.size);
  report = report_with({.log_keys = {log_key_}});
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.logs[1].heads_pinned, 1U);
  const record::TreeHead tree{log_key_.name, head.tree.size, head.tree.root};
  EXPECT_TRUE(report_with({.log_keys = {log_key_}, .since = {tree}}).clean());

  record::TreeHead other = tree;
  other.root[0] ^= std::byte{1};
  report = report_with({.log_keys = {log_key_}, .since = {other}});
  ASSERT_EQ(report.findings_total, 1U);
  EXPECT_EQ(report.findings[0].code, Code::integrity_consistency);
  other = tree;
  other.origin = record::origin_of(Id128{});
  report = report_with({.since = {other}});
  ASSERT_EQ(report.findings_total, 1U);
  EXPECT_EQ(report.findings[0].code, Code::integrity_signature) << "no such log is here";

  record::VerifierKey wrong = log_key_;
  wrong.key =
      crypto::SigningKey{crypto::Key256{std::array<std::byte, 32>{std::byte{9}}}}.public_key();
  report = report_with({.log_keys = {wrong}});
  EXPECT_EQ(report.findings_total, 2U);
  EXPECT_EQ(report.findings[0].code, Code::integrity_signature);
  // A directory without any head under the key is not one whose heads were checked.
  vopr::DiskImage image = world().storage().image();
  image.remove("tenants/1/data/heads");
  ASSERT_TRUE(reopen(image));
  close();
  EXPECT_TRUE(report_with({}).clean());
  report = report_with({.log_keys = {log_key_}});
  ASSERT_EQ(report.findings_total, 1U);
  EXPECT_EQ(report.findings[0].code, Code::integrity_signature);
}

TEST_F(ProofsTest, IsAskedBySeveralThreadsAtOnce) {
  insert(5);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  platform::MemoryEnv real{platform::ExecutorOptions{}};
  ASSERT_TRUE(Database::create(real.env(), *key_, {.free_bytes_reserve = 0}));
  auto database = Database::open(real.env(), *key_, {.free_bytes_reserve = 0}).value();
  {
    auto first = database->session("main").value();
    const Statement seen{"CREATE TABLE seen (size BIGINT)", {}};
    ASSERT_TRUE(first->execute(std::span{&seen, 1}, {}));
    const Statement table{"CREATE TABLE t (a BIGINT PRIMARY KEY, b BIGINT)", {}};
    ASSERT_TRUE(first->execute(std::span{&table, 1}, {}));
  }
  const auto report = database->status().value();
  const auto key = record::VerifierKey::parse(report.tenants[1].logs[0].log_key).value();
  threads.reserve(4);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      auto session = database->session("main").value();
      for (int i = 0; i < 25; ++i) {
        const std::array<Value, 2> values{Value{std::int64_t{thread * 1000 + i}},
                                          Value{std::int64_t{i}}};
        const Statement statement{"INSERT INTO t VALUES ($1, $2)", values};
        const auto done = session->execute(std::span{&statement, 1}, {});
        if (!done) return;
        const auto receipt = session->receipt(done->position, 0);
        if (!receipt || !record::verify(*receipt, key)) return;
        // On the tenant's strand, while others sign: what is listed is never ahead of the log.
        const Statement listed{"INSERT INTO seen SELECT max(size) FROM __heads", {}};
        if (!session->execute(std::span{&listed, 1}, {})) return;
        ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 100);
  auto session = database->session("main").value();
  auto listed = session->query(
      {"SELECT count(*) FROM __events WHERE stream = 'seen' AND json_extract(new, '$.size') < "
       "position",
       {}},
      {}, {});
  ASSERT_TRUE(listed && *(*listed)->next());
  EXPECT_EQ(std::get<std::int64_t>((*listed)->row()[0]), 100);
  listed->reset();
  const auto heads = session->signed_heads(1000).value();
  for (std::size_t i = 1; i < heads.size(); ++i) {
    EXPECT_GT(heads[i - 1].tree.size, heads[i].tree.size);
  }
  session.reset();
  EXPECT_TRUE(database->close());
  database.reset();
  EXPECT_TRUE(verify(real.env().storage, {}).value().clean());
}

}  // namespace
}  // namespace kimberlite::engine
