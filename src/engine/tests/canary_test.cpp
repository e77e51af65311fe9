// What a stolen disk tells: every byte the engine hands to a disk is searched for strings that
// stand in values, names, reasons and payloads. Also bytes that were later written over or removed.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine/database.hpp"
#include "passing_storage.hpp"
#include "support/script.hpp"

namespace kimberlite::engine::test {
namespace {

// Every canary has this in it, and each a word of its own; no other text does.
constexpr std::string_view mark = "kanarie";

// Searches every write before it passes it on.
class Watched {
 public:
  void write(std::string_view path, Bytes bytes) {
    ++writes_;
    bytes_ += bytes.size();
    for (const std::string_view form : {mark, std::string_view{"KANARIE"}}) {
      const Bytes needle = bytes_of(form);
      if (!std::ranges::search(bytes, needle).empty()) seen_.emplace(path);
    }
  }
  [[nodiscard]] const std::set<std::string>& seen() const { return seen_; }
  [[nodiscard]] std::uint64_t writes() const { return writes_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  std::set<std::string> seen_;  // paths
  std::uint64_t writes_ = 0;
  std::uint64_t bytes_ = 0;
};

class WatchedFile final : public kimberlite::test::PassingFile {
 public:
  WatchedFile(std::unique_ptr<env::File> file, std::string path, Watched& watched)
      : PassingFile(std::move(file)), path_(std::move(path)), watched_(watched) {}
  Status write_at(std::uint64_t offset, Bytes from) override {
    watched_.write(path_, from);
    return PassingFile::write_at(offset, from);
  }

 private:
  std::string path_;
  Watched& watched_;
};

class WatchedDevice final : public env::SectorDevice {
 public:
  WatchedDevice(std::unique_ptr<env::SectorDevice> device, std::string path, Watched& watched)
      : device_(std::move(device)), path_(std::move(path)), watched_(watched) {}
  void write(std::uint64_t tag, std::uint64_t offset, Bytes sectors) override {
    watched_.write(path_, sectors);
    device_->write(tag, offset, sectors);
  }
  void read(std::uint64_t tag, std::uint64_t offset, MutBytes sectors) override {
    device_->read(tag, offset, sectors);
  }
  std::size_t poll(std::span<env::IoDone> out, std::uint64_t wait_ns) override {
    return device_->poll(out, wait_ns);
  }
  [[nodiscard]] std::uint64_t size() const override { return device_->size(); }

 private:
  std::unique_ptr<env::SectorDevice> device_;
  std::string path_;
  Watched& watched_;
};

class WatchedStorage final : public kimberlite::test::PassingStorage {
 public:
  WatchedStorage(env::Storage& storage, Watched& watched)
      : PassingStorage(storage), watched_(watched) {}
  Result<std::unique_ptr<env::Lock>> lock(std::string_view path, std::string_view holder) override {
    watched_.write(path, bytes_of(holder));
    return PassingStorage::lock(path, holder);
  }
  Result<std::unique_ptr<env::File>> open(std::string_view path, env::Open mode) override {
    watched_.write("the names of files", bytes_of(path));
    KIMBERLITE_TRY(auto file, PassingStorage::open(path, mode));
    return std::make_unique<WatchedFile>(std::move(file), std::string{path}, watched_);
  }
  Result<std::unique_ptr<env::SectorDevice>> open_device(std::string_view path,
                                                         std::uint64_t size) override {
    KIMBERLITE_TRY(auto device, PassingStorage::open_device(path, size));
    return std::make_unique<WatchedDevice>(std::move(device), std::string{path}, watched_);
  }
  Status rename(std::string_view from, std::string_view to) override {
    watched_.write("the names of files", bytes_of(to));
    return PassingStorage::rename(from, to);
  }

