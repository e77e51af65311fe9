// Backups, restores and drills, on a simulated machine.
#include "engine/backup.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "engine/database.hpp"
#include "engine/verify.hpp"
#include "golden.hpp"
#include "platform/env.hpp"
#include "support/script.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::engine::test {
namespace {

// A repository on a disk of its own.
struct Repository {
  explicit Repository(std::uint64_t seed, const vopr::DiskImage& image = {},
                      vopr::Faults faults = {})
      : world(seed, image, std::move(faults)) {}
  [[nodiscard]] env::Storage& storage() { return world.storage(); }
  [[nodiscard]] vopr::DiskImage image() { return world.storage().image(); }
  vopr::SimEnv world;
};

RestoreOptions restore_options(RestoreUntil until = {}) {
  return {.until = std::move(until),
          .actor = "os:ann",
          .reason = "the disk is gone",
          .ring_size = create_options().ring_size,
          .simulated = true};
}

std::map<std::string, Position> positions_of(Database& database) {
  std::map<std::string, Position> positions;
  const auto status = database.status();
  EXPECT_TRUE(status);
  if (!status) return positions;
  for (const TenantInfo& tenant : status->tenants) {
    if (tenant.id != TenantId{} && tenant.logs[0].position != Position{}) {
      positions[tenant.name] = tenant.logs[0].position;
    }
  }
  return positions;
}

// Restores onto a fresh disk, verifies it, opens it, and compares every past answer there is.
void check_restored(Repository& repository, const BackupText& backup, Bytes escrow,
                    Database& original, const RestoreUntil& until, std::uint64_t seed) {
  const auto fresh = std::make_unique<vopr::SimEnv>(seed);
  const auto restored = restore(repository.storage(), backup, fresh->env(), master_key(), escrow,
                                restore_options(until));
  ASSERT_TRUE(restored) << to_string(restored.error());
  const VerifyReport report = verify(fresh->storage(), {}).value();
  ASSERT_TRUE(report.clean()) << report.findings.front().what << " "
                              << report.findings.front().file;
  {
    auto database = Database::open(fresh->env(), master_key(), open_options());
    ASSERT_TRUE(database) << to_string(database.error());
    for (const RestoreReport::Log& log : restored->logs) {
      if (log.lane != 0 || log.tenant == TenantId{} || log.restored.position == Position{})
        continue;
      vopr::Prng prng{seed, log.tenant.value()};
      std::vector<Position> asked{log.restored.position};
      for (int i = 0; i < 3; ++i) asked.emplace_back(1 + prng.below(log.restored.position.value()));
      for (const Position position : asked) {
        const auto there = (*database)->dump(log.tenant_name, position);
        const auto here = original.dump(log.tenant_name, position);
        ASSERT_TRUE(there) << to_string(there.error());
        ASSERT_TRUE(here);
        ASSERT_EQ(*there, *here) << log.tenant_name << " as of " << position.value();
      }
      // Life goes on, under a new name, and the old records are proved by the new log's head.
      auto session = (*database)->session(log.tenant_name).value();
      const Position next{log.restored.position.value() + 1};
      const auto records = session->records(next, 1).value();
      ASSERT_EQ(records.size(), 1U);
      ASSERT_EQ(records[0].kind, "begin_epoch");
      ASSERT_EQ(records[0].reason, "the disk is gone");
      ASSERT_EQ(records[0].actor, "os:ann");
      const auto key = record::VerifierKey::parse(log.log_key).value();
      const auto receipt = session->receipt(Position{1}, {});
      ASSERT_TRUE(receipt) << to_string(receipt.error());
      ASSERT_TRUE(record::verify(*receipt, key));
      ASSERT_EQ(key.name, record::origin_of(log.log_id));
      ASSERT_NE(log.log_id, log.old_log_id);
      const Event event{"Noted", bytes_of("after")};
      const auto appended = session->append("s9", {}, std::span{&event, 1}, {});
      ASSERT_TRUE(appended) << to_string(appended.error());
    }
    ASSERT_TRUE((*database)->create_tenant("made-after", {}));
    ASSERT_TRUE((*database)->close());
  }
  ASSERT_TRUE(verify(fresh->storage(), {}).value().clean());
}

class BackupTest : public ::testing::Test {
 protected:
  // A machine that has done the first `steps` of a script.
  void SetUp() override {
    script_ = make_script(5, 400);
    machine_ = std::make_unique<Machine>(5, fresh_disk(5));
    ASSERT_TRUE(machine_->open());
    live(60);
    anchor();
  }
  // The newest head of the log of `main`, as if it had been put into a file.
  void anchor() {
    const auto session = database().session("main");
    ASSERT_TRUE(session);
    const auto head = (*session)->signed_head(Position{});
    ASSERT_TRUE(head) << to_string(head.error());
    const Status added = (*session)->add_anchor({.kind = log::AnchorKind::file,
                                                 .log_id = head->log_id,
                                                 .tree = head->tree,
                                                 .stored_at = TimestampUs{++anchored_},
                                                 .target = "file"});
    ASSERT_TRUE(added) << to_string(added.error());
  }
  // Of the log of `main`.
  static const VerifiedLog& main_log(const VerifyReport& report) {
    const auto found = std::ranges::find_if(report.logs, [](const VerifiedLog& log) {
      return log.tenant == TenantId{1} && log.lane == "data";
    });
    EXPECT_TRUE(found != report.logs.end());
    return *found;
  }
  void live(std::size_t steps) {
    for (std::size_t i = 0; i < steps && done_ < script_.size(); ++i, ++done_) {
      static_cast<void>(machine_->run(script_[done_], done_));
    }
  }
  [[nodiscard]] Database& database() { return machine_->database(); }

