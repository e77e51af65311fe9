#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "base/assert.hpp"
#include "crypto/blake3.hpp"
#include "engine/backup.hpp"
#include "engine/database.hpp"
#include "files.hpp"
#include "journal_io.hpp"
#include "kernel/command.hpp"
#include "kernel/snapshot.hpp"
#include "keystore/keystore.hpp"
#include "log/anchor_file.hpp"
#include "log/head_file.hpp"
#include "log/tenant_log.hpp"
#include "record/body.hpp"
#include "record/items.hpp"
#include "record/signed_head.hpp"
#include "request.hpp"
#include "request_id.hpp"
#include "seal.hpp"
#include "snapshot_file.hpp"
#include "state_rebuild.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

// Where what is restored ends: records up to this place of the order all logs have in common, or up
// to this time.
struct Cut {
  OpNumber op;
  std::uint32_t index = 0;
  std::optional<TimestampUs> time;

  [[nodiscard]] bool keeps(const log::RecordView& record) const {
    if (time) return record.entry.timestamp <= *time;
    return std::pair{record.op, record.index} <= std::pair{op, index};
  }
};

Error stopped() {
  return Error{Code::interrupted_signal, "the restore was stopped"}.next(
      "remove the directory, and begin again");
}

constexpr std::size_t piece_size = std::size_t{1} << 20;

class Restorer {
 public:
  Restorer(env::Storage& repository, const BackupText& backup, env::Env into,
           const RestoreOptions& options)
      : repository_(repository), backup_(backup), into_(into), options_(options) {}

  Result<RestoreReport> run(keystore::MasterKey& master, Bytes escrow) {
    KIMBERLITE_TRY(keystore::Keystore keys, keystore::Keystore::decode(escrow, master));
    keys_ = std::make_unique<keystore::Keystore>(std::move(keys));
    KIMBERLITE_TRY(const keystore::FileHeader header, keystore::read_header(escrow));
    if (header.cluster != backup_.cluster) {
      return Error{Code::unavailable_escrow, "the escrowed keys are of another cluster"}.why(
          "the backup is of {}, the keys are of {}", to_hex(backup_.cluster),
          to_hex(header.cluster));
    }
    KIMBERLITE_TRY(cut_, find_cut());
    for (const BackupLog& log : backup_.logs) KIMBERLITE_CHECK(copy(log));
    KIMBERLITE_CHECK(rebuild());
    KIMBERLITE_CHECK(begin_epochs());
    KIMBERLITE_CHECK(write_down());
    return std::move(report_);
  }

 private:
  Result<Cut> find_cut() {
    if (const auto* time = std::get_if<TimestampUs>(&options_.until)) {
      if (*time > backup_.timestamp) {
        return Error{Code::not_found_time, "the backup ends before this time"}.why(
            "it ends at {} µs since 1970", backup_.timestamp.value());
      }
      return Cut{.time = *time};
    }
    const auto* place = std::get_if<RestorePosition>(&options_.until);
    if (place == nullptr) return Cut{.op = backup_.op, .index = ~0U};
    KIMBERLITE_TRY(const TenantId tenant, find_tenant(place->tenant));
    for (const BackupLog& log : backup_.logs) {
      if (log.tenant != tenant || log.lane != 0) continue;
      if (place->position == Position{} || place->position > log.head.position) break;
      KIMBERLITE_TRY(const auto source, open_source(log));
      Buffer scratch;
      KIMBERLITE_TRY(log::Scan scan, source->scan(place->position));
      KIMBERLITE_TRY(const auto record, scan.next());
      KIMBERLITE_ASSERT(record.has_value());
      return Cut{.op = record->op, .index = record->index};
    }
    return Error{Code::not_found_position, "the backup has no record {} of this tenant",
                 place->position.value()};
  }

  // Names of tenants stand in the cluster's own log.
  Result<TenantId> find_tenant(std::string_view name) {
    for (const BackupLog& log : backup_.logs) {
      if (log.tenant != TenantId{} || log.lane != 0) continue;
      KIMBERLITE_TRY(const auto source, open_source(log));
      KIMBERLITE_TRY(log::Scan scan, source->scan(Position{1}));
      while (true) {
        KIMBERLITE_TRY(const auto record, scan.next());
        if (!record) break;
        KIMBERLITE_TRY(const auto items, record::split_body(record->body));
        KIMBERLITE_TRY(const auto control, control_of(*keys_, TenantId{}, record->entry, items));
        const auto* created = control ? std::get_if<kernel::CreateTenant>(&*control) : nullptr;
        if (created != nullptr && created->name == name) return created->tenant;
      }
    }
    return Error{Code::not_found_tenant, "the backup has no tenant {}", name};
  }

