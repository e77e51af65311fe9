// Commands that look at things: version, completion, config, status, tenant, key.
#include <fmt/format.h>

#include "app.hpp"
#include "cli/progress.hpp"

namespace kimberlite::cli {
namespace {

using catalog::Type;
using catalog::TypeKind;

const std::optional<Type> text_type = Type{TypeKind::text};
const std::optional<Type> integer_type = Type{TypeKind::bigint};
const std::optional<Type> timestamp_type = Type{TypeKind::timestamp};

std::int64_t integer(std::uint64_t value) { return static_cast<std::int64_t>(value); }

Value time_value(TimestampUs time) {
  if (time.value() == 0) return Null{};
  return timestamp_text(time);
}

// All that such a command does.
Result<int> show(App& app, const std::vector<Column>& columns, const std::vector<Row>& rows) {
  KIMBERLITE_CHECK(write_facts(app, columns, rows));
  return 0;
}

Result<std::pair<std::unique_ptr<Opened>, engine::StatusReport>> open_report(App& app) {
  KIMBERLITE_TRY(auto opened, app.open());
  KIMBERLITE_TRY(auto report, opened->database().status());
  KIMBERLITE_CHECK(opened->database().add_proofs(report));
  for (const std::string& note : report.notes) app.say(fmt::format("note: {}", note));
  return std::pair{std::move(opened), std::move(report)};
}

}  // namespace

Result<int> run_version(App& app, const VersionOptions& /*options*/) {
  return show(app, {{"name", text_type}, {"version", text_type}},
              {{std::string{"kimberlite"}, std::string{version_text}}});
}

Result<int> run_completion(App& app, const CompletionOptions& options) {
  KIMBERLITE_TRY(const std::string script, completion_script(options.shell));
  KIMBERLITE_CHECK(app.out().write(script));
  return 0;
}

Result<int> run_config(App& app, const ConfigOptions& /*options*/) {
  std::vector<Row> rows;
  for (const auto& [name_of_setting, set] : app.configuration().all()) {
    rows.push_back({name_of_setting, set.value, std::string{name(set.origin)}, set.place});
  }
  for (const auto& [context_name, context] : app.configuration().contexts()) {
    rows.push_back(
        {"context." + context_name, context.url.value_or(""), std::string{"file"}, context.place});
  }
  return show(
      app,
      {{"setting", text_type}, {"value", text_type}, {"origin", text_type}, {"place", text_type}},
      rows);
}

Result<int> run_status(App& app, const StatusOptions& /*options*/) {
  KIMBERLITE_TRY(const auto opened, open_report(app));
  const engine::StatusReport& report = opened.second;
  std::vector<Row> rows;
  const auto add = [&](std::string_view what, std::string value) {
    rows.push_back({std::string{what}, std::move(value)});
  };
  add("cluster", to_hex(report.cluster));
  add("view", std::to_string(report.view));
  add("incarnation", std::to_string(report.incarnation));
  add("format", std::to_string(report.format));
  add("committed prepares", std::to_string(report.committed.value()));
  add("checkpoint at prepare", std::to_string(report.checkpoint.value()));
  add("journal ring",
      fmt::format("{} of {} used", bytes_text(report.ring_used), bytes_text(report.ring_size)));
  add("free on disk", bytes_text(report.free_bytes));
  for (const engine::TenantInfo& tenant : report.tenants) {
    const std::string label = tenant.id.value() == 0 ? "cluster log" : "tenant " + tenant.name;
    for (const engine::LogInfo& log : tenant.logs) {
      if (log.position.value() == 0) continue;
      const std::optional<log::StoredHead>& newest = log.signed_head;
      add(label, fmt::format("{}: {} records, {}, {} tables, {} keys", log.lane,
                             grouped(log.position.value()), bytes_text(log.bytes), tenant.tables,
                             tenant.keys.size()));
      add(label, newest ? fmt::format("{}: head of {} signed {}", log.lane,
                                      grouped(newest->tree.size), timestamp_text(newest->signed_at))
                        : fmt::format("{}: no head signed yet", log.lane));
    }
  }
  bool anchored = false;
  for (const engine::TenantInfo& tenant : report.tenants) {
    for (const engine::LogInfo& log : tenant.logs) {
      if (!log.newest_anchor) continue;
      anchored = true;
      add("anchors",
          fmt::format("tenant {}, {}: {}, the newest {} ago: {}, head of {}", tenant.name, log.lane,
                      grouped(log.anchors), age_text(app, log.newest_anchor->time()),
                      log::name(log.newest_anchor->kind), grouped(log.newest_anchor->tree.size)));
    }
  }
  if (!anchored) add("anchors", "none");
  return show(app, {{"what", text_type}, {"value", text_type}}, rows);
}

Result<int> run_tenant(App& app, const TenantOptions& options) {
  KIMBERLITE_TRY(auto opened, app.open());
  const std::vector<Column> columns{{"id", integer_type},       {"name", text_type},
                                    {"position", integer_type}, {"bytes", integer_type},
                                    {"tables", integer_type},   {"log_id", text_type}};
  const auto row_of = [](const engine::TenantInfo& tenant) -> Row {
    const engine::LogInfo& data = tenant.logs.front();
    return {integer(tenant.id.value()),     tenant.name,
            integer(data.position.value()), integer(data.bytes),
            integer(tenant.tables),         to_hex(data.log_id)};
  };
  if (options.action == TenantAction::create) {
    if (!options.name) {
      return Error{Code::usage_option, "the new tenant has no name"}.next(
          "kimberlite tenant create NAME");
    }
    KIMBERLITE_TRY(const engine::TenantInfo made,
                   opened->database().create_tenant(*options.name, {}));
    return show(app, columns, {row_of(made)});
  }
  KIMBERLITE_TRY(const engine::StatusReport report, opened->database().status());
  std::vector<Row> rows;
  for (const engine::TenantInfo& tenant : report.tenants) {
    if (tenant.id.value() == 0) continue;
    if (options.name && tenant.name != *options.name) continue;
    rows.push_back(row_of(tenant));
  }
  if (options.name && rows.empty()) {
    return Error{Code::not_found_tenant, "there is no tenant {}", *options.name}.next(
        "kimberlite tenant list shows those there are");
  }
  return show(app, columns, rows);
}

Result<int> run_key(App& app, const KeyOptions& options) {
  if (options.action == KeyAction::escrow) return run_escrow(app, options);
  KIMBERLITE_TRY(auto opened, app.open());
  if (options.action == KeyAction::rotate) {
    KIMBERLITE_TRY(const engine::Outcome outcome,
                   opened->database().rotate_data_key(app.tenant(), {.reason = "key rotation"}));
    app.say(fmt::format("the next record of {} takes a new data key; recorded at position {}",
                        app.tenant(), outcome.position.value()));
  }
  KIMBERLITE_TRY(const engine::StatusReport report, opened->database().status());
  std::vector<Row> rows;
  for (const engine::TenantInfo& tenant : report.tenants) {
    for (const engine::KeyInfo& key : tenant.keys) {
      rows.push_back({tenant.id.value() == 0 ? std::string{"(cluster)"} : tenant.name,
                      integer(key.id.value()), key.kind, key.state, std::string{"XAES-256-GCM"},
                      std::string{"key file"}, time_value(key.created)});
    }
  }
  return show(app,
              {{"tenant", text_type},
               {"key_id", integer_type},
               {"kind", text_type},
               {"state", text_type},
               {"algorithm", text_type},
               {"custody", text_type},
               {"created", timestamp_type}},
              rows);
}

}  // namespace kimberlite::cli