  std::vector<Step> script_;
  std::size_t done_ = 0;
  std::uint64_t anchored_ = 0;
  std::unique_ptr<Machine> machine_;
  Repository repository_{6};
};

TEST_F(BackupTest, GivesBackEveryPastAnswer) {
  std::vector<BackupText> backups;
  std::uint64_t copied = 0;
  for (int round = 0; round < 5; ++round) {
    const auto made = database().back_up(repository_.storage());
    ASSERT_TRUE(made) << to_string(made.error());
    EXPECT_TRUE(made->made);
    backups.push_back(made->backup);
    copied += made->copied;
    const auto again = database().back_up(repository_.storage());
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->made) << "nothing happened since";
    EXPECT_EQ(again->copied, 0U);
    live(40);
  }
  EXPECT_EQ(list_backups(repository_.storage()).value(), backups);
  const Buffer escrow = database().escrow().value();
  std::uint64_t bytes = 0;
  const vopr::DiskImage image = repository_.image();
  for (const std::string& path : image.paths()) {
    if (path.starts_with("tenants/")) bytes += image.size(path);
  }
  // A sealed segment's footer, or a head, may have been copied with what came before it.
  EXPECT_LT(copied, bytes + 16384) << "each backup copies only what is new";
  for (std::size_t i = 0; i < backups.size(); ++i) {
    ASSERT_EQ(find_backup(repository_.storage(), backups[i].op).value(), backups[i]);
    const VerifyReport report = verify_backup(repository_.storage(), backups[i], {}).value();
    ASSERT_TRUE(report.clean()) << report.findings.front().what;
    ASSERT_NO_FATAL_FAILURE(
        check_restored(repository_, backups[i], escrow, database(), {}, 100 + i));
  }
  EXPECT_EQ(find_backup(repository_.storage(), OpNumber{1}).error().code(), Code::not_found_object);

  // A key from elsewhere: the log's own, and one that nothing here is signed by.
  const StatusReport status = database().status().value();
  VerifyOptions options;
  options.log_keys.push_back(record::VerifierKey::parse(status.tenants[1].logs[0].log_key).value());
  EXPECT_TRUE(verify_backup(repository_.storage(), backups.back(), options).value().clean());
  options.log_keys[0].name = record::origin_of(Id128{});
  const VerifyReport report = verify_backup(repository_.storage(), backups.back(), options).value();
  ASSERT_EQ(report.findings_total, 1U);
  EXPECT_EQ(report.findings[0].code, Code::integrity_signature);
}

