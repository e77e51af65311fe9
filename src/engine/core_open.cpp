// Opening, closing and making a database: the rare paths of `Core`.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/le.hpp"
#include "base/probe.hpp"
#include "core.hpp"
#include "crypto/blake3.hpp"
#include "files.hpp"
#include "kernel/snapshot.hpp"
#include "membership.hpp"
#include "record/signed_head.hpp"
#include "snapshot_file.hpp"
#include "state_rebuild.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

std::string numbers(std::uint32_t members) {
  std::string all;
  for (std::uint32_t i = 0; i < consensus::members_max; ++i) {
    if (((members >> i) & 1U) != 0) all += fmt::format("{}{}", all.empty() ? "" : ", ", i);
  }
  return all.empty() ? "none" : all;
}

// What a replica whose disk was lost still waits for.
std::string recovery_note(const consensus::Replica& replica) {
  const consensus::RecoveryProgress progress = replica.recovery();
  const std::uint32_t everyone = replica.configuration().voters;
  const std::uint32_t silent =
      everyone & ~(progress.answered | progress.lost_too | (1U << replica.index()));
  return fmt::format(
      "this replica is new, or its disk was lost; it needs to hear from {} others that still have "
      "theirs: "
      "answered {}; lost theirs too {}; silent {}",
      progress.needed, numbers(progress.answered), numbers(progress.lost_too), numbers(silent));
}

}  // namespace

Result<std::unique_ptr<Core>> Core::open(env::Env env, keystore::MasterKey& master,
                                         const Options& options) {
  auto core = std::make_unique<Core>(env, master, options);
  // Looking before locking keeps a directory that is not ours free of a lock file.
  if (const auto cluster = Database::cluster_of(env.storage); !cluster) return cluster.error();
  KIMBERLITE_TRY(core->lock_, env.storage.lock(files::lock, options.holder));
  KIMBERLITE_CHECK(core->recover());
  return core;
}

Status Core::recover() {
  KIMBERLITE_TRY(const consensus::Recovered recovered, io_.open(env_.storage));
  const consensus::Checkpoint& checkpoint = recovered.superblock.superblock.checkpoint;
  for (const consensus::Finding& finding : recovered.superblock.findings) {
    probe<"engine.open.superblock_copy">();
    notes_.push_back(fmt::format("{}, byte {}: {}", files::superblock, finding.offset,
                                 to_string(finding.error)));
  }
  if (recovered.journal.torn) {
    probe<"engine.open.torn_tail">();
    notes_.push_back(fmt::format(
        "journal: prepare {} was being written when the process ended; it was never acknowledged",
        recovered.journal.torn->op.value()));
  }
  cluster_ = recovered.superblock.superblock.cluster;
  checkpoint_op_ = checkpoint.op;
  KIMBERLITE_CHECK(load_keys(checkpoint));
  KIMBERLITE_CHECK(load_state(checkpoint));
  committed_at(TimestampUs{
      checkpoint.next_timestamp.value() == 0 ? 0 : checkpoint.next_timestamp.value() - 1});

  std::vector<consensus::Action> actions;
  std::array<std::byte, sizeof(std::uint64_t)> token{};
  env_.random.fill(token);
  const consensus::ReplicaOptions replica_options{
      .journal = io_.limits(),
      .strict = options_.strict_journal,
      .token = load_le<std::uint64_t>(token.data()) | 1,
      .checkpoint_commands = options_.checkpoint_commands};
  KIMBERLITE_TRY(replica_,
                 consensus::Replica::open(now(), replica_options, recovered, blocks_, actions));
  is_group_ = !recovered.superblock.superblock.configuration.is_alone();
  is_primary_ = !is_group_;
  opened_head_ = std::max(replica_->head(), recovered.superblock.superblock.sync_to);
  if (recovered.journal.lost) {
    notes_.push_back(to_string(*recovered.journal.lost));
  } else if (recovered.superblock.superblock.standing == consensus::Standing::headless) {
    notes_.emplace_back(
        "journal: an earlier life found the end of this log lost; it waits for its group's");
  }
  if (is_group_) {
    listening_ = true;
    env_.network.listen([this](std::uint8_t from, Bytes frame) { received(from, frame); });
  }
  run([&](Core& /*core*/) { perform(std::move(actions)); });
  if (is_group_) {
    // Also if it failed: what is under way writes from buffers that end with this.
    wait_until([this] { return !io_.in_flight(); });
  } else {
    wait_until([this] {
      if (failed_) return !io_.in_flight();
      return (replica_->status() == consensus::ReplicaStatus::normal &&
              replica_->commit() >= replica_->head());
    });
  }
  Status status;
  run([&](Core& /*core*/) { status = is_group_ ? recovered_in_group() : recovered_alone(); });
  KIMBERLITE_CHECK(std::move(status));
  if (snapshot_lost_ && !is_group_) KIMBERLITE_CHECK(replace_snapshot());
  return {};
}

