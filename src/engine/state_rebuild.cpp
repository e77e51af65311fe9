#include "state_rebuild.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <queue>
#include <vector>

#include "files.hpp"
#include "kernel/command.hpp"
#include "log/tenant_log.hpp"
#include "log/verify.hpp"
#include "record/body.hpp"
#include "record/items.hpp"

namespace kimberlite::engine {
namespace {

// One log being read, at its next record.
struct Source {
  TenantId tenant;
  kernel::Lane lane = kernel::Lane::data;
  std::unique_ptr<log::TenantLog> log;
  std::optional<log::Scan> scan;
  log::RecordView next;
};

struct Later {
  bool operator()(const Source* a, const Source* b) const {
    return std::pair{a->next.op, a->next.index} > std::pair{b->next.op, b->next.index};
  }
};

Result<std::unique_ptr<Source>> open_source(env::Storage& storage, TenantId tenant,
                                            kernel::Lane lane) {
  const log::LogName name{tenant, static_cast<std::uint16_t>(lane)};
  KIMBERLITE_TRY(const log::VerifyReport report, log::verify(storage, name, {}));
  auto source = std::make_unique<Source>();
  source->tenant = tenant;
  source->lane = lane;
  KIMBERLITE_TRY(source->log, log::TenantLog::open(storage, name, report.log_id, report.head));
  KIMBERLITE_TRY(log::Scan scan, source->log->scan(Position{1}));
  source->scan.emplace(std::move(scan));
  return source;
}

Status replay_one(kernel::State& state, const keystore::Keystore& keys, const Source& source) {
  KIMBERLITE_TRY(const std::vector<record::ItemView> items, record::split_body(source.next.body));
  std::vector<record::ItemHeader> headers;
  headers.reserve(items.size());
  for (const record::ItemView& item : items) headers.push_back(item.header);
  KIMBERLITE_TRY(const std::optional<kernel::Control> control,
                 control_of(keys, source.tenant, source.next.entry, items));
  return kernel::replay(state, source.tenant, source.lane, source.next.entry, headers, control);
}

}  // namespace

Result<std::optional<kernel::Control>> control_of(const keystore::Keystore& keys, TenantId tenant,
                                                  const record::Entry& entry,
                                                  const std::vector<record::ItemView>& items) {
  for (const record::ItemView& item : items) {
    if (item.header.kind != record::ItemKind::control) continue;
    KIMBERLITE_TRY(const keystore::ItemKeyPtr key, keys.item_key(tenant, item.header.key));
    Buffer plaintext;
    KIMBERLITE_CHECK(key->open(entry.log_id, item.header, item.sealed, plaintext));
    KIMBERLITE_TRY(const record::Plaintext opened,
                   record::decode_plaintext(item.header, plaintext));
    if (opened.controls.size() != 1) {
      return Error{Code::integrity_item, "a control item has {} payloads", opened.controls.size()};
    }
    KIMBERLITE_TRY(kernel::Control control, kernel::decode_control(opened.controls.front()));
    return std::optional{std::move(control)};
  }
  return std::optional<kernel::Control>{};
}

Result<std::vector<std::pair<TenantId, kernel::Lane>>> list_logs(env::Storage& storage) {
  std::vector<std::pair<TenantId, kernel::Lane>> logs;
  const Result<std::vector<std::string>> names = storage.list(files::tenants);
  if (!names) {
    if (names.error().code() == Code::not_found_directory) return logs;
    return names.error();
  }
  for (std::string_view name : *names) {
    if (!name.ends_with('/')) continue;
    name.remove_suffix(1);
    std::uint64_t id = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (bad != std::errc{} || end != name.data() + name.size()) continue;
    KIMBERLITE_TRY(const std::vector<std::string> lanes, storage.list(files::tenant(TenantId{id})));
    for (std::uint16_t lane = 0; lane < log::lane_count; ++lane) {
      const std::string wanted = std::string{log::lane_name(lane)} + "/";
      if (std::ranges::find(lanes, wanted) != lanes.end()) {
        logs.emplace_back(TenantId{id}, static_cast<kernel::Lane>(lane));
      }
    }
  }
  std::ranges::sort(logs);
  return logs;
}

Result<RebuiltState> rebuild_state(env::Storage& storage, const keystore::Keystore& keys,
                                   const Id128& cluster, OpNumber last) {
  RebuiltState rebuilt{.state = kernel::State{cluster}, .torn = std::nullopt};
  KIMBERLITE_TRY(const auto logs, list_logs(storage));
  std::vector<std::unique_ptr<Source>> sources;
  std::priority_queue<Source*, std::vector<Source*>, Later> order;
  const auto advance = [&](Source* source) -> Status {
    const Result<std::optional<log::RecordView>> next = source->scan->next();
    if (!next && class_of(next.error().code()) == ErrorClass::integrity) {
      if (!rebuilt.torn) rebuilt.torn = next.error();
      return {};
    }
    if (!next) return next.error();
    if (*next && (*next)->op <= last) {
      source->next = **next;
      order.push(source);
    }
    return {};
  };
  for (const auto& [tenant, lane] : logs) {
    KIMBERLITE_TRY(std::unique_ptr<Source> source, open_source(storage, tenant, lane));
    KIMBERLITE_CHECK(advance(source.get()));
    sources.push_back(std::move(source));
  }
  while (!order.empty()) {
    Source* source = order.top();
    order.pop();
    KIMBERLITE_CHECK(replay_one(rebuilt.state, keys, *source));
    KIMBERLITE_CHECK(advance(source));
  }
  return rebuilt;
}

}  // namespace kimberlite::engine
