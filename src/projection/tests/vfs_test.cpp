#include "projection/vfs.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <set>
#include <thread>

#include "passing_storage.hpp"
#include "platform/env.hpp"
#include "support/sealed_database.hpp"
#include "vopr/sim_env.hpp"

namespace kimberlite::projection {
namespace {

using vopr::DiskImage;
using vopr::Prng;
using vopr::SimEnv;

constexpr const char* wal_name = "tenants/1/projection.db-wal";
const std::string dump_all = "SELECT * FROM t ORDER BY k; SELECT * FROM u ORDER BY a, b";
const std::string two_tables =
    "CREATE TABLE t(k INTEGER PRIMARY KEY, v TEXT); CREATE TABLE u(a, b, PRIMARY KEY(a, b)) "
    "WITHOUT ROWID; CREATE INDEX t_v ON t(v)";

// The long ones take a sample unless KIMBERLITE_LONG_TESTS is set.
std::uint64_t sampled(std::uint64_t stride) {
  return std::getenv("KIMBERLITE_LONG_TESTS") != nullptr ? 1 : stride;
}

TEST(Vfs, ADatabaseIsBornInWalModeAndKeepsItsRows) {
  SimEnv world{1};
  const auto vfs = test_vfs(world.env());
  {
    SealedConnection db{vfs.get()};
    EXPECT_EQ(db.query("PRAGMA journal_mode"), "wal\n");
    EXPECT_EQ(db.query("PRAGMA page_size"), "4096\n");
    EXPECT_EQ(db.run("CREATE TABLE t(a); INSERT INTO t VALUES('one'), ('two')"), SQLITE_OK);
  }
  SealedConnection again{vfs.get(), SQLITE_OPEN_READWRITE};
  EXPECT_EQ(again.query("SELECT a FROM t"), "one\ntwo\n");
  EXPECT_EQ(again.query("PRAGMA integrity_check"), "ok\n");
  EXPECT_FALSE(vfs->take_error());
}

TEST(Vfs, WithoutCreateThereMustBeADatabase) {
  SimEnv world{1};
  const auto vfs = test_vfs(world.env());
  const SealedConnection db{vfs.get(), SQLITE_OPEN_READWRITE};
  EXPECT_EQ(db.opened(), SQLITE_CANTOPEN);
  EXPECT_EQ(vfs->take_error()->code(), Code::not_found_file);
}

TEST(Vfs, RefusesEveryFileButItsTwo) {
  SimEnv world{1};
  const auto vfs = test_vfs(world.env());
  SealedConnection db{vfs.get()};
  ASSERT_EQ(db.run("CREATE TABLE t(a)"), SQLITE_OK);
  EXPECT_FALSE(vfs->take_error());
  EXPECT_NE(db.run("ATTACH 'other.db' AS o"), SQLITE_OK);
  EXPECT_TRUE(vfs->take_error());
  EXPECT_EQ(world.storage().image().paths(), (std::vector<std::string>{test_path, wal_name}));
}

// One random statement; `big` ones outgrow a cache of ten pages.
std::string random_statement(Prng& prng) {
  const std::uint64_t key = prng.below(500);
  const std::string text(static_cast<std::size_t>(prng.below(1500)),
                         static_cast<char>('a' + prng.below(26)));
  switch (prng.below(9)) {
    case 0:
    case 1:
    case 2:
      return fmt::format("INSERT OR REPLACE INTO t VALUES({}, '{}')", key, text);
    case 3:
      return fmt::format("UPDATE t SET v = v || '{}' WHERE k BETWEEN {} AND {}", key, key,
                         key + 20);
    case 4:
      return fmt::format("DELETE FROM t WHERE k BETWEEN {} AND {}", key, key + 5);
    case 5:
      return fmt::format("INSERT OR IGNORE INTO u SELECT k % 50, k * {} FROM t", key);
    case 6:
      return fmt::format("DELETE FROM u WHERE a = {}", key % 50);
    case 7:
      return fmt::format(
          "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT "
          "OR REPLACE INTO t SELECT i * 3 + {}, '{}' || i FROM n",
          key, text);
    default:
      return fmt::format("UPDATE OR FAIL t SET k = k + 1 WHERE k >= {}", key);
  }
}

// What a batch of statements stands between and what happens meanwhile.
std::string random_frame(Prng& prng) {
  switch (prng.below(24)) {
    case 0:
      return "BEGIN";
    case 1:
      return "COMMIT";
    case 2:
      return "ROLLBACK";
    case 3:
      return "SAVEPOINT s";
    case 4:
      return "ROLLBACK TO s";
    case 5:
      return "RELEASE s";
    case 6:
      return "PRAGMA wal_checkpoint(PASSIVE)";
    case 7:
      return "PRAGMA wal_checkpoint(TRUNCATE)";
    case 8:
      return "PRAGMA wal_checkpoint(RESTART)";
    case 9:
      return "VACUUM";
    default:
      return "";
  }
}

TEST(Vfs, EqualsPlainSqliteUnderARandomWorkload) {
  for (std::uint64_t seed = 0; seed < 6; seed += sampled(2)) {
    SimEnv world{seed};
    const auto vfs = test_vfs(world.env());
    SealedConnection plain{nullptr};
    ASSERT_EQ(plain.run(two_tables), SQLITE_OK);
    auto sealed = std::make_unique<SealedConnection>(vfs.get());
    ASSERT_EQ(sealed->run("PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=50"), SQLITE_OK);
    ASSERT_EQ(sealed->run(two_tables), SQLITE_OK);
    Prng prng{seed, 9};
    for (int step = 0; step < 200; ++step) {
      std::string sql = random_frame(prng);
      if (sql.empty()) sql = random_statement(prng);
      const int expected = plain.run(sql);
      const int got = sealed->run(sql);
      // A checkpoint inside a transaction is refused by the one and means nothing to the other.
      if (!sql.starts_with("PRAGMA")) {
        ASSERT_EQ(got, expected) << sql.substr(0, 60) << ": "
                                 << to_string(vfs->take_error().value_or(
                                        Error{Code::internal_bug, "none"}));
      }
      if (step % 20 == 0) {
        ASSERT_TRUE(sealed->query(dump_all) == plain.query(dump_all)) << "seed " << seed;
      }
      if (step % 100 == 99) {
        plain.run("ROLLBACK");
        sealed = std::make_unique<SealedConnection>(vfs.get());
        ASSERT_EQ(sealed->run("PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=50"), SQLITE_OK);
        ASSERT_TRUE(sealed->query(dump_all) == plain.query(dump_all)) << "seed " << seed;
        ASSERT_EQ(sealed->query("PRAGMA integrity_check"), "ok\n");
      }
    }
    const auto error = vfs->take_error();
    EXPECT_FALSE(error) << to_string(*error);
  }
}

TEST(Vfs, AKilledProcessLosesNoCommit) {
  for (std::uint64_t seed = 0; seed < 12; seed += sampled(3)) {
    SimEnv world{seed};
    const auto vfs = test_vfs(world.env());
    SealedConnection plain{nullptr};
    ASSERT_EQ(plain.run(two_tables), SQLITE_OK);
    SealedConnection sealed{vfs.get()};
    ASSERT_EQ(sealed.run("PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=50"), SQLITE_OK);
    ASSERT_EQ(sealed.run(two_tables), SQLITE_OK);
    Prng prng{seed, 9};
    for (int step = 0; step < 40; ++step) {
      const std::string sql = random_statement(prng);
      plain.run(sql);
      sealed.run(sql);
    }
    sealed.run("BEGIN");
    for (int step = 0; step < 10; ++step) sealed.run(random_statement(prng));

    SimEnv after{seed, world.storage().image()};
    const auto found = scrub(after.storage(), test_path, test_key(std::byte{1}), test_file_id);
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->damaged.empty() && found->suspect.empty());
    const auto vfs_after = test_vfs(after.env());
    SealedConnection again{vfs_after.get()};
    ASSERT_TRUE(again.query(dump_all) == plain.query(dump_all)) << "seed " << seed;
    ASSERT_EQ(again.query("PRAGMA integrity_check"), "ok\n");
  }
}

TEST(Vfs, NoTextOfTheUserReachesTheDisk) {
  SimEnv world{1};
  const auto vfs = test_vfs(world.env());
  SealedConnection db{vfs.get()};
  ASSERT_EQ(db.run("CREATE TABLE canary_table(canary_column TEXT)"), SQLITE_OK);
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(db.run("INSERT INTO canary_table VALUES('canary value')"), SQLITE_OK);
    if (i % 100 == 50) {
      ASSERT_EQ(db.run("PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK);
    }
  }
  const DiskImage image = world.storage().image();
  EXPECT_GT(image.size(test_path), 8192U);
  EXPECT_GT(image.size(wal_name), 8192U);
  for (const std::string_view canary : {"canary", "CREATE", "SQLite format"}) {
    EXPECT_TRUE(image.paths_containing(bytes_of(canary)).empty()) << canary;
  }
}

// ---- damage -------------------------------------------------------------------------------------

// Rows in the file, and if asked for more in a live WAL, some checkpointed and some not.
DiskImage small_database(bool with_wal, std::string* dump) {
  SimEnv world{1};
  const auto vfs = test_vfs(world.env());
  SealedConnection db{vfs.get()};
  EXPECT_EQ(db.run(two_tables), SQLITE_OK);
  EXPECT_EQ(db.run("INSERT INTO t VALUES(1, 'one'), (2, 'two')"), SQLITE_OK);
  if (with_wal) {
    // A reader of this state keeps the checkpoint from what comes after it.
    SealedConnection reader{vfs.get()};
    EXPECT_EQ(reader.run("BEGIN; SELECT * FROM t"), SQLITE_OK);
    EXPECT_EQ(db.run("INSERT INTO t VALUES(3, 'three')"), SQLITE_OK);
    EXPECT_EQ(db.run("INSERT INTO u VALUES(3, 'three')"), SQLITE_OK);
    EXPECT_EQ(db.run("PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK);
    EXPECT_EQ(reader.run("COMMIT"), SQLITE_OK);
  } else {
    EXPECT_EQ(db.run("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
  }
  *dump = db.query(dump_all);
  return world.storage().image();
}

// The page's own header, nonce, tag and origin: every byte of them is tried.
bool in_trailer(std::uint64_t at) { return at % 4096 < 32 || at % 4096 >= 4040; }

bool covers(const Scrub& scrub, const std::string& file, std::uint64_t offset) {
  for (const UnusedBytes& unused : scrub.unused) {
    if (unused.file == file && offset >= unused.offset && offset - unused.offset < unused.size) {
      return true;
    }
  }
  return false;
}

Scrub scrub_of(const DiskImage& image) {
  SimEnv world{2, image};
  auto found = scrub(world.storage(), test_path, test_key(std::byte{1}), test_file_id);
  EXPECT_TRUE(found);
  EXPECT_EQ(world.storage().image().digest(), image.digest()) << "a scrub writes nothing";
  return *std::move(found);
}

// What a reader gets: the rows (or SQLite's word that there are no such tables), or "error".
std::string read_all(const DiskImage& image) {
  SimEnv world{2, image};
  const auto vfs = test_vfs(world.env());
  SealedConnection db{vfs.get(), SQLITE_OPEN_READWRITE};
  if (db.opened() == SQLITE_OK) {
    const std::string rows = db.query(dump_all);
    if (sqlite3_errcode(db.get()) == SQLITE_OK || rows == "no such table: t") return rows;
  }
  const auto error = vfs->take_error();
  if (!error) return "an error without its reason";
  EXPECT_EQ(error->code(), Code::integrity_projection) << to_string(*error);
  return "error";
}

TEST(VfsDamage, EveryFlippedByteOfADatabaseIsFoundAndNeverRead) {
  std::string dump;
  DiskImage image = small_database(false, &dump);
  const Scrub clean = scrub_of(image);
  EXPECT_TRUE(clean.damaged.empty() && clean.suspect.empty() && clean.unused.empty());
  EXPECT_EQ(clean.pages, image.size(test_path) / 4096);
  EXPECT_EQ(image.size(wal_name), 0U);
  for (std::uint64_t at = 0; at < image.size(test_path); at += in_trailer(at) ? 1 : sampled(13)) {
    image.flip(test_path, at, static_cast<std::byte>(1U << (at % 8)));
    const Scrub found = scrub_of(image);
    ASSERT_EQ(found.damaged.size(), 1U) << "byte " << at;
    ASSERT_EQ(found.damaged[0].error.where(),
              fmt::format("{}, byte {}", test_path, at / 4096 * 4096));
    if (at % sampled(16) == 0) {
      const std::string rows = read_all(image);
      ASSERT_TRUE(rows == "error" || rows == dump) << "byte " << at;
    }
    image.flip(test_path, at, static_cast<std::byte>(1U << (at % 8)));
  }
}

TEST(VfsDamage, EveryFlippedByteOfAWalIsFoundOrUnusedAndNeverRead) {
  std::string dump;
  DiskImage image = small_database(true, &dump);
  const Scrub clean = scrub_of(image);
  EXPECT_TRUE(clean.damaged.empty() && clean.suspect.empty());
  EXPECT_GT(clean.frames, 4U);
  EXPECT_EQ(read_all(image), dump);
  // The states before: what a tail that was lost before it was durable may leave.
  std::set<std::string> earlier{"error", dump};
  for (DiskImage cut = image; cut.size(wal_name) > 4120;) {
    cut.truncate(wal_name, cut.size(wal_name) - 4120);
    earlier.insert(read_all(cut));
  }
  EXPECT_GE(earlier.size(), 3U);
  std::uint64_t unfound = 0;
  for (std::uint64_t at = 0; at < image.size(wal_name);
       at += at < 32 || (at - 32) % 4120 < 32 ? 1 : sampled(29)) {
    image.flip(wal_name, at, static_cast<std::byte>(1U << (at % 8)));
    const Scrub found = scrub_of(image);
    ASSERT_TRUE(!found.damaged.empty() || !found.suspect.empty() || covers(found, wal_name, at))
        << "byte " << at;
    unfound += found.damaged.empty() && found.suspect.empty() ? 1U : 0U;
    if (at % sampled(16) == 0) {
      const std::string rows = read_all(image);
      ASSERT_TRUE(earlier.contains(rows)) << "byte " << at << ": " << rows;
    }
    image.flip(wal_name, at, static_cast<std::byte>(1U << (at % 8)));
  }
  EXPECT_LE(unfound, 4U) << "but for the commit size of the last frame";
  for (std::uint64_t at = 0; at < image.size(test_path); at += sampled(37)) {
    image.flip(test_path, at);
    const Scrub found = scrub_of(image);
    ASSERT_TRUE(!found.damaged.empty() || covers(found, test_path, at)) << "byte " << at;
    const std::string rows = read_all(image);
    ASSERT_TRUE(rows == "error" || rows == dump) << "byte " << at;
    image.flip(test_path, at);
  }
}

TEST(VfsDamage, ADamagedFrameThatACheckpointRestedOnIsNotTakenForATornTail) {
  std::string dump;
  DiskImage image = small_database(true, &dump);
  image.flip(wal_name, 32 + 24 + 100);  // in frame 1, which was checkpointed
  EXPECT_EQ(read_all(image), "error");
  EXPECT_FALSE(scrub_of(image).damaged.empty());
}

TEST(VfsDamage, MissingCutSwappedAndForeignFilesAreFound) {
  std::string dump;
  const DiskImage whole = small_database(false, &dump);
  DiskImage image = whole;
  image.remove(wal_name);
  EXPECT_EQ(read_all(image), "error");
  EXPECT_EQ(scrub_of(image).damaged.size(), 1U);

  image = whole;
  image.truncate(test_path, image.size(test_path) - 4096);
  EXPECT_EQ(read_all(image), "error");
  EXPECT_EQ(scrub_of(image).damaged.size(), 1U);

  image = whole;
  Buffer bytes = image.read(test_path);
  std::swap_ranges(bytes.begin() + 4096, bytes.begin() + 8192, bytes.begin() + 8192);
  image.write(test_path, bytes);
  EXPECT_EQ(read_all(image), "error");
  EXPECT_EQ(scrub_of(image).damaged.size(), 2U);

  SimEnv world{2, whole};
  const auto wrong_key = test_vfs(world.env(), std::byte{2});
  EXPECT_EQ(SealedConnection(wrong_key.get()).opened(), SQLITE_IOERR);
  EXPECT_EQ(wrong_key->take_error()->code(), Code::integrity_projection);
  const auto wrong_id =
      Vfs::make(world.env(), test_path, test_key(std::byte{1}), Id128{std::byte{8}});
  EXPECT_EQ(SealedConnection(wrong_id->get()).opened(), SQLITE_IOERR);
}

// Reads of page 1 that meet a checkpoint's write of it: half of it is of before, so many times.
class Torn final : public test::PassingStorage {
 public:
  using PassingStorage::PassingStorage;
  int times = 0;

  Result<std::unique_ptr<env::File>> open(std::string_view path, env::Open mode) override {
    KIMBERLITE_TRY(auto file, PassingStorage::open(path, mode));
    return std::make_unique<TornFile>(std::move(file), times);
  }

 private:
  class TornFile final : public test::PassingFile {
   public:
    TornFile(std::unique_ptr<env::File> file, int& times)
        : PassingFile(std::move(file)), times_(times) {}
    Result<std::size_t> read_at(std::uint64_t offset, MutBytes to) override {
      KIMBERLITE_TRY(const std::size_t got, PassingFile::read_at(offset, to));
      if (offset == 0 && got == 4096 && times_ > 0) {
        --times_;
        std::ranges::fill(to.subspan(2048), std::byte{7});
      }
      return got;
    }

   private:
    int& times_;
  };
};

TEST(VfsDamage, AHeadThatIsReadWhileItIsWrittenIsNoDamage) {
  SimEnv world{1};
  Torn torn{world.storage()};
  const env::Env env = world.env();
  const auto vfs = test_vfs({torn, env.network, env.clock, env.random, env.executor});
  int told = 0;
  vfs->on_damage([&told](const Error& /*what*/) { ++told; });
  SealedConnection writer{vfs.get()};
  ASSERT_EQ(writer.run("CREATE TABLE t(k); INSERT INTO t VALUES(1)"), SQLITE_OK);
  ASSERT_EQ(writer.run("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
  torn.times = 3;
  SealedConnection reader{vfs.get(), SQLITE_OPEN_READWRITE};
  EXPECT_EQ(reader.query("SELECT k FROM t"), "1\n");
  EXPECT_EQ(torn.times, 0) << "nobody read the head";
  EXPECT_EQ(told, 0);
}

TEST(VfsDamage, APageThatGoesBadWhileOpenIsNeverHandedOver) {
  for (const std::string_view file : {test_path, wal_name}) {
    SimEnv world{1};
    const auto vfs = test_vfs(world.env());
    int told = 0;
    vfs->on_damage([&told](const Error& /*what*/) { ++told; });
    auto writing = std::make_unique<SealedConnection>(vfs.get());
    SealedConnection& writer = *writing;
    ASSERT_EQ(writer.run("CREATE TABLE t(k INTEGER PRIMARY KEY, v)"), SQLITE_OK);
    ASSERT_EQ(writer.run("INSERT INTO t VALUES(1, 'one')"), SQLITE_OK);
    if (file == test_path) {
      ASSERT_EQ(writer.run("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
    }
    const auto on_disk = world.storage().open(file, env::Open::write);
    const std::uint64_t at = (*on_disk)->size().value() - 3000;  // in the page of t
    std::array<std::byte, 1> byte{};
    ASSERT_TRUE((*on_disk)->read_at(at, byte));
    byte[0] ^= std::byte{4};
    ASSERT_TRUE((*on_disk)->write_at(at, byte));
    {
      SealedConnection reader{vfs.get()};
      EXPECT_EQ(reader.run("SELECT * FROM t"), SQLITE_IOERR_DATA);
    }
    const auto error = vfs->take_error();
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::integrity_projection);
    EXPECT_NE(error->where().find(file), std::string::npos);
    EXPECT_EQ(told, 1) << "whoever is to know";
    byte[0] ^= std::byte{4};
    ASSERT_TRUE((*on_disk)->write_at(at, byte));
    ASSERT_EQ(writer.run("UPDATE t SET v = 'two'"), SQLITE_OK);
    EXPECT_TRUE(world.storage().contains(wal_name));
    writing.reset();
    EXPECT_FALSE(world.storage().contains(wal_name)) << "nobody takes it for whole again";
  }
}

// ---- crashes and failures -----------------------------------------------------------------------

struct Progress {
  std::vector<std::string> states;  // after each commit acknowledged before the crash
  std::size_t synced = 0;           // index of the state that a checkpoint had made durable
};

// Statements, checkpoints and reopenings; stops at the crash.
Progress crash_workload(SimEnv& world, bool full_sync) {
  Progress progress;
  const auto vfs = test_vfs(world.env());
  auto db = std::make_unique<SealedConnection>(vfs.get());
  const auto commit = [&](const std::string& sql) {
    const int code = db->run(sql);
    if (world.storage().frozen()) return false;
    EXPECT_EQ(code, SQLITE_OK) << to_string(
        vfs->take_error().value_or(Error{Code::internal_bug, "no error of the VFS"}));
    progress.states.push_back(db->query(dump_all));
    if (full_sync) progress.synced = progress.states.size() - 1;
    return !world.storage().frozen();
  };
  const auto settings = [&] {
    return db->run(full_sync ? "PRAGMA synchronous=FULL; PRAGMA cache_size=10"
                             : "PRAGMA cache_size=10");
  };
  settings();
  if (!commit("BEGIN; " + two_tables + "; COMMIT")) return progress;
  Prng prng{5, 5};
  for (int round = 0; round < 14; ++round) {
    std::string big = "BEGIN;";
    for (std::uint64_t i = 0; i < 3 + prng.below(3); ++i) {
      big += fmt::format("INSERT OR REPLACE INTO t VALUES({}, '{}');", prng.below(30),
                         std::string(1500, static_cast<char>('a' + prng.below(26))));
    }
    if (!commit(big + "COMMIT")) return progress;
    if (!commit(fmt::format("INSERT INTO u VALUES({}, {})", round, round))) return progress;
    if (round % 4 == 2) {
      db->run("PRAGMA wal_checkpoint(PASSIVE)");
      if (world.storage().frozen()) return progress;
      progress.synced = progress.states.size() - 1;
    }
    if (round == 9) {
      db.reset();  // the last connection checkpoints
      db = std::make_unique<SealedConnection>(vfs.get());
      settings();
      if (world.storage().frozen()) return progress;
      progress.synced = progress.states.size() - 1;
    }
  }
  return progress;
}

void crash_everywhere(bool full_sync) {
  SimEnv whole{3};
  crash_workload(whole, full_sync);
  const std::uint64_t calls = whole.storage().calls();
  ASSERT_GT(calls, 100U);
  std::uint64_t torn = 0;
  for (std::uint64_t n = 1 + (full_sync ? 1 : 0); n <= calls; n += sampled(5)) {
    if (whole.storage().kinds()[n - 1] == vopr::CallKind::read) continue;
    SimEnv world{3 + n, {}, {.crash_at = n}};
    const Progress progress = crash_workload(world, full_sync);
    ASSERT_TRUE(world.storage().frozen());
    const DiskImage left = world.storage().crash();
    if (!left.contains(test_path)) continue;  // before the database was born

    const Scrub found = scrub_of(left);
    ASSERT_TRUE(found.damaged.empty()) << "call " << n << ": " << to_string(found.damaged[0].error);
    torn += found.suspect.size();
    SimEnv after{4, left};
    const auto vfs = test_vfs(after.env());
    SealedConnection db{vfs.get()};
    ASSERT_EQ(db.opened(), SQLITE_OK) << "call " << n << ": " << to_string(*vfs->take_error());
    ASSERT_EQ(db.query("PRAGMA integrity_check"), "ok\n") << "call " << n;
    const std::string state = db.query(dump_all);
    bool known = progress.states.empty();
    for (std::size_t i = progress.synced; i < progress.states.size() && !known; ++i) {
      known = progress.states[i] == state;
    }
    // The commit under way at the crash may have come through as well: it is one more than the
    // states seen, so only what is older than the durable one is wrong.
    if (!known) {
      for (std::size_t i = 0; i < progress.synced; ++i) {
        ASSERT_TRUE(progress.states[i] != state) << "call " << n << " lost a durable commit";
      }
    }
    ASSERT_EQ(db.run("CREATE TABLE IF NOT EXISTS later(x); INSERT INTO later VALUES(1)"),
              SQLITE_OK);
  }
  if (!full_sync) {
    EXPECT_GT(torn, 0U) << "some crash tore the tail of the log";
  }
}

TEST(VfsCrash, AtEveryCallWithNormalSync) { crash_everywhere(false); }
TEST(VfsCrash, AtEveryCallWithFullSync) { crash_everywhere(true); }

TEST(VfsCrash, TheSameSeedGivesTheSameBytes) {
  std::array<Hash, 2> digests{};
  for (Hash& digest : digests) {
    SimEnv world{3};
    const auto vfs = test_vfs(world.env());
    SealedConnection db{vfs.get()};
    ASSERT_EQ(sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 42, nullptr), SQLITE_OK);
    ASSERT_EQ(db.run("CREATE TABLE t(a); INSERT INTO t VALUES(randomblob(100))"), SQLITE_OK);
    digest = world.storage().image().digest();
  }
  EXPECT_EQ(digests[0], digests[1]);
}

TEST(VfsCrash, AFullDiskAndAFailingOneAreErrorsThatLoseNothing) {
  for (const vopr::Failure failure : {vopr::Failure::io, vopr::Failure::disk_full}) {
    SimEnv whole{3};
    crash_workload(whole, false);
    for (std::uint64_t n = 3; n <= whole.storage().calls(); n += sampled(41)) {
      SimEnv world{3, {}, {.injections = {{.call = n, .failure = failure}}}};
      std::string last;
      {
        const auto vfs = test_vfs(world.env());
        SealedConnection db{vfs.get()};
        if (db.opened() != SQLITE_OK) {
          ASSERT_TRUE(vfs->take_error());
          continue;
        }
        db.run("PRAGMA cache_size=10");
        bool failed = db.run("BEGIN; " + two_tables + "; COMMIT") != SQLITE_OK;
        if (failed) continue;
        last = db.query(dump_all);
        for (int i = 0; i < 60; ++i) {
          const int code = db.run(fmt::format("INSERT OR REPLACE INTO t VALUES({}, '{}')", i % 20,
                                              std::string(1500, static_cast<char>('a' + i % 26))));
          failed = failed || code != SQLITE_OK;
          if (code == SQLITE_OK) last = db.query(dump_all);
          if (i % 20 == 10) db.run("PRAGMA wal_checkpoint(PASSIVE)");
        }
        ASSERT_TRUE(db.query(dump_all) == last) << "call " << n;
      }
      SimEnv after{4, world.storage().image()};
      const auto vfs = test_vfs(after.env());
      SealedConnection again{vfs.get()};
      ASSERT_TRUE(again.query(dump_all) == last) << "call " << n;
    }
  }
}

// ---- threads ------------------------------------------------------------------------------------

TEST(VfsThreads, ReadersSeeWholeTransactionsWhileOneWrites) {
  platform::MemoryEnv world{{}};
  const auto vfs = test_vfs(world.env());
  SealedConnection writer{vfs.get()};
  ASSERT_EQ(writer.run("CREATE TABLE t(k INTEGER PRIMARY KEY, v INTEGER)"), SQLITE_OK);
  ASSERT_EQ(writer.run("INSERT INTO t VALUES(1, 0), (2, 0), (3, 0)"), SQLITE_OK);
  ASSERT_EQ(writer.run("PRAGMA wal_autocheckpoint=20; PRAGMA busy_timeout=10000"), SQLITE_OK);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> reads{0};
  std::vector<std::thread> readers;
  readers.reserve(3);
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      while (!stop) {
        SealedConnection reader{vfs.get(), SQLITE_OPEN_READONLY};
        reader.run("PRAGMA busy_timeout=10000");
        for (int i = 0; i < 20; ++i) {
          const std::string seen = reader.query("SELECT count(DISTINCT v), count(*) FROM t");
          wrong += seen == "1|3\n" ? 0 : 1;
          ++reads;
        }
      }
    });
  }
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(writer.run("UPDATE t SET v = v + 1"), SQLITE_OK) << sqlite3_errmsg(writer.get());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(reads, 0);
  EXPECT_EQ(writer.query("SELECT v FROM t"), "400\n400\n400\n");
}

}  // namespace
}  // namespace kimberlite::projection
