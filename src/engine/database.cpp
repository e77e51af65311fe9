#include "engine/database.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "backup.hpp"
#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/probe.hpp"
#include "consensus/core/quorum.hpp"
#include "core.hpp"
#include "crypto/blake3.hpp"
#include "files.hpp"
#include "head_publisher.hpp"
#include "kernel/snapshot.hpp"
#include "membership.hpp"
#include "request_id.hpp"
#include "session.hpp"
#include "snapshot_file.hpp"
#include "tenant.hpp"
#include "tenant_files.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

class LocalDatabase final : public Database {
 public:
  LocalDatabase(std::unique_ptr<Core> core, const Options& options)
      : core_(std::move(core)),
        description_{options.actor, "local", kernel::ActorKind::human},
        publishes_(options.cluster_head_every_ns == 0) {}
  ~LocalDatabase() override { static_cast<void>(close().has_value()); }

  Result<std::unique_ptr<Session>> session(std::string_view name) override;
  Result<TenantInfo> create_tenant(std::string_view name, const Why& why) override;
  Result<Outcome> rotate_data_key(std::string_view name, const Why& why) override;
  Result<StatusReport> status() override;
  Glance glance() const override { return core_->glance(); }
  Status change_group(const MemberChange& change) override;
  Status add_proofs(StatusReport& report) override;
  Result<BackupReport> back_up(env::Storage& repository) override;
  Result<Buffer> escrow() override;
  Result<std::string> dump(std::string_view name, Position position) override;
  Result<std::vector<ProjectionSum>> sums(std::string_view name) override;
  void turn(std::uint64_t wait_ns) override { core_->driver().turn(wait_ns); }
  bool serve() override;
  Status close() override;
  // Begins to make heads of the cluster, if they are asked for and nobody did.
  [[nodiscard]] Status publish_if_whole();
  [[nodiscard]] bool is_group() const { return core_->is_group(); }

 private:
  [[nodiscard]] Result<Tenant*> tenant(TenantId id, std::string_view name);
  [[nodiscard]] Result<Tenant*> find(std::string_view name);
  void publish_if_leading();
  [[nodiscard]] Status publish_heads();
  void try_to_publish();
  void open_unsettled();
  [[nodiscard]] Principal principal(Tenant& tenant);
  [[nodiscard]] Result<Outcome> perform(const ForwardedWrite& write);
  [[nodiscard]] Result<Outcome> control(Tenant& tenant, kernel::Control control, Buffer sidecar,
                                        const Why& why);

  std::unique_ptr<Core> core_;
  kernel::Actor description_;
  std::mutex mutex_;  // of what follows
  std::map<TenantId, std::unique_ptr<Tenant>> tenants_;
  std::optional<Error> publish_failed_;
  std::atomic<std::uint64_t> publish_at_ns_ = 0;  // not before
  std::atomic<bool> publishes_;                   // or is not asked to
  std::unique_ptr<HeadPublisher> publisher_;      // none: no heads of the cluster are asked for
  bool closed_ = false;
};

Error closed_error() {
  return Error{Code::unavailable_closed, "the database is closed"}.next("open it again");
}

Result<Tenant*> LocalDatabase::tenant(TenantId id, std::string_view name) {
  if (closed_) return closed_error();
  KIMBERLITE_CHECK(core_->caught_up());
  if (const auto found = tenants_.find(id); found != tenants_.end()) return found->second.get();
  auto opened = std::make_unique<Tenant>(*core_, id, std::string{name});
  Status status = opened->open();
  if (!status && status.error().code() == Code::integrity_rollback && core_->is_group()) {
    // It lost the end of its journal, and has not all of what it signed again yet.
    probe<"engine.tenant.behind_its_heads">();
    KIMBERLITE_CHECK(core_->confirm_read());
    opened = std::make_unique<Tenant>(*core_, id, std::string{name});
    status = opened->open();
  }
  for (std::optional<Position> last; !status && opened->unread() && opened->unread() != last;) {
    last = opened->unread();
    if (!core_->mended({id, kernel::Lane::data, *last}, status.error())) break;
    opened = std::make_unique<Tenant>(*core_, id, std::string{name});
    status = opened->open();
  }
  if (!status) {
    const Error& error = status.error();
    const bool is_damaged =
        class_of(error.code()) == ErrorClass::integrity && error.code() != Code::integrity_rollback;
    if (!is_damaged) return error;
    core_->stop_in_group(id, error);
    return core_->whole_elsewhere(error);
  }
  return tenants_.emplace(id, std::move(opened)).first->second.get();
}

