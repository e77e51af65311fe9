// The derived view of a tenant: opening it, bringing it up to the log, making it again.
#include "base/assert.hpp"
#include "base/probe.hpp"
#include "tenant.hpp"
#include "tenant_files.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint64_t replay_transaction_records = 2048;

}  // namespace

Status Tenant::open() {
  Status checked = core_.prover().check(id_, kernel::Lane::data);
  Status opened;
  core_.run([&](Core& core) {
    view_ = core.view(id_);
    seen_foreign_.store(core.foreign_commits(), std::memory_order_release);
    know_actors(core.state().tenant(id_)->actors);
  });
  head_ = view_.head;
  if (!checked) {
    // A record that keeps the offsets from being made again: it stands before the newest one.
    const Code code = checked.error().code();
    if (code == Code::integrity_frame || code == Code::integrity_entry) unread_ = head_;
    return checked;
  }
  opened = open_projection();
  // A projection that is damaged, ahead of the log, or contradicts it is derived again; not one
  // that is good, where the log cannot be read.
  const bool is_damaged = !opened && class_of(opened.error().code()) == ErrorClass::integrity;
  if (is_damaged && !log_unread_) opened = rebuild();
  if (!opened) return opened;  // before there is a file layer, perhaps
  // What goes bad from now on.
  vfs_->on_damage(
      [&core = core_, id = id_](const Error& error) { core.projection_damaged(id, error); });
  return {};
}

void Tenant::know_actors(const std::map<Id128, kernel::Actor>& actors) {
  const std::scoped_lock lock{mutex_};
  for (const auto& [actor, description] : actors) {
    actors_[{description.method, description.name}] = actor;
    actor_names_[actor] = description;
    actors_added_.insert(actor);
  }
}

Status Tenant::open_projection() {
  KIMBERLITE_CHECK(attach(false));
  if (projection_->applied() > view_.head) {
    return Error{Code::integrity_rollback, "the projection is at position {}, its log ends at {}",
                 projection_->applied().value(), view_.head.value()};
  }
  return catch_up();
}

Status Tenant::attach(bool fresh) {
  const std::string path = projection_path(id_);
  if (fresh) KIMBERLITE_CHECK(projection::Vfs::remove_files(core_.env().storage, path));
  bool key_is_new = false;
  // Made anew it stays under its key: one that no checkpoint has yet would be gone at the next
  // open, and all that was derived with it.
  KIMBERLITE_TRY(crypto::Key256 key, core_.page_key(id_, key_is_new));
  // Pages under a key nobody has are of no use.
  if (key_is_new) KIMBERLITE_CHECK(projection::Vfs::remove_files(core_.env().storage, path));
  KIMBERLITE_TRY(vfs_,
                 projection::Vfs::make(core_.env(), path, std::move(key), projection_file_id(id_)));
  KIMBERLITE_TRY(projection_,
                 projection::Projection::open(core_.env(), projection::Location::of(*vfs_),
                                              &records_on_strand_, core_.options().simulated));
  return {};
}

Status Tenant::rebuild() {
  probe<"engine.projection.rebuilt">();
  {
    const std::scoped_lock lock{mutex_};
    readers_.clear();
  }
  projection_.reset();
  vfs_.reset();
  KIMBERLITE_CHECK(attach(true));
  return catch_up();
}

// Records the projection does not have yet, from the log.
Status Tenant::catch_up() {
  const Position head = view_.head;
  std::uint64_t next = projection_->applied().value() + 1;
  while (next <= head.value()) {
    KIMBERLITE_CHECK(projection_->begin_replay());
    const std::uint64_t last = std::min(head.value(), next + replay_transaction_records - 1);
    Status applied;
    for (; applied && next <= last; ++next) applied = apply_record(Position{next});
    if (!applied) {
      projection_->rollback_replay();
      return applied;
    }
    KIMBERLITE_CHECK(projection_->commit_replay());
  }
  return {};
}

Status Tenant::apply_record(Position position) {
  const auto record = records_on_strand_.read(position);
  log_unread_ = !record;
  unread_ = records_on_strand_.take_unread();
  if (!record) return record.error();
  KIMBERLITE_TRY(const Replayed what, replayed(*record, records_on_strand_));
  return projection_->apply(record->entry, what.opened());
}

// Committed appends the projection does not have yet: known here, so nothing need be opened.
Status Tenant::apply_appends() {
  if (unapplied_.empty()) return {};
  KIMBERLITE_CHECK(projection_->begin_replay());
  for (const Unapplied& append : unapplied_) {
    const projection::StreamAdvance advance{append.stream, append.new_name, append.first,
                                            append.count};
    const projection::Opened opened{nullptr, {}, std::span{&advance, 1}, append.digest};
    if (Status applied = projection_->apply(append.entry, opened); !applied) {
      projection_->rollback_replay();
      return applied;
    }
  }
  KIMBERLITE_CHECK(projection_->commit_replay());
  unapplied_.clear();
  unapplied_ids_.clear();
  is_stale_.store(resync_due_, std::memory_order_release);
  return {};
}

Status Tenant::close() {
  // What was under way, on the core's strand and then on this one, has its turn; and then the look
  // at the log that it may have asked for (`resync_later`).
  for (int turn = 0; turn < 2; ++turn) {
    core_.run([](Core& /*core*/) {});
    Signal done;
    run_on_strand([&] { core_.driver().set(done); });
    core_.driver().wait(done);
  }
  life_.end();
  if (projection_ == nullptr) return {};
  // Where something else may stand between them, the next open takes them from the log.
  const bool all_known = !failed_ && !resync_due_ && !is_behind();
  Status applied = all_known ? apply_appends() : Status{};
  {
    const std::scoped_lock lock{mutex_};
    readers_.clear();
  }
  if (transaction_) projection_->rollback_batch();
  if (applied) applied = projection_->checkpoint();
  projection_.reset();
  vfs_.reset();
  return applied;
}

}  // namespace kimberlite::engine
