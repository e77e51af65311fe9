// kimberlite head trust: a person accepts the log that stands where a remembered one was.
#include <fmt/format.h>

#include "app.hpp"

namespace kimberlite::cli {
namespace {

using catalog::Type;
using catalog::TypeKind;

const std::optional<Type> text_type = Type{TypeKind::text};
constexpr std::size_t typed_max = 1024;  // bytes of an answer

Status show(App& app, engine::Session& session, const NewEpoch& epoch) {
  KIMBERLITE_TRY(const std::vector<engine::RecordInfo> records, session.records(epoch.begins, 1));
  std::vector<Row> rows;
  const auto add = [&](std::string_view what, std::string value) {
    rows.push_back({std::string{what}, std::move(value)});
  };
  add("tenant", app.tenant());
  add("remembered log", epoch.known.origin);
  add("its size", std::to_string(epoch.known.size));
  add("its root", to_hex(epoch.known.root));
  add("log now", record::origin_of(epoch.now.log_id));
  add("its key", epoch.now.verifier_key().to_text());
  add("goes on with record", std::to_string(epoch.begins.value()));
  for (const engine::RecordInfo& record : records) {
    add("of kind", record.kind);
    add("by", record.actor);
    add("at", timestamp_text(record.timestamp));
    add("because", record.reason);
  }
  add("size now", std::to_string(epoch.now.tree.size));
  add("root now", to_hex(epoch.now.tree.root));
  return write_facts(app, {{"what", text_type}, {"value", text_type}}, rows);
}

// Whether the person typed the tenant's name.
Result<bool> accepted(App& app) {
  if (app.invocation().yes) return true;
  KIMBERLITE_CHECK(
      app.messages().write("type the tenant's name to remember the log as it is now: "));
  std::string typed;
  while (!typed.contains('\n') && typed.size() < typed_max) {
    KIMBERLITE_TRY(const std::string piece, InputSource::next());
    if (piece.empty()) break;
    typed += piece;
  }
  return typed.substr(0, typed.find('\n')) == app.tenant();
}

}  // namespace

Result<int> run_trust(App& app) {
  const std::string tenant = app.tenant();
  KIMBERLITE_TRY(const auto opened, app.open_unheld(tenant));
  HeadMemory* const memory = opened->memory();
  if (memory == nullptr) {
    return Error{Code::usage_config, "nothing is remembered of this log"}
        .why("heads_file is off, or the database is in memory")
        .next("kimberlite config show says where the setting comes from");
  }
  KIMBERLITE_TRY(const std::optional<NewEpoch> epoch, memory->new_epoch(opened->session(), tenant));
  if (!epoch) {
    app.say("the log goes on from what is remembered of it: there is nothing to accept");
    return 0;
  }
  KIMBERLITE_CHECK(show(app, opened->session(), *epoch));
  if (app.invocation().dry_run) return 0;
  KIMBERLITE_TRY(const bool yes, accepted(app));
  if (!yes) {
    return Error{Code::usage_option, "that is not the tenant's name: nothing was accepted"}.next(
        "kimberlite head trust --tenant {} --yes, or type {}", tenant, tenant);
  }
  KIMBERLITE_CHECK(memory->trust(opened->session(), tenant, *epoch));
  app.say(fmt::format("remembered in {}", memory->path()));
  return 0;
}

}  // namespace kimberlite::cli