Result<Tenant*> LocalDatabase::find(std::string_view name) {
  std::optional<TenantId> id;
  std::string known;
  const auto look = [&](Core& core) {
    id = core.state().find_tenant(name);
    known.clear();
    for (std::uint64_t i = 1; i < core.state().tenant_count(); ++i) {
      known += (known.empty() ? "" : ", ") + core.state().tenant(TenantId{i})->name;
    }
  };
  core_->run(look);
  if (!id && core_->is_group()) {
    // This replica may only be behind.
    KIMBERLITE_CHECK(core_->confirm_read());
    core_->run(look);
  }
  if (!id) {
    return Error{Code::not_found_tenant, "there is no tenant {}", name}.next(
        "{}", known.empty() ? "kimberlite tenant create makes one" : "those there are: " + known);
  }
  return tenant(*id, name);
}

Principal LocalDatabase::principal(Tenant& tenant) {
  Principal principal{.actor = tenant.actor(description_), .description = description_};
  core_->env().random.fill(principal.session);
  return principal;
}

Result<std::unique_ptr<Session>> LocalDatabase::session(std::string_view name) {
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_TRY(Tenant * found, find(name));
  if (is_planted(Canary::cross_tenant) && tenants_.begin()->first != TenantId{0}) {
    found = tenants_.begin()->second.get();
  }
  return std::unique_ptr<Session>{std::make_unique<LocalSession>(*core_, *found, principal(*found),
                                                                 [this] { publish_if_leading(); })};
}

// In a group whoever leads it makes the heads, from its first write on: tenant 0 cannot be opened
// before a replica has caught up. One that fails is tried again when the next head would be due.
void LocalDatabase::publish_if_leading() {
  if (publishes_ || !core_->is_group() || !core_->leads()) return;
  if (core_->env().clock.monotonic_ns() < publish_at_ns_) return;
  // Whoever has the mutex may wait for a quorum: the next write tries.
  const std::unique_lock lock{mutex_, std::try_to_lock};
  if (lock) try_to_publish();
}

void LocalDatabase::try_to_publish() {
  publish_at_ns_ = core_->env().clock.monotonic_ns() + core_->options().cluster_head_every_ns;
  publish_failed_.reset();
  if (Status begun = publish_heads(); !begun) publish_failed_ = begun.error();
}

// A record of the cluster's own log that cannot be read keeps no tenant from being opened: it is a
// note of `status`. A log that is older than its heads, or another than they are of, does.
Status LocalDatabase::publish_if_whole() {
  Status begun = publish_heads();
  if (begun) return {};
  const Code code = begun.error().code();
  const bool is_other = code == Code::integrity_rollback || code == Code::integrity_consistency;
  if (class_of(code) != ErrorClass::integrity || is_other) return begun;
  publish_failed_ = begun.error();
  return {};
}

bool LocalDatabase::serve() {
  const std::optional<ForwardedWrite> write = core_->forwarder().take();
  if (!write) return false;
  core_->forwarder().answer(*write, perform(*write));
  return true;
}

Result<Outcome> LocalDatabase::perform(const ForwardedWrite& write) {
  KIMBERLITE_CHECK(core_->check_primary());
  Tenant* found = nullptr;
  {
    const std::scoped_lock lock{mutex_};
    KIMBERLITE_TRY(found, find(write.tenant));
  }
  publish_if_leading();
  LocalSession session{*core_, *found,
                       Principal{.actor = found->actor(write.actor),
                                 .description = write.actor,
                                 .session = write.session}};
  session.serves(write.not_after_ns, write.is_named);
  const Why why{.request_id = write.request_id,
                .idempotency_key = write.idempotency_key,
                .reason = write.reason,
                .correlation = write.correlation,
                .expected = write.expected};
  if (write.statements.empty()) {
    std::vector<Event> events;
    events.reserve(write.events.size());
    for (const auto& event : write.events) events.push_back({event.kind, event.payload});
    return session.append(write.stream, write.expected_sequence, events, why);
  }
  std::vector<Statement> statements;
  statements.reserve(write.statements.size());
  for (const auto& statement : write.statements) {
    statements.push_back({statement.text, statement.parameters});
  }
  return session.execute(statements, why);
}