TEST_F(BackupTest, GoesBackToAnyMoment) {
  const BackupText backup = database().back_up(repository_.storage()).value().backup;
  const Buffer escrow = database().escrow().value();
  auto session = database().session("main").value();
  const Position head = session->head().value();
  for (std::uint64_t position = 1; position <= head.value(); position += 3) {
    ASSERT_NO_FATAL_FAILURE(check_restored(repository_, backup, escrow, database(),
                                           RestorePosition{"main", Position{position}}, position));
    const TimestampUs time = session->records(Position{position}, 1).value()[0].timestamp;
    ASSERT_NO_FATAL_FAILURE(
        check_restored(repository_, backup, escrow, database(), time, 1000 + position));
  }
  const auto refused = [&](const RestoreUntil& until) {
    vopr::SimEnv fresh{1};
    const auto restored = restore(repository_.storage(), backup, fresh.env(), master_key(), escrow,
                                  restore_options(until));
    EXPECT_FALSE(fresh.storage().image().contains("superblock"));
    return restored ? Code::internal_bug : restored.error().code();
  };
  EXPECT_EQ(refused(RestorePosition{"main", Position{head.value() + 1}}), Code::not_found_position);
  EXPECT_EQ(refused(RestorePosition{"main", Position{}}), Code::not_found_position);
  EXPECT_EQ(refused(RestorePosition{"nobody", Position{1}}), Code::not_found_tenant);
  EXPECT_EQ(refused(TimestampUs{backup.timestamp.value() + 1}), Code::not_found_time);
}

TEST_F(BackupTest, NeedsTheKeysThatAreNotInIt) {
  const Buffer old_escrow = database().escrow().value();
  ASSERT_TRUE(database().create_tenant("late", {}));
  auto late = database().session("late").value();
  const Statement table{"CREATE TABLE t (a BIGINT PRIMARY KEY)", {}};
  ASSERT_TRUE(late->execute(std::span{&table, 1}, {}));
  late.reset();
  const BackupText backup = database().back_up(repository_.storage()).value().backup;
  const auto refused = [&](Bytes escrow, keystore::MasterKey& master) {
    vopr::SimEnv fresh{1};
    const auto restored =
        restore(repository_.storage(), backup, fresh.env(), master, escrow, restore_options());
    EXPECT_FALSE(fresh.storage().image().contains("superblock"));
    return restored ? Code::internal_bug : restored.error().code();
  };
  const Code older = refused(old_escrow, master_key());
  EXPECT_TRUE(older == Code::unavailable_escrow || older == Code::not_found_tenant) << name(older);
  Buffer damaged = database().escrow().value();
  damaged[damaged.size() / 2] ^= std::byte{1};
  EXPECT_EQ(refused(damaged, master_key()), Code::integrity_keystore);
  EXPECT_EQ(refused({}, master_key()), Code::integrity_keystore);
  vopr::SimEnv other{9};
  auto wrong = keystore::FileMasterKey::create(other.storage(), "key", other.env().random).value();
  EXPECT_EQ(refused(database().escrow().value(), *wrong), Code::unavailable_wrong_key);
  // Nothing in the repository opens anything: no key is in it, wrapped or not.
  const vopr::DiskImage image = repository_.image();
  for (const std::string& path : image.paths()) {
    EXPECT_TRUE(path.starts_with("tenants/") || path.starts_with("backups/") || path == "lock")
        << path;
  }
  // It is not restored over something else.
  Machine occupied{3, fresh_disk(3)};
  EXPECT_EQ(restore(repository_.storage(), backup, occupied.world().env(), master_key(),
                    database().escrow().value(), restore_options())
                .error()
                .code(),
            Code::usage_not_empty);
}

TEST_F(BackupTest, IsRefusedWhereAnotherHistoryLies) {
  ASSERT_TRUE(database().back_up(repository_.storage()));
  // Another cluster's.
  Machine other{11, fresh_disk(11)};
  ASSERT_TRUE(other.open());
  const vopr::DiskImage before = repository_.image();
  EXPECT_EQ(other.database().back_up(repository_.storage()).error().code(), Code::integrity_backup);
  EXPECT_TRUE(other.close());
  // The same one's, restored to an earlier moment and written on.
  const Buffer escrow = database().escrow().value();
  const BackupText backup = find_backup(repository_.storage(), {}).value();
  vopr::SimEnv fresh{12};
  ASSERT_TRUE(restore(repository_.storage(), backup, fresh.env(), master_key(), escrow,
                      restore_options(RestorePosition{"main", Position{3}})));
  {
    auto forked = Database::open(fresh.env(), master_key(), open_options()).value();
    EXPECT_EQ(forked->back_up(repository_.storage()).error().code(), Code::integrity_backup);
    // In a place of its own it is fine, and can be restored in its turn.
    Repository own{13};
    const auto made = forked->back_up(own.storage());
    ASSERT_TRUE(made) << to_string(made.error());
    ASSERT_NO_FATAL_FAILURE(
        check_restored(own, made->backup, forked->escrow().value(), *forked, {}, 14));
    ASSERT_TRUE(forked->close());
  }
  // A directory of something else.
  vopr::DiskImage stranger;
  stranger.write("letters", bytes_of("x"));
  Repository letters{15, stranger};
  EXPECT_EQ(database().back_up(letters.storage()).error().code(), Code::usage_not_empty);
  const vopr::DiskImage after = repository_.image();
  for (const std::string& path : before.paths()) {
    if (path == "lock") continue;
    EXPECT_EQ(after.read(path), before.read(path)) << path;
  }
}

