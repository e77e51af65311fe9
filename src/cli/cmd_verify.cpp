// kimberlite verify, inspect, doctor: what the bytes of a directory say.
#include <fmt/format.h>

#include "app.hpp"
#include "cli/error_text.hpp"
#include "cli/interrupt.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "record/signed_head.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr int exit_integrity = 3;
constexpr int exit_interrupted = 9;

Error error_of(const engine::VerifyFinding& finding, std::string_view root) {
  Error error{finding.code, "{}", finding.what};
  std::string where = root.empty() ? finding.file : fmt::format("{}/{}", root, finding.file);
  // A row is no byte of a file.
  if (finding.table.empty()) where += fmt::format(", byte {}", finding.offset);
  if (finding.position.value() != 0) where += fmt::format(", record {}", finding.position.value());
  if (finding.change) where += fmt::format(", change {}", *finding.change);
  std::string why;
  if (!finding.expected.empty() || !finding.found.empty()) {
    why = fmt::format("{} is expected, {} was found", finding.expected, finding.found);
  }
  return std::move(error)
      .where("{}", where)
      .why("{}", why)
      .next("{}", finding.code != Code::integrity_projection
                      ? "restore it from a backup; nothing was changed or cut off"
                      : "remove the file: it is derived, and the next open makes it again from the "
                        "log; nothing was changed");
}

void append_finding(std::string& text, const engine::VerifyFinding& finding) {
  JsonObject object{text};
  object.text("code", name(finding.code));
  object.text("file", finding.file);
  object.number("byte", finding.offset);
  object.number("position", finding.position.value());
  object.text("what", finding.what);
  object.text("expected", finding.expected);
  object.text("found", finding.found);
  if (finding.table.empty()) return;
  object.text("table", finding.table);
  if (finding.change) {
    object.number("change", *finding.change);
  } else {
    object.null("change");
  }
}

void append_report(std::string& text, const engine::VerifyReport& report,
                   std::uint64_t elapsed_us) {
  JsonObject object{text};
  object.boolean("clean", report.clean());
  object.boolean("interrupted", report.cancelled);
  object.number("findings_total", report.findings_total);
  object.number("pages", report.pages);
  object.number("rows", report.rows);
  object.number("elapsed_us", elapsed_us);
  object.member("logs");
  text += '[';
  for (std::size_t i = 0; i < report.logs.size(); ++i) {
    if (i > 0) text += ',';
    const engine::VerifiedLog& log = report.logs[i];
    JsonObject entry{text};
    entry.number("tenant", log.tenant.value());
    entry.text("lane", log.lane);
    entry.text("log_id", to_hex(log.log_id));
    entry.number("position", log.position.value());
    entry.text("leaf", to_hex(log.leaf));
    entry.text("root", to_hex(log.root));
    entry.number("records", log.records);
    entry.number("items", log.items);
    entry.number("segments", log.segments);
    entry.number("bytes", log.bytes);
    entry.number("from", log.from.value());
    entry.number("heads", log.heads);
    entry.number("heads_pinned", log.heads_pinned);
    entry.number("head_size", log.head_size);
    entry.number("anchors", log.anchors);
    if (log.newest_anchor) {
      entry.number("anchored_size", log.newest_anchor->tree.size);
      entry.text("anchored_at", timestamp_text(log.newest_anchor->time()));
    }
  }
  text += ']';
  object.member("findings");
  text += '[';
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    if (i > 0) text += ',';
    append_finding(text, report.findings[i]);
  }
  text += ']';
  object.member("notes");
  text += '[';
  for (std::size_t i = 0; i < report.notes.size(); ++i) {
    if (i > 0) text += ',';
    append_json_string(text, report.notes[i]);
  }
  text += ']';
}

