#include "vfs_recovery.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/assert.hpp"
#include "vfs_wal.hpp"

namespace kimberlite::projection {
namespace {

using PageBuffer = std::array<std::byte, page_size>;

constexpr std::size_t header_pages_at = 28;  // in page 1: the database's size

std::uint64_t page_offset(std::uint32_t number) { return std::uint64_t{number - 1} * page_size; }

struct Database {
  std::unique_ptr<env::File> file;
  std::unique_ptr<env::File> wal;
  std::uint64_t size = 0;
  WalScan scan;

  [[nodiscard]] std::uint32_t whole_pages() const {
    return static_cast<std::uint32_t>(size / page_size);
  }
};

Error missing_wal(const std::string& path) {
  return damage(wal_path(path), 0, "the write-ahead log of a projection is gone",
                "it is never removed while its database is there, only emptied")
      .error;
}

// `not_found.file` if there is no database; `integrity.projection` if its WAL is gone.
Result<Database> open_database(env::Storage& storage, const std::string& path, env::Open mode,
                               const PageSealer& sealer) {
  Database database;
  KIMBERLITE_TRY(database.file, storage.open(path, mode));
  KIMBERLITE_TRY(database.size, database.file->size());
  if (database.size / page_size > UINT32_MAX) {
    return damage(path, 0, "a projection is too large", "SQLite has no such page numbers").error;
  }
  auto wal = storage.open(wal_path(path), mode);
  if (!wal && wal.error().code() == Code::not_found_file) return missing_wal(path);
  if (!wal) return std::move(wal).error();
  database.wal = *std::move(wal);
  KIMBERLITE_TRY(database.scan, scan_wal(*database.wal, sealer));
  return database;
}

Status read_page(env::File& file, std::uint32_t number, PageBuffer& page) {
  KIMBERLITE_TRY(const std::size_t got, file.read_at(page_offset(number), page));
  std::fill(page.begin() + static_cast<std::ptrdiff_t>(got), page.end(), std::byte{0});
  return {};
}

// The first page that counts on frames behind the live ones (R1).
Result<std::optional<Damage>> page_beyond_wal(Database& database, const std::string& path) {
  PageBuffer page{};
  for (std::uint32_t number = 1; number <= database.whole_pages(); ++number) {
    if (number == lock_page || database.scan.pages.contains(number)) continue;
    KIMBERLITE_CHECK(read_page(*database.file, number, page));
    const Origin origin = PageSealer::origin_of(page);
    if (origin.generation != database.scan.generation) continue;
    if (origin.frames <= database.scan.live_frames) continue;
    return std::optional{damage(
        wal_path(path), frame_offset(database.scan.chain_frames + 1),
        fmt::format("WAL frame {} of a projection is damaged", database.scan.chain_frames + 1),
        fmt::format("page {} was written when {} frames were durable, {} are whole", number,
                    origin.frames, database.scan.live_frames))};
  }
  return std::optional<Damage>{};
}

// The database's size in pages, after what is live in the WAL. Page 1 is `first`, opened.
std::uint32_t pages_expected(const Database& database, const PageBuffer& first) {
  return database.scan.live_frames > 0 ? database.scan.commit_size
                                       : load_be32(&first[header_pages_at]);
}

// The first page that is neither in the file nor in the WAL (R4).
std::optional<Damage> missing_page(const Database& database, const std::string& path,
                                   std::uint32_t expected) {
  for (std::uint32_t number = database.whole_pages() + 1; number <= expected; ++number) {
    if (number == lock_page || database.scan.pages.contains(number)) continue;
    return damage(path, page_offset(number), "a projection ends early",
                  fmt::format("page {} of {} is not there", number, expected));
  }
  return std::nullopt;
}

Damage damaged_header(const std::string& path) {
  return damage(wal_path(path), 0, "the header of a projection's WAL is damaged",
                "its checksum does not fit it");
}

Damage damaged_page(const std::string& path, std::uint32_t number) {
  return damage(path, page_offset(number),
                fmt::format("page {} of a projection is damaged", number),
                "it does not authenticate under the file's key");
}

// Page 1 into `page`, opened; from its newest live frame if there is one.
Result<bool> newest_first_page(Database& database, const PageSealer& sealer, PageBuffer& page) {
  const auto live = database.scan.pages.find(1);
  if (live == database.scan.pages.end()) {
    KIMBERLITE_CHECK(read_page(*database.file, 1, page));
    return sealer.open_page(1, page);
  }
  std::array<std::byte, frame_size> frame{};
  KIMBERLITE_TRY(const std::size_t got, database.wal->read_at(frame_offset(live->second), frame));
  if (got != frame_size) return false;
  std::copy(frame.begin() + frame_header_size, frame.end(), page.begin());
  return sealer.open_frame(live->second, database.scan.generation,
                           std::span{frame}.first<frame_header_size>(), page);
}

Status write_first_page(Database& database, const PageSealer& sealer, env::Random& random,
                        PageBuffer& page) {
  // It rests on the frames that are live: SQLite will find each of them.
  KIMBERLITE_CHECK(database.wal->sync());
  sealer.seal_page(1, {.generation = database.scan.generation, .frames = database.scan.live_frames},
                   page, random);
  KIMBERLITE_CHECK(database.file->write_at(0, page));
  return database.file->sync();
}

// The page SQLite would write for a new database, but born in WAL mode and with reserved bytes
// (fileformat2.html §1.3, §1.6).
PageBuffer empty_first_page() {
  PageBuffer page{};
  std::ranges::copy(bytes_of(std::string_view{"SQLite format 3\0", 16}), page.begin());
  page[16] = std::byte{page_size >> 8U};
  page[18] = std::byte{2};  // write version: WAL
  page[19] = std::byte{2};  // read version: WAL
  page[20] = std::byte{page_reserved};
  page[21] = std::byte{64};  // the payload fractions, fixed by the format
  page[22] = std::byte{32};
  page[23] = std::byte{32};
  store_be32(&page[header_pages_at], 1);
  page[100] = std::byte{0x0D};               // an empty table leaf: the schema
  page[105] = std::byte{page_usable >> 8U};  // its cell content starts at the end
  page[106] = std::byte{page_usable & 0xFFU};
  return page;
}

}  // namespace

std::string wal_path(const std::string& path) { return path + "-wal"; }

Damage damage(const std::string& file, std::uint64_t offset, std::string_view what,
              std::string_view why) {
  return {file, offset,
          Error{Code::integrity_projection, "{}", what}
              .where("{}, byte {}", file, offset)
              .why("{}", why)
              .next("the projection is rebuilt from the log; check the disk")};
}

Status create_database(env::Storage& storage, const std::string& path, const PageSealer& sealer,
                       env::Random& random) {
  // A WAL that outlived its database must not be taken for the new one's.
  KIMBERLITE_TRY(const auto wal, storage.open(wal_path(path), env::Open::create));
  KIMBERLITE_CHECK(wal->truncate(0));
  KIMBERLITE_CHECK(wal->sync());

  const std::string unfinished = path + ".new";
  KIMBERLITE_TRY(const auto file, storage.open(unfinished, env::Open::create));
  PageBuffer first = empty_first_page();
  sealer.seal_page(1, {}, first, random);
  KIMBERLITE_CHECK(file->truncate(0));
  KIMBERLITE_CHECK(file->write_at(0, first));
  KIMBERLITE_CHECK(file->sync());
  return storage.rename(unfinished, path);
}

Result<Recovered> recover(env::Storage& storage, const std::string& path, const PageSealer& sealer,
                          env::Random& random) {
  KIMBERLITE_TRY(Database database, open_database(storage, path, env::Open::write, sealer));
  const WalScan& scan = database.scan;
  if (scan.header == WalHeader::damaged) return damaged_header(path).error;
  if (scan.leftover) {
    KIMBERLITE_TRY(const std::optional<Damage> lost, page_beyond_wal(database, path));
    if (lost) return lost->error;
  }

  PageBuffer first{};
  KIMBERLITE_TRY(const bool authentic, newest_first_page(database, sealer, first));
  if (!authentic) return damaged_page(path, 1).error;
  if (const auto lost = missing_page(database, path, pages_expected(database, first))) {
    return lost->error;
  }

  if (scan.size > scan.live_size()) {
    KIMBERLITE_CHECK(database.wal->truncate(scan.live_size()));
    KIMBERLITE_CHECK(database.wal->sync());
  }
  if (scan.pages.contains(1)) {
    PageBuffer in_file{};
    KIMBERLITE_CHECK(read_page(*database.file, 1, in_file));
    if (!sealer.open_page(1, in_file)) {
      KIMBERLITE_CHECK(write_first_page(database, sealer, random, first));
    }
  }
  return Recovered{.generation = scan.generation, .frames = scan.live_frames};
}

namespace {

void scrub_wal(const Database& database, const std::string& path, Scrub& scrub) {
  const WalScan& scan = database.scan;
  scrub.frames = scan.live_frames;
  if (scan.header == WalHeader::damaged) {
    scrub.damaged.push_back(damaged_header(path));
    return;
  }
  if (scan.lost_commit) {
    scrub.suspect.push_back(
        damage(wal_path(path), frame_offset(scan.chain_frames + 1),
               fmt::format("WAL frame {} of a projection is not whole", scan.chain_frames + 1),
               "it was damaged, or a power failure came before it was durable"));
  }
  // The header of a WAL without live frames binds nothing, but its checksum was checked.
  const std::uint64_t used = scan.header == WalHeader::valid
                                 ? std::max<std::uint64_t>(scan.live_size(), wal_header_size)
                                 : 0;
  if (scan.size > used) {
    scrub.unused.push_back({.file = wal_path(path),
                            .offset = used,
                            .size = scan.size - used,
                            .why = "behind the last commit of the write-ahead log"});
  }
}

// `expected`: the database's size in pages, as far as it is known.
Status scrub_pages(Database& database, const std::string& path, const PageSealer& sealer,
                   std::uint32_t expected, Scrub& scrub) {
  PageBuffer page{};
  const std::uint64_t pages = (database.size + page_size - 1) / page_size;
  for (std::uint32_t number = 1; number <= pages; ++number) {
    const std::uint64_t offset = page_offset(number);
    const std::uint64_t size = std::min<std::uint64_t>(page_size, database.size - offset);
    KIMBERLITE_CHECK(read_page(*database.file, number, page));
    if (number == lock_page) {
      scrub.unused.push_back({path, offset, size, "the page of SQLite's lock bytes"});
    } else if (database.scan.pages.contains(number)) {
      scrub.unused.push_back({path, offset, size, "a newer version stands in the write-ahead log"});
    } else if (size == page_size && sealer.open_page(number, page)) {
      ++scrub.pages;
    } else if (number > expected) {
      scrub.unused.push_back({path, offset, size, "behind the end of the database"});
    } else {
      scrub.damaged.push_back(damaged_page(path, number));
    }
  }
  return {};
}

}  // namespace

Result<Scrub> scrub_files(env::Storage& storage, const std::string& path,
                          const PageSealer& sealer) {
  Scrub scrub;
  auto opened = open_database(storage, path, env::Open::read, sealer);
  if (!opened && opened.error().code() == Code::integrity_projection) {
    const bool wal = opened.error().where().starts_with(wal_path(path));
    scrub.damaged.push_back({wal ? wal_path(path) : path, 0, std::move(opened).error()});
    return scrub;
  }
  if (!opened) return std::move(opened).error();
  Database database = *std::move(opened);

  PageBuffer first{};
  KIMBERLITE_TRY(const bool authentic, newest_first_page(database, sealer, first));
  const std::uint32_t expected = authentic ? pages_expected(database, first) : UINT32_MAX;
  scrub_wal(database, path, scrub);
  KIMBERLITE_CHECK(scrub_pages(database, path, sealer, expected, scrub));
  if (database.scan.leftover) {
    KIMBERLITE_TRY(std::optional<Damage> lost, page_beyond_wal(database, path));
    if (lost) {
      scrub.suspect.clear();
      scrub.damaged.push_back(*std::move(lost));
    }
  }
  if (!authentic) return scrub;  // found above, as page 1
  if (auto lost = missing_page(database, path, expected)) {
    scrub.damaged.push_back(*std::move(lost));
  }
  return scrub;
}

}  // namespace kimberlite::projection