// The next one would go on behind the damage.
TEST_F(BackupTest, DamageWhereTheLastOneEndedIsNoOtherHistory) {
  ASSERT_TRUE(database().back_up(repository_.storage()));
  live(20);
  const vopr::DiskImage whole = repository_.image();
  const std::string path = "tenants/1/data/00000000000000000001.segment";
  vopr::DiskImage image = whole;
  image.flip(path, whole.size(path) - 1, std::byte{1});
  Repository damaged{19, image};
  const auto refused = database().back_up(damaged.storage());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::integrity_backup);
  const std::string said = to_string(refused.error());
  EXPECT_TRUE(said.contains(path) && said.contains("is damaged there, or the backup's is")) << said;
  EXPECT_EQ(find_backup(damaged.storage(), {})->op, find_backup(repository_.storage(), {})->op);
  EXPECT_TRUE(database().back_up(repository_.storage())->made);
}

TEST_F(BackupTest, EveryDamageIsFound) {
  const BackupText backup = database().back_up(repository_.storage()).value().backup;
  const Buffer escrow = database().escrow().value();
  const vopr::DiskImage whole = repository_.image();
  vopr::Prng prng{77, 1};
  std::uint64_t restores = 0;
  for (const std::string& path : whole.paths()) {
    if (path == "lock" || whole.size(path) == 0) continue;
    for (int i = 0; i < 12; ++i) {
      vopr::DiskImage image = whole;
      image.flip(path, prng.below(whole.size(path)), static_cast<std::byte>(1U << prng.below(8)));
      Repository damaged{16, image};
      const auto found = find_backup(damaged.storage(), {});
      if (path.starts_with("backups/")) {
        ASSERT_EQ(found.error().code(), Code::integrity_backup);
        continue;
      }
      ASSERT_FALSE(verify_backup(damaged.storage(), *found, {}).value().clean()) << path;
      if (i > 2) continue;
      vopr::SimEnv fresh{17};
      const auto restored =
          restore(damaged.storage(), *found, fresh.env(), master_key(), escrow, restore_options());
      ASSERT_FALSE(restored) << path << ": restored from damaged bytes";
      ASSERT_EQ(class_of(restored.error().code()), ErrorClass::integrity)
          << to_string(restored.error());
      ASSERT_FALSE(fresh.storage().image().contains("superblock"));
      ++restores;
    }
  }
  EXPECT_GT(restores, 10U);
  vopr::DiskImage image = whole;
  image.remove("tenants/1/data/00000000000000000001.segment");
  Repository missing{18, image};
  EXPECT_FALSE(verify_backup(missing.storage(), backup, {}).value().clean());
}

