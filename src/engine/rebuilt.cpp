#include "rebuilt.hpp"

#include <algorithm>
#include <array>

namespace kimberlite::engine {
namespace {

constexpr std::size_t transaction_records = 2048;
constexpr const char* file = "rebuilt.db";

}  // namespace

Result<std::unique_ptr<Rebuilt>> Rebuilt::make(projection::LogSource& log,
                                               std::optional<ObjectId> only) {
  std::unique_ptr<Rebuilt> rebuilt{new Rebuilt{log, only}};
  const env::Env env = rebuilt->env_.env();
  // The pages are in this memory in any case: the key keeps no secret, it only makes the file one
  // like any other.
  const std::array<std::byte, crypto::Key256::size> key{};
  KIMBERLITE_TRY(rebuilt->vfs_, projection::Vfs::make(env, file, crypto::Key256{key}, Id128{}));
  KIMBERLITE_TRY(rebuilt->projection_,
                 projection::Projection::open(env, projection::Location::of(*rebuilt->vfs_), &log));
  return rebuilt;
}

Status Rebuilt::apply(const projection::OpenedRecord& record) {
  KIMBERLITE_TRY(Replayed what, replayed(record, log_));
  if (only_) {
    std::erase_if(what.changes, [&](const auto& change) { return change.table != *only_; });
    what.streams.clear();
  }
  if (in_transaction_ == 0) KIMBERLITE_CHECK(projection_->begin_replay());
  if (Status applied = projection_->apply(record.entry, what.opened()); !applied) {
    projection_->rollback_replay();
    in_transaction_ = 0;
    return applied;
  }
  if (++in_transaction_ < transaction_records) return {};
  return finish();
}

Status Rebuilt::finish() {
  if (in_transaction_ == 0) return {};
  in_transaction_ = 0;
  return projection_->commit_replay();
}

std::string place_of(const projection::Difference& difference) {
  std::string place = fmt::format("position {}", difference.position.value());
  if (difference.change) place += fmt::format(", change {}", *difference.change);
  if (!difference.column.empty()) place += fmt::format(", column {}", difference.column);
  return place;
}

}  // namespace kimberlite::engine