Result<Outcome> LocalDatabase::control(Tenant& tenant, kernel::Control control, Buffer sidecar,
                                       const Why& why) {
  if (core_->is_group() && core_->leads()) try_to_publish();
  Principal who = principal(tenant);
  Request request;
  request.kind = RequestKind::control;
  const Buffer bytes = kernel::encode_control(control);
  const std::array<Bytes, 1> parts{bytes};
  KIMBERLITE_CHECK(tenant.fill(request, who, why, parts));
  request.control = std::move(control);
  request.sidecar = std::move(sidecar);
  tenant.submit(request);
  return *std::move(request.result);
}

Result<TenantInfo> LocalDatabase::create_tenant(std::string_view name, const Why& why) {
  const std::scoped_lock lock{mutex_};
  if (!kernel::is_tenant_name(name)) {
    return Error{Code::limit_name, "this is no name for a tenant"}.next(
        "use 1 to 63 of a-z, 0-9, - and _, the first a letter or digit");
  }
  KIMBERLITE_TRY(Tenant * cluster, tenant(TenantId{0}, ""));
  // What an earlier primary left, and this one has yet to commit, may be a tenant.
  if (core_->is_group()) KIMBERLITE_CHECK(core_->confirm_read());
  std::optional<TenantId> there;
  TimestampUs created;
  kernel::CreateTenant create{.tenant = {}, .name = std::string{name}};
  for (Id128& log_id : create.log_ids) core_->env().random.fill(log_id);
  Buffer sidecar;
  core_->run([&](Core& core) {
    there = core.state().find_tenant(name);
    create.tenant = core.state().next_tenant();
    if (there) {
      created = core.state().tenant(*there)->created;
    } else {
      sidecar = core.propose_tenant(create.tenant);
    }
  });
  if (there) {
    // The ids of its logs are drawn anew each time: what was asked is told by what came of it.
    std::optional<Outcome> earlier;
    if (why.request_id || !why.idempotency_key.empty()) {
      Principal who = principal(*cluster);
      KIMBERLITE_CHECK(cluster->settle_actor(who));
      KIMBERLITE_TRY(const Id128 id, cluster->request_id(who, why));
      KIMBERLITE_TRY(earlier, cluster->outcome_under(id));
    }
    if (!earlier || earlier->timestamp != created) {
      return Error{Code::constraint_exists, "there is a tenant {} already", name}.next(
          "choose another name");
    }
  } else {
    there = create.tenant;
    KIMBERLITE_CHECK(control(*cluster, std::move(create), std::move(sidecar), why));
  }
  KIMBERLITE_CHECK(tenant(*there, name));
  StatusReport report;
  core_->run([&](Core& core) { core.status(report); });
  return std::move(report.tenants[there->value()]);
}

Result<Outcome> LocalDatabase::rotate_data_key(std::string_view name, const Why& why) {
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_TRY(Tenant * found, find(name));
  return control(*found, kernel::RotateKey{kernel::KeyScope::data}, {}, why);
}

Result<StatusReport> LocalDatabase::status() {
  const std::scoped_lock lock{mutex_};
  if (closed_) return closed_error();
  StatusReport report;
  core_->run([&](Core& core) { core.status(report); });
  KIMBERLITE_TRY(report.free_bytes, core_->env().storage.free_bytes());
  if (publish_failed_) {
    report.notes.push_back("no heads of the cluster are made: " + to_string(*publish_failed_));
  }
  return report;
}

Status LocalDatabase::change_group(const MemberChange& change) {
  // Not under the mutex: sessions are made and used meanwhile.
  {
    const std::scoped_lock lock{mutex_};
    if (closed_) return closed_error();
  }
  return core_->change_group(change);
}