TEST_F(BackupTest, CarriesAnchors) {
  anchor();
  const Position anchored = database().session("main").value()->head().value();
  const auto first = database().back_up(repository_.storage());
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(main_log(verify_backup(repository_.storage(), first->backup, {}).value()).anchors, 2U);
  // Anchored since, and nothing written: it is added to the backup of that operation.
  anchor();
  const auto added = database().back_up(repository_.storage());
  ASSERT_TRUE(added) << to_string(added.error());
  EXPECT_TRUE(added->made);
  EXPECT_EQ(added->copied, log::anchor_alignment) << "one anchor, and nothing else";
  EXPECT_EQ(added->backup.op, first->backup.op);
  EXPECT_EQ(list_backups(repository_.storage()).value(), std::vector{added->backup});
  EXPECT_FALSE(database().back_up(repository_.storage()).value().made);
  live(40);
  anchor();
  ASSERT_GT(database().session("main").value()->head().value(), anchored);
  const BackupText backup = database().back_up(repository_.storage()).value().backup;
  const VerifyReport whole = verify_backup(repository_.storage(), backup, {}).value();
  ASSERT_TRUE(whole.clean()) << whole.findings.front().what;
  EXPECT_EQ(main_log(whole).anchors, 4U);
  EXPECT_EQ(main_log(whole).newest_anchor->stored_at, TimestampUs{4});

  // They come back with the records their heads are of; those of later records do not.
  const Buffer escrow = database().escrow().value();
  const auto restored_anchors = [&](const RestoreUntil& until) {
    vopr::SimEnv fresh{31};
    const auto restored = restore(repository_.storage(), backup, fresh.env(), master_key(), escrow,
                                  restore_options(until));
    EXPECT_TRUE(restored) << to_string(restored.error());
    const VerifyReport report = verify(fresh.storage(), {}).value();
    EXPECT_TRUE(report.clean()) << report.findings.front().what;
    return main_log(report).anchors;
  };
  EXPECT_EQ(restored_anchors({}), 4U);
  EXPECT_EQ(restored_anchors(RestorePosition{"main", anchored}), 3U);
  EXPECT_EQ(restored_anchors(RestorePosition{"main", Position{anchored.value() - 1}}), 0U);
}

TEST_F(BackupTest, ProofsThatWereCutOffAreMissed) {
  const BackupText backup = database().back_up(repository_.storage()).value().backup;
  const Buffer escrow = database().escrow().value();
  for (const auto& [name, size] : {std::pair{log::heads_name, log::head_record_size},
                                   std::pair{log::anchors_name, log::anchor_alignment}}) {
    const std::string path = fmt::format("tenants/1/data/{}", name);
    const std::uint64_t whole = repository_.image().size(path);
    ASSERT_GE(whole, size);
    const auto look = [&](const vopr::DiskImage& image, std::uint64_t at) {
      Repository cut{32, image};
      const VerifyReport report = verify_backup(cut.storage(), backup, {}).value();
      ASSERT_FALSE(report.clean());
      EXPECT_EQ(report.findings[0].code, Code::integrity_missing_file);
      EXPECT_EQ(report.findings[0].file, path);
      EXPECT_EQ(report.findings[0].offset, at);
      vopr::SimEnv fresh{33};
      EXPECT_FALSE(
          restore(cut.storage(), backup, fresh.env(), master_key(), escrow, restore_options()));
    };
    vopr::DiskImage shorter = repository_.image();
    shorter.write(path, Bytes{shorter.read(path)}.first(whole - size));
    ASSERT_NO_FATAL_FAILURE(look(shorter, whole - size)) << path;
    vopr::DiskImage gone = repository_.image();
    gone.remove(path);
    ASSERT_NO_FATAL_FAILURE(look(gone, 0)) << path;
  }
}

// Heads are many: a backup copies what was signed since the one before.
TEST_F(BackupTest, CopiesNoHeadTwice) {
  const auto session = database().session("main").value();
  for (int i = 0; i < 100; ++i) {
    const Event event{"Noted", bytes_of("x")};
    ASSERT_TRUE(session->append("s9", {}, std::span{&event, 1}, {}));
    ASSERT_TRUE(session->signed_head(Position{}));
  }
  const BackupReport first = database().back_up(repository_.storage()).value();
  ASSERT_GT(first.copied, 100 * log::head_record_size);
  const Event event{"Noted", bytes_of("x")};
  ASSERT_TRUE(session->append("s9", {}, std::span{&event, 1}, {}));
  const BackupReport second = database().back_up(repository_.storage()).value();
  const auto total = [](const BackupText& backup) {
    std::uint64_t bytes = 0;
    for (const BackupLog& log : backup.logs) bytes += log.head.bytes + log.heads + log.anchors;
    return bytes;
  };
  EXPECT_EQ(second.copied, total(second.backup) - total(first.backup));
  EXPECT_LT(second.copied, 2 * log::head_record_size + 1024);
}

