// kimberlite backup and restore; kimberlite key escrow.
#include <fmt/format.h>

#include "app.hpp"
#include "cli/interrupt.hpp"
#include "cli/progress.hpp"
#include "engine/backup.hpp"
#include "kimberlite/local.hpp"
#include "statement_runner.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

using catalog::Type;
using catalog::TypeKind;

constexpr int exit_interrupted = 9;

const std::optional<Type> text_type = Type{TypeKind::text};
const std::optional<Type> integer_type = Type{TypeKind::bigint};
const std::optional<Type> timestamp_type = Type{TypeKind::timestamp};

std::optional<OpNumber> chosen(const BackupOptions& options) {
  if (!options.backup) return std::nullopt;
  return OpNumber{*options.backup};
}

std::uint64_t records_of(const engine::BackupText& backup) {
  std::uint64_t records = 0;
  for (const engine::BackupLog& log : backup.logs) records += log.head.position.value();
  return records;
}

std::uint64_t bytes_of_logs(const engine::BackupText& backup) {
  std::uint64_t bytes = 0;
  for (const engine::BackupLog& log : backup.logs) bytes += log.head.bytes;
  return bytes;
}

Status write_backups(App& app, const std::vector<engine::BackupText>& backups) {
  std::vector<Row> rows;
  rows.reserve(backups.size());
  for (const engine::BackupText& backup : backups) {
    rows.push_back({static_cast<std::int64_t>(backup.op.value()), timestamp_text(backup.timestamp),
                    static_cast<std::int64_t>(backup.logs.size()),
                    static_cast<std::int64_t>(records_of(backup)),
                    static_cast<std::int64_t>(bytes_of_logs(backup))});
  }
  return write_facts(app,
                     {{"backup", integer_type},
                      {"until", timestamp_type},
                      {"logs", integer_type},
                      {"records", integer_type},
                      {"bytes", integer_type}},
                     rows);
}

Result<int> create(App& app, const BackupOptions& options) {
  KIMBERLITE_TRY(const auto opened, app.open());
  platform::LinuxStorage repository{options.repository};
  KIMBERLITE_TRY(const engine::BackupReport report, opened->database().back_up(repository));
  KIMBERLITE_CHECK(write_backups(app, {report.backup}));
  app.say(report.made ? fmt::format("{} copied", bytes_text(report.copied))
                      : std::string{"nothing was written since this one"});
  app.say("note: no key is in it: a restore also needs the master key and a key escrow");
  return 0;
}

Result<int> verify(App& app, const BackupOptions& options) {
  platform::LinuxStorage repository{options.repository};
  KIMBERLITE_TRY(const engine::BackupText backup, engine::find_backup(repository, chosen(options)));
  engine::VerifyOptions how;
  KIMBERLITE_TRY(const auto key, find_log_key(app, options.log_key));
  if (key) how.log_keys.push_back(*key);
  return verify_with_progress(app, options.repository, std::move(how),
                              [&](const engine::VerifyOptions& checked) {
                                return engine::verify_backup(repository, backup, checked);
                              });
}

// What a drill restores is removed at its end, whatever that is.
class Scratch {
 public:
  Scratch(App& app, std::string path) : app_(app), path_(std::move(path)) {}
  ~Scratch() {
    platform::LinuxStorage storage{path_};
    const Status removed = storage.exists() ? remove_tree(storage) : Status{};
    if (!removed || (storage.exists() && !app_.files().remove(path_))) {
      app_.say(fmt::format("note: {} could not be removed whole", path_));
    }
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

 private:
  App& app_;
  std::string path_;
};

Result<int> drill(App& app, const BackupOptions& options) {
  KIMBERLITE_TRY(const std::string root, app.directory());
  KIMBERLITE_TRY(const auto opened, app.open());
  platform::LinuxStorage repository{options.repository};
  KIMBERLITE_TRY(const engine::BackupText backup, engine::find_backup(repository, chosen(options)));
  platform::LinuxStorage directory{root};
  KIMBERLITE_TRY(const auto master, app.master_key(directory));
  Id128 unique{};
  app.random().fill(unique);
  std::string beside = root;
  while (beside.size() > 1 && beside.ends_with('/')) beside.pop_back();
  const std::string path = options.scratch
                               ? fmt::format("{}/drill-{}", *options.scratch, to_hex(unique))
                               : fmt::format("{}.drill-{}", beside, to_hex(unique));
  const Scratch removed{app, path};
  platform::LinuxEnv scratch{path, platform::ExecutorOptions{}};
  engine::RestoreOptions how;
  how.actor = local_actor();
  how.reason = "drill";
  how.holder = app.holder();
  how.progress = [](const engine::VerifyProgress&) { return !interrupted(); };
  KIMBERLITE_TRY(
      const engine::DrillReport report,
      engine::drill(opened->database(), repository, backup, scratch.env(), *master, how));
  if (app.format() == Format::table) {
    KIMBERLITE_CHECK(app.out().write(
        fmt::format("ok  backup {}: {} logs and {} records restored, roots equal, the tables of "
                    "{} tenants equal row for row\n",
                    backup.op.value(), report.logs, grouped(report.records), report.tenants)));
    return 0;
  }
  KIMBERLITE_CHECK(write_facts(
      app,
      {{"backup", integer_type},
       {"logs", integer_type},
       {"records", integer_type},
       {"tenants", integer_type}},
      {{static_cast<std::int64_t>(backup.op.value()), static_cast<std::int64_t>(report.logs),
        static_cast<std::int64_t>(report.records), static_cast<std::int64_t>(report.tenants)}}));
  return 0;
}

Result<engine::RestoreUntil> until_of(App& app, const std::optional<std::string>& text) {
  if (!text) return engine::RestoreUntil{};
  KIMBERLITE_TRY(const engine::AsOf as_of, parse_as_of(*text));
  if (const auto* position = std::get_if<Position>(&as_of)) {
    return engine::RestoreUntil{engine::RestorePosition{app.tenant(), *position}};
  }
  if (const auto* time = std::get_if<TimestampUs>(&as_of)) return engine::RestoreUntil{*time};
  return engine::RestoreUntil{};
}

}  // namespace