Status Core::recovered_alone() {
  if (failed_) return *failed_;
  KIMBERLITE_CHECK(sweep());
  KIMBERLITE_CHECK(logs_.settle());
  settled_ = true;
  know_logs();
  show();
  return {};
}

// A group decides what of the journal is committed; until then this replica only listens.
Status Core::recovered_in_group() {
  if (failed_) return *failed_;
  KIMBERLITE_CHECK(sweep());
  know_logs();
  show();
  arm_tick();
  return {};
}

void Core::know_logs() {
  for (std::uint64_t id = 0; id < state_->tenant_count(); ++id) {
    for (const kernel::Lane lane : {kernel::Lane::data, kernel::Lane::access}) {
      logs_.know(TenantId{id}, lane, state_->tenant(TenantId{id})->lane(lane));
    }
  }
}

// A rebuilt state is written down again, under the number of a new, empty prepare: what the
// superblock names now is never written over.
Status Core::replace_snapshot() {
  bool has_room = false;
  run([&](Core& /*core*/) {
    has_room = check_disk().has_value();
    if (has_room) propose(now(), {}, consensus::BodyBuilder{blocks_, sector_size}.take(), 0);
  });
  if (!has_room) return {};  // the logs have it all
  wait_until([this] { return failed_ || in_flight_.empty(); });
  OpNumber lost;
  run([&](Core& /*core*/) {
    lost = checkpoint_op_;
    step(consensus::RequestCheckpoint{});
  });
  wait_until([&] { return failed_ || checkpoint_op_ != lost; });
  Status status;
  run([&](Core& /*core*/) {
    if (failed_) status = *failed_;
  });
  return status;
}

Status Core::load_keys(const consensus::Checkpoint& checkpoint) {
  const std::string path = files::keystore(checkpoint.op);
  Result<Buffer> file = read_whole(env_.storage, path);
  if (!file) {
    if (file.error().code() != Code::not_found_file) return file.error();
    return Error{Code::integrity_missing_file, "the keystore is gone"}
        .where("{}", path)
        .why("the superblock names it; without it nothing can be decrypted")
        .next(
            "put the file back from a copy of the directory, or verify what is left: kimberlite "
            "verify");
  }
  if (crypto::blake3(*file) != checkpoint.keystore && !is_planted(Canary::trust_stale_keystore)) {
    // The keystore itself can say better what is wrong, unless it is whole and another's.
    if (auto header = keystore::read_header(*file); !header) {
      return Error{header.error()}.where("{}: {}", path, header.error().where());
    }
    return Error{Code::integrity_keystore, "the keystore is not the one the superblock names"}
        .where("{}", path)
        .why("BLAKE3 {} is named, {} was found", to_hex(checkpoint.keystore),
             to_hex(crypto::blake3(*file)));
  }
  KIMBERLITE_TRY(keystore::Keystore keys, keystore::Keystore::decode(*file, master_));
  keystore_ = std::make_unique<keystore::Keystore>(std::move(keys));
  return {};
}