// A copy of what cannot be read is no backup; what an earlier one has is not asked for again.
TEST_F(BackupTest, WhatHasRottedIsNotCopied) {
  Repository earlier{7};
  ASSERT_TRUE(database().back_up(earlier.storage()));
  {
    const auto file =
        machine_->storage().open("tenants/1/data/00000000000000000001.segment", env::Open::write);
    ASSERT_TRUE(file) << to_string(file.error());
    std::array<std::byte, 1> byte{};
    ASSERT_EQ((*file)->read_at(700, byte).value(), 1U);
    byte[0] ^= std::byte{1};
    ASSERT_TRUE((*file)->write_at(700, byte));
  }
  const auto refused = database().back_up(repository_.storage());
  ASSERT_FALSE(refused);
  EXPECT_EQ(class_of(refused.error().code()), ErrorClass::integrity) << to_string(refused.error());
  EXPECT_TRUE(list_backups(repository_.storage()).value().empty());
  live(30);
  const auto next = database().back_up(earlier.storage());
  ASSERT_TRUE(next) << to_string(next.error());
  EXPECT_TRUE(verify_backup(earlier.storage(), next->backup, {}).value().clean());
}

// A crash in the middle leaves the backups there were, or one more; never part of one.
TEST_F(BackupTest, ACrashWhileItIsTakenLeavesWhatWasThere) {
  const BackupText first = database().back_up(repository_.storage()).value().backup;
  live(30);
  anchor();
  const vopr::DiskImage before = repository_.image();
  const Buffer escrow = database().escrow().value();
  std::uint64_t crashes = 0;
  for (std::uint64_t call = 1;; ++call) {
    Repository unlucky{call, before, {.crash_at = call}};
    const auto made = database().back_up(unlucky.storage());
    if (!unlucky.world.storage().frozen()) break;
    ++crashes;
    Repository left{call, unlucky.world.storage().crash()};
    const auto backups = list_backups(left.storage());
    ASSERT_TRUE(backups) << call << ": " << to_string(backups.error());
    ASSERT_GE(backups->size(), 1U);
    ASSERT_EQ(backups->front(), first);
    for (const BackupText& backup : *backups) {
      const VerifyReport report = verify_backup(left.storage(), backup, {}).value();
      ASSERT_TRUE(report.clean()) << call << ": " << report.findings.front().what;
    }
    // The next one goes on from there.
    const auto next = database().back_up(left.storage());
    ASSERT_TRUE(next) << call << ": " << to_string(next.error());
    ASSERT_TRUE(verify_backup(left.storage(), next->backup, {}).value().clean()) << call;
    if (call % 5 == 0) {
      ASSERT_NO_FATAL_FAILURE(
          check_restored(left, next->backup, escrow, database(), {}, 300 + call));
    }
  }
  EXPECT_GT(crashes, 10U);
}

TEST_F(BackupTest, ACrashWhileItIsRestoredLeavesNoDatabase) {
  const BackupText backup = database().back_up(repository_.storage()).value().backup;
  const Buffer escrow = database().escrow().value();
  std::uint64_t opened = 0;
  std::uint64_t refused = 0;
  bool over = false;
  for (std::uint64_t call = 1; !over; ++call) {
    vopr::SimEnv unlucky{call, {}, {.crash_at = call}};
    static_cast<void>(restore(repository_.storage(), backup, unlucky.env(), master_key(), escrow,
                              restore_options())
                          .has_value());
    over = !unlucky.storage().frozen();
    if (over) break;
    vopr::SimEnv left{call, unlucky.storage().crash()};
    auto database = Database::open(left.env(), master_key(), open_options());
    if (!database) {
      const Code code = database.error().code();
      ASSERT_TRUE(code == Code::usage_not_ours || code == Code::integrity_superblock)
          << to_string(database.error());
      ++refused;
      continue;
    }
    // All of it is there, or nothing.
    ++opened;
    const auto positions = positions_of(**database);
    for (const auto& [tenant, position] : positions_of(this->database())) {
      ASSERT_EQ(positions.at(tenant).value(), position.value() + 1) << tenant;
    }
    ASSERT_TRUE((*database)->close());
    database->reset();
    ASSERT_TRUE(verify(left.storage(), {}).value().clean());
  }
  EXPECT_GT(refused, 20U);
  static_cast<void>(opened);
}

TEST_F(BackupTest, ADrillComparesWhatItRestored) {
  const BackupText backup = database().back_up(repository_.storage()).value().backup;
  live(30);
  {
    vopr::SimEnv scratch{21};
    const auto report = drill(database(), repository_.storage(), backup, scratch.env(),
                              master_key(), restore_options());
    ASSERT_TRUE(report) << to_string(report.error());
    EXPECT_EQ(report->logs, backup.logs.size());
    EXPECT_GE(report->tenants, 1U);
  }
  vopr::DiskImage image = repository_.image();
  image.flip("tenants/1/data/00000000000000000001.segment", 700);
  Repository damaged{22, image};
  vopr::SimEnv scratch{23};
  EXPECT_FALSE(
      drill(database(), damaged.storage(), backup, scratch.env(), master_key(), restore_options()));
}

