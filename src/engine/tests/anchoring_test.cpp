// Anchors in files, against a log that goes on, one that was rolled back, and one that was written
// anew under its own keys.
#include "engine/anchoring.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/verify.hpp"
#include "record/signed_head.hpp"
#include "support/script.hpp"

namespace kimberlite::engine::test {
namespace {

constexpr std::string_view place = "elsewhere";

// A database and what happens to it; the place where its heads are put is not its own.
class Anchoring : public testing::Test {
 protected:
  void SetUp() override {
    machine_ = start(fresh_disk(41));
    write(*machine_, "CREATE TABLE t (a BIGINT)");
    write(*machine_, "INSERT INTO t VALUES (1)");
  }
  // Each draws numbers of its own: request ids differ, as those of two machines do.
  std::unique_ptr<Machine> start(const vopr::DiskImage& image) {
    auto machine = std::make_unique<Machine>(++seed_, image);
    const Status opened = machine->open();
    EXPECT_TRUE(opened) << (opened ? "" : to_string(opened.error()));
    return machine;
  }
  static void write(Machine& machine, std::string_view sql) {
    const auto session = machine.database().session("main");
    ASSERT_TRUE(session);
    const auto outcome = (*session)->execute(std::array{Statement{sql, {}}}, {});
    ASSERT_TRUE(outcome) << to_string(outcome.error());
  }
  Result<log::Anchor> anchor(Machine& machine) {
    const auto session = machine.database().session("main");
    return anchor_in_directory(**session, elsewhere_.storage(), place, TimestampUs{++now_});
  }
  Result<log::Anchor> anchor_file(Machine& machine, std::string_view path) {
    const auto session = machine.database().session("main");
    return anchor_in_file(**session, elsewhere_.storage(), path, TimestampUs{++now_});
  }
  [[nodiscard]] std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const std::string& path : elsewhere_.storage().image().paths()) names.push_back(path);
    return names;
  }
  [[nodiscard]] std::string text(const std::string& path) {
    return std::string{text_of(elsewhere_.storage().image().read(path))};
  }
  static VerifyReport verified(Machine& machine) {
    EXPECT_TRUE(machine.close());
    auto report = verify(machine.storage(), {});
    EXPECT_TRUE(report);
    return report ? *std::move(report) : VerifyReport{};
  }
  // Replaces a file of the place.
  void put(const std::string& path, std::string_view text) {
    const auto file = elsewhere_.storage().open(path, env::Open::create).value();
    ASSERT_TRUE(file->truncate(0));
    ASSERT_TRUE(file->write_at(0, bytes_of(text)));
  }

  std::unique_ptr<Machine> machine_;
  vopr::SimEnv elsewhere_{7};
  std::uint64_t now_ = 0;
  std::uint64_t seed_ = 41;
};

TEST_F(Anchoring, HeadsAreWrittenOnceAndStayAsTheyAre) {
  std::vector<std::string> before;
  for (int round = 0; round < 3; ++round) {
    const auto first = anchor(*machine_);
    ASSERT_TRUE(first) << to_string(first.error());
    const std::string path =
        fmt::format("elsewhere/{}/{:020}.head", to_hex(first->log_id), first->tree.size);
    EXPECT_EQ(files().back(), path);
    EXPECT_EQ(files().size(), before.size() + 1);
    const std::string note = text(path);
    const auto session = machine_->database().session("main");
    EXPECT_EQ(note, (*session)->signed_head(Position{}).value().note());
    ASSERT_TRUE(anchor(*machine_)) << "the same head again";
    EXPECT_EQ(text(path), note);
    before = files();
    write(*machine_, fmt::format("INSERT INTO t VALUES ({})", round));
  }
  StatusReport status = machine_->database().status().value();
  ASSERT_TRUE(machine_->database().add_proofs(status));
  const LogInfo& log = status.tenants[1].logs[0];
  EXPECT_EQ(log.anchors, 6U);
  ASSERT_TRUE(log.newest_anchor);
  EXPECT_EQ(log.newest_anchor->stored_at, TimestampUs{6});
  {
    // Three heads, each put there twice.
    const auto session = machine_->database().session("main");
    const auto rows = (*session)->query({"SELECT count(*), min(anchors), max(anchors), "
                                         "sum(witnesses), count(last_anchor_age_s) FROM __heads",
                                         {}},
                                        {}, {});
    ASSERT_TRUE(rows && *(*rows)->next());
    std::vector<std::int64_t> shown;
    for (const ValueView& value : (*rows)->row()) shown.push_back(std::get<std::int64_t>(value));
    EXPECT_EQ(shown, (std::vector<std::int64_t>{3, 2, 2, 0, 3}));
  }
  const VerifyReport report = verified(*machine_);
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.logs[1].anchors, 6U);
  EXPECT_EQ(report.logs[1].newest_anchor->stored_at, TimestampUs{6});
}