  Result<std::unique_ptr<log::TenantLog>> open_source(const BackupLog& log) {
    return log::TenantLog::open(repository_, {log.tenant, log.lane}, log.log_id, log.head);
  }

  // Appends the records that are kept to a log of the new directory: its segments become what they
  // were, byte for byte, as nothing but the records decides that.
  Status copy(const BackupLog& log) {
    KIMBERLITE_TRY(const auto source, open_source(log));
    KIMBERLITE_TRY(log::Scan scan, source->scan(Position{1}));
    std::unique_ptr<log::TenantLog> copied;
    record::Head head;
    while (true) {
      KIMBERLITE_TRY(const std::optional<log::RecordView> record, scan.next());
      if (!record) break;
      if (!cut_.keeps(*record)) {
        report_.lost = std::max(report_.lost, backup_.op);
        first_lost_ = std::min(first_lost_, record->op);
        break;
      }
      if (copied == nullptr) {
        KIMBERLITE_TRY(copied, log::TenantLog::open(into_.storage, {log.tenant, log.lane},
                                                    record->entry.log_id, head));
      }
      const record::Entry& entry = record->entry;
      if (entry.previous != head.leaf) {
        return Error{Code::integrity_chain, "a record does not follow the one before it"}.where(
            "{}, position {}", log::directory_of({log.tenant, log.lane}), entry.position.value());
      }
      head = record::advance(head, entry);
      KIMBERLITE_CHECK(copied->append(record->op, record->index, entry, record->body, head));
      last_ = std::max(last_, record->op);
      last_time_ = std::max(last_time_, entry.timestamp);
      ++records_;
      const bool due = records_ % 1024 == 0 && options_.progress;
      if (due && !options_.progress({.records = records_})) return stopped();
    }
    if (copied == nullptr) return {};
    KIMBERLITE_CHECK(copied->settle());
    logs_[{log.tenant, log.lane}] = std::move(copied);
    KIMBERLITE_CHECK(copy_heads(log, head.position));
    return copy_anchors(log, head.position);
  }

  // Those of trees that were kept whole: of others the new directory could prove nothing.
  Status copy_heads(const BackupLog& log, Position kept) {
    if (log.heads == 0) return {};
    const std::string path = path_of(log, log::heads_name);
    KIMBERLITE_TRY(const auto source, repository_.open(path, env::Open::read));
    KIMBERLITE_TRY(const auto copied, into_.storage.open(path, env::Open::create));
    std::uint64_t end = 0;
    Buffer piece;
    for (std::uint64_t at = 0; at < log.heads; at += log::head_record_size) {
      log::HeadRecordBytes bytes{};
      KIMBERLITE_TRY(const std::size_t got, source->read_at(at, bytes));
      if (got < bytes.size()) return cut_off(path, at + got);
      Result<log::StoredHead> head = log::decode_head_record(bytes);
      if (!head) return std::move(head.error()).where("{}, byte {}", path, at);
      if (head->tree.size <= kept.value()) append(piece, bytes);
      if (piece.size() < piece_size && at + bytes.size() < log.heads) continue;
      KIMBERLITE_CHECK(copied->write_at(end, piece));
      end += piece.size();
      piece.clear();
    }
    return {};
  }

  // Those of heads that were kept.
  Status copy_anchors(const BackupLog& log, Position kept) {
    if (log.anchors == 0) return {};
    const std::string path = path_of(log, log::anchors_name);
    KIMBERLITE_TRY(const auto source, repository_.open(path, env::Open::read));
    std::optional<Error> wrong;
    Buffer all;
    KIMBERLITE_TRY(const log::AnchorScan scan, log::scan_anchors(
                                                   *source, log.anchors,
                                                   [&](std::uint64_t, const log::Anchor& anchor) {
                                                     if (anchor.tree.size <= kept.value())
                                                       append(all, log::encode(anchor));
                                                   },
                                                   [&](std::uint64_t at, const Error& error) {
                                                     if (!wrong)
                                                       wrong = Error{error}.where("{}, byte {}",
                                                                                  path, at);
                                                   }));
    if (wrong) return *wrong;
    if (scan.end < log.anchors) return cut_off(path, scan.end);
    KIMBERLITE_TRY(const auto copied, into_.storage.open(path, env::Open::create));
    return copied->write_at(0, all);
  }