TEST(BackupText, AcceptsNothingButWhatItWrites) {
  Machine machine{5, fresh_disk(5)};
  ASSERT_TRUE(machine.open());
  Repository repository{6};
  const BackupText backup = machine.database().back_up(repository.storage()).value().backup;
  const std::string text = backup.to_text();
  EXPECT_EQ(BackupText::parse(text).value(), backup);
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_EQ(BackupText::parse(changed).error().code(), Code::integrity_backup) << at;
    EXPECT_FALSE(BackupText::parse(text.substr(0, at)).has_value());
  }
  EXPECT_FALSE(BackupText::parse(text + "\n").has_value());
  EXPECT_TRUE(machine.close());
}

TEST(Golden, Engine) {
  golden::File file{"engine.txt"};
  file.comment("Formats of the engine layer. Made by engine_tests, Golden.Engine.");
  BackupText backup{.op = OpNumber{300}, .timestamp = TimestampUs{1'700'000'000'000'000}};
  backup.cluster.fill(std::byte{0xC1});
  backup.state.fill(std::byte{0x5A});
  for (std::uint16_t lane = 0; lane < 2; ++lane) {
    BackupLog& log = backup.logs.emplace_back();
    log.tenant = TenantId{1};
    log.lane = lane;
    log.log_id.fill(std::byte{0x10});
    log.heads = 512;
    log.anchors = 1024;
    for (std::uint8_t i = 0; i < 5; ++i) {
      record::advance_in_place(log.head, Hash{std::byte{i}}, 160);
    }
  }
  file.check("backup_text", bytes_of(backup.to_text()));
}

// Written to while it is taken: what was restored is what was there at one moment.
TEST(BackupUnderLoad, GivesOneMomentOfALogThatGoesOn) {
  const std::uint64_t rounds = option("--rounds=", 10);
  platform::MemoryEnv world{platform::ExecutorOptions{}};
  CreateOptions create = create_options();
  create.simulated = false;
  ASSERT_TRUE(Database::create(world.env(), master_key(), create));
  Options options = open_options();
  options.simulated = false;
  auto database = Database::open(world.env(), master_key(), options).value();
  {
    auto session = database->session("main").value();
    const Statement table{"CREATE TABLE t (a BIGINT PRIMARY KEY, b BIGINT)", {}};
    ASSERT_TRUE(session->execute(std::span{&table, 1}, {}));
  }
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> written = 0;
  std::atomic<std::uint64_t> round = 0;
  // Under way all the time, and not so far ahead on a slow machine that no round ends.
  constexpr std::uint64_t ahead_max = 400;
  std::vector<std::thread> writers;
  writers.reserve(2);
  for (int thread = 0; thread < 2; ++thread) {
    writers.emplace_back([&, thread] {
      auto session = database->session("main").value();
      for (std::int64_t i = 0; !over; ++i) {
        while (!over && written >= (round + 1) * ahead_max) {
          std::this_thread::sleep_for(std::chrono::microseconds{100});
        }
        const std::array<Value, 2> values{Value{std::int64_t{thread} * 10'000'000 + i}, Value{i}};
        const Statement insert{"INSERT INTO t VALUES ($1, $2)", values};
        if (!session->execute(std::span{&insert, 1}, {})) return;
        ++written;
      }
    });
  }
  platform::MemoryStorage repository;
  std::uint64_t made = 0;
  for (; round < rounds; ++round) {
    while (written < (round + 1) * 20) std::this_thread::yield();
    const auto backup = database->back_up(repository);
    ASSERT_TRUE(backup) << to_string(backup.error());
    if (backup->made) ++made;
    ASSERT_TRUE(verify_backup(repository, backup->backup, {}).value().clean());
    platform::MemoryEnv scratch{platform::ExecutorOptions{}};
    RestoreOptions restore = restore_options();
    restore.simulated = false;
    const auto report =
        drill(*database, repository, backup->backup, scratch.env(), master_key(), restore);
    ASSERT_TRUE(report) << to_string(report.error());
  }
  over = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(made, rounds);
  EXPECT_TRUE(database->close());
}

}  // namespace
}  // namespace kimberlite::engine::test