// proofs.md, Tamper matrix: rewritten whole, with the signing key. `verify` cannot tell; a head
// that is elsewhere does.
TEST_F(Anchoring, AHistoryWrittenAnewUnderTheSameKeysIsCaughtElsewhereAlone) {
  ASSERT_TRUE(machine_->close());
  const vopr::DiskImage fork = machine_->storage().image();
  machine_ = start(fork);
  write(*machine_, "INSERT INTO t VALUES (2)");
  const auto seen = anchor(*machine_);
  ASSERT_TRUE(seen) << to_string(seen.error());
  const std::string path = files().back();
  const std::string note = text(path);

  const auto other = start(fork);
  auto refused = anchor(*other);
  ASSERT_FALSE(refused) << "rolled back";
  EXPECT_EQ(refused.error().code(), Code::integrity_rollback);
  EXPECT_EQ(refused.error().where(), path);
  for (int more = 0; more < 3; ++more) {
    write(*other, fmt::format("INSERT INTO t VALUES ({})", 100 + more));
    refused = anchor(*other);
    ASSERT_FALSE(refused) << more;
    EXPECT_EQ(refused.error().code(), Code::integrity_consistency);
    EXPECT_EQ(refused.error().where(), path);
  }
  EXPECT_EQ(text(path), note);
  EXPECT_EQ(files().size(), 1U) << "nothing of the other history was written there";
  // It signs as the true one does, and its bytes are in order: of itself it cannot be told.
  const auto session = other->database().session("main");
  const log::StoredHead head = (*session)->signed_head(Position{}).value();
  EXPECT_EQ(head.log_id, seen->log_id);
  EXPECT_TRUE(head.signature_holds());
  const auto key = head.verifier_key();
  EXPECT_TRUE(record::check_head(note, key)) << "under the same key";
  const VerifyReport report = verified(*other);
  EXPECT_TRUE(report.clean());
  EXPECT_GT(report.logs[1].heads, 1U);
  // With the head that is elsewhere, `verify` tells too.
  VerifyOptions options;
  options.log_keys = {key};
  options.since = {record::check_head(note, key)->tree()};
  const auto with_head = verify(other->storage(), options);
  ASSERT_TRUE(with_head);
  ASSERT_FALSE(with_head->clean());
  EXPECT_EQ(with_head->findings[0].code, Code::integrity_consistency);
  // The true history goes on.
  write(*machine_, "INSERT INTO t VALUES (3)");
  EXPECT_TRUE(anchor(*machine_));
}

TEST_F(Anchoring, WhatACrashLeftIsFinishedAndNothingElseIsTouched) {
  ASSERT_TRUE(anchor(*machine_));
  const std::string path = files().back();
  const std::string note = text(path);
  for (const bool grown : {false, true}) {
    if (grown) write(*machine_, "INSERT INTO t VALUES (4)");
    for (const std::size_t left : {std::size_t{0}, std::size_t{1}, note.size() - 1}) {
      put(path, note.substr(0, left));
      const auto again = anchor(*machine_);
      ASSERT_TRUE(again) << left << ": " << to_string(again.error());
      EXPECT_EQ(text(path), note);
      if (grown) {
        ASSERT_EQ(files().size(), 2U);
        ASSERT_TRUE(elsewhere_.storage().remove(files().back()));
      }
    }
  }
  const auto refused = [&](std::string_view changed) {
    put(path, changed);
    const auto again = anchor(*machine_);
    EXPECT_EQ(text(path), changed);
    EXPECT_EQ(files().size(), 1U);
    return again ? Code::internal_bug : again.error().code();
  };
  std::string changed = note;
  changed[changed.size() - 10] = changed[changed.size() - 10] == 'A' ? 'B' : 'A';
  EXPECT_EQ(refused(changed), Code::integrity_signature);
  EXPECT_EQ(refused("x"), Code::integrity_note);
  EXPECT_EQ(refused(note.substr(0, 5) + "x"), Code::integrity_note);
  EXPECT_EQ(refused(note + "\n"), Code::integrity_note);
}