  static std::string path_of(const BackupLog& log, std::string_view name) {
    return fmt::format("{}/{}", log::directory_of({log.tenant, log.lane}), name);
  }
  static Error cut_off(const std::string& path, std::uint64_t at) {
    return Error{Code::integrity_missing_file, "a file of the backup is cut off"}.where(
        "{}, byte {}", path, at);
  }

  Status rebuild() {
    KIMBERLITE_TRY(RebuiltState rebuilt,
                   rebuild_state(into_.storage, *keys_, backup_.cluster, last_));
    if (rebuilt.torn) return *rebuilt.torn;
    state_ = std::make_unique<kernel::State>(std::move(rebuilt.state));
    if (report_.lost == OpNumber{} && kernel::digest(*state_) != backup_.state) {
      return Error{Code::integrity_state, "the records do not give the state the backup names"}
          .why("{} is expected, {} was found", to_hex(backup_.state),
               to_hex(kernel::digest(*state_)))
          .next("kimberlite backup verify says which log does not add up");
    }
    std::vector<keystore::Keystore::TenantCut> cuts;
    for (std::uint64_t id = 0; id < state_->tenant_count(); ++id) {
      const kernel::TenantState& tenant = *state_->tenant(TenantId{id});
      const auto last = keys_->last_key(TenantId{id});
      if (!last || last->value() + 1 < tenant.next_key.value()) {
        return Error{Code::unavailable_escrow, "the escrowed keys are older than the backup"}
            .where("tenant {}", id)
            .why("keys that its records are sealed under are not among them")
            .next("restore with the newest escrow: kimberlite key escrow makes one");
      }
      keystore::Keystore::TenantCut& cut = cuts.emplace_back();
      cut.tenant = TenantId{id};
      cut.last_key = KeyId{tenant.next_key.value() - 1};
      for (std::size_t lane = 0; lane < kernel::lane_count; ++lane) {
        cut.epochs.at(lane) = tenant.lanes.at(lane).epoch;
      }
    }
    keys_->cut_back(cuts);
    return {};
  }

  // A record in every log that says what it goes on from, under a new log id and key.
  Status begin_epochs() {
    op_ = OpNumber{std::max(backup_.op, last_).value() + 1};
    time_ = TimestampUs{std::max(into_.clock.realtime().value(), last_time_.value() + 1)};
    for (std::uint64_t id = 0; id < state_->tenant_count(); ++id) {
      for (std::uint16_t lane = 0; lane < kernel::lane_count; ++lane) {
        KIMBERLITE_CHECK(begin_epoch(TenantId{id}, lane));
      }
    }
    return {};
  }

  Status begin_epoch(TenantId tenant, std::uint16_t lane) {
    const kernel::TenantState& state = *state_->tenant(tenant);
    const kernel::LaneState before = state.lanes.at(lane);
    kernel::BeginEpoch epoch = epoch_after(tenant, lane, before);
    const kernel::Actor by{options_.actor, "local", kernel::ActorKind::human};
    const std::optional<Id128> known = state.find_actor(by.name, by.method);
    Id128 actor = known.value_or(Id128{});
    if (!known) {
      into_.random.fill(actor);
      epoch.actor = kernel::AddActor{actor, by};
    }
    KIMBERLITE_TRY(SealedCommand command, seal(tenant, lane, before, epoch, actor));
    KIMBERLITE_TRY(command.sidecar,
                   keys_->propose_signing_key(tenant, {lane, before.epoch + 1}, into_.random));
    KIMBERLITE_CHECK(finish(command, command_size_max));
    KIMBERLITE_CHECK(apply(tenant, lane, before, command, epoch));

    KIMBERLITE_TRY(const keystore::SigningKeyPtr signer,
                   keys_->signing_key(tenant, {lane, before.epoch + 1}));
    report_.logs.push_back({.tenant = tenant,
                            .tenant_name = state.name,
                            .lane = lane,
                            .old_log_id = before.log_id,
                            .restored = before.head,
                            .log_id = epoch.log_id,
                            .log_key = record::VerifierKey{.name = record::origin_of(epoch.log_id),
                                                           .type = record::NoteKeyType::signature,
                                                           .key = signer->public_key()}
                                           .to_text()});
    return {};
  }