Status print_report(App& app, const engine::VerifyReport& report, std::string_view root,
                    std::uint64_t elapsed_us) {
  if (app.format() == Format::json || app.format() == Format::jsonl) {
    std::string text;
    if (app.format() == Format::json) {
      text = fmt::format(R"({{"version":1,"command":"{}","ok":{},"data":)",
                         app.invocation().command, report.clean());
      append_report(text, report, elapsed_us);
      text += R"(,"error":)";
      if (report.findings.empty()) {
        text += "null";
      } else {
        append_error_json(text, error_of(report.findings.front(), root), "");
      }
      text += "}\n";
    } else {
      append_report(text, report, elapsed_us);
      text += '\n';
    }
    return app.out().write(text);
  }
  for (const std::string& note : report.notes) app.say("note: " + note);
  for (const engine::VerifiedLog& log : report.logs) {
    if (!log.newest_anchor) continue;
    app.say(
        fmt::format("note: the newest anchor of tenant {}, {} is {} old, of the first {} records",
                    log.tenant.value(), log.lane, age_text(app, log.newest_anchor->time()),
                    grouped(log.newest_anchor->tree.size)));
  }
  KIMBERLITE_CHECK(print_findings(app, report, root));
  if (!report.clean()) return {};
  std::uint64_t records = 0;
  std::uint64_t items = 0;
  std::uint64_t segments = 0;
  std::uint64_t heads = 0;
  std::uint64_t pinned = 0;
  std::uint64_t anchors = 0;
  for (const engine::VerifiedLog& log : report.logs) {
    records += log.records;
    items += log.items;
    segments += log.segments;
    heads += log.heads;
    pinned += log.heads_pinned;
    anchors += log.anchors;
  }
  std::string line =
      fmt::format("ok  {}, {}, {}, {}, chain, tree", plural(report.logs.size(), "log"),
                  plural(records, "record"), plural(items, "item"), plural(segments, "segment"));
  if (report.pages > 0) line += ", " + plural(report.pages, "page");
  if (report.rows > 0) line += ", " + plural(report.rows, "row");
  line += fmt::format(", {}{}, {}   {:.2f} s\n", plural(heads, "signature"),
                      heads == 0        ? ""
                      : pinned == 0     ? " (self)"
                      : pinned == heads ? " (of the key given)"
                                        : fmt::format(" ({} of the key given)", pinned),
                      plural(anchors, "anchor"), static_cast<double>(elapsed_us) / 1e6);
  return app.out().write(line);
}

// The data directory a file is in, and its path there.
Result<std::pair<std::string, std::string>> split_root(std::string_view path) {
  std::size_t cut = path.size();
  for (int level = 0; level < 5; ++level) {
    cut = path.rfind('/', cut == 0 ? 0 : cut - 1);
    const bool here = cut == std::string_view::npos;
    const std::string root = here ? "." : std::string{path.substr(0, cut)};
    platform::LinuxStorage storage{root};
    if (storage.open("superblock", env::Open::read)) {
      return std::pair{root, std::string{here ? path : path.substr(cut + 1)}};
    }
    if (here || cut == 0) break;
  }
  return Error{Code::usage_not_ours, "this file lies in no Kimberlite data directory"}
      .where("{}", path)
      .next("name it by its path through the directory, as clinic/journal");
}

// The key and the heads that were given; a head is believed only under a key from elsewhere.
Status take_heads(App& app, const VerifyOptions& options, engine::VerifyOptions& into) {
  KIMBERLITE_TRY(const auto key, find_log_key(app, options.log_key));
  if (key) into.log_keys.push_back(*key);
  for (const std::string& path : options.since) {
    if (!key) {
      return Error{Code::usage_option, "--since needs --log-key"}
          .why("a head is worth what the key it is checked with is worth")
          .next("kimberlite verify --log-key clinic.vkey --since {}", path);
    }
    KIMBERLITE_TRY(const std::string note, read_text(app.files(), path));
    const auto head = record::check_head(note, *key);
    if (!head) return Error{head.error()}.where("{}", path);
    into.since.push_back(head->tree());
  }
  return {};
}

}  // namespace