Status LocalDatabase::add_proofs(StatusReport& report) {
  const std::scoped_lock lock{mutex_};
  if (closed_) return closed_error();
  for (TenantInfo& tenant : report.tenants) {
    for (std::size_t lane = 0; lane < tenant.logs.size(); ++lane) {
      KIMBERLITE_TRY(const std::vector<log::StoredHead> newest,
                     core_->prover().list(tenant.id, static_cast<kernel::Lane>(lane), 1));
      if (!newest.empty()) tenant.logs[lane].signed_head = newest.front();
      KIMBERLITE_TRY(const Prover::Anchors anchors,
                     core_->prover().anchors(tenant.id, static_cast<kernel::Lane>(lane)));
      tenant.logs[lane].anchors = anchors.count;
      tenant.logs[lane].newest_anchor = anchors.newest;
    }
  }
  return {};
}

Result<BackupReport> LocalDatabase::back_up(env::Storage& repository) {
  // Not under the mutex: sessions are made and used meanwhile.
  {
    const std::scoped_lock lock{mutex_};
    if (closed_) return closed_error();
  }
  return engine::back_up(*core_, repository, core_->options().holder);
}

Result<Buffer> LocalDatabase::escrow() {
  const std::scoped_lock lock{mutex_};
  if (closed_) return closed_error();
  std::optional<Error> failed;
  Buffer keys;
  core_->run([&](Core& core) {
    failed = core.failed();
    if (!failed) keys = core.escrow();
  });
  if (failed) return *failed;
  return keys;
}

Result<std::string> LocalDatabase::dump(std::string_view name, Position position) {
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_TRY(Tenant * found, find(name));
  return found->dump(position);
}

Result<std::vector<ProjectionSum>> LocalDatabase::sums(std::string_view name) {
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_TRY(Tenant * found, find(name));
  return found->sums();
}

Status LocalDatabase::publish_heads() {
  if (publisher_ != nullptr || core_->options().cluster_head_every_ns == 0) return {};
  KIMBERLITE_TRY(Tenant * cluster, tenant(TenantId{0}, ""));
  const kernel::Actor process{"kimberlite", "process", kernel::ActorKind::system};
  Principal principal{.actor = cluster->actor(process), .description = process};
  core_->env().random.fill(principal.session);
  auto publisher = std::make_unique<HeadPublisher>(*core_, *cluster, std::move(principal),
                                                   core_->options().cluster_head_every_ns);
  KIMBERLITE_CHECK(publisher->start());
  publisher_ = std::move(publisher);
  publishes_ = true;
  return {};
}

// A projection that nobody opened since a crash still has its write-ahead log, torn perhaps; only a
// directory without any can be verified to the last byte. Opening it mends it; a failure is the
// next opener's to report.
void LocalDatabase::open_unsettled() {
  std::vector<std::string> names;
  core_->run([&](Core& core) {
    if (core.failed()) return;
    for (std::uint64_t i = 0; i < core.state().tenant_count(); ++i) {
      names.push_back(core.state().tenant(TenantId{i})->name);
    }
  });
  for (std::uint64_t i = 0; i < names.size(); ++i) {
    if (tenants_.contains(TenantId{i})) continue;
    const std::string log = projection_path(TenantId{i}) + "-wal";
    if (!core_->env().storage.open(log, env::Open::read)) continue;
    static_cast<void>(tenant(TenantId{i}, names[i]).has_value());
  }
}

Status LocalDatabase::close() {
  const std::scoped_lock lock{mutex_};
  if (closed_) return {};
  if (publisher_ != nullptr) publisher_->stop();
  open_unsettled();
  closed_ = true;
  Status all;
  for (auto& [id, tenant] : tenants_) {
    if (Status status = tenant->close(); !status && all) all = status.error();
  }
  tenants_.clear();
  if (Status status = core_->close(); !status && all) all = status.error();
  return all;
}

}  // namespace