  kernel::BeginEpoch epoch_after(TenantId tenant, std::uint16_t lane,
                                 const kernel::LaneState& before) {
    kernel::BeginEpoch epoch{.old_log_id = before.log_id};
    into_.random.fill(epoch.log_id);
    if (report_.lost != OpNumber{}) {
      epoch.lost_first = first_lost_;
      epoch.lost_last = report_.lost;
    }
    // The largest tree of the old log that is known: the backup's, where less was kept than it has.
    const auto whole = std::ranges::find_if(backup_.logs, [&](const BackupLog& log) {
      return log.tenant == tenant && log.lane == lane && log.log_id == before.log_id;
    });
    const record::Head& known = whole == backup_.logs.end() ? before.head : whole->head;
    epoch.old_size = known.position.value();
    if (epoch.old_size > 0) epoch.old_root = known.frontier.root();
    return epoch;
  }

  Result<SealedCommand> seal(TenantId tenant, std::uint16_t lane, const kernel::LaneState& before,
                             const kernel::BeginEpoch& epoch, const Id128& actor) {
    SealedCommand command;
    command.header.kind = std::to_underlying(kernel::Kind::begin_epoch);
    command.header.lane = lane;
    command.header.tenant = tenant;
    if (lane == 0) command.header.base = before.head.position;
    command.header.access_version = state_->tenant(tenant)->access_version;
    command.header.actor = actor;
    into_.random.fill(command.header.session);
    command.header.request_id = new_request_id(into_.clock, into_.random);
    const Buffer control = kernel::encode_control(epoch);
    const std::array<Bytes, 1> parts{control};
    KIMBERLITE_TRY(const Hash digest, keys_->request_digest(tenant, parts));
    record::Meta meta;
    meta.request_digest = Bytes{digest};
    if (!options_.reason.empty()) meta.reason = options_.reason;
    record::PlaintextWriter plaintext{record::ItemKind::control};
    plaintext.meta(meta);
    plaintext.control(control);
    KIMBERLITE_TRY(const keystore::ItemKeyPtr key, keys_->item_key(tenant, kernel::control_key));
    seal_item(command, *key, epoch.log_id, std::move(plaintext), {}, {}, into_.random);
    return command;
  }

  Status apply(TenantId tenant, std::uint16_t lane, const kernel::LaneState& before,
               const SealedCommand& sealed, const kernel::BeginEpoch& epoch) {
    KIMBERLITE_TRY(const std::vector<record::ItemView> items, record::split_body(sealed.items));
    std::vector<record::ItemHeader> headers;
    headers.reserve(items.size());
    for (const record::ItemView& item : items) headers.push_back(item.header);
    const kernel::Command command{.tenant = tenant,
                                  .lane = static_cast<kernel::Lane>(lane),
                                  .kind = sealed.header.kind,
                                  .base = sealed.header.base,
                                  .access_version = sealed.header.access_version,
                                  .actor = sealed.header.actor,
                                  .session = sealed.header.session,
                                  .request_id = sealed.header.request_id,
                                  .items = headers,
                                  .body_size = sealed.header.body_size,
                                  .body_commitment = record::body_commitment(items),
                                  .control = epoch,
                                  .sidecar = sealed.sidecar};
    const TimestampUs time{time_.value() + index_};
    const kernel::Effects effects = kernel::apply(*state_, time, command);
    if (effects.refusal != kernel::Refusal::none) return kernel::error_of(effects.refusal, tenant);
    KIMBERLITE_CHECK(keys_->apply_sidecar(tenant, sealed.sidecar, into_.random));
    auto& log = logs_[{tenant, lane}];
    if (log == nullptr) {
      KIMBERLITE_TRY(
          log, log::TenantLog::open(into_.storage, {tenant, lane}, epoch.log_id, before.head));
    }
    const record::Head& after = state_->tenant(tenant)->lanes.at(lane).head;
    KIMBERLITE_CHECK(log->append(op_, index_, *effects.append, sealed.items, after));
    ++index_;
    return log->flush();
  }

