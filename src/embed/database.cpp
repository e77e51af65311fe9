// Opening a directory, or memory, through the C++ API.
#include "kimberlite/head_memory.hpp"
#include "kimberlite/kimberlite.hpp"
#include "kimberlite/local.hpp"
#include "platform/env.hpp"

namespace kimberlite {
namespace {

// How long a task that is ready is left to the threads that wait for it.
constexpr platform::ExecutorOptions executor_options{.threads = 1, .grace_ns = 5'000'000};

// The members stand in the order they depend on each other: the engine ends first.
template <class Environment>
class OpenDatabase final : public Database {
 public:
  template <class... Args>
  explicit OpenDatabase(Args&&... args) : environment_(std::forward<Args>(args)...) {}

  engine::Database& engine() override { return *engine_; }
  [[nodiscard]] env::Env env() { return environment_.env(); }
  [[nodiscard]] Environment& environment() { return environment_; }
  void remember_in(const std::string& path, const Id128& cluster) {
    memory_ = std::make_unique<HeadMemory>(files_, env().random, path, cluster);
  }
  [[nodiscard]] Status open(std::unique_ptr<keystore::MasterKey> key,
                            const engine::Options& options) {
    key_ = std::move(key);
    KIMBERLITE_TRY(engine_, engine::Database::open(env(), *key_, options));
    return {};
  }

 private:
  HeadMemory* memory() override { return memory_.get(); }

  Environment environment_;
  platform::LinuxStorage files_{""};
  std::unique_ptr<HeadMemory> memory_;
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<engine::Database> engine_;
};

std::optional<std::string> path_of(const std::optional<KeyFile>& key) {
  if (key) return key->path;
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(std::string_view directory,
                                                 const OpenOptions& options) {
  auto database =
      std::make_unique<OpenDatabase<platform::LinuxEnv>>(std::string{directory}, executor_options);
  const env::Env env = database->env();
  platform::LinuxStorage files{""};
  const engine::Options engine_options{
      .actor = local_actor(),
      .holder = holder_text("a program that embeds Kimberlite"),
      .strict_journal = options.strict_journal,
      .cluster_head_every_ns = options.cluster_heads ? engine::cluster_head_every_ns : 0};
  Result<Id128> cluster = engine::Database::cluster_of(env.storage);
  if (!cluster && cluster.error().code() == Code::usage_not_ours && options.create) {
    engine::CreateOptions create{.tenant = options.tenant,
                                 .actor = engine_options.actor,
                                 .holder = engine_options.holder,
                                 .ring_size = options.ring_size};
    env.random.fill(create.cluster.emplace());
    KIMBERLITE_CHECK(engine::Database::check_empty(env.storage));
    KIMBERLITE_TRY(const FoundKey made,
                   make_key(files, env.random, path_of(options.key), *create.cluster));
    KIMBERLITE_CHECK(engine::Database::create(env, *made.key, create));
    cluster = *create.cluster;
  }
  if (!cluster) return cluster.error();
  KIMBERLITE_TRY(FoundKey key, find_key(files, env.random, path_of(options.key), *cluster));
  if (!options.heads_file.empty()) database->remember_in(options.heads_file, *cluster);
  KIMBERLITE_CHECK(database->open(std::move(key.key), engine_options));
  return database;
}

Result<std::unique_ptr<Database>> Database::in_memory() {
  auto database = std::make_unique<OpenDatabase<platform::MemoryEnv>>(executor_options);
  platform::MemoryStorage key_storage;
  const env::Env env = database->env();
  KIMBERLITE_TRY(auto key, keystore::FileMasterKey::create(key_storage, "memory.key", env.random));
  const std::string actor = local_actor();
  KIMBERLITE_CHECK(engine::Database::create(env, *key, {.actor = actor, .free_bytes_reserve = 0}));
  KIMBERLITE_CHECK(database->open(std::move(key), {.actor = actor, .free_bytes_reserve = 0}));
  return database;
}

}  // namespace kimberlite