Status print_findings(App& app, const engine::VerifyReport& report, std::string_view root) {
  for (const engine::VerifyFinding& finding : report.findings) {
    KIMBERLITE_CHECK(
        app.messages().write(error_layout(error_of(finding, root), "", app.terminal().colour)));
  }
  if (report.findings_total > report.findings.size()) {
    app.say(fmt::format("and {} more", report.findings_total - report.findings.size()));
  }
  return {};
}

Result<int> verify_with_progress(
    App& app, std::string_view root, engine::VerifyOptions how,
    const std::function<Result<engine::VerifyReport>(const engine::VerifyOptions&)>& run) {
  const std::uint64_t begun = app.clock().monotonic_ns();
  ProgressLine line{"verify", app.invocation().quiet ? 0 : app.terminal().width, begun};
  how.holder = app.holder();
  how.progress = [&](const engine::VerifyProgress& progress) {
    const std::uint64_t now = app.clock().monotonic_ns();
    if (line.due(now)) {
      static_cast<void>(
          app.messages()
              .write(line.update({progress.records, progress.bytes, progress.bytes_total}, now))
              .has_value());
    }
    return !interrupted();
  };
  const Result<engine::VerifyReport> report = run(how);
  static_cast<void>(app.messages().write(line.clear()).has_value());
  if (!report) return report.error();
  const std::uint64_t elapsed_us = (app.clock().monotonic_ns() - begun) / 1000;
  KIMBERLITE_CHECK(print_report(app, *report, root, elapsed_us));
  if (report->cancelled) {
    app.say("stopped before the end: nothing is proved of what was not read");
    return exit_interrupted;
  }
  return report->clean() ? 0 : exit_integrity;
}

Result<int> run_verify(App& app, const VerifyOptions& options) {
  KIMBERLITE_TRY(const std::string root, app.directory());
  KIMBERLITE_TRY(const std::optional<int> done, verify_other(app, root, options));
  if (done) return *done;
  platform::LinuxStorage storage{root};
  std::unique_ptr<keystore::MasterKey> master;
  if (options.projection) {
    KIMBERLITE_TRY(master, app.master_key(storage));
  }
  engine::VerifyOptions how;
  KIMBERLITE_CHECK(take_heads(app, options, how));
  how.master = master.get();
  how.projection = options.projection;
  return verify_with_progress(app, root, std::move(how), [&](const engine::VerifyOptions& checked) {
    return engine::verify(storage, checked);
  });
}

Result<int> run_inspect(App& app, const InspectOptions& options) {
  KIMBERLITE_TRY(const auto place, split_root(options.file));
  platform::LinuxStorage storage{place.first};
  KIMBERLITE_TRY(const auto lock, storage.lock("lock", app.holder()));
  // A projection's pages are sealed: which of them nobody reads is known with the key alone.
  std::unique_ptr<keystore::MasterKey> master;
  if (place.second.find("/projection.db") != std::string::npos) {
    if (auto key = app.master_key(storage)) master = *std::move(key);
  }
  KIMBERLITE_TRY(const engine::Inspection found,
                 engine::inspect(storage, place.second, master.get()));
  const std::optional<catalog::Type> text{catalog::Type{catalog::TypeKind::text}};
  const std::optional<catalog::Type> number{catalog::Type{catalog::TypeKind::bigint}};
  const std::optional<catalog::Type> boolean{catalog::Type{catalog::TypeKind::boolean}};
  if (app.format() == Format::table) {
    KIMBERLITE_CHECK(app.out().write(fmt::format("{}: {}\n", options.file, found.kind)));
    for (const auto& [fact, value] : found.facts) {
      KIMBERLITE_CHECK(app.out().write(fmt::format("  {:<16} {}\n", fact, value)));
    }
  }
  std::vector<Row> rows;
  rows.reserve(found.ranges.size());
  for (const engine::FileRange& range : found.ranges) {
    rows.push_back({static_cast<std::int64_t>(range.offset), static_cast<std::int64_t>(range.size),
                    range.what, static_cast<std::int64_t>(range.unused ? 1 : 0)});
  }
  KIMBERLITE_CHECK(write_facts(
      app, {{"byte", number}, {"size", number}, {"what", text}, {"unused", boolean}}, rows));
  for (const engine::VerifyFinding& finding : found.findings) {
    KIMBERLITE_CHECK(app.messages().write(
        error_layout(error_of(finding, place.first), "", app.terminal().colour)));
  }
  return found.findings.empty() ? 0 : exit_integrity;
}