// A head under the name of another size is no head of that size.
TEST_F(Anchoring, AFileNamesTheSizeOfItsHead) {
  const auto first = anchor(*machine_);
  ASSERT_TRUE(first);
  const std::string note = text(files().back());
  put(fmt::format("elsewhere/{}/{:020}.head", to_hex(first->log_id), first->tree.size + 1), note);
  write(*machine_, "INSERT INTO t VALUES (5)");
  write(*machine_, "INSERT INTO t VALUES (6)");
  EXPECT_EQ(anchor(*machine_).error().code(), Code::integrity_head);
  // Files that are no heads are nothing to it, nor those of another log.
  ASSERT_TRUE(elsewhere_.storage().remove(files().back()));
  put(fmt::format("elsewhere/{}/readme", to_hex(first->log_id)), "x");
  put(fmt::format("elsewhere/{}/9.head", to_hex(first->log_id)), "x");
  put("elsewhere/00/00000000000000000099.head", "x");
  EXPECT_TRUE(anchor(*machine_));
}

TEST_F(Anchoring, OneFileHoldsOneHead) {
  ASSERT_TRUE(anchor_file(*machine_, "a.head"));
  const std::string note = text("a.head");
  ASSERT_TRUE(anchor_file(*machine_, "a.head")) << "the same";
  put("a.head", note.substr(0, 20));
  ASSERT_TRUE(anchor_file(*machine_, "a.head")) << "finished";
  EXPECT_EQ(text("a.head"), note);
  ASSERT_TRUE(machine_->close());
  const vopr::DiskImage fork = machine_->storage().image();
  machine_ = start(fork);
  write(*machine_, "INSERT INTO t VALUES (7)");
  EXPECT_EQ(anchor_file(*machine_, "a.head").error().code(), Code::constraint_exists);
  ASSERT_TRUE(anchor_file(*machine_, "b.head"));
  const auto other = start(fork);
  EXPECT_EQ(anchor_file(*other, "b.head").error().code(), Code::integrity_rollback);
  write(*other, "INSERT INTO t VALUES (8)");
  EXPECT_EQ(anchor_file(*other, "b.head").error().code(), Code::integrity_consistency);
  EXPECT_EQ(text("a.head"), note);
}

// An anchor is of a head of this log, with evidence that holds: anything else is not stored.
TEST_F(Anchoring, NothingElseIsStored) {
  const auto good = anchor(*machine_);
  ASSERT_TRUE(good);
  const auto session = machine_->database().session("main").value();
  const auto refused = [&](const log::Anchor& anchor) {
    const Status added = session->add_anchor(anchor);
    return added ? Code::internal_bug : added.error().code();
  };
  log::Anchor other = *good;
  other.tree.size += 1;
  EXPECT_EQ(refused(other), Code::integrity_anchor);
  other = *good;
  other.tree.root[0] ^= std::byte{1};
  EXPECT_EQ(refused(other), Code::integrity_anchor);
  other = *good;
  other.log_id[0] ^= std::byte{1};
  EXPECT_EQ(refused(other), Code::integrity_anchor);
  other = *good;
  other.kind = log::AnchorKind::timestamp;
  EXPECT_EQ(refused(other), Code::integrity_anchor);
  StatusReport status = machine_->database().status().value();
  ASSERT_TRUE(machine_->database().add_proofs(status));
  EXPECT_EQ(status.tenants[1].logs[0].anchors, 1U);
}

TEST_F(Anchoring, FilesAreInspected) {
  ASSERT_TRUE(anchor(*machine_));
  ASSERT_TRUE(machine_->close());
  for (const auto& [file, kind] :
       {std::pair{"heads", "signed heads"}, std::pair{"anchors", "anchors"}}) {
    const std::string path = fmt::format("tenants/1/data/{}", file);
    const auto inspection = inspect(machine_->storage(), path);
    ASSERT_TRUE(inspection) << to_string(inspection.error());
    EXPECT_EQ(inspection->kind, kind);
    EXPECT_TRUE(inspection->findings.empty());
    ASSERT_EQ(inspection->ranges.size(), 1U);
    EXPECT_FALSE(inspection->ranges[0].unused);
    EXPECT_TRUE(inspection->ranges[0].what.contains("head of ")) << inspection->ranges[0].what;
    // Cut off: what is left is a tail, or damage.
    vopr::DiskImage image = machine_->storage().image();
    image.truncate(path, 100);
    vopr::SimEnv world{3, image};
    const auto cut = inspect(world.storage(), path);
    ASSERT_TRUE(cut);
    std::uint64_t size = 0;
    for (const FileRange& range : cut->ranges) size += range.size;
    EXPECT_EQ(size, 100U);
  }
}

}  // namespace
}  // namespace kimberlite::engine::test
