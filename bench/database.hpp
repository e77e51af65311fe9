// A database of the product in the scratch directory.
#pragma once

#include <memory>
#include <string>

#include "kimberlite/kimberlite.hpp"
#include "measure.hpp"

namespace kimberlite::bench {

struct Opened {
  std::unique_ptr<Database> database;
  std::unique_ptr<Session> session;
};

// Makes it if it is not there. The master key lies beside the directory.
[[nodiscard]] inline Result<Opened> open_database(const std::string& directory,
                                                  std::uint64_t ring_size = journal_ring_embedded) {
  Opened opened;
  KIMBERLITE_TRY(opened.database, Database::open(directory, {.create = true,
                                                             .key = KeyFile{directory + ".key"},
                                                             .ring_size = ring_size}));
  KIMBERLITE_TRY(opened.session, opened.database->local_session());
  return opened;
}

// Appends so many records of one event each, by many threads.
[[nodiscard]] Status append_until(Database& database, std::uint64_t records);

[[nodiscard]] inline Status execute(Session& session, Sql sql) {
  KIMBERLITE_TRY(const Commit done, session.execute({}, sql));
  static_cast<void>(done);
  return {};
}

// A multiplicative walk: the n-th key of 1 to `keys`, in no order a cache would guess.
[[nodiscard]] inline std::int64_t scattered(std::uint64_t n, std::uint64_t keys) {
  return static_cast<std::int64_t>(n * 2'654'435'761U % keys + 1);
}

}  // namespace kimberlite::bench