namespace {

constexpr std::uint64_t anchor_age_max_us = 86'400'000'000;  // an integrity control wants less

// The tenant whose log could be rewritten the furthest back without anyone elsewhere knowing.
std::pair<bool, std::string> look_at_anchors(App& app, const engine::StatusReport& report) {
  const engine::TenantInfo* oldest = nullptr;
  TimestampUs when{~std::uint64_t{0}};
  for (const engine::TenantInfo& tenant : report.tenants) {
    if (tenant.id.value() == 0) continue;
    const engine::LogInfo& log = tenant.logs.front();
    const TimestampUs time = log.newest_anchor ? log.newest_anchor->time() : TimestampUs{};
    if (log.position.value() == 0 || time >= when) continue;
    oldest = &tenant;
    when = time;
  }
  if (oldest == nullptr) return {true, "there are no records to anchor"};
  if (!oldest->logs.front().newest_anchor) {
    return {false, fmt::format("{} has none: kimberlite head anchor puts its head elsewhere",
                               oldest->name)};
  }
  const bool young = app.clock().realtime().value() <= when.value() + anchor_age_max_us;
  return {young, fmt::format("that of {} is {} old{}", oldest->name, age_text(app, when),
                             young ? "" : ": kimberlite head anchor")};
}

}  // namespace

Result<int> run_doctor(App& app, const DoctorOptions& /*options*/) {
  KIMBERLITE_TRY(const std::string root, app.directory());
  std::vector<Row> rows;
  bool healthy = true;
  const auto add = [&](std::string_view check, bool ok, std::string detail) {
    healthy = healthy && ok;
    rows.push_back({std::string{check}, std::string{ok ? "ok" : "look"}, std::move(detail)});
  };
  const std::string key_setting = app.configuration().get("key_file").value;
  const bool beside = !key_setting.empty() && key_setting.starts_with(root + "/");
  add("master key", !beside,
      beside ? "lies inside the data directory: move it elsewhere"
             : "is kept outside the data directory");
  {
    KIMBERLITE_TRY(const auto opened, app.open());
    KIMBERLITE_TRY(engine::StatusReport report, opened->database().status());
    KIMBERLITE_CHECK(opened->database().add_proofs(report));
    add("opens", true, fmt::format("{} tenants", report.tenants.size() - 1));
    add("last end", report.notes.empty(),
        report.notes.empty() ? std::string{"clean"}
                             : fmt::format("{}", fmt::join(report.notes, "; ")));
    const auto [young, detail] = look_at_anchors(app, report);
    add("anchor", young, detail);
    const std::uint64_t wanted = 2 * report.ring_size + (256ULL << 20U);
    add("disk", report.free_bytes >= wanted,
        fmt::format("{} free, writes stop below {}", bytes_text(report.free_bytes),
                    bytes_text(wanted)));
  }
  platform::LinuxStorage storage{root};
  KIMBERLITE_TRY(const auto master, app.master_key(storage));
  engine::VerifyOptions options;
  options.holder = app.holder();
  options.master = master.get();
  options.projection = true;
  options.progress = [](const engine::VerifyProgress&) { return !interrupted(); };
  KIMBERLITE_TRY(const engine::VerifyReport report, engine::verify(storage, options));
  add("verify", report.clean(),
      report.clean()
          ? std::string{"every byte is as it was written, every row as the log says"}
          : fmt::format("{} findings: kimberlite verify shows them", report.findings_total));
  const std::optional<catalog::Type> text{catalog::Type{catalog::TypeKind::text}};
  KIMBERLITE_CHECK(write_facts(app, {{"check", text}, {"result", text}, {"detail", text}}, rows));
  return report.clean() ? 0 : exit_integrity;
}

}  // namespace kimberlite::cli