Result<Id128> Database::cluster_of(env::Storage& storage) {
  const Error not_ours = Error{Code::usage_not_ours, "this is not a Kimberlite data directory"}
                             .why("it has no superblock")
                             .next("make one: kimberlite init DIR");
  auto device = storage.open_device(files::superblock, 0);
  if (!device) {
    const Code code = device.error().code();
    const bool absent = code == Code::not_found_file || code == Code::not_found_directory;
    return absent ? not_ours : device.error();
  }
  if ((*device)->size() != consensus::superblock_size) return not_ours;
  consensus::Block block{consensus::superblock_size};
  block.resize(consensus::superblock_size);
  KIMBERLITE_CHECK(read_sectors(**device, 0, block.bytes()));
  KIMBERLITE_TRY(const auto read,
                 consensus::read_superblock(
                     std::span<const std::byte, consensus::superblock_size>{block.bytes()}));
  return read.superblock.cluster;
}

Status Database::check_empty(env::Storage& storage) {
  const auto names = storage.list("");
  if (!names) {
    if (names.error().code() == Code::not_found_directory) return {};
    return names.error();
  }
  if (names->empty()) return {};
  const auto is_there = [&](std::string_view name) {
    return std::ranges::find(*names, name) != names->end();
  };
  if (is_there(files::superblock)) {
    return Error{Code::usage_not_empty, "there is a database here already"}.next(
        "choose another directory");
  }
  const std::string superblock_new = std::string{files::superblock} + ".new";
  const std::string journal_new = std::string{files::journal} + ".new";
  // The superblock is created last: without one nothing was ever acknowledged here.
  const bool unfinished = (is_there(superblock_new) || !is_there(files::journal)) &&
                          std::ranges::all_of(*names, [&](std::string_view name) {
                            return name == files::lock || name == files::keystore(OpNumber{0}) ||
                                   name == files::snapshot(OpNumber{0}) || name == files::journal ||
                                   name == journal_new || name == superblock_new;
                          });
  if (unfinished) {
    return Error{Code::usage_not_empty, "the directory holds what an unfinished init left"}
        .why("it was stopped before there was a database")
        .next("remove the directory and run it again, or choose another one");
  }
  return Error{Code::usage_not_empty, "the directory is not empty"}.next(
      "choose another directory");
}

namespace {

// A directory whose state is that of nothing written yet.
Status make_directory(env::Env env, const keystore::Keystore& keys, consensus::Genesis genesis,
                      std::uint64_t ring_size) {
  const kernel::State state{genesis.cluster};
  const OpNumber op{0};
  const Buffer key_file = keys.encode(op, env.random);
  const Buffer snapshot = encode_snapshot(state, op, keys, env.random);
  KIMBERLITE_CHECK(write_whole(env.storage, files::keystore(op), key_file));
  KIMBERLITE_CHECK(write_whole(env.storage, files::snapshot(op), snapshot));
  genesis.snapshot = crypto::blake3(snapshot);
  genesis.keystore = crypto::blake3(key_file);
  genesis.heads = kernel::heads_digest(state);
  genesis.state = kernel::digest(state);
  genesis.epoch_key = keys.epoch_key();
  return JournalIo::create(env.storage, consensus::first_superblock(genesis), ring_size);
}

// Of a group that is there, or of one that is being made.
Result<consensus::Configuration> configuration_of(const GroupOptions& options, bool is_new) {
  KIMBERLITE_TRY(const consensus::Configuration group, to_configuration(options.group));
  if (!group.has(options.replica)) {
    return Error{Code::usage_config, "replica {} is no member of the group", options.replica}.next(
        "add it to the group first");
  }
  if (is_new && (group.epoch != 0 || !consensus::core::is_voter_count(group.voter_count()))) {
    return Error{Code::usage_config, "a group of {} voters and epoch {} cannot be made",
                 group.voter_count(), group.epoch}
        .why("a group begins with 1, 3, 5 or 7 voters, in epoch 0");
  }
  return group;
}

Status make_member(env::Env env, const keystore::Keystore& keys, const GroupOptions& options,
                   const consensus::Configuration& group, std::optional<TimestampUs> anew = {}) {
  return make_directory(env, keys,
                        {.cluster = options.cluster,
                         .configuration = group,
                         .replica = options.replica,
                         .anew = anew},
                        options.ring_size);
}

// As a member of a group whose keys these are.
Status join(env::Env env, keystore::MasterKey& master, const GroupOptions& options, Bytes keys,
            std::optional<TimestampUs> anew) {
  KIMBERLITE_TRY(const consensus::Configuration group, configuration_of(options, !anew));
  KIMBERLITE_CHECK(Database::check_empty(env.storage));
  KIMBERLITE_TRY(const auto lock, env.storage.lock(files::lock, options.holder));
  KIMBERLITE_TRY(const keystore::FileHeader header, keystore::read_header(keys));
  if (header.cluster != options.cluster) {
    return Error{Code::unavailable_escrow, "these are the keys of another cluster"}.next(
        "take those that a replica of this one gave");
  }
  KIMBERLITE_TRY(keystore::Keystore opened, keystore::Keystore::decode(keys, master));
  // What a group begins with: the log from there on, or a peer's state, brings all later keys.
  const keystore::Keystore::TenantCut first{
      .tenant = TenantId{}, .last_key = kernel::pseudonym_key, .epochs = {1, 1}};
  opened.cut_back({&first, 1});
  return make_member(env, opened, options, group, anew);
}

}  // namespace