Status Core::load_state(const consensus::Checkpoint& checkpoint) {
  const std::string path = files::snapshot(checkpoint.op);
  const Result<Buffer> file = read_whole(env_.storage, path);
  std::string why = file ? "its bytes are not those the superblock names" : to_string(file.error());
  if (file && crypto::blake3(*file) == checkpoint.snapshot) {
    Result<kernel::State> state = decode_snapshot(*file, *keystore_);
    if (state) {
      state_.emplace(*std::move(state));
      snapshot_size_ = file->size();
    } else {
      why = to_string(state.error());
    }
  }
  std::optional<Error> torn;
  if (!state_) {
    probe<"engine.open.state_rebuilt">();
    snapshot_lost_ = true;
    notes_.push_back(fmt::format("{}: {}; the state was rebuilt from the logs", path, why));
    KIMBERLITE_TRY(RebuiltState rebuilt,
                   rebuild_state(env_.storage, *keystore_, cluster_, checkpoint.op));
    state_.emplace(std::move(rebuilt.state));
    torn = std::move(rebuilt.torn);
  }
  if (kernel::digest(*state_) != checkpoint.state ||
      kernel::heads_digest(*state_) != checkpoint.heads) {
    if (torn) return *torn;
    return Error{Code::integrity_state, "the state is not the one the superblock names"}
        .where("{}", path)
        .why("state digest {} is named, {} was found", to_hex(checkpoint.state),
             to_hex(kernel::digest(*state_)))
        .next("kimberlite verify says which log does not add up");
  }
  return {};
}

// ---- state from a peer --------------------------------------------------------------------------

record::Head Core::log_head(TenantId tenant, kernel::Lane lane) const {
  const kernel::TenantState* known = state_->tenant(tenant);
  return known == nullptr ? record::Head{} : known->lane(lane).head;
}

void Core::install_state(const consensus::Checkpoint& of_peer,
                         const consensus::Configuration& configuration, keystore::Keystore&& keys,
                         kernel::State&& state) {
  {
    const std::scoped_lock lock{keys_mutex_};
    keystore_->take_over(std::move(keys));
  }
  probe<"engine.sync.installed">();
  state_.emplace(std::move(state));
  know_logs();
  foreign_commits_.fetch_add(1, std::memory_order_release);
  committed_at(
      TimestampUs{of_peer.next_timestamp.value() == 0 ? 0 : of_peer.next_timestamp.value() - 1});
  const Result<consensus::CheckpointDone> done = write_checkpoint(of_peer.op);
  if (!done) return fail(done.error());
  end_sync({.checkpoint = consensus::Checkpoint{.op = of_peer.op,
                                                .header_checksum = of_peer.header_checksum,
                                                .next_timestamp = of_peer.next_timestamp,
                                                .ring_offset = 0,
                                                .snapshot = done->snapshot,
                                                .keystore = done->keystore,
                                                .epoch_key = done->epoch_key,
                                                .heads = done->heads,
                                                .state = done->state},
            .configuration = configuration});
}

// The replica asks for another one when it still has to.
void Core::state_not_had(const std::string& why) {
  probe<"engine.sync.not_had">();
  note(fmt::format("the state of a peer could not be taken: {}", why));
  end_sync({.checkpoint = std::nullopt, .configuration = configuration()});
}

// At another operation than the last: files are never written over. Whoever asked asks again.
void Core::renew_checkpoint() {
  if (replica_->commit() > replica_->checkpoint().op) {
    step(consensus::RequestCheckpoint{});
  } else if (replica_->may_propose()) {
    propose(now(), {}, consensus::BodyBuilder{blocks_, sector_size}.take(), 0);
  }
}

void Core::end_sync(const consensus::SyncDone& done) {
  step(done);
  env_.executor.post(strand, life_.task([this] { after_step(); }));
}