  // The superblock is last: before it there is no database here.
  Status write_down() {
    KIMBERLITE_CHECK(into_.storage.sync_all());
    const Buffer key_file = keys_->encode(op_, into_.random);
    const Buffer snapshot = encode_snapshot(*state_, op_, *keys_, into_.random);
    KIMBERLITE_CHECK(write_whole(into_.storage, files::keystore(op_), key_file));
    KIMBERLITE_CHECK(write_whole(into_.storage, files::snapshot(op_), snapshot));
    Id128 member{};
    into_.random.fill(member);
    const consensus::Genesis genesis{
        .cluster = backup_.cluster,
        .configuration = consensus::first_configuration(std::span(&member, 1), 1),
        .snapshot = crypto::blake3(snapshot),
        .keystore = crypto::blake3(key_file),
        .heads = kernel::heads_digest(*state_),
        .state = kernel::digest(*state_),
        .epoch_key = keys_->epoch_key(),
        .op = op_,
        .next_timestamp = TimestampUs{time_.value() + index_}};
    report_.last = last_;
    return JournalIo::create(into_.storage, consensus::first_superblock(genesis),
                             options_.ring_size);
  }

  env::Storage& repository_;
  const BackupText& backup_;
  env::Env into_;
  const RestoreOptions& options_;
  RestoreReport report_;
  Cut cut_;
  std::unique_ptr<keystore::Keystore> keys_;
  std::unique_ptr<kernel::State> state_;
  std::map<std::pair<TenantId, std::uint16_t>, std::unique_ptr<log::TenantLog>> logs_;
  OpNumber last_;  // of the records that were kept
  OpNumber first_lost_{~0ULL};
  TimestampUs last_time_;
  std::uint64_t records_ = 0;
  OpNumber op_;  // of the records that begin the epochs
  TimestampUs time_;
  std::uint32_t index_ = 0;
};

}  // namespace

Result<RestoreReport> restore(env::Storage& repository, const BackupText& backup, env::Env into,
                              keystore::MasterKey& master, Bytes escrow,
                              const RestoreOptions& options) {
  KIMBERLITE_CHECK(check_actor(options.actor));
  KIMBERLITE_CHECK(check_text(options.reason, "the reason"));
  KIMBERLITE_CHECK(Database::check_empty(into.storage));
  KIMBERLITE_TRY(const auto lock, into.storage.lock(files::lock, options.holder));
  return Restorer(repository, backup, into, options).run(master, escrow);
}

Result<DrillReport> drill(Database& database, env::Storage& repository, const BackupText& backup,
                          env::Env scratch, keystore::MasterKey& master,
                          const RestoreOptions& options) {
  KIMBERLITE_TRY(const Buffer escrow, database.escrow());
  KIMBERLITE_TRY(const RestoreReport restored,
                 restore(repository, backup, scratch, master, escrow, options));
  DrillReport report;
  const auto differs = [](std::string_view what, TenantId tenant, std::uint16_t lane) {
    return Error{Code::integrity_backup, "what was restored differs: {}", what}.where(
        "{}", log::directory_of({tenant, lane}));
  };
  for (const BackupLog& log : backup.logs) {
    const auto found = std::ranges::find_if(restored.logs, [&](const RestoreReport::Log& other) {
      return other.tenant == log.tenant && other.lane == log.lane;
    });
    if (found == restored.logs.end() || found->restored != log.head) {
      return differs("the log has another root than the backup names", log.tenant, log.lane);
    }
    ++report.logs;
    report.records += log.head.position.value();
  }
  KIMBERLITE_TRY(auto again, Database::open(scratch, master,
                                            {.actor = options.actor,
                                             .holder = options.holder,
                                             .free_bytes_reserve = 0,
                                             .simulated = options.simulated}));
  for (const RestoreReport::Log& log : restored.logs) {
    if (log.lane != 0 || log.tenant == TenantId{} || log.restored.position == Position{}) continue;
    KIMBERLITE_TRY(const std::string there, again->dump(log.tenant_name, log.restored.position));
    KIMBERLITE_TRY(const std::string here, database.dump(log.tenant_name, log.restored.position));
    if (there != here) return differs("tables hold other rows", log.tenant, log.lane);
    ++report.tenants;
  }
  KIMBERLITE_CHECK(again->close());
  return report;
}

}  // namespace kimberlite::engine