Result<Buffer> Database::create_group(env::Env env, keystore::MasterKey& master,
                                      const GroupOptions& options) {
  KIMBERLITE_TRY(const consensus::Configuration group, configuration_of(options, true));
  KIMBERLITE_CHECK(check_empty(env.storage));
  KIMBERLITE_TRY(const auto lock, env.storage.lock(files::lock, options.holder));
  KIMBERLITE_TRY(const keystore::Keystore keys,
                 keystore::Keystore::create(options.cluster, master, env.random));
  KIMBERLITE_CHECK(make_member(env, keys, options, group));
  return keys.encode(OpNumber{0}, env.random);
}

Status Database::join_group(env::Env env, keystore::MasterKey& master, const GroupOptions& options,
                            Bytes keys) {
  return join(env, master, options, keys, std::nullopt);
}

Status Database::recover_member(env::Env env, keystore::MasterKey& master,
                                const GroupOptions& options, Bytes keys) {
  if (std::ranges::count(options.group.members, true, &Member::votes) == 1) {
    return Error{Code::usage_config, "a replica alone has no others to recover from"}.next(
        "restore a backup: kimberlite restore");
  }
  return join(env, master, options, keys, env.clock.realtime());
}

Result<TenantInfo> Database::create(env::Env env, keystore::MasterKey& master,
                                    const CreateOptions& options) {
  if (!kernel::is_tenant_name(options.tenant)) {
    return Error{Code::limit_name, "this is no name for a tenant"}.next(
        "use 1 to 63 of a-z, 0-9, - and _, the first a letter or digit");
  }
  KIMBERLITE_CHECK(check_actor(options.actor));
  KIMBERLITE_CHECK(check_empty(env.storage));
  {
    KIMBERLITE_TRY(const auto lock, env.storage.lock(files::lock, options.holder));
    Id128 cluster{};
    Id128 member{};
    env.random.fill(cluster);
    env.random.fill(member);
    if (options.cluster) cluster = *options.cluster;
    KIMBERLITE_TRY(const keystore::Keystore keys,
                   keystore::Keystore::create(cluster, master, env.random));
    KIMBERLITE_CHECK(
        make_directory(env, keys,
                       {.cluster = cluster,
                        .configuration = consensus::first_configuration(std::span(&member, 1), 1)},
                       options.ring_size));
  }
  KIMBERLITE_TRY(auto database, open(env, master,
                                     {.actor = options.actor,
                                      .holder = options.holder,
                                      .free_bytes_reserve = options.free_bytes_reserve,
                                      .simulated = options.simulated}));
  KIMBERLITE_TRY(TenantInfo tenant, database->create_tenant(options.tenant, {.reason = "init"}));
  KIMBERLITE_CHECK(database->close());
  return tenant;
}

Result<std::unique_ptr<Database>> Database::open(env::Env env, keystore::MasterKey& master,
                                                 const Options& options) {
  KIMBERLITE_CHECK(check_actor(options.actor));
  KIMBERLITE_TRY(auto core, Core::open(env, master, options));
  auto database = std::make_unique<LocalDatabase>(std::move(core), options);
  if (!database->is_group()) KIMBERLITE_CHECK(database->publish_if_whole());
  return std::unique_ptr<Database>{std::move(database)};
}

}  // namespace kimberlite::engine