 private:
  Watched& watched_;
};

void run(Session& session, std::string_view sql, std::string_view reason = {}) {
  Why why;
  why.reason = reason;
  const Statement statement{sql, {}};
  const auto reply = session.run(statement, why, {});
  EXPECT_TRUE(reply) << sql << "\n" << to_string(reply.error());
}

std::uint64_t read(Session& session, std::string_view sql, const AsOf& as_of = {}) {
  std::uint64_t rows = 0;
  auto cursor = session.query({sql, {}}, as_of, {});
  EXPECT_TRUE(cursor) << sql << "\n" << to_string(cursor.error());
  while (cursor) {
    const auto more = (*cursor)->next();
    EXPECT_TRUE(more) << to_string(more.error());
    if (!more || !*more) break;
    ++rows;
  }
  return rows;
}

void refused(Session& session, std::string_view sql) {
  const Statement statement{sql, {}};
  EXPECT_FALSE(session.run(statement, {}, {})) << sql;
}

// A hospital's day, with canaries wherever a user may write something.
void work(Database& database) {
  ASSERT_TRUE(database.create_tenant("kanarie-tenant", {}));
  auto opened = database.session("kanarie-tenant");
  ASSERT_TRUE(opened) << to_string(opened.error());
  Session& session = **opened;
  run(session,
      "CREATE TABLE kanarie_table (kanarie_id BIGINT PRIMARY KEY, kanarie_name TEXT DEFAULT "
      "'kanarie default', big TEXT, CHECK (kanarie_name <> 'kanarie check'))",
      "kanarie reason of a table");
  run(session, "CREATE INDEX kanarie_index ON kanarie_table (kanarie_name)");
  for (int i = 0; i < 300; ++i) {
    run(session,
        "INSERT INTO kanarie_table VALUES (" + std::to_string(i) + ", 'kanarie " +
            std::to_string(i) + "', '" + std::string(static_cast<std::size_t>(i) * 40, 'x') +
            "kanarie end')",
        "kanarie reason " + std::to_string(i));
  }
  run(session, "UPDATE kanarie_table SET kanarie_name = 'kanarie new' WHERE kanarie_id % 3 = 0",
      "kanarie correction");
  run(session, "DELETE FROM kanarie_table WHERE kanarie_id % 7 = 0", "kanarie deletion");
  run(session, "ALTER TABLE kanarie_table RENAME COLUMN kanarie_name TO kanarie_renamed");
  run(session, "ALTER TABLE kanarie_table ADD COLUMN kanarie_added TEXT DEFAULT 'kanarie added'");
  refused(session, "INSERT INTO kanarie_table VALUES (1, 'kanarie refused', 'kanarie', 'kanarie')");
  refused(session, "SELECT 'kanarie literal' FROM kanarie_missing");
  const std::vector<Event> events(20, {"kanarie kind", bytes_of("kanarie payload")});
  Why why;
  why.reason = "kanarie reason of events";
  ASSERT_TRUE(session.append("kanarie-stream", std::nullopt, events, why));
  // Queries that sort, group and join more than a page, now and then.
  EXPECT_EQ(read(session,
                 "SELECT a.kanarie_id, b.big FROM kanarie_table a, kanarie_table b ORDER BY "
                 "b.big || a.kanarie_renamed LIMIT 3"),
            3U);
  EXPECT_GT(read(session,
                 "SELECT kanarie_renamed, count(*), group_concat(big, 'kanarie glue') FROM "
                 "kanarie_table GROUP BY kanarie_renamed"),
            100U);
  EXPECT_EQ(
      read(session, "SELECT * FROM kanarie_table AS OF POSITION 100 ORDER BY big || 'kanarie'"),
      97U);
  EXPECT_GT(read(session, "SELECT * FROM HISTORY(kanarie_table)"), 300U);
  run(session, "DROP TABLE kanarie_table", "kanarie reason of a drop");
}

TEST(Canary, NothingAUserWroteIsReadableOnDisk) {
  vopr::SimEnv world{41};
  Watched watched;
  WatchedStorage storage{world.storage(), watched};
  env::Env env{storage, world.env().network, world.env().clock, world.env().random,
               world.env().executor};
  CreateOptions create = create_options();
  create.actor = "os:kanarie-actor";
  ASSERT_TRUE(Database::create(env, master_key(), create));
  Options open = open_options();
  open.actor = "os:kanarie-actor";
  for (int i = 0; i < 2; ++i) {
    auto database = Database::open(env, master_key(), open);
    ASSERT_TRUE(database) << to_string(database.error());
    if (i == 0) {
      ASSERT_NO_FATAL_FAILURE(work(**database));
    } else {
      auto session = (*database)->session("kanarie-tenant");
      ASSERT_TRUE(session);
      run(**session, "CREATE TABLE kanarie_again (a TEXT)", "kanarie reason");
    }
    ASSERT_TRUE((*database)->close());
  }
  EXPECT_GT(watched.writes(), 1000U);
  EXPECT_GT(watched.bytes(), 1'000'000U);
  for (const std::string& path : watched.seen()) ADD_FAILURE() << "readable in " << path;
}

TEST(Canary, TheWatcherSeesWhatIsWrittenPlain) {
  vopr::SimEnv world{42};
  Watched watched;
  WatchedStorage storage{world.storage(), watched};
  auto file = storage.open("plain", env::Open::create);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->write_at(0, bytes_of("a kanarie sings")));
  auto device = storage.open_device("device", sector_size);
  ASSERT_TRUE(device);
  std::unique_ptr<std::byte[], void (*)(void*)> sector{
      static_cast<std::byte*>(std::aligned_alloc(sector_size, sector_size)), std::free};
  std::fill_n(sector.get(), sector_size, std::byte{'-'});
  std::ranges::copy(bytes_of("KANARIE"), sector.get() + 100);
  (*device)->write(1, 0, {sector.get(), sector_size});
  EXPECT_EQ(watched.seen(), (std::set<std::string>{"device", "plain"}));
}

}  // namespace
}  // namespace kimberlite::engine::test
