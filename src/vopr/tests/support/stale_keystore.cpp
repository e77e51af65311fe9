#include "support/stale_keystore.hpp"

#include <fmt/format.h>

#include <memory>

#include "engine/database.hpp"
#include "keystore/master_key.hpp"
#include "vopr/sim_env.hpp"

namespace kimberlite::vopr {
namespace {

using engine::Database;

engine::Options options() {
  engine::Options options;
  options.actor = "os:ann";
  options.free_bytes_reserve = 0;
  options.simulated = true;
  return options;
}

// The one keystore file of a directory that was closed.
std::string keystore_of(SimEnv& world) {
  const auto names = world.storage().list("");
  if (!names) return {};
  for (const std::string& name : *names) {
    if (name.starts_with("keystore-")) return name;
  }
  return {};
}

Result<Buffer> read(SimEnv& world, const std::string& path) {
  KIMBERLITE_TRY(const auto file, world.storage().open(path, env::Open::read));
  KIMBERLITE_TRY(const std::uint64_t size, file->size());
  Buffer bytes(size);
  KIMBERLITE_TRY(const std::size_t got, file->read_at(0, bytes));
  bytes.resize(got);
  return bytes;
}

Status write(SimEnv& world, const std::string& path, Bytes bytes) {
  KIMBERLITE_TRY(const auto file, world.storage().open(path, env::Open::write));
  KIMBERLITE_CHECK(file->truncate(0));
  KIMBERLITE_CHECK(file->write_at(0, bytes));
  return file->sync();
}

// Rotates the key and writes under the new one; then closes, which makes a checkpoint.
Status go_on(SimEnv& world, keystore::MasterKey& master) {
  KIMBERLITE_TRY(const auto database, Database::open(world.env(), master, options()));
  KIMBERLITE_TRY(const auto rotated, database->rotate_data_key("main", {}));
  KIMBERLITE_TRY(const auto session, database->session("main"));
  const engine::Event event{.kind = "seen", .payload = {}};
  KIMBERLITE_TRY(const auto appended, session->append("visits", {}, {&event, 1}, {}));
  static_cast<void>(rotated);
  static_cast<void>(appended);
  return database->close();
}

Result<std::string> tell() {
  SimEnv keys{1};
  SimEnv world{2};
  KIMBERLITE_TRY(const auto master,
                 keystore::FileMasterKey::create(keys.storage(), "key", keys.env().random));
  engine::CreateOptions create;
  create.actor = "os:ann";
  create.ring_size = journal_ring_min;
  create.free_bytes_reserve = 0;
  create.simulated = true;
  KIMBERLITE_TRY(const auto made, Database::create(world.env(), *master, create));
  static_cast<void>(made);
  const std::string before = keystore_of(world);
  KIMBERLITE_TRY(const Buffer stale, read(world, before));
  KIMBERLITE_CHECK(go_on(world, *master));
  const std::string now = keystore_of(world);
  if (now == before) return std::string{"no checkpoint was made"};
  KIMBERLITE_CHECK(write(world, now, stale));
  const auto opened = Database::open(world.env(), *master, options());
  if (opened) return fmt::format("{} is what {} was, and the directory opened", now, before);
  if (opened.error().code() != Code::integrity_keystore) return to_string(opened.error());
  return std::string{};
}

}  // namespace

std::string a_stale_keystore_is_refused() {
  const Result<std::string> wrong = tell();
  return wrong ? *wrong : to_string(wrong.error());
}

}  // namespace kimberlite::vopr
