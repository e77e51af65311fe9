#include "log_shelf.hpp"

#include "record/frame.hpp"
#include "record/proof.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint64_t unflushed_max = std::uint64_t{1} << 20;

}  // namespace

LogShelf::Shelved* LogShelf::find(const Key& key) {
  const std::scoped_lock lock{mutex_};
  const auto found = logs_.find(key);
  return found == logs_.end() ? nullptr : found->second.get();
}

LogShelf::Shelved& LogShelf::find_or_make(const Key& key) {
  const std::scoped_lock lock{mutex_};
  auto& slot = logs_[key];
  if (slot == nullptr) slot = std::make_unique<Shelved>();
  return *slot;
}

Status LogShelf::open(const Key& key, Shelved& shelved) {
  if (shelved.log != nullptr) return {};
  const log::LogName name{key.first, static_cast<std::uint16_t>(key.second)};
  KIMBERLITE_TRY(shelved.log, log::TenantLog::open(storage_, name, shelved.log_id, shelved.head));
  return {};
}

void LogShelf::know(TenantId tenant, kernel::Lane which, const kernel::LaneState& lane) {
  Shelved& shelved = find_or_make({tenant, which});
  const std::scoped_lock lock{shelved.mutex};
  if (shelved.log != nullptr) return;
  shelved.log_id = lane.log_id;
  shelved.head = lane.head;
}

Status LogShelf::append(TenantId tenant, kernel::Lane lane, const record::Head& before, OpNumber op,
                        std::uint32_t index, const record::Entry& entry, Bytes body,
                        const record::Head& after) {
  const Key key{tenant, lane};
  Shelved& shelved = find_or_make(key);
  const std::scoped_lock lock{shelved.mutex};
  if (shelved.log == nullptr) {
    shelved.log_id = entry.log_id;
    shelved.head = before;
    KIMBERLITE_CHECK(open(key, shelved));
  }
  if (!shelved.dirty) {
    shelved.dirty = true;
    dirty_.push_back(&shelved);
  }
  // A state that was taken from a peer, but not put in place, may have left it here already.
  if (entry.position <= shelved.log->head().position) {
    Buffer scratch;
    KIMBERLITE_TRY(const log::RecordView there, shelved.log->read(entry.position, scratch));
    if (there.entry == entry) return {};
    return Error{Code::integrity_state, "a record of the log is another than the one committed"}
        .where("tenant {}, {}, position {}", tenant.value(), lane_name(lane),
               entry.position.value());
  }
  unflushed_ += record::frame_size(body.size());
  return shelved.log->append(op, index, entry, body, after);
}

std::optional<record::Head> LogShelf::head(TenantId tenant, kernel::Lane which) {
  Shelved* shelved = find({tenant, which});
  if (shelved == nullptr) return std::nullopt;
  const std::scoped_lock lock{shelved->mutex};
  if (shelved->log == nullptr) return std::nullopt;
  return shelved->log->head();
}

Status LogShelf::flush() {
  for (Shelved* shelved : dirty_) {
    const std::scoped_lock lock{shelved->mutex};
    KIMBERLITE_CHECK(shelved->log->flush());
    shelved->dirty = false;
  }
  dirty_.clear();
  unflushed_ = 0;
  return {};
}

Status LogShelf::flush_if_large() {
  if (unflushed_ < unflushed_max) return {};
  return flush();
}

Status LogShelf::settle() {
  KIMBERLITE_CHECK(flush());
  const std::scoped_lock lock{mutex_};
  for (auto& [key, shelved] : logs_) {
    const std::scoped_lock log_lock{shelved->mutex};
    if (shelved->log != nullptr) KIMBERLITE_CHECK(shelved->log->settle());
  }
  return {};
}

template <class Use>
auto LogShelf::with_log(const Key& key, Use use) -> decltype(use(std::declval<log::TenantLog&>())) {
  Shelved* shelved = find(key);
  if (shelved == nullptr) {
    return Error{Code::not_found_position, "the log has no record"}.where(
        "tenant {}, {}", key.first.value(), lane_name(key.second));
  }
  const std::scoped_lock lock{shelved->mutex};
  KIMBERLITE_CHECK(open(key, *shelved));
  return use(*shelved->log);
}

Result<log::RecordView> LogShelf::read(TenantId tenant, kernel::Lane which, Position position,
                                       Buffer& scratch) {
  return with_log({tenant, which},
                  [&](log::TenantLog& log) { return log.read(position, scratch); });
}

Result<std::vector<Hash>> LogShelf::prove_inclusion(TenantId tenant, kernel::Lane which,
                                                    Position position, const log::Tree& in) {
  return with_log({tenant, which},
                  [&](log::TenantLog& log) { return log.prove_inclusion(position, in); });
}

Result<std::vector<Hash>> LogShelf::prove_consistency(TenantId tenant, kernel::Lane which,
                                                      const log::Tree& older,
                                                      const log::Tree& newer) {
  return with_log({tenant, which},
                  [&](log::TenantLog& log) { return log.prove_consistency(older, newer); });
}

Result<Hash> LogShelf::root_at(TenantId tenant, kernel::Lane which, std::uint64_t size) {
  return with_log({tenant, which}, [&](log::TenantLog& log) { return log.root_at(size); });
}

Status LogShelf::prove(TenantId tenant, kernel::Lane which, Position position, const Hash& leaf) {
  return with_log({tenant, which}, [&](log::TenantLog& log) -> Status {
    const log::Tree tree = log::tree_of(log.head());
    KIMBERLITE_TRY(const std::vector<Hash> path, log.prove_inclusion(position, tree));
    if (record::verify_inclusion(leaf, position.value() - 1, tree.size, path, tree.root)) return {};
    return Error{Code::integrity_inclusion, "a record is not the one in the log's tree"}
        .where("tenant {}, {}, position {}", tenant.value(), lane_name(which), position.value())
        .why("its leaf {} does not lead to the root of the tree of {} records", to_hex(leaf),
             tree.size)
        .next("kimberlite verify says where the log differs; restore it from a backup");
  });
}

Result<Buffer> LogShelf::tile(TenantId tenant, kernel::Lane which, const record::TileName& name,
                              const log::Tree& in) {
  return with_log({tenant, which}, [&](log::TenantLog& log) { return log.tile(name, in); });
}

Result<std::optional<Position>> LogShelf::first_damaged(TenantId tenant, kernel::Lane which,
                                                        Position position) {
  return with_log({tenant, which},
                  [&](log::TenantLog& log) { return log.first_damaged(position); });
}

Status LogShelf::mend(TenantId tenant, kernel::Lane which, OpNumber op, std::uint32_t index,
                      const record::Entry& entry, Bytes body) {
  return with_log({tenant, which},
                  [&](log::TenantLog& log) { return log.mend(op, index, entry, body); });
}

}  // namespace kimberlite::engine