Status Core::checkpoint() {
  step(consensus::RequestCheckpoint{});
  return failed_ ? Status{*failed_} : Status{};
}

Status Core::close() {
  if (replica_ == nullptr) return {};
  run([](Core& core) {
    if (core.failed_) return;
    core.step(consensus::RequestCheckpoint{});
    core.step(consensus::Close{});
  });
  wait_until([this] { return (failed_ || replica_->closed()) && !io_.in_flight(); });
  Status status;
  run([&](Core& core) {
    if (core.failed_) status = *core.failed_;
  });
  return status;
}

Buffer Core::escrow() {
  const std::scoped_lock lock{keys_mutex_};
  return keystore_->encode(replica_->commit(), env_.random);
}

void Core::status(StatusReport& into) const {
  into.cluster = state_->cluster();
  into.replica = replica_->index();
  into.primary = replica_->primary();
  into.group = membership_of(replica_->configuration());
  into.state = consensus::name(failed_ ? consensus::ReplicaStatus::failed : replica_->status());
  into.state_digest = kernel::digest(*state_);
  into.view = replica_->view().value();
  into.incarnation = replica_->incarnation();
  into.format = replica_->group_format();
  into.committed = replica_->commit();
  into.checkpoint = replica_->checkpoint().op;
  into.ring_size = io_.ring_size();
  into.ring_used = replica_->ring_used();
  into.notes = notes_;
  if (replica_->status() == consensus::ReplicaStatus::recovering_disk) {
    into.notes.push_back(recovery_note(*replica_));
  }
  into.notes.insert(into.notes.end(), mender_.notes().begin(), mender_.notes().end());
  into.notes.insert(into.notes.end(), clock_notes_.begin(), clock_notes_.end());
  const consensus::ClusterClock& clock = replica_->clock();
  into.clock = consensus::name(clock.status());
  if (clock.offset()) {
    into.clock_offset_us = (clock.offset()->interval.low + clock.offset()->interval.high) / 2;
  }
  for (std::uint64_t id = 0; id < state_->tenant_count(); ++id) {
    const kernel::TenantState& tenant = *state_->tenant(TenantId{id});
    TenantInfo info{.id = TenantId{id}, .name = tenant.name};
    for (const kernel::Lane lane : {kernel::Lane::data, kernel::Lane::access}) {
      const kernel::LaneState& log = tenant.lane(lane);
      LogInfo& shown = info.logs.emplace_back();
      shown = {.lane = std::string{lane_name(lane)},
               .log_id = log.log_id,
               .position = log.head.position,
               .bytes = log.head.bytes,
               .leaf = log.head.leaf,
               .root = log.head.frontier.root()};
      const auto signer =
          keystore_->signing_key(TenantId{id}, {static_cast<std::uint16_t>(lane), log.epoch});
      if (!signer) continue;  // said by whoever asks for a signature
      shown.log_key = record::VerifierKey{.name = record::origin_of(log.log_id),
                                          .type = record::NoteKeyType::signature,
                                          .key = (*signer)->public_key()}
                          .to_text();
    }
    info.tables = tenant.catalog.tables().size();
    info.keys = key_infos(tenant);
    into.tenants.push_back(std::move(info));
  }
}

std::vector<KeyInfo> Core::key_infos(const kernel::TenantState& tenant) {
  std::vector<KeyInfo> keys{{kernel::control_key, "control", "active", tenant.created},
                            {kernel::pseudonym_key, "pseudonym", "active", tenant.created}};
  for (KeyId id = kernel::first_data_key; id < tenant.next_key; id = KeyId{id.value() + 1}) {
    const bool current = id == tenant.data_key.id;
    keys.push_back({id, "data", current && !tenant.data_key.retired ? "active" : "old",
                    current ? tenant.data_key.since : TimestampUs{}});
  }
  return keys;
}

}  // namespace kimberlite::engine