Result<int> run_backup(App& app, const BackupOptions& options) {
  switch (options.action) {
    case BackupAction::create:
      return create(app, options);
    case BackupAction::list: {
      platform::LinuxStorage repository{options.repository};
      KIMBERLITE_TRY(const auto backups, engine::list_backups(repository));
      KIMBERLITE_CHECK(write_backups(app, backups));
      return 0;
    }
    case BackupAction::verify:
      return verify(app, options);
    case BackupAction::drill:
      return drill(app, options);
  }
  return 0;
}

Result<int> run_restore(App& app, const RestoreOptions& options) {
  platform::LinuxStorage repository{options.repository};
  KIMBERLITE_TRY(
      const engine::BackupText backup,
      engine::find_backup(
          repository, options.backup ? std::optional{OpNumber{*options.backup}} : std::nullopt));
  const std::string key_line_path = vkey_path(options.directory);
  KIMBERLITE_CHECK(check_vkey(app, key_line_path));
  KIMBERLITE_TRY(const std::string escrow, read_text(app.files(), options.escrow));
  std::optional<std::string> asked;
  if (const SettingValue& set = app.configuration().get("key_file"); !set.value.empty()) {
    asked = set.value;
  }
  KIMBERLITE_TRY(const FoundKey key, find_key(app.files(), app.random(), asked, backup.cluster));
  engine::RestoreOptions how;
  KIMBERLITE_TRY(how.until, until_of(app, options.until));
  how.actor = local_actor();
  how.reason = options.reason.value_or("restore");
  how.holder = app.holder();
  how.progress = [](const engine::VerifyProgress&) { return !interrupted(); };
  platform::LinuxEnv world{options.directory, platform::ExecutorOptions{}};
  const auto report =
      engine::restore(repository, backup, world.env(), *key.key, bytes_of(escrow), how);
  if (!report) {
    if (report.error().code() != Code::interrupted_signal) return report.error();
    app.say(to_string(report.error()));
    return exit_interrupted;
  }
  std::vector<Row> rows;
  for (const engine::RestoreReport::Log& log : report->logs) {
    if (log.lane != 0 || log.tenant == TenantId{}) continue;
    rows.push_back({log.tenant_name, static_cast<std::int64_t>(log.restored.position.value()),
                    to_hex(log.restored.frontier.root()), to_hex(log.old_log_id), log.log_key});
    if (log.tenant_name == app.tenant()) {
      KIMBERLITE_CHECK(write_text(app.files(), key_line_path, log.log_key + "\n"));
      app.say(fmt::format("log key  {}    it is a new one: give it to whoever has the old",
                          key_line_path));
    }
  }
  KIMBERLITE_CHECK(write_facts(app,
                               {{"tenant", text_type},
                                {"position", integer_type},
                                {"root", text_type},
                                {"old_log", text_type},
                                {"log_key", text_type}},
                               rows));
  if (report->lost != OpNumber{}) {
    app.say("note: the backup has later records, which were left out, as was asked");
  }
  return 0;
}

Result<int> run_escrow(App& app, const KeyOptions& options) {
  KIMBERLITE_TRY(const auto opened, app.open());
  KIMBERLITE_TRY(const Buffer escrow, opened->database().escrow());
  // The old one is there until the new one is.
  const std::string unfinished = options.output + ".new";
  KIMBERLITE_CHECK(write_text(app.files(), unfinished, text_of(escrow)));
  KIMBERLITE_CHECK(app.files().rename(unfinished, options.output));
  app.say(
      fmt::format("{}: all keys of the database, which the master key alone opens; keep it away "
                  "from the backups, and make it anew after each change of keys",
                  options.output));
  return 0;
}

}  // namespace kimberlite::cli
