// The open logs of all tenants, shared between the core that appends and the threads that read.
//
// A log is opened, at the head its caller names, when it is first touched. Thread rule:
// thread-safe; `append`, `flush` and `settle` are the core strand's.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "env/env.hpp"
#include "kernel/state.hpp"
#include "log/tenant_log.hpp"

namespace kimberlite::engine {

class LogShelf {
 public:
  explicit LogShelf(env::Storage& storage) : storage_(storage) {}

  // `before` and `after`: the lane without and with the record.
  [[nodiscard]] Status append(TenantId tenant, kernel::Lane lane, const record::Head& before,
                              OpNumber op, std::uint32_t index, const record::Entry& entry,
                              Bytes body, const record::Head& after);
  // The newest record's, if the log is open: what was taken from a peer is beyond the state's.
  [[nodiscard]] std::optional<record::Head> head(TenantId tenant, kernel::Lane which);
  // Hands everything appended to the operating system.
  [[nodiscard]] Status flush();
  // The same once it is much: until a checkpoint the journal has it too, and readers here see what
  // is not handed over yet. Bounds the memory of all logs together.
  [[nodiscard]] Status flush_if_large();
  // Recovery is over: what the journal did not make again is cut off, or is an error.
  [[nodiscard]] Status settle();
  // `lane` is the log's state now, by which it is opened if it is not open. `scratch` is replaced;
  // the view points into it.
  [[nodiscard]] Result<log::RecordView> read(TenantId tenant, kernel::Lane which, Position position,
                                             Buffer& scratch);
  // Proofs, as `log::TenantLog` makes them.
  [[nodiscard]] Result<std::vector<Hash>> prove_inclusion(TenantId tenant, kernel::Lane which,
                                                          Position position, const log::Tree& in);
  [[nodiscard]] Result<std::vector<Hash>> prove_consistency(TenantId tenant, kernel::Lane which,
                                                            const log::Tree& older,
                                                            const log::Tree& newer);
  [[nodiscard]] Result<Hash> root_at(TenantId tenant, kernel::Lane which, std::uint64_t size);
  // That a record with this leaf is in the tree of all records up to the newest: its path is made
  // from the log's files and leads to the root of the head that the kernel's state holds.
  // `integrity.inclusion` if it does not.
  [[nodiscard]] Status prove(TenantId tenant, kernel::Lane which, Position position,
                             const Hash& leaf);
  [[nodiscard]] Result<Buffer> tile(TenantId tenant, kernel::Lane which,
                                    const record::TileName& name, const log::Tree& in);
  // As `log::TenantLog` does.
  [[nodiscard]] Result<std::optional<Position>> first_damaged(TenantId tenant, kernel::Lane which,
                                                              Position position);
  [[nodiscard]] Status mend(TenantId tenant, kernel::Lane which, OpNumber op, std::uint32_t index,
                            const record::Entry& entry, Bytes body);
  // Lets `read` open the log when it is first asked for. Known logs are left alone.
  void know(TenantId tenant, kernel::Lane which, const kernel::LaneState& lane);

 private:
  struct Shelved {
    std::mutex mutex;
    Id128 log_id{};
    record::Head head;  // to open it at
    std::unique_ptr<log::TenantLog> log;
    bool dirty = false;  // the core strand's
  };
  using Key = std::pair<TenantId, kernel::Lane>;
  [[nodiscard]] Shelved* find(const Key& key);
  [[nodiscard]] Shelved& find_or_make(const Key& key);
  [[nodiscard]] Status open(const Key& key, Shelved& shelved);
  template <class Use>
  [[nodiscard]] auto with_log(const Key& key, Use use)
      -> decltype(use(std::declval<log::TenantLog&>()));

  env::Storage& storage_;
  std::mutex mutex_;  // of the map, not of what it holds
  std::map<Key, std::unique_ptr<Shelved>> logs_;
  std::vector<Shelved*> dirty_;
  std::uint64_t unflushed_ = 0;  // bytes of frames; the core strand's
};

[[nodiscard]] inline std::string_view lane_name(kernel::Lane lane) {
  return log::lane_name(static_cast<std::uint16_t>(lane));
}

}  // namespace kimberlite::engine
